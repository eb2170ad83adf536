/* Reading every key once more when everything was healed. Keys are left behind after a while: what
 * an outage loses of those that nobody uses any more, no other read would show. Keys are numbers
 * from 0. */
#ifndef ORDEAL_WORKLOADS_FINAL_READS_H
#define ORDEAL_WORKLOADS_FINAL_READS_H

#include "harness/generator.h"
#include "harness/history.h"

/* Keys left - 1 down to 0 are still to be read, by operations of this function. */
struct final_reads {
    uint16_t f;
    int64_t left;
};

/* The highest key that an operation of the workload asks for; -1: none. */
typedef int64_t final_reads_key(struct value value);

/* How many keys the history asked for: one more than the highest. */
int64_t final_reads_keys(const struct history *history, final_reads_key *highest);
/* The key of [key x], and the operation [key nil] of the next key. */
int64_t final_reads_key_of_pair(struct value value);
bool final_reads_pair(void *state, struct prng *prng, const struct generator_context *context,
                      struct generator_op *op);

/* For the help of the option "settle". */
#define FINAL_READS_SETTLE_HELP                                                                    \
    "with final reads: wait this long after healing, then have every worker read all; for "        \
    "systems "                                                                                     \
    "whose nodes converge"

/* One read after the other by `fill`, whose state is a struct final_reads, of all keys that the
 * history asked for; of none where it is not `wanted`. */
struct generator *final_reads(struct arena *arena, const struct history *history, uint16_t f,
                              bool wanted, final_reads_key *highest, generator_fill *fill);
/* The same of pairs, and where `settle_ns` is above 0 by every client for itself, that long later:
 * so all nodes are read that clients talk to. */
struct generator *final_reads_of_pairs(struct arena *arena, const struct history *history,
                                       uint16_t f, bool wanted, int64_t settle_ns);

#endif
