/* How many messages waited when, and for how long the oldest of them.
 *
 * A message certainly waits from when its enqueue came back as accepted (later by its delay) until
 * the first moment at which it may have ended or expired. So both figures are lower bounds. It
 * waits also while it is handed out and not acknowledged yet. */
#ifndef ORDEAL_DELIVERY_BACKLOG_H
#define ORDEAL_DELIVERY_BACKLOG_H

#include "checkers/durations.h"
#include "harness/base/json.h"

enum { BACKLOG_STEPS = 200, BACKLOG_MOMENTS = BACKLOG_STEPS + 1, BACKLOG_LEVELS = 8 };

struct backlog {
    struct durations ages;
    uint64_t unfinished;                 /* not ended and not expired when the history ends */
    int64_t unfinished_ns;               /* the oldest of them is so old at least */
    int64_t from_ns, to_ns;              /* the history; its moments divide it into equal steps */
    int64_t change[BACKLOG_MOMENTS + 1]; /* of the depth, at each moment */
    /* [level][k]: the earliest that began to wait, of those that waited at all of the 2^level
     * moments from k on; 0 for none, else + 1 */
    uint64_t since[BACKLOG_LEVELS][BACKLOG_MOMENTS];
};

/* `backlog` is zeroed; times are of the history, in ns, `from_ns` >= 0. */
void backlog_begin(struct backlog *backlog, int64_t from_ns, int64_t to_ns);
/* A message waits from `ready_ns` (included) until `finished_ns` (not); INT64_MAX: to the end. */
void backlog_add(struct backlog *backlog, int64_t ready_ns, int64_t finished_ns);
/* Once, when all are added: it folds the tables. */
void backlog_describe(struct backlog *backlog, struct json *object);

#endif
