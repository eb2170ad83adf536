/* The lock workload: who holds releases, who does not asks, and all that follows from the seed. */
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "harness/workload.h"
#include "tests/lib/simulate.h"
#include "tests/lib/test.h"
#include "workloads/workloads.h"

struct world {
    struct plan plan;
    struct history history;
    struct test test;
    struct arena arena;
    struct simulate_result result;
};

static void begin(struct world *world, double fail, double info)
{
    *world = (struct world){
        .plan = {.options = {.values = json_object()}, .seed = 42, .concurrency = 6},
    };
    option_defaults(&world->plan.options, "lock", workload_lock.options);
    history_init(&world->history);
    world->test = (struct test){.plan = &world->plan, .node_count = 3, .history = &world->history};
    struct simulate_options options = {.threads = 6,
                                       .seed = 7,
                                       .latency_ns_min = NS_PER_MS,
                                       .latency_ns_max = 10 * NS_PER_MS,
                                       .fail = fail,
                                       .info = info,
                                       .ops_max = 4000};
    simulate(workload_lock.generator(&world->test, &world->arena), &options, &world->result);
    assert_string_equal(world->result.broken, "");
}

static void end(struct world *world)
{
    simulate_free(&world->result);
    arena_free(&world->arena);
    history_free(&world->history);
    json_free(world->plan.options.values);
}

/* By process: the lock that it holds, -1: none. */
enum { PROCESSES = 100000 };
static int64_t held[PROCESSES];

/* Follows each process: it releases what it holds until that is ok or unknown, and acquires
 * nothing meanwhile. */
static void follow(const struct world *world, size_t *acquired, size_t *released)
{
    memset(held, 0xff, sizeof held);
    for (size_t i = 0; i < world->result.count; i++) {
        const struct simulate_event *event = &world->result.events[i];
        assert_in_range(event->process, 0, PROCESSES - 1);
        bool acquires = strcmp(world->history.f_names[event->f], "acquire") == 0;
        int64_t lock = value_as_int(value_at(event->value, 0));
        int64_t *mine = &held[event->process];
        assert_true(value_is_pair(event->value));
        if (event->type == OP_INVOKE)
            assert_int_equal(*mine, acquires ? -1 : lock);
        if (event->type == OP_OK && acquires)
            *mine = lock;
        if ((event->type == OP_OK || event->type == OP_INFO) && !acquires)
            *mine = -1;
        *acquired += event->type == OP_OK && acquires;
        *released += event->type == OP_OK && !acquires;
    }
}

static void holders_release_and_others_ask(void **state)
{
    (void)state;
    struct world world;
    size_t acquired = 0, released = 0;
    begin(&world, 0.2, 0.1);
    follow(&world, &acquired, &released);
    assert_in_range(acquired, 500, 4000);
    assert_in_range(released, 500, 4000);
    end(&world);
}

static void every_lock_is_released_before_the_next_one(void **state)
{
    (void)state;
    struct world world;
    size_t acquired = 0, released = 0;
    begin(&world, 0, 0);
    follow(&world, &acquired, &released);
    assert_true(acquired - released <= 6);
    end(&world);
}

static void the_same_seed_asks_the_same(void **state)
{
    (void)state;
    struct world one, other;
    begin(&one, 0.1, 0.1);
    begin(&other, 0.1, 0.1);
    assert_int_equal(one.result.count, other.result.count);
    for (size_t i = 0; i < one.result.count; i++)
        assert_true(value_equal(one.result.events[i].value, other.result.events[i].value) &&
                    one.result.events[i].time_ns == other.result.events[i].time_ns);
    end(&one);
    end(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holders_release_and_others_ask),
        cmocka_unit_test(every_lock_is_released_before_the_next_one),
        cmocka_unit_test(the_same_seed_asks_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
