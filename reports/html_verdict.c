/* The first sections of report.html: what each checker says, and the anomalies. */
#include <inttypes.h>
#include <string.h>

#include "reports/html.h"
#include "reports/page_data.h"
#include "reports/visible.h"

enum {
    ANOMALIES_MAX = PAGE_ANOMALIES_MAX, /* in full, all checkers together */
    TITLES_MAX = 200,
    OPERATIONS_MAX = 40,
    VALUE_COLUMNS = 160,
};

void html_verdict(struct html *html)
{
    const struct digest *digest = &html->digest;
    static const char *const columns[] = {"Checker", "Verdict", "Reason", ">Took", NULL};
    html_section(html, "verdict", "What the checkers say");
    if (digest->checker_count == 0) {
        html_note(html, "No checker judged this run.");
        html_section_end(html);
        return;
    }
    html_table(html, "A run is as good as the worst of its checkers: valid, unknown, invalid",
               columns);
    for (size_t i = 0; i < digest->checker_count; i++) {
        const struct digest_checker *checker = &digest->checkers[i];
        double seconds = json_as_real(json_get(checker->json, "seconds"), -1);
        html_row(html);
        html_head_cell(html, checker->name);
        html_raw(html, "<td>");
        html_verdict_badge(html, checker->verdict);
        html_raw(html, "</td>");
        html_raw(html, "<td class=\"wide\">");
        html_text(html, checker->reason);
        html_raw(html, "</td>");
        html_duration_cell(html, seconds < 0 ? -1 : (int64_t)(seconds * 1e9));
        html_row_end(html);
    }
    html_table_end(html);
    html_section_end(html);
}

/* ---- Anomalies ---- */

static void operation_row(struct html *html, const struct digest_operation *operation, bool culprit)
{
    html_raw(html, culprit ? "<tr class=\"culprit\">" : "<tr>");
    html_raw(html, "<th scope=\"row\">");
    html_process(html, operation->process);
    html_raw(html, "</th>");
    html_cell(html, operation->f);
    html_value_cell(html, operation->value, VALUE_COLUMNS);
    html_cell(html, operation->process < 0 ? "" : op_type_name(operation->outcome));
    html_exact_time_cell(html, operation->from_ns);
    html_exact_time_cell(html, operation->to_ns);
    html_raw(html, culprit ? "<td class=\"last\">does not fit</td>" : "<td></td>");
    html_row_end(html);
}

/* The invocation that the checker names as the one that does not fit. */
static uint32_t culprit_of(const struct digest *digest, const struct json *anomaly)
{
    const struct history *history = digest->run->history;
    const struct json *events = json_get(json_get(anomaly, "op"), "events");
    int64_t event = json_as_int(json_first(events), -1);
    if (event < 0 || event >= history->count)
        return HISTORY_NONE;
    return digest_operation(history, (uint32_t)event).invocation;
}

static void anomaly_heading(struct html *html, const struct digest_checker *checker,
                            const struct json *anomaly)
{
    const char *key = digest_key(&html->digest, anomaly);
    html_text(html, json_as_text(json_get(anomaly, "title"), "an anomaly"));
    html_raw(html, " <span class=\"of\">(");
    html_text(html, checker->name);
    if (key != NULL) {
        html_raw(html, ", key ");
        html_text(html, key);
    }
    html_raw(html, ")</span>");
}

static void anomaly_in_full(struct html *html, const struct digest_checker *checker,
                            const struct json *anomaly, size_t number)
{
    static const char *const columns[] = {"Process", "Function", "Value", "Outcome",
                                          ">From",   ">To",      "",      NULL};
    struct digest_operation operations[OPERATIONS_MAX];
    size_t total,
        count = digest_operations(&html->digest, anomaly, operations, OPERATIONS_MAX, &total);
    uint32_t culprit = culprit_of(&html->digest, anomaly);
    buf_printf(&html->out, "<article aria-labelledby=\"a%zu\">\n<h3 id=\"a%zu\">%zu. ", number,
               number, number);
    anomaly_heading(html, checker, anomaly);
    html_raw(html, "</h3>\n");
    html_prose(html, json_as_text(json_get(anomaly, "text"), ""));
    html_spacetime(html, &(struct html_anomaly){anomaly, checker->name, culprit, number},
                   operations, count);
    if (count > 0)
        buf_printf(&html->out,
                   "<p><a href=\"#timeline\" data-anomaly=\"%zu\">Where it is in the "
                   "timeline</a></p>\n",
                   number);
    if (count > 0) {
        html_table(html, "The operations that show it", columns);
        for (size_t i = 0; i < count; i++)
            operation_row(html, &operations[i], operations[i].invocation == culprit);
        html_table_end(html);
    }
    if (total > count)
        html_note(html, "%zu more operations are listed in results.json.", total - count);
    html_log_lines(html, operations, count, number);
    html_raw(html, "</article>\n");
}

static void other_titles(struct html *html, size_t shown)
{
    const struct digest *digest = &html->digest;
    size_t number = 0;
    buf_printf(&html->out,
               "<details><summary>%zu more, by their titles</summary>\n<ol start=\"%zu\">\n",
               digest->anomaly_count - shown, shown + 1);
    for (size_t i = 0; i < digest->checker_count; i++)
        for (const struct json *one = json_first(digest->checkers[i].anomalies); one != NULL;
             one = json_next(one)) {
            if (number++ < shown || number > shown + TITLES_MAX)
                continue;
            html_raw(html, "<li>");
            anomaly_heading(html, &digest->checkers[i], one);
            html_raw(html, "</li>\n");
        }
    html_raw(html, "</ol>\n");
    if (number > shown + TITLES_MAX)
        html_note(html, "%zu more are in results.json.", number - shown - TITLES_MAX);
    html_raw(html, "</details>\n");
}

void html_anomalies(struct html *html)
{
    const struct digest *digest = &html->digest;
    size_t number = 0;
    html_section(html, "anomalies", "Anomalies");
    if (digest->anomaly_count == 0)
        html_note(html, "%s",
                  digest->checker_count == 0           ? "Nobody looked for any."
                  : digest->verdict == VERDICT_UNKNOWN ? "None was found, but not everything could "
                                                         "be judged: see above."
                                                       : "None was found.");
    for (size_t i = 0; i < digest->checker_count; i++)
        for (const struct json *one = json_first(digest->checkers[i].anomalies);
             one != NULL && number < ANOMALIES_MAX; one = json_next(one))
            anomaly_in_full(html, &digest->checkers[i], one, ++number);
    if (digest->anomaly_count > number)
        other_titles(html, number);
    html_section_end(html);
}
