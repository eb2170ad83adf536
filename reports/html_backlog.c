/* The backlog of a queue over time: how many messages waited, and for how long the oldest of them
 * (docs/delivery.md defines both). */
#include <math.h>
#include <stdio.h>

#include "reports/html.h"
#include "reports/plot.h"

enum { HEIGHT = 130, LEVELS_MAX = 4, POINTS_MAX = 2000, ROWS = 12 };

struct line {
    const char *id, *title, *description, *class;
    const struct json *values;
    double from_ns, to_ns;
    bool duration; /* else a count */
};

static double at_ns(const struct line *line, size_t k)
{
    return line->from_ns +
           (line->to_ns - line->from_ns) * (double)k / (double)(json_count(line->values) - 1);
}

static double value_of(const struct json *one)
{
    double value = json_as_real(one, 0);
    return value > 0 && value < 1e18 ? value : 0;
}

static void add_figure(const struct line *line, double value, struct buf *out)
{
    if (line->duration)
        digest_duration(out, (int64_t)value);
    else
        digest_number(out, (uint64_t)value);
}

static void draw_levels(struct plot *plot, const struct line *line, double most)
{
    double step = plot_step(most, LEVELS_MAX);
    if (!line->duration && step < 1)
        step = 1;
    for (int k = 0; k * step <= most; k++) {
        struct buf label = BUF_INIT;
        add_figure(line, k * step, &label);
        plot_level(plot, plot->top + plot->height * (1 - k * step / most), buf_text(&label));
        buf_free(&label);
    }
}

static void draw_line(struct html *html, const struct line *line)
{
    struct plot plot;
    double most = 0, x = PLOT_LEFT;
    size_t k = 0;
    for (const struct json *one = json_first(line->values); one != NULL; one = json_next(one))
        most = fmax(most, value_of(one));
    most = most > 0 ? most * 1.05 : 1;
    plot_begin(&plot, html, line->id, HEIGHT, line->title, line->description);
    draw_levels(&plot, line, most);
    double bottom = plot.top + plot.height;
    buf_printf(&html->out, "<path class=\"%s\" d=\"M%.1f %.1f", line->class,
               plot_x(&plot, line->from_ns), bottom);
    for (const struct json *one = json_first(line->values); one != NULL && k < POINTS_MAX;
         one = json_next(one), k++) {
        x = plot_x(&plot, at_ns(line, k));
        buf_printf(&html->out, "L%.1f %.1f", x, bottom - plot.height * value_of(one) / most);
    }
    buf_printf(&html->out, "L%.1f %.1f\"/>\n", x, bottom);
    plot_end(&plot);
    buf_printf(&html->out, "<figcaption>%s</figcaption></figure>\n", line->title);
}

/* The charts' figures, fewer: for those who cannot see them. */
static void figures(struct html *html, const struct line *depth, const struct line *age)
{
    static const char *const columns[] = {"At", ">Waiting", ">The oldest for", NULL};
    size_t count = json_count(depth->values), every = (count + ROWS - 1) / ROWS, k = 0;
    const struct json *old = json_first(age->values);
    html_raw(html, "<details><summary>The same in figures</summary>\n");
    html_table(html, "The backlog over time", columns);
    for (const struct json *one = json_first(depth->values); one != NULL && old != NULL;
         one = json_next(one), old = json_next(old), k++) {
        struct buf at = BUF_INIT;
        if (k % every != 0)
            continue;
        digest_time(&at, (int64_t)at_ns(depth, k));
        html_row(html);
        html_head_cell(html, buf_text(&at));
        html_number_cell(html, (uint64_t)value_of(one));
        html_duration_cell(html, (int64_t)value_of(old));
        html_row_end(html);
        buf_free(&at);
    }
    html_table_end(html);
    html_raw(html, "</details>\n");
}

void html_backlog(struct html *html, const struct json *backlog)
{
    const struct json *moments = json_get(backlog, "moments");
    struct line depth = {
        .id = "backlog-depth",
        .title = "Messages that waited, at least",
        .description = "How many accepted messages had certainly not ended, with the faults as "
                       "bands. The table below has figures.",
        .class = "depth",
        .values = json_get(moments, "depth"),
        .from_ns = json_as_real(json_get(moments, "from-ns"), -1),
        .to_ns = json_as_real(json_get(moments, "to-ns"), -1),
    };
    struct line age = depth;
    age.id = "backlog-age";
    age.title = "How long the oldest of them had waited, at least";
    age.description = "The age of the oldest message that waited, with the faults as bands. The "
                      "table below has figures.";
    age.class = "age";
    age.values = json_get(moments, "oldest-ns");
    age.duration = true;
    size_t count = json_count(depth.values);
    if (!html->digest.timed || count < 2 || json_count(age.values) != count ||
        !(depth.from_ns >= 0) || !(depth.to_ns > depth.from_ns) || !(depth.to_ns < 1e18))
        return;
    html_raw(html, "<h3 id=\"backlog\">The backlog over time</h3>\n");
    draw_line(html, &depth);
    draw_line(html, &age);
    figures(html, &depth, &age);
}
