/* The judge of linearizations: see verify.h. It uses the model's step or replay and the problem's
 * windows, and none of the rules by which searches save work. */
#include "checkers/linearizable/verify.h"

#include <stdlib.h>
#include <string.h>

/* The object that operations happen to: in place, or by steps. */
struct object {
    const struct lin_problem *problem;
    struct arena arena;
    void *replayed; /* NULL: by steps */
    _Alignas(16) unsigned char state[MODEL_STATE_MAX];
};

static void open_object(struct object *object, const struct lin_problem *problem, bool in_place)
{
    *object = (struct object){.problem = problem, .arena = ARENA_INIT};
    lin_problem_start(problem, object->state);
    if (in_place)
        object->replayed =
            problem->model->replay->open(&object->arena, problem->space, object->state);
}

static bool happens(struct object *object, const struct model_op *op, int64_t took)
{
    const struct model *model = object->problem->model;
    if (object->replayed != NULL)
        return model->replay->apply(object->replayed, op, took);
    return model->step(object->state, op, object->problem->space, object->state);
}

static bool verify(const struct lin_problem *problem, const struct lin_order *order, bool in_place,
                   bool *placed)
{
    struct object object;
    open_object(&object, problem, in_place);
    uint32_t newest = 0, required = 0; /* newest: the latest invocation among those placed */
    bool good = true;
    for (uint32_t i = 0; i < order->count && good; i++) {
        uint32_t next = order->ops[i];
        good = next < problem->op_count && !placed[next];
        if (!good)
            break;
        const struct lin_op *op = &problem->ops[next];
        placed[next] = true;
        required += op->op.known;
        newest = op->invoked > newest ? op->invoked : newest;
        /* Real time: nothing placed so far was invoked after this one had returned. */
        good = op->returned >= newest &&
               happens(&object, &op->op, order->took == NULL ? MODEL_ANY : order->took[i]);
    }
    arena_free(&object.arena);
    return good && required == problem->required_count;
}

bool lin_verify_order(const struct lin_problem *problem, const struct lin_order *order)
{
    bool *placed = calloc((size_t)problem->op_count + 1, sizeof *placed);
    bool good = false;
    if (placed != NULL && !problem->any_start) {
        good = problem->model->replay != NULL && verify(problem, order, true, placed);
        if (!good) { /* steps know more: a removal whose outcome is not known may take anything */
            memset(placed, 0, (size_t)problem->op_count + 1);
            good = verify(problem, order, false, placed);
        }
    }
    free(placed);
    return good;
}

bool lin_verify(const struct lin_problem *problem, const uint32_t *order, uint32_t count)
{
    return lin_verify_order(problem, &(struct lin_order){.ops = order, .count = count});
}
