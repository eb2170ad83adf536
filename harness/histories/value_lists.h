/* Lists that grow at their end, as the reads of list-append show them: the next read of a key
 * mostly has what the one before had, and a little more. All reads of a key share one array then,
 * each the beginning of it, which spares memory, the writing of it, and comparing them later. */
#ifndef ORDEAL_VALUE_LISTS_H
#define ORDEAL_VALUE_LISTS_H

#include "harness/value.h"

enum { VALUE_LISTS_SLOTS = 512 };

/* Zeroed, it is empty. The arrays are the arena's: forget them (zero it) before those end. */
struct value_lists {
    struct value_list {
        struct value key;
        struct value *items;
        uint32_t count, capacity;
    } slots[VALUE_LISTS_SLOTS];
};

/* Whether lists of this length with this last item are kept here: those of small integers. */
bool value_lists_take(struct value last, size_t count);
/* The vector of these items, read of `key` (a guess is enough: only the items decide). */
struct value value_lists_vector(struct value_lists *lists, struct arena *arena, struct value key,
                                const struct value *items, size_t count);

#endif
