/* The history as a problem of orders: see orders.h. */
#include "checkers/transactions/orders.h"

#include <string.h>

/* ---- From the history ---- */

struct maker {
    const struct txns *txns;
    const struct registers *registers;
    struct orders *orders;
    uint32_t *number;  /* of each transaction of the history; TXN_NONE */
    uint32_t *key;     /* of each key of the history */
    uint32_t *phantom; /* of each key of the history: who wrote what nobody wrote; TXN_NONE */
    uint32_t *phantom_key, real_count; /* the key of each of those, from real_count on */
    uint32_t *stamp; /* by key of the problem: it was read or written already, by .. + 1 */
    uint32_t *wrote;
};

static void number_all(struct maker *maker, struct arena *arena)
{
    const struct txns *txns = maker->txns;
    struct orders *orders = maker->orders;
    size_t most = (size_t)txns->count + txns->key_count + 1;
    orders->txn = arena_alloc(arena, most * sizeof(uint32_t));
    orders->keys = arena_alloc(arena, ((size_t)txns->key_count + 1) * sizeof(uint32_t));
    for (uint32_t key = 0; key < txns->key_count; key++)
        orders->keys[maker->key[key] = orders->key_count++] = key;
    for (uint32_t t = 0; t < txns->count; t++)
        if (txns->committed[t])
            orders->txn[maker->number[t] = orders->count++] = t;
    maker->real_count = orders->count;
    for (uint32_t m = 0; m < txns->mop_count; m++) {
        const struct mop *mop = &txns->mops[m];
        bool unwritten = mop->kind == MOP_READ && mop->slot != TXN_NONE &&
                         mop->slot >= txns->slot_count &&
                         !register_is_initial(maker->registers, mop->slot);
        if (!unwritten || maker->phantom[mop->key] != TXN_NONE)
            continue;
        maker->phantom_key[orders->count - maker->real_count] = maker->key[mop->key];
        orders->txn[maker->phantom[mop->key] = orders->count++] = TXN_NONE;
    }
}

static void add_txn(struct maker *maker, uint32_t i, uint32_t *reads, uint32_t *writes)
{
    const struct txns *txns = maker->txns;
    struct orders *orders = maker->orders;
    uint32_t t = orders->txn[i];
    for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
        const struct mop *mop = &txns->mops[m];
        uint32_t key = maker->key[mop->key];
        if (mop->kind == MOP_WRITE) {
            if (maker->wrote[key] != i + 1)
                orders->writes[(*writes)++] = key;
            maker->wrote[key] = i + 1;
            continue;
        }
        if (mop->slot == TXN_NONE || maker->stamp[key] == i + 1 || maker->wrote[key] == i + 1)
            continue;
        maker->stamp[key] = i + 1;
        uint32_t from = ORDER_INITIAL;
        if (mop->slot < txns->slot_count)
            from = maker->number[txns->slots[mop->slot].txn];
        else if (!register_is_initial(maker->registers, mop->slot))
            from = maker->phantom[mop->key];
        orders->reads[(*reads)++] = (struct order_read){key, from};
    }
}

static void make_columns(struct orders *orders, uint32_t reads, uint32_t writes,
                         struct arena *arena)
{
    size_t n = (size_t)orders->count + 1;
    orders->read_first = arena_zalloc(arena, (n + 1) * sizeof(uint32_t));
    orders->write_first = arena_zalloc(arena, (n + 1) * sizeof(uint32_t));
    orders->reads = arena_alloc(arena, ((size_t)reads + 1) * sizeof *orders->reads);
    orders->writes = arena_alloc(arena, ((size_t)writes + 1) * sizeof *orders->writes);
    orders->previous = arena_alloc(arena, n * sizeof(uint32_t));
    orders->begin = arena_alloc(arena, n * sizeof(uint32_t));
    orders->end = arena_alloc(arena, n * sizeof(uint32_t));
}

static uint32_t *filled(struct arena *arena, size_t count, int byte)
{
    uint32_t *words = arena_alloc(arena, (count + 1) * sizeof *words);
    memset(words, byte, (count + 1) * sizeof *words);
    return words;
}

struct orders *orders_make(const struct inference *inference, struct arena *arena)
{
    const struct txns *txns = inference->txns;
    struct orders *orders = arena_zalloc(arena, sizeof *orders);
    struct maker maker = {.txns = txns,
                          .registers = inference->state,
                          .orders = orders,
                          .number = filled(arena, txns->count, 0xff),
                          .key = filled(arena, txns->key_count, 0xff),
                          .phantom = filled(arena, txns->key_count, 0xff),
                          .phantom_key = filled(arena, txns->key_count, 0xff),
                          .stamp = filled(arena, txns->key_count, 0),
                          .wrote = filled(arena, txns->key_count, 0)};
    number_all(&maker, arena);
    make_columns(orders, txns->reads, txns->writes + txns->key_count, arena);
    uint32_t reads = 0, writes = 0;
    for (uint32_t i = 0; i < orders->count; i++) {
        uint32_t t = orders->txn[i];
        orders->previous[i] = orders->end[i] = TXN_NONE;
        orders->begin[i] = 0;
        if (t == TXN_NONE) {
            orders->writes[writes++] = maker.phantom_key[i - maker.real_count];
        } else {
            orders->begin[i] = txns->begin_epoch[t];
            orders->end[i] = txns->end_epoch[t];
            if (txns->previous[t] != TXN_NONE)
                orders->previous[i] = maker.number[txns->previous[t]];
            add_txn(&maker, i, &reads, &writes);
        }
        orders->read_first[i + 1] = reads;
        orders->write_first[i + 1] = writes;
    }
    return orders;
}

/* ---- Parts ---- */

struct orders *orders_part(const struct orders *whole, const bool *keep, struct arena *arena)
{
    struct orders *part = arena_alloc(arena, sizeof *part);
    uint32_t *number = filled(arena, whole->count, 0xff);
    uint32_t *key = filled(arena, whole->key_count, 0xff);
    *part = (struct orders){.form = whole->form, .snapshots = whole->snapshots};
    uint32_t reads = 0, writes = 0, read_max = 0, write_max = 0;
    for (uint32_t i = 0; i < whole->count; i++)
        if (keep[i]) {
            number[i] = part->count++;
            read_max += whole->read_first[i + 1] - whole->read_first[i];
            write_max += whole->write_first[i + 1] - whole->write_first[i];
        }
    make_columns(part, read_max, write_max, arena);
    part->txn = arena_alloc(arena, ((size_t)part->count + 1) * sizeof(uint32_t));
    part->keys = arena_alloc(arena, ((size_t)read_max + write_max + 1) * sizeof(uint32_t));
    for (uint32_t i = 0; i < whole->count; i++) {
        if (!keep[i])
            continue;
        uint32_t at = number[i], before = whole->previous[i];
        while (before != TXN_NONE && !keep[before])
            before = whole->previous[before];
        part->previous[at] = before == TXN_NONE ? TXN_NONE : number[before];
        part->txn[at] = whole->txn[i];
        part->begin[at] = whole->begin[i];
        part->end[at] = whole->end[i];
        for (uint32_t w = whole->write_first[i]; w < whole->write_first[i + 1]; w++) {
            uint32_t k = whole->writes[w];
            if (key[k] == TXN_NONE)
                part->keys[key[k] = part->key_count++] = whole->keys[k];
            part->writes[writes++] = key[k];
        }
        for (uint32_t r = whole->read_first[i]; r < whole->read_first[i + 1]; r++) {
            struct order_read read = whole->reads[r];
            if (read.from != ORDER_INITIAL && !keep[read.from])
                continue;
            if (key[read.key] == TXN_NONE)
                part->keys[key[read.key] = part->key_count++] = whole->keys[read.key];
            part->reads[reads++] = (struct order_read){
                key[read.key], read.from == ORDER_INITIAL ? ORDER_INITIAL : number[read.from]};
        }
        part->read_first[at + 1] = reads;
        part->write_first[at + 1] = writes;
    }
    return part;
}

bool orders_before(const struct orders *orders, uint32_t a, uint32_t b)
{
    if (orders->form == ORDER_REALTIME)
        return orders->end[a] < orders->begin[b];
    for (uint32_t i = orders->previous[b]; orders->form == ORDER_SESSION && i != TXN_NONE;
         i = orders->previous[i])
        if (i == a)
            return true;
    return false;
}

const uint64_t *orders_rank(const struct orders *orders, struct arena *arena)
{
    uint64_t *rank = arena_alloc(arena, ((size_t)orders->count + 1) * sizeof *rank);
    uint32_t *depth = filled(arena, orders->count, 0);
    for (uint32_t i = 0; i < orders->count; i++) {
        uint32_t before = orders->previous[i]; /* always a smaller number */
        depth[i] = before == TXN_NONE ? 1 : depth[before] + 1;
        bool timed = orders->end[i] != TXN_NONE || orders->begin[i] > 0;
        uint64_t when = orders->end[i] == TXN_NONE ? orders->begin[i] : orders->end[i];
        rank[i] = (timed ? when + 1 : depth[i]) << 31 | i >> 1;
        if (orders->txn[i] == TXN_NONE)
            rank[i] = 0;
    }
    return rank;
}
