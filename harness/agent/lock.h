/* One agent per run directory: a lock that dies with its holder, and who that is. */
#ifndef ORDEAL_AGENT_LOCK_H
#define ORDEAL_AGENT_LOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "harness/base/err.h"

struct agentd_holder {
    char owner[256], since[40];
    pid_t pid, guardian; /* the serving process and its parent; 0 when not told */
    uint64_t pid_start, guardian_start;
};

enum agentd_lock { AGENTD_LOCK_TAKEN, AGENTD_LOCK_HELD, AGENTD_LOCK_FAILED };

/* Never waits. The lock lives in *fd and in what is forked from this process. */
enum agentd_lock agentd_lock_take(const char *run_dir, int *fd, struct err *err);
/* Writes who holds it: this process, with that guardian. */
void agentd_lock_sign(int fd, const char *owner, pid_t guardian);
/* What is written there, whether or not it still holds; zeroes when nothing is. */
void agentd_lock_read(const char *run_dir, struct agentd_holder *holder);

#endif
