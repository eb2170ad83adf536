/* Reporters: render a stored run. They read what the run directory holds and nothing else, so that
 * any run can be rendered again, and drawing can never change a verdict. */
#ifndef ORDEAL_REPORTER_H
#define ORDEAL_REPORTER_H

#include <stdio.h>

#include "harness/base/json.h"
#include "harness/history.h"

struct run {
    const char *directory;
    const struct json *plan;       /* plan.json; NULL when a bare history was judged */
    const struct json *results;    /* results.json: see docs/results.md */
    const struct history *history; /* paired where it could be */
    const struct json *schedule; /* array of the lines of schedule.jsonl; NULL when there is none */
};

struct reporter {
    const char *name, *summary;
    const char *file_name; /* in the run directory: "report.html"; NULL: only when asked for */
    enum err_code (*write)(const struct run *run, FILE *out,
                           struct err *err); /* NULL: of suites only */
    /* The same for a suite's summary.json; NULL: of runs only. */
    const char *suite_file_name;
    enum err_code (*write_suite)(const struct json *summary, FILE *out, struct err *err);
};

/* Two runs side by side, for a terminal: what differs between them. */
enum err_code report_compare(const struct run *left, const struct run *right, FILE *out,
                             struct err *err);

extern const struct reporter *const reporters[]; /* NULL at the end */
const struct reporter *reporter_find(const char *name);

#endif
