/* List-append: the order of a key's versions is written in every list that was read.
 *
 * The longest list of a key gives the order of its elements; every other list must be a prefix.
 * What a committed transaction appended and nobody ever read comes after everything that was read,
 * since lists only grow. From the order follow the edges (Adya's): ww from each version's writer to
 * the next one's, wr from a version's writer to its readers, rw from its readers to the next
 * writer. Versions of transactions that failed are stepped over. */
#include "checkers/transactions/append.h"

#include <stdlib.h>
#include <string.h>

#include "checkers/transactions/aside.h"

enum { DIRECT_MAX = 2 }; /* with more unseen writers a key gets auxiliary nodes */

static enum err_code check_kinds(const struct txns *txns, struct err *err)
{
    if (txns->duplicate_mop != TXN_NONE) {
        struct buf mop = BUF_INIT;
        found_print_mop(txns, &txns->mops[txns->duplicate_mop], &mop);
        enum err_code code =
            err_set(err, ERR_PARSE,
                    "event %u: %s repeats an append of the same element, so reads cannot tell the "
                    "two apart: the workload must append each element to a key once",
                    txns_event(txns, txns->duplicate_txn), buf_text(&mop));
        buf_free(&mop);
        return code;
    }
    for (uint32_t t = 0; txns->single_reads > 0 && t < txns->count; t++)
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
            enum value_kind kind = value_kind(txns->mops[m].value);
            if (txns->mops[m].kind == MOP_READ && kind != VALUE_VECTOR && kind != VALUE_LIST &&
                kind != VALUE_NIL)
                return err_set(err, ERR_PARSE,
                               "event %u: a read of list-append must be a list or nil",
                               txns_event(txns, t));
        }
    return ERR_NONE;
}

/* ---- Version orders ---- */

static void find_longest(struct append *append)
{
    const struct txns *txns = append->txns;
    for (uint32_t k = 0; k < txns->key_count; k++) {
        const struct key_seen *seen = &txns->seen[k];
        struct append_key *key = &append->keys[k];
        if (seen->length == 0)
            continue;
        key->length = seen->length;
        key->longest = txns->mops[seen->longest].value;
        key->longest_txn = seen->txn;
    }
}

static void order_key(struct append *append, uint32_t number)
{
    struct txns *txns = append->txns;
    struct append_key *key = &append->keys[number];
    struct value room[VALUE_ROOM];
    size_t length;
    const struct value *items = value_array(key->longest, room, &length);
    key->failed = TXN_NONE;
    for (size_t i = 0; i < length; i++) {
        uint32_t slot = txns_slot(txns, number, items[i]);
        if (slot == TXN_NONE || txns->slots[slot].position != TXN_NONE) {
            key->irregular = true;
            continue;
        }
        uint32_t writer = txns->slots[slot].txn;
        if (txns->state[writer] == TXN_UNKNOWN)
            txns->committed[writer] = true;
        if (txns->state[writer] == TXN_FAILED && key->failed == TXN_NONE)
            key->failed = key->count;
        txns->slots[slot].position = key->count;
        append->order[key->base + key->count++] = (struct version){slot, writer};
    }
}

static void order_versions(struct append *append)
{
    struct txns *txns = append->txns;
    find_longest(append);
    for (uint32_t key = 0; key < txns->key_count; key++) {
        append->keys[key].base = append->order_count;
        append->order_count += append->keys[key].length;
    }
    append->order =
        arena_alloc(txns->arena, ((size_t)append->order_count + 1) * sizeof *append->order);
    for (uint32_t key = 0; key < txns->key_count; key++)
        order_key(append, key);
}

/* ---- Committed neighbours ---- */

static void find_committed(struct append *append)
{
    struct txns *txns = append->txns;
    bool all = true;
    for (uint32_t key = 0; key < txns->key_count; key++)
        all = all && append->keys[key].failed == TXN_NONE;
    if (all)
        return;
    size_t bytes = ((size_t)append->order_count + 1) * sizeof *append->next;
    append->next = arena_alloc(txns->arena, bytes);
    append->previous = arena_alloc(txns->arena, bytes);
    for (uint32_t k = 0; k < txns->key_count; k++) {
        const struct append_key *key = &append->keys[k];
        uint32_t near = TXN_NONE;
        for (uint32_t i = 0; i < key->count; i++) {
            if (txns->committed[append->order[key->base + i].txn])
                near = key->base + i;
            append->previous[key->base + i] = near;
        }
        near = TXN_NONE;
        for (uint32_t i = key->count; i-- > 0;) {
            if (txns->committed[append->order[key->base + i].txn])
                near = key->base + i;
            append->next[key->base + i] = near;
        }
    }
}

const struct version *append_next(const struct append *append, const struct append_key *key,
                                  uint32_t position)
{
    if (position >= key->count)
        return NULL;
    uint32_t at = key->base + position;
    if (append->next != NULL)
        at = append->next[at];
    return at == TXN_NONE ? NULL : &append->order[at];
}

const struct version *append_previous(const struct append *append, const struct append_key *key,
                                      uint32_t position)
{
    if (position >= key->count)
        return NULL;
    uint32_t at = key->base + position;
    if (append->previous != NULL)
        at = append->previous[at];
    return at == TXN_NONE ? NULL : &append->order[at];
}

/* ---- Appends that nobody read ---- */

static bool is_unseen(const struct txns *txns, uint32_t slot)
{
    const struct slot *element = &txns->slots[slot];
    return element->txn != TXN_NONE && element->position == TXN_NONE &&
           txns->committed[element->txn];
}

static int by_number(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* Elements are numbered by value, and values mostly grow with the transactions that write them. */
static void order_unseen(struct append *append, struct append_key *key)
{
    uint32_t *list = append->unseen + key->unseen, count = 0;
    bool ascending = true;
    for (uint32_t i = 1; i < key->unseen_count; i++)
        ascending = ascending && list[i - 1] <= list[i];
    if (!ascending)
        qsort(list, key->unseen_count, sizeof *list, by_number);
    for (uint32_t i = 0; i < key->unseen_count; i++)
        if (count == 0 || list[count - 1] != list[i])
            list[count++] = list[i];
    key->unseen_count = count;
    key->node = append->txns->count + append->aux_count;
    if (count > DIRECT_MAX)
        append->aux_count += 2 * count;
}

/* Those of keys whose elements are hashed, which lie in any order: `filled` are there before. */
static void find_unseen_hashed(struct append *append, uint32_t filled)
{
    struct txns *txns = append->txns;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t slot = txns->hashed_base; slot < txns->slot_count; slot++) {
            struct append_key *key = &append->keys[txns->hashed_key[slot - txns->hashed_base]];
            if (!is_unseen(txns, slot) || key->irregular || key->incompatible)
                continue;
            if (pass == 1)
                append->unseen[key->unseen + key->unseen_count] = txns->slots[slot].txn;
            key->unseen_count++;
        }
        for (uint32_t k = 0; pass == 0 && k < txns->key_count; k++) {
            struct append_key *key = &append->keys[k];
            if (txns->key_slots[k].count > 0)
                continue;
            key->unseen = filled;
            filled += key->unseen_count;
            key->unseen_count = 0;
        }
    }
}

/* The key of each slot: those of dense keys lie together, key by key, the others behind. */
static void find_unseen(struct append *append)
{
    struct txns *txns = append->txns;
    uint32_t total = 0, filled = 0;
    for (uint32_t slot = 0; slot < txns->slot_count; slot++)
        total += is_unseen(txns, slot);
    append->unseen = arena_alloc(txns->arena, ((size_t)total + 1) * sizeof *append->unseen);
    for (uint32_t k = 0; k < txns->key_count; k++) {
        const struct key_slots *slots = &txns->key_slots[k];
        struct append_key *key = &append->keys[k];
        key->unseen = filled;
        key->unseen_count = 0;
        if (key->irregular || key->incompatible)
            continue;
        for (uint32_t slot = slots->base; slot < slots->base + slots->count; slot++)
            if (is_unseen(txns, slot))
                append->unseen[filled++] = txns->slots[slot].txn;
        key->unseen_count = filled - key->unseen;
    }
    find_unseen_hashed(append, filled);
    for (uint32_t k = 0; k < txns->key_count; k++)
        order_unseen(append, &append->keys[k]);
}

/* Where `t` stands among the unseen, or where it would stand. */
static uint32_t find_in(const uint32_t *list, uint32_t count, uint32_t t)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list[middle] < t)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* From `source` to every transaction with an unseen append to the key, itself apart. Node i of the
 * first half leads to the i-th unseen and all later ones, of the second half to all earlier ones:
 * so many sources and many targets take few edges, and nobody comes before itself. */
static void add_to_unseen(struct graph_builder *builder, const struct append *append,
                          const struct append_key *key, uint32_t source, enum edge_type type)
{
    const uint32_t *list = append->unseen + key->unseen;
    uint32_t count = key->unseen_count;
    if (count <= DIRECT_MAX) {
        for (uint32_t i = 0; i < count; i++)
            graph_add(builder, source, list[i], type);
        return;
    }
    uint32_t at = find_in(list, count, source);
    bool among = at < count && list[at] == source;
    uint32_t after = among ? at + 1 : 0;
    if (after < count)
        graph_add(builder, source, key->node + after, type);
    if (among && at > 0)
        graph_add(builder, source, key->node + count + at - 1, type);
}

static void add_aux(struct graph_builder *builder, const struct append *append)
{
    for (uint32_t k = 0; k < append->txns->key_count; k++) {
        const struct append_key *key = &append->keys[k];
        uint32_t count = key->unseen_count;
        for (uint32_t i = 0; count > DIRECT_MAX && i < count; i++) {
            uint32_t later = key->node + i, earlier = key->node + count + i;
            uint32_t target = append->unseen[key->unseen + i];
            graph_add(builder, later, target, EDGE_FREE);
            graph_add(builder, earlier, target, EDGE_FREE);
            if (i + 1 < count)
                graph_add(builder, later, later + 1, EDGE_FREE);
            if (i > 0)
                graph_add(builder, earlier, earlier - 1, EDGE_FREE);
        }
    }
}

/* ---- Edges ---- */

static void add_append(struct graph_builder *builder, const struct append *append, uint32_t t,
                       const struct mop *mop)
{
    const struct append_key *key = &append->keys[mop->key];
    uint32_t position = append->txns->slots[mop->slot].position;
    if (position == TXN_NONE || key->incompatible)
        return;
    const struct version *next = append_next(append, key, position + 1);
    if (next != NULL)
        graph_add(builder, t, next->txn, EDGE_WW);
    else
        add_to_unseen(builder, append, key, t, EDGE_WW);
}

/* mop->slot is the version that was read. */
static void add_read(struct graph_builder *builder, const struct append *append, uint32_t t,
                     const struct mop *mop)
{
    const struct append_key *key = &append->keys[mop->key];
    uint32_t version = mop->slot;
    if (version == TXN_NONE)
        return;
    const struct version *last = version == 0 ? NULL : append_previous(append, key, version - 1);
    if (last != NULL)
        graph_add(builder, last->txn, t, EDGE_WR);
    if (key->incompatible)
        return; /* who saw whom is certain there, but not what came next */
    const struct version *next = append_next(append, key, version);
    if (next != NULL)
        graph_add(builder, t, next->txn, EDGE_RW);
    else
        add_to_unseen(builder, append, key, t, EDGE_RW);
}

/* `appended`: by key, the last transaction that appended to it so far, to tell reads of one's own
 * appends from others. */
static void add_edges(struct graph_builder *builder, const struct append *append,
                      uint32_t *appended)
{
    const struct txns *txns = append->txns;
    memset(appended, 0xff, ((size_t)txns->key_count + 1) * sizeof *appended);
    for (uint32_t t = 0; t < txns->count; t++) {
        if (!txns->committed[t])
            continue;
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
            const struct mop *mop = &txns->mops[m];
            if (mop->kind == MOP_APPEND) {
                add_append(builder, append, t, mop);
                appended[mop->key] = t;
            } else if (appended[mop->key] != t) {
                add_read(builder, append, t, mop);
            }
        }
    }
    add_aux(builder, append);
}

/* What needs no graph but the version orders. */
static void find_in_transactions(struct inference *inference, void *state)
{
    (void)state;
    append_check_internal(inference);
    append_find_dirty_updates(inference);
    append_find_lost_updates(inference);
}

static enum err_code make_graph(struct inference *inference, struct append *append, struct err *err)
{
    struct txns *txns = inference->txns;
    find_unseen(append);
    uint32_t *appended = arena_alloc(txns->arena, ((size_t)txns->key_count + 1) * sizeof *appended);
    struct graph_builder builder;
    graph_begin(&builder, txns->arena, txns->count + append->aux_count);
    add_edges(&builder, append, appended);
    if (!graph_allocate(&builder, txns->arena))
        return err_set(err, ERR_NOMEM, "%llu edges between transactions are too many",
                       (unsigned long long)builder.total);
    add_edges(&builder, append, appended);
    inference->graph = graph_end(&builder);
    return ERR_NONE;
}

enum err_code append_infer(struct inference *inference, struct err *err)
{
    struct txns *txns = inference->txns;
    struct append *append = arena_zalloc(txns->arena, sizeof *append);
    append->txns = txns;
    inference->state = append;
    inference->why = append_why;
    append->keys = arena_zalloc(txns->arena, ((size_t)txns->key_count + 1) * sizeof *append->keys);
    enum err_code code = check_kinds(txns, err);
    if (code != ERR_NONE) {
        append_check_internal(inference); /* that needs to know of nobody else */
        return code;
    }
    order_versions(append);
    append_find_reads(inference);
    find_committed(append);
    struct aside aside;
    aside_begin(&aside, inference, find_in_transactions, NULL);
    code = make_graph(inference, append, err);
    aside_end(&aside, inference->found);
    return code;
}
