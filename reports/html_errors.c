/* Errors in report.html: by class over the time of the run as a chart and as figures, and in all
 * with an example of each. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reports/html.h"
#include "reports/plot.h"
#include "reports/visible.h"

enum {
    VALUE_COLUMNS = 120,
    LABEL_COLUMNS = 60,
    ROWS_MAX = 8, /* drawn; beyond it the last one is all others together */
    STEPS = 120,
    STRETCHES = 12, /* of the table: each is STEPS / STRETCHES steps */
    ROW_HEIGHT = 36,
    BAR_HEIGHT = 20,
};

/* ---- Counting ---- */

struct rows {
    uint32_t count[ROWS_MAX][STEPS];
    uint64_t total[ROWS_MAX], timeless;
    char name[ROWS_MAX][LABEL_COLUMNS * 4 + 8];
    size_t used;
    uint32_t most;
};

static void name_rows(const struct digest *digest, struct rows *rows)
{
    rows->used = digest->error_count < ROWS_MAX ? digest->error_count : ROWS_MAX;
    for (size_t i = 0; i < rows->used; i++) {
        struct buf name = BUF_INIT;
        const char *class = digest->errors[i].class;
        if (i == ROWS_MAX - 1 && digest->error_count > ROWS_MAX)
            buf_printf(&name, "%zu other classes", digest->error_count - i);
        else
            visible_add_cut(&name, class, strlen(class), LABEL_COLUMNS);
        snprintf(rows->name[i], sizeof rows->name[i], "%s", buf_text(&name));
        buf_free(&name);
    }
}

static void count(const struct digest *digest, const struct plot *plot, struct rows *rows)
{
    const struct history *history = digest->run->history;
    double scale = STEPS / (plot->to_ns - plot->from_ns);
    for (uint32_t i = 0; i < history->count; i++) {
        int class = digest_error_class(digest, i);
        if (class < 0)
            continue;
        size_t row = (size_t) class < rows->used ? (size_t) class : rows->used - 1;
        rows->total[row]++;
        if (history->time_ns[i] < 0) {
            rows->timeless++;
            continue;
        }
        double place = ((double)history->time_ns[i] - plot->from_ns) * scale;
        int step = place < 0 ? 0 : place >= STEPS ? STEPS - 1 : (int)place;
        uint32_t here = ++rows->count[row][step];
        rows->most = here > rows->most ? here : rows->most;
    }
}

/* ---- The chart ---- */

static void draw_row(struct plot *plot, const struct rows *rows, size_t row)
{
    struct html *html = plot->html;
    double bottom = plot->top + (double)(row + 1) * ROW_HEIGHT;
    double width = (double)(PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT) / STEPS;
    uint32_t most = 0;
    buf_printf(&html->out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><path class=\"a-error\" d=\"",
               PLOT_LEFT, bottom, PLOT_WIDTH - PLOT_RIGHT);
    for (int i = 0; i < STEPS; i++) {
        uint32_t here = rows->count[row][i];
        double height = (double)here / rows->most * BAR_HEIGHT, x = PLOT_LEFT + width * i;
        most = here > most ? here : most;
        if (here > 0) /* one among thousands is still to be seen */
            buf_printf(&html->out, "M%.1f %.1fV%.1fH%.1fV%.1fZ", x, bottom,
                       bottom - (height < 2 ? 2 : height), x + width, bottom);
    }
    buf_printf(&html->out, "\"/><text class=\"label\" x=\"%d\" y=\"%.1f\">", PLOT_LEFT + 4,
               bottom - BAR_HEIGHT - 4);
    html_text(html, rows->name[row]);
    html_raw(html, "</text>");
    struct buf peak = BUF_INIT;
    digest_number(&peak, most);
    buf_printf(&html->out, "<text class=\"end\" x=\"%d\" y=\"%.1f\">\u2264 %s</text>\n",
               PLOT_LEFT - 8, bottom - 3, buf_text(&peak));
    buf_free(&peak);
}

/* The chart's figures, in longer stretches: for those who cannot see it. */
static void figures(const struct plot *plot, const struct rows *rows)
{
    struct html *html = plot->html;
    struct arena *arena = &html->digest.arena;
    const char *columns[ROWS_MAX + 2] = {"From"};
    double stretch_ns = (plot->to_ns - plot->from_ns) / STRETCHES;
    for (size_t row = 0; row < rows->used; row++)
        columns[row + 1] = arena_printf(arena, ">%s", rows->name[row]);
    html_raw(html, "<details><summary>The same in figures</summary>\n");
    html_table(html, "Errors by class and time", columns);
    for (int i = 0; i < STRETCHES; i++) {
        struct buf from = BUF_INIT;
        digest_time(&from, (int64_t)(plot->from_ns + stretch_ns * i));
        html_row(html);
        html_head_cell(html, buf_text(&from));
        buf_free(&from);
        for (size_t row = 0; row < rows->used; row++) {
            uint64_t sum = 0;
            for (int k = 0; k < STEPS / STRETCHES; k++)
                sum += rows->count[row][i * (STEPS / STRETCHES) + k];
            html_number_cell(html, sum);
        }
        html_row_end(html);
    }
    html_table_end(html);
    html_raw(html, "</details>\n");
}

static void chart(struct html *html, struct rows *rows)
{
    struct plot plot;
    name_rows(&html->digest, rows);
    plot_begin(&plot, html, "errors-chart", (double)rows->used * ROW_HEIGHT,
               "Errors by class over the run",
               "A row a class, the most frequent first: bars of how many operations came back "
               "with it when, with the faults as bands. The tables have the figures.");
    count(&html->digest, &plot, rows);
    for (size_t row = 0; row < rows->used && rows->most > 0; row++)
        draw_row(&plot, rows, row);
    plot_end(&plot);
    struct buf width = BUF_INIT;
    digest_duration(&width, (int64_t)((plot.to_ns - plot.from_ns) / STEPS));
    buf_printf(&html->out,
               "<figcaption>Each step is %s. All rows have one scale; on the left the most that a "
               "step of the row has. What is rare is drawn two dots high.</figcaption></figure>\n",
               buf_text(&width));
    buf_free(&width);
    figures(&plot, rows);
}

/* ---- The table ---- */

static void error_row(struct html *html, const struct digest_error *error)
{
    const struct history *history = html->digest.run->history;
    html_row(html);
    html_raw(html, "<td><code>");
    html_text(html, error->class);
    html_raw(html, "</code></td>");
    html_number_cell(html, error->count[OP_INVOKE]);
    html_number_cell(html, error->count[OP_FAIL]);
    html_number_cell(html, error->count[OP_INFO]);
    html_raw(html, "<td class=\"wide\">");
    html_value(html, history->errors[history->error[error->example]], VALUE_COLUMNS);
    html_raw(html, "<small>");
    html_text(html, history_f_name(history, error->example));
    html_raw(html, " ");
    html_value(html, history->value[error->example], 40);
    html_raw(html, ", ");
    html_process(html, history->process[error->example]);
    buf_printf(&html->out, ", event %" PRIu32 "</small></td>", error->example);
    html_row_end(html);
}

void html_errors(struct html *html)
{
    const struct digest *digest = &html->digest;
    static const char *const columns[] = {"Error", ">All", ">fail", ">info", "For example", NULL};
    html_section(html, "errors", "Errors");
    if (digest->error_count == 0) {
        html_note(html, "No operation of a client came back with an error.");
        html_section_end(html);
        return;
    }
    struct rows *rows = digest->timed ? calloc(1, sizeof *rows) : NULL;
    if (rows != NULL)
        chart(html, rows);
    free(rows);
    html_table(html, "Errors of clients by class, the most frequent first", columns);
    for (size_t i = 0; i < digest->error_count; i++)
        error_row(html, &digest->errors[i]);
    html_table_end(html);
    if (digest->errors_lumped)
        html_note(html, "There were too many classes to tell apart; \"(others)\" has the rest.");
    html_section_end(html);
}
