/* Life lines of messages: see life.h. They are told for a handful of examples, so each is gathered
 * by reading the history once more. */
#include "checkers/delivery/life.h"

#include <inttypes.h>
#include <string.h>

#include "checkers/delivery/rules.h"
#include "harness/base/clock.h"

enum { LIFE_OPERATIONS = 12 }; /* told of one message; the rest is counted */

static void add_time(const struct judge *judge, uint32_t event, struct buf *out)
{
    int64_t ns = judge_time(judge, event);
    if (ns < 0)
        buf_printf(out, "event %u", event);
    else
        buf_printf(out, "%" PRId64 ".%06" PRId64 " s", ns / NS_PER_SECOND,
                   ns % NS_PER_SECOND / NS_PER_US);
}

static void add_duration(int64_t ns, struct buf *out)
{
    char text[32];
    clock_format_human(ns, text, sizeof text);
    buf_add_text(out, text);
}

/* Which message an operation is about: for the ones that bring several, whether this is among them.
 */
static bool concerns(const struct judge *judge, uint32_t invocation, struct value name,
                     struct item *item)
{
    const struct history *history = judge->history;
    enum queue_f f = (enum queue_f)judge->functions[history->f[invocation]];
    uint32_t completion = history->partner[invocation];
    switch (f) {
    case QUEUE_ENQUEUE:
    case QUEUE_ACK:
    case QUEUE_NACK:
    case QUEUE_EXTEND:
        *item = item_read(history->value[invocation]);
        return item->problem == NULL && value_equal(item->message, name);
    case QUEUE_DEQUEUE:
    case QUEUE_DRAIN:
    case QUEUE_PEEK:
        if (completion == HISTORY_NONE || history->type[completion] != OP_OK)
            return false;
        *item = rule_item_of(judge, completion, name);
        return item->problem == NULL;
    default:
        return false;
    }
}

static void add_terms(const struct item *item, struct buf *out)
{
    const struct {
        const char *name;
        int64_t ns;
    } given[] = {{"delay", item->delay_ns}, {"ttl", item->ttl_ns}, {"retry", item->retry_ns}};
    for (size_t i = 0; i < 3; i++)
        if (given[i].ns != DURATION_NONE) {
            buf_printf(out, ", %s ", given[i].name);
            add_duration(given[i].ns, out);
        }
}

static void add_operation(const struct judge *judge, uint32_t invocation, const struct item *item,
                          struct buf *out)
{
    const struct history *history = judge->history;
    uint32_t completion = history->partner[invocation];
    buf_printf(out, "%s by process %d from ", history_f_name(history, invocation),
               history->process[invocation]);
    add_time(judge, invocation, out);
    if (completion == HISTORY_NONE) {
        buf_add_text(out, ", never completed");
    } else {
        buf_add_text(out, " to ");
        add_time(judge, completion, out);
        buf_printf(out, ", %s", op_type_name((enum op_type)history->type[completion]));
    }
    if (!value_is_nil(item->delivery)) {
        buf_add_text(out, ", delivery ");
        value_print(item->delivery, out);
    }
    if (item->count >= 0)
        buf_printf(out, ", count %" PRId64, item->count);
    if (item->dead)
        buf_add_text(out, ", dead");
    add_terms(item, out);
}

static const char *what(enum finding_kind kind)
{
    static const char *const texts[] = {
        [FOUND_PHANTOM] = "was delivered though it was not in the queue",
        [FOUND_WRONG_QUEUE] = "was delivered from another queue than it was sent to",
        [FOUND_WRONG_BODY] = "was delivered with another body than it was sent with",
        [FOUND_LOST] = "was accepted and never delivered, and is not in the queue any more",
        [FOUND_TWICE] = "was delivered twice, though it is to come once at the most",
        [FOUND_AFTER_ACK] = "was delivered after its acknowledgement had been accepted",
        [FOUND_ACKED_TWICE] = "was acknowledged for two deliveries, and both were accepted",
        [FOUND_EARLY_OTHER] = "was given to a second consumer while the first still held it",
        [FOUND_EARLY_SAME] = "was delivered again before its lease was over",
        [FOUND_EARLY_NACK] = "was delivered again before the delay of its return was over",
        [FOUND_SAME_DELIVERY] = "was handed to two consumers as one and the same delivery",
        [FOUND_BEFORE_DELAY] = "was delivered before its delay was over",
        [FOUND_AFTER_TTL] = "was delivered after its time to live was over",
        [FOUND_EXPIRED_EARLY] = "was gone before its time to live was over",
        [FOUND_COUNT_LOW] = "was delivered with a number that the broker had used before",
        [FOUND_COUNT_HIGH] = "was delivered with a higher number than it can have been delivered",
        [FOUND_OVERTAKEN] = "was overtaken by a message of its producer that was sent later",
        [FOUND_STUCK] = "should have been delivered, and those who asked were told that the "
                        "queue is empty",
        [FOUND_VANISHED] = "was delivered, never acknowledged, and neither came again nor was "
                           "left in the queue",
        [FOUND_TWO_ENDS] = "came to two ends",
        [FOUND_STALE_ACCEPTED] = "was settled by the holder of a superseded delivery, and the "
                                 "broker accepted it",
        [FOUND_KEY_TWICE] = "was accepted though another message of its key was still there",
    };
    return texts[kind];
}

void life_title(const struct judge *judge, const struct finding *finding, struct buf *out)
{
    buf_add_text(out, "message ");
    value_print(message_at(&judge->messages, finding->message)->name, out);
    buf_printf(out, ": %s", finding_name(finding->kind));
}

static void add_why(const struct judge *judge, const struct finding *finding, struct buf *out)
{
    const struct message *message = message_at(&judge->messages, finding->message);
    if (finding->kind == FOUND_PHANTOM && message->enqueue == HISTORY_NONE)
        buf_add_text(out, ": it was never sent");
    else if (finding->kind == FOUND_PHANTOM && message->flags & MESSAGE_REFUSED)
        buf_add_text(out, ": its enqueue certainly failed");
    else if (finding->kind == FOUND_PHANTOM)
        buf_add_text(out, ": it was sent only later");
    if (finding->by_ns > 0) {
        buf_add_text(out, finding->kind == FOUND_AFTER_TTL ? ", by " : ", early by ");
        add_duration(finding->by_ns, out);
        buf_add_text(out, " at least");
    }
    if (finding->other != HISTORY_NONE) {
        buf_add_text(out, ": message ");
        value_print(message_at(&judge->messages, finding->other)->name, out);
    }
}

static void insert(uint32_t *events, size_t *count, size_t capacity, uint32_t event)
{
    size_t at = 0;
    while (at < *count && events[at] < event)
        at++;
    if (event == HISTORY_NONE || *count == capacity || (at < *count && events[at] == event))
        return;
    memmove(events + at + 1, events + at, (*count - at) * sizeof *events);
    events[at] = event;
    (*count)++;
}

size_t life_tell(const struct judge *judge, const struct finding *finding, struct buf *out,
                 uint32_t *events, size_t capacity)
{
    const struct history *history = judge->history;
    struct value name = message_at(&judge->messages, finding->message)->name;
    size_t told = 0, all = 0, count = 0;
    buf_add_text(out, "Message ");
    value_print(name, out);
    buf_printf(out, " %s", what(finding->kind));
    add_why(judge, finding, out);
    buf_add_text(out, ". Its life:");
    for (size_t i = 0; i < FINDING_EVENTS; i++)
        insert(events, &count, capacity, finding->events[i]);
    for (uint32_t i = 0; i < history->count; i++) {
        struct item item;
        if (history->type[i] != OP_INVOKE || !history_is_client(history, i) ||
            judge->functions[history->f[i]] == QUEUE_OTHER || !concerns(judge, i, name, &item))
            continue;
        if (all++ >= LIFE_OPERATIONS)
            continue;
        buf_add_text(out, told++ == 0 ? " " : "; ");
        add_operation(judge, i, &item, out);
        insert(events, &count, capacity, i);
        insert(events, &count, capacity, history->partner[i]);
    }
    if (all > told)
        buf_printf(out, "; and %zu more", all - told);
    buf_add_text(out, all == 0 ? " nothing that was recorded." : ".");
    return count;
}
