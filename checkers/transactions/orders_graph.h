/* What must come before what, and what is open: the polygraph of a problem of orders.
 *
 * Nodes: of a serial order one a transaction; of snapshot isolation two, where it takes its
 * snapshot and where it commits (Viper's encoding). Then auxiliary ones: one for all that read the
 * last version of a chain, one for each epoch of real time. An order is one exactly when the graph
 * has no cycle.
 *
 * Writers of a key that read each other's version form chains, within which nothing is open. Of two
 * chains of a key one comes before the other as a whole: a pair, whose two directions are two edges
 * each. */
#ifndef ORDEAL_TRANSACTIONS_ORDERS_GRAPH_H
#define ORDEAL_TRANSACTIONS_ORDERS_GRAPH_H

#include "checkers/transactions/orders.h"

enum { PAIR_OPEN = 0, PAIR_FORWARD = 1, PAIR_BACKWARD = -1 };

struct order_chain {
    uint32_t first, last; /* transactions */
    uint32_t readers;     /* the node of those that read the last version; TXN_NONE: nobody */
    uint32_t members;     /* chain_members[members] .. of the graph, member_count of them */
    uint32_t member_count;
    uint32_t ended, begun; /* the earliest end and the latest begin of a member */
};

struct order_pair {
    uint32_t a, b;  /* chains; forward: a comes before b */
    int decided;    /* PAIR_OPEN, .. */
    uint32_t round; /* in which it was decided; 0: by real time */
};

struct order_edge {
    uint32_t from, to;
    uint32_t pair; /* whose decision it is; TXN_NONE: nobody's */
};

struct order_graph {
    const struct orders *orders;
    struct arena *arena;
    uint32_t nodes;
    uint32_t *node_txn; /* whose node it is, or of whose version the readers; TXN_NONE */
    struct order_edge *edges;
    size_t edge_count, edge_capacity;
    struct order_chain *chains;
    uint32_t chain_count;
    uint32_t *chain_members;
    struct order_pair *pairs;
    size_t pair_count, pair_capacity;
    /* two that both read one version and wrote the key; TXN_NONE */
    uint32_t updated_twice, updater_a, updater_b;
};

/* False when there are more pairs than memory allows. Edges and pairs are malloc'd: free it. */
bool order_graph_make(struct order_graph *graph, const struct orders *orders, size_t memory_bytes,
                      struct arena *arena);
void order_graph_free(struct order_graph *graph);
/* The edges of a pair, were it decided so; returns how many (1 or 2). */
int order_pair_edges(const struct order_graph *graph, uint32_t pair, int decided,
                     struct order_edge out[2]);
/* Decides it, and adds its edges. */
void order_pair_decide(struct order_graph *graph, uint32_t pair, int decided, uint32_t round);

#endif
