/* By how much the nodes' clocks were off through the run, a line a node. Offsets are of a few
 * milliseconds or of days, forward and back: the scale is logarithmic to both sides of nought. */
#include <math.h>
#include <stdio.h>

#include "reports/html.h"
#include "reports/plot.h"

enum { HEIGHT = 240, NODES_DRAWN_MAX = 64, COLOURS = 6 };

/* What is smaller is drawn on the line of nought, about where measuring ends. */
static const double smallest_s = 0.01;

struct chart {
    double most; /* decades above the smallest, at least one */
    bool forward, back;
};

static const struct json *offsets_of(const struct html *html)
{
    return json_get(html->digest.run->results, "clock-offsets");
}

bool html_has_clocks(const struct html *html)
{
    return json_count(offsets_of(html)) > 0;
}

/* Decades above the smallest, of either sign. */
static double decades(double offset_s)
{
    double size = fabs(offset_s) / smallest_s;
    return size <= 1 ? 0 : copysign(log10(size), offset_s);
}

/* Within what can be drawn, whatever was written there. */
static double offset_at(const struct json *sample)
{
    return fmax(-1e9, fmin(1e9, json_as_real(json_at(sample, 1), 0)));
}

static double x_of(const struct plot *plot, const struct json *sample)
{
    double ns = json_as_real(json_at(sample, 0), 0) * 1e9;
    return plot_x(plot, fmax(plot->from_ns, fmin(plot->to_ns, ns)));
}

static double y_of(const struct plot *plot, const struct chart *chart, double offset_s)
{
    double low = chart->back ? -chart->most : 0, high = chart->forward ? chart->most : 0;
    double share = (decades(offset_s) - low) / (high - low);
    return plot->top + plot->height * (1 - share);
}

static void find_scale(const struct json *offsets, struct chart *chart)
{
    *chart = (struct chart){.most = 1};
    for (const struct json *node = json_first(offsets); node != NULL; node = json_next(node))
        for (const struct json *one = json_first(node); one != NULL; one = json_next(one)) {
            double size = decades(offset_at(one));
            chart->forward = chart->forward || size > 0;
            chart->back = chart->back || size < 0;
            chart->most = fmax(chart->most, ceil(fabs(size)));
        }
    if (!chart->forward && !chart->back)
        chart->forward = true;
}

static void draw_level(struct plot *plot, const struct chart *chart, double offset_s)
{
    struct buf label = BUF_INIT;
    buf_add_text(&label, offset_s > 0 ? "+" : offset_s < 0 ? "-" : "");
    digest_duration(&label, (int64_t)(fabs(offset_s) * 1e9));
    plot_level(plot, y_of(plot, chart, offset_s), buf_text(&label));
    buf_free(&label);
}

/* Nought and every decade, or every second one where there are many. */
static void draw_levels(struct plot *plot, const struct chart *chart)
{
    int step = chart->most * (chart->forward + chart->back) > 9 ? 2 : 1;
    plot_level(plot, y_of(plot, chart, 0), "0");
    for (int k = step; k <= (int)chart->most; k += step) {
        if (chart->forward)
            draw_level(plot, chart, smallest_s * pow(10, k));
        if (chart->back)
            draw_level(plot, chart, -smallest_s * pow(10, k));
    }
}

static void draw_node(struct plot *plot, const struct chart *chart, const struct json *node,
                      int number)
{
    struct html *html = plot->html;
    double most = 0;
    bool first = true;
    buf_printf(&html->out, "<path class=\"clock c%d\" d=\"", number % COLOURS);
    for (const struct json *one = json_first(node); one != NULL; one = json_next(one)) {
        double x = x_of(plot, one);
        most = fabs(offset_at(one)) > fabs(most) ? offset_at(one) : most;
        buf_printf(&html->out, "%s%.1f %.1f", first ? "M" : "L", x,
                   y_of(plot, chart, offset_at(one)));
        first = false;
    }
    html_raw(html, "\"><title>");
    html_text(html, json_key(node));
    buf_printf(&html->out, ": off by %+.3f s at most</title></path>\n", most);
}

static void legend(struct html *html, const struct json *offsets)
{
    int number = 0;
    html_raw(html, "<ul class=\"legend\">");
    for (const struct json *node = json_first(offsets); node != NULL && number < NODES_DRAWN_MAX;
         node = json_next(node)) {
        buf_printf(&html->out,
                   "<li><svg viewBox=\"0 0 22 16\" aria-hidden=\"true\"><path class=\"clock c%d\" "
                   "d=\"M1 8H21\"/></svg>",
                   number++ % COLOURS);
        html_text(html, json_key(node));
        html_raw(html, "</li>");
    }
    html_raw(html, "</ul>\n");
}

static void draw_chart(struct html *html, const struct json *offsets)
{
    struct plot plot;
    struct chart chart;
    int number = 0;
    find_scale(offsets, &chart);
    plot_begin(&plot, html, "clocks-chart", HEIGHT, "Clock offsets by node over the run",
               "A line a node: by how much its clock was off, on a logarithmic scale to both sides "
               "of nought, with the faults as bands. The table has the figures.");
    draw_levels(&plot, &chart);
    for (const struct json *node = json_first(offsets); node != NULL && number < NODES_DRAWN_MAX;
         node = json_next(node))
        draw_node(&plot, &chart, node, number++);
    plot_end(&plot);
    legend(html, offsets);
    html_raw(html, "<figcaption>What the node's daemon that was off most was told, less the true "
                   "time. Less than 10 ms is drawn as nought.</figcaption></figure>\n");
}

static void add_table(struct html *html, const struct json *offsets)
{
    static const char *const columns[] = {"Node",         ">Looks",      ">Most ahead",
                                          ">Most behind", ">At the end", NULL};
    html_table(html, "Clock offsets", columns);
    for (const struct json *node = json_first(offsets); node != NULL; node = json_next(node)) {
        double ahead = 0, behind = 0, last = 0;
        for (const struct json *one = json_first(node); one != NULL; one = json_next(one)) {
            last = offset_at(one);
            ahead = fmax(ahead, last);
            behind = fmin(behind, last);
        }
        char text[3][48];
        snprintf(text[0], sizeof text[0], "%+.3f s", ahead);
        snprintf(text[1], sizeof text[1], "%+.3f s", behind);
        snprintf(text[2], sizeof text[2], "%+.3f s", last);
        html_row(html);
        html_head_cell(html, json_key(node));
        html_number_cell(html, json_count(node));
        for (int i = 0; i < 3; i++)
            html_cell(html, text[i]);
        html_row_end(html);
    }
    html_table_end(html);
}

void html_clocks(struct html *html)
{
    const struct json *offsets = offsets_of(html);
    if (!html_has_clocks(html))
        return;
    html_section(html, "clocks", "Clocks");
    if (html->digest.timed)
        draw_chart(html, offsets);
    add_table(html, offsets);
    html_section_end(html);
}
