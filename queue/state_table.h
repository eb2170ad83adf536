/* An ordered open-addressing hash table of pointers, of which the replicated state is made.
 *
 * The order of a walk depends only on the items' hashes and, where those agree, on the comparison:
 * never on history, growth or machine. So two replicas with the same items walk them alike, a
 * cursor of a scan means the same on each, and a scan meets every item that stays during it exactly
 * once.
 *
 * The table is cut into 2^bits segments by the hash's top bits, each growing and shrinking alone,
 * so that no insertion ever moves more than a small part of the items. Not thread-safe. */
#ifndef ORDEAL_QUEUE_STATE_TABLE_H
#define ORDEAL_QUEUE_STATE_TABLE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Orders an item of the table against what is looked for: <0, 0 (it is the one) or >0. */
typedef int table_compare(const void *item, const void *probe);

struct table_segment {
    void *
        *items; /* in ascending order of tags; `slots` of them, then the tags, in one allocation */
    uint16_t *tags; /* 0 marks an empty slot */
    uint32_t count, capacity, slots;
};

struct table {
    struct table_segment *segments;
    uint32_t bits;
    uint64_t count;
    table_compare *compare;
};

void table_init(struct table *table, uint32_t bits, table_compare *compare);
/* Frees the table, not the items. */
void table_free(struct table *table);

/* The item that the probe is equal to, or NULL. */
void *table_find(const struct table *table, uint64_t hash, const void *probe);
/* Says that `hash` will be looked for soon: its place is fetched into the cache meanwhile. */
void table_prefetch(const struct table *table, uint64_t hash);
/* Puts an item in; the probe is the item's own, and must not be in the table yet. */
void table_insert(struct table *table, uint64_t hash, void *item, const void *probe);
/* Takes an item out, which must be in the table. */
void table_remove(struct table *table, uint64_t hash, const void *item);

/* Walks on from a cursor (0 to begin), calling `visit` for each item until at least `count` were
 * visited and the bucket is complete. Returns the next cursor, or 0 when the walk is done. `visit`
 * must not change the table. */
uint64_t table_scan(const struct table *table, uint64_t cursor, uint64_t count,
                    void (*visit)(void *context, void *item), void *context);

/* Bytes held by the table itself. */
uint64_t table_bytes(const struct table *table);

static inline uint64_t table_mix(uint64_t word)
{
    word ^= word >> 32;
    word *= 0xd6e8feb86659fd93u;
    word ^= word >> 29;
    word *= 0x9fb21c651e98df25u;
    return word ^ word >> 32;
}

/* A 64-bit hash of bytes, the same on every machine and in every version. */
uint64_t table_hash(uint64_t seed, const void *data, size_t length);
/* The same of 16 bytes, quicker. */
static inline uint64_t table_hash_16(uint64_t seed, const void *data)
{
    uint64_t words[2];
    memcpy(words, data, sizeof words);
    uint64_t hash = table_mix(seed + sizeof words + 0x9e3779b97f4a7c15u);
    return table_mix(table_mix(hash ^ le64toh(words[0])) ^ le64toh(words[1]));
}

#endif
