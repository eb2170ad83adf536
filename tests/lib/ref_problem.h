/* Histories of reference objects as the linearizable checker gets them. */
#ifndef ORDEAL_TESTS_REF_PROBLEM_H
#define ORDEAL_TESTS_REF_PROBLEM_H

#include "checkers/linearizable/problem.h"
#include "tests/lib/reference.h"

struct ref_problem {
    struct history history;
    struct arena arena;
    struct lin_problem problem;
};

/* Fails the test when the model does not understand the history. */
void ref_problem_open(struct ref_problem *built, const struct ref_object *object,
                      const struct ref_op *ops, int count);
void ref_problem_close(struct ref_problem *built);

#endif
