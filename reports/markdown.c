/* A suite's findings as a Markdown table, for documents and for the summaries that CI systems show:
 * system, fault, what was found, what was expected, where to see it again. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "reports/reports.h"
#include "reports/suite.h"
#include "reports/visible.h"

enum { SHOWN_COLUMNS_MAX = 160 };

/* Nothing of it is taken for markup, and none of it ends the cell. */
static void add_cell_text(struct buf *out, const char *text, size_t columns)
{
    struct buf visible = BUF_INIT;
    visible_add_cut(&visible, text, strlen(text), columns);
    for (const char *c = buf_text(&visible); *c != '\0'; c++) {
        if (strchr("\\`*_{}[]<>|#~", *c) != NULL)
            buf_add_char(out, '\\');
        buf_add_char(out, *c);
    }
    buf_free(&visible);
}

static void add_system(const struct json *cell, struct buf *out)
{
    const char *version = suite_text(cell, "system-version");
    add_cell_text(out, *version != '\0' ? version : suite_text(cell, "system"), SHOWN_COLUMNS_MAX);
    struct buf text = BUF_INIT;
    for (const struct json *one = json_first(json_get(cell, "set")); one != NULL;
         one = json_next(one))
        buf_printf(&text, "%s%s=%s", text.length > 0 ? ", " : "", json_key(one),
                   json_as_text(one, ""));
    if (text.length > 0) {
        buf_add_text(out, "; ");
        add_cell_text(out, buf_text(&text), SHOWN_COLUMNS_MAX);
    }
    buf_free(&text);
}

static void add_fault(const struct json *cell, struct buf *out)
{
    const char *nemesis = suite_text(cell, "nemesis");
    if (json_get(cell, "schedule") != NULL)
        nemesis = "schedule";
    add_cell_text(out, nemesis, SHOWN_COLUMNS_MAX);
    buf_add_text(out, " (");
    add_cell_text(out, suite_text(cell, "workload"), SHOWN_COLUMNS_MAX);
    buf_add_char(out, ')');
}

static void add_reference(const struct json *cell, struct buf *out)
{
    const struct json *reference = json_get(cell, "reference");
    const char *url = suite_text(reference, "url");
    if (*url == '\0' || strpbrk(url, " ()<>|") != NULL) {
        add_cell_text(out, suite_text(reference, "text"), SHOWN_COLUMNS_MAX);
        return;
    }
    buf_add_char(out, '[');
    add_cell_text(out, suite_text(reference, "text"), SHOWN_COLUMNS_MAX);
    buf_printf(out, "](%s)", url);
}

static void add_row(const struct json *cell, struct buf *out)
{
    struct buf text = BUF_INIT;
    int64_t seed = suite_cell_seed(cell);
    buf_add_text(out, "| ");
    add_cell_text(out, suite_text(cell, "name"), SHOWN_COLUMNS_MAX);
    buf_add_text(out, " | ");
    add_system(cell, out);
    buf_add_text(out, " | ");
    add_fault(cell, out);
    buf_add_text(out, " | ");
    suite_cell_expected(cell, &text);
    add_cell_text(out, buf_text(&text), SHOWN_COLUMNS_MAX);
    buf_printf(out, " | %s: ", suite_text(cell, "outcome"));
    add_cell_text(out, suite_cell_shown(cell), SHOWN_COLUMNS_MAX);
    buf_clear(&text);
    suite_cell_rate(cell, &text);
    buf_printf(out, " | %s | ", buf_text(&text));
    if (seed >= 0)
        buf_printf(out, "%" PRId64, seed);
    buf_add_text(out, " | ");
    add_reference(cell, out);
    buf_add_text(out, " |\n");
    buf_free(&text);
}

static enum err_code write_suite(const struct json *summary, FILE *out, struct err *err)
{
    struct buf text = BUF_INIT;
    buf_add_text(&text, "## ");
    add_cell_text(&text, suite_text(summary, "suite"), SHOWN_COLUMNS_MAX);
    buf_add_text(&text, "\n\n");
    if (*suite_text(summary, "about") != '\0') {
        add_cell_text(&text, suite_text(summary, "about"), 2000);
        buf_add_text(&text, "\n\n");
    }
    suite_headline(summary, &text);
    buf_add_text(&text, "\n\n| cell | system | fault (workload) | expected | found | rate | seed | "
                        "reference |\n|---|---|---|---|---|---|---|---|\n");
    for (const struct json *cell = json_first(json_get(summary, "cells")); cell != NULL;
         cell = json_next(cell))
        add_row(cell, &text);
    return report_put(&text, "the table", out, err);
}

const struct reporter reporter_markdown = {
    .name = "markdown",
    .summary = "the verdict, or what a suite found, for pull requests and CI's summaries",
    .write = markdown_write_run,
    .suite_file_name = "summary.md",
    .write_suite = write_suite,
};
