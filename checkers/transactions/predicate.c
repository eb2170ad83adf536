/* Closed predicates: versions, what reads say of them, edges: see predicate.h. */
#include "checkers/transactions/predicate.h"

#include <inttypes.h>
#include <string.h>

enum { VIEWS_MAX = 400000000 };

/* ---- Predicates ---- */

static bool is_word(struct value value, const char *word)
{
    enum value_kind kind = value_kind(value);
    return (kind == VALUE_KEYWORD || kind == VALUE_STRING) &&
           strcmp(value_as_text(value), word) == 0;
}

bool predicate_holds(struct value predicate, struct value value, bool *known)
{
    struct value room[VALUE_ROOM];
    size_t count = 0;
    enum value_kind kind = value_kind(predicate);
    *known = true;
    if (is_word(predicate, "true") || kind == VALUE_BOOL)
        return true;
    const struct value *items = NULL;
    if (kind == VALUE_VECTOR || kind == VALUE_LIST)
        items = value_array(predicate, room, &count);
    if (count == 2 && is_word(items[0], "="))
        return value_equal(items[1], value);
    if (count == 3 && is_word(items[0], "mod") && value_kind(items[1]) == VALUE_INT &&
        value_kind(items[2]) == VALUE_INT && value_as_int(items[1]) > 0) {
        if (value_kind(value) != VALUE_INT)
            return false;
        int64_t modulus = value_as_int(items[1]), rest = value_as_int(value) % modulus;
        return (rest < 0 ? rest + modulus : rest) == value_as_int(items[2]);
    }
    *known = false;
    return false;
}

bool predicate_matches(const struct predicates *p, const struct mop *mop, uint32_t key,
                       enum predicate_version version)
{
    bool known;
    struct value value = version == VERSION_FIRST    ? p->firsts[key]
                         : version == VERSION_SECOND ? p->values[key]
                                                     : value_nil();
    return !value_is_nil(value) && predicate_holds(value_at(mop->value, 1), value, &known);
}

uint32_t predicate_writer(const struct predicates *p, uint32_t key, enum predicate_version version)
{
    uint32_t slot = version == VERSION_FIRST    ? p->made[key]
                    : version == VERSION_SECOND ? p->written[key]
                                                : TXN_NONE;
    return slot == TXN_NONE ? TXN_NONE : p->txns->slots[slot].txn;
}

/* ---- What was seen ---- */

static enum predicate_version version_of(const struct predicates *p, uint32_t key,
                                         struct value value)
{
    if (!value_is_nil(value)) {
        uint32_t slot = txns_slot(p->txns, key, value);
        if (slot == TXN_NONE)
            return VERSION_UNKNOWN;
        return slot == p->made[key]      ? VERSION_FIRST
               : slot == p->written[key] ? VERSION_SECOND
                                         : VERSION_UNKNOWN;
    }
    bool unborn = p->made[key] == TXN_NONE;
    bool dead = p->written[key] != TXN_NONE && value_is_nil(p->values[key]);
    if (unborn)
        return dead ? VERSION_UNKNOWN : VERSION_FIRST;
    return dead ? VERSION_SECOND : VERSION_BEFORE;
}

/* The version of a key that a predicate read does not show. */
static enum predicate_version unseen(const struct predicates *p, const struct mop *mop,
                                     uint32_t key)
{
    bool first = predicate_matches(p, mop, key, VERSION_FIRST);
    bool second = p->written[key] == TXN_NONE || predicate_matches(p, mop, key, VERSION_SECOND);
    if (first)
        return second ? VERSION_BEFORE : VERSION_SECOND;
    return second ? VERSION_FIRST : VERSION_UNKNOWN;
}

/* What the result of a predicate read has under the key; false: nothing. */
static bool shown(const struct predicates *p, const struct mop *mop, uint32_t key,
                  struct value *value)
{
    struct value result = value_at(mop->value, 2);
    for (size_t i = 0; value_kind(result) == VALUE_MAP && i + 1 < value_count(result); i += 2)
        if (value_equal(value_at(result, i), p->txns->keys[key])) {
            *value = value_at(result, i + 1);
            return true;
        }
    return false;
}

void predicate_views(const struct predicates *p, uint32_t t,
                     bool (*visit)(void *context, const struct predicate_view *view), void *context)
{
    const struct txns *txns = p->txns;
    for (uint32_t m = txns->first[t]; txns->state[t] == TXN_OK && m < txns->first[t + 1]; m++) {
        const struct mop *mop = &txns->mops[m];
        bool predicate = mop->kind == MOP_PREDICATE;
        uint32_t first = predicate ? 0 : mop->key, last = predicate ? txns->key_count : first + 1;
        for (uint32_t key = first; !mop_writes(mop) && key < last; key++) {
            struct value value = mop->value;
            enum predicate_version version = predicate && !shown(p, mop, key, &value)
                                                 ? unseen(p, mop, key)
                                                 : version_of(p, key, value);
            struct predicate_view view = {m, key, version, predicate};
            if (version != VERSION_UNKNOWN && !visit(context, &view))
                return;
        }
    }
}

/* ---- Versions ---- */

/* The two versions of each key, from what was written. */
static enum err_code find_versions(struct predicates *p, struct err *err)
{
    struct txns *txns = p->txns;
    for (uint32_t t = 0; t < txns->count; t++)
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
            const struct mop *mop = &txns->mops[m];
            if (!mop_writes(mop) || txns->state[t] == TXN_FAILED)
                continue;
            if (t == txns->init) {
                p->made[mop->key] = mop->slot;
                p->firsts[mop->key] = mop->value;
                continue;
            }
            if (p->written[mop->key] != TXN_NONE) {
                struct buf key = BUF_INIT;
                value_print(txns->keys[mop->key], &key);
                enum err_code code = err_set(
                    err, ERR_PARSE,
                    "event %" PRIu32 ": key %s is written once more: of more than two versions the "
                    "order is not known, so each key may be written once after :init",
                    txns_event(txns, t), buf_text(&key));
                buf_free(&key);
                return code;
            }
            p->written[mop->key] = mop->slot;
            p->values[mop->key] = mop->value;
        }
    return ERR_NONE;
}

static enum err_code check_init(const struct txns *txns, struct err *err)
{
    uint32_t init = txns->init;
    if (init == TXN_NONE)
        return ERR_NONE;
    if (txns->init_count > 1)
        return err_set(err, ERR_PARSE, "there are %" PRIu32 " :init operations; one makes the keys",
                       txns->init_count);
    if (txns->state[init] != TXN_OK)
        return err_set(err, ERR_PARSE,
                       "event %" PRIu32 ": :init is not known to have succeeded, so nothing is "
                       "known of what keys there were",
                       txns_event(txns, init));
    for (uint32_t t = 0; t < txns->count; t++)
        if (t != init && !txns_before(txns, init, t))
            return err_set(err, ERR_PARSE,
                           "event %" PRIu32 ": a transaction that may have begun before :init had "
                           "made the keys",
                           txns_event(txns, t));
    return ERR_NONE;
}

static enum err_code check_predicates(const struct predicates *p, struct err *err)
{
    const struct txns *txns = p->txns;
    uint64_t reads = 0;
    for (uint32_t t = 0; t < txns->count; t++)
        for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++) {
            if (txns->mops[m].kind != MOP_PREDICATE)
                continue;
            struct value predicate = value_at(txns->mops[m].value, 1);
            bool known;
            predicate_holds(predicate, value_nil(), &known);
            struct buf text = BUF_INIT;
            value_print(predicate, &text);
            enum err_code code = known ? ERR_NONE
                                       : err_set(err, ERR_PARSE,
                                                 "event %" PRIu32 ": %s is no predicate: :true, "
                                                 "[:= value] and [:mod divisor rest] are",
                                                 txns_event(txns, t), buf_text(&text));
            buf_free(&text);
            if (code != ERR_NONE)
                return code;
            reads++;
        }
    if (reads * txns->key_count > VIEWS_MAX)
        return err_set(err, ERR_NOMEM,
                       "%" PRIu64 " predicate reads of %" PRIu32 " keys are too many", reads,
                       txns->key_count);
    return ERR_NONE;
}

/* ---- What single reads show ---- */

struct reading {
    struct inference *inference;
    struct predicates *predicates;
    uint32_t t;
};

static void tell(struct reading *r, enum anomaly anomaly, const char *title, uint32_t m,
                 uint32_t key, const char *why, uint32_t other)
{
    const struct txns *txns = r->predicates->txns;
    uint32_t list[2] = {r->t, other}, count = other == TXN_NONE ? 1 : 2;
    if (!found_count(r->inference->found, anomaly))
        return;
    struct buf text = BUF_INIT, name = BUF_INIT;
    value_print(txns->keys[key], &name);
    buf_add_text(&text, "T1's ");
    if (txns->mops[m].kind == MOP_PREDICATE)
        value_print(txns->mops[m].value, &text);
    else
        found_print_mop(txns, &txns->mops[m], &text);
    buf_printf(&text, " %s (key %s)\nwhere", why, buf_text(&name));
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(&text, "\n  T%" PRIu32 " = ", i + 1);
        found_print_txn(txns, list[i], &text);
    }
    struct finding *finding = found_tell(r->inference->found, anomaly, title, &text, list, count);
    json_set_text(finding->fields, "key", buf_text(&name));
    buf_free(&name);
}

/* A value that was read: whose it is. */
static void check_value(struct reading *r, uint32_t m, uint32_t key, struct value value)
{
    struct txns *txns = r->predicates->txns;
    uint32_t slot = value_is_nil(value) ? TXN_NONE : txns_slot(txns, key, value);
    if (slot != TXN_NONE && txns->state[txns->slots[slot].txn] == TXN_FAILED)
        tell(r, ANOMALY_G1A, "aborted read", m, key, "shows what T2 wrote, which failed",
             txns->slots[slot].txn);
    /* What :init was asked for and did not confirm may be there all the same. */
    bool asked = false;
    if (txns->init != TXN_NONE && txns->invoked[txns->init] != HISTORY_NONE) {
        struct value made = txns->history->value[txns->invoked[txns->init]];
        for (size_t i = 0; value_kind(made) == VALUE_MAP && i + 1 < value_count(made); i += 2)
            asked = asked || value_equal(value_at(made, i), txns->keys[key]);
    }
    if (slot == TXN_NONE && !value_is_nil(value) && !asked)
        tell(r, ANOMALY_GARBAGE_READ, "read of a value that nobody wrote", m, key,
             "shows what no transaction ever wrote", TXN_NONE);
}

/* What the transaction itself left the key at before micro-operation `until`; false: nothing. */
static bool own(const struct txns *txns, uint32_t t, uint32_t until, uint32_t key,
                struct value *value)
{
    bool wrote = false;
    for (uint32_t m = txns->first[t]; m < until; m++)
        if (mop_writes(&txns->mops[m]) && txns->mops[m].key == key) {
            wrote = true;
            *value = txns->mops[m].value;
        }
    return wrote;
}

static void check_reads(struct reading *r, uint32_t t)
{
    const struct predicates *p = r->predicates;
    const struct txns *txns = p->txns;
    r->t = t;
    for (uint32_t m = txns->first[t]; txns->state[t] == TXN_OK && m < txns->first[t + 1]; m++) {
        const struct mop *mop = &txns->mops[m];
        bool predicate = mop->kind == MOP_PREDICATE, known;
        uint32_t first = predicate ? 0 : mop->key, last = predicate ? txns->key_count : first + 1;
        for (uint32_t key = first; !mop_writes(mop) && key < last; key++) {
            struct value value = mop->value, mine = value_nil();
            bool seen = !predicate || shown(p, mop, key, &value);
            if (seen)
                check_value(r, m, key, value);
            bool wrote = own(txns, t, m, key, &mine);
            bool fits = !predicate || (!value_is_nil(mine) &&
                                       predicate_holds(value_at(mop->value, 1), mine, &known));
            bool agrees = seen == fits && (!seen || value_equal(value, mine) ||
                                           (value_is_nil(value) && value_is_nil(mine)));
            if (wrote && !agrees)
                tell(r, ANOMALY_INTERNAL, "a transaction disagrees with itself", m, key,
                     "does not show what T1 itself wrote before", TXN_NONE);
            if (predicate && !seen && !wrote && unseen(p, mop, key) == VERSION_BEFORE)
                tell(r, ANOMALY_PREDICATE_READ_MISS, "a predicate read that missed a key", m, key,
                     "does not show it, though every version of it matches", TXN_NONE);
        }
    }
}

/* ---- Edges ---- */

struct edges {
    struct graph_builder *builder;
    struct predicates *predicates;
    uint32_t t;
    bool marking; /* only who was seen is marked, nothing is added */
};

static bool add_view(void *context, const struct predicate_view *view)
{
    struct edges *edges = context;
    struct predicates *p = edges->predicates;
    struct txns *txns = p->txns;
    uint32_t writer = predicate_writer(p, view->key, view->version);
    if (edges->marking) {
        if (writer != TXN_NONE)
            txns->committed[writer] = true;
        return true;
    }
    if (writer != TXN_NONE)
        graph_add(edges->builder, writer, edges->t, view->predicate ? EDGE_WRP : EDGE_WR);
    for (int next = (int)view->version + 1; next <= VERSION_SECOND; next++) {
        uint32_t later = predicate_writer(p, view->key, (enum predicate_version)next);
        const struct mop *mop = &txns->mops[view->mop];
        if (later == TXN_NONE || !txns->committed[later])
            continue;
        if (view->predicate &&
            predicate_matches(p, mop, view->key, view->version) ==
                predicate_matches(p, mop, view->key, (enum predicate_version)next))
            continue; /* nothing changed for the predicate */
        graph_add(edges->builder, edges->t, later, view->predicate ? EDGE_RWP : EDGE_RW);
        if (!view->predicate)
            break; /* of a key the version directly after */
    }
    return true;
}

static void add_edges(struct edges *edges)
{
    const struct predicates *p = edges->predicates;
    const struct txns *txns = p->txns;
    for (uint32_t key = 0; !edges->marking && key < txns->key_count; key++) {
        uint32_t first = predicate_writer(p, key, VERSION_FIRST);
        uint32_t second = predicate_writer(p, key, VERSION_SECOND);
        if (first != TXN_NONE && second != TXN_NONE && txns->committed[second])
            graph_add(edges->builder, first, second, EDGE_WW);
    }
    for (uint32_t t = 0; t < txns->count; t++) {
        edges->t = t;
        predicate_views(p, t, add_view, edges);
    }
}

enum err_code predicate_infer(struct inference *inference, struct err *err)
{
    struct txns *txns = inference->txns;
    struct predicates *p = arena_zalloc(txns->arena, sizeof *p);
    size_t keys = (size_t)txns->key_count + 1;
    p->txns = txns;
    p->made = arena_alloc(txns->arena, keys * sizeof *p->made);
    p->written = arena_alloc(txns->arena, keys * sizeof *p->written);
    p->values = arena_zalloc(txns->arena, keys * sizeof *p->values);
    p->firsts = arena_zalloc(txns->arena, keys * sizeof *p->firsts);
    memset(p->made, 0xff, keys * sizeof *p->made);
    memset(p->written, 0xff, keys * sizeof *p->written);
    inference->state = p;
    inference->why = predicate_why;
    enum err_code code = check_init(txns, err);
    if (code == ERR_NONE)
        code = check_predicates(p, err);
    if (code == ERR_NONE)
        code = find_versions(p, err);
    if (code == ERR_NONE && txns->duplicate_mop != TXN_NONE)
        code = err_set(err, ERR_PARSE,
                       "event %" PRIu32 ": a value is written to a key twice, so reads cannot tell "
                       "the two apart",
                       txns_event(txns, txns->duplicate_txn));
    if (code != ERR_NONE)
        return code;
    struct reading reading = {inference, p, 0};
    for (uint32_t t = 0; t < txns->count; t++)
        check_reads(&reading, t);
    struct graph_builder builder;
    struct edges edges = {&builder, p, 0, true};
    add_edges(&edges);
    edges.marking = false;
    graph_begin(&builder, txns->arena, txns->count);
    add_edges(&edges);
    if (!graph_allocate(&builder, txns->arena))
        return err_set(err, ERR_NOMEM, "there are too many edges between transactions");
    add_edges(&edges);
    inference->graph = graph_end(&builder);
    return ERR_NONE;
}
