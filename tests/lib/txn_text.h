/* Histories of transactions written as EDN in tests, and what the checker says of them. */
#ifndef ORDEAL_TESTS_TXN_TEXT_H
#define ORDEAL_TESTS_TXN_TEXT_H

#include "harness/checker.h"

struct txn_verdict {
    enum verdict verdict;
    char reason[8192];
    char types[512]; /* "anomaly-types", joined by blanks */
    struct json *details, *anomalies;
};

/* `transactions` has one a line: "0 [[:append 1 2] [:r 1 [1]]]" runs at once, one after the other,
 * by that process; "0 fail [...]" and "0 info [...]" end so. A line may also be one event: "0
 * invoke
 * [...]", "0 ok [...]"; "init {1 0}" makes keys, and "init info {1 0}". `set` is "name=value
 * name=value" for the options of the checker, or NULL.
 */
struct txn_verdict txn_check(const char *transactions, const char *set);
void txn_verdict_free(struct txn_verdict *verdict);

/* Makes the history alone, paired. */
void txn_history(const char *transactions, struct history *history);

#endif
