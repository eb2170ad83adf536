/* Generators one after the other: seq, phases, cycle, flip_flop.
 *
 * An operation's events go to the part that gave it. In seq, phases and cycle that is the part the
 * thread is at: it moves on only when it asks, and it asks only when its operation has completed.
 */
#include "harness/generators/generator_internal.h"

struct seq {
    struct generator base;
    struct arena *arena;
    struct generator **parts;
    size_t count;
    size_t *at; /* by thread: the part it is at */
};

static enum generator_answer seq_next(struct generator *generator,
                                      const struct generator_context *context,
                                      struct generator_op *op)
{
    struct seq *seq = (struct seq *)generator;
    if (seq->at == NULL)
        seq->at = generator_table(seq->arena, context, sizeof *seq->at);
    size_t *at = &seq->at[generator_row(context)];
    for (; *at < seq->count; (*at)++) {
        enum generator_answer answer = generator_next(seq->parts[*at], context, op);
        if (answer != GENERATOR_DONE)
            return answer;
    }
    return GENERATOR_DONE;
}

static void seq_update(struct generator *generator, const struct generator_context *context,
                       const struct op *event)
{
    struct seq *seq = (struct seq *)generator;
    size_t at = seq->at == NULL ? seq->count : seq->at[generator_row(context)];
    if (at < seq->count)
        generator_update(seq->parts[at], context, event);
}

static const struct generator_class seq_class = {
    .name = "seq", .next = seq_next, .update = seq_update};

struct generator *generator_seq(struct arena *arena, struct generator **parts, size_t count)
{
    struct seq *seq = arena_zalloc(arena, sizeof *seq);
    seq->base.class = &seq_class;
    seq->arena = arena;
    seq->parts = generator_parts(arena, parts, count);
    seq->count = count;
    return &seq->base;
}

struct phases {
    struct generator base;
    struct arena *arena;
    struct generator **parts;
    size_t count, at;
    struct barrier barrier;
};

static enum generator_answer phases_next(struct generator *generator,
                                         const struct generator_context *context,
                                         struct generator_op *op)
{
    struct phases *phases = (struct phases *)generator;
    barrier_enter(&phases->barrier, phases->arena, context);
    while (phases->at < phases->count) {
        bool complete = false;
        if (!barrier_passed(&phases->barrier, context)) {
            enum generator_answer answer = generator_next(phases->parts[phases->at], context, op);
            if (answer != GENERATOR_DONE)
                return answer;
            complete = barrier_pass(&phases->barrier, context);
        }
        if (!complete) {
            op->not_before_ns = GENERATOR_NEVER;
            return GENERATOR_PENDING;
        }
        phases->at++;
        barrier_reset(&phases->barrier, context);
    }
    return GENERATOR_DONE;
}

static void phases_update(struct generator *generator, const struct generator_context *context,
                          const struct op *event)
{
    struct phases *phases = (struct phases *)generator;
    if (phases->at < phases->count)
        generator_update(phases->parts[phases->at], context, event);
}

static const struct generator_class phases_class = {
    .name = "phases", .next = phases_next, .update = phases_update};

struct generator *generator_phases(struct arena *arena, struct generator **parts, size_t count)
{
    struct phases *phases = arena_zalloc(arena, sizeof *phases);
    phases->base.class = &phases_class;
    phases->arena = arena;
    phases->parts = generator_parts(arena, parts, count);
    phases->count = count;
    return &phases->base;
}

struct cycle {
    struct generator base;
    struct arena *arena;
    struct round_source source;
    struct round round;
};

static enum generator_answer cycle_next(struct generator *generator,
                                        const struct generator_context *context,
                                        struct generator_op *op)
{
    struct cycle *cycle = (struct cycle *)generator;
    return round_next(&cycle->round, &cycle->source, cycle->arena, context, op);
}

static void cycle_update(struct generator *generator, const struct generator_context *context,
                         const struct op *event)
{
    struct cycle *cycle = (struct cycle *)generator;
    if (cycle->round.of != NULL)
        generator_update(cycle->round.of, context, event);
}

static const struct generator_class cycle_class = {
    .name = "cycle", .next = cycle_next, .update = cycle_update};

struct generator *generator_cycle(struct arena *arena, generator_make *make, void *state,
                                  uint64_t times)
{
    struct cycle *cycle = arena_zalloc(arena, sizeof *cycle);
    cycle->base.class = &cycle_class;
    cycle->arena = arena;
    cycle->source = (struct round_source){.make = make, .state = state, .end = times};
    return &cycle->base;
}

struct flip_flop {
    struct generator base;
    struct arena *arena;
    struct generator *parts[2];
    struct barrier barriers[2]; /* which threads each part is DONE for */
    uint8_t *giver;             /* by thread: whose operation it has */
    unsigned turn;
    bool waited; /* someone was told PENDING in this turn */
    bool over;
};

static enum generator_answer flip_flop_wait(struct flip_flop *flip_flop, struct generator_op *op)
{
    flip_flop->waited = true;
    op->not_before_ns = GENERATOR_NEVER;
    return GENERATOR_PENDING;
}

static void flip(struct flip_flop *flip_flop, const struct generator_context *context)
{
    flip_flop->giver[generator_row(context)] = (uint8_t)flip_flop->turn;
    flip_flop->turn ^= 1;
    if (flip_flop->waited)
        generator_news(context);
    flip_flop->waited = false;
}

static enum generator_answer flip_flop_next(struct generator *generator,
                                            const struct generator_context *context,
                                            struct generator_op *op)
{
    struct flip_flop *flip_flop = (struct flip_flop *)generator;
    if (flip_flop->over)
        return GENERATOR_DONE;
    if (flip_flop->giver == NULL)
        flip_flop->giver = generator_table(flip_flop->arena, context, sizeof *flip_flop->giver);
    barrier_enter(&flip_flop->barriers[0], flip_flop->arena, context);
    barrier_enter(&flip_flop->barriers[1], flip_flop->arena, context);
    struct barrier *barrier = &flip_flop->barriers[flip_flop->turn];
    if (barrier_passed(barrier, context))
        return flip_flop_wait(flip_flop, op);
    enum generator_answer answer = generator_next(flip_flop->parts[flip_flop->turn], context, op);
    if (answer == GENERATOR_OP)
        flip(flip_flop, context);
    if (answer == GENERATOR_PENDING)
        flip_flop->waited = true;
    if (answer != GENERATOR_DONE)
        return answer;
    if (!barrier_pass(barrier, context))
        return flip_flop_wait(flip_flop, op);
    flip_flop->over = true;
    generator_news(context);
    return GENERATOR_DONE;
}

static void flip_flop_update(struct generator *generator, const struct generator_context *context,
                             const struct op *event)
{
    struct flip_flop *flip_flop = (struct flip_flop *)generator;
    if (flip_flop->giver != NULL)
        generator_update(flip_flop->parts[flip_flop->giver[generator_row(context)]], context,
                         event);
}

static const struct generator_class flip_flop_class = {
    .name = "flip_flop", .next = flip_flop_next, .update = flip_flop_update};

struct generator *generator_flip_flop(struct arena *arena, struct generator *a, struct generator *b)
{
    struct flip_flop *flip_flop = arena_zalloc(arena, sizeof *flip_flop);
    flip_flop->base.class = &flip_flop_class;
    flip_flop->arena = arena;
    flip_flop->parts[0] = a;
    flip_flop->parts[1] = b;
    return &flip_flop->base;
}
