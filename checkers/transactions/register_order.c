/* Registers: which versions of a key came before which: see register.h. */
#include <stdlib.h>
#include <string.h>

#include "checkers/transactions/register.h"

/* What the transaction under way found a key at, and left it at. */
struct touch {
    uint32_t txn, key, found, left, read;
};

struct touches {
    struct registers *registers;
    struct touch *by_key;
    uint32_t *keys, count; /* those of the transaction under way */
    /* with sequential keys: where each process left each key, by open addressing */
    struct seat {
        int32_t process;
        uint32_t key, version; /* version + 1 */
    } * seats;
    uint32_t seat_mask;
};

static void touch(struct touches *touches, uint32_t t, const struct mop *mop)
{
    const struct txns *txns = touches->registers->txns;
    struct touch *touch = &touches->by_key[mop->key];
    if (touch->txn != t) {
        *touch = (struct touch){t, mop->key, TXN_NONE, TXN_NONE, TXN_NONE};
        touches->keys[touches->count++] = mop->key;
    }
    if (mop->kind == MOP_READ) {
        if (mop->slot == TXN_NONE || touch->read != TXN_NONE || touch->left != TXN_NONE ||
            (mop->slot < txns->slot_count && txns->slots[mop->slot].overwritten))
            return;
        touch->read = mop->slot;
    } else if (!txns->slots[mop->slot].overwritten) {
        touch->left = mop->slot;
    }
}

static struct seat *find_seat(const struct touches *touches, int32_t process, uint32_t key)
{
    uint64_t h = ((uint64_t)(uint32_t)process << 32 | key) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t at = (uint32_t)(h >> 32) & touches->seat_mask;
    while (touches->seats[at].version != 0 &&
           (touches->seats[at].process != process || touches->seats[at].key != key))
        at = (at + 1) & touches->seat_mask;
    return &touches->seats[at];
}

static void add_after(struct graph_builder *builder, const struct registers *registers, uint32_t a,
                      uint32_t b)
{
    if (b < registers->txns->slot_count && a != TXN_NONE)
        graph_add(builder, a, b, EDGE_FREE);
}

/* One key of one transaction: what it says of the order. */
static void settle(struct touches *touches, struct graph_builder *builder, uint32_t t,
                   struct touch *touch)
{
    struct registers *registers = touches->registers;
    const struct txns *txns = registers->txns;
    touch->found = touch->read != TXN_NONE ? touch->read : touch->left;
    if (touch->left == TXN_NONE)
        touch->left = touch->read;
    if (touch->found == TXN_NONE)
        return;
    if (txns->begin_epoch[t] + 1 > registers->begun[touch->found])
        registers->begun[touch->found] = txns->begin_epoch[t] + 1;
    if (txns->end_epoch[t] < registers->ended[touch->left])
        registers->ended[touch->left] = txns->end_epoch[t];
    if (registers->options.writes_follow_reads && touch->read != TXN_NONE)
        add_after(builder, registers, touch->read, touch->left);
    if (!registers->options.sequential)
        return;
    struct seat *seat = find_seat(touches, txns->history->process[txns_event(txns, t)], touch->key);
    if (seat->version != 0)
        add_after(builder, registers, seat->version - 1, touch->found);
    /* One whose end is unknown may write long after its process went on. */
    if (txns->state[t] == TXN_OK) {
        seat->process = txns->history->process[txns_event(txns, t)];
        seat->key = touch->key;
        seat->version = touch->left + 1;
    }
}

static void settle_all(struct touches *touches, struct graph_builder *builder)
{
    const struct txns *txns = touches->registers->txns;
    size_t keys = (size_t)txns->key_count + 1;
    memset(touches->by_key, 0xff, keys * sizeof *touches->by_key);
    if (touches->seats != NULL)
        memset(touches->seats, 0, ((size_t)touches->seat_mask + 1) * sizeof *touches->seats);
    for (uint32_t t = 0; t < txns->count; t++) {
        if (!txns->committed[t])
            continue;
        touches->count = 0;
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++)
            touch(touches, t, &txns->mops[m]);
        for (uint32_t i = 0; i < touches->count; i++)
            settle(touches, builder, t, &touches->by_key[touches->keys[i]]);
    }
}

static void find_order(struct registers *registers)
{
    struct txns *txns = registers->txns;
    struct touches touches = {.registers = registers};
    size_t versions = (size_t)registers->version_count + 1, keys = (size_t)txns->key_count + 1;
    registers->ended = arena_alloc(txns->arena, versions * sizeof(uint32_t));
    registers->begun = arena_zalloc(txns->arena, versions * sizeof(uint32_t));
    memset(registers->ended, 0xff, versions * sizeof(uint32_t));
    touches.by_key = arena_alloc(txns->arena, keys * sizeof *touches.by_key);
    touches.keys = arena_alloc(txns->arena, keys * sizeof *touches.keys);
    if (registers->options.sequential) {
        touches.seat_mask = 1023;
        while (touches.seat_mask < 2 * txns->mop_count && touches.seat_mask < UINT32_MAX / 2)
            touches.seat_mask = touches.seat_mask * 2 + 1;
        touches.seats =
            arena_alloc(txns->arena, ((size_t)touches.seat_mask + 1) * sizeof *touches.seats);
    }
    struct graph_builder builder;
    graph_begin(&builder, txns->arena, registers->version_count);
    settle_all(&touches, &builder);
    if (graph_allocate(&builder, txns->arena))
        settle_all(&touches, &builder);
    registers->after = graph_end(&builder);
}

/* ---- A key's versions, by when they were last found ---- */

struct by_begun {
    uint32_t begun, slot;
};

static int compare(const void *left, const void *right)
{
    const struct by_begun *a = left, *b = right;
    if (a->begun != b->begun)
        return a->begun < b->begun ? -1 : 1;
    return (a->slot > b->slot) - (a->slot < b->slot);
}

static void make_targets(struct registers *registers)
{
    struct txns *txns = registers->txns;
    size_t keys = (size_t)txns->key_count + 2, slots = (size_t)txns->slot_count + 1;
    registers->first = arena_zalloc(txns->arena, keys * sizeof(uint32_t));
    registers->tree = arena_zalloc(txns->arena, keys * sizeof(uint32_t));
    registers->targets = arena_alloc(txns->arena, slots * sizeof(uint32_t));
    registers->place = arena_alloc(txns->arena, slots * sizeof(uint32_t));
    memset(registers->place, 0xff, slots * sizeof(uint32_t));
    struct by_begun *sorted = arena_alloc(txns->arena, slots * sizeof *sorted);
    uint32_t *at = arena_zalloc(txns->arena, keys * sizeof *at);
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t slot = 0; slot < txns->slot_count; slot++) {
            uint32_t writer = txns->slots[slot].txn;
            if (writer == TXN_NONE || !txns->committed[writer] || txns->slots[slot].overwritten)
                continue;
            uint32_t key = registers->slot_key[slot];
            if (pass == 0)
                at[key]++;
            else
                sorted[at[key]++] = (struct by_begun){registers->begun[slot], slot};
        }
        uint32_t total = 0;
        for (uint32_t key = 0; pass == 0 && key < txns->key_count; key++) {
            uint32_t count = at[key];
            registers->first[key] = at[key] = total;
            total += count;
            registers->tree[key] = registers->tree_count;
            registers->tree_count += count;
        }
        if (pass == 0)
            registers->first[txns->key_count] = total;
    }
    for (uint32_t key = 0; key < txns->key_count; key++) {
        uint32_t first = registers->first[key], count = registers->first[key + 1] - first;
        qsort(sorted + first, count, sizeof *sorted, compare);
        for (uint32_t i = 0; i < count; i++) {
            registers->targets[first + i] = sorted[first + i].slot;
            registers->place[sorted[first + i].slot] = i;
        }
    }
}

/* ---- Cyclic versions ---- */

static void add_versions(struct graph_builder *builder, const struct registers *registers)
{
    const struct txns *txns = registers->txns;
    uint32_t nodes = registers->version_count;
    for (uint32_t version = 0; version < registers->version_count; version++) {
        bool initial = version >= txns->slot_count;
        if (!initial && txns->slots[version].txn == TXN_NONE)
            continue;
        uint32_t key = initial ? version - txns->slot_count : registers->slot_key[version];
        uint32_t n = registers->first[key + 1] - registers->first[key];
        uint32_t low = register_is_initial(registers, version)
                           ? 0
                           : register_first_after(registers, key, version);
        uint32_t own = initial ? TXN_NONE : registers->place[version];
        if (own != TXN_NONE && own >= low) {
            register_add_range(builder, registers, key, version, low, own, EDGE_FREE, nodes, true);
            low = own + 1;
        }
        register_add_range(builder, registers, key, version, low, n, EDGE_FREE, nodes, true);
        if (!initial && register_precedes(registers, version, register_initial(registers, key)))
            graph_add(builder, version, register_initial(registers, key), EDGE_FREE);
        for (uint32_t e = registers->after.first[version]; e < registers->after.first[version + 1];
             e++)
            graph_add(builder, version, edge_target(registers->after.edges[e]), EDGE_FREE);
    }
    register_add_trees(builder, registers, nodes, true);
}

static void print_version(const struct registers *registers, uint32_t version, struct buf *out)
{
    const struct txns *txns = registers->txns;
    if (version >= txns->slot_count) {
        struct value unwritten = registers->unwritten[version - txns->slot_count];
        if (value_is_nil(unwritten))
            buf_add_text(out, "the initial value");
        else
            value_print(unwritten, out);
        return;
    }
    uint32_t writer = txns->slots[version].txn;
    for (uint32_t m = txns->first[writer]; m < txns->first[writer + 1]; m++)
        if (txns->mops[m].kind == MOP_WRITE && txns->mops[m].slot == version)
            value_print(txns->mops[m].value, out);
}

static void tell_cyclic(struct inference *inference, const uint32_t *members, uint32_t count,
                        uint32_t key)
{
    const struct registers *registers = inference->state;
    const struct txns *txns = inference->txns;
    if (!found_count(inference->found, ANOMALY_CYCLIC_VERSIONS))
        return;
    struct buf text = BUF_INIT;
    uint32_t writers[8], writer_count = 0, told = 0;
    buf_add_text(&text, "of key ");
    value_print(txns->keys[key], &text);
    buf_add_text(&text,
                 " each of these versions must have come before the next, and the last before "
                 "the first: ");
    for (uint32_t i = 0; i < count && told < 8; i++) {
        if (members[i] >= registers->version_count)
            continue;
        buf_add_text(&text, told++ > 0 ? ", " : "");
        print_version(registers, members[i], &text);
        if (members[i] < txns->slot_count)
            writers[writer_count++] = txns->slots[members[i]].txn;
    }
    buf_printf(&text, " (in some order; known from the initial value%s%s%s)\nwhere",
               registers->options.writes_follow_reads ? ", writes that follow reads" : "",
               registers->options.sequential ? ", the order of processes" : "",
               registers->options.linearizable ? ", real time" : "");
    for (uint32_t i = 0; i < writer_count; i++) {
        buf_printf(&text, "\n  T%u = ", i + 1);
        found_print_txn(txns, writers[i], &text);
    }
    found_tell(inference->found, ANOMALY_CYCLIC_VERSIONS, "versions in a circle", &text, writers,
               writer_count);
}

static void find_cyclic(struct inference *inference)
{
    struct registers *registers = inference->state;
    struct txns *txns = registers->txns;
    struct arena scratch = ARENA_INIT;
    struct graph_builder builder;
    graph_begin(&builder, &scratch, registers->version_count + registers->tree_count);
    add_versions(&builder, registers);
    if (graph_allocate(&builder, &scratch))
        add_versions(&builder, registers);
    struct graph graph = graph_end(&builder);
    struct walk walk = {.graph = &graph, .types = EDGES_ALL};
    struct components components;
    components_find(&walk, &scratch, &components);
    for (uint32_t c = 0; c < components.count; c++) {
        const uint32_t *members = components.members + components.first[c];
        uint32_t count = components.first[c + 1] - components.first[c], key = TXN_NONE;
        for (uint32_t i = 0; i < count && key == TXN_NONE; i++)
            if (members[i] < registers->version_count)
                key = members[i] < txns->slot_count ? registers->slot_key[members[i]]
                                                    : members[i] - txns->slot_count;
        registers->cyclic[key] = true;
        tell_cyclic(inference, members, count, key);
    }
    arena_free(&scratch);
}

void register_order(struct inference *inference)
{
    struct registers *registers = inference->state;
    struct txns *txns = registers->txns;
    registers->cyclic = arena_zalloc(txns->arena, (size_t)txns->key_count + 1);
    registers->slot_key =
        arena_alloc(txns->arena, ((size_t)txns->slot_count + 1) * sizeof(uint32_t));
    for (uint32_t m = 0; m < txns->mop_count; m++)
        if (txns->mops[m].kind == MOP_WRITE)
            registers->slot_key[txns->mops[m].slot] = txns->mops[m].key;
    find_order(registers);
    make_targets(registers);
    find_cyclic(inference);
}
