/* Explaining why there is no order: see orders_proof.h. */
#include "checkers/transactions/orders_proof.h"

#include <string.h>

enum { STEPS_MAX = 400, DEPTH_MAX = 8, TXNS_MAX = 120 };

/* The step by which a's write of a key is known to be before b's, + 1; 0: it is not. */
struct facts {
    uint32_t *step;
};

struct prover {
    const struct orders *orders;
    struct arena *arena;
    struct proof *proof;
    uint32_t n, nodes;
    struct proof_edge *known; /* by the history alone: known[from * nodes + to] */
    struct proof_edge *edges; /* with what the facts add */
    uint32_t *parent, *queue, *seen, run;
};

#define GIVEN_FACT (PROOF_GIVEN - 1) /* + 1 in facts */

static uint32_t *fact(const struct prover *p, const struct facts *facts, uint32_t key, uint32_t a,
                      uint32_t b)
{
    return &facts->step[(key * p->n + a) * p->n + b];
}

/* ---- Edges ---- */

static uint32_t node(const struct prover *p, uint32_t i, bool commit)
{
    return p->orders->snapshots ? 2 * i + commit : i;
}

static void add(struct prover *p, struct proof_edge *edges, struct proof_edge edge)
{
    struct proof_edge *at =
        &edges[node(p, edge.from, edge.from_commit) * p->nodes + node(p, edge.to, edge.to_commit)];
    if (at->why == WHY_NOT) /* what comes first is told more simply */
        *at = edge;
}

static void add_dependency(struct prover *p, struct proof_edge *edges, enum proof_why why,
                           uint32_t from, uint32_t to, uint32_t key, uint32_t step)
{
    add(p, edges,
        (struct proof_edge){.why = why,
                            .from = from,
                            .to = to,
                            .from_commit = true,
                            .key = key,
                            .writer = from,
                            .step = step});
}

static void add_missed(struct prover *p, struct proof_edge *edges, enum proof_why why,
                       uint32_t from, uint32_t to, uint32_t key, uint32_t writer, uint32_t step)
{
    add(p, edges,
        (struct proof_edge){.why = why,
                            .from = from,
                            .to = to,
                            .to_commit = true,
                            .key = key,
                            .writer = writer,
                            .step = step});
}

static uint32_t read_from(const struct orders *orders, uint32_t i, uint32_t key, bool *reads)
{
    *reads = false;
    for (uint32_t r = orders->read_first[i]; r < orders->read_first[i + 1]; r++)
        if (orders->reads[r].key == key) {
            *reads = true;
            return orders->reads[r].from;
        }
    return ORDER_INITIAL;
}

static void add_known(struct prover *p)
{
    const struct orders *orders = p->orders;
    for (uint32_t i = 0; i < p->n; i++) {
        if (orders->snapshots)
            add(p, p->known,
                (struct proof_edge){
                    .why = WHY_ITSELF, .from = i, .to = i, .to_commit = true, .step = PROOF_GIVEN});
        for (uint32_t r = orders->read_first[i]; r < orders->read_first[i + 1]; r++) {
            uint32_t key = orders->reads[r].key, from = orders->reads[r].from;
            if (from != ORDER_INITIAL)
                add_dependency(p, p->known, WHY_READ, from, i, key, PROOF_GIVEN);
            for (uint32_t j = 0; from == ORDER_INITIAL && j < p->n; j++)
                if (j != i && orders_writes(orders, j, key))
                    add_missed(p, p->known, WHY_INITIAL, i, j, key, ORDER_INITIAL, PROOF_GIVEN);
        }
        for (uint32_t j = 0; j < p->n; j++)
            if (i != j && orders_before(orders, i, j))
                add_dependency(p, p->known,
                               orders->form == ORDER_REALTIME ? WHY_REALTIME : WHY_SESSION, i, j, 0,
                               PROOF_GIVEN);
    }
}

/* What follows from a's write of the key being before b's. */
static void add_fact(struct prover *p, struct proof_edge *edges, uint32_t key, uint32_t a,
                     uint32_t b, uint32_t step)
{
    bool reads;
    add_dependency(p, edges, WHY_WRITES, a, b, key, step);
    for (uint32_t i = 0; i < p->n; i++)
        if (i != b && read_from(p->orders, i, key, &reads) == a && reads)
            add_missed(p, edges, WHY_MISSED, i, b, key, a, step);
}

static void known_facts(struct prover *p, struct facts *facts)
{
    const struct orders *orders = p->orders;
    for (uint32_t key = 0; key < orders->key_count; key++)
        for (uint32_t b = 0; b < p->n; b++)
            for (uint32_t a = 0; a < p->n; a++) {
                bool reads, reader = read_from(orders, b, key, &reads) == a && reads;
                if (a != b && orders_writes(orders, a, key) && orders_writes(orders, b, key) &&
                    (reader || orders_before(orders, a, b)))
                    *fact(p, facts, key, a, b) = GIVEN_FACT + 1;
            }
}

static void use_facts(struct prover *p, const struct facts *facts)
{
    memcpy(p->edges, p->known, (size_t)p->nodes * p->nodes * sizeof *p->edges);
    for (uint32_t key = 0; key < p->orders->key_count; key++)
        for (uint32_t a = 0; a < p->n; a++)
            for (uint32_t b = 0; b < p->n; b++) {
                uint32_t step = *fact(p, facts, key, a, b);
                if (step != 0)
                    add_fact(p, p->edges, key, a, b,
                             step == GIVEN_FACT + 1 ? PROOF_GIVEN : step - 1);
            }
}

/* ---- Circles ---- */

/* A shortest way, shorter than `most` edges; its length, or 0. */
static uint32_t find_way(struct prover *p, uint32_t from, uint32_t to, uint32_t most)
{
    uint32_t head = 0, tail = 0, length = 0;
    p->run++;
    p->queue[tail++] = from;
    while (head < tail && p->seen[to] != p->run) {
        uint32_t v = p->queue[head++];
        for (uint32_t w = 0; w < p->nodes; w++)
            if (p->seen[w] != p->run && p->edges[v * p->nodes + w].why != WHY_NOT) {
                p->seen[w] = p->run;
                p->parent[w] = v;
                p->queue[tail++] = w;
            }
    }
    if (p->seen[to] != p->run)
        return 0;
    uint32_t v = to;
    do {
        length++;
        v = p->parent[v];
    } while (v != from);
    return length < most ? length : 0;
}

static const struct proof_edge *take_circle(struct prover *p, uint32_t start, uint32_t length)
{
    struct proof_edge *circle = arena_alloc(p->arena, length * sizeof *circle);
    uint32_t v = start;
    for (uint32_t i = length; i-- > 0; v = p->parent[v])
        circle[i] = p->edges[p->parent[v] * p->nodes + v];
    return circle;
}

static uint32_t shortest_circle(struct prover *p, const struct proof_edge **circle)
{
    uint32_t best = 0;
    for (uint32_t v = 0; v < p->nodes; v++) {
        uint32_t length = find_way(p, v, v, best == 0 ? UINT32_MAX : best);
        if (length > 0) {
            best = length;
            *circle = take_circle(p, v, length);
        }
    }
    return best;
}

/* ---- Steps ---- */

static struct proof_step *add_step(struct prover *p, struct proof_step step)
{
    struct proof *proof = p->proof;
    if (proof->count == proof->capacity) {
        uint32_t capacity = proof->capacity == 0 ? 32 : proof->capacity * 2;
        struct proof_step *grown = arena_alloc(p->arena, capacity * sizeof *grown);
        if (proof->count > 0)
            memcpy(grown, proof->steps, proof->count * sizeof *grown);
        proof->steps = grown;
        proof->capacity = capacity;
    }
    proof->steps[proof->count] = step;
    return &proof->steps[proof->count++];
}

static bool is_open(struct prover *p, const struct facts *facts, uint32_t key, uint32_t a,
                    uint32_t b)
{
    const struct orders *orders = p->orders;
    return orders_writes(orders, a, key) && orders_writes(orders, b, key) &&
           *fact(p, facts, key, a, b) == 0 && *fact(p, facts, key, b, a) == 0;
}

/* Where one way closes a circle: the step with the shortest, or false. It is added. */
static bool force_one(struct prover *p, struct facts *facts, uint32_t depth)
{
    struct proof_step best = {.kind = PROOF_FORCED, .depth = depth};
    uint32_t number = p->proof->count;
    for (uint32_t key = 0; key < p->orders->key_count; key++)
        for (uint32_t a = 0; a < p->n; a++)
            for (uint32_t b = 0; b < p->n; b++) {
                if (a == b || !is_open(p, facts, key, a, b))
                    continue;
                const struct proof_edge *circle;
                *fact(p, facts, key, b, a) = number + 1;
                use_facts(p, facts);
                *fact(p, facts, key, b, a) = 0;
                uint32_t length = shortest_circle(p, &circle);
                if (length == 0 || (best.circle_length > 0 && length >= best.circle_length))
                    continue;
                best.key = key;
                best.a = a;
                best.b = b;
                best.circle = circle;
                best.circle_length = length;
            }
    if (best.circle_length == 0)
        return false;
    *fact(p, facts, best.key, best.a, best.b) = number + 1;
    add_step(p, best);
    return true;
}

static bool find_open(struct prover *p, const struct facts *facts, struct proof_step *step)
{
    for (uint32_t key = 0; key < p->orders->key_count; key++)
        for (uint32_t a = 0; a < p->n; a++)
            for (uint32_t b = a + 1; b < p->n; b++)
                if (is_open(p, facts, key, a, b)) {
                    step->key = key;
                    step->a = a;
                    step->b = b;
                    return true;
                }
    return false;
}

static void prove(struct prover *p, struct facts *facts, uint32_t depth)
{
    struct proof_step step = {.kind = PROOF_CIRCLE, .depth = depth};
    size_t size = (size_t)p->orders->key_count * p->n * p->n * sizeof(uint32_t);
    do {
        use_facts(p, facts);
        step.circle_length = shortest_circle(p, &step.circle);
        if (step.circle_length > 0) {
            add_step(p, step);
            return;
        }
    } while (p->proof->count < STEPS_MAX && force_one(p, facts, depth));
    if (p->proof->count >= STEPS_MAX || depth == DEPTH_MAX || !find_open(p, facts, &step)) {
        step.kind = PROOF_GIVEN_UP;
        add_step(p, step);
        return;
    }
    struct facts supposed = {.step = arena_alloc(p->arena, size + 1)};
    memcpy(supposed.step, facts->step, size);
    step.kind = PROOF_SUPPOSE;
    *fact(p, &supposed, step.key, step.a, step.b) = p->proof->count + 1;
    add_step(p, step);
    prove(p, &supposed, depth + 1);
    step.kind = PROOF_SO;
    *fact(p, facts, step.key, step.b, step.a) = p->proof->count + 1;
    add_step(p, step);
    prove(p, facts, depth);
}

/* Backwards from the circles: what they rest on. */
static void mark_needed(struct proof *proof)
{
    for (uint32_t s = proof->count; s-- > 0;) {
        struct proof_step *step = &proof->steps[s];
        step->needed = step->needed || step->kind != PROOF_FORCED;
        for (uint32_t i = 0; step->needed && i < step->circle_length; i++)
            if (step->circle[i].step < s)
                proof->steps[step->circle[i].step].needed = true;
    }
}

void proof_make(const struct orders *orders, struct arena *arena, struct proof *proof)
{
    struct prover p = {.orders = orders, .arena = arena, .proof = proof, .n = orders->count};
    *proof = (struct proof){.count = 0};
    p.nodes = orders->snapshots ? 2 * p.n : p.n;
    size_t edges = (size_t)p.nodes * p.nodes, words = ((size_t)p.nodes + 1) * sizeof(uint32_t);
    struct facts facts;
    if (p.n > TXNS_MAX || (size_t)orders->key_count * p.n * p.n > 1 << 22) {
        add_step(&p, (struct proof_step){.kind = PROOF_GIVEN_UP});
        return;
    }
    p.known = arena_zalloc(arena, (edges + 1) * sizeof *p.known);
    p.edges = arena_zalloc(arena, (edges + 1) * sizeof *p.edges);
    p.parent = arena_alloc(arena, words);
    p.queue = arena_alloc(arena, words);
    p.seen = arena_zalloc(arena, words);
    facts.step =
        arena_zalloc(arena, ((size_t)orders->key_count * p.n * p.n + 1) * sizeof(uint32_t));
    add_known(&p);
    known_facts(&p, &facts);
    prove(&p, &facts, 0);
    mark_needed(proof);
}
