/* What came of a suite: the summary that reports render, and the exit status. */
#ifndef ORDEAL_SUITE_JUDGE_H
#define ORDEAL_SUITE_JUDGE_H

#include "harness/suites/suite_runs.h"

/* One run against what its cell is expected to show. */
enum suite_finding {
    SUITE_AS_EXPECTED,
    SUITE_NOT_SEEN, /* valid, though something was to be found */
    SUITE_UNCLEAR,  /* unknown */
    SUITE_OTHER,    /* invalid by something else */
    SUITE_FAILED,   /* the harness could not run it */
    SUITE_NOT_RUN,
};
/* Without an expectation a valid run is as expected. `line` may be NULL. */
enum suite_finding suite_judge_run(const struct suite_expect *expect, const struct json *line);

struct suite_facts {
    const char *directory; /* of the suite */
    const char *command;
    int64_t started_wall_ns, ended_wall_ns;
    bool interrupted;
    uint32_t shard, shard_count;
};
/* The summary, as summary.json has it (ordeal-suite(5)); its "exit-status" is the suite's. The
 * caller frees. */
struct json *suite_summary(const struct suite *suite, const struct suite_runs *runs,
                           const struct suite_facts *facts);

#endif
