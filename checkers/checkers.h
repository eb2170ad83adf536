/* The list of checkers. A new one is its file, one line here, and its test. */
#ifndef ORDEAL_CHECKERS_H
#define ORDEAL_CHECKERS_H

#include "harness/checker.h"

#define CHECKERS(X)                                                                                \
    X(linearizable)                                                                                \
    X(delivery)                                                                                    \
    X(total_queue)                                                                                 \
    X(queue)                                                                                       \
    X(sequential)                                                                                  \
    X(set)                                                                                         \
    X(set_full)                                                                                    \
    X(counter)                                                                                     \
    X(echo)                                                                                        \
    X(unique_ids)                                                                                  \
    X(monotonic)                                                                                   \
    X(log_offsets)                                                                                 \
    X(bank)                                                                                        \
    X(long_fork)                                                                                   \
    X(causal_reverse)                                                                              \
    X(transactions)                                                                                \
    X(progress)                                                                                    \
    X(stats)                                                                                       \
    X(faults)                                                                                      \
    X(availability)                                                                                \
    X(crashes)                                                                                     \
    X(logs)                                                                                        \
    X(noop)

#define DECLARE_CHECKER(name) extern const struct checker checker_##name;
CHECKERS(DECLARE_CHECKER)
#undef DECLARE_CHECKER

#endif
