/* Suites: many runs, of which each cell of a matrix gets some, and what each cell is expected to
 * show. The format: ordeal-suite(5).
 *
 * A suite is read as a whole, and every cell's plan is resolved, before anything runs: mistakes are
 * told in the first second, with file and line. */
#ifndef ORDEAL_SUITE_H
#define ORDEAL_SUITE_H

#include "harness/plan.h"

enum { SUITE_CELLS_MAX = 10000, SUITE_RUNS_MAX = 1000, SUITE_RETRIES_MAX = 10 };

/* What a cell's runs are to show. */
struct suite_expect {
    bool given;
    enum verdict verdict;
    const char *checker; /* whose verdict it is; NULL: of the run */
    const char *promise; /* of that checker's "promises": must be found broken; NULL: any */
    const char *anomaly; /* a kind that must be found; NULL: any */
    uint32_t at_least;   /* in so many of the runs */
};

struct suite_cell {
    const char *name;                           /* unique; names a directory */
    const char *where;                          /* "suite.json:12", for messages */
    const char *about;                          /* one line for people, or NULL */
    const char *reference_text, *reference_url; /* who showed it before; NULL: nobody is named */
    struct suite_expect expect;
    const char *system, *workload, *nemesis; /* as resolved; nemesis NULL: a schedule */
    struct json *plan;     /* as a plan file, "name" filled in, without "seed" and "store" */
    const uint64_t *seeds; /* of its runs */
    uint32_t run_count;
    uint32_t digest; /* of the plan: equal for equal plans */
};

struct suite {
    struct arena arena;
    const char *name, *file;
    const char *about; /* or NULL */
    struct suite_cell *cells;
    size_t cell_count;
    uint32_t retries; /* of a run that the harness failed at */
};

/* What the command line adds to every cell. */
struct suite_override {
    const char *field, *value, *where; /* as plan_set takes them */
};
struct suite_options {
    const struct suite_override *overrides;
    size_t override_count;
    const char *cells;    /* only those whose name this matches, as a shell's pattern; NULL: all */
    uint32_t shard;       /* 1 .. shard_count: every shard_count-th cell, from this one on */
    uint32_t shard_count; /* 0: all */
    uint64_t fresh_seed;  /* what "fresh" is this time */
};

/* The caller frees with suite_free, also after an error. ERR_CONFIG: "suite.json:12: what". */
enum err_code suite_read(const char *path, const struct suite_options *options, struct suite *suite,
                         struct err *err);
void suite_free(struct suite *suite);

/* "2/5" as shard and shard_count. */
enum err_code suite_parse_shard(const char *text, struct suite_options *options, struct err *err);

#endif
