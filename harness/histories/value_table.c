/* Distinct values as small integers: see value_table.h. */
#include "harness/histories/value_table.h"

#include <string.h>

enum { CAPACITY_MIN = 16 };

/* The same word is the same value, and small integers of different words differ, which spares most
 * calls. */
static inline bool is_in(const struct value_table *table, uint32_t slot, struct value value)
{
    struct value there = table->values[slot - 1];
    if (there.bits == value.bits)
        return true;
    return !(value_is_small(there) && value_is_small(value)) && value_equal(there, value);
}

static uint32_t *find_slot(const struct value_table *table, struct value value)
{
    uint32_t mask = table->capacity * 2 - 1, at = (uint32_t)value_hash(value) & mask;
    while (table->slots[at] != 0 && !is_in(table, table->slots[at], value))
        at = (at + 1) & mask;
    return &table->slots[at];
}

static void resize(struct value_table *table, uint32_t capacity)
{
    struct value *values = arena_alloc(table->arena, capacity * sizeof *values);
    if (table->count > 0)
        memcpy(values, table->values, table->count * sizeof *values);
    table->values = values;
    table->capacity = capacity;
    table->slots = arena_zalloc(table->arena, (size_t)capacity * 2 * sizeof *table->slots);
    for (uint32_t i = 0; i < table->count; i++)
        *find_slot(table, values[i]) = i + 1;
}

void value_table_init(struct value_table *table, struct arena *arena)
{
    *table = (struct value_table){.arena = arena};
    resize(table, CAPACITY_MIN);
    value_table_id(table, value_nil());
}

uint32_t value_table_id(struct value_table *table, struct value value)
{
    uint32_t *slot = find_slot(table, value);
    if (*slot != 0)
        return *slot - 1;
    if (table->count == table->capacity) {
        resize(table, table->capacity * 2);
        slot = find_slot(table, value);
    }
    table->values[table->count++] = value;
    *slot = table->count;
    return table->count - 1;
}

uint32_t value_table_find(const struct value_table *table, struct value value)
{
    return *find_slot(table, value) - 1; /* 0 becomes UINT32_MAX */
}

struct value value_table_value(const struct value_table *table, int64_t id)
{
    return id >= 0 && id < table->count ? table->values[id] : value_nil();
}
