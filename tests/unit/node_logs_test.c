/* The logs of nodes: where their lines lie in a run, which are near to something, which match. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/marks.h"
#include "reports/node_logs.h"
#include "tests/lib/markup_check.h"
#include "tests/lib/sample_run.h"
#include "tests/lib/test.h"

static const char results[] =
    "{\"valid\": true, \"test\": {\"time-zero\": \"20261130T091500.000Z\", \"log-marks\": ["
    "{\"kind\": \"election\", \"pattern\": \"became (leader|candidate)\"}, "
    "{\"kind\": \"broken\", \"pattern\": \"((\"}, {\"pattern\": \"of no kind\"}]}}";

static void write_log(const char *node, const char *file, const char *text, size_t length)
{
    char path[200];
    (void)mkdir("run", 0755);
    (void)mkdir("run/nodes", 0755);
    snprintf(path, sizeof path, "run/nodes/%s", node);
    (void)mkdir(path, 0755);
    snprintf(path, sizeof path, "run/nodes/%s/%s", node, file);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, length, out), length);
    assert_int_equal(fclose(out), 0);
}

static const char zoned[] = "before any time\n"
                            "2026-11-30T09:15:01.000Z one\n"
                            "\tat its second line\n"
                            "2026-11-30T09:15:02.000Z n1 became leader\n"
                            "2026-11-30T09:15:09.000Z last, without a newline";
/* An hour and a half east, which it does not say. */
static const char local[] = "2026-11-30 10:44:58 begins\n2026-11-30 10:45:02.500 of no kind\n";

static struct json *read_all(struct node_logs *logs)
{
    struct err err = ERR_INIT;
    struct json *json = NULL;
    assert_ok(json_parse(results, strlen(results), "results.json", &json, &err));
    write_log("n1", "a.log", zoned, strlen(zoned));
    write_log("n2", "b.log", local, strlen(local));
    write_log("n2", "empty.log", "", 0);
    write_log("n3", "bytes.log", "\0\xff\n\n\0", 5);
    (void)symlink("/etc/passwd", "run/nodes/n3/elsewhere.log");
    (void)mkdir("run/nodes/n3/folder", 0755);
    struct run run = {.directory = "run", .results = json};
    node_logs_read(&run, logs);
    return json;
}

static void test_places(void **state)
{
    struct node_logs logs;
    (void)state;
    struct json *json = read_all(&logs);
    assert_true(logs.zero_known);
    assert_int_equal(logs.count, 4); /* neither the link nor the folder */
    const struct node_log *log = &logs.logs[0];
    assert_string_equal(log->node, "n1");
    assert_string_equal(log->file, "a.log");
    assert_int_equal(log->line_count, 5);
    assert_true(log->lines[0].ns == NODE_LOG_UNPLACED);
    assert_int_equal(log->lines[1].ns, NS_PER_SECOND);
    assert_int_equal(log->lines[2].ns, NS_PER_SECOND); /* belongs to the one before */
    assert_int_equal(log->lines[4].length, 48);
    assert_int_equal(log->first_ns, NS_PER_SECOND);
    assert_int_equal(log->last_ns, 9 * NS_PER_SECOND);
    assert_int_equal(logs.logs[1].lines[0].ns, -2 * NS_PER_SECOND);
    assert_int_equal(logs.logs[1].lines[1].ns, 2500 * NS_PER_MS);
    assert_int_equal(logs.logs[2].line_count, 0);
    assert_int_equal(logs.logs[3].line_count, 3);
    node_logs_free(&logs);
    json_free(json);
}

static void test_near(void **state)
{
    struct node_logs logs;
    struct node_line lines[3];
    size_t total;
    const int64_t times[] = {1900 * NS_PER_MS, 2 * NS_PER_SECOND};
    (void)state;
    struct json *json = read_all(&logs);
    size_t count = node_logs_near(&logs, times, 2, NS_PER_SECOND, lines, 3, &total);
    assert_int_equal(total, 4);
    assert_int_equal(count, 3);
    assert_int_equal(lines[0].ns, NS_PER_SECOND); /* by time, the farthest of them left out */
    assert_int_equal(lines[1].ns, 2 * NS_PER_SECOND);
    assert_int_equal(lines[2].ns, 2500 * NS_PER_MS);
    assert_string_equal(lines[2].log->node, "n2");
    count = node_logs_near(&logs, times, 2, 1000, lines, 3, &total);
    assert_int_equal(count, 1);
    assert_int_equal(node_logs_near(&logs, times, 2, NS_PER_SECOND, lines, 0, &total), 0);
    assert_int_equal(total, 4);
    node_logs_free(&logs);
    json_free(json);
}

struct found {
    struct buf text;
};

static void note(void *state, const char *kind, const struct node_line *line)
{
    struct found *found = state;
    buf_printf(&found->text, "%s: %s %lld ms\n", kind, line->log->node,
               (long long)(line->ns / NS_PER_MS));
}

static void test_patterns(void **state)
{
    struct node_logs logs;
    struct found found = {BUF_INIT};
    (void)state;
    struct json *json = read_all(&logs);
    node_logs_match(&logs, json_get(json_get(json, "test"), "log-marks"), 10, note, &found);
    assert_string_equal(buf_text(&found.text), "election: n1 2000 ms\nlog: n2 2500 ms\n");
    buf_free(&found.text);
    node_logs_free(&logs);
    json_free(json);
}

/* Nothing to read is no problem, and a run that does not say when it began has no places. */
static void test_nothing(void **state)
{
    struct node_logs logs;
    struct run run = {.directory = NULL};
    (void)state;
    node_logs_read(&run, &logs);
    assert_int_equal(logs.count, 0);
    node_logs_free(&logs);
    run.directory = "nowhere";
    node_logs_read(&run, &logs);
    assert_int_equal(logs.count, 0);
    node_logs_free(&logs);
    struct json *json = read_all(&logs);
    node_logs_free(&logs);
    run = (struct run){.directory = "run"};
    node_logs_read(&run, &logs);
    assert_int_equal(logs.count, 4);
    assert_true(logs.logs[0].lines[1].ns == NODE_LOG_UNPLACED);
    node_logs_free(&logs);
    json_free(json);
}

/* The page: marks of the history and of logs, the lines around an anomaly, and nothing that a log
 * may hold does anything. */
static void test_page(void **state)
{
    static const char lines[] =
        "2026-11-21T08:30:05.000Z before it began became leader\n"
        "2026-11-21T08:30:35.300Z <script>alert(1)</script>\x1b[31m became leader\n"
        "2026-11-21T08:30:35.400Z nothing <b>bold</b>\n"
        "2026-11-21T08:31:05.000Z far away\n";
    static const char patterns[] = "[{\"kind\": \"<i>\", \"pattern\": \"became leader\"}]";
    struct sample_run sample;
    struct json *marks;
    struct err err = ERR_INIT;
    enum err_code code;
    size_t length;
    (void)state;
    sample_run_make(SAMPLE_INVALID, &sample);
    write_log("n1", "a.log", lines, strlen(lines));
    write_log("n1", "<a>.log", lines, strlen(lines));
    struct json *test = json_get(sample.results, "test");
    json_set_text(test, "time-zero", "20261121T083015.000Z");
    assert_ok(json_parse(patterns, strlen(patterns), "patterns", &marks, &err));
    json_set(test, "log-marks", marks);
    marks_prepare(&sample.history);
    struct arena arena = ARENA_INIT;
    struct value items[] = {value_keyword(&arena, "kind"), value_string(&arena, "leader"),
                            value_keyword(&arena, "text"), value_string(&arena, "n2 leads"),
                            value_keyword(&arena, "from"), value_int(&arena, 58 * NS_PER_SECOND)};
    struct op op = {.type = OP_INFO,
                    .process = marks_process(&sample.history),
                    .f = history_f(&sample.history, MARK_FUNCTION),
                    .value = value_items(&arena, VALUE_MAP, items, 6),
                    .time_ns = 59 * NS_PER_SECOND};
    history_append(&sample.history, &op, &code);
    assert_ok(history_pair(&sample.history, &err));
    sample.run.directory = "run";
    char *page = sample_render(&sample.run, "html", &length);
    markup_assert(page, length, MARKUP_HTML);
    assert_contains(page, "<li><a href=\"#marks\">Marks</a></li>");
    assert_contains(page, "data-mark=\"0\">20.300000 s</a></td><td></td><th scope=\"row\">&lt;i&gt;"
                          "</th><td>n1</td>");
    assert_contains(page, "etcd ended unasked: signal 11");
    assert_contains(page, "data-mark=\"3\">58.000000 s</a></td><td class=\"n\">1 s</td><th "
                          "scope=\"row\">leader</th><td></td><td class=\"wide\">n2 leads</td>");
    assert_contains(page, "say within a second of it: 4 lines</summary>");
    assert_contains(page, "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m became leader");
    assert_contains(page, "<a href=\"nodes/n1/a.log\">");
    assert_contains(page, "<td>&lt;a&gt;.log</td>");
    assert_null(strstr(page, "<script>alert"));
    assert_null(strstr(page, "<b>"));
    assert_null(strstr(page, "\x1b"));
    assert_null(strstr(page, "data-mark=\"4\"")); /* before it began there are none */
    free(page);
    arena_free(&arena);
    sample_run_free(&sample);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),   cmocka_unit_test(test_near),
        cmocka_unit_test(test_patterns), cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
