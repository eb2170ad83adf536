/* The axioms of Biswas and Enea on small histories of registers: see txn_small.h. */
#include <string.h>

#include "tests/lib/txn_small.h"

enum { INITIAL = -1, NOBODY = -2 };

struct axioms {
    const struct small *small;
    enum small_axiom axiom;
    bool committed[SMALL_TXNS], before[SMALL_TXNS][SMALL_TXNS]; /* sessions and reads */
    bool happened[SMALL_TXNS][SMALL_TXNS];                      /* by any chain of these */
    int from[SMALL_TXNS][SMALL_MOPS]; /* of reads of others: whom; NOBODY for the rest */
    int order[SMALL_TXNS], place[SMALL_TXNS], placed;
};

static bool writes(const struct small *small, int t, int key)
{
    for (int m = 0; m < small->txns[t].count; m++)
        if (!small->txns[t].mops[m].read && small->txns[t].mops[m].key == key)
            return true;
    return false;
}

/* Whose last write to the key that value is; NOBODY when it is nobody's, or was overwritten. */
static int last_writer(const struct small *small, int key, int value)
{
    for (int t = 0; t < small->count; t++) {
        int last = 0;
        for (int m = 0; m < small->txns[t].count; m++)
            if (!small->txns[t].mops[m].read && small->txns[t].mops[m].key == key)
                last = small->txns[t].mops[m].element;
        if (last == value)
            return t;
    }
    return NOBODY;
}

static bool read_from(struct axioms *a)
{
    const struct small *small = a->small;
    for (int t = 0; t < small->count; t++) {
        a->committed[t] = a->committed[t] || small->txns[t].outcome == OP_OK;
        int own[SMALL_KEYS] = {0};
        for (int m = 0; m < small->txns[t].count; m++) {
            const struct small_mop *mop = &small->txns[t].mops[m];
            a->from[t][m] = NOBODY;
            if (!mop->read) {
                own[mop->key] = mop->element;
                continue;
            }
            if (small->txns[t].outcome != OP_OK)
                continue;
            int value = mop->length == 0 ? 0 : mop->list[mop->length - 1];
            if (own[mop->key] != 0) {
                if (value != own[mop->key])
                    return false;
                continue;
            }
            a->from[t][m] = value == 0 ? INITIAL : last_writer(small, mop->key, value);
            if (a->from[t][m] == NOBODY || a->from[t][m] == t)
                return false;
            if (a->from[t][m] != INITIAL) {
                if (small->txns[a->from[t][m]].outcome == OP_FAIL)
                    return false;
                a->committed[a->from[t][m]] = true;
            }
        }
    }
    return true;
}

static void relate(struct axioms *a)
{
    const struct small *small = a->small;
    int n = small->count;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            a->before[i][j] = i != j && a->committed[i] && a->committed[j] &&
                              small->txns[i].outcome == OP_OK &&
                              small->txns[i].process == small->txns[j].process &&
                              small->txns[i].completed < small->txns[j].invoked;
    for (int t = 0; t < n; t++)
        for (int m = 0; m < small->txns[t].count; m++)
            if (a->from[t][m] >= 0)
                a->before[a->from[t][m]][t] = true;
    memcpy(a->happened, a->before, sizeof a->before);
    for (int k = 0; k < n; k++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                a->happened[i][j] = a->happened[i][j] || (a->happened[i][k] && a->happened[k][j]);
}

static bool knew(const struct axioms *a, int t3, int read, int t2)
{
    if (a->axiom == SMALL_CAUSAL)
        return a->happened[t2][t3];
    if (a->axiom == SMALL_READ_ATOMIC)
        return a->before[t2][t3];
    for (int m = 0; m < read; m++)
        if (a->from[t3][m] == t2)
            return true;
    return false;
}

static bool holds(const struct axioms *a)
{
    const struct small *small = a->small;
    for (int t3 = 0; t3 < small->count; t3++)
        for (int m = 0; m < small->txns[t3].count; m++) {
            int t1 = a->from[t3][m];
            for (int t2 = 0; t1 != NOBODY && t2 < small->count; t2++) {
                if (t2 == t1 || t2 == t3 || !a->committed[t2] ||
                    !writes(small, t2, small->txns[t3].mops[m].key) || !knew(a, t3, m, t2))
                    continue;
                if (t1 == INITIAL || a->place[t2] > a->place[t1])
                    return false;
            }
        }
    return true;
}

static bool try_orders(struct axioms *a)
{
    int n = a->small->count, all = 0;
    for (int t = 0; t < n; t++)
        all += a->committed[t];
    if (a->placed == all)
        return holds(a);
    for (int t = 0; t < n; t++) {
        bool ready = a->committed[t] && a->place[t] == 0;
        for (int i = 0; ready && i < n; i++)
            ready = !(a->before[i][t] && a->place[i] == 0);
        if (!ready)
            continue;
        a->place[t] = ++a->placed;
        bool good = try_orders(a);
        a->place[t] = 0;
        a->placed--;
        if (good)
            return true;
    }
    return false;
}

bool small_unwritten(const struct small *small)
{
    for (int t = 0; t < small->count; t++)
        for (int m = 0; m < small->txns[t].count; m++) {
            const struct small_mop *mop = &small->txns[t].mops[m];
            bool found = !mop->read || mop->length == 0 || small->txns[t].outcome != OP_OK;
            for (int w = 0; w < small->count; w++)
                for (int k = 0; k < small->txns[w].count; k++)
                    found = found || (!small->txns[w].mops[k].read &&
                                      small->txns[w].mops[k].key == mop->key &&
                                      small->txns[w].mops[k].element == mop->list[mop->length - 1]);
            if (!found)
                return true;
        }
    return false;
}

bool small_axioms(const struct small *small, enum small_axiom axiom)
{
    struct axioms a = {.small = small, .axiom = axiom};
    if (!read_from(&a))
        return false;
    relate(&a);
    return try_orders(&a);
}
