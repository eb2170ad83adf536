/* Random numbers: bounds hold, streams differ, the same seed gives the same draws. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "harness/base/prng.h"
#include "tests/lib/test.h"

static void a_seed_and_a_name_decide_every_draw(void **state)
{
    (void)state;
    struct prng a = prng_stream(42, "workers"), b = prng_stream(42, "workers");
    for (int i = 0; i < 1000; i++)
        assert_true(prng_next(&a) == prng_next(&b));
}

static void streams_and_seeds_differ(void **state)
{
    (void)state;
    struct prng streams[] = {prng_stream(42, "workers"), prng_stream(42, "nemesis"),
                             prng_stream(43, "workers"), prng_stream(0, ""), prng_stream(1, "")};
    enum { COUNT = sizeof streams / sizeof streams[0] };
    uint64_t draws[COUNT][100];
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < 100; j++)
            draws[i][j] = prng_next(&streams[i]);
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < i; j++)
            for (int k = 0; k < 100; k++)
                for (int l = 0; l < 100; l++)
                    assert_true(draws[i][k] != draws[j][l]);
}

static void draws_stay_below_their_bound_and_reach_all_of_it(void **state)
{
    (void)state;
    struct prng prng = prng_stream(1, "below");
    static const uint64_t bounds[] = {
        1, 2, 3, 7, 10, 1000, UINT64_C(1) << 33, UINT64_C(3) << 62, UINT64_MAX};
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        uint64_t low = UINT64_MAX, high = 0;
        for (int j = 0; j < 10000; j++) {
            uint64_t draw = prng_below(&prng, bounds[i]);
            assert_true(draw < bounds[i]);
            low = draw < low ? draw : low;
            high = draw > high ? draw : high;
        }
        assert_true(low <= bounds[i] / 100);
        assert_true(high >= (bounds[i] - 1) / 100 * 99);
    }
}

static void small_bounds_are_drawn_evenly(void **state)
{
    (void)state;
    struct prng prng = prng_stream(2, "even");
    int counts[6] = {0};
    for (int i = 0; i < 60000; i++)
        counts[prng_below(&prng, 6)]++;
    double chi_square = 0;
    for (int i = 0; i < 6; i++)
        chi_square += (counts[i] - 10000.0) * (counts[i] - 10000.0) / 10000.0;
    assert_true(chi_square < 25); /* five degrees of freedom: beyond 0.9998 */
}

static void ranges_include_both_ends(void **state)
{
    (void)state;
    struct prng prng = prng_stream(3, "between");
    bool low = false, high = false;
    for (int i = 0; i < 1000; i++) {
        int64_t draw = prng_between(&prng, -3, 3);
        assert_true(draw >= -3 && draw <= 3);
        low |= draw == -3;
        high |= draw == 3;
    }
    assert_true(low && high);
    assert_true(prng_between(&prng, 5, 5) == 5);
    bool negative = false, positive = false;
    for (int i = 0; i < 100; i++) {
        int64_t draw = prng_between(&prng, INT64_MIN, INT64_MAX);
        negative |= draw < 0;
        positive |= draw > 0;
    }
    assert_true(negative && positive);
}

static void reals_are_in_range_and_have_their_mean(void **state)
{
    (void)state;
    struct prng prng = prng_stream(4, "reals");
    double sum = 0, exponential = 0;
    enum { COUNT = 100000 };
    for (int i = 0; i < COUNT; i++) {
        double unit = prng_unit(&prng), gap = prng_exponential(&prng, 5);
        assert_true(unit >= 0 && unit < 1);
        assert_true(gap >= 0 && isfinite(gap));
        sum += unit;
        exponential += gap;
    }
    assert_true(fabs(sum / COUNT - 0.5) < 0.01);
    assert_true(fabs(exponential / COUNT - 5) < 0.1);
}

static void shuffling_keeps_every_element(void **state)
{
    (void)state;
    struct prng prng = prng_stream(5, "shuffle");
    int first_places[5] = {0};
    for (int round = 0; round < 5000; round++) {
        int items[5] = {0, 1, 2, 3, 4}, seen = 0;
        prng_shuffle(&prng, items, 5, sizeof items[0]);
        for (int i = 0; i < 5; i++)
            seen |= 1 << items[i];
        assert_int_equal(seen, 31);
        first_places[items[0]]++;
    }
    for (int i = 0; i < 5; i++)
        assert_in_range(first_places[i], 850, 1150);
    prng_shuffle(&prng, NULL, 0, 4);
}

static void fresh_seeds_fit_json(void **state)
{
    (void)state;
    uint64_t a = prng_fresh_seed(), b = prng_fresh_seed();
    assert_true(a < UINT64_C(1) << 53 && b < UINT64_C(1) << 53);
    assert_true(a != b || prng_fresh_seed() != a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_and_a_name_decide_every_draw),
        cmocka_unit_test(streams_and_seeds_differ),
        cmocka_unit_test(draws_stay_below_their_bound_and_reach_all_of_it),
        cmocka_unit_test(small_bounds_are_drawn_evenly),
        cmocka_unit_test(ranges_include_both_ends),
        cmocka_unit_test(reals_are_in_range_and_have_their_mean),
        cmocka_unit_test(shuffling_keeps_every_element),
        cmocka_unit_test(fresh_seeds_fit_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
