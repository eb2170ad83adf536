/* A scheduler on virtual time: see simulate.h. */
#include "tests/lib/simulate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum state { ASKS, WAITS, RESERVED, BUSY, FINISHED };

struct worker {
    enum state state;
    int64_t at_ns; /* when it asks, is asked again, invokes, or completes */
    int32_t thread, process;
    struct generator_op op;
    struct arena values;
};

struct simulation {
    struct generator *generator;
    const struct simulate_options *options;
    struct simulate_result *result;
    struct worker *workers;
    uint32_t count;
    struct prng prng;
    struct arena scratch;
    int64_t now_ns;
    int32_t next_process;
    uint64_t questions_now; /* since time last moved */
    bool news;
};

static void broken(struct simulation *simulation, const struct worker *worker, const char *what)
{
    if (simulation->result->broken[0] == '\0')
        snprintf(simulation->result->broken, sizeof simulation->result->broken,
                 "%s: %s (thread %d at %" PRId64 " ns)", simulation->generator->class->name, what,
                 worker->thread, simulation->now_ns);
}

static struct generator_context context_of(struct simulation *simulation,
                                           const struct worker *worker)
{
    simulation->news = false;
    return (struct generator_context){.now_ns = simulation->now_ns,
                                      .thread = worker->thread,
                                      .process = worker->process,
                                      .thread_count = simulation->options->threads,
                                      .nemesis = simulation->options->nemesis,
                                      .news = &simulation->news,
                                      .scratch = &simulation->scratch};
}

/* After a call: those who wait ask again if there was news. */
static void spread_news(struct simulation *simulation, const struct worker *but)
{
    for (uint32_t i = 0; simulation->news && i < simulation->count; i++) {
        struct worker *worker = &simulation->workers[i];
        if (worker != but && worker->state == WAITS)
            worker->at_ns = simulation->now_ns;
    }
}

static void record(struct simulation *simulation, const struct simulate_event *event)
{
    struct simulate_result *result = simulation->result;
    if (simulation->options->forget_events)
        return;
    if (result->count == result->capacity) {
        result->capacity = result->capacity == 0 ? 1024 : result->capacity * 2;
        result->events = realloc(result->events, result->capacity * sizeof *result->events);
        if (result->events == NULL)
            abort();
    }
    result->events[result->count] = *event;
    result->events[result->count++].value = value_copy(&result->arena, event->value);
}

static void happen(struct simulation *simulation, struct worker *worker, enum op_type type)
{
    const struct simulate_options *options = simulation->options;
    struct simulate_event event = {.time_ns = simulation->now_ns,
                                   .thread = worker->thread,
                                   .process = worker->process,
                                   .type = type,
                                   .f = worker->op.f,
                                   .value = worker->op.value};
    if (type != OP_INVOKE && options->outcome != NULL)
        options->outcome(options->outcome_state, &event);
    record(simulation, &event);
    struct op op = {.type = event.type,
                    .process = event.process,
                    .f = event.f,
                    .value = event.value,
                    .time_ns = event.time_ns};
    struct generator_context context = context_of(simulation, worker);
    generator_update(simulation->generator, &context, &op);
    spread_news(simulation, worker);
    if (type != OP_INVOKE)
        simulation->result->completions++;
    if (event.type == OP_INFO && worker->thread != GENERATOR_NEMESIS)
        worker->process = simulation->next_process++;
}

static void ask(struct simulation *simulation, struct worker *worker)
{
    struct generator_op op = {.not_before_ns = INT64_MIN};
    struct generator_context context = context_of(simulation, worker);
    enum generator_answer answer = generator_next(simulation->generator, &context, &op);
    bool news = simulation->news;
    simulation->result->questions++;
    if (++simulation->questions_now > 1000000)
        broken(simulation, worker, "a million questions and time stands still");
    switch (answer) {
    case GENERATOR_OP:
        worker->state = RESERVED;
        worker->at_ns =
            op.not_before_ns > simulation->now_ns ? op.not_before_ns : simulation->now_ns;
        arena_reset(&worker->values);
        op.value = value_copy(&worker->values, op.value);
        worker->op = op;
        break;
    case GENERATOR_PENDING:
        if (op.not_before_ns <= simulation->now_ns)
            broken(simulation, worker, "PENDING until a time that is not in the future");
        worker->state = WAITS;
        worker->at_ns = op.not_before_ns;
        break;
    case GENERATOR_DONE:
        worker->state = FINISHED;
        worker->at_ns = GENERATOR_NEVER;
        if (prng_below(&simulation->prng, 4) == 0 &&
            generator_next(simulation->generator, &context, &op) != GENERATOR_DONE)
            broken(simulation, worker, "DONE was not for good");
        break;
    }
    arena_reset(&simulation->scratch);
    simulation->news = news;
    spread_news(simulation, worker);
}

static int64_t latency(struct simulation *simulation, const struct worker *worker)
{
    const struct simulate_options *options = simulation->options;
    int64_t ns =
        worker->thread == GENERATOR_NEMESIS && options->nemesis_latency_ns > 0
            ? options->nemesis_latency_ns
            : prng_between(&simulation->prng, options->latency_ns_min, options->latency_ns_max);
    return ns > 0 ? ns : 1;
}

static enum op_type draw_outcome(struct simulation *simulation)
{
    double draw = prng_unit(&simulation->prng);
    if (draw < simulation->options->info)
        return OP_INFO;
    return draw < simulation->options->info + simulation->options->fail ? OP_FAIL : OP_OK;
}

static void step(struct simulation *simulation, struct worker *worker)
{
    switch (worker->state) {
    case ASKS:
    case WAITS:
        ask(simulation, worker);
        break;
    case RESERVED:
        happen(simulation, worker, OP_INVOKE);
        worker->state = BUSY;
        worker->at_ns = simulation->now_ns + latency(simulation, worker);
        break;
    case BUSY:
        happen(simulation, worker, draw_outcome(simulation));
        worker->state = ASKS;
        worker->at_ns = simulation->now_ns;
        break;
    case FINISHED:
        break;
    }
}

/* Whose turn it is: the soonest, among equals by lot. NULL when nobody has anything to come. */
static struct worker *soonest(struct simulation *simulation)
{
    struct worker *found = NULL;
    uint32_t first = (uint32_t)prng_below(&simulation->prng, simulation->count);
    for (uint32_t i = 0; i < simulation->count; i++) {
        uint32_t at = first + i < simulation->count ? first + i : first + i - simulation->count;
        struct worker *worker = &simulation->workers[at];
        if (worker->state != FINISHED && worker->at_ns != GENERATOR_NEVER &&
            (found == NULL || worker->at_ns < found->at_ns))
            found = worker;
    }
    return found;
}

static void run(struct simulation *simulation)
{
    const struct simulate_options *options = simulation->options;
    struct simulate_result *result = simulation->result;
    while (result->broken[0] == '\0') {
        struct worker *worker = soonest(simulation);
        if (worker == NULL || (options->end_ns > 0 && worker->at_ns > options->end_ns) ||
            (options->ops_max > 0 && result->completions >= options->ops_max))
            break;
        if (worker->at_ns > simulation->now_ns)
            simulation->questions_now = 0;
        simulation->now_ns = worker->at_ns;
        step(simulation, worker);
    }
    result->now_ns = simulation->now_ns;
    result->all_done = true;
    for (uint32_t i = 0; i < simulation->count; i++)
        result->all_done &= simulation->workers[i].state == FINISHED;
    if (!result->all_done && soonest(simulation) == NULL)
        for (uint32_t i = 0; i < simulation->count; i++)
            if (simulation->workers[i].state == WAITS)
                broken(simulation, &simulation->workers[i], "deadlock: all wait for news");
}

void simulate(struct generator *generator, const struct simulate_options *options,
              struct simulate_result *result)
{
    *result = (struct simulate_result){.arena = ARENA_INIT};
    struct simulation simulation = {.generator = generator,
                                    .options = options,
                                    .result = result,
                                    .count = options->threads + options->nemesis,
                                    .prng = prng_stream(options->seed, "simulate"),
                                    .scratch = ARENA_INIT,
                                    .next_process = (int32_t)options->threads};
    simulation.workers = calloc(simulation.count + 1, sizeof *simulation.workers);
    if (simulation.workers == NULL)
        abort();
    for (uint32_t i = 0; i < simulation.count; i++) {
        struct worker *worker = &simulation.workers[i];
        worker->thread = i < options->threads ? (int32_t)i : GENERATOR_NEMESIS;
        worker->process = i < options->threads ? (int32_t)i : PROCESS_NEMESIS;
    }
    if (simulation.count > 0)
        run(&simulation);
    for (uint32_t i = 0; i < simulation.count; i++)
        arena_free(&simulation.workers[i].values);
    arena_free(&simulation.scratch);
    free(simulation.workers);
}

void simulate_free(struct simulate_result *result)
{
    free(result->events);
    arena_free(&result->arena);
    *result = (struct simulate_result){.arena = ARENA_INIT};
}

size_t simulate_count(const struct simulate_result *result, enum op_type type, int f,
                      int64_t from_ns, int64_t to_ns)
{
    size_t count = 0;
    for (size_t i = 0; i < result->count; i++) {
        const struct simulate_event *event = &result->events[i];
        count += event->type == type && (f < 0 || event->f == f) && event->time_ns >= from_ns &&
                 event->time_ns < to_ns;
    }
    return count;
}

enum probe_state { PROBE_FREE, PROBE_GIVEN, PROBE_INVOKED, PROBE_DONE };
struct probe {
    struct generator base;
    struct arena *arena;
    struct generator *of;
    const char *name;
    char *broken;
    struct {
        enum probe_state state;
        uint16_t f;
    } * threads;
    uint32_t thread_count;
    bool nemesis;
};

static void probe_broken(struct probe *probe, const struct generator_context *context,
                         const char *what)
{
    if (probe->broken[0] == '\0')
        snprintf(probe->broken, 256, "probe of %s: %s (thread %d of %u at %" PRId64 " ns)",
                 probe->name, what, context->thread, context->thread_count, context->now_ns);
}

static void probe_see(struct probe *probe, const struct generator_context *context)
{
    if (probe->threads == NULL) {
        probe->threads =
            arena_zalloc(probe->arena, (context->thread_count + 1) * sizeof *probe->threads);
        probe->thread_count = context->thread_count;
        probe->nemesis = context->nemesis;
    }
    if (context->thread_count != probe->thread_count || context->nemesis != probe->nemesis)
        probe_broken(probe, context, "the threads that ask have changed");
    if (context->thread < GENERATOR_NEMESIS || context->thread >= (int32_t)context->thread_count ||
        (context->thread == GENERATOR_NEMESIS && !context->nemesis))
        probe_broken(probe, context, "a thread that does not belong here");
}

static enum generator_answer probe_next(struct generator *generator,
                                        const struct generator_context *context,
                                        struct generator_op *op)
{
    struct probe *probe = (struct probe *)generator;
    probe_see(probe, context);
    enum probe_state *state = &probe->threads[context->thread + 1].state;
    if (*state == PROBE_GIVEN || *state == PROBE_INVOKED)
        probe_broken(probe, context, "asked for a thread that has an operation out");
    enum generator_answer answer = generator_next(probe->of, context, op);
    if (*state == PROBE_DONE && answer != GENERATOR_DONE)
        probe_broken(probe, context, "DONE was not for good");
    if (answer == GENERATOR_PENDING && op->not_before_ns <= context->now_ns)
        probe_broken(probe, context, "PENDING until a time that is not in the future");
    if (answer == GENERATOR_DONE)
        *state = PROBE_DONE;
    if (answer == GENERATOR_OP) {
        *state = PROBE_GIVEN;
        probe->threads[context->thread + 1].f = op->f;
    }
    return answer;
}

static void probe_update(struct generator *generator, const struct generator_context *context,
                         const struct op *event)
{
    struct probe *probe = (struct probe *)generator;
    probe_see(probe, context);
    enum probe_state *state = &probe->threads[context->thread + 1].state;
    if (event->type == OP_INVOKE ? *state != PROBE_GIVEN : *state != PROBE_INVOKED)
        probe_broken(probe, context, "an event of no operation of its own");
    if (event->f != probe->threads[context->thread + 1].f)
        probe_broken(probe, context, "an event of another operation");
    *state = event->type == OP_INVOKE ? PROBE_INVOKED : PROBE_FREE;
    generator_update(probe->of, context, event);
}

static const struct generator_class probe_class = {
    .name = "probe", .next = probe_next, .update = probe_update};

struct generator *simulate_probe(struct arena *arena, struct generator *of, const char *name,
                                 char *broken_text)
{
    struct probe *probe = arena_zalloc(arena, sizeof *probe);
    probe->base.class = &probe_class;
    probe->arena = arena;
    probe->of = of;
    probe->name = name;
    probe->broken = broken_text;
    return &probe->base;
}
