/* Why few transactions have no order, step by step, for people: what must come first because the
 * opposite closes a circle, what is supposed where both ways are open, and the circle at the end.
 *
 * It is an explanation: that there is no order was confirmed before (orders_try_all). */
#ifndef ORDEAL_TRANSACTIONS_ORDERS_PROOF_H
#define ORDEAL_TRANSACTIONS_ORDERS_PROOF_H

#include "checkers/transactions/orders.h"

enum proof_why {
    WHY_NOT,
    WHY_ITSELF,   /* a snapshot comes before its commit */
    WHY_READ,     /* `to` read the key as `from` left it */
    WHY_SESSION,  /* the same session did them in this order */
    WHY_REALTIME, /* `from` had ended before `to` began */
    WHY_INITIAL,  /* `from` read the initial value of the key, `to` wrote it */
    WHY_WRITES,   /* of their writes of the key, by the step */
    WHY_MISSED,   /* `from` read the key as `writer` left it, before `to`'s write, by the step */
};

#define PROOF_GIVEN TXN_NONE /* no step: known of the history */

struct proof_edge {
    enum proof_why why;
    uint32_t from, to;           /* transactions */
    bool from_commit, to_commit; /* with snapshots: which of the two moments */
    uint32_t key, writer;
    uint32_t step; /* by which the order of two writes is known; PROOF_GIVEN */
};

enum proof_kind {
    PROOF_FORCED,   /* a's write of the key is before b's: the opposite closes the circle */
    PROOF_SUPPOSE,  /* that a's is before b's; what follows, one level deeper, refutes it */
    PROOF_SO,       /* therefore b's is before a's */
    PROOF_CIRCLE,   /* the end: a circle */
    PROOF_GIVEN_UP, /* too deep to be told */
};

struct proof_step {
    enum proof_kind kind;
    uint32_t depth, key, a, b;
    const struct proof_edge *circle;
    uint32_t circle_length;
    bool needed;
};

struct proof {
    struct proof_step *steps;
    uint32_t count, capacity;
};

void proof_make(const struct orders *orders, struct arena *arena, struct proof *proof);

#endif
