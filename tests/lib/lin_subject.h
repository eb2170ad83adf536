/* One history as the searches see it, for tests of them. */
#ifndef ORDEAL_TESTS_LIN_SUBJECT_H
#define ORDEAL_TESTS_LIN_SUBJECT_H

#include "checkers/linearizable/engine.h"
#include "tests/lib/lin_text.h"

struct lin_subject {
    struct history history;
    struct arena arena;
    struct lin_problem problem;
    struct lin_memory memory;
    struct lin_budget budget;
};

/* The model is a lock when the first operation is one of a lock, else a cas-register. */
void lin_subject_open(struct lin_subject *subject, const struct lin_text_op *ops, size_t count);
/* Ends the test when some search has not given back all that it took. */
void lin_subject_close(struct lin_subject *subject);

#endif
