/* What a transaction of the workloads list-append, rw-register and multi-register does to the keys
 * that it touches, worked out by clients of systems that read all keys first and then write each
 * key once. A transaction sees its own writes. */
#ifndef ORDEAL_WORKLOADS_TXN_WORK_H
#define ORDEAL_WORKLOADS_TXN_WORK_H

#include "harness/base/buf.h"
#include "harness/value.h"

enum { TXN_TOUCHED_MAX = 128 };

/* A key that the transaction touches. */
struct txn_touched {
    int64_t key;
    struct value found, now; /* what was there, and what is with the transaction's own writes */
    int64_t revision;        /* the system's, of what was found */
    bool read, written;      /* read: its value from before matters */
};

struct txn_work {
    bool lists; /* else registers */
    struct txn_touched touched[TXN_TOUCHED_MAX];
    uint32_t count;
    bool writes;
};

/* Notes which keys the transaction reads and writes; false when it is none, or has more than
 * TXN_TOUCHED_MAX / 2 micro-operations. */
bool txn_survey(struct txn_work *work, struct value txn);
/* Runs the transaction on what was found: fills in `now` and returns it with its reads. */
struct value txn_play(struct txn_work *work, struct value txn, struct arena *scratch);

/* Values as texts: integers in decimal, lists with spaces between. What is no such text is for
 * checkers to see, and is written back as it was. */
void txn_print(struct value value, struct buf *out);
struct value txn_parse_value(const char *text, size_t length, struct arena *scratch);
struct value txn_parse_list(const char *text, struct arena *scratch);
/* What is at a key where nothing is. */
struct value txn_nothing(const struct txn_work *work, struct arena *scratch);

#endif
