/* Closed predicates: why an edge is there, found again from the reads. */
#include <string.h>

#include "checkers/transactions/predicate.h"

struct edge_text {
    const struct predicates *predicates;
    const struct txns *txns;
    uint32_t from, to;
    enum edge_type type;
    const char *from_name, *to_name;
    struct buf *out;
    struct json *fields;
    bool found;
};

static void set_field(struct edge_text *e, const char *name, struct value value)
{
    struct buf text = BUF_INIT;
    value_print(value, &text);
    json_set_text(e->fields, name, buf_text(&text));
    buf_free(&text);
}

static void print_key(struct edge_text *e, uint32_t key)
{
    buf_add_text(e->out, "key ");
    value_print(e->txns->keys[key], e->out);
    set_field(e, "key", e->txns->keys[key]);
}

/* "1", "unborn", "dead" */
static void print_version(struct edge_text *e, uint32_t key, enum predicate_version version)
{
    const struct predicates *p = e->predicates;
    struct value value = version == VERSION_FIRST    ? p->firsts[key]
                         : version == VERSION_SECOND ? p->values[key]
                                                     : value_nil();
    if (!value_is_nil(value))
        value_print(value, e->out);
    else
        buf_add_text(e->out, version == VERSION_SECOND ? "dead" : "unborn");
}

static void print_read(struct edge_text *e, const char *who, const struct predicate_view *view)
{
    buf_printf(e->out, "%s%s ", who, view->predicate ? "'s predicate read" : " read");
    if (view->predicate) {
        value_print(e->txns->mops[view->mop].value, e->out);
        buf_add_text(e->out, " chose version ");
    }
    print_version(e, view->key, view->version);
    buf_add_text(e->out, " of ");
    print_key(e, view->key);
}

/* Of what `to` saw: something that `from` made. */
static bool try_read(void *context, const struct predicate_view *view)
{
    struct edge_text *e = context;
    if (view->predicate != (e->type == EDGE_WRP) ||
        predicate_writer(e->predicates, view->key, view->version) != e->from)
        return true;
    e->found = true;
    print_read(e, e->to_name, view);
    buf_printf(e->out, ", which %s made", e->from_name);
    return false;
}

/* Of what `from` saw: something that `to` overwrote. */
static bool try_overwritten(void *context, const struct predicate_view *view)
{
    struct edge_text *e = context;
    const struct predicates *p = e->predicates;
    if (view->predicate != (e->type == EDGE_RWP))
        return true;
    for (int next = (int)view->version + 1; next <= VERSION_SECOND; next++) {
        enum predicate_version later = (enum predicate_version)next;
        uint32_t writer = predicate_writer(p, view->key, later);
        const struct mop *mop = &e->txns->mops[view->mop];
        bool changes = !view->predicate || predicate_matches(p, mop, view->key, view->version) !=
                                               predicate_matches(p, mop, view->key, later);
        if (writer == e->to && changes) {
            e->found = true;
            print_read(e, e->from_name, view);
            buf_printf(e->out, ", and %s made it ", e->to_name);
            print_version(e, view->key, later);
            buf_add_text(e->out, view->predicate ? ", which changes what matches" : "");
            return false;
        }
        if (!view->predicate && writer != TXN_NONE && e->txns->committed[writer])
            break;
    }
    return true;
}

static void try_writes(struct edge_text *e)
{
    const struct predicates *p = e->predicates;
    for (uint32_t m = e->txns->first[e->to]; m < e->txns->first[e->to + 1] && !e->found; m++) {
        uint32_t key = e->txns->mops[m].key;
        if (!mop_writes(&e->txns->mops[m]) || predicate_writer(p, key, VERSION_SECOND) != e->to ||
            predicate_writer(p, key, VERSION_FIRST) != e->from)
            continue;
        e->found = true;
        buf_printf(e->out, "%s made ", e->from_name);
        print_key(e, key);
        buf_printf(e->out, ", which %s overwrote", e->to_name);
    }
}

bool predicate_why(const struct inference *inference, uint32_t from, uint32_t to,
                   enum edge_type type, const char *from_name, const char *to_name, struct buf *out,
                   struct json *fields)
{
    struct edge_text e = {.predicates = inference->state,
                          .txns = inference->txns,
                          .from = from,
                          .to = to,
                          .type = type,
                          .from_name = from_name,
                          .to_name = to_name,
                          .out = out,
                          .fields = fields};
    if (type == EDGE_WW)
        try_writes(&e);
    else if (type == EDGE_WR || type == EDGE_WRP)
        predicate_views(e.predicates, to, try_read, &e);
    else if (type == EDGE_RW || type == EDGE_RWP)
        predicate_views(e.predicates, from, try_overwritten, &e);
    return e.found;
}
