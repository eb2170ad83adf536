/* Choice: mix, any; and that the same seed and the same questions give the same answers. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "tests/lib/simulate.h"
#include "tests/lib/test.h"

enum { A = 1, B, C, D };

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
                                     .seed = 5,
                                     .latency_ns_min = NS_PER_MS,
                                     .latency_ns_max = 5 * NS_PER_MS,
                                     .end_ns = 100 * NS_PER_SECOND};
}

static void run(struct generator *generator, struct simulate_options options)
{
    simulate_free(&result);
    simulate(generator, &options, &result);
    assert_string_equal(result.broken, "");
}

static size_t invoked(int f)
{
    return simulate_count(&result, OP_INVOKE, f, 0, INT64_MAX);
}

static struct generator *forever(uint16_t f)
{
    return generator_repeat_op(&arena, f, value_nil());
}

static struct generator *ops(uint64_t count, uint16_t f)
{
    return generator_limit(&arena, count, forever(f));
}

static struct generator *at_rate(double per_second, uint16_t f)
{
    char name[] = {(char)('a' + f), '\0'};
    return generator_rate(&arena, per_second, PACE_POISSON, forever(f), prng_stream(3, name));
}

static void assert_share(size_t count, size_t total, double share)
{
    double sigma = sqrt((double)total * share * (1 - share));
    assert_true(fabs((double)count - (double)total * share) < 4 * sigma);
}

static void mix_follows_the_weights(void **state)
{
    (void)state;
    struct generator *parts[] = {forever(A), forever(B), forever(C), forever(D)};
    const double weights[] = {1, 2.5, 0, 6.5};
    run(generator_limit(&arena, 100000,
                        generator_mix(&arena, parts, weights, 4, prng_stream(1, "mix"))),
        defaults(3));
    assert_true(result.all_done);
    assert_share(invoked(A), 100000, 0.1);
    assert_share(invoked(B), 100000, 0.25);
    assert_share(invoked(D), 100000, 0.65);
    assert_int_equal(invoked(C), 0);
    run(generator_limit(&arena, 40000,
                        generator_mix(&arena, parts, NULL, 4, prng_stream(1, "mix"))),
        defaults(3));
    for (int f = A; f <= D; f++)
        assert_share(invoked(f), 40000, 0.25);
}

static void done_parts_drop_out_of_a_mix(void **state)
{
    (void)state;
    struct generator *parts[] = {ops(10, A), ops(30, B), ops(50, C), NULL};
    run(generator_mix(&arena, parts, NULL, 4, prng_stream(1, "mix")), defaults(3));
    assert_true(result.all_done);
    assert_int_equal(invoked(A), 10);
    assert_int_equal(invoked(B), 30);
    assert_int_equal(invoked(C), 50);
    /* What is left keeps its proportions, also when a part was PENDING at the time. */
    struct generator *rest[] = {ops(1, A), forever(B), forever(C),
                                generator_sleep(&arena, 2 * NS_PER_MS)};
    const double weights[] = {20, 1, 4, 20};
    run(generator_limit(&arena, 20000,
                        generator_mix(&arena, rest, weights, 4, prng_stream(1, "mix"))),
        defaults(2));
    assert_int_equal(invoked(A), 1);
    assert_share(invoked(B), 20000, 0.2);
}

static void weights_that_make_no_sense_count_as_none(void **state)
{
    (void)state;
    struct generator *parts[] = {forever(A), forever(B), forever(C), ops(5, D)};
    const double weights[] = {-1, NAN, INFINITY, 1};
    run(generator_mix(&arena, parts, weights, 4, prng_stream(1, "mix")), defaults(3));
    assert_true(result.all_done);
    assert_int_equal(invoked(D), 5);
    assert_int_equal(result.count, 10);
    run(generator_mix(&arena, NULL, NULL, 0, prng_stream(1, "mix")), defaults(3));
    assert_true(result.all_done);
}

static void mix_takes_another_part_when_one_is_pending(void **state)
{
    (void)state;
    struct generator *slow[] = {generator_sleep(&arena, 10 * NS_PER_SECOND), ops(5, A)};
    struct generator *parts[] = {generator_seq(&arena, slow, 2), ops(100, B)};
    run(generator_mix(&arena, parts, NULL, 2, prng_stream(1, "mix")), defaults(2));
    assert_true(result.all_done);
    assert_int_equal(invoked(B), 100);
    assert_int_equal(invoked(A), 5);
    assert_int_equal(simulate_count(&result, OP_INVOKE, A, 0, 10 * NS_PER_SECOND), 0);
    assert_int_equal(simulate_count(&result, OP_INVOKE, B, 0, NS_PER_SECOND), 100);
}

static void mixed_phases_do_not_wait_for_each_other(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct generator *first[] = {ops(1, A), ops(7, B)}, *second[] = {ops(1, C), ops(7, D)};
        struct generator *parts[] = {generator_phases(&arena, first, 2),
                                     generator_phases(&arena, second, 2)};
        struct simulate_options options = defaults(3);
        options.seed = seed;
        run(generator_mix(&arena, parts, NULL, 2, prng_stream(seed, "mix")), options);
        assert_true(result.all_done);
        assert_int_equal(invoked(B) + invoked(D), 14);
    }
}

static void any_takes_the_soonest_and_the_first_of_equals(void **state)
{
    (void)state;
    struct generator *parts[] = {ops(10, A), ops(10, B)};
    run(generator_any(&arena, parts, 2), defaults(1));
    assert_true(result.all_done);
    assert_int_equal(result.count, 40);
    assert_int_equal(result.events[0].f, A);
    assert_int_equal(invoked(A), 10);
    assert_int_equal(invoked(B), 10);
    /* One thread: it does what comes first although the other part was asked first. */
    struct generator *later[] = {generator_sleep(&arena, 2 * NS_PER_SECOND), ops(1, A)};
    struct generator *sooner[] = {generator_sleep(&arena, NS_PER_SECOND), ops(1, B)};
    struct generator *both[] = {generator_seq(&arena, later, 2), generator_seq(&arena, sooner, 2)};
    run(generator_any(&arena, both, 2), defaults(1));
    assert_int_equal(result.events[0].f, B);
    assert_int_equal(result.events[0].time_ns, NS_PER_SECOND);
    assert_int_equal(result.events[2].f, A);
    assert_int_equal(result.events[2].time_ns, 2 * NS_PER_SECOND);
}

static void any_of_two_rates_keeps_both(void **state)
{
    (void)state;
    for (uint32_t threads = 2; threads <= 32; threads *= 4) {
        struct generator *parts[] = {at_rate(40, A), at_rate(10, B)};
        run(generator_any(&arena, parts, 2), defaults(threads));
        assert_true(fabs((double)invoked(A) - 4000) < 4 * sqrt(4000));
        assert_true(fabs((double)invoked(B) - 1000) < 4 * sqrt(1000));
    }
}

static void a_thread_is_not_asleep_when_a_waiting_part_wakes(void **state)
{
    (void)state;
    struct generator *early[] = {generator_sleep(&arena, NS_PER_SECOND), ops(1, A)};
    struct generator *slow =
        generator_rate(&arena, 0.1, PACE_FIXED, forever(B), prng_stream(1, "slow"));
    struct generator *parts[] = {slow, generator_seq(&arena, early, 2)};
    run(generator_any(&arena, parts, 2), defaults(1));
    assert_int_equal(simulate_count(&result, OP_INVOKE, A, NS_PER_SECOND, NS_PER_SECOND + 1), 1);
    assert_in_range(invoked(B), 10, 11);
}

static bool text_of_thread(void *state, struct prng *prng, const struct generator_context *context,
                           struct generator_op *op)
{
    (void)prng;
    char text[64];
    snprintf(text, sizeof text, "operation %" PRIu64 " of thread %d", ++*(uint64_t *)state,
             context->thread);
    op->f = A;
    op->value = value_string(context->scratch, text);
    op->not_before_ns += 10 * NS_PER_MS;
    return true;
}

static void kept_operations_come_to_their_thread_with_their_value(void **state)
{
    (void)state;
    uint64_t made = 0;
    struct generator *parts[] = {
        generator_limit(&arena, 500,
                        generator_function(&arena, text_of_thread, &made, prng_stream(1, "f"))),
        at_rate(1000, B)};
    struct simulate_options options = defaults(5);
    options.end_ns = 50 * NS_PER_SECOND;
    run(generator_any(&arena, parts, 2), options);
    assert_int_equal(made, 500);
    assert_int_equal(invoked(A), 500);
    bool seen[501] = {false};
    for (size_t i = 0; i < result.count; i++) {
        if (result.events[i].type != OP_INVOKE || result.events[i].f != A)
            continue;
        unsigned number;
        int thread;
        assert_int_equal(sscanf(value_as_text(result.events[i].value), "operation %u of thread %d",
                                &number, &thread),
                         2);
        assert_int_equal(thread, result.events[i].thread);
        assert_false(seen[number]);
        seen[number] = true;
    }
}

static bool draw(void *state, struct prng *prng, const struct generator_context *context,
                 struct generator_op *op)
{
    (void)state;
    op->f = A;
    op->value = value_int(context->scratch, prng_between(prng, 0, 1000000));
    return true;
}

static struct generator *random_work(struct arena *into)
{
    struct generator *parts[] = {generator_function(into, draw, NULL, prng_stream(9, "draw")),
                                 generator_repeat_op(into, B, value_nil())};
    return generator_rate(into, 500, PACE_POISSON,
                          generator_mix(into, parts, NULL, 2, prng_stream(9, "mix")),
                          prng_stream(9, "rate"));
}

static void the_same_seed_gives_the_same_run(void **state)
{
    (void)state;
    struct simulate_options options = defaults(7);
    options.info = options.fail = 0.1;
    options.ops_max = 5000;
    run(random_work(&arena), options);
    struct simulate_result again;
    simulate(random_work(&arena), &options, &again);
    assert_int_equal(again.count, result.count);
    for (size_t i = 0; i < result.count; i++) {
        assert_int_equal(again.events[i].time_ns, result.events[i].time_ns);
        assert_int_equal(again.events[i].process, result.events[i].process);
        assert_int_equal(again.events[i].f, result.events[i].f);
        assert_true(value_equal(again.events[i].value, result.events[i].value));
    }
    simulate_free(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mix_follows_the_weights),
        cmocka_unit_test(done_parts_drop_out_of_a_mix),
        cmocka_unit_test(weights_that_make_no_sense_count_as_none),
        cmocka_unit_test(mix_takes_another_part_when_one_is_pending),
        cmocka_unit_test(mixed_phases_do_not_wait_for_each_other),
        cmocka_unit_test(any_takes_the_soonest_and_the_first_of_equals),
        cmocka_unit_test(any_of_two_rates_keeps_both),
        cmocka_unit_test(a_thread_is_not_asleep_when_a_waiting_part_wakes),
        cmocka_unit_test(kept_operations_come_to_their_thread_with_their_value),
        cmocka_unit_test(the_same_seed_gives_the_same_run),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
