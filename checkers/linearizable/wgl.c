/* The plain search: Wing and Gong's (1993) with Lowe's (2017) memory of configurations.
 *
 * Depth first over the list of invocations and returns that are not placed yet. An invocation
 * before the first return may come next if the model allows it; the return of an operation that is
 * not placed ends the branch. A configuration is the set of operations placed and the state; a
 * second visit to one cannot do better than the first, so each is entered once. There is no other
 * rule here: this is the reference that cleverer searches are held against. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/engine.h"

enum { TABLE_MIN = 256, CHUNK = 1 << 16, CLOCK_EVERY = 256 };

struct frame {
    uint32_t op;
    bool forced;            /* what else could have come here need not be tried */
    bool lifted;            /* false: an optional operation under free supply stays in the list */
    unsigned char before[]; /* the state that the step began in */
};

struct wgl {
    const struct lin_problem *problem;
    struct lin_budget *budget;
    unsigned mode; /* enum lin_wgl_mode */
    bool fresh;    /* the configuration was just entered */
    /* The list: nodes are events + 1, and node 0 is head and end. */
    uint32_t *next, *previous;
    uint32_t *return_node; /* per operation; 0: none */
    size_t words, entry_size, state_size;
    unsigned char *now;    /* the configuration: bit set, then state */
    unsigned char *frames; /* struct frame, frame_size apart */
    size_t frame_size;
    uint32_t depth, frame_capacity, required_left;
    /* Configurations seen: entries in chunks that never move, and a table of their numbers. */
    unsigned char **chunks;
    uint32_t chunk_count, chunk_capacity, per_chunk;
    uint32_t *table;
    uint64_t entries, table_size;
    uint64_t steps;
};

static void *make(struct wgl *wgl, size_t size)
{
    void *made = lin_realloc(wgl->budget, NULL, 0, size);
    if (made != NULL)
        memset(made, 0, size);
    return made;
}

static size_t list_bytes(const struct wgl *wgl)
{
    return ((size_t)wgl->problem->event_count + 1) * sizeof(uint32_t);
}

static size_t op_bytes(const struct wgl *wgl)
{
    return ((size_t)wgl->problem->op_count + 1) * sizeof(uint32_t);
}

static bool open_search(struct wgl *wgl)
{
    const struct lin_problem *problem = wgl->problem;
    wgl->words = (problem->op_count + 63) / 64;
    wgl->state_size = problem->model->state_size;
    wgl->entry_size = (wgl->words * 8 + wgl->state_size + 7) / 8 * 8;
    wgl->frame_size = (sizeof(struct frame) + wgl->state_size + 7) / 8 * 8;
    wgl->per_chunk = wgl->entry_size < CHUNK ? (uint32_t)(CHUNK / wgl->entry_size) : 1;
    wgl->required_left = problem->required_count;
    wgl->table_size = TABLE_MIN;
    wgl->next = make(wgl, list_bytes(wgl));
    wgl->previous = make(wgl, list_bytes(wgl));
    wgl->return_node = make(wgl, op_bytes(wgl));
    wgl->now = make(wgl, wgl->entry_size);
    wgl->table = make(wgl, wgl->table_size * sizeof *wgl->table);
    if (wgl->next == NULL || wgl->previous == NULL || wgl->return_node == NULL ||
        wgl->now == NULL || wgl->table == NULL)
        return false;
    uint32_t count = problem->event_count;
    for (uint32_t node = 0; node <= count; node++) {
        wgl->next[node] = node == count ? 0 : node + 1;
        wgl->previous[node] = node == 0 ? count : node - 1;
        if (node > 0 && LIN_EVENT_RETURNS(problem->events[node - 1]))
            wgl->return_node[LIN_EVENT_OP(problem->events[node - 1])] = node;
    }
    return true;
}

static void close_search(struct wgl *wgl)
{
    struct lin_budget *budget = wgl->budget;
    lin_release(budget, wgl->next, list_bytes(wgl));
    lin_release(budget, wgl->previous, list_bytes(wgl));
    lin_release(budget, wgl->return_node, op_bytes(wgl));
    lin_release(budget, wgl->now, wgl->entry_size);
    lin_release(budget, wgl->table, wgl->table_size * sizeof *wgl->table);
    lin_release(budget, wgl->frames, wgl->frame_capacity * wgl->frame_size);
    for (uint32_t i = 0; i < wgl->chunk_count; i++)
        lin_release(budget, wgl->chunks[i], wgl->per_chunk * wgl->entry_size);
    lin_release(budget, wgl->chunks, wgl->chunk_capacity * sizeof *wgl->chunks);
}

static unsigned char *entry(const struct wgl *wgl, uint64_t index)
{
    return wgl->chunks[index / wgl->per_chunk] + index % wgl->per_chunk * wgl->entry_size;
}

static uint64_t hash_bytes(const unsigned char *bytes, size_t size)
{
    uint64_t h = size;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    return h;
}

static uint32_t *find_slot(const struct wgl *wgl, const unsigned char *configuration)
{
    uint64_t mask = wgl->table_size - 1, at = hash_bytes(configuration, wgl->entry_size) & mask;
    while (wgl->table[at] != 0 &&
           memcmp(entry(wgl, wgl->table[at] - 1), configuration, wgl->entry_size) != 0)
        at = (at + 1) & mask;
    return &wgl->table[at];
}

static bool grow_table(struct wgl *wgl)
{
    struct wgl grown = *wgl;
    grown.table_size = wgl->table_size * 2;
    grown.table = make(wgl, grown.table_size * sizeof *grown.table);
    if (grown.table == NULL)
        return false;
    for (uint64_t i = 0; i < wgl->entries; i++)
        *find_slot(&grown, entry(wgl, i)) = (uint32_t)i + 1;
    lin_release(wgl->budget, wgl->table, wgl->table_size * sizeof *wgl->table);
    wgl->table = grown.table;
    wgl->table_size = grown.table_size;
    return true;
}

static bool grow_chunks(struct wgl *wgl)
{
    if (wgl->chunk_count == wgl->chunk_capacity) {
        uint32_t capacity = wgl->chunk_capacity == 0 ? 16 : wgl->chunk_capacity * 2;
        void *chunks = lin_realloc(wgl->budget, wgl->chunks, wgl->chunk_capacity * sizeof(void *),
                                   capacity * sizeof(void *));
        if (chunks == NULL)
            return false;
        wgl->chunks = chunks;
        wgl->chunk_capacity = capacity;
    }
    void *chunk = lin_realloc(wgl->budget, NULL, 0, wgl->per_chunk * wgl->entry_size);
    if (chunk == NULL)
        return false;
    wgl->chunks[wgl->chunk_count++] = chunk;
    return true;
}

enum visit { VISIT_NEW, VISIT_SEEN, VISIT_NO_MEMORY };

/* Remembers the configuration `now`. */
static enum visit visit(struct wgl *wgl)
{
    uint32_t *slot = find_slot(wgl, wgl->now);
    if (*slot != 0)
        return VISIT_SEEN;
    if (wgl->entries * 2 >= wgl->table_size) {
        if (wgl->entries >= UINT32_MAX - 1 || !grow_table(wgl))
            return VISIT_NO_MEMORY;
        slot = find_slot(wgl, wgl->now);
    }
    if (wgl->entries == (uint64_t)wgl->chunk_count * wgl->per_chunk && !grow_chunks(wgl))
        return VISIT_NO_MEMORY;
    memcpy(entry(wgl, wgl->entries), wgl->now, wgl->entry_size);
    *slot = (uint32_t)++wgl->entries;
    return VISIT_NEW;
}

static void take_out(struct wgl *wgl, uint32_t node)
{
    wgl->next[wgl->previous[node]] = wgl->next[node];
    wgl->previous[wgl->next[node]] = wgl->previous[node];
}

static void put_back(struct wgl *wgl, uint32_t node)
{
    wgl->next[wgl->previous[node]] = node;
    wgl->previous[wgl->next[node]] = node;
}

static struct frame *frame_at(const struct wgl *wgl, uint32_t index)
{
    return (struct frame *)(void *)(wgl->frames + index * wgl->frame_size);
}

/* A new frame, whose other fields the caller fills. NULL: no memory. */
static struct frame *push(struct wgl *wgl, const unsigned char *state_before)
{
    if (wgl->depth == wgl->frame_capacity) {
        uint32_t capacity = wgl->frame_capacity == 0 ? 64 : wgl->frame_capacity * 2;
        void *frames = lin_realloc(wgl->budget, wgl->frames, wgl->frame_capacity * wgl->frame_size,
                                   capacity * wgl->frame_size);
        if (frames == NULL)
            return NULL;
        wgl->frames = frames;
        wgl->frame_capacity = capacity;
    }
    struct frame *frame = frame_at(wgl, wgl->depth++);
    memcpy(frame->before, state_before, wgl->state_size);
    return frame;
}

static void flip(struct wgl *wgl, uint32_t op)
{
    uint64_t word;
    memcpy(&word, wgl->now + op / 64 * 8, 8);
    word ^= UINT64_C(1) << op % 64;
    memcpy(wgl->now + op / 64 * 8, &word, 8);
}

/* Tries to place the operation invoked at `node` next. VISIT_SEEN: it may not, or need not, come
 * next. */
static enum visit place(struct wgl *wgl, uint32_t node, bool forced)
{
    uint32_t op = LIN_EVENT_OP(wgl->problem->events[node - 1]);
    const struct lin_op *placed = &wgl->problem->ops[op];
    unsigned char *state = wgl->now + wgl->words * 8;
    unsigned char before[MODEL_STATE_MAX];
    memcpy(before, state, wgl->state_size);
    _Alignas(16) unsigned char after[MODEL_STATE_MAX];
    memcpy(after, before, wgl->state_size);
    if (!wgl->problem->model->step(before, &placed->op, wgl->problem->space, after))
        return wgl->problem->space->full ? VISIT_NO_MEMORY : VISIT_SEEN;
    bool lift = placed->op.known || (wgl->mode & LIN_WGL_FREE) == 0;
    memcpy(state, after, wgl->state_size);
    if (lift)
        flip(wgl, op);
    enum visit found = visit(wgl);
    struct frame *frame = found == VISIT_NEW ? push(wgl, before) : NULL;
    if (found == VISIT_NEW && frame == NULL)
        found = VISIT_NO_MEMORY;
    if (found != VISIT_NEW) {
        memcpy(state, before, wgl->state_size);
        if (lift)
            flip(wgl, op);
        return found;
    }
    frame->op = op;
    frame->lifted = lift;
    frame->forced = forced;
    if (lift) {
        take_out(wgl, node);
        if (wgl->return_node[op] != 0)
            take_out(wgl, wgl->return_node[op]);
    }
    wgl->required_left -= placed->op.known;
    return VISIT_NEW;
}

/* Takes back the last placement; returns the node to go on from. */
static uint32_t take_back(struct wgl *wgl)
{
    const struct frame *frame = frame_at(wgl, --wgl->depth);
    const struct lin_op *op = &wgl->problem->ops[frame->op];
    uint32_t node = op->invoked + 1;
    memcpy(wgl->now + wgl->words * 8, frame->before, wgl->state_size);
    if (frame->lifted) {
        if (wgl->return_node[frame->op] != 0)
            put_back(wgl, wgl->return_node[frame->op]);
        put_back(wgl, node);
        flip(wgl, frame->op);
    }
    wgl->required_left += op->op.known;
    return wgl->next[node];
}

/* Goes back to the last choice. False: there is none left. */
static bool retreat(struct wgl *wgl, uint32_t *node)
{
    bool forced = true;
    while (forced && wgl->depth > 0) {
        forced = frame_at(wgl, wgl->depth - 1)->forced;
        *node = take_back(wgl);
    }
    return !forced;
}

static const struct lin_op *op_at(const struct wgl *wgl, uint32_t node)
{
    return &wgl->problem->ops[LIN_EVENT_OP(wgl->problem->events[node - 1])];
}

/* May the operation invoked at `node` come next, as far as real time goes? */
static bool is_open(const struct wgl *wgl, uint32_t node)
{
    return node != 0 && !LIN_EVENT_RETURNS(wgl->problem->events[node - 1]);
}

/* Brief: an operation that changes nothing and may come next can come next: moved here from where
 * an order has it, it leaves the order good. 0: there is none. */
static uint32_t find_pure(const struct wgl *wgl)
{
    int64_t state;
    memcpy(&state, wgl->now + wgl->words * 8, sizeof state);
    for (uint32_t node = wgl->next[0]; is_open(wgl, node); node = wgl->next[node]) {
        const struct lin_op *op = op_at(wgl, node);
        if (op->pure && (op->needs == MODEL_ANY || op->needs == state))
            return node;
    }
    return 0;
}

/* Brief: not worth trying is
 * - an operation while a twin waits that returns sooner, or, optional, was invoked sooner: exchange
 *   the two in an order that has them so;
 * - an optional operation when nothing that may come next needs what it leaves. In an order, either
 *   the next to change or ask for the state needs it, and then the optional one can be moved right
 *   before that; or it does not, and the order is as good without the optional one. */
static bool is_worth_trying(const struct wgl *wgl, uint32_t at)
{
    const struct lin_op *op = op_at(wgl, at);
    bool needed = op->op.known;
    for (uint32_t node = wgl->next[0]; is_open(wgl, node); node = wgl->next[node]) {
        const struct lin_op *other = op_at(wgl, node);
        needed = needed || (other != op && other->needs == op->leaves);
        if (other == op || other->needs != op->needs || other->leaves != op->leaves)
            continue;
        if (op->op.known ? other->returned < op->returned : !other->op.known && node < at)
            return false;
    }
    return needed;
}

/* One step forward or back. False: there is nothing left to try. */
static bool advance(struct wgl *wgl, uint32_t *node, uint32_t *blocked, enum visit *found)
{
    bool brief = (wgl->mode & LIN_WGL_BRIEF) != 0;
    uint32_t pure = brief && wgl->fresh ? find_pure(wgl) : 0;
    wgl->fresh = false;
    if (pure != 0) {
        *found = place(wgl, pure, true);
        if (*found == VISIT_SEEN)
            return retreat(wgl, node);
    } else if (is_open(wgl, *node)) {
        *found = brief && !is_worth_trying(wgl, *node) ? VISIT_SEEN : place(wgl, *node, false);
    } else {
        assert(*node != 0); /* a required operation that is left has its return in the list */
        *blocked = *node > *blocked ? *node : *blocked;
        return retreat(wgl, node);
    }
    wgl->fresh = *found == VISIT_NEW;
    *node = wgl->next[wgl->fresh ? 0 : *node];
    return true;
}

/* One search from the state in `now`. Raises *blocked to the furthest return that stopped it. */
static enum verdict search(struct wgl *wgl, uint32_t *blocked, enum lin_limit *limit)
{
    enum visit found = visit(wgl);
    if (found == VISIT_SEEN)
        return VERDICT_INVALID; /* an earlier start came by here and failed */
    wgl->fresh = true;
    uint32_t node = wgl->next[0];
    while (found != VISIT_NO_MEMORY && wgl->required_left > 0) {
        if (++wgl->steps % CLOCK_EVERY == 0 && lin_late(wgl->budget)) {
            *limit = LIN_LIMIT_TIME;
            return VERDICT_UNKNOWN;
        }
        if (!advance(wgl, &node, blocked, &found))
            return VERDICT_INVALID;
    }
    if (found != VISIT_NO_MEMORY)
        return VERDICT_VALID;
    *limit = LIN_LIMIT_MEMORY;
    return VERDICT_UNKNOWN;
}

/* Every value that some operation needs, and one that none does: for an unknown first state these
 * are all that can be told apart. */
static bool next_start(const struct lin_problem *problem, int64_t *value)
{
    int64_t end = problem->state_count;
    for (++*value; *value <= end; ++*value) {
        bool wanted = *value == end;
        for (uint32_t i = 0; i < problem->op_count && !wanted; i++)
            wanted = problem->ops[i].needs == *value;
        if (wanted)
            return true;
    }
    return false;
}

static void take_order(const struct wgl *wgl, struct lin_answer *answer)
{
    if ((wgl->mode & LIN_WGL_FREE) != 0 || wgl->problem->any_start)
        return;
    answer->order = malloc((wgl->depth + (size_t)1) * sizeof *answer->order);
    if (answer->order == NULL)
        return;
    for (uint32_t i = 0; i < wgl->depth; i++)
        answer->order[i] = frame_at(wgl, i)->op;
    answer->order_count = wgl->depth;
}

void lin_wgl(const struct lin_problem *problem, unsigned mode, struct lin_budget *budget,
             struct lin_answer *answer)
{
    assert((mode == LIN_WGL_PLAIN && !problem->any_start) || problem->model->effect != NULL);
    struct wgl wgl = {.problem = problem, .budget = budget, .mode = mode};
    *answer = (struct lin_answer){.verdict = VERDICT_UNKNOWN,
                                  .at = LIN_NEVER,
                                  .begin = LIN_NEVER,
                                  .limit = LIN_LIMIT_MEMORY,
                                  .decided_by = "wgl"};
    uint32_t blocked = 0;
    if (open_search(&wgl)) {
        int64_t start = -1;
        unsigned char *state = wgl.now + wgl.words * 8;
        lin_problem_start(problem, state);
        if (!problem->any_start)
            answer->verdict = search(&wgl, &blocked, &answer->limit);
        while (problem->any_start && next_start(problem, &start)) {
            memcpy(state, &start, sizeof start);
            answer->verdict = search(&wgl, &blocked, &answer->limit);
            if (answer->verdict != VERDICT_INVALID)
                break;
        }
    }
    if (answer->verdict == VERDICT_VALID)
        take_order(&wgl, answer);
    if (answer->verdict != VERDICT_UNKNOWN)
        answer->limit = LIN_LIMIT_NONE;
    if (blocked != 0 && answer->verdict != VERDICT_VALID)
        answer->at = LIN_EVENT_OP(problem->events[blocked - 1]);
    answer->explored = wgl.entries;
    close_search(&wgl);
}

static bool suits_any(const struct model *model)
{
    (void)model;
    return true;
}

static void search_wgl(const struct lin_problem *problem, struct lin_budget *budget,
                       struct lin_answer *answer)
{
    lin_wgl(problem, LIN_WGL_PLAIN, budget, answer);
}

const struct lin_engine lin_engine_wgl = {
    .name = "wgl",
    .summary = "Wing and Gong's search with Lowe's memory; any model",
    .suits = suits_any,
    .search = search_wgl,
};
