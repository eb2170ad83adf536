/* Generators that spread operations over time: rate, sleep. */
#include "harness/base/clock.h"
#include "harness/generators/generator_internal.h"

struct rate {
    struct generator base;
    struct generator *of;
    double gap_ns;   /* the mean */
    double place_ns; /* the next free one; a double, so that gaps need not be whole nanoseconds */
    enum pace pace;
    bool begun;
    struct prng prng;
};

static double rate_gap(struct rate *rate)
{
    return rate->pace == PACE_FIXED ? rate->gap_ns : prng_exponential(&rate->prng, rate->gap_ns);
}

/* The next place in the schedule: at most one gap ago. */
static int64_t rate_take_place(struct rate *rate, int64_t now_ns)
{
    if (!rate->begun)
        rate->place_ns = (double)now_ns + (rate->pace == PACE_FIXED ? 0 : rate_gap(rate));
    rate->begun = true;
    double place_ns = rate->place_ns, oldest_ns = (double)now_ns - rate->gap_ns;
    if (place_ns < oldest_ns)
        place_ns = oldest_ns;
    rate->place_ns = place_ns + rate_gap(rate);
    return place_ns < 9e18 ? (int64_t)place_ns : GENERATOR_NEVER - 1;
}

static enum generator_answer rate_next(struct generator *generator,
                                       const struct generator_context *context,
                                       struct generator_op *op)
{
    struct rate *rate = (struct rate *)generator;
    enum generator_answer answer = generator_next(rate->of, context, op);
    if (answer != GENERATOR_OP)
        return answer; /* and no place is used up */
    int64_t place_ns = rate_take_place(rate, context->now_ns);
    /* A place that is past tells how long the operation has been due, which `any` goes by. */
    if (op->not_before_ns <= context->now_ns || op->not_before_ns < place_ns)
        op->not_before_ns = place_ns;
    return GENERATOR_OP;
}

static void rate_update(struct generator *generator, const struct generator_context *context,
                        const struct op *event)
{
    generator_update(((struct rate *)generator)->of, context, event);
}

static const struct generator_class rate_class = {
    .name = "rate", .next = rate_next, .update = rate_update};

struct generator *generator_rate(struct arena *arena, double per_second, enum pace pace,
                                 struct generator *of, struct prng prng)
{
    if (!(per_second > 0))
        return of;
    struct rate *rate = arena_zalloc(arena, sizeof *rate);
    rate->base.class = &rate_class;
    rate->of = of;
    rate->gap_ns = (double)NS_PER_SECOND / per_second;
    rate->pace = pace;
    rate->prng = prng;
    return &rate->base;
}

struct sleep {
    struct generator base;
    int64_t duration_ns, end_ns;
    bool begun;
};

static enum generator_answer sleep_next(struct generator *generator,
                                        const struct generator_context *context,
                                        struct generator_op *op)
{
    struct sleep *sleep = (struct sleep *)generator;
    if (!sleep->begun &&
        __builtin_add_overflow(context->now_ns, sleep->duration_ns, &sleep->end_ns))
        sleep->end_ns = GENERATOR_NEVER;
    sleep->begun = true;
    if (context->now_ns >= sleep->end_ns)
        return GENERATOR_DONE;
    op->not_before_ns = sleep->end_ns;
    return GENERATOR_PENDING;
}

static const struct generator_class sleep_class = {.name = "sleep", .next = sleep_next};

struct generator *generator_sleep(struct arena *arena, int64_t duration_ns)
{
    struct sleep *sleep = arena_zalloc(arena, sizeof *sleep);
    sleep->base.class = &sleep_class;
    sleep->duration_ns = duration_ns;
    return &sleep->base;
}
