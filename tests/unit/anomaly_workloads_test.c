/* The workloads that reach for one anomaly each: what their operations look like, that keys which
 * have to be fresh or unique are, and that hot ones are as hot as was asked. */
#include <string.h>

#include "harness/base/json.h"
#include "harness/workload.h"
#include "tests/lib/simulate.h"
#include "tests/lib/test.h"
#include "workloads/workloads.h"

enum { KEYS = 4096, OPERATIONS = 2000 };

struct world {
    struct plan plan;
    struct history history;
    struct test test;
    struct arena arena;
    struct simulate_result result;
};

static void run(struct world *world, const struct workload *workload, const char *const *settings)
{
    *world = (struct world){.plan = {.options = {.values = json_object()}, .seed = 42}};
    for (; settings != NULL && *settings != NULL; settings += 2)
        json_set_text(world->plan.options.values,
                      arena_printf(&world->arena, "%s.%s", workload->name, settings[0]),
                      settings[1]);
    option_defaults(&world->plan.options, workload->name, workload->options);
    history_init(&world->history);
    world->test = (struct test){.plan = &world->plan, .node_count = 3, .history = &world->history};
    struct simulate_options options = {.threads = 5,
                                       .seed = 7,
                                       .latency_ns_min = 1000,
                                       .latency_ns_max = 100000,
                                       .info = 0.05,
                                       .ops_max = OPERATIONS};
    simulate(workload->generator(&world->test, &world->arena), &options, &world->result);
    assert_string_equal(world->result.broken, "");
}

static void end(struct world *world)
{
    simulate_free(&world->result);
    arena_free(&world->arena);
    history_free(&world->history);
    json_free(world->plan.options.values);
}

/* The next invocation's value. */
static bool next(const struct world *world, size_t *at, struct value *value)
{
    for (; *at < world->result.count; (*at)++)
        if (world->result.events[*at].type == OP_INVOKE) {
            *value = world->result.events[(*at)++].value;
            return true;
        }
    return false;
}

static bool is_micro(struct value micro, const char *f)
{
    return value_count(micro) == 3 && strcmp(value_as_text(value_at(micro, 0)), f) == 0;
}

static int64_t key_of(struct value micro)
{
    int64_t key = value_as_int(value_at(micro, 1));
    assert_in_range(key, 0, KEYS - 1);
    return key;
}

static void updates_read_what_they_write(void **state)
{
    (void)state;
    struct world world;
    int64_t written[KEYS] = {0}, first = 0, all = 0;
    const char *const settings[] = {"key-count", "4", "writes-per-key", "10", NULL};
    run(&world, &workload_lost_update, settings);
    struct value txn;
    for (size_t at = 0; next(&world, &at, &txn); all++) {
        assert_int_equal(value_count(txn), 2);
        struct value read = value_at(txn, 0), write = value_at(txn, 1);
        assert_true(is_micro(read, "r") && is_micro(write, "w"));
        assert_int_equal(key_of(read), key_of(write));
        /* Threads take their operations in this order, so each value is the key's next. */
        assert_int_equal(value_as_int(value_at(write, 2)), ++written[key_of(write)]);
        assert_in_range(written[key_of(write)], 1, 10);
    }
    for (int64_t key = 0; written[key] == 10; key++)
        first++;
    assert_in_range(first, all / 20, all / 10); /* most keys were used up */
    end(&world);
}

static void hot_keys_follow_zipf(void **state)
{
    (void)state;
    struct world world;
    double drawn[4] = {0};
    const char *const settings[] = {"key-count", "4", "key-dist-exponent", "2", "writes-per-key",
                                    "1000000",   NULL};
    run(&world, &workload_lost_update, settings);
    struct value txn;
    for (size_t at = 0; next(&world, &at, &txn);)
        drawn[key_of(value_at(txn, 0))]++;
    /* 1, 1/4, 1/9, 1/16 */
    assert_true(drawn[0] > 3.4 * drawn[1] && drawn[0] < 4.6 * drawn[1]);
    assert_true(drawn[0] > 7 * drawn[2] && drawn[0] < 12 * drawn[2]);
    assert_true(drawn[3] > 40);
    end(&world);
}

static void pairs_are_fresh_and_both_sides_are_written(void **state)
{
    (void)state;
    struct world world;
    int64_t txns[KEYS] = {0}, sides[2] = {0}, reads = 0, written[KEYS] = {0};
    run(&world, &workload_write_skew, NULL);
    struct value txn;
    for (size_t at = 0; next(&world, &at, &txn);) {
        int64_t left = key_of(value_at(txn, 0));
        assert_true(is_micro(value_at(txn, 0), "r") && is_micro(value_at(txn, 1), "r"));
        assert_int_equal(left % 2, 0);
        assert_int_equal(key_of(value_at(txn, 1)), left + 1);
        assert_in_range(++txns[left], 1, 6);
        if (value_count(txn) == 2) {
            reads++;
            continue;
        }
        int64_t key = key_of(value_at(txn, 2));
        assert_true(is_micro(value_at(txn, 2), "w") && key / 2 == left / 2);
        assert_int_equal(value_as_int(value_at(value_at(txn, 2), 2)), ++written[key]);
        sides[key % 2]++;
    }
    assert_in_range(reads, OPERATIONS / 5, OPERATIONS / 3);
    assert_in_range(sides[0], OPERATIONS / 4, OPERATIONS / 2);
    assert_in_range(sides[1], OPERATIONS / 4, OPERATIONS / 2);
    end(&world);
}

static void groups_are_written_once_and_read_whole(void **state)
{
    (void)state;
    struct world world;
    int64_t writes[KEYS] = {0}, reads[KEYS] = {0}, reversed = 0, whole = 0;
    const char *const settings[] = {"group-size", "3", "reads-per-group", "5", NULL};
    run(&world, &workload_long_fork, settings);
    struct value txn;
    for (size_t at = 0; next(&world, &at, &txn);) {
        int64_t key = key_of(value_at(txn, 0)), group = key / 3;
        if (is_micro(value_at(txn, 0), "w")) {
            assert_int_equal(value_count(txn), 1);
            assert_int_equal(++writes[key], 1);
            continue;
        }
        bool seen[3] = {false};
        assert_int_equal(value_count(txn), 3);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(key_of(value_at(txn, i)) / 3, group);
            seen[key_of(value_at(txn, i)) % 3] = true;
        }
        assert_true(seen[0] && seen[1] && seen[2]);
        reversed += key % 3 != 0;
        assert_in_range(++reads[group], 1, 5);
    }
    for (; writes[3 * whole] && writes[3 * whole + 1] && writes[3 * whole + 2]; whole++)
        if (reads[whole] < 5)
            break;
    assert_in_range(whole, OPERATIONS / 8 - 1, OPERATIONS / 8 + 2);
    assert_true(reversed > whole); /* in every order */
    end(&world);
}

static void transfers_are_between_two_accounts(void **state)
{
    (void)state;
    struct world world;
    int64_t moved[KEYS] = {0}, transfers = 0, reads = 0;
    const char *const settings[] = {"accounts", "3", "zipf", "1", NULL};
    run(&world, &workload_bank, settings);
    struct value value;
    for (size_t at = 0; next(&world, &at, &value);) {
        if (value_is_nil(value)) {
            reads++;
            continue;
        }
        int64_t from = value_as_int(value_get(value, "from"));
        int64_t to = value_as_int(value_get(value, "to"));
        assert_in_range(from, 0, 2);
        assert_in_range(to, 0, 2);
        assert_int_not_equal(from, to);
        assert_in_range(value_as_int(value_get(value, "amount")), 1, 5);
        moved[from]++;
        transfers++;
    }
    assert_in_range(reads, transfers * 8 / 10, transfers * 12 / 10);
    assert_true(moved[0] > moved[1] && moved[1] > moved[2] && moved[2] > 0);
    end(&world);
}

static void nonsense_becomes_the_nearest_sense(void **state)
{
    (void)state;
    static const struct {
        const struct workload *workload;
        const char *settings[9];
    } cases[] = {
        {&workload_lost_update,
         {"key-count", "-1", "writes-per-key", "0", "key-dist-exponent", "-3", NULL}},
        {&workload_write_skew, {"pair-count", "0", "txns-per-pair", "-7", "read", "9", NULL}},
        {&workload_long_fork, {"group-size", "99", "reads-per-group", "0", "group-count", "0"}},
        {&workload_bank, {"accounts", "0", "max-transfer", "-1", "read", "-1", "transfer", "0"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world world;
        run(&world, cases[i].workload, cases[i].settings);
        assert_true(world.result.completions >= OPERATIONS);
        end(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_read_what_they_write),
        cmocka_unit_test(hot_keys_follow_zipf),
        cmocka_unit_test(pairs_are_fresh_and_both_sides_are_written),
        cmocka_unit_test(groups_are_written_once_and_read_whole),
        cmocka_unit_test(transfers_are_between_two_accounts),
        cmocka_unit_test(nonsense_becomes_the_nearest_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
