/* kill: by SIGTERM with a grace, and several times in a row, against a cluster in memory. */
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/nemeses.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/test.h"
#include "tests/lib/test_value.h"

static int count(const char *text, const char *part)
{
    int found = 0;
    while ((text = strstr(text, part)) != NULL) {
        found++;
        text += strlen(part);
    }
    return found;
}

static void sigterm_lets_them_end_by_themselves(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "kill.targets", "n1+n3");
    fake_set(fake, "kill.signal", "TERM");
    assert_ok(nemesis_kill.check(&fake->test, &err));
    struct fault fault = fake_fault(fake, &nemesis_kill, 1);
    assert_value(fault.asked, "{:targets :named, :nodes [\"n1\" \"n3\"], :signal :term}");
    assert_ok(nemesis_kill.begin(&fake->test, &fault, &err));
    assert_value(fault.done, "{\"n1\" :stopped, \"n3\" :stopped}");
    assert_contains(fake->calls.data, "daemon_end db n1, n3\n");
    assert_null(strstr(fake->calls.data, "daemon_signal"));
    assert_int_equal(fake_running(fake, 0), 2);
    assert_ok(nemesis_kill.end(&fake->test, &fault, &err));
    assert_true(fake_is_whole(fake));
    fake_fault_free(&fault);
    fake_free(fake);
}

static void a_storm_starts_them_again_in_between(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "kill.targets", "n2");
    fake_set(fake, "kill.times", "4");
    assert_ok(nemesis_kill.check(&fake->test, &err));
    struct fault fault = fake_fault(fake, &nemesis_kill, 1);
    assert_value(fault.asked, "{:targets :named, :nodes [\"n2\"], :times 4}");
    assert_ok(nemesis_kill.begin(&fake->test, &fault, &err));
    assert_int_equal(count(fake->calls.data, "daemon_signal KILL db n2\n"), 4);
    assert_int_equal(count(fake->calls.data, "daemon_start n2 db\n") +
                         count(fake->calls.data, "daemon_start db n2\n"),
                     3);
    assert_contains(fault.begun_evidence.data, "the last of 4 times within");
    assert_int_equal(fake_running(fake, 0), 5); /* down until the end */
    assert_ok(nemesis_kill.end(&fake->test, &fault, &err));
    assert_true(fake_is_whole(fake));
    fake_fault_free(&fault);
    fake_free(fake);
}

/* Whichever call of a storm fails, nothing stays down. */
static bool survives(uint32_t fail_at, const char *signal)
{
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "kill.targets", "majority");
    fake_set(fake, "kill.times", "3");
    fake_set(fake, "kill.signal", signal);
    fake->fail_at = fail_at;
    fake->fail_halfway = fail_at % 2 != 0;
    struct fault fault = fake_fault(fake, &nemesis_kill, 1);
    enum err_code code = nemesis_kill.begin(&fake->test, &fault, &err);
    if (code == ERR_NONE)
        code = nemesis_kill.end(&fake->test, &fault, &err);
    else
        assert_int_equal(fault.nodes, 0);
    if (!fake_is_whole(fake))
        fail_msg("down after call %u failed:\n%s", fail_at, fake->calls.data);
    bool reached = fake->call_count >= fail_at;
    fake_fault_free(&fault);
    fake_free(fake);
    return reached;
}

static void whatever_fails_nothing_stays_down(void **state)
{
    (void)state;
    static const char *const signals[] = {"KILL", "TERM"};
    for (size_t i = 0; i < 2; i++) {
        uint32_t call = 1;
        while (survives(call, signals[i]))
            call++;
        assert_true(call > 10);
    }
}

static void senseless_numbers_are_refused(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "kill.times", "0");
    assert_int_equal(nemesis_kill.check(&fake->test, &err), ERR_CONFIG);
    assert_string_equal(err.message, "kill.times=0 is not from 1 to 1000");
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigterm_lets_them_end_by_themselves),
        cmocka_unit_test(a_storm_starts_them_again_in_between),
        cmocka_unit_test(whatever_fails_nothing_stays_down),
        cmocka_unit_test(senseless_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
