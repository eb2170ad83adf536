/* The checker `delivery` beside brute force: what it finds in a small history, and whether the two
 * may answer so. */
#ifndef ORDEAL_TESTS_DELIVERY_COMPARE_H
#define ORDEAL_TESTS_DELIVERY_COMPARE_H

#include "tests/lib/delivery_oracle.h"

struct compared {
    uint32_t kinds; /* the findings that break the promise, as bits */
    bool exact;     /* without a time to settle the checker misses nothing */
};
extern const struct compared compared[ORACLE_PROMISES];

/* The kinds of findings in the history of a case, as bits; *problems counts what does not follow
 * the vocabulary. */
uint32_t compare_judge(const struct oracle_case *one, const struct history *history,
                       uint64_t *problems);
/* Whether the checker is right to call the promise broken (`ours`), or not to: it never convicts
 * what brute force can explain; and where its rules are exact, it convicts all else. */
bool compare_agrees(const struct oracle_case *one, enum oracle_promise promise, bool ours,
                    bool theirs);
void compare_print(const struct oracle_case *one, const struct history *history);

#endif
