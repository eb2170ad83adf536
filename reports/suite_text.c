/* A suite's summary for a terminal. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "reports/reports.h"
#include "reports/suite.h"
#include "reports/text_table.h"
#include "reports/visible.h"

enum { WIDTH = 100, NAME_MAX_COLUMNS = 48 };

static void add_cells(const struct json *summary, struct buf *out)
{
    struct text_table table;
    struct buf text = BUF_INIT;
    text_table_init(&table, "llrrrrl");
    text_table_limit(&table, 0, NAME_MAX_COLUMNS);
    static const char *const heads[] = {"cell",    "outcome", "valid", "unknown",
                                        "invalid", "rate",    "seed"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        text_table_add(&table, heads[i]);
    for (const struct json *cell = json_first(json_get(summary, "cells")); cell != NULL;
         cell = json_next(cell)) {
        static const char *const counts[] = {"valid-count", "unknown-count", "invalid-count"};
        char number[32] = "";
        text_table_add(&table, suite_text(cell, "name"));
        text_table_add(&table, suite_text(cell, "outcome"));
        for (size_t i = 0; i < 3; i++) {
            snprintf(number, sizeof number, "%" PRId64, suite_count(cell, counts[i]));
            text_table_add(&table, number);
        }
        buf_clear(&text);
        suite_cell_rate(cell, &text);
        text_table_add(&table, buf_text(&text));
        snprintf(number, sizeof number, "%" PRId64, suite_cell_seed(cell));
        text_table_add(&table, suite_cell_seed(cell) < 0 ? "" : number);
    }
    text_table_print(&table, 2, out);
    text_table_free(&table);
    buf_free(&text);
}

static void add_wrapped(struct buf *out, const char *label, const char *text)
{
    if (*text == '\0')
        return;
    buf_printf(out, "    %s", label);
    visible_wrap(out, text, WIDTH, 6, 4 + strlen(label));
    buf_add_char(out, '\n');
}

/* What is not as it should be, cell by cell, and what was tried again. */
static void add_details(const struct json *cell, struct buf *out)
{
    const struct json *failed = json_get(cell, "first-failed");
    bool good = suite_cell_verdict(cell) == VERDICT_VALID;
    if (good && suite_count(cell, "retry-count") == 0)
        return;
    buf_add_text(out, "\n  ");
    const char *name = suite_text(cell, "name");
    visible_add(out, name, strlen(name), VISIBLE_LINE);
    buf_printf(out, ": %s\n", suite_text(cell, "outcome"));
    add_wrapped(out, "", suite_text(cell, "reason"));
    if (!good)
        add_wrapped(out, "first: ", suite_cell_shown(cell));
    if (!good && failed != NULL) {
        add_wrapped(out, "in ", suite_text(failed, "directory"));
    }
    for (const struct json *run = json_first(json_get(cell, "runs")); run != NULL;
         run = json_next(run))
        for (const struct json *one = json_first(json_get(run, "retried")); one != NULL;
             one = json_next(one))
            add_wrapped(out, "tried again, since the harness failed: ", json_as_text(one, ""));
}

enum err_code suite_text_write(const struct json *summary, FILE *out, struct err *err)
{
    static const char *const words[] = {"as it should be", "unknown", "NOT as it should be"};
    struct buf text = BUF_INIT;
    const char *name = suite_text(summary, "suite");
    buf_add_text(&text, "Suite ");
    visible_add(&text, name, strlen(name), VISIBLE_LINE);
    if (json_get(summary, "shard") != NULL)
        buf_printf(&text, ", part %" PRId64 " of %" PRId64, suite_count(summary, "shard"),
                   suite_count(summary, "shard-count"));
    buf_printf(&text, ": %s\n", words[suite_verdict(summary)]);
    suite_headline(summary, &text);
    buf_add_text(&text, "\n\n");
    add_cells(summary, &text);
    for (const struct json *cell = json_first(json_get(summary, "cells")); cell != NULL;
         cell = json_next(cell))
        add_details(cell, &text);
    const char *directory = suite_text(summary, "directory");
    buf_add_text(&text, "\nSummary: ");
    visible_add(&text, directory, strlen(directory), VISIBLE_LINE);
    buf_add_text(&text, "/summary.html\n");
    return report_put(&text, "the summary", out, err);
}
