/* Logs: what the log workload's two halves share. */
#ifndef ORDEAL_WORKLOADS_LOG_H
#define ORDEAL_WORKLOADS_LOG_H

#include "harness/generator.h"
#include "harness/test.h"

struct log_mix {
    uint16_t append_f, poll_f;
    int64_t logs; /* at most LOGS_MAX */
    double poll, rewind;
};
enum { LOGS_MAX = 64 };

/* {:log l :from offset} */
struct value log_poll_value(int64_t log, int64_t from, struct arena *scratch);
/* Where the next poll goes on after this one: behind its last record, or `from`. */
int64_t log_poll_next(struct value answer, int64_t from);

/* How many records a poll asks for, from 1 to 10000. */
int64_t log_records(const struct test *test);
/* What clients answer: the map that was asked with more entries behind its own. */
struct value log_extended(struct value asked, const struct value *more, size_t count,
                          struct arena *scratch);

/* log_final.c: every log from its beginning to where a poll says that it ends, through one thread
 * after the other; polls that fail are tried again for a while. */
struct generator *log_final(struct arena *arena, const struct log_mix *mix);

#endif
