/* Vectors met lately, to be shared: what a client asked for stands again in what it was answered,
 * and a list that one transaction read is mostly the one that the next reads too. Shared, they are
 * neither written again nor fetched from memory again, by the reader and by whoever follows. */
#ifndef ORDEAL_VALUE_RECENT_H
#define ORDEAL_VALUE_RECENT_H

#include "harness/value.h"

enum { VALUE_RECENT_SLOTS = 1024 };

/* Zeroed, it is empty. The vectors are the arena's: forget them (zero it) before those end. */
struct value_recent {
    struct value_recent_slot {
        uint64_t hash;
        struct value vector; /* nil: free */
    } slots[VALUE_RECENT_SLOTS];
};

/* The vector of these items: one that was made before, or a new one in `arena`. */
struct value value_recent_vector(struct value_recent *recent, struct arena *arena,
                                 const struct value *items, size_t count);

#endif
