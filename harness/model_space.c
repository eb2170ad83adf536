/* Values and sequences as numbers: see model_space.h. */
#include "harness/model_space.h"

#include <string.h>

enum { CAPACITY_MIN = 64 };

static uint32_t hash_items(const int64_t *items, size_t count)
{
    uint64_t h = count + 1;
    for (size_t i = 0; i < count; i++) {
        h = (h ^ (uint64_t)items[i]) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    return (uint32_t)(h ^ h >> 32);
}

static bool charge(struct model_space *space, size_t bytes)
{
    if (space->full || (space->charge != NULL && !space->charge(space->purse, bytes))) {
        space->full = true;
        return false;
    }
    space->used_bytes += bytes;
    return true;
}

static uint32_t *find_slot(const struct model_space *space, const int64_t *items, size_t count,
                           uint32_t hash)
{
    uint32_t mask = space->sequence_capacity * 2 - 1, at = hash & mask;
    for (; space->slots[at] != 0; at = (at + 1) & mask) {
        const struct model_sequence *found = &space->sequences[space->slots[at] - 1];
        if (found->hash == hash && found->count == count &&
            memcmp(found->items, items, count * sizeof *items) == 0)
            break;
    }
    return &space->slots[at];
}

static bool grow(struct model_space *space)
{
    uint32_t capacity = space->sequence_capacity * 2;
    size_t entries = capacity * sizeof *space->sequences;
    size_t slots = (size_t)capacity * 2 * sizeof *space->slots;
    if (capacity >= UINT32_MAX / 4 || !charge(space, entries + slots)) {
        space->full = true;
        return false;
    }
    struct model_sequence *sequences = arena_alloc(space->arena, entries);
    memcpy(sequences, space->sequences, space->sequence_count * sizeof *sequences);
    space->sequences = sequences;
    space->sequence_capacity = capacity;
    space->slots = arena_zalloc(space->arena, slots);
    for (uint32_t i = 0; i < space->sequence_count; i++)
        *find_slot(space, sequences[i].items, sequences[i].count, sequences[i].hash) = i + 1;
    return true;
}

void model_space_init(struct model_space *space, struct arena *arena)
{
    static const int64_t nothing;
    *space = (struct model_space){.arena = arena, .sequence_capacity = CAPACITY_MIN};
    value_table_init(&space->values, arena);
    space->sequences = arena_alloc(arena, CAPACITY_MIN * sizeof *space->sequences);
    space->slots = arena_zalloc(arena, sizeof *space->slots * CAPACITY_MIN * 2);
    (void)model_sequence(space, &nothing, 0);
}

int64_t model_sequence(struct model_space *space, const int64_t *items, size_t count)
{
    uint32_t hash = hash_items(items, count);
    uint32_t *slot = find_slot(space, items, count, hash);
    if (*slot != 0)
        return *slot - 1;
    if (count >= UINT32_MAX || !charge(space, count * sizeof *items))
        return MODEL_FULL;
    if (space->sequence_count == space->sequence_capacity) {
        if (!grow(space))
            return MODEL_FULL;
        slot = find_slot(space, items, count, hash);
    }
    int64_t *kept = arena_alloc(space->arena, (count + 1) * sizeof *kept);
    memcpy(kept, items, count * sizeof *kept);
    space->sequences[space->sequence_count] =
        (struct model_sequence){.items = kept, .count = (uint32_t)count, .hash = hash};
    *slot = ++space->sequence_count;
    return space->sequence_count - 1;
}

struct model_sequence model_sequence_of(const struct model_space *space, int64_t number)
{
    return space->sequences[number];
}

int64_t model_spliced(struct model_space *space, int64_t number, size_t at, size_t removed,
                      const int64_t *items, size_t count)
{
    struct model_sequence sequence = space->sequences[number];
    size_t total = sequence.count - removed + count, tail = sequence.count - at - removed;
    if (total > space->scratch_count) {
        size_t wanted = total * 2;
        if (!charge(space, wanted * sizeof *space->scratch))
            return MODEL_FULL;
        space->scratch = arena_alloc(space->arena, wanted * sizeof *space->scratch);
        space->scratch_count = wanted;
    }
    if (total == 0)
        return 0;
    if (at > 0)
        memcpy(space->scratch, sequence.items, at * sizeof *items);
    if (count > 0)
        memcpy(space->scratch + at, items, count * sizeof *items);
    if (tail > 0)
        memcpy(space->scratch + at + count, sequence.items + at + removed, tail * sizeof *items);
    return model_sequence(space, space->scratch, total);
}

size_t model_sequence_search(struct model_sequence sequence, size_t width, int64_t item)
{
    size_t low = 0, high = sequence.count / width;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sequence.items[middle * width] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t model_value(struct model_space *space, struct value value)
{
    uint32_t before = space->values.count, id = value_table_id(&space->values, value);
    if (id == before)
        space->values.values[id] = value_copy(space->arena, value);
    return id;
}

void model_print_values(const struct model_space *space, int64_t number, struct buf *out)
{
    struct model_sequence sequence = model_sequence_of(space, number);
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < sequence.count; i++) {
        if (i > 0)
            buf_add_char(out, ' ');
        value_print(value_table_value(&space->values, sequence.items[i]), out);
    }
    buf_add_char(out, ']');
}
