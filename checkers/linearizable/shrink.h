/* The heart of a refutation: as few operations as can be that still have no order.
 *
 * Two uses. For people: what to look at. For certainty: the heart is a weaker problem than the one
 * refuted (problem.h says why), so when the plain search refutes it too, the verdict no longer
 * rests on the engine that found it. */
#ifndef ORDEAL_LINEARIZABLE_SHRINK_H
#define ORDEAL_LINEARIZABLE_SHRINK_H

#include "checkers/linearizable/engine.h"

struct lin_heart {
    bool found;                 /* false: there was no time to look for one */
    bool certified;             /* the plain search found no order either */
    bool contradicted;          /* the plain search found an order: one of the two is wrong */
    struct lin_problem problem; /* in the arena; its operations' `source` is the whole problem's */
    const char *certified_by;
    unsigned mode;         /* the plain search's, with which it is certified */
    bool whole;            /* certified is the piece that it is the heart of, with all reads */
    uint32_t begin, until; /* positions of the whole problem that it lies between */
};

/* The name of a mode of the plain search, and the mode of a name; -1: there is none. */
const char *lin_mode_name(unsigned mode);
int lin_mode_of(const char *name);

/* `at`: the operation at whose return no order is left. */
void lin_shrink(const struct lin_problem *problem, uint32_t at, const struct lin_engine *engine,
                struct lin_budget *budget, struct arena *arena, struct lin_heart *heart);

#endif
