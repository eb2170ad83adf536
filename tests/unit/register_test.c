/* The register workload: shapes, mix, bounds, keys, and that all follows from the seed. */
#include <stdlib.h>
#include <string.h>

#include "harness/base/json.h"
#include "harness/workload.h"
#include "tests/lib/simulate.h"
#include "tests/lib/test.h"
#include "workloads/register.h"
#include "workloads/workloads.h"

struct world {
    struct plan plan;
    struct history history;
    struct test test;
    struct arena arena;
    struct simulate_result result;
};

static void begin(struct world *world, const char *const *settings)
{
    *world = (struct world){
        .plan = {.options = {.values = json_object()}, .seed = 42, .concurrency = 6},
    };
    for (; settings != NULL && *settings != NULL; settings += 2)
        json_set_text(world->plan.options.values, settings[0], settings[1]);
    option_defaults(&world->plan.options, "register", workload_register.options);
    history_init(&world->history);
    world->test = (struct test){.plan = &world->plan, .node_count = 3, .history = &world->history};
}

static void run(struct world *world, uint64_t operations)
{
    struct simulate_options options = {.threads = (uint32_t)world->plan.concurrency,
                                       .seed = 7,
                                       .latency_ns_min = 1000,
                                       .latency_ns_max = 100000,
                                       .fail = 0.1,
                                       .info = 0.05,
                                       .ops_max = operations};
    simulate(workload_register.generator(&world->test, &world->arena), &options, &world->result);
    assert_string_equal(world->result.broken, "");
    assert_true(world->result.completions >= operations);
}

static void end(struct world *world)
{
    simulate_free(&world->result);
    arena_free(&world->arena);
    history_free(&world->history);
    json_free(world->plan.options.values);
}

static const char *name_of(const struct world *world, const struct simulate_event *event)
{
    return world->history.f_names[event->f];
}

static bool is_value(struct value value, int64_t values)
{
    return value_is_int(value) && value_as_int(value) >= 0 && value_as_int(value) < values;
}

static void operations_have_the_promised_shapes(void **state)
{
    (void)state;
    struct world world;
    const char *const settings[] = {"register.values", "3", NULL};
    begin(&world, settings);
    run(&world, 6000);
    size_t seen[3] = {0};
    for (size_t i = 0; i < world.result.count; i++) {
        const struct simulate_event *event = &world.result.events[i];
        if (event->type != OP_INVOKE)
            continue;
        assert_true(value_is_pair(event->value) && value_is_int(value_at(event->value, 0)));
        struct value argument = value_at(event->value, 1);
        const char *name = name_of(&world, event);
        if (strcmp(name, "read") == 0) {
            assert_true(value_is_nil(argument));
            seen[0]++;
        } else if (strcmp(name, "write") == 0) {
            assert_true(is_value(argument, 3));
            seen[1]++;
        } else {
            assert_string_equal(name, "cas");
            assert_true(value_is_pair(argument));
            assert_true(is_value(value_at(argument, 0), 3) && is_value(value_at(argument, 1), 3));
            seen[2]++;
        }
    }
    /* A third each: 2000 with a standard deviation of 37. */
    for (size_t i = 0; i < 3; i++)
        assert_in_range(seen[i], 1800, 2200);
    end(&world);
}

static void every_key_gets_its_operations_from_one_group(void **state)
{
    (void)state;
    struct world world;
    const char *const settings[] = {"register.ops-per-key", "50", NULL};
    begin(&world, settings);
    run(&world, 5000);
    enum { KEYS = 200 };
    size_t operations[KEYS] = {0};
    int32_t groups[KEYS];
    int64_t last = -1;
    for (size_t i = 0; i < world.result.count; i++) {
        const struct simulate_event *event = &world.result.events[i];
        if (event->type != OP_INVOKE)
            continue;
        int64_t key = value_as_int(value_at(event->value, 0));
        assert_in_range(key, 0, KEYS - 1);
        int32_t group = event->thread / 3; /* three nodes, so groups of three */
        if (operations[key]++ == 0)
            groups[key] = group;
        assert_int_equal(groups[key], group);
        last = key > last ? key : last;
    }
    assert_true(last >= 90);
    for (int64_t key = 0; key <= last; key++)
        assert_true(operations[key] == 50 || (operations[key] < 50 && key >= last - 2));
    end(&world);
}

static void weights_make_the_mix(void **state)
{
    (void)state;
    struct world world;
    const char *const settings[] = {"register.read", "0", "register.cas", "-3", NULL};
    begin(&world, settings);
    run(&world, 500);
    for (size_t i = 0; i < world.result.count; i++)
        assert_string_equal(name_of(&world, &world.result.events[i]), "write");
    end(&world);
}

static void nonsense_becomes_the_nearest_sense(void **state)
{
    (void)state;
    struct world world;
    const char *const settings[] = {"register.values",
                                    "-1",
                                    "register.ops-per-key",
                                    "0",
                                    "register.threads-per-key",
                                    "100",
                                    "register.read",
                                    "0",
                                    "register.write",
                                    "0",
                                    "register.cas",
                                    "0",
                                    NULL};
    begin(&world, settings);
    struct register_mix mix;
    register_mix_init(&mix, &world.plan.options, &world.history);
    assert_int_equal(mix.values, 1);
    assert_true(mix.total == 3 && mix.read == 1 && mix.write == 1);
    run(&world, 300);
    /* One operation a key, and only the value 0. */
    for (size_t i = 0; i < world.result.count; i++) {
        const struct simulate_event *event = &world.result.events[i];
        struct value argument = value_at(event->value, 1);
        assert_true(value_is_nil(argument) || value_is_pair(argument) ||
                    value_as_int(argument) == 0);
    }
    end(&world);
}

/* How often each operation was asked of a key: threads that are free together may take what they
 * were given in either order. */
static void tally(const struct world *world, int64_t key, size_t *counts)
{
    for (size_t i = 0; i < world->result.count; i++) {
        const struct simulate_event *event = &world->result.events[i];
        if (event->type == OP_INVOKE && value_as_int(value_at(event->value, 0)) == key)
            counts[(event->f * 31 + value_hash(event->value)) % 1024]++;
    }
}

/* What is asked of a key follows from the seed and the key, whoever asks it and when. */
static void a_key_is_asked_the_same_again(void **state)
{
    (void)state;
    size_t counts[3][1024] = {{0}};
    for (size_t round = 0; round < 3; round++) {
        struct world world;
        begin(&world, NULL);
        world.plan.concurrency = round == 0 ? 6 : 3;
        world.plan.seed = round < 2 ? 42 : 43;
        run(&world, 3000);
        tally(&world, 5, counts[round]);
        end(&world);
    }
    assert_memory_equal(counts[0], counts[1], sizeof counts[0]);
    assert_memory_not_equal(counts[0], counts[2], sizeof counts[0]);
}

/* What a run asked for, as its history has it. */
static void asked(struct history *history, int64_t key)
{
    struct value pair[] = {value_int(&history->arena, key), value_nil()};
    struct op op = {.type = OP_INVOKE,
                    .process = 0,
                    .f = history_f(history, "write"),
                    .value = value_pair(&history->arena, pair[0], pair[1])};
    enum err_code code = ERR_NONE;
    history_append(history, &op, &code);
    assert_int_equal(code, ERR_NONE);
}

/* An outage may lose keys that nobody uses any more; only a read of them shows it. */
static void every_key_is_read_once_more_in_the_end(void **state)
{
    (void)state;
    enum { KEYS = 37 };
    static const char *const off[] = {"register.final-reads", "false", NULL};
    static const char *const settle[] = {"register.settle", "2s", NULL};
    static const struct {
        const char *const *settings;
        size_t times; /* that each key is read */
    } cases[] = {{off, 0}, {NULL, 1}, {settle, 6 /* by every worker */}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct world world;
        size_t reads[KEYS] = {0}, invocations = 0;
        begin(&world, cases[c].settings);
        for (int64_t key = 0; key < KEYS; key += 4)
            asked(&world.history, key);
        struct simulate_options options = {
            .threads = 6, .seed = 7, .latency_ns_min = 1000, .latency_ns_max = 100000};
        simulate(workload_register.final_generator(&world.test, &world.arena), &options,
                 &world.result);
        assert_string_equal(world.result.broken, "");
        for (size_t i = 0; i < world.result.count; i++) {
            const struct simulate_event *event = &world.result.events[i];
            if (event->type != OP_INVOKE)
                continue;
            int64_t key = value_as_int(value_at(event->value, 0));
            assert_string_equal(name_of(&world, event), "read");
            assert_in_range(key, 0, KEYS - 1);
            reads[key]++;
            invocations++;
        }
        for (int key = 0; key < KEYS; key++)
            assert_int_equal(reads[key], cases[c].times);
        assert_int_equal(invocations, KEYS * cases[c].times);
        if (cases[c].settings == settle)
            assert_true(world.result.now_ns >= 2 * NS_PER_SECOND);
        end(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_have_the_promised_shapes),
        cmocka_unit_test(every_key_gets_its_operations_from_one_group),
        cmocka_unit_test(weights_make_the_mix),
        cmocka_unit_test(nonsense_becomes_the_nearest_sense),
        cmocka_unit_test(a_key_is_asked_the_same_again),
        cmocka_unit_test(every_key_is_read_once_more_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
