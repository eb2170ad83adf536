/* Recency: see recency.h. Events stand for times throughout: an event's index tells what came
 * before what, its time only how long. */
#include "checkers/transactions/recency.h"

#include <string.h>

#include "checkers/transactions/append.h"
#include "checkers/transactions/register.h"

static void at_most(uint32_t *event, uint32_t other)
{
    *event = other < *event ? other : *event;
}

/* `shown`: the event by which something newer than what was read was certainly there;
 * HISTORY_NONE. */
static void measure(struct recency *recency, const struct txns *txns, uint32_t t, uint32_t mop,
                    uint32_t shown)
{
    const int64_t *time_ns = txns->history->time_ns;
    uint32_t invoked = txns->invoked[t];
    if (invoked == HISTORY_NONE || time_ns[invoked] < 0)
        return;
    recency->reads++;
    if (shown == HISTORY_NONE || shown >= invoked || time_ns[shown] < 0)
        return;
    int64_t age_ns = time_ns[invoked] - time_ns[shown];
    if (recency->ages.count == 0 || age_ns > recency->ages.most_ns) {
        recency->txn = t;
        recency->mop = mop;
        recency->missed = shown;
    }
    durations_add(&recency->ages, age_ns);
}

static uint32_t *no_events(const struct txns *txns, size_t count)
{
    uint32_t *events = arena_alloc(txns->arena, count * sizeof *events);
    memset(events, 0xff, count * sizeof *events); /* HISTORY_NONE */
    return events;
}

/* ---- Lists ---- */

/* Of each key by length, from 0 to one more than the longest list: by which event there was
 * certainly a list so long. The last entry is of appends that nobody read: they came after all that
 * was. */
struct lengths {
    const struct append *append;
    const struct txns *txns;
    uint32_t *shown;
};

static uint32_t *lengths_of(const struct lengths *lengths, uint32_t key)
{
    return lengths->shown + lengths->append->keys[key].base + (size_t)2 * key;
}

static bool is_measured(const struct append *append, const struct mop *mop)
{
    const struct append_key *key = &append->keys[mop->key];
    return !key->irregular && !key->incompatible;
}

static void note(struct lengths *lengths, uint32_t t, const struct mop *mop)
{
    const struct append_key *key = &lengths->append->keys[mop->key];
    uint32_t length = mop->slot;
    if (mop->kind == MOP_APPEND) {
        uint32_t position = lengths->txns->slots[mop->slot].position;
        length = position == TXN_NONE ? key->count + 1 : position + 1;
    }
    if (length != TXN_NONE)
        at_most(&lengths_of(lengths, mop->key)[length], lengths->txns->completed[t]);
}

static void note_all(struct lengths *lengths)
{
    const struct txns *txns = lengths->txns;
    for (uint32_t t = 0; t < txns->count; t++)
        for (uint32_t m = txns->first[t]; txns->state[t] == TXN_OK && m < txns->first[t + 1]; m++)
            if (is_measured(lengths->append, &txns->mops[m]))
                note(lengths, t, &txns->mops[m]);
    for (uint32_t k = 0; k < txns->key_count; k++) {
        uint32_t *shown = lengths_of(lengths, k);
        for (uint32_t length = lengths->append->keys[k].count + 1; length > 0; length--)
            at_most(&shown[length - 1], shown[length]); /* a longer list is at least so long */
    }
}

void recency_of_lists(const struct inference *inference, struct recency *recency)
{
    const struct txns *txns = inference->txns;
    struct lengths lengths = {.append = inference->state, .txns = txns};
    size_t keys = (size_t)txns->key_count + 1;
    lengths.shown = no_events(txns, (size_t)lengths.append->order_count + 2 * keys);
    uint32_t *appended = no_events(txns, keys); /* by key: the last transaction that did */
    note_all(&lengths);
    for (uint32_t t = 0; t < txns->count; t++)
        for (uint32_t m = txns->first[t]; txns->state[t] == TXN_OK && m < txns->first[t + 1]; m++) {
            const struct mop *mop = &txns->mops[m];
            if (mop->kind == MOP_APPEND)
                appended[mop->key] = t;
            else if (appended[mop->key] != t && mop->slot != TXN_NONE &&
                     is_measured(lengths.append, mop))
                measure(recency, txns, t, m, lengths_of(&lengths, mop->key)[mop->slot + 1]);
        }
}

/* ---- Registers ---- */

/* The writes of all keys, key by key, in the order of their invocation. */
struct writes {
    const struct registers *registers;
    const struct txns *txns;
    uint32_t *there;           /* by slot: the event by which it was certainly there */
    uint32_t *first;           /* of each key: writes first[k] .. first[k + 1] */
    uint32_t *invoked, *newer; /* newer: by which event this or a later one was certainly there */
};

static void find_there(struct writes *writes)
{
    const struct txns *txns = writes->txns;
    writes->there = no_events(txns, (size_t)txns->slot_count + 1);
    for (uint32_t t = 0; t < txns->count; t++)
        for (uint32_t m = txns->first[t]; txns->state[t] == TXN_OK && m < txns->first[t + 1]; m++)
            if (txns->mops[m].slot < txns->slot_count) /* no initial version, nor none */
                at_most(&writes->there[txns->mops[m].slot], txns->completed[t]);
}

static bool is_listed(const struct txns *txns, uint32_t t, const struct mop *mop)
{
    return mop->kind == MOP_WRITE && txns->invoked[t] != HISTORY_NONE &&
           txns->state[t] != TXN_FAILED;
}

static void list_writes(struct writes *writes)
{
    const struct txns *txns = writes->txns;
    size_t keys = (size_t)txns->key_count + 2;
    writes->first = arena_zalloc(txns->arena, keys * sizeof *writes->first);
    for (uint32_t t = 0; t < txns->count; t++)
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++)
            writes->first[txns->mops[m].key + 1] += is_listed(txns, t, &txns->mops[m]);
    for (uint32_t key = 0; key < txns->key_count; key++)
        writes->first[key + 1] += writes->first[key];
    uint32_t total = writes->first[txns->key_count];
    uint32_t *at = arena_alloc(txns->arena, keys * sizeof *at);
    memcpy(at, writes->first, keys * sizeof *at);
    writes->invoked = no_events(txns, (size_t)total + 1);
    writes->newer = no_events(txns, (size_t)total + 1);
    for (uint32_t t = 0; t < txns->count; t++)
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
            const struct mop *mop = &txns->mops[m];
            if (!is_listed(txns, t, mop))
                continue;
            uint32_t place = at[mop->key]++;
            writes->invoked[place] = txns->invoked[t];
            writes->newer[place] = writes->there[mop->slot];
        }
    for (uint32_t key = 0; key < txns->key_count; key++)
        for (uint32_t i = writes->first[key + 1]; i-- > writes->first[key] + 1;)
            at_most(&writes->newer[i - 1], writes->newer[i]);
}

/* By which event there was certainly something newer than the version. */
static uint32_t newer_than(const struct writes *writes, uint32_t key, uint32_t version)
{
    uint32_t low = writes->first[key], end = writes->first[key + 1], high = end;
    bool initial = register_is_initial(writes->registers, version);
    uint32_t there = version < writes->txns->slot_count ? writes->there[version] : HISTORY_NONE;
    while (!initial && low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (writes->invoked[middle] > there)
            high = middle;
        else
            low = middle + 1;
    }
    return low < end ? writes->newer[low] : HISTORY_NONE;
}

void recency_of_registers(const struct inference *inference, struct recency *recency)
{
    const struct txns *txns = inference->txns;
    struct writes writes = {.registers = inference->state, .txns = txns};
    find_there(&writes);
    list_writes(&writes);
    for (uint32_t t = 0; t < txns->count; t++)
        for (uint32_t m = txns->first[t]; txns->state[t] == TXN_OK && m < txns->first[t + 1]; m++) {
            const struct mop *mop = &txns->mops[m];
            bool intermediate = mop->slot < txns->slot_count && txns->slots[mop->slot].overwritten;
            if (mop->kind == MOP_READ && mop->slot != TXN_NONE && !intermediate)
                measure(recency, txns, t, m, newer_than(&writes, mop->key, mop->slot));
        }
}

/* ---- The result ---- */

struct json *recency_json(const struct recency *recency, const struct txns *txns)
{
    struct json *object = json_object();
    json_set_int(object, "read-count", (int64_t)recency->reads);
    json_set_int(object, "stale-count", (int64_t)recency->ages.count);
    json_set(object, "age", durations_json(&recency->ages));
    if (recency->ages.count == 0)
        return object;
    struct json *oldest = json_set(object, "oldest", json_object());
    const struct mop *mop = &txns->mops[recency->mop];
    struct buf key = BUF_INIT, read = BUF_INIT;
    value_print(txns->keys[mop->key], &key);
    value_print(mop->value, &read);
    json_set_text(oldest, "key", buf_text(&key));
    json_set_text(oldest, "read", buf_text(&read));
    json_set_int(oldest, "age-ns", recency->ages.most_ns);
    json_set_int(oldest, "event", txns_event(txns, recency->txn));
    json_set_int(oldest, "missed-event", recency->missed);
    buf_free(&key);
    buf_free(&read);
    return object;
}
