/* The checker `delivery` beside brute force: see delivery_compare.h. */
#include "tests/lib/delivery_compare.h"

#include <stdio.h>

#include "checkers/delivery/promises.h"
#include "harness/base/clock.h"

#define BIT(kind) (UINT32_C(1) << FOUND_##kind)

const struct compared compared[ORACLE_PROMISES] = {
    [ORACLE_NO_LOSS] = {BIT(LOST), true},
    [ORACLE_NO_PHANTOM] = {BIT(PHANTOM), true},
    [ORACLE_AT_MOST_ONCE] = {BIT(TWICE), true},
    [ORACLE_AFTER_ACK] = {BIT(AFTER_ACK), true},
    [ORACLE_EXCLUSIVE] = {BIT(EARLY_OTHER) | BIT(SAME_DELIVERY), false},
    [ORACLE_DELAY] = {BIT(BEFORE_DELAY), true},
    [ORACLE_TTL] = {BIT(AFTER_TTL), true},
    [ORACLE_RETRY] = {BIT(EARLY_OTHER) | BIT(EARLY_SAME) | BIT(EARLY_NACK), false},
    [ORACLE_COUNT] = {BIT(COUNT_LOW) | BIT(COUNT_HIGH), false},
    [ORACLE_ORDER] = {BIT(OVERTAKEN), true},
    [ORACLE_STUCK] = {BIT(STUCK) | BIT(VANISHED), false},
    [ORACLE_DEAD_LETTER] = {BIT(TWO_ENDS), false},
    [ORACLE_FENCING] = {BIT(STALE_ACCEPTED), false},
    [ORACLE_UNIQUE_KEY] = {BIT(KEY_TWICE), false},
    [ORACLE_EXACTLY_ONCE] = {BIT(ACKED_TWICE), true},
};

uint32_t compare_judge(const struct oracle_case *one, const struct history *history,
                       uint64_t *problems)
{
    static struct judge judge;
    struct settings settings = {.settle_ns = one->settle == ORACLE_NONE ? INT64_MAX
                                                                        : one->settle * NS_PER_MS,
                                .stuck_ns = one->stuck * NS_PER_MS,
                                .retry_ns = DURATION_NONE};
    uint32_t kinds = 0;
    judge_init(&judge, history, &settings);
    judge.healed_ns = INT64_MIN;
    judge_fold(&judge);
    judge_end(&judge);
    for (int kind = 0; kind < FINDING_KINDS; kind++)
        kinds |= judge.findings.counts[kind] > 0 ? UINT32_C(1) << kind : 0;
    *problems = judge.problem_count;
    judge_free(&judge);
    return kinds;
}

bool compare_agrees(const struct oracle_case *one, enum oracle_promise promise, bool ours,
                    bool theirs)
{
    bool exact = compared[promise].exact && one->settle == ORACLE_NONE;
    return ours ? theirs : !(theirs && exact);
}

void compare_print(const struct oracle_case *one, const struct history *history)
{
    struct buf out = BUF_INIT;
    buf_printf(&out, "settle %d, stuck %d\n", one->settle, one->stuck);
    for (uint32_t i = 0; i < history->count; i++) {
        history_print_op(history, i, &out);
        buf_add_char(&out, '\n');
    }
    fputs(buf_text(&out), stdout);
    fflush(stdout);
    buf_free(&out);
}
