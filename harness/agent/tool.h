/* Running a short command of the node (iptables-restore) to its end. */
#ifndef ORDEAL_AGENT_TOOL_H
#define ORDEAL_AGENT_TOOL_H

#include "harness/base/buf.h"

/* Signals at their defaults and none blocked: what a program expects of whoever starts it. */
void agentd_reset_signals(void);

/* Finds `name` in the usual system directories; false when it is in none. `path` holds `size`. */
bool agentd_tool_find(const char *name, char *path, size_t size);

enum agentd_tool_place { TOOL_HERE, TOOL_IN_NEW_NETWORK /* of its own, which ends with it */ };

/* Runs argv[0] (a path) with `input` on its standard input, and adds its standard output to
 * `output` (NULL: dropped). ERR_REMOTE with its last words when it exits with another status than
 * 0, ERR_TIMEOUT after 10 s (it is killed). Blocks the caller. */
enum err_code agentd_tool_run(const char *const *argv, const char *input, struct buf *output,
                              struct err *err);
enum err_code agentd_tool_run_in(enum agentd_tool_place place, const char *const *argv,
                                 const char *input, struct buf *output, struct err *err);

#endif
