/* Charts over the time of a run: see plot.h. */
#include "reports/plot.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reports/visible.h"

enum {
    LANE_HEIGHT = 15,
    LANES_MAX = 4,
    FAULTS_MAX = 400, /* drawn; the table has more */
    TICKS_MAX = 10,
};
static const double character_width = 5.9; /* of a fault's label, at most on average */

double plot_step(double range, int most)
{
    double step = pow(10, floor(log10(range / most)));
    if (!(range > 0))
        return 1;
    if (range / step <= most)
        return step;
    if (range / (2 * step) <= most)
        return 2 * step;
    return range / (5 * step) <= most ? 5 * step : 10 * step;
}

double plot_x(const struct plot *plot, double ns)
{
    double share = (ns - plot->from_ns) / (plot->to_ns - plot->from_ns);
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return PLOT_LEFT + share * (PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT);
}

void plot_level(struct plot *plot, double y, const char *label)
{
    struct buf *out = &plot->html->out;
    buf_printf(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", PLOT_LEFT, y,
               PLOT_WIDTH - PLOT_RIGHT);
    buf_printf(out, "<text class=\"end\" x=\"%d\" y=\"%.1f\">%s</text>\n", PLOT_LEFT - 8, y + 3.5,
               label);
}

/* "10 s", "2.5 ms": as many digits as the step needs. */
static void tick_label(double ns, double step_ns, char *text, size_t size)
{
    double unit = step_ns >= 1e8 ? 1e9 : step_ns >= 1e5 ? 1e6 : 1e3;
    int digits = step_ns / unit >= 0.999 ? 0 : (int)ceil(-log10(step_ns / unit) - 1e-9);
    snprintf(text, size, "%.*f %s", digits, ns / unit,
             unit == 1e9   ? "s"
             : unit == 1e6 ? "ms"
                           : "us");
}

static void time_axis(struct plot *plot)
{
    struct buf *out = &plot->html->out;
    double bottom = plot->top + plot->height, span = plot->to_ns - plot->from_ns;
    double step = plot_step(span, TICKS_MAX);
    for (double k = ceil(plot->from_ns / step); k * step <= plot->to_ns; k++) {
        char label[64];
        double x = plot_x(plot, k * step);
        tick_label(k * step, step, label, sizeof label);
        buf_printf(out, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>", x, plot->top, bottom + 4);
        buf_printf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                   x + 3.5 * (double)strlen(label) > PLOT_WIDTH ? "end" : "mid", x, bottom + 17,
                   label);
    }
    buf_printf(out, "<path class=\"axis\" d=\"M%d %.1fH%d\"/>\n", PLOT_LEFT, bottom,
               PLOT_WIDTH - PLOT_RIGHT);
}

/* ---- Faults ---- */

struct lanes {
    double end[LANES_MAX]; /* where the last one, with its label, ends */
    unsigned count;
};

/* The first lane that is free at x, or the one that is free soonest. */
static unsigned place(struct lanes *lanes, double x, double end)
{
    unsigned best = 0;
    for (unsigned i = 0; i < LANES_MAX; i++) {
        if (i == lanes->count)
            lanes->end[lanes->count++] = -1;
        if (lanes->end[i] <= x) {
            lanes->end[i] = end;
            return i;
        }
        best = lanes->end[i] < lanes->end[best] ? i : best;
    }
    lanes->end[best] = end > lanes->end[best] ? end : lanes->end[best];
    return best;
}

static void fault_label(const struct digest_fault *fault, double room, struct buf *label)
{
    struct buf whole = BUF_INIT;
    buf_printf(&whole, "%" PRId64 " %s", fault->id, fault->nemesis);
    if ((double)visible_columns(whole.data, whole.length) * character_width <= room)
        buf_add_text(label, whole.data);
    else
        buf_printf(label, "%" PRId64, fault->id);
    if ((double)label->length * character_width > room)
        buf_clear(label);
    buf_free(&whole);
}

static bool drawable(const struct plot *plot, const struct digest_fault *fault)
{
    return fault->from_ns >= 0 && (double)fault->from_ns <= plot->to_ns &&
           (double)fault->to_ns >= plot->from_ns;
}

static void draw_strip(struct plot *plot, const struct digest_fault *fault, double x, double width,
                       double y)
{
    struct html *html = plot->html;
    struct buf label = BUF_INIT;
    fault_label(fault, width, &label);
    buf_printf(&html->out, "<g><title>fault %" PRId64 ": ", fault->id);
    html_text(html, fault->nemesis);
    buf_printf(&html->out, "%s, %.3f s to %.3f s</title>", fault->failed ? ", failed" : "",
               (double)fault->from_ns / 1e9, (double)fault->to_ns / 1e9);
    buf_printf(&html->out,
               "<rect class=\"strip%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>",
               fault->failed ? " failed" : "", x, y, width, LANE_HEIGHT - 3);
    if (label.length > 0) {
        buf_printf(&html->out, "<text class=\"fault\" x=\"%.1f\" y=\"%.1f\">", x + 3, y + 9.5);
        html_text(html, label.data);
        html_raw(html, "</text>");
    }
    html_raw(html, "</g>\n");
    buf_free(&label);
}

/* Strips above the area, in lanes so that those that overlap can be told apart. */
static unsigned draw_strips(struct plot *plot)
{
    const struct digest *digest = &plot->html->digest;
    struct lanes lanes = {.count = 0};
    for (size_t i = 0, drawn = 0; i < digest->fault_count && drawn < FAULTS_MAX; i++) {
        const struct digest_fault *fault = &digest->faults[i];
        if (!drawable(plot, fault))
            continue;
        double x = plot_x(plot, (double)fault->from_ns);
        double width = plot_x(plot, (double)fault->to_ns) - x;
        width = width < 2 ? 2 : width;
        draw_strip(plot, fault, x, width, 4 + LANE_HEIGHT * place(&lanes, x, x + width));
        drawn++;
    }
    return lanes.count;
}

/* How many lanes the strips will take: the same placing, without drawing. */
static unsigned count_lanes(const struct plot *plot)
{
    const struct digest *digest = &plot->html->digest;
    struct lanes lanes = {.count = 0};
    for (size_t i = 0, drawn = 0; i < digest->fault_count && drawn < FAULTS_MAX; i++) {
        const struct digest_fault *fault = &digest->faults[i];
        if (!drawable(plot, fault))
            continue;
        double x = plot_x(plot, (double)fault->from_ns);
        double end = plot_x(plot, (double)fault->to_ns);
        place(&lanes, x, end < x + 2 ? x + 2 : end);
        drawn++;
    }
    return lanes.count;
}

/* All bands in one element: overlaps do not darken each other. */
static void draw_bands(struct plot *plot)
{
    const struct digest *digest = &plot->html->digest;
    struct buf *out = &plot->html->out;
    buf_add_text(out, "<path class=\"band\" d=\"");
    for (size_t i = 0, drawn = 0; i < digest->fault_count && drawn < FAULTS_MAX; i++) {
        const struct digest_fault *fault = &digest->faults[i];
        if (!drawable(plot, fault) || fault->failed)
            continue;
        double x = plot_x(plot, (double)fault->from_ns), end = plot_x(plot, (double)fault->to_ns);
        buf_printf(out, "M%.1f %.1fH%.1fV%.1fH%.1fZ", x, plot->top, end < x + 1 ? x + 1 : end,
                   plot->top + plot->height, x);
        drawn++;
    }
    buf_add_text(out, "\"/>\n");
}

/* ---- The frame ---- */

void plot_begin(struct plot *plot, struct html *html, const char *id, double height,
                const char *title, const char *description)
{
    const struct digest *digest = &html->digest;
    *plot = (struct plot){.html = html,
                          .height = height,
                          .from_ns = (double)digest->begin_ns,
                          .to_ns = (double)digest->end_ns};
    if (plot->to_ns <= plot->from_ns)
        plot->to_ns = plot->from_ns + 1e6;
    plot->top = 8 + LANE_HEIGHT * count_lanes(plot);
    buf_printf(&html->out,
               "<figure><div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s\">"
               "<svg class=\"chart\" viewBox=\"0 0 %d %.0f\" role=\"img\" "
               "aria-labelledby=\"%s-t %s-d\">\n<title id=\"%s-t\">%s</title>"
               "<desc id=\"%s-d\">%s</desc>\n",
               title, PLOT_WIDTH, plot->top + height + PLOT_BOTTOM, id, id, id, title, id,
               description);
    draw_strips(plot);
    time_axis(plot);
    draw_bands(plot);
}

void plot_end(struct plot *plot)
{
    html_raw(plot->html, "</svg></div>\n");
}
