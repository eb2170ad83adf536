/* Weak isolation of register histories: see weak.h. */
#include "checkers/transactions/weak.h"

#include <stdlib.h>
#include <string.h>

#include "checkers/transactions/weak_why.h"

struct weak {
    struct inference *inference;
    const struct registers *registers;
    const struct txns *txns;
    struct arena *arena;
    struct graph_builder builder;
    /* the last writes of each transaction, sorted by key: writes[first[t]] .. */
    uint32_t *first;
    struct written {
        uint32_t key, slot;
    } * writes;
    /* of the transaction under way, by key: what it reads there (or reads next), and of whom */
    uint32_t *mark, *from;
    uint32_t stamp;
    /* by transaction: it was dealt with as something that was read from */
    uint32_t *seen;
    /* a read of the initial value by one who must know of a write: the finding itself */
    uint32_t initial_reader, initial_writer;
};

enum { FROM_INITIAL = TXN_NONE };

/* ---- What was read and written ---- */

static bool is_last_write(const struct weak *weak, uint32_t m)
{
    const struct mop *mop = &weak->txns->mops[m];
    return mop->kind == MOP_WRITE && !weak->txns->slots[mop->slot].overwritten;
}

static int by_key(const void *left, const void *right)
{
    const struct written *a = left, *b = right;
    return (a->key > b->key) - (a->key < b->key);
}

static void list_writes(struct weak *weak)
{
    const struct txns *txns = weak->txns;
    uint32_t count = 0;
    weak->first = arena_alloc(weak->arena, ((size_t)txns->count + 1) * sizeof *weak->first);
    weak->writes = arena_alloc(weak->arena, ((size_t)txns->writes + 1) * sizeof *weak->writes);
    for (uint32_t t = 0; t < txns->count; t++) {
        weak->first[t] = count;
        for (uint32_t m = txns->first[t]; txns->committed[t] && m < txns->first[t + 1]; m++)
            if (is_last_write(weak, m))
                weak->writes[count++] = (struct written){txns->mops[m].key, txns->mops[m].slot};
        qsort(weak->writes + weak->first[t], count - weak->first[t], sizeof *weak->writes, by_key);
    }
    weak->first[txns->count] = count;
}

static bool writes_key(const struct weak *weak, uint32_t t, uint32_t key)
{
    struct written wanted = {.key = key};
    uint32_t count = weak->first[t + 1] - weak->first[t];
    return count > 0 &&
           bsearch(&wanted, weak->writes + weak->first[t], count, sizeof wanted, by_key) != NULL;
}

/* Whether micro-operation m is a read of another transaction's write, or of the initial value; of
 * whom then in *from. */
static bool reads_other(const struct weak *weak, uint32_t t, uint32_t m, uint32_t *from)
{
    const struct mop *mop = &weak->txns->mops[m];
    if (mop->kind != MOP_READ || mop->slot == TXN_NONE)
        return false;
    if (mop->slot >= weak->txns->slot_count) {
        *from = FROM_INITIAL;
        return register_is_initial(weak->registers, mop->slot);
    }
    *from = weak->txns->slots[mop->slot].txn;
    return *from != t;
}

/* `writer` wrote a key that `reader`, who knew of it, read from `from`. */
static void must_precede(struct weak *weak, uint32_t writer, uint32_t from, uint32_t reader)
{
    if (writer == from)
        return;
    if (from != FROM_INITIAL) {
        graph_add(&weak->builder, writer, from, EDGE_WW);
    } else if (weak->initial_reader == TXN_NONE) {
        weak->initial_reader = reader;
        weak->initial_writer = writer;
    }
}

static void add_known(struct weak *weak)
{
    const struct txns *txns = weak->txns;
    for (uint32_t t = 0; t < txns->count; t++) {
        uint32_t from;
        if (!txns->committed[t])
            continue;
        if (txns->previous[t] != TXN_NONE)
            graph_add(&weak->builder, txns->previous[t], t, EDGE_PROCESS);
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++)
            if (reads_other(weak, t, m, &from) && from != FROM_INITIAL)
                graph_add(&weak->builder, from, t, EDGE_WR);
    }
}

/* ---- Read committed ---- */

/* What follows from having read from `writer`: of the keys that it wrote, those marked. Goes
 * through whichever is shorter. */
static void follow(struct weak *weak, uint32_t writer, uint32_t reader, uint32_t marked_first,
                   uint32_t marked_last)
{
    const struct txns *txns = weak->txns;
    uint32_t count = weak->first[writer + 1] - weak->first[writer];
    if (count <= marked_last - marked_first) {
        for (uint32_t i = weak->first[writer]; i < weak->first[writer + 1]; i++)
            if (weak->mark[weak->writes[i].key] == weak->stamp)
                must_precede(weak, writer, weak->from[weak->writes[i].key], reader);
        return;
    }
    for (uint32_t m = marked_first; m < marked_last; m++) {
        uint32_t key = txns->mops[m].key;
        if (txns->mops[m].kind == MOP_READ && weak->mark[key] == weak->stamp &&
            writes_key(weak, writer, key))
            must_precede(weak, writer, weak->from[key], reader);
    }
}

/* Backwards through a transaction's reads: `from` tells whom each key is read from next. Of those
 * whom it reads from several times the first time says everything that the later ones do, but for
 * the key itself. */
static void add_read_committed(struct weak *weak)
{
    const struct txns *txns = weak->txns;
    memset(weak->seen, 0xff, ((size_t)txns->count + 1) * sizeof *weak->seen);
    for (uint32_t t = 0; t < txns->count; t++) {
        if (!txns->committed[t])
            continue;
        uint32_t first = txns->first[t], last = txns->first[t + 1], from;
        for (uint32_t m = last; m-- > first;) /* where each is read from for the first time */
            if (reads_other(weak, t, m, &from) && from != FROM_INITIAL)
                weak->seen[from] = m;
        weak->stamp++;
        for (uint32_t m = last; m-- > first;) {
            uint32_t key = txns->mops[m].key;
            if (!reads_other(weak, t, m, &from))
                continue;
            if (from != FROM_INITIAL && weak->mark[key] == weak->stamp)
                must_precede(weak, from, weak->from[key], t);
            if (from != FROM_INITIAL && weak->seen[from] == m)
                follow(weak, from, t, m + 1, last);
            weak->mark[key] = weak->stamp;
            weak->from[key] = from;
        }
    }
}

/* ---- Read atomic ---- */

/* By session and key, the last transaction so far that wrote it. */
struct last_write {
    int32_t process;
    uint32_t key, txn; /* txn + 1; 0: free */
};

struct last_writes {
    struct last_write *seats;
    uint32_t mask;
};

static struct last_write *find_last(const struct last_writes *table, int32_t process, uint32_t key)
{
    uint64_t h = ((uint64_t)(uint32_t)process << 32 | key) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t at = (uint32_t)(h >> 32) & table->mask;
    while (table->seats[at].txn != 0 &&
           (table->seats[at].process != process || table->seats[at].key != key))
        at = (at + 1) & table->mask;
    return &table->seats[at];
}

static int32_t process_of(const struct txns *txns, uint32_t t)
{
    return txns->history->process[txns_event(txns, t)];
}

static void read_atomic_txn(struct weak *weak, const struct last_writes *table, uint32_t t)
{
    const struct txns *txns = weak->txns;
    uint32_t first = txns->first[t], last = txns->first[t + 1], from;
    weak->stamp++;
    for (uint32_t m = first; m < last; m++) {
        uint32_t key = txns->mops[m].key;
        if (!reads_other(weak, t, m, &from))
            continue;
        if (weak->mark[key] == weak->stamp && weak->from[key] != from) {
            /* One key from two: each must come before the other. */
            if (from != FROM_INITIAL)
                must_precede(weak, from, weak->from[key], t);
            if (weak->from[key] != FROM_INITIAL)
                must_precede(weak, weak->from[key], from, t);
            continue;
        }
        weak->mark[key] = weak->stamp;
        weak->from[key] = from;
        const struct last_write *before = find_last(table, process_of(txns, t), key);
        if (before->txn != 0)
            must_precede(weak, before->txn - 1, from, t);
    }
    for (uint32_t m = first; m < last; m++)
        if (reads_other(weak, t, m, &from) && from != FROM_INITIAL && weak->seen[from] != t) {
            weak->seen[from] = t;
            follow(weak, from, t, first, last);
        }
}

static void add_read_atomic(struct weak *weak)
{
    const struct txns *txns = weak->txns;
    struct last_writes table = {.mask = 1023};
    while (table.mask / 2 < txns->writes && table.mask < UINT32_MAX / 2)
        table.mask = table.mask * 2 + 1;
    struct arena scratch = ARENA_INIT;
    table.seats = arena_zalloc(&scratch, ((size_t)table.mask + 1) * sizeof *table.seats);
    memset(weak->seen, 0xff, ((size_t)txns->count + 1) * sizeof *weak->seen);
    for (uint32_t t = 0; t < txns->count; t++) {
        if (!txns->committed[t])
            continue;
        read_atomic_txn(weak, &table, t);
        /* Only one known to have ended is before what its session did next. */
        for (uint32_t i = weak->first[t]; txns->state[t] == TXN_OK && i < weak->first[t + 1]; i++) {
            struct last_write *seat = find_last(&table, process_of(txns, t), weak->writes[i].key);
            *seat = (struct last_write){process_of(txns, t), weak->writes[i].key, t + 1};
        }
    }
    arena_free(&scratch);
}

/* ---- Causal consistency ---- */

struct causal {
    struct weak *weak;
    uint32_t *session, sessions; /* of each transaction */
    uint32_t *place;             /* within its session, from 1 */
    uint32_t *clocks; /* of t: clocks[t * sessions + s] of session s happened before it */
    /* by key and session, who wrote it: writers[group_first[g]] .. , in the session's order */
    struct group {
        uint32_t key, session, first, count;
    } * groups;
    uint32_t *key_first; /* the groups of a key */
    uint32_t *writers;
};

/* Sessions by number: a process whose transaction has an unknown end begins another session. */
static void number_sessions(struct causal *causal)
{
    const struct txns *txns = causal->weak->txns;
    struct arena *arena = causal->weak->arena;
    causal->session = arena_alloc(arena, ((size_t)txns->count + 1) * sizeof(uint32_t));
    causal->place = arena_zalloc(arena, ((size_t)txns->count + 1) * sizeof(uint32_t));
    uint32_t *last = arena_alloc(arena, ((size_t)txns->count + 1) * sizeof(uint32_t));
    for (uint32_t t = 0; t < txns->count; t++) {
        uint32_t before = txns->previous[t];
        if (!txns->committed[t])
            continue;
        /* Two may follow one, where the first of them never ended: it gets a session of its own. */
        bool goes_on = before != TXN_NONE && last[causal->session[before]] == before &&
                       txns->state[t] == TXN_OK;
        causal->session[t] = goes_on ? causal->session[before] : causal->sessions++;
        causal->place[t] = goes_on ? causal->place[before] + 1 : 1;
        last[causal->session[t]] = t;
    }
}

struct by_writer {
    uint32_t key, session, place, txn;
};

static int compare_writers(const void *left, const void *right)
{
    const struct by_writer *a = left, *b = right;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    if (a->session != b->session)
        return a->session < b->session ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

static void group_writers(struct causal *causal)
{
    const struct weak *weak = causal->weak;
    const struct txns *txns = weak->txns;
    uint32_t count = weak->first[txns->count], groups = 0;
    struct by_writer *all = arena_alloc(weak->arena, ((size_t)count + 1) * sizeof *all);
    causal->writers = arena_alloc(weak->arena, ((size_t)count + 1) * sizeof(uint32_t));
    causal->groups = arena_alloc(weak->arena, ((size_t)count + 1) * sizeof *causal->groups);
    causal->key_first = arena_zalloc(weak->arena, ((size_t)txns->key_count + 2) * sizeof(uint32_t));
    for (uint32_t t = 0; t < txns->count; t++)
        for (uint32_t i = weak->first[t]; i < weak->first[t + 1]; i++)
            all[i] =
                (struct by_writer){weak->writes[i].key, causal->session[t], causal->place[t], t};
    qsort(all, count, sizeof *all, compare_writers);
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || all[i].key != all[i - 1].key || all[i].session != all[i - 1].session) {
            causal->groups[groups++] = (struct group){all[i].key, all[i].session, i, 0};
            causal->key_first[all[i].key + 1]++;
        }
        causal->groups[groups - 1].count++;
        causal->writers[i] = all[i].txn;
    }
    for (uint32_t key = 0; key < txns->key_count; key++)
        causal->key_first[key + 1] += causal->key_first[key];
}

static void raise_clock(struct causal *causal, uint32_t *clock, uint32_t before)
{
    const uint32_t *other = causal->clocks + (size_t)before * causal->sessions;
    for (uint32_t s = 0; s < causal->sessions; s++)
        if (other[s] > clock[s])
            clock[s] = other[s];
    uint32_t session = causal->session[before];
    if (causal->place[before] > clock[session])
        clock[session] = causal->place[before];
}

/* One transaction, all before it being done: its clock, and what follows from its reads. */
static void causal_txn(struct causal *causal, uint32_t t)
{
    struct weak *weak = causal->weak;
    const struct txns *txns = weak->txns;
    uint32_t *clock = causal->clocks + (size_t)t * causal->sessions, from;
    memset(clock, 0, causal->sessions * sizeof *clock);
    if (txns->previous[t] != TXN_NONE)
        raise_clock(causal, clock, txns->previous[t]);
    for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++)
        if (reads_other(weak, t, m, &from) && from != FROM_INITIAL)
            raise_clock(causal, clock, from);
    for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
        uint32_t key = txns->mops[m].key;
        if (!reads_other(weak, t, m, &from))
            continue;
        for (uint32_t g = causal->key_first[key]; g < causal->key_first[key + 1]; g++) {
            const struct group *group = &causal->groups[g];
            uint32_t low = 0, high = group->count; /* how many of them happened before */
            while (low < high) {
                uint32_t middle = low + (high - low) / 2;
                if (causal->place[causal->writers[group->first + middle]] <= clock[group->session])
                    low = middle + 1;
                else
                    high = middle;
            }
            if (low > 0 && causal->writers[group->first + low - 1] != t)
                must_precede(weak, causal->writers[group->first + low - 1], from, t);
        }
    }
}

/* In the order of sessions and reads, which has no cycle here. False when memory does not allow it.
 */
static bool prepare_causal(struct causal *causal, size_t memory_max)
{
    const struct weak *weak = causal->weak;
    number_sessions(causal);
    uint64_t bytes = (uint64_t)weak->txns->count * causal->sessions * sizeof(uint32_t);
    if (memory_max != 0 && bytes > memory_max / 2)
        return false;
    causal->clocks = arena_alloc(weak->arena, bytes + 1);
    group_writers(causal);
    return true;
}

static void add_causal(struct causal *causal, const uint32_t *order)
{
    const struct txns *txns = causal->weak->txns;
    for (uint32_t i = 0; i < txns->count; i++)
        if (txns->committed[order[i]])
            causal_txn(causal, order[i]);
}

/* ---- Searching ---- */

/* The graph of what `add` adds beside sessions and reads; told of its cycles. `order` (may be NULL)
 * gets the transactions in an order of the graph, when there is no cycle: false else. */
static bool search(struct weak *weak, void (*add)(struct weak *), struct causal *causal,
                   uint32_t *order, enum anomaly anomaly)
{
    struct txns *txns = weak->inference->txns;
    struct components components;
    weak->initial_reader = TXN_NONE;
    graph_begin(&weak->builder, weak->arena, txns->count);
    for (int pass = 0; pass < 2; pass++) {
        add_known(weak);
        if (add != NULL)
            add(weak);
        else if (causal != NULL)
            add_causal(causal, order);
        if (pass == 0 && !graph_allocate(&weak->builder, weak->arena))
            return false;
    }
    struct graph graph = graph_end(&weak->builder);
    struct walk walk = {.graph = &graph, .types = EDGES_ALL};
    components_find(&walk, weak->arena, &components);
    if (weak->initial_reader != TXN_NONE)
        weak_tell_initial(weak->inference, weak->initial_reader, weak->initial_writer, anomaly,
                          weak->arena);
    weak_tell_cycles(weak->inference, &graph, &components, anomaly, weak->arena);
    if (components.count > 0)
        return false;
    /* Sinks have the lowest numbers, and each node is a component of its own. */
    for (uint32_t t = 0; causal == NULL && order != NULL && t < txns->count; t++)
        order[txns->count - 1 - components.order[t]] = t;
    return true;
}

anomaly_set weak_find(struct inference *inference, anomaly_set wanted, size_t memory_max)
{
    struct arena arena = ARENA_INIT;
    struct weak weak = {.inference = inference,
                        .registers = inference->state,
                        .txns = inference->txns,
                        .arena = &arena};
    size_t keys = (size_t)weak.txns->key_count + 1, txns = (size_t)weak.txns->count + 1;
    anomaly_set given_up = 0;
    weak.mark = arena_zalloc(&arena, keys * sizeof *weak.mark);
    weak.from = arena_alloc(&arena, keys * sizeof *weak.from);
    weak.seen = arena_alloc(&arena, txns * sizeof *weak.seen);
    list_writes(&weak);
    if (wanted & ANOMALY_BIT(READ_COMMITTED_CYCLE))
        search(&weak, add_read_committed, NULL, NULL, ANOMALY_READ_COMMITTED_CYCLE);
    if (wanted & ANOMALY_BIT(FRACTURED_READ))
        search(&weak, add_read_atomic, NULL, NULL, ANOMALY_FRACTURED_READ);
    if (wanted & ANOMALY_BIT(CAUSALITY_CYCLE)) {
        struct causal causal = {.weak = &weak};
        uint32_t *order = arena_alloc(&arena, txns * sizeof *order);
        if (search(&weak, NULL, NULL, order, ANOMALY_CAUSALITY_CYCLE)) {
            if (prepare_causal(&causal, memory_max))
                search(&weak, NULL, &causal, order, ANOMALY_CAUSALITY_CYCLE);
            else
                given_up |= ANOMALY_BIT(CAUSALITY_CYCLE);
        }
    }
    arena_free(&arena);
    return given_up;
}
