/* The throughput of a run: what completed when, in buckets of time, stacked by outcome, with the
 * faults behind it. */
#include <stdio.h>
#include <stdlib.h>

#include "reports/html.h"
#include "reports/plot.h"

enum { BUCKETS_MIN = 24, BUCKETS_MAX = 220, OPERATIONS_A_BUCKET = 8, HEIGHT = 220, LEVELS_MAX = 5 };

struct buckets {
    uint32_t count[BUCKETS_MAX][DIGEST_OUTCOMES];
    int used; /* fewer when there is little to count */
    uint32_t most;
};

static int buckets_for(uint64_t operations)
{
    uint64_t wanted = operations / OPERATIONS_A_BUCKET;
    return wanted < BUCKETS_MIN ? BUCKETS_MIN : wanted > BUCKETS_MAX ? BUCKETS_MAX : (int)wanted;
}

static void count(const struct digest *digest, const struct plot *plot, struct buckets *buckets)
{
    const struct history *history = digest->run->history;
    double scale = buckets->used / (plot->to_ns - plot->from_ns);
    for (uint32_t i = 0; i < history->count; i++) {
        if (!history_is_client(history, i) || history->type[i] == OP_INVOKE ||
            history->time_ns[i] < 0)
            continue;
        double place = ((double)history->time_ns[i] - plot->from_ns) * scale;
        int bucket = place < 0 ? 0 : place >= buckets->used ? buckets->used - 1 : (int)place;
        buckets->count[bucket][history->type[i]]++;
        uint32_t all = ++buckets->count[bucket][OP_INVOKE];
        buckets->most = all > buckets->most ? all : buckets->most;
    }
}

static uint32_t stacked(const struct buckets *buckets, int bucket, int outcome)
{
    uint32_t sum = 0;
    for (int i = OP_OK; i <= outcome; i++)
        sum += buckets->count[bucket][i];
    return sum;
}

static double height_of(const struct plot *plot, double count, double most)
{
    return plot->top + plot->height - count / most * plot->height;
}

/* The area of one outcome, in steps: forward over its top, back over the one below. */
static void draw_area(struct plot *plot, const struct buckets *buckets, int outcome, double most)
{
    static const char *const classes[] = {"", "a-ok", "a-fail", "a-info"};
    struct buf *out = &plot->html->out;
    double width = (double)(PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT) / buckets->used;
    buf_printf(out, "<path class=\"%s\" d=\"M%d %.1f", classes[outcome], PLOT_LEFT,
               height_of(plot, stacked(buckets, 0, outcome - 1), most));
    for (int i = 0; i < buckets->used; i++)
        buf_printf(out, "V%.1fH%.1f", height_of(plot, stacked(buckets, i, outcome), most),
                   PLOT_LEFT + width * (i + 1));
    for (int i = buckets->used; i-- > 0;)
        buf_printf(out, "V%.1fH%.1f", height_of(plot, stacked(buckets, i, outcome - 1), most),
                   PLOT_LEFT + width * i);
    html_raw(plot->html, "Z\"/>\n");
}

static void draw_levels(struct plot *plot, double most, double bucket_s)
{
    double top_rate = most / bucket_s, step = plot_step(top_rate, LEVELS_MAX);
    for (int k = 0; k * step <= top_rate; k++) {
        char label[48];
        snprintf(label, sizeof label, step >= 1 ? "%.0f/s" : "%.3g/s", k * step);
        plot_level(plot, height_of(plot, k * step * bucket_s, most), label);
    }
}

static void draw_patterns(struct html *html)
{
    html_raw(html,
             "<defs><pattern id=\"p-fail\" width=\"6\" height=\"6\" "
             "patternUnits=\"userSpaceOnUse\"><rect class=\"p-fail\" width=\"6\" height=\"6\"/>"
             "<path class=\"p-mark\" d=\"M-1 7L7 -1\"/></pattern>"
             "<pattern id=\"p-info\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">"
             "<rect class=\"p-info\" width=\"5\" height=\"5\"/>"
             "<circle class=\"p-dot\" cx=\"2.5\" cy=\"2.5\" r=\"1.1\"/></pattern></defs>\n");
}

static void legend(struct html *html)
{
    static const char *const entries[][2] = {{"a-ok", "ok: it happened"},
                                             {"a-fail", "fail: it certainly did not"},
                                             {"a-info", "info: nobody knows"},
                                             {"strip", "a fault in force"},
                                             {"strip failed", "a fault that failed"}};
    html_raw(html, "<ul class=\"legend\">");
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        buf_printf(&html->out,
                   "<li><svg viewBox=\"0 0 22 16\" aria-hidden=\"true\"><rect class=\"%s\" "
                   "x=\"1\" y=\"1\" width=\"20\" height=\"14\"/></svg>%s</li>",
                   entries[i][0], entries[i][1]);
    html_raw(html, "</ul>\n");
}

static void chart(struct html *html, struct buckets *buckets)
{
    struct plot plot;
    plot_begin(&plot, html, "throughput-chart", HEIGHT, "Completions a second over the run",
               "Stacked areas of the operations that completed, by outcome, with the faults as "
               "bands. The tables of operations, faults and availability have the figures.");
    buckets->used = buckets_for(html->digest.total[OP_INVOKE]);
    count(&html->digest, &plot, buckets);
    double most = buckets->most * 1.05 + 0.001;
    double bucket_s = (plot.to_ns - plot.from_ns) / buckets->used / 1e9;
    draw_patterns(html);
    draw_levels(&plot, most, bucket_s);
    for (int outcome = OP_OK; outcome <= OP_INFO; outcome++)
        draw_area(&plot, buckets, outcome, most);
    plot_end(&plot);
    legend(html);
    struct buf width = BUF_INIT;
    digest_duration(&width, (int64_t)(bucket_s * 1e9));
    buf_printf(&html->out,
               "<figcaption>Each step is %s. Above the chart: the faults by number, from when each "
               "took effect to when it was undone.</figcaption></figure>\n",
               width.data);
    buf_free(&width);
}

void html_throughput(struct html *html)
{
    const struct digest *digest = &html->digest;
    html_section(html, "throughput", "Throughput");
    struct buckets *buckets = calloc(1, sizeof *buckets);
    if (digest->total[OP_INVOKE] == 0)
        html_note(html, "The history has no client operations.");
    else if (!digest->timed || buckets == NULL)
        html_note(html, "The history has no times, so there is nothing to draw.");
    else
        chart(html, buckets);
    free(buckets);
    html_section_end(html);
}
