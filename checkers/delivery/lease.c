/* The rules between a delivery and its settling: acknowledgements, returns, extensions, and the
 * lease that they end, shorten or lengthen. See rules.h and docs/delivery.md. */
#include "checkers/delivery/rules.h"

/* A message dead letters hold is not delivered again from its own queue. */
void rule_dead(struct judge *judge, struct message *message, uint32_t completion)
{
    bool fresh;
    struct hold *hold = messages_hold(&judge->messages, message, &fresh);
    judge->tested[TESTED_ENDED] += !(message->flags & MESSAGE_DEAD);
    message->flags |= MESSAGE_DEAD;
    if (hold->dead == HISTORY_NONE)
        hold->dead = completion;
}

/* ---- The lease of the latest delivery ---- */

struct lease rule_lease(const struct judge *judge, const struct message *message)
{
    struct lease lease = {.floor_ns = INT64_MIN, .ceiling_ns = INT64_MAX};
    int64_t retry_ns = judge_retry_ns(judge, message);
    if (message->hold != HISTORY_NONE) {
        const struct hold *hold = &judge->messages.holds[message->hold];
        lease.floor_ns = hold->floor_ns;
        lease.ceiling_ns = hold->ceiling_ns;
        lease.floor_from = hold->floor_from;
        lease.by_nack = hold->by_nack;
        lease.returned = hold->returned;
        lease.open_until = hold->open_until;
    } else if (judge->timed && message->deliveries > 0 && retry_ns != DURATION_NONE) {
        lease.floor_ns = later(judge_time(judge, message->from), retry_ns);
        lease.ceiling_ns = later(judge_time(judge, message->to), retry_ns);
    }
    return lease;
}

static bool is_open(const struct hold *hold, uint32_t since)
{
    return hold->open_delay_ns != INT64_MAX && hold->open_until >= since;
}

void rule_leased_anew(struct judge *judge, struct message *message, uint32_t completion)
{
    int64_t retry_ns = judge_retry_ns(judge, message);
    if (message->hold == HISTORY_NONE || !judge->timed)
        return;
    struct hold *hold = &judge->messages.holds[message->hold];
    bool open = is_open(hold, message->from);
    int64_t least_ns = open && hold->open_delay_ns < retry_ns ? hold->open_delay_ns : retry_ns;
    int64_t ceiling_ns = INT64_MAX;
    if (retry_ns != DURATION_NONE)
        ceiling_ns = later(judge_time(judge, completion), retry_ns);
    hold->floor_ns =
        retry_ns == DURATION_NONE ? INT64_MIN : later(judge_time(judge, message->from), least_ns);
    hold->ceiling_ns = open && hold->ceiling_ns > ceiling_ns ? hold->ceiling_ns : ceiling_ns;
    hold->floor_from = 0;
    hold->by_nack = false;
    hold->returned = hold->returned && open;
    hold->sole = HISTORY_NONE;
    if (!open)
        hold->open_delay_ns = INT64_MAX;
}

/* How long after its effect the message comes again at the earliest; INT64_MIN: no telling. */
static int64_t asked_delay(enum queue_f f, const struct item *item)
{
    if (f == QUEUE_EXTEND)
        return item->retry_ns == DURATION_NONE ? INT64_MIN : item->retry_ns;
    return item->delay_ns == DURATION_NONE ? 0 : item->delay_ns;
}

/* From now on, and until the operation is over, it may set the lease anew. */
static void may_set(struct judge *judge, struct message *message, enum queue_f f,
                    const struct item *item, uint32_t invocation)
{
    struct lease lease = rule_lease(judge, message);
    bool fresh, sure = history_outcome(judge->history, invocation) == OP_OK;
    struct hold *hold = messages_hold(&judge->messages, message, &fresh);
    if (fresh) {
        hold->floor_ns = lease.floor_ns;
        hold->ceiling_ns = lease.ceiling_ns;
    }
    hold->returned |= f == QUEUE_NACK;
    int64_t delay_ns = asked_delay(f, item), now_ns = judge_time(judge, invocation);
    uint32_t until = judge->history->partner[invocation];
    until = sure ? until : HISTORY_NONE;
    hold->sole = sure && !is_open(hold, invocation) ? invocation : HISTORY_NONE;
    int64_t floor_ns = delay_ns == INT64_MIN ? INT64_MIN : later(now_ns, delay_ns);
    if (floor_ns < hold->floor_ns)
        hold->floor_ns = floor_ns;
    if (hold->open_delay_ns == INT64_MAX || delay_ns < hold->open_delay_ns)
        hold->open_delay_ns = delay_ns == INT64_MIN ? 0 : delay_ns;
    if (until > hold->open_until)
        hold->open_until = until;
    int64_t last_ns = judge->settings.settle_ns == INT64_MAX
                          ? INT64_MAX
                          : later(now_ns, judge->settings.settle_ns);
    if (sure)
        last_ns = judge_time(judge, until);
    int64_t ceiling_ns = delay_ns == INT64_MIN ? INT64_MAX : later(last_ns, delay_ns);
    if (ceiling_ns > hold->ceiling_ns)
        hold->ceiling_ns = ceiling_ns;
}

/* It was the only one that can have set the lease, and it did: later deliveries respect it. */
static void has_set(struct judge *judge, struct message *message, enum queue_f f,
                    const struct item *item, uint32_t invocation, uint32_t completion)
{
    int64_t delay_ns = asked_delay(f, item);
    if (message->hold == HISTORY_NONE)
        return;
    struct hold *hold = &judge->messages.holds[message->hold];
    if (hold->sole != invocation || delay_ns == INT64_MIN || message->to > invocation)
        return;
    hold->floor_ns = later(judge_time(judge, invocation), delay_ns);
    hold->ceiling_ns = later(judge_time(judge, completion), delay_ns);
    hold->floor_from = completion;
    hold->by_nack = f == QUEUE_NACK;
}

/* ---- Superseded deliveries ---- */

/* Whether another delivery began after the one that this operation names was certainly over. */
static bool is_superseded(const struct judge *judge, const struct message *message,
                          const struct item *item)
{
    if (value_is_nil(item->delivery) || !(message->flags & MESSAGE_LAST_ALONE) ||
        message->deliveries < 2)
        return false;
    struct item last = rule_item_of(judge, message->to, message->name);
    return last.problem == NULL && !value_is_nil(last.delivery) &&
           !value_equal(last.delivery, item->delivery);
}

static void check_fence(struct judge *judge, uint32_t number, const struct message *message,
                        const struct item *item, uint32_t invocation)
{
    if (!is_superseded(judge, message, item))
        return;
    judge->tested[TESTED_FENCED]++;
    if (history_outcome(judge->history, invocation) == OP_OK)
        judge_found(judge, FOUND_STALE_ACCEPTED, number, 0,
                    (uint32_t[]){message->enqueue, message->from, message->to, invocation,
                                 judge->history->partner[invocation]},
                    5);
}

/* ---- The operations ---- */

static struct message *settled(struct judge *judge, uint32_t event, const struct item *item,
                               uint32_t *number)
{
    if (item->problem != NULL) {
        judge_problem(judge, event, HISTORY_NONE, item->problem);
        return NULL;
    }
    *number = messages_find(&judge->messages, item->message);
    struct message *message =
        *number == HISTORY_NONE ? NULL : message_at(&judge->messages, *number);
    if (message == NULL || message->deliveries == 0) {
        judge_problem(judge, event, HISTORY_NONE,
                      "its message had not been delivered to anybody by then");
        return NULL;
    }
    return message;
}

void rule_settle_invoked(struct judge *judge, enum queue_f f, uint32_t invocation)
{
    const struct item *item = judge_item(judge, invocation, ITEM_WHOLE);
    uint32_t number;
    struct message *message = settled(judge, invocation, item, &number);
    if (message == NULL || message->flags & MESSAGE_UNJUDGED || message->enqueue == HISTORY_NONE)
        return;
    check_fence(judge, number, message, item, invocation);
    if (history_outcome(judge->history, invocation) == OP_FAIL)
        return;
    if (f == QUEUE_ACK || item->dead) {
        if (message->ending == HISTORY_NONE)
            message->ending = invocation;
    } else if (judge->timed) {
        may_set(judge, message, f, item, invocation);
    }
}

/* The acknowledgements of two deliveries; the same one sent again is none, nor is a drain. */
static bool of_two_deliveries(const struct judge *judge, uint32_t first, uint32_t second)
{
    const struct history *history = judge->history;
    if (judge->functions[history->f[first]] != QUEUE_ACK)
        return false;
    struct item a = item_read(history->value[history->partner[first]]);
    struct item b = item_read(history->value[history->partner[second]]);
    if (!value_is_nil(a.delivery) && !value_is_nil(b.delivery))
        return !value_equal(a.delivery, b.delivery);
    return history->process[first] != history->process[second];
}

static void ack_completed(struct judge *judge, uint32_t number, struct message *message,
                          uint32_t completion)
{
    facts_acked(&judge->facts, judge->history->process[completion]);
    if (message->flags & MESSAGE_DEAD && message->hold != HISTORY_NONE)
        judge_found(judge, FOUND_TWO_ENDS, number, 0,
                    (uint32_t[]){message->enqueue, judge->messages.holds[message->hold].dead,
                                 judge->history->partner[completion], completion},
                    4);
    if (message->acked == HISTORY_NONE) {
        message->acked = completion;
        judge->tested[TESTED_ACKED]++;
    } else if (message->deliveries > 1 && of_two_deliveries(judge, message->acked, completion)) {
        judge_found(judge, FOUND_ACKED_TWICE, number, 0,
                    (uint32_t[]){message->enqueue, judge->history->partner[message->acked],
                                 message->acked, judge->history->partner[completion], completion},
                    5);
    }
}

void rule_settle_completed(struct judge *judge, enum queue_f f, uint32_t completion)
{
    uint32_t invocation = judge->history->partner[completion];
    const struct item *item = judge_item(judge, invocation, ITEM_WHOLE);
    uint32_t number =
        item->problem != NULL ? HISTORY_NONE : messages_find(&judge->messages, item->message);
    if (number == HISTORY_NONE)
        return;
    struct message *message = message_at(&judge->messages, number);
    if (message->deliveries == 0 || message->flags & MESSAGE_UNJUDGED ||
        message->enqueue == HISTORY_NONE)
        return;
    if (f == QUEUE_ACK) {
        ack_completed(judge, number, message, completion);
    } else if (item->dead) {
        if (message->acked != HISTORY_NONE)
            judge_found(judge, FOUND_TWO_ENDS, number, 0,
                        (uint32_t[]){message->enqueue, message->acked, invocation, completion}, 4);
        rule_dead(judge, message, completion);
    } else if (judge->timed) {
        has_set(judge, message, f, item, invocation, completion);
    }
}

/* ---- What nobody saw ---- */

int64_t rule_takers(const struct judge *judge, uint32_t queue, int64_t since_ns, uint32_t before)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < judge->queues.count; i++) {
        if (i != 0 && i != queue && queue != 0)
            continue;
        const struct queue *one = &judge->queues.items[i];
        for (uint32_t j = 0; j < one->taker_count; j++) {
            const struct taker *taker = &one->takers[j];
            if (taker->invoked >= before || taker->at_ns < since_ns)
                continue;
            if (taker->capacity < 0 && judge->lists)
                return CAPACITY_UNBOUNDED;
            sum = later(sum, taker->capacity < 0 ? 1 : taker->capacity);
        }
    }
    return sum;
}
