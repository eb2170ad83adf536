/* The search for cycles, component by component: see cycles.h. */
#include "checkers/transactions/cycles.h"

#include <stdlib.h>
#include <string.h>

#include "checkers/transactions/paths.h"

enum { FORMS = 3, STARTS_MAX = 256 };

/* The edges of each form of an anomaly: of data alone, with processes, with real time. */
static const uint32_t form_types[FORMS] = {0, EDGES_PROCESS, EDGES_REALTIME};

enum shape { SHAPE_START, SHAPE_NONADJACENT };

/* A kind of cycle: one edge of `start`, then any of `path`. In this order each kind is looked for
 * only where none was found that implies it, so that a ww cycle need not be told from a G1c. */
static const struct kind {
    enum anomaly anomaly; /* of the first form */
    uint32_t start, path;
    enum shape shape;
} kinds[] = {
    {ANOMALY_G0, EDGES_WW, EDGES_WW, SHAPE_START},
    {ANOMALY_G1C, EDGES_WR, EDGES_WW | EDGES_WR, SHAPE_START},
    {ANOMALY_G_SINGLE_ITEM, EDGES_RW_ITEM, EDGES_WW | EDGES_WR, SHAPE_START},
    {ANOMALY_G_SINGLE, EDGES_RW, EDGES_WW | EDGES_WR, SHAPE_START},
    {ANOMALY_G_NONADJACENT_ITEM, EDGES_RW_ITEM, EDGES_WW | EDGES_WR, SHAPE_NONADJACENT},
    {ANOMALY_G_NONADJACENT, EDGES_RW, EDGES_WW | EDGES_WR, SHAPE_NONADJACENT},
    {ANOMALY_G2_ITEM, EDGES_RW_ITEM, EDGES_WW | EDGES_WR | EDGES_RW_ITEM, SHAPE_START},
    {ANOMALY_G2, EDGES_RW, EDGES_WW | EDGES_WR | EDGES_RW, SHAPE_START},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* A cycle that was found in the component under search: one node of it, and what it is. */
struct seen {
    uint32_t node;
    anomaly_set implied;
};

/* One component of the whole graph, as a graph of its own. */
struct part {
    struct cycle_search *search;
    struct arena *kept;      /* for the whole part */
    struct arena *arena;     /* for one kind of cycle */
    const uint32_t *members; /* nodes of the whole graph, by local number */
    uint32_t size, txn_count;
    struct graph graph;
    struct seen *seen;
    uint32_t seen_count, seen_capacity;
};

/* ---- A component as a graph of its own ---- */

static void add_edges(struct graph_builder *builder, const struct part *part, const uint32_t *local)
{
    const struct inference *inference = part->search->inference;
    const struct txns *txns = inference->txns;
    const struct graph *graph = &inference->graph;
    for (uint32_t i = 0; i < part->size; i++) {
        uint32_t v = part->members[i];
        if (v < graph->count) {
            for (uint32_t e = graph->first[v]; e < graph->first[v + 1]; e++) {
                uint32_t w = local[edge_target(graph->edges[e])];
                if (w != TXN_NONE)
                    graph_add(builder, i, w, edge_type(graph->edges[e]));
            }
            uint32_t end = v < txns->count ? txns->end_epoch[v] : TXN_NONE;
            if (end != TXN_NONE && end + 1 < txns->epoch_count &&
                local[graph->count + end + 1] != TXN_NONE)
                graph_add(builder, i, local[graph->count + end + 1], EDGE_REALTIME);
            if (v < txns->count && txns->previous[v] != TXN_NONE &&
                local[txns->previous[v]] != TXN_NONE)
                graph_add(builder, local[txns->previous[v]], i, EDGE_PROCESS);
            continue;
        }
        uint32_t epoch = v - graph->count;
        for (uint32_t t = txns->epoch_first[epoch]; t < txns->epoch_first[epoch + 1]; t++)
            if (local[t] != TXN_NONE)
                graph_add(builder, i, local[t], EDGE_CHAIN);
        if (epoch + 1 < txns->epoch_count && local[v + 1] != TXN_NONE)
            graph_add(builder, i, local[v + 1], EDGE_CHAIN);
    }
}

static bool make_part(struct part *part, uint32_t *local)
{
    struct graph_builder builder;
    for (uint32_t i = 0; i < part->size; i++) {
        local[part->members[i]] = i;
        part->txn_count += part->members[i] < part->search->inference->txns->count;
    }
    graph_begin(&builder, part->kept, part->size);
    add_edges(&builder, part, local);
    bool good = graph_allocate(&builder, part->kept);
    if (good)
        add_edges(&builder, part, local);
    part->graph = graph_end(&builder);
    for (uint32_t i = 0; i < part->size; i++)
        local[part->members[i]] = TXN_NONE;
    return good;
}

static bool is_txn(const struct part *part, uint32_t node)
{
    return part->members[node] < part->search->inference->txns->count;
}

/* ---- Cycles as they are told ---- */

enum anomaly cycle_kind(const struct cycle *cycle)
{
    uint32_t counts[EDGE_TYPES] = {0}, n = cycle->length;
    bool adjacent = false;
    for (uint32_t i = 0; i < n; i++) {
        counts[cycle->types[i]]++;
        adjacent = adjacent ||
                   (n > 1 && edge_is_rw(cycle->types[i]) && edge_is_rw(cycle->types[(i + 1) % n]));
    }
    uint32_t rw = counts[EDGE_RW] + counts[EDGE_RWP];
    bool predicate = counts[EDGE_RWP] > 0;
    int form = counts[EDGE_REALTIME] > 0 ? 2 : counts[EDGE_PROCESS] > 0 ? 1 : 0;
    enum anomaly base = ANOMALY_G0;
    if (rw == 1)
        base = predicate ? ANOMALY_G_SINGLE : ANOMALY_G_SINGLE_ITEM;
    else if (rw > 1 && !adjacent)
        base = predicate ? ANOMALY_G_NONADJACENT : ANOMALY_G_NONADJACENT_ITEM;
    else if (rw > 1)
        base = predicate ? ANOMALY_G2 : ANOMALY_G2_ITEM;
    else if (counts[EDGE_WR] + counts[EDGE_WRP] > 0)
        base = ANOMALY_G1C;
    return base + (unsigned)form;
}

/* What the cycles found so far say of each component: everything that they imply. */
static anomaly_set *implied_by_component(const struct part *part,
                                         const struct components *components)
{
    anomaly_set *implied =
        arena_zalloc(part->arena, ((size_t)components->count + 1) * sizeof *implied);
    for (uint32_t i = 0; i < part->seen_count; i++)
        if (components->of[part->seen[i].node] != TXN_NONE)
            implied[components->of[part->seen[i].node]] |= part->seen[i].implied;
    return implied;
}

static void keep(struct part *part, uint32_t node, const struct cycle *cycle)
{
    if (!cycle_tell(part->search->inference, cycle))
        return;
    if (part->seen_count == part->seen_capacity) {
        part->seen_capacity = part->seen_capacity == 0 ? 16 : part->seen_capacity * 2;
        struct seen *grown = arena_alloc(part->kept, part->seen_capacity * sizeof *grown);
        if (part->seen_count > 0)
            memcpy(grown, part->seen, part->seen_count * sizeof *grown);
        part->seen = grown;
    }
    part->seen[part->seen_count++] =
        (struct seen){node, anomaly_implied(UINT64_C(1) << cycle_kind(cycle))};
}

/* A closed walk of nodes (local numbers) to a cycle of transactions: auxiliary nodes fall away. */
static struct cycle fold(const struct part *part, const uint32_t *nodes, const uint32_t *edges,
                         uint32_t count)
{
    struct cycle cycle = {.length = 0};
    cycle.txns = arena_alloc(part->arena, (count + 1) * sizeof *cycle.txns);
    cycle.types = arena_alloc(part->arena, count + 1);
    for (uint32_t i = 0; i < count; i++)
        if (is_txn(part, nodes[i])) {
            cycle.txns[cycle.length] = part->members[nodes[i]];
            cycle.types[cycle.length++] = (uint8_t)edge_type(edges[i]);
        }
    return cycle;
}

/* ---- One edge, and the shortest way back ---- */

struct start {
    uint32_t target, source, edge;
    uint32_t span; /* how far the way back can be, in the order of components */
};

static int by_span(const void *left, const void *right)
{
    const struct start *a = left, *b = right;
    if (a->span != b->span)
        return a->span < b->span ? -1 : 1;
    return a->target != b->target ? (a->target < b->target ? -1 : 1)
                                  : (a->source > b->source) - (a->source < b->source);
}

/* The edges of `start` within the component from whose targets a way back is possible at all. */
static struct start *find_starts(struct part *part, const struct components *components,
                                 uint32_t component, const struct components *way, uint32_t types,
                                 uint32_t *count)
{
    uint32_t most = 0;
    *count = 0;
    for (uint32_t i = components->first[component]; i < components->first[component + 1]; i++) {
        uint32_t v = components->members[i];
        most += part->graph.first[v + 1] - part->graph.first[v];
    }
    struct start *starts = arena_alloc(part->arena, ((size_t)most + 1) * sizeof *starts);
    for (uint32_t i = components->first[component]; i < components->first[component + 1]; i++) {
        uint32_t v = components->members[i];
        for (uint32_t e = part->graph.first[v]; e < part->graph.first[v + 1]; e++) {
            uint32_t edge = part->graph.edges[e], w = edge_target(edge);
            if ((types >> edge_type(edge) & 1) == 0 || edge_type(edge) == EDGE_FREE ||
                components->of[w] != component || way->order[w] < way->order[v])
                continue;
            starts[(*count)++] = (struct start){w, v, edge, way->order[w] - way->order[v]};
        }
    }
    qsort(starts, *count, sizeof *starts, by_span);
    return starts;
}

/* The walk that `start` and the path just found make: source, target, ..., back to the source. */
static struct cycle walk_of(const struct part *part, const struct paths *paths,
                            const struct start *start)
{
    uint32_t count = 1;
    for (uint32_t v = start->source; v != start->target; v = paths->parent[v])
        count++;
    uint32_t *nodes = arena_alloc(part->arena, (count + 1) * sizeof *nodes);
    uint32_t *edges = arena_alloc(part->arena, (count + 1) * sizeof *edges);
    nodes[0] = start->source;
    edges[0] = start->edge;
    uint32_t at = count;
    for (uint32_t v = start->source; v != start->target; v = paths->parent[v]) {
        at--;
        nodes[at] = paths->parent[v];
        edges[at] = paths->parent_edge[v];
    }
    return fold(part, nodes, edges, count);
}

static void search_from_starts(struct part *part, const struct kind *kind, int form,
                               const struct components *components, uint32_t component,
                               const struct components *way, struct paths *paths)
{
    struct cycle_search *search = part->search;
    uint32_t count, most = UINT32_MAX;
    struct start *starts = find_starts(part, components, component, way, kind->start, &count);
    uint32_t node = TXN_NONE;
    struct cycle cycle = {.length = 0};
    paths->part = component;
    paths->steps = 0;
    paths->out_of_budget = false;
    for (uint32_t i = 0; i < count && most > 1; i++) {
        uint32_t distance;
        /* Where a way back is certain the first search may take what it needs. */
        bool certain = starts[i].span == 0 && cycle.length == 0;
        paths->steps_max = certain ? UINT64_MAX : search->budget.steps;
        paths->deadline_ns = certain ? INT64_MAX : search->budget.deadline_ns;
        if (paths_nearest(paths, starts[i].target, &starts[i].source, 1,
                          most == UINT32_MAX ? most : most - 1, &distance) != TXN_NONE) {
            most = distance;
            node = starts[i].source;
            cycle = walk_of(part, paths, &starts[i]);
        }
        if (paths->out_of_budget)
            break;
    }
    if (cycle.length > 0) {
        keep(part, node, &cycle);
    } else if (paths->out_of_budget) {
        search->given_up |= UINT64_C(1) << (kind->anomaly + (unsigned)form);
        if (part->txn_count > search->given_up_size)
            search->given_up_size = part->txn_count;
    }
}

/* ---- No two anti-dependencies in a row ---- */

/* Node v stands for v having been reached by anything but rw, node size + v by rw, from which no
 * other rw may follow. A path on through auxiliary nodes keeps what it began with. */
static void add_product(struct graph_builder *builder, const struct part *part, uint32_t types,
                        uint32_t rw)
{
    const struct graph *graph = &part->graph;
    for (uint32_t v = 0; v < part->size; v++)
        for (uint32_t e = graph->first[v]; e < graph->first[v + 1]; e++) {
            uint32_t edge = graph->edges[e], w = edge_target(edge);
            enum edge_type type = edge_type(edge);
            if (rw >> type & 1) {
                graph_add(builder, v, part->size + w, type);
            } else if (type == EDGE_FREE) {
                graph_add(builder, v, w, type);
                graph_add(builder, part->size + v, part->size + w, type);
            } else if (types >> type & 1) {
                graph_add(builder, v, w, type);
                graph_add(builder, part->size + v, w, type);
            }
        }
}

/* A closed walk that passes a transaction twice falls into two there; of the two at least one has
 * no two anti-dependencies in a row. Until it is a cycle. */
static void make_simple(struct cycle *cycle)
{
    for (uint32_t i = 0; i < cycle->length; i++)
        for (uint32_t j = i + 1; j < cycle->length; j++) {
            if (cycle->txns[i] != cycle->txns[j])
                continue;
            uint32_t n = cycle->length, inner = j - i;
            if (edge_is_rw(cycle->types[j - 1]) && edge_is_rw(cycle->types[i])) {
                memmove(cycle->txns + i, cycle->txns + j, (n - j) * sizeof *cycle->txns);
                memmove(cycle->types + i, cycle->types + j, n - j);
                cycle->length = n - inner;
            } else {
                memmove(cycle->txns, cycle->txns + i, inner * sizeof *cycle->txns);
                memmove(cycle->types, cycle->types + i, inner);
                cycle->length = inner;
            }
            make_simple(cycle);
            return;
        }
}

static struct cycle product_walk(const struct part *part, const struct paths *paths, uint32_t start)
{
    uint32_t count = 0, v = start;
    do {
        count++;
        v = paths->parent[v];
    } while (v != start);
    uint32_t *nodes = arena_alloc(part->arena, (count + 1) * sizeof *nodes);
    uint32_t *edges = arena_alloc(part->arena, (count + 1) * sizeof *edges);
    uint32_t at = count;
    do {
        at--;
        nodes[at] = paths->parent[v] % part->size;
        edges[at] = paths->parent_edge[v];
        v = paths->parent[v];
    } while (v != start);
    struct cycle cycle = fold(part, nodes, edges, count);
    make_simple(&cycle);
    return cycle;
}

static void search_nonadjacent_in(struct part *part, const struct components *components,
                                  uint32_t component, struct paths *paths)
{
    struct cycle_search *search = part->search;
    uint32_t most = UINT32_MAX, starts = 0, node = 0;
    struct cycle best = {.length = 0};
    paths->part = component;
    paths->steps = 0;
    paths->out_of_budget = false;
    for (uint32_t i = components->first[component]; i < components->first[component + 1]; i++) {
        uint32_t v = components->members[i], distance;
        if (v < part->size || !is_txn(part, v - part->size))
            continue; /* only where an anti-dependency led to */
        paths->steps_max = starts == 0 ? UINT64_MAX : search->budget.steps;
        paths->deadline_ns = starts++ == 0 ? INT64_MAX : search->budget.deadline_ns;
        if (paths_nearest(paths, v, &v, 1, most == UINT32_MAX ? most : most - 1, &distance) !=
            TXN_NONE) {
            most = distance;
            best = product_walk(part, paths, v);
            node = v - part->size;
        }
        if (paths->out_of_budget || starts >= STARTS_MAX || most <= 2)
            break;
    }
    if (best.length > 0)
        keep(part, node, &best);
}

static void search_nonadjacent(struct part *part, const struct kind *kind, int form,
                               const struct components *components)
{
    struct graph_builder builder;
    uint32_t types = kind->path | form_types[form];
    anomaly_set *implied = implied_by_component(part, components);
    graph_begin(&builder, part->arena, 2 * part->size);
    add_product(&builder, part, types, kind->start);
    if (!graph_allocate(&builder, part->arena))
        return;
    add_product(&builder, part, types, kind->start);
    struct graph product = graph_end(&builder);
    struct components in_product;
    struct walk walk = {.graph = &product, .types = EDGES_ALL};
    components_find(&walk, part->arena, &in_product);
    struct paths paths;
    paths_init(&paths, &product, part->arena);
    paths.types = EDGES_ALL;
    paths.of = in_product.of;
    for (uint32_t c = 0; c < in_product.count; c++) {
        uint32_t of = components->of[in_product.members[in_product.first[c]] % part->size];
        if (of != TXN_NONE && !(implied[of] >> (kind->anomaly + (unsigned)form) & 1))
            search_nonadjacent_in(part, &in_product, c, &paths);
    }
}

/* ---- All kinds ---- */

static void search_kind(struct part *part, const struct kind *kind, int form)
{
    struct components components, way;
    struct walk walk = {.graph = &part->graph,
                        .types = kind->start | kind->path | form_types[form]};
    components_find(&walk, part->arena, &components);
    if (components.count == 0)
        return;
    if (kind->shape == SHAPE_NONADJACENT) {
        search_nonadjacent(part, kind, form, &components);
        return;
    }
    anomaly_set *implied = implied_by_component(part, &components);
    struct paths paths;
    walk.types = kind->path | form_types[form];
    components_find(&walk, part->arena, &way);
    paths_init(&paths, &part->graph, part->arena);
    paths.types = walk.types;
    paths.of = components.of;
    paths.order = way.order;
    for (uint32_t c = 0; c < components.count; c++)
        if (!(implied[c] >> (kind->anomaly + (unsigned)form) & 1))
            search_from_starts(part, kind, form, &components, c, &way, &paths);
}

static void search_part(struct part *part)
{
    for (int form = 0; form < FORMS; form++)
        for (int k = 0; k < KINDS; k++)
            if (part->search->wanted >> (kinds[k].anomaly + (unsigned)form) & 1) {
                search_kind(part, &kinds[k], form);
                arena_reset(part->arena);
            }
}

void cycles_find(struct cycle_search *search)
{
    const struct inference *inference = search->inference;
    struct txns *txns = inference->txns;
    struct components components;
    anomaly_set ordered = 0;
    for (int k = 0; k < KINDS; k++)
        ordered |= UINT64_C(6) << kinds[k].anomaly;
    /* Real time includes the order within processes; the parts then keep the two apart. */
    struct walk walk = {.graph = &inference->graph,
                        .types = EDGES_ALL,
                        .txns = (search->wanted & ordered) != 0 ? txns : NULL,
                        .members_only = true};
    components_find(&walk, txns->arena, &components);
    search->component_count = components.count;
    if (components.count == 0)
        return;
    uint32_t nodes = inference->graph.count + txns->epoch_count;
    uint32_t *local = arena_alloc(txns->arena, ((size_t)nodes + 1) * sizeof *local);
    memset(local, 0xff, nodes * sizeof *local);
    struct arena scratch = ARENA_INIT, kept = ARENA_INIT;
    for (uint32_t c = 0; c < components.count; c++) {
        struct part part = {.search = search,
                            .kept = &kept,
                            .arena = &scratch,
                            .members = components.members + components.first[c],
                            .size = components.first[c + 1] - components.first[c]};
        if (make_part(&part, local))
            search_part(&part);
        if (part.txn_count > search->largest)
            search->largest = part.txn_count;
        arena_reset(&kept);
    }
    arena_free(&kept);
    arena_free(&scratch);
}
