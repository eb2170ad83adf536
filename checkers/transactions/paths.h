/* Shortest paths in a part of the graph. Edges from auxiliary nodes cost nothing, so that a path's
 * length is what it has of transactions. */
#ifndef ORDEAL_TRANSACTIONS_PATHS_H
#define ORDEAL_TRANSACTIONS_PATHS_H

#include "checkers/transactions/graph.h"

struct paths {
    const struct graph *graph;
    struct arena *arena;
    uint32_t types;     /* edges that may be taken */
    const uint32_t *of; /* a path stays among nodes with of[node] == part */
    uint32_t part;
    const uint32_t *order; /* components' order for these types (graph.h), or NULL */
    uint64_t steps;        /* edges looked at, counted up */
    uint64_t steps_max;
    int64_t deadline_ns;
    bool out_of_budget;
    /* the search's own */
    uint32_t *stamp, *distance, *parent, *parent_edge, *target, *queue, *next;
    uint32_t run;
};

static inline uint32_t paths_cost(uint32_t edge)
{
    return edge_type(edge) >= EDGE_FREE ? 0 : 1;
}

void paths_init(struct paths *paths, const struct graph *graph, struct arena *arena);

/* Looks for the nearest of `targets` from `source`, no farther than `most`. Returns the target, its
 * distance in *distance, or TXN_NONE. The path is then found backwards by parent and parent_edge. A
 * path from a node to itself has at least one edge. */
uint32_t paths_nearest(struct paths *paths, uint32_t source, const uint32_t *targets,
                       uint32_t target_count, uint32_t most, uint32_t *distance);

#endif
