/* Durations as people write them, and times as files are named. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "tests/lib/test.h"

static void durations_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        {"60s", 60 * NS_PER_SECOND},
        {"60", 60 * NS_PER_SECOND},
        {"1.5m", 90 * NS_PER_SECOND},
        {"200ms", 200 * NS_PER_MS},
        {"2h", 7200 * NS_PER_SECOND},
        {"10us", 10 * NS_PER_US},
        {"5ns", 5},
        {"0", 0},
        {"0s", 0},
        {"0.001s", NS_PER_MS},
        {".5s", NS_PER_SECOND / 2},
        {"1e3ms", NS_PER_SECOND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        int64_t ns = -1;
        assert_ok(clock_parse_duration(cases[i].text, &ns, &err));
        assert_true(ns == cases[i].ns);
    }
}

static void what_is_no_duration_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",    "s",     "abc",  "-1s",  "1x",    "1 s", "1s ", " 1s",      "1m30s", "nan",
        "inf", "1e30h", "5sec", "1,5s", "0x10s", "--1", "+",   "infinity", "nans",  "9999999h"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct err err = ERR_INIT;
        int64_t ns = 77;
        if (clock_parse_duration(texts[i], &ns, &err) != ERR_CONFIG)
            fail_msg("'%s' was read", texts[i]);
        assert_true(ns == 77);
        assert_contains(err.message, "is not a duration");
        assert_contains(err.message, texts[i]);
    }
}

static void durations_are_written_exactly(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {60 * NS_PER_SECOND, "60s"},
        {90 * NS_PER_SECOND, "90s"},
        {1500 * NS_PER_MS, "1500ms"},
        {10 * NS_PER_US, "10us"},
        {7, "7ns"},
        {0, "0s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32];
        int64_t back;
        struct err err = ERR_INIT;
        clock_format_duration(cases[i].ns, text, sizeof text);
        assert_string_equal(text, cases[i].text);
        assert_ok(clock_parse_duration(text, &back, &err));
        assert_true(back == cases[i].ns);
    }
}

static void people_read_three_digits(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "0 ns"},
        {999, "999 ns"},
        {1250, "1.25 us"},
        {1250000, "1.25 ms"},
        {3400 * NS_PER_MS, "3.4 s"},
        {INT64_C(1234) * NS_PER_SECOND, "1234 s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32];
        clock_format_human(cases[i].ns, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

static void run_directories_are_named_by_utc(void **state)
{
    (void)state;
    char text[40];
    clock_format_utc(INT64_C(1795249815123) * NS_PER_MS, text, sizeof text);
    assert_string_equal(text, "20261121T083015.123Z");
    clock_format_utc(0, text, sizeof text);
    assert_string_equal(text, "19700101T000000.000Z");
}

static void the_monotonic_clock_goes_on(void **state)
{
    (void)state;
    int64_t before = clock_monotonic_ns();
    clock_sleep_ns(2 * NS_PER_MS);
    assert_true(clock_monotonic_ns() - before >= 2 * NS_PER_MS);
    clock_sleep_ns(0);
    clock_sleep_ns(-5);
    struct timespec split = clock_timespec(3 * NS_PER_SECOND + 7);
    assert_int_equal(split.tv_sec, 3);
    assert_int_equal(split.tv_nsec, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(durations_are_written_exactly),
        cmocka_unit_test(people_read_three_digits),
        cmocka_unit_test(run_directories_are_named_by_utc),
        cmocka_unit_test(the_monotonic_clock_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
