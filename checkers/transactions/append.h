/* What the files of the list-append inference share. */
#ifndef ORDEAL_TRANSACTIONS_APPEND_H
#define ORDEAL_TRANSACTIONS_APPEND_H

#include "checkers/transactions/infer.h"

/* One element of a key's version order. Version v is the list of the first v elements. */
struct version {
    uint32_t slot, txn;
};

struct append_key {
    struct value longest; /* the longest list that was read */
    uint32_t length;
    uint32_t base, count;          /* order[base] .. : its elements, each once */
    uint32_t longest_txn;          /* who read it */
    uint32_t failed;               /* position of the first element of a failed transaction */
    uint32_t unseen, unseen_count; /* transactions whose appends were never read, ascending */
    uint32_t node;                 /* the first of its auxiliary nodes */
    bool irregular;                /* it repeats elements, or holds some that nobody appended */
    bool incompatible;             /* another list that was read is no prefix of it */
};

struct append {
    struct txns *txns;
    struct append_key *keys;
    struct version *order;
    uint32_t *next, *previous; /* by place in `order`: the nearest committed one, from here on and
                                  up to here, as places; TXN_NONE. NULL when all are committed */
    uint32_t order_count;
    uint32_t *unseen;
    uint32_t aux_count;
};

/* The direct anomalies, each over all transactions: after the version orders are known. */
void append_find_reads(struct inference *inference); /* G1a, G1b, incompatible, garbage */
void append_find_dirty_updates(struct inference *inference);
void append_find_lost_updates(struct inference *inference);

/* The committed version at or after place `at` of the key, and at or before it; NULL. */
const struct version *append_next(const struct append *append, const struct append_key *key,
                                  uint32_t position);
const struct version *append_previous(const struct append *append, const struct append_key *key,
                                      uint32_t position);

bool append_why(const struct inference *inference, uint32_t from, uint32_t to, enum edge_type type,
                const char *from_name, const char *to_name, struct buf *out, struct json *fields);

#endif
