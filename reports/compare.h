/* Two runs side by side, as rows of texts: for the page of ordeal serve and for the terminal. */
#ifndef ORDEAL_REPORTS_COMPARE_H
#define ORDEAL_REPORTS_COMPARE_H

#include "harness/base/json.h"

/* What two runs left; NULL where there is none. */
struct compare_side {
    const struct json *plan, *results;
    const char *state; /* what it is said to be; NULL: its verdict */
};
struct compare {
    void *state;
    void (*section)(void *state, const char *title);
    /* Never called when both are "". */
    void (*row)(void *state, const char *name, const char *left, const char *right);
};
/* Verdicts, facts, operations and plans, in that order; calls back for each. */
void compare_runs(const struct compare_side sides[2], const struct compare *into);

#endif
