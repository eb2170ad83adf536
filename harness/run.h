/* One test from beginning to end: cluster, system, clients and faults, healing, verdict, reports.
 */
#ifndef ORDEAL_RUN_H
#define ORDEAL_RUN_H

#include "harness/checker.h"
#include "harness/log.h"
#include "harness/plan.h"

enum exit_status {
    EXIT_VALID = 0,
    EXIT_INVALID = 1,
    EXIT_UNKNOWN = 2,
    EXIT_BAD_ARGUMENTS = 254,
    EXIT_HARNESS_FAILED = 255,
};
int exit_status_of(enum verdict verdict);

struct run_outcome {
    enum verdict verdict;
    /* The harness could not do its job: `problem` says why, ERR_CONFIG that the plan cannot be
     * followed on these nodes. */
    bool failed;
    struct err problem;
    const char *directory; /* of the run, in the plan's arena; NULL when there is none */
    struct json *results;  /* as in results.json; the caller frees; NULL when nothing was judged */
    uint32_t hung; /* clients that never came back: their threads still use the plan, so leave
                      without freeing it */
};

/* Runs the resolved plan. Must be called before the process has other threads (a local cluster
 * forks). Takes over SIGINT, SIGTERM and SIGHUP: the first ends the run early, still healing,
 * checking and reporting; the second ends the process at once with EXIT_HARNESS_FAILED, the nodes'
 * agents undoing every fault. */
void run_test(struct plan *plan, struct log *log, const char *command, struct run_outcome *outcome);

/* Judges a history with the named checkers and the plan's options; the result has "valid" and
 * "checkers". Shared by runs and `ordeal check`. */
struct json *run_check(const struct history *history, const char *const *names, size_t count,
                       struct check_input *input, enum verdict *verdict);

#endif
