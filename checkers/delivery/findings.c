/* Findings: see findings.h. */
#include "checkers/delivery/findings.h"

void finding_add(struct findings *findings, const struct finding *finding)
{
    uint64_t count = findings->counts[finding->kind]++;
    if (count < FINDING_EXAMPLES)
        findings->examples[finding->kind][count] = *finding;
}

const char *finding_name(enum finding_kind kind)
{
    static const char *const names[] = {
        [FOUND_PHANTOM] = "phantom",
        [FOUND_WRONG_QUEUE] = "wrong-queue",
        [FOUND_WRONG_BODY] = "wrong-body",
        [FOUND_LOST] = "lost",
        [FOUND_TWICE] = "delivered-twice",
        [FOUND_AFTER_ACK] = "delivered-after-ack",
        [FOUND_ACKED_TWICE] = "acknowledged-twice",
        [FOUND_EARLY_OTHER] = "lease-overlap",
        [FOUND_EARLY_SAME] = "redelivered-early",
        [FOUND_EARLY_NACK] = "nack-delay-ignored",
        [FOUND_SAME_DELIVERY] = "delivery-handed-out-twice",
        [FOUND_BEFORE_DELAY] = "delivered-early",
        [FOUND_AFTER_TTL] = "delivered-after-expiry",
        [FOUND_EXPIRED_EARLY] = "expired-early",
        [FOUND_COUNT_LOW] = "count-too-low",
        [FOUND_COUNT_HIGH] = "count-too-high",
        [FOUND_OVERTAKEN] = "overtaken",
        [FOUND_STUCK] = "stuck",
        [FOUND_VANISHED] = "vanished",
        [FOUND_TWO_ENDS] = "two-ends",
        [FOUND_STALE_ACCEPTED] = "stale-accepted",
        [FOUND_KEY_TWICE] = "key-twice",
    };
    return names[kind];
}
