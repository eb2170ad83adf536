/* What the files of the register inference share.
 *
 * A version of a key is a slot (the value some transaction wrote to it last), or the initial one,
 * whose number is slot_count + key. What is known of their order comes from the initial version,
 * which is before all others, and from what the options promise of each key: that writes follow
 * reads (a transaction's write comes after what it read), that keys are sequential (each process
 * sees later and later versions), that they are linearizable (so does everybody, in real time). */
#ifndef ORDEAL_TRANSACTIONS_REGISTER_H
#define ORDEAL_TRANSACTIONS_REGISTER_H

#include "checkers/transactions/infer.h"

/* In real time version v comes before w exactly when ended[v] < begun[w]: some transaction that
 * left the key at v had ended before one began that found it at w. So the order of a key's versions
 * takes two numbers a version, whatever their number. */
struct registers {
    struct txns *txns;
    struct register_options options;
    uint32_t version_count;
    uint32_t *slot_key;
    uint32_t *ended, *begun; /* epochs, begun + 1; TXN_NONE and 0: nobody */
    bool *cyclic;            /* by key: its versions have no order */
    /* a key's versions that were written: targets[first[k]] .. , by ascending `begun` */
    uint32_t *first, *targets, *place;
    uint32_t *tree; /* the first auxiliary node of each key */
    uint32_t tree_count;
    struct graph after; /* versions known to follow by process, or by the write after a read */
    /* by key: a value that nobody wrote, and nobody read the initial one. It may be what the key
     * held at first, or the write of it may be missing from the history: it is a version like
     * others, under the initial one's number, and nothing is known to come after it. Nil: there is
     * none. */
    struct value *unwritten;
};

static inline uint32_t register_initial(const struct registers *registers, uint32_t key)
{
    return registers->txns->slot_count + key;
}

/* Whether the version is the initial one for sure, before all others. */
static inline bool register_is_initial(const struct registers *registers, uint32_t version)
{
    uint32_t slots = registers->txns->slot_count;
    return version >= slots && value_is_nil(registers->unwritten[version - slots]);
}

/* Reads, checked one by one: sets mop->slot of each read to the version it saw, TXN_NONE where it
 * says nothing about others. Finds G1a, G1b, internal, future and garbage reads, lost updates. */
enum err_code register_find_reads(struct inference *inference, struct err *err);

/* The order of versions; finds cyclic ones. */
void register_order(struct inference *inference);
/* Whether version `a` is known to come directly before `b` of the same key. */
bool register_precedes(const struct registers *registers, uint32_t a, uint32_t b);

/* Adds edges from `source` to what stands for the key's targets in [low, high): `node` is the first
 * node of the trees, `target_node` maps a target to its node. */
void register_add_range(struct graph_builder *builder, const struct registers *registers,
                        uint32_t key, uint32_t source, uint32_t low, uint32_t high,
                        enum edge_type type, uint32_t nodes, bool versions);
/* The edges of the trees themselves. */
void register_add_trees(struct graph_builder *builder, const struct registers *registers,
                        uint32_t nodes, bool versions);
/* The first target of the version's key that came after it in real time, as an index from 0. */
uint32_t register_first_after(const struct registers *registers, uint32_t key, uint32_t version);

bool register_why(const struct inference *inference, uint32_t from, uint32_t to,
                  enum edge_type type, const char *from_name, const char *to_name, struct buf *out,
                  struct json *fields);

#endif
