/* Is there an order of commits that explains every read? Serializability and snapshot isolation of
 * register histories, decided: where the order of writes is written nowhere, every possible one is
 * accounted for.
 *
 * The problem is that of Papadimitriou's polygraphs (1979), as Cobra (OSDI 2020) has it for
 * serializability, PolySI (VLDB 2023) and Viper (EuroSys 2023) for snapshot isolation: of two
 * writers of a key one comes first, and either way something follows for whoever read them. What
 * known order decides of these is settled by reachability, what is left by a SAT solver.
 *
 * Every answer is checked by code that shares nothing with the search: an order found is replayed
 * (orders_replay), a refutation is made small and then confirmed by trying every order of what is
 * left of it (orders_try_all). */
#ifndef ORDEAL_TRANSACTIONS_ORDERS_H
#define ORDEAL_TRANSACTIONS_ORDERS_H

#include "checkers/transactions/register.h"

/* What an order must keep beside what was read: nothing, what each process did first, real time. */
enum order_form { ORDER_DATA, ORDER_SESSION, ORDER_REALTIME };

#define ORDER_INITIAL TXN_NONE

/* What a transaction read of others: each key once, before it wrote the key itself. */
struct order_read {
    uint32_t key, from; /* from: who wrote it; ORDER_INITIAL */
};

/* The history as a search needs it: those that committed, numbered anew, in the order of their
 * invocations; then for each value that nobody wrote (register.h) one that did, free to be
 * anywhere.
 */
struct orders {
    enum order_form form;
    bool snapshots; /* snapshot isolation; else a serial order */
    uint32_t count, key_count;
    uint32_t *txn;  /* in the history; TXN_NONE: of a value that nobody wrote */
    uint32_t *keys; /* in the history */
    uint32_t *read_first;
    struct order_read *reads; /* of i: reads[read_first[i]] .. */
    uint32_t *write_first;
    uint32_t *writes;      /* keys, each once */
    uint32_t *previous;    /* the one before in its session; TXN_NONE */
    uint32_t *begin, *end; /* epochs of real time (txns.h) */
};

/* An order of commits, and of each (by its place in the order) how many commits it saw. */
struct order_found {
    uint32_t *commits, *seen;
};

enum order_answer { ORDER_YES, ORDER_NO, ORDER_OPEN };

struct order_budget {
    int64_t deadline_ns; /* monotonic; INT64_MAX: none */
    size_t memory_bytes; /* 0: no limit */
};

/* After register_infer, of a history without anomalies in single reads. */
struct orders *orders_make(const struct inference *inference, struct arena *arena);
/* The same of some alone: those with keep[i]; reads of what others wrote are left out, which only
 * makes it easier to order them. */
struct orders *orders_part(const struct orders *orders, const bool *keep, struct arena *arena);
/* Whether a comes before b whatever was read. */
bool orders_before(const struct orders *orders, uint32_t a, uint32_t b);
static inline bool orders_writes(const struct orders *orders, uint32_t i, uint32_t key)
{
    for (uint32_t w = orders->write_first[i]; w < orders->write_first[i + 1]; w++)
        if (orders->writes[w] == key)
            return true;
    return false;
}

/* Of each, lower is earlier: by real time or by place in the session. A guess. */
const uint64_t *orders_rank(const struct orders *orders, struct arena *arena);

/* Searches. `found` (of a YES) and `core` (of a NO: those that are enough for it) are in the arena.
 * `why_open` says what ended the search. */
enum order_answer orders_solve(const struct orders *orders, const struct order_budget *budget,
                               struct arena *arena, struct order_found *found, bool **core,
                               const char **why_open);
/* Tries to make a serial order by always taking the next that fits, earliest first: linear, and
 * good where a store answers in about the order of its commits, or where much is known of the order
 * of versions, as of linearizable keys. `known` may be NULL: the nodes of its graph are the
 * history's transactions, then others that only stand for edges. */
struct order_known {
    const struct graph *graph;
    unsigned types; /* EDGES(..) that count */
};
bool orders_guess(const struct orders *orders, const struct order_known *known, struct arena *arena,
                  struct order_found *found);

/* Whether the order is one: every read explained, no two writers of a key at a time, all kept that
 * must be. */
bool orders_replay(const struct orders *orders, const struct order_found *found);
/* By trying every order, of few transactions. ORDER_OPEN: too many states. */
enum order_answer orders_try_all(const struct orders *orders, uint32_t states_max);
/* Leaves out whatever a refutation does not need; the result is in the arena. */
struct orders *orders_shrink(const struct orders *orders, const struct order_budget *budget,
                             struct arena *arena);

/* Puts a refutation into words and adds it to what was found. */
void orders_tell(const struct inference *inference, const struct orders *orders,
                 enum anomaly anomaly);

/* What is known of orders: by the strongest form in which there is one, + 1; 0: none was found. */
struct order_result {
    uint32_t serial, snapshots;
    anomaly_set undecided; /* of those wanted */
    const char *why;       /* .. undecided */
};

#define ORDER_ANOMALIES                                                                            \
    (ANOMALY_BIT(NO_SERIAL_ORDER) | ANOMALY_BIT(NO_SERIAL_ORDER_PROCESS) |                         \
     ANOMALY_BIT(NO_SERIAL_ORDER_REALTIME) | ANOMALY_BIT(NO_SNAPSHOT_ORDER) |                      \
     ANOMALY_BIT(NO_SNAPSHOT_ORDER_PROCESS) | ANOMALY_BIT(NO_SNAPSHOT_ORDER_REALTIME))

/* Where one of these is, not every read is one of a committed version, and no order is asked for.
 */
#define ORDER_SPOILERS                                                                             \
    (ANOMALY_BIT(G1A) | ANOMALY_BIT(G1B) | ANOMALY_BIT(INTERNAL) | ANOMALY_BIT(FUTURE_READ) |      \
     ANOMALY_BIT(GARBAGE_READ))

/* Adds which of ORDER_ANOMALIES, those wanted, are there; where none is wanted an order is only
 * guessed at. The order that shows most goes to `certificate` (may be NULL). */
struct order_result orders_find(struct inference *inference, anomaly_set wanted,
                                const struct order_budget *budget, struct buf *certificate);
/* Whether the orders that were found show that none of these anomalies is there. */
bool orders_prove(const struct order_result *result, anomaly_set anomalies);

/* Certificates, as text (docs/transactions.md):
 *
 *     ordeal certificate 1: transactions
 *     initial nil
 *     events 12
 *     order snapshot session
 *     3 0
 *     9 1
 *
 * An order: each commit by the event that tells of the transaction, with snapshots then how many
 * commits it saw; "k7" is a value of the seventh key met that nobody wrote. Or "none", and the
 * transactions that alone have no order. */
void orders_certify(const struct inference *inference, const struct orders *orders,
                    const struct order_found *found, struct buf *out);
void orders_certify_none(const struct inference *inference, const struct orders *refuted,
                         struct buf *out);
void orders_prove_certificate(const struct check_input *input, const char *text,
                              struct check_result *result);

#endif
