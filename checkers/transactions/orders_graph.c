/* The polygraph: see orders_graph.h. */
#include "checkers/transactions/orders_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS_MAX = 1 << 26 };

struct maker {
    struct order_graph *graph;
    const struct orders *orders;
    struct arena *arena;
    /* by key: who writes it, writers[writer_first[key]] .. */
    uint32_t *writer_first, *writers;
    /* by write (index in orders->writes): who reads it and does not write the key, as a list over
     * reads; who reads it and does, TXN_NONE */
    uint32_t *readers, *reader_next, *reader_of, *updater;
    uint32_t node_capacity;
    const uint64_t *rank;
};

/* ---- Nodes and edges ---- */

static void *or_end(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "ordeal: out of memory for the order of transactions\n");
        abort();
    }
    return memory;
}

static uint32_t dependency_out(const struct orders *orders, uint32_t i)
{
    return orders->snapshots ? 2 * i + 1 : i;
}

static uint32_t dependency_in(const struct orders *orders, uint32_t i)
{
    return orders->snapshots ? 2 * i : i;
}

/* An anti-dependency leads from a snapshot to a commit. */
static uint32_t anti_out(const struct orders *orders, uint32_t i)
{
    return orders->snapshots ? 2 * i : i;
}

static uint32_t anti_in(const struct orders *orders, uint32_t i)
{
    return orders->snapshots ? 2 * i + 1 : i;
}

static void add_edge(struct order_graph *graph, uint32_t from, uint32_t to, uint32_t pair)
{
    if (graph->edge_count == graph->edge_capacity) {
        graph->edge_capacity = graph->edge_capacity == 0 ? 1024 : graph->edge_capacity * 2;
        graph->edges = or_end(realloc(graph->edges, graph->edge_capacity * sizeof *graph->edges));
    }
    graph->edges[graph->edge_count++] = (struct order_edge){from, to, pair};
}

static uint32_t add_node(struct maker *maker, uint32_t txn)
{
    struct order_graph *graph = maker->graph;
    if (graph->nodes == maker->node_capacity) {
        uint32_t *grown =
            arena_alloc(maker->arena, 2 * (size_t)maker->node_capacity * sizeof *grown);
        memcpy(grown, graph->node_txn, graph->nodes * sizeof *grown);
        graph->node_txn = grown;
        maker->node_capacity *= 2;
    }
    graph->node_txn[graph->nodes] = txn;
    return graph->nodes++;
}

int order_pair_edges(const struct order_graph *graph, uint32_t pair, int decided,
                     struct order_edge out[2])
{
    const struct order_pair *p = &graph->pairs[pair];
    const struct order_chain *before = &graph->chains[decided == PAIR_FORWARD ? p->a : p->b];
    const struct order_chain *after = &graph->chains[decided == PAIR_FORWARD ? p->b : p->a];
    out[0] = (struct order_edge){dependency_out(graph->orders, before->last),
                                 dependency_in(graph->orders, after->first), pair};
    if (before->readers == TXN_NONE)
        return 1;
    out[1] = (struct order_edge){before->readers, anti_in(graph->orders, after->first), pair};
    return 2;
}

void order_pair_decide(struct order_graph *graph, uint32_t pair, int decided, uint32_t round)
{
    struct order_edge edges[2];
    int count = order_pair_edges(graph, pair, decided, edges);
    for (int i = 0; i < count; i++)
        add_edge(graph, edges[i].from, edges[i].to, pair);
    graph->pairs[pair].decided = decided;
    graph->pairs[pair].round = round;
}

/* ---- Who writes and reads what ---- */

static uint32_t *words(struct arena *arena, size_t count, int byte)
{
    uint32_t *list = arena_alloc(arena, (count + 1) * sizeof *list);
    memset(list, byte, (count + 1) * sizeof *list);
    return list;
}

static void list_writers(struct maker *maker)
{
    const struct orders *orders = maker->orders;
    uint32_t writes = orders->write_first[orders->count];
    uint32_t *at = words(maker->arena, (size_t)orders->key_count + 1, 0);
    maker->writer_first = words(maker->arena, (size_t)orders->key_count + 1, 0);
    maker->writers = words(maker->arena, writes, 0);
    for (uint32_t w = 0; w < writes; w++)
        maker->writer_first[orders->writes[w] + 1]++;
    for (uint32_t key = 0; key < orders->key_count; key++)
        maker->writer_first[key + 1] += maker->writer_first[key];
    for (uint32_t i = 0; i < orders->count; i++)
        for (uint32_t w = orders->write_first[i]; w < orders->write_first[i + 1]; w++) {
            uint32_t key = orders->writes[w];
            maker->writers[maker->writer_first[key] + at[key]++] = i;
        }
}

static uint32_t write_of(const struct orders *orders, uint32_t i, uint32_t key)
{
    uint32_t w = orders->write_first[i];
    while (orders->writes[w] != key)
        w++;
    return w;
}

/* Each read: what was read is before it; and it is among the version's readers, or its updater. The
 * initial version's lists come after those of the writes. */
static void add_reads(struct maker *maker)
{
    const struct orders *orders = maker->orders;
    uint32_t writes = orders->write_first[orders->count];
    maker->readers = words(maker->arena, (size_t)writes + orders->key_count, 0xff);
    maker->updater = words(maker->arena, (size_t)writes + orders->key_count, 0xff);
    maker->reader_next = words(maker->arena, orders->read_first[orders->count], 0xff);
    maker->reader_of = words(maker->arena, orders->read_first[orders->count], 0xff);
    for (uint32_t i = 0; i < orders->count; i++)
        for (uint32_t r = orders->read_first[i]; r < orders->read_first[i + 1]; r++) {
            const struct order_read *read = &orders->reads[r];
            bool initial = read->from == ORDER_INITIAL;
            uint32_t version =
                initial ? writes + read->key : write_of(orders, read->from, read->key);
            if (!initial)
                add_edge(maker->graph, dependency_out(orders, read->from), dependency_in(orders, i),
                         TXN_NONE);
            maker->reader_of[r] = i;
            if (orders_writes(orders, i, read->key)) {
                if (maker->updater[version] != TXN_NONE) {
                    maker->graph->updated_twice = read->from;
                    maker->graph->updater_a = maker->updater[version];
                    maker->graph->updater_b = i;
                }
                maker->updater[version] = i;
            } else {
                maker->reader_next[r] = maker->readers[version];
                maker->readers[version] = r;
            }
        }
}

static void add_sessions(struct maker *maker)
{
    const struct orders *orders = maker->orders;
    for (uint32_t i = 0; orders->form == ORDER_SESSION && i < orders->count; i++)
        if (orders->previous[i] != TXN_NONE)
            add_edge(maker->graph, dependency_out(orders, orders->previous[i]),
                     dependency_in(orders, i), TXN_NONE);
}

/* ---- Real time, as a chain of epochs ---- */

static int ascending(const void *left, const void *right)
{
    const uint32_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* The first of the epochs later than `end`. */
static uint32_t epoch_after(const uint32_t *epochs, uint32_t count, uint32_t end)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (epochs[middle] > end)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void add_real_time(struct maker *maker)
{
    const struct orders *orders = maker->orders;
    if (orders->form != ORDER_REALTIME)
        return;
    uint32_t *epochs = words(maker->arena, orders->count, 0), count = 0;
    memcpy(epochs, orders->begin, orders->count * sizeof *epochs);
    qsort(epochs, orders->count, sizeof *epochs, ascending);
    for (uint32_t i = 0; i < orders->count; i++)
        if (i == 0 || epochs[i] != epochs[count - 1])
            epochs[count++] = epochs[i];
    uint32_t first = maker->graph->nodes;
    for (uint32_t e = 0; e < count; e++) {
        add_node(maker, TXN_NONE);
        if (e > 0)
            add_edge(maker->graph, first + e - 1, first + e, TXN_NONE);
    }
    for (uint32_t i = 0; i < orders->count; i++) {
        uint32_t after =
            orders->end[i] == TXN_NONE ? count : epoch_after(epochs, count, orders->end[i]);
        if (after < count)
            add_edge(maker->graph, dependency_out(orders, i), first + after, TXN_NONE);
        uint32_t at = orders->begin[i] == 0 ? 0 : epoch_after(epochs, count, orders->begin[i] - 1);
        add_edge(maker->graph, first + at, dependency_in(orders, i), TXN_NONE);
    }
}

/* ---- Chains ---- */

/* A node for those that read the version, or TXN_NONE: nobody did. */
static uint32_t readers_node(struct maker *maker, uint32_t version, uint32_t writer)
{
    if (maker->readers[version] == TXN_NONE)
        return TXN_NONE;
    uint32_t node = add_node(maker, writer);
    for (uint32_t r = maker->readers[version]; r != TXN_NONE; r = maker->reader_next[r])
        add_edge(maker->graph, anti_out(maker->orders, maker->reader_of[r]), node, TXN_NONE);
    return node;
}

/* The chain that begins with writer `i` of the key. */
static void add_chain(struct maker *maker, uint32_t key, uint32_t i, uint32_t *members)
{
    const struct orders *orders = maker->orders;
    struct order_graph *graph = maker->graph;
    struct order_chain chain = {.first = i, .members = *members, .ended = TXN_NONE};
    for (;;) {
        graph->chain_members[(*members)++] = i;
        chain.member_count++;
        chain.last = i;
        if (orders->end[i] < chain.ended)
            chain.ended = orders->end[i];
        if (orders->begin[i] > chain.begun)
            chain.begun = orders->begin[i];
        uint32_t version = write_of(orders, i, key), next = maker->updater[version];
        if (next == TXN_NONE)
            break;
        for (uint32_t r = maker->readers[version]; r != TXN_NONE; r = maker->reader_next[r])
            add_edge(graph, anti_out(orders, maker->reader_of[r]), anti_in(orders, next), TXN_NONE);
        i = next;
    }
    chain.readers = readers_node(maker, write_of(orders, chain.last, key), chain.last);
    graph->chains[graph->chain_count++] = chain;
}

/* Everything after the initial version: chains [from, to), the first of them that of who read the
 * initial version and wrote (`updated`), if anybody did. */
static void add_initial(struct maker *maker, uint32_t key, uint32_t from, uint32_t to, bool updated)
{
    const struct orders *orders = maker->orders;
    struct order_graph *graph = maker->graph;
    uint32_t initial = orders->write_first[orders->count] + key;
    uint32_t readers = readers_node(maker, initial, TXN_NONE);
    for (uint32_t c = from; readers != TXN_NONE && c < (updated ? from + 1 : to); c++)
        add_edge(graph, readers, anti_in(orders, graph->chains[c].first), TXN_NONE);
    if (!updated)
        return;
    const struct order_chain *first = &graph->chains[from];
    for (uint32_t c = from + 1; c < to; c++) {
        const struct order_chain *chain = &graph->chains[c];
        add_edge(graph, dependency_out(orders, first->last), dependency_in(orders, chain->first),
                 TXN_NONE);
        if (first->readers != TXN_NONE)
            add_edge(graph, first->readers, anti_in(orders, chain->first), TXN_NONE);
    }
}

static bool begins_chain(const struct orders *orders, uint32_t i, uint32_t key)
{
    for (uint32_t r = orders->read_first[i]; r < orders->read_first[i + 1]; r++)
        if (orders->reads[r].key == key)
            return false;
    return true;
}

static bool add_pair(struct maker *maker, uint32_t a, uint32_t b, size_t pairs_max)
{
    struct order_graph *graph = maker->graph;
    const struct order_chain *first = &graph->chains[a], *second = &graph->chains[b];
    if (graph->pair_count == graph->pair_capacity) {
        if (graph->pair_capacity >= pairs_max)
            return false;
        graph->pair_capacity = graph->pair_capacity == 0 ? 1024 : graph->pair_capacity * 2;
        graph->pairs = or_end(realloc(graph->pairs, graph->pair_capacity * sizeof *graph->pairs));
    }
    if (maker->rank[second->first] < maker->rank[first->first]) {
        const struct order_chain *swap = first;
        first = second;
        second = swap;
    }
    uint32_t pair = (uint32_t)graph->pair_count++;
    graph->pairs[pair] = (struct order_pair){.a = (uint32_t)(first - graph->chains),
                                             .b = (uint32_t)(second - graph->chains)};
    if (graph->orders->form != ORDER_REALTIME)
        return true;
    /* Both ways: a cycle, and found as one. */
    if (second->ended < first->begun)
        order_pair_decide(graph, pair, PAIR_BACKWARD, 0);
    if (first->ended < second->begun)
        order_pair_decide(graph, pair, PAIR_FORWARD, 0);
    return true;
}

static bool add_key(struct maker *maker, uint32_t key, uint32_t *members, size_t pairs_max)
{
    const struct orders *orders = maker->orders;
    struct order_graph *graph = maker->graph;
    uint32_t from = graph->chain_count;
    uint32_t updater = maker->updater[orders->write_first[orders->count] + key];
    if (updater != TXN_NONE)
        add_chain(maker, key, updater, members);
    for (uint32_t w = maker->writer_first[key]; w < maker->writer_first[key + 1]; w++)
        if (begins_chain(orders, maker->writers[w], key))
            add_chain(maker, key, maker->writers[w], members);
    add_initial(maker, key, from, graph->chain_count, updater != TXN_NONE);
    for (uint32_t a = from + (updater != TXN_NONE); a < graph->chain_count; a++)
        for (uint32_t b = a + 1; b < graph->chain_count; b++)
            if (!add_pair(maker, a, b, pairs_max))
                return false;
    return true;
}

bool order_graph_make(struct order_graph *graph, const struct orders *orders, size_t memory_bytes,
                      struct arena *arena)
{
    uint32_t n = orders->count, writes = orders->write_first[n], members = 0;
    struct maker maker = {.graph = graph, .orders = orders, .arena = arena};
    *graph = (struct order_graph){.orders = orders,
                                  .arena = arena,
                                  .updated_twice = TXN_NONE,
                                  .updater_a = TXN_NONE,
                                  .updater_b = TXN_NONE};
    maker.node_capacity = 4 * n + 64;
    graph->node_txn = words(arena, maker.node_capacity, 0xff);
    for (uint32_t i = 0; i < n; i++) {
        add_node(&maker, i);
        if (orders->snapshots)
            add_edge(graph, 2 * i, add_node(&maker, i), TXN_NONE);
    }
    maker.rank = orders_rank(orders, arena);
    list_writers(&maker);
    add_reads(&maker);
    if (graph->updater_b != TXN_NONE)
        return true;
    add_sessions(&maker);
    add_real_time(&maker);
    graph->chains = arena_alloc(arena, ((size_t)writes + 1) * sizeof *graph->chains);
    graph->chain_members = words(arena, writes, 0);
    /* A pair with its edges, in its lists and in the searches. */
    size_t pairs_max = memory_bytes == 0 ? PAIRS_MAX : memory_bytes / 128;
    for (uint32_t key = 0; key < orders->key_count; key++)
        if (!add_key(&maker, key, &members, pairs_max < PAIRS_MAX ? pairs_max : PAIRS_MAX))
            return false;
    return true;
}

void order_graph_free(struct order_graph *graph)
{
    free(graph->edges);
    free(graph->pairs);
}
