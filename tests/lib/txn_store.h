/* A small multi-version store in this process, and clients that run transactions on it: histories
 * of any length, right by construction, or with one defect switched on. */
#ifndef ORDEAL_TESTS_TXN_STORE_H
#define ORDEAL_TESTS_TXN_STORE_H

#include "harness/history.h"

enum store_defect {
    STORE_RIGHT,          /* each transaction happens at one moment: strict serializable */
    STORE_NO_READ_LOCK,   /* reads a snapshot, locks only what it writes: snapshot isolation */
    STORE_LOST_UPDATE,    /* reads a snapshot, locks nothing */
    STORE_STALE_SNAPSHOT, /* those that only read do so in the past */
    STORE_CLOCK_SKEW,     /* each process reads as of its own clock, which may be behind */
    STORE_FRACTURED_READ, /* each read sees what is newest by then */
    STORE_LONG_FORK,      /* two sites; what one commits reaches the other later */
    STORE_DIRTY_READ,     /* reads see what is not committed yet */
    STORE_DIRTY_WRITE,    /* writes are in place at once, whoever else writes */
    STORE_ABORTED_STAYS,  /* what a transaction that failed wrote stays */
    STORE_OWN_HIDDEN,     /* a transaction does not see its own writes */
    STORE_DUPLICATE,      /* now and then a write is done twice */
    STORE_REORDERED,      /* a site now and then has two elements in the other order */
    STORE_LOST_COMMIT,    /* now and then what was acknowledged is gone */
    STORE_INTERMEDIATE,   /* of a key written twice the second write is there only later */
    STORE_MADE_UP,        /* now and then a read shows what nobody wrote */
    STORE_DEFECTS,
};

struct store_options {
    uint64_t seed;
    uint32_t txns, processes, keys, writes_per_key;
    uint32_t mops_min, mops_max;
    double unknown, failed; /* shares of transactions that end so */
    enum store_defect defect;
    bool registers; /* [:w k v] and reads of single values */
};

extern const char *const store_defect_names[STORE_DEFECTS];

/* Makes the history, unpaired. */
void store_run(const struct store_options *options, struct history *history);

#endif
