/* Two planted defects: an empty file in a normal build. See defect.h.
 *
 * Instead of T, leases or TTLs follow the wall clock of whichever machine applies the entry: a step
 * of that clock moves all their deadlines at once, on that replica alone. */
#include "queue/state_inner.h"

#ifdef ORDEAL_QUEUE_DEFECTS

#include <time.h>

#define STEP_MS_MIN 20 /* less is but the time between a stamp and its application */

static uint64_t moved_back(uint64_t deadline_ms, int64_t step_ms)
{
    int64_t moved = (int64_t)deadline_ms - step_ms;
    return moved > 0 ? (uint64_t)moved : 1;
}

struct step {
    struct state *state;
    int64_t step_ms;
};

static void move_job(void *context, void *item)
{
    const struct step *step = context;
    struct state *state = step->state;
    struct job *job = item;
    uint64_t deadline_ms = heap_deadline_ms(&state->timers, &job->timer);
    bool had_ttl_timer = deadline_ms && deadline_ms == job->expires_ms;
    if (queue_defect(DEFECT_TTL_WALL_CLOCK) && job->expires_ms) {
        job->expires_ms = moved_back(job->expires_ms, step->step_ms);
        if (job->state != JOB_LEASED && (had_ttl_timer || job->expires_ms < deadline_ms))
            heap_set(&state->timers, &job->timer, job->expires_ms);
    }
    if (queue_defect(DEFECT_LEASE_WALL_CLOCK) && job->state == JOB_LEASED)
        heap_set(&state->timers, &job->timer, moved_back(deadline_ms, step->step_ms));
}

void state_wall_clock(struct state *state)
{
    if (!queue_defect(DEFECT_LEASE_WALL_CLOCK) && !queue_defect(DEFECT_TTL_WALL_CLOCK))
        return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t offset_ms = now.tv_sec * 1000 + now.tv_nsec / 1000000 - (int64_t)state->time_ms;
    struct step step = {state, offset_ms - state->wall_offset_ms};
    if (state->wall_known && step.step_ms < STEP_MS_MIN && step.step_ms > -STEP_MS_MIN)
        return;
    if (state->wall_known)
        table_scan(&state->jobs, 0, UINT64_MAX, move_job, &step);
    state->wall_offset_ms = offset_ms;
    state->wall_known = true;
}

#endif
