/* Breadth first with edges that cost nothing: see paths.h. */
#include "checkers/transactions/paths.h"

#include <string.h>

#include "harness/base/clock.h"

void paths_init(struct paths *paths, const struct graph *graph, struct arena *arena)
{
    size_t bytes = ((size_t)graph->count + 1) * sizeof(uint32_t);
    *paths = (struct paths){.graph = graph, .arena = arena, .deadline_ns = INT64_MAX};
    paths->stamp = arena_zalloc(arena, bytes);
    paths->distance = arena_alloc(arena, bytes);
    paths->parent = arena_alloc(arena, bytes);
    paths->parent_edge = arena_alloc(arena, bytes);
    /* A node may wait twice: at a distance, and then at a shorter one. */
    paths->target = arena_zalloc(arena, bytes);
    paths->queue = arena_alloc(arena, 2 * bytes);
    paths->next = arena_alloc(arena, 2 * bytes);
}

/* Whether another step may be taken; looks at the clock now and then. */
static bool may_step(struct paths *paths)
{
    paths->steps++;
    if (paths->steps > paths->steps_max ||
        ((paths->steps & 0xffff) == 0 && paths->deadline_ns != INT64_MAX &&
         clock_monotonic_ns() > paths->deadline_ns))
        paths->out_of_budget = true;
    return !paths->out_of_budget;
}

static uint32_t lowest_order(const struct paths *paths, const uint32_t *targets, uint32_t count)
{
    uint32_t lowest = UINT32_MAX;
    if (paths->order == NULL)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        if (paths->order[targets[i]] < lowest)
            lowest = paths->order[targets[i]];
    return lowest;
}

/* Takes the edge out of `v`, which is at distance `d`; returns its target when that is new or
 * nearer than before, else TXN_NONE. */
static inline uint32_t follow(struct paths *paths, uint32_t v, uint32_t d, uint32_t edge,
                              uint32_t lowest)
{
    uint32_t w = edge_target(edge), distance = d + paths_cost(edge);
    if ((paths->types >> edge_type(edge) & 1) == 0 || paths->of[w] != paths->part ||
        (paths->order != NULL && paths->order[w] < lowest))
        return TXN_NONE;
    if (paths->stamp[w] == paths->run && paths->distance[w] <= distance)
        return TXN_NONE;
    paths->stamp[w] = paths->run;
    paths->distance[w] = distance;
    paths->parent[w] = v;
    paths->parent_edge[w] = edge;
    return w;
}

/* All nodes at distance `d`, those at no cost from each other included. Returns the nearest target
 * met, which is at d or d + 1. */
static uint32_t sweep(struct paths *paths, uint32_t d, uint32_t lowest, uint32_t *count)
{
    const struct graph *graph = paths->graph;
    uint32_t queued = *count, best = TXN_NONE, next_count = 0;
    for (uint32_t i = 0; i < queued; i++) {
        uint32_t v = paths->queue[i];
        if (paths->distance[v] != d && !(d == 0 && i == 0))
            continue; /* it was reached by a shorter way since */
        for (uint32_t e = graph->first[v]; e < graph->first[v + 1]; e++) {
            if (!may_step(paths))
                return TXN_NONE;
            uint32_t w = follow(paths, v, d, graph->edges[e], lowest);
            if (w == TXN_NONE)
                continue;
            bool target = paths->target[w] == paths->run;
            if (target && (best == TXN_NONE || paths->distance[w] < paths->distance[best]))
                best = w;
            if (target)
                continue;
            if (paths->distance[w] == d)
                paths->queue[queued++] = w;
            else
                paths->next[next_count++] = w;
        }
    }
    uint32_t *swap = paths->queue;
    paths->queue = paths->next;
    paths->next = swap;
    *count = next_count;
    return best;
}

uint32_t paths_nearest(struct paths *paths, uint32_t source, const uint32_t *targets,
                       uint32_t target_count, uint32_t most, uint32_t *distance)
{
    uint32_t lowest = lowest_order(paths, targets, target_count), count = 1;
    paths->run++;
    for (uint32_t i = 0; i < target_count; i++)
        paths->target[targets[i]] = paths->run;
    /* The source itself is not marked as reached, so that a way back to it is found. */
    paths->queue[0] = source;
    for (uint32_t d = 0; d < most && count > 0; d++) {
        uint32_t best = sweep(paths, d, lowest, &count);
        if (paths->out_of_budget)
            return TXN_NONE;
        if (best != TXN_NONE) {
            *distance = paths->distance[best];
            return best;
        }
    }
    return TXN_NONE;
}
