/* The judge of linearizations: see verify.h. It uses the model's step and the problem's windows,
 * and none of the rules by which searches save work. */
#include "checkers/linearizable/verify.h"

#include <stdlib.h>

bool lin_verify(const struct lin_problem *problem, const uint32_t *order, uint32_t count)
{
    bool *placed = calloc((size_t)problem->op_count + 1, sizeof *placed);
    if (placed == NULL || problem->any_start) {
        free(placed);
        return false;
    }
    _Alignas(16) unsigned char state[MODEL_STATE_MAX];
    lin_problem_start(problem, state);
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
        good = op->returned >= newest && problem->model->step(state, &op->op, state);
    }
    free(placed);
    return good && required == problem->required_count;
}
