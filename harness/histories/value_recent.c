/* Vectors to be shared: see value_recent.h. */
#include "harness/histories/value_recent.h"

#include <string.h>

/* Lists that grow at their end differ in length and in their last item, micro-operations in any of
 * their three. */
static uint64_t hash_of(const struct value *items, size_t count)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t hash = items[0].bits + count;
    hash = (hash ^ hash >> 29) * odd + items[1].bits;
    hash = (hash ^ hash >> 29) * odd + items[count - 1].bits;
    return (hash ^ hash >> 29) * odd;
}

struct value value_recent_vector(struct value_recent *recent, struct arena *arena,
                                 const struct value *items, size_t count)
{
    struct value packed;
    if (value_pack(items, count, &packed)) /* and needs no memory */
        return packed;
    if (count < 2)
        return value_items(arena, VALUE_VECTOR, items, count);
    uint64_t hash = hash_of(items, count);
    struct value_recent_slot *slot = &recent->slots[hash >> 32 & (VALUE_RECENT_SLOTS - 1)];
    if (slot->hash == hash && !value_is_nil(slot->vector)) {
        struct value room[VALUE_ROOM];
        size_t known_count;
        const struct value *known = value_array(slot->vector, room, &known_count);
        if (known_count == count && memcmp(known, items, count * sizeof *items) == 0)
            return slot->vector;
    }
    slot->hash = hash;
    return slot->vector = value_items(arena, VALUE_VECTOR, items, count);
}
