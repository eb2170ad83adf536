/* Lists that grow at their end, as the reads of list-append show them: the next read of a key
 * mostly has what the one before had, and a little more. All reads of a key share one array then,
 * each the beginning of it, which spares memory, the writing of it, and comparing them later.
 *
 * What the array was read from is remembered, too, byte for byte: a reader that finds those bytes
 * again need not read them, only look how far they agree. */
#ifndef ORDEAL_VALUE_LISTS_H
#define ORDEAL_VALUE_LISTS_H

#include "harness/value.h"

enum { VALUE_LISTS_SLOTS = 512, VALUE_LIST_BYTES_MAX = UINT16_MAX };

struct value_list {
    struct value key;
    struct value *items;
    uint32_t count, capacity;
    bool strayed; /* the newest one did not begin as the one before */
    /* The bytes that all the items were read from; length 0: not known. Item i ends at ends[i]. */
    uint32_t length, bytes_capacity, ends_capacity;
    unsigned char *bytes;
    uint16_t *ends;
};

/* Zeroed, it is empty. The arrays are the arena's: forget them before those end. */
struct value_lists {
    struct value_list slots[VALUE_LISTS_SLOTS];
};

void value_lists_forget(struct value_lists *lists);
void value_lists_free(struct value_lists *lists);

/* Whether lists of this length with this last item are kept here: those of small integers. */
bool value_lists_take(struct value last, size_t count);
/* The vector of these items, read of `key` (a guess is enough: only the items decide). */
struct value value_lists_vector(struct value_lists *lists, struct arena *arena, struct value key,
                                const struct value *items, size_t count);

/* The list of the key, if it is known what it was read from; NULL. */
struct value_list *value_lists_read(struct value_lists *lists, struct value key);
/* Whether what a list was read from will be of use: not when the newest list of the key is another
 * than the one before, and so perhaps is the next. */
bool value_lists_grow(struct value_lists *lists, struct value key);
/* After value_lists_vector of the whole list: what it was read from. Item i ended at ends[i]. */
void value_lists_remember(struct value_lists *lists, struct value key, const void *bytes,
                          const uint32_t *ends, size_t count);
/* How many of these bytes, of which there are `available`, are those the list was read from. */
size_t value_list_agrees(const struct value_list *list, const void *bytes, size_t available);
/* The vector of the items that were read from so many of the list's bytes; false when none ends
 * there. */
bool value_list_until(const struct value_list *list, size_t length, struct value *vector);
/* The vector of all the list's items and these, which are read from `bytes` behind the others';
 * the i-th ends at ends[i] of `bytes`. The list is that from now on. */
struct value value_list_extend(struct value_list *list, struct arena *arena,
                               const struct value *items, size_t count, const void *bytes,
                               const uint32_t *ends);

#endif
