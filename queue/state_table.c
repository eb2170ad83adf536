/* See state_table.h. Linear probing within a segment, without wrapping: items stand in order of
 * their tags (16 bits of the hash), each at or after its home, with no gap between home and item.
 * The home follows from the tag alone, so that moving items never has to look at them; and
 * comparing tags first means that a look-up rarely touches an item that is not the wanted one. */
#include "queue/state_table.h"

#include <assert.h>
#include <stdlib.h>

#include "queue/state_base.h"

static uint32_t segment_of(const struct table *table, uint64_t hash)
{
    return table->bits ? (uint32_t)(hash >> (64 - table->bits)) : 0;
}

static uint16_t tag_of(const struct table *table, uint64_t hash)
{
    uint16_t tag = (uint16_t)(hash << table->bits >> 48);
    return tag ? tag : 1;
}

static uint32_t home_of(uint16_t tag, uint32_t capacity)
{
    return (uint32_t)((uint64_t)tag * capacity >> 16);
}

void table_init(struct table *table, uint32_t bits, table_compare *compare)
{
    *table = (struct table){.bits = bits, .compare = compare};
    table->segments = memory_zeroed(((size_t)1 << bits) * sizeof *table->segments);
}

void table_free(struct table *table)
{
    for (size_t i = 0; table->segments && i < (size_t)1 << table->bits; i++)
        free(table->segments[i].items);
    free(table->segments);
    *table = (struct table){0};
}

static void segment_allocate(struct table_segment *segment, uint32_t capacity)
{
    /* A run that begins near the end needs room behind it. */
    uint32_t slots = capacity + 8 + capacity / 64;
    segment->items = memory_take(slots * (sizeof(void *) + sizeof(uint16_t)));
    segment->tags = (uint16_t *)(segment->items + slots);
    memset(segment->tags, 0, slots * sizeof(uint16_t));
    segment->capacity = capacity;
    segment->slots = slots;
}

/* Moves all items to a segment of another capacity, or returns false when a run did not fit. */
static bool segment_move(const struct table_segment *source, struct table_segment *target,
                         uint32_t capacity)
{
    segment_allocate(target, capacity);
    target->count = source->count;
    uint32_t next = 0;
    for (uint32_t i = 0; i < source->slots; i++) {
        if (!source->tags[i])
            continue;
        uint32_t home = home_of(source->tags[i], capacity);
        next = home > next ? home : next;
        if (next == target->slots) {
            free(target->items);
            return false;
        }
        target->items[next] = source->items[i];
        target->tags[next++] = source->tags[i];
    }
    return true;
}

static void segment_resize(struct table_segment *segment, uint32_t capacity)
{
    struct table_segment moved = {0};
    while (!segment_move(segment, &moved, capacity))
        capacity += capacity / 2 + 8;
    free(segment->items);
    *segment = moved;
}

/* The slot of the probe when found, else of the first item behind it, else the end of its run. */
static uint32_t segment_search(const struct table *table, const struct table_segment *segment,
                               uint16_t tag, const void *probe, bool *found)
{
    uint32_t slot = home_of(tag, segment->capacity);
    *found = false;
    for (; slot < segment->slots && segment->tags[slot]; slot++) {
        if (segment->tags[slot] < tag)
            continue;
        if (segment->tags[slot] > tag)
            break;
        int order = table->compare(segment->items[slot], probe);
        *found = order == 0;
        if (order >= 0)
            break;
    }
    return slot;
}

void *table_find(const struct table *table, uint64_t hash, const void *probe)
{
    const struct table_segment *segment = &table->segments[segment_of(table, hash)];
    if (!segment->count)
        return NULL;
    bool found;
    uint32_t slot = segment_search(table, segment, tag_of(table, hash), probe, &found);
    return found ? segment->items[slot] : NULL;
}

void table_prefetch(const struct table *table, uint64_t hash)
{
    const struct table_segment *segment = &table->segments[segment_of(table, hash)];
    if (!segment->count)
        return;
    uint32_t home = home_of(tag_of(table, hash), segment->capacity);
    __builtin_prefetch(segment->tags + home, 1);
    __builtin_prefetch(segment->items + home, 1);
}

void table_insert(struct table *table, uint64_t hash, void *item, const void *probe)
{
    struct table_segment *segment = &table->segments[segment_of(table, hash)];
    uint16_t tag = tag_of(table, hash);
    if ((uint64_t)(segment->count + 1) * 5 > (uint64_t)segment->capacity * 4)
        segment_resize(segment, segment->capacity + segment->capacity / 2 + 8);
    for (;;) {
        bool found;
        uint32_t slot = segment_search(table, segment, tag, probe, &found), end = slot;
        assert(!found);
        while (end < segment->slots && segment->tags[end])
            end++;
        if (end == segment->slots) {
            segment_resize(segment, segment->capacity + segment->capacity / 2 + 8);
            continue;
        }
        memmove(segment->items + slot + 1, segment->items + slot, (end - slot) * sizeof(void *));
        memmove(segment->tags + slot + 1, segment->tags + slot, (end - slot) * sizeof(uint16_t));
        segment->items[slot] = item;
        segment->tags[slot] = tag;
        break;
    }
    segment->count++;
    table->count++;
}

static void segment_shrink(struct table_segment *segment)
{
    if (!segment->count) {
        free(segment->items);
        *segment = (struct table_segment){0};
    } else if (segment->capacity > 32 && segment->count < segment->capacity / 4) {
        segment_resize(segment, segment->capacity / 2);
    }
}

void table_remove(struct table *table, uint64_t hash, const void *item)
{
    struct table_segment *segment = &table->segments[segment_of(table, hash)];
    assert(segment->count);
    uint32_t slot = home_of(tag_of(table, hash), segment->capacity);
    while (segment->items[slot] != item || !segment->tags[slot]) {
        assert(slot + 1 < segment->slots && segment->tags[slot]);
        slot++;
    }
    uint32_t end = slot + 1;
    while (end < segment->slots && segment->tags[end] &&
           home_of(segment->tags[end], segment->capacity) < end)
        end++;
    memmove(segment->items + slot, segment->items + slot + 1, (end - slot - 1) * sizeof(void *));
    memmove(segment->tags + slot, segment->tags + slot + 1, (end - slot - 1) * sizeof(uint16_t));
    segment->tags[end - 1] = 0;
    segment->count--;
    table->count--;
    segment_shrink(segment);
}

uint64_t table_scan(const struct table *table, uint64_t cursor, uint64_t count,
                    void (*visit)(void *context, void *item), void *context)
{
    uint64_t visited = 0;
    uint16_t first = (uint16_t)(cursor & 0xffff);
    for (uint64_t number = cursor >> 16; number < (uint64_t)1 << table->bits; number++, first = 0) {
        const struct table_segment *segment = &table->segments[number];
        uint16_t last = 0;
        for (uint32_t slot = home_of(first, segment->capacity);
             segment->count && slot < segment->slots; slot++) {
            uint16_t tag = segment->tags[slot];
            if (!tag || tag < first)
                continue;
            if (visited >= count && tag != last)
                return number << 16 | tag;
            visit(context, segment->items[slot]);
            visited++;
            last = tag;
        }
    }
    return 0;
}

uint64_t table_bytes(const struct table *table)
{
    uint64_t bytes = ((uint64_t)1 << table->bits) * sizeof *table->segments;
    for (size_t i = 0; i < (size_t)1 << table->bits; i++)
        bytes += table->segments[i].slots * (sizeof(void *) + sizeof(uint16_t));
    return bytes;
}

uint64_t table_hash(uint64_t seed, const void *data, size_t length)
{
    const uint8_t *byte = data;
    uint64_t hash = table_mix(seed + length + 0x9e3779b97f4a7c15u);
    for (; length; byte += 8) {
        uint64_t word = 0;
        size_t taken = length < 8 ? length : 8;
        memcpy(&word, byte, taken);
        hash = table_mix(hash ^ le64toh(word));
        length -= taken;
    }
    return hash;
}
