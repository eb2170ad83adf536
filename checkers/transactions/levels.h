/* Anomalies and isolation levels: what implies what, and what rules what out.
 *
 * The lattice is the one that Elle uses, so that results can be compared, with its names. */
#ifndef ORDEAL_TRANSACTIONS_LEVELS_H
#define ORDEAL_TRANSACTIONS_LEVELS_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/base/err.h"

/* Each kind of cycle has three forms, in this order: of data alone, with the order of processes,
 * with real time. */
#define ANOMALIES(X)                                                                               \
    X(G0, "G0")                                                                                    \
    X(G0_PROCESS, "G0-process")                                                                    \
    X(G0_REALTIME, "G0-realtime")                                                                  \
    X(G1C, "G1c")                                                                                  \
    X(G1C_PROCESS, "G1c-process")                                                                  \
    X(G1C_REALTIME, "G1c-realtime")                                                                \
    X(G_SINGLE_ITEM, "G-single-item")                                                              \
    X(G_SINGLE_ITEM_PROCESS, "G-single-item-process")                                              \
    X(G_SINGLE_ITEM_REALTIME, "G-single-item-realtime")                                            \
    X(G_SINGLE, "G-single")                                                                        \
    X(G_SINGLE_PROCESS, "G-single-process")                                                        \
    X(G_SINGLE_REALTIME, "G-single-realtime")                                                      \
    X(G_NONADJACENT_ITEM, "G-nonadjacent-item")                                                    \
    X(G_NONADJACENT_ITEM_PROCESS, "G-nonadjacent-item-process")                                    \
    X(G_NONADJACENT_ITEM_REALTIME, "G-nonadjacent-item-realtime")                                  \
    X(G_NONADJACENT, "G-nonadjacent")                                                              \
    X(G_NONADJACENT_PROCESS, "G-nonadjacent-process")                                              \
    X(G_NONADJACENT_REALTIME, "G-nonadjacent-realtime")                                            \
    X(G2_ITEM, "G2-item")                                                                          \
    X(G2_ITEM_PROCESS, "G2-item-process")                                                          \
    X(G2_ITEM_REALTIME, "G2-item-realtime")                                                        \
    X(G2, "G2")                                                                                    \
    X(G2_PROCESS, "G2-process")                                                                    \
    X(G2_REALTIME, "G2-realtime")                                                                  \
    X(G1, "G1")                                                                                    \
    X(G1_PROCESS, "G1-process")                                                                    \
    X(G1_REALTIME, "G1-realtime")                                                                  \
    X(G1A, "G1a")                                                                                  \
    X(G1B, "G1b")                                                                                  \
    X(GSIA, "GSIa")                                                                                \
    X(GSIB, "GSIb")                                                                                \
    X(GSI, "GSI")                                                                                  \
    X(INTERNAL, "internal")                                                                        \
    X(FUTURE_READ, "future-read")                                                                  \
    X(INCOMPATIBLE_ORDER, "incompatible-order")                                                    \
    X(DIRTY_UPDATE, "dirty-update")                                                                \
    X(LOST_UPDATE, "lost-update")                                                                  \
    X(WRITE_SKEW, "write-skew")                                                                    \
    X(DUPLICATE_ELEMENTS, "duplicate-elements")                                                    \
    X(CYCLIC_VERSIONS, "cyclic-versions")                                                          \
    X(GARBAGE_READ, "garbage-read")                                                                \
    X(PREDICATE_READ_MISS, "predicate-read-miss")                                                  \
    X(READ_COMMITTED_CYCLE, "read-committed-cycle")                                                \
    X(FRACTURED_READ, "fractured-read")                                                            \
    X(CAUSALITY_CYCLE, "causality-cycle")                                                          \
    X(NO_SERIAL_ORDER, "no-serial-order")                                                          \
    X(NO_SERIAL_ORDER_PROCESS, "no-serial-order-process")                                          \
    X(NO_SERIAL_ORDER_REALTIME, "no-serial-order-realtime")                                        \
    X(NO_SNAPSHOT_ORDER, "no-snapshot-order")                                                      \
    X(NO_SNAPSHOT_ORDER_PROCESS, "no-snapshot-order-process")                                      \
    X(NO_SNAPSHOT_ORDER_REALTIME, "no-snapshot-order-realtime")

#define ENUM_ANOMALY(name, text) ANOMALY_##name,
enum anomaly { ANOMALIES(ENUM_ANOMALY) ANOMALY_COUNT };
#undef ENUM_ANOMALY

/* Sets of anomalies, and of levels: bit i is the i-th. */
typedef uint64_t anomaly_set;
typedef uint64_t level_set;
#define ANOMALY_BIT(name) (UINT64_C(1) << ANOMALY_##name)

const char *anomaly_name(enum anomaly anomaly);
/* By Elle's name ("G1a"); -1 when there is none. */
int anomaly_find(const char *name);
/* All that is also true where these are, themselves included; and all where these would be. */
anomaly_set anomaly_implied(anomaly_set of);
anomaly_set anomaly_implying(anomaly_set of);

/* "strict-serializable", or one of its other names; -1 when there is none. */
int level_find(const char *name);
/* Why a level cannot be promised, and what can be instead: "... is not decided ..."; NULL when it
 * can. Some of these are ruled out by what is found, none is ever found to hold. */
const char *level_undecided(const char *name);
const char *level_name(int level);
int level_count(void);
/* What these levels, and the weaker ones that they include, rule out. */
anomaly_set levels_prohibit(level_set levels);
/* Levels that cannot hold where these anomalies are. */
level_set levels_impossible(anomaly_set anomalies);
/* Those of the set from which all others of it follow upwards: the weakest. */
level_set levels_weakest(level_set levels);

#endif
