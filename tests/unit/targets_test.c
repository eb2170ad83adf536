/* Which nodes a fault hits. */
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/targets.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/test.h"

static const char option[] = "kill.targets";

/* Chooses with this value of the option, and resolves. */
static node_set hit(struct fake_control *fake, const char *value, uint64_t seed)
{
    struct err err = ERR_INIT;
    struct prng prng = prng_stream(seed, "targets");
    node_set nodes = 0;
    fake_set(fake, option, value);
    assert_ok(targets_check(&fake->test, option, &err));
    struct value chosen = targets_choose(&fake->test, option, &prng, &fake->arena);
    assert_ok(targets_resolve(&fake->test, chosen, &nodes, &err));
    assert_int_equal(nodes & ~test_all_nodes(&fake->test), 0);
    return nodes;
}

static void sizes_follow_the_words(void **state)
{
    (void)state;
    static const struct {
        uint32_t nodes, minority, majority, third;
    } sizes[] = {{1, 1, 1, 0}, {2, 1, 2, 0}, {3, 1, 2, 0}, {4, 1, 3, 1}, {5, 2, 3, 1},
                 {6, 2, 4, 1}, {7, 3, 4, 2}, {9, 4, 5, 2}, {10, 4, 6, 3}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct fake_control *fake = fake_new(sizes[i].nodes);
        for (uint64_t seed = 0; seed < 20; seed++) {
            assert_int_equal(node_set_count(hit(fake, "one", seed)), 1);
            assert_int_equal(node_set_count(hit(fake, "minority", seed)), sizes[i].minority);
            assert_int_equal(node_set_count(hit(fake, "majority", seed)), sizes[i].majority);
            assert_int_equal(hit(fake, "all", seed), test_all_nodes(&fake->test));
            if (sizes[i].third > 0)
                assert_int_equal(node_set_count(hit(fake, "minority-third", seed)), sizes[i].third);
        }
        fake_free(fake);
    }
}

static void every_node_gets_its_turn(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(5);
    node_set seen = 0;
    for (uint64_t seed = 0; seed < 50; seed++)
        seen |= hit(fake, "one", seed);
    assert_int_equal(seen, 31);
    fake_free(fake);
}

static void names_are_taken_as_written(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(5);
    assert_int_equal(hit(fake, "n1+n4", 1), 9);
    assert_int_equal(hit(fake, "n5", 1), 16);
    fake_free(fake);
}

static uint32_t kinds_drawn(struct fake_control *fake)
{
    static const char *const kinds[] = {"one", "minority", "majority", "all", "primaries"};
    uint32_t seen = 0;
    struct prng prng = prng_stream(7, "targets");
    for (int i = 0; i < 100; i++) {
        struct value chosen = targets_choose(&fake->test, option, &prng, &fake->arena);
        for (uint32_t k = 0; k < 5; k++)
            if (strcmp(value_as_text(value_get(chosen, "targets")), kinds[k]) == 0)
                seen |= 1u << k;
    }
    return seen;
}

static void random_draws_primaries_only_of_systems_that_tell(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(5);
    assert_int_equal(kinds_drawn(fake), 15);
    fake_has_primaries(fake);
    assert_int_equal(kinds_drawn(fake), 31);
    fake_free(fake);
}

static void primaries_are_asked_for_when_it_begins(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    struct prng prng = prng_stream(7, "targets");
    fake_has_primaries(fake);
    fake_set(fake, option, "primaries");
    assert_ok(targets_check(&fake->test, option, &err));
    struct value chosen = targets_choose(&fake->test, option, &prng, &fake->arena);
    node_set nodes = 0;
    assert_int_equal(targets_resolve(&fake->test, chosen, &nodes, &err), ERR_REMOTE);
    assert_string_equal(err.message, "no node of fake leads at the moment");
    fake->primaries = 4;
    assert_ok(targets_resolve(&fake->test, chosen, &nodes, &err));
    assert_int_equal(nodes, 4);
    /* An election that is under way is waited for, one that never ends is not. */
    fake->elected_ns = fake->now_ns + 3 * NS_PER_SECOND;
    nodes = 0;
    assert_ok(targets_resolve(&fake->test, chosen, &nodes, &err));
    assert_int_equal(nodes, 4);
    assert_true(fake->now_ns >= fake->elected_ns);
    fake->elected_ns = fake->now_ns + 60 * NS_PER_SECOND;
    assert_int_equal(targets_resolve(&fake->test, chosen, &nodes, &err), ERR_REMOTE);
    assert_true(fake->now_ns < fake->elected_ns);
    fake->elected_ns = 0;
    fake->fail_always = "primaries";
    assert_int_equal(targets_resolve(&fake->test, chosen, &nodes, &err), ERR_REMOTE);
    assert_contains(err.message, "asking fake who leads: scripted failure");
    fake_free(fake);
}

static void followers_are_all_but_those_that_lead(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_has_primaries(fake);
    fake_set(fake, option, "followers");
    assert_ok(targets_check(&fake->test, option, &err));
    struct prng prng = prng_stream(1, "nemesis");
    struct value chosen = targets_choose(&fake->test, option, &prng, &fake->arena);
    assert_true(value_is_nil(value_get(chosen, "nodes"))); /* for when it begins */
    node_set nodes = 0;
    fake->primaries = 2;
    assert_ok(targets_resolve(&fake->test, chosen, &nodes, &err));
    assert_int_equal(nodes, 5);
    fake->primaries = 7;
    assert_int_equal(targets_resolve(&fake->test, chosen, &nodes, &err), ERR_REMOTE);
    assert_contains(err.message, "every node of fake leads");
    fake_free(fake);
    fake = fake_new(1);
    fake_has_primaries(fake);
    fake_set(fake, option, "followers");
    assert_int_equal(targets_check(&fake->test, option, &err), ERR_CONFIG);
    assert_contains(err.message, "one node follows nobody");
    fake_free(fake);
}

static void what_cannot_be_meant_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum err_code code;
        const char *message;
    } bad[] = {
        {"", ERR_CONFIG, "it is empty"},
        {"+", ERR_CONFIG, "it is empty"},
        {"majorty", ERR_CONFIG, "did you mean majority?"},
        {"n1+n9", ERR_CONFIG, "no node is called 'n9'; did you mean"},
        {"n1+zebra", ERR_CONFIG, "no node is called 'zebra'; the nodes are n1 and so on"},
        {"primaries", ERR_CONFIG, "fake cannot tell which nodes lead"},
        {"minority-third", ERR_CONFIG, "needs 4 nodes"},
        {"followers", ERR_CONFIG, "fake cannot tell which nodes lead"},
    };
    struct fake_control *fake = fake_new(3);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = ERR_INIT;
        fake_set(fake, option, bad[i].value);
        assert_int_equal(targets_check(&fake->test, option, &err), bad[i].code);
        assert_contains(err.message, bad[i].message);
        assert_contains(err.message, option);
    }
    fake_free(fake);
}

static void a_value_that_names_nobody_is_refused(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    node_set nodes;
    assert_int_equal(targets_resolve(&fake->test, value_nil(), &nodes, &err), ERR_CONFIG);
    assert_contains(err.message, "names no node");
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_follow_the_words),
        cmocka_unit_test(every_node_gets_its_turn),
        cmocka_unit_test(names_are_taken_as_written),
        cmocka_unit_test(random_draws_primaries_only_of_systems_that_tell),
        cmocka_unit_test(primaries_are_asked_for_when_it_begins),
        cmocka_unit_test(followers_are_all_but_those_that_lead),
        cmocka_unit_test(what_cannot_be_meant_is_refused),
        cmocka_unit_test(a_value_that_names_nobody_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
