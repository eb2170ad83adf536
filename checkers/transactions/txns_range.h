/* A range of a history's events, decoded by itself: what txns.c gives to each of its threads.
 *
 * First each range is measured, so that it is known where in the columns its transactions and
 * micro-operations go; then each fills its part of them. Of keys a range knows only those that it
 * meets itself, in the order in which it does: txns.c gives them the numbers that they would have
 * had, had one range been all. */
#ifndef ORDEAL_TRANSACTIONS_TXNS_RANGE_H
#define ORDEAL_TRANSACTIONS_TXNS_RANGE_H

#include <pthread.h>

#include "checkers/transactions/txns.h"

struct txns_range {
    const struct history *history;
    uint32_t from, until; /* events */
    int f_txn;
    int f_init; /* of histories with predicates; -1 */
    /* measured */
    uint32_t txn_count;
    uint64_t mop_count;
    uint32_t ignored_count;
    /* The columns, those of all ranges, the numbers of its own first transaction and
     * micro-operation being `count` and `mop_count` at first; the counts and the keys are its own,
     * and in the arena. */
    struct txns txns;
    uint64_t read_bits; /* the last word met that means r: readers make it once, or once a block */
    /* integer keys in [0, direct_count) directly, others through a table */
    uint32_t *direct, direct_count, direct_max; /* as many as were needed so far; and ever */
    struct value_table others;
    uint32_t *others_key;
    uint32_t others_capacity;
    uint32_t key_capacity;
    uint32_t *number; /* what its keys are called in the whole; NULL: the same */
    /* what came of it */
    enum err_code code;
    struct err err;
    struct arena arena; /* of all ranges but the first */
    pthread_t thread;
    bool running;
};

/* Whether some transaction reads by predicate, inserts or deletes: else :init is nothing known. */
bool txns_have_predicates(const struct history *history);

/* Each may go on in several ranges at once; `code` and `err` tell what it came to. */
void txns_range_measure(struct txns_range *range); /* exact, unless filling fails */
void txns_range_fill(struct txns_range *range);
void txns_range_renumber(struct txns_range *range); /* its keys, to those of `number` */

/* The number of a key among those of the range, which knows it from then on. */
uint32_t txns_range_key(struct txns_range *range, struct value key);

#endif
