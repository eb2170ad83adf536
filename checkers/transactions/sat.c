/* The SAT solver: see sat.h. */
#include "checkers/transactions/sat.h"

#include <ccadical.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/base/clock.h"

struct sat {
    CCaDiCaL *solver;
    int64_t deadline_ns;
};

enum { SATISFIABLE = 10, UNSATISFIABLE = 20 }; /* IPASIR */

static int is_over(void *state)
{
    const struct sat *sat = state;
    return sat->deadline_ns != INT64_MAX && clock_monotonic_ns() > sat->deadline_ns;
}

struct sat *sat_open(int64_t deadline_ns)
{
    struct sat *sat = malloc(sizeof *sat);
    if (sat == NULL) {
        fprintf(stderr, "ordeal: out of memory for a SAT solver\n");
        abort();
    }
    *sat = (struct sat){.solver = ccadical_init(), .deadline_ns = deadline_ns};
    ccadical_set_option(sat->solver, "quiet", 1);
    ccadical_set_terminate(sat->solver, sat, is_over);
    return sat;
}

void sat_close(struct sat *sat)
{
    ccadical_release(sat->solver);
    free(sat);
}

void sat_add(struct sat *sat, int literal)
{
    ccadical_add(sat->solver, literal);
}

void sat_assume(struct sat *sat, int literal)
{
    ccadical_assume(sat->solver, literal);
}

enum sat_answer sat_solve(struct sat *sat)
{
    int answer = ccadical_solve(sat->solver);
    return answer == SATISFIABLE ? SAT_YES : answer == UNSATISFIABLE ? SAT_NO : SAT_OPEN;
}

bool sat_value(struct sat *sat, int variable)
{
    return ccadical_val(sat->solver, variable) > 0;
}

bool sat_failed(struct sat *sat, int literal)
{
    return ccadical_failed(sat->solver, literal) != 0;
}
