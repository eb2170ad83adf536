/* Windows as weaker problems: see window.h. */
#include "checkers/linearizable/window.h"

#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/engine.h"
#include "harness/base/clock.h"

/* Operations that take longer are looked for in a list, others by going back this far. */
enum { LONG = 1024, FIRST_LENGTH = 64, LENGTH_LOG = 3, TRY_MS = 20 };

static size_t list_bytes(const struct lin_problem *problem)
{
    return ((size_t)problem->op_count + 1) * sizeof(uint32_t);
}

static int compare_kinds(const void *a, const void *b, void *context)
{
    const struct lin_op *ops = context;
    const struct lin_op *x = &ops[*(const uint32_t *)a], *y = &ops[*(const uint32_t *)b];
    if (x->needs != y->needs)
        return x->needs < y->needs ? -1 : 1;
    if (x->leaves != y->leaves)
        return x->leaves < y->leaves ? -1 : 1;
    return x->invoked < y->invoked ? -1 : x->invoked > y->invoked;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void keep_firsts(struct lin_windows *windows)
{
    const struct lin_op *ops = windows->problem->ops;
    uint32_t *firsts = windows->firsts, kept = 0, count = windows->first_count;
    qsort_r(firsts, count, sizeof *firsts, compare_kinds, windows->problem->ops);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || ops[firsts[kept - 1]].needs != ops[firsts[i]].needs ||
            ops[firsts[kept - 1]].leaves != ops[firsts[i]].leaves)
            firsts[kept++] = firsts[i];
    windows->first_count = kept;
    qsort(firsts, kept, sizeof *firsts, compare_numbers);
}

bool lin_windows_open(struct lin_windows *windows, const struct lin_problem *problem,
                      struct lin_budget *budget)
{
    *windows = (struct lin_windows){.problem = problem};
    windows->firsts = lin_realloc(budget, NULL, 0, list_bytes(problem));
    windows->longs = lin_realloc(budget, NULL, 0, list_bytes(problem));
    if (windows->firsts == NULL || windows->longs == NULL)
        return false;
    for (uint32_t i = 0; i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        if (op->op.known && op->returned - op->invoked > LONG)
            windows->longs[windows->long_count++] = i;
        else if (!op->op.known && !op->pure)
            windows->firsts[windows->first_count++] = i;
    }
    keep_firsts(windows);
    return true;
}

void lin_windows_close(struct lin_windows *windows, struct lin_budget *budget)
{
    lin_release(budget, windows->firsts, list_bytes(windows->problem));
    lin_release(budget, windows->longs, list_bytes(windows->problem));
    lin_release(budget, windows->block, windows->block_bytes);
}

static uint32_t first_invoked_from(const struct lin_problem *problem, uint32_t position)
{
    uint32_t low = 0, high = problem->op_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (problem->ops[middle].invoked < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct making {
    const struct lin_problem *problem;
    struct lin_problem *window;
    uint32_t first; /* the first operation invoked in the window */
    uint32_t *place;
};

static uint32_t take(struct making *making, uint32_t number, bool known)
{
    struct lin_problem *window = making->window;
    struct lin_op *copy = &window->ops[window->op_count];
    *copy = making->problem->ops[number];
    copy->source = number;
    copy->op.known = known;
    copy->returned = LIN_NEVER;
    copy->invoked = window->event_count;
    window->required_count += known;
    window->events[window->event_count++] = LIN_EVENT(window->op_count, false);
    return window->op_count++;
}

/* What was pending at the beginning may fall on either side of it. */
static void take_earlier(struct making *making, const struct lin_windows *windows, uint32_t begin)
{
    const struct lin_op *ops = making->problem->ops;
    for (uint32_t i = 0; i < windows->first_count && windows->firsts[i] < making->first; i++)
        (void)take(making, windows->firsts[i], false);
    for (uint32_t i = 0; i < windows->long_count && windows->longs[i] < making->first; i++)
        if (ops[windows->longs[i]].returned >= begin && !ops[windows->longs[i]].pure)
            (void)take(making, windows->longs[i], false);
    for (uint32_t i = making->first; i-- > 0 && ops[i].invoked + LONG >= begin;)
        if (ops[i].op.known && !ops[i].pure && ops[i].returned >= begin &&
            ops[i].returned - ops[i].invoked <= LONG)
            (void)take(making, i, false);
}

/* Room for a window of `inside` events in one block. */
static bool make_room(struct lin_windows *windows, size_t inside, struct lin_budget *budget,
                      struct lin_problem *window, uint32_t **place)
{
    size_t most = inside + windows->first_count + windows->long_count + LONG + 1;
    size_t bytes = most * (sizeof *window->ops + 3 * sizeof(uint32_t));
    if (bytes > windows->block_bytes) {
        void *block = lin_realloc(budget, windows->block, windows->block_bytes, 2 * bytes);
        if (block == NULL)
            return false;
        windows->block = block;
        windows->block_bytes = 2 * bytes;
    }
    window->ops = windows->block;
    window->events = (uint32_t *)(void *)(window->ops + most);
    *place = window->events + 2 * most;
    return true;
}

bool lin_windows_make(struct lin_windows *windows, uint32_t begin, uint32_t until,
                      struct lin_budget *budget, struct lin_problem *window)
{
    const struct lin_problem *problem = windows->problem;
    struct making making = {
        .problem = problem, .window = window, .first = first_invoked_from(problem, begin)};
    *window = (struct lin_problem){.model = problem->model,
                                   .space = problem->space,
                                   .state_count = problem->state_count,
                                   .any_start = problem->any_start || begin > 0};
    memcpy(window->start, problem->start, sizeof window->start);
    if (!make_room(windows, (size_t)until - begin + 1, budget, window, &making.place))
        return false;
    take_earlier(&making, windows, begin);
    for (uint32_t i = begin; i <= until; i++) {
        uint32_t number = LIN_EVENT_OP(problem->events[i]);
        const struct lin_op *op = &problem->ops[number];
        bool known = op->op.known && op->returned <= until;
        if (!LIN_EVENT_RETURNS(problem->events[i])) {
            uint32_t *place = &making.place[number - making.first];
            *place = known || !op->pure ? take(&making, number, known) : LIN_NEVER;
        } else if (number >= making.first) {
            uint32_t place = making.place[number - making.first];
            window->ops[place].returned = window->event_count;
            window->events[window->event_count++] = LIN_EVENT(place, true);
        }
    }
    return true;
}

static uint32_t length_of(uint32_t attempt)
{
    return (uint32_t)FIRST_LENGTH << (LENGTH_LOG * attempt);
}

bool lin_windows_refute(struct lin_windows *windows, uint32_t until, uint32_t attempt,
                        struct lin_budget *budget, uint32_t *begin)
{
    uint32_t length = attempt == 0 ? 1 : length_of(attempt - 1), longest = length_of(attempt);
    for (bool whole = false; !whole && length <= longest && !lin_late(budget);
         length += length / 2 + 1) {
        whole = length > until;
        struct lin_problem window;
        uint32_t from = whole ? 0 : until - length;
        if (!lin_windows_make(windows, from, until, budget, &window))
            return false;
        struct lin_budget slice = lin_slice(budget, TRY_MS * NS_PER_MS << attempt);
        struct lin_answer answer;
        lin_hiding(&window, &(struct lin_hiding_options){.is_free = true}, &slice, &answer);
        if (answer.verdict != VERDICT_INVALID)
            continue;
        *begin = from;
        return true;
    }
    return false;
}
