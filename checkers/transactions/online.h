/* A graph that grows, and an order of its nodes that agrees with all its edges, kept up as they
 * come (Pearce and Kelly, "A dynamic topological sort algorithm for directed acyclic graphs",
 * 2006): an edge that agrees with the order already costs nothing, another one a search among the
 * nodes between its two ends. For histories, where new edges are among what happened of late, that
 * is little. */
#ifndef ORDEAL_TRANSACTIONS_ONLINE_H
#define ORDEAL_TRANSACTIONS_ONLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct online_node {
    uint32_t order, mark;
    uint32_t out, in; /* first links; ONLINE_NONE */
};

struct online_link {
    uint32_t node, next;
};

struct online {
    struct online_node *nodes;
    uint32_t count, capacity;
    struct online_link *links;
    uint32_t link_count, link_capacity;
    /* the search's own */
    uint32_t *ahead, *behind, *places;
    uint32_t ahead_capacity, behind_capacity, places_capacity;
    uint32_t mark;
    uint64_t steps; /* nodes looked at, in all */
};
#define ONLINE_NONE UINT32_MAX

/* Zeroed, it is empty. */
void online_free(struct online *online);
/* A new node, last in the order. */
uint32_t online_add(struct online *online);
/* Adds the edge; false when it closes a cycle, and then it is not there. An edge from a node to
 * itself is none. */
bool online_edge(struct online *online, uint32_t from, uint32_t to);
size_t online_bytes(const struct online *online);

#endif
