/* The end of the queue workloads: everything is healed; what is left is taken and acknowledged,
 * queue by queue, through every node, until the queue itself says that nothing is left (ready,
 * delayed or leased), and at least for the time that leases and delays need to end. Then every
 * queue is drained through every node, which is what the checker counts on: that finds nothing,
 * unless the queue lied about its length. At last every node is asked for every length. */
#include <assert.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/queue.h"

static const int64_t pause_ns = 50 * NS_PER_MS; /* after a refusal, or when nothing was there */

struct drainer {
    uint32_t queue; /* looked at now */
    bool nothing;   /* its last dequeue got nothing: ask for the length */
    bool holds;
    struct queue_held held;
    int64_t not_before_ns;
    uint32_t drained, lengths; /* queues, in the end */
};

struct drain {
    struct generator base;
    const struct queue_mix *mix;
    struct arena *arena;
    uint32_t node_count;
    struct drainer *drainers;
    uint32_t count;
    int64_t began_ns;
    bool empty[64]; /* by queue: nothing was left at its last length */
    bool over;
};

static struct drainer *drainer_of(struct drain *drain, const struct generator_context *context)
{
    if (drain->drainers == NULL) {
        drain->count = context->thread_count;
        drain->drainers = arena_zalloc(drain->arena, drain->count * sizeof *drain->drainers);
        drain->began_ns = context->now_ns;
        for (uint32_t i = 0; i < drain->count; i++)
            drain->drainers[i].queue = i % (uint32_t)drain->mix->queues;
    }
    assert(context->thread >= 0 && (uint32_t)context->thread < drain->count);
    return &drain->drainers[context->thread];
}

static bool is_over(struct drain *drain, int64_t now_ns)
{
    bool all = now_ns >= drain->began_ns + drain->mix->settle_ns;
    for (int64_t q = 0; q < drain->mix->queues && all; q++)
        all = drain->empty[q];
    for (uint32_t i = 0; i < drain->count && all; i++)
        all = !drain->drainers[i].holds;
    drain->over = drain->over || all || now_ns >= drain->began_ns + drain->mix->drain_ns_max;
    return drain->over;
}

static void ask_queue(uint16_t f, uint32_t queue, struct arena *scratch, struct generator_op *op)
{
    struct value items[] = {value_keyword(scratch, "queue"), queue_name(queue, scratch)};
    op->f = f;
    op->value = value_items(scratch, VALUE_MAP, items, 2);
}

static enum generator_answer drain_next(struct generator *generator,
                                        const struct generator_context *context,
                                        struct generator_op *op)
{
    struct drain *drain = (struct drain *)generator;
    struct drainer *drainer = drainer_of(drain, context);
    const struct queue_mix *mix = drain->mix;
    *op = (struct generator_op){.value = VALUE_NIL_INIT, .not_before_ns = context->now_ns};
    if (context->now_ns < drainer->not_before_ns) {
        op->not_before_ns = drainer->not_before_ns;
        return GENERATOR_PENDING;
    }
    if (drainer->holds) {
        op->f = mix->ack_f;
        op->value = queue_held_value(&drainer->held, context->scratch);
        return GENERATOR_OP;
    }
    if (is_over(drain, context->now_ns)) {
        bool speaks = (uint32_t)context->thread < drain->node_count; /* one thread a node */
        uint32_t queues = (uint32_t)mix->queues;
        if (!speaks || drainer->lengths == queues)
            return GENERATOR_DONE;
        bool drains = drainer->drained < queues;
        ask_queue(drains ? mix->drain_f : mix->length_f,
                  drains ? drainer->drained : drainer->lengths, context->scratch, op);
        return GENERATOR_OP;
    }
    ask_queue(drainer->nothing ? mix->length_f : mix->dequeue_f, drainer->queue, context->scratch,
              op);
    return GENERATOR_OP;
}

static int64_t number_of(struct value map, const char *name)
{
    struct value value = value_get(map, name);
    return value_is_int(value) ? value_as_int(value) : 0;
}

static void go_on(struct drain *drain, struct drainer *drainer)
{
    drainer->queue = (drainer->queue + 1) % (uint32_t)drain->mix->queues;
    drainer->nothing = false;
}

static void on_dequeue(struct drain *drain, struct drainer *drainer, const struct op *event)
{
    if (event->type == OP_OK && value_kind(event->value) == VALUE_MAP) {
        drain->empty[drainer->queue] = false;
        drainer->holds = queue_held_read(drain->mix, event->value, &drainer->held);
        return;
    }
    if (event->type == OP_OK)
        drainer->nothing = true;
    else
        drainer->not_before_ns = event->time_ns + pause_ns;
}

/* Once more where a node could not answer, but not for ever. */
static void in_the_end(struct drain *drain, struct drainer *drainer, uint32_t *done,
                       const struct op *event)
{
    int64_t patience_ns = drain->mix->drain_ns_max + 10 * NS_PER_SECOND;
    if (event->type == OP_OK || event->time_ns > drain->began_ns + patience_ns)
        ++*done;
    else
        drainer->not_before_ns = event->time_ns + pause_ns;
}

static void on_length(struct drain *drain, struct drainer *drainer, const struct op *event)
{
    if (drain->over && drainer->drained == (uint32_t)drain->mix->queues) {
        in_the_end(drain, drainer, &drainer->lengths, event);
        return;
    }
    if (event->type == OP_OK)
        drain->empty[drainer->queue] = number_of(event->value, "length") == 0;
    drainer->not_before_ns = event->time_ns + pause_ns;
    go_on(drain, drainer);
}

static void drain_update(struct generator *generator, const struct generator_context *context,
                         const struct op *event)
{
    struct drain *drain = (struct drain *)generator;
    struct drainer *drainer = drainer_of(drain, context);
    if (event->type == OP_INVOKE)
        return;
    if (event->f == drain->mix->dequeue_f)
        on_dequeue(drain, drainer, event);
    else if (event->f == drain->mix->length_f)
        on_length(drain, drainer, event);
    else if (event->f == drain->mix->drain_f)
        in_the_end(drain, drainer, &drainer->drained, event);
    else
        drainer->holds = false; /* if it was not acknowledged, it comes again */
}

static const struct generator_class drain_class = {
    .name = "queue-drain", .next = drain_next, .update = drain_update};

struct generator *queue_drain(struct arena *arena, const struct queue_mix *mix, uint32_t node_count)
{
    struct drain *drain = arena_zalloc(arena, sizeof *drain);
    drain->base.class = &drain_class;
    drain->mix = mix;
    drain->arena = arena;
    drain->node_count = node_count;
    return &drain->base;
}
