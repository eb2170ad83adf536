/* Limits of processes that run already (prlimit): of memory, and of file descriptors. Only the
 * soft limit is touched. */
#ifndef ORDEAL_AGENT_LIMITS_RLIMIT_H
#define ORDEAL_AGENT_LIMITS_RLIMIT_H

#include "harness/agent/process.h"
#include "harness/base/line.h"

enum agentd_rlimit { AGENTD_RLIMIT_FILES, AGENTD_RLIMIT_MEMORY };

/* Which processes, and the limits that they have now. */
void agentd_rlimit_add_keys(enum agentd_rlimit what, const struct agentd_selector *selector,
                            const struct agentd_processes *processes, struct buf *text);
/* Each may have `more` descriptors, or MiB of address space, than it has now. Read back. */
enum err_code agentd_rlimit_set(enum agentd_rlimit what, const struct agentd_processes *processes,
                                int64_t more, struct err *err);
/* "n of m descriptors in use". */
void agentd_rlimit_tell(const struct line *line, struct buf *text);
/* Puts back what add_keys wrote down, and gives that of the first to processes of the session that
 * were forked since. */
enum err_code agentd_rlimit_undo(const struct line *line, struct err *err);

#endif
