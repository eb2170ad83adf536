/* May some operations be left out of a refutation? Whole values may: what has no order without all
 * operations on some values has none with them.
 *
 * Registers. Let D be the states that operations which are left out leave, and let no operation
 * that is shown need any of them. Take a legal order of all, cut at `until`, and leave the others
 * out. An operation that is shown and needs state x finds it there: either nothing before it in the
 * whole order sets a state, and x is the first; or the last that does leaves x, so it is not left
 * out, and is still the last. So what is left is legal. What those that are left out need does not
 * matter: a compare-and-set from a to b may go while reads of a stay. Values may come twice here.
 *
 * Containers. Let V be the values that the operations shown touch or list, and let all that touches
 * one of V be shown, but for what lies behind `until`. Take a legal order of all and leave out what
 * touches other values: what is left is legal (model.h). A removal whose outcome is not known took
 * a value outside V, and goes with it; or found nothing, and changed nothing; or took one of V, and
 * must be shown, unless for every value of V there are as many known removals as insertions: these
 * all took one, so that none was left for it. Then the cut at `until`. */
#ifndef ORDEAL_LINEARIZABLE_LEFT_OUT_H
#define ORDEAL_LINEARIZABLE_LEFT_OUT_H

#include "checkers/linearizable/problem.h"

struct lin_left_out {
    const struct lin_problem *problem;
    const uint8_t *choice; /* enum lin_choice, one per operation: LIN_DROP is left out */
    uint32_t until;        /* what was invoked after this position is outside */
};
/* `arena` is for what ends with the question. */
bool lin_left_out_of_register(const struct lin_left_out *left, struct arena *arena);
bool lin_left_out_of_container(const struct lin_left_out *left, struct arena *arena);

#endif
