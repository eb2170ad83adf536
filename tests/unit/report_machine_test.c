/* Reports for machines: Markdown, GitHub's annotations, TAP, Prometheus, and two runs compared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/reporter.h"
#include "reports/machine.h"
#include "tests/lib/sample_run.h"
#include "tests/lib/test.h"

static char *render(enum sample_kind kind, const char *format)
{
    struct sample_run sample;
    sample_run_make(kind, &sample);
    char *text = sample_render(&sample.run, format, NULL);
    sample_run_free(&sample);
    return text;
}

static size_t lines_of(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

/* ---- Markdown ---- */

static void test_markdown(void **state)
{
    char *text = render(SAMPLE_INVALID, "markdown");
    assert_true(strncmp(text, "### Invalid: ", 13) == 0);
    assert_contains(text, "| linearizable | :x: invalid | ");
    assert_contains(text, "- **stale read of 41** ");
    free(text);
    text = render(SAMPLE_VALID, "markdown");
    assert_true(strncmp(text, "### Valid: ", 11) == 0);
    assert_null(strstr(text, "Anomalies"));
    free(text);
    text = render(SAMPLE_EMPTY, "markdown");
    assert_true(strncmp(text, "### Unknown: ", 13) == 0);
    free(text);
    (void)state;
}

/* Markup, links, mentions and a table's bars are only text. */
static void test_markdown_inert(void **state)
{
    struct buf out = BUF_INIT;
    machine_markdown(&out, "<b>@all [x](http://y) `a` | ![i](z)\n# h *b* _c_ ~d~", 1000);
    assert_null(strpbrk(out.data, "<>[]()`|!*_~@\n"));
    for (const char *at = out.data; (at = strchr(at, '#')) != NULL; at++)
        assert_true(at > out.data && at[-1] == '&');
    buf_clear(&out);
    machine_markdown_code(&out, "a ``b`` c");
    assert_string_equal(out.data, "``` a ``b`` c ```");
    buf_free(&out);
    char *text = render(SAMPLE_HOSTILE, "markdown");
    assert_null(strstr(text, "\x1b"));
    *strstr(text, "\nAgain: ") = '\0'; /* that one is code, where markup is none */
    assert_null(strchr(text, '`'));
    assert_null(strstr(text, "<script"));
    free(text);
    (void)state;
}

/* ---- GitHub ---- */

static void test_github(void **state)
{
    char *text = render(SAMPLE_INVALID, "github");
    assert_contains(text, "::error title=linearizable (invalid)::");
    assert_contains(text, "::error title=stale read of 41 (linearizable)::");
    free(text);
    text = render(SAMPLE_VALID, "github");
    assert_int_equal(lines_of(text), 1);
    assert_true(strncmp(text, "::notice title=", 15) == 0);
    free(text);
    (void)state;
}

/* Nothing that a system says begins a command of its own. */
static void test_github_inert(void **state)
{
    char *text = render(SAMPLE_HOSTILE, "github");
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1)
        assert_true(strncmp(line, "::error title=", 14) == 0 ||
                    strncmp(line, "::warning title=", 16) == 0 ||
                    strncmp(line, "::notice title=", 15) == 0);
    free(text);
    struct buf out = BUF_INIT;
    machine_workflow(&out, "a\n::set-env name=X::1,%", MACHINE_PROPERTY);
    assert_string_equal(out.data, "a%0A%3A%3Aset-env name=X%3A%3A1%2C%25");
    buf_clear(&out);
    machine_workflow(&out, "a\n::b", MACHINE_MESSAGE);
    assert_string_equal(out.data, "a%0A::b");
    buf_free(&out);
    (void)state;
}

/* ---- TAP ---- */

/* As many tests as the plan says, numbered; the harness's own troubles are not ok. */
static void test_tap(void **state)
{
    for (enum sample_kind kind = SAMPLE_VALID; kind <= SAMPLE_HOSTILE; kind++) {
        char *text = render(kind, "tap");
        unsigned planned = 0, seen = 0, failed = 0;
        assert_int_equal(sscanf(text, "TAP version 14\n1..%u\n", &planned), 1);
        for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
            unsigned number = 0;
            if (sscanf(line, "ok %u - ", &number) == 1 ||
                sscanf(line, "not ok %u - ", &number) == 1)
                assert_int_equal(number, ++seen);
            failed += strncmp(line, "not ok", 6) == 0;
        }
        assert_int_equal(seen, planned);
        assert_true(planned > 0);
        print_message("# sample %d: %u of %u are not ok\n", (int)kind, failed, seen);
        assert_true((failed == 0) == (kind == SAMPLE_VALID));
        free(text);
    }
    (void)state;
}

static void test_promises(void **state)
{
    static const char results[] =
        "{\"valid\": false, \"checkers\": {\"delivery\": {\"valid\": false, \"reason\": \"broken\","
        " \"promises\": {\"no-loss\": {\"promised\": true, \"valid\": false, \"reason\": \"3 # "
        "lost\"}, \"order\": {\"promised\": false, \"valid\": false}, \"ttl\": {\"promised\": "
        "true, "
        "\"valid\": true, \"reason\": \"kept\"}}}}}";
    struct json *root = NULL;
    struct err err = ERR_INIT;
    assert_ok(json_parse(results, sizeof results - 1, "results", &root, &err));
    struct run run = {.results = root};
    char *text = sample_render(&run, "tap", NULL);
    assert_contains(text, "not ok 2 - delivery: no-loss\n");
    assert_contains(text, "  reason: \"3 # lost\"\n");
    assert_contains(text, "ok 3 - delivery: ttl\n");
    assert_null(strstr(text, "order"));
    free(text);
    text = sample_render(&run, "junit", NULL);
    assert_contains(text, " name=\"delivery: no-loss\"");
    assert_contains(text, " tests=\"3\" failures=\"2\" errors=\"0\"");
    free(text);
    json_free(root);
    (void)state;
}

/* ---- Prometheus ---- */

static void test_prometheus(void **state)
{
    char *text = render(SAMPLE_INVALID, "prometheus");
    assert_contains(text, "# TYPE ordeal_run_verdict gauge\nordeal_run_verdict{test=\"");
    assert_contains(text, ",checker=\"linearizable\"} 2\n");
    assert_contains(text, ",function=\"read\",outcome=\"ok\"} ");
    assert_contains(text, ",quantile=\"0.99\"} ");
    free(text);
    text = render(SAMPLE_HOSTILE, "prometheus");
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1)
        assert_true(*line == '#' || strncmp(line, "ordeal_run_", 11) == 0);
    free(text);
    struct buf out = BUF_INIT;
    machine_label(&out, "a\"b\\c\nd");
    assert_null(strchr(out.data, '\n'));
    assert_true(strncmp(out.data, "\"a\\\"b\\\\", 7) == 0);
    buf_free(&out);
    (void)state;
}

/* ---- Two runs ---- */

static char *compare(enum sample_kind left, enum sample_kind right)
{
    struct sample_run samples[2];
    char *text = NULL;
    size_t length;
    struct err err = ERR_INIT;
    sample_run_make(left, &samples[0]);
    sample_run_make(right, &samples[1]);
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    assert_ok(report_compare(&samples[0].run, &samples[1].run, out, &err));
    fclose(out);
    sample_run_free(&samples[0]);
    sample_run_free(&samples[1]);
    return text;
}

static void test_compare(void **state)
{
    char *text = compare(SAMPLE_VALID, SAMPLE_INVALID);
    assert_contains(text, "Verdicts");
    assert_contains(text, "invalid");
    assert_contains(text, "Latency of ok operations");
    free(text);
    text = compare(SAMPLE_VALID, SAMPLE_VALID); /* nothing differs, so nothing is listed */
    assert_null(strstr(text, "median"));
    assert_contains(text, "the same");
    free(text);
    for (enum sample_kind kind = SAMPLE_VALID; kind <= SAMPLE_HOSTILE; kind++) {
        text = compare(kind, SAMPLE_HOSTILE);
        assert_null(strchr(text, '\x1b'));
        free(text);
    }
    (void)state;
}

/* ---- A terminal ---- */

static void test_spark(void **state)
{
    char *text = render(SAMPLE_INVALID, "text");
    assert_contains(text, "Over time");
    assert_contains(text, "█");
    assert_contains(text, "  faults ");
    free(text);
    text = render(SAMPLE_BARE, "text"); /* no times: no picture of them */
    assert_null(strstr(text, "Over time"));
    free(text);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_markdown),   cmocka_unit_test(test_markdown_inert),
        cmocka_unit_test(test_github),     cmocka_unit_test(test_github_inert),
        cmocka_unit_test(test_tap),        cmocka_unit_test(test_promises),
        cmocka_unit_test(test_prometheus), cmocka_unit_test(test_compare),
        cmocka_unit_test(test_spark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
