/* Watches a run: the live line on a terminal, a line every ten seconds elsewhere, and whether the
 * history can still be written. A thread of its own. */
#ifndef ORDEAL_MONITOR_H
#define ORDEAL_MONITOR_H

#include "harness/faults.h"
#include "harness/histories/history_file.h"
#include "harness/log.h"
#include "harness/scheduler.h"

struct monitor;
struct monitor_options {
    struct test *test;
    struct log *log;
    struct scheduler *scheduler;
    struct faults *faults;
    struct history_writer *writer;
    void (*on_problem)(void *state, const char *why); /* the history cannot be written any more */
    void *state;
};

enum err_code monitor_start(const struct monitor_options *options, struct monitor **monitor,
                            struct err *err);
void monitor_stop(struct monitor *monitor); /* NULL is fine */

#endif
