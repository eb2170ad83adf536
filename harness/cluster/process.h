/* Processes, named by pid and start time, so that a pid that the kernel gave to somebody else is
 * never taken for ours. */
#ifndef ORDEAL_CLUSTER_PROCESS_H
#define ORDEAL_CLUSTER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "harness/base/err.h"

struct process_id {
    pid_t pid; /* 0: none */
    uint64_t start_ticks;
};

/* ERR_IO when there is no such process. */
enum err_code process_identify(pid_t pid, struct process_id *process, struct err *err) MUST_CHECK;
/* A zombie is dead. */
bool process_alive(const struct process_id *process);
/* Waits until it is dead, at most so long; true when it is. */
bool process_wait(const struct process_id *process, int wait_ms);
/* Sends the signal to it and to nobody else. */
void process_signal(const struct process_id *process, int signal);

/* What ps shows for this process: `name` (at most 15 bytes) as its name, and as its command line
 * name and detail. Takes away its environment. */
void process_rename(const char *name, const char *detail);
/* Closes every descriptor but 0 to 2 and `kept`, which are distinct, above 2, or -1 (none). */
void process_close_others(const int *kept, int count);
/* Signals as a program expects them when it starts: default actions, nothing blocked. */
void process_reset_signals(void);
/* How ready the kernel should be to kill this process when memory runs out, -1000 (never) to 1000.
 * Inherited. */
void process_set_oom_score(int score);

#endif
