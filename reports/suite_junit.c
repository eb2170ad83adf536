/* A suite's junit.xml: a test suite for the suite, a case for each run. What is as it should be
 * passes: also an invalid run of a cell that is expected to show just that. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "reports/reports.h"
#include "reports/suite.h"
#include "reports/visible.h"

enum { TEXT_BYTES_MAX = 8192 };

struct counts {
    int64_t cases, failures, errors, skipped;
};

/* Where a cell agrees, no run of it is a failure, though one may not have shown what others did. */
static const char *kind_of(const struct json *cell, const struct json *run)
{
    const char *finding = suite_text(run, "finding");
    bool agreed = strcmp(suite_text(cell, "outcome"), "agreed") == 0;
    if (strcmp(finding, "failed") == 0)
        return "error";
    if (strcmp(finding, "not run") == 0)
        return "skipped";
    if (agreed || strcmp(finding, "as expected") == 0)
        return NULL;
    return strcmp(finding, "unclear") == 0 ? "error" : "failure";
}

static void attribute(struct buf *out, const char *name, const char *text)
{
    size_t length = visible_fit(text, strlen(text), TEXT_BYTES_MAX);
    buf_printf(out, " %s=\"", name);
    markup_add(out, text, length, VISIBLE_LINE);
    buf_add_char(out, '"');
}

static void add_text(struct buf *out, const char *text)
{
    markup_add(out, text, visible_fit(text, strlen(text), TEXT_BYTES_MAX), VISIBLE_PROSE);
    buf_add_char(out, '\n');
}

static const char *message_of(const struct json *cell, const struct json *run)
{
    const struct json *failed = json_get(cell, "first-failed");
    if (*suite_text(run, "problem") != '\0')
        return suite_text(run, "problem");
    if (suite_count(failed, "run") == suite_count(run, "run") && *suite_text(failed, "reason"))
        return suite_text(failed, "reason");
    return suite_text(cell, "reason");
}

static void add_case(const struct json *summary, const struct json *cell, const struct json *run,
                     struct buf *out)
{
    const char *kind = kind_of(cell, run);
    double seconds = json_as_real(json_get(run, "seconds"), 0);
    struct buf name = BUF_INIT;
    buf_printf(&name, "%s, seed %" PRId64, suite_text(cell, "name"), suite_count(run, "seed"));
    buf_add_text(out, "    <testcase");
    attribute(out, "classname", suite_text(summary, "suite"));
    attribute(out, "name", buf_text(&name));
    buf_free(&name);
    buf_printf(out, " time=\"%.3f\">", seconds < 0 ? 0 : seconds);
    if (kind != NULL && strcmp(kind, "skipped") == 0) {
        buf_add_text(out, "<skipped/>");
    } else if (kind != NULL) {
        buf_printf(out, "\n      <%s", kind);
        attribute(out, "type", suite_text(run, "finding"));
        attribute(out, "message", message_of(cell, run));
        buf_add_char(out, '>');
        add_text(out, suite_text(cell, "reason"));
        const struct json *failed = json_get(cell, "first-failed");
        if (suite_count(failed, "run") == suite_count(run, "run"))
            add_text(out, suite_text(failed, "text"));
        buf_printf(out, "</%s>\n    ", kind);
    }
    buf_add_text(out, "<system-out>");
    add_text(out, suite_text(run, "directory"));
    for (const struct json *one = json_first(json_get(run, "retried")); one != NULL;
         one = json_next(one)) {
        buf_add_text(out, "tried again, since the harness failed: ");
        add_text(out, json_as_text(one, ""));
    }
    buf_add_text(out, "</system-out></testcase>\n");
}

static struct counts count_cases(const struct json *summary)
{
    struct counts counts = {0};
    for (const struct json *cell = json_first(json_get(summary, "cells")); cell != NULL;
         cell = json_next(cell))
        for (const struct json *run = json_first(json_get(cell, "runs")); run != NULL;
             run = json_next(run)) {
            const char *kind = kind_of(cell, run);
            counts.cases++;
            counts.failures += kind != NULL && strcmp(kind, "failure") == 0;
            counts.errors += kind != NULL && strcmp(kind, "error") == 0;
            counts.skipped += kind != NULL && strcmp(kind, "skipped") == 0;
        }
    return counts;
}

static void add_counts(const struct counts *counts, struct buf *out)
{
    buf_printf(out,
               " tests=\"%" PRId64 "\" failures=\"%" PRId64 "\" errors=\"%" PRId64
               "\" skipped=\"%" PRId64 "\"",
               counts->cases, counts->failures, counts->errors, counts->skipped);
}

enum err_code suite_junit_write(const struct json *summary, FILE *out, struct err *err)
{
    struct buf text = BUF_INIT;
    struct counts counts = count_cases(summary);
    buf_add_text(&text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"ordeal\"");
    add_counts(&counts, &text);
    buf_add_text(&text, ">\n  <testsuite");
    attribute(&text, "name", suite_text(summary, "suite"));
    add_counts(&counts, &text);
    buf_add_text(&text, ">\n");
    for (const struct json *cell = json_first(json_get(summary, "cells")); cell != NULL;
         cell = json_next(cell))
        for (const struct json *run = json_first(json_get(cell, "runs")); run != NULL;
             run = json_next(run))
            add_case(summary, cell, run, &text);
    buf_add_text(&text, "  </testsuite>\n</testsuites>\n");
    return report_put(&text, "the JUnit report", out, err);
}
