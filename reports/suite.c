/* Reading a suite's summary: see suite.h. */
#include "reports/suite.h"

#include <inttypes.h>
#include <string.h>

const char *suite_text(const struct json *object, const char *member)
{
    return json_as_text(json_get(object, member), "");
}

int64_t suite_count(const struct json *object, const char *member)
{
    return json_as_int(json_get(object, member), 0);
}

enum verdict suite_cell_verdict(const struct json *cell)
{
    const char *outcome = suite_text(cell, "outcome");
    if (strcmp(outcome, "agreed") == 0 || strcmp(outcome, "valid") == 0)
        return VERDICT_VALID;
    bool bad = strcmp(outcome, "disagreed") == 0 || strcmp(outcome, "invalid") == 0 ||
               strcmp(outcome, "failed") == 0;
    return bad ? VERDICT_INVALID : VERDICT_UNKNOWN;
}

enum verdict suite_verdict(const struct json *summary)
{
    int64_t status = json_as_int(json_get(summary, "exit-status"), -1);
    if (status == 0)
        return VERDICT_VALID;
    return status == 2 ? VERDICT_UNKNOWN : VERDICT_INVALID;
}

void suite_headline(const struct json *summary, struct buf *out)
{
    int64_t cells = suite_count(summary, "cell-count"), runs = suite_count(summary, "run-count");
    int64_t retried = suite_count(summary, "retry-count");
    const char *separator = ": ";
    buf_printf(out, "%" PRId64 " cell%s", cells, cells == 1 ? "" : "s");
    for (const struct json *one = json_first(json_get(summary, "outcomes")); one != NULL;
         one = json_next(one)) {
        if (json_as_int(one, 0) == 0)
            continue;
        buf_printf(out, "%s%" PRId64 " %s", separator, json_as_int(one, 0), json_key(one));
        separator = ", ";
    }
    buf_printf(out, "; %" PRId64 " run%s", runs, runs == 1 ? "" : "s");
    if (retried > 0)
        buf_printf(out, ", tried again %" PRId64 " time%s because the harness failed", retried,
                   retried == 1 ? "" : "s");
    if (json_as_bool(json_get(summary, "interrupted"), false))
        buf_add_text(out, "; interrupted");
}

static const char *first_problem(const struct json *cell)
{
    for (const struct json *run = json_first(json_get(cell, "runs")); run != NULL;
         run = json_next(run))
        if (*suite_text(run, "problem") != '\0')
            return suite_text(run, "problem");
    return "";
}

const char *suite_cell_shown(const struct json *cell)
{
    const struct json *shown = json_get(cell, "first-shown");
    const struct json *failed = json_get(cell, "first-failed");
    if (strcmp(suite_text(cell, "outcome"), "failed") == 0)
        return first_problem(cell);
    if (shown == NULL || strcmp(suite_text(cell, "outcome"), "disagreed") == 0)
        shown = failed != NULL ? failed : shown;
    const char *title = suite_text(shown, "title");
    return *title != '\0' ? title : suite_text(shown, "reason");
}

void suite_cell_rate(const struct json *cell, struct buf *out)
{
    int64_t runs = suite_count(cell, "run-count"), valid = suite_count(cell, "valid-count");
    int64_t judged =
        valid + suite_count(cell, "unknown-count") + suite_count(cell, "invalid-count");
    if (json_get(cell, "expect") != NULL)
        buf_printf(out, "%" PRId64 "/%" PRId64, suite_count(cell, "as-expected-count"), runs);
    else
        buf_printf(out, "%" PRId64 "/%" PRId64, judged - valid, judged);
}

void suite_cell_expected(const struct json *cell, struct buf *out)
{
    const struct json *expect = json_get(cell, "expect");
    const char *checker = suite_text(expect, "checker"), *promise = suite_text(expect, "promise");
    const char *anomaly = suite_text(expect, "anomaly");
    buf_add_text(out, suite_text(expect, "verdict"));
    if (*promise != '\0')
        buf_printf(out, ": %s of %s broken", promise, checker);
    else if (*checker != '\0')
        buf_printf(out, ": by %s", checker);
    if (*anomaly != '\0')
        buf_printf(out, ", %s", anomaly);
}

int64_t suite_cell_seed(const struct json *cell)
{
    bool agreed = strcmp(suite_text(cell, "outcome"), "agreed") == 0;
    bool holds = strcmp(suite_text(json_get(cell, "expect"), "verdict"), "valid") == 0;
    const struct json *shown = json_get(cell, agreed && !holds ? "first-shown" : "first-failed");
    return json_as_int(json_get(shown, "seed"), -1);
}
