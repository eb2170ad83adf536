/* The search for an order: pairs settled by what is known, the rest by SAT: see orders.h. */
#include <stdlib.h>
#include <string.h>

#include "checkers/transactions/orders_core.h"
#include "checkers/transactions/sat.h"
#include "harness/base/clock.h"

enum { CLAUSES_A_ROUND = 2000 };

/* One component of what is known and what is possible: nothing outside of it can close a circle. */
struct part {
    struct order_graph *graph;
    const struct order_budget *budget;
    struct arena *arena; /* for this part alone */
    struct order_refutation *refutation;
    const uint32_t *members; /* nodes of the graph, by local number */
    uint32_t size;
    const uint32_t *local;       /* of each node of the graph */
    struct graph known;          /* what is known, by local numbers */
    uint32_t *pairs, pair_count; /* open ones */
    uint64_t *reach;             /* row v, bit w: w follows from v; NULL: too large */
    size_t row;
    uint32_t round;
};

static bool is_over(const struct order_budget *budget)
{
    return budget->deadline_ns != INT64_MAX && clock_monotonic_ns() > budget->deadline_ns;
}

/* ---- Pruning: a pair one of whose directions closes a circle goes the other way ---- */

static bool reaches(const struct part *part, uint32_t from, uint32_t to)
{
    uint32_t v = part->local[from], w = part->local[to];
    return v == w || (part->reach[v * part->row + w / 64] >> (w % 64) & 1) != 0;
}

static bool is_impossible(const struct part *part, uint32_t pair, int direction)
{
    struct order_edge edges[2];
    int count = order_pair_edges(part->graph, pair, direction, edges);
    for (int i = 0; i < count; i++)
        if (reaches(part, edges[i].to, edges[i].from))
            return true;
    return false;
}

/* Every node after those that it leads to; false when there is a circle. `order` gets them. */
static bool sort_known(const struct part *part, uint32_t *order)
{
    struct components components;
    struct walk walk = {.graph = &part->known, .types = EDGES_ALL};
    components_find(&walk, part->arena, &components);
    for (uint32_t v = 0; v < part->size; v++)
        order[components.order[v]] = v; /* sinks have the lowest numbers */
    if (components.count == 0)
        return true;
    part->refutation->circle_in = part->members[components.members[0]];
    return false;
}

static void find_reach(struct part *part, const uint32_t *order)
{
    part->row = ((size_t)part->size + 63) / 64;
    size_t bytes = part->row * part->size * sizeof(uint64_t), most = part->budget->memory_bytes;
    if (bytes > (most == 0 ? (size_t)4 << 30 : most / 2))
        return;
    part->reach = arena_zalloc(part->arena, bytes + 8);
    for (uint32_t i = 0; i < part->size; i++) {
        uint32_t v = order[i];
        uint64_t *row = part->reach + v * part->row;
        for (uint32_t e = part->known.first[v]; e < part->known.first[v + 1]; e++) {
            uint32_t w = edge_target(part->known.edges[e]);
            const uint64_t *other = part->reach + w * part->row;
            row[w / 64] |= UINT64_C(1) << (w % 64);
            for (size_t word = 0; word < part->row; word++)
                row[word] |= other[word];
        }
    }
}

/* Returns how many pairs it decided; false in *possible when neither way is open. */
static uint32_t prune(struct part *part, bool *possible)
{
    uint32_t decided = 0, left = 0;
    for (uint32_t i = 0; *possible && i < part->pair_count; i++) {
        uint32_t pair = part->pairs[i];
        bool forward = !is_impossible(part, pair, PAIR_FORWARD);
        bool backward = !is_impossible(part, pair, PAIR_BACKWARD);
        if (forward && backward) {
            part->pairs[left++] = pair;
            continue;
        }
        decided++;
        if (!forward && !backward) {
            part->refutation->pair = pair;
            part->refutation->round = part->round;
            *possible = false;
        } else {
            order_pair_decide(part->graph, pair, forward ? PAIR_FORWARD : PAIR_BACKWARD,
                              part->round);
        }
    }
    part->pair_count = left;
    return decided;
}

/* ---- SAT: an assignment, the circles in it, and so on ---- */

/* What is known and what the assignment chose; literals by edge, 0 for what is known. */
struct choice {
    uint32_t *first, *targets;
    int32_t *literals;
    uint32_t *of;  /* the component of each node; TXN_NONE: in none */
    bool *covered; /* by pair: a circle through it was found this time */
    /* the search's own */
    uint32_t *stamp, *distance, *queue, run;
    uint32_t *parent, *parent_edge;
};

static void count_or_add(struct choice *choice, bool add, uint32_t from, uint32_t to,
                         int32_t literal)
{
    if (!add) {
        choice->first[from + 1]++;
        return;
    }
    uint32_t at = choice->first[from + 1]++;
    choice->targets[at] = to;
    choice->literals[at] = literal;
}

static void take_choice(struct part *part, struct sat *sat, struct choice *choice)
{
    memset(choice->first, 0, ((size_t)part->size + 2) * sizeof(uint32_t));
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t v = 0; v < part->size; v++)
            for (uint32_t e = part->known.first[v]; e < part->known.first[v + 1]; e++)
                count_or_add(choice, pass == 1, v, edge_target(part->known.edges[e]), 0);
        for (uint32_t i = 0; i < part->pair_count; i++) {
            struct order_edge edges[2];
            int literal = sat_value(sat, (int)i + 1) ? (int)i + 1 : -(int)i - 1;
            int count = order_pair_edges(part->graph, part->pairs[i],
                                         literal > 0 ? PAIR_FORWARD : PAIR_BACKWARD, edges);
            for (int k = 0; k < count; k++)
                count_or_add(choice, pass == 1, part->local[edges[k].from],
                             part->local[edges[k].to], literal);
        }
        uint32_t total = 0;
        for (uint32_t v = 0; pass == 0 && v < part->size; v++) {
            uint32_t count = choice->first[v + 1];
            choice->first[v + 1] = total;
            total += count;
        }
    }
}

/* The components of the choice, by the code that finds those of all graphs. */
static uint32_t find_components(struct part *part, struct choice *choice, struct arena *scratch)
{
    struct graph graph = {.count = part->size, .first = choice->first};
    struct components components;
    struct walk walk = {.graph = &graph, .types = EDGES_ALL};
    uint32_t total = choice->first[part->size];
    graph.edges = arena_alloc(scratch, ((size_t)total + 1) * sizeof(uint32_t));
    for (uint32_t e = 0; e < total; e++)
        graph.edges[e] = edge_make(choice->targets[e], EDGE_WW);
    components_find(&walk, scratch, &components);
    memcpy(choice->of, components.of, part->size * sizeof(uint32_t));
    return components.count;
}

/* The way from `source` to `target` with the fewest choices, within a component; every node but the
 * first then has its parent. */
static bool find_way(struct choice *choice, uint32_t size, uint32_t source, uint32_t target)
{
    uint32_t head = size, tail = size; /* of a queue with two ends */
    choice->run++;
    choice->stamp[source] = choice->run;
    choice->distance[source] = 0;
    choice->queue[tail++] = source;
    while (head < tail) {
        uint32_t v = choice->queue[head++];
        if (v == target)
            return true;
        for (uint32_t e = choice->first[v]; e < choice->first[v + 1]; e++) {
            uint32_t w = choice->targets[e], cost = choice->literals[e] != 0;
            uint32_t distance = choice->distance[v] + cost;
            if (choice->of[w] != choice->of[source] ||
                (choice->stamp[w] == choice->run && choice->distance[w] <= distance))
                continue;
            choice->stamp[w] = choice->run;
            choice->distance[w] = distance;
            choice->parent[w] = v;
            choice->parent_edge[w] = e;
            if (cost == 0 && head > 0)
                choice->queue[--head] = w;
            else if (tail < 4 * size)
                choice->queue[tail++] = w;
        }
    }
    return false;
}

/* The circle of edge `e` out of `v` and the way back to it, as a clause. */
static void forbid(struct part *part, struct sat *sat, struct choice *choice, uint32_t v,
                   uint32_t e)
{
    struct order_refutation *refutation = part->refutation;
    uint32_t w = choice->targets[e];
    order_circle_begin(refutation);
    int32_t last = 0;
    uint32_t at = v, edge = e; /* e itself, then backwards from v */
    for (;;) {
        int32_t literal = choice->literals[edge];
        order_circle_node(refutation, part->members[at]);
        if (literal != 0 && literal != last) {
            uint32_t pair = part->pairs[abs(literal) - 1];
            sat_add(sat, -literal);
            order_circle_literal(refutation, literal > 0 ? (int32_t)pair + 1 : -(int32_t)pair - 1);
            choice->covered[abs(literal) - 1] = true;
            last = literal;
        }
        if (at == w)
            break;
        edge = choice->parent_edge[at];
        at = choice->parent[at];
    }
    sat_add(sat, 0);
}

/* Adds clauses against circles; false when there are none. */
static bool forbid_circles(struct part *part, struct sat *sat, struct choice *choice)
{
    struct arena scratch = ARENA_INIT;
    uint32_t count = find_components(part, choice, &scratch), clauses = 0;
    arena_free(&scratch);
    memset(choice->covered, 0, (size_t)part->pair_count + 1);
    for (uint32_t v = 0; count > 0 && v < part->size; v++)
        for (uint32_t e = choice->first[v]; e < choice->first[v + 1]; e++) {
            int32_t literal = choice->literals[e];
            uint32_t w = choice->targets[e];
            if (literal == 0 || choice->of[v] == TXN_NONE || choice->of[v] != choice->of[w] ||
                choice->covered[abs(literal) - 1] || clauses >= CLAUSES_A_ROUND ||
                (clauses > 0 && is_over(part->budget)))
                continue;
            if (find_way(choice, part->size, w, v)) {
                forbid(part, sat, choice, v, e);
                clauses++;
            }
        }
    return count > 0;
}

static enum order_answer solve_sat(struct part *part)
{
    size_t size = (size_t)part->size + 2, edges = part->known.first[part->size];
    struct choice choice = {0};
    struct sat *sat = sat_open(part->budget->deadline_ns);
    edges += 2 * (size_t)part->pair_count + 1;
    choice.first = arena_alloc(part->arena, size * sizeof(uint32_t));
    choice.targets = arena_alloc(part->arena, edges * sizeof(uint32_t));
    choice.literals = arena_alloc(part->arena, edges * sizeof(int32_t));
    choice.of = arena_alloc(part->arena, size * sizeof(uint32_t));
    choice.covered = arena_alloc(part->arena, (size_t)part->pair_count + 1);
    choice.stamp = arena_zalloc(part->arena, size * sizeof(uint32_t));
    choice.distance = arena_alloc(part->arena, size * sizeof(uint32_t));
    choice.queue = arena_alloc(part->arena, 4 * size * sizeof(uint32_t));
    choice.parent = arena_alloc(part->arena, size * sizeof(uint32_t));
    choice.parent_edge = arena_alloc(part->arena, size * sizeof(uint32_t));
    for (uint32_t i = 0; i < part->pair_count; i++) { /* the solver is to know of every pair */
        sat_add(sat, (int)i + 1);
        sat_add(sat, -(int)i - 1);
        sat_add(sat, 0);
    }
    enum order_answer answer = ORDER_OPEN;
    while (answer == ORDER_OPEN && !is_over(part->budget)) {
        enum sat_answer said = sat_solve(sat);
        if (said == SAT_OPEN)
            break;
        if (said == SAT_NO) {
            answer = ORDER_NO;
            break;
        }
        take_choice(part, sat, &choice);
        if (forbid_circles(part, sat, &choice))
            continue;
        for (uint32_t i = 0; i < part->pair_count; i++)
            order_pair_decide(part->graph, part->pairs[i],
                              sat_value(sat, (int)i + 1) ? PAIR_FORWARD : PAIR_BACKWARD,
                              part->round + 1);
        answer = ORDER_YES;
    }
    sat_close(sat);
    return answer;
}

/* ---- All parts ---- */

static void add_possible(struct graph_builder *builder, const struct order_graph *graph)
{
    for (size_t e = 0; e < graph->edge_count; e++)
        graph_add(builder, graph->edges[e].from, graph->edges[e].to, EDGE_WW);
    for (size_t p = 0; p < graph->pair_count; p++)
        for (int direction = PAIR_BACKWARD; direction <= PAIR_FORWARD; direction += 2) {
            struct order_edge edges[2];
            if (graph->pairs[p].decided != PAIR_OPEN)
                continue;
            int count = order_pair_edges(graph, (uint32_t)p, direction, edges);
            for (int i = 0; i < count; i++)
                graph_add(builder, edges[i].from, edges[i].to, EDGE_WW);
        }
}

struct search {
    struct order_graph *graph;
    const struct order_budget *budget;
    struct order_refutation *refutation;
    struct components components; /* of what is possible */
    uint32_t *local;
    /* known edges and open pairs by component */
    uint32_t *edge_first, *edges, *pair_first, *pairs;
    uint32_t round;
    const char *why_open;
};

/* Sorts edges and pairs by component: [first[c], first[c + 1]). */
static void sort_into_parts(struct search *search, struct arena *arena)
{
    const struct order_graph *graph = search->graph;
    const uint32_t *of = search->components.of;
    uint32_t count = search->components.count;
    search->edge_first = arena_zalloc(arena, ((size_t)count + 2) * sizeof(uint32_t));
    search->pair_first = arena_zalloc(arena, ((size_t)count + 2) * sizeof(uint32_t));
    search->edges = arena_alloc(arena, (graph->edge_count + 1) * sizeof(uint32_t));
    search->pairs = arena_alloc(arena, (graph->pair_count + 1) * sizeof(uint32_t));
    for (int pass = 0; pass < 2; pass++) {
        for (size_t e = 0; e < graph->edge_count; e++) {
            uint32_t c = of[graph->edges[e].from];
            if (c == TXN_NONE || c != of[graph->edges[e].to])
                continue;
            uint32_t at = search->edge_first[c + 1]++;
            if (pass == 1)
                search->edges[at] = (uint32_t)e;
        }
        for (size_t p = 0; p < graph->pair_count; p++) {
            struct order_edge edges[2];
            if (graph->pairs[p].decided != PAIR_OPEN)
                continue;
            order_pair_edges(graph, (uint32_t)p, PAIR_FORWARD, edges);
            uint32_t at = search->pair_first[of[edges[0].from] + 1]++;
            if (pass == 1)
                search->pairs[at] = (uint32_t)p;
        }
        uint32_t edges = 0, pairs = 0;
        for (uint32_t c = 0; pass == 0 && c < count; c++) {
            uint32_t edge_count = search->edge_first[c + 1], pair_count = search->pair_first[c + 1];
            search->edge_first[c + 1] = edges;
            search->pair_first[c + 1] = pairs;
            edges += edge_count;
            pairs += pair_count;
        }
    }
}

static struct part make_part(struct search *search, uint32_t c, struct arena *arena)
{
    const struct order_graph *graph = search->graph;
    struct part part = {.graph = search->graph,
                        .budget = search->budget,
                        .arena = arena,
                        .refutation = search->refutation,
                        .members = search->components.members + search->components.first[c],
                        .size = search->components.first[c + 1] - search->components.first[c],
                        .local = search->local,
                        .pairs = search->pairs + search->pair_first[c],
                        .pair_count = search->pair_first[c + 1] - search->pair_first[c],
                        .round = search->round};
    struct graph_builder builder;
    for (uint32_t i = 0; i < part.size; i++)
        search->local[part.members[i]] = i;
    graph_begin(&builder, arena, part.size);
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t e = search->edge_first[c]; e < search->edge_first[c + 1]; e++) {
            const struct order_edge *edge = &graph->edges[search->edges[e]];
            graph_add(&builder, search->local[edge->from], search->local[edge->to], EDGE_WW);
        }
        if (pass == 0)
            graph_allocate(&builder, arena); /* fewer than of the whole, which fitted */
    }
    part.known = graph_end(&builder);
    return part;
}

/* One part: pruned, or (`last`) solved. YES: nothing is open in it any more. */
static enum order_answer do_part(struct part *part, bool last, uint32_t *decided)
{
    uint32_t *order = arena_alloc(part->arena, ((size_t)part->size + 1) * sizeof *order);
    bool possible = true;
    if (!last) {
        if (!sort_known(part, order))
            return ORDER_NO;
        find_reach(part, order);
        if (part->reach != NULL)
            *decided += prune(part, &possible);
        return possible ? ORDER_OPEN : ORDER_NO;
    }
    return part->pair_count == 0 ? ORDER_YES : solve_sat(part);
}

/* One round over all parts. */
static enum order_answer do_parts(struct search *search, bool last, uint32_t *decided)
{
    struct arena arena = ARENA_INIT, scratch = ARENA_INIT;
    struct graph_builder builder;
    enum order_answer answer = ORDER_YES;
    *decided = 0;
    graph_begin(&builder, &arena, search->graph->nodes);
    add_possible(&builder, search->graph);
    if (!graph_allocate(&builder, &arena)) {
        search->why_open = "there are too many possible edges";
        arena_free(&arena);
        return ORDER_OPEN;
    }
    add_possible(&builder, search->graph);
    struct graph possible = graph_end(&builder);
    struct walk walk = {.graph = &possible, .types = EDGES_ALL};
    components_find(&walk, &arena, &search->components);
    search->local = arena_alloc(&arena, ((size_t)search->graph->nodes + 1) * sizeof(uint32_t));
    sort_into_parts(search, &arena);
    for (uint32_t c = 0; c < search->components.count && answer != ORDER_NO; c++) {
        struct part part = make_part(search, c, &scratch);
        enum order_answer one =
            is_over(search->budget) ? ORDER_OPEN : do_part(&part, last, decided);
        if (one != ORDER_YES)
            answer = one;
        arena_reset(&scratch);
    }
    arena_free(&scratch);
    arena_free(&arena);
    return answer;
}

static enum order_answer search_all(struct search *search)
{
    uint32_t decided = 1;
    enum order_answer answer = ORDER_OPEN;
    for (search->round = 1; decided > 0; search->round++) {
        answer = do_parts(search, false, &decided);
        if (answer != ORDER_OPEN)
            return answer; /* YES: no part is left */
        if (is_over(search->budget)) {
            search->why_open = "time ran out while pairs of writers were being pruned";
            return ORDER_OPEN;
        }
    }
    answer = do_parts(search, true, &decided);
    if (answer == ORDER_OPEN && search->why_open == NULL)
        search->why_open = "time ran out in the SAT solver";
    return answer;
}

/* ---- An order of the decided graph ---- */

static bool read_order(struct order_graph *graph, struct arena *arena, struct order_found *found)
{
    const struct orders *orders = graph->orders;
    struct arena scratch = ARENA_INIT;
    struct graph_builder builder;
    struct components components;
    uint32_t n = graph->nodes, commits = 0;
    graph_begin(&builder, &scratch, n);
    add_possible(&builder, graph);
    bool good = graph_allocate(&builder, &scratch);
    if (good) {
        add_possible(&builder, graph);
        struct graph decided = graph_end(&builder);
        struct walk walk = {.graph = &decided, .types = EDGES_ALL};
        components_find(&walk, &scratch, &components);
        good = components.count == 0;
    }
    uint32_t *at = arena_alloc(&scratch, ((size_t)n + 1) * sizeof *at);
    uint32_t *seen = arena_alloc(&scratch, ((size_t)n + 1) * sizeof *seen);
    for (uint32_t v = 0; good && v < n; v++)
        at[n - 1 - components.order[v]] = v;
    found->commits = arena_alloc(arena, ((size_t)orders->count + 1) * sizeof(uint32_t));
    found->seen = arena_alloc(arena, ((size_t)orders->count + 1) * sizeof(uint32_t));
    for (uint32_t place = 0; good && place < n; place++) {
        uint32_t v = at[place], last = orders->snapshots ? 2 * orders->count : orders->count;
        if (v >= last)
            continue;
        uint32_t i = graph->node_txn[v];
        if (!orders->snapshots || v % 2 == 0)
            seen[i] = commits;
        if (!orders->snapshots || v % 2 == 1) {
            found->commits[commits] = i;
            found->seen[commits++] = seen[i];
        }
    }
    arena_free(&scratch);
    return good;
}

enum order_answer orders_solve(const struct orders *orders, const struct order_budget *budget,
                               struct arena *arena, struct order_found *found, bool **core,
                               const char **why_open)
{
    struct arena scratch = ARENA_INIT;
    struct order_graph graph;
    struct order_refutation refutation;
    struct search search = {.graph = &graph, .budget = budget, .refutation = &refutation};
    enum order_answer answer = ORDER_OPEN;
    order_refutation_init(&refutation, &graph);
    if (!order_graph_make(&graph, orders, budget->memory_bytes, &scratch))
        search.why_open = "there are more pairs of writers of one key than memory allows";
    else if (graph.updater_b != TXN_NONE)
        answer = ORDER_NO;
    else
        answer = search_all(&search);
    if (answer == ORDER_YES && !read_order(&graph, arena, found)) {
        search.why_open = "an order was found that is none, a mistake of this checker: please "
                          "report it with the history";
        answer = ORDER_OPEN;
    }
    if (answer == ORDER_NO)
        *core = order_refutation_core(&refutation, arena);
    *why_open = search.why_open;
    order_refutation_free(&refutation);
    order_graph_free(&graph);
    arena_free(&scratch);
    return answer;
}
