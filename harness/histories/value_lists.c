/* Lists that grow at their end: see value_lists.h. */
#include "harness/histories/value_lists.h"

#include <string.h>

bool value_lists_take(struct value last, size_t count)
{
    return count > 0 && count <= VALUE_PREFIX_MAX && value_is_small(last);
}

static struct value_list *find(struct value_lists *lists, struct value key)
{
    uint64_t hash = key.bits * UINT64_C(0x9e3779b97f4a7c15);
    return &lists->slots[hash >> 32 & (VALUE_LISTS_SLOTS - 1)];
}

/* An array of its own, with room for what may come. */
static void begin(struct value_list *list, struct arena *arena, struct value key, size_t count)
{
    uint32_t capacity = ((uint32_t)count + (uint32_t)count / 2 + 4) & ~1U;
    *list = (struct value_list){.key = key, .capacity = capacity};
    list->items = arena_alloc(arena, capacity * sizeof *list->items);
}

struct value value_lists_vector(struct value_lists *lists, struct arena *arena, struct value key,
                                const struct value *items, size_t count)
{
    struct value_list *list = find(lists, key);
    size_t known = list->key.bits != key.bits ? 0 : list->count < count ? list->count : count;
    bool same = known > 0 && memcmp(list->items, items, known * sizeof *items) == 0;
    if (same && count <= list->count)
        return value_prefix(list->items, count);
    if (!same || count > list->capacity) {
        begin(list, arena, key, count);
        known = 0;
    }
    memcpy(list->items + known, items + known, (count - known) * sizeof *items);
    list->count = (uint32_t)count;
    return value_prefix(list->items, count);
}
