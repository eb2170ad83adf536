/* The pass over the events of a history: see judge.h. What an operation did is known from its
 * completion, which is looked up when it is invoked: whatever may have had an effect is taken into
 * account from its invocation on. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/delivery/rules.h"

void judge_init(struct judge *judge, const struct history *history, const struct settings *settings)
{
    memset(judge, 0, sizeof *judge);
    judge->history = history;
    judge->settings = *settings;
    judge->functions = calloc(history->f_count + 1, 1);
    assert(judge->functions != NULL);
    for (uint32_t f = 0; f < history->f_count; f++) {
        judge->functions[f] = (uint8_t)queue_f_of(history->f_names[f]);
        judge->acks |= judge->functions[f] == QUEUE_ACK;
    }
    uint32_t sent = 0;
    judge->timed = true;
    for (uint32_t i = 0; i < history->count; i++) {
        sent += history->type[i] == OP_INVOKE && judge->functions[history->f[i]] == QUEUE_ENQUEUE;
        judge->timed &= history->time_ns[i] >= 0 && history->time_ns[i] < INT64_MAX / 4;
    }
    messages_init(&judge->messages, sent);
    queues_init(&judge->queues);
}

void judge_free(struct judge *judge)
{
    free(judge->functions);
    free(judge->overtaken);
    messages_free(&judge->messages);
    queues_free(&judge->queues);
    facts_free(&judge->facts);
}

void judge_problem(struct judge *judge, uint32_t event, uint32_t other, const char *what)
{
    if (judge->problem_count < PROBLEMS_MAX)
        judge->problems[judge->problem_count] = (struct problem){event, other, what};
    judge->problem_count++;
}

void judge_found(struct judge *judge, enum finding_kind kind, uint32_t message, int64_t by_ns,
                 const uint32_t *events, size_t count)
{
    struct finding finding = {
        .kind = kind, .message = message, .by_ns = by_ns, .other = HISTORY_NONE};
    size_t kept = 0;
    for (size_t i = 0; i < count && kept < FINDING_EVENTS; i++)
        if (events[i] != HISTORY_NONE)
            finding.events[kept++] = events[i];
    while (kept < FINDING_EVENTS)
        finding.events[kept++] = HISTORY_NONE;
    finding_add(&judge->findings, &finding);
}

const struct item *judge_item(struct judge *judge, uint32_t event, uint32_t index)
{
    struct kept_item *kept = &judge->kept[(event ^ index * 7) % ITEMS_KEPT];
    if (kept->event != event + 1 || kept->index != index) {
        kept->event = event + 1;
        kept->index = index;
        struct value value = judge->history->value[event];
        item_fill(&kept->item,
                  index == ITEM_WHOLE ? value : items_at(value, judge->vectors, index));
    }
    return &kept->item;
}

/* ---- Sending ---- */

static void take_terms(struct judge *judge, struct message *message, const struct item *item,
                       uint32_t event)
{
    struct terms terms = {item->delay_ns, item->ttl_ns, item->retry_ns};
    struct value producer = item->producer;
    if (value_is_nil(producer))
        producer = value_int(NULL, judge->history->process[event]);
    message->terms = messages_terms(&judge->messages, terms);
    message->stream = messages_stream(&judge->messages, queues_get(&judge->queues, item->queue),
                                      producer, item->key, item->priority);
}

/* A broker that knows the key answers with the earlier message: this one is not kept. */
static bool is_duplicate(const struct judge *judge, uint32_t event, const struct item *item)
{
    uint32_t completion = judge->history->partner[event];
    if (value_is_nil(item->key) || completion == HISTORY_NONE)
        return false;
    struct value value = judge->history->value[completion];
    return value_kind(value) == VALUE_MAP && item_read(value).duplicate;
}

static void enqueue_invoked(struct judge *judge, uint32_t event)
{
    struct item item;
    enum op_type outcome = history_outcome(judge->history, event);
    item_fill(&item, judge->history->value[event]);
    if (item.problem != NULL) {
        judge_problem(judge, event, HISTORY_NONE, item.problem);
        return;
    }
    enum value_kind kind = value_kind(item.message);
    if (!judge->vectors && (kind == VALUE_VECTOR || kind == VALUE_LIST)) {
        judge->vectors = true;
        memset(judge->kept, 0, sizeof judge->kept); /* they were read as lists */
    }
    judge->keys |= !value_is_nil(item.key);
    struct message *message =
        message_at(&judge->messages, messages_get(&judge->messages, item.message));
    if (message->enqueue != HISTORY_NONE && !(message->flags & MESSAGE_REFUSED)) {
        if (outcome != OP_FAIL && !(message->flags & MESSAGE_AMBIGUOUS)) {
            judge_problem(judge, event, message->enqueue,
                          "its message was sent before, so their deliveries cannot be told apart");
            message->flags |= MESSAGE_AMBIGUOUS;
        }
        return;
    }
    message->enqueue = event;
    message->flags &= (uint16_t)~MESSAGE_REFUSED;
    take_terms(judge, message, &item, event);
    if (outcome == OP_FAIL)
        message->flags |= MESSAGE_REFUSED;
    else if (outcome == OP_OK)
        message->flags |= is_duplicate(judge, event, &item) ? MESSAGE_DUPLICATE : MESSAGE_ACCEPTED;
}

static void enqueue_completed(struct judge *judge, uint32_t event)
{
    uint32_t invocation = judge->history->partner[event];
    if (!judge->keys)
        return;
    struct item item = item_read(judge->history->value[invocation]);
    if (item.problem == NULL && !value_is_nil(item.key))
        rule_key(judge, &item, invocation, event);
}

/* ---- Taking ---- */

static uint32_t queue_named_by(struct judge *judge, uint32_t event)
{
    return queues_get(&judge->queues, value_get(judge->history->value[event], "queue"));
}

/* An operation that brings messages: from its invocation on it may have. */
static void bringing_invoked(struct judge *judge, uint32_t event, bool drain)
{
    uint32_t completion = judge->history->partner[event];
    size_t count = items_count(judge->history->value[completion], judge->vectors);
    for (uint32_t i = 0; i < count; i++) {
        const struct item *item = judge_item(judge, completion, i);
        if (item->problem == NULL && !rule_from_dead_letters(judge, item))
            rule_asked(judge, messages_get(&judge->messages, item->message), event,
                       drain || (item->plain && !judge->acks));
    }
}

static void dequeue_invoked(struct judge *judge, uint32_t event)
{
    enum op_type outcome = history_outcome(judge->history, event);
    if (outcome == OP_OK) {
        bringing_invoked(judge, event, false);
    } else if (outcome == OP_INFO) {
        struct taker taker = {.invoked = event,
                              .at_ns = judge_time(judge, event),
                              .capacity = item_number(judge->history->value[event], "count")};
        queue_taken(&judge->queues.items[queue_named_by(judge, event)], taker);
    }
}

static void drain_invoked(struct judge *judge, uint32_t event)
{
    enum op_type outcome = history_outcome(judge->history, event);
    struct queue *queue = &judge->queues.items[queue_named_by(judge, event)];
    struct drainer drainer = {judge->history->process[event], event, HISTORY_NONE};
    if (outcome == OP_OK)
        drainer.completed = judge->history->partner[event];
    queue_drained(queue, drainer);
    if (outcome == OP_INFO)
        queue->unsure_drain = event;
    if (outcome == OP_OK)
        bringing_invoked(judge, event, true);
}

static void brought(struct judge *judge, uint32_t event, bool drain)
{
    uint32_t invocation = judge->history->partner[event];
    struct value value = judge->history->value[event];
    size_t count = items_count(value, judge->vectors);
    judge->lists |=
        !drain && count > 1 && item_number(judge->history->value[invocation], "count") < 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct item *item = judge_item(judge, event, i);
        if (item->problem != NULL)
            judge_problem(judge, event, HISTORY_NONE, item->problem);
        else
            rule_delivered(judge, item, invocation, event, drain);
    }
}

static void dequeue_completed(struct judge *judge, uint32_t event)
{
    uint32_t invocation = judge->history->partner[event];
    if (judge->history->type[event] == OP_OK)
        brought(judge, event, false);
    if (!says_empty(judge->history, event, judge->vectors))
        return;
    struct queue *queue = &judge->queues.items[queue_named_by(judge, invocation)];
    if (queue->empty == HISTORY_NONE || queue->empty < invocation)
        queue->empty = invocation;
    judge->facts.empties++;
}

/* ---- Looking ---- */

static void peek_completed(struct judge *judge, uint32_t event)
{
    struct value value = judge->history->value[event];
    size_t count = items_count(value, judge->vectors);
    for (uint32_t i = 0; i < count; i++) {
        const struct item *item = judge_item(judge, event, i);
        if (item->problem != NULL)
            judge_problem(judge, event, HISTORY_NONE, item->problem);
        else
            rule_peeked(judge, item, event);
    }
}

static void length_completed(struct judge *judge, uint32_t event)
{
    struct value value = judge->history->value[event];
    uint32_t invocation = judge->history->partner[event];
    int64_t length = value_is_int(value) ? value_as_int(value) : item_number(value, "length");
    if (length < 0) {
        judge_problem(judge, event, HISTORY_NONE, "it is no length");
        return;
    }
    struct queue *queue = &judge->queues.items[queue_named_by(judge, invocation)];
    queue->length = length;
    queue->length_asked = invocation;
}

/* ---- The pass ---- */

static void count_outcome(struct judge *judge, enum queue_f f, uint32_t event)
{
    uint64_t *counts[] = {
        [QUEUE_ENQUEUE] = judge->facts.enqueues,
        [QUEUE_DEQUEUE] = judge->facts.dequeues,
        [QUEUE_DRAIN] = judge->facts.drains,
        [QUEUE_ACK] = judge->facts.acks,
        [QUEUE_NACK] = judge->facts.nacks,
        [QUEUE_EXTEND] = judge->facts.extends,
        [QUEUE_LENGTH] = NULL,
    };
    judge->queue_operations++;
    if (counts[f] == NULL)
        return;
    counts[f][OP_INVOKE]++;
    counts[f][history_outcome(judge->history, event)]++;
}

static void invoked(struct judge *judge, enum queue_f f, uint32_t event)
{
    count_outcome(judge, f, event);
    switch (f) {
    case QUEUE_ENQUEUE:
        enqueue_invoked(judge, event);
        break;
    case QUEUE_DEQUEUE:
        dequeue_invoked(judge, event);
        break;
    case QUEUE_DRAIN:
        drain_invoked(judge, event);
        break;
    case QUEUE_ACK:
    case QUEUE_NACK:
    case QUEUE_EXTEND:
        rule_settle_invoked(judge, f, event);
        break;
    default:
        break;
    }
}

static void completed(struct judge *judge, enum queue_f f, uint32_t event)
{
    if (f == QUEUE_DEQUEUE)
        dequeue_completed(judge, event);
    if (judge->history->type[event] != OP_OK)
        return;
    switch (f) {
    case QUEUE_ENQUEUE:
        enqueue_completed(judge, event);
        break;
    case QUEUE_DRAIN:
        brought(judge, event, true);
        break;
    case QUEUE_ACK:
    case QUEUE_NACK:
    case QUEUE_EXTEND:
        rule_settle_completed(judge, f, event);
        break;
    case QUEUE_PEEK:
        peek_completed(judge, event);
        break;
    case QUEUE_LENGTH:
        length_completed(judge, event);
        break;
    default:
        break;
    }
}

void judge_fold(struct judge *judge)
{
    const struct history *history = judge->history;
    uint32_t supplied = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        bool made_up = supplied < history->supplied_count && history->supplied[supplied] == i;
        supplied += made_up;
        enum queue_f f = (enum queue_f)judge->functions[history->f[i]];
        if (f == QUEUE_OTHER || !history_is_client(history, i))
            continue;
        if (history->type[i] == OP_INVOKE)
            invoked(judge, f, i);
        else if (history->partner[i] != HISTORY_NONE)
            completed(judge, f, i);
        if (made_up || (history->type[i] != OP_INVOKE && history->partner[i] == HISTORY_NONE))
            judge_problem(judge, i, HISTORY_NONE, "it completes what was never invoked");
    }
}
