/* The scheduler: worker threads that ask a generator for operations, have clients do them, and
 * record what happened.
 *
 * One short lock guards the generator and the history; workers pull through it. (Measured against a
 * scheduler thread with mailboxes in mind: with ten workers on two processors a pull and two
 * records take well under a microsecond, and no operation waits for another thread to wake.) An
 * invocation is recorded before the client sends and a completion after it returned, each under the
 * lock with its time, so the order of events in the history is a true one. A worker whose operation
 * ended indeterminate takes a new process number. */
#ifndef ORDEAL_SCHEDULER_H
#define ORDEAL_SCHEDULER_H

#include "harness/generator.h"
#include "harness/nemesis.h"
#include "harness/workload.h"

struct scheduler;

/* What the scheduler calls; all may be NULL. */
struct scheduler_hooks {
    void *state;
    /* Every recorded event, under the lock, in order: for the history file. Must be quick. */
    void (*on_event)(void *state, const struct op *op);
    /* Does an operation of the nemesis, on its own thread, without the lock: sets op->value,
     * op->error. */
    void (*nemesis)(void *state, struct op *op);
};

struct scheduler_options {
    struct test *test;           /* history, epoch, nodes; outlives the scheduler */
    const struct client *client; /* NULL: no client threads ask */
    uint32_t concurrency;
    struct scheduler_hooks hooks;
};

struct scheduler_counts {
    uint64_t invoked, ok, fail, info;
};

enum err_code scheduler_open(const struct scheduler_options *options, struct scheduler **scheduler,
                             struct err *err);
void scheduler_close(struct scheduler *scheduler);

/* Runs one phase: all client threads and, if hooks.nemesis is set, the nemesis thread, until the
 * generator is DONE for each or scheduler_stop was called. Operations under way are awaited for
 * `grace_ns` beyond the plan's op-timeout; those of a client that hangs longer stay without
 * completion (they count as indeterminate) and their threads are abandoned, *hung counting them. */
enum err_code scheduler_run(struct scheduler *scheduler, struct generator *generator,
                            int64_t grace_ns, uint32_t *hung, struct err *err);

/* No more operations; threads asleep wake at once. From any thread, not from a signal handler. The
 * next scheduler_run starts afresh unless scheduler_stop is called again. */
void scheduler_stop(struct scheduler *scheduler);

/* Records an event from outside (daemons, faults of the final healing). From any thread. Fills
 * op->index and op->time_ns. */
void scheduler_record(struct scheduler *scheduler, struct op *op);

/* Something outside happened that generators may care about: whoever waits asks again. From any
 * thread. */
void scheduler_news(struct scheduler *scheduler);

/* Adds to `into` the next events, at most `max`, of the run's history, of which it has all up to
 * into->count: for one who reads along. Values stay the history's own; errors are left out. Returns
 * how many. From any thread. */
uint32_t scheduler_copy(struct scheduler *scheduler, struct history *into, uint32_t max);

/* Counts of client operations so far; from any thread. */
struct scheduler_counts scheduler_counts(struct scheduler *scheduler);

#endif
