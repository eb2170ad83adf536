/* The faults of a run: injected, verified, undone, and written down.
 *
 * Every fault is a pair of operations of the nemesis in the history, two lines in schedule.jsonl
 * (one as soon as it has begun, so that a run which is cut short still tells), and an entry of
 * results.json. */
#ifndef ORDEAL_FAULTS_H
#define ORDEAL_FAULTS_H

#include "harness/nemesis.h"
#include "harness/schedules/schedule.h"

struct faults;
struct scheduler;

/* Creates `path` (schedule.jsonl). */
enum err_code faults_open(struct test *test, const char *path, struct faults **faults,
                          struct err *err);
void faults_close(struct faults *faults);

/* Where the operations come from, who leads, and how busy the clients are: written down with each
 * fault. Each may be NULL; the schedule is needed for faults_do. */
struct faults_context {
    const struct schedule *schedule;
    struct watch *watch;
    struct scheduler *scheduler;
};
void faults_follow(struct faults *faults, const struct faults_context *context);

/* Does an operation of the nemesis, begin or end, by its f; on the nemesis' thread. Sets op->value
 * to what was done, and op->error to [:failed "why"] or [:not-verified "why"]. An end without a
 * fault in force sets the value :nothing-to-undo. */
void faults_do(struct faults *faults, struct op *op);

/* Ends whatever is still in force, newest first, recording each in the history. Returns the first
 * error, having tried all. */
enum err_code faults_end_all(struct faults *faults, struct scheduler *scheduler, struct err *err);

/* "partition {:shape :halves}" of what is in force; from any thread. */
void faults_print_in_force(struct faults *faults, struct buf *out);
/* The array "faults" of results.json. */
struct json *faults_json(struct faults *faults);

#endif
