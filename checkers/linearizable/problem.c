/* One object's operations, decoded: see problem.h. */
#include "checkers/linearizable/problem.h"

#include <assert.h>
#include <string.h>

static int find_function(const struct model *model, const char *name)
{
    if (model->functions[0] == NULL)
        return 0; /* it takes every function, and cannot tell them apart */
    for (int f = 0; model->functions[f] != NULL; f++)
        if (strcmp(model->functions[f], name) == 0)
            return f;
    return -1;
}

static void add_functions(const struct model *model, struct buf *out)
{
    for (int f = 0; model->functions[f] != NULL; f++)
        buf_printf(out, "%s%s", f == 0 ? "" : ", ", model->functions[f]);
}

static bool decode_value(const struct lin_problem *problem, const struct history *history,
                         uint32_t event, bool keyed, struct value *value, struct buf *trouble)
{
    *value = history->value[event];
    if (!keyed || problem->model->keys == MODEL_KEYS_INSIDE)
        return true;
    if (value_is_pair(*value)) {
        *value = value_at(*value, 1);
        return true;
    }
    buf_printf(trouble, "event %u (%s of process %d) has the value ", event,
               history_f_name(history, event), history->process[event]);
    value_print(*value, trouble);
    buf_add_text(trouble, ", which is not [key value]");
    return false;
}

static bool refuse_function(const struct lin_problem *problem, const struct history *history,
                            uint32_t event, struct buf *trouble)
{
    buf_printf(trouble, "event %u: process %d invoked %s, which the model %s does not know (",
               event, history->process[event], history_f_name(history, event),
               problem->model->name);
    add_functions(problem->model, trouble);
    buf_add_text(trouble, ")");
    return false;
}

/* `f`: the model's number of the operation's function. */
static bool decode(struct lin_problem *problem, const struct history *history, uint32_t event,
                   int f, bool keyed, struct lin_op *op, struct buf *trouble)
{
    uint32_t completion = history->partner[event];
    if (f < 0)
        return refuse_function(problem, history, event, trouble);
    memset(op, 0, sizeof *op);
    op->op.f = (uint16_t)f;
    op->op.known = history_outcome(history, event) == OP_OK;
    op->op.event = event;
    op->op.process = history->process[event];
    op->completion = completion;
    op->returned = LIN_NEVER;
    op->needs = op->leaves = MODEL_ANY;
    if (!decode_value(problem, history, event, keyed, &op->op.input, trouble))
        return false;
    if (op->op.known && !decode_value(problem, history, completion, keyed, &op->op.output, trouble))
        return false;
    if (op->op.known && problem->nil_is_unknown && value_is_nil(op->op.output) &&
        problem->model->is_pure(&op->op))
        op->op.known = false; /* it happened, but it says nothing */
    struct buf problem_text = BUF_INIT;
    bool good = problem->model->prepare(&op->op, problem->space, &problem_text);
    if (!good)
        buf_printf(trouble, "event %u (%s of process %d): %s", event,
                   history_f_name(history, event), history->process[event],
                   buf_text(&problem_text));
    buf_free(&problem_text);
    if (!good)
        return false;
    op->pure = problem->model->is_pure(&op->op);
    if (problem->model->effect != NULL) {
        struct model_effect effect = problem->model->effect(&op->op);
        op->needs = effect.needs;
        op->leaves = effect.leaves;
        op->pure = op->pure || effect.leaves == MODEL_ANY || effect.needs == effect.leaves;
    }
    return true;
}

void lin_problem_start(const struct lin_problem *problem, void *state)
{
    memcpy(state, problem->start, problem->model->state_size);
}

/* The first state. */
static bool begin(struct lin_problem *problem, struct value initial, struct buf *trouble)
{
    const struct model *model = problem->model;
    model->init(problem->start);
    if (value_is_nil(initial))
        return true;
    assert(model->holds_value || model->start != NULL);
    if (model->start != NULL)
        return model->start(problem->start, initial, problem->space, trouble);
    int64_t value = value_table_id(&problem->space->values, initial);
    memcpy(problem->start, &value, sizeof value);
    return true;
}

static void count_states(struct lin_problem *problem)
{
    int64_t first = 0;
    if (problem->model->effect == NULL)
        return;
    lin_problem_start(problem, &first);
    problem->state_count = (uint32_t)first + 1;
    for (uint32_t i = 0; i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        int64_t largest = op->needs > op->leaves ? op->needs : op->leaves;
        if (largest >= problem->state_count)
            problem->state_count = (uint32_t)largest + 1;
    }
}

/* Operations are in the order of their invocations. Asked for at completions, while the problem is
 * built, and most operations are short: so the search begins at the end. */
uint32_t lin_problem_from_event(const struct lin_problem *problem, uint32_t event)
{
    uint32_t high = problem->op_count, step = 1;
    while (step < high && problem->ops[high - step].op.event > event)
        step *= 2;
    uint32_t low = step < high ? high - step : 0;
    high -= step / 2;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (problem->ops[middle].op.event < event)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool lin_problem_build(struct lin_problem *problem, struct arena *arena, const struct model *model,
                       const struct history *history, const uint32_t *events, uint32_t count,
                       bool keyed, const struct lin_reading *reading, struct buf *trouble)
{
    *problem = (struct lin_problem){.model = model};
    problem->space = arena_alloc(arena, sizeof *problem->space);
    model_space_init(problem->space, arena);
    if (!begin(problem, reading == NULL ? value_nil() : reading->initial, trouble))
        return false;
    problem->nil_is_unknown = reading != NULL && reading->nil_is_unknown;
    problem->ops = arena_alloc(arena, (count + 1) * sizeof *problem->ops);
    problem->events = arena_alloc(arena, (count + 1) * sizeof *problem->events);
    int *functions = arena_alloc(arena, ((size_t)history->f_count + 1) * sizeof *functions);
    for (uint32_t f = 0; f < history->f_count; f++)
        functions[f] = find_function(model, history->f_names[f]);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t event = events[i];
        if (history->type[event] == OP_INVOKE) {
            struct lin_op *op = &problem->ops[problem->op_count];
            if (history_outcome(history, event) == OP_FAIL)
                continue; /* it did not happen, whatever it was */
            if (!decode(problem, history, event, functions[history->f[event]], keyed, op, trouble))
                return false;
            if (!op->op.known && op->pure)
                continue; /* it may not have happened, and would have changed nothing */
            op->source = problem->op_count;
            op->invoked = problem->event_count;
            problem->required_count += op->op.known;
            problem->events[problem->event_count++] = LIN_EVENT(problem->op_count++, false);
            continue;
        }
        uint32_t at = lin_problem_from_event(problem, history->partner[event]);
        if (at == problem->op_count || problem->ops[at].completion != event ||
            !problem->ops[at].op.known)
            continue;
        problem->ops[at].returned = problem->event_count;
        problem->events[problem->event_count++] = LIN_EVENT(at, true);
    }
    count_states(problem);
    return true;
}

/* What becomes of an operation: see the arguments in problem.h. */
static enum lin_choice fate(const struct lin_op *op, const struct lin_weakening *weakening,
                            enum lin_choice choice)
{
    bool optional = !op->op.known || choice == LIN_OPTIONAL;
    if (op->invoked > weakening->until || (op->op.known && op->returned < weakening->begin))
        return LIN_DROP;
    if (op->returned > weakening->until || op->invoked < weakening->begin)
        optional = true;
    if (choice == LIN_DROP || (optional && op->pure))
        return LIN_DROP;
    return optional ? LIN_OPTIONAL : LIN_KEEP;
}

void lin_problem_weaken(const struct lin_problem *problem, const struct lin_weakening *weakening,
                        struct arena *arena, struct lin_problem *weaker)
{
    assert(weakening->begin == 0 || problem->model->effect != NULL);
    *weaker = (struct lin_problem){.model = problem->model,
                                   .space = problem->space,
                                   .state_count = problem->state_count,
                                   .any_start = problem->any_start || weakening->begin > 0};
    memcpy(weaker->start, problem->start, sizeof problem->start);
    uint32_t *place = arena_alloc(arena, (problem->op_count + 1) * sizeof *place);
    weaker->ops = arena_alloc(arena, (problem->op_count + 1) * sizeof *weaker->ops);
    weaker->events = arena_alloc(arena, (problem->event_count + 1) * sizeof *weaker->events);
    for (uint32_t i = 0; i < problem->event_count && i <= weakening->until; i++) {
        uint32_t from = LIN_EVENT_OP(problem->events[i]);
        if (LIN_EVENT_RETURNS(problem->events[i])) {
            if (place[from] != LIN_NEVER && weaker->ops[place[from]].op.known) {
                weaker->ops[place[from]].returned = weaker->event_count;
                weaker->events[weaker->event_count++] = LIN_EVENT(place[from], true);
            }
            continue;
        }
        const struct lin_op *op = &problem->ops[from];
        enum lin_choice choice = (enum lin_choice)weakening->choice[from];
        assert(choice != LIN_DROP || op->pure || problem->model->effect != NULL ||
               problem->model->container != MODEL_NO_CONTAINER);
        enum lin_choice end = fate(op, weakening, choice);
        place[from] = LIN_NEVER;
        if (end == LIN_DROP)
            continue;
        struct lin_op *copy = &weaker->ops[weaker->op_count];
        *copy = *op;
        copy->source = from;
        copy->op.known = end == LIN_KEEP;
        copy->returned = LIN_NEVER;
        copy->invoked = weaker->event_count;
        weaker->required_count += copy->op.known;
        place[from] = weaker->op_count;
        weaker->events[weaker->event_count++] = LIN_EVENT(weaker->op_count++, false);
    }
}
