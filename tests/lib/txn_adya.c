/* Adya's phenomena by their definitions, on small histories of lists: see txn_small.h. */
#include <string.h>

#include "tests/lib/txn_small.h"

/* One order of each key's elements, and the graph that it makes. */
struct adya {
    const struct small *small;
    enum small_level level;
    int order[SMALL_KEYS][SMALL_LIST], counts[SMALL_KEYS], known[SMALL_KEYS];
    bool committed[SMALL_TXNS];
};

static int writer(const struct small *small, int key, int element)
{
    for (int t = 0; t < small->count; t++)
        for (int m = 0; m < small->txns[t].count; m++)
            if (!small->txns[t].mops[m].read && small->txns[t].mops[m].key == key &&
                small->txns[t].mops[m].element == element)
                return t;
    return -1;
}

/* Whether what a transaction wrote to a key is there in its own order, without a gap at the front.
 */
static bool in_own_order(const struct adya *adya, const struct small_txn *txn, int key)
{
    int last = -1, missing = 0;
    for (int m = 0; m < txn->count; m++) {
        if (txn->mops[m].read || txn->mops[m].key != key)
            continue;
        int at = -1;
        for (int i = 0; i < adya->known[key]; i++)
            if (adya->order[key][i] == txn->mops[m].element)
                at = i;
        if (at >= 0 && (missing > 0 || at < last))
            return false;
        missing += at < 0;
        last = at;
    }
    return true;
}

/* The longest list read of each key; false when a read is no prefix of it, repeats an element,
 * holds one that nobody wrote, or has a committed transaction's elements out of order. */
static bool orders_from_reads(struct adya *adya)
{
    const struct small *small = adya->small;
    for (int t = 0; t < small->count; t++)
        for (int m = 0; m < small->txns[t].count; m++) {
            const struct small_mop *mop = &small->txns[t].mops[m];
            if (!mop->read || small->txns[t].outcome != OP_OK)
                continue;
            int *known = &adya->known[mop->key], *order = adya->order[mop->key];
            int common = mop->length < *known ? mop->length : *known;
            if (memcmp(mop->list, order, (size_t)common * sizeof *order) != 0)
                return false;
            if (mop->length > *known) {
                memcpy(order, mop->list, (size_t)mop->length * sizeof *order);
                *known = mop->length;
            }
        }
    for (int key = 0; key < small->keys; key++)
        for (int i = 0; i < adya->known[key]; i++) {
            int by = writer(small, key, adya->order[key][i]);
            for (int j = 0; j < i; j++)
                if (adya->order[key][i] == adya->order[key][j])
                    return false;
            if (by < 0)
                return false;
            adya->committed[by] = adya->committed[by] || small->txns[by].outcome == OP_INFO;
        }
    for (int t = 0; t < small->count; t++)
        for (int key = 0; adya->committed[t] && key < small->keys; key++)
            if (!in_own_order(adya, &small->txns[t], key))
                return false;
    return true;
}

/* G1a and G1b. */
static bool reads_are_clean(const struct adya *adya)
{
    const struct small *small = adya->small;
    for (int t = 0; t < small->count; t++)
        for (int m = 0; m < small->txns[t].count; m++) {
            const struct small_mop *mop = &small->txns[t].mops[m];
            if (!mop->read || small->txns[t].outcome != OP_OK || mop->length == 0)
                continue;
            for (int i = 0; i < mop->length; i++)
                if (!adya->committed[writer(small, mop->key, mop->list[i])])
                    return false;
            int last = mop->list[mop->length - 1], by = writer(small, mop->key, last);
            bool after = false;
            for (int w = 0; w < small->txns[by].count; w++) {
                const struct small_mop *other = &small->txns[by].mops[w];
                if (other->read || other->key != mop->key)
                    continue;
                if (after && by != t)
                    return false;
                after = after || other->element == last;
            }
            /* Of its own it may see only what it wrote before. */
            for (int w = m; by == t && w < small->txns[t].count; w++)
                if (!small->txns[t].mops[w].read && small->txns[t].mops[w].key == mop->key)
                    for (int i = 0; i < mop->length; i++)
                        if (mop->list[i] == small->txns[t].mops[w].element)
                            return false;
        }
    return true;
}

/* Own elements in a read before they were written are read in the middle, too. */
static bool reads_own_future(const struct adya *adya)
{
    const struct small *small = adya->small;
    for (int t = 0; t < small->count; t++)
        for (int m = 0; m < small->txns[t].count; m++) {
            const struct small_mop *mop = &small->txns[t].mops[m];
            if (!mop->read || small->txns[t].outcome != OP_OK)
                continue;
            for (int w = m + 1; w < small->txns[t].count; w++)
                for (int i = 0; i < mop->length; i++)
                    if (!small->txns[t].mops[w].read && small->txns[t].mops[w].key == mop->key &&
                        small->txns[t].mops[w].element == mop->list[i])
                        return true;
        }
    return false;
}

struct relations {
    bool d[SMALL_TXNS][SMALL_TXNS], rw[SMALL_TXNS][SMALL_TXNS];
};

static void add(bool relation[SMALL_TXNS][SMALL_TXNS], int a, int b)
{
    if (a != b)
        relation[a][b] = true;
}

static void relate(const struct adya *adya, struct relations *r)
{
    const struct small *small = adya->small;
    memset(r, 0, sizeof *r);
    for (int key = 0; key < small->keys; key++)
        for (int i = 0; i + 1 < adya->counts[key]; i++)
            add(r->d, writer(small, key, adya->order[key][i]),
                writer(small, key, adya->order[key][i + 1]));
    if (adya->level == SMALL_READ_UNCOMMITTED)
        return;
    for (int t = 0; t < small->count; t++) {
        bool own[SMALL_KEYS] = {false};
        for (int m = 0; m < small->txns[t].count; m++) {
            const struct small_mop *mop = &small->txns[t].mops[m];
            own[mop->key] = own[mop->key] || !mop->read;
            if (!mop->read || own[mop->key] || small->txns[t].outcome != OP_OK)
                continue;
            /* Versions that never committed are none: step over them. */
            int at = 0, committed = 0;
            for (int i = 0; i < mop->length; i++)
                committed += adya->committed[writer(small, mop->key, mop->list[i])];
            at = committed;
            if (at > 0)
                add(r->d, writer(small, mop->key, adya->order[mop->key][at - 1]), t);
            if (at < adya->counts[mop->key])
                add(r->rw, t, writer(small, mop->key, adya->order[mop->key][at]));
        }
    }
}

static bool has_cycle(const struct adya *adya)
{
    struct relations r;
    int n = adya->small->count;
    relate(adya, &r);
    for (int k = 0; k < n; k++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                r.d[i][j] = r.d[i][j] || (r.d[i][k] && r.d[k][j]);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if ((i == j && r.d[i][i]) ||
                (adya->level == SMALL_CONSISTENT_VIEW && r.rw[i][j] && r.d[j][i]))
                return true;
    return false;
}

/* Tries every order of what nobody read, key by key. */
static bool try_key(struct adya *adya, int key, unsigned used)
{
    const struct small *small = adya->small;
    if (key == small->keys)
        return !has_cycle(adya);
    bool all = true;
    for (int t = 0; t < small->count; t++)
        for (int m = 0; m < small->txns[t].count; m++) {
            const struct small_mop *mop = &small->txns[t].mops[m];
            if (mop->read || mop->key != key || !adya->committed[t] ||
                (used >> mop->element & 1) != 0)
                continue;
            all = false;
            adya->order[key][adya->counts[key]++] = mop->element;
            if (try_key(adya, key, used | 1U << mop->element))
                return true;
            adya->counts[key]--;
        }
    if (!all)
        return false;
    unsigned next = 0;
    for (int i = 0; key + 1 < small->keys && i < adya->counts[key + 1]; i++)
        next |= 1U << adya->order[key + 1][i];
    return try_key(adya, key + 1, next);
}

static void keep_committed(struct adya *adya)
{
    for (int key = 0; key < adya->small->keys; key++)
        for (int i = 0; i < adya->known[key]; i++) {
            int element = adya->order[key][i];
            if (adya->committed[writer(adya->small, key, element)])
                adya->order[key][adya->counts[key]++] = element;
        }
}

static bool repeats(const struct small *small)
{
    for (int t = 0; t < small->count; t++)
        for (int m = 0; m < small->txns[t].count; m++) {
            const struct small_mop *mop = &small->txns[t].mops[m];
            for (int i = 0; mop->read && small->txns[t].outcome == OP_OK && i < mop->length; i++)
                for (int j = 0; j < i; j++)
                    if (mop->list[i] == mop->list[j])
                        return true;
        }
    return false;
}

bool small_adya(const struct small *small, enum small_level level)
{
    if (repeats(small))
        return false; /* no order of versions has a version twice */
    struct adya adya = {.small = small, .level = level};
    for (int t = 0; t < small->count; t++)
        adya.committed[t] = small->txns[t].outcome == OP_OK;
    bool ordered = orders_from_reads(&adya);
    if (level != SMALL_READ_UNCOMMITTED &&
        (!ordered || !reads_are_clean(&adya) || reads_own_future(&adya)))
        return false;
    if (!ordered)
        return true;
    keep_committed(&adya);
    unsigned used = 0;
    for (int i = 0; i < adya.counts[0]; i++)
        used |= 1U << adya.order[0][i];
    return try_key(&adya, 0, used);
}

bool small_ordered(const struct small *small)
{
    struct adya adya = {.small = small};
    for (int t = 0; t < small->count; t++)
        adya.committed[t] = small->txns[t].outcome == OP_OK;
    return orders_from_reads(&adya);
}

bool small_order_open(const struct small *small)
{
    struct adya adya = {.small = small};
    for (int t = 0; t < small->count; t++)
        adya.committed[t] = small->txns[t].outcome == OP_OK;
    if (!orders_from_reads(&adya))
        return true;
    for (int key = 0; key < small->keys; key++) {
        int unread = 0;
        for (int t = 0; t < small->count; t++)
            for (int m = 0; m < small->txns[t].count; m++) {
                const struct small_mop *mop = &small->txns[t].mops[m];
                if (mop->read || mop->key != key || !adya.committed[t])
                    continue;
                bool seen = false;
                for (int i = 0; i < adya.known[key]; i++)
                    seen = seen || adya.order[key][i] == mop->element;
                unread += !seen;
            }
        if (unread > 1)
            return true;
    }
    return false;
}
