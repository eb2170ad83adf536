/* Requests that are answered later. See agentd.h. */
#include <stdio.h>
#include <string.h>

#include "harness/agent/agentd.h"
#include "harness/base/clock.h"

#define STEP_NS_MIN (100 * NS_PER_US)
#define STEP_NS_MAX (10 * NS_PER_MS)

struct agentd_wait *agentd_wait_add(struct agentd *agent, const struct agentd_request *request,
                                    agentd_step *step, int64_t deadline_ns, size_t size)
{
    for (size_t i = 0; i < AGENTD_WAITS_MAX; i++) {
        struct agentd_wait *wait = &agent->waits[i];
        if (wait->step != NULL)
            continue;
        *wait = (struct agentd_wait){
            .step = step, .arrived_ns = request->arrived_ns, .deadline_ns = deadline_ns};
        snprintf(wait->request_id, sizeof wait->request_id, "%s", request->id);
        wait->state = arena_zalloc(&wait->arena, size);
        return wait;
    }
    agentd_reply_error(agent, request->id, "limit", "%d requests are waiting already",
                       AGENTD_WAITS_MAX);
    return NULL;
}

void agentd_wait_drop(struct agentd_wait *wait)
{
    wait->step = NULL;
    arena_free(&wait->arena);
}

/* Often at first, then less and less: what is quick is seen quickly, what is slow costs little. */
static int64_t next_look_ns(const struct agentd_wait *wait, int64_t now_ns)
{
    int64_t pause_ns = (now_ns - wait->arrived_ns) / 4;
    if (pause_ns < STEP_NS_MIN)
        pause_ns = STEP_NS_MIN;
    if (pause_ns > STEP_NS_MAX)
        pause_ns = STEP_NS_MAX;
    int64_t next_ns = now_ns + pause_ns;
    return wait->event_driven || next_ns > wait->deadline_ns ? wait->deadline_ns : next_ns;
}

void agentd_waits_step(struct agentd *agent)
{
    bool stirred = agent->stirred;
    agent->stirred = false;
    for (size_t i = 0; i < AGENTD_WAITS_MAX && agent->end == AGENTD_END_NONE; i++) {
        struct agentd_wait *wait = &agent->waits[i];
        int64_t now_ns = clock_monotonic_ns();
        if (wait->step == NULL || (!stirred && now_ns < wait->next_step_ns))
            continue;
        arena_reset(&agent->scratch);
        if (wait->step(agent, wait, now_ns >= wait->deadline_ns))
            agentd_wait_drop(wait);
        else
            wait->next_step_ns = next_look_ns(wait, clock_monotonic_ns());
    }
}

int64_t agentd_waits_next_ns(const struct agentd *agent)
{
    int64_t next_ns = INT64_MAX;
    for (size_t i = 0; i < AGENTD_WAITS_MAX; i++)
        if (agent->waits[i].step != NULL && agent->waits[i].next_step_ns < next_ns)
            next_ns = agent->waits[i].next_step_ns;
    return next_ns;
}
