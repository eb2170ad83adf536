/* Runs made up for tests of reports: a history, results, plan and schedule in memory, the same
 * bytes every time. */
#ifndef ORDEAL_TESTS_SAMPLE_RUN_H
#define ORDEAL_TESTS_SAMPLE_RUN_H

#include "harness/reporter.h"

enum sample_kind {
    SAMPLE_VALID,   /* a minute of a register under a partition, a kill, and a fault that failed */
    SAMPLE_INVALID, /* the same with a stale read of key 3, and a daemon that died unasked */
    SAMPLE_UNKNOWN, /* a run that broke off: problems, a fault that was not undone, few operations
                     */
    SAMPLE_EMPTY,   /* a history without events, judged as such */
    SAMPLE_BARE,    /* a history without times, judged on its own: no plan, no schedule, no test */
    SAMPLE_HOSTILE, /* every text is an attack: markup, quotes, control characters, broken UTF-8 */
};

struct sample_run {
    struct history history;
    struct json *plan, *results, *schedule;
    struct run run;
};
void sample_run_make(enum sample_kind kind, struct sample_run *sample);
/* A valid run of so many operations. */
void sample_run_make_large(uint32_t operations, struct sample_run *sample);
void sample_run_free(struct sample_run *sample);

/* Renders with the reporter of that name; fails the test when that fails. The caller frees. */
char *sample_render(const struct run *run, const char *reporter, size_t *length);

#endif
