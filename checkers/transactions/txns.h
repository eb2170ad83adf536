/* The transactions of a history, in columns: what the inferences and searches work on.
 *
 * Transactions are numbered in the order of their invocation. A micro-operation is [f key value],
 * f being r, append or w; or insert, delete (a write of nil), or [rp predicate result]. Of a
 * transaction that failed or whose outcome is unknown only the writes are kept: what it read is not
 * known. Keys are numbers; so are the elements that were written
 * ("slots": one per key and value), found again by value.
 *
 * Real time, reduced to a linear size: events fall into epochs, a new one beginning with each
 * invocation that follows a completion. T ended before U began exactly when end_epoch[T] <
 * begin_epoch[U]. */
#ifndef ORDEAL_TRANSACTIONS_TXNS_H
#define ORDEAL_TRANSACTIONS_TXNS_H

#include "harness/base/arena.h"
#include "harness/checker.h"
#include "harness/histories/value_table.h"
#include "harness/history.h"

#define TXN_NONE UINT32_MAX

enum txn_state { TXN_FAILED, TXN_UNKNOWN, TXN_OK };
enum mop_kind { MOP_READ, MOP_APPEND, MOP_WRITE, MOP_PREDICATE };

struct mop {
    uint32_t key : 30;
    uint32_t kind : 2;  /* enum mop_kind */
    uint32_t slot;      /* of a write: its slot; of a read: what the inference puts there */
    struct value value; /* what was written or read; nil: deleted; of a predicate the whole of it */
};

static inline bool mop_writes(const struct mop *mop)
{
    return mop->kind == MOP_APPEND || mop->kind == MOP_WRITE;
}

/* One element ever written to a key. */
struct slot {
    uint32_t txn;         /* who wrote it; TXN_NONE: nobody */
    uint32_t position;    /* in the key's version order; TXN_NONE: never seen */
    uint32_t overwritten; /* the same transaction wrote the key again after it */
};

struct key_slots {
    int64_t min;          /* dense keys: the slot of integer v is base + v - min */
    uint32_t base, count; /* count 0: hashed */
};

/* What was seen of a key while its micro-operations were decoded. */
struct key_seen {
    int64_t min, max;      /* of the integers written */
    uint32_t writes;       /* elements written */
    uint32_t length;       /* of the longest list read; 0: none, or all were empty */
    uint32_t longest, txn; /* the first read that gave it (into mops), and whose it is */
    bool sparse;           /* something else than integers was written */
};

struct txns {
    const struct history *history;
    struct arena *arena;
    uint32_t count;
    uint32_t *invoked, *completed; /* events; HISTORY_NONE where there is none */
    uint32_t *first;               /* micro-operations of t: mops[first[t]] .. mops[first[t + 1]] */
    uint8_t *state;                /* enum txn_state */
    bool *committed;               /* it is ok, or (set by the inference) its effects were seen */
    struct mop *mops;
    uint32_t mop_count;
    uint32_t reads, appends, writes;   /* micro-operations of each kind */
    uint32_t predicates;               /* reads of predicates, insertions and deletions */
    uint32_t init, init_count;         /* with those: what made the keys (:init); TXN_NONE */
    uint32_t list_reads, single_reads; /* reads of lists, and of other values but nil */
    uint32_t ok_count, unknown_count, failed_count, ignored_count;
    /* order */
    uint32_t *begin_epoch, *end_epoch; /* end: TXN_NONE where it never ended for sure */
    uint32_t *epoch_first; /* first transaction of each epoch; epoch_count + 1 entries */
    uint32_t epoch_count;
    uint32_t *previous; /* of the same process, ok; TXN_NONE */
    /* keys and elements */
    struct value *keys;
    struct key_seen *seen;
    uint32_t key_count;
    struct key_slots *key_slots;
    struct slot *slots;
    uint32_t slot_count;
    uint32_t *hashed; /* open addressing over sparse elements: slot + 1 */
    struct value *hashed_value;
    uint32_t *hashed_key, hashed_mask, hashed_base;
    /* the first write of an element that was written before; TXN_NONE */
    uint32_t duplicate_mop, duplicate_txn;
};

/* Fills `txns`, its elements numbered, too (zeroed by the caller, who sets history and arena), by
 * so many threads at once: what comes out is the same for any number. Fails when an operation is no
 * transaction ("event 12:
 * ..."), or when more memory would be needed than allowed. */
enum err_code txns_decode(struct txns *txns, int threads, size_t memory_max, struct err *err);
/* Numbers the elements: what txns_decode ends with. */
void txns_number_slots(struct txns *txns);
/* The slot of a value of a key, or TXN_NONE when nobody wrote it. */
uint32_t txns_slot(const struct txns *txns, uint32_t key, struct value value);

static inline bool txns_before(const struct txns *txns, uint32_t a, uint32_t b)
{
    return txns->end_epoch[a] < txns->begin_epoch[b]; /* TXN_NONE is before nothing */
}
/* The event that tells most about a transaction: its completion, else its invocation. */
static inline uint32_t txns_event(const struct txns *txns, uint32_t t)
{
    return txns->completed[t] != HISTORY_NONE ? txns->completed[t] : txns->invoked[t];
}

#endif
