/* Splitting a history into the objects it is about.
 *
 * Linearizability is local (Herlihy and Wing, 1990): a history is linearizable when the part about
 * each object is. So histories over many keys, whose values are [key value], are judged key by key.
 */
#ifndef ORDEAL_LINEARIZABLE_KEYS_H
#define ORDEAL_LINEARIZABLE_KEYS_H

#include "harness/checker.h"
#include "harness/histories/value_table.h"

struct lin_keys {
    bool keyed;
    struct buf why;     /* why keyed or not: "every value is [key value], ..." */
    struct buf trouble; /* not empty: the history cannot be split, and why */
    uint32_t count;
    struct value *keys;       /* nil when not keyed */
    uint32_t *first;          /* count + 1: where a key's events begin in `events` */
    uint32_t *events;         /* client events, ascending per key */
    uint64_t operation_count; /* invocations by clients */
};

/* Everything lives in `arena` but the two texts, which lin_keys_free frees. */
void lin_keys_split(struct lin_keys *keys, const struct history *history, enum keyed keyed,
                    struct arena *arena);
void lin_keys_free(struct lin_keys *keys);

#endif
