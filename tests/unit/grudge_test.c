/* Shapes of partitions, as properties over all of them and many sizes and seeds. */
#include <string.h>

#include "nemeses/grudge.h"
#include "nemeses/targets.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/test.h"
#include "tests/lib/test_value.h"

enum { SEEDS = 40 };

static bool drawable(uint32_t node_count, enum shape shape)
{
    return shape != SHAPE_MAP && !shape_is_of_primaries(shape) &&
           node_count >= shape_nodes_min(shape);
}

static struct grudge draw(struct fake_control *fake, enum shape shape, uint64_t seed)
{
    struct prng prng = prng_stream(seed, "grudge");
    struct grudge grudge;
    grudge_draw(&fake->test, shape, &prng, &grudge);
    return grudge;
}

static node_set sees(const struct fake_control *fake, const struct grudge *grudge, uint32_t node)
{
    return test_all_nodes(&fake->test) & ~grudge->drops[node];
}

static bool symmetric(const struct fake_control *fake, const struct grudge *grudge)
{
    for (uint32_t i = 0; i < fake->test.node_count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (node_in(grudge->drops[i], j) != node_in(grudge->drops[j], i))
                return false;
    return true;
}

/* Nodes that `from` reaches over links that work. */
static node_set reachable(const struct fake_control *fake, const struct grudge *grudge,
                          uint32_t from)
{
    node_set known = NODE_SET(from), before = 0;
    while (known != before) {
        before = known;
        for (uint32_t i = 0; i < fake->test.node_count; i++)
            if (node_in(before, i))
                known |= sees(fake, grudge, i);
    }
    return known;
}

static void every_shape_cuts_something_and_nobody_from_itself(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 9; n++) {
        struct fake_control *fake = fake_new(n);
        for (enum shape shape = 0; shape < SHAPE_COUNT; shape++)
            for (uint64_t seed = 0; seed < SEEDS && drawable(n, shape); seed++) {
                struct grudge grudge = draw(fake, shape, seed);
                uint32_t cut = 0;
                for (uint32_t i = 0; i < n; i++) {
                    assert_false(node_in(grudge.drops[i], i));
                    assert_int_equal(grudge.drops[i] & ~test_all_nodes(&fake->test), 0);
                    cut += node_set_count(grudge.drops[i]);
                }
                assert_true(cut > 0);
                assert_int_equal(symmetric(fake, &grudge), shape != SHAPE_ONE_WAY);
            }
        fake_free(fake);
    }
}

static void parts_have_the_sizes_of_their_shapes(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= 9; n++) {
        struct fake_control *fake = fake_new(n);
        const struct {
            enum shape shape;
            uint32_t size;
        } expected[] = {{SHAPE_HALVES, n / 2},
                        {SHAPE_RANDOM_HALVES, n / 2},
                        {SHAPE_ONE, 1},
                        {SHAPE_MINORITY_THIRD, (n + 2) / 3 - 1}};
        for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
            for (uint64_t seed = 0; seed < SEEDS && drawable(n, expected[i].shape); seed++) {
                struct grudge grudge = draw(fake, expected[i].shape, seed);
                assert_int_equal(node_set_count(grudge.parts[0]), expected[i].size);
                assert_int_equal(grudge.parts[0] ^ grudge.parts[1], test_all_nodes(&fake->test));
                for (uint32_t node = 0; node < n; node++)
                    assert_int_equal(grudge.drops[node],
                                     grudge.parts[node_in(grudge.parts[0], node)]);
            }
        if (n >= 4) /* strictly below a third, and one more would not be */
            assert_true(3 * ((n + 2) / 3 - 1) < n && 3 * ((n + 2) / 3) >= n);
        fake_free(fake);
    }
}

static void halves_are_always_the_first_nodes(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(5);
    assert_int_equal(draw(fake, SHAPE_HALVES, 1).parts[0], 3);
    assert_int_equal(draw(fake, SHAPE_HALVES, 2).parts[0], 3);
    fake_free(fake);
}

static void a_bridge_sees_both_halves_which_do_not_see_each_other(void **state)
{
    (void)state;
    for (uint32_t n = 3; n <= 9; n++) {
        struct fake_control *fake = fake_new(n);
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct grudge grudge = draw(fake, SHAPE_BRIDGE, seed);
            assert_int_equal(node_set_count(grudge.bridge), 1);
            uint32_t bridge = (uint32_t)__builtin_ctzll(grudge.bridge);
            assert_int_equal(grudge.drops[bridge], 0);
            assert_int_equal(reachable(fake, &grudge, 0), test_all_nodes(&fake->test));
            for (uint32_t i = 0; i < n; i++)
                if (i != bridge) {
                    assert_false(node_in(grudge.drops[i], bridge));
                    assert_int_equal(grudge.drops[i], grudge.parts[node_in(grudge.parts[0], i)]);
                    assert_true(grudge.drops[i] != 0);
                }
        }
        fake_free(fake);
    }
}

static void in_a_ring_all_see_different_majorities(void **state)
{
    (void)state;
    for (uint32_t n = 3; n <= 15; n++) {
        struct fake_control *fake = fake_new(n);
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct grudge grudge = draw(fake, SHAPE_MAJORITIES_RING, seed);
            uint32_t above = 0;
            for (uint32_t i = 0; i < n; i++) {
                assert_true(node_set_count(sees(fake, &grudge, i)) >= targets_majority(n));
                above += node_set_count(sees(fake, &grudge, i)) - targets_majority(n);
                for (uint32_t j = 0; j < i; j++)
                    assert_true(grudge.drops[i] != grudge.drops[j]);
            }
            if (n == 4 || n == 5)
                assert_int_equal(above, 0); /* perfect */
            if (n == 3)
                assert_int_equal(above, 1); /* one in the middle */
            assert_true(above <= n);        /* and never much more than is needed */
        }
        fake_free(fake);
    }
}

static void rings_of_many_nodes_differ_by_seed(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(64);
    struct grudge one = draw(fake, SHAPE_MAJORITIES_RING, 1);
    struct grudge same = draw(fake, SHAPE_MAJORITIES_RING, 1);
    struct grudge other = draw(fake, SHAPE_MAJORITIES_RING, 2);
    assert_memory_equal(one.drops, same.drops, sizeof one.drops);
    assert_memory_not_equal(one.drops, other.drops, sizeof one.drops);
    fake_free(fake);
}

static void one_way_drops_in_one_direction_only(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(5);
    bool seen[4] = {false};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct grudge grudge = draw(fake, SHAPE_ONE_WAY, seed);
        for (uint32_t i = 0; i < 5; i++)
            assert_int_equal(grudge.drops[i], node_in(grudge.parts[1], i) ? grudge.parts[0] : 0);
        seen[node_set_count(grudge.parts[0]) - 1] = true;
    }
    assert_true(seen[0] && seen[1] && seen[2] && seen[3]); /* one and halves, either way */
    fake_free(fake);
}

static void values_survive_a_round_trip(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= 9; n++) {
        struct fake_control *fake = fake_new(n);
        for (enum shape shape = 0; shape < SHAPE_COUNT; shape++)
            for (uint64_t seed = 0; seed < SEEDS && drawable(n, shape); seed++) {
                struct grudge grudge = draw(fake, shape, seed), read;
                struct err err = ERR_INIT;
                struct value value = grudge_value(&fake->test, &grudge, &fake->arena);
                assert_ok(grudge_read(&fake->test, value, &read, &err));
                assert_memory_equal(grudge.drops, read.drops, sizeof read.drops);
                assert_int_equal(grudge.bridge, read.bridge);
                assert_int_equal(shape, read.shape);
            }
        fake_free(fake);
    }
}

static void values_read_as_words(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct grudge grudge = draw(fake, SHAPE_HALVES, 1);
    struct buf out = BUF_INIT;
    value_print(grudge_value(&fake->test, &grudge, &fake->arena), &out);
    assert_string_equal(out.data, "{:shape :halves, :parts [[\"n1\"] [\"n2\" \"n3\"]]}");
    buf_clear(&out);
    value_print(grudge_drops_value(&fake->test, &grudge, &fake->arena), &out);
    assert_string_equal(out.data, "{\"n1\" #{\"n2\" \"n3\"}, \"n2\" #{\"n1\"}, \"n3\" #{\"n1\"}}");
    buf_free(&out);
    fake_free(fake);
}

static struct value map_of(struct arena *arena, const char *key, struct value value)
{
    struct value items[] = {value_keyword(arena, "shape"), value_keyword(arena, "map"),
                            value_keyword(arena, key), value};
    return value_items(arena, VALUE_MAP, items, 4);
}

static void values_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct arena *arena = &fake->arena;
    struct value n1 = value_string(arena, "n1"), n9 = value_string(arena, "n9");
    struct value only_n1 = value_items(arena, VALUE_SET, &n1, 1);
    struct value self = value_items(arena, VALUE_MAP, (struct value[]){n1, only_n1}, 2);
    struct value stranger = value_items(arena, VALUE_MAP, (struct value[]){n9, only_n1}, 2);
    struct value nobody = value_items(arena, VALUE_MAP, (struct value[]){n1, value_nil()}, 2);
    const struct value bad[] = {value_nil(),
                                value_keyword(arena, "halves"),
                                map_of(arena, "drops", value_nil()),
                                map_of(arena, "drops", self),
                                map_of(arena, "drops", stranger),
                                map_of(arena, "drops", nobody),
                                map_of(arena, "parts", value_pair(arena, only_n1, only_n1)),
                                map_of(arena, "parts", value_pair(arena, only_n1, value_nil()))};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = ERR_INIT;
        struct grudge grudge;
        assert_int_equal(grudge_read(&fake->test, bad[i], &grudge, &err), ERR_CONFIG);
        assert_contains(err.message, "the fault");
    }
    fake_free(fake);
}

static void maps_are_read_as_written(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(5);
    struct err err = ERR_INIT;
    struct grudge grudge;
    assert_ok(grudge_parse_map(&fake->test, "m", "n1:n2+n3, n4:n5", &grudge, &err));
    const node_set expected[] = {6, 0, 0, 16, 0};
    assert_memory_equal(grudge.drops, expected, sizeof expected);
    fake_free(fake);
}

static void maps_know_names_with_colons(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    fake->nodes[0].name = "fe80::1";
    fake->nodes[1].name = "fe80::2";
    struct err err = ERR_INIT;
    struct grudge grudge;
    assert_ok(grudge_parse_map(&fake->test, "m", "fe80::1:fe80::2+n3", &grudge, &err));
    assert_int_equal(grudge.drops[0], 6);
    fake_free(fake);
}

static void bad_maps_are_refused_in_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *map, *message;
    } bad[] = {
        {"", "empty"},
        {"n1", "'n1' is not of the form"},
        {"n1:", "whose packets n1 drops"},
        {"n1:n1", "n1 cannot drop its own"},
        {"n1:n2+x7", "no node is called 'x7'"},
        {"n22:n2", "no node is called 'n22'; did you mean n2?"},
        {":n2", "no node is called ''"},
    };
    struct fake_control *fake = fake_new(3);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = ERR_INIT;
        struct grudge grudge;
        assert_int_equal(grudge_parse_map(&fake->test, "m", bad[i].map, &grudge, &err), ERR_CONFIG);
        assert_contains(err.message, bad[i].message);
        assert_contains(err.message, "m: ");
    }
    fake_free(fake);
}

static void isolating_everyone_is_refused(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    struct grudge grudge = {.shape = SHAPE_PRIMARIES};
    assert_int_equal(grudge_isolate(&fake->test, 7, &grudge, &err), ERR_REMOTE);
    assert_ok(grudge_isolate(&fake->test, 5, &grudge, &err)); /* both together */
    const node_set expected[] = {2, 5, 2};
    assert_memory_equal(grudge.drops, expected, sizeof expected);
    fake_free(fake);
}

static void deaf_primaries_are_heard_and_hear_only_each_other(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    struct grudge grudge = {.shape = SHAPE_DEAF_PRIMARIES};
    assert_ok(grudge_isolate(&fake->test, 5, &grudge, &err));
    const node_set expected[] = {2, 0, 2};
    assert_memory_equal(grudge.drops, expected, sizeof expected);
    fake_free(fake);
}

static void which_packets_are_dropped_survives_a_round_trip(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    struct arena arena = ARENA_INIT;
    struct grudge read, written = {.shape = SHAPE_DEAF_PRIMARIES, .packets = PACKETS_DATA};
    struct value value = grudge_value(&fake->test, &written, &arena);
    assert_value(value, "{:shape :deaf-primaries, :packets :data}");
    assert_ok(grudge_read(&fake->test, value, &read, &err));
    assert_int_equal(read.packets, PACKETS_DATA);
    assert_int_equal(read.shape, SHAPE_DEAF_PRIMARIES);
    written.packets = PACKETS_ALL;
    value = grudge_value(&fake->test, &written, &arena);
    assert_value(value, "{:shape :deaf-primaries}");
    assert_ok(grudge_read(&fake->test, value, &read, &err));
    assert_int_equal(read.packets, PACKETS_ALL);
    const struct value strange[] = {
        value_keyword(&arena, "shape"), value_keyword(&arena, "primaries"),
        value_keyword(&arena, "packets"), value_keyword(&arena, "some")};
    value = value_items(&arena, VALUE_MAP, strange, 4);
    assert_int_equal(grudge_read(&fake->test, value, &read, &err), ERR_CONFIG);
    assert_contains(err.message, "packets that are not known: 'some'");
    arena_free(&arena);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_cuts_something_and_nobody_from_itself),
        cmocka_unit_test(parts_have_the_sizes_of_their_shapes),
        cmocka_unit_test(halves_are_always_the_first_nodes),
        cmocka_unit_test(a_bridge_sees_both_halves_which_do_not_see_each_other),
        cmocka_unit_test(in_a_ring_all_see_different_majorities),
        cmocka_unit_test(rings_of_many_nodes_differ_by_seed),
        cmocka_unit_test(one_way_drops_in_one_direction_only),
        cmocka_unit_test(values_survive_a_round_trip),
        cmocka_unit_test(values_read_as_words),
        cmocka_unit_test(values_that_mean_nothing_are_refused),
        cmocka_unit_test(maps_are_read_as_written),
        cmocka_unit_test(maps_know_names_with_colons),
        cmocka_unit_test(bad_maps_are_refused_in_one_line),
        cmocka_unit_test(isolating_everyone_is_refused),
        cmocka_unit_test(deaf_primaries_are_heard_and_hear_only_each_other),
        cmocka_unit_test(which_packets_are_dropped_survives_a_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
