/* The judge of linearizations: see verify.h. It uses the model's step or replay and the problem's
 * windows, and none of the rules by which searches save work. */
#include "checkers/linearizable/verify.h"

#include <stdlib.h>

/* The object that operations happen to: in place where the model can, else by steps. */
struct object {
    const struct lin_problem *problem;
    struct arena arena;
    void *replayed;
    _Alignas(16) unsigned char state[MODEL_STATE_MAX];
};

static void open_object(struct object *object, const struct lin_problem *problem)
{
    *object = (struct object){.problem = problem, .arena = ARENA_INIT};
    lin_problem_start(problem, object->state);
    if (problem->model->replay != NULL)
        object->replayed =
            problem->model->replay->open(&object->arena, problem->space, object->state);
}

static bool happens(struct object *object, const struct model_op *op)
{
    const struct model *model = object->problem->model;
    if (model->replay != NULL)
        return model->replay->apply(object->replayed, op);
    return model->step(object->state, op, object->problem->space, object->state);
}

bool lin_verify(const struct lin_problem *problem, const uint32_t *order, uint32_t count)
{
    bool *placed = calloc((size_t)problem->op_count + 1, sizeof *placed);
    if (placed == NULL || problem->any_start) {
        free(placed);
        return false;
    }
    struct object object;
    open_object(&object, problem);
    uint32_t newest = 0, required = 0; /* newest: the latest invocation among those placed */
    bool good = true;
    for (uint32_t i = 0; i < count && good; i++) {
        good = order[i] < problem->op_count && !placed[order[i]];
        if (!good)
            break;
        const struct lin_op *op = &problem->ops[order[i]];
        placed[order[i]] = true;
        required += op->op.known;
        newest = op->invoked > newest ? op->invoked : newest;
        /* Real time: nothing placed so far was invoked after this one had returned. */
        good = op->returned >= newest && happens(&object, &op->op);
    }
    arena_free(&object.arena);
    free(placed);
    return good && required == problem->required_count;
}
