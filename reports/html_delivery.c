/* What happened to messages beside the verdict: how long they took, how old the backlog was, which
 * consumer took how many. Only on pages of runs that the delivery checker measured. */
#include <inttypes.h>

#include "reports/html.h"

enum { CONSUMERS_MAX = 100 };

static const struct json *facts_of(const struct html *html)
{
    const struct json *judged = json_get(html->digest.run->results, "checkers");
    return json_get(json_get(judged, "delivery"), "facts");
}

bool html_has_deliveries(const struct html *html)
{
    return facts_of(html) != NULL;
}

static uint64_t count_of(const struct json *object, const char *key)
{
    int64_t count = json_as_int(json_get(object, key), 0);
    return count < 0 ? 0 : (uint64_t)count;
}

/* One duration over all messages; `bound` is the side on which the truth may lie. */
static void duration_row(struct html *html, const char *what, const char *bound,
                         const struct json *durations)
{
    static const char *const quantiles[] = {"min-ns", "p50-ns", "p90-ns", "p99-ns", "max-ns"};
    if (json_kind(durations) != JSON_OBJECT)
        return;
    html_row(html);
    html_head_cell(html, what);
    html_cell(html, bound);
    html_number_cell(html, count_of(durations, "count"));
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        html_duration_cell(html, json_as_int(json_get(durations, quantiles[i]), -1));
    html_row_end(html);
}

static void durations_table(struct html *html, const struct json *facts)
{
    static const char *const columns[] = {"Time",  "Bound", ">Messages", ">Least", ">Half",
                                          ">90 %", ">99 %", ">Most",     NULL};
    html_table(html, "How long it took, by the history's own times", columns);
    duration_row(html, "sent to first delivered", "at most", json_get(facts, "delivery-latency"));
    duration_row(html, "sent to acknowledged", "at most", json_get(facts, "finish-latency"));
    duration_row(html, "delivered after its delay", "at least", json_get(facts, "delay-lateness"));
    duration_row(html, "delivered again after its lease", "at least",
                 json_get(facts, "redelivery-lateness"));
    duration_row(html, "in the backlog", "at least", json_get(json_get(facts, "backlog"), "age"));
    html_table_end(html);
}

static void consumers_table(struct html *html, const struct json *consumers)
{
    static const char *const columns[] = {"Consumer", ">Deliveries", ">Acknowledged", NULL};
    size_t count = 0;
    html_table(html, "What each consumer took", columns);
    for (const struct json *one = json_first(json_get(consumers, "shares"));
         one != NULL && count < CONSUMERS_MAX; one = json_next(one), count++) {
        char name[32];
        (void)snprintf(name, sizeof name, "process %" PRId64,
                       json_as_int(json_get(one, "process"), -1));
        html_row(html);
        html_head_cell(html, name);
        html_number_cell(html, count_of(one, "deliveries"));
        html_number_cell(html, count_of(one, "acks"));
        html_row_end(html);
    }
    html_table_end(html);
    if (count_of(consumers, "count") > count)
        html_note(html, "%" PRIu64 " more took something.", count_of(consumers, "count") - count);
}

static void unfinished_note(struct html *html, const struct json *backlog)
{
    uint64_t unfinished = count_of(backlog, "unfinished-count");
    if (unfinished > 0)
        html_note(html,
                  "%" PRIu64 " accepted %s neither ended nor expired when the history ended; the "
                  "oldest waited %.1f s at least.",
                  unfinished, unfinished == 1 ? "message had" : "messages had",
                  (double)count_of(backlog, "oldest-unfinished-ns") / 1e9);
}

void html_deliveries(struct html *html)
{
    const struct json *facts = facts_of(html);
    if (facts == NULL)
        return;
    html_section(html, "deliveries", "Deliveries");
    html_note(html,
              "%" PRIu64 " deliveries, %" PRIu64 " of them of a message that had been delivered "
              "before; %" PRIu64 " messages drained at the end; %" PRIu64
              " times there was nothing.",
              count_of(facts, "deliveries"), count_of(facts, "redeliveries"),
              count_of(facts, "drained"), count_of(facts, "empty-answers"));
    durations_table(html, facts);
    unfinished_note(html, json_get(facts, "backlog"));
    html_backlog(html, json_get(facts, "backlog"));
    if (json_count(json_get(json_get(facts, "consumers"), "shares")) > 0)
        consumers_table(html, json_get(facts, "consumers"));
    html_section_end(html);
}
