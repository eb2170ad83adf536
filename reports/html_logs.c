/* The nodes' logs: which there are, and the lines around an anomaly. */
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "reports/html.h"
#include "reports/visible.h"

enum { LINES_MAX = 40, TIMES_MAX = 80, LINE_COLUMNS = 300 };
#define AROUND_NS NS_PER_SECOND

/* ---- Around an anomaly ---- */

static void line_row(struct html *html, const struct node_line *line)
{
    struct buf shown = BUF_INIT;
    visible_add_cut(&shown, line->text, line->length, LINE_COLUMNS);
    html_row(html);
    html_exact_time_cell(html, line->ns);
    html_head_cell(html, line->log->node);
    html_raw(html, "<td class=\"wide\"><code>");
    markup_add_text(&html->out, buf_text(&shown));
    html_raw(html, "</code></td>");
    html_row_end(html);
    buf_free(&shown);
}

void html_log_lines(struct html *html, const struct digest_operation *operations, size_t count,
                    size_t number)
{
    static const char *const columns[] = {">When", "Node", "Line", NULL};
    int64_t times[TIMES_MAX];
    size_t time_count = 0, total;
    struct node_line lines[LINES_MAX];
    for (size_t i = 0; i < count; i++) {
        if (operations[i].from_ns >= 0 && time_count < TIMES_MAX)
            times[time_count++] = operations[i].from_ns;
        if (operations[i].to_ns >= 0 && time_count < TIMES_MAX)
            times[time_count++] = operations[i].to_ns;
    }
    if (html->logs.count == 0 || time_count == 0)
        return;
    size_t shown =
        node_logs_near(&html->logs, times, time_count, AROUND_NS, lines, LINES_MAX, &total);
    if (shown == 0) {
        html_note(html, "The nodes' logs say nothing within a second of it.");
        return;
    }
    buf_printf(&html->out,
               "<details><summary>What the nodes&#39; logs say within a second of it: "
               "%zu %s</summary>\n",
               total, total == 1 ? "line" : "lines");
    buf_printf(&html->out, "<div class=\"logs\" id=\"a%zu-logs\">\n", number);
    html_table(html,
               total > shown ? "The lines nearest to its operations, by the nodes' own clocks"
                             : "By the nodes' own clocks",
               columns);
    for (size_t i = 0; i < shown; i++)
        line_row(html, &lines[i]);
    html_table_end(html);
    html_raw(html, "</div></details>\n");
}

/* ---- The section ---- */

bool html_has_logs(const struct html *html)
{
    return html->logs.count > 0;
}

static void log_row(struct html *html, const struct node_log *log)
{
    html_row(html);
    html_head_cell(html, log->node);
    /* A name may hold anything; only plain ones become links. */
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    bool linked =
        log->node[strspn(log->node, plain)] == '\0' && log->file[strspn(log->file, plain)] == '\0';
    html_raw(html, "<td>");
    if (linked)
        buf_printf(&html->out, "<a href=\"nodes/%s/%s\">", log->node, log->file);
    html_text(html, log->file);
    html_raw(html, linked ? "</a></td>" : "</td>");
    html_number_cell(html, log->line_count);
    html_number_cell(html, log->bytes);
    html_time_cell(html, log->first_ns == NODE_LOG_UNPLACED ? -1 : log->first_ns);
    html_time_cell(html, log->last_ns == NODE_LOG_UNPLACED ? -1 : log->last_ns);
    html_raw(html, log->cut ? "<td>a part</td>" : "<td>all</td>");
    html_row_end(html);
}

void html_logs(struct html *html)
{
    static const char *const columns[] = {"Node",   "Log",   ">Lines", ">Bytes",
                                          ">First", ">Last", "Read",   NULL};
    if (!html_has_logs(html))
        return;
    html_section(html, "logs", "Logs of the nodes");
    html_table(html, "Logs that were fetched, and when their lines were written", columns);
    for (size_t i = 0; i < html->logs.count; i++)
        log_row(html, &html->logs.logs[i]);
    html_table_end(html);
    html_note(html, "%s",
              html->logs.zero_known
                  ? "Times are seconds of the run, by the clock of each node, which a "
                    "fault may have turned. What was written before the clients began "
                    "is left out of them."
                  : "The run does not say when it began: lines have no place in it.");
    html_section_end(html);
}
