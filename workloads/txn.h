/* What the workloads list-append and rw-register share, and their tests see: transactions over keys
 * in rotation.
 *
 * A few keys are in use at a time. Each is written a bounded number of times, 1 being the first
 * value, 2 the second and so on, and then makes room for a key that was never used: so values are
 * unique per key, lists stay short, and what was inferred of old keys is never in doubt. */
#ifndef ORDEAL_WORKLOADS_TXN_H
#define ORDEAL_WORKLOADS_TXN_H

#include "harness/generator.h"
#include "harness/plan.h"

enum txn_distribution { TXN_UNIFORM, TXN_EXPONENTIAL, TXN_ZIPF };

/* From the options in force; nonsense in them is brought to the nearest sense. */
struct txn_mix {
    uint16_t txn_f;
    const char *write;  /* the name of a writing micro-operation */
    double write_share; /* of micro-operations; the rest are reads */
    uint32_t key_count; /* in use at a time */
    int64_t key_writes; /* of one key, at most */
    int64_t length_min, length_max;
    enum txn_distribution distribution;
    double base;     /* exponential: key i + 1 is drawn so many times as often as key i */
    double exponent; /* zipf: key i is drawn as often as 1 / (i + 1) to this power says */
};

struct txn_key {
    int64_t key, written; /* its number, and how often it was written */
};

struct txn_keys {
    struct txn_mix mix;
    struct txn_key *in_use; /* mix.key_count of them */
    int64_t next;           /* the next key that was never used */
    double scale;           /* what draws of a key are scaled by */
    double *shares;         /* zipf: of all draws those of keys up to this one */
};

/* What a micro-operation of theirs does: [:r key ..], and [:append key number] of lists or [:w key
 * number] of registers; anything else is TXN_NEITHER. */
enum txn_micro { TXN_READS, TXN_WRITES, TXN_NEITHER };
enum txn_micro txn_micro(bool lists, struct value micro);

/* The transaction of an operation: its value, or what it is in [group txn], of the workload
 * multi-register; and the operation's value once its transaction has become `done`. */
struct value txn_of(struct value value);
struct value txn_done(struct value value, struct value done, struct arena *scratch);

extern const struct option txn_options[]; /* both workloads' */
/* `owner` is the workload's name; `write` what its writes are called. */
void txn_keys_init(struct txn_keys *keys, struct arena *arena, const struct options *from,
                   const char *owner, const char *write, struct history *history);
generator_fill txn_fill; /* its state is a struct txn_keys */

/* The same for workloads whose transactions have another shape: `keys->mix` is filled in, of which
 * what is about keys matters. */
void txn_keys_start(struct txn_keys *keys, struct arena *arena);
/* One of the keys in use. */
struct txn_key *txn_draw_key(struct txn_keys *keys, struct prng *prng);
struct value txn_read(struct arena *scratch, int64_t key);
/* The key's next value is written; a key that was written often enough makes room. */
struct value txn_write(struct txn_keys *keys, struct txn_key *key, struct arena *scratch);

/* Reads of every key that the run has written so far, newest first, each once. */
struct generator *txn_final_reads(struct arena *arena, const struct history *history,
                                  const struct options *from, const char *owner);

#endif
