/* Generators that choose among their parts: mix by weight, any by time. */
#include "harness/generators/generator_internal.h"

struct mix_row {
    uint32_t giver;     /* whose operation the thread has */
    double weight_left; /* of the parts that are not DONE for it */
};
struct mix {
    struct generator base;
    struct arena *arena;
    struct generator **parts;
    double *weights;
    uint32_t count;
    struct prng prng;
    struct mix_row *rows; /* by thread */
    bool *done;           /* by thread, then part */
    uint64_t *tried;      /* by part: the last question in which it was PENDING */
    uint64_t question;
};

/* Of the parts that are not DONE nor were tried in this question; UINT64_MAX is no question. */
static double mix_weight_left(const struct mix *mix, const bool *done, uint64_t question)
{
    double left = 0;
    for (uint32_t i = 0; i < mix->count; i++)
        if (!done[i] && mix->tried[i] != question)
            left += mix->weights[i];
    return left;
}

static void mix_begin(struct mix *mix, const struct generator_context *context)
{
    mix->rows = generator_table(mix->arena, context, sizeof *mix->rows);
    mix->done = generator_table(mix->arena, context, mix->count * sizeof *mix->done);
    for (uint32_t row = 0; row <= context->thread_count; row++)
        mix->rows[row].weight_left = mix_weight_left(mix, mix->done, UINT64_MAX);
}

/* A part that is neither DONE nor tried in this question, or `count` when there is none. */
static uint32_t mix_draw(struct mix *mix, const bool *done, double weight_left)
{
    uint32_t drawn = mix->count;
    if (weight_left <= 0)
        return drawn;
    double target = prng_unit(&mix->prng) * weight_left;
    for (uint32_t i = 0; i < mix->count; i++) {
        if (done[i] || mix->tried[i] == mix->question || mix->weights[i] <= 0)
            continue;
        drawn = i; /* rounding may carry the target past the sum: then the last one */
        target -= mix->weights[i];
        if (target < 0)
            break;
    }
    return drawn;
}

static enum generator_answer mix_next(struct generator *generator,
                                      const struct generator_context *context,
                                      struct generator_op *op)
{
    struct mix *mix = (struct mix *)generator;
    mix->question++;
    if (mix->rows == NULL)
        mix_begin(mix, context);
    struct mix_row *row = &mix->rows[generator_row(context)];
    bool *done = mix->done + generator_row(context) * mix->count;
    double weight_left = row->weight_left;
    int64_t again_ns = GENERATOR_NEVER;
    bool pending = false;
    for (;;) {
        uint32_t i = mix_draw(mix, done, weight_left);
        if (i == mix->count)
            break;
        enum generator_answer answer = generator_next(mix->parts[i], context, op);
        if (answer == GENERATOR_OP) {
            row->giver = i;
            return GENERATOR_OP;
        }
        if (answer == GENERATOR_DONE) {
            done[i] = true;
            row->weight_left = mix_weight_left(mix, done, UINT64_MAX);
        } else {
            pending = true;
            mix->tried[i] = mix->question;
            if (op->not_before_ns < again_ns)
                again_ns = op->not_before_ns;
        }
        weight_left = mix_weight_left(mix, done, mix->question);
    }
    op->not_before_ns = again_ns;
    return pending ? GENERATOR_PENDING : GENERATOR_DONE;
}

static void mix_update(struct generator *generator, const struct generator_context *context,
                       const struct op *event)
{
    struct mix *mix = (struct mix *)generator;
    if (mix->rows != NULL)
        generator_update(mix->parts[mix->rows[generator_row(context)].giver], context, event);
}

static const struct generator_class mix_class = {
    .name = "mix", .next = mix_next, .update = mix_update};

struct generator *generator_mix(struct arena *arena, struct generator **parts,
                                const double *weights, size_t count, struct prng prng)
{
    if (count == 0)
        return generator_nothing(arena);
    struct mix *mix = arena_zalloc(arena, sizeof *mix);
    mix->base.class = &mix_class;
    mix->arena = arena;
    mix->parts = generator_parts(arena, parts, count);
    mix->count = (uint32_t)count;
    mix->prng = prng;
    mix->tried = arena_zalloc(arena, count * sizeof *mix->tried);
    mix->weights = arena_alloc(arena, count * sizeof *mix->weights);
    for (size_t i = 0; i < count; i++) /* a weight that is no number or infinite counts as none */
        mix->weights[i] = weights == NULL                        ? 1
                          : weights[i] > 0 && weights[i] < 1e300 ? weights[i]
                                                                 : 0;
    return &mix->base;
}

/* An operation that a part gave for a thread and that has not been passed on yet. */
struct kept {
    struct generator_op op;
    struct arena *arena; /* of its value, which the scratch arena does not keep */
    bool present;
    bool fresh; /* got in this question: its value is still in scratch */
};
struct any {
    struct generator base;
    struct arena *arena;
    struct generator **parts;
    uint32_t count;
    uint32_t *giver;   /* by thread: whose operation it has */
    struct kept *kept; /* by thread, then part */
};

static void keep_fresh(struct any *any, struct kept *kept)
{
    for (uint32_t i = 0; i < any->count; i++) {
        if (!kept[i].present || !kept[i].fresh)
            continue;
        if (kept[i].arena == NULL)
            kept[i].arena = arena_child(any->arena);
        arena_reset(kept[i].arena);
        kept[i].op.value = value_copy(kept[i].arena, kept[i].op.value);
        kept[i].fresh = false;
    }
}

/* Asks each part that has nothing kept for this thread. True when one of them is PENDING, with the
 * soonest of those times. */
static bool ask_parts(struct any *any, struct kept *kept, const struct generator_context *context,
                      int64_t *again_ns)
{
    bool pending = false;
    *again_ns = GENERATOR_NEVER;
    for (uint32_t i = 0; i < any->count; i++) {
        if (kept[i].present)
            continue;
        enum generator_answer answer = generator_next(any->parts[i], context, &kept[i].op);
        kept[i].present = kept[i].fresh = answer == GENERATOR_OP;
        if (answer != GENERATOR_PENDING)
            continue;
        pending = true;
        if (kept[i].op.not_before_ns < *again_ns)
            *again_ns = kept[i].op.not_before_ns;
    }
    return pending;
}

static enum generator_answer any_next(struct generator *generator,
                                      const struct generator_context *context,
                                      struct generator_op *op)
{
    struct any *any = (struct any *)generator;
    if (any->kept == NULL) {
        any->giver = generator_table(any->arena, context, sizeof *any->giver);
        any->kept = generator_table(any->arena, context, any->count * sizeof *any->kept);
    }
    struct kept *kept = any->kept + generator_row(context) * any->count;
    int64_t again_ns;
    bool pending = ask_parts(any, kept, context, &again_ns);
    uint32_t soonest = any->count;
    for (uint32_t i = 0; i < any->count; i++)
        if (kept[i].present &&
            (soonest == any->count || kept[i].op.not_before_ns < kept[soonest].op.not_before_ns))
            soonest = i;
    if (soonest == any->count) {
        op->not_before_ns = again_ns;
        return pending ? GENERATOR_PENDING : GENERATOR_DONE;
    }
    int64_t due_ns = kept[soonest].op.not_before_ns;
    /* A thread that slept until then could not take what a PENDING part comes up with sooner. */
    if (pending && due_ns > context->now_ns) {
        keep_fresh(any, kept);
        op->not_before_ns = due_ns < again_ns ? due_ns : again_ns;
        return GENERATOR_PENDING;
    }
    *op = kept[soonest].op;
    kept[soonest].present = false;
    keep_fresh(any, kept);
    any->giver[generator_row(context)] = soonest;
    return GENERATOR_OP;
}

static void any_update(struct generator *generator, const struct generator_context *context,
                       const struct op *event)
{
    struct any *any = (struct any *)generator;
    if (any->giver != NULL)
        generator_update(any->parts[any->giver[generator_row(context)]], context, event);
}

static const struct generator_class any_class = {
    .name = "any", .next = any_next, .update = any_update};

struct generator *generator_any(struct arena *arena, struct generator **parts, size_t count)
{
    if (count == 0)
        return generator_nothing(arena);
    struct any *any = arena_zalloc(arena, sizeof *any);
    any->base.class = &any_class;
    any->arena = arena;
    any->parts = generator_parts(arena, parts, count);
    any->count = (uint32_t)count;
    return &any->base;
}
