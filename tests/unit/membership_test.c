/* membership against a cluster in memory: who may go, what is agreed on, and every call failing in
 * turn. */
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/nemeses.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/test.h"

static struct fake_control *cluster(uint32_t nodes, const char *action)
{
    struct fake_control *fake = fake_new(nodes);
    fake_has_members(fake);
    fake_set(fake, "membership.action", action);
    return fake;
}

/* The first node in the fault's order. */
static uint32_t first_of(const struct fault *fault)
{
    return (uint32_t)(value_as_text(value_at(value_get(fault->asked, "order"), 0))[1] - '1');
}

static void a_member_is_removed_and_added_again(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct fake_control *fake = cluster(5, "remove");
        struct err err = ERR_INIT;
        assert_ok(nemesis_membership.check(&fake->test, &err));
        struct fault fault = fake_fault(fake, &nemesis_membership, seed);
        assert_ok(nemesis_membership.begin(&fake->test, &fault, &err));
        assert_int_equal(fault.nodes, NODE_SET(first_of(&fault)));
        assert_int_equal(fake->members, 31 & ~fault.nodes);
        assert_int_equal(fake_running(fake, 0), 31 & ~fault.nodes);
        assert_int_equal(fault.begun_verified, VERIFIED_YES);
        assert_ok(nemesis_membership.end(&fake->test, &fault, &err));
        assert_contains(fake->calls.data, "wipe n");
        assert_contains(fault.ended_evidence.data, "added with an empty disk by way of");
        assert_true(fake_is_whole(fake));
        fake_fault_free(&fault);
        fake_free(fake);
    }
}

static void a_member_is_replaced_at_once(void **state)
{
    (void)state;
    struct fake_control *fake = cluster(3, "replace");
    struct err err = ERR_INIT;
    struct fault fault = fake_fault(fake, &nemesis_membership, 1);
    assert_ok(nemesis_membership.begin(&fake->test, &fault, &err));
    assert_true(fake_is_whole(fake));
    assert_contains(fake->calls.data, "remove n");
    assert_contains(fake->calls.data, "add n");
    assert_contains(fault.begun_evidence.data, " removed by way of ");
    assert_contains(fault.begun_evidence.data, " added with an empty disk by way of ");
    assert_ok(nemesis_membership.end(&fake->test, &fault, &err));
    assert_string_equal(fault.ended_evidence.data, "the members are n1, n2, n3");
    fake_fault_free(&fault);
    fake_free(fake);
}

/* Of five, two are dead: with one more gone the two that live are no majority of the four. */
static void never_below_a_majority_of_the_living(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct fake_control *fake = cluster(5, "remove");
        struct err err = ERR_INIT;
        fake->daemons[0][0] = fake->daemons[1][0] = DAEMON_EXITED;
        struct fault fault = fake_fault(fake, &nemesis_membership, seed);
        assert_int_equal(nemesis_membership.begin(&fake->test, &fault, &err), ERR_REMOTE);
        assert_contains(err.message, "none of them can go");
        assert_int_equal(fake->members, 31);
        assert_int_equal(fake_running(fake, 0), 28);
        assert_null(strstr(fake->calls.data, "remove"));
        fake_fault_free(&fault);
        fake_free(fake);
    }
    /* Of three, all alive, any may go; of the two that are left, none. */
    struct fake_control *fake = cluster(3, "remove");
    struct err err = ERR_INIT;
    struct fault fault = fake_fault(fake, &nemesis_membership, 1),
                 second = fake_fault(fake, &nemesis_membership, 2);
    assert_ok(nemesis_membership.begin(&fake->test, &fault, &err));
    assert_int_equal(nemesis_membership.begin(&fake->test, &second, &err), ERR_REMOTE);
    assert_contains(err.message, "none of them can go, or no majority would live");
    assert_ok(nemesis_membership.end(&fake->test, &fault, &err));
    assert_true(fake_is_whole(fake));
    fake_fault_free(&fault);
    fake_fault_free(&second);
    fake_free(fake);
}

static void what_a_majority_sees_counts(void **state)
{
    (void)state;
    struct fake_control *fake = cluster(5, "remove");
    struct err err = ERR_INIT;
    /* n5 was removed, which it and n1 have not heard of. */
    fake->members = 15;
    fake->stale_views = 1 | 16;
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct fault fault = fake_fault(fake, &nemesis_membership, seed);
        assert_ok(nemesis_membership.begin(&fake->test, &fault, &err));
        assert_false(node_in(fault.nodes, 4));
        fake->stale_views = 0;
        assert_ok(nemesis_membership.end(&fake->test, &fault, &err));
        assert_int_equal(fake->members, 15);
        fake->stale_views = 16;
        fake_fault_free(&fault);
    }
    /* Two views of two: nobody is right. */
    fake->members = 15;
    fake->stale_views = 1 | 2;
    fake->daemons[4][0] = DAEMON_EXITED;
    struct fault fault = fake_fault(fake, &nemesis_membership, 1);
    assert_int_equal(nemesis_membership.begin(&fake->test, &fault, &err), ERR_REMOTE);
    assert_contains(err.message, "no majority agrees on who its members are");
    assert_null(strstr(fake->calls.data + fake->calls.length - 200, "remove"));
    fake_fault_free(&fault);
    fake_free(fake);
}

static bool survives(uint32_t fail_at, const char *action)
{
    struct fake_control *fake = cluster(3, action);
    struct err err = ERR_INIT;
    fake->fail_at = fail_at;
    fake->fail_halfway = fail_at % 2 == 0;
    struct fault fault = fake_fault(fake, &nemesis_membership, fail_at);
    enum err_code code = nemesis_membership.begin(&fake->test, &fault, &err);
    if (code == ERR_NONE)
        code = nemesis_membership.end(&fake->test, &fault, &err);
    else
        assert_int_equal(fault.nodes, 0);
    if (!fake_is_whole(fake))
        fail_msg("%s is not undone when call %u fails:\n%s", action, fail_at, fake->calls.data);
    bool reached = fake->call_count >= fail_at;
    fake_fault_free(&fault);
    fake_free(fake);
    return reached;
}

static void every_failing_call_leaves_the_cluster_whole(void **state)
{
    (void)state;
    static const char *const actions[] = {"remove", "replace"};
    for (size_t i = 0; i < 2; i++) {
        uint32_t call = 1;
        while (survives(call, actions[i]))
            call++;
        assert_true(call > 15);
    }
}

static void what_cannot_work_is_refused_before_the_run(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    assert_int_equal(nemesis_membership.check(&fake->test, &err), ERR_CONFIG);
    assert_string_equal(err.message,
                        "it needs a system whose membership can be changed; fake's cannot");
    fake_free(fake);
    fake = cluster(2, "remove");
    assert_int_equal(nemesis_membership.check(&fake->test, &err), ERR_CONFIG);
    assert_contains(err.message, "it needs 3 nodes");
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_is_removed_and_added_again),
        cmocka_unit_test(a_member_is_replaced_at_once),
        cmocka_unit_test(never_below_a_majority_of_the_living),
        cmocka_unit_test(what_a_majority_sees_counts),
        cmocka_unit_test(every_failing_call_leaves_the_cluster_whole),
        cmocka_unit_test(what_cannot_work_is_refused_before_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
