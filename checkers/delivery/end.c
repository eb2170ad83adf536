/* What never came: see judge.h and docs/delivery.md.
 *
 * A message that should have been seen and was not may have been taken unseen, by a dequeue of
 * unknown outcome. Each of those took as many as it asked for at the most, and no message needs two
 * of them; so when more messages are missing than could have been taken in time, the rest is
 * certainly missing. The messages that may still be held in a lease unseen need a dequeue that was
 * invoked late enough (`since_ns`), and those sets are nested, so counting from the latest decides
 * whether all can be excused (Hall's condition). */
#include <stdlib.h>

#include "checkers/delivery/rules.h"

struct candidate {
    uint32_t message;
    uint32_t queue;
    enum finding_kind kind; /* LOST, VANISHED or STUCK */
    int64_t since_ns;       /* a dequeue invoked since then may have taken it */
    uint32_t before;        /* and before this event */
    uint32_t from, to;      /* what shows that it was not there */
    bool ttl;
};

struct ending {
    struct judge *judge;
    struct candidate *items;
    size_t count, capacity;
    uint32_t *waits; /* by queue: the last empty answer's invocation */
};

static int64_t minus(int64_t a_ns, int64_t b_ns)
{
    return a_ns == INT64_MIN || b_ns == INT64_MAX ? INT64_MIN : a_ns - b_ns;
}

static void add(struct ending *ending, struct candidate candidate)
{
    if (ending->count == ending->capacity) {
        ending->capacity = ending->capacity == 0 ? 256 : ending->capacity * 2;
        ending->items = realloc(ending->items, ending->capacity * sizeof *ending->items);
        if (ending->items == NULL)
            abort();
    }
    ending->items[ending->count++] = candidate;
}

/* ---- What is known of one message ---- */

static bool may_have_expired(const struct judge *judge, const struct message *message, uint32_t by)
{
    int64_t ttl_ns = judge_terms(judge, message)->ttl_ns;
    if (ttl_ns == DURATION_NONE)
        return false;
    return !judge->timed || later(judge_time(judge, message->enqueue), ttl_ns) <=
                                judge_time(judge, by) + judge->settings.slack_ns;
}

/* Since when a dequeue must have been invoked to hide the message at `event`: so late that its
 * lease was not over, or not for longer than a queue may take to notice. */
static int64_t hidden_since(const struct judge *judge, const struct message *message,
                            uint32_t event)
{
    int64_t retry_ns = judge_retry_ns(judge, message);
    if (!judge->timed || judge->settings.settle_ns == INT64_MAX)
        return INT64_MIN;
    bool taken_for_good = retry_ns <= 0 || (message->flags & MESSAGE_PLAIN);
    int64_t held_ns = taken_for_good
                          ? judge_time(judge, message->enqueue)
                          : minus(judge_time(judge, event), retry_ns + judge->settings.stuck_ns);
    return minus(held_ns, judge->settings.settle_ns + judge->settings.slack_ns);
}

/* When it must be ready for whoever asks, if it was not taken unseen; INT64_MAX: no telling. */
static int64_t ready_ns(const struct judge *judge, const struct message *message)
{
    if (message->deliveries > 0)
        return rule_lease(judge, message).ceiling_ns;
    int64_t accepted_ns = judge_time(judge, judge->history->partner[message->enqueue]);
    int64_t delay_ns = judge_terms(judge, message)->delay_ns;
    return delay_ns > 0 ? later(accepted_ns, delay_ns) : accepted_ns;
}

static struct finding example(const struct message *message, uint32_t number)
{
    return (struct finding){
        .message = number, .events = {message->enqueue, HISTORY_NONE}, .other = HISTORY_NONE};
}

static void count(uint64_t *counter, struct finding *first, const struct message *message,
                  uint32_t number)
{
    if ((*counter)++ == 0)
        *first = example(message, number);
}

/* Long after healing, and long after it was ready, at this event. */
static bool is_late(const struct judge *judge, int64_t ready, uint32_t event)
{
    if (!judge->timed || ready == INT64_MAX || judge->healed_ns == INT64_MAX)
        return false;
    int64_t since_ns = ready > judge->healed_ns ? ready : judge->healed_ns;
    return judge_time(judge, event) >=
           later(since_ns, judge->settings.stuck_ns + judge->settings.slack_ns);
}

/* ---- Sorting out ---- */

/* Never delivered. True when the drain at the end tells that it is gone. */
static bool is_gone(const struct judge *judge, const struct message *message,
                    const struct drained *drained)
{
    if (judge->history->partner[message->enqueue] >= drained->from)
        return false;
    if (message->flags & MESSAGE_PEEKED && message->from > drained->from)
        return false;
    if (judge_terms(judge, message)->delay_ns <= 0)
        return true;
    return judge->timed &&
           later(ready_ns(judge, message), judge->settings.stuck_ns) + judge->settings.slack_ns <=
               judge_time(judge, drained->from);
}

/* Never delivered, though it must have been there when somebody was told that nothing is. */
static bool is_overdue(const struct judge *judge, const struct message *message, uint32_t wait)
{
    return wait != HISTORY_NONE && is_late(judge, ready_ns(judge, message), wait) &&
           !may_have_expired(judge, message, judge->history->partner[wait]);
}

static void add_stuck(struct ending *ending, uint32_t number, const struct message *message,
                      uint32_t queue, uint32_t wait)
{
    uint32_t answered = ending->judge->history->partner[wait];
    add(ending, (struct candidate){.message = number,
                                   .queue = queue,
                                   .kind = FOUND_STUCK,
                                   .since_ns = hidden_since(ending->judge, message, wait),
                                   .before = answered,
                                   .from = wait,
                                   .to = answered});
}

static void undelivered(struct ending *ending, uint32_t number, const struct message *message,
                        uint32_t queue)
{
    struct judge *judge = ending->judge;
    struct drained drained;
    uint32_t wait = ending->waits[queue];
    bool drain = queue_last_drain(&judge->queues, queue, &drained);
    if (drain && is_gone(judge, message, &drained) &&
        !may_have_expired(judge, message, drained.to)) {
        add(ending, (struct candidate){.message = number,
                                       .queue = queue,
                                       .kind = FOUND_LOST,
                                       .since_ns = hidden_since(judge, message, drained.from),
                                       .before = drained.to,
                                       .from = drained.from,
                                       .to = drained.to,
                                       .ttl = judge_terms(judge, message)->ttl_ns >= 0});
        return;
    }
    bool expired = may_have_expired(judge, message, judge->history->count - 1);
    if (expired)
        judge->expired++;
    else
        count(&judge->undrained, &judge->undrained_example, message, number);
    if (is_overdue(judge, message, wait))
        add_stuck(ending, number, message, queue, wait);
    else if (!expired)
        count(&judge->unfinished, &judge->unfinished_example, message, number);
}

/* Delivered, and nothing can have ended it: it must come again. */
static void unacknowledged(struct ending *ending, uint32_t number, const struct message *message,
                           uint32_t queue)
{
    struct judge *judge = ending->judge;
    struct drained drained;
    uint32_t wait = ending->waits[queue];
    int64_t ready = ready_ns(judge, message);
    bool drain = queue_last_drain(&judge->queues, queue, &drained) && message->to < drained.from;
    if (judge_retry_ns(judge, message) == DURATION_NONE)
        ready = INT64_MAX; /* whether it has to come again at all was not said */
    if (may_have_expired(judge, message, judge->history->count - 1)) {
        judge->expired++;
    } else if (drain && is_late(judge, ready, drained.from)) {
        add(ending, (struct candidate){.message = number,
                                       .queue = queue,
                                       .kind = FOUND_VANISHED,
                                       .since_ns = hidden_since(judge, message, drained.from),
                                       .before = drained.to,
                                       .from = drained.from,
                                       .to = drained.to});
    } else if (wait != HISTORY_NONE && wait > message->to && is_late(judge, ready, wait)) {
        add_stuck(ending, number, message, queue, wait);
    } else {
        count(&judge->unfinished, &judge->unfinished_example, message, number);
    }
}

static void sort_out(struct ending *ending, uint32_t number)
{
    struct judge *judge = ending->judge;
    const struct message *message = message_at(&judge->messages, number);
    if (!(message->flags & MESSAGE_ACCEPTED) || message->flags & MESSAGE_UNJUDGED)
        return;
    judge->accepted++;
    uint32_t queue = judge->messages.streams[message->stream].queue;
    if (message->flags & MESSAGE_DEAD)
        return;
    if (message->deliveries == 0)
        undelivered(ending, number, message, queue);
    else if (message->ending == HISTORY_NONE && !(message->flags & MESSAGE_PLAIN) &&
             judge_retry_ns(judge, message) != 0)
        unacknowledged(ending, number, message, queue);
}

/* ---- Excuses ---- */

static int by_need(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->queue != b->queue)
        return (a->queue > b->queue) - (a->queue < b->queue);
    if (a->kind != b->kind)
        return (a->kind > b->kind) - (a->kind < b->kind);
    if (a->since_ns != b->since_ns)
        return (a->since_ns < b->since_ns) - (a->since_ns > b->since_ns);
    return (a->message > b->message) - (a->message < b->message);
}

static void report(struct judge *judge, const struct candidate *items, size_t count_of,
                   size_t certain)
{
    for (size_t i = 0; i < count_of; i++) {
        const struct candidate *item = &items[i];
        const struct message *message = message_at(&judge->messages, item->message);
        uint32_t sent = judge->history->partner[message->enqueue];
        if (i < certain)
            judge_found(judge, item->kind, item->message, 0,
                        (uint32_t[]){message->enqueue, sent, message->from, message->to, item->from,
                                     item->to},
                        6);
        else if (item->kind == FOUND_LOST && judge_retry_ns(judge, message) == 0)
            judge->spent++; /* at most once: to be lost with its only delivery is what it may */
        else if (item->kind == FOUND_LOST)
            count(&judge->excused, &judge->excused_example, message, item->message);
        else
            count(&judge->unseen, &judge->unseen_example, message, item->message);
    }
}

/* Messages of one queue that are missing in one way. What the broker says is still there, after
 * all was drained, is not lost. */
static void excuse(struct judge *judge, const struct candidate *items, size_t count_of)
{
    const struct queue *queue = &judge->queues.items[items[0].queue];
    int64_t left = 0;
    size_t certain = 0;
    if (items[0].kind == FOUND_LOST && queue->length > 0 && queue->length_asked > items[0].to)
        left = queue->length;
    bool unsure = queue_unsure_drain(&judge->queues, items[0].queue) != HISTORY_NONE;
    int64_t takers = 0;
    for (size_t i = 0; i < count_of && !unsure; i++) {
        if (i == 0 || items[i].since_ns != items[i - 1].since_ns ||
            items[i].before != items[i - 1].before)
            takers = rule_takers(judge, items[i].queue, items[i].since_ns, items[i].before);
        int64_t excess = (int64_t)i + 1 - later(takers, left);
        if (excess > (int64_t)certain)
            certain = (size_t)excess;
    }
    report(judge, items, count_of, certain);
}

static void excuse_all(struct ending *ending)
{
    if (ending->count > 0)
        qsort(ending->items, ending->count, sizeof *ending->items, by_need);
    for (size_t i = 0, next; i < ending->count; i = next) {
        for (next = i + 1; next < ending->count; next++)
            if (ending->items[next].queue != ending->items[i].queue ||
                ending->items[next].kind != ending->items[i].kind)
                break;
        excuse(ending->judge, &ending->items[i], next - i);
    }
}

/* When only messages with a time to live are missing, and none of them can have reached it, they
 * have ended before their time. */
static void blame_ttl(struct ending *ending)
{
    struct judge *judge = ending->judge;
    if (judge->findings.counts[FOUND_LOST] == 0)
        return;
    for (size_t i = 0; i < ending->count; i++)
        if (ending->items[i].kind == FOUND_LOST && !ending->items[i].ttl)
            return;
    uint64_t lost = judge->findings.counts[FOUND_LOST];
    for (uint64_t i = 0; i < lost; i++) {
        struct finding finding =
            judge->findings.examples[FOUND_LOST][i < FINDING_EXAMPLES ? i : FINDING_EXAMPLES - 1];
        finding.kind = FOUND_EXPIRED_EARLY;
        finding_add(&judge->findings, &finding);
    }
}

/* ---- Order ---- */

static int by_arrival(const void *left, const void *right)
{
    const struct overtaken *a = left, *b = right;
    return (a->arrived > b->arrived) - (a->arrived < b->arrived);
}

static uint32_t queue_of(const struct judge *judge, const struct overtaken *overtaken)
{
    const struct message *message = message_at(&judge->messages, overtaken->message);
    return judge->messages.streams[message->stream].queue;
}

/* A message that seems overtaken may have been delivered first unseen, by a dequeue that was
 * invoked before the other one's delivery was over. */
static void judge_order(struct judge *judge)
{
    uint64_t *seen = calloc(judge->queues.count, sizeof *seen);
    uint64_t *found = calloc(judge->queues.count, sizeof *found);
    if (seen == NULL || found == NULL)
        abort();
    if (judge->overtaken_count > 0)
        qsort(judge->overtaken, judge->overtaken_count, sizeof *judge->overtaken, by_arrival);
    for (uint32_t i = 0; i < judge->overtaken_count; i++) {
        const struct overtaken *one = &judge->overtaken[i];
        const struct message *other = message_at(&judge->messages, one->by);
        const struct message *message = message_at(&judge->messages, one->message);
        uint32_t queue = queue_of(judge, one);
        uint64_t takers = (uint64_t)rule_takers(judge, queue, INT64_MIN, one->arrived);
        if (++seen[queue] <= takers + found[queue] ||
            queue_unsure_drain(&judge->queues, queue) < one->arrived)
            continue;
        found[queue]++;
        judge_found(judge, FOUND_OVERTAKEN, one->message, 0,
                    (uint32_t[]){message->enqueue, judge->history->partner[message->enqueue],
                                 other->enqueue, one->arrived, one->from,
                                 judge->history->partner[one->from]},
                    6);
        size_t examples = finding_examples(&judge->findings, FOUND_OVERTAKEN);
        if (judge->findings.counts[FOUND_OVERTAKEN] == examples)
            judge->findings.examples[FOUND_OVERTAKEN][examples - 1].other = one->by;
    }
    free(seen);
    free(found);
}

/* ---- How long messages were there ---- */

/* When it may have ended or expired, at the earliest; INT64_MAX: not before the history's end. */
static int64_t finished_ns(const struct judge *judge, const struct message *message)
{
    const struct terms *terms = judge_terms(judge, message);
    int64_t finished = INT64_MAX;
    if (message->ending != HISTORY_NONE)
        finished = judge_time(judge, message->ending);
    else if (message->deliveries > 0 && judge_retry_ns(judge, message) == 0)
        finished = judge_time(judge, message->from);
    int64_t expired = terms->ttl_ns == DURATION_NONE
                          ? INT64_MAX
                          : later(judge_time(judge, message->enqueue), terms->ttl_ns);
    return expired < finished ? expired : finished;
}

static void measure_stay(struct judge *judge, const struct message *message)
{
    struct facts *facts = &judge->facts;
    if (!(message->flags & MESSAGE_ACCEPTED) || message->flags & MESSAGE_UNJUDGED)
        return;
    int64_t sent_ns = judge_time(judge, message->enqueue);
    int64_t delay_ns = judge_terms(judge, message)->delay_ns;
    int64_t ready = judge_time(judge, judge->history->partner[message->enqueue]);
    ready = delay_ns > 0 ? later(ready, delay_ns) : ready;
    if (message->acked != HISTORY_NONE)
        durations_add(&facts->finish, judge_time(judge, message->acked) - sent_ns);
    backlog_add(&facts->backlog, ready, finished_ns(judge, message));
}

static void measure_stays(struct judge *judge)
{
    const struct history *history = judge->history;
    if (!judge->timed || history->count == 0)
        return;
    backlog_begin(&judge->facts.backlog, history->time_ns[0], history->time_ns[history->count - 1]);
    for (uint32_t number = 0; number < judge->messages.count; number++)
        measure_stay(judge, message_at(&judge->messages, number));
}

void judge_end(struct judge *judge)
{
    struct ending ending = {.judge = judge};
    ending.waits = calloc(judge->queues.count, sizeof *ending.waits);
    if (ending.waits == NULL)
        abort();
    for (uint32_t queue = 0; queue < judge->queues.count; queue++) {
        uint32_t all = judge->queues.items[0].empty, own = judge->queues.items[queue].empty;
        ending.waits[queue] = own == HISTORY_NONE || (all != HISTORY_NONE && all > own) ? all : own;
    }
    for (uint32_t number = 0; number < judge->messages.count; number++)
        sort_out(&ending, number);
    excuse_all(&ending);
    blame_ttl(&ending);
    judge_order(judge);
    measure_stays(judge);
    free(ending.items);
    free(ending.waits);
}
