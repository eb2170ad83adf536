/* Trees over a line of places, for the monitor of stacks: the least of a range, with additions. */
#ifndef ORDEAL_LINEARIZABLE_MONITOR_TREE_H
#define ORDEAL_LINEARIZABLE_MONITOR_TREE_H

#include "harness/base/arena.h"

#include <stdint.h>

#define LIN_TREE_NONE UINT32_MAX

struct lin_tree {
    int64_t *least; /* of a node's places, without what was added to the nodes above it */
    int64_t *added; /* to all places of the node */
    uint32_t size;  /* places, a power of two */
};

/* Every place at `value`. */
void lin_tree_init(struct lin_tree *tree, uint32_t places, int64_t value, struct arena *arena);
/* For trees to which nothing is added: the value of one place. */
void lin_tree_set(struct lin_tree *tree, uint32_t place, int64_t value);
void lin_tree_add(struct lin_tree *tree, uint32_t begin, uint32_t end, int64_t value);
/* The first place of the range whose value is at most `bound`; LIN_TREE_NONE. */
uint32_t lin_tree_find(const struct lin_tree *tree, uint32_t begin, uint32_t end, int64_t bound);

#endif
