/* Optional operations as a supply: see supply.h.
 *
 * When can a use still help? Say an optional operation leaves v, in an order, at position p. If the
 * next operation in that order that changes or asks for the value does not need v, the order stays
 * legal without it. So it may be left out unless an operation that needs v comes after it: a
 * required one, which then returns after p; or an optional one, which is itself of use after p (the
 * argument runs from the end of the order backwards). The last use of v is therefore the latest
 * return of a required operation that needs v, or, when an optional one turns v into w, the last
 * use of w. The least fixpoint is enough: optional operations that only feed each other feed
 * nobody. */
#include "checkers/linearizable/supply.h"

#include <stdlib.h>
#include <string.h>

static int compare_ops(const void *a, const void *b, void *context)
{
    const struct lin_problem *problem = context;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    const struct lin_op *x = &problem->ops[i], *y = &problem->ops[j];
    if (x->needs != y->needs)
        return x->needs < y->needs ? -1 : 1;
    if (x->leaves != y->leaves)
        return x->leaves < y->leaves ? -1 : 1;
    return i < j ? -1 : i > j; /* operations are numbered in the order of invocation */
}

static int compare_deaths(const void *a, const void *b, void *context)
{
    const struct lin_class *classes = context;
    uint32_t x = classes[*(const uint32_t *)a].death, y = classes[*(const uint32_t *)b].death;
    return x < y ? -1 : x > y;
}

static int compare_firsts(const void *a, const void *b)
{
    uint32_t x = ((const struct lin_class *)a)->first, y = ((const struct lin_class *)b)->first;
    return x < y ? -1 : x > y;
}

static void group(struct lin_supplies *supplies, const struct lin_problem *problem)
{
    uint32_t members = 0;
    for (uint32_t i = 0; i < problem->op_count; i++)
        if (!problem->ops[i].op.known && !problem->ops[i].pure)
            supplies->members[members++] = i;
    qsort_r(supplies->members, members, sizeof *supplies->members, compare_ops,
            (void *)(uintptr_t)problem);
    for (uint32_t i = 0; i < members; i++) {
        const struct lin_op *op = &problem->ops[supplies->members[i]];
        struct lin_class *class =
            supplies->count == 0 ? NULL : supplies->classes + supplies->count - 1;
        if (class == NULL || class->needs != op->needs || class->leaves != op->leaves) {
            class = &supplies->classes[supplies->count++];
            *class = (struct lin_class){.needs = op->needs,
                                        .leaves = op->leaves,
                                        .members = supplies->members + i,
                                        .first = op->invoked};
        }
        class->member_count++;
    }
}

/* Fills each class's death: 0 when no use can ever help. `last_use` is per value. */
static void find_deaths(struct lin_supplies *supplies, const struct lin_problem *problem,
                        uint32_t *last_use)
{
    for (uint32_t i = 0; i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        if (op->op.known && op->needs != MODEL_ANY && op->returned > last_use[op->needs])
            last_use[op->needs] = op->returned;
    }
    bool changed = true;
    while (changed) {
        changed = false;
        for (uint32_t i = 0; i < supplies->count; i++) {
            struct lin_class *class = &supplies->classes[i];
            class->death = last_use[class->leaves];
            if (class->needs == MODEL_ANY || class->first >= class->death ||
                last_use[class->needs] >= class->death)
                continue;
            last_use[class->needs] = class->death;
            changed = true;
        }
    }
}

static void drop_useless(struct lin_supplies *supplies)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < supplies->count; i++)
        if (supplies->classes[i].first < supplies->classes[i].death)
            supplies->classes[kept++] = supplies->classes[i];
    supplies->count = kept;
}

/* Classes whose lives do not overlap share a column; `busy` holds per column when it is free again.
 */
static void give_columns(struct lin_supplies *supplies, uint32_t *busy)
{
    qsort(supplies->classes, supplies->count, sizeof *supplies->classes, compare_firsts);
    for (uint32_t i = 0; i < supplies->count; i++) {
        struct lin_class *class = &supplies->classes[i];
        class->column = 0;
        while (class->column < supplies->columns && busy[class->column] >= class->first)
            class->column++;
        if (class->column == supplies->columns)
            supplies->columns++;
        busy[class->column] = class->death;
        supplies->by_death[i] = i;
        supplies->capped = supplies->capped || class->member_count > LIN_SUPPLY_MAX;
        for (uint32_t m = 0; m < class->member_count; m++)
            supplies->class_of[class->members[m]] = i;
    }
    qsort_r(supplies->by_death, supplies->count, sizeof *supplies->by_death, compare_deaths,
            supplies->classes);
}

static size_t array_bytes(uint32_t op_count)
{
    return ((size_t)op_count + 1) * sizeof(uint32_t);
}

static size_t class_bytes(uint32_t op_count)
{
    return ((size_t)op_count + 1) * sizeof(struct lin_class);
}

bool lin_supplies_make(struct lin_supplies *supplies, const struct lin_problem *problem,
                       struct lin_budget *budget)
{
    uint32_t count = problem->op_count;
    size_t value_bytes = ((size_t)problem->state_count + 1) * sizeof(uint32_t);
    *supplies = (struct lin_supplies){.op_count = count};
    supplies->classes = lin_realloc(budget, NULL, 0, class_bytes(count));
    supplies->class_of = lin_realloc(budget, NULL, 0, array_bytes(count));
    supplies->members = lin_realloc(budget, NULL, 0, array_bytes(count));
    supplies->by_death = lin_realloc(budget, NULL, 0, array_bytes(count));
    uint32_t *last_use = lin_realloc(budget, NULL, 0, value_bytes);
    uint32_t *busy = lin_realloc(budget, NULL, 0, array_bytes(count));
    bool made = supplies->classes != NULL && supplies->class_of != NULL &&
                supplies->members != NULL && supplies->by_death != NULL && last_use != NULL &&
                busy != NULL;
    if (made) {
        memset(last_use, 0, value_bytes);
        memset(supplies->class_of, 0xff, array_bytes(count));
        group(supplies, problem);
        find_deaths(supplies, problem, last_use);
        drop_useless(supplies);
        give_columns(supplies, busy);
    }
    lin_release(budget, last_use, value_bytes);
    lin_release(budget, busy, array_bytes(count));
    if (!made)
        lin_supplies_free(supplies, budget);
    return made;
}

void lin_supplies_free(struct lin_supplies *supplies, struct lin_budget *budget)
{
    lin_release(budget, supplies->classes, class_bytes(supplies->op_count));
    lin_release(budget, supplies->class_of, array_bytes(supplies->op_count));
    lin_release(budget, supplies->members, array_bytes(supplies->op_count));
    lin_release(budget, supplies->by_death, array_bytes(supplies->op_count));
    *supplies = (struct lin_supplies){.op_count = 0};
}
