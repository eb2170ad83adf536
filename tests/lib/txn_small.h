/* Small histories of transactions, and what the definitions say of them: every order is tried. It
 * shares nothing with the checker. */
#ifndef ORDEAL_TESTS_TXN_SMALL_H
#define ORDEAL_TESTS_TXN_SMALL_H

#include "harness/base/prng.h"
#include "harness/history.h"

enum { SMALL_TXNS = 6, SMALL_MOPS = 4, SMALL_KEYS = 3, SMALL_LIST = 24 };

struct small_mop {
    bool read;
    int key;
    int element;          /* of a write: unique within its key, from 1 */
    int list[SMALL_LIST]; /* of a read */
    int length;
};

struct small_txn {
    int process, invoked, completed; /* times; completed: unique too, also for unknown ones */
    enum op_type outcome;
    int count;
    struct small_mop mops[SMALL_MOPS];
};

struct small {
    int count, keys;
    struct small_txn txns[SMALL_TXNS];
};

/* What orders must be kept beside those of data. */
enum small_order { SMALL_ANY, SMALL_SESSION, SMALL_REAL_TIME };

/* A random history of list-append: versions as some store could have had them, reads of versions
 * that may be stale, now and then one that no store could have answered. */
void small_random(struct prng *prng, struct small *small, bool registers);
/* Registers as some store with snapshots could have answered, now and then with a read changed:
 * more transactions, and more writes of keys that the writer did not read. */
void small_random_blind(struct prng *prng, struct small *small);
/* As events, in the order of their times. `registers`: :w instead of :append, and reads of single
 * values. The caller frees the history. */
void small_history(const struct small *small, bool registers, struct history *history);
void small_print(const struct small *small, bool registers);

/* Is there an order of all that committed, and some of the unknown, that gives every read? */
bool small_serializable(const struct small *small, bool registers, enum small_order order);
/* Is there one of commits, with a snapshot for each transaction that holds a prefix of it, in which
 * no two that write one key are concurrent? */
bool small_snapshot(const struct small *small, bool registers, enum small_order order);

/* Adya's phenomena on lists, for every order of what nobody read: true when some order is free of
 * G1a, G1b, garbage, duplicates and incompatible reads (levels above read uncommitted), and of
 * cycles of ww (uncommitted), of ww and wr (committed), with one rw (consistent view). */
enum small_level { SMALL_READ_UNCOMMITTED, SMALL_READ_COMMITTED, SMALL_CONSISTENT_VIEW };
bool small_adya(const struct small *small, enum small_level level);
/* The reads give an order of versions at all; without one nothing is said of read uncommitted. */
bool small_ordered(const struct small *small);
/* Two or more committed appends to one key that nobody read: their order is not known then. */
bool small_order_open(const struct small *small);

/* Registers, by the axioms of Biswas and Enea, sessions included: is there an order of commits? */
enum small_axiom { SMALL_READ_COMMITTED_AXIOM, SMALL_READ_ATOMIC, SMALL_CAUSAL };
bool small_axioms(const struct small *small, enum small_axiom axiom);
/* Some read shows a value that nobody wrote: it might be what a key held at first. */
bool small_unwritten(const struct small *small);

#endif
