/* Bounds and time: limit, time_limit, until_ok; rate, sleep. */
#include <math.h>

#include "tests/lib/simulate.h"
#include "tests/lib/test.h"

enum { A = 1, B };

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
                                     .seed = 11,
                                     .latency_ns_min = NS_PER_MS,
                                     .latency_ns_max = 5 * NS_PER_MS,
                                     .end_ns = 1000 * NS_PER_SECOND};
}

static void run(struct generator *generator, struct simulate_options options)
{
    simulate_free(&result);
    simulate(generator, &options, &result);
    assert_string_equal(result.broken, "");
}

static size_t invoked_between(int64_t from_ns, int64_t to_ns)
{
    return simulate_count(&result, OP_INVOKE, -1, from_ns, to_ns);
}

static struct generator *forever(uint16_t f)
{
    return generator_repeat_op(&arena, f, value_nil());
}

static void limit_counts_operations(void **state)
{
    (void)state;
    run(generator_limit(&arena, 17, forever(A)), defaults(5));
    assert_true(result.all_done);
    assert_int_equal(invoked_between(0, INT64_MAX), 17);
    run(generator_limit(&arena, 0, forever(A)), defaults(5));
    assert_true(result.all_done);
    assert_int_equal(result.count, 0);
}

static void limit_frees_those_who_wait_inside(void **state)
{
    (void)state;
    /* The second phase is cut short after one operation; the threads that wait in phases hear it.
     */
    struct generator *parts[] = {generator_once(&arena, A, value_nil()), forever(B)};
    run(generator_limit(&arena, 1, generator_phases(&arena, parts, 2)), defaults(3));
    assert_true(result.all_done);
    assert_int_equal(invoked_between(0, INT64_MAX), 1);
}

static void time_limit_gives_nothing_out_past_the_end(void **state)
{
    (void)state;
    run(generator_time_limit(&arena, 2 * NS_PER_SECOND, forever(A)), defaults(4));
    assert_true(result.all_done);
    assert_true(invoked_between(0, 2 * NS_PER_SECOND) > 1000);
    assert_int_equal(invoked_between(2 * NS_PER_SECOND, INT64_MAX), 0);
    /* Reserved operations count by their own time. */
    run(generator_time_limit(
            &arena, 2 * NS_PER_SECOND,
            generator_rate(&arena, 10, PACE_FIXED, forever(A), prng_stream(1, "rate"))),
        defaults(50));
    assert_true(result.all_done);
    assert_int_equal(invoked_between(0, INT64_MAX), 20);
}

static void time_limit_begins_at_the_first_question_and_wakes_at_its_end(void **state)
{
    (void)state;
    struct generator *parts[] = {
        generator_sleep(&arena, NS_PER_SECOND),
        generator_time_limit(&arena, NS_PER_SECOND, generator_sleep(&arena, 500 * NS_PER_SECOND)),
        generator_once(&arena, A, value_nil())};
    run(generator_seq(&arena, parts, 3), defaults(2));
    assert_true(result.all_done);
    assert_int_equal(result.events[0].time_ns, 2 * NS_PER_SECOND);
    run(generator_time_limit(&arena, INT64_MAX, generator_limit(&arena, 3, forever(A))),
        defaults(2));
    assert_int_equal(invoked_between(0, INT64_MAX), 3);
    run(generator_time_limit(&arena, -5, forever(A)), defaults(2));
    assert_int_equal(result.count, 0);
}

static void third_succeeds(void *state, struct simulate_event *event)
{
    event->type = ++*(int *)state == 3 ? OP_OK : *(int *)state % 2 == 0 ? OP_FAIL : OP_INFO;
}

static void until_ok_ends_with_success(void **state)
{
    (void)state;
    int completions = 0;
    struct simulate_options options = defaults(1);
    options.outcome = third_succeeds;
    options.outcome_state = &completions;
    run(generator_until_ok(&arena, forever(A)), options);
    assert_true(result.all_done);
    assert_int_equal(completions, 3);
    completions = 10; /* never; then `of` bounds it */
    run(generator_until_ok(&arena, generator_limit(&arena, 4, forever(A))), options);
    assert_true(result.all_done);
    assert_int_equal(completions, 14);
}

static void sleep_lasts_from_its_first_question(void **state)
{
    (void)state;
    struct generator *parts[] = {generator_limit(&arena, 2, forever(A)),
                                 generator_sleep(&arena, 3 * NS_PER_SECOND),
                                 generator_once(&arena, B, value_nil())};
    run(generator_seq(&arena, parts, 3), defaults(2));
    assert_true(result.all_done);
    int64_t first_done = 0, b = 0;
    for (size_t i = 0; i < result.count; i++) {
        if (first_done == 0 && result.events[i].type != OP_INVOKE)
            first_done = result.events[i].time_ns;
        if (result.events[i].f == B && result.events[i].type == OP_INVOKE)
            b = result.events[i].time_ns;
    }
    assert_int_equal(b, first_done + 3 * NS_PER_SECOND);
    run(generator_sleep(&arena, 0), defaults(2));
    assert_true(result.all_done);
    assert_int_equal(result.now_ns, 0);
}

static void a_fixed_rate_is_kept_to_the_operation(void **state)
{
    (void)state;
    struct simulate_options options = defaults(20);
    options.end_ns = 100 * NS_PER_SECOND - NS_PER_US;
    run(generator_rate(&arena, 300, PACE_FIXED, forever(A), prng_stream(1, "rate")), options);
    assert_int_equal(invoked_between(0, INT64_MAX), 30000);
    int64_t last = -1;
    for (size_t i = 0; i < result.count; i++) {
        if (result.events[i].type != OP_INVOKE)
            continue;
        if (last >= 0)
            assert_in_range(result.events[i].time_ns - last, 3333332, 3333335);
        last = result.events[i].time_ns;
    }
}

static void a_poisson_rate_has_the_mean_and_the_spread(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        struct simulate_options options = defaults(20);
        options.end_ns = 100 * NS_PER_SECOND;
        run(generator_rate(&arena, 200, PACE_POISSON, forever(A), prng_stream(seed, "rate")),
            options);
        double count = (double)invoked_between(0, INT64_MAX);
        assert_true(fabs(count - 20000) < 3 * sqrt(20000));
        /* Counts of a Poisson process in equal windows have a variance equal to their mean. */
        double squares = 0;
        size_t in_window[1000] = {0};
        for (size_t i = 0; i < result.count; i++)
            if (result.events[i].type == OP_INVOKE && result.events[i].time_ns < options.end_ns)
                in_window[result.events[i].time_ns / (100 * NS_PER_MS)]++;
        for (int i = 0; i < 1000; i++)
            squares += pow((double)in_window[i] - 20, 2);
        assert_true(fabs(squares / 1000 / 20 - 1) < 0.2); /* 4.5 sigma */
    }
}

static void a_stall_does_not_make_a_burst(void **state)
{
    (void)state;
    /* Four threads of 2 s latency at 10/s can do only 2/s: ever late, never bunched by more than
     * the threads that were waiting for their reply plus one gap's worth. */
    struct simulate_options options = defaults(4);
    options.latency_ns_min = options.latency_ns_max = 2 * NS_PER_SECOND;
    options.end_ns = 100 * NS_PER_SECOND;
    run(generator_rate(&arena, 10, PACE_FIXED, forever(A), prng_stream(1, "rate")), options);
    for (int64_t t = 0; t < options.end_ns; t += 100 * NS_PER_MS)
        assert_true(invoked_between(t, t + 100 * NS_PER_MS) <= 2);
    /* A generator first asked, or asked again, long after its schedule began gives two operations
     * at most at that moment. */
    struct generator *rate =
        generator_rate(&arena, 10, PACE_FIXED, forever(A), prng_stream(1, "rate"));
    int64_t due[4];
    for (int i = 0; i < 4; i++) {
        struct generator_context context = {
            .now_ns = i == 0 ? 0 : 60 * NS_PER_SECOND, .thread = i, .thread_count = 4};
        struct generator_op op;
        assert_int_equal(generator_next(rate, &context, &op), GENERATOR_OP);
        due[i] = op.not_before_ns - context.now_ns;
    }
    assert_int_equal(due[0], 0);
    assert_int_equal(due[1], -100 * NS_PER_MS);
    assert_int_equal(due[2], 0);
    assert_int_equal(due[3], 100 * NS_PER_MS);
}

static void a_rate_without_bound_changes_nothing(void **state)
{
    (void)state;
    struct generator *of = forever(A);
    assert_ptr_equal(generator_rate(&arena, 0, PACE_FIXED, of, prng_stream(1, "r")), of);
    assert_ptr_equal(generator_rate(&arena, -1, PACE_FIXED, of, prng_stream(1, "r")), of);
    assert_ptr_equal(generator_rate(&arena, NAN, PACE_FIXED, of, prng_stream(1, "r")), of);
    run(generator_limit(&arena, 10,
                        generator_rate(&arena, INFINITY, PACE_FIXED, of, prng_stream(1, "r"))),
        defaults(10));
    assert_int_equal(invoked_between(0, 1), 10);
    /* One in many years: the run just ends. */
    run(generator_time_limit(&arena, NS_PER_SECOND,
                             generator_rate(&arena, 1e-12, PACE_POISSON, of, prng_stream(1, "r"))),
        defaults(3));
    assert_true(result.all_done);
    assert_int_equal(result.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limit_counts_operations),
        cmocka_unit_test(limit_frees_those_who_wait_inside),
        cmocka_unit_test(time_limit_gives_nothing_out_past_the_end),
        cmocka_unit_test(time_limit_begins_at_the_first_question_and_wakes_at_its_end),
        cmocka_unit_test(until_ok_ends_with_success),
        cmocka_unit_test(sleep_lasts_from_its_first_question),
        cmocka_unit_test(a_fixed_rate_is_kept_to_the_operation),
        cmocka_unit_test(a_poisson_rate_has_the_mean_and_the_spread),
        cmocka_unit_test(a_stall_does_not_make_a_burst),
        cmocka_unit_test(a_rate_without_bound_changes_nothing),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
