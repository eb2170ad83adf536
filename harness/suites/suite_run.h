/* Running a suite: each run by itself, in order, written down when it has ended. */
#ifndef ORDEAL_SUITE_RUN_H
#define ORDEAL_SUITE_RUN_H

#include "harness/suites/suite_runs.h"

/* Does one run of the cell and fills the attempt, whose `results` the caller frees. */
typedef void suite_execute(void *state, const struct suite_cell *cell, uint64_t seed,
                           struct suite_attempt *attempt);

struct suite_running {
    suite_execute *execute;
    bool (*stopped)(void *state); /* somebody wants it to end: nothing new is begun */
    void (*tell)(void *state, const char *line); /* of what goes on, for people */
    void *state;
};

/* Does every run that is not done yet. A run that the harness failed at is tried again, at most
 * suite->retries times; no other is. Errors are those of writing runs.jsonl. */
enum err_code suite_run(const struct suite *suite, struct suite_runs *runs,
                        const struct suite_running *running, struct err *err);

/* A suite_execute: `ordeal run` as a process of its own, so that one run's end, however bad, is not
 * another's. */
struct suite_process {
    const char *program;   /* ordeal */
    const char *directory; /* of the suite: plans go to its plans/ */
    const char *store;
};
void suite_process_execute(void *state, const struct suite_cell *cell, uint64_t seed,
                           struct suite_attempt *attempt);
/* From here on an interrupt of this process is one of the run that goes on, and then ends the
 * suite. */
void suite_process_catch_signals(void);
bool suite_process_stopped(void *state);

#endif
