/* Small histories of transactions: see txn_small.h. */
#include "tests/lib/txn_small.h"

#include <stdio.h>
#include <string.h>

/* ---- Making ---- */

/* Times: each process does one transaction after the other; events of different processes mix. */
static void draw_times(struct prng *prng, struct small *small)
{
    int next = 0, open[SMALL_TXNS], open_count = 0, begun = 0;
    while (begun < small->count || open_count > 0) {
        bool begin =
            begun < small->count && open_count < 4 && (open_count == 0 || prng_below(prng, 2) == 0);
        if (begin) {
            struct small_txn *txn = &small->txns[begun];
            bool used[8] = {false};
            for (int i = 0; i < open_count; i++)
                used[small->txns[open[i]].process & 7] = true;
            txn->process = (int)prng_below(prng, 4);
            while (used[txn->process & 7])
                txn->process = (txn->process + 1) & 3;
            txn->invoked = next++;
            open[open_count++] = begun++;
        } else {
            int at = (int)prng_below(prng, (uint64_t)open_count);
            struct small_txn *txn = &small->txns[open[at]];
            txn->completed = next++;
            if (txn->outcome == OP_INFO) /* its process is retired: later ones get a new number */
                for (int i = begun; i < small->count; i++)
                    small->txns[i].process = 0;
            open[at] = open[--open_count];
        }
    }
    /* Retired numbers must not come again: give every unknown one a process of its own. */
    for (int i = 0; i < small->count; i++)
        if (small->txns[i].outcome == OP_INFO)
            small->txns[i].process = 8 + i;
}

/* The order of all writes of each key, as some store could have had it. */
static void draw_versions(struct prng *prng, const struct small *small,
                          int versions[SMALL_KEYS][SMALL_LIST], int counts[SMALL_KEYS])
{
    int order[SMALL_TXNS];
    for (int i = 0; i < small->count; i++)
        order[i] = i;
    if (prng_below(prng, 3) == 0)
        prng_shuffle(prng, order, (size_t)small->count, sizeof order[0]);
    memset(counts, 0, SMALL_KEYS * sizeof counts[0]);
    for (int i = 0; i < small->count; i++) {
        const struct small_txn *txn = &small->txns[order[i]];
        bool applied = txn->outcome == OP_OK ||
                       (txn->outcome == OP_INFO && prng_below(prng, 2) == 0) ||
                       (txn->outcome == OP_FAIL && prng_below(prng, 12) == 0);
        for (int m = 0; applied && m < txn->count; m++)
            if (!txn->mops[m].read)
                versions[txn->mops[m].key][counts[txn->mops[m].key]++] = txn->mops[m].element;
    }
    if (prng_below(prng, 8) == 0) { /* dirty writes: two elements change places */
        int key = (int)prng_below(prng, (uint64_t)small->keys);
        if (counts[key] > 1) {
            int at = (int)prng_below(prng, (uint64_t)counts[key] - 1), swap = versions[key][at];
            versions[key][at] = versions[key][at + 1];
            versions[key][at + 1] = swap;
        }
    }
}

static bool is_own(const struct small_txn *txn, int key, int element)
{
    for (int m = 0; m < txn->count; m++)
        if (!txn->mops[m].read && txn->mops[m].key == key && txn->mops[m].element == element)
            return true;
    return false;
}

/* A read of some prefix; mostly as long as what the transaction wrote itself asks for. */
static void draw_read(struct prng *prng, const struct small_txn *txn, int at, const int *versions,
                      int count, int recent)
{
    struct small_mop *mop = (struct small_mop *)&txn->mops[at];
    int own = 0, first_own = count;
    for (int m = 0; m < at; m++)
        own += !txn->mops[m].read && txn->mops[m].key == mop->key;
    for (int i = count; i-- > 0;)
        if (is_own(txn, mop->key, versions[i]))
            first_own = i;
    int length = recent ? count : (int)prng_below(prng, (uint64_t)count + 1);
    if (prng_below(prng, 10) != 0)
        length = own > 0 ? first_own + own : (length > first_own ? first_own : length);
    for (int m = 0; m < at; m++) /* mostly the same again */
        if (txn->mops[m].read && txn->mops[m].key == mop->key && own == 0 &&
            prng_below(prng, 10) != 0)
            length = txn->mops[m].length;
    mop->length = length > count ? count : length;
    memcpy(mop->list, versions, (size_t)mop->length * sizeof *versions);
}

static void spoil(struct prng *prng, struct small *small)
{
    struct small_txn *txn = &small->txns[prng_below(prng, (uint64_t)small->count)];
    struct small_mop *mop = &txn->mops[prng_below(prng, (uint64_t)txn->count)];
    if (!mop->read)
        return;
    if (mop->length > 0 && prng_below(prng, 2) == 0)
        mop->list[prng_below(prng, (uint64_t)mop->length)] = (int)prng_below(prng, 5) + 1;
    else if (mop->length + 1 < SMALL_LIST)
        mop->list[mop->length++] = (int)prng_below(prng, 5) + 1;
}

void small_random(struct prng *prng, struct small *small, bool registers)
{
    int elements[SMALL_KEYS] = {0}, versions[SMALL_KEYS][SMALL_LIST], counts[SMALL_KEYS];
    memset(small, 0, sizeof *small);
    small->count = 2 + (int)prng_below(prng, registers ? 3 : 4);
    small->keys = 1 + (int)prng_below(prng, 3);
    int recent = prng_below(prng, 2) == 0;
    for (int t = 0; t < small->count; t++) {
        struct small_txn *txn = &small->txns[t];
        uint64_t fate = prng_below(prng, 12);
        txn->outcome = fate == 0 ? OP_FAIL : fate == 1 ? OP_INFO : OP_OK;
        txn->count = 1 + (int)prng_below(prng, 3);
        for (int m = 0; m < txn->count; m++) {
            txn->mops[m].read = prng_below(prng, 2) == 0;
            txn->mops[m].key = (int)prng_below(prng, (uint64_t)small->keys);
            if (!txn->mops[m].read)
                txn->mops[m].element = ++elements[txn->mops[m].key];
        }
    }
    draw_times(prng, small);
    draw_versions(prng, small, versions, counts);
    for (int t = 0; t < small->count; t++)
        for (int m = 0; m < small->txns[t].count; m++) {
            int key = small->txns[t].mops[m].key;
            if (small->txns[t].mops[m].read)
                draw_read(prng, &small->txns[t], m, versions[key], counts[key], recent);
        }
    if (prng_below(prng, 10) == 0)
        spoil(prng, small);
}

/* The reads of transaction t on a snapshot that holds what committed up to then. */
static void read_snapshot(struct small_txn *txn, int now[SMALL_KEYS])
{
    int own[SMALL_KEYS];
    memcpy(own, now, sizeof own);
    for (int m = 0; m < txn->count; m++) {
        struct small_mop *mop = &txn->mops[m];
        if (!mop->read)
            own[mop->key] = mop->element;
        mop->length = mop->read && own[mop->key] != 0;
        mop->list[0] = own[mop->key];
    }
}

void small_random_blind(struct prng *prng, struct small *small)
{
    int elements[SMALL_KEYS] = {0}, states[SMALL_TXNS + 1][SMALL_KEYS] = {{0}}, order[SMALL_TXNS];
    memset(small, 0, sizeof *small);
    small->count = 3 + (int)prng_below(prng, SMALL_TXNS - 2);
    small->keys = 1 + (int)prng_below(prng, SMALL_KEYS);
    int lag = (int)prng_below(prng, 3);
    for (int t = 0; t < small->count; t++) {
        struct small_txn *txn = &small->txns[t];
        txn->outcome = prng_below(prng, 10) == 0 ? OP_INFO : OP_OK;
        txn->count = 1 + (int)prng_below(prng, SMALL_MOPS);
        for (int m = 0; m < txn->count; m++) {
            txn->mops[m].read = prng_below(prng, 5) < 3;
            txn->mops[m].key = (int)prng_below(prng, (uint64_t)small->keys);
            if (!txn->mops[m].read)
                txn->mops[m].element = ++elements[txn->mops[m].key];
        }
        order[t] = t;
    }
    draw_times(prng, small);
    if (prng_below(prng, 3) == 0)
        prng_shuffle(prng, order, (size_t)small->count, sizeof order[0]);
    for (int i = 0; i < small->count; i++) {
        struct small_txn *txn = &small->txns[order[i]];
        int back = (int)prng_below(prng, (uint64_t)lag + 1);
        read_snapshot(txn, states[back > i ? 0 : i - back]);
        memcpy(states[i + 1], states[i], sizeof states[i]);
        bool applied = txn->outcome == OP_OK || prng_below(prng, 2) == 0;
        for (int m = 0; applied && m < txn->count; m++)
            if (!txn->mops[m].read)
                states[i + 1][txn->mops[m].key] = txn->mops[m].element;
    }
    if (prng_below(prng, 4) == 0)
        spoil(prng, small);
}

/* ---- As a history ---- */

static struct value value_of(struct arena *arena, const struct small_txn *txn, bool registers,
                             bool completed)
{
    struct value mops[SMALL_MOPS];
    for (int m = 0; m < txn->count; m++) {
        const struct small_mop *mop = &txn->mops[m];
        struct value what = value_int(arena, mop->element), items[SMALL_LIST];
        for (int i = 0; i < mop->length; i++)
            items[i] = value_int(arena, mop->list[i]);
        if (mop->read && (!completed || mop->length == 0))
            what = value_nil();
        else if (mop->read && registers)
            what = items[mop->length - 1];
        else if (mop->read)
            what = value_items(arena, VALUE_VECTOR, items, (size_t)mop->length);
        const char *f = mop->read ? "r" : registers ? "w" : "append";
        struct value parts[] = {value_keyword(arena, f), value_int(arena, mop->key), what};
        mops[m] = value_items(arena, VALUE_VECTOR, parts, 3);
    }
    return value_items(arena, VALUE_VECTOR, mops, (size_t)txn->count);
}

void small_history(const struct small *small, bool registers, struct history *history)
{
    history_init(history);
    uint16_t f = history_f(history, "txn");
    for (int time = 0; time < 2 * small->count; time++)
        for (int t = 0; t < small->count; t++) {
            const struct small_txn *txn = &small->txns[t];
            bool completes = txn->completed == time;
            if (txn->invoked != time && !completes)
                continue;
            struct op op = {.type = completes ? txn->outcome : OP_INVOKE,
                            .process = txn->process,
                            .f = f,
                            .time_ns = time,
                            .value = value_of(&history->arena, txn, registers,
                                              completes && txn->outcome == OP_OK)};
            enum err_code code;
            history_append_own(history, &op, &code);
        }
}

void small_print(const struct small *small, bool registers)
{
    struct history history;
    struct buf out = BUF_INIT;
    small_history(small, registers, &history);
    for (uint32_t i = 0; i < history.count; i++) {
        history_print_op(&history, i, &out);
        buf_add_char(&out, '\n');
    }
    fprintf(stderr, "%s", buf_text(&out));
    buf_free(&out);
    history_free(&history);
}

/* ---- Every order ---- */

struct lists {
    int elements[SMALL_KEYS][SMALL_LIST], counts[SMALL_KEYS];
};

struct trial {
    const struct small *small;
    bool registers, snapshots;
    enum small_order order;
    struct lists states[SMALL_TXNS + 1]; /* after so many commits */
    int placed_at[SMALL_TXNS];           /* how many had committed with it; 0: not placed */
    int sequence[SMALL_TXNS];
    int placed;
};

static bool precedes(const struct trial *trial, int a, int b)
{
    const struct small_txn *first = &trial->small->txns[a], *second = &trial->small->txns[b];
    if (first->outcome != OP_OK || first->completed > second->invoked)
        return false;
    return trial->order == SMALL_REAL_TIME ||
           (trial->order == SMALL_SESSION && first->process == second->process);
}

static bool reads_as(const struct small_mop *mop, const struct lists *lists, bool registers)
{
    int count = lists->counts[mop->key];
    const int *elements = lists->elements[mop->key];
    if (registers)
        return mop->length == 0 ? count == 0
                                : count > 0 && elements[count - 1] == mop->list[mop->length - 1];
    return mop->length == count &&
           memcmp(mop->list, elements, (size_t)count * sizeof *elements) == 0;
}

/* Does the transaction on that state; false when one of its reads is another. */
static bool run(const struct trial *trial, const struct small_txn *txn, struct lists *lists)
{
    for (int m = 0; m < txn->count; m++) {
        const struct small_mop *mop = &txn->mops[m];
        if (!mop->read)
            lists->elements[mop->key][lists->counts[mop->key]++] = mop->element;
        else if (txn->outcome == OP_OK && !reads_as(mop, lists, trial->registers))
            return false;
    }
    return true;
}

static bool writes(const struct small_txn *txn, int key)
{
    for (int m = 0; m < txn->count; m++)
        if (!txn->mops[m].read && txn->mops[m].key == key)
            return true;
    return false;
}

/* Whether it may take the state after `from` commits as its snapshot and commit next. */
static bool may_commit(const struct trial *trial, int t, int from)
{
    const struct small_txn *txn = &trial->small->txns[t];
    struct lists lists = trial->states[from];
    for (int i = from; i < trial->placed; i++) /* first committer wins */
        for (int key = 0; key < trial->small->keys; key++)
            if (writes(txn, key) && writes(&trial->small->txns[trial->sequence[i]], key))
                return false;
    for (int i = 0; i < trial->small->count; i++)
        if (precedes(trial, i, t) && trial->placed_at[i] > from)
            return false;
    return run(trial, txn, &lists);
}

static bool search(struct trial *trial)
{
    bool all = true;
    for (int t = 0; t < trial->small->count; t++)
        all = all && (trial->small->txns[t].outcome != OP_OK || trial->placed_at[t] > 0);
    for (int t = 0; !all && t < trial->small->count; t++) {
        const struct small_txn *txn = &trial->small->txns[t];
        bool ready = trial->placed_at[t] == 0 && txn->outcome != OP_FAIL;
        for (int i = 0; ready && i < trial->small->count; i++)
            ready = !(precedes(trial, i, t) && trial->placed_at[i] == 0);
        bool fits = false;
        for (int from = trial->snapshots ? 0 : trial->placed;
             ready && !fits && from <= trial->placed; from++)
            fits = may_commit(trial, t, from);
        if (!fits)
            continue;
        struct lists *after = &trial->states[trial->placed + 1];
        *after = trial->states[trial->placed];
        for (int m = 0; m < txn->count; m++)
            if (!txn->mops[m].read)
                after->elements[txn->mops[m].key][after->counts[txn->mops[m].key]++] =
                    txn->mops[m].element;
        trial->sequence[trial->placed] = t;
        trial->placed_at[t] = ++trial->placed;
        all = search(trial);
        trial->placed--;
        trial->placed_at[t] = 0;
    }
    return all;
}

static bool try_orders(const struct small *small, bool registers, enum small_order order,
                       bool snapshots)
{
    struct trial trial = {
        .small = small, .registers = registers, .snapshots = snapshots, .order = order};
    return search(&trial);
}

bool small_serializable(const struct small *small, bool registers, enum small_order order)
{
    return try_orders(small, registers, order, false);
}

bool small_snapshot(const struct small *small, bool registers, enum small_order order)
{
    return try_orders(small, registers, order, true);
}
