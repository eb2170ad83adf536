/* The rules for a message that is delivered: see rules.h and docs/delivery.md. */
#include <stdio.h>
#include <stdlib.h>

#include "checkers/delivery/rules.h"

static void increase(uint16_t *number)
{
    if (*number < UINT16_MAX)
        (*number)++;
}

static uint32_t accepted_at(const struct judge *judge, const struct message *message)
{
    return judge->history->partner[message->enqueue];
}

/* ---- Order ---- */

static void add_overtaken(struct judge *judge, struct overtaken overtaken)
{
    if (judge->overtaken_count == judge->overtaken_capacity) {
        judge->overtaken_capacity =
            judge->overtaken_capacity == 0 ? 64 : judge->overtaken_capacity * 2;
        judge->overtaken =
            realloc(judge->overtaken, judge->overtaken_capacity * sizeof *judge->overtaken);
        if (judge->overtaken == NULL) {
            fprintf(stderr, "ordeal: out of memory for messages out of order\n");
            abort();
        }
    }
    judge->overtaken[judge->overtaken_count++] = overtaken;
}

/* The first operation that brings it is invoked: all that was delivered by now came before it. A
 * message whose sending began after this one was accepted, in the same stream, should not have. */
static void check_order(struct judge *judge, uint32_t number, const struct message *message,
                        uint32_t invocation)
{
    if (!(message->flags & MESSAGE_ACCEPTED) || message->flags & MESSAGE_UNJUDGED ||
        judge_terms(judge, message)->delay_ns > 0)
        return;
    const struct stream *stream = &judge->messages.streams[message->stream];
    if (stream->newest == HISTORY_NONE)
        return;
    judge->tested[TESTED_ORDERED]++;
    if (accepted_at(judge, message) < stream->newest)
        add_overtaken(judge, (struct overtaken){.message = number,
                                                .by = stream->which,
                                                .from = invocation,
                                                .arrived = stream->arrived});
}

static void note_order(struct judge *judge, uint32_t number, const struct message *message,
                       uint32_t completion)
{
    if (judge_terms(judge, message)->delay_ns > 0)
        return;
    struct stream *stream = &judge->messages.streams[message->stream];
    if (stream->newest != HISTORY_NONE && stream->newest >= message->enqueue)
        return;
    stream->newest = message->enqueue;
    stream->which = number;
    stream->arrived = completion;
}

void rule_asked(struct judge *judge, uint32_t number, uint32_t invocation, bool ends)
{
    struct message *message = message_at(&judge->messages, number);
    if (message->asked == 0 && message->enqueue != HISTORY_NONE)
        check_order(judge, number, message, invocation);
    increase(&message->asked);
    if (ends && message->ending == HISTORY_NONE)
        message->ending = invocation;
}

/* ---- Whether it may come at all ---- */

static bool is_phantom(struct judge *judge, const struct item *item, uint32_t number,
                       uint32_t invocation, uint32_t completion)
{
    struct message *message = message_at(&judge->messages, number);
    judge->tested[TESTED_DELIVERED]++;
    if (message->enqueue == HISTORY_NONE || message->flags & MESSAGE_REFUSED) {
        judge_found(judge, FOUND_PHANTOM, number, 0,
                    (uint32_t[]){message->enqueue, invocation, completion}, 3);
        message->flags |= MESSAGE_PHANTOM;
        return true;
    }
    uint32_t sent_to = judge->messages.streams[message->stream].queue;
    uint32_t came_from = value_is_nil(item->queue) ? 0 : queues_get(&judge->queues, item->queue);
    if (sent_to != 0 && came_from != 0 && sent_to != came_from)
        judge_found(judge, FOUND_WRONG_QUEUE, number, 0,
                    (uint32_t[]){message->enqueue, invocation, completion}, 3);
    if (value_is_nil(item->body))
        return false;
    struct value sent = item_read(judge->history->value[message->enqueue]).body;
    if (!value_is_nil(sent) && !value_equal(sent, item->body))
        judge_found(judge, FOUND_WRONG_BODY, number, 0,
                    (uint32_t[]){message->enqueue, invocation, completion}, 3);
    return false;
}

/* ---- Time ---- */

/* An event by which it was certainly in the queue: its enqueue was accepted, or it was delivered.
 * HISTORY_NONE when there was none yet. */
static uint32_t surely_sent(const struct judge *judge, const struct message *message)
{
    uint32_t accepted =
        message->flags & MESSAGE_ACCEPTED ? accepted_at(judge, message) : HISTORY_NONE;
    uint32_t arrived =
        message->hold == HISTORY_NONE ? HISTORY_NONE : judge->messages.holds[message->hold].arrived;
    return arrived < accepted ? arrived : accepted;
}

/* The first delivery, where it tells more than the enqueue; only times to live need to know. */
static void note_arrival(struct judge *judge, struct message *message, uint32_t completion)
{
    bool fresh;
    if (message->deliveries == 0 && judge->timed &&
        judge_terms(judge, message)->ttl_ns != DURATION_NONE &&
        completion < surely_sent(judge, message))
        messages_hold(&judge->messages, message, &fresh)->arrived = completion;
}

static void check_times(struct judge *judge, uint32_t number, const struct message *message,
                        uint32_t invocation, uint32_t completion)
{
    const struct terms *terms = judge_terms(judge, message);
    uint32_t accepted = surely_sent(judge, message);
    uint32_t shown[] = {message->enqueue, accepted, invocation, completion};
    if (!judge->timed)
        return;
    int64_t sent_ns = judge_time(judge, message->enqueue);
    int64_t from_ns = judge_time(judge, invocation), to_ns = judge_time(judge, completion);
    if (terms->delay_ns > 0) {
        judge->tested[TESTED_DELAYED]++;
        int64_t early_ns = later(sent_ns, terms->delay_ns) - to_ns;
        if (early_ns > judge->settings.slack_ns)
            judge_found(judge, FOUND_BEFORE_DELAY, number, early_ns, shown, 4);
    }
    if (terms->ttl_ns != DURATION_NONE) {
        judge->tested[TESTED_TTL]++;
        if (accepted != HISTORY_NONE) {
            int64_t dead_ns = later(judge_time(judge, accepted), terms->ttl_ns);
            if (from_ns > later(dead_ns, judge->settings.slack_ns))
                judge_found(judge, FOUND_AFTER_TTL, number, from_ns - dead_ns, shown, 4);
        }
    }
    if (message->deliveries > 0)
        return;
    durations_add(&judge->facts.latency, to_ns - sent_ns);
    if (terms->delay_ns > 0 && accepted != HISTORY_NONE) {
        int64_t due_ns = later(judge_time(judge, accepted), terms->delay_ns);
        durations_add(&judge->facts.late, from_ns > due_ns ? from_ns - due_ns : 0);
    }
}

/* ---- Coming again ---- */

static bool at_most_once(const struct judge *judge, const struct message *message)
{
    return message->flags & MESSAGE_PLAIN || judge_retry_ns(judge, message) == 0;
}

static enum finding_kind early_kind(const struct judge *judge, const struct message *message,
                                    const struct lease *lease, uint32_t now)
{
    if (lease->by_nack)
        return FOUND_EARLY_NACK;
    /* Of deliveries at the same time it is unknown whose the last one was. */
    bool other = message->flags & MESSAGE_LAST_ALONE &&
                 judge->history->process[message->to] != judge->history->process[now];
    return other && !lease->returned ? FOUND_EARLY_OTHER : FOUND_EARLY_SAME;
}

/* Deliveries at the same time may have been in either order: only what is wrong both ways counts.
 */
static int64_t early_ns(const struct judge *judge, const struct message *message,
                        const struct lease *lease, uint32_t invocation, uint32_t completion)
{
    int64_t to_ns = judge_time(judge, completion);
    if (message->to < invocation) {
        if (lease->floor_ns == INT64_MIN || invocation <= lease->floor_from)
            return 0;
        return lease->floor_ns - to_ns;
    }
    int64_t retry_ns = judge_retry_ns(judge, message);
    uint32_t first = message->from < invocation ? message->from : invocation;
    if ((lease->open_until > 0 && lease->open_until >= first) || retry_ns == DURATION_NONE)
        return 0;
    int64_t first_ns = judge_time(judge, message->from), last_ns = judge_time(judge, message->to);
    int64_t second_ns = judge_time(judge, invocation);
    int64_t gap_ns =
        (to_ns > last_ns ? to_ns : last_ns) - (first_ns < second_ns ? first_ns : second_ns);
    return retry_ns - gap_ns;
}

static void check_lease(struct judge *judge, uint32_t number, const struct message *message,
                        uint32_t invocation, uint32_t completion)
{
    if (!judge->timed || message->ending != HISTORY_NONE || at_most_once(judge, message))
        return;
    struct lease lease = rule_lease(judge, message);
    uint32_t shown[] = {message->enqueue, message->from, message->to, invocation, completion};
    judge->tested[TESTED_REDELIVERED] += lease.floor_ns != INT64_MIN;
    int64_t by_ns = early_ns(judge, message, &lease, invocation, completion);
    if (by_ns > judge->settings.slack_ns)
        judge_found(judge, early_kind(judge, message, &lease, completion), number, by_ns, shown, 5);
    if (message->to < invocation && lease.ceiling_ns != INT64_MAX) {
        int64_t late_ns = judge_time(judge, invocation) - lease.ceiling_ns;
        durations_add(&judge->facts.redelivery, late_ns > 0 ? late_ns : 0);
    }
}

static void check_again(struct judge *judge, uint32_t number, const struct message *message,
                        uint32_t invocation, uint32_t completion, bool drain)
{
    uint32_t shown[] = {message->enqueue, message->from, message->to, invocation, completion};
    judge->facts.redeliveries++;
    if (at_most_once(judge, message))
        judge_found(judge, FOUND_TWICE, number, 0, shown, 5);
    /* Without a lease a drain takes and acknowledges in one: of two, whichever was first
     * acknowledged what the other delivered then. With a lease it may have run out in between,
     * twice seen before it was acknowledged. */
    bool after_drain =
        drain && message->flags & MESSAGE_DRAINED && judge_retry_ns(judge, message) <= 0;
    if (message->acked != HISTORY_NONE && (message->acked < invocation || after_drain))
        judge_found(judge, FOUND_AFTER_ACK, number, 0,
                    (uint32_t[]){message->enqueue, judge->history->partner[message->acked],
                                 message->acked, invocation, completion},
                    5);
}

static void check_dead(struct judge *judge, uint32_t number, const struct message *message,
                       uint32_t invocation, uint32_t completion)
{
    if (message->hold == HISTORY_NONE)
        return;
    uint32_t dead = judge->messages.holds[message->hold].dead;
    if (dead != HISTORY_NONE && dead < invocation)
        judge_found(judge, FOUND_TWO_ENDS, number, 0,
                    (uint32_t[]){message->enqueue, judge->history->partner[dead], dead, invocation,
                                 completion},
                    5);
}

/* ---- What the broker says of it ---- */

/* Each dequeue of unknown outcome may have been one delivery of it, and no more. */
static int64_t most_attempts(const struct judge *judge, const struct message *message,
                             uint32_t completion)
{
    uint32_t queue = judge->messages.streams[message->stream].queue;
    if (message->asked == UINT16_MAX || queue_unsure_drain(&judge->queues, queue) != HISTORY_NONE)
        return INT64_MAX;
    int64_t hidden = 0;
    for (uint32_t i = 0; i < judge->queues.count; i++)
        if (i == 0 || i == queue || queue == 0)
            for (uint32_t j = 0; j < judge->queues.items[i].taker_count; j++)
                hidden += judge->queues.items[i].takers[j].invoked < completion;
    return message->asked + hidden;
}

static void check_count(struct judge *judge, const struct item *item, uint32_t number,
                        struct message *message, uint32_t invocation, uint32_t completion)
{
    uint32_t shown[] = {message->enqueue, message->from, message->to, invocation, completion};
    if (item->count < 0 || message->flags & MESSAGE_DRAINED)
        return;
    judge->tested[TESTED_COUNTED]++;
    bool after = message->deliveries > 0 && message->to < invocation;
    if (after && (item->count <= message->deliveries || item->count <= message->attempt))
        judge_found(judge, FOUND_COUNT_LOW, number, 0, shown, 5);
    else if (item->count == 0 || (message->deliveries > 0 && item->count == message->attempt))
        judge_found(judge, FOUND_COUNT_LOW, number, 0, shown, 5);
    else if (item->count > message->asked &&
             item->count > most_attempts(judge, message, completion))
        judge_found(judge, FOUND_COUNT_HIGH, number, 0, shown, 5);
    if (item->count > message->attempt)
        message->attempt = (uint16_t)(item->count > UINT16_MAX ? UINT16_MAX : item->count);
}

struct item rule_item_of(const struct judge *judge, uint32_t completion, struct value name)
{
    struct value value = judge->history->value[completion];
    size_t count = items_count(value, judge->vectors);
    for (size_t i = 0; i < count; i++) {
        struct item item = item_read(items_at(value, judge->vectors, i));
        if (item.problem == NULL && value_equal(item.message, name))
            return item;
    }
    return (struct item){.problem = "not there"};
}

static void check_token(struct judge *judge, const struct item *item, uint32_t number,
                        const struct message *message, uint32_t invocation, uint32_t completion)
{
    if (value_is_nil(item->delivery))
        return;
    struct item before = rule_item_of(judge, message->to, message->name);
    if (before.problem != NULL || !value_equal(before.delivery, item->delivery))
        return;
    bool other = judge->history->process[message->to] != judge->history->process[completion];
    judge_found(judge, other ? FOUND_SAME_DELIVERY : FOUND_COUNT_LOW, number, 0,
                (uint32_t[]){message->enqueue, message->from, message->to, invocation, completion},
                5);
}

/* ---- One delivery ---- */

static void record(struct judge *judge, struct message *message, uint32_t invocation,
                   uint32_t completion)
{
    bool alone = message->deliveries == 0 || message->to < invocation;
    if (alone) {
        message->flags |= MESSAGE_LAST_ALONE;
        message->from = invocation;
    } else {
        message->flags &= (uint16_t)~MESSAGE_LAST_ALONE;
        message->from = message->from < invocation ? message->from : invocation;
    }
    message->to = completion;
    increase(&message->deliveries);
    judge->facts.deliveries++;
    facts_consumed(&judge->facts, judge->history->process[completion]);
}

static void acknowledge(struct judge *judge, uint32_t number, struct message *message,
                        uint32_t completion)
{
    if (message->acked == HISTORY_NONE) {
        message->acked = completion;
        judge->tested[TESTED_ACKED]++;
    } else if (message->flags & MESSAGE_PLAIN) {
        judge_found(judge, FOUND_ACKED_TWICE, number, 0,
                    (uint32_t[]){message->enqueue, message->acked, completion}, 3);
    }
}

bool rule_from_dead_letters(const struct judge *judge, const struct item *item)
{
    return !value_is_nil(judge->settings.dead_letter) &&
           value_equal(item->queue, judge->settings.dead_letter);
}

/* It came out of the queue of the dead: no delivery of its own queue. */
static void delivered_dead(struct judge *judge, uint32_t number, struct message *message,
                           uint32_t invocation, uint32_t completion)
{
    if (message->acked != HISTORY_NONE && message->acked < invocation)
        judge_found(judge, FOUND_TWO_ENDS, number, 0,
                    (uint32_t[]){message->enqueue, message->acked, invocation, completion}, 4);
    rule_dead(judge, message, completion);
    if (message->ending == HISTORY_NONE)
        message->ending = invocation;
}

void rule_delivered(struct judge *judge, const struct item *item, uint32_t invocation,
                    uint32_t completion, bool drain)
{
    uint32_t number = messages_get(&judge->messages, item->message);
    struct message *message = message_at(&judge->messages, number);
    if (rule_from_dead_letters(judge, item) && message->enqueue != HISTORY_NONE) {
        delivered_dead(judge, number, message, invocation, completion);
        return;
    }
    judge->facts.drained += drain;
    if (message->flags & MESSAGE_AMBIGUOUS ||
        is_phantom(judge, item, number, invocation, completion) ||
        message->flags & MESSAGE_PHANTOM) {
        record(judge, message, invocation, completion);
        return;
    }
    bool ends = item->plain && !judge->acks;
    if (ends && !drain)
        message->flags |= MESSAGE_PLAIN;
    check_times(judge, number, message, invocation, completion);
    judge->tested[TESTED_ONCE] += at_most_once(judge, message);
    judge->tested[TESTED_LEASED] +=
        !drain && (!value_is_nil(item->delivery) || judge_retry_ns(judge, message) > 0);
    check_dead(judge, number, message, invocation, completion);
    if (message->deliveries > 0) {
        check_again(judge, number, message, invocation, completion, drain);
        if (!drain) {
            check_lease(judge, number, message, invocation, completion);
            check_token(judge, item, number, message, invocation, completion);
        }
    }
    if (!drain)
        check_count(judge, item, number, message, invocation, completion);
    note_arrival(judge, message, completion);
    record(judge, message, invocation, completion);
    rule_leased_anew(judge, message, completion);
    note_order(judge, number, message, completion);
    message->flags |= drain ? MESSAGE_DRAINED : 0;
    if (ends || drain)
        acknowledge(judge, number, message, completion);
}

/* Seen in the queue: it must have been sent, and it is not lost. */
void rule_peeked(struct judge *judge, const struct item *item, uint32_t completion)
{
    uint32_t number = messages_get(&judge->messages, item->message);
    struct message *message = message_at(&judge->messages, number);
    if (message->deliveries == 0) {
        message->flags |= MESSAGE_PEEKED;
        message->from = judge->history->partner[completion];
    }
    if (!(message->flags & MESSAGE_AMBIGUOUS))
        (void)is_phantom(judge, item, number, judge->history->partner[completion], completion);
}

/* ---- Keys ---- */

/* Whether nothing that was invoked so far may have ended the message. */
static bool surely_lives(const struct judge *judge, const struct message *message, uint32_t now)
{
    const struct terms *terms = judge_terms(judge, message);
    uint32_t queue = judge->messages.streams[message->stream].queue;
    if (message->ending != HISTORY_NONE || message->flags & MESSAGE_UNJUDGED ||
        queue_unsure_drain(&judge->queues, queue) != HISTORY_NONE)
        return false;
    if (terms->ttl_ns != DURATION_NONE &&
        (!judge->timed || judge_time(judge, now) + judge->settings.slack_ns >=
                              later(judge_time(judge, message->enqueue), terms->ttl_ns)))
        return false;
    bool taking_ends = judge_retry_ns(judge, message) <= 0;
    return !taking_ends || (message->asked == 0 && rule_takers(judge, queue, INT64_MIN, now) == 0);
}

void rule_key(struct judge *judge, const struct item *item, uint32_t invocation,
              uint32_t completion)
{
    uint32_t number = messages_find(&judge->messages, item->message);
    struct message *message = message_at(&judge->messages, number);
    if (message->flags & MESSAGE_UNJUDGED || message->enqueue != invocation)
        return;
    uint32_t place = messages_stream(&judge->messages, queues_get(&judge->queues, item->queue),
                                     value_nil(), item->key, INT64_MAX);
    struct stream *holder = &judge->messages.streams[place];
    judge->tested[TESTED_KEYED] += holder->which != HISTORY_NONE;
    if (message->flags & MESSAGE_DUPLICATE) {
        judge->facts.duplicates++;
        return;
    }
    if (holder->which != HISTORY_NONE && holder->arrived < invocation) {
        const struct message *other = message_at(&judge->messages, holder->which);
        if (surely_lives(judge, other, completion))
            judge_found(judge, FOUND_KEY_TWICE, number, 0,
                        (uint32_t[]){other->enqueue, holder->arrived, invocation, completion}, 4);
    }
    holder->which = number;
    holder->arrived = completion;
}
