/* The report on the terminal. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reports/visible.h"
#include "tests/lib/sample_run.h"
#include "tests/lib/test.h"

static char *render(enum sample_kind kind)
{
    struct sample_run sample;
    sample_run_make(kind, &sample);
    char *text = sample_render(&sample.run, "text", NULL);
    sample_run_free(&sample);
    return text;
}

/* ---- What it says ---- */

static void test_valid(void **state)
{
    char *text = render(SAMPLE_VALID);
    assert_memory_equal(text, "VALID: all 3 checkers are satisfied\n", 36);
    assert_contains(text,
                    "\netcd-register: register on etcd 3.4.23, 5 nodes, partition, kill, clock, "
                    "60.0\ns, seed 42\n");
    assert_contains(text, "  valid    linearizable  8 keys, every one is linearizable\n");
    assert_null(strstr(text, "Anomalies"));
    assert_contains(text,
                    "Again:  ordeal run store/etcd-register/20261121T083015.123Z/plan.json\n");
    assert_contains(text, "Report: store/etcd-register/20261121T083015.123Z/report.html\n");
    free(text);
    (void)state;
}

static void test_invalid(void **state)
{
    char *text = render(SAMPLE_INVALID);
    assert_memory_equal(
        text, "INVALID: 1 of 8 keys is not linearizable; crashes is invalid as well\n", 69);
    assert_contains(text,
                    "  1. stale read of 41 (linearizable, key 3)\n     The read of 41 by process "
                    "23 (invoked at 20.400000 s, returned at\n     20.400900 s) cannot");
    assert_contains(text, "     22       write  [3 42]  ok       19.300000 s  19.310500 s\n");
    assert_contains(text, "     23       read   [3 41]  ok       20.400000 s  20.400900 s\n");
    assert_contains(text, "     20       write  [3 44]  info     19.000100 s            -\n");
    assert_contains(text, "etcd died on n4 (crashes)");
    free(text);
    (void)state;
}

static void test_unknown(void **state)
{
    char *text = render(SAMPLE_UNKNOWN);
    assert_memory_equal(text, "UNKNOWN: the budget of 60 s was reached at key 2", 48);
    assert_contains(text,
                    "Problems of the harness itself\n  - n4: the control connection was lost: "
                    "connection reset by peer\n");
    assert_contains(text, "not undone\n");
    free(text);
    (void)state;
}

static void test_faults(void **state)
{
    char *text = render(SAMPLE_VALID);
    assert_contains(text, "shape halves  all 5    10.005  20.004  yes\n");
    assert_contains(text, "   3  clock      shift +30s             45.000       -  failed\n");
    assert_contains(text, "  Fault 3: clock: no clock to turn on n3\n");
    free(text);
    (void)state;
}

static uint64_t figure(const char *text, const char *row, int column)
{
    const char *at = strstr(text, row);
    assert_non_null(at);
    at += strlen(row);
    uint64_t value = 0;
    for (; column >= 0; column--) {
        at += strspn(at, " ");
        for (value = 0; (*at >= '0' && *at <= '9') || (*at == ' ' && at[1] >= '0' && at[1] <= '9');
             at++)
            value = *at == ' ' ? value : value * 10 + (uint64_t)(*at - '0');
    }
    return value;
}

/* Counted again here, the slow way. */
/* On whom faults were, and in what state of the cluster. */
static void test_coverage(void **state)
{
    (void)state;
    static const char text[] =
        "{\"valid\":true,\"faults\":[{\"id\":1,\"nemesis\":\"kill\",\"nodes\":[\"n1\"],\"begin\":{"
        "\"asked-ns\":5,\"done-ns\":6,\"verified\":true},\"state\":{\"primaries\":[\"n9\"],"
        "\"in-flight\":7}}],\"checkers\":{\"faults\":{\"valid\":true,\"by-nemesis\":{\"kill\":{"
        "\"tried-count\":4,\"in-force-count\":3,\"nodes\":{\"n1\":2,\"n3\":1},"
        "\"primary-hit-count\":1,\"primary-spared-count\":2,\"in-flight-min\":2,"
        "\"in-flight-max\":6}}}}}";
    struct err err = ERR_INIT;
    struct json *results = NULL;
    struct history history;
    history_init(&history);
    assert_ok(history_pair(&history, &err));
    assert_ok(json_parse(text, strlen(text), "results.json", &results, &err));
    struct run run = {.directory = "store/x", .results = results, .history = &history};
    char *page = sample_render(&run, "text", NULL);
    assert_contains(page,
                    "kill: in force 3 of 4 times, on n1 (2), n3 (1); who led was among them 1");
    assert_contains(page, "2 to 6 operations");
    free(page);
    page = sample_render(&run, "html", NULL);
    assert_contains(page, "kill: in force 3 of 4 times, on n1 (2), n3 (1)");
    assert_contains(page, "<small>led: n9</small><small>in flight: 7</small>");
    free(page);
    json_free(results);
    history_free(&history);
}

static void test_counts(void **state)
{
    struct sample_run sample;
    sample_run_make(SAMPLE_VALID, &sample);
    char *text = sample_render(&sample.run, "text", NULL);
    uint64_t reads = 0, ok = 0, timeouts = 0;
    const struct history *history = &sample.history;
    for (uint32_t i = 0; i < history->count; i++) {
        if (history->process[i] < 0 || strcmp(history_f_name(history, i), "read") != 0)
            continue;
        reads += history->type[i] == OP_INVOKE;
        ok += history->type[i] == OP_OK;
    }
    for (uint32_t i = 0; i < history->count; i++)
        timeouts += history->process[i] >= 0 && history->type[i] == OP_INFO;
    assert_true(reads > 1000 && ok < reads);
    assert_int_equal(figure(text, "\n  read  ", 0), reads);
    assert_int_equal(figure(text, "\n  read  ", 1), ok);
    const char *line = strstr(text, "[:timeout \"no reply within 1s\"]");
    assert_non_null(line);
    while (line[-1] != '\n')
        line--;
    assert_int_equal(figure(line, "  ", 0), timeouts);
    assert_contains(text, ":cas-mismatch\n");
    free(text);
    sample_run_free(&sample);
    (void)state;
}

/* ---- Parts that are missing ---- */

static void test_empty(void **state)
{
    char *text = render(SAMPLE_EMPTY);
    assert_memory_equal(text, "UNKNOWN: the history has no client operations\n", 46);
    assert_contains(text, "Operations\n  The history has no client operations.\n");
    assert_null(strstr(text, "Again:"));
    free(text);
    (void)state;
}

static void test_bare(void **state)
{
    char *text = render(SAMPLE_BARE);
    assert_contains(text, "lost write of 1");
    assert_contains(text, "     2        read   nil    info        -   -\n");
    assert_contains(text, "  1  start");
    free(text);
    (void)state;
}

/* Whatever is taken away, something is said. */
static void test_missing(void **state)
{
    struct sample_run sample;
    sample_run_make(SAMPLE_INVALID, &sample);
    struct run run = sample.run;
    run.plan = run.schedule = NULL;
    run.directory = NULL;
    free(sample_render(&run, "text", NULL));
    run.results = NULL;
    char *text = sample_render(&run, "text", NULL);
    assert_memory_equal(text, "UNKNOWN: nothing was judged", 27);
    free(text);
    struct json *valid = json_object();
    json_set_bool(valid, "valid", true);
    run.results = valid;
    text = sample_render(&run, "text", NULL);
    assert_memory_equal(text, "VALID: no checker judged\n", 25);
    free(text);
    json_free(valid);
    run.results = NULL;
    run.schedule = sample.schedule;
    text = sample_render(&run, "text", NULL);
    assert_contains(text, "1  partition  shape halves  n1, n2    10.005  20.004  yes\n");
    free(text);
    sample_run_free(&sample);
    (void)state;
}

/* ---- What reaches the terminal ---- */

static void assert_printable(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (((unsigned char)*c < 0x20 && *c != '\n') || *c == 0x7f)
            fail_msg("the control character %d", *c);
    assert_null(strstr(text, "\xe2\x80\xae")); /* right-to-left override */
    assert_null(strstr(text, "\xc2\x9b"));     /* the one-character control sequence introducer */
}

static void test_hostile(void **state)
{
    char *text = render(SAMPLE_HOSTILE);
    assert_printable(text);
    assert_contains(text, "\\x1b");
    assert_contains(text, "\\u202e");
    free(text);
    (void)state;
}

/* No line is wider than a terminal, but for commands and paths, which are copied. */
static void test_width(void **state)
{
    for (enum sample_kind kind = SAMPLE_VALID; kind <= SAMPLE_HOSTILE; kind++) {
        char *text = render(kind), *rest = text;
        for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
            size_t length = strlen(line);
            if (visible_columns(line, length) > 78 && strncmp(line, "Again:", 6) != 0 &&
                strncmp(line, "Report:", 7) != 0)
                fail_msg("sample %d: %zu columns: %s", (int)kind, visible_columns(line, length),
                         line);
            assert_true(length == 0 || line[length - 1] != ' ');
        }
        free(text);
    }
    (void)state;
}

/* Renders to a terminal of our own and returns what it got. */
static void render_to_terminal(const struct run *run, char *text, size_t size)
{
    int controller = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (controller < 0 || grantpt(controller) != 0 || unlockpt(controller) != 0)
        test_skip("no pseudo-terminals here");
    int terminal = open(ptsname(controller), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal >= 0);
    FILE *out = fdopen(terminal, "w");
    assert_non_null(out);
    struct err err = ERR_INIT;
    assert_ok(reporter_find("text")->write(run, out, &err));
    assert_int_equal(fflush(out), 0);
    ssize_t got = read(controller, text, size - 1);
    assert_true(got > 0);
    text[got] = '\0';
    fclose(out);
    close(controller);
}

static void test_colours(void **state)
{
    struct sample_run sample;
    char text[8192];
    sample_run_make(SAMPLE_EMPTY, &sample);
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    render_to_terminal(&sample.run, text, sizeof text);
    assert_contains(text, "\x1b[1;33mUNKNOWN\x1b[0m:");
    setenv("NO_COLOR", "1", 1);
    render_to_terminal(&sample.run, text, sizeof text);
    assert_null(strchr(text, '\x1b'));
    unsetenv("NO_COLOR");
    char *file = sample_render(&sample.run, "text", NULL);
    assert_null(strchr(file, '\x1b'));
    free(file);
    sample_run_free(&sample);
    (void)state;
}

static void test_same_bytes(void **state)
{
    for (enum sample_kind kind = SAMPLE_VALID; kind <= SAMPLE_HOSTILE; kind++) {
        char *one = render(kind), *two = render(kind);
        assert_string_equal(one, two);
        free(one);
        free(two);
    }
    (void)state;
}

/* ---- Visible text ---- */

static void assert_visible(const char *text, size_t length, const char *expected)
{
    struct buf out = BUF_INIT;
    visible_add(&out, text, length, VISIBLE_LINE);
    assert_string_equal(buf_text(&out), expected);
    buf_free(&out);
}

static void test_visible(void **state)
{
    assert_visible("a\0b", 3, "a\\x00b");
    assert_visible("\xff\xc3", 2, "\\xff\\xc3");
    assert_visible("\xed\xa0\x80", 3, "\\xed\\xa0\\x80"); /* a surrogate */
    assert_visible("caf\xc3\xa9 \xe6\x97\xa5", 9, "caf\xc3\xa9 \xe6\x97\xa5");
    assert_visible("\xef\xbf\xbf\xef\xbb\xbf", 6, "\\uffff\\ufeff");
    assert_visible("one\ntwo\t\r", 9, "one\\ntwo\\t\\r");
    assert_int_equal(visible_columns("\xe6\x97\xa5"
                                     "e\xcc\x81",
                                     6),
                     3);
    assert_int_equal(visible_fit("\xe6\x97\xa5\xe6\x97\xa5", 6, 3), 3);
    (void)state;
}

static void test_wrap(void **state)
{
    struct buf out = BUF_INIT;
    visible_wrap(&out, "one two three", 9, 2, 0);
    assert_string_equal(out.data, "  one two\n  three");
    buf_clear(&out);
    visible_wrap(&out, "abcdefghijk", 6, 2, 0);
    assert_string_equal(out.data, "  abcd\n  efgh\n  ijk");
    buf_clear(&out);
    visible_wrap(&out, "a\n\nb", 20, 1, 0);
    assert_string_equal(out.data, " a\n\n b");
    buf_free(&out);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),      cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_coverage),   cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_faults),     cmocka_unit_test(test_counts),
        cmocka_unit_test(test_empty),      cmocka_unit_test(test_bare),
        cmocka_unit_test(test_missing),    cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_width),      cmocka_unit_test(test_colours),
        cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_visible),
        cmocka_unit_test(test_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
