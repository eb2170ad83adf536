/* The workloads set, counter, unique-ids, monotonic and log: shapes, mixes and ends. */
#include <string.h>

#include "harness/base/json.h"
#include "harness/workload.h"
#include "tests/lib/simulate.h"
#include "tests/lib/test.h"
#include "workloads/log.h"
#include "workloads/workloads.h"

struct world {
    struct plan plan;
    struct history history;
    struct test test;
    struct arena arena;
    struct simulate_result result;
};

static void begin(struct world *world, const struct workload *workload, const char *const *settings)
{
    *world = (struct world){
        .plan = {.options = {.values = json_object()}, .seed = 42, .concurrency = 6},
    };
    for (; settings != NULL && *settings != NULL; settings += 2)
        json_set_text(world->plan.options.values, settings[0], settings[1]);
    if (workload->options != NULL)
        option_defaults(&world->plan.options, workload->name, workload->options);
    history_init(&world->history);
    world->test = (struct test){.plan = &world->plan, .node_count = 3, .history = &world->history};
}

static void end(struct world *world)
{
    arena_free(&world->arena);
    history_free(&world->history);
    json_free(world->plan.options.values);
}

/* What the simulated system answers, where the next operation depends on it. */
static void (*outcome)(void *state, struct simulate_event *event);
static void *outcome_state;

static void run(struct world *world, struct generator *generator, uint64_t operations)
{
    struct simulate_options options = {.threads = (uint32_t)world->plan.concurrency,
                                       .seed = 7,
                                       .latency_ns_min = 1000,
                                       .latency_ns_max = 100000,
                                       .fail = 0.1,
                                       .info = 0.05,
                                       .outcome = outcome,
                                       .outcome_state = outcome_state,
                                       .ops_max = operations};
    memset(&world->result, 0, sizeof world->result);
    simulate(generator, &options, &world->result);
    assert_string_equal(world->result.broken, "");
}

/* What was asked also stands in the run's history, which the final phase looks at. */
static void remember(struct world *world)
{
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < world->result.count; i++) {
        const struct simulate_event *event = &world->result.events[i];
        struct op op = {.type = event->type,
                        .process = event->process,
                        .f = event->f,
                        .value = event->value,
                        .time_ns = event->time_ns};
        enum err_code code;
        history_append(&world->history, &op, &code);
        assert_int_equal(code, ERR_NONE);
    }
    arena_free(&arena);
}

static bool is(const struct world *world, const struct simulate_event *event, const char *f)
{
    return event->type == OP_INVOKE && strcmp(world->history.f_names[event->f], f) == 0;
}

static void sets_get_distinct_elements_side_by_side(void **state)
{
    (void)state;
    struct world world;
    const char *const settings[] = {"set.sets", "7", "set.read", "0.2", NULL};
    begin(&world, &workload_set, settings);
    run(&world, workload_set.generator(&world.test, &world.arena), 2000);
    int64_t reads = 0;
    bool seen[2000] = {false};
    for (size_t i = 0; i < world.result.count; i++) {
        const struct simulate_event *event = &world.result.events[i];
        int64_t set = value_as_int(value_at(event->value, 0));
        if (is(&world, event, "add")) {
            int64_t element = value_as_int(value_at(event->value, 1));
            assert_in_range(element, 0, 1999);
            assert_false(seen[element]); /* each once */
            seen[element] = true;
            assert_int_equal(set, element % 7);
        } else if (is(&world, event, "read")) {
            assert_true(value_is_nil(value_at(event->value, 1)));
            assert_in_range(set, 0, 6);
            reads++;
        }
    }
    assert_in_range(reads, 320, 480);
    assert_true(workload_set.keyed);
    remember(&world);
    simulate_free(&world.result);
    run(&world, workload_set.final_generator(&world.test, &world.arena), 0);
    assert_true(world.result.all_done);
    assert_int_equal(simulate_count(&world.result, OP_INVOKE, -1, 0, INT64_MAX), 7);
    simulate_free(&world.result);
    end(&world);
}

static void counters_go_up_and_down(void **state)
{
    (void)state;
    struct world world;
    const char *const settings[] = {
        "counter.counters", "4", "counter.most", "3", "counter.decrement", "0.5", NULL};
    begin(&world, &workload_counter, settings);
    run(&world, workload_counter.generator(&world.test, &world.arena), 2000);
    int64_t up = 0, down = 0, reads = 0;
    for (size_t i = 0; i < world.result.count; i++) {
        const struct simulate_event *event = &world.result.events[i];
        if (event->type != OP_INVOKE)
            continue;
        assert_in_range(value_as_int(value_at(event->value, 0)), 0, 3);
        int64_t amount = value_as_int(value_at(event->value, 1));
        reads += is(&world, event, "read");
        up += amount > 0;
        down += amount < 0;
        assert_true(amount >= -3 && amount <= 3);
        assert_true(is(&world, event, "read") == (amount == 0));
    }
    assert_in_range(reads, 700, 900);
    assert_in_range(up, 500, 700);
    assert_in_range(down, 500, 700);
    remember(&world);
    simulate_free(&world.result);
    run(&world, workload_counter.final_generator(&world.test, &world.arena), 0);
    assert_int_equal(simulate_count(&world.result, OP_INVOKE, -1, 0, INT64_MAX), 4);
    simulate_free(&world.result);
    end(&world);
}

static void identifiers_and_numbers_are_asked_for(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &workload_unique_ids, NULL);
    run(&world, workload_unique_ids.generator(&world.test, &world.arena), 50);
    simulate_free(&world.result);
    run(&world, workload_unique_ids.final_generator(&world.test, &world.arena), 0);
    assert_int_equal(simulate_count(&world.result, OP_INVOKE, -1, 0, INT64_MAX), 60);
    simulate_free(&world.result);
    end(&world);
    const char *const settings[] = {"monotonic.time", "1", "monotonic.last", "0", NULL};
    begin(&world, &workload_monotonic, settings);
    run(&world, workload_monotonic.generator(&world.test, &world.arena), 1000);
    size_t next =
        simulate_count(&world.result, OP_INVOKE, history_f(&world.history, "next"), 0, INT64_MAX);
    assert_in_range(next, 430, 570);
    assert_int_equal(
        simulate_count(&world.result, OP_INVOKE, history_f(&world.history, "last"), 0, INT64_MAX),
        0);
    simulate_free(&world.result);
    run(&world, workload_monotonic.final_generator(&world.test, &world.arena), 0);
    assert_int_equal(simulate_count(&world.result, OP_INVOKE, -1, 0, INT64_MAX), 12);
    simulate_free(&world.result);
    end(&world);
}

/* ---- log ---- */

/* A log system of which nothing fails; polls answer three records at most. */
struct logs {
    struct world *world;
    int64_t values[8][2000], count[8];
    struct arena arena;
};

static void answer(void *state, struct simulate_event *event)
{
    struct logs *logs = state;
    int64_t log = value_as_int(value_get(event->value, "log"));
    assert_in_range(log, 0, 7);
    event->type = OP_OK;
    if (strcmp(logs->world->history.f_names[event->f], "append") == 0) {
        logs->values[log][logs->count[log]++] = value_as_int(value_get(event->value, "value"));
        return;
    }
    struct value records[3];
    int64_t from = value_as_int(value_get(event->value, "from")), at = from;
    assert_in_range(from, 0, logs->count[log]);
    for (; at < from + 3 && at < logs->count[log]; at++)
        records[at - from] = value_pair(&logs->arena, value_int(&logs->arena, at),
                                        value_int(&logs->arena, logs->values[log][at]));
    struct value more[] = {
        value_keyword(&logs->arena, "records"),
        value_items(&logs->arena, VALUE_VECTOR, records, (size_t)(at - from)),
        value_keyword(&logs->arena, "end"),
        value_bool(at == logs->count[log]),
    };
    event->value = log_extended(event->value, more, 4, &logs->arena);
}

static void logs_are_read_to_their_ends(void **state)
{
    (void)state;
    struct world world;
    static struct logs logs;
    const char *const settings[] = {"log.logs", "2", "log.rewind", "0.05", NULL};
    begin(&world, &workload_log, settings);
    logs.world = &world;
    outcome = answer;
    outcome_state = &logs;
    run(&world, workload_log.generator(&world.test, &world.arena), 1500);
    int64_t values = 0, rewinds = 0, polls = 0;
    for (size_t i = 0; i < world.result.count; i++) {
        const struct simulate_event *event = &world.result.events[i];
        if (is(&world, event, "append"))
            assert_int_equal(value_as_int(value_get(event->value, "value")), values++);
        if (is(&world, event, "poll")) {
            polls++;
            rewinds += value_as_int(value_get(event->value, "from")) == 0;
        }
    }
    assert_in_range(polls, 500, 700);
    assert_in_range(rewinds, 15, 100); /* the others go on where they were */
    simulate_free(&world.result);
    run(&world, workload_log.final_generator(&world.test, &world.arena), 0);
    assert_true(world.result.all_done);
    int64_t seen = 0;
    for (size_t i = 0; i < world.result.count; i++)
        if (world.result.events[i].type == OP_OK)
            seen += (int64_t)value_count(value_get(world.result.events[i].value, "records"));
    assert_int_equal(seen, logs.count[0] + logs.count[1]);
    simulate_free(&world.result);
    arena_free(&logs.arena);
    outcome = NULL;
    end(&world);
}

static void refuse(void *state, struct simulate_event *event)
{
    (void)state;
    event->type = OP_FAIL;
}

/* A system that does not answer any more must not hang the run. */
static void logs_that_cannot_be_read_are_given_up(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &workload_log, NULL);
    outcome = refuse;
    run(&world, workload_log.final_generator(&world.test, &world.arena), 0);
    assert_true(world.result.all_done);
    assert_in_range(world.result.now_ns, 30 * NS_PER_SECOND, 40 * NS_PER_SECOND);
    simulate_free(&world.result);
    outcome = NULL;
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_get_distinct_elements_side_by_side),
        cmocka_unit_test(counters_go_up_and_down),
        cmocka_unit_test(identifiers_and_numbers_are_asked_for),
        cmocka_unit_test(logs_are_read_to_their_ends),
        cmocka_unit_test(logs_that_cannot_be_read_are_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
