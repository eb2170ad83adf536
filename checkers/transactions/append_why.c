/* List-append: why an edge is there, in words and as data. Found again from the reads, so that a
 * mistake in the graph cannot become an accusation. */
#include "checkers/transactions/append.h"

struct edge_text {
    const struct append *append;
    const struct txns *txns;
    uint32_t from, to;
    const char *from_name, *to_name;
    struct buf *out;
    struct json *fields;
};

static struct value value_of_slot(const struct txns *txns, uint32_t slot, uint32_t key)
{
    uint32_t writer = txns->slots[slot].txn;
    for (uint32_t m = txns->first[writer]; m < txns->first[writer + 1]; m++)
        if (txns->mops[m].kind != MOP_READ && txns->mops[m].slot == slot &&
            txns->mops[m].key == key)
            return txns->mops[m].value;
    return value_nil();
}

static void set_field(struct edge_text *e, const char *name, struct value value)
{
    struct buf text = BUF_INIT;
    value_print(value, &text);
    json_set_text(e->fields, name, buf_text(&text));
    buf_free(&text);
}

static bool after_own_append(const struct txns *txns, uint32_t t, uint32_t read)
{
    for (uint32_t m = txns->first[t]; m < read; m++)
        if (txns->mops[m].kind == MOP_APPEND && txns->mops[m].key == txns->mops[read].key)
            return true;
    return false;
}

/* Whether the key's order says nothing of what follows its last version. */
static bool is_unseen(const struct edge_text *e, const struct mop *mop)
{
    const struct append_key *key = &e->append->keys[mop->key];
    return mop->kind == MOP_APPEND && !key->irregular && !key->incompatible &&
           e->txns->committed[e->to] && e->txns->slots[mop->slot].position == TXN_NONE;
}

static bool why_ww(struct edge_text *e)
{
    const struct txns *txns = e->txns;
    for (uint32_t m = txns->first[e->to]; m < txns->first[e->to + 1]; m++) {
        const struct mop *mop = &txns->mops[m];
        const struct append_key *key = &e->append->keys[mop->key];
        if (mop->kind != MOP_APPEND || key->incompatible)
            continue;
        uint32_t position = txns->slots[mop->slot].position;
        bool unseen = position == TXN_NONE;
        if (unseen && !is_unseen(e, mop))
            continue;
        position = unseen ? key->count : position;
        const struct version *before =
            position == 0 ? NULL : append_previous(e->append, key, position - 1);
        if (before == NULL || before->txn != e->from)
            continue;
        struct value old = value_of_slot(txns, before->slot, mop->key);
        buf_printf(e->out, "%s appended ", e->to_name);
        value_print(mop->value, e->out);
        buf_printf(e->out, " after %s appended ", e->from_name);
        value_print(old, e->out);
        buf_add_text(e->out, " to key ");
        value_print(txns->keys[mop->key], e->out);
        if (unseen)
            buf_add_text(e->out, " (no read ever showed the later one, so it comes after all that "
                                 "were read)");
        set_field(e, "key", txns->keys[mop->key]);
        set_field(e, "value", old);
        set_field(e, "value'", mop->value);
        return true;
    }
    return false;
}

static bool why_wr(struct edge_text *e)
{
    const struct txns *txns = e->txns;
    for (uint32_t m = txns->first[e->to]; m < txns->first[e->to + 1]; m++) {
        const struct mop *mop = &txns->mops[m];
        if (mop->kind != MOP_READ || mop->slot == TXN_NONE || mop->slot == 0 ||
            after_own_append(txns, e->to, m))
            continue;
        const struct append_key *key = &e->append->keys[mop->key];
        const struct version *last = append_previous(e->append, key, mop->slot - 1);
        if (last == NULL || last->txn != e->from)
            continue;
        struct value value = value_of_slot(txns, last->slot, mop->key);
        buf_printf(e->out, "%s observed %s's append of ", e->to_name, e->from_name);
        value_print(value, e->out);
        buf_add_text(e->out, " to key ");
        value_print(txns->keys[mop->key], e->out);
        set_field(e, "key", txns->keys[mop->key]);
        set_field(e, "value", value);
        set_field(e, "read", mop->value);
        return true;
    }
    return false;
}

/* The append of `to` that overwrites the version that was read: its place among to's, or NONE. */
static uint32_t overwriting(const struct edge_text *e, const struct mop *read)
{
    const struct txns *txns = e->txns;
    const struct append_key *key = &e->append->keys[read->key];
    const struct version *next = append_next(e->append, key, read->slot);
    for (uint32_t m = txns->first[e->to]; m < txns->first[e->to + 1]; m++) {
        const struct mop *mop = &txns->mops[m];
        if (mop->kind != MOP_APPEND || mop->key != read->key)
            continue;
        if (next != NULL ? mop->slot == next->slot : is_unseen(e, mop))
            return m;
    }
    return TXN_NONE;
}

static bool why_rw(struct edge_text *e)
{
    const struct txns *txns = e->txns;
    for (uint32_t m = txns->first[e->from]; m < txns->first[e->from + 1]; m++) {
        const struct mop *mop = &txns->mops[m];
        if (mop->kind != MOP_READ || mop->slot == TXN_NONE ||
            e->append->keys[mop->key].incompatible || after_own_append(txns, e->from, m))
            continue;
        uint32_t append = overwriting(e, mop);
        if (append == TXN_NONE)
            continue;
        struct value written = txns->mops[append].value;
        if (value_count(mop->value) == 0) {
            buf_printf(e->out, "%s observed the initial (empty) state of key ", e->from_name);
            value_print(txns->keys[mop->key], e->out);
            buf_printf(e->out, ", to which %s appended ", e->to_name);
            value_print(written, e->out);
        } else {
            buf_printf(e->out, "%s did not observe %s's append of ", e->from_name, e->to_name);
            value_print(written, e->out);
            buf_add_text(e->out, " to key ");
            value_print(txns->keys[mop->key], e->out);
            buf_add_text(e->out, " (it read ");
            value_print(mop->value, e->out);
            buf_add_char(e->out, ')');
        }
        set_field(e, "key", txns->keys[mop->key]);
        set_field(e, "read", mop->value);
        set_field(e, "value'", written);
        return true;
    }
    return false;
}

bool append_why(const struct inference *inference, uint32_t from, uint32_t to, enum edge_type type,
                const char *from_name, const char *to_name, struct buf *out, struct json *fields)
{
    struct edge_text e = {.append = inference->state,
                          .txns = inference->txns,
                          .from = from,
                          .to = to,
                          .from_name = from_name,
                          .to_name = to_name,
                          .out = out,
                          .fields = fields};
    if (type == EDGE_WW)
        return why_ww(&e);
    if (type == EDGE_WR)
        return why_wr(&e);
    return type == EDGE_RW && why_rw(&e);
}
