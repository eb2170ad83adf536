/* Looking at the state without changing it. See state.h. */
#include "queue/state_inner.h"

static void queue_describe(const struct queue *queue, struct queue_view *view)
{
    *view = (struct queue_view){
        .name = queue_name(queue),
        .counters = queue->counters,
        .keys = queue->keys,
        .length_max = queue->length_max,
        .leased_max = queue->leased_max,
        .pause = (enum command_pause)queue->pause,
    };
    for (uint32_t i = 0; i < PRIORITIES; i++)
        view->ready_by_priority[i] = queue->ready[i].count;
}

bool state_queue(const struct state *state, struct command_bytes name, struct queue_view *view)
{
    const struct queue *queue = queue_find(state, name);
    if (queue)
        queue_describe(queue, view);
    return queue;
}

uint64_t state_takeable(const struct state *state, struct command_bytes name)
{
    const struct queue *queue = queue_find(state, name);
    if (!queue || !queue_gives(queue))
        return 0;
    uint64_t ready = queue->counters.ready;
    if (!queue->leased_max)
        return ready;
    uint64_t free_leases = queue->leased_max - queue->counters.leased;
    return ready < free_leases ? ready : free_leases;
}

void state_peek(const struct state *state, struct command_bytes name, uint64_t count,
                enum state_order order, void (*visit)(void *context, const struct job_view *job),
                void *context)
{
    const struct queue *queue = queue_find(state, name);
    bool last = order == ORDER_NEXT_LAST;
    for (uint32_t i = 0; queue && i < PRIORITIES; i++) {
        const struct job_list *list = &queue->ready[last ? i : COMMAND_PRIORITY_MAX - i];
        const struct job *job = last ? list->last : list->first;
        for (; job && count; job = last ? job->previous : job->next, count--) {
            struct job_view view;
            job_describe(state, job, &view);
            visit(context, &view);
        }
    }
}

bool state_show(const struct state *state, const struct job_id *id, struct job_view *view,
                enum job_end *end, uint64_t *ended_ms)
{
    const struct job *job = job_find(state, id);
    const struct done *done = job ? NULL : done_find(state, id);
    *end = done ? done->end : END_NONE;
    *ended_ms = done ? done->time_ms : 0;
    if (job)
        job_describe(state, job, view);
    return job;
}

struct job_scan {
    const struct state *state;
    void (*visit)(void *context, const struct job_view *job);
    void *context;
};

static void scan_job(void *context, void *item)
{
    const struct job_scan *scan = context;
    struct job_view view;
    job_describe(scan->state, item, &view);
    scan->visit(scan->context, &view);
}

uint64_t state_scan_jobs(const struct state *state, uint64_t cursor, uint64_t count,
                         void (*visit)(void *context, const struct job_view *job), void *context)
{
    struct job_scan scan = {state, visit, context};
    return table_scan(&state->jobs, cursor, count, scan_job, &scan);
}

struct queue_scan {
    void (*visit)(void *context, const struct queue_view *queue);
    void *context;
};

static void scan_queue(void *context, void *item)
{
    const struct queue_scan *scan = context;
    struct queue_view view;
    queue_describe(item, &view);
    scan->visit(scan->context, &view);
}

uint64_t state_scan_queues(const struct state *state, uint64_t cursor, uint64_t count,
                           void (*visit)(void *context, const struct queue_view *queue),
                           void *context)
{
    struct queue_scan scan = {visit, context};
    return table_scan(&state->names, cursor, count, scan_queue, &scan);
}

void state_expired(const struct state *state,
                   void (*visit)(void *context, const struct expired_view *record), void *context)
{
    for (const struct expired *record = state->expired_first; record; record = record->next) {
        struct expired_view view = {
            .id = record->id,
            .queue = {record->name, record->length},
            .time_ms = record->time_ms,
            .index = record->index,
        };
        visit(context, &view);
    }
}
