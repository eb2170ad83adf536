/* The promises of queues: see promises.h. */
#include "checkers/delivery/promises.h"

#include <inttypes.h>

#define BIT(kind) (UINT32_C(1) << FOUND_##kind)
#define LOSS BIT(LOST)
#define LEAST (LOSS | BIT(VANISHED))

const struct promise promises[] = {
    {.name = "no-loss",
     .broken_by = LOSS,
     .tested = TESTED_ACCEPTED,
     .nothing = "no enqueue was acknowledged",
     .needs_end = true},
    {.name = "no-phantom",
     .broken_by = BIT(PHANTOM) | BIT(WRONG_QUEUE) | BIT(WRONG_BODY),
     .tested = TESTED_DELIVERED,
     .nothing = "nothing was delivered"},
    {.name = "at-most-once",
     .broken_by = BIT(TWICE),
     .tested = TESTED_ONCE,
     .nothing = "no message was delivered that is to come once at the most"},
    {.name = "at-least-once",
     .broken_by = LEAST,
     .tested = TESTED_ACCEPTED,
     .nothing = "no enqueue was acknowledged",
     .needs_end = true},
    {.name = "exactly-once",
     .broken_by = LEAST | BIT(ACKED_TWICE),
     .tested = TESTED_ACCEPTED,
     .nothing = "no enqueue was acknowledged",
     .needs_end = true},
    {.name = "no-redelivery-after-ack",
     .broken_by = BIT(AFTER_ACK),
     .tested = TESTED_ACKED,
     .nothing = "nothing was acknowledged by a consumer"},
    {.name = "exclusive-lease",
     .broken_by = BIT(EARLY_OTHER) | BIT(SAME_DELIVERY),
     .tested = TESTED_LEASED,
     .nothing = "no message was delivered under a lease that is known"},
    {.name = "delay",
     .broken_by = BIT(BEFORE_DELAY),
     .tested = TESTED_DELAYED,
     .nothing = "no message with a delay was delivered",
     .needs_times = true},
    {.name = "ttl",
     .broken_by = BIT(AFTER_TTL) | BIT(EXPIRED_EARLY),
     .tested = TESTED_TTL,
     .nothing = "no message with a time to live was delivered",
     .needs_times = true},
    {.name = "retry",
     .broken_by = BIT(EARLY_OTHER) | BIT(EARLY_SAME) | BIT(EARLY_NACK),
     .tested = TESTED_LEASED,
     .nothing = "no message was delivered under a lease that is known",
     .needs_times = true},
    {.name = "redelivery-count",
     .broken_by = BIT(COUNT_LOW) | BIT(COUNT_HIGH),
     .tested = TESTED_COUNTED,
     .nothing = "the broker reported no counts"},
    {.name = "order",
     .broken_by = BIT(OVERTAKEN),
     .tested = TESTED_ORDERED,
     .nothing = "no two messages of one producer, key and priority were delivered one after the "
                "other"},
    {.name = "no-stuck",
     .broken_by = BIT(STUCK) | BIT(VANISHED),
     .tested = TESTED_ACCEPTED,
     .nothing = "no enqueue was acknowledged",
     .needs_progress = true},
    {.name = "dead-letter",
     .broken_by = BIT(TWO_ENDS),
     .tested = TESTED_ENDED,
     .nothing = "no message was moved to the dead letters"},
    {.name = "fencing",
     .broken_by = BIT(STALE_ACCEPTED),
     .tested = TESTED_FENCED,
     .nothing = "nobody acknowledged, returned or extended a superseded delivery"},
    {.name = "unique-key",
     .broken_by = BIT(KEY_TWICE),
     .tested = TESTED_KEYED,
     .nothing = "no key was used twice"},
    {.name = NULL},
};

uint64_t promise_violations(const struct judge *judge, const struct promise *promise)
{
    uint64_t sum = 0;
    for (int kind = 0; kind < FINDING_KINDS; kind++)
        if (promise->broken_by >> kind & 1)
            sum += judge->findings.counts[kind];
    return sum;
}

static void name_first(const struct judge *judge, const struct finding *first, uint64_t count,
                       struct buf *out)
{
    buf_printf(out, count == 1 ? "message " : "%" PRIu64 " messages, such as ", count);
    value_print(message_at(&judge->messages, first->message)->name, out);
}

/* Whether some message is missing of which nobody can tell; says why. */
static bool is_missing_unknown(const struct judge *judge, struct buf *reason)
{
    if (judge->excused > 0) {
        name_first(judge, &judge->excused_example, judge->excused, reason);
        buf_add_text(reason, ", never came, but may have been taken by dequeues or drains whose "
                             "outcome is unknown");
        return true;
    }
    if (judge->undrained > 0) {
        name_first(judge, &judge->undrained_example, judge->undrained, reason);
        buf_add_text(reason, ", never came, and no complete drain at the end tells whether they "
                             "are still there");
        return true;
    }
    return false;
}

static bool is_progress_unknown(const struct judge *judge, struct buf *reason)
{
    if (judge->unseen > 0) {
        name_first(judge, &judge->unseen_example, judge->unseen, reason);
        buf_add_text(reason, ", did not come in time, but may have been held by dequeues or "
                             "drains whose outcome is unknown");
        return true;
    }
    if (judge->unfinished > 0) {
        name_first(judge, &judge->unfinished_example, judge->unfinished, reason);
        buf_add_text(reason, ", had not come to an end when the history did, and nobody was told "
                             "that the queue is empty long enough after it should have come");
        return true;
    }
    if (judge->excused > 0)
        return is_missing_unknown(judge, reason);
    return false;
}

static const char *const tested_words[] = {
    [TESTED_ACCEPTED] = "messages accepted",
    [TESTED_DELIVERED] = "deliveries",
    [TESTED_ONCE] = "deliveries of messages that are to come once at the most",
    [TESTED_ACKED] = "messages acknowledged by consumers",
    [TESTED_LEASED] = "deliveries under a lease",
    [TESTED_REDELIVERED] = "redeliveries",
    [TESTED_DELAYED] = "deliveries of delayed messages",
    [TESTED_TTL] = "deliveries of messages with a time to live",
    [TESTED_COUNTED] = "counts reported",
    [TESTED_ORDERED] = "deliveries compared with earlier ones of their producer",
    [TESTED_ENDED] = "messages moved to the dead letters",
    [TESTED_FENCED] = "uses of superseded deliveries",
    [TESTED_KEYED] = "keys used again",
};

enum verdict promise_judge(const struct judge *judge, const struct promise *promise,
                           struct buf *reason, bool *tested)
{
    uint64_t count =
        promise->tested == TESTED_ACCEPTED ? judge->accepted : judge->tested[promise->tested];
    uint64_t violations = promise_violations(judge, promise);
    *tested = count > 0 || violations > 0;
    if (violations > 0) {
        if (violations == 1)
            buf_add_text(reason, "broken once");
        else
            buf_printf(reason, "broken %" PRIu64 " times", violations);
        return VERDICT_INVALID;
    }
    if (!*tested) {
        buf_printf(reason, "%s, so nothing was tested of it", promise->nothing);
        return VERDICT_UNKNOWN;
    }
    if (promise->needs_times && !judge->timed) {
        buf_add_text(reason, "events of the history have no times");
        return VERDICT_UNKNOWN;
    }
    if ((promise->needs_end && is_missing_unknown(judge, reason)) ||
        (promise->needs_progress && is_progress_unknown(judge, reason)))
        return VERDICT_UNKNOWN;
    buf_printf(reason, "%" PRIu64 " %s", count, tested_words[promise->tested]);
    return VERDICT_VALID;
}
