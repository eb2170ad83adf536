/* The promises of queues: their names, what breaks them, and the verdict on each. */
#ifndef ORDEAL_DELIVERY_PROMISES_H
#define ORDEAL_DELIVERY_PROMISES_H

#include "checkers/delivery/judge.h"

/* "no-loss|no-phantom|...": the choices of options that list promises. */
#define PROMISE_NAMES                                                                              \
    "no-loss|no-phantom|at-most-once|at-least-once|exactly-once|no-redelivery-after-ack|"          \
    "exclusive-lease|delay|ttl|retry|redelivery-count|order|no-stuck|dead-letter|fencing|"         \
    "unique-key"

struct promise {
    const char *name;
    uint32_t broken_by;  /* bits by enum finding_kind */
    enum tested tested;  /* what must have been there for it to be tested at all */
    const char *nothing; /* "no message was delayed" */
    bool needs_times;
    bool needs_end;      /* whether anything is missing matters */
    bool needs_progress; /* whether everything came in time matters */
};
extern const struct promise promises[]; /* ends with .name == NULL */

/* The verdict, with the reason in words. `*tested` tells whether it was put to the test. */
enum verdict promise_judge(const struct judge *judge, const struct promise *promise,
                           struct buf *reason, bool *tested);
uint64_t promise_violations(const struct judge *judge, const struct promise *promise);

#endif
