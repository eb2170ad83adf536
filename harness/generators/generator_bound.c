/* Generators that end others: limit, time_limit, until_ok.
 *
 * Ending them may leave threads waiting inside for what now never comes, so it is news. */
#include "harness/generators/generator_internal.h"

struct limit {
    struct generator base;
    struct generator *of;
    uint64_t left;
};

static enum generator_answer limit_next(struct generator *generator,
                                        const struct generator_context *context,
                                        struct generator_op *op)
{
    struct limit *limit = (struct limit *)generator;
    if (limit->left == 0)
        return GENERATOR_DONE;
    enum generator_answer answer = generator_next(limit->of, context, op);
    if (answer == GENERATOR_OP && --limit->left == 0)
        generator_news(context);
    return answer;
}

static void limit_update(struct generator *generator, const struct generator_context *context,
                         const struct op *event)
{
    generator_update(((struct limit *)generator)->of, context, event);
}

static const struct generator_class limit_class = {
    .name = "limit", .next = limit_next, .update = limit_update};

struct generator *generator_limit(struct arena *arena, uint64_t operations, struct generator *of)
{
    struct limit *limit = arena_zalloc(arena, sizeof *limit);
    limit->base.class = &limit_class;
    limit->of = of;
    limit->left = operations;
    return &limit->base;
}

struct time_limit {
    struct generator base;
    struct arena *arena;
    struct generator *of;
    int64_t duration_ns, end_ns;
    bool *done; /* by thread; its next operation would have been too late */
};

static void time_limit_begin(struct time_limit *limit, const struct generator_context *context)
{
    limit->done = generator_table(limit->arena, context, sizeof *limit->done);
    if (__builtin_add_overflow(context->now_ns, limit->duration_ns, &limit->end_ns))
        limit->end_ns = GENERATOR_NEVER;
}

static enum generator_answer time_limit_next(struct generator *generator,
                                             const struct generator_context *context,
                                             struct generator_op *op)
{
    struct time_limit *limit = (struct time_limit *)generator;
    if (limit->done == NULL)
        time_limit_begin(limit, context);
    bool *done = &limit->done[generator_row(context)];
    if (*done || context->now_ns >= limit->end_ns)
        return GENERATOR_DONE;
    enum generator_answer answer = generator_next(limit->of, context, op);
    if (answer == GENERATOR_PENDING && op->not_before_ns > limit->end_ns)
        op->not_before_ns = limit->end_ns;
    if (answer != GENERATOR_OP || op->not_before_ns < limit->end_ns)
        return answer;
    *done = true;
    return GENERATOR_DONE;
}

static void time_limit_update(struct generator *generator, const struct generator_context *context,
                              const struct op *event)
{
    generator_update(((struct time_limit *)generator)->of, context, event);
}

static const struct generator_class time_limit_class = {
    .name = "time_limit", .next = time_limit_next, .update = time_limit_update};

struct generator *generator_time_limit(struct arena *arena, int64_t duration_ns,
                                       struct generator *of)
{
    struct time_limit *limit = arena_zalloc(arena, sizeof *limit);
    limit->base.class = &time_limit_class;
    limit->arena = arena;
    limit->of = of;
    limit->duration_ns = duration_ns;
    return &limit->base;
}

struct until_ok {
    struct generator base;
    struct generator *of;
    bool succeeded;
};

static enum generator_answer until_ok_next(struct generator *generator,
                                           const struct generator_context *context,
                                           struct generator_op *op)
{
    struct until_ok *until = (struct until_ok *)generator;
    return until->succeeded ? GENERATOR_DONE : generator_next(until->of, context, op);
}

static void until_ok_update(struct generator *generator, const struct generator_context *context,
                            const struct op *event)
{
    struct until_ok *until = (struct until_ok *)generator;
    generator_update(until->of, context, event);
    if (event->type != OP_OK || until->succeeded)
        return;
    until->succeeded = true;
    generator_news(context);
}

static const struct generator_class until_ok_class = {
    .name = "until_ok", .next = until_ok_next, .update = until_ok_update};

struct generator *generator_until_ok(struct arena *arena, struct generator *of)
{
    struct until_ok *until = arena_zalloc(arena, sizeof *until);
    until->base.class = &until_ok_class;
    until->of = of;
    return &until->base;
}
