/* Trees over a line of places: see monitor_tree.h. */
#include "checkers/linearizable/monitor_tree.h"

#include <string.h>

void lin_tree_init(struct lin_tree *tree, uint32_t places, int64_t value, struct arena *arena)
{
    tree->size = 1;
    while (tree->size < places)
        tree->size *= 2;
    size_t nodes = (size_t)tree->size * 2;
    tree->least = arena_alloc(arena, nodes * sizeof *tree->least);
    tree->added = arena_zalloc(arena, nodes * sizeof *tree->added);
    for (size_t i = 0; i < nodes; i++)
        tree->least[i] = value;
}

static void sum_up(struct lin_tree *tree, uint32_t node)
{
    int64_t left = tree->least[2 * node], right = tree->least[2 * node + 1];
    tree->least[node] = (left < right ? left : right) + tree->added[node];
}

void lin_tree_set(struct lin_tree *tree, uint32_t place, int64_t value)
{
    uint32_t node = tree->size + place;
    tree->least[node] = value;
    for (node /= 2; node > 0; node /= 2)
        sum_up(tree, node);
}

void lin_tree_add(struct lin_tree *tree, uint32_t begin, uint32_t end, int64_t value)
{
    uint32_t left = tree->size + begin, right = tree->size + end;
    uint32_t first = left, last = right - 1;
    if (begin >= end)
        return;
    for (; left < right; left /= 2, right /= 2) {
        if (left & 1) {
            tree->least[left] += value;
            tree->added[left++] += value;
        }
        if (right & 1) {
            tree->least[--right] += value;
            tree->added[right] += value;
        }
    }
    for (first /= 2; first > 0; first /= 2)
        sum_up(tree, first);
    for (last /= 2; last > 0; last /= 2)
        sum_up(tree, last);
}

/* Below `node`, which holds the places from..from+width-1; `above` was added higher up. */
static uint32_t find(const struct lin_tree *tree, uint32_t node, uint32_t from, uint32_t width,
                     uint32_t begin, uint32_t end, int64_t bound)
{
    if (from >= end || from + width <= begin || tree->least[node] > bound)
        return LIN_TREE_NONE;
    if (width == 1)
        return from;
    bound -= tree->added[node];
    uint32_t half = width / 2;
    uint32_t found = find(tree, 2 * node, from, half, begin, end, bound);
    return found != LIN_TREE_NONE ? found
                                  : find(tree, 2 * node + 1, from + half, half, begin, end, bound);
}

uint32_t lin_tree_find(const struct lin_tree *tree, uint32_t begin, uint32_t end, int64_t bound)
{
    return begin < end ? find(tree, 1, 0, tree->size, begin, end, bound) : LIN_TREE_NONE;
}
