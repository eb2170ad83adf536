/* Inference: from what transactions read to who comes before whom.
 *
 * Each kind of history has one: it finds the anomalies that need no graph, marks the transactions
 * whose effects were seen as committed, and makes the graph. It also knows why an edge is there. */
#ifndef ORDEAL_TRANSACTIONS_INFER_H
#define ORDEAL_TRANSACTIONS_INFER_H

#include "checkers/transactions/found.h"
#include "checkers/transactions/graph.h"

struct inference {
    struct txns *txns;
    struct found *found;
    struct graph graph;
    void *state; /* the inference's own, in the arena of txns */
    int threads; /* it may use so many at once */
    /* Adds why `from` comes before `to` by an edge of this type, `from_name` and `to_name` being
     * how the text calls them ("T2 observed T1's append of 3 to key 9"), and to `fields` the same
     * as data. False when there is no such edge: the searches check all they report. */
    bool (*why)(const struct inference *inference, uint32_t from, uint32_t to, enum edge_type type,
                const char *from_name, const char *to_name, struct buf *out, struct json *fields);
};

/* List-append: version orders from the lists that were read. */
enum err_code append_infer(struct inference *inference, struct err *err);

/* Registers: version orders from what the options promise of each key. */
struct register_options {
    bool writes_follow_reads, sequential, linearizable;
    struct value initial;
};
enum err_code register_infer(struct inference *inference, const struct register_options *options,
                             struct err *err);

/* Closed predicates: every key is known, and has two versions at most. */
enum err_code predicate_infer(struct inference *inference, struct err *err);

/* The transaction's own consistency (Cerone's INT): each read agrees with what the transaction
 * itself read and wrote before. */
void append_check_internal(struct inference *inference);

#endif
