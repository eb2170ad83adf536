/* The state judged from within: see `state_check` in state.h. */
#include "queue/state_inner.h"

#include <inttypes.h>
#include <stdlib.h>

#include "queue/state_base.h"

struct check {
    const struct state *state;
    struct queue_error *error;
    bool good;
    struct state_counters sum;    /* of the queues */
    struct state_counters *found; /* per queue number: gauges, counted job by job */
    uint64_t timers, bytes, keyed, keys, key_timers;
};

static void expect(struct check *check, bool truth, const char *what, uint64_t value)
{
    if (!truth && check->good)
        check->good = refuse(check->error, "state at index %" PRIu64 ": %s (%" PRIu64 ")",
                             check->state->index, what, value);
}

static bool conserved(const struct state_counters *counters)
{
    return counters->added == counters->acked + counters->spent + counters->expired +
                                  counters->deleted + counters->ready + counters->delayed +
                                  counters->leased + counters->dead;
}

static void check_job(void *context, void *item)
{
    struct check *check = context;
    const struct state *state = check->state;
    const struct job *job = item;
    struct state_counters *found = &check->found[job->timer.queue];
    bool timed = job->state == JOB_LEASED || (job->state != JOB_DEAD && job->expires_ms);
    switch ((enum job_state)job->state) {
    case JOB_NONE:
        expect(check, false, "a job in no state", job->timer.sequence);
        break;
    case JOB_READY:
        found->ready++;
        break;
    case JOB_DELAYED:
        found->delayed++;
        timed = timed || job->timer.slot;
        break;
    case JOB_LEASED:
        found->leased++;
        break;
    case JOB_DEAD:
        found->dead++;
        break;
    }
    expect(check, timed == (job->timer.slot != 0), "a job's deadline is amiss",
           job->timer.sequence);
    expect(check, !job->timer.slot || state->timers.slots[job->timer.slot].timer == &job->timer,
           "the heap does not know a job", job->timer.sequence);
    expect(check, job_find(state, &job->id) == job, "a job is not found by its id",
           job->timer.sequence);
    check->timers += timed;
    check->keyed += job->keyed;
    check->bytes += job->body_length + JOB_BYTES_COUNTED;
}

static void check_list(struct check *check, const struct queue *queue, const struct job_list *list,
                       enum job_state wanted, uint32_t priority)
{
    const struct job *previous = NULL;
    uint64_t count = 0;
    for (const struct job *job = list->first; job && count <= list->count; job = job->next) {
        expect(check, job->previous == previous && job->timer.queue == queue->number,
               "a list is broken", job->timer.sequence);
        expect(check, job->state == wanted && (wanted == JOB_DEAD || job->priority == priority),
               "a job in the wrong list", job->timer.sequence);
        previous = job;
        count++;
    }
    expect(check, list->last == previous && list->count == count, "a list's count is off", count);
}

static void check_queue(void *context, void *item)
{
    struct check *check = context;
    const struct queue *queue = item;
    const struct state_counters *counters = &queue->counters;
    const struct state_counters *found = &check->found[queue->number];
    uint64_t ready = 0;
    for (uint32_t i = 0; i < PRIORITIES; i++) {
        check_list(check, queue, &queue->ready[i], JOB_READY, i);
        ready += queue->ready[i].count;
    }
    check_list(check, queue, &queue->dead, JOB_DEAD, 0);
    expect(check, counters->ready == ready && found->ready == ready, "ready jobs", ready);
    expect(check, counters->dead == queue->dead.count && found->dead == queue->dead.count,
           "dead jobs", queue->dead.count);
    expect(check, counters->delayed == found->delayed, "delayed jobs", found->delayed);
    expect(check, counters->leased == found->leased, "leased jobs", found->leased);
    expect(check, conserved(counters), "a queue's jobs are not conserved", counters->added);
    expect(check, check->state->queues[queue->number] == queue, "a queue's number", queue->number);
    check->sum.ready += counters->ready;
    check->sum.delayed += counters->delayed;
    check->sum.leased += counters->leased;
    check->sum.dead += counters->dead;
    check->keys += queue->keys;
}

static void check_key(void *context, void *item)
{
    struct check *check = context;
    const struct key *key = item;
    expect(check, key->job ? key_of(key->job) == key : key->timer.slot != 0,
           "a key without job or time", key->timer.sequence);
    check->keyed -= key->job != NULL;
    check->key_timers += key->timer.slot != 0;
}

static void check_heap(struct check *check, const struct heap *heap)
{
    expect(check, heap_next_ms(heap) > check->state->time_ms, "a deadline has been missed",
           heap_next_ms(heap));
    for (uint32_t i = 1; i <= heap->count; i++) {
        expect(check, heap->slots[i].timer->slot == i, "a timer's place", i);
        expect(check, heap->slots[i / 2 ? i / 2 : 1].deadline_ms <= heap->slots[i].deadline_ms,
               "the order of the heap", i);
    }
}

bool state_check(const struct state *state, struct queue_error *error)
{
    struct check check = {.state = state, .error = error, .good = true};
    const struct state_counters *counters = &state->counters;
    check.found = memory_zeroed((state->queue_count + 1ul) * sizeof *check.found);
    expect(&check, conserved(counters), "jobs are not conserved", counters->added);
    table_scan(&state->jobs, 0, UINT64_MAX, check_job, &check);
    table_scan(&state->names, 0, UINT64_MAX, check_queue, &check);
    table_scan(&state->keys, 0, UINT64_MAX, check_key, &check);
    check_heap(&check, &state->timers);
    check_heap(&check, &state->key_timers);
    expect(&check,
           counters->ready == check.sum.ready && counters->delayed == check.sum.delayed &&
               counters->leased == check.sum.leased && counters->dead == check.sum.dead,
           "the queues together are not the whole", counters->added);
    expect(&check, check.timers == state->timers.count, "timers of no job", state->timers.count);
    expect(&check, check.key_timers == state->key_timers.count, "timers of no key",
           state->key_timers.count);
    expect(&check, check.keyed == 0 && check.keys == state->keys.count, "keys and jobs disagree",
           state->keys.count);
    expect(&check, check.bytes == state->bytes, "bytes of bodies", check.bytes);
    free(check.found);
    return check.good;
}
