/* The workloads list-append and rw-register: shapes, unique and bounded writes, keys in rotation,
 * distributions, final reads, and that all follows from the seed. */
#include <string.h>

#include "harness/base/json.h"
#include "harness/workload.h"
#include "tests/lib/simulate.h"
#include "tests/lib/test.h"
#include "workloads/txn.h"
#include "workloads/workloads.h"

enum { KEYS = 4096 };

struct world {
    const struct workload *workload;
    struct plan plan;
    struct history history;
    struct test test;
    struct arena arena;
    struct simulate_result result;
};

static void begin(struct world *world, const struct workload *workload, const char *const *settings)
{
    *world = (struct world){
        .workload = workload,
        .plan = {.options = {.values = json_object()}, .seed = 42, .concurrency = 1},
    };
    for (; settings != NULL && *settings != NULL; settings += 2) {
        const char *name = arena_printf(&world->arena, "%s.%s", workload->name, settings[0]);
        json_set_text(world->plan.options.values, name, settings[1]);
    }
    option_defaults(&world->plan.options, workload->name, workload->options);
    history_init(&world->history);
    world->test = (struct test){.plan = &world->plan, .node_count = 3, .history = &world->history};
}

/* One thread, so that events are in the order in which transactions were drawn. */
static void run(struct world *world, uint64_t operations)
{
    struct simulate_options options = {.threads = (uint32_t)world->plan.concurrency,
                                       .seed = 7,
                                       .latency_ns_min = 1000,
                                       .latency_ns_max = 100000,
                                       .fail = 0.1,
                                       .info = 0.05,
                                       .ops_max = operations};
    simulate(world->workload->generator(&world->test, &world->arena), &options, &world->result);
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

/* What a run asked of each key. */
struct tally {
    size_t transactions, reads, writes, longest, shortest;
    size_t key_reads[KEYS], key_writes[KEYS], key_first[KEYS], key_last[KEYS]; /* first: event */
    int64_t keys; /* one more than the highest */
};

static void tally_micro(struct tally *tally, struct value micro, const char *write, size_t event)
{
    assert_int_equal(value_kind(micro), VALUE_VECTOR);
    assert_int_equal(value_count(micro), 3);
    int64_t key = value_as_int(value_at(micro, 1));
    assert_true(value_is_int(value_at(micro, 1)));
    assert_in_range(key, 0, KEYS - 1);
    if (strcmp(value_as_text(value_at(micro, 0)), "r") == 0) {
        assert_true(value_is_nil(value_at(micro, 2)));
        tally->reads++;
        tally->key_reads[key]++;
    } else {
        assert_string_equal(value_as_text(value_at(micro, 0)), write);
        /* Values count up from 1, so each is unique to its key. */
        assert_int_equal(value_as_int(value_at(micro, 2)), (int64_t)++tally->key_writes[key]);
        tally->writes++;
    }
    if (tally->key_reads[key] + tally->key_writes[key] == 1)
        tally->key_first[key] = event;
    tally->key_last[key] = event;
    if (key >= tally->keys)
        tally->keys = key + 1;
}

/* By `write` micro-operations of the workload are known. */
static void tally_run(const struct world *world, const char *write, struct tally *tally)
{
    *tally = (struct tally){.shortest = SIZE_MAX};
    for (size_t i = 0; i < world->result.count; i++) {
        const struct simulate_event *event = &world->result.events[i];
        if (event->type != OP_INVOKE)
            continue;
        assert_string_equal(world->history.f_names[event->f], "txn");
        size_t length = value_count(event->value);
        tally->transactions++;
        tally->longest = length > tally->longest ? length : tally->longest;
        tally->shortest = length < tally->shortest ? length : tally->shortest;
        for (size_t m = 0; m < length; m++)
            tally_micro(tally, value_at(event->value, m), write, i);
    }
}

/* ---- Writes and keys ---- */

static void writes_are_unique_and_keys_rotate(void **state)
{
    (void)state;
    static const struct {
        const struct workload *workload;
        const char *write;
    } cases[] = {{&workload_list_append, "append"}, {&workload_rw_register, "w"}};
    static const char *const settings[] = {"key-count", "5", "writes-per-key", "8", NULL};
    for (size_t c = 0; c < 2; c++) {
        struct world world;
        static struct tally tally;
        begin(&world, cases[c].workload, settings);
        run(&world, 2000);
        tally_run(&world, cases[c].write, &tally);
        assert_int_equal(tally.shortest, 1);
        assert_int_equal(tally.longest, 4);
        /* 2.5 micro-operations each on average, half of them writes, with a deviation of 37. */
        assert_in_range(tally.writes, 2300, 2700);
        size_t unfinished = 0;
        for (int64_t key = 0; key < tally.keys; key++) {
            assert_true(tally.key_writes[key] <= 8);
            unfinished += tally.key_writes[key] < 8;
        }
        assert_true(unfinished <= 5); /* all others made room for a new one */
        assert_true(tally.keys >= (int64_t)tally.writes / 8);
        end(&world);
    }
}

/* When a key is first used, one that no later transaction uses has been written its last time. */
static void few_keys_are_in_use_at_a_time(void **state)
{
    (void)state;
    static const char *const settings[] = {"key-count", "4", "writes-per-key", "6", "key-dist",
                                           "uniform",   NULL};
    struct world world;
    static struct tally tally;
    begin(&world, &workload_list_append, settings);
    run(&world, 1500);
    tally_run(&world, "append", &tally);
    for (int64_t key = 0; key < tally.keys; key++) {
        size_t together = 0;
        for (int64_t other = 0; other < tally.keys; other++)
            together += tally.key_first[other] <= tally.key_first[key] &&
                        tally.key_last[other] > tally.key_first[key];
        assert_true(together <= 4);
    }
    end(&world);
}

/* ---- Distributions ---- */

static void exponential_keys_double(void **state)
{
    (void)state;
    static const char *const settings[] = {"key-count", "3", "writes-per-key", "1000000", NULL};
    struct world world;
    static struct tally tally;
    begin(&world, &workload_list_append, settings);
    run(&world, 4000);
    tally_run(&world, "append", &tally);
    /* Of 7 parts 1, 2 and 4: of about 10 000 with deviations below 50. */
    double all = (double)(tally.reads + tally.writes);
    for (int key = 0; key < 3; key++) {
        double share = (double)(tally.key_reads[key] + tally.key_writes[key]) / all;
        assert_true(share > (1 << key) / 7.0 - 0.03 && share < (1 << key) / 7.0 + 0.03);
    }
    end(&world);
}

static void uniform_keys_are_alike(void **state)
{
    (void)state;
    static const char *const uniform[] = {"key-dist", "uniform", "writes-per-key", "1000000", NULL};
    static const char *const base_one[] = {"key-dist-base", "1", "writes-per-key", "1000000", NULL};
    const char *const *const settings[] = {uniform, base_one};
    for (size_t s = 0; s < 2; s++) {
        struct world world;
        static struct tally tally;
        begin(&world, &workload_rw_register, settings[s]);
        run(&world, 4000);
        tally_run(&world, "w", &tally);
        assert_int_equal(tally.keys, 3);
        double all = (double)(tally.reads + tally.writes);
        for (int key = 0; key < 3; key++) {
            double share = (double)(tally.key_reads[key] + tally.key_writes[key]) / all;
            assert_true(share > 1 / 3.0 - 0.03 && share < 1 / 3.0 + 0.03);
        }
        end(&world);
    }
}

static void weights_and_lengths_are_kept(void **state)
{
    (void)state;
    static const char *const settings[] = {"read", "3",          "write", "1", "length-min",
                                           "5",    "length-max", "9",     NULL};
    struct world world;
    static struct tally tally;
    begin(&world, &workload_list_append, settings);
    run(&world, 2000);
    tally_run(&world, "append", &tally);
    assert_int_equal(tally.shortest, 5);
    assert_int_equal(tally.longest, 9);
    double share = (double)tally.writes / (double)(tally.reads + tally.writes);
    assert_true(share > 0.22 && share < 0.28);
    end(&world);
}

static void nonsense_becomes_the_nearest_sense(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "key-count", "-4", "writes-per-key", "0",  "length-min",    "0",   "length-max", "-1",
        "read",      "0",  "write",          "-1", "key-dist-base", "nan", NULL};
    struct world world;
    static struct tally tally;
    begin(&world, &workload_list_append, settings);
    run(&world, 500);
    tally_run(&world, "append", &tally);
    assert_int_equal(tally.longest, 1);
    assert_true(tally.reads > 150 && tally.writes > 150);
    for (int64_t key = 0; key < tally.keys; key++)
        assert_true(tally.key_writes[key] <= 1);
    end(&world);
}

/* A thousand keys of base 10: their powers are past what a double holds. */
static void very_many_keys_are_drawn(void **state)
{
    (void)state;
    static const char *const settings[] = {"key-count", "1000", "key-dist-base", "10", NULL};
    struct world world;
    begin(&world, &workload_list_append, settings);
    struct txn_keys keys;
    txn_keys_init(&keys, &world.arena, &world.plan.options, "list-append", "append",
                  &world.history);
    assert_int_equal(keys.mix.key_count, 1000);
    run(&world, 200);
    end(&world);
}

/* ---- Seeds ---- */

static uint64_t digest(uint64_t seed)
{
    struct world world;
    begin(&world, &workload_list_append, NULL);
    world.plan.seed = seed;
    run(&world, 500);
    uint64_t sum = 0;
    for (size_t i = 0; i < world.result.count; i++)
        if (world.result.events[i].type == OP_INVOKE)
            sum = sum * 31 + value_hash(world.result.events[i].value);
    end(&world);
    return sum;
}

static void seeds_reproduce(void **state)
{
    (void)state;
    assert_true(digest(42) == digest(42));
    assert_true(digest(42) != digest(43));
}

/* ---- The end ---- */

static void record(struct history *history, uint16_t f, int64_t key)
{
    enum err_code code;
    const struct value items[3] = {value_keyword(&history->arena, "append"), value_small(key),
                                   value_small(1)};
    struct value micro = value_items(&history->arena, VALUE_VECTOR, items, 3);
    struct op op = {
        .type = OP_INVOKE, .f = f, .value = value_items(&history->arena, VALUE_VECTOR, &micro, 1)};
    history_append(history, &op, &code);
    op.type = OP_OK;
    history_append(history, &op, &code);
}

static void every_key_is_read_in_the_end(void **state)
{
    (void)state;
    for (int wanted = 0; wanted < 2; wanted++) {
        const char *const settings[] = {"final-reads", wanted ? "true" : "false", NULL};
        struct world world;
        static struct tally tally;
        begin(&world, &workload_list_append, settings);
        uint16_t f = history_f(&world.history, "txn");
        for (int64_t key = 0; key < 11; key++)
            record(&world.history, f, (key * 7) % 11);
        struct simulate_options options = {
            .threads = 3, .seed = 7, .latency_ns_min = 1000, .latency_ns_max = 100000};
        simulate(world.workload->final_generator(&world.test, &world.arena), &options,
                 &world.result);
        assert_string_equal(world.result.broken, "");
        assert_true(world.result.all_done);
        tally_run(&world, "append", &tally);
        assert_int_equal(tally.writes, 0);
        assert_int_equal(tally.keys, wanted ? 11 : 0);
        for (int64_t key = 0; key < tally.keys; key++)
            assert_int_equal(tally.key_reads[key], 1);
        end(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_are_unique_and_keys_rotate),
        cmocka_unit_test(few_keys_are_in_use_at_a_time),
        cmocka_unit_test(exponential_keys_double),
        cmocka_unit_test(uniform_keys_are_alike),
        cmocka_unit_test(weights_and_lengths_are_kept),
        cmocka_unit_test(nonsense_becomes_the_nearest_sense),
        cmocka_unit_test(very_many_keys_are_drawn),
        cmocka_unit_test(seeds_reproduce),
        cmocka_unit_test(every_key_is_read_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
