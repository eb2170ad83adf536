/* What the two files of the watching share: along.c takes events, along_lists.c knows the lists. */
#ifndef ORDEAL_TRANSACTIONS_ALONG_LISTS_H
#define ORDEAL_TRANSACTIONS_ALONG_LISTS_H

#include "checkers/transactions/along.h"
#include "checkers/transactions/online.h"
#include "harness/histories/value_table.h"

#define ALONG_NONE UINT32_MAX

enum along_state { ALONG_OPEN, ALONG_OK, ALONG_FAILED, ALONG_UNKNOWN };

struct along_txn {
    uint32_t node;    /* in the order; ALONG_NONE as long as nothing is known of it */
    uint32_t begin;   /* the node of its epoch */
    uint32_t invoked; /* event */
    enum along_state state;
};

/* What somebody appended to a key. */
struct along_element {
    struct value value;
    uint32_t key, txn;
    uint32_t position; /* in its list; ALONG_NONE: not read yet */
    uint32_t before;   /* the same transaction's append to the key before it, an element */
    bool overwritten;  /* there is one after it */
};

struct along_key {
    uint32_t *list;     /* elements, in the order in which they were read */
    uint32_t *updaters; /* by version, 0 to count: who first read it and then appended */
    uint32_t count, capacity;
    uint32_t first_updater; /* of version 0, as long as nothing was read */
    uint32_t *waiting; /* transactions that read all of the list: whoever comes next follows them */
    uint32_t waiting_count, waiting_capacity;
    uint32_t newest; /* element: the last one that was asked to be appended */
    /* of the transaction whose completion is being taken */
    uint32_t txn;
    uint32_t first_read;   /* version; ALONG_NONE: it appended first, or updated already */
    uint32_t longest_read; /* version */
    struct value read;     /* its last read, if has_read */
    uint32_t append;       /* its last append since, a micro-operation; ALONG_NONE */
    uint32_t appends;      /* how many since */
    bool has_read, appended;
};

struct along {
    anomaly_set prohibited, found;
    bool rw, wr, processes, real_time; /* which edges */
    anomaly_set cycle;                 /* what a cycle of them is called */
    size_t memory_max, bytes;
    const char *given_up;
    uint32_t seen; /* events */
    int f_txn;
    struct online online;
    struct arena arena;
    struct value_table key_table;
    struct along_key *keys;
    uint32_t key_capacity;
    struct along_element *elements;
    uint32_t element_count, element_capacity;
    uint32_t *slots, slot_mask, slot_capacity; /* open addressing: element + 1 */
    struct along_txn *txns;
    uint32_t txn_count, txn_capacity;
    uint32_t *open, *last; /* by process: transactions */
    uint32_t process_capacity;
    uint32_t epoch;  /* node */
    uint32_t *ended; /* transactions that ended since the epoch began */
    uint32_t ended_count, ended_capacity;
    uint32_t *before; /* by micro-operation of one transaction: the append before it */
    uint32_t before_capacity;
};

/* Grows an array to hold `needed`; counts what it takes. */
void along_grow(struct along *along, void *array, uint32_t *capacity, uint64_t needed, size_t size);
void along_find(struct along *along, anomaly_set anomaly);
/* The transaction's node, made when it is first needed. */
uint32_t along_node(struct along *along, uint32_t txn);
void along_edge(struct along *along, uint32_t from, uint32_t to);

struct along_key *along_key_of(struct along *along, struct value key, uint32_t *number);
/* The transaction is going to append this. */
void along_expect(struct along *along, uint32_t txn, struct value key, struct value value);
/* It failed: whoever read what it appended read what is not there. */
void along_take_back(struct along *along, struct value key, struct value value);
/* What an ok transaction did, one micro-operation after the other: `mops` are all, `mop` counts
 * from 0. */
void along_read(struct along *along, uint32_t txn, struct value mops, struct value key,
                struct value list);
void along_append(struct along *along, uint32_t txn, uint32_t mop, struct value key,
                  struct value value);

#endif
