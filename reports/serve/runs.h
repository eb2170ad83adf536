/* The runs of a store, as a list: what the pages of ordeal serve show of each.
 *
 * A run's facts are read from its results.json once, and again when that file changes; a run
 * without one goes on, or was cut off. What is damaged is listed with what is wrong with it, and
 * keeps no other run from being listed. */
#ifndef ORDEAL_REPORTS_SERVE_RUNS_H
#define ORDEAL_REPORTS_SERVE_RUNS_H

#include <pthread.h>
#include <stdbool.h>

#include "harness/base/arena.h"
#include "harness/checker.h"

enum run_state {
    RUN_ENDED,
    RUN_GOING,   /* no results yet, and something was written a moment ago */
    RUN_CUT,     /* no results, and nothing is being written: killed, or its machine was */
    RUN_DAMAGED, /* see problem */
};

struct run_entry {
    const char *test, *time; /* the two parts of its path in the store */
    enum run_state state;
    enum verdict verdict;                             /* of an ended one */
    const char *system, *workload, *nemeses, *reason; /* "" where not known */
    const char *problem;                              /* of a damaged one; else NULL */
    int64_t event_count, fault_count;                 /* -1 where not known */
    double duration_s;                                /* -1 where not known */
    const char *seed;
};

struct run_list {
    const struct run_entry **items; /* by time, newest first */
    size_t count;
};

struct runs;
struct runs *runs_open(const char *store);
void runs_close(struct runs *runs);

/* Looks at the store again and lists what is there, in the arena; any thread. Entries live in the
 * arena too. ERR_IO when the store itself cannot be read. */
enum err_code runs_list(struct runs *runs, struct arena *arena, struct run_list *list,
                        struct err *err);

/* "20261121T083015.123Z" */
bool runs_is_time(const char *name);
const char *run_state_word(const struct run_entry *entry); /* "valid" ... "going on", "damaged" */

#endif
