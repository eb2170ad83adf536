/* The list of sequential models. A new one is its file, one line here, and its test. */
#ifndef ORDEAL_MODELS_H
#define ORDEAL_MODELS_H

#include "harness/model.h"

#define MODELS(X)                                                                                  \
    X(register)                                                                                    \
    X(cas_register)                                                                                \
    X(multi_register)                                                                              \
    X(mutex)                                                                                       \
    X(owner_aware_mutex)                                                                           \
    X(reentrant_mutex)                                                                             \
    X(fenced_mutex)                                                                                \
    X(fences)                                                                                      \
    X(semaphore)                                                                                   \
    X(fifo_queue)                                                                                  \
    X(unordered_queue)                                                                             \
    X(priority_queue)                                                                              \
    X(stack)                                                                                       \
    X(set)                                                                                         \
    X(multiset)                                                                                    \
    X(counter)                                                                                     \
    X(log)                                                                                         \
    X(kv)                                                                                          \
    X(kv_txn)                                                                                      \
    X(noop)

#define DECLARE_MODEL(name) extern const struct model model_##name;
MODELS(DECLARE_MODEL)
#undef DECLARE_MODEL

#endif
