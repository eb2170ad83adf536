/* The workload multi-register: transactions on groups of registers, of three kinds, each register
 * once, groups left behind after a while, and final reads of them all. */
#include <string.h>

#include "harness/base/json.h"
#include "harness/workload.h"
#include "tests/lib/simulate.h"
#include "tests/lib/test.h"
#include "workloads/txn.h"
#include "workloads/workloads.h"

enum { GROUPS = 256, REGISTERS_MAX = 16 };

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
        json_set_text(world->plan.options.values,
                      arena_printf(&world->arena, "multi-register.%s", settings[0]), settings[1]);
    option_defaults(&world->plan.options, "multi-register", workload_multi_register.options);
    history_init(&world->history);
    world->test = (struct test){.plan = &world->plan, .node_count = 3, .history = &world->history};
}

static void run(struct world *world, struct generator *generator, uint64_t operations)
{
    struct simulate_options options = {.threads = 6,
                                       .seed = 7,
                                       .latency_ns_min = 1000,
                                       .latency_ns_max = 100000,
                                       .fail = 0.1,
                                       .info = 0.05,
                                       .ops_max = operations};
    simulate(generator, &options, &world->result);
    assert_string_equal(world->result.broken, "");
}

static void end(struct world *world)
{
    arena_free(&world->arena);
    history_free(&world->history);
    json_free(world->plan.options.values);
}

/* Kinds of transactions. */
enum { READS = 1, WRITES = 2, BOTH = READS | WRITES };

/* Which kind it is; its registers are the group's own, each there once. */
static int kind_of(struct value value, int64_t registers, int64_t values, int64_t *group)
{
    bool seen[REGISTERS_MAX] = {false};
    int kind = 0;
    assert_true(value_is_pair(value));
    struct value txn = txn_of(value);
    *group = value_as_int(value_at(value, 0));
    assert_in_range(value_count(txn), 1, registers);
    for (size_t i = 0; i < value_count(txn); i++) {
        struct value micro = value_at(txn, i);
        int64_t number = value_as_int(value_at(micro, 1)) - *group * registers;
        enum txn_micro does = txn_micro(false, micro);
        assert_int_not_equal(does, TXN_NEITHER);
        assert_in_range(number, 0, registers - 1);
        assert_false(seen[number]);
        seen[number] = true;
        kind |= does == TXN_READS ? READS : WRITES;
        if (does == TXN_READS)
            assert_true(value_is_nil(value_at(micro, 2)));
        else
            assert_in_range(value_as_int(value_at(micro, 2)), 0, values - 1);
    }
    return kind;
}

static void transactions_are_of_three_kinds_on_groups(void **state)
{
    (void)state;
    struct world world;
    int64_t asked[GROUPS] = {0}, highest = 0, kinds[4] = {0}, whole = 0;
    const char *const settings[] = {"ops-per-group", "40", "registers", "4", "values", "3", NULL};
    begin(&world, settings);
    run(&world, workload_multi_register.generator(&world.test, &world.arena), 2000);
    for (size_t i = 0; i < world.result.count; i++) {
        const struct simulate_event *event = &world.result.events[i];
        int64_t group;
        if (event->type != OP_INVOKE)
            continue;
        assert_string_equal(world.history.f_names[event->f], "txn");
        kinds[kind_of(event->value, 4, 3, &group)]++;
        assert_in_range(group, 0, GROUPS - 1);
        asked[group]++;
        highest = group > highest ? group : highest;
        whole += value_count(txn_of(event->value)) == 4;
    }
    simulate_free(&world.result);
    /* A transaction of both kinds has one kind only now and then. */
    assert_in_range(kinds[READS], 600, 1100);
    assert_in_range(kinds[WRITES], 600, 1100);
    assert_in_range(kinds[BOTH], 200, 600);
    assert_in_range(whole, 300, 700);
    /* Two groups of threads are at work, and leave full groups behind. */
    assert_true(highest >= 40);
    for (int64_t group = 0; group < highest - 1; group++)
        assert_int_equal(asked[group], 40);
    end(&world);
}

static void weights_choose_the_kind(void **state)
{
    (void)state;
    struct world world;
    const char *const settings[] = {"read", "0", "write", "1", "both", "0", NULL};
    begin(&world, settings);
    run(&world, workload_multi_register.generator(&world.test, &world.arena), 200);
    for (size_t i = 0; i < world.result.count; i++) {
        int64_t group;
        if (world.result.events[i].type == OP_INVOKE)
            assert_int_equal(kind_of(world.result.events[i].value, 3, 5, &group), WRITES);
    }
    simulate_free(&world.result);
    end(&world);
}

static void every_group_is_read_in_the_end(void **state)
{
    (void)state;
    struct world world;
    enum err_code code;
    bool read[GROUPS] = {false};
    int64_t count = 0;
    begin(&world, NULL);
    struct value txn = txn_read(&world.arena, 18);
    struct value value = value_pair(&world.arena, value_int(&world.arena, 6),
                                    value_items(&world.arena, VALUE_VECTOR, &txn, 1));
    struct op op = {
        .process = 0, .type = OP_INVOKE, .f = history_f(&world.history, "txn"), .value = value};
    history_append(&world.history, &op, &code);
    assert_int_equal(code, ERR_NONE);
    run(&world, workload_multi_register.final_generator(&world.test, &world.arena), 1000);
    for (size_t i = 0; i < world.result.count; i++) {
        int64_t group;
        if (world.result.events[i].type != OP_INVOKE)
            continue;
        assert_int_equal(kind_of(world.result.events[i].value, 3, 5, &group), READS);
        assert_int_equal(value_count(txn_of(world.result.events[i].value)), 3);
        assert_false(read[group]);
        read[group] = true;
        count++;
    }
    assert_int_equal(count, 7); /* 0 to 6 */
    simulate_free(&world.result);
    end(&world);
}

static void nonsense_becomes_the_nearest_sense(void **state)
{
    (void)state;
    struct world world;
    const char *const settings[] = {"registers", "99",   "values", "0",     "ops-per-group",
                                    "-4",        "read", "-1",     "write", "-3",
                                    "both",      "0",    NULL};
    begin(&world, settings);
    run(&world, workload_multi_register.generator(&world.test, &world.arena), 500);
    assert_true(world.result.completions >= 500);
    simulate_free(&world.result);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transactions_are_of_three_kinds_on_groups),
        cmocka_unit_test(weights_choose_the_kind),
        cmocka_unit_test(every_group_is_read_in_the_end),
        cmocka_unit_test(nonsense_becomes_the_nearest_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
