/* Read-write registers: each value is written to a key once, so a read tells whose write it saw.
 *
 * What follows a version is a range of the key's other versions (those found later), so edges go to
 * the nodes of a tree over them, a few for each range: what a transaction itself wrote is left out
 * of it, and nobody comes before itself. */
#include "checkers/transactions/register.h"

#include <string.h>

/* ---- Ranges ---- */

static uint32_t target_node(const struct registers *registers, uint32_t target, bool versions)
{
    return versions ? target : registers->txns->slots[target].txn;
}

/* Inner node i of a key's tree has the children 2 i and 2 i + 1; from n on they are the targets. */
static uint32_t tree_node(const struct registers *registers, uint32_t key, uint32_t i,
                          uint32_t nodes, bool versions)
{
    uint32_t n = registers->first[key + 1] - registers->first[key];
    if (i >= n)
        return target_node(registers, registers->targets[registers->first[key] + i - n], versions);
    return nodes + registers->tree[key] + i;
}

void register_add_range(struct graph_builder *builder, const struct registers *registers,
                        uint32_t key, uint32_t source, uint32_t low, uint32_t high,
                        enum edge_type type, uint32_t nodes, bool versions)
{
    uint32_t n = registers->first[key + 1] - registers->first[key];
    for (low += n, high += n; low < high; low /= 2, high /= 2) {
        if (low & 1)
            graph_add(builder, source, tree_node(registers, key, low++, nodes, versions), type);
        if (high & 1)
            graph_add(builder, source, tree_node(registers, key, --high, nodes, versions), type);
    }
}

void register_add_trees(struct graph_builder *builder, const struct registers *registers,
                        uint32_t nodes, bool versions)
{
    for (uint32_t key = 0; key < registers->txns->key_count; key++) {
        uint32_t n = registers->first[key + 1] - registers->first[key];
        for (uint32_t i = 1; i < n; i++)
            for (uint32_t child = 2 * i; child <= 2 * i + 1; child++)
                graph_add(builder, nodes + registers->tree[key] + i,
                          tree_node(registers, key, child, nodes, versions), EDGE_FREE);
    }
}

uint32_t register_first_after(const struct registers *registers, uint32_t key, uint32_t version)
{
    const uint32_t *targets = registers->targets + registers->first[key];
    uint32_t low = 0, high = registers->first[key + 1] - registers->first[key];
    uint32_t ended = registers->ended[version];
    if (!registers->options.linearizable || ended == TXN_NONE)
        return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (registers->begun[targets[middle]] > ended + 1)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

bool register_precedes(const struct registers *registers, uint32_t a, uint32_t b)
{
    if (a == b)
        return false;
    if (register_is_initial(registers, a))
        return b < registers->txns->slot_count;
    for (uint32_t e = registers->after.first[a]; e < registers->after.first[a + 1]; e++)
        if (edge_target(registers->after.edges[e]) == b)
            return true;
    return registers->options.linearizable && registers->ended[a] != TXN_NONE &&
           registers->begun[b] > registers->ended[a] + 1;
}

/* ---- Edges ---- */

/* From `t`, which wrote or read the version, to those who wrote what comes after it; `own` is what
 * t wrote to the key itself, or TXN_NONE. */
static void add_after(struct graph_builder *builder, const struct registers *registers, uint32_t t,
                      uint32_t key, uint32_t version, uint32_t own, enum edge_type type)
{
    const struct txns *txns = registers->txns;
    uint32_t n = registers->first[key + 1] - registers->first[key], nodes = txns->count;
    uint32_t low =
        register_is_initial(registers, version) ? 0 : register_first_after(registers, key, version);
    uint32_t out[2] = {TXN_NONE, TXN_NONE};
    if (registers->cyclic[key])
        return;
    if (version < txns->slot_count)
        out[0] = registers->place[version];
    if (own != TXN_NONE)
        out[1] = registers->place[own];
    if (out[1] < out[0]) {
        uint32_t swap = out[0];
        out[0] = out[1];
        out[1] = swap;
    }
    for (int i = 0; i < 2; i++)
        if (out[i] != TXN_NONE && out[i] >= low) {
            register_add_range(builder, registers, key, t, low, out[i], type, nodes, false);
            low = out[i] + 1;
        }
    register_add_range(builder, registers, key, t, low, n, type, nodes, false);
    for (uint32_t e = registers->after.first[version]; e < registers->after.first[version + 1];
         e++) {
        uint32_t next = edge_target(registers->after.edges[e]);
        if (txns->committed[txns->slots[next].txn])
            graph_add(builder, t, txns->slots[next].txn, type);
    }
}

static uint32_t own_write(const struct txns *txns, uint32_t t, uint32_t key)
{
    uint32_t own = TXN_NONE;
    for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++)
        if (txns->mops[m].kind == MOP_WRITE && txns->mops[m].key == key)
            own = txns->mops[m].slot;
    return own;
}

static void add_edges(struct graph_builder *builder, const struct registers *registers)
{
    const struct txns *txns = registers->txns;
    for (uint32_t t = 0; t < txns->count; t++) {
        if (!txns->committed[t])
            continue;
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
            const struct mop *mop = &txns->mops[m];
            if (mop->kind == MOP_WRITE) {
                if (!txns->slots[mop->slot].overwritten)
                    add_after(builder, registers, t, mop->key, mop->slot, mop->slot, EDGE_WW);
                continue;
            }
            if (mop->slot == TXN_NONE)
                continue;
            if (mop->slot < txns->slot_count && txns->committed[txns->slots[mop->slot].txn])
                graph_add(builder, txns->slots[mop->slot].txn, t, EDGE_WR);
            if (mop->slot < txns->slot_count && txns->slots[mop->slot].overwritten)
                continue; /* a version that is none: told as G1b */
            add_after(builder, registers, t, mop->key, mop->slot, own_write(txns, t, mop->key),
                      EDGE_RW);
        }
    }
    register_add_trees(builder, registers, txns->count, false);
}

enum err_code register_infer(struct inference *inference, const struct register_options *options,
                             struct err *err)
{
    struct txns *txns = inference->txns;
    struct registers *registers = arena_zalloc(txns->arena, sizeof *registers);
    registers->txns = txns;
    registers->options = *options;
    registers->version_count = txns->slot_count + txns->key_count;
    inference->state = registers;
    inference->why = register_why;
    if (txns->duplicate_mop != TXN_NONE) {
        struct buf mop = BUF_INIT;
        found_print_mop(txns, &txns->mops[txns->duplicate_mop], &mop);
        enum err_code code =
            err_set(err, ERR_PARSE,
                    "event %u: %s writes a value that was written to the key before, so reads "
                    "cannot tell the two apart: the workload must write each value once",
                    txns_event(txns, txns->duplicate_txn), buf_text(&mop));
        buf_free(&mop);
        return code;
    }
    enum err_code code = register_find_reads(inference, err);
    if (code != ERR_NONE)
        return code;
    register_order(inference);
    struct graph_builder builder;
    graph_begin(&builder, txns->arena, txns->count + registers->tree_count);
    add_edges(&builder, registers);
    if (!graph_allocate(&builder, txns->arena))
        return err_set(err, ERR_NOMEM, "%llu edges between transactions are too many",
                       (unsigned long long)builder.total);
    add_edges(&builder, registers);
    inference->graph = graph_end(&builder);
    return ERR_NONE;
}
