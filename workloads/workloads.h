/* The list of workloads. A new one is its file, one line here, and its test. */
#ifndef ORDEAL_WORKLOADS_H
#define ORDEAL_WORKLOADS_H

#include "harness/workload.h"

#define WORKLOADS(X)                                                                               \
    X(noop)                                                                                        \
    X(echo)                                                                                        \
    X(register)                                                                                    \
    X(queue)                                                                                       \
    X(queue_keys)                                                                                  \
    X(list_append)                                                                                 \
    X(rw_register)                                                                                 \
    X(multi_register)                                                                              \
    X(lost_update)                                                                                 \
    X(write_skew)                                                                                  \
    X(long_fork)                                                                                   \
    X(bank)                                                                                        \
    X(set)                                                                                         \
    X(counter)                                                                                     \
    X(unique_ids)                                                                                  \
    X(log)                                                                                         \
    X(monotonic)                                                                                   \
    X(lock)

#define DECLARE(name) extern const struct workload workload_##name;
WORKLOADS(DECLARE)
#undef DECLARE

#endif
