/* Latency: how it went over time, as a sequence of box plots, and in figures. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "reports/html.h"
#include "reports/plot.h"
#include "reports/visible.h"

enum {
    WINDOWS_MIN = 12,
    WINDOWS_MAX = 60,
    OPERATIONS_A_WINDOW = 12,
    CHARTS_MAX = 6,
    ROWS_MAX = 100,
    HEIGHT = 170
};

struct chart {
    struct html *html;
    const struct digest_function *function;
    const struct latency *windows;
    int window_count;
    size_t number;
    double low, high; /* powers of ten, of ns */
};

/* ---- Over time ---- */

static void gather(const struct html *html, struct latency *windows, int window_count,
                   size_t charts)
{
    const struct digest *digest = &html->digest;
    const struct history *history = digest->run->history;
    double from_ns = (double)digest->begin_ns;
    double scale = window_count / ((double)digest->end_ns - from_ns + 1);
    for (uint32_t i = 0; i < history->count; i++) {
        if (history->type[i] != OP_OK || !history_is_client(history, i) ||
            history->partner == NULL || history->partner[i] == HISTORY_NONE)
            continue;
        size_t function = digest->function_of[history->f[i]];
        int64_t begun_ns = history->time_ns[history->partner[i]];
        double place = ((double)history->time_ns[i] - from_ns) * scale;
        if (function >= charts || begun_ns < 0 || place < 0 || place >= window_count)
            continue;
        latency_add(&windows[function * WINDOWS_MAX + (size_t)place],
                    history->time_ns[i] - begun_ns);
    }
}

static double y_of(const struct plot *plot, const struct chart *chart, double ns)
{
    double level = log10(ns < 1 ? 1 : ns);
    return plot->top + plot->height -
           (level - chart->low) / (chart->high - chart->low) * plot->height;
}

static double window_ns(const struct plot *plot, const struct chart *chart, int window)
{
    return plot->from_ns + (plot->to_ns - plot->from_ns) * window / chart->window_count;
}

static void draw_levels(struct plot *plot, const struct chart *chart)
{
    for (double level = chart->low; level <= chart->high; level++) {
        struct buf label = BUF_INIT;
        digest_duration(&label, level < 18.5 ? (int64_t)llround(pow(10, level)) : INT64_MAX);
        plot_level(plot, y_of(plot, chart, pow(10, level)), label.data);
        buf_free(&label);
    }
}

/* Left edge and width of a window's box. */
static double box_x(const struct plot *plot, const struct chart *chart, int window, double *width)
{
    double x = plot_x(plot, window_ns(plot, chart, window));
    *width = plot_x(plot, window_ns(plot, chart, window + 1)) - x;
    x += *width * 0.18;
    *width *= 0.64;
    return x;
}

enum part { PART_WHISKERS, PART_BOXES, PART_MEDIANS, PART_COUNT };

static void draw_part(struct plot *plot, const struct chart *chart, enum part part, int window)
{
    struct buf *out = &plot->html->out;
    const struct latency *latency = &chart->windows[window];
    double width, x = box_x(plot, chart, window, &width);
    double y[5];
    static const double shares[5] = {0.05, 0.25, 0.5, 0.75, 0.95};
    for (int i = 0; i < 5; i++)
        y[i] = y_of(plot, chart, (double)latency_quantile(latency, shares[i]));
    double middle = x + width / 2;
    if (part == PART_WHISKERS)
        buf_printf(out, "M%.1f %.1fV%.1fM%.1f %.1fV%.1fM%.1f %.1fh%.1fM%.1f %.1fh%.1f", middle,
                   y[0], y[1], middle, y[3], y[4], middle - width / 4, y[0], width / 2,
                   middle - width / 4, y[4], width / 2);
    else if (part == PART_BOXES)
        buf_printf(out, "M%.1f %.1fh%.1fV%.1fh%.1fZ", x, y[3], width,
                   y[1] < y[3] + 1 ? y[3] + 1 : y[1], -width);
    else
        buf_printf(out, "M%.1f %.1fh%.1f", x, y[2], width);
}

/* A name and figures for whoever points at a window. */
static void draw_hint(struct plot *plot, const struct chart *chart, int window)
{
    struct buf *out = &plot->html->out;
    const struct latency *latency = &chart->windows[window];
    double x = plot_x(plot, window_ns(plot, chart, window));
    double end = plot_x(plot, window_ns(plot, chart, window + 1)), width,
           from = box_x(plot, chart, window, &width);
    buf_printf(out, "<circle class=\"max\" cx=\"%.1f\" cy=\"%.1f\" r=\"2\"/>", from + width / 2,
               y_of(plot, chart, (double)latency->max_ns));
    buf_printf(out,
               "<rect class=\"hit\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>"
               "%.2f s to %.2f s: %llu ok",
               x, plot->top, end - x, plot->height, window_ns(plot, chart, window) / 1e9,
               window_ns(plot, chart, window + 1) / 1e9, (unsigned long long)latency->count);
    static const struct {
        const char *name;
        double share;
    } told[] = {{"p5", .05}, {"p25", .25}, {"p50", .5}, {"p75", .75}, {"p95", .95}, {"max", 1}};
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        buf_printf(out, ", %s ", told[i].name);
        digest_duration(out, latency_quantile(latency, told[i].share));
    }
    buf_add_text(out, "</title></rect>\n");
}

static void draw_boxes(struct plot *plot, const struct chart *chart)
{
    static const char *const classes[PART_COUNT] = {"whisker", "box", "median"};
    struct buf *out = &plot->html->out;
    for (enum part part = 0; part < PART_COUNT; part++) {
        buf_printf(out, "<path class=\"%s\" d=\"", classes[part]);
        for (int i = 0; i < chart->window_count; i++)
            if (chart->windows[i].count > 0)
                draw_part(plot, chart, part, i);
        buf_add_text(out, "\"/>\n");
    }
    for (int i = 0; i < chart->window_count; i++)
        if (chart->windows[i].count > 0)
            draw_hint(plot, chart, i);
}

static void draw_chart(struct chart *chart)
{
    struct html *html = chart->html;
    struct plot plot;
    struct buf title = BUF_INIT;
    char id[32];
    snprintf(id, sizeof id, "latency-%zu", chart->number);
    buf_add_text(&title, "Latency of ok ");
    markup_add_text(&title, chart->function->name);
    buf_add_text(&title, " over the run");
    html_raw(html, "<h3>");
    html_text(html, chart->function->name);
    html_raw(html, "</h3>\n");
    plot_begin(&plot, html, id, HEIGHT, title.data,
               "A box plot for each window of time, on a logarithmic scale; the table below has "
               "the figures of the whole run.");
    draw_levels(&plot, chart);
    draw_boxes(&plot, chart);
    plot_end(&plot);
    html_raw(html, "</figure>\n");
    buf_free(&title);
}

/* Whole powers of ten around all that is drawn, at least two of them. */
static void find_scale(struct chart *chart)
{
    const struct latency *all = &chart->function->latency[OP_OK];
    chart->low = floor(log10((double)(all->min_ns < 1 ? 1 : all->min_ns)) + 1e-9);
    chart->high = ceil(log10((double)(all->max_ns < 1 ? 1 : all->max_ns)) - 1e-9);
    if (chart->high < chart->low + 1)
        chart->high = chart->low + 1;
}

/* Enough for each box to stand for a few operations of the most used function. */
static int windows_for(const struct digest *digest)
{
    uint64_t wanted = digest->functions[0].latency[OP_OK].count / OPERATIONS_A_WINDOW;
    return wanted < WINDOWS_MIN ? WINDOWS_MIN : wanted > WINDOWS_MAX ? WINDOWS_MAX : (int)wanted;
}

static void draw_charts(struct html *html)
{
    const struct digest *digest = &html->digest;
    size_t charts = digest->function_count < CHARTS_MAX ? digest->function_count : CHARTS_MAX;
    struct latency *windows = calloc(CHARTS_MAX * WINDOWS_MAX, sizeof *windows);
    if (windows == NULL)
        return;
    int window_count = windows_for(digest);
    gather(html, windows, window_count, charts);
    for (size_t i = 0; i < charts; i++) {
        struct chart chart = {.html = html,
                              .function = &digest->functions[i],
                              .windows = windows + i * WINDOWS_MAX,
                              .window_count = window_count,
                              .number = i};
        if (chart.function->latency[OP_OK].count == 0)
            continue;
        find_scale(&chart);
        draw_chart(&chart);
    }
    html_note(html,
              "Each box is a window of time, of ok operations by when they completed: the box "
              "spans the quartiles, the thick line is the median, the whiskers reach from p5 to "
              "p95, and the dot is the slowest.");
    if (digest->function_count > charts)
        html_note(html, "Drawn are the %zu most used functions of %zu.", charts,
                  digest->function_count);
    for (size_t i = 0; i < CHARTS_MAX * WINDOWS_MAX; i++)
        latency_free(&windows[i]);
    free(windows);
}

/* ---- In figures ---- */

static void add_row(struct html *html, const struct digest_function *function, int outcome)
{
    static const double shares[] = {0.5, 0.9, 0.99, 0.999, 1};
    const struct latency *latency = &function->latency[outcome];
    if (latency->count == 0)
        return;
    html_row(html);
    html_head_cell(html, function->name);
    html_cell(html, op_type_name((enum op_type)outcome));
    html_number_cell(html, latency->count);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        html_duration_cell(html, latency_quantile(latency, shares[i]));
    html_row_end(html);
}

static void add_table(struct html *html)
{
    const struct digest *digest = &html->digest;
    static const char *const columns[] = {"Function", "Outcome", ">Count",   ">p50", ">p90",
                                          ">p99",     ">p99.9",  ">Slowest", NULL};
    html_table(html, "Latency by function and outcome (quantiles within 1.6 %)", columns);
    for (size_t i = 0; i < digest->function_count && i < ROWS_MAX; i++)
        for (int outcome = OP_OK; outcome <= OP_INFO; outcome++)
            add_row(html, &digest->functions[i], outcome);
    html_table_end(html);
    if (digest->function_count > ROWS_MAX)
        html_note(html, "%zu functions that were used less are left out.",
                  digest->function_count - ROWS_MAX);
}

static bool any_latency(const struct digest *digest)
{
    for (size_t i = 0; i < digest->function_count; i++)
        for (int outcome = OP_OK; outcome <= OP_INFO; outcome++)
            if (digest->functions[i].latency[outcome].count > 0)
                return true;
    return false;
}

void html_latency(struct html *html)
{
    html_section(html, "latency", "Latency");
    if (!any_latency(&html->digest)) {
        html_note(html, "No operation has both of its times.");
    } else {
        draw_charts(html);
        add_table(html);
    }
    html_section_end(html);
}
