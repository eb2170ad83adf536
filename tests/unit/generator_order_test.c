/* Sources and order: once, repeat_op, function; seq, phases, cycle, flip_flop. */
#include "tests/lib/simulate.h"
#include "tests/lib/test.h"

enum { A = 1, B, C };

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

static void run(struct generator *generator, uint32_t threads, bool nemesis)
{
    struct simulate_options options = {.threads = threads,
                                       .nemesis = nemesis,
                                       .seed = 7,
                                       .latency_ns_min = NS_PER_MS,
                                       .latency_ns_max = 20 * NS_PER_MS,
                                       .fail = 0.1,
                                       .info = 0.1,
                                       .end_ns = 1000 * NS_PER_SECOND};
    simulate_free(&result);
    simulate(generator, &options, &result);
    assert_string_equal(result.broken, "");
}

static size_t invoked(int f)
{
    return simulate_count(&result, OP_INVOKE, f, 0, INT64_MAX);
}

static struct generator *ops(uint64_t count, uint16_t f)
{
    return generator_limit(&arena, count, generator_repeat_op(&arena, f, value_int(NULL, f)));
}

/* The times of the first and the last event of function f that is, or is not, an invocation. */
static void span(int f, bool invocations, int64_t *first_ns, int64_t *last_ns)
{
    *first_ns = INT64_MAX;
    *last_ns = -1;
    for (size_t i = 0; i < result.count; i++) {
        const struct simulate_event *event = &result.events[i];
        if (event->f != f || (event->type == OP_INVOKE) != invocations)
            continue;
        if (*first_ns == INT64_MAX)
            *first_ns = event->time_ns;
        *last_ns = event->time_ns;
    }
}

static void nothing_is_done_at_once(void **state)
{
    (void)state;
    run(generator_nothing(&arena), 3, true);
    assert_true(result.all_done);
    assert_int_equal(result.count, 0);
    assert_int_equal(result.now_ns, 0);
}

static void once_gives_its_value_once(void **state)
{
    (void)state;
    struct arena own = ARENA_INIT;
    struct generator *once = generator_once(&arena, A, value_string(&own, "hello"));
    arena_free(&own); /* the generator has a copy */
    run(once, 4, true);
    assert_true(result.all_done);
    assert_int_equal(result.count, 2);
    assert_string_equal(value_as_text(result.events[0].value), "hello");
    assert_int_equal(result.events[0].type, OP_INVOKE);
}

struct counter {
    int64_t next, end;
};

static bool count_up(void *state, struct prng *prng, const struct generator_context *context,
                     struct generator_op *op)
{
    struct counter *counter = state;
    (void)prng;
    assert_true(value_is_nil(op->value));
    assert_int_equal(op->not_before_ns, context->now_ns);
    op->f = A;
    op->value = value_int(context->scratch, counter->next);
    return counter->next++ < counter->end;
}

static void a_function_gives_until_it_returns_false(void **state)
{
    (void)state;
    struct counter counter = {.end = 50};
    run(generator_function(&arena, count_up, &counter, prng_stream(1, "f")), 4, false);
    assert_true(result.all_done);
    assert_int_equal(invoked(A), 50);
    bool seen[50] = {false};
    for (size_t i = 0; i < result.count; i++)
        if (result.events[i].type == OP_INVOKE)
            seen[value_as_int(result.events[i].value)] = true;
    for (int i = 0; i < 50; i++)
        assert_true(seen[i]);
    assert_int_equal(counter.next, 51); /* asked once more, then never again */
}

static void seq_goes_on_without_waiting(void **state)
{
    (void)state;
    struct generator *parts[] = {ops(5, A), generator_nothing(&arena), ops(6, B)};
    run(generator_seq(&arena, parts, 3), 3, false);
    assert_true(result.all_done);
    assert_int_equal(invoked(A), 5);
    assert_int_equal(invoked(B), 6);
    int64_t first_a, last_a, first_b, last_b, first_reply, last_reply;
    span(A, true, &first_a, &last_a);
    span(B, true, &first_b, &last_b);
    span(A, false, &first_reply, &last_reply);
    assert_true(last_a <= first_b);
    assert_true(first_b < last_reply); /* while operations of A were out */
}

static void an_empty_seq_is_done(void **state)
{
    (void)state;
    run(generator_seq(&arena, NULL, 0), 2, true);
    assert_true(result.all_done);
    run(generator_phases(&arena, NULL, 0), 2, true);
    assert_true(result.all_done);
}

static void phases_wait_for_every_operation(void **state)
{
    (void)state;
    struct generator *parts[] = {ops(5, A), ops(20, B), ops(1, C)};
    run(generator_phases(&arena, parts, 3), 4, true);
    assert_true(result.all_done);
    assert_int_equal(invoked(A), 5);
    assert_int_equal(invoked(B), 20);
    assert_int_equal(invoked(C), 1);
    for (int f = A; f < C; f++) {
        int64_t first, last, first_next, last_next;
        span(f, false, &first, &last);
        span(f + 1, true, &first_next, &last_next);
        assert_int_equal(first_next, last); /* at once, and never sooner */
    }
}

static struct generator *make_a_each(void *state, struct arena *into, uint64_t round)
{
    (void)state;
    return generator_limit(into, 3 + round, generator_repeat_op(into, A, value_nil()));
}

static void phases_wait_for_threads_with_more_to_do(void **state)
{
    (void)state;
    struct generator *parts[] = {generator_each_thread(&arena, make_a_each, NULL), ops(4, B)};
    run(generator_phases(&arena, parts, 2), 4, false);
    assert_true(result.all_done);
    assert_int_equal(invoked(A), 3 + 4 + 5 + 6);
    int64_t first, last, first_b, last_b;
    span(A, false, &first, &last);
    span(B, true, &first_b, &last_b);
    assert_int_equal(first_b, last);
}

static void phases_wait_for_the_nemesis_only_where_it_asks(void **state)
{
    (void)state;
    struct generator *parts[] = {generator_on_nemesis(&arena, ops(2, A)),
                                 generator_on_clients(&arena, ops(6, B)), ops(1, C)};
    run(generator_phases(&arena, parts, 3), 2, true);
    assert_true(result.all_done);
    assert_int_equal(invoked(A), 2);
    assert_int_equal(invoked(B), 6);
    int64_t first, last, first_b, last_b;
    span(A, false, &first, &last);
    span(B, true, &first_b, &last_b);
    assert_int_equal(first_b, last);
    /* In a split the clients' phases do not wait for the nemesis, nor the nemesis' for them. */
    struct generator *clients[] = {ops(3, B), ops(3, C)}, *faults[] = {ops(1, A), ops(2, A)};
    run(generator_split(&arena, generator_phases(&arena, clients, 2),
                        generator_phases(&arena, faults, 2)),
        2, true);
    assert_true(result.all_done);
    assert_int_equal(invoked(C), 3);
    assert_int_equal(invoked(A), 3);
}

static void phases_of_sleeps_pass(void **state)
{
    (void)state;
    struct generator *parts[] = {generator_sleep(&arena, NS_PER_SECOND), ops(1, A),
                                 generator_sleep(&arena, NS_PER_SECOND), ops(1, B)};
    run(generator_phases(&arena, parts, 4), 3, true);
    assert_true(result.all_done);
    int64_t first, last, first_b, last_b;
    span(A, true, &first, &last);
    assert_int_equal(first, NS_PER_SECOND);
    span(A, false, &first, &last);
    span(B, true, &first_b, &last_b);
    assert_int_equal(first_b, last + NS_PER_SECOND);
}

static struct generator *make_round(void *state, struct arena *into, uint64_t round)
{
    uint64_t *rounds = state;
    assert_int_equal(round, (*rounds)++);
    return generator_limit(into, 2, generator_repeat_op(into, A, value_int(into, (int64_t)round)));
}

static void cycle_makes_each_round_anew(void **state)
{
    (void)state;
    uint64_t rounds = 0;
    run(generator_cycle(&arena, make_round, &rounds, 30), 3, true);
    assert_true(result.all_done);
    assert_int_equal(rounds, 30);
    assert_int_equal(invoked(A), 60);
    int64_t last = 0;
    for (size_t i = 0; i < result.count; i++) { /* a barrier: rounds never overlap */
        assert_true(value_as_int(result.events[i].value) >= last);
        last = value_as_int(result.events[i].value);
    }
    rounds = 0;
    run(generator_limit(&arena, 101, generator_cycle(&arena, make_round, &rounds, 0)), 3, false);
    assert_true(result.all_done);
    assert_int_equal(invoked(A), 101);
}

static struct generator *make_idle(void *state, struct arena *into, uint64_t round)
{
    (void)round;
    ++*(uint64_t *)state;
    return round % 2 == 0 ? generator_nothing(into) : NULL;
}

static void a_cycle_of_nothing_ends(void **state)
{
    (void)state;
    uint64_t rounds = 0;
    run(generator_cycle(&arena, make_idle, &rounds, 0), 2, true);
    assert_true(result.all_done);
    assert_int_equal(rounds, 1000);
}

static void flip_flop_alternates(void **state)
{
    (void)state;
    for (uint32_t threads = 8; threads > 0; threads /= 2) {
        run(generator_flip_flop(&arena, generator_repeat_op(&arena, A, value_nil()), ops(10, B)),
            threads, threads > 1);
        assert_true(result.all_done);
        assert_int_equal(invoked(A), 11); /* its turn comes before B is found to be DONE */
        assert_int_equal(invoked(B), 10);
    }
    int expected = A; /* with one thread also in the order of invocation */
    for (size_t i = 0; i < result.count; i++) {
        if (result.events[i].type != OP_INVOKE)
            continue;
        assert_int_equal(result.events[i].f, expected);
        expected = A + B - expected;
    }
}

static void flip_flop_between_clients_and_nemesis(void **state)
{
    (void)state;
    run(generator_flip_flop(
            &arena, generator_on_clients(&arena, generator_repeat_op(&arena, A, value_nil())),
            generator_on_nemesis(&arena, ops(5, B))),
        3, true);
    assert_true(result.all_done);
    assert_int_equal(invoked(A), 6);
    assert_int_equal(invoked(B), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_done_at_once),
        cmocka_unit_test(once_gives_its_value_once),
        cmocka_unit_test(a_function_gives_until_it_returns_false),
        cmocka_unit_test(seq_goes_on_without_waiting),
        cmocka_unit_test(an_empty_seq_is_done),
        cmocka_unit_test(phases_wait_for_every_operation),
        cmocka_unit_test(phases_wait_for_threads_with_more_to_do),
        cmocka_unit_test(phases_wait_for_the_nemesis_only_where_it_asks),
        cmocka_unit_test(phases_of_sleeps_pass),
        cmocka_unit_test(cycle_makes_each_round_anew),
        cmocka_unit_test(a_cycle_of_nothing_ends),
        cmocka_unit_test(flip_flop_alternates),
        cmocka_unit_test(flip_flop_between_clients_and_nemesis),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
