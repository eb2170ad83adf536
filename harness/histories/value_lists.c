/* Lists that grow at their end: see value_lists.h. */
#include "harness/histories/value_lists.h"

#include <stdlib.h>
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
    list->key = key;
    list->capacity = ((uint32_t)count + (uint32_t)count / 2 + 4) & ~1U;
    list->items = arena_alloc(arena, list->capacity * sizeof *list->items);
}

struct value value_lists_vector(struct value_lists *lists, struct arena *arena, struct value key,
                                const struct value *items, size_t count)
{
    struct value_list *list = find(lists, key);
    size_t known = list->key.bits != key.bits ? 0 : list->count < count ? list->count : count;
    bool same = known > 0 && memcmp(list->items, items, known * sizeof *items) == 0;
    list->strayed = known > 0 && !same;
    if (same && count <= list->count)
        return value_prefix(list->items, count);
    if (!same || count > list->capacity) {
        begin(list, arena, key, count);
        known = 0;
    }
    memcpy(list->items + known, items + known, (count - known) * sizeof *items);
    list->count = (uint32_t)count;
    list->length = 0;
    return value_prefix(list->items, count);
}

/* ---- What lists were read from ---- */

struct value_list *value_lists_read(struct value_lists *lists, struct value key)
{
    struct value_list *list = find(lists, key);
    return list->key.bits == key.bits && list->length > 0 ? list : NULL;
}

bool value_lists_grow(struct value_lists *lists, struct value key)
{
    return !find(lists, key)->strayed;
}

/* Room for so many; false leaves the list without bytes. */
static bool reserve(struct value_list *list, size_t length, size_t count)
{
    if (length > list->bytes_capacity) {
        unsigned char *bytes = realloc(list->bytes, length * 2);
        if (bytes == NULL)
            return false;
        list->bytes = bytes;
        list->bytes_capacity = (uint32_t)length * 2;
    }
    if (count > list->ends_capacity) {
        uint16_t *ends = realloc(list->ends, count * 2 * sizeof *ends);
        if (ends == NULL)
            return false;
        list->ends = ends;
        list->ends_capacity = (uint32_t)count * 2;
    }
    return true;
}

/* Behind the bytes of the first `known` items. */
static void add_bytes(struct value_list *list, size_t known, const void *bytes,
                      const uint32_t *ends, size_t count)
{
    size_t before = list->length, more = ends[count - 1], length = before + more;
    if (length > VALUE_LIST_BYTES_MAX || !reserve(list, length, known + count)) {
        list->length = 0;
        return;
    }
    memcpy(list->bytes + before, bytes, more);
    for (size_t i = 0; i < count; i++)
        list->ends[known + i] = (uint16_t)(before + ends[i]);
    list->length = (uint32_t)length;
}

void value_lists_remember(struct value_lists *lists, struct value key, const void *bytes,
                          const uint32_t *ends, size_t count)
{
    struct value_list *list = find(lists, key);
    if (list->key.bits != key.bits || list->count != count)
        return;
    list->length = 0;
    add_bytes(list, 0, bytes, ends, count);
}

size_t value_list_agrees(const struct value_list *list, const void *bytes, size_t available)
{
    const unsigned char *at = bytes;
    size_t most = list->length < available ? list->length : available, same = 0;
    for (; same + 8 <= most; same += 8) {
        uint64_t ours, theirs;
        memcpy(&ours, list->bytes + same, sizeof ours);
        memcpy(&theirs, at + same, sizeof theirs);
        if (ours != theirs)
            break;
    }
    while (same < most && list->bytes[same] == at[same])
        same++;
    return same;
}

bool value_list_until(const struct value_list *list, size_t length, struct value *vector)
{
    uint32_t low = 0, high = list->count - 1;
    if (length == list->length)
        low = high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->ends[middle] < length)
            low = middle + 1;
        else
            high = middle;
    }
    if (list->ends[low] != length)
        return false;
    *vector = value_prefix(list->items, (size_t)low + 1);
    return true;
}

struct value value_list_extend(struct value_list *list, struct arena *arena,
                               const struct value *items, size_t count, const void *bytes,
                               const uint32_t *ends)
{
    uint32_t known = list->count;
    if (known + count > list->capacity) {
        const struct value *before = list->items;
        begin(list, arena, list->key, known + count);
        memcpy(list->items, before, known * sizeof *items);
    }
    memcpy(list->items + known, items, count * sizeof *items);
    list->count = known + (uint32_t)count;
    add_bytes(list, known, bytes, ends, count);
    return value_prefix(list->items, list->count);
}

/* ---- The end ---- */

void value_lists_forget(struct value_lists *lists)
{
    for (size_t i = 0; i < VALUE_LISTS_SLOTS; i++) {
        struct value_list *list = &lists->slots[i];
        list->key = value_nil();
        list->count = list->capacity = list->length = 0;
    }
}

void value_lists_free(struct value_lists *lists)
{
    for (size_t i = 0; i < VALUE_LISTS_SLOTS; i++) {
        free(lists->slots[i].bytes);
        free(lists->slots[i].ends);
    }
}
