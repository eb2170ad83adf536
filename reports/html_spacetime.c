/* The space-time diagram of a few operations: a line for each process, a bar for each operation
 * from its invocation to its completion, the faults as bands behind.
 *
 * What matters is what came before what; operations that decide an anomaly may lie microseconds or
 * minutes apart. So distances grow with the logarithm of the time between two events, and the times
 * themselves are written on the axis and in the table. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reports/html_spacetime.h"
#include "reports/visible.h"

static const double label_width = 6.75; /* of a character of 11px monospace */

/* ---- Layout ---- */

int64_t spacetime_begin(const struct spacetime *diagram, const struct digest_operation *operation)
{
    return diagram->timed ? operation->from_ns : operation->invocation;
}

static bool is_open(const struct digest_operation *operation)
{
    return operation->completion == HISTORY_NONE;
}

int64_t spacetime_end(const struct spacetime *diagram, const struct digest_operation *operation)
{
    if (is_open(operation))
        return spacetime_begin(diagram, operation);
    return diagram->timed ? operation->to_ns : operation->completion;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void find_points(struct spacetime *diagram)
{
    diagram->timed = true;
    for (size_t i = 0; i < diagram->count; i++) {
        const struct digest_operation *operation = &diagram->operations[i];
        if (operation->from_ns < 0 ||
            (!is_open(operation) && operation->to_ns < operation->from_ns))
            diagram->timed = false;
    }
    int64_t all[SPACETIME_POINTS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < diagram->count; i++) {
        all[count++] = spacetime_begin(diagram, &diagram->operations[i]);
        all[count++] = spacetime_end(diagram, &diagram->operations[i]);
    }
    qsort(all, count, sizeof *all, by_value);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || all[i] != all[i - 1])
            diagram->points[diagram->point_count++] = all[i];
}

static void place_points(struct spacetime *diagram)
{
    size_t gaps = diagram->point_count - 1;
    double least = INFINITY, sum = 0;
    for (size_t i = 0; i < gaps; i++)
        least = fmin(least, (double)diagram->points[i + 1] - (double)diagram->points[i]);
    for (size_t i = 0; i < gaps; i++)
        sum += log1p(((double)diagram->points[i + 1] - (double)diagram->points[i]) / least);
    double spare = SPACETIME_WIDTH_USUAL - SPACETIME_LEFT - SPACETIME_RIGHT - 12 -
                   (double)gaps * SPACETIME_GAP_MIN;
    spare = spare < 60 ? 60 : spare;
    diagram->at[0] = SPACETIME_LEFT + 12;
    for (size_t i = 0; i < gaps; i++) {
        double gap = (double)diagram->points[i + 1] - (double)diagram->points[i];
        diagram->at[i + 1] = diagram->at[i] + SPACETIME_GAP_MIN + spare * log1p(gap / least) / sum;
    }
    diagram->width = fmax(diagram->at[gaps] + SPACETIME_RIGHT, SPACETIME_WIDTH_LEAST);
}

/* Between two points in proportion; outside, at the edges. */
double spacetime_x(const struct spacetime *diagram, int64_t point)
{
    const int64_t *points = diagram->points;
    size_t last = diagram->point_count - 1;
    if (point < points[0])
        return SPACETIME_LEFT;
    if (point > points[last])
        return diagram->width - 4;
    for (size_t i = 0; i < last; i++)
        if (point < points[i + 1])
            return diagram->at[i] + (diagram->at[i + 1] - diagram->at[i]) *
                                        ((double)point - (double)points[i]) /
                                        ((double)points[i + 1] - (double)points[i]);
    return diagram->at[last];
}

size_t spacetime_lane(const struct spacetime *diagram, int32_t process)
{
    size_t lane = 0;
    while (lane < diagram->lane_count && diagram->lanes[lane] != process)
        lane++;
    return lane;
}

static void find_lanes(struct spacetime *diagram)
{
    for (size_t i = 0; i < diagram->count; i++) {
        int32_t process = diagram->operations[i].process;
        if (spacetime_lane(diagram, process) == diagram->lane_count)
            diagram->lanes[diagram->lane_count++] = process;
    }
}

static void find_faults(struct spacetime *diagram)
{
    const struct digest *digest = &diagram->html->digest;
    int64_t from = diagram->points[0], to = diagram->points[diagram->point_count - 1];
    for (size_t i = 0; diagram->timed && i < digest->fault_count; i++) {
        const struct digest_fault *fault = &digest->faults[i];
        if (!fault->failed && fault->from_ns >= 0 && fault->from_ns <= to && fault->to_ns >= from &&
            diagram->fault_count < SPACETIME_FAULTS_MAX)
            diagram->faults[diagram->fault_count++] = fault;
    }
}

/* ---- Drawing ---- */

double spacetime_middle(const struct spacetime *diagram, size_t lane)
{
    return diagram->top + SPACETIME_LANE * (double)lane + SPACETIME_LANE - SPACETIME_BAR / 2.0 - 4;
}

static void draw_faults(struct spacetime *diagram)
{
    struct html *html = diagram->html;
    for (size_t i = 0; i < diagram->fault_count; i++) {
        const struct digest_fault *fault = diagram->faults[i];
        double x = spacetime_x(diagram, fault->from_ns), end = spacetime_x(diagram, fault->to_ns);
        double y = 4 + SPACETIME_STRIP * (double)i;
        buf_printf(&html->out,
                   "<rect class=\"band\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>"
                   "<rect class=\"strip\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>",
                   x, y, end - x + 1, diagram->height - y, x, y, end - x + 1, SPACETIME_STRIP - 3);
        buf_printf(&html->out, "<text class=\"fault\" x=\"%.1f\" y=\"%.1f\">fault %" PRId64 ": ",
                   x + 4 > diagram->width - 120 ? diagram->width - 120 : x + 4, y + 10, fault->id);
        html_text(html, fault->nemesis);
        html_raw(html, "</text>\n");
    }
}

/* The times of events, as many as there is room for. */
static void draw_axis(struct spacetime *diagram)
{
    struct buf *out = &diagram->html->out;
    double free_from = 0;
    for (size_t i = 0; i < diagram->point_count; i++) {
        double x = diagram->at[i];
        struct buf label = BUF_INIT;
        buf_printf(out, "<path class=\"dots\" d=\"M%.1f %.1fV%.1f\"/>", x, diagram->top - 4,
                   diagram->height - 4);
        if (diagram->timed)
            digest_exact_time(&label, diagram->points[i]);
        else
            buf_printf(&label, "event %" PRId64, diagram->points[i]);
        double half = 3.1 * (double)label.length;
        if (x - half >= free_from && x + half < diagram->width) {
            buf_printf(out, "<text class=\"mid\" x=\"%.1f\" y=\"%.1f\">%s</text>", x,
                       diagram->top - 9, label.data);
            free_from = x + half + 8;
        }
        buf_free(&label);
    }
    buf_add_char(out, '\n');
}

static void draw_lanes(struct spacetime *diagram)
{
    struct html *html = diagram->html;
    for (size_t i = 0; i < diagram->lane_count; i++) {
        double y = spacetime_middle(diagram, i);
        buf_printf(&html->out, "<path class=\"axis\" d=\"M%d %.1fH%.1f\"/>", SPACETIME_LEFT, y,
                   diagram->width - 4);
        buf_printf(&html->out, "<text class=\"end\" x=\"%d\" y=\"%.1f\">", SPACETIME_LEFT - 8,
                   y + 4);
        html_process(html, diagram->lanes[i]);
        html_raw(html, "</text>\n");
    }
}

/* Where the next operation of the same process begins. */
static double room_until(const struct spacetime *diagram, size_t index)
{
    const struct digest_operation *operation = &diagram->operations[index];
    double from = spacetime_x(diagram, spacetime_begin(diagram, operation)), until = diagram->width;
    for (size_t i = 0; i < diagram->count; i++) {
        double x = spacetime_x(diagram, spacetime_begin(diagram, &diagram->operations[i]));
        if (diagram->operations[i].process == operation->process && x > from && x < until)
            until = x;
    }
    return until;
}

static void draw_label(struct spacetime *diagram, size_t index, double x, double y)
{
    struct html *html = diagram->html;
    const struct digest_operation *operation = &diagram->operations[index];
    bool culprit = operation->invocation == diagram->culprit;
    size_t room = (size_t)((room_until(diagram, index) - x - 6) / label_width);
    struct buf label = BUF_INIT;
    if (diagram->names[index] != NULL)
        buf_printf(&label, "%s: ", diagram->names[index]);
    buf_printf(&label, "%s%s ", culprit ? "! " : "", operation->f);
    digest_value(&label, operation->value, 200);
    if (operation->process >= 0 && operation->outcome != OP_OK)
        buf_printf(&label, " (%s)", op_type_name(operation->outcome));
    struct buf shown = BUF_INIT;
    visible_add(&shown, label.data, label.length, VISIBLE_LINE);
    size_t fit = visible_fit(shown.data, shown.length, room);
    bool cut = fit < shown.length;
    if (cut)
        fit = visible_fit(shown.data, shown.length, room > 1 ? room - 1 : 0);
    buf_printf(&html->out, "<text class=\"label%s\" x=\"%.1f\" y=\"%.1f\">", culprit ? " bad" : "",
               x, y);
    markup_add(&html->out, shown.data, fit, VISIBLE_LINE);
    html_raw(html, cut ? "&#8230;</text>\n" : "</text>\n");
    buf_free(&label);
    buf_free(&shown);
}

static void draw_hint(struct spacetime *diagram, const struct digest_operation *operation)
{
    struct html *html = diagram->html;
    html_raw(html, "<title>");
    html_process(html, operation->process);
    html_raw(html, ": ");
    html_text(html, operation->f);
    html_raw(html, " ");
    struct buf value = BUF_INIT;
    digest_value(&value, operation->value, 400);
    markup_add(&html->out, buf_text(&value), value.length, VISIBLE_LINE);
    buf_free(&value);
    buf_printf(&html->out, ", %s, ", op_type_name(operation->outcome));
    digest_exact_time(&html->out, operation->from_ns);
    html_raw(html, " to ");
    digest_exact_time(&html->out, operation->to_ns);
    html_raw(html, "</title>");
}

static void draw_operation(struct spacetime *diagram, size_t index)
{
    struct buf *out = &diagram->html->out;
    const struct digest_operation *operation = &diagram->operations[index];
    double y = spacetime_middle(diagram, spacetime_lane(diagram, operation->process));
    double x = spacetime_x(diagram, spacetime_begin(diagram, operation));
    double end = spacetime_x(diagram, spacetime_end(diagram, operation)), edge = diagram->width - 4;
    bool client = operation->process >= 0;
    buf_add_text(out, "<g>");
    draw_hint(diagram, operation);
    if (!client && is_open(operation)) { /* a moment, such as a daemon's death */
        buf_printf(out, "<path class=\"point\" d=\"M%.1f %.1fl7 -7l7 7l-7 7z\"/>", x - 7, y);
    } else {
        if (is_open(operation))
            end = edge;
        else if (client && operation->outcome == OP_INFO) /* it may still happen after its reply */
            buf_printf(out, "<path class=\"later\" d=\"M%.1f %.1fH%.1f\"/>", end,
                       y - SPACETIME_BAR / 2.0, edge);
        buf_printf(out,
                   "<rect class=\"bar %s%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" "
                   "rx=\"3\"/>",
                   op_type_name(operation->outcome),
                   operation->invocation == diagram->culprit ? " culprit" : "", x,
                   y - SPACETIME_BAR / 2.0, end - x < 3 ? 3 : end - x, SPACETIME_BAR);
    }
    buf_add_text(out, "</g>\n");
    draw_label(diagram, index, x, y - SPACETIME_BAR / 2.0 - 5);
}

static void draw(struct spacetime *diagram, size_t number)
{
    struct html *html = diagram->html;
    diagram->top = 8 + SPACETIME_STRIP * (double)diagram->fault_count + SPACETIME_AXIS - 8;
    diagram->height = diagram->top + SPACETIME_LANE * (double)diagram->lane_count + 18;
    buf_printf(&html->out,
               "<figure><div class=\"scroll\" role=\"region\" tabindex=\"0\" "
               "aria-label=\"Diagram of anomaly %zu\"><svg class=\"spacetime\" width=\"%.0f\" "
               "height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
               "aria-labelledby=\"a%zu-t a%zu-d\">\n<title id=\"a%zu-t\">The operations of "
               "anomaly %zu in time</title><desc id=\"a%zu-d\">A line for each process, a bar for "
               "each operation; the table below has the same.</desc>\n",
               number, diagram->width, diagram->height, diagram->width, diagram->height, number,
               number, number, number, number);
    draw_faults(diagram);
    draw_axis(diagram);
    draw_lanes(diagram);
    for (size_t i = 0; i < diagram->count; i++)
        draw_operation(diagram, i);
    spacetime_why(diagram, number);
    html_raw(html, "</svg></div>\n<figcaption>Time runs to the right, short and long spans evened "
                   "out. A bar reaches from an invocation to its completion");
    html_raw(html, diagram->culprit != HISTORY_NONE
                       ? "; the operation marked with an exclamation mark does not fit."
                       : ".");
    spacetime_why_caption(diagram);
    html_raw(html, "</figcaption></figure>\n");
}

void html_spacetime(struct html *html, const struct html_anomaly *anomaly,
                    const struct digest_operation *operations, size_t count)
{
    struct spacetime diagram = {
        .html = html,
        .operations = operations,
        .count = count < SPACETIME_OPERATIONS_MAX ? count : SPACETIME_OPERATIONS_MAX,
        .culprit = anomaly->culprit,
        .anomaly = anomaly->json,
        .life = strcmp(anomaly->checker, "delivery") == 0};
    if (diagram.count == 0)
        return;
    spacetime_name(&diagram);
    find_points(&diagram);
    place_points(&diagram);
    find_lanes(&diagram);
    find_faults(&diagram);
    draw(&diagram, anomaly->number);
}
