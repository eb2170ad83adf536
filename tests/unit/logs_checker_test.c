/* Lines that should not be in the logs of a run, and what excuses them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkers/checkers.h"
#include "tests/lib/made_history.h"
#include "tests/lib/test.h"

static char directory[64];

static void put(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int begin(void **state)
{
    (void)state;
    char path[200];
    strcpy(directory, "logs-XXXXXX");
    assert_non_null(mkdtemp(directory));
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/nodes%s%s", directory, i > 0 ? "/" : "",
                 (const char *[]){"", "n1", "n2"}[i]);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    put("nodes/n1/server.log", "info started\nerror damaged the log ends early\ninfo going on\n");
    put("nodes/n2/server.log", "info started\n");
    put("nodes/n2/.hidden", "error damaged is not looked at\n");
    return 0;
}

static int finish(void **state)
{
    (void)state;
    static const char *const names[] = {"nodes/n1/server.log",
                                        "nodes/n2/server.log",
                                        "nodes/n2/.hidden",
                                        "nodes/n1",
                                        "nodes/n2",
                                        "nodes",
                                        ""};
    char path[200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        remove(path);
    }
    return 0;
}

/* Judges with these options after a fault that begins with `fault` (NULL: none). */
static struct check_result judge(const char *pattern, const char *excused, const char *fault,
                                 const char *run_directory)
{
    struct history history;
    struct err err = ERR_INIT;
    history_init(&history);
    if (fault != NULL)
        made_fault(&history, fault, 10, NULL, NULL);
    assert_ok(history_pair(&history, &err));
    struct json *options = json_object();
    json_set_text(options, "logs.pattern", pattern);
    json_set_text(options, "logs.excused-by", excused);
    struct check_input input = {.history = &history,
                                .limits = {.threads = 1},
                                .options = {options},
                                .run_directory = run_directory};
    struct check_result result = {
        .reason = BUF_INIT, .details = json_object(), .anomalies = json_array()};
    checker_logs.check(&input, &result);
    json_free(options);
    history_free(&history);
    return result;
}

static void expect(struct check_result result, enum verdict verdict, const char *reason,
                   size_t anomalies)
{
    assert_contains(buf_text(&result.reason), reason);
    assert_int_equal(result.verdict, verdict);
    assert_int_equal(json_count(result.anomalies), anomalies);
    json_free(result.details);
    json_free(result.anomalies);
    buf_free(&result.reason);
}

static void a_line_that_should_not_be_there_convicts(void **state)
{
    (void)state;
    struct check_result result = judge("error damaged", "", NULL, directory);
    const struct json *anomaly = json_first(result.anomalies);
    assert_string_equal(json_as_text(json_get(anomaly, "title"), ""), "n1/server.log, line 2");
    assert_contains(json_as_text(json_get(anomaly, "text"), ""),
                    "error damaged the log ends early");
    assert_int_equal(json_as_int(json_get(result.details, "file-count"), -1), 2);
    assert_int_equal(json_as_int(json_get(result.details, "line-count"), -1), 4);
    expect(result, VERDICT_INVALID, "1 line of the logs should never be there", 1);
    expect(judge("panic|fatal", "", NULL, directory), VERDICT_VALID,
           "nothing of it in 4 lines of 2", 0);
    expect(judge("^info", "", NULL, directory), VERDICT_INVALID, "3 lines", 3);
}

static void a_fault_that_explains_it_excuses_it(void **state)
{
    (void)state;
    expect(judge("error damaged", "noop,disk", "lose-disk", directory), VERDICT_UNKNOWN,
           "disk may explain it", 1);
    expect(judge("error damaged", "disk", "kill", directory), VERDICT_INVALID, "1 line", 1);
    expect(judge("error damaged", "disks", "lose-disk", directory), VERDICT_INVALID, "1 line", 1);
    expect(judge("panic", "disk", "lose-disk", directory), VERDICT_VALID, "nothing of it", 0);
}

static void nothing_to_look_at_is_unknown(void **state)
{
    (void)state;
    expect(judge("", "", NULL, directory), VERDICT_UNKNOWN, "give logs.pattern", 0);
    expect(judge("x", "", NULL, NULL), VERDICT_UNKNOWN, "there is only a history", 0);
    expect(judge("x", "", NULL, "/nowhere"), VERDICT_UNKNOWN, "no logs of the nodes", 0);
    expect(judge("a(b", "", NULL, directory), VERDICT_UNKNOWN, "'a(b'", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_that_should_not_be_there_convicts, begin, finish),
        cmocka_unit_test_setup_teardown(a_fault_that_explains_it_excuses_it, begin, finish),
        cmocka_unit_test_setup_teardown(nothing_to_look_at_is_unknown, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
