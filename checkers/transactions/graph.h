/* The graph of what must come before what.
 *
 * Nodes are transactions, then auxiliary nodes that stand for many edges at once (a path through
 * auxiliary nodes is one edge, of the kind with which it began). Edges are kept by source, each one
 * word. Real time is not kept at all: txns.h tells it, and searches walk it as a chain of epochs.
 */
#ifndef ORDEAL_TRANSACTIONS_GRAPH_H
#define ORDEAL_TRANSACTIONS_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "checkers/transactions/txns.h"

/* Why one transaction comes before another, as Adya has it: one overwrote the other's version (ww),
 * read it (wr), or overwrote what the other had read (rw); with p: of a predicate's versions. */
enum edge_type {
    EDGE_WW,
    EDGE_WR,
    EDGE_RW,
    EDGE_WWP,
    EDGE_WRP,
    EDGE_RWP,
    EDGE_PROCESS,
    EDGE_REALTIME, /* from a transaction into the chain of epochs */
    EDGE_FREE,     /* on from an auxiliary node */
    EDGE_CHAIN,    /* on from an epoch */
    EDGE_TYPES,
};
enum { EDGE_TYPE_BITS = 4, EDGE_TYPE_MASK = 15, NODES_MAX = 1 << 28 };

#define EDGES(type) (1U << (type))
#define EDGES_WW (EDGES(EDGE_WW) | EDGES(EDGE_WWP) | EDGES(EDGE_FREE))
#define EDGES_WR (EDGES(EDGE_WR) | EDGES(EDGE_WRP))
#define EDGES_RW_ITEM EDGES(EDGE_RW)
#define EDGES_RW (EDGES(EDGE_RW) | EDGES(EDGE_RWP))
#define EDGES_PROCESS EDGES(EDGE_PROCESS)
#define EDGES_REALTIME (EDGES(EDGE_REALTIME) | EDGES(EDGE_CHAIN))
#define EDGES_ALL ((1U << EDGE_TYPES) - 1)

static inline uint32_t edge_make(uint32_t target, enum edge_type type)
{
    return target << EDGE_TYPE_BITS | type;
}
static inline uint32_t edge_target(uint32_t edge)
{
    return edge >> EDGE_TYPE_BITS;
}
static inline enum edge_type edge_type(uint32_t edge)
{
    return (enum edge_type)(edge & EDGE_TYPE_MASK);
}
static inline bool edge_is_rw(uint32_t edge)
{
    return (EDGES_RW >> edge_type(edge) & 1) != 0;
}

struct graph {
    uint32_t count;  /* nodes */
    uint32_t *first; /* edges of node v: edges[first[v]] .. edges[first[v + 1]] */
    uint32_t *edges;
};

/* Built in two passes over the same additions: the first counts, the second fills. */
struct graph_builder {
    struct graph graph;
    bool filling;
    uint64_t total;
};

void graph_begin(struct graph_builder *builder, struct arena *arena, uint32_t count);
/* Between the passes; false when there are too many edges to number. */
bool graph_allocate(struct graph_builder *builder, struct arena *arena);
struct graph graph_end(struct graph_builder *builder);

static inline void graph_add(struct graph_builder *builder, uint32_t source, uint32_t target,
                             enum edge_type type)
{
    if (source == target)
        return;
    if (builder->filling)
        builder->graph.edges[builder->graph.first[source + 1]++] = edge_make(target, type);
    else
        builder->graph.first[source + 1]++;
}

/* ---- Strongly connected components (Tarjan 1972, Pearce 2005), without recursion ---- */

/* A graph to walk: some types of edges, and with `txns` the chain of epochs behind the nodes. */
struct walk {
    const struct graph *graph;
    uint32_t types;          /* EDGES(..) */
    const struct txns *txns; /* NULL: no real time */
    bool members_only;       /* `of` and `order` are not asked for, and NULL */
};

struct components {
    uint32_t count;  /* of more than one node */
    uint32_t *first; /* members of component c: members[first[c]] .. members[first[c + 1]] */
    uint32_t *members;
    uint32_t *of;    /* of each node; TXN_NONE where it is alone */
    uint32_t *order; /* of each node: an edge's target never has a higher one than its source,
                        and an equal one only in the same component */
};

/* Nodes: those of the graph, then with real time one per epoch. */
void components_find(const struct walk *walk, struct arena *arena, struct components *out);

#endif
