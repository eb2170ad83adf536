/* junit.xml, as CI systems read it: a suite for the run, a case for each checker and each promise.
 * Invalid is a failure, unknown an error (a job must not be green because nobody could tell), and
 * what went wrong with the harness itself is a case of its own. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "reports/digest.h"
#include "reports/machine.h"
#include "reports/reports.h"
#include "reports/visible.h"

enum { ANOMALIES_MAX = 10, OPERATIONS_MAX = 12, TEXT_BYTES_MAX = 8192, VALUE_COLUMNS = 80 };

struct suite {
    struct buf out;
    struct digest digest;
    const char *name;
    bool harness; /* there is a case for the harness itself */
    bool nothing; /* there is a case because no checker judged */
};

static void add_text(struct buf *out, const char *text)
{
    size_t length = visible_fit(text, strlen(text), TEXT_BYTES_MAX);
    markup_add(out, text, length, VISIBLE_PROSE);
}

static void attribute(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, " %s=\"", name);
    size_t length = visible_fit(text, strlen(text), TEXT_BYTES_MAX);
    markup_add(out, text, length, VISIBLE_LINE);
    buf_add_char(out, '"');
}

/* ---- What the harness has to say ---- */

/* The verdict may be worse than every checker's: the run broke off, say. */
static bool is_worse_than_checkers(const struct digest *digest)
{
    enum verdict worst = VERDICT_VALID;
    for (size_t i = 0; i < digest->checker_count; i++)
        worst = verdict_worse(worst, digest->checkers[i].verdict);
    return digest->verdict > worst;
}

static void harness_case(struct suite *suite)
{
    struct digest *digest = &suite->digest;
    struct buf *out = &suite->out;
    const char *first = digest->problem_count > 0 ? digest->problems[0] : digest->headline;
    buf_add_text(out, "    <testcase");
    attribute(out, "classname", suite->name);
    buf_add_text(out, " name=\"harness\" time=\"0.000\">\n      <error type=\"harness\"");
    attribute(out, "message", first);
    buf_add_char(out, '>');
    for (size_t i = 0; i < digest->problem_count; i++) {
        add_text(out, digest->problems[i]);
        buf_add_char(out, '\n');
    }
    buf_add_text(out, "</error>\n    </testcase>\n");
}

static void nothing_case(struct suite *suite)
{
    struct buf *out = &suite->out;
    buf_add_text(out, "    <testcase");
    attribute(out, "classname", suite->name);
    buf_add_text(out, " name=\"verdict\" time=\"0.000\">\n      <error type=\"unknown\"");
    attribute(out, "message", suite->digest.headline);
    buf_add_text(out, "/>\n    </testcase>\n");
}

/* ---- A checker ---- */

static void add_operation(struct buf *text, const struct history *history,
                          const struct digest_operation *operation)
{
    buf_add_text(text, "  ");
    if (operation->process >= 0)
        buf_add_text(text, "process ");
    history_print_process(history, operation->process, text);
    buf_printf(text, ": %s ", operation->f);
    digest_value(text, operation->value, VALUE_COLUMNS);
    if (operation->process >= 0)
        buf_printf(text, " %s", op_type_name(operation->outcome));
    buf_add_text(text, ", ");
    digest_exact_time(text, operation->from_ns);
    buf_add_text(text, " to ");
    digest_exact_time(text, operation->to_ns);
    buf_add_char(text, '\n');
}

static void add_anomalies(const struct digest *digest, const struct json *anomalies,
                          struct buf *text)
{
    size_t shown = 0, all = json_count(anomalies);
    for (const struct json *one = json_first(anomalies); one != NULL && shown < ANOMALIES_MAX;
         one = json_next(one), shown++) {
        struct digest_operation operations[OPERATIONS_MAX];
        size_t total, count = digest_operations(digest, one, operations, OPERATIONS_MAX, &total);
        buf_printf(text, "\n%zu. %s\n%s\n", shown + 1,
                   json_as_text(json_get(one, "title"), "an anomaly"),
                   json_as_text(json_get(one, "text"), ""));
        for (size_t i = 0; i < count; i++)
            add_operation(text, digest->run->history, &operations[i]);
        if (total > count)
            buf_printf(text, "  and %zu more operations\n", total - count);
    }
    if (all > shown)
        buf_printf(text, "\nand %zu more anomalies\n", all - shown);
}

static void checker_case(struct suite *suite, const struct digest_checker *checker)
{
    struct buf *out = &suite->out;
    double seconds = json_as_real(json_get(checker->json, "seconds"), 0);
    buf_add_text(out, "    <testcase");
    attribute(out, "classname", suite->name);
    attribute(out, "name", checker->name);
    buf_printf(out, " time=\"%.3f\"", seconds < 0 ? 0 : seconds);
    if (checker->verdict == VERDICT_VALID) {
        buf_add_text(out, "/>\n");
        return;
    }
    bool invalid = checker->verdict == VERDICT_INVALID;
    const char *kind = json_as_text(json_get(json_first(checker->anomalies), "kind"),
                                    verdict_name(checker->verdict));
    struct buf text = BUF_INIT;
    buf_add_text(&text, checker->reason);
    buf_add_char(&text, '\n');
    add_anomalies(&suite->digest, checker->anomalies, &text);
    buf_printf(out, ">\n      <%s", invalid ? "failure" : "error");
    attribute(out, "type", invalid ? kind : "unknown");
    attribute(out, "message", checker->reason);
    buf_add_char(out, '>');
    markup_add(out, text.data, text.length, VISIBLE_PROSE);
    buf_printf(out, "</%s>\n    </testcase>\n", invalid ? "failure" : "error");
    buf_free(&text);
}

/* What a queue promised, each by itself. */
static void promise_case(struct suite *suite, const struct digest_checker *checker,
                         const struct machine_promise *promise)
{
    struct buf *out = &suite->out, name = BUF_INIT;
    const char *element = promise->verdict == VERDICT_INVALID ? "failure" : "error";
    buf_printf(&name, "%s: %s", checker->name, promise->name);
    buf_add_text(out, "    <testcase");
    attribute(out, "classname", suite->name);
    attribute(out, "name", buf_text(&name));
    buf_add_text(out, " time=\"0.000\"");
    if (promise->verdict == VERDICT_VALID) {
        buf_add_text(out, "/>\n");
    } else {
        buf_printf(out, ">\n      <%s", element);
        attribute(out, "type", verdict_name(promise->verdict));
        attribute(out, "message", promise->reason);
        buf_add_text(out, "/>\n    </testcase>\n");
    }
    buf_free(&name);
}

static void promise_cases(struct suite *suite, const struct digest_checker *checker)
{
    struct machine_promise promise;
    for (const struct json *at = machine_promises(checker->json);
         machine_promise_next(&at, &promise);)
        promise_case(suite, checker, &promise);
}

/* ---- The suite ---- */

/* "20261121T083015.123Z" as XML Schema's dateTime, without a zone as JUnit's schema wants it. */
static void add_timestamp(struct buf *out, const char *stamp)
{
    if (stamp == NULL || strlen(stamp) < 15 || stamp[8] != 'T' ||
        strspn(stamp, "0123456789T.Z") != strlen(stamp))
        return;
    buf_printf(out, " timestamp=\"%.4s-%.2s-%.2sT%.2s:%.2s:%.2s\"", stamp, stamp + 4, stamp + 6,
               stamp + 9, stamp + 11, stamp + 13);
}

static void add_counts(struct suite *suite)
{
    const struct digest *digest = &suite->digest;
    size_t failures = 0, errors = (size_t)suite->harness + (size_t)suite->nothing;
    size_t tests = digest->checker_count + errors;
    for (size_t i = 0; i < digest->checker_count; i++) {
        struct machine_promise promise;
        failures += digest->checkers[i].verdict == VERDICT_INVALID;
        errors += digest->checkers[i].verdict == VERDICT_UNKNOWN;
        for (const struct json *at = machine_promises(digest->checkers[i].json);
             machine_promise_next(&at, &promise); tests++) {
            failures += promise.verdict == VERDICT_INVALID;
            errors += promise.verdict == VERDICT_UNKNOWN;
        }
    }
    double seconds =
        json_as_real(json_get(json_get(digest->run->results, "test"), "duration-s"), 0);
    buf_printf(&suite->out,
               " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"0\" time=\"%.3f\"", tests,
               failures, errors, seconds < 0 ? 0 : seconds);
}

static void property(struct buf *out, const char *name, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    buf_printf(out, "      <property name=\"%s\"", name);
    attribute(out, "value", text);
    buf_add_text(out, "/>\n");
}

static void add_properties(struct suite *suite)
{
    struct digest *digest = &suite->digest;
    const struct json *test = json_get(digest->run->results, "test");
    char seed[32] = "";
    if (json_kind(json_get(test, "seed")) == JSON_NUMBER)
        snprintf(seed, sizeof seed, "%" PRId64, json_as_int(json_get(test, "seed"), 0));
    buf_add_text(&suite->out, "    <properties>\n");
    property(&suite->out, "verdict", verdict_name(digest->verdict));
    property(&suite->out, "system", digest_test_text(digest, "system"));
    property(&suite->out, "system-version", json_as_text(json_get(test, "system-version"), NULL));
    property(&suite->out, "workload", digest_test_text(digest, "workload"));
    property(&suite->out, "nemeses", digest_join(&digest->arena, json_get(test, "nemeses")));
    property(&suite->out, "seed", seed);
    property(&suite->out, "run-again", digest_run_again(digest));
    property(&suite->out, "directory", digest->run->directory);
    buf_add_text(&suite->out, "    </properties>\n");
}

static void write_suite(struct suite *suite)
{
    const struct digest *digest = &suite->digest;
    const struct json *test = json_get(digest->run->results, "test");
    buf_add_text(&suite->out,
                 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"ordeal\"");
    add_counts(suite);
    buf_add_text(&suite->out, ">\n  <testsuite");
    attribute(&suite->out, "name", suite->name);
    add_counts(suite);
    add_timestamp(&suite->out, json_as_text(json_get(test, "started"), NULL));
    buf_add_text(&suite->out, ">\n");
    add_properties(suite);
    for (size_t i = 0; i < digest->checker_count; i++) {
        checker_case(suite, &digest->checkers[i]);
        promise_cases(suite, &digest->checkers[i]);
    }
    if (suite->nothing)
        nothing_case(suite);
    if (suite->harness)
        harness_case(suite);
    buf_add_text(&suite->out, "  </testsuite>\n</testsuites>\n");
}

static enum err_code write_junit(const struct run *run, FILE *out, struct err *err)
{
    struct suite suite = {.out = BUF_INIT};
    digest_make(run, &suite.digest);
    const char *name = digest_test_text(&suite.digest, "name");
    suite.name = name != NULL ? name : "ordeal";
    suite.nothing = suite.digest.checker_count == 0;
    suite.harness =
        suite.digest.problem_count > 0 || (!suite.nothing && is_worse_than_checkers(&suite.digest));
    write_suite(&suite);
    digest_free(&suite.digest);
    return report_put(&suite.out, "the JUnit report", out, err);
}

const struct reporter reporter_junit = {
    .name = "junit",
    .summary = "junit.xml for CI systems: a case for each checker and promise",
    .file_name = "junit.xml",
    .write = write_junit,
    .suite_file_name = "junit.xml",
    .write_suite = suite_junit_write,
};
