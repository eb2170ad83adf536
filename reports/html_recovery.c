/* What each fault did to the service, and how long until it was back: the table of availability,
 * drawn. A row a fault, with three bars. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "reports/html.h"
#include "reports/plot.h"
#include "reports/visible.h"

enum { ROWS_MAX = 60, ROW_HEIGHT = 24, HEAD = 40, LABEL_WIDTH = 230, BAR_WIDTH = 170, GAP = 58 };

static const struct digest_fault *fault_of(const struct digest *digest, int64_t id)
{
    for (size_t i = 0; i < digest->fault_count; i++)
        if (digest->faults[i].id == id)
            return &digest->faults[i];
    return NULL;
}

static double column_x(int column)
{
    return LABEL_WIDTH + column * (BAR_WIDTH + GAP);
}

/* Of the operations that began within the fault's window, the share that was ok within it; -1 when
 * none began. */
static double success_share(const struct json *window)
{
    double ok = 0, all = 0;
    const struct json *by_f = json_get(window, "by-f");
    for (const struct json *one = json_first(by_f); one != NULL; one = json_next(one)) {
        double count = json_as_real(json_get(one, "count"), 0);
        double well = json_as_real(json_get(one, "ok-count"), 0);
        if (!(count > 0) || !(well >= 0))
            continue;
        all += count;
        ok += well < count ? well : count;
    }
    return all > 0 ? ok / all : -1;
}

/* Its rate against the usual one; -1 where there is none. */
static double rate_share(const struct json *window, double usual)
{
    double rate = json_as_real(json_get(window, "ok-rate"), -1);
    return usual > 0 && rate >= 0 && isfinite(rate / usual) ? rate / usual : -1;
}

/* `share` of the bar's width, with its figure behind it. */
static void draw_bar(struct html *html, int column, double y, double share, const char *class,
                     const char *text)
{
    double x = column_x(column), width = (share > 1 ? 1 : share) * BAR_WIDTH;
    buf_printf(&html->out,
               "<rect class=\"trough\" x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"12\"/>", x, y,
               BAR_WIDTH);
    if (share >= 0)
        buf_printf(&html->out,
                   "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"12\"/>", class,
                   x, y, width < 1.5 ? 1.5 : width);
    buf_printf(&html->out, "<text x=\"%.1f\" y=\"%.1f\">%s</text>", x + BAR_WIDTH + 5, y + 10,
               text);
}

static void share_bar(struct html *html, int column, double y, double share)
{
    char text[32];
    snprintf(text, sizeof text, share > 9.99 ? "&gt; 999 %%" : "%.0f %%", share * 100);
    draw_bar(html, column, y, share, "bar", share < 0 ? "&ndash;" : text);
}

/* Until the first success a darker part, until the usual rate was back the rest. */
static void back_bar(struct html *html, double y, const struct json *window, double most_ns)
{
    double first = json_as_real(json_get(window, "first-ok-after-ns"), -1);
    double back = json_as_real(json_get(window, "recovered-after-ns"), -1);
    struct buf text = BUF_INIT;
    if (back >= 0)
        digest_duration(&text, (int64_t)fmin(back, 9e18));
    else
        buf_add_text(&text, "not seen");
    draw_bar(html, 2, y, back >= 0 ? back / most_ns : -1, "bar", buf_text(&text));
    if (first >= 0)
        buf_printf(&html->out,
                   "<rect class=\"a-error\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"12\"/>",
                   column_x(2), y, fmax(1.5, fmin(1, first / most_ns) * BAR_WIDTH));
    buf_free(&text);
}

static double longest(const struct json *windows)
{
    double most = 1;
    for (const struct json *one = json_first(windows); one != NULL; one = json_next(one)) {
        double first = json_as_real(json_get(one, "first-ok-after-ns"), 0);
        double back = json_as_real(json_get(one, "recovered-after-ns"), 0);
        most = fmax(most, fmax(isfinite(first) ? first : 0, isfinite(back) ? back : 0));
    }
    return most;
}

static void draw_label(struct html *html, const struct json *window, double y)
{
    int64_t id = json_as_int(json_get(window, "fault"), 0);
    const struct digest_fault *fault = fault_of(&html->digest, id);
    struct buf text = BUF_INIT, cut = BUF_INIT;
    buf_printf(&text, "%" PRId64 " %s", id, json_as_text(json_get(window, "nemesis"), "?"));
    if (fault != NULL && *fault->nodes != '\0')
        buf_printf(&text, ": %s", fault->nodes);
    visible_add_cut(&cut, text.data, text.length, 33);
    buf_printf(&html->out, "<text class=\"label\" x=\"0\" y=\"%.1f\">", y + 10);
    html_text(html, buf_text(&cut));
    html_raw(html, "</text>");
    buf_free(&text);
    buf_free(&cut);
}

static void draw_heads(struct html *html, double most_ns)
{
    static const char *const heads[] = {"Rate, of the usual one", "Succeeded, of what began",
                                        "Until service was back"};
    for (int i = 0; i < 3; i++) {
        struct buf end = BUF_INIT;
        if (i == 2)
            digest_duration(&end, (int64_t)fmin(most_ns, 9e18));
        buf_printf(&html->out, "<text class=\"head-text\" x=\"%.1f\" y=\"13\">%s</text>",
                   column_x(i), heads[i]);
        buf_printf(&html->out,
                   "<text x=\"%.1f\" y=\"31\">0</text>"
                   "<text class=\"end\" x=\"%.1f\" y=\"31\">%s</text>\n",
                   column_x(i), column_x(i) + BAR_WIDTH, i == 2 ? buf_text(&end) : "100 %");
        buf_free(&end);
    }
}

void html_recovery(struct html *html, const struct json *windows, double usual_rate)
{
    size_t count = json_count(windows), rows = count < ROWS_MAX ? count : ROWS_MAX, row = 0;
    double most_ns = longest(windows);
    buf_printf(
        &html->out,
        "<figure><div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"What each "
        "fault did to the service\"><svg class=\"chart\" id=\"recovery-chart\" "
        "viewBox=\"0 0 %d %zu\" role=\"img\" aria-labelledby=\"recovery-t recovery-d\">\n"
        "<title id=\"recovery-t\">What each fault did to the service</title>"
        "<desc id=\"recovery-d\">A row a fault: its rate of successes against the usual "
        "one, the share of operations that succeeded meanwhile, and how long after it until "
        "service "
        "was back. The table has the figures.</desc>\n",
        PLOT_WIDTH, HEAD + rows * ROW_HEIGHT);
    draw_heads(html, most_ns);
    for (const struct json *one = json_first(windows); one != NULL && row < rows;
         one = json_next(one), row++) {
        double y = HEAD + (double)row * ROW_HEIGHT;
        draw_label(html, one, y);
        share_bar(html, 0, y, rate_share(one, usual_rate));
        share_bar(html, 1, y, success_share(one));
        back_bar(html, y, one, most_ns);
        html_raw(html, "\n");
    }
    html_raw(html, "</svg></div>\n<figcaption>Of the whole cluster, by what its clients saw. The "
                   "usual rate is that outside all faults. Service is back when the usual rate is; "
                   "the stronger part of that bar ends at the first success after the fault.");
    if (count > rows)
        buf_printf(&html->out, " The first %zu of %zu faults.", rows, count);
    html_raw(html, "</figcaption></figure>\n");
}
