/* A serial order made in one pass: see orders.h.
 *
 * Whoever fits is next: all that must come before it is placed, also by what is known of the order
 * of versions, it reads what is there, and nobody who is not placed yet still has to read what it
 * overwrites. Of those that fit, readers go first
 * (that can never be wrong), then who completed first. When nobody fits the guess has failed, which
 * says nothing. */
#include <string.h>

#include "checkers/transactions/orders.h"

struct guess {
    const struct orders *orders;
    struct order_found *found;
    uint32_t placed;
    uint32_t *missing; /* what i still waits for: reads that are not there, its session, its time */
    uint64_t *urgency; /* lower is sooner */
    uint32_t *heap, heap_count;
    /* by key: how many still have to read what is there; who waits for that, as a list */
    uint32_t *pending, *waiting, *waiting_next;
    /* by write (index in orders->writes), and from write_count on by key, for the initial value:
     * who reads it, as a list over reads */
    uint32_t *readers, *reader_next, *reader_of;
    /* who follows in its session, as a list */
    uint32_t *followers, *follower_next;
    /* what is known: by node of the graph, edges to it that are not followed yet, and who it is in
     * the problem (TXN_NONE: nobody, it only stands for edges); nodes to go on from */
    const struct graph *graph;
    unsigned types;
    uint32_t *node_missing, *who, *stack;
    /* real time: those by begin, how many of them were let go; how many are not placed by end */
    uint32_t *by_begin, let_go, *open_at, first_open, epoch_count;
};

static uint32_t *words(struct arena *arena, size_t count, int byte)
{
    uint32_t *list = arena_alloc(arena, (count + 1) * sizeof *list);
    memset(list, byte, (count + 1) * sizeof *list);
    return list;
}

/* ---- The heap of those that wait for nothing ---- */

static void push(struct guess *guess, uint32_t i)
{
    uint32_t at = guess->heap_count++;
    while (at > 0 && guess->urgency[guess->heap[(at - 1) / 2]] > guess->urgency[i]) {
        guess->heap[at] = guess->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    guess->heap[at] = i;
}

static uint32_t pop(struct guess *guess)
{
    uint32_t top = guess->heap[0], last = guess->heap[--guess->heap_count], at = 0;
    for (uint32_t child; (child = 2 * at + 1) < guess->heap_count; at = child) {
        if (child + 1 < guess->heap_count &&
            guess->urgency[guess->heap[child + 1]] < guess->urgency[guess->heap[child]])
            child++;
        if (guess->urgency[guess->heap[child]] >= guess->urgency[last])
            break;
        guess->heap[at] = guess->heap[child];
    }
    guess->heap[at] = last;
    return top;
}

static void got_one(struct guess *guess, uint32_t i)
{
    if (--guess->missing[i] == 0)
        push(guess, i);
}

/* ---- What is there to begin with ---- */

static uint32_t version_of(const struct orders *orders, const struct order_read *read)
{
    if (read->from == ORDER_INITIAL)
        return orders->write_first[orders->count] + read->key;
    uint32_t w = orders->write_first[read->from];
    while (orders->writes[w] != read->key)
        w++;
    return w;
}

static void list_readers(struct guess *guess, struct arena *arena)
{
    const struct orders *orders = guess->orders;
    uint32_t reads = orders->read_first[orders->count];
    size_t versions = (size_t)orders->write_first[orders->count] + orders->key_count;
    guess->readers = words(arena, versions, 0xff);
    guess->reader_next = words(arena, reads, 0xff);
    guess->reader_of = words(arena, reads, 0xff);
    for (uint32_t i = orders->count; i-- > 0;)
        for (uint32_t r = orders->read_first[i]; r < orders->read_first[i + 1]; r++) {
            uint32_t version = version_of(orders, &orders->reads[r]);
            guess->reader_of[r] = i;
            guess->reader_next[r] = guess->readers[version];
            guess->readers[version] = r;
            guess->missing[i]++;
        }
}

static void list_times(struct guess *guess, struct arena *arena)
{
    const struct orders *orders = guess->orders;
    for (uint32_t i = 0; i < orders->count; i++)
        if (orders->end[i] != TXN_NONE && orders->end[i] + 1 > guess->epoch_count)
            guess->epoch_count = orders->end[i] + 1;
    uint32_t last = 0;
    for (uint32_t i = 0; i < orders->count; i++)
        last = orders->begin[i] > last ? orders->begin[i] : last;
    uint32_t *at = words(arena, (size_t)last + 2, 0);
    guess->open_at = words(arena, guess->epoch_count, 0);
    guess->by_begin = words(arena, orders->count, 0);
    for (uint32_t i = 0; i < orders->count; i++) {
        at[orders->begin[i] + 1]++;
        guess->missing[i]++;
        if (orders->end[i] != TXN_NONE)
            guess->open_at[orders->end[i]]++;
    }
    for (uint32_t epoch = 0; epoch < last; epoch++)
        at[epoch + 1] += at[epoch];
    for (uint32_t i = 0; i < orders->count; i++)
        guess->by_begin[at[orders->begin[i]]++] = i;
}

static void list_sessions(struct guess *guess, struct arena *arena)
{
    const struct orders *orders = guess->orders;
    guess->followers = words(arena, orders->count, 0xff);
    guess->follower_next = words(arena, orders->count, 0xff);
    for (uint32_t i = 0; i < orders->count; i++) {
        uint32_t before = orders->previous[i];
        if (before == TXN_NONE)
            continue;
        guess->missing[i]++;
        guess->follower_next[i] = guess->followers[before];
        guess->followers[before] = i;
    }
}

/* ---- What is known ---- */

static void list_known(struct guess *guess, const struct order_known *known, struct arena *arena)
{
    const struct graph *graph = known->graph;
    const struct orders *orders = guess->orders;
    guess->graph = graph;
    guess->types = known->types;
    guess->node_missing = words(arena, graph->count, 0);
    guess->who = words(arena, graph->count, 0xff);
    guess->stack = words(arena, graph->count, 0);
    for (uint32_t edge = 0; edge < graph->first[graph->count]; edge++)
        if (guess->types >> edge_type(graph->edges[edge]) & 1)
            guess->node_missing[edge_target(graph->edges[edge])]++;
    for (uint32_t i = 0; i < orders->count; i++) {
        if (orders->txn[i] == TXN_NONE)
            continue;
        guess->who[orders->txn[i]] = i;
        guess->missing[i] += guess->node_missing[orders->txn[i]] > 0;
    }
}

/* Follows the edges from a node, and on from nodes that are nobody. */
static void follow(struct guess *guess, uint32_t node)
{
    const struct graph *graph = guess->graph;
    uint32_t count = 0;
    guess->stack[count++] = node;
    while (count > 0) {
        node = guess->stack[--count];
        for (uint32_t edge = graph->first[node]; edge < graph->first[node + 1]; edge++) {
            uint32_t target = edge_target(graph->edges[edge]);
            if ((guess->types >> edge_type(graph->edges[edge]) & 1) == 0 ||
                --guess->node_missing[target] > 0)
                continue;
            if (guess->who[target] != TXN_NONE)
                got_one(guess, guess->who[target]);
            else
                guess->stack[count++] = target;
        }
    }
}

/* From nodes that are nobody, and to which nothing leads; counted before anything is followed. */
static void follow_first(struct guess *guess, struct arena *arena)
{
    uint32_t nodes = guess->graph->count, count = 0, *first = words(arena, nodes, 0);
    for (uint32_t node = 0; node < nodes; node++)
        if (guess->who[node] == TXN_NONE && guess->node_missing[node] == 0)
            first[count++] = node;
    for (uint32_t i = 0; i < count; i++)
        follow(guess, first[i]);
}

/* ---- Steps ---- */

/* A version is there: whoever reads it has one thing less to wait for. */
static void appears(struct guess *guess, uint32_t key, uint32_t version)
{
    guess->pending[key] = 0;
    for (uint32_t r = guess->readers[version]; r != TXN_NONE; r = guess->reader_next[r]) {
        guess->pending[key]++;
        got_one(guess, guess->reader_of[r]);
    }
}

static bool reads_key(const struct orders *orders, uint32_t i, uint32_t key)
{
    for (uint32_t r = orders->read_first[i]; r < orders->read_first[i + 1]; r++)
        if (orders->reads[r].key == key)
            return true;
    return false;
}

/* The key on which others still wait for what i would overwrite; TXN_NONE. */
static uint32_t blocked_by(const struct guess *guess, uint32_t i)
{
    const struct orders *orders = guess->orders;
    for (uint32_t w = orders->write_first[i]; w < orders->write_first[i + 1]; w++) {
        uint32_t key = orders->writes[w];
        if (guess->pending[key] > (reads_key(orders, i, key) ? 1U : 0U))
            return key;
    }
    return TXN_NONE;
}

static void let_go(struct guess *guess)
{
    const struct orders *orders = guess->orders;
    while (guess->first_open < guess->epoch_count && guess->open_at[guess->first_open] == 0)
        guess->first_open++;
    while (guess->let_go < orders->count &&
           (orders->begin[guess->by_begin[guess->let_go]] <= guess->first_open ||
            guess->first_open == guess->epoch_count))
        got_one(guess, guess->by_begin[guess->let_go++]);
}

static void place(struct guess *guess, uint32_t i)
{
    const struct orders *orders = guess->orders;
    guess->found->commits[guess->placed] = i;
    guess->found->seen[guess->placed] = guess->placed;
    guess->placed++;
    for (uint32_t r = orders->read_first[i]; r < orders->read_first[i + 1]; r++) {
        uint32_t key = orders->reads[r].key;
        if (--guess->pending[key] > 1)
            continue;
        uint32_t waiter = guess->waiting[key];
        guess->waiting[key] = TXN_NONE;
        while (waiter != TXN_NONE) {
            uint32_t next = guess->waiting_next[waiter];
            push(guess, waiter);
            waiter = next;
        }
    }
    for (uint32_t w = orders->write_first[i]; w < orders->write_first[i + 1]; w++)
        appears(guess, orders->writes[w], w);
    if (orders->form == ORDER_SESSION)
        for (uint32_t j = guess->followers[i]; j != TXN_NONE; j = guess->follower_next[j])
            got_one(guess, j);
    if (guess->graph != NULL && orders->txn[i] != TXN_NONE)
        follow(guess, orders->txn[i]);
    if (orders->form == ORDER_REALTIME && orders->end[i] != TXN_NONE) {
        guess->open_at[orders->end[i]]--;
        let_go(guess);
    }
}

bool orders_guess(const struct orders *orders, const struct order_known *known, struct arena *arena,
                  struct order_found *found)
{
    struct guess guess = {.orders = orders, .found = found};
    uint32_t n = orders->count;
    found->commits = words(arena, n, 0);
    found->seen = words(arena, n, 0);
    guess.missing = words(arena, n, 0);
    guess.heap = words(arena, n, 0);
    guess.pending = words(arena, orders->key_count, 0);
    guess.waiting = words(arena, orders->key_count, 0xff);
    guess.waiting_next = words(arena, n, 0xff);
    guess.urgency = arena_alloc(arena, ((size_t)n + 1) * sizeof *guess.urgency);
    const uint64_t *rank = orders_rank(orders, arena);
    list_readers(&guess, arena);
    if (orders->form == ORDER_SESSION)
        list_sessions(&guess, arena);
    if (orders->form == ORDER_REALTIME)
        list_times(&guess, arena);
    if (known != NULL)
        list_known(&guess, known, arena);
    for (uint32_t i = 0; i < n; i++) {
        bool writes = orders->write_first[i + 1] > orders->write_first[i];
        guess.urgency[i] = rank[i] | (uint64_t)writes << 63;
        if (guess.missing[i] == 0)
            push(&guess, i);
    }
    for (uint32_t key = 0; key < orders->key_count; key++)
        appears(&guess, key, orders->write_first[n] + key);
    if (orders->form == ORDER_REALTIME)
        let_go(&guess);
    if (known != NULL)
        follow_first(&guess, arena);
    while (guess.heap_count > 0) {
        uint32_t i = pop(&guess), key = blocked_by(&guess, i);
        if (key == TXN_NONE) {
            place(&guess, i);
        } else {
            guess.waiting_next[i] = guess.waiting[key];
            guess.waiting[key] = i;
        }
    }
    return guess.placed == n;
}
