/* Cycles in the graph, by kind: what each is called, and a shortest one of each per component.
 *
 * Whether some cycle forbidden by read uncommitted, read committed, snapshot isolation, repeatable
 * read or serializability exists (and the forms of these with processes and real time) is always
 * decided, in linear time, by components; for snapshot isolation in the product of the graph with
 * "the last edge was an anti-dependency". What has a budget is the search for a short one, and the
 * one question with no linear answer: whether there is a cycle with exactly one anti-dependency. */
#ifndef ORDEAL_TRANSACTIONS_CYCLES_H
#define ORDEAL_TRANSACTIONS_CYCLES_H

#include "checkers/transactions/infer.h"

struct cycle {
    uint32_t length;
    uint32_t *txns; /* in order; txns[i] comes before txns[i + 1], and the last before the first */
    uint8_t *types; /* enum edge_type: types[i] is the edge out of txns[i] */
    uint32_t also;  /* so many more follow in `txns`, which are in no edge, but are spoken of */
};

struct cycle_budget {
    int64_t deadline_ns; /* monotonic; INT64_MAX: none */
    uint64_t steps;      /* edges looked at per kind and component */
};

struct cycle_search {
    const struct inference *inference;
    anomaly_set wanted; /* kinds to look for */
    struct cycle_budget budget;
    /* what came of it */
    uint32_t component_count, largest; /* of the whole graph */
    anomaly_set given_up;              /* kinds whose search ran out of budget somewhere */
    uint32_t given_up_size;            /* the largest such component, in transactions */
};

/* Adds every kind of cycle found to inference->found. */
void cycles_find(struct cycle_search *search);

/* What a cycle is, by its edges. */
enum anomaly cycle_kind(const struct cycle *cycle);

/* Puts a cycle into words (and data) and adds it to what was found. False, and nothing is added,
 * when an edge of it cannot be shown: that would be a bug, and no database's. */
bool cycle_tell(const struct inference *inference, const struct cycle *cycle);
/* The same under another name than what its edges say. */
bool cycle_tell_as(const struct inference *inference, const struct cycle *cycle,
                   enum anomaly anomaly);

const char *edge_name(enum edge_type type); /* "ww" */
/* Adds why txns[i] comes before the next one, in words and as data; false when it does not. */
bool cycle_why(const struct inference *inference, const struct cycle *cycle, uint32_t i,
               struct buf *out, struct json *fields);
/* "Let:" and each of them as T1, T2 and so on, in words and as "transactions" in the fields. */
void transactions_tell(const struct txns *txns, const uint32_t *which, uint32_t count,
                       struct buf *text, struct json *fields);

/* The parts of a Graphviz graph, which ends with "}": transactions by their number (from 0, as T1
 * and so on), and why one is before the other. */
void draw_begin(const char *name, struct buf *out);
void draw_txn(const struct txns *txns, uint32_t t, uint32_t number, struct buf *out);
void draw_edge(uint32_t from, uint32_t to, enum edge_type type, const char *reason,
               struct buf *out);
/* A Graphviz graph, for the caller to free. */
char *cycle_draw(const struct inference *inference, const struct cycle *cycle,
                 enum anomaly anomaly);

#endif
