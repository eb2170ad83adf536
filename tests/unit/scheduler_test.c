/* The scheduler on real threads: what it records is a true history, whatever clients do. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/control.h"
#include "harness/scheduler.h"
#include "tests/lib/test.h"

struct fixture {
    struct plan plan;
    struct test test;
    struct node nodes[3];
    struct history history;
    struct arena arena;
    struct control control;
    struct scheduler *scheduler;
};

static atomic_int opened, closed, refuse_opening, hang, slow_us;

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    (void)state, (void)test, (void)node;
    if (atomic_load(&refuse_opening))
        return err_set(err, ERR_IO, "nobody is there");
    atomic_fetch_add(&opened, 1);
    return ERR_NONE;
}

/* Even values succeed, 1 fails, 3 is indeterminate, 5 is not answered at all. */
static void client_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)state, (void)test;
    while (atomic_load(&hang))
        usleep(1000);
    if (atomic_load(&slow_us) > 0)
        usleep((useconds_t)atomic_load(&slow_us));
    int64_t value = value_as_int(op->value);
    if (value == 1)
        op_fail(op, scratch, "refused", "told so");
    else if (value == 3)
        op_info(op, scratch, "timeout", NULL);
    else if (value != 5)
        op_ok(op);
    if (value == 3)
        op->value = value_int(NULL, 99); /* a client's guess is not what was asked */
}

static void client_close(void *state)
{
    (void)state;
    atomic_fetch_add(&closed, 1);
}

static const struct client test_client = {
    .state_size = 8, .open = client_open, .invoke = client_invoke, .close = client_close};

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    history_init(&fixture.history);
    fixture.arena = ARENA_INIT;
    fixture.plan = (struct plan){.op_timeout_ns = 100 * NS_PER_MS, .seed = 7};
    for (uint32_t i = 0; i < 3; i++)
        fixture.nodes[i] = (struct node){.index = i, .name = "n"};
    fixture.test = (struct test){.plan = &fixture.plan,
                                 .nodes = fixture.nodes,
                                 .node_count = 3,
                                 .history = &fixture.history,
                                 .arena = &fixture.arena,
                                 .epoch_ns = clock_monotonic_ns(),
                                 .control = &fixture.control};
    atomic_store(&opened, 0);
    atomic_store(&closed, 0);
    atomic_store(&refuse_opening, 0);
    atomic_store(&hang, 0);
    atomic_store(&slow_us, 0);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    scheduler_close(fixture->scheduler);
    history_free(&fixture->history);
    arena_free(&fixture->arena);
    return 0;
}

static void open_scheduler(struct fixture *fixture, uint32_t concurrency)
{
    struct err err = ERR_INIT;
    struct scheduler_options options = {
        .test = &fixture->test, .client = &test_client, .concurrency = concurrency};
    assert_ok(scheduler_open(&options, &fixture->scheduler, &err));
}

static bool fill(void *state, struct prng *prng, const struct generator_context *context,
                 struct generator_op *op)
{
    (void)context;
    op->f = 0;
    op->value = value_int(NULL, (int64_t)prng_below(prng, *(uint64_t *)state));
    return true;
}

static struct generator *values_below(struct fixture *fixture, uint64_t bound)
{
    uint64_t *state = arena_alloc(&fixture->arena, sizeof *state);
    *state = bound;
    history_f(&fixture->history, "do");
    return generator_function(&fixture->arena, fill, state, prng_stream(7, "test"));
}

static void every_operation_completes_and_pairs(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    open_scheduler(fixture, 8);
    struct generator *generator = generator_limit(&fixture->arena, 20000, values_below(fixture, 6));
    assert_ok(scheduler_run(fixture->scheduler, generator, NS_PER_SECOND, NULL, &err));
    assert_int_equal(fixture->history.count, 40000);
    assert_ok(history_pair(&fixture->history, &err));
    uint64_t outcomes[4] = {0};
    for (uint32_t i = 0; i < fixture->history.count; i++) {
        if (i > 0)
            assert_true(fixture->history.time_ns[i] >= fixture->history.time_ns[i - 1]);
        if (fixture->history.type[i] != OP_INVOKE)
            continue;
        uint32_t completion = fixture->history.partner[i];
        assert_int_not_equal(completion, HISTORY_NONE);
        int64_t asked = value_as_int(fixture->history.value[i]);
        enum op_type outcome = history_outcome(&fixture->history, i);
        outcomes[outcome]++;
        assert_int_equal(outcome, asked == 1                 ? OP_FAIL
                                  : asked == 3 || asked == 5 ? OP_INFO
                                                             : OP_OK);
        assert_int_equal(value_as_int(fixture->history.value[completion]), asked);
    }
    struct scheduler_counts counts = scheduler_counts(fixture->scheduler);
    assert_int_equal(counts.invoked, 20000);
    assert_int_equal(counts.ok, outcomes[OP_OK]);
    assert_int_equal(counts.fail, outcomes[OP_FAIL]);
    assert_int_equal(counts.info, outcomes[OP_INFO]);
    assert_int_equal(atomic_load(&opened), atomic_load(&closed));
}

/* history_pair refuses a process that invokes twice, so pairing proves the numbers fresh; here that
 * they follow. */
static void an_indeterminate_worker_takes_a_new_process_number(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    open_scheduler(fixture, 2);
    uint16_t f = history_f(&fixture->history, "do");
    struct generator *generator = generator_limit(
        &fixture->arena, 3, generator_repeat_op(&fixture->arena, f, value_int(NULL, 3)));
    generator = generator_on_clients(&fixture->arena, generator);
    assert_ok(scheduler_run(fixture->scheduler, generator, NS_PER_SECOND, NULL, &err));
    bool seen[16] = {false};
    for (uint32_t i = 0; i < fixture->history.count; i++)
        if (fixture->history.type[i] == OP_INVOKE) {
            int32_t process = fixture->history.process[i];
            assert_in_range(process, 0, 15);
            assert_false(seen[process]);
            seen[process] = true;
        }
}

static void a_client_that_cannot_open_fails_before_it_invokes(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    open_scheduler(fixture, 1);
    atomic_store(&refuse_opening, 1);
    uint16_t f = history_f(&fixture->history, "do");
    struct generator *generator = generator_limit(
        &fixture->arena, 2, generator_repeat_op(&fixture->arena, f, value_int(NULL, 2)));
    assert_ok(scheduler_run(fixture->scheduler, generator, NS_PER_SECOND, NULL, &err));
    assert_int_equal(fixture->history.count, 4);
    assert_int_equal(fixture->history.type[1], OP_FAIL);
    struct op failed = history_op(&fixture->history, 1);
    assert_string_equal(value_as_text(value_at(failed.error, 0)), "no-client");
    assert_string_equal(value_as_text(value_at(failed.error, 1)), "nobody is there");
}

static struct generator *make_key(void *state, struct arena *arena, uint64_t key)
{
    (void)key;
    return generator_limit(arena, 20,
                           generator_function(arena, fill, state, prng_stream(7, "key")));
}

/* Groups wait for their slowest operation before the next key: every kind of waiting, over and
 * over. */
static void keys_go_on_whatever_becomes_of_operations(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    uint64_t bound = 4;
    open_scheduler(fixture, 10);
    history_f(&fixture->history, "do");
    struct generator *generator = generator_keys(&fixture->arena, 5, 50, make_key, &bound);
    generator =
        generator_rate(&fixture->arena, 20000, PACE_POISSON, generator, prng_stream(7, "rate"));
    generator = generator_time_limit(&fixture->arena, 20 * NS_PER_SECOND, generator);
    assert_ok(scheduler_run(fixture->scheduler, generator, NS_PER_SECOND, NULL, &err));
    assert_int_equal(fixture->history.count, 2 * 50 * 20);
    assert_ok(history_pair(&fixture->history, &err));
}

static void *stop_soon(void *scheduler)
{
    usleep(30000);
    scheduler_stop(scheduler);
    return NULL;
}

static void stopping_wakes_those_who_wait(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    open_scheduler(fixture, 4);
    struct generator *generator = generator_sleep(&fixture->arena, 3600 * NS_PER_SECOND);
    pthread_t stopper;
    int64_t began_ns = clock_monotonic_ns();
    assert_int_equal(pthread_create(&stopper, NULL, stop_soon, fixture->scheduler), 0);
    assert_ok(scheduler_run(fixture->scheduler, generator, NS_PER_SECOND, NULL, &err));
    pthread_join(stopper, NULL);
    assert_true(clock_monotonic_ns() - began_ns < 20 * NS_PER_SECOND);
    assert_int_equal(fixture->history.count, 0);
}

static void a_hung_client_is_left_behind_and_its_operation_open(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    open_scheduler(fixture, 2);
    atomic_store(&hang, 1);
    uint16_t f = history_f(&fixture->history, "do");
    struct generator *generator = generator_limit(
        &fixture->arena, 1, generator_repeat_op(&fixture->arena, f, value_int(NULL, 2)));
    uint32_t hung = 0;
    assert_ok(scheduler_run(fixture->scheduler, generator, 50 * NS_PER_MS, &hung, &err));
    assert_int_equal(hung, 1);
    assert_int_equal(fixture->history.count, 1);
    /* A second phase goes on with a new process in its place. */
    atomic_store(&hang, 0);
    usleep(20000);
    struct generator *again = generator_limit(
        &fixture->arena, 10, generator_repeat_op(&fixture->arena, f, value_int(NULL, 2)));
    assert_ok(scheduler_run(fixture->scheduler, again, NS_PER_SECOND, &hung, &err));
    assert_int_equal(hung, 0);
    assert_int_equal(fixture->history.count, 21);
    assert_ok(history_pair(&fixture->history, &err));
}

/* Without a rate every client is busy whenever one looks. */
static void clients_that_are_always_busy_do_not_hang(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    atomic_store(&slow_us, 3000);
    fixture->plan.op_timeout_ns = 10 * NS_PER_MS;
    open_scheduler(fixture, 2);
    struct generator *generator = generator_limit(&fixture->arena, 200, values_below(fixture, 1));
    uint32_t hung = 0;
    assert_ok(scheduler_run(fixture->scheduler, generator, 110 * NS_PER_MS, &hung, &err));
    assert_int_equal(hung, 0);
    assert_int_equal(scheduler_counts(fixture->scheduler).ok, 200);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_operation_completes_and_pairs),
        TEST(an_indeterminate_worker_takes_a_new_process_number),
        TEST(a_client_that_cannot_open_fails_before_it_invokes),
        TEST(keys_go_on_whatever_becomes_of_operations),
        TEST(stopping_wakes_those_who_wait),
        TEST(a_hung_client_is_left_behind_and_its_operation_open),
        TEST(clients_that_are_always_busy_do_not_hang),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
