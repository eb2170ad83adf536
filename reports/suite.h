/* What the reports of suites share: reading a summary (ordeal-suite(5)). */
#ifndef ORDEAL_REPORTS_SUITE_H
#define ORDEAL_REPORTS_SUITE_H

#include "harness/checker.h"

/* A cell's outcome as a verdict: agreed and valid are valid; disagreed, invalid and failed are
 * invalid; the rest is unknown. */
enum verdict suite_cell_verdict(const struct json *cell);
/* The suite's, by its exit status. */
enum verdict suite_verdict(const struct json *summary);
/* "6 cells: 5 agreed, 1 disagreed; 60 runs, 1 retried because the harness failed" */
void suite_headline(const struct json *summary, struct buf *out);
/* What its runs showed, or why it is not as it should be; "" when there is nothing to tell. */
const char *suite_cell_shown(const struct json *cell);
/* "7/10": runs that show what is expected, or that are not valid where nothing is. */
void suite_cell_rate(const struct json *cell, struct buf *out);
/* "invalid: no-loss of delivery broken"; "" where nothing is expected. */
void suite_cell_expected(const struct json *cell, struct buf *out);
/* The seed that matters: the first that showed it, or the first that was not as expected; -1. */
int64_t suite_cell_seed(const struct json *cell);

/* Text of a member, "" when there is none. */
const char *suite_text(const struct json *object, const char *member);
int64_t suite_count(const struct json *object, const char *member);

#endif
