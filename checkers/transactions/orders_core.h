/* What a refutation rests on: the circles that the search met, and why pairs were decided. */
#ifndef ORDEAL_TRANSACTIONS_ORDERS_CORE_H
#define ORDEAL_TRANSACTIONS_ORDERS_CORE_H

#include "checkers/transactions/orders_graph.h"

struct order_circle {
    size_t nodes, node_count;       /* refutation->nodes[nodes] .. , each after the one behind it */
    size_t literals, literal_count; /* refutation->literals[..]: pair + 1, negative: backward */
};

/* One of: a circle of what is known; a pair that can be neither way; circles of which every choice
 * closes one. */
struct order_refutation {
    struct order_graph *graph;
    uint32_t circle_in;   /* a node of a known circle; TXN_NONE */
    uint32_t pair, round; /* neither way, by what was known before the round; TXN_NONE */
    struct order_circle *circles;
    uint32_t *nodes;
    int32_t *literals;
    size_t circle_count, circle_capacity, node_count, node_capacity, literal_count,
        literal_capacity;
};

void order_refutation_init(struct order_refutation *refutation, struct order_graph *graph);
void order_refutation_free(struct order_refutation *refutation);
/* A circle against which the solver got a clause: its nodes, last first, and the choices in it. */
void order_circle_begin(struct order_refutation *refutation);
void order_circle_node(struct order_refutation *refutation, uint32_t node);
void order_circle_literal(struct order_refutation *refutation, int32_t literal);
/* By transaction: whether the refutation needs it; in the arena. */
bool *order_refutation_core(struct order_refutation *refutation, struct arena *arena);

#endif
