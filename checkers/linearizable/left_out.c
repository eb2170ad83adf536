/* What a refutation may leave out: see left_out.h. */
#include "checkers/linearizable/left_out.h"

static bool is_dropped(const struct lin_left_out *left, uint32_t op)
{
    const struct lin_op *one = &left->problem->ops[op];
    return left->choice[op] == LIN_DROP && !one->pure && one->invoked <= left->until;
}

bool lin_left_out_of_register(const struct lin_left_out *left, struct arena *arena)
{
    const struct lin_problem *problem = left->problem;
    bool *gone = arena_zalloc(arena, (size_t)problem->state_count + 1);
    for (uint32_t i = 0; i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        if (is_dropped(left, i)) /* so it is not pure, and leaves some state */
            gone[op->leaves] = true;
    }
    for (uint32_t i = 0; i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        if (left->choice[i] != LIN_DROP && op->needs != MODEL_ANY && gone[op->needs])
            return false;
    }
    return true;
}

/* ---- Containers ---- */

struct values {
    const struct lin_left_out *left;
    bool *shown; /* by value */
    uint32_t *inserts, *removes;
};

static struct model_touch touch_of(const struct values *values, uint32_t op)
{
    return values->left->problem->model->touch(&values->left->problem->ops[op].op);
}

/* A removal that may have taken any value. */
static bool is_spare(const struct values *values, uint32_t op, const struct model_touch *touch)
{
    const struct lin_problem *problem = values->left->problem;
    return touch->act == MODEL_REMOVE && !problem->ops[op].op.known &&
           problem->model->container != MODEL_SET;
}

static void show_list(struct values *values, int64_t list)
{
    struct model_sequence items = model_sequence_of(values->left->problem->space, list);
    for (uint32_t i = 0; i < items.count; i++)
        values->shown[items.items[i]] = true;
}

/* False: an operation that is about more than values is shown. */
static bool collect(struct values *values)
{
    const struct lin_problem *problem = values->left->problem;
    for (uint32_t i = 0; i < problem->op_count; i++) {
        struct model_touch touch = touch_of(values, i);
        if (touch.act == MODEL_OTHER &&
            (values->left->choice[i] != LIN_DROP || !problem->ops[i].pure))
            return false;
        if (touch.act == MODEL_INSERT)
            values->inserts[touch.value]++;
        if (touch.act == MODEL_REMOVE && problem->ops[i].op.known)
            values->removes[touch.value]++;
        if (values->left->choice[i] == LIN_DROP || touch.act == MODEL_EMPTY ||
            is_spare(values, i, &touch))
            continue;
        if (touch.act == MODEL_LISTS)
            show_list(values, touch.value);
        else
            values->shown[touch.value] = true;
    }
    return true;
}

bool lin_left_out_of_container(const struct lin_left_out *left, struct arena *arena)
{
    const struct lin_problem *problem = left->problem;
    size_t count = (size_t)problem->space->values.count + 1;
    struct values values = {.left = left,
                            .shown = arena_zalloc(arena, count),
                            .inserts = arena_zalloc(arena, count * sizeof(uint32_t)),
                            .removes = arena_zalloc(arena, count * sizeof(uint32_t))};
    if (!collect(&values))
        return false;
    bool spares_matter = false;
    for (size_t v = 0; v < count; v++)
        spares_matter = spares_matter || (values.shown[v] && values.inserts[v] > values.removes[v]);
    for (uint32_t i = 0; i < problem->op_count; i++) {
        struct model_touch touch = touch_of(&values, i);
        if (!is_dropped(left, i) || touch.act == MODEL_EMPTY)
            continue;
        bool spare = is_spare(&values, i, &touch);
        if (touch.act == MODEL_LISTS || (spare ? spares_matter : values.shown[touch.value]))
            return false;
    }
    return true;
}
