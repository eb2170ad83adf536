/* The frontier search: Lowe's just-in-time linearization ("Testing for linearizability", 2017), for
 * models whose state is one value.
 *
 * Events are taken in order, and with them a set of configurations: all that matters of the orders
 * of what happened so far. Lowe's observation is that an operation need be placed no sooner than at
 * some return: at the return of x every configuration that has not placed x is extended by chains
 * of pending operations that end with x; those that cannot are gone. When none is left, x is what
 * cannot be placed. Added to that, each with its reason:
 *
 * - *Eager reads.* An operation that never changes the state is placed as soon as the state allows:
 *   in any order of the rest it can be moved there, which is inside its window.
 * - *Twins.* Of pending operations that do the same, the one that returns first goes first: if an
 *   order has them the other way round, exchange them. Both were invoked before now, and the
 * earlier place is before the earlier return.
 * - *Better and worse* configurations: configs.c.
 * - *Supply.* Optional operations of one kind are counted, and those that can help nobody are not
 *   used: supply.c. Used just before something that needs what they leave, or not at all: otherwise
 *   the next step overwrites it, and the order without it is as good and uses less.
 *
 * Supply makes the problem hard (it is NP-hard in general: Gibbons and Korach, 1997), so there are
 * three searches. *Free*: optional operations can be used without limit once invoked. That allows
 * more orders, never fewer, so an empty frontier is a certain NO; each configuration carries one
 * actual way of coming about, and a survivor that never used more than there was is a certain YES.
 * *Beam*: exact counts, but only so many configurations are kept: survivors are certain. *Exact*.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/configs.h"
#include "checkers/linearizable/engine.h"
#include "checkers/linearizable/supply.h"
#include "checkers/linearizable/trace.h"
#include "harness/base/clock.h"

enum { CLOCK_EVERY = 512 };

struct frontier {
    const struct lin_problem *problem;
    const struct lin_frontier_options *options;
    struct lin_budget *budget;
    struct lin_supplies supplies;
    struct lin_shape shape;
    struct lin_configs now, next, seen;
    struct lin_trace trace;
    struct lin_config *from, *made; /* scratch */
    /* Slots of pending required operations. */
    uint32_t words, slot_count;
    uint32_t *slot_op, *op_slot;
    uint64_t *busy, *pure;
    uint64_t *twins;     /* per slot: the slots of twins that return earlier */
    uint32_t *available; /* per class: invoked so far */
    uint32_t *active;    /* classes that have a supply and are of use */
    uint32_t active_count, dead_count;
    uint32_t event, returning; /* position, and the slot that returns */
    bool trimmed;
    uint64_t explored;
    uint32_t widest;
    enum lin_limit limit;
};

static bool has(const uint64_t *bits, uint32_t slot)
{
    return (bits[slot / 64] >> slot % 64 & 1) != 0;
}

static void put(uint64_t *bits, uint32_t slot)
{
    bits[slot / 64] |= UINT64_C(1) << slot % 64;
}

static void clear(uint64_t *bits, uint32_t slot)
{
    bits[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

static const struct lin_op *op_in(const struct frontier *f, uint32_t slot)
{
    return &f->problem->ops[f->slot_op[slot]];
}

/* ---- Opening and closing ---- */

static uint32_t count_slots(const struct lin_problem *problem)
{
    uint32_t pending = 0, most = 1;
    for (uint32_t i = 0; i < problem->event_count; i++) {
        if (LIN_EVENT_RETURNS(problem->events[i]))
            pending--;
        else if (problem->ops[LIN_EVENT_OP(problem->events[i])].op.known)
            pending++;
        most = pending > most ? pending : most;
    }
    return most;
}

struct piece {
    void **where;
    size_t size;
};
enum { PIECES = 9 };

/* What is allocated once, by size. */
static void list_pieces(struct frontier *f, struct piece *pieces)
{
    size_t ops = ((size_t)f->problem->op_count + 1) * 4, words = (size_t)f->words * 8;
    size_t classes = ((size_t)f->supplies.count + 1) * 4;
    struct piece all[PIECES] = {
        {(void **)&f->from, f->shape.stride},
        {(void **)&f->made, f->shape.stride},
        {(void **)&f->slot_op, (size_t)f->slot_count * 4},
        {(void **)&f->op_slot, ops},
        {(void **)&f->busy, words},
        {(void **)&f->pure, words},
        {(void **)&f->twins, words * f->slot_count},
        {(void **)&f->available, classes},
        {(void **)&f->active, classes},
    };
    memcpy(pieces, all, sizeof all);
}

static bool open_frontier(struct frontier *f)
{
    lin_configs_init(&f->now, &f->shape, f->budget);
    lin_configs_init(&f->next, &f->shape, f->budget);
    lin_configs_init(&f->seen, &f->shape, f->budget);
    lin_trace_init(&f->trace, f->budget);
    if (!lin_supplies_make(&f->supplies, f->problem, f->budget))
        return false;
    f->slot_count = count_slots(f->problem);
    f->words = (f->slot_count + 63) / 64;
    f->shape = (struct lin_shape){.words = f->words,
                                  .columns = f->supplies.columns,
                                  .by_cost = f->options->supply == LIN_SUPPLY_FREE};
    f->shape.stride = lin_config_stride(f->shape.words, f->shape.columns);
    struct piece pieces[PIECES];
    list_pieces(f, pieces);
    bool good = true;
    for (int i = 0; i < PIECES; i++) {
        *pieces[i].where = lin_realloc(f->budget, NULL, 0, pieces[i].size);
        if (*pieces[i].where != NULL)
            memset(*pieces[i].where, 0, pieces[i].size);
        good = good && *pieces[i].where != NULL;
    }
    f->shape.pure = f->pure;
    return good;
}

static void close_frontier(struct frontier *f)
{
    struct piece pieces[PIECES];
    list_pieces(f, pieces);
    for (int i = 0; i < PIECES; i++)
        lin_release(f->budget, *pieces[i].where, pieces[i].size);
    lin_configs_free(&f->now);
    lin_configs_free(&f->next);
    lin_configs_free(&f->seen);
    lin_trace_free(&f->trace);
    lin_supplies_free(&f->supplies, f->budget);
}

/* ---- Configurations ---- */

static void watch(struct frontier *f, uint32_t state)
{
    if (f->options->watched != NULL && f->event >= f->options->watch_from)
        f->options->watched[state] = 1;
}

static bool add(struct frontier *f, struct lin_configs *set, const struct lin_config *config)
{
    if (lin_configs_add(set, config) != LIN_NO_MEMORY)
        return true;
    f->limit = LIN_LIMIT_MEMORY;
    return false;
}

static bool begin(struct frontier *f)
{
    int64_t first = 0;
    lin_problem_start(f->problem, &first);
    memset(f->made, 0, f->shape.stride);
    f->made->trace = LIN_NONE;
    f->made->state = (uint32_t)first;
    if (!f->problem->any_start)
        return add(f, &f->now, f->made);
    /* Any state: those that somebody needs, and one that stands for all others. */
    for (uint32_t i = 0; i < f->problem->op_count; i++) {
        if (f->problem->ops[i].needs == MODEL_ANY)
            continue;
        f->made->state = (uint32_t)f->problem->ops[i].needs;
        if (!add(f, &f->now, f->made))
            return false;
    }
    f->made->state = f->problem->state_count;
    return add(f, &f->now, f->made);
}

/* Places pending pure operations that the state allows. */
static void place_pure(const struct frontier *f, struct lin_config *config)
{
    for (uint32_t w = 0; w < f->words; w++)
        for (uint64_t left = f->busy[w] & f->pure[w] & ~config->words[w]; left != 0;
             left &= left - 1) {
            const struct lin_op *op = op_in(f, w * 64 + (uint32_t)__builtin_ctzll(left));
            if (op->needs == MODEL_ANY || op->needs == config->state)
                config->words[w] |= left & -left;
        }
}

/* The step has been made in f->made: places what comes for free, and keeps the result among those
 * that are through (x is placed) or those to go on from. */
static bool keep_made(struct frontier *f, uint32_t what)
{
    struct lin_config *made = f->made;
    place_pure(f, made);
    watch(f, made->state);
    struct lin_configs *set = &f->seen;
    if (has(made->words, f->returning)) {
        clear(made->words, f->returning);
        set = &f->next;
    }
    enum lin_added added = lin_configs_add(set, made);
    if (added == LIN_WORSE)
        return true;
    uint32_t trace = LIN_NONE;
    if (added == LIN_ADDED)
        trace = lin_trace_add(
            &f->trace, (struct lin_step){.parent = made->trace, .what = what, .event = f->event});
    if (trace == LIN_NONE) {
        f->limit = LIN_LIMIT_MEMORY;
        return false;
    }
    lin_configs_at(set, f->shape.stride, set->count - 1)->trace = trace;
    return true;
}

/* ---- Steps from f->from ---- */

static bool twin_waits(const struct frontier *f, uint32_t slot)
{
    const uint64_t *twins = f->twins + (size_t)slot * f->words;
    uint64_t waiting = 0;
    for (uint32_t w = 0; w < f->words; w++)
        waiting |= twins[w] & f->busy[w] & ~f->from->words[w];
    return waiting != 0;
}

static bool step_required(struct frontier *f)
{
    for (uint32_t w = 0; w < f->words; w++)
        for (uint64_t left = f->busy[w] & ~f->pure[w] & ~f->from->words[w]; left != 0;
             left &= left - 1) {
            uint32_t slot = w * 64 + (uint32_t)__builtin_ctzll(left);
            const struct lin_op *op = op_in(f, slot);
            if ((op->needs != MODEL_ANY && op->needs != f->from->state) || twin_waits(f, slot))
                continue;
            memcpy(f->made, f->from, f->shape.stride);
            put(f->made->words, slot);
            f->made->state = (uint32_t)op->leaves;
            if (!keep_made(f, f->slot_op[slot]))
                return false;
        }
    return true;
}

/* Is there, for a configuration that has come to `state`, something that needs it? */
static bool wanted(const struct frontier *f, uint32_t state)
{
    for (uint32_t w = 0; w < f->words; w++)
        for (uint64_t left = f->busy[w] & ~f->from->words[w]; left != 0; left &= left - 1)
            if (op_in(f, w * 64 + (uint32_t)__builtin_ctzll(left))->needs == state)
                return true;
    for (uint32_t i = 0; i < f->active_count; i++)
        if (f->supplies.classes[f->active[i]].needs == state)
            return true;
    return false;
}

static bool step_optional(struct frontier *f)
{
    bool is_free = f->options->supply == LIN_SUPPLY_FREE;
    for (uint32_t i = 0; i < f->active_count; i++) {
        uint32_t number = f->active[i];
        const struct lin_class *class = &f->supplies.classes[number];
        bool overdrawn = lin_config_used(&f->shape, f->from)[class->column] >= f->available[number];
        if ((overdrawn && !is_free) || class->leaves == f->from->state ||
            (class->needs != MODEL_ANY && class->needs != f->from->state) ||
            !wanted(f, (uint32_t) class->leaves))
            continue;
        memcpy(f->made, f->from, f->shape.stride);
        f->made->state = (uint32_t) class->leaves;
        if (overdrawn) /* its count stays as it is: this one can no longer be a witness */
            f->made->cost =
                f->made->cost >= UINT32_MAX / 2 ? f->made->cost : f->made->cost + LIN_OVERDRAWN;
        else {
            f->made->cost++;
            lin_config_used(&f->shape, f->made)[class->column]++;
        }
        if (!keep_made(f, LIN_STEP_CLASS | number))
            return false;
    }
    return true;
}

/* ---- Events ---- */

static bool same_effect(const struct lin_op *a, const struct lin_op *b)
{
    return a->needs == b->needs && a->leaves == b->leaves;
}

static void invoke_optional(struct frontier *f, uint32_t op)
{
    uint32_t class = f->supplies.class_of[op];
    if (class == LIN_NEVER || f->supplies.classes[class].death < f->event)
        return;
    if (f->available[class] == 0)
        f->active[f->active_count++] = class;
    if (f->available[class] < LIN_SUPPLY_MAX)
        f->available[class]++;
}

static void invoke_required(struct frontier *f, uint32_t number)
{
    const struct lin_op *op = &f->problem->ops[number];
    uint32_t slot = 0;
    while (has(f->busy, slot))
        slot++;
    uint64_t *twins = f->twins + (size_t)slot * f->words;
    memset(twins, 0, (size_t)f->words * 8);
    for (uint32_t other = 0; other < f->slot_count; other++) {
        if (!has(f->busy, other) || !same_effect(op_in(f, other), op))
            continue;
        if (op_in(f, other)->returned < op->returned)
            put(twins, other);
        else
            put(f->twins + (size_t)other * f->words, slot);
    }
    put(f->busy, slot);
    f->slot_op[slot] = number;
    f->op_slot[number] = slot;
    if (!op->pure)
        return;
    put(f->pure, slot);
    for (uint32_t i = 0; i < f->now.count; i++) {
        struct lin_config *config = lin_configs_at(&f->now, f->shape.stride, i);
        if (op->needs == MODEL_ANY || op->needs == config->state)
            put(config->words, slot);
    }
}

static void release_slot(struct frontier *f)
{
    clear(f->busy, f->returning);
    clear(f->pure, f->returning);
    for (uint32_t slot = 0; slot < f->slot_count; slot++)
        clear(f->twins + (size_t)slot * f->words, f->returning);
}

/* Extends every configuration until x is placed. */
static bool extend(struct frontier *f)
{
    for (uint32_t i = 0; i < f->now.count; i++) {
        const struct lin_config *config = lin_configs_at(&f->now, f->shape.stride, i);
        if (config->dead)
            continue;
        bool through = has(config->words, f->returning);
        memcpy(f->made, config, f->shape.stride);
        clear(f->made->words, f->returning);
        if (!add(f, through ? &f->next : &f->seen, f->made))
            return false;
    }
    for (uint32_t i = 0; i < f->seen.count; i++) {
        const struct lin_config *config = lin_configs_at(&f->seen, f->shape.stride, i);
        if (config->dead)
            continue;
        memcpy(f->from, config, f->shape.stride);
        if (++f->explored % CLOCK_EVERY == 0 && lin_late(f->budget)) {
            f->limit = LIN_LIMIT_TIME;
            return false;
        }
        if (!step_required(f) || !step_optional(f))
            return false;
    }
    return true;
}

static int compare_costs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void swap_sets(struct frontier *f)
{
    struct lin_configs held = f->next;
    f->next = f->now;
    f->now = held;
}

/* Leaves the cheapest `beam` of f->next alive. */
static bool trim(struct frontier *f, uint32_t beam)
{
    size_t size = (size_t)f->next.live * 8;
    uint64_t *costs = lin_realloc(f->budget, NULL, 0, size);
    if (costs == NULL) {
        f->limit = LIN_LIMIT_MEMORY;
        return false;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < f->next.count; i++) {
        const struct lin_config *config = lin_configs_at(&f->next, f->shape.stride, i);
        if (!config->dead)
            costs[count++] = (uint64_t)config->cost << 32 | i;
    }
    qsort(costs, count, sizeof *costs, compare_costs);
    for (uint32_t i = beam; i < count; i++)
        lin_configs_at(&f->next, f->shape.stride, (uint32_t)costs[i])->dead = true;
    f->next.live = beam;
    f->trimmed = true;
    lin_release(f->budget, costs, size);
    return true;
}

/* Copies what lives of f->now to a set of its own, where what became equal becomes one. */
static bool merge_equal(struct frontier *f)
{
    swap_sets(f);
    lin_configs_clear(&f->now);
    for (uint32_t i = 0; i < f->next.count; i++) {
        const struct lin_config *config = lin_configs_at(&f->next, f->shape.stride, i);
        if (!config->dead && !add(f, &f->now, config))
            return false;
    }
    return true;
}

/* Forgets the counts of classes that are of no further use, so that configurations which differ
 * only there become one. */
static bool bury(struct frontier *f)
{
    bool changed = false;
    for (; f->dead_count < f->supplies.count; f->dead_count++) {
        uint32_t number = f->supplies.by_death[f->dead_count];
        const struct lin_class *class = &f->supplies.classes[number];
        if (class->death > f->event)
            break;
        for (uint32_t i = 0; i < f->active_count; i++)
            if (f->active[i] == number)
                f->active[i--] = f->active[--f->active_count];
        for (uint32_t i = 0; i < f->now.count; i++) {
            struct lin_config *config = lin_configs_at(&f->now, f->shape.stride, i);
            uint16_t *used = &lin_config_used(&f->shape, config)[class->column];
            changed = changed || *used != 0;
            if (config->cost % LIN_OVERDRAWN >= *used)
                config->cost -= *used;
            *used = 0;
        }
    }
    return !changed || merge_equal(f);
}

/* The return of an operation. */
static bool finish(struct frontier *f, uint32_t number)
{
    f->returning = f->op_slot[number];
    lin_configs_clear(&f->next);
    lin_configs_clear(&f->seen);
    if (!extend(f))
        return false;
    release_slot(f);
    if (f->options->beam != 0 && f->next.live > f->options->beam && !trim(f, f->options->beam))
        return false;
    swap_sets(f);
    if (!bury(f))
        return false;
    if (f->now.live > f->widest)
        f->widest = f->now.live;
    if (lin_trace_sweep(&f->trace, &f->now))
        return true;
    f->limit = LIN_LIMIT_MEMORY;
    return false;
}

/* ---- The witness ---- */

/* Replays the steps that lead to a survivor along the events; pure operations come where extend and
 * invoke_required placed them. */
struct replay {
    struct frontier *f;
    struct lin_answer *answer;
    uint32_t *pending; /* pure operations, not placed */
    uint32_t pending_count, state;
    uint32_t *class_used;
};

static void replay_pure(struct replay *replay)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < replay->pending_count; i++) {
        const struct lin_op *op = &replay->f->problem->ops[replay->pending[i]];
        if (op->needs == MODEL_ANY || op->needs == replay->state)
            replay->answer->order[replay->answer->order_count++] = replay->pending[i];
        else
            replay->pending[kept++] = replay->pending[i];
    }
    replay->pending_count = kept;
}

static void replay_step(struct replay *replay, const struct lin_step *step)
{
    uint32_t number = step->what;
    if ((number & LIN_STEP_CLASS) != 0) {
        uint32_t class = number & ~LIN_STEP_CLASS;
        number = replay->f->supplies.classes[class].members[replay->class_used[class]++];
    }
    replay->answer->order[replay->answer->order_count++] = number;
    replay->state = (uint32_t)replay->f->problem->ops[number].leaves;
    replay_pure(replay);
}

static void replay_events(struct replay *replay, const uint32_t *path, uint32_t steps)
{
    struct frontier *f = replay->f;
    for (uint32_t i = 0; i < f->problem->event_count; i++) {
        uint32_t number = LIN_EVENT_OP(f->problem->events[i]);
        const struct lin_op *op = &f->problem->ops[number];
        if (!LIN_EVENT_RETURNS(f->problem->events[i]) && op->op.known && op->pure) {
            replay->pending[replay->pending_count++] = number;
            replay_pure(replay);
        }
        while (steps > 0 && f->trace.steps[path[steps - 1]].event == i)
            replay_step(replay, &f->trace.steps[path[--steps]]);
    }
}

/* Leaves answer->order NULL when there is no memory for it. */
static void take_order(struct frontier *f, uint32_t trace, struct lin_answer *answer)
{
    uint32_t steps = 0;
    for (uint32_t at = trace; at != LIN_NONE; at = f->trace.steps[at].parent)
        steps++;
    size_t ops = (size_t)f->problem->op_count + 1;
    uint32_t *path = calloc(steps + (size_t)1, sizeof *path);
    struct replay replay = {.f = f, .answer = answer};
    replay.pending = calloc(ops, sizeof *replay.pending);
    replay.class_used = calloc((size_t)f->supplies.count + 1, sizeof *replay.class_used);
    answer->order = calloc(ops, sizeof *answer->order);
    if (path == NULL || replay.pending == NULL || replay.class_used == NULL) {
        free(answer->order);
        answer->order = NULL;
    }
    if (answer->order != NULL) {
        int64_t first = 0;
        lin_problem_start(f->problem, &first);
        replay.state = (uint32_t)first;
        uint32_t i = 0;
        for (uint32_t at = trace; at != LIN_NONE; at = f->trace.steps[at].parent)
            path[i++] = at;
        replay_events(&replay, path, steps);
    }
    free(path);
    free(replay.pending);
    free(replay.class_used);
}

/* The frontier has survived: is a survivor a witness? */
static void conclude(struct frontier *f, struct lin_answer *answer)
{
    const struct lin_config *best = NULL;
    for (uint32_t i = 0; i < f->now.count; i++) {
        const struct lin_config *config = lin_configs_at(&f->now, f->shape.stride, i);
        if (!config->dead && (best == NULL || config->cost < best->cost))
            best = config;
    }
    assert(best != NULL);
    if (best->cost >= LIN_OVERDRAWN) {
        answer->limit = LIN_LIMIT_BEAM; /* more orders survive than there are */
        return;
    }
    answer->verdict = VERDICT_VALID;
    if (!f->problem->any_start)
        take_order(f, best->trace, answer);
}

static void run(struct frontier *f, struct lin_answer *answer)
{
    const struct lin_problem *problem = f->problem;
    for (f->event = 0; f->event < problem->event_count; f->event++) {
        uint32_t number = LIN_EVENT_OP(problem->events[f->event]);
        if (!LIN_EVENT_RETURNS(problem->events[f->event])) {
            if (problem->ops[number].op.known)
                invoke_required(f, number);
            else
                invoke_optional(f, number);
        } else {
            answer->at = number;
            if (!finish(f, number)) {
                answer->limit = f->limit;
                return;
            }
            if (f->now.live == 0) {
                bool certain =
                    !f->trimmed && (f->options->supply == LIN_SUPPLY_FREE || !f->supplies.capped);
                answer->verdict = certain ? VERDICT_INVALID : VERDICT_UNKNOWN;
                answer->limit = certain ? LIN_LIMIT_NONE : LIN_LIMIT_BEAM;
                return;
            }
        }
        for (uint32_t i = 0; f->options->watched != NULL && i < f->now.count; i++)
            if (!lin_configs_at(&f->now, f->shape.stride, i)->dead)
                watch(f, lin_configs_at(&f->now, f->shape.stride, i)->state);
    }
    conclude(f, answer);
}

void lin_frontier(const struct lin_problem *problem, const struct lin_frontier_options *options,
                  struct lin_budget *budget, struct lin_answer *answer)
{
    assert(problem->model->effect != NULL);
    struct frontier f = {.problem = problem, .options = options, .budget = budget};
    *answer = (struct lin_answer){.verdict = VERDICT_UNKNOWN,
                                  .at = LIN_NEVER,
                                  .begin = LIN_NEVER,
                                  .limit = LIN_LIMIT_MEMORY,
                                  .decided_by = options->supply == LIN_SUPPLY_FREE
                                                    ? "frontier, free supply"
                                                : options->beam != 0 ? "frontier, beam"
                                                                     : "frontier, exact"};
    if (!open_frontier(&f)) {
        close_frontier(&f);
        return;
    }
    if (begin(&f))
        run(&f, answer);
    if (answer->verdict != VERDICT_UNKNOWN)
        answer->limit = LIN_LIMIT_NONE;
    answer->explored = f.explored;
    answer->widest = f.widest;
    close_frontier(&f);
}

/* ---- The engine ---- */

static bool suits_effects(const struct model *model)
{
    return model->effect != NULL;
}

static bool has_optional(const struct lin_problem *problem)
{
    return problem->required_count < problem->op_count;
}

/* Runs one search; true when it decided. Keeps the counts of all. */
static bool attempt(const struct lin_problem *problem, struct lin_frontier_options options,
                    struct lin_budget budget, struct lin_answer *answer)
{
    uint64_t explored = answer->explored;
    uint32_t widest = answer->widest, at = answer->at;
    lin_frontier(problem, &options, &budget, answer);
    answer->explored += explored;
    answer->widest = answer->widest > widest ? answer->widest : widest;
    if (answer->verdict != VERDICT_UNKNOWN)
        return true;
    /* How far it got: the furthest of the searches. */
    if (at != LIN_NEVER &&
        (answer->at == LIN_NEVER || problem->ops[at].returned > problem->ops[answer->at].returned))
        answer->at = at;
    return false;
}

static void search_frontier(const struct lin_problem *problem, struct lin_budget *budget,
                            struct lin_answer *answer)
{
    static const uint32_t beams[] = {8, 64, 512};
    *answer = (struct lin_answer){.verdict = VERDICT_UNKNOWN, .at = LIN_NEVER, .begin = LIN_NEVER};
    const struct lin_frontier_options exact = {.supply = LIN_SUPPLY_EXACT};
    if (!has_optional(problem)) {
        (void)attempt(problem, exact, *budget, answer);
        return;
    }
    if (attempt(problem, (struct lin_frontier_options){.supply = LIN_SUPPLY_FREE},
                lin_share(budget, 2, 10 * NS_PER_SECOND), answer))
        return;
    for (size_t i = 0; i < sizeof beams / sizeof beams[0]; i++)
        if (attempt(problem, (struct lin_frontier_options){.beam = beams[i]},
                    lin_share(budget, 6, NS_PER_SECOND), answer))
            return;
    (void)attempt(problem, exact, *budget, answer);
}

const struct lin_engine lin_engine_frontier = {
    .name = "frontier",
    .summary = "just-in-time linearization with counted indeterminate operations; registers, locks",
    .suits = suits_effects,
    .search = search_frontier,
};
