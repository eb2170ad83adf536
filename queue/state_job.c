/* Jobs: their states, their lists and deadlines, and what is remembered of the finished. */
#include "queue/state_inner.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "queue/slab.h"
#include "queue/state_base.h"

struct job *job_find(const struct state *state, const struct job_id *id)
{
    return table_find(&state->jobs, job_hash(id), id->bytes);
}

static size_t job_bytes(uint32_t body_length, bool keyed_room)
{
    size_t room = keyed_room ? sizeof(struct key *) : 0;
    size_t size = offsetof(struct job, data) + body_length + room;
    return size < sizeof(struct job) ? sizeof(struct job) : size;
}

void job_free(struct job *job)
{
    slab_give(job, job_bytes(job->body_length, job->keyed_room));
}

struct job *job_allocate(uint32_t body_length, bool keyed_room)
{
    struct job *job = slab_take(job_bytes(body_length, keyed_room));
    memset(job, 0, sizeof *job);
    job->body_length = body_length;
    job->keyed_room = keyed_room;
    return job;
}

void job_register(struct state *state, struct job *job, uint64_t hash)
{
    table_insert(&state->jobs, hash, job, job->id.bytes);
    state->bytes += job->body_length + JOB_BYTES_COUNTED;
}

void job_list_append(struct job_list *list, struct job *job)
{
    job->next = NULL;
    job->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = job;
    list->last = job;
    list->count++;
}

static void job_list_unlink(struct job_list *list, struct job *job)
{
    *(job->previous ? &job->previous->next : &list->first) = job->next;
    *(job->next ? &job->next->previous : &list->last) = job->previous;
    list->count--;
}

static void job_leave(struct state *state, struct job *job)
{
    struct queue *queue = job_queue(state, job);
    switch ((enum job_state)job->state) {
    case JOB_NONE:
        break;
    case JOB_READY:
        job_list_unlink(&queue->ready[job->priority], job);
        STATE_COUNT(state, queue, ready, -1);
        break;
    case JOB_DELAYED:
        STATE_COUNT(state, queue, delayed, -1);
        break;
    case JOB_LEASED:
        STATE_COUNT(state, queue, leased, -1);
        if (queue->leased_max)
            queue_touch(state, queue);
        break;
    case JOB_DEAD:
        job_list_unlink(&queue->dead, job);
        STATE_COUNT(state, queue, dead, -1);
        break;
    }
    job->state = JOB_NONE;
}

/* The one deadline that matters: the state's own or, when no consumer holds the job, the TTL
 * before. */
static void job_set_deadline(struct state *state, struct job *job, uint64_t deadline_ms)
{
    bool bounded = job->expires_ms && job->state != JOB_LEASED;
    if (bounded && (!deadline_ms || job->expires_ms < deadline_ms))
        deadline_ms = job->expires_ms;
    if (deadline_ms)
        heap_set(&state->timers, &job->timer, deadline_ms);
    else
        heap_clear(&state->timers, &job->timer);
}

void job_ready(struct state *state, struct job *job)
{
    job_leave(state, job);
    struct queue *queue = job_queue(state, job);
    job->state = JOB_READY;
    job_list_append(&queue->ready[job->priority], job);
    STATE_COUNT(state, queue, ready, 1);
    job_set_deadline(state, job, 0);
    queue_touch(state, queue);
}

void job_delay(struct state *state, struct job *job, uint64_t deadline_ms)
{
    job_leave(state, job);
    job->state = JOB_DELAYED;
    STATE_COUNT(state, job_queue(state, job), delayed, 1);
    job_set_deadline(state, job, deadline_ms);
}

void job_lease(struct state *state, struct job *job, uint64_t deadline_ms)
{
    job_leave(state, job);
    job->state = JOB_LEASED;
    STATE_COUNT(state, job_queue(state, job), leased, 1);
    job_set_deadline(state, job, deadline_ms);
}

void job_die(struct state *state, struct job *job, enum job_death death)
{
    job_leave(state, job);
    struct queue *queue = job_queue(state, job);
    heap_clear(&state->timers, &job->timer);
    job->state = JOB_DEAD;
    job->death = death;
    job_list_append(&queue->dead, job);
    STATE_COUNT(state, queue, dead, 1);
    STATE_COUNT(state, queue, died, 1);
    if (death == DEATH_TTL)
        STATE_COUNT(state, queue, died_expired, 1);
}

void job_finish(struct state *state, struct job *job, enum job_end end)
{
    job_leave(state, job);
    struct queue *queue = job_queue(state, job);
    STATE_COUNT(state, queue, acked, end == END_ACKED);
    STATE_COUNT(state, queue, spent, end == END_SPENT);
    STATE_COUNT(state, queue, expired, end == END_EXPIRED);
    STATE_COUNT(state, queue, deleted, end == END_DELETED);
    heap_clear(&state->timers, &job->timer);
    key_release(state, job);
    table_remove(&state->jobs, job_hash(&job->id), job);
    state->bytes -= job->body_length + JOB_BYTES_COUNTED;
    done_remember(state, &job->id, end, state->time_ms);
    done_trim(state);
    queue_settle(state, queue);
}

void job_expire(struct state *state, struct job *job)
{
    if (!job->drop_expired) {
        job_die(state, job, DEATH_TTL);
        return;
    }
    struct queue *queue = job_queue(state, job);
    struct expired record = {
        .id = job->id,
        .time_ms = state->time_ms,
        .index = state->index,
        .length = queue->length,
    };
    expired_remember(state, &record, queue->name);
    expired_trim(state);
    job_finish(state, job, END_EXPIRED);
    job_free(job);
}

/* One deadline has come. T may have passed a later one of the same job as well: its TTL then
 * counts, so that a long silence never brings an expired job back. */
static void job_due(struct state *state, struct job *job)
{
    bool expired = job->expires_ms && job->expires_ms <= state->time_ms;
    if (job->state == JOB_LEASED) {
        STATE_COUNT(state, job_queue(state, job), leases_ended, 1);
        if (!expired && job->attempts_max && job->tries >= job->attempts_max) {
            job_die(state, job, DEATH_ATTEMPTS);
            return;
        }
    }
    if (expired)
        job_expire(state, job);
    else
        job_ready(state, job);
}

void job_run_timers(struct state *state)
{
    while (heap_next_ms(&state->timers) <= state->time_ms)
        job_due(state, (struct job *)heap_first(&state->timers));
}

void job_describe(const struct state *state, const struct job *job, struct job_view *view)
{
    const struct key *key = key_of(job);
    *view = (struct job_view){
        .id = job->id,
        .queue = queue_name(job_queue(state, job)),
        .body = {job->data, job->body_length},
        .state = job->state,
        .death = job->death,
        .priority = job->priority,
        .retry_ms = job->retry_ms,
        .attempts_max = job->attempts_max,
        .attempt = job->attempt,
        .tries = job->tries,
        .nacks = job->nacks,
        .added_ms = job->added_ms,
        .expires_ms = job->expires_ms,
        .drop_expired = job->drop_expired,
    };
    if (key)
        view->key = (struct command_bytes){key->data, key->length};
    if (job->state == JOB_DELAYED || job->state == JOB_LEASED)
        view->deadline_ms = heap_deadline_ms(&state->timers, &job->timer);
}

struct done *done_find(const struct state *state, const struct job_id *id)
{
    return table_find(&state->done, job_hash(id), id->bytes);
}

void done_remember(struct state *state, const struct job_id *id, enum job_end end, uint64_t time_ms)
{
    if (!state->config[CONFIG_DONE_MAX])
        return;
    struct done *done = slab_take(sizeof *done);
    *done = (struct done){.id = *id, .end = end, .time_ms = time_ms};
    *(state->done_last ? &state->done_last->next : &state->done_first) = done;
    state->done_last = done;
    table_insert(&state->done, job_hash(id), done, id->bytes);
}

void done_trim(struct state *state)
{
    while (state->done.count > state->config[CONFIG_DONE_MAX]) {
        struct done *done = state->done_first;
        state->done_first = done->next;
        if (!done->next)
            state->done_last = NULL;
        table_remove(&state->done, job_hash(&done->id), done);
        slab_give(done, sizeof *done);
    }
}

void expired_remember(struct state *state, const struct expired *record, const uint8_t *name)
{
    if (!state->config[CONFIG_EXPIRED_MAX])
        return;
    struct expired *kept = memory_take(sizeof *kept + record->length);
    *kept = *record;
    kept->next = NULL;
    memcpy(kept->name, name, record->length);
    *(state->expired_last ? &state->expired_last->next : &state->expired_first) = kept;
    state->expired_last = kept;
    state->expired_count++;
}

void expired_trim(struct state *state)
{
    while (state->expired_count > state->config[CONFIG_EXPIRED_MAX]) {
        struct expired *record = state->expired_first;
        state->expired_first = record->next;
        if (!record->next)
            state->expired_last = NULL;
        state->expired_count--;
        free(record);
    }
}
