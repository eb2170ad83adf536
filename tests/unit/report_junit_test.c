/* junit.xml, and results.json again. */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/markup_check.h"
#include "tests/lib/sample_run.h"
#include "tests/lib/test.h"

static char *render(enum sample_kind kind)
{
    struct sample_run sample;
    size_t length;
    sample_run_make(kind, &sample);
    char *xml = sample_render(&sample.run, "junit", &length);
    sample_run_free(&sample);
    markup_assert(xml, length, MARKUP_XML);
    return xml;
}

static void test_valid(void **state)
{
    char *xml = render(SAMPLE_VALID);
    assert_contains(xml,
                    "<testsuite name=\"etcd-register\" tests=\"3\" failures=\"0\" errors=\"0\" "
                    "skipped=\"0\" time=\"60.000\" timestamp=\"2026-11-21T08:30:15\">");
    assert_contains(xml, "<testcase classname=\"etcd-register\" name=\"linearizable\" "
                         "time=\"0.120\"/>");
    assert_contains(xml, "<property name=\"seed\" value=\"42\"/>");
    assert_null(strstr(xml, "<failure"));
    assert_null(strstr(xml, "<error"));
    free(xml);
    (void)state;
}

static void test_invalid(void **state)
{
    char *xml = render(SAMPLE_INVALID);
    assert_contains(xml, "tests=\"4\" failures=\"2\" errors=\"0\"");
    assert_contains(xml, "<failure type=\"nonlinearizable\" message=\"1 of 8 keys is not "
                         "linearizable\">");
    assert_contains(xml, "1. stale read of 41\nThe read of 41 by process 23");
    assert_contains(xml, "  process 23: read [3 41] ok, 20.400000 s to 20.400900 s\n");
    assert_contains(xml, "<failure type=\"crash\"");
    free(xml);
    (void)state;
}

static void test_unknown(void **state)
{
    char *xml = render(SAMPLE_UNKNOWN);
    assert_contains(xml, "tests=\"3\" failures=\"0\" errors=\"2\"");
    assert_contains(xml,
                    "<error type=\"unknown\" message=\"the budget of 60 s was reached at key 2");
    assert_contains(xml, "name=\"harness\" time=\"0.000\">\n      <error type=\"harness\" "
                         "message=\"n4: the control connection was lost");
    assert_contains(xml, "the logs of n4 could not be fetched");
    free(xml);
    (void)state;
}

/* A verdict that is worse than every checker's does not get lost. */
static void test_worse_than_checkers(void **state)
{
    struct sample_run sample;
    size_t length;
    sample_run_make(SAMPLE_VALID, &sample);
    json_set_text(sample.results, "valid", "unknown");
    char *xml = sample_render(&sample.run, "junit", &length);
    markup_assert(xml, length, MARKUP_XML);
    assert_contains(xml, "tests=\"4\" failures=\"0\" errors=\"1\"");
    assert_contains(xml, "name=\"harness\"");
    free(xml);
    sample_run_free(&sample);
    (void)state;
}

/* A run that nobody judged is no success. */
static void test_missing(void **state)
{
    struct sample_run sample;
    size_t length;
    sample_run_make(SAMPLE_INVALID, &sample);
    struct run run = {.history = &sample.history};
    char *xml = sample_render(&run, "junit", &length);
    markup_assert(xml, length, MARKUP_XML);
    assert_contains(xml, "<testsuite name=\"ordeal\" tests=\"1\" failures=\"0\" errors=\"1\"");
    assert_contains(xml, "<error type=\"unknown\" message=\"nothing was judged: there are no "
                         "results\"/>");
    free(xml);
    struct err err = ERR_INIT;
    assert_int_equal(reporter_find("json")->write(&run, stderr, &err), ERR_CONFIG);
    sample_run_free(&sample);
    (void)state;
}

static void test_others(void **state)
{
    static const enum sample_kind kinds[] = {SAMPLE_EMPTY, SAMPLE_BARE, SAMPLE_HOSTILE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char *one = render(kinds[i]), *two = render(kinds[i]);
        assert_string_equal(one, two);
        free(one);
        free(two);
    }
    char *xml = render(SAMPLE_HOSTILE);
    assert_contains(xml, "&lt;script&gt;");
    assert_contains(xml, "\\x1b");
    assert_null(strstr(xml, "timestamp"));
    free(xml);
    (void)state;
}

static void test_json(void **state)
{
    struct sample_run sample;
    sample_run_make(SAMPLE_INVALID, &sample);
    char *text = sample_render(&sample.run, "json", NULL);
    struct json *read = NULL;
    struct err err = ERR_INIT;
    assert_ok(json_parse(text, strlen(text), "results.json", &read, &err));
    assert_false(json_as_bool(json_get(read, "valid"), true));
    json_free(read);
    free(text);
    sample_run_free(&sample);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),   cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_unknown), cmocka_unit_test(test_worse_than_checkers),
        cmocka_unit_test(test_missing), cmocka_unit_test(test_others),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
