/* From a refutation to the transactions that it needs: see orders_core.h. */
#include "checkers/transactions/orders_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/transactions/sat.h"

void order_refutation_init(struct order_refutation *refutation, struct order_graph *graph)
{
    *refutation =
        (struct order_refutation){.graph = graph, .circle_in = TXN_NONE, .pair = TXN_NONE};
}

void order_refutation_free(struct order_refutation *refutation)
{
    free(refutation->circles);
    free(refutation->nodes);
    free(refutation->literals);
}

static void *grown(void *list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return list;
    *capacity = *capacity == 0 ? 256 : *capacity * 2;
    list = realloc(list, *capacity * size);
    if (list == NULL) {
        fprintf(stderr, "ordeal: out of memory for a refutation\n");
        abort();
    }
    return list;
}

void order_circle_begin(struct order_refutation *r)
{
    r->circles = grown(r->circles, r->circle_count, &r->circle_capacity, sizeof *r->circles);
    r->circles[r->circle_count++] =
        (struct order_circle){.nodes = r->node_count, .literals = r->literal_count};
}

void order_circle_node(struct order_refutation *r, uint32_t node)
{
    r->nodes = grown(r->nodes, r->node_count, &r->node_capacity, sizeof *r->nodes);
    r->nodes[r->node_count++] = node;
    r->circles[r->circle_count - 1].node_count++;
}

void order_circle_literal(struct order_refutation *r, int32_t literal)
{
    r->literals = grown(r->literals, r->literal_count, &r->literal_capacity, sizeof *r->literals);
    r->literals[r->literal_count++] = literal;
    r->circles[r->circle_count - 1].literal_count++;
}

/* ---- Which circles are needed ---- */

static int variable_of(uint32_t *numbers, uint32_t pair, int *next)
{
    if (numbers[pair] == 0)
        numbers[pair] = (uint32_t)++ * next;
    return (int)numbers[pair];
}

/* Keeps the circles that are already too many for the solver: one call of it. `needed` is in and
 * out; returns how many are. */
static size_t reduce(const struct order_refutation *r, bool *needed, struct arena *arena)
{
    struct sat *sat = sat_open(INT64_MAX);
    uint32_t *numbers = arena_zalloc(arena, (r->graph->pair_count + 1) * sizeof *numbers);
    int next = (int)r->circle_count;
    for (size_t c = 0; c < r->circle_count; c++) {
        if (!needed[c])
            continue;
        const struct order_circle *circle = &r->circles[c];
        sat_add(sat, -(int)c - 1); /* the circle counts only if this is assumed */
        for (size_t i = circle->literals; i < circle->literals + circle->literal_count; i++) {
            int32_t literal = r->literals[i];
            int variable = variable_of(numbers, (uint32_t)abs(literal) - 1, &next);
            sat_add(sat, literal > 0 ? -variable : variable);
        }
        sat_add(sat, 0);
        sat_assume(sat, (int)c + 1);
    }
    size_t count = 0;
    bool refuted = sat_solve(sat) == SAT_NO;
    for (size_t c = 0; c < r->circle_count; c++) {
        needed[c] = needed[c] && (!refuted || sat_failed(sat, (int)c + 1));
        count += needed[c];
    }
    sat_close(sat);
    return count;
}

/* ---- Which transactions ---- */

struct core {
    const struct order_refutation *refutation;
    const struct order_graph *graph;
    struct arena *arena;
    bool *keep;      /* by transaction */
    bool *explained; /* by pair */
    uint32_t *work;  /* pairs to explain */
    size_t work_count;
    uint32_t *first, *at; /* known edges by source: edges[at[first[v]]] .. */
    uint32_t *parent, *queue, *stamp, run;
};

static void index_edges(struct core *core)
{
    const struct order_graph *graph = core->graph;
    core->first = arena_zalloc(core->arena, ((size_t)graph->nodes + 2) * sizeof(uint32_t));
    core->at = arena_alloc(core->arena, (graph->edge_count + 1) * sizeof(uint32_t));
    for (size_t e = 0; e < graph->edge_count; e++)
        core->first[graph->edges[e].from + 2]++;
    for (uint32_t v = 1; v <= graph->nodes; v++)
        core->first[v + 1] += core->first[v];
    for (size_t e = 0; e < graph->edge_count; e++)
        core->at[core->first[graph->edges[e].from + 1]++] = (uint32_t)e;
}

static uint32_t round_of(const struct core *core, const struct order_edge *edge)
{
    return edge->pair == TXN_NONE ? 0 : core->graph->pairs[edge->pair].round;
}

static void need_pair(struct core *core, uint32_t pair)
{
    const struct order_graph *graph = core->graph;
    const uint32_t chains[] = {graph->pairs[pair].a, graph->pairs[pair].b};
    if (core->explained[pair])
        return;
    core->explained[pair] = true;
    for (int k = 0; k < 2; k++) {
        const struct order_chain *chain = &graph->chains[chains[k]];
        for (uint32_t m = 0; m < chain->member_count; m++)
            core->keep[graph->chain_members[chain->members + m]] = true;
    }
    if (graph->pairs[pair].decided != PAIR_OPEN && graph->pairs[pair].round > 0)
        core->work[core->work_count++] = pair;
}

/* One step of a way, from node v to w: whose nodes they are, and by what the step is known. */
static void need_step(struct core *core, uint32_t v, uint32_t w)
{
    const struct order_graph *graph = core->graph;
    const struct orders *orders = graph->orders;
    uint32_t a = graph->node_txn[v], b = graph->node_txn[w], pair = TXN_NONE;
    bool known = false;
    for (uint32_t e = core->first[v]; e < core->first[v + 1]; e++) {
        const struct order_edge *edge = &graph->edges[core->at[e]];
        if (edge->to != w || (known && pair == TXN_NONE))
            continue;
        if (!known || edge->pair == TXN_NONE || round_of(core, edge) < graph->pairs[pair].round)
            pair = edge->pair;
        known = true;
    }
    if (a != TXN_NONE)
        core->keep[a] = true;
    if (b != TXN_NONE)
        core->keep[b] = true;
    if (a != TXN_NONE && b != TXN_NONE) /* what a read and b overwrote */
        for (uint32_t r = orders->read_first[a]; r < orders->read_first[a + 1]; r++)
            if (orders->reads[r].from != ORDER_INITIAL &&
                orders_writes(orders, b, orders->reads[r].key))
                core->keep[orders->reads[r].from] = true;
    if (known && pair != TXN_NONE)
        need_pair(core, pair);
}

/* A shortest way by what was known before the round; from a node to itself: a circle. */
static bool need_way(struct core *core, uint32_t from, uint32_t to, uint32_t before_round)
{
    uint32_t head = 0, tail = 0;
    core->run++;
    core->queue[tail++] = from;
    if (from != to)
        core->stamp[from] = core->run;
    while (head < tail && core->stamp[to] != core->run) {
        uint32_t v = core->queue[head++];
        for (uint32_t e = core->first[v]; e < core->first[v + 1]; e++) {
            const struct order_edge *edge = &core->graph->edges[core->at[e]];
            if (core->stamp[edge->to] == core->run || round_of(core, edge) >= before_round)
                continue;
            core->stamp[edge->to] = core->run;
            core->parent[edge->to] = v;
            core->queue[tail++] = edge->to;
        }
    }
    if (core->stamp[to] != core->run)
        return false;
    uint32_t w = to;
    do {
        need_step(core, core->parent[w], w);
        w = core->parent[w];
    } while (w != from);
    return true;
}

/* Why the pair is not `direction`: one of the edges would close a circle. */
static void need_reason(struct core *core, uint32_t pair, int direction, uint32_t round)
{
    struct order_edge edges[2];
    int count = order_pair_edges(core->graph, pair, direction, edges);
    for (int i = 0; i < count; i++)
        if (need_way(core, edges[i].to, edges[i].from, round)) {
            need_step(core, edges[i].from, edges[i].to);
            return;
        }
}

static void need_circles(struct core *core)
{
    const struct order_refutation *r = core->refutation;
    bool *needed = arena_alloc(core->arena, r->circle_count + 1);
    memset(needed, true, r->circle_count + 1);
    size_t before, count = r->circle_count;
    do {
        before = count;
        count = reduce(r, needed, core->arena);
    } while (count < before);
    for (size_t c = 0; c < r->circle_count; c++) {
        const struct order_circle *circle = &r->circles[c];
        for (size_t i = 0; needed[c] && i < circle->node_count; i++)
            need_step(core, r->nodes[circle->nodes + (i + 1) % circle->node_count],
                      r->nodes[circle->nodes + i]);
        for (size_t i = 0; needed[c] && i < circle->literal_count; i++)
            need_pair(core, (uint32_t)abs(r->literals[circle->literals + i]) - 1);
    }
}

bool *order_refutation_core(struct order_refutation *r, struct arena *arena)
{
    const struct order_graph *graph = r->graph;
    struct arena scratch = ARENA_INIT;
    size_t nodes = ((size_t)graph->nodes + 1) * sizeof(uint32_t);
    struct core core = {.refutation = r, .graph = graph, .arena = &scratch};
    core.keep = arena_zalloc(arena, (size_t)graph->orders->count + 1);
    core.explained = arena_zalloc(&scratch, graph->pair_count + 1);
    core.work = arena_alloc(&scratch, (graph->pair_count + 1) * sizeof(uint32_t));
    core.parent = arena_alloc(&scratch, nodes);
    core.queue = arena_alloc(&scratch, nodes);
    core.stamp = arena_zalloc(&scratch, nodes);
    index_edges(&core);
    if (graph->updater_b != TXN_NONE) {
        core.keep[graph->updater_a] = core.keep[graph->updater_b] = true;
        if (graph->updated_twice != ORDER_INITIAL)
            core.keep[graph->updated_twice] = true;
    } else if (r->circle_in != TXN_NONE) {
        need_way(&core, r->circle_in, r->circle_in, UINT32_MAX);
    } else if (r->pair != TXN_NONE) {
        need_pair(&core, r->pair);
        need_reason(&core, r->pair, PAIR_FORWARD, r->round);
        need_reason(&core, r->pair, PAIR_BACKWARD, r->round);
    } else {
        need_circles(&core);
    }
    while (core.work_count > 0) {
        uint32_t pair = core.work[--core.work_count];
        need_reason(&core, pair, -graph->pairs[pair].decided, graph->pairs[pair].round);
    }
    arena_free(&scratch);
    return core.keep;
}
