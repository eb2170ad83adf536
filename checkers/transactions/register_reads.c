/* Registers: what each read shows by itself, and lost updates: see register.h. */
#include <string.h>

#include "checkers/transactions/register.h"

struct reading {
    struct inference *inference;
    struct registers *registers;
    struct txns *txns;
    struct found *found;
};

/* What the transaction under way knows of a key. */
struct known {
    uint32_t txn;
    bool is_known, wrote;
    struct value value; /* it must read this next */
    struct value first; /* its first read before any write of its own */
    uint32_t read;      /* the version of that; TXN_NONE */
};

static struct finding *tell(struct reading *r, enum anomaly anomaly, const char *title,
                            struct buf *text, uint32_t a, uint32_t b, uint32_t key)
{
    uint32_t list[2] = {a, b}, count = b == TXN_NONE || a == b ? 1 : 2;
    buf_add_text(text, "\nwhere");
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(text, "\n  T%u = ", i + 1);
        found_print_txn(r->txns, list[i], text);
    }
    struct finding *finding = found_tell(r->found, anomaly, title, text, list, count);
    struct buf name = BUF_INIT;
    value_print(r->txns->keys[key], &name);
    json_set_text(finding->fields, "key", buf_text(&name));
    buf_free(&name);
    return finding;
}

static void add_read(const struct reading *r, const struct mop *mop, struct buf *text)
{
    buf_add_text(text, "T1 read ");
    value_print(mop->value, text);
    buf_add_text(text, " of key ");
    value_print(r->txns->keys[mop->key], text);
}

static void found_in_read(struct reading *r, enum anomaly anomaly, const char *title, uint32_t t,
                          const struct mop *mop, uint32_t other, const char *why)
{
    if (!found_count(r->found, anomaly))
        return;
    struct buf text = BUF_INIT;
    add_read(r, mop, &text);
    buf_add_text(&text, why);
    tell(r, anomaly, title, &text, t, other, mop->key);
}

static void found_internal(struct reading *r, uint32_t t, const struct mop *mop,
                           struct value expected)
{
    if (!found_count(r->found, ANOMALY_INTERNAL))
        return;
    struct buf text = BUF_INIT;
    add_read(r, mop, &text);
    buf_add_text(&text, ", but by what it had itself read and written before it should have read ");
    value_print(expected, &text);
    tell(r, ANOMALY_INTERNAL, "a transaction disagrees with itself", &text, t, TXN_NONE, mop->key);
}

/* Whether the read saw the key's version that nobody wrote: the initial one or what stands for it.
 */
static bool is_unwritten(const struct registers *registers, const struct mop *mop)
{
    struct value unwritten = registers->unwritten[mop->key];
    if (!value_is_nil(unwritten))
        return value_equal(unwritten, mop->value);
    return value_is_nil(mop->value) || value_equal(mop->value, registers->options.initial);
}

/* Keys of which nobody read the initial value, but somebody one that nobody wrote. */
static void find_unwritten(struct registers *registers)
{
    struct txns *txns = registers->txns;
    bool *initial = arena_zalloc(txns->arena, (size_t)txns->key_count + 1);
    for (uint32_t m = 0; m < txns->mop_count; m++) {
        const struct mop *mop = &txns->mops[m];
        if (mop->kind != MOP_READ)
            continue;
        if (value_is_nil(mop->value) || value_equal(mop->value, registers->options.initial))
            initial[mop->key] = true;
        else if (value_is_nil(registers->unwritten[mop->key]) &&
                 txns_slot(txns, mop->key, mop->value) == TXN_NONE)
            registers->unwritten[mop->key] = mop->value;
    }
    for (uint32_t key = 0; key < txns->key_count; key++)
        if (initial[key] || !value_is_nil(registers->options.initial))
            registers->unwritten[key] = value_nil();
}

/* The version that a read saw; TXN_NONE when it was none. */
static uint32_t version_of(struct reading *r, uint32_t t, const struct mop *mop)
{
    struct txns *txns = r->txns;
    uint32_t slot = txns_slot(txns, mop->key, mop->value);
    if (slot == TXN_NONE) {
        if (is_unwritten(r->registers, mop))
            return register_initial(r->registers, mop->key);
        found_in_read(r, ANOMALY_GARBAGE_READ, "read of a value that nobody wrote", t, mop,
                      TXN_NONE, ", but no transaction ever wrote that to it");
        return TXN_NONE;
    }
    uint32_t writer = txns->slots[slot].txn;
    if (txns->state[writer] == TXN_UNKNOWN)
        txns->committed[writer] = true;
    if (txns->state[writer] == TXN_FAILED) {
        found_in_read(r, ANOMALY_G1A, "aborted read", t, mop, writer,
                      ", which T2 wrote, but T2 failed: an aborted read");
        return TXN_NONE;
    }
    if (txns->slots[slot].overwritten && writer != t)
        found_in_read(r, ANOMALY_G1B, "intermediate read", t, mop, writer,
                      ", which T2 wrote but then overwrote itself: an intermediate read");
    return slot;
}

/* Returns false when the transaction disagrees with itself. */
static bool check_read(struct reading *r, uint32_t t, struct mop *mop, struct known *known,
                       bool tell_internal)
{
    bool agrees = !known->is_known || value_equal(known->value, mop->value) ||
                  (value_is_nil(known->value) && value_is_nil(mop->value));
    if (!agrees && tell_internal)
        found_internal(r, t, mop, known->value);
    mop->slot = TXN_NONE;
    if (!known->wrote) {
        mop->slot = version_of(r, t, mop);
        if (mop->slot < r->txns->slot_count && r->txns->slots[mop->slot].txn == t) {
            found_in_read(r, ANOMALY_FUTURE_READ, "read of one's own future write", t, mop,
                          TXN_NONE, " before it itself wrote that");
            mop->slot = TXN_NONE;
        }
        if (!known->is_known) {
            known->read = mop->slot;
            known->first = mop->value;
        }
    }
    known->is_known = true;
    known->value = mop->value;
    return agrees;
}

/* ---- Lost updates ---- */

static void check_update(struct reading *r, uint32_t t, const struct mop *mop, struct known *known,
                         uint32_t *updater)
{
    if (known->wrote || known->read == TXN_NONE || r->txns->state[t] != TXN_OK)
        return;
    uint32_t first = updater[known->read];
    if (first == TXN_NONE) {
        updater[known->read] = t;
        return;
    }
    if (!found_count(r->found, ANOMALY_LOST_UPDATE))
        return;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "T1 and T2 both read ");
    value_print(known->first, &text);
    buf_add_text(&text, " of key ");
    value_print(r->txns->keys[mop->key], &text);
    buf_add_text(&text, ", and both then wrote that key: one of the two updates was made without "
                        "knowing of the other");
    tell(r, ANOMALY_LOST_UPDATE, "lost update", &text, first, t, mop->key);
}

enum err_code register_find_reads(struct inference *inference, struct err *err)
{
    struct registers *registers = inference->state;
    struct txns *txns = inference->txns;
    struct reading r = {inference, registers, txns, inference->found};
    size_t keys = (size_t)txns->key_count + 1, versions = (size_t)registers->version_count + 1;
    registers->unwritten = arena_zalloc(txns->arena, keys * sizeof *registers->unwritten);
    find_unwritten(registers);
    struct known *known = arena_alloc(txns->arena, keys * sizeof *known);
    uint32_t *updater = arena_alloc(txns->arena, versions * sizeof *updater);
    memset(known, 0xff, keys * sizeof *known);
    memset(updater, 0xff, versions * sizeof *updater);
    for (uint32_t t = 0; t < txns->count; t++) {
        bool agrees = true;
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
            struct mop *mop = &txns->mops[m];
            struct known *own = &known[mop->key];
            if (own->txn != t)
                *own = (struct known){.txn = t, .read = TXN_NONE};
            if (mop->kind == MOP_READ) {
                agrees = check_read(&r, t, mop, own, agrees) && agrees;
                continue;
            }
            if (value_is_nil(mop->value))
                return err_set(err, ERR_PARSE,
                               "event %u: a write of nil cannot be told from the initial value",
                               txns_event(txns, t));
            check_update(&r, t, mop, own, updater);
            own->wrote = own->is_known = true;
            own->value = mop->value;
        }
    }
    return ERR_NONE;
}
