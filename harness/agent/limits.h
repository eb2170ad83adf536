/* Faults that take resources from processes: processor time, memory, file descriptors. See
 * PROTOCOL.md (limit-begin) for what they are and by which means.
 *
 * Kinds in the journal: "group" (groups.h), "burden" (burdens.h; with a session or members it has
 * stopped some, which are resumed) and "rlimit" (limits of processes, put back). */
#ifndef ORDEAL_AGENT_LIMITS_H
#define ORDEAL_AGENT_LIMITS_H

#include "harness/agent/faults.h"

#define AGENTD_KIND_RLIMIT "rlimit"

/* Whether entries of this kind are undone here; undoing one, in whichever process. */
bool agentd_limit_is_kind(const char *kind);
enum err_code agentd_limit_undo(const struct agentd_entry *entry, struct err *err);

/* What ordeal was doing to this daemon when it ended: "memory", "files", "cpu", "memory-hog", or
 * NULL. `pid` tells a daemon under a limit from one that was started since. */
const char *agentd_limit_on(struct agentd_faults *faults, const char *daemon, pid_t pid);
/* Whether the daemon is being stopped and resumed in turn: a pause would not last. */
bool agentd_limit_steps(struct agentd_faults *faults, const char *daemon);

#endif
