/* Imaginary queues of some hundred operations: the right one is never convicted of anything, and
 * each defect is convicted on the promises that it breaks and on no others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/delivery/life.h"
#include "checkers/delivery/promises.h"
#include "harness/base/clock.h"
#include "tests/lib/delivery_broker.h"
#include "tests/lib/test.h"

static const struct {
    const char *must; /* broken in at least one of the histories */
    const char *may;  /* besides */
} expected[BROKER_DEFECTS] = {
    [BROKER_RIGHT] = {"", ""},
    [BROKER_LOSES] = {"no-loss at-least-once exactly-once", "ttl unique-key"},
    [BROKER_PHANTOMS] = {"no-phantom", ""},
    [BROKER_TWICE] = {"at-most-once", ""},
    [BROKER_AFTER_ACK] = {"no-redelivery-after-ack", "exactly-once dead-letter"},
    [BROKER_SHORT_LEASE] = {"retry exclusive-lease", ""},
    [BROKER_SHARED] = {"exclusive-lease", "retry redelivery-count at-least-once"},
    [BROKER_DELAY] = {"delay", ""},
    [BROKER_TTL] = {"ttl", ""},
    [BROKER_TTL_EARLY] = {"ttl no-loss at-least-once exactly-once", "unique-key no-stuck"},
    [BROKER_COUNT] = {"redelivery-count", ""},
    [BROKER_LAST_FIRST] = {"order", ""},
    [BROKER_STUCK] = {"no-stuck at-least-once exactly-once", "no-loss ttl"},
    [BROKER_DEAD_AGAIN] = {"dead-letter", ""},
    [BROKER_UNFENCED] = {"fencing", "exactly-once exclusive-lease retry"},
    [BROKER_KEYS] = {"unique-key", ""},
    [BROKER_NACK_NOW] = {"retry", ""},
};

static bool is_in(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at++)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

static void fail_on(struct judge *judge, int defect, uint64_t seed, const struct promise *promise)
{
    for (int kind = 0; kind < FINDING_KINDS; kind++)
        if (promise->broken_by >> kind & 1 && judge->findings.counts[kind] > 0) {
            struct buf text = BUF_INIT;
            uint32_t events[32];
            life_tell(judge, &judge->findings.examples[kind][0], &text, events, 32);
            fail_msg("defect %d, seed %llu: %s: %s", defect, (unsigned long long)seed,
                     promise->name, buf_text(&text));
        }
}

/* Judges one history; adds what it breaks to the bits of `broken`. */
static void judge_one(enum broker_defect defect, uint64_t seed, uint32_t *broken)
{
    static struct judge judge;
    struct history history;
    struct settings settings = {.settle_ns = BROKER_LATE_MS * NS_PER_MS,
                                .stuck_ns = BROKER_REACTION_MS * NS_PER_MS,
                                .retry_ns = DURATION_NONE};
    if (seed % 2 == 0)
        settings.settle_ns = INT64_MAX;
    broker_history(defect, seed, &history);
    judge_init(&judge, &history, &settings);
    judge.healed_ns = INT64_MIN;
    judge_fold(&judge);
    judge_end(&judge);
    assert_int_equal(judge.problem_count, 0);
    for (int i = 0; promises[i].name != NULL; i++) {
        if (promise_violations(&judge, &promises[i]) == 0)
            continue;
        *broken |= UINT32_C(1) << i;
        if (!is_in(expected[defect].must, promises[i].name) &&
            !is_in(expected[defect].may, promises[i].name))
            fail_on(&judge, (int)defect, seed, &promises[i]);
    }
    judge_free(&judge);
    history_free(&history);
}

static void right_brokers_are_never_convicted(void **state)
{
    (void)state;
    const char *wanted = getenv("DELIVERY_BROKER_RUNS");
    long runs = wanted == NULL ? 400 : strtol(wanted, NULL, 10);
    uint32_t broken = 0;
    for (long seed = 1; seed <= runs; seed++)
        judge_one(BROKER_RIGHT, (uint64_t)seed, &broken);
    assert_int_equal(broken, 0);
}

static void each_defect_is_convicted_on_what_it_breaks(void **state)
{
    (void)state;
    for (int defect = BROKER_RIGHT + 1; defect < BROKER_DEFECTS; defect++) {
        uint32_t broken = 0;
        for (uint64_t seed = 1; seed <= 12; seed++)
            judge_one((enum broker_defect)defect, seed, &broken);
        for (int i = 0; promises[i].name != NULL; i++)
            if (is_in(expected[defect].must, promises[i].name) && !(broken >> i & 1))
                fail_msg("defect %d: %s was not broken", defect, promises[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_brokers_are_never_convicted),
        cmocka_unit_test(each_defect_is_convicted_on_what_it_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
