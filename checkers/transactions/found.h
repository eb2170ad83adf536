/* The anomalies found: all are counted, a few of each kind are kept with their words. */
#ifndef ORDEAL_TRANSACTIONS_FOUND_H
#define ORDEAL_TRANSACTIONS_FOUND_H

#include "checkers/transactions/levels.h"
#include "checkers/transactions/txns.h"

enum { FOUND_KEPT_MAX = 8, FOUND_TXNS_MAX = 64 };

struct finding {
    enum anomaly anomaly;
    char *title, *text;  /* malloc'd */
    struct json *fields; /* added to the anomaly's object */
    char *dot;           /* a cycle as a Graphviz graph, or NULL */
    uint32_t *txns;      /* malloc'd: those that show it, in the order of the text */
    uint32_t txn_count;
};

struct found {
    const struct txns *txns;
    bool draw; /* cycles are wanted as graphs, too */
    uint64_t counts[ANOMALY_COUNT];
    uint32_t unshown; /* cycles whose edges could not be shown: they convict nobody */
    struct finding *list;
    uint32_t count, capacity;
};

void found_init(struct found *found, const struct txns *txns);
void found_free(struct found *found);
/* Counts one; true when it is to be told in words with found_tell. */
bool found_count(struct found *found, enum anomaly anomaly);
/* Keeps it; takes the buffer's text. The returned finding is good until the next one. */
struct finding *found_tell(struct found *found, enum anomaly anomaly, const char *title,
                           struct buf *text, const uint32_t *txns, uint32_t txn_count);
anomaly_set found_set(const struct found *found);
/* Moves all that `from` has behind what `found` has, as if it had been found there. */
void found_merge(struct found *found, struct found *from);

/* "T1 = {...}" with the whole operation, for the texts; longer ones are cut. */
void found_print_txn(const struct txns *txns, uint32_t t, struct buf *out);
void found_print_mop(const struct txns *txns, const struct mop *mop, struct buf *out);

#endif
