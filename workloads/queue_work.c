/* Producers and consumers of the queue workloads.
 *
 * Every thread is both, as a process of its own: it enqueues with a sequence of its process, takes
 * jobs, and deals with each delivery when its time has come (a little work later, or after the
 * lease when it overdoes, or never when it crashes between delivery and acknowledgement). Threads
 * hold several deliveries at once, so a consumer that overdoes does not stand still. */
#include <assert.h>
#include <stdio.h>

#include "harness/base/clock.h"
#include "workloads/queue.h"

enum { HELD_MAX = 6 };

struct worker {
    int32_t process;
    int64_t sequence;
    struct queue_held held[HELD_MAX];
    uint32_t held_count;
    int32_t doing; /* the held delivery that is being dealt with; -1: none */
};

struct work {
    struct generator base;
    const struct queue_mix *mix;
    struct prng prng;
    struct arena *arena;
    struct worker *workers;
    uint32_t worker_count;
    int64_t next_message;
    int64_t unfinished; /* about: enqueued and not yet acknowledged */
};

static struct worker *worker_of(struct work *work, const struct generator_context *context)
{
    if (work->workers == NULL) {
        work->worker_count = context->thread_count;
        work->workers = arena_zalloc(work->arena, work->worker_count * sizeof *work->workers);
        for (uint32_t i = 0; i < work->worker_count; i++)
            work->workers[i].process = work->workers[i].doing = -1;
    }
    assert(context->thread >= 0 && (uint32_t)context->thread < work->worker_count);
    return &work->workers[context->thread];
}

static uint32_t draw_queue(struct work *work)
{
    return (uint32_t)prng_below(&work->prng, (uint64_t)work->mix->queues);
}

/* ---- Producing ---- */

struct items {
    struct value list[24];
    size_t count;
};

static void put(struct items *items, struct arena *scratch, const char *name, struct value value)
{
    items->list[items->count++] = value_keyword(scratch, name);
    items->list[items->count++] = value;
}

static bool chance(struct work *work, double fraction)
{
    return prng_unit(&work->prng) < fraction;
}

/* A key is used by messages that are near to each other, and now and then much later again. */
static void put_key(struct work *work, struct items *items, struct arena *scratch, int64_t message)
{
    char text[32];
    int64_t newest = message / work->mix->key_uses;
    int64_t key = newest;
    if (newest > 0 && chance(work, 0.3))
        key = prng_between(&work->prng, newest > 20 ? newest - 20 : 0, newest);
    if (newest > 0 && chance(work, 0.1))
        key = prng_between(&work->prng, 0, newest);
    snprintf(text, sizeof text, "k%lld", (long long)key);
    put(items, scratch, "key", value_string(scratch, text));
}

static void put_times(struct work *work, struct items *items, struct arena *scratch)
{
    const struct queue_mix *mix = work->mix;
    bool once = chance(work, mix->once), delayed = chance(work, mix->delayed);
    int64_t delay_ms = prng_between(&work->prng, 1, mix->delay_ms_max);
    int64_t ttl_ms = prng_between(&work->prng, mix->ttl_ms_max / 10 + 1, mix->ttl_ms_max + 1);
    put(items, scratch, "retry", value_int(scratch, once ? 0 : mix->lease_ms));
    if (delayed)
        put(items, scratch, "delay", value_int(scratch, delay_ms));
    else if (chance(work, mix->expiring))
        put(items, scratch, "ttl", value_int(scratch, ttl_ms));
    /* What is spooled may come later than what its producer sent next: it has a priority of its
     * own, so that order is promised among such messages alone. */
    if (mix->spooled > 0 && chance(work, mix->spooled)) {
        put(items, scratch, "spool", value_bool(true));
        put(items, scratch, "priority", value_int(scratch, 4));
    } else if (chance(work, mix->prioritized)) {
        put(items, scratch, "priority", value_int(scratch, prng_between(&work->prng, 1, 3)));
    }
}

static void enqueue(struct work *work, struct worker *worker,
                    const struct generator_context *context, struct generator_op *op)
{
    struct items items = {.count = 0};
    struct arena *scratch = context->scratch;
    int64_t message = work->next_message++;
    if (worker->process != context->process) { /* a new one begins to count again */
        worker->process = context->process;
        worker->sequence = 0;
    }
    /* All messages of one key go to one queue: keys are the queue's. */
    put(&items, scratch, "message", value_int(scratch, message));
    put(&items, scratch, "producer", value_int(scratch, context->process));
    put(&items, scratch, "sequence", value_int(scratch, worker->sequence++));
    uint32_t queue = draw_queue(work);
    if (work->mix->keyed) {
        put_key(work, &items, scratch, message);
        queue = (uint32_t)(value_hash(items.list[items.count - 1]) % (uint64_t)work->mix->queues);
    }
    put(&items, scratch, "queue", queue_name(queue, scratch));
    put_times(work, &items, scratch);
    op->f = work->mix->enqueue_f;
    op->value = value_items(scratch, VALUE_MAP, items.list, items.count);
    work->unfinished++;
}

/* ---- Consuming ---- */

/* What becomes of a delivery; false: its consumer has crashed. */
static bool decide(struct work *work, struct queue_held *held, int64_t now_ns)
{
    const struct queue_mix *mix = work->mix;
    double choice = prng_unit(&work->prng);
    double work_ms = prng_exponential(&work->prng, (double)mix->work_ms_mean);
    double lease_ms = (double)held->retry_ms;
    held->deed = QUEUE_ACK;
    if (work_ms > lease_ms / 2)
        work_ms = lease_ms / 2;
    if ((choice -= mix->crash) < 0)
        return false;
    if ((choice -= mix->nack) < 0) {
        held->deed = QUEUE_NACK;
    } else if ((choice -= mix->hold) < 0) {
        work_ms = lease_ms * (1 + prng_unit(&work->prng) / 2);
    } else if ((choice -= mix->extend) < 0) {
        held->deed = QUEUE_EXTEND;
        work_ms = lease_ms * prng_unit(&work->prng) * 0.6;
    }
    held->due_ns = now_ns + (int64_t)(work_ms * NS_PER_MS);
    return true;
}

static struct queue_held *first_due(struct worker *worker)
{
    struct queue_held *first = NULL;
    for (uint32_t i = 0; i < worker->held_count; i++)
        if (first == NULL || worker->held[i].due_ns < first->due_ns)
            first = &worker->held[i];
    return first;
}

static struct value with(struct arena *scratch, struct value map, const char *name, int64_t number)
{
    struct value items[24];
    size_t count = value_count(map);
    for (size_t i = 0; i < count; i++)
        items[i] = value_at(map, i);
    items[count] = value_keyword(scratch, name);
    items[count + 1] = value_int(scratch, number);
    return value_items(scratch, VALUE_MAP, items, count + 2);
}

static void deal_with(struct work *work, struct worker *worker, struct queue_held *held,
                      struct arena *scratch, struct generator_op *op)
{
    const struct queue_mix *mix = work->mix;
    worker->doing = (int32_t)(held - worker->held);
    op->value = queue_held_value(held, scratch);
    op->f = mix->ack_f;
    if (held->deed == QUEUE_EXTEND) {
        op->f = mix->extend_f;
        op->value = with(scratch, op->value, "retry", held->retry_ms);
    } else if (held->deed == QUEUE_NACK) {
        op->f = mix->nack_f;
        if (chance(work, mix->nack_delayed))
            op->value =
                with(scratch, op->value, "delay", prng_between(&work->prng, 1, mix->delay_ms_max));
    }
}

static enum generator_answer work_next(struct generator *generator,
                                       const struct generator_context *context,
                                       struct generator_op *op)
{
    struct work *work = (struct work *)generator;
    struct worker *worker = worker_of(work, context);
    const struct queue_mix *mix = work->mix;
    struct queue_held *due = first_due(worker);
    *op = (struct generator_op){.value = VALUE_NIL_INIT, .not_before_ns = context->now_ns};
    if (due != NULL && due->due_ns <= context->now_ns) {
        deal_with(work, worker, due, context->scratch, op);
        return GENERATOR_OP;
    }
    bool full = worker->held_count == HELD_MAX, enough = work->unfinished >= mix->backlog;
    bool enqueues = prng_unit(&work->prng) * (mix->enqueue + mix->dequeue) < mix->enqueue;
    if (full && (enough || mix->enqueue <= 0)) {
        op->not_before_ns = due->due_ns;
        return GENERATOR_PENDING;
    }
    if (full || (enqueues && !enough)) {
        enqueue(work, worker, context, op);
        return GENERATOR_OP;
    }
    struct value items[] = {value_keyword(context->scratch, "queue"),
                            queue_name(draw_queue(work), context->scratch)};
    op->f = mix->dequeue_f;
    op->value = value_items(context->scratch, VALUE_MAP, items, 2);
    return GENERATOR_OP;
}

/* ---- Hearing what came of it ---- */

static void delivered(struct work *work, struct worker *worker, const struct op *event)
{
    struct queue_held held;
    if (event->type != OP_OK || value_kind(event->value) != VALUE_MAP)
        return;
    if (!queue_held_read(work->mix, event->value, &held)) {
        work->unfinished--; /* an at-most-once job is done now */
        return;
    }
    if (decide(work, &held, event->time_ns) && worker->held_count < HELD_MAX)
        worker->held[worker->held_count++] = held;
}

static void dealt_with(struct work *work, struct worker *worker, const struct op *event)
{
    if (worker->doing < 0)
        return;
    struct queue_held *held = &worker->held[worker->doing];
    worker->doing = -1;
    if (held->deed == QUEUE_EXTEND && event->type == OP_OK) {
        held->deed = QUEUE_ACK; /* within the new lease, and often after the old one */
        held->due_ns = event->time_ns +
                       (int64_t)((double)held->retry_ms * 0.8 * prng_unit(&work->prng) * NS_PER_MS);
        return;
    }
    if (event->f == work->mix->ack_f && event->type == OP_OK)
        work->unfinished--;
    *held = worker->held[--worker->held_count];
}

static void work_update(struct generator *generator, const struct generator_context *context,
                        const struct op *event)
{
    struct work *work = (struct work *)generator;
    struct worker *worker = worker_of(work, context);
    if (event->type == OP_INVOKE)
        return;
    if (event->f == work->mix->dequeue_f)
        delivered(work, worker, event);
    else if (event->f == work->mix->enqueue_f)
        work->unfinished -= event->type == OP_FAIL;
    else
        dealt_with(work, worker, event);
}

static const struct generator_class work_class = {
    .name = "queue", .next = work_next, .update = work_update};

struct generator *queue_work(struct arena *arena, const struct queue_mix *mix, uint64_t seed)
{
    struct work *work = arena_zalloc(arena, sizeof *work);
    work->base.class = &work_class;
    work->mix = mix;
    work->prng = prng_stream(seed, "workload/queue");
    work->arena = arena;
    return &work->base;
}
