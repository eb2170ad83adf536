/* What a shape draws for each packet, without a kernel. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/agent/shape.h"
#include "harness/base/clock.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"

enum { DRAWS = SANITIZED ? 20000 : 200000 };

static int by_size(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

static void delays_have_their_distribution(void **state)
{
    (void)state;
    static int64_t holds_ns[DRAWS];
    /* In jitters from the delay: quantiles that follow from each distribution. */
    static const struct {
        enum agentd_spread spread;
        double p10, p50, p90;
    } expected[] = {
        {AGENTD_SPREAD_UNIFORM, -0.8, 0, 0.8},
        {AGENTD_SPREAD_NORMAL, -1.2816, 0, 1.2816},
        {AGENTD_SPREAD_PARETO, -0.5362, -0.2772, 0.7555},
    };
    for (size_t i = 0; i < 3; i++) {
        struct prng prng = prng_stream(1, "test");
        struct agentd_shape shape = {
            .delay_ns = 100 * NS_PER_MS, .jitter_ns = 10 * NS_PER_MS, .spread = expected[i].spread};
        for (size_t j = 0; j < DRAWS; j++)
            holds_ns[j] = agentd_shape_decide(&shape, &prng).hold_ns;
        qsort(holds_ns, DRAWS, sizeof *holds_ns, by_size);
        const double wanted[] = {expected[i].p10, expected[i].p50, expected[i].p90};
        for (size_t j = 0; j < 3; j++) {
            double ms = (double)holds_ns[DRAWS * (j == 0 ? 10 : j == 1 ? 50 : 90) / 100] / 1e6;
            assert_true(fabs(ms - (100 + 10 * wanted[j])) < 0.6);
        }
    }
}

static void no_delay_is_negative_or_drawn_where_none_is_asked(void **state)
{
    (void)state;
    struct prng prng = prng_stream(2, "test");
    struct agentd_shape wide = {.delay_ns = NS_PER_MS,
                                .jitter_ns = NS_PER_MS,
                                .spread = AGENTD_SPREAD_NORMAL},
                        fixed = {.delay_ns = 7};
    bool zero = false;
    for (int i = 0; i < 10000; i++) {
        int64_t hold_ns = agentd_shape_decide(&wide, &prng).hold_ns;
        assert_true(hold_ns >= 0);
        zero |= hold_ns == 0;
        assert_int_equal(agentd_shape_decide(&fixed, &prng).hold_ns, 7);
    }
    assert_true(zero);
}

static bool is_about(uint32_t part, uint32_t whole, double asked)
{
    return fabs((double)part / whole - asked) < 4.5 * sqrt(asked * (1 - asked) / whole);
}

static void shares_are_what_they_say(void **state)
{
    (void)state;
    struct prng prng = prng_stream(3, "test");
    struct agentd_shape shape = {.loss_ppm = 200000,
                                 .duplicate_ppm = 100000,
                                 .corrupt_ppm = 50000,
                                 .reorder_ppm = 250000,
                                 .reorder_ns = 5 * NS_PER_MS};
    uint32_t lost = 0, twice = 0, corrupt = 0, late = 0;
    for (int i = 0; i < DRAWS; i++) {
        struct agentd_fate fate = agentd_shape_decide(&shape, &prng);
        assert_false(fate.lost && (fate.duplicated || fate.corrupted || fate.late));
        assert_int_equal(fate.hold_ns, fate.late ? 5 * NS_PER_MS : 0);
        lost += fate.lost;
        twice += fate.duplicated;
        corrupt += fate.corrupted;
        late += fate.late;
    }
    assert_true(is_about(lost, DRAWS, 0.2));
    assert_true(is_about(twice, DRAWS - lost, 0.1));
    assert_true(is_about(corrupt, DRAWS - lost, 0.05));
    assert_true(is_about(late, DRAWS - lost, 0.25));
    struct agentd_shape all = {.loss_ppm = AGENTD_PPM}, none = {.delay_ns = 1};
    for (int i = 0; i < 1000; i++) {
        assert_true(agentd_shape_decide(&all, &prng).lost);
        assert_false(agentd_shape_decide(&none, &prng).lost);
    }
}

static void a_rate_paces_and_its_buffer_is_bounded(void **state)
{
    (void)state;
    struct agentd_pace pace = {.free_ns = 0};
    /* 1 Mbit/s: 1250 bytes take 10 ms. */
    assert_int_equal(agentd_pace_leave_ns(&pace, 1000000, 1250, NS_PER_SECOND),
                     NS_PER_SECOND + 10 * NS_PER_MS);
    assert_int_equal(agentd_pace_leave_ns(&pace, 1000000, 1250, NS_PER_SECOND),
                     NS_PER_SECOND + 20 * NS_PER_MS);
    int64_t last_ns = 0;
    int taken = 2;
    for (; taken < 1000; taken++) {
        int64_t leave_ns = agentd_pace_leave_ns(&pace, 1000000, 1250, NS_PER_SECOND);
        if (leave_ns < 0)
            break;
        last_ns = leave_ns;
    }
    assert_int_equal(taken, 51); /* 500 ms wait, and one is on its way */
    assert_int_equal(last_ns, NS_PER_SECOND + 510 * NS_PER_MS);
    /* A pause is not saved up. */
    assert_int_equal(agentd_pace_leave_ns(&pace, 1000000, 1250, 5 * NS_PER_SECOND),
                     5 * NS_PER_SECOND + 10 * NS_PER_MS);
    assert_int_equal(agentd_pace_leave_ns(&pace, 0, 1250, 42), 42);
}

static void corruption_flips_one_bit_behind_the_header(void **state)
{
    (void)state;
    struct prng prng = prng_stream(4, "test");
    static const struct {
        uint8_t first;
        size_t header;
    } kinds[] = {{0x45, 20}, {0x46, 24}, {0x60, 40}};
    for (size_t i = 0; i < 3; i++) {
        bool hit[60] = {false};
        for (int round = 0; round < 5000; round++) {
            uint8_t packet[60] = {kinds[i].first}, whole[60] = {kinds[i].first};
            int flipped = 0;
            assert_true(agentd_shape_corrupt(packet, sizeof packet, &prng));
            for (size_t j = 0; j < sizeof packet; j++) {
                flipped += __builtin_popcount(packet[j] ^ whole[j]);
                hit[j] |= packet[j] != whole[j];
            }
            assert_int_equal(flipped, 1);
        }
        for (size_t j = 0; j < sizeof hit; j++)
            assert_int_equal(hit[j], j >= kinds[i].header);
        uint8_t bare[60] = {kinds[i].first};
        assert_false(agentd_shape_corrupt(bare, kinds[i].header, &prng));
        assert_false(agentd_shape_corrupt(bare, 0, &prng));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_have_their_distribution),
        cmocka_unit_test(no_delay_is_negative_or_drawn_where_none_is_asked),
        cmocka_unit_test(shares_are_what_they_say),
        cmocka_unit_test(a_rate_paces_and_its_buffer_is_bounded),
        cmocka_unit_test(corruption_flips_one_bit_behind_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
