/* What a stored run's schedule.jsonl tells beyond its history: on whom faults were, who led then,
 * how many operations were in flight, and which steps of the plan never came about. */
#ifndef ORDEAL_CHECKERS_FAULT_COVERAGE_H
#define ORDEAL_CHECKERS_FAULT_COVERAGE_H

#include "harness/checker.h"

/* The lines of the run's schedule, to be freed; NULL when there is none. */
struct json *fault_coverage_read(const struct check_input *input);
/* Adds "nodes", "primary-hit-count" and so on to the entry of a nemesis. */
void fault_coverage_describe(const struct json *lines, const char *nemesis, struct json *object);
/* A step of the plan's schedule that was never seen in force makes the run unknown. */
void fault_coverage_judge(const struct check_input *input, const struct json *lines,
                          struct check_result *result);

#endif
