/* Cycles of weak isolation in words: see weak_why.h. */
#include "checkers/transactions/weak_why.h"

#include <stdio.h>
#include <string.h>

#include "checkers/transactions/cycles.h"
#include "checkers/transactions/paths.h"

/* Steps that may be spent on looking for how one came to know of another, for all that is told. */
enum {
    KNOWN_STEPS_MAX = 20000000,
    CHAIN_MAX = 16,
    NAMES_MAX = 40,
    TRIES_MAX = 64,
    NAME_BYTES = 16
};

/* One who read, and how it knew of a writer: chain[0] is the writer, the last the reader, each the
 * one before the next in its session, or read by it. */
struct evidence {
    uint32_t chain[CHAIN_MAX], length; /* 0: not found */
    bool session;                      /* of two: the first is earlier in the other's session */
    uint32_t key, read;                /* read: the micro-operation by which it did */
};

struct told {
    struct inference inference; /* what the words are asked of; first, so that it is this */
    enum anomaly anomaly;
    struct arena *scratch;
    uint64_t steps;
    uint32_t *next; /* of each transaction, on the way to the reader; 0: not met; else + 1 */
    uint32_t *queue;
    struct evidence *evidence;        /* of each edge of the cycle */
    uint32_t names[NAMES_MAX], count; /* T1 and so on */
};

/* ---- How it was known ---- */

static uint32_t read_from(const struct txns *txns, const struct mop *mop)
{
    return mop->kind == MOP_READ && mop->slot < txns->slot_count ? txns->slots[mop->slot].txn
                                                                 : TXN_NONE;
}

/* Whether t read from `writer` by one of its micro-operations before `last`. */
static bool reads_from(const struct txns *txns, uint32_t t, uint32_t writer, uint32_t last)
{
    for (uint32_t m = txns->first[t]; m < last; m++)
        if (read_from(txns, &txns->mops[m]) == writer)
            return true;
    return false;
}

static bool is_earlier(struct told *told, uint32_t t, uint32_t writer)
{
    const struct txns *txns = told->inference.txns;
    for (t = txns->previous[t]; t != TXN_NONE && t >= writer; t = txns->previous[t]) {
        if (t == writer)
            return true;
        if (told->steps++ >= KNOWN_STEPS_MAX)
            return false;
    }
    return false;
}

static uint32_t meet(struct told *told, uint32_t t, uint32_t from, uint32_t tail)
{
    if (t == TXN_NONE || told->next[t] != 0 || !told->inference.txns->committed[t])
        return tail;
    told->next[t] = from + 1;
    told->queue[tail] = t;
    return tail + 1;
}

/* The shortest chain, backwards from the reader. */
static bool find_chain(struct told *told, uint32_t reader, uint32_t writer,
                       struct evidence *evidence)
{
    const struct txns *txns = told->inference.txns;
    uint32_t head = 0, tail = meet(told, reader, reader, 0);
    while (head < tail && told->next[writer] == 0 && told->steps++ < KNOWN_STEPS_MAX) {
        uint32_t t = told->queue[head++];
        tail = meet(told, txns->previous[t], t, tail);
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++)
            tail = meet(told, read_from(txns, &txns->mops[m]), t, tail);
    }
    uint32_t count = 0;
    for (uint32_t t = writer; told->next[writer] != 0 && count < CHAIN_MAX; t = told->next[t] - 1) {
        evidence->chain[count++] = t;
        if (t == reader)
            break;
    }
    bool good = count > 0 && evidence->chain[count - 1] == reader;
    for (uint32_t i = 0; i < tail; i++)
        told->next[told->queue[i]] = 0;
    evidence->length = good ? count : 0;
    return good;
}

/* How t knew of the writer, by what the level says of that, when it read by m. */
static bool find_known(struct told *told, uint32_t t, uint32_t writer, uint32_t m,
                       struct evidence *evidence)
{
    const struct txns *txns = told->inference.txns;
    bool any = told->anomaly != ANOMALY_READ_COMMITTED_CYCLE;
    evidence->chain[0] = writer;
    evidence->chain[1] = t;
    evidence->length = 2;
    if (reads_from(txns, t, writer, any ? txns->first[t + 1] : m))
        return true;
    evidence->session = any && is_earlier(told, t, writer);
    if (evidence->session)
        return true;
    evidence->length = 0;
    return told->anomaly == ANOMALY_CAUSALITY_CYCLE && find_chain(told, t, writer, evidence);
}

static bool writes_key(const struct txns *txns, uint32_t t, uint32_t key)
{
    for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++)
        if (txns->mops[m].kind == MOP_WRITE && txns->mops[m].key == key)
            return true;
    return false;
}

/* Who read a key from `to`, or (TXN_NONE) its initial value, knowing that `from` wrote it: the one
 * with the shortest chain. `only` (may be TXN_NONE) is who must have. */
static struct evidence find_evidence(struct told *told, uint32_t from, uint32_t to, uint32_t only)
{
    const struct txns *txns = told->inference.txns;
    const struct registers *registers = told->inference.state;
    struct evidence best = {.length = 0};
    uint32_t first = only == TXN_NONE ? 0 : only, last = only == TXN_NONE ? txns->count : only + 1;
    for (uint32_t t = first; t < last && best.length != 2; t++)
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
            const struct mop *mop = &txns->mops[m];
            struct evidence evidence = {.key = mop->key, .read = m};
            if (!txns->committed[t] || t == from || t == to || mop->kind != MOP_READ ||
                mop->slot == TXN_NONE ||
                (to == TXN_NONE
                     ? mop->slot < txns->slot_count || !register_is_initial(registers, mop->slot)
                     : read_from(txns, mop) != to) ||
                !writes_key(txns, from, mop->key) || !find_known(told, t, from, m, &evidence))
                continue;
            if (best.length == 0 || evidence.length < best.length)
                best = evidence;
        }
    return best;
}

/* ---- Words ---- */

static const char *name_of(const struct told *told, uint32_t t, char name[NAME_BYTES])
{
    uint32_t i = 0;
    while (i < told->count && told->names[i] != t)
        i++;
    snprintf(name, NAME_BYTES, "T%u", i + 1);
    return name;
}

/* False when there is no room for it. */
static bool add_name(struct told *told, uint32_t t)
{
    for (uint32_t i = 0; i < told->count; i++)
        if (told->names[i] == t)
            return true;
    if (told->count == NAMES_MAX)
        return false;
    told->names[told->count++] = t;
    return true;
}

/* Evidence of which not all can be named is none. */
static void add_names(struct told *told, struct evidence *evidence)
{
    for (uint32_t i = 0; i < evidence->length; i++)
        if (!add_name(told, evidence->chain[i]))
            evidence->length = 0;
}

static void add_process(const struct txns *txns, uint32_t t, struct buf *out)
{
    history_print_process(txns->history, txns->history->process[txns_event(txns, t)], out);
}

/* " (T3 read T2's write of 2 to key 2, process 4 did T3 before T5)" */
static void add_chain(const struct told *told, const struct evidence *evidence, struct buf *out)
{
    const struct txns *txns = told->inference.txns;
    for (uint32_t i = 0; i + 1 < evidence->length; i++) {
        char from[NAME_BYTES], to[NAME_BYTES];
        uint32_t a = evidence->chain[i], b = evidence->chain[i + 1];
        struct json *ignored = json_object();
        buf_add_text(out, i == 0 ? " (" : ", ");
        name_of(told, a, from);
        name_of(told, b, to);
        if (evidence->session ||
            !register_why(&told->inference, a, b, EDGE_WR, from, to, out, ignored)) {
            buf_add_text(out, "process ");
            add_process(txns, a, out);
            buf_printf(out, " did %s before %s", from, to);
        }
        json_free(ignored);
    }
    buf_add_char(out, ')');
}

static void set_value(struct json *fields, const char *name, struct value value)
{
    struct buf text = BUF_INIT;
    value_print(value, &text);
    json_set_text(fields, name, buf_text(&text));
    buf_free(&text);
}

/* What the reader did, and that it knew better. */
static void add_evidence(const struct told *told, const struct evidence *evidence, struct buf *out,
                         struct json *fields)
{
    const struct txns *txns = told->inference.txns;
    const struct mop *read = &txns->mops[evidence->read];
    char reader[NAME_BYTES], writer[NAME_BYTES];
    name_of(told, evidence->chain[evidence->length - 1], reader);
    name_of(told, evidence->chain[0], writer);
    buf_printf(out, "%s read ", reader);
    value_print(read->value, out);
    buf_add_text(out, " of key ");
    value_print(txns->keys[evidence->key], out);
    buf_printf(out, ", though it knew of %s", writer);
    add_chain(told, evidence, out);
    buf_add_text(out, ", which wrote that key, too");
    set_value(fields, "key", txns->keys[evidence->key]);
    set_value(fields, "value", read->value);
    json_set_text(fields, "reader", reader);
}

/* Where it was not found who knew, and how, or that would take too many names. */
static bool why_in_short(const struct inference *inference, uint32_t from, uint32_t to,
                         const char *from_name, const char *to_name, struct buf *out,
                         struct json *fields)
{
    const struct txns *txns = inference->txns;
    for (uint32_t m = txns->first[to]; m < txns->first[to + 1]; m++) {
        const struct mop *mop = &txns->mops[m];
        if (mop->kind != MOP_WRITE)
            continue;
        for (uint32_t n = txns->first[from]; n < txns->first[from + 1]; n++) {
            if (txns->mops[n].kind != MOP_WRITE || txns->mops[n].key != mop->key)
                continue;
            buf_printf(out, "both wrote key ");
            value_print(txns->keys[mop->key], out);
            buf_printf(out, ", and one who knew of %s read it as %s left it, ", from_name, to_name);
            value_print(mop->value, out);
            struct buf key = BUF_INIT;
            value_print(txns->keys[mop->key], &key);
            json_set_text(fields, "key", buf_text(&key));
            buf_free(&key);
            return true;
        }
    }
    return false;
}

static bool why(const struct inference *inference, uint32_t from, uint32_t to, enum edge_type type,
                const char *from_name, const char *to_name, struct buf *out, struct json *fields)
{
    const struct told *told = (const struct told *)inference;
    if (type != EDGE_WW)
        return register_why(inference, from, to, type, from_name, to_name, out, fields);
    for (const struct evidence *evidence = told->evidence; evidence->key != TXN_NONE; evidence++) {
        uint32_t slot = told->inference.txns->mops[evidence->read].slot;
        if (evidence->length == 0 || evidence->chain[0] != from ||
            inference->txns->slots[slot].txn != to)
            continue;
        add_evidence(told, evidence, out, fields);
        buf_printf(out, ": so %s's write came before %s's", from_name, to_name);
        return true;
    }
    return why_in_short(inference, from, to, from_name, to_name, out, fields);
}

static struct told begin(struct inference *inference, enum anomaly anomaly, struct arena *scratch)
{
    size_t count = (size_t)inference->txns->count + 1;
    struct told told = {.inference = *inference, .anomaly = anomaly, .scratch = scratch};
    told.inference.why = why;
    told.next = arena_zalloc(scratch, count * sizeof *told.next);
    told.queue = arena_alloc(scratch, count * sizeof *told.queue);
    return told;
}

void weak_tell_initial(struct inference *inference, uint32_t reader, uint32_t writer,
                       enum anomaly anomaly, struct arena *scratch)
{
    if (!found_count(inference->found, anomaly))
        return;
    struct told told = begin(inference, anomaly, scratch);
    struct evidence evidence = find_evidence(&told, writer, TXN_NONE, reader);
    struct buf text = BUF_INIT;
    struct json *fields = json_object();
    add_name(&told, reader);
    add_name(&told, writer);
    add_names(&told, &evidence);
    transactions_tell(inference->txns, told.names, told.count, &text, fields);
    buf_add_text(&text, "\nThen: ");
    if (evidence.length > 0)
        add_evidence(&told, &evidence, &text, fields);
    else
        buf_add_text(&text, "T1 read the initial value of a key, though it knew of T2 by a longer "
                            "chain, which had written that key");
    struct finding *finding = found_tell(
        inference->found, anomaly, "an initial value read too late", &text, told.names, told.count);
    json_free(finding->fields);
    finding->fields = fields;
}

/* ---- Cycles ---- */

static void tell(struct told *told, struct cycle *cycle)
{
    struct evidence *evidence =
        arena_zalloc(told->scratch, ((size_t)cycle->length + 1) * sizeof *evidence);
    uint32_t *names =
        arena_alloc(told->scratch, ((size_t)cycle->length + NAMES_MAX) * sizeof *names);
    bool many = cycle->length > NAMES_MAX / 2 ||
                told->inference.found->counts[told->anomaly] >= FOUND_KEPT_MAX;
    told->evidence = evidence;
    evidence[cycle->length].key = TXN_NONE;
    told->count = 0;
    for (uint32_t i = 0; i < cycle->length; i++)
        add_name(told, cycle->txns[i]);
    for (uint32_t i = 0; i < cycle->length; i++) {
        uint32_t to = cycle->txns[(i + 1) % cycle->length];
        if (cycle->types[i] != EDGE_WW || many)
            continue;
        evidence[i] = find_evidence(told, cycle->txns[i], to, TXN_NONE);
        add_names(told, &evidence[i]);
    }
    /* The cycle's own come first, then those that are not in it. */
    memcpy(names, cycle->txns, cycle->length * sizeof *names);
    for (uint32_t i = cycle->length; i < told->count; i++)
        names[i] = told->names[i];
    cycle->txns = names;
    cycle->also = told->count > cycle->length ? told->count - cycle->length : 0;
    cycle_tell_as(&told->inference, cycle, told->anomaly);
}

/* The shortest cycle through one of the component's first nodes. */
static struct cycle find_cycle(struct paths *paths, const struct components *components, uint32_t c,
                               struct arena *arena)
{
    struct cycle cycle = {.length = 0};
    uint32_t most = UINT32_MAX, tries = 0;
    paths->part = c;
    for (uint32_t i = components->first[c]; i < components->first[c + 1] && tries++ < TRIES_MAX;
         i++) {
        uint32_t v = components->members[i], distance;
        if (paths_nearest(paths, v, &v, 1, most == UINT32_MAX ? most : most - 1, &distance) ==
            TXN_NONE)
            continue;
        most = distance;
        cycle.length = distance;
        cycle.txns = arena_alloc(arena, distance * sizeof *cycle.txns);
        cycle.types = arena_alloc(arena, distance);
        uint32_t at = distance, node = v;
        do {
            at--;
            cycle.txns[at] = paths->parent[node];
            cycle.types[at] = (uint8_t)edge_type(paths->parent_edge[node]);
            node = paths->parent[node];
        } while (node != v && at > 0);
    }
    return cycle;
}

void weak_tell_cycles(struct inference *inference, const struct graph *graph,
                      const struct components *components, enum anomaly anomaly,
                      struct arena *scratch)
{
    struct paths paths;
    if (components->count == 0)
        return;
    struct told told = begin(inference, anomaly, scratch);
    paths_init(&paths, graph, scratch);
    paths.types = EDGES_ALL;
    paths.of = components->of;
    paths.steps_max = UINT64_MAX;
    for (uint32_t c = 0; c < components->count; c++) {
        struct cycle cycle = find_cycle(&paths, components, c, scratch);
        tell(&told, &cycle);
    }
}
