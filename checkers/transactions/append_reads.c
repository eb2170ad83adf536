/* List-append: what each read shows by itself (G1a, G1b, incompatible orders, duplicates, garbage),
 * and updates that were dirty or lost. */
#include <inttypes.h>
#include <string.h>

#include "checkers/transactions/append.h"
#include "checkers/transactions/aside.h"

enum { AHEAD = 16 };

struct reading {
    struct inference *inference;
    struct append *append;
    struct txns *txns;
    struct found *found;
};

static void add_key(const struct txns *txns, uint32_t key, struct buf *out)
{
    value_print(txns->keys[key], out);
}

static void add_slot(const struct txns *txns, uint32_t slot, uint32_t key, struct buf *out)
{
    uint32_t writer = txns->slots[slot].txn;
    for (uint32_t m = txns->first[writer]; m < txns->first[writer + 1]; m++)
        if (txns->mops[m].kind != MOP_READ && txns->mops[m].slot == slot &&
            txns->mops[m].key == key)
            value_print(txns->mops[m].value, out);
}

/* Adds "T1 = {..}" and so on for the transactions of a text. */
static void add_where(const struct txns *txns, const uint32_t *list, uint32_t count,
                      struct buf *out)
{
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(out, "\n  T%u = ", i + 1);
        found_print_txn(txns, list[i], out);
    }
}

static struct finding *tell(struct reading *r, enum anomaly anomaly, const char *title,
                            struct buf *text, uint32_t a, uint32_t b, uint32_t key)
{
    uint32_t list[2] = {a, b}, count = b == TXN_NONE || a == b ? 1 : 2;
    buf_add_text(text, "\nwhere");
    add_where(r->txns, list, count, text);
    struct finding *finding = found_tell(r->found, anomaly, title, text, list, count);
    struct buf name = BUF_INIT;
    add_key(r->txns, key, &name);
    json_set_text(finding->fields, "key", buf_text(&name));
    buf_free(&name);
    return finding;
}

/* ---- G1a, G1b ---- */

static void found_aborted(struct reading *r, uint32_t t, const struct mop *mop, uint32_t slot)
{
    if (!found_count(r->found, ANOMALY_G1A))
        return;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "T1 read ");
    value_print(mop->value, &text);
    buf_add_text(&text, " of key ");
    add_key(r->txns, mop->key, &text);
    buf_add_text(&text, ", but ");
    add_slot(r->txns, slot, mop->key, &text);
    buf_add_text(&text, " was appended by T2, which failed: an aborted read");
    tell(r, ANOMALY_G1A, "aborted read", &text, t, r->txns->slots[slot].txn, mop->key);
}

static void check_intermediate(struct reading *r, uint32_t t, const struct mop *mop, uint32_t slot)
{
    const struct slot *last = &r->txns->slots[slot];
    if (!last->overwritten || last->txn == t || !found_count(r->found, ANOMALY_G1B))
        return;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "T1 read ");
    value_print(mop->value, &text);
    buf_add_text(&text, " of key ");
    add_key(r->txns, mop->key, &text);
    buf_add_text(&text, ", whose last element ");
    add_slot(r->txns, slot, mop->key, &text);
    buf_add_text(&text, " was not T2's final append to it: an intermediate read");
    tell(r, ANOMALY_G1B, "intermediate read", &text, t, last->txn, mop->key);
}

/* ---- Reads that are not as they should be, element by element ---- */

static void found_garbage(struct reading *r, uint32_t t, const struct mop *mop,
                          struct value element)
{
    if (!found_count(r->found, ANOMALY_GARBAGE_READ))
        return;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "T1 read ");
    value_print(mop->value, &text);
    buf_add_text(&text, " of key ");
    add_key(r->txns, mop->key, &text);
    buf_add_text(&text, ", but no transaction ever appended ");
    value_print(element, &text);
    buf_add_text(&text, " to it");
    tell(r, ANOMALY_GARBAGE_READ, "read of a value that nobody wrote", &text, t, TXN_NONE,
         mop->key);
}

static void found_duplicate(struct reading *r, uint32_t t, const struct mop *mop,
                            struct value element)
{
    if (!found_count(r->found, ANOMALY_DUPLICATE_ELEMENTS))
        return;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "T1 read ");
    value_print(mop->value, &text);
    buf_add_text(&text, " of key ");
    add_key(r->txns, mop->key, &text);
    buf_add_text(&text, ", which holds ");
    value_print(element, &text);
    buf_add_text(&text, " more than once, though it was appended once");
    tell(r, ANOMALY_DUPLICATE_ELEMENTS, "duplicate elements", &text, t, TXN_NONE, mop->key);
}

/* Looks at every element of one list: the slow way, for lists of keys that are not regular. Leaves
 * the version by its last element. */
static void read_elements(struct reading *r, uint32_t t, struct mop *mop)
{
    struct txns *txns = r->txns;
    struct value room[VALUE_ROOM];
    size_t length;
    const struct value *items = value_array(mop->value, room, &length);
    struct value_table seen;
    struct arena scratch = ARENA_INIT;
    bool repeats = false, garbage = false, aborted = false;
    uint32_t slot = TXN_NONE;
    value_table_init(&seen, &scratch);
    value_table_id(&seen, value_bool(true)); /* nil is in it anyway: elements count from here */
    for (size_t i = 0; i < length; i++) {
        uint32_t known = seen.count;
        if (value_table_id(&seen, value_pair(&scratch, value_nil(), items[i])) < known &&
            !repeats) {
            found_duplicate(r, t, mop, items[i]);
            repeats = true;
        }
        slot = txns_slot(txns, mop->key, items[i]);
        if (slot == TXN_NONE && !garbage) {
            found_garbage(r, t, mop, items[i]);
            garbage = true;
        }
        if (slot == TXN_NONE)
            continue;
        uint32_t writer = txns->slots[slot].txn;
        if (txns->state[writer] == TXN_UNKNOWN)
            txns->committed[writer] = true;
        if (txns->state[writer] == TXN_FAILED && !aborted) {
            found_aborted(r, t, mop, slot);
            aborted = true;
        }
    }
    mop->slot = length == 0 ? 0 : TXN_NONE;
    if (slot != TXN_NONE) {
        check_intermediate(r, t, mop, slot);
        if (txns->slots[slot].position != TXN_NONE)
            mop->slot = txns->slots[slot].position + 1;
    }
    arena_free(&scratch);
}

static bool is_prefix(struct value list, struct value longest)
{
    if (list.bits == longest.bits)
        return true;
    if (value_begins_same(list, longest))
        return value_prefix_count(list) <= value_prefix_count(longest);
    struct value list_room[VALUE_ROOM], longest_room[VALUE_ROOM];
    size_t length, longest_length;
    const struct value *items = value_array(list, list_room, &length);
    const struct value *all = value_array(longest, longest_room, &longest_length);
    if (length == 0 || memcmp(items, all, length * sizeof *items) == 0)
        return true;
    for (size_t i = 0; i < length; i++)
        if (!value_equal(items[i], all[i]))
            return false;
    return true;
}

static void found_incompatible(struct reading *r, uint32_t t, const struct mop *mop)
{
    struct append_key *key = &r->append->keys[mop->key];
    bool first = !key->incompatible;
    key->incompatible = true;
    if (!first || !found_count(r->found, ANOMALY_INCOMPATIBLE_ORDER))
        return;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "of key ");
    add_key(r->txns, mop->key, &text);
    buf_add_text(&text, " T1 read ");
    value_print(mop->value, &text);
    buf_add_text(&text, " and T2 read ");
    value_print(key->longest, &text);
    buf_add_text(&text, ": neither is the beginning of the other, so they are not of one list");
    tell(r, ANOMALY_INCOMPATIBLE_ORDER, "incompatible orders of one list", &text, t,
         key->longest_txn, mop->key);
}

static void check_read(struct reading *r, uint32_t t, struct mop *mop)
{
    struct append_key *key = &r->append->keys[mop->key];
    bool prefix = mop->slot == 0 || is_prefix(mop->value, key->longest);
    if (!prefix)
        found_incompatible(r, t, mop);
    if (!prefix || key->irregular) {
        read_elements(r, t, mop);
        return;
    }
    uint32_t length = mop->slot;
    if (length == 0)
        return;
    const struct version *order = r->append->order + key->base;
    if (key->failed < length)
        found_aborted(r, t, mop, order[key->failed].slot);
    if (r->txns->slots[order[length - 1].slot].overwritten)
        check_intermediate(r, t, mop, order[length - 1].slot);
}

static struct reading reading_of(struct inference *inference)
{
    return (struct reading){inference, inference->state, inference->txns, inference->found};
}

/* Nearly all reads are of a plain beginning of the key's list, of which nothing need be told. Those
 * that are not are found by two threads, since that changes nothing, and looked at by one. */
struct suspects {
    uint32_t first, last; /* of the transactions between these */
    struct suspect {
        uint32_t txn, mop;
    } * list;
    uint32_t count, capacity;
    struct arena arena;
};

static bool is_plain(const struct append *append, const struct txns *txns, const struct mop *mop)
{
    const struct append_key *key = &append->keys[mop->key];
    uint32_t length = mop->slot;
    if (key->irregular || (length > 0 && !is_prefix(mop->value, key->longest)))
        return false;
    return length == 0 || (key->failed >= length &&
                           !txns->slots[append->order[key->base + length - 1].slot].overwritten);
}

static void suspect(struct suspects *suspects, uint32_t t, uint32_t m)
{
    if (suspects->count == suspects->capacity) {
        suspects->capacity = suspects->capacity == 0 ? 64 : suspects->capacity * 2;
        struct suspect *grown =
            arena_alloc(&suspects->arena, suspects->capacity * sizeof *suspects->list);
        if (suspects->count > 0)
            memcpy(grown, suspects->list, suspects->count * sizeof *grown);
        suspects->list = grown;
    }
    suspects->list[suspects->count++] = (struct suspect){t, m};
}

static void find_suspects(struct inference *inference, void *state)
{
    struct suspects *suspects = state;
    const struct append *append = inference->state;
    const struct txns *txns = inference->txns;
    for (uint32_t t = suspects->first; t < suspects->last; t++)
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
            if (txns->mops[m].kind != MOP_READ)
                continue;
            if (m + AHEAD < txns->mop_count)
                value_prefetch(txns->mops[m + AHEAD].value);
            if (!is_plain(append, txns, &txns->mops[m]))
                suspect(suspects, t, m);
        }
}

void append_find_reads(struct inference *inference)
{
    struct reading r = reading_of(inference);
    struct txns *txns = r.txns;
    struct suspects halves[] = {{.last = txns->count / 2},
                                {.first = txns->count / 2, .last = txns->count}};
    struct aside aside;
    aside_begin(&aside, inference, find_suspects, &halves[1]);
    find_suspects(inference, &halves[0]);
    aside_end(&aside, inference->found);
    for (int half = 0; half < 2; half++) {
        for (uint32_t i = 0; i < halves[half].count; i++)
            check_read(&r, halves[half].list[i].txn, &txns->mops[halves[half].list[i].mop]);
        arena_free(&halves[half].arena);
    }
}

/* ---- Dirty updates ---- */

/* A committed transaction appended to a list that held what a failed one had appended. Between the
 * two there may be transactions of which nothing is known. */
void append_find_dirty_updates(struct inference *inference)
{
    struct reading r = reading_of(inference);
    const struct txns *txns = r.txns;
    for (uint32_t k = 0; k < txns->key_count; k++) {
        const struct append_key *key = &r.append->keys[k];
        const struct version *dirty = NULL;
        for (uint32_t i = key->failed; i < key->count; i++) {
            const struct version *version = &r.append->order[key->base + i];
            enum txn_state state = txns->state[version->txn];
            if (state == TXN_FAILED && dirty == NULL)
                dirty = version;
            if (state != TXN_OK || dirty == NULL)
                continue;
            if (found_count(r.found, ANOMALY_DIRTY_UPDATE)) {
                struct buf text = BUF_INIT;
                buf_add_text(&text, "T1 failed, but what it had appended to key ");
                add_key(txns, k, &text);
                buf_add_text(&text, " (");
                add_slot(txns, dirty->slot, k, &text);
                buf_add_text(&text, ") was there when T2 appended ");
                add_slot(txns, version->slot, k, &text);
                buf_add_text(&text, " and committed: a dirty update");
                tell(&r, ANOMALY_DIRTY_UPDATE, "dirty update", &text, dirty->txn, version->txn, k);
            }
            dirty = NULL;
        }
    }
}

/* ---- Lost updates ---- */

static void found_lost(struct reading *r, uint32_t key, const struct mop *read, uint32_t first,
                       uint32_t second)
{
    if (!found_count(r->found, ANOMALY_LOST_UPDATE))
        return;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "T1 and T2 both read ");
    value_print(read->value, &text);
    buf_add_text(&text, " of key ");
    add_key(r->txns, key, &text);
    buf_add_text(&text, ", and both then wrote that key: one of the two updates was made without "
                        "knowing of the other");
    tell(r, ANOMALY_LOST_UPDATE, "lost update", &text, first, second, key);
}

/* Two ok transactions that first read one version of a key and then wrote the key. `updater` has
 * for every version of every key the first such transaction. */
void append_find_lost_updates(struct inference *inference)
{
    struct reading r = reading_of(inference);
    const struct txns *txns = r.txns;
    size_t keys = (size_t)txns->key_count + 1;
    size_t versions = (size_t)r.append->order_count + keys;
    uint32_t *updater = arena_alloc(txns->arena, versions * sizeof *updater);
    uint32_t *read_by = arena_alloc(txns->arena, keys * sizeof *read_by);
    uint32_t *read_at = arena_alloc(txns->arena, keys * sizeof *read_at);
    memset(updater, 0xff, versions * sizeof *updater);
    memset(read_by, 0xff, keys * sizeof *read_by);
    for (uint32_t t = 0; t < txns->count; t++) {
        if (txns->state[t] != TXN_OK)
            continue;
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
            const struct mop *mop = &txns->mops[m];
            bool touched = read_by[mop->key] == t;
            if (mop->kind == MOP_READ || !touched || read_at[mop->key] == TXN_NONE) {
                if (!touched) {
                    read_by[mop->key] = t;
                    read_at[mop->key] = mop->kind == MOP_READ ? m : TXN_NONE;
                }
                continue;
            }
            const struct mop *read = &txns->mops[read_at[mop->key]];
            read_at[mop->key] = TXN_NONE; /* its first write of the key is enough */
            if (read->slot == TXN_NONE)
                continue;
            uint32_t *first = &updater[r.append->keys[mop->key].base + mop->key + read->slot];
            if (*first == TXN_NONE)
                *first = t;
            else
                found_lost(&r, mop->key, read, *first, t);
        }
    }
}
