/* Why an anomaly is one, drawn over its operations: the longest order that was found of them, the
 * dependencies of a cycle, the way of a message. See html_spacetime.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "reports/html_spacetime.h"
#include "reports/visible.h"

enum { DOT = 8, COULD_COLUMNS = 40, WHY_COLUMNS = 24, APART = 18 };

static double left_of(const struct spacetime *diagram, size_t index)
{
    return spacetime_x(diagram, spacetime_begin(diagram, &diagram->operations[index]));
}

static double right_of(const struct spacetime *diagram, size_t index)
{
    double end = spacetime_x(diagram, spacetime_end(diagram, &diagram->operations[index]));
    return fmax(end, left_of(diagram, index) + 3);
}

static double height_of(const struct spacetime *diagram, size_t index)
{
    return spacetime_middle(diagram, spacetime_lane(diagram, diagram->operations[index].process));
}

/* The place among the drawn operations of the one that was invoked by this event; count if none. */
static size_t find_operation(const struct spacetime *diagram, int64_t invoked)
{
    size_t i = 0;
    while (i < diagram->count && diagram->operations[i].invocation != invoked)
        i++;
    return i;
}

static void add_text(struct spacetime *diagram, const char *class, double x, double y,
                     const char *text, size_t columns)
{
    struct buf shown = BUF_INIT;
    visible_add_cut(&shown, text, strlen(text), columns);
    buf_printf(&diagram->html->out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
    markup_add_text(&diagram->html->out, buf_text(&shown));
    html_raw(diagram->html, "</text>\n");
    buf_free(&shown);
}

/* ---- The longest order ---- */

/* Places the drawn operations of the order, one after the other: each as early as its interval and
 * the one before allow. Returns how many there are. */
static size_t place_order(const struct spacetime *diagram, size_t *order, double *x)
{
    size_t count = 0;
    double last = -INFINITY;
    for (const struct json *one = json_first(json_get(diagram->anomaly, "partial"));
         one != NULL && count < SPACETIME_OPERATIONS_MAX; one = json_next(one)) {
        size_t i = find_operation(diagram, json_as_int(one, -1));
        if (i == diagram->count)
            continue;
        double latest = fmax(right_of(diagram, i) - DOT, left_of(diagram, i) + DOT);
        double wanted = fmax(left_of(diagram, i) + DOT, last + APART);
        /* There may be no room for all that came at once: then points stand close, in order. */
        x[count] = wanted <= latest ? wanted : fmax(latest, last + 1);
        last = x[count];
        order[count++] = i;
    }
    return count;
}

static void draw_order(struct spacetime *diagram)
{
    struct buf *out = &diagram->html->out;
    size_t order[SPACETIME_OPERATIONS_MAX];
    double x[SPACETIME_OPERATIONS_MAX];
    size_t count = place_order(diagram, order, x);
    if (count > 1) {
        buf_add_text(out, "<path class=\"order\" d=\"");
        for (size_t k = 0; k < count; k++)
            buf_printf(out, "%s%.1f %.1f", k == 0 ? "M" : "L", x[k], height_of(diagram, order[k]));
        buf_add_text(out, "\"/>\n");
    }
    for (size_t k = 0; k < count; k++)
        buf_printf(
            out,
            "<circle class=\"order\" cx=\"%.1f\" cy=\"%.1f\" r=\"%d\"/><text class=\"order\" "
            "x=\"%.1f\" y=\"%.1f\">%zu</text>\n",
            x[k], height_of(diagram, order[k]), DOT, x[k], height_of(diagram, order[k]) + 4, k + 1);
}

/* What the operation that does not fit could have found, below it. */
static void draw_possible(struct spacetime *diagram)
{
    const struct json *values = json_get(diagram->anomaly, "possible-values");
    size_t i = find_operation(diagram, diagram->culprit);
    struct buf text = BUF_INIT;
    if (i == diagram->count || json_count(values) == 0)
        return;
    buf_add_text(&text, "could find: ");
    for (const struct json *one = json_first(values); one != NULL; one = json_next(one))
        buf_printf(&text, "%s%s", one == json_first(values) ? "" : " or ", json_as_text(one, "?"));
    add_text(diagram, "label possible", left_of(diagram, i),
             height_of(diagram, i) + SPACETIME_BAR / 2.0 + 12, buf_text(&text), COULD_COLUMNS);
    buf_free(&text);
}

/* ---- A cycle of transactions ---- */

static const struct json *steps_of(const struct spacetime *diagram)
{
    return json_get(diagram->anomaly, "steps");
}

static size_t find_named(const struct spacetime *diagram, const char *name)
{
    size_t i = 0;
    while (i < diagram->count &&
           (diagram->names[i] == NULL || strcmp(diagram->names[i], name) != 0))
        i++;
    return i;
}

void spacetime_name(struct spacetime *diagram)
{
    for (const struct json *one = json_first(json_get(diagram->anomaly, "transactions"));
         one != NULL; one = json_next(one)) {
        size_t i = find_operation(diagram, json_as_int(json_get(one, "invoked"), -1));
        if (i < diagram->count)
            diagram->names[i] = json_as_text(json_get(one, "name"), NULL);
    }
}

/* An arrow from one transaction to another, bent so that the one back does not lie on it. */
static void draw_step(struct spacetime *diagram, const struct json *step, size_t from, size_t to,
                      size_t place, size_t number)
{
    struct buf *out = &diagram->html->out, text = BUF_INIT;
    double side = place % 2 == 0 ? 1 : -1, bend = 26 + 6.0 * (double)(place / 2);
    double x1 = (left_of(diagram, from) + right_of(diagram, from)) / 2 + side * 9;
    double x2 = (left_of(diagram, to) + right_of(diagram, to)) / 2 + side * 9;
    double y1 = height_of(diagram, from), y2 = height_of(diagram, to);
    double half = SPACETIME_BAR / 2.0 + 1, cx = (x1 + x2) / 2, cy = (y1 + y2) / 2;
    if (y1 == y2) { /* of one process: in an arc below the line */
        y1 = y2 += half;
        cy = y1 + 34;
    } else {
        y1 += y2 > y1 ? half : -half;
        y2 += y2 > y1 ? -half : half;
        cx += side * bend;
    }
    buf_printf(out,
               "<path class=\"why\" marker-end=\"url(#why-%zu)\" d=\"M%.1f %.1fQ%.1f %.1f %.1f "
               "%.1f\"/>\n",
               number, x1, y1, cx, cy, x2, y2);
    const struct json *key = json_get(step, "key");
    buf_add_text(&text, json_as_text(json_get(step, "type"), "?"));
    if (json_kind(key) == JSON_TEXT)
        buf_printf(&text, " %s", json_as_text(key, ""));
    /* Nearer to where it comes from, so that those of an arrow and of the one back lie apart. */
    add_text(diagram, "why", 0.42 * x1 + 0.46 * cx + 0.12 * x2,
             0.42 * y1 + 0.46 * cy + 0.12 * y2 + 4, buf_text(&text), WHY_COLUMNS);
    buf_free(&text);
}

static void draw_cycle(struct spacetime *diagram, size_t number)
{
    size_t place = 0;
    buf_printf(&diagram->html->out,
               "<defs><marker id=\"why-%zu\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" "
               "markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path class=\"head\" d=\"M0 "
               "0L8 4L0 8Z\"/></marker></defs>\n",
               number);
    for (const struct json *step = json_first(steps_of(diagram)); step != NULL;
         step = json_next(step), place++) {
        size_t from = find_named(diagram, json_as_text(json_get(step, "from"), ""));
        size_t to = find_named(diagram, json_as_text(json_get(step, "to"), ""));
        if (from < diagram->count && to < diagram->count && from != to)
            draw_step(diagram, step, from, to, place, number);
    }
}

/* ---- The life of a message ---- */

static void draw_life(struct spacetime *diagram)
{
    struct buf *out = &diagram->html->out;
    buf_add_text(out, "<path class=\"life\" d=\"");
    for (size_t i = 0; i < diagram->count; i++) {
        double x = left_of(diagram, i), y = height_of(diagram, i);
        buf_printf(out, "%s%.1f %.1fH%.1f", i == 0 ? "M" : "L", x, y,
                   i + 1 < diagram->count
                       ? fmax(x, fmin(right_of(diagram, i), left_of(diagram, i + 1)))
                       : right_of(diagram, i));
    }
    buf_add_text(out, "\"/>\n");
}

/* ---- All ---- */

void spacetime_why(struct spacetime *diagram, size_t number)
{
    draw_order(diagram);
    draw_possible(diagram);
    if (json_count(steps_of(diagram)) > 0)
        draw_cycle(diagram, number);
    if (diagram->life && diagram->count > 1)
        draw_life(diagram);
}

void spacetime_why_caption(struct spacetime *diagram)
{
    struct html *html = diagram->html;
    size_t order[SPACETIME_OPERATIONS_MAX];
    double x[SPACETIME_OPERATIONS_MAX];
    if (place_order(diagram, order, x) > 0) {
        int64_t all = json_as_int(json_get(diagram->anomaly, "partial-count"), 0);
        html_raw(html,
                 " Numbers are those of these operations in the longest order that was found");
        if (all > 0)
            buf_printf(&html->out, " (of %" PRId64 " operations)", all);
        html_raw(html, ", each at a moment at which it may have taken effect");
        const char *end = json_as_text(json_get(diagram->anomaly, "partial-ends-with"), NULL);
        if (end != NULL) {
            html_raw(html, "; behind them all, ");
            html_text(html, end);
        }
        html_raw(html, ".");
    }
    if (json_count(steps_of(diagram)) > 0)
        html_raw(html,
                 " An arrow leads from a transaction to one that must have come after it, and "
                 "says by which dependency; together they lead back to where they began, "
                 "which no order can.");
    if (diagram->life && diagram->count > 1)
        html_raw(html, " The line through the bars follows the message.");
}
