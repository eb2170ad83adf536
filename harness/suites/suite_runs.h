/* What is known of a suite's runs: runs.jsonl in the suite's directory, a line a run, written when
 * it has ended. So a suite that was interrupted, or killed, knows what need not be done again.
 *
 * A line: {"cell", "digest", "run" (from 1), "seed", "attempts", "status" (of `ordeal run`),
 * "valid", "interrupted", "directory", "problem", "retried": [problems], "seconds",
 * "system-version", "checkers": {NAME: {"valid", "reason", "broken": [promises], "anomalies":
 * [kinds], "first": {"title", "text"}}}}; what is not known is left out. It holds what was found
 * and not what was expected, so that expectations may change. */
#ifndef ORDEAL_SUITE_RUNS_H
#define ORDEAL_SUITE_RUNS_H

#include "harness/suites/suite.h"

struct suite_runs;

/* Takes in what the directory's runs.jsonl holds of this suite's cells: lines of cells that have
 * another plan now, or another seed, are of no use and left out; a last line that was cut short,
 * too. Then appends. */
enum err_code suite_runs_open(const struct suite *suite, const char *directory,
                              struct suite_runs **runs, struct err *err);
void suite_runs_close(struct suite_runs *runs);

/* The newest line of that run, or NULL. `run` from 0. */
const struct json *suite_runs_get(const struct suite_runs *runs, size_t cell, uint32_t run);
/* It was judged, and not broken off by an interrupt: it need not be done again. */
bool suite_run_is_done(const struct json *line);
/* Appends the line, which the runs own then. It is on the disk when this returns. */
enum err_code suite_runs_add(struct suite_runs *runs, size_t cell, uint32_t run, struct json *line,
                             struct err *err);

/* What one attempt at a run came to. */
struct suite_attempt {
    int status;           /* as `ordeal run` ends */
    struct json *results; /* what it prints with --json; NULL: nothing */
    char problem[1024];   /* "" or what it told last */
};
/* The line of a run, without the attempts before the last one. */
struct json *suite_run_line(const struct suite_cell *cell, uint32_t run,
                            const struct suite_attempt *attempt);

#endif
