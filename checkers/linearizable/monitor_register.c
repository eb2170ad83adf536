/* Registers whose written values are distinct (Gibbons and Korach, 1997), with compare-and-set and
 * indeterminate writes: see docs/linearizability.md. */
#include <string.h>

#include "checkers/linearizable/monitor.h"

/* All that is about one value: who wrote it, who read it, which cas took it away. */
struct worth {
    uint32_t writer;   /* operation; LIN_NEVER: none (or the first value) */
    uint32_t follower; /* the kept cas that needs it; LIN_NEVER */
    uint32_t readers;  /* how many */
    uint32_t first;    /* where its readers begin in `readers` */
    uint32_t block;    /* the block it is in; LIN_NEVER: none yet */
    uint32_t wanter;   /* one that must have happened and needs it; LIN_NEVER */
};

/* Values that follow each other by cas, with nothing between. */
struct block {
    int64_t root;     /* the first value */
    int64_t least;    /* the first return of any operation in it; -1: before everything */
    int64_t greatest; /* the last invocation; -1: none */
    uint32_t least_op, greatest_op;
    bool placed;
};

struct registers {
    struct lin_monitoring *m;
    struct worth *worths;
    uint32_t *readers; /* operations by the value they read, in the order of invocation */
    struct block *blocks;
    uint32_t block_count;
    uint32_t *by_least, *by_greatest; /* blocks */
    int64_t initial;
};

static const struct lin_op *op_at(const struct registers *r, uint32_t op)
{
    return &r->m->problem->ops[op];
}

/* False: not such a history. */
static bool collect(struct registers *r)
{
    const struct lin_problem *problem = r->m->problem;
    for (uint32_t v = 0; v < problem->state_count; v++)
        r->worths[v] = (struct worth){LIN_NEVER, LIN_NEVER, 0, 0, LIN_NEVER, LIN_NEVER};
    for (uint32_t i = 0; i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        if (op->pure && (op->needs == MODEL_ANY || !op->op.known))
            return false;
        if (op->pure) {
            r->worths[op->needs].readers++;
            continue;
        }
        if (op->leaves == MODEL_ANY || op->leaves == r->initial ||
            r->worths[op->leaves].writer != LIN_NEVER)
            return false;
        r->worths[op->leaves].writer = i;
    }
    uint32_t total = 0;
    for (uint32_t v = 0; v < problem->state_count; v++) {
        r->worths[v].first = total;
        total += r->worths[v].readers;
        r->worths[v].readers = 0;
    }
    r->readers = arena_alloc(&r->m->arena, ((size_t)total + 1) * sizeof *r->readers);
    for (uint32_t i = 0; i < problem->op_count; i++) {
        struct worth *worth = problem->ops[i].pure ? &r->worths[problem->ops[i].needs] : NULL;
        if (worth != NULL)
            r->readers[worth->first + worth->readers++] = i;
    }
    return true;
}

static void keep(struct registers *r, uint32_t op)
{
    if (op != LIN_NEVER)
        r->m->kept[op] = 1;
}

/* The writers from the root of its block up to the one of this value. At most as many steps as
 * there are operations, should they go round in a circle. */
static void keep_history(struct registers *r, int64_t value)
{
    for (uint32_t steps = 0; steps <= r->m->problem->op_count; steps++) {
        uint32_t writer = r->worths[value].writer;
        keep(r, writer);
        if (writer == LIN_NEVER || op_at(r, writer)->needs == MODEL_ANY)
            return;
        value = op_at(r, writer)->needs;
    }
}

/* What shows that an indeterminate operation must have happened. */
static void keep_reason(struct registers *r, uint32_t op)
{
    while (op != LIN_NEVER) {
        keep(r, op);
        op = op_at(r, op)->op.known ? LIN_NEVER : r->worths[op_at(r, op)->leaves].wanter;
    }
}

/* `op` needs a value, and must have happened. So must have the writer, and what that one needs.
 * False: a violation, which is kept. */
static bool want(struct registers *r, uint32_t op)
{
    for (;;) {
        int64_t value = op_at(r, op)->needs;
        if (value == MODEL_ANY)
            return true;
        struct worth *worth = &r->worths[value];
        if (!op_at(r, op)->pure) {
            if (worth->follower != LIN_NEVER && worth->follower != op) {
                keep_reason(r, worth->follower); /* two that took the same value away */
                keep_reason(r, op);
                keep_history(r, value);
                return false;
            }
            worth->follower = op;
        }
        if (worth->wanter != LIN_NEVER)
            return true;
        worth->wanter = op;
        if (value == r->initial)
            return true;
        if (worth->writer == LIN_NEVER) {
            keep_reason(r, op); /* nobody wrote what it needs */
            return false;
        }
        op = worth->writer;
    }
}

static bool want_all(struct registers *r)
{
    const struct lin_problem *problem = r->m->problem;
    for (uint32_t i = 0; i < problem->op_count; i++)
        if (problem->ops[i].op.known && !want(r, i))
            return false;
    return true;
}

/* Did the writer of this value happen, as far as anybody can tell? */
static bool happened(const struct registers *r, int64_t value)
{
    uint32_t writer = r->worths[value].writer;
    return writer != LIN_NEVER &&
           (r->worths[value].wanter != LIN_NEVER || op_at(r, writer)->op.known);
}

static void widen(struct registers *r, struct block *block, uint32_t op)
{
    int64_t returned = op_at(r, op)->op.known ? op_at(r, op)->returned : INT64_MAX;
    if (returned < block->least) {
        block->least = returned;
        block->least_op = op;
    }
    if ((int64_t)op_at(r, op)->invoked > block->greatest) {
        block->greatest = op_at(r, op)->invoked;
        block->greatest_op = op;
    }
}

/* The next part of a block (its writer, or the readers of a value) against all before it: nobody
 * may have returned before one of those was invoked. */
static bool follows(struct registers *r, uint32_t op, uint32_t latest)
{
    if (latest == LIN_NEVER || !op_at(r, op)->op.known ||
        op_at(r, op)->returned > op_at(r, latest)->invoked)
        return true;
    keep(r, op);
    keep(r, latest);
    return false;
}

static uint32_t later(struct registers *r, uint32_t one, uint32_t other)
{
    return one == LIN_NEVER || op_at(r, other)->invoked > op_at(r, one)->invoked ? other : one;
}

/* Follows the chain of cas from a root. False: a violation inside of it. */
static bool add_block(struct registers *r, int64_t root)
{
    struct block *block = &r->blocks[r->block_count];
    *block = (struct block){root, INT64_MAX, -1, LIN_NEVER, LIN_NEVER, false};
    if (root == r->initial)
        block->least = -1;
    uint32_t latest = LIN_NEVER;
    for (int64_t value = root;;) {
        struct worth *worth = &r->worths[value];
        worth->block = r->block_count;
        bool good = true;
        if (worth->writer != LIN_NEVER) {
            widen(r, block, worth->writer);
            good = follows(r, worth->writer, latest);
            latest = later(r, latest, worth->writer);
        }
        uint32_t newest = latest;
        for (uint32_t i = 0; i < worth->readers && good; i++) {
            uint32_t reader = r->readers[worth->first + i];
            widen(r, block, reader);
            good = follows(r, reader, latest);
            newest = later(r, newest, reader);
        }
        latest = newest;
        if (!good) {
            keep_history(r, value);
            return false;
        }
        if (worth->follower == LIN_NEVER)
            break;
        value = op_at(r, worth->follower)->leaves;
    }
    r->block_count++;
    return true;
}

static bool make_blocks(struct registers *r)
{
    const struct lin_problem *problem = r->m->problem;
    r->blocks = arena_alloc(&r->m->arena, ((size_t)problem->op_count + 1) * sizeof *r->blocks);
    if (!add_block(r, r->initial))
        return false;
    for (uint32_t i = 0; i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        if (!op->pure && op->needs == MODEL_ANY && happened(r, op->leaves) &&
            !add_block(r, op->leaves))
            return false;
    }
    /* A cas in no block is in a circle: each needs what another left, and nobody began. */
    for (uint32_t i = 0; i < problem->op_count; i++)
        if (!problem->ops[i].pure && happened(r, problem->ops[i].leaves) &&
            r->worths[problem->ops[i].leaves].block == LIN_NEVER) {
            keep_reason(r, i);
            keep_history(r, problem->ops[i].leaves);
            return false;
        }
    return true;
}

/* Sorts blocks by a position that each has for its own: by its operation's event. */
static uint32_t *sort_blocks(struct registers *r, bool by_least)
{
    const struct lin_problem *problem = r->m->problem;
    uint32_t *at = arena_alloc(&r->m->arena, ((size_t)problem->event_count + 2) * sizeof *at);
    uint32_t *sorted = arena_alloc(&r->m->arena, ((size_t)r->block_count + 1) * sizeof *sorted);
    uint32_t count = 0;
    memset(at, 0xff, ((size_t)problem->event_count + 2) * sizeof *at);
    for (uint32_t b = 0; b < r->block_count; b++) {
        int64_t position = by_least ? r->blocks[b].least : r->blocks[b].greatest;
        at[position + 1] = b; /* somebody in it returned, else it would not be kept */
    }
    for (uint32_t p = 0; p < problem->event_count + 2; p++)
        if (at[p] != UINT32_MAX)
            sorted[count++] = at[p];
    return sorted;
}

static void place_block(struct registers *r, uint32_t b)
{
    struct block *block = &r->blocks[b];
    block->placed = true;
    for (int64_t value = block->root;;) {
        const struct worth *worth = &r->worths[value];
        if (worth->writer != LIN_NEVER)
            lin_monitor_place(r->m, worth->writer);
        for (uint32_t i = 0; i < worth->readers; i++)
            lin_monitor_place(r->m, r->readers[worth->first + i]);
        if (worth->follower == LIN_NEVER)
            return;
        value = op_at(r, worth->follower)->leaves;
    }
}

static void keep_block(struct registers *r, const struct block *block)
{
    uint32_t ops[] = {block->least_op, block->greatest_op};
    for (int i = 0; i < 2; i++) {
        if (ops[i] == LIN_NEVER)
            continue;
        const struct lin_op *op = op_at(r, ops[i]);
        keep_reason(r, ops[i]);
        keep_history(r, op->pure ? op->needs : op->leaves);
    }
}

static void skip_placed(const struct registers *r, const uint32_t *sorted, uint32_t *at)
{
    while (*at < r->block_count && r->blocks[sorted[*at]].placed)
        ++*at;
}

/* Places a block that no other must precede, again and again. Only two can be one: that of the
 * least last invocation, and that of the least first return. False: none; two that must precede
 * each other are kept. */
static bool place_all(struct registers *r)
{
    uint32_t greatest = 0, first = 0, second = 1;
    for (uint32_t left = r->block_count; left > 0; left--) {
        skip_placed(r, r->by_greatest, &greatest);
        skip_placed(r, r->by_least, &first);
        second = second <= first ? first + 1 : second;
        skip_placed(r, r->by_least, &second);
        uint32_t a = r->by_greatest[greatest], b = r->by_least[first];
        uint32_t c = second < r->block_count ? r->by_least[second] : LIN_NEVER;
        int64_t least_b = r->blocks[b].least;
        int64_t least_c = c == LIN_NEVER ? INT64_MAX : r->blocks[c].least;
        if (r->blocks[a].greatest <= (a == b ? least_c : least_b)) {
            place_block(r, a);
        } else if (r->blocks[b].greatest <= least_c) {
            place_block(r, b);
        } else {
            /* a and b precede each other if a's first return allows it, else b and c do. */
            bool with_a = a == b || r->blocks[a].least < r->blocks[b].greatest;
            keep_block(r, &r->blocks[with_a ? a : c]);
            keep_block(r, &r->blocks[with_a && a == b ? c : b]);
            return false;
        }
    }
    return true;
}

enum lin_monitored lin_monitor_register(struct lin_monitoring *m)
{
    struct registers r = {.m = m};
    memcpy(&r.initial, m->problem->start, sizeof r.initial);
    r.worths = arena_alloc(&m->arena, ((size_t)m->problem->state_count + 1) * sizeof *r.worths);
    if (!collect(&r))
        return LIN_DECLINED;
    if (!want_all(&r) || !make_blocks(&r))
        return LIN_VIOLATED;
    r.by_least = sort_blocks(&r, true);
    r.by_greatest = sort_blocks(&r, false);
    return place_all(&r) ? LIN_LINEARIZABLE : LIN_VIOLATED;
}
