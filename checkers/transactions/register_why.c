/* Registers: why an edge is there, in words and as data, found again from the reads and writes. */
#include "checkers/transactions/register.h"

struct edge_text {
    const struct registers *registers;
    const struct txns *txns;
    uint32_t from, to;
    const char *from_name, *to_name;
    struct buf *out;
    struct json *fields;
};

static void set_field(struct edge_text *e, const char *name, struct value value)
{
    struct buf text = BUF_INIT;
    value_print(value, &text);
    json_set_text(e->fields, name, buf_text(&text));
    buf_free(&text);
}

static void print_key(struct edge_text *e, uint32_t key)
{
    value_print(e->txns->keys[key], e->out);
    set_field(e, "key", e->txns->keys[key]);
}

/* What makes version a come before b. */
static const char *reason(const struct registers *registers, uint32_t a, uint32_t b)
{
    if (register_is_initial(registers, a))
        return "the initial value comes first";
    for (uint32_t i = registers->after.first[a]; i < registers->after.first[a + 1]; i++)
        if (edge_target(registers->after.edges[i]) == b)
            return registers->options.sequential ? "by the order of a process"
                                                 : "whoever wrote it had read the other";
    return "in real time";
}

static bool why_wr(struct edge_text *e)
{
    const struct txns *txns = e->txns;
    for (uint32_t m = txns->first[e->to]; m < txns->first[e->to + 1]; m++) {
        const struct mop *mop = &txns->mops[m];
        if (mop->kind != MOP_READ || mop->slot >= txns->slot_count ||
            txns->slots[mop->slot].txn != e->from)
            continue;
        buf_printf(e->out, "%s read %s's write of ", e->to_name, e->from_name);
        value_print(mop->value, e->out);
        buf_add_text(e->out, " to key ");
        print_key(e, mop->key);
        set_field(e, "value", mop->value);
        return true;
    }
    return false;
}

/* The last write of `to` to a key that comes after version a of it; its mop, or TXN_NONE. */
static uint32_t written_after(const struct edge_text *e, uint32_t key, uint32_t a)
{
    const struct txns *txns = e->txns;
    for (uint32_t m = txns->first[e->to]; m < txns->first[e->to + 1]; m++) {
        const struct mop *mop = &txns->mops[m];
        if (mop->kind == MOP_WRITE && mop->key == key && !txns->slots[mop->slot].overwritten &&
            register_precedes(e->registers, a, mop->slot))
            return m;
    }
    return TXN_NONE;
}

static bool why_overwritten(struct edge_text *e, enum edge_type type)
{
    const struct txns *txns = e->txns;
    for (uint32_t m = txns->first[e->from]; m < txns->first[e->from + 1]; m++) {
        const struct mop *mop = &txns->mops[m];
        bool fits = type == EDGE_RW ? mop->kind == MOP_READ : mop->kind == MOP_WRITE;
        if (!fits || mop->slot == TXN_NONE || e->registers->cyclic[mop->key] ||
            (mop->slot < txns->slot_count && txns->slots[mop->slot].overwritten))
            continue;
        uint32_t later = written_after(e, mop->key, mop->slot);
        if (later == TXN_NONE)
            continue;
        buf_printf(e->out, "%s %s ", e->from_name, type == EDGE_RW ? "read" : "wrote");
        value_print(mop->value, e->out);
        buf_add_text(e->out, type == EDGE_RW ? " of key " : " to key ");
        print_key(e, mop->key);
        buf_printf(e->out, ", which %s overwrote with ", e->to_name);
        value_print(txns->mops[later].value, e->out);
        buf_printf(e->out, " (%s)", reason(e->registers, mop->slot, txns->mops[later].slot));
        set_field(e, "value", mop->value);
        set_field(e, "value'", txns->mops[later].value);
        return true;
    }
    return false;
}

bool register_why(const struct inference *inference, uint32_t from, uint32_t to,
                  enum edge_type type, const char *from_name, const char *to_name, struct buf *out,
                  struct json *fields)
{
    struct edge_text e = {.registers = inference->state,
                          .txns = inference->txns,
                          .from = from,
                          .to = to,
                          .from_name = from_name,
                          .to_name = to_name,
                          .out = out,
                          .fields = fields};
    if (type == EDGE_WR)
        return why_wr(&e);
    return (type == EDGE_WW || type == EDGE_RW) && why_overwritten(&e, type);
}
