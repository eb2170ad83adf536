/* Generators inside generators as runs use them; memory that does not grow; and random trees of
 * all combinators, which must keep the contract at every node. */
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/sanitized.h"
#include "tests/lib/simulate.h"
#include "tests/lib/test.h"

enum { SLOWER = SANITIZED ? 10 : 1 };

enum { A = 1, B, C, D };

static struct arena arena;
static struct simulate_result result;

static int begin(void **state)
{
    (void)state;
    arena = ARENA_INIT;
    result = (struct simulate_result){.arena = ARENA_INIT};
    return 0;
}

static int end(void **state)
{
    (void)state;
    simulate_free(&result);
    arena_free(&arena);
    return 0;
}

static struct simulate_options defaults(uint32_t threads)
{
    return (struct simulate_options){.threads = threads,
                                     .nemesis = true,
                                     .seed = 3,
                                     .latency_ns_min = NS_PER_MS,
                                     .latency_ns_max = 20 * NS_PER_MS,
                                     .fail = 0.1,
                                     .info = 0.1,
                                     .end_ns = 1000 * NS_PER_SECOND};
}

static void run(struct generator *generator, struct simulate_options options)
{
    simulate_free(&result);
    simulate(generator, &options, &result);
    assert_string_equal(result.broken, "");
}

static size_t invoked(int f)
{
    return simulate_count(&result, OP_INVOKE, f, 0, INT64_MAX);
}

static struct generator *forever(struct arena *into, uint16_t f)
{
    return generator_repeat_op(into, f, value_int(into, f));
}

static struct generator *ops(struct arena *into, uint64_t count, uint16_t f)
{
    return generator_limit(into, count, forever(into, f));
}

static struct generator *make_key(void *state, struct arena *into, uint64_t key)
{
    (void)key;
    return ops(into, 5, *(uint16_t *)state);
}

static void phases_of_keys(void **state)
{
    (void)state;
    uint16_t f[] = {A, B};
    struct generator *parts[] = {generator_keys(&arena, 2, 10, make_key, &f[0]),
                                 generator_keys(&arena, 3, 10, make_key, &f[1])};
    run(generator_phases(&arena, parts, 2), defaults(7));
    assert_true(result.all_done);
    assert_int_equal(invoked(A), 50);
    assert_int_equal(invoked(B), 50);
    int64_t last_a = 0, first_b = INT64_MAX;
    for (size_t i = 0; i < result.count; i++) {
        if (result.events[i].f == A)
            last_a = result.events[i].time_ns;
        else if (first_b == INT64_MAX)
            first_b = result.events[i].time_ns;
    }
    assert_int_equal(last_a, first_b);
}

static void a_whole_run(void **state)
{
    (void)state;
    struct generator *schedule[] = {
        generator_sleep(&arena, 5 * NS_PER_SECOND),    generator_once(&arena, B, value_nil()),
        generator_sleep(&arena, 10 * NS_PER_SECOND),   generator_once(&arena, C, value_nil()),
        generator_sleep(&arena, 3600 * NS_PER_SECOND), generator_once(&arena, B, value_nil())};
    uint16_t f = D;
    struct generator *main_part = generator_split(
        &arena,
        generator_rate(&arena, 100, PACE_POISSON, forever(&arena, A), prng_stream(1, "rate")),
        generator_seq(&arena, schedule, 6));
    struct generator *parts[] = {
        generator_time_limit(&arena, 60 * NS_PER_SECOND, main_part),
        generator_on_nemesis(&arena, generator_once(&arena, C, value_nil())),
        generator_sleep(&arena, 10 * NS_PER_SECOND),
        generator_on_clients(&arena, generator_each_thread(&arena, make_key, &f))};
    struct simulate_options options = defaults(10);
    options.nemesis_latency_ns = 100 * NS_PER_MS;
    run(generator_phases(&arena, parts, 4), options);
    assert_true(result.all_done);
    assert_true(fabs((double)invoked(A) - 6000) < 4 * sqrt(6000));
    assert_int_equal(simulate_count(&result, OP_INVOKE, A, 60 * NS_PER_SECOND, INT64_MAX), 0);
    assert_int_equal(simulate_count(&result, OP_INVOKE, B, 5 * NS_PER_SECOND, INT64_MAX), 1);
    const int64_t heal_ns = 15 * NS_PER_SECOND + 100 * NS_PER_MS;
    assert_int_equal(simulate_count(&result, OP_INVOKE, C, heal_ns, heal_ns + 1), 1);
    assert_int_equal(invoked(C), 2);
    assert_int_equal(invoked(D), 50);
    for (size_t i = 0; i < result.count; i++)
        if (result.events[i].f == D)
            assert_true(result.events[i].time_ns >= 70 * NS_PER_SECOND);
}

static void reserved_threads_until_ok(void **state)
{
    (void)state;
    const uint32_t counts[] = {2};
    struct generator *parts[] = {generator_until_ok(&arena, forever(&arena, A))};
    struct simulate_options options = defaults(5);
    options.fail = 0.8;
    options.info = 0.1;
    run(generator_reserve(&arena, counts, parts, 1, ops(&arena, 300, B)), options);
    assert_true(result.all_done);
    assert_int_equal(invoked(B), 300);
    size_t succeeded = simulate_count(&result, OP_OK, A, 0, INT64_MAX);
    assert_in_range(succeeded, 1, 2);
    for (size_t i = 0; i < result.count; i++)
        assert_true(result.events[i].f == B || result.events[i].thread < 2);
}

static struct generator *make_faults(void *state, struct arena *into, uint64_t round)
{
    const uint16_t *f = state;
    (void)round;
    struct generator *parts[] = {
        generator_sleep(into, 10 * NS_PER_SECOND), generator_once(into, f[0], value_nil()),
        generator_sleep(into, 5 * NS_PER_SECOND), generator_once(into, f[1], value_nil())};
    return generator_seq(into, parts, 4);
}

static void two_fault_schedules_at_once(void **state)
{
    (void)state;
    uint16_t partition[] = {A, B}, kill[] = {C, D};
    struct generator *parts[] = {generator_cycle(&arena, make_faults, partition, 0),
                                 generator_cycle(&arena, make_faults, kill, 0)};
    struct simulate_options options = defaults(2);
    options.nemesis_latency_ns = NS_PER_MS;
    run(generator_time_limit(&arena, 151 * NS_PER_SECOND,
                             generator_on_nemesis(&arena, generator_any(&arena, parts, 2))),
        options);
    assert_true(result.all_done);
    for (int f = A; f <= D; f++)
        assert_int_equal(invoked(f), 10);
}

static bool fill_write(void *state, struct prng *prng, const struct generator_context *context,
                       struct generator_op *op)
{
    op->f = *(uint16_t *)state;
    op->value = value_int(context->scratch, (int64_t)prng_below(prng, 100));
    return true;
}

static struct generator *make_mixed(void *state, struct arena *into, uint64_t key)
{
    struct generator *parts[3];
    uint16_t *functions = state;
    for (int i = 0; i < 3; i++)
        parts[i] =
            generator_function(into, fill_write, &functions[i], prng_stream(key, "function"));
    return generator_limit(into, 20, generator_mix(into, parts, NULL, 3, prng_stream(key, "mix")));
}

static void memory_of_keys_does_not_grow(void **state)
{
    (void)state;
    uint16_t functions[] = {A, B, C};
    struct generator *keys = generator_keys(&arena, 2, 0, make_mixed, functions);
    struct simulate_options options = defaults(10);
    options.forget_events = true;
    options.end_ns = 0;
    options.ops_max = 100000;
    options.nemesis = false;
    run(keys, options);
    size_t used = arena.used_bytes, heap = mallinfo2().uordblks;
    options.ops_max = 10000000 / SLOWER;
    run(keys, options);
    assert_int_equal(arena.used_bytes, used);
    assert_true(mallinfo2().uordblks <= heap + 65536);
}

/* ---- Random trees ---- */

enum { SOURCES_MAX = 64 };
struct forest {
    struct prng prng;
    char broken[256];
    uint32_t sources;
    uint64_t given[SOURCES_MAX], invoked[SOURCES_MAX], completed[SOURCES_MAX];
    bool cuts; /* some generator in it ends others, so that operations may remain unused */
};

/* A source that counts what it gives and hears of; its function id is its number. */
struct source {
    struct generator base;
    struct forest *forest;
    uint16_t number;
    uint64_t left;
};

static enum generator_answer source_next(struct generator *generator,
                                         const struct generator_context *context,
                                         struct generator_op *op)
{
    struct source *source = (struct source *)generator;
    if (source->left == 0)
        return GENERATOR_DONE;
    source->left--;
    source->forest->given[source->number]++;
    *op = (struct generator_op){.f = source->number,
                                .value = value_string(context->scratch, "some text"),
                                .not_before_ns = context->now_ns};
    if (source->number % 4 == 3)
        op->not_before_ns += 3 * NS_PER_MS;
    return GENERATOR_OP;
}

static void source_update(struct generator *generator, const struct generator_context *context,
                          const struct op *event)
{
    struct source *source = (struct source *)generator;
    (void)context;
    assert_int_equal(event->f, source->number);
    assert_string_equal(value_as_text(event->value), "some text");
    if (event->type == OP_INVOKE)
        source->forest->invoked[source->number]++;
    else
        source->forest->completed[source->number]++;
}

static const struct generator_class source_class = {
    .name = "source", .next = source_next, .update = source_update};

static struct generator *grow(struct forest *forest, struct arena *into, int depth);

static struct generator *grow_source(struct forest *forest, struct arena *into)
{
    struct source *source = arena_zalloc(into, sizeof *source);
    source->base.class = &source_class;
    source->forest = forest;
    source->number = (uint16_t)(forest->sources++ % SOURCES_MAX);
    source->left = prng_below(&forest->prng, 40);
    return &source->base;
}

static struct generator *make_branch(void *state, struct arena *into, uint64_t round)
{
    struct forest *forest = state;
    return round % 5 == 4 ? NULL : grow(forest, into, (int)prng_below(&forest->prng, 3));
}

static struct generator *grow_parts(struct forest *forest, struct arena *into, int depth,
                                    uint64_t kind)
{
    struct generator *parts[4];
    size_t count = 1 + prng_below(&forest->prng, 4);
    for (size_t i = 0; i < count; i++)
        parts[i] = grow(forest, into, depth);
    double weights[] = {1, 3, 0.5, 2};
    uint32_t counts[] = {1, 2, 0, 3};
    switch (kind) {
    case 0:
        return generator_seq(into, parts, count);
    case 1:
        return generator_phases(into, parts, count);
    case 2:
        return generator_any(into, parts, count);
    case 3:
        return generator_mix(into, parts, weights, count,
                             prng_stream(prng_next(&forest->prng), "mix"));
    default:
        return generator_reserve(into, counts, parts, count - 1, parts[count - 1]);
    }
}

static struct generator *grow_one(struct forest *forest, struct arena *into, int depth,
                                  uint64_t kind)
{
    struct prng *prng = &forest->prng;
    /* each_process, too, drops what a retired process had left to do. */
    forest->cuts |= kind == 7 || (kind >= 9 && kind <= 11) || kind == 15;
    switch (kind) {
    case 5:
        return generator_cycle(into, make_branch, forest, 1 + prng_below(prng, 4));
    case 6:
        return generator_each_thread(into, make_branch, forest);
    case 7:
        return generator_each_process(into, make_branch, forest);
    case 8:
        return generator_keys(into, (uint32_t)prng_below(prng, 5), 1 + prng_below(prng, 6),
                              make_branch, forest);
    default:
        break;
    }
    struct generator *of = grow(forest, into, depth);
    switch (kind) {
    case 9:
        return generator_limit(into, prng_below(prng, 30), of);
    case 10:
        return generator_time_limit(into, prng_between(prng, 0, 100 * NS_PER_MS), of);
    case 11:
        return generator_until_ok(into, of);
    case 12:
        return generator_rate(into, (double)prng_between(prng, 20, 3000),
                              prng_below(prng, 2) == 0 ? PACE_FIXED : PACE_POISSON, of,
                              prng_stream(prng_next(prng), "rate"));
    case 13:
        return generator_on_clients(into, of);
    case 14:
        return generator_on_nemesis(into, of);
    case 15:
        return generator_flip_flop(into, of, grow(forest, into, depth));
    case 16:
        return generator_split(into, of, grow(forest, into, depth));
    default:
        return of;
    }
}

static struct generator *grow(struct forest *forest, struct arena *into, int depth)
{
    static const char *const names[] = {
        "seq",         "phases",       "any",        "mix",       "reserve",    "cycle",
        "each_thread", "each_process", "keys",       "limit",     "time_limit", "until_ok",
        "rate",        "on_clients",   "on_nemesis", "flip_flop", "split"};
    struct generator *generator;
    const char *name = "leaf";
    if (depth == 0 || prng_below(&forest->prng, 8) == 0) {
        switch (prng_below(&forest->prng, 8)) {
        case 0:
            generator = generator_sleep(into, prng_between(&forest->prng, 0, 50 * NS_PER_MS));
            break;
        case 1:
            generator = generator_nothing(into);
            break;
        default:
            generator = grow_source(forest, into);
            break;
        }
    } else {
        uint64_t kind = prng_below(&forest->prng, 17);
        name = names[kind];
        generator = kind < 5 ? grow_parts(forest, into, depth - 1, kind)
                             : grow_one(forest, into, depth - 1, kind);
    }
    return simulate_probe(into, generator, name, forest->broken);
}

static void check_sources(const struct forest *forest, uint64_t seed)
{
    for (int i = 0; i < SOURCES_MAX; i++) {
        size_t happened = simulate_count(&result, OP_INVOKE, i, 0, INT64_MAX);
        if (forest->invoked[i] != happened || forest->completed[i] != happened ||
            forest->given[i] < happened || (!forest->cuts && forest->given[i] != happened))
            fail_msg("seed %lu: source %d gave %lu, heard of %lu and %lu, there were %zu",
                     (unsigned long)seed, i, (unsigned long)forest->given[i],
                     (unsigned long)forest->invoked[i], (unsigned long)forest->completed[i],
                     happened);
    }
}

static void random_trees_keep_the_contract(void **state)
{
    (void)state;
    uint64_t first = 0, count = 6000 / SLOWER, operations = 0;
    if (getenv("GENERATOR_SEED") != NULL) { /* to see one again */
        first = strtoull(getenv("GENERATOR_SEED"), NULL, 10);
        count = 1;
    }
    for (uint64_t seed = first; seed < first + count; seed++) {
        static struct forest forest;
        forest = (struct forest){.prng = prng_stream(seed, "forest")};
        struct arena soil = ARENA_INIT;
        struct generator *tree = grow(&forest, &soil, 1 + (int)(seed % 6));
        struct simulate_options options = defaults(1 + (uint32_t)prng_below(&forest.prng, 7));
        options.nemesis = prng_below(&forest.prng, 2) == 0;
        options.seed = seed;
        options.fail = 0.2;
        simulate_free(&result);
        simulate(tree, &options, &result);
        if (result.broken[0] != '\0' || forest.broken[0] != '\0')
            fail_msg("seed %lu: %s %s", (unsigned long)seed, result.broken, forest.broken);
        if (!result.all_done)
            fail_msg("seed %lu: not done by the end", (unsigned long)seed);
        check_sources(&forest, seed);
        operations += result.completions;
        arena_free(&soil);
    }
    if (count > 1)
        assert_true(operations > count * 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_of_keys),
        cmocka_unit_test(a_whole_run),
        cmocka_unit_test(reserved_threads_until_ok),
        cmocka_unit_test(two_fault_schedules_at_once),
        cmocka_unit_test(memory_of_keys_does_not_grow),
        cmocka_unit_test(random_trees_keep_the_contract),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
