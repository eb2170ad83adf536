/* Building the graph, and its components: see graph.h. */
#include "checkers/transactions/graph.h"

#include <string.h>

void graph_begin(struct graph_builder *builder, struct arena *arena, uint32_t count)
{
    *builder = (struct graph_builder){.graph = {.count = count}};
    builder->graph.first = arena_zalloc(arena, ((size_t)count + 2) * sizeof(uint32_t));
}

bool graph_allocate(struct graph_builder *builder, struct arena *arena)
{
    uint32_t *first = builder->graph.first, count = builder->graph.count;
    uint64_t total = 0;
    /* first[v + 1] becomes where v's edges begin, and after the filling where they end. */
    for (uint32_t v = 0; v < count; v++) {
        uint32_t edges = first[v + 1];
        first[v + 1] = (uint32_t)total;
        total += edges;
    }
    builder->total = total;
    if (total >= UINT32_MAX || count >= NODES_MAX)
        return false;
    builder->graph.edges = arena_alloc(arena, (total + 1) * sizeof(uint32_t));
    builder->filling = true;
    return true;
}

struct graph graph_end(struct graph_builder *builder)
{
    return builder->graph;
}

/* ---- Components ---- */

/* One word of each node tells all that Tarjan's algorithm asks, as Pearce (2005) has it: 0 before
 * it was met, then the lowest index known to be reached from it, and in the end the number of its
 * component, from DONE downwards: no index is so high, so that what is done lowers nothing. */
enum { ROOT = 1U << 31 }; /* on the stack of calls: nothing lower was reached so far */
#define DONE (UINT32_MAX - 1)

struct tarjan {
    struct walk walk;
    uint32_t nodes, base; /* base: of the epochs */
    uint32_t *low, *cursor, *calls, *stack;
    uint32_t next_index, depth, height, done;
    struct components *out;
    uint32_t member_count;
};

/* The successor of `v` at its cursor, or TXN_NONE when there is none left. */
static inline uint32_t successor(struct tarjan *t, uint32_t v)
{
    const struct graph *graph = t->walk.graph;
    const struct txns *txns = t->walk.txns;
    if (v < t->base) {
        while (t->cursor[v] < graph->first[v + 1]) {
            uint32_t edge = graph->edges[t->cursor[v]++];
            if (t->walk.types >> edge_type(edge) & 1)
                return edge_target(edge);
        }
        if (txns == NULL || v >= txns->count || t->cursor[v] > graph->first[v + 1])
            return TXN_NONE;
        t->cursor[v]++; /* past the edges: the chain was taken */
        uint32_t end = txns->end_epoch[v];
        return end == TXN_NONE || end + 1 >= txns->epoch_count ? TXN_NONE : t->base + end + 1;
    }
    uint32_t epoch = v - t->base, at = t->cursor[v]++;
    uint32_t first = txns->epoch_first[epoch], last = txns->epoch_first[epoch + 1];
    if (at < last - first)
        return first + at;
    return at == last - first && epoch + 1 < txns->epoch_count ? v + 1 : TXN_NONE;
}

static void enter(struct tarjan *t, uint32_t v)
{
    t->low[v] = ++t->next_index;
    t->cursor[v] = v < t->base ? t->walk.graph->first[v] : 0;
    t->calls[t->depth++] = v | ROOT;
    t->stack[t->height++] = v;
}

/* `v` is the first node of a component, which lies on the stack from it upwards. */
static void close_component(struct tarjan *t, uint32_t v)
{
    uint32_t from = t->height;
    do
        from--;
    while (t->stack[from] != v);
    uint32_t size = t->height - from, component = TXN_NONE;
    if (size > 1) {
        component = t->out->count++;
        t->out->first[component] = t->member_count;
        memcpy(t->out->members + t->member_count, t->stack + from, size * sizeof(uint32_t));
        t->member_count += size;
    }
    for (uint32_t i = from; i < t->height; i++) {
        t->low[t->stack[i]] = t->done;
        if (t->out->of != NULL)
            t->out->of[t->stack[i]] = component;
    }
    t->done--;
    t->height = from;
}

/* `low` was reached from the node of the call. */
static inline void lower(struct tarjan *t, uint32_t call, uint32_t low)
{
    uint32_t v = t->calls[call] & ~ROOT;
    if (low >= t->low[v])
        return;
    t->low[v] = low;
    t->calls[call] = v;
}

static void visit(struct tarjan *t, uint32_t root)
{
    enter(t, root);
    while (t->depth > 0) {
        uint32_t call = t->calls[t->depth - 1], v = call & ~ROOT, w = successor(t, v);
        if (w == TXN_NONE) {
            if ((call & ROOT) != 0)
                close_component(t, v);
            if (--t->depth > 0)
                lower(t, t->depth - 1, t->low[v]);
        } else if (t->low[w] == 0) {
            enter(t, w);
        } else {
            lower(t, t->depth - 1, t->low[w]);
        }
    }
}

void components_find(const struct walk *walk, struct arena *arena, struct components *out)
{
    struct tarjan t = {.walk = *walk, .base = walk->graph->count, .done = DONE, .out = out};
    t.nodes = t.base + (walk->txns == NULL ? 0 : walk->txns->epoch_count);
    size_t bytes = ((size_t)t.nodes + 1) * sizeof(uint32_t);
    *out = (struct components){.count = 0};
    out->of = walk->members_only ? NULL : arena_alloc(arena, bytes);
    out->members = arena_alloc(arena, bytes);
    out->first = arena_alloc(arena, bytes);
    t.low = arena_zalloc(arena, bytes);
    t.cursor = arena_alloc(arena, bytes);
    t.calls = arena_alloc(arena, bytes);
    t.stack = arena_alloc(arena, bytes);
    for (uint32_t v = 0; v < t.nodes; v++)
        if (t.low[v] == 0)
            visit(&t, v);
    out->first[out->count] = t.member_count;
    out->order = walk->members_only ? NULL : t.low;
    for (uint32_t v = 0; out->order != NULL && v < t.nodes; v++)
        out->order[v] = DONE - t.low[v];
}
