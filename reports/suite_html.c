/* A suite's page: what came of each cell, and where its runs are. */
#include <inttypes.h>
#include <string.h>

#include "reports/html.h"
#include "reports/reports.h"
#include "reports/suite.h"
#include "reports/visible.h"

static void outcome_cell(struct html *html, const struct json *cell)
{
    buf_printf(&html->out, "<td><span class=\"badge %s\">", verdict_name(suite_cell_verdict(cell)));
    html_text(html, suite_text(cell, "outcome"));
    html_raw(html, "</span></td>");
}

static void reference(struct html *html, const struct json *reference)
{
    const char *url = suite_text(reference, "url");
    bool link = strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
    if (link) {
        html_raw(html, "<a href=\"");
        html_text(html, url);
        html_raw(html, "\">");
    }
    html_text(html, suite_text(reference, "text"));
    if (link)
        html_raw(html, "</a>");
}

static void cell_row(struct html *html, const struct json *cell)
{
    struct buf text = BUF_INIT;
    int64_t seed = suite_cell_seed(cell);
    html_row(html);
    html_raw(html, "<th scope=\"row\">");
    html_text(html, suite_text(cell, "name"));
    html_raw(html, "</th>");
    outcome_cell(html, cell);
    suite_cell_expected(cell, &text);
    html_cell(html, buf_text(&text));
    html_number_cell(html, (uint64_t)suite_count(cell, "valid-count"));
    html_number_cell(html, (uint64_t)suite_count(cell, "unknown-count"));
    html_number_cell(html, (uint64_t)suite_count(cell, "invalid-count"));
    html_number_cell(html, (uint64_t)suite_count(cell, "failed-count"));
    buf_clear(&text);
    suite_cell_rate(cell, &text);
    buf_printf(&html->out, "<td class=\"n\">%s</td>", buf_text(&text));
    if (seed >= 0)
        html_number_cell(html, (uint64_t)seed);
    else
        html_raw(html, "<td class=\"n\">-</td>");
    html_row_end(html);
    buf_free(&text);
}

static void cells(struct html *html, const struct json *summary)
{
    static const char *const columns[] = {"Cell",     "Outcome", "Expected", ">Valid", ">Unknown",
                                          ">Invalid", ">Failed", ">Rate",    ">Seed",  NULL};
    html_section(html, "cells", "Cells");
    html_note(html, "Rate: of the runs that show what is expected; where nothing is, of those "
                    "judged that are not valid. Seed: the first run's that showed it, or that was "
                    "not as it should be.");
    html_table(html, "Every cell of the suite", columns);
    for (const struct json *cell = json_first(json_get(summary, "cells")); cell != NULL;
         cell = json_next(cell))
        cell_row(html, cell);
    html_table_end(html);
    html_section_end(html);
}

static void run_row(struct html *html, const struct json *run)
{
    double seconds = json_as_real(json_get(run, "seconds"), 0);
    html_row(html);
    html_number_cell(html, (uint64_t)suite_count(run, "seed"));
    html_raw(html, "<td>");
    if (json_get(run, "valid") != NULL)
        html_verdict_badge(html, verdict_from_json(json_get(run, "valid")));
    html_raw(html, "</td>");
    html_cell(html, suite_text(run, "finding"));
    html_duration_cell(html, (int64_t)(seconds * 1e9));
    html_raw(html, "<td>");
    html_text(html, suite_text(run, "directory"));
    if (*suite_text(run, "problem") != '\0') {
        html_raw(html, "<small>");
        html_text(html, suite_text(run, "problem"));
        html_raw(html, "</small>");
    }
    for (const struct json *one = json_first(json_get(run, "retried")); one != NULL;
         one = json_next(one)) {
        html_raw(html, "<small>tried again, since the harness failed: ");
        html_text(html, json_as_text(one, ""));
        html_raw(html, "</small>");
    }
    html_raw(html, "</td>");
    html_row_end(html);
}

static void one_cell(struct html *html, const struct json *cell)
{
    static const char *const columns[] = {">Seed", "Verdict", "Finding", ">Took", "Run", NULL};
    const struct json *shown = json_get(cell, "first-shown"),
                      *failed = json_get(cell, "first-failed");
    if (shown == NULL || suite_cell_verdict(cell) == VERDICT_INVALID)
        shown = failed != NULL ? failed : shown;
    html_raw(html, "<article><h3>");
    html_text(html, suite_text(cell, "name"));
    html_raw(html, " <span class=\"of\">");
    html_text(html, suite_text(cell, "reason"));
    html_raw(html, "</span></h3>\n");
    if (*suite_text(cell, "about") != '\0')
        html_prose(html, suite_text(cell, "about"));
    if (*suite_text(shown, "title") != '\0') {
        html_raw(html, "<p>");
        html_text(html, suite_text(shown, "title"));
        html_raw(html, ":</p>\n");
        html_prose(html, suite_text(shown, "text"));
    } else if (*suite_text(shown, "reason") != '\0') {
        html_prose(html, suite_text(shown, "reason"));
    }
    if (json_get(cell, "reference") != NULL) {
        html_raw(html, "<p class=\"note\">");
        reference(html, json_get(cell, "reference"));
        html_raw(html, "</p>\n");
    }
    html_table(html, "Its runs", columns);
    for (const struct json *run = json_first(json_get(cell, "runs")); run != NULL;
         run = json_next(run))
        run_row(html, run);
    html_table_end(html);
    html_raw(html, "</article>\n");
}

static void banner(struct html *html, const struct json *summary, enum verdict verdict)
{
    static const char *const words[] = {"As it should be", "Unknown", "Not as it should be"};
    struct buf headline = BUF_INIT;
    suite_headline(summary, &headline);
    html_raw(html, "<header>\n<p class=\"brand\">ordeal &middot; suite ");
    html_text(html, suite_text(summary, "suite"));
    buf_printf(&html->out, "</p>\n<div class=\"banner %s\">\n<h1><span class=\"word\">%s:</span> ",
               verdict_name(verdict), words[verdict]);
    html_text(html, buf_text(&headline));
    html_raw(html, "</h1>\n<p>");
    html_text(html, suite_text(summary, "about"));
    html_raw(html, "</p>\n</div>\n</header>\n");
    buf_free(&headline);
}

enum err_code suite_html_write(const struct json *summary, FILE *out, struct err *err)
{
    struct html html = {.out = BUF_INIT};
    struct buf title = BUF_INIT;
    buf_add_text(&title, "suite ");
    markup_add_text(&title, suite_text(summary, "suite"));
    html_begin(&html, buf_text(&title));
    buf_free(&title);
    banner(&html, summary, suite_verdict(summary));
    html_raw(&html, "<main id=\"content\">\n");
    cells(&html, summary);
    html_section(&html, "runs", "Runs");
    for (const struct json *cell = json_first(json_get(summary, "cells")); cell != NULL;
         cell = json_next(cell))
        one_cell(&html, cell);
    html_section_end(&html);
    html_raw(&html, "</main>\n<footer><p>Made by ordeal " ORDEAL_VERSION
                    " from the suite&#39;s summary.json.</p></footer>\n</body>\n</html>\n");
    return report_put(&html.out, "the page", out, err);
}
