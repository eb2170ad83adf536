/* The lists of a run that is watched, and what their reads show: see along.h. */
#include "checkers/transactions/along_lists.h"

#include <string.h>

/* ---- Keys and elements ---- */

struct along_key *along_key_of(struct along *along, struct value key, uint32_t *number)
{
    *number = value_table_id(&along->key_table, key);
    uint32_t had = along->key_capacity;
    along_grow(along, &along->keys, &along->key_capacity, (uint64_t)*number + 1,
               sizeof *along->keys);
    for (uint32_t k = had; k < along->key_capacity; k++)
        along->keys[k] = (struct along_key){
            .newest = ALONG_NONE, .txn = ALONG_NONE, .first_updater = ALONG_NONE};
    return &along->keys[*number];
}

static uint32_t *slot_of(const struct along *along, uint32_t key, struct value value)
{
    uint64_t hash = value_hash(value) + key * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t at = (uint32_t)(hash ^ hash >> 32) & along->slot_mask;
    while (along->slots[at] != 0) {
        const struct along_element *element = &along->elements[along->slots[at] - 1];
        if (element->key == key && value_equal(element->value, value))
            break;
        at = (at + 1) & along->slot_mask;
    }
    return &along->slots[at];
}

static void grow_slots(struct along *along)
{
    if (along->slots != NULL && along->element_count < along->slot_mask / 2)
        return;
    uint32_t mask = along->slots == NULL ? 1023 : along->slot_mask * 2 + 1;
    along_grow(along, &along->slots, &along->slot_capacity, (uint64_t)mask + 1,
               sizeof *along->slots);
    memset(along->slots, 0, ((size_t)mask + 1) * sizeof *along->slots);
    along->slot_mask = mask;
    for (uint32_t e = 0; e < along->element_count; e++)
        *slot_of(along, along->elements[e].key, along->elements[e].value) = e + 1;
}

static uint32_t find_element(const struct along *along, uint32_t key, struct value value)
{
    return along->slots == NULL ? ALONG_NONE : *slot_of(along, key, value) - 1;
}

void along_expect(struct along *along, uint32_t txn, struct value name, struct value value)
{
    uint32_t number;
    struct along_key *key = along_key_of(along, name, &number);
    uint32_t known = find_element(along, number, value);
    if (known != ALONG_NONE) {
        if (along->elements[known].txn != txn)
            along->given_up = "an element is appended twice, so reads cannot tell the two apart";
        return;
    }
    grow_slots(along);
    along_grow(along, &along->elements, &along->element_capacity,
               (uint64_t)along->element_count + 1, sizeof *along->elements);
    uint32_t e = along->element_count++, before = key->newest;
    bool own = before != ALONG_NONE && along->elements[before].txn == txn;
    along->elements[e] = (struct along_element){.value = value,
                                                .key = number,
                                                .txn = txn,
                                                .position = ALONG_NONE,
                                                .before = own ? before : ALONG_NONE};
    if (own)
        along->elements[before].overwritten = true;
    *slot_of(along, number, value) = e + 1;
    key->newest = e;
}

void along_take_back(struct along *along, struct value name, struct value value)
{
    uint32_t number;
    along_key_of(along, name, &number);
    uint32_t e = find_element(along, number, value);
    if (e != ALONG_NONE && along->elements[e].position != ALONG_NONE)
        along_find(along, ANOMALY_BIT(G1A));
}

/* ---- Lists ---- */

/* One element more than was read of the list so far. False when it cannot be there. */
static bool extend(struct along *along, struct along_key *key, uint32_t number, struct value value)
{
    uint32_t e = find_element(along, number, value);
    if (e == ALONG_NONE) {
        along_find(along, ANOMALY_BIT(GARBAGE_READ));
        return false;
    }
    struct along_element *element = &along->elements[e];
    if (element->position != ALONG_NONE) {
        along_find(along, ANOMALY_BIT(DUPLICATE_ELEMENTS));
        return false;
    }
    if (along->txns[element->txn].state == ALONG_FAILED)
        along_find(along, ANOMALY_BIT(G1A));
    if (element->before != ALONG_NONE && along->elements[element->before].position == ALONG_NONE)
        along_find(along, ANOMALY_BIT(INCOMPATIBLE_ORDER));
    uint32_t had = key->capacity;
    along_grow(along, &key->list, &key->capacity, (uint64_t)key->count + 2, sizeof *key->list);
    if (key->capacity != had) {
        along_grow(along, &key->updaters, &had, key->capacity, sizeof *key->updaters);
        key->capacity = had;
    }
    if (key->count == 0)
        key->updaters[0] = key->first_updater;
    if (key->count > 0)
        along_edge(along, along->elements[key->list[key->count - 1]].txn, element->txn);
    for (uint32_t i = 0; along->rw && i < key->waiting_count; i++)
        along_edge(along, key->waiting[i], element->txn);
    key->waiting_count = 0;
    element->position = key->count;
    key->list[key->count++] = e;
    key->updaters[key->count] = ALONG_NONE;
    return true;
}

/* Whether the list and what was read of the key so far are one the beginning of the other. */
static bool agrees(const struct along *along, const struct along_key *key,
                   const struct value *items, size_t length)
{
    for (size_t i = 0; i < length && i < key->count; i++) {
        struct value known = along->elements[key->list[i]].value;
        if (items[i].bits != known.bits && !value_equal(items[i], known))
            return false;
    }
    return true;
}

/* ---- What a transaction did ---- */

static struct along_key *own_key(struct along *along, uint32_t txn, struct value name,
                                 uint32_t *number)
{
    struct along_key *key = along_key_of(along, name, number);
    if (key->txn != txn) {
        key->txn = txn;
        key->first_read = key->append = ALONG_NONE;
        key->longest_read = key->appends = 0;
        key->has_read = key->appended = false;
    }
    return key;
}

/* What the transaction should read, by what it read and appended before. */
static bool as_expected(const struct along *along, const struct along_key *key,
                        const struct value *items, size_t length, struct value mops)
{
    struct value room[VALUE_ROOM];
    size_t read_length = 0;
    const struct value *read = value_array(key->read, room, &read_length);
    if (!key->has_read)
        read_length = 0;
    if (length < key->appends || (key->has_read && length != read_length + key->appends))
        return false;
    for (size_t i = 0; i < read_length; i++)
        if (!value_equal(items[i], read[i]))
            return false;
    uint32_t mop = key->append;
    for (uint32_t i = 0; i < key->appends; i++, mop = along->before[mop])
        if (!value_equal(items[length - 1 - i], value_at(value_at(mops, mop), 2)))
            return false;
    return true;
}

static void add_edges(struct along *along, struct along_key *key, uint32_t txn, uint32_t version)
{
    if (along->wr && version > 0)
        along_edge(along, along->elements[key->list[version - 1]].txn, txn);
    if (!along->rw)
        return;
    if (version < key->count) {
        along_edge(along, txn, along->elements[key->list[version]].txn);
        return;
    }
    along_grow(along, &key->waiting, &key->waiting_capacity, (uint64_t)key->waiting_count + 1,
               sizeof *key->waiting);
    key->waiting[key->waiting_count++] = txn;
}

/* `mops`: the whole transaction. */
void along_read(struct along *along, uint32_t txn, struct value mops, struct value name,
                struct value list)
{
    uint32_t number;
    struct along_key *key = own_key(along, txn, name, &number);
    struct value room[VALUE_ROOM];
    size_t length;
    const struct value *items = value_array(list, room, &length);
    if ((key->has_read || key->appended) && !as_expected(along, key, items, length, mops))
        along_find(along, ANOMALY_BIT(INTERNAL));
    bool good = agrees(along, key, items, length);
    if (!good)
        along_find(along, ANOMALY_BIT(INCOMPATIBLE_ORDER));
    for (size_t i = key->count; good && i < length; i++)
        good = extend(along, key, number, items[i]);
    uint32_t version = (uint32_t)length;
    if (good && version > 0) {
        const struct along_element *last = &along->elements[key->list[version - 1]];
        if (last->overwritten && last->txn != txn)
            along_find(along, ANOMALY_BIT(G1B));
    }
    if (good && !key->appended)
        add_edges(along, key, txn, version);
    if (!key->has_read && !key->appended && good)
        key->first_read = version;
    if (good && version > key->longest_read)
        key->longest_read = version;
    key->has_read = true;
    key->read = list;
    key->append = ALONG_NONE;
    key->appends = 0;
}

static void check_update(struct along *along, struct along_key *key, uint32_t txn)
{
    uint32_t *updater = key->count == 0 ? &key->first_updater : &key->updaters[key->first_read];
    if (*updater == ALONG_NONE)
        *updater = txn;
    else
        along_find(along, ANOMALY_BIT(LOST_UPDATE));
}

void along_append(struct along *along, uint32_t txn, uint32_t mop, struct value name,
                  struct value value)
{
    uint32_t number;
    struct along_key *key = own_key(along, txn, name, &number);
    if (key->first_read != ALONG_NONE)
        check_update(along, key, txn);
    key->first_read = ALONG_NONE;
    uint32_t e = find_element(along, number, value);
    if (e != ALONG_NONE && along->elements[e].position < key->longest_read)
        along_find(along, ANOMALY_BIT(FUTURE_READ));
    along->before[mop] = key->append;
    key->append = mop;
    key->appends++;
    key->appended = true;
}
