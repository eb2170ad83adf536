/* Clock offsets through a run, against a cluster in memory. */
#include "harness/base/clock.h"
#include "harness/clock_watch.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/test.h"

static void assert_printed(const struct json *json, const char *expected)
{
    struct buf out = BUF_INIT;
    json_print(json, JSON_COMPACT, &out);
    assert_string_equal(buf_text(&out), expected);
    buf_free(&out);
}

static void offsets_are_kept_by_node_and_time(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(2);
    struct clock_watch *watch = clock_watch_new(&fake->test, 500 * NS_PER_MS);
    assert_null(clock_watch_json(watch));
    fake->now_ns = 500 * NS_PER_MS;
    clock_watch_look(watch);
    fake->skewed = 2;
    fake->skew.offset_ns = -59998400000;
    fake->now_ns = NS_PER_SECOND;
    clock_watch_look(watch);
    fake->fail_always = "clock_offsets"; /* a look that fails is missing, and no more */
    clock_watch_look(watch);
    fake->fail_always = NULL;
    fake->skewed = 0;
    fake->now_ns = 1500 * NS_PER_MS;
    clock_watch_look(watch);
    struct json *json = clock_watch_json(watch);
    assert_printed(json, "{\"n1\":[[0.5,0],[1,0],[1.5,0]],\"n2\":[[0.5,0],[1,-59.998],[1.5,0]]}");
    json_free(json);
    clock_watch_free(watch);
    fake_free(fake);
}

static void a_long_run_is_looked_at_more_rarely(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(1);
    struct clock_watch *watch = clock_watch_new(&fake->test, NS_PER_SECOND);
    for (int i = 0; i < 2401; i++) {
        fake->now_ns = i * NS_PER_SECOND;
        clock_watch_look(watch);
    }
    assert_int_equal(clock_watch_every_ns(watch), 2 * NS_PER_SECOND);
    struct json *json = clock_watch_json(watch);
    const struct json *samples = json_get(json, "n1");
    assert_int_equal(json_count(samples), 1201);
    assert_true(json_as_real(json_at(json_at(samples, 1), 0), 0) == 2);
    assert_true(json_as_real(json_at(json_at(samples, 1200), 0), 0) == 2400);
    json_free(json);
    clock_watch_free(watch);
    fake_free(fake);
}

static void the_thread_looks_and_ends_at_once_when_told(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(1);
    struct clock_watch *watch;
    struct err err = ERR_INIT;
    assert_ok(clock_watch_start(&fake->test, 3600 * NS_PER_SECOND, &watch, &err));
    int64_t began_ns = clock_monotonic_ns();
    clock_watch_stop(watch); /* it looks when it begins, and when it ends */
    assert_true(clock_monotonic_ns() - began_ns < 60 * NS_PER_SECOND);
    struct json *json = clock_watch_json(watch);
    assert_int_equal(json_count(json_get(json, "n1")), 2);
    json_free(json);
    clock_watch_free(watch);
    clock_watch_stop(NULL);
    clock_watch_free(NULL);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_are_kept_by_node_and_time),
        cmocka_unit_test(a_long_run_is_looked_at_more_rarely),
        cmocka_unit_test(the_thread_looks_and_ends_at_once_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
