/* From a survivor of the search with hiding back to an order: see hiding.c.
 *
 * The steps on the way to it are put into a list: visible ones at its end, the others where their
 * anchors say. Which operation of a class a counted use was is free to choose: those that had a
 * slot are named, and of the others the first in the order of invocation will do, since all that
 * are counted are older than every pending operation. Reads were placed where the state allowed
 * without a step; they are put in afterwards, each at its first chance. */
#include "checkers/linearizable/hiding.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SWEEP_MIN = 1 << 14 };

uint32_t hid_step(struct hiding *h, struct hid_step step)
{
    struct hid_trace *trace = &h->trace;
    if (trace->count == trace->capacity) {
        if (trace->capacity >= UINT32_MAX / 4)
            return HID_NONE;
        uint32_t capacity = trace->capacity == 0 ? 256 : trace->capacity * 2;
        struct hid_step *steps = lin_realloc(
            h->budget, trace->steps, trace->capacity * sizeof *steps, capacity * sizeof *steps);
        if (steps == NULL)
            return HID_NONE;
        trace->steps = steps;
        trace->capacity = capacity;
    }
    trace->steps[trace->count] = step;
    return trace->count++;
}

/* ---- Forgetting ---- */

static void mark_set(const struct hiding *h, const struct hid_set *set, uint32_t *moved)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct hid_config *config = hid_at(h, set, i);
        if (!config->dead && config->trace != HID_NONE)
            moved[config->trace] = 1;
    }
}

static uint32_t new_number(const uint32_t *moved, uint32_t step)
{
    return step == HID_NONE ? HID_NONE : moved[step];
}

static void renumber_set(const struct hiding *h, const struct hid_set *set, const uint32_t *moved)
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct hid_config *config = hid_at(h, set, i);
        if (config->dead)
            continue;
        config->trace = new_number(moved, config->trace);
        config->last_step = new_number(moved, config->last_step);
        config->gap_step = new_number(moved, config->gap_step);
        for (uint32_t j = 0; j < config->token_count; j++)
            config->tokens[j].tail = new_number(moved, config->tokens[j].tail);
    }
}

/* All that a configuration names is on its way, so marking the ways will do. */
static uint32_t keep_marked(struct hid_trace *trace, uint32_t *moved)
{
    uint32_t kept = 0;
    for (uint32_t i = trace->count; i-- > 0;)
        if (moved[i] && trace->steps[i].parent != HID_NONE)
            moved[trace->steps[i].parent] = 1;
    for (uint32_t i = 0; i < trace->count; i++) {
        if (!moved[i])
            continue;
        struct hid_step step = trace->steps[i];
        step.parent = new_number(moved, step.parent);
        step.anchor = new_number(moved, step.anchor);
        trace->steps[kept] = step;
        moved[i] = kept++;
    }
    return kept;
}

bool hid_sweep(struct hiding *h)
{
    struct hid_trace *trace = &h->trace;
    if (trace->count < trace->sweep_at || trace->count < SWEEP_MIN)
        return true;
    size_t size = (size_t)trace->count * sizeof(uint32_t);
    uint32_t *moved = lin_realloc(h->budget, NULL, 0, size);
    if (moved == NULL)
        return false;
    memset(moved, 0, size);
    mark_set(h, &h->now, moved);
    for (uint32_t i = 0; i < HID_SAVED; i++)
        if (h->saved[i].used)
            mark_set(h, &h->saved[i].set, moved);
    uint32_t kept = keep_marked(trace, moved);
    renumber_set(h, &h->now, moved);
    for (uint32_t i = 0; i < HID_SAVED; i++)
        if (h->saved[i].used)
            renumber_set(h, &h->saved[i].set, moved);
    lin_release(h->budget, moved, size);
    trace->count = kept;
    trace->sweep_at = kept * 2;
    return true;
}

/* ---- The order ---- */

struct weaving {
    struct hiding *h;
    uint32_t *path; /* the steps, oldest first */
    uint32_t count;
    uint32_t *place;           /* per step: its place in the path */
    uint32_t *ops;             /* per place: the operation */
    uint32_t *next, *previous; /* the list, by place; `count` is its head and end */
    uint32_t *class_at;        /* per class: members given out */
    uint32_t *time;            /* per place: the position at which it takes effect */
    uint32_t *waiting;         /* pure operations */
    bool *named;               /* per operation */
};

static void link_after(struct weaving *w, uint32_t node, uint32_t after)
{
    w->next[node] = w->next[after];
    w->previous[node] = after;
    w->previous[w->next[node]] = node;
    w->next[after] = node;
}

static void name_ops(struct weaving *w)
{
    const struct hid_step *steps = w->h->trace.steps;
    for (uint32_t i = 0; i < w->count; i++) {
        w->ops[i] = steps[w->path[i]].what;
        if ((w->ops[i] & HID_STEP_CLASS) == 0)
            w->named[w->ops[i]] = true;
    }
    for (uint32_t i = 0; i < w->count; i++) {
        if ((w->ops[i] & HID_STEP_CLASS) == 0)
            continue;
        const struct lin_class *class = &w->h->supplies.classes[w->ops[i] & ~HID_STEP_CLASS];
        uint32_t *at = &w->class_at[w->ops[i] & ~HID_STEP_CLASS];
        while (*at < class->member_count && w->named[class->members[*at]])
            ++*at;
        /* A count that was wrong shows when the order is replayed. */
        w->ops[i] = class->members[*at < class->member_count ? (*at)++ : 0];
    }
}

static void weave(struct weaving *w)
{
    const struct hid_step *steps = w->h->trace.steps;
    w->next[w->count] = w->previous[w->count] = w->count;
    for (uint32_t i = 0; i < w->count; i++) {
        const struct hid_step *step = &steps[w->path[i]];
        uint32_t anchor = step->anchor == HID_NONE ? w->count : w->place[step->anchor];
        if (step->event == HID_AFTER)
            link_after(w, i, anchor);
        else if (step->event == HID_BEFORE)
            link_after(w, i, w->previous[anchor]);
        else
            link_after(w, i, w->previous[w->count]);
    }
    uint32_t time = LIN_NEVER; /* what is in a gap happens just before the write after it */
    for (uint32_t i = w->previous[w->count]; i != w->count; i = w->previous[i]) {
        uint32_t event = steps[w->path[i]].event;
        w->time[i] = event == HID_AFTER || event == HID_BEFORE ? time : event;
        time = w->time[i];
    }
}

struct reading_in {
    struct weaving *w;
    uint32_t *order, count;
    uint32_t next_op; /* the first not looked at */
    uint32_t waiting_count;
    int64_t state;
};

/* Pure operations that were invoked before `time` and that the state allows come next. */
static void read_in(struct reading_in *r, uint32_t time)
{
    const struct lin_problem *problem = r->w->h->problem;
    for (; r->next_op < problem->op_count && problem->ops[r->next_op].invoked < time; r->next_op++)
        if (problem->ops[r->next_op].pure && problem->ops[r->next_op].op.known)
            r->w->waiting[r->waiting_count++] = r->next_op;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->waiting_count; i++) {
        uint32_t op = r->w->waiting[i];
        if (problem->ops[op].needs == MODEL_ANY || problem->ops[op].needs == r->state)
            r->order[r->count++] = op;
        else
            r->w->waiting[kept++] = op;
    }
    r->waiting_count = kept;
}

static uint32_t finish_order(struct weaving *w, uint32_t *order)
{
    struct reading_in r = {.w = w, .order = order};
    lin_problem_start(w->h->problem, &r.state);
    uint32_t i = w->next[w->count];
    read_in(&r, i == w->count ? LIN_NEVER : w->time[i]);
    for (; i != w->count; i = w->next[i]) {
        uint32_t next = w->next[i];
        order[r.count++] = w->ops[i];
        r.state = w->h->problem->ops[w->ops[i]].leaves;
        read_in(&r, next == w->count ? LIN_NEVER : w->time[next]);
    }
    return r.count;
}

enum { ARRAYS = 9 };

void hid_take_order(struct hiding *h, uint32_t trace, struct lin_answer *answer)
{
    struct weaving w = {.h = h};
    for (uint32_t at = trace; at != HID_NONE; at = h->trace.steps[at].parent)
        w.count++;
    size_t steps = (size_t)w.count + 1, ops = (size_t)h->problem->op_count + 1;
    void **const pieces[ARRAYS] = {(void **)&w.path,     (void **)&w.place,    (void **)&w.ops,
                                   (void **)&w.next,     (void **)&w.previous, (void **)&w.time,
                                   (void **)&w.class_at, (void **)&w.waiting,  (void **)&w.named};
    const size_t sizes[ARRAYS] = {
        steps * 4, ((size_t)h->trace.count + 1) * 4,    steps * 4, steps * 4, steps * 4,
        steps * 4, ((size_t)h->supplies.count + 1) * 4, ops * 4,   ops};
    uint32_t *order = malloc((steps + ops) * sizeof *order);
    bool good = order != NULL;
    for (int i = 0; i < ARRAYS; i++) {
        *pieces[i] = lin_realloc(h->budget, NULL, 0, sizes[i]);
        good = good && *pieces[i] != NULL;
    }
    if (good) {
        memset(w.class_at, 0, sizes[6]);
        memset(w.named, 0, sizes[8]);
        uint32_t i = w.count;
        for (uint32_t at = trace; at != HID_NONE; at = h->trace.steps[at].parent) {
            w.path[--i] = at;
            w.place[at] = i;
        }
        name_ops(&w);
        weave(&w);
        answer->order_count = finish_order(&w, order);
        answer->order = order;
    } else
        free(order);
    for (int i = 0; i < ARRAYS; i++)
        lin_release(h->budget, *pieces[i], sizes[i]);
}
