/* Watching a run: a fake system that begins to lie is caught while it is asked, one that tells the
 * truth never is, and operations that are open at any moment convict nobody. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/control.h"
#include "harness/live.h"
#include "tests/lib/test.h"

enum { KEYS = 3, LIST_KEYS = 1024, LIST_MAX = 64 };

/* What operations look like: of one register, of one a key, or transactions over lists. */
enum shape { PLAIN, KEYED, LISTS, SHAPES };

/* A register a key, with one lock: linearizable until it lies. */
static struct {
    pthread_mutex_t lock;
    int64_t values[KEYS + 1];
    atomic_int lie_after; /* operations left until reads are stale; -1: never */
    atomic_int asked, violations;
    char why[1024];
    enum shape shape;
    int64_t lists[LIST_KEYS][LIST_MAX];
    size_t lengths[LIST_KEYS];
} system_state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct scheduler *scheduler;

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    (void)state, (void)test, (void)node, (void)err;
    return ERR_NONE;
}

/* One micro-operation; a lie is a list without anything in it. */
static void list_invoke(struct op *op, struct arena *scratch)
{
    struct value micro = value_at(op->value, 0), items[LIST_MAX];
    int64_t key = value_as_int(value_at(micro, 1));
    int number = atomic_fetch_add(&system_state.asked, 1);
    int lie_after = atomic_load(&system_state.lie_after);
    bool write = !value_is_nil(value_at(micro, 2)), lies = lie_after >= 0 && number >= lie_after;
    usleep(200);
    pthread_mutex_lock(&system_state.lock);
    size_t *length = &system_state.lengths[key];
    if (write && number % 22 != 0)
        system_state.lists[key][(*length)++] = value_as_int(value_at(micro, 2));
    size_t count = lies ? 0 : *length;
    for (size_t i = 0; i < count; i++)
        items[i] = value_int(NULL, system_state.lists[key][i]);
    pthread_mutex_unlock(&system_state.lock);
    usleep(200);
    if (!write) {
        const struct value done[3] = {value_at(micro, 0), value_at(micro, 1),
                                      value_items(scratch, VALUE_VECTOR, items, count)};
        micro = value_items(scratch, VALUE_VECTOR, done, 3);
        op->value = value_items(scratch, VALUE_VECTOR, &micro, 1);
    }
    if (number % 11 == 0)
        op_info(op, scratch, "timeout", NULL);
    else
        op_ok(op);
}

/* Every eleventh operation is indeterminate, and half of those happen. */
static void client_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)state, (void)test;
    if (system_state.shape == LISTS) {
        list_invoke(op, scratch);
        return;
    }
    bool keyed = system_state.shape == KEYED;
    int64_t key = keyed ? value_as_int(value_at(op->value, 0)) : KEYS;
    struct value argument = keyed ? value_at(op->value, 1) : op->value;
    int number = atomic_fetch_add(&system_state.asked, 1);
    int lie_after = atomic_load(&system_state.lie_after);
    bool write = op->f == 0;
    usleep(200);
    pthread_mutex_lock(&system_state.lock);
    int64_t value = system_state.values[key];
    if (write && number % 22 != 0)
        system_state.values[key] = value_as_int(argument);
    pthread_mutex_unlock(&system_state.lock);
    usleep(200);
    if (!write) {
        int64_t told = lie_after >= 0 && number >= lie_after ? INT64_C(1) << 20 : value;
        struct value result = told == 0 ? value_nil() : value_int(scratch, told);
        op->value = keyed ? value_pair(scratch, value_int(scratch, key), result) : result;
    }
    if (number % 11 == 0)
        op_info(op, scratch, "timeout", NULL);
    else
        op_ok(op);
}

static void client_close(void *state)
{
    (void)state;
}

static const struct client test_client = {
    .state_size = 8, .open = client_open, .invoke = client_invoke, .close = client_close};

/* Writes and reads by turns; functions 0 and 1. */
static bool fill(void *state, struct prng *prng, const struct generator_context *context,
                 struct generator_op *op)
{
    int64_t number = ++*(int64_t *)state;
    (void)prng;
    if (system_state.shape == LISTS) {
        struct arena *scratch = context->scratch;
        const struct value micro[3] = {
            value_keyword(scratch, number % 2 == 0 ? "append" : "r"),
            value_int(NULL, number / LIST_MAX),
            number % 2 == 0 ? value_int(NULL, number) : value_nil(),
        };
        struct value one = value_items(scratch, VALUE_VECTOR, micro, 3);
        op->f = 2;
        op->value = value_items(scratch, VALUE_VECTOR, &one, 1);
        return true;
    }
    op->f = number % 2 == 0 ? 0 : 1;
    struct value argument = op->f == 0 ? value_int(NULL, number) : value_nil();
    struct value key = value_int(NULL, number / 2 % KEYS);
    op->value =
        system_state.shape == KEYED ? value_pair(context->scratch, key, argument) : argument;
    return true;
}

static void on_violation(void *state, const char *why)
{
    (void)state;
    atomic_fetch_add(&system_state.violations, 1);
    snprintf(system_state.why, sizeof system_state.why, "%s", why);
    scheduler_stop(scheduler);
}

enum { SLOW_A_SECOND = 100 };

/* So many operations as fast as they go, and then `slow` at an easy pace. */
static uint32_t run(enum shape shape, int operations, int slow, int lie_after,
                    struct live_costs *costs)
{
    struct plan plan = {.op_timeout_ns = 100 * NS_PER_MS, .seed = 7};
    struct node nodes[1] = {{.name = "n"}};
    struct history history;
    struct arena arena = ARENA_INIT;
    struct control control = {.cancelled = false};
    struct err err = ERR_INIT;
    history_init(&history);
    history_f(&history, "write");
    history_f(&history, "read");
    history_f(&history, "txn");
    struct test test = {.plan = &plan,
                        .nodes = nodes,
                        .node_count = 1,
                        .history = &history,
                        .arena = &arena,
                        .epoch_ns = clock_monotonic_ns(),
                        .control = &control};
    memset(system_state.values, 0, sizeof system_state.values);
    atomic_store(&system_state.lie_after, lie_after);
    atomic_store(&system_state.asked, 0);
    atomic_store(&system_state.violations, 0);
    memset(system_state.lengths, 0, sizeof system_state.lengths);
    system_state.shape = shape;
    struct scheduler_options options = {.test = &test, .client = &test_client, .concurrency = 4};
    assert_ok(scheduler_open(&options, &scheduler, &err));
    struct json *set = json_object();
    json_set_text(set, "linearizable.model", "register");
    struct live_options watching = {.scheduler = scheduler,
                                    .checker = live_checkers[shape == LISTS],
                                    .options = set,
                                    .keyed = KEYED_GUESS,
                                    .rest_ns = 5 * NS_PER_MS,
                                    .on_violation = on_violation};
    struct live *live;
    int64_t number = 0;
    struct generator *of = generator_function(&arena, fill, &number, prng_stream(7, "live"));
    struct generator *parts[] = {
        generator_limit(&arena, (uint64_t)operations, of),
        generator_limit(
            &arena, (uint64_t)slow,
            generator_rate(&arena, SLOW_A_SECOND, PACE_FIXED,
                           generator_function(&arena, fill, &number, prng_stream(7, "slow")),
                           prng_stream(7, "pace"))),
    };
    struct generator *generator = generator_seq(&arena, parts, slow > 0 ? 2 : 1);
    assert_ok(live_start(&watching, &live, &err));
    uint32_t hung;
    assert_ok(scheduler_run(scheduler, generator, NS_PER_SECOND, &hung, &err));
    live_stop(live, costs);
    assert_int_equal(hung, 0);
    assert_ok(history_pair(&history, &err)); /* what the workers recorded is whole */
    uint32_t count = history.count;
    scheduler_close(scheduler);
    history_free(&history);
    arena_free(&arena);
    json_free(set);
    return count;
}

static void a_lie_ends_the_run(void **state)
{
    (void)state;
    for (enum shape shape = 0; shape < SHAPES; shape++) {
        struct live_costs costs;
        uint32_t events = run(shape, 40000, 0, 300, &costs);
        assert_int_equal(atomic_load(&system_state.violations), 1);
        if (shape == LISTS) {
            assert_contains(system_state.why, "not strict-serializable: ");
            assert_contains(system_state.why, "G-single-item-"); /* of a process, or in real time */
            assert_null(strchr(system_state.why, '\n'));
        } else {
            assert_contains(system_state.why, "not linearizable");
            assert_contains(system_state.why, "1048576");
        }
        assert_true(events < 2 * 40000); /* long before everything was asked */
        assert_true(costs.looks > 0 && costs.events > 0);
    }
}

static void the_truth_is_never_convicted(void **state)
{
    (void)state;
    for (enum shape shape = 0; shape < SHAPES; shape++) {
        struct live_costs costs = {.looks = 0};
        uint32_t events = 0;
        /* On a busy machine looks take long, and the rests after them nine times as long. */
        for (int operations = 3000; costs.looks < 3 && operations < 50000; operations *= 2) {
            events = run(shape, operations, 0, -1, &costs);
            assert_int_equal(atomic_load(&system_state.violations), 0);
        }
        assert_true(events > 5000);
        assert_true(costs.looks >= 3); /* it did look, in the midst of open operations */
        assert_true(costs.spent_ns > 0);
    }
}

/* Lists are read along: all of them is judged again only when a quarter more is there, and not at
 * looks while little comes. Those are waited for the longer the slower the machine is. */
static void lists_are_not_judged_at_every_look(void **state)
{
    (void)state;
    struct live_costs costs = {.looks = 0};
    for (int slow = 30; costs.judged == costs.looks && slow < 4000; slow *= 4)
        run(LISTS, 2000, slow, -1, &costs);
    assert_int_equal(atomic_load(&system_state.violations), 0);
    assert_true(costs.judged > 0 && costs.judged < costs.looks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lie_ends_the_run),
        cmocka_unit_test(the_truth_is_never_convicted),
        cmocka_unit_test(lists_are_not_judged_at_every_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
