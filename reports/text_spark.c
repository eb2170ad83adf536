/* Small bars for a terminal: see text_spark.h. */
#include "reports/text_spark.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS = 48, OPERATIONS_MIN = 2 * COLUMNS, FAULT_ROWS_MAX = 3 };

struct spark {
    const struct digest *digest;
    double from_ns, width_ns; /* of a column */
    struct latency latency[COLUMNS];
    double ok[COLUMNS], other[COLUMNS];
};

static int column_of(const struct spark *spark, int64_t ns)
{
    double place = ((double)ns - spark->from_ns) / spark->width_ns;
    return place < 0 ? 0 : place >= COLUMNS ? COLUMNS - 1 : (int)place;
}

static void count(struct spark *spark)
{
    const struct history *history = spark->digest->run->history;
    for (uint32_t i = 0; i < history->count; i++) {
        if (!history_is_client(history, i) || history->type[i] == OP_INVOKE ||
            history->time_ns[i] < 0)
            continue;
        int column = column_of(spark, history->time_ns[i]);
        if (history->type[i] != OP_OK) {
            spark->other[column]++;
            continue;
        }
        spark->ok[column]++;
        uint32_t begun = history->partner == NULL ? HISTORY_NONE : history->partner[i];
        if (begun != HISTORY_NONE && history->time_ns[begun] >= 0)
            latency_add(&spark->latency[column], history->time_ns[i] - history->time_ns[begun]);
    }
}

/* Heights by the largest; what is there at all is seen. */
static double bars(const double *values, struct buf *out)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double most = 0;
    for (int i = 0; i < COLUMNS; i++)
        most = values[i] > most ? values[i] : most;
    for (int i = 0; i < COLUMNS; i++) {
        int height = most > 0 ? (int)(values[i] / most * 8 + 0.5) : 0;
        buf_add_text(out, blocks[height == 0 && values[i] > 0 ? 1 : height]);
    }
    return most;
}

static void rates(const struct spark *spark, const char *name, const double *counts,
                  struct buf *out)
{
    buf_printf(out, "  %-7s ", name);
    double most = bars(counts, out) / (spark->width_ns / 1e9);
    buf_printf(out, most < 10 ? " at most %.1f/s\n" : " at most %.0f/s\n", most);
}

static void slowness(const struct spark *spark, struct buf *out)
{
    double values[COLUMNS];
    for (int i = 0; i < COLUMNS; i++)
        values[i] =
            spark->latency[i].count == 0 ? 0 : (double)latency_quantile(&spark->latency[i], 0.99);
    buf_printf(out, "  %-7s ", "ok p99");
    double most = bars(values, out);
    buf_add_text(out, " at most ");
    digest_duration(out, (int64_t)most);
    buf_add_char(out, '\n');
}

/* One row of faults that do not overlap, each with its number where there is room. */
static void fault_row(const struct spark *spark, uint8_t *drawn, bool first, struct buf *out)
{
    const struct digest *digest = spark->digest;
    char cells[COLUMNS + 1];
    memset(cells, ' ', COLUMNS);
    cells[COLUMNS] = '\0';
    bool any = false;
    for (size_t i = 0; i < digest->fault_count && i < 4096; i++) {
        const struct digest_fault *fault = &digest->faults[i];
        if (drawn[i] || fault->failed || fault->from_ns < 0)
            continue;
        int from = column_of(spark, fault->from_ns), to = column_of(spark, fault->to_ns);
        if (strspn(cells + from, " ") < (size_t)(to - from + 1))
            continue;
        char name[24];
        int length = snprintf(name, sizeof name, "%" PRId64, fault->id);
        memset(cells + from, '-', (size_t)(to - from + 1));
        if (length <= to - from + 1)
            memcpy(cells + from, name, (size_t)length);
        drawn[i] = any = true;
    }
    for (int i = COLUMNS; i > 0 && cells[i - 1] == ' '; i--)
        cells[i - 1] = '\0';
    if (any)
        buf_printf(out, "  %-7s %s\n", first ? "faults" : "", cells);
}

static void faults(const struct spark *spark, struct buf *out)
{
    uint8_t drawn[4096] = {0};
    for (int row = 0; row < FAULT_ROWS_MAX; row++)
        fault_row(spark, drawn, row == 0, out);
}

bool text_spark(const struct digest *digest, struct buf *out)
{
    if (!digest->timed || digest->total[OP_INVOKE] < OPERATIONS_MIN ||
        digest->end_ns <= digest->begin_ns)
        return false;
    struct spark spark = {.digest = digest, .from_ns = (double)digest->begin_ns};
    spark.width_ns = (double)(digest->end_ns - digest->begin_ns) / COLUMNS;
    count(&spark);
    rates(&spark, "ok", spark.ok, out);
    if (digest->total[OP_FAIL] + digest->total[OP_INFO] > 0)
        rates(&spark, "not ok", spark.other, out);
    slowness(&spark, out);
    faults(&spark, out);
    struct buf begin = BUF_INIT, end = BUF_INIT;
    digest_time(&begin, digest->begin_ns);
    digest_time(&end, digest->end_ns);
    buf_printf(out, "          %-*s%*s\n", COLUMNS / 2, buf_text(&begin), COLUMNS / 2,
               buf_text(&end));
    buf_free(&begin);
    buf_free(&end);
    for (int i = 0; i < COLUMNS; i++)
        latency_free(&spark.latency[i]);
    return true;
}
