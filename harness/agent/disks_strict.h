/* Disks of the strict file system (strict_fs.h), as disks.c needs them. `backing` is a directory
 * that becomes the file system's own. */
#ifndef ORDEAL_AGENT_DISKS_STRICT_H
#define ORDEAL_AGENT_DISKS_STRICT_H

#include <stdbool.h>

#include "harness/agent/strict_faults.h"

enum err_code agentd_strict_make(const char *backing, struct err *err);
enum err_code agentd_strict_mount(const char *backing, const char *mount, struct err *err);
/* 1: it hangs, or goes on, as asked; 0: it did so before; -1: cannot. */
int agentd_strict_stall(const char *backing, bool stalled);
enum err_code agentd_strict_cut(const char *backing, struct err *err);
/* Whether it answers: it is mounted, has power and does not hang. */
bool agentd_strict_serves(const char *backing);
/* Adds a rule and takes one away (NULL: none), waits until both are so, and adds to `answer` (may
 * be NULL) what STRICT_FS_ANSWER says. ERR_CONFIG when there are too many. */
enum err_code agentd_strict_rules(const char *backing, const struct strict_rule *add,
                                  const char *drop, struct buf *answer, struct err *err);
/* Takes the rule away, also when nobody serves the disk; *last: there is no other. */
enum err_code agentd_strict_rules_drop(const char *backing, const char *id, bool *last,
                                       struct err *err);
/* With all that is in it; its file system is no longer mounted. */
enum err_code agentd_strict_remove(const char *backing, struct err *err);

#endif
