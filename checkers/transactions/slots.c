/* The elements that were written, as numbers: see txns.h.
 *
 * Workloads write small integers, ever larger ones per key, so a key's elements are usually dense
 * and their numbers a subtraction away; the others are hashed. */
#include <string.h>

#include "checkers/transactions/txns.h"

static uint32_t hash_slot(const struct txns *txns, uint32_t key, struct value value)
{
    uint64_t h = value_hash(value) + key * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h ^ h >> 32) & txns->hashed_mask;
}

static uint32_t *find_hashed(const struct txns *txns, uint32_t key, struct value value)
{
    uint32_t at = hash_slot(txns, key, value);
    while (txns->hashed[at] != 0) {
        uint32_t i = txns->hashed[at] - 1 - txns->hashed_base;
        if (txns->hashed_key[i] == key && value_equal(txns->hashed_value[i], value))
            break;
        at = (at + 1) & txns->hashed_mask;
    }
    return &txns->hashed[at];
}

uint32_t txns_slot(const struct txns *txns, uint32_t key, struct value value)
{
    const struct key_slots *slots = &txns->key_slots[key];
    if (slots->count > 0) {
        if (value_kind(value) != VALUE_INT)
            return TXN_NONE;
        uint64_t offset = (uint64_t)value_as_int(value) - (uint64_t)slots->min;
        if (offset >= slots->count)
            return TXN_NONE;
        uint32_t slot = slots->base + (uint32_t)offset;
        return txns->slots[slot].txn == TXN_NONE ? TXN_NONE : slot;
    }
    uint32_t found = txns->hashed_mask == 0 ? 0 : *find_hashed(txns, key, value);
    return found == 0 ? TXN_NONE : found - 1;
}

/* Gives dense keys their numbers; returns how many elements are to be hashed. */
static uint32_t lay_out(struct txns *txns)
{
    uint32_t sparse = 0, next = 0;
    for (uint32_t key = 0; key < txns->key_count; key++) {
        const struct key_seen *seen = &txns->seen[key];
        uint64_t span = (uint64_t)seen->max - (uint64_t)seen->min;
        if (seen->writes == 0)
            continue;
        if (seen->sparse || span >= UINT64_C(4) * seen->writes + 16) {
            sparse += seen->writes;
            continue;
        }
        txns->key_slots[key] =
            (struct key_slots){.min = seen->min, .base = next, .count = (uint32_t)span + 1};
        next += (uint32_t)span + 1;
    }
    txns->hashed_base = next;
    return sparse;
}

static void init_hashed(struct txns *txns, uint32_t sparse)
{
    if (sparse == 0)
        return;
    uint32_t mask = 15;
    while (mask / 2 < sparse)
        mask = mask * 2 + 1;
    txns->hashed_mask = mask;
    txns->hashed = arena_zalloc(txns->arena, ((size_t)mask + 1) * sizeof *txns->hashed);
    txns->hashed_value = arena_alloc(txns->arena, (size_t)sparse * sizeof *txns->hashed_value);
    txns->hashed_key = arena_alloc(txns->arena, (size_t)sparse * sizeof *txns->hashed_key);
}

static uint32_t number(struct txns *txns, const struct mop *mop)
{
    const struct key_slots *slots = &txns->key_slots[mop->key];
    if (slots->count > 0)
        return slots->base + (uint32_t)((uint64_t)value_as_int(mop->value) - (uint64_t)slots->min);
    uint32_t *found = find_hashed(txns, mop->key, mop->value);
    if (*found == 0) {
        uint32_t i = txns->slot_count - txns->hashed_base;
        txns->hashed_key[i] = mop->key;
        txns->hashed_value[i] = mop->value;
        *found = ++txns->slot_count;
    }
    return *found - 1;
}

void txns_number_slots(struct txns *txns)
{
    struct arena *arena = txns->arena;
    size_t keys = (size_t)txns->key_count + 1;
    txns->key_slots = arena_zalloc(arena, keys * sizeof *txns->key_slots);
    uint32_t sparse = lay_out(txns);
    init_hashed(txns, sparse);
    txns->slot_count = txns->hashed_base;
    size_t most = (size_t)txns->hashed_base + sparse + 1;
    txns->slots = arena_alloc(arena, most * sizeof *txns->slots);
    for (size_t i = 0; i < most; i++)
        txns->slots[i] = (struct slot){.txn = TXN_NONE, .position = TXN_NONE};
    txns->duplicate_mop = txns->duplicate_txn = TXN_NONE;
    uint32_t *last = arena_alloc(arena, keys * sizeof *last); /* slot of the last write of a key */
    memset(last, 0xff, keys * sizeof *last);
    for (uint32_t t = 0; t < txns->count; t++)
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
            struct mop *mop = &txns->mops[m];
            if (!mop_writes(mop))
                continue;
            struct slot *slot = &txns->slots[mop->slot = number(txns, mop)];
            if (slot->txn != TXN_NONE && txns->duplicate_mop == TXN_NONE) {
                txns->duplicate_mop = m;
                txns->duplicate_txn = t;
            }
            slot->txn = t;
            uint32_t before = last[mop->key];
            if (before != TXN_NONE && before != mop->slot && txns->slots[before].txn == t)
                txns->slots[before].overwritten = 1;
            last[mop->key] = mop->slot;
        }
}
