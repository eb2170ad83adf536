/* Marks: what systems, workloads and clients want to be seen, what the nodes' logs said that some
 * pattern matched, and daemons that died. The timeline draws them; here they are listed. */
#include <stdlib.h>
#include <string.h>

#include "reports/html.h"
#include "reports/visible.h"

enum { ROWS_MAX = 300, OF_A_LOG_MAX = 200, TEXT_COLUMNS = 200, OPEN_UP_TO = 30 };

/* ---- Marks of the logs ---- */

struct gathering {
    struct arena *arena;
    struct digest_mark *marks;
    size_t count, capacity;
};

static void gather(void *state, const char *kind, const struct node_line *line)
{
    struct gathering *gathering = state;
    if (gathering->count == gathering->capacity) {
        size_t capacity = gathering->capacity == 0 ? 64 : gathering->capacity * 2;
        struct digest_mark *more = realloc(gathering->marks, capacity * sizeof *more);
        if (more == NULL)
            return;
        gathering->marks = more;
        gathering->capacity = capacity;
    }
    struct buf text = BUF_INIT;
    visible_add_cut(&text, line->text, line->length, TEXT_COLUMNS);
    gathering->marks[gathering->count++] =
        (struct digest_mark){.kind = kind,
                             .text = arena_strdup(gathering->arena, buf_text(&text)),
                             .where = line->log->node,
                             .from_ns = line->ns,
                             .to_ns = line->ns};
    buf_free(&text);
}

void html_take_log_marks(struct html *html)
{
    struct gathering gathering = {.arena = &html->digest.arena};
    const struct json *test = json_get(html->digest.run->results, "test");
    node_logs_match(&html->logs, json_get(test, "log-marks"), OF_A_LOG_MAX, gather, &gathering);
    /* Before the clients began a system comes up, which is nothing to tell of. */
    size_t kept = 0;
    for (size_t i = 0; i < gathering.count; i++)
        if (gathering.marks[i].from_ns >= html->digest.begin_ns &&
            gathering.marks[i].from_ns <= html->digest.end_ns)
            gathering.marks[kept++] = gathering.marks[i];
    if (kept > 0)
        digest_marks_add(&html->digest, gathering.marks, kept);
    free(gathering.marks);
}

/* ---- The section ---- */

bool html_has_marks(const struct html *html)
{
    return html->digest.mark_count > 0;
}

static void mark_row(struct html *html, const struct digest_mark *mark, size_t place)
{
    html_row(html);
    buf_printf(&html->out, "<td class=\"n\"><a href=\"#timeline\" data-mark=\"%zu\">", place);
    digest_exact_time(&html->out, mark->from_ns);
    html_raw(html, "</a></td>");
    if (mark->to_ns > mark->from_ns)
        html_duration_cell(html, mark->to_ns - mark->from_ns);
    else
        html_raw(html, "<td></td>");
    html_head_cell(html, mark->kind);
    html_cell(html, mark->where);
    html_raw(html, "<td class=\"wide\">");
    html_text(html, mark->text);
    html_raw(html, "</td>");
    html_row_end(html);
}

void html_marks(struct html *html)
{
    const struct digest *digest = &html->digest;
    static const char *const columns[] = {">When", ">Lasted", "Kind", "Where", "What", NULL};
    if (!html_has_marks(html))
        return;
    html_section(html, "marks", "Marks");
    buf_printf(&html->out, "<details%s><summary>%zu %s</summary>\n",
               digest->mark_count <= OPEN_UP_TO ? " open=\"\"" : "", digest->mark_count,
               digest->mark_count == 1 ? "mark" : "marks");
    html_table(html, "What the system, its clients and its logs told, by time", columns);
    for (size_t i = 0; i < digest->mark_count && i < ROWS_MAX; i++)
        mark_row(html, &digest->marks[i], i);
    html_table_end(html);
    html_raw(html, "</details>\n");
    if (digest->mark_count > ROWS_MAX)
        html_note(html, "%zu more are in the history and in the logs.",
                  digest->mark_count - ROWS_MAX);
    html_section_end(html);
}
