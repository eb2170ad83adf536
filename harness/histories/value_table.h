/* Distinct values as small integers, so that a search compares and hashes words.
 *
 * Identifiers count from 0 in the order of first use; nil is always 0. The values are not copied:
 * they must outlive the table. One thread at a time. */
#ifndef ORDEAL_VALUE_TABLE_H
#define ORDEAL_VALUE_TABLE_H

#include "harness/base/arena.h"
#include "harness/value.h"

struct value_table {
    struct arena *arena; /* where the table grows; superseded arrays stay there until its reset */
    struct value *values;
    uint32_t *slots; /* open addressing: identifier + 1, 0 is free */
    uint32_t count, capacity;
};

void value_table_init(struct value_table *table, struct arena *arena);
/* The identifier of `value`, given on first use. */
uint32_t value_table_id(struct value_table *table, struct value value);
/* The same without giving one: UINT32_MAX. */
uint32_t value_table_find(const struct value_table *table, struct value value);
/* The value of an identifier that the table gave; nil for any other number. */
struct value value_table_value(const struct value_table *table, int64_t id);

#endif
