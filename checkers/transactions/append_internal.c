/* List-append: does each transaction agree with itself? A read must give what the transaction read
 * before of that key, followed by what it appended since; it cannot hold what the transaction
 * appends only later; and lists hold its appends in its order. */
#include <string.h>

#include "checkers/transactions/append.h"

/* What the transaction under way knows of each key. */
struct own_key {
    uint32_t txn;     /* the transaction it is about */
    uint32_t read;    /* its last read of the key; TXN_NONE */
    uint32_t version; /* the longest version it read so far */
    uint32_t longest; /* the read that gave it */
    uint32_t append;  /* its last append since that read; TXN_NONE */
    uint32_t appends; /* how many there were */
    uint32_t last;    /* its last append at all; TXN_NONE */
};

struct own {
    struct inference *inference;
    struct txns *txns;
    struct own_key *keys;
    uint32_t *before; /* of an append: the one before it since the last read */
    uint32_t before_capacity;
    bool ordered; /* the orders of versions are known */
    uint32_t internal_txn, future_txn,
        order_txn; /* the last ones found: each is told once a transaction */
};

/* Adds what was to be expected: "[1 2 3]", or "[... 3]" when the beginning is not known. */
static void print_expected(const struct own *own, const struct own_key *key, struct buf *out)
{
    const struct txns *txns = own->txns;
    uint32_t list[16], count = 0;
    for (uint32_t m = key->append; m != TXN_NONE && count < 16;
         m = own->before[m - txns->first[key->txn]])
        list[count++] = m;
    buf_add_char(out, '[');
    if (key->read == TXN_NONE || count < key->appends)
        buf_add_text(out, "...");
    for (size_t i = 0; key->read != TXN_NONE && i < value_count(txns->mops[key->read].value); i++) {
        if (i > 0 || count < key->appends)
            buf_add_char(out, ' ');
        value_print(value_at(txns->mops[key->read].value, i), out);
    }
    while (count-- > 0) {
        if (out->data[out->length - 1] != '[')
            buf_add_char(out, ' ');
        value_print(txns->mops[list[count]].value, out);
    }
    buf_add_char(out, ']');
}

static void found_one(struct own *own, enum anomaly anomaly, const char *title, uint32_t t,
                      struct buf *text)
{
    buf_add_text(text, "\nwhere\n  T1 = ");
    found_print_txn(own->txns, t, text);
    found_tell(own->inference->found, anomaly, title, text, &t, 1);
}

static void found_internal(struct own *own, uint32_t t, const struct mop *mop,
                           const struct own_key *key)
{
    if (!found_count(own->inference->found, ANOMALY_INTERNAL))
        return;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "T1 read ");
    value_print(mop->value, &text);
    buf_add_text(&text, " of key ");
    value_print(own->txns->keys[mop->key], &text);
    buf_add_text(&text,
                 ", but by what it had itself read and appended before it should have read ");
    print_expected(own, key, &text);
    found_one(own, ANOMALY_INTERNAL, "a transaction disagrees with itself", t, &text);
}

static void found_future(struct own *own, uint32_t t, const struct mop *read,
                         const struct mop *append)
{
    if (!found_count(own->inference->found, ANOMALY_FUTURE_READ))
        return;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "T1 read ");
    value_print(read->value, &text);
    buf_add_text(&text, " of key ");
    value_print(own->txns->keys[append->key], &text);
    buf_add_text(&text, " before it itself appended ");
    value_print(append->value, &text);
    found_one(own, ANOMALY_FUTURE_READ, "read of one's own future append", t, &text);
}

/* Whether the read is what was read last followed by the appends since. */
static bool as_expected(const struct own *own, const struct mop *mop, const struct own_key *key)
{
    const struct txns *txns = own->txns;
    struct value room[VALUE_ROOM], read_room[VALUE_ROOM];
    size_t length, read_length = 0;
    const struct value *items = value_array(mop->value, room, &length);
    if (length < key->appends)
        return false;
    if (key->read != TXN_NONE) {
        const struct value *read =
            value_array(txns->mops[key->read].value, read_room, &read_length);
        if (length != read_length + key->appends)
            return false;
        for (size_t i = 0; i < read_length; i++)
            if (items[i].bits != read[i].bits && !value_equal(items[i], read[i]))
                return false;
    }
    uint32_t m = key->append;
    for (uint32_t i = 0; i < key->appends; i++) {
        if (!value_equal(items[length - 1 - i], txns->mops[m].value))
            return false;
        m = own->before[m - txns->first[key->txn]];
    }
    return true;
}

/* Lists must hold a transaction's appends in the order in which it made them. */
static void check_own_order(struct own *own, uint32_t t, uint32_t m, uint32_t last)
{
    const struct txns *txns = own->txns;
    const struct mop *mop = &txns->mops[m];
    uint32_t position = txns->slots[mop->slot].position;
    if (last == TXN_NONE || position == TXN_NONE || own->order_txn == t)
        return;
    uint32_t before = txns->slots[txns->mops[last].slot].position;
    if (before != TXN_NONE && before < position)
        return;
    own->order_txn = t;
    if (!found_count(own->inference->found, ANOMALY_INCOMPATIBLE_ORDER))
        return;
    const struct append *append = own->inference->state;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "T1 appended ");
    value_print(txns->mops[last].value, &text);
    buf_add_text(&text, " and then ");
    value_print(mop->value, &text);
    buf_add_text(&text, " to key ");
    value_print(txns->keys[mop->key], &text);
    buf_add_text(&text, ", but the list was read as ");
    value_print(append->keys[mop->key].longest, &text);
    found_one(own, ANOMALY_INCOMPATIBLE_ORDER, "appends of one transaction out of order", t, &text);
}

static void step_append(struct own *own, uint32_t t, uint32_t m, struct own_key *key)
{
    const struct mop *mop = &own->txns->mops[m];
    uint32_t position = own->txns->slots[mop->slot].position;
    own->before[m - own->txns->first[t]] = key->append;
    check_own_order(own, t, m, key->last);
    key->append = key->last = m;
    key->appends++;
    if (position == TXN_NONE || position >= key->version || own->future_txn == t)
        return;
    own->future_txn = t;
    found_future(own, t, &own->txns->mops[key->longest], mop);
}

/* How much of the key's order the read shows; element by element where it is no plain prefix. */
static uint32_t farthest(const struct own *own, const struct mop *mop)
{
    const struct txns *txns = own->txns;
    const struct append *append = own->inference->state;
    const struct append_key *key = &append->keys[mop->key];
    struct value room[VALUE_ROOM];
    size_t length;
    uint32_t version = 0;
    if (!key->irregular && !key->incompatible)
        return mop->slot == TXN_NONE ? 0 : mop->slot;
    const struct value *items = value_array(mop->value, room, &length);
    for (size_t i = 0; i < length; i++) {
        uint32_t slot = txns_slot(txns, mop->key, items[i]);
        uint32_t position = slot == TXN_NONE ? TXN_NONE : txns->slots[slot].position;
        if (position != TXN_NONE && position + 1 > version)
            version = position + 1;
    }
    return version;
}

static void step(struct own *own, uint32_t t, uint32_t m)
{
    const struct mop *mop = &own->txns->mops[m];
    struct own_key *key = &own->keys[mop->key];
    if (key->txn != t)
        *key = (struct own_key){.txn = t, .read = TXN_NONE, .append = TXN_NONE, .last = TXN_NONE};
    if (mop->kind == MOP_APPEND) {
        step_append(own, t, m, key);
        return;
    }
    bool known = key->read != TXN_NONE || key->append != TXN_NONE;
    if (known && own->internal_txn != t && !as_expected(own, mop, key)) {
        own->internal_txn = t;
        found_internal(own, t, mop, key);
    }
    uint32_t version = own->ordered ? farthest(own, mop) : 0;
    if (version > key->version) {
        key->version = version;
        key->longest = m;
    }
    key->read = m;
    key->append = TXN_NONE;
    key->appends = 0;
}

static bool touches_twice(struct own *own, uint32_t t)
{
    /* Most transactions touch each key once: two marks tell those apart cheaply. */
    const struct txns *txns = own->txns;
    bool twice = false;
    for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
        struct own_key *key = &own->keys[txns->mops[m].key];
        twice = twice || key->longest == t;
        key->longest = t;
    }
    return twice;
}

void append_check_internal(struct inference *inference)
{
    struct txns *txns = inference->txns;
    const struct append *append = inference->state;
    struct own own = {.inference = inference,
                      .txns = txns,
                      .ordered = append->order != NULL,
                      .internal_txn = TXN_NONE,
                      .future_txn = TXN_NONE,
                      .order_txn = TXN_NONE};
    own.keys = arena_alloc(txns->arena, ((size_t)txns->key_count + 1) * sizeof *own.keys);
    memset(own.keys, 0xff, ((size_t)txns->key_count + 1) * sizeof *own.keys);
    for (uint32_t t = 0; t < txns->count; t++) {
        uint32_t size = txns->first[t + 1] - txns->first[t];
        if (!txns->committed[t] || size < 2 || !touches_twice(&own, t))
            continue;
        if (size > own.before_capacity) {
            own.before_capacity = size * 2;
            own.before = arena_alloc(txns->arena, own.before_capacity * sizeof *own.before);
        }
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++)
            step(&own, t, m);
    }
}
