/* slow, memory, files and hog against a cluster in memory: what they ask for, and those that do not
 * survive it. */
#include <string.h>

#include "nemeses/nemeses.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/test.h"
#include "tests/lib/test_value.h"

static void they_ask_for_what_the_options_say(void **state)
{
    (void)state;
    static const struct {
        const struct nemesis *nemesis;
        const char *option, *value, *targets, *asked, *done, *call;
    } cases[] = {
        {&nemesis_slow, "slow.percent", "20", "slow.targets",
         "{:targets :named, :nodes [\"n2\"], :value 20}", "{\"n2\" :slowed}",
         "limit_begin cpu=20 db n2"},
        {&nemesis_memory, "memory.more", "64", "memory.targets",
         "{:targets :named, :nodes [\"n2\"], :value 64}", "{\"n2\" :short-of-memory}",
         "limit_begin memory=64 db n2"},
        {&nemesis_files, "files.more", "3", "files.targets",
         "{:targets :named, :nodes [\"n2\"], :value 3}", "{\"n2\" :short-of-files}",
         "limit_begin files=3 db n2"},
        {&nemesis_hog, "hog.what", "memory", "hog.targets",
         "{:targets :named, :nodes [\"n2\"], :what :memory, :value 50}", "{\"n2\" :memory-held}",
         "limit_begin memory-hog=50  n2"},
        {&nemesis_hog, "hog.what", "cpu", "hog.targets",
         "{:targets :named, :nodes [\"n2\"], :what :cpu, :value 75}", "{\"n2\" :processors-used}",
         "limit_begin cpu-hog=75  n2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake_control *fake = fake_new(3);
        struct err err = ERR_INIT;
        fake_set(fake, cases[i].targets, "n2");
        fake_set(fake, cases[i].option, cases[i].value);
        assert_ok(cases[i].nemesis->check(&fake->test, &err));
        struct fault fault = fake_fault(fake, cases[i].nemesis, 1);
        assert_value(fault.asked, cases[i].asked);
        assert_ok(cases[i].nemesis->begin(&fake->test, &fault, &err));
        assert_value(fault.done, cases[i].done);
        assert_contains(fake->calls.data, cases[i].call);
        assert_ok(cases[i].nemesis->end(&fake->test, &fault, &err));
        assert_true(fake_is_whole(fake));
        fake_fault_free(&fault);
        fake_free(fake);
    }
}

static void who_dies_of_it_is_started_again(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "memory.targets", "n1+n3");
    fake->limits_kill = true;
    struct fault fault = fake_fault(fake, &nemesis_memory, 1);
    assert_ok(nemesis_memory.begin(&fake->test, &fault, &err));
    assert_int_equal(fake_running(fake, 0), 2);
    assert_ok(nemesis_memory.end(&fake->test, &fault, &err));
    assert_contains(fault.ended_evidence.data, "had died, and run again: n1, n3");
    assert_true(fake_is_whole(fake));
    fake_fault_free(&fault);
    fake_free(fake);
}

static void nodes_of_one_machine_share_a_burden(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake->plan.local = true;
    fake_set(fake, "hog.targets", "all");
    fake_set(fake, "hog.what", "cpu");
    struct fault fault = fake_fault(fake, &nemesis_hog, 1);
    assert_ok(nemesis_hog.begin(&fake->test, &fault, &err));
    assert_contains(fake->calls.data, "limit_begin cpu-hog=25  n1, n2, n3");
    assert_ok(nemesis_hog.end(&fake->test, &fault, &err));
    fake_fault_free(&fault);
    fake_free(fake);
}

static void what_cannot_work_is_refused_before_the_run(void **state)
{
    (void)state;
    static const struct {
        const struct nemesis *nemesis;
        const char *option, *value, *message;
    } bad[] = {
        {&nemesis_slow, "slow.percent", "0", "slow.percent=0 is not from 1 to 90"},
        {&nemesis_slow, "slow.targets", "n7", "no node is called 'n7'"},
        {&nemesis_memory, "memory.more", "0", "memory.more=0 is not from 1 to 1048576"},
        {&nemesis_files, "files.more", "-1", "files.more=-1 is not from 0 to 1048576"},
        {&nemesis_hog, "hog.load", "91", "hog.load=91 is not from 1 to 90"},
        {&nemesis_hog, "hog.memory", "0", "hog.memory=0 is not from 1 to 90"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fake_control *fake = fake_new(3);
        struct err err = ERR_INIT;
        fake_set(fake, bad[i].option, bad[i].value);
        assert_int_equal(bad[i].nemesis->check(&fake->test, &err), ERR_CONFIG);
        assert_contains(err.message, bad[i].message);
        fake_free(fake);
    }
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake->fail_always = "limit_check"; /* the node has no means */
    assert_int_equal(nemesis_slow.check(&fake->test, &err), ERR_REMOTE);
    assert_int_equal(nemesis_hog.check(&fake->test, &err), ERR_REMOTE);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_ask_for_what_the_options_say),
        cmocka_unit_test(who_dies_of_it_is_started_again),
        cmocka_unit_test(nodes_of_one_machine_share_a_burden),
        cmocka_unit_test(what_cannot_work_is_refused_before_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
