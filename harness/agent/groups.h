/* Control groups: the kernel's limits for several processes together, version 1 and 2.
 *
 * A fault makes a group of its own and moves a daemon's processes into it; undoing it moves what is
 * there back to where the daemon was and removes the group. Where the hierarchy is not mounted, as
 * on a local cluster's nodes, it is mounted below the run directory meanwhile.
 *
 * Version 1: the group is made below the one that the daemon is in, whose limits go on holding.
 * Version 2, which allows no processes beside groups with limits: below the root of the hierarchy.
 * Memory that a process had before it was moved stays charged to where it was: a limit of memory
 * is on what the processes take from now on. */
#ifndef ORDEAL_AGENT_GROUPS_H
#define ORDEAL_AGENT_GROUPS_H

#include <limits.h>
#include <stdint.h>

#include "harness/agent/faults.h"

#define AGENTD_KIND_GROUP "group"

enum agentd_controller { AGENTD_CONTROLLER_CPU, AGENTD_CONTROLLER_MEMORY };

struct agentd_group {
    enum agentd_controller controller;
    int version;
    char directory[PATH_MAX];
    char home[PATH_MAX];  /* the directory of the group that the processes were in */
    char mount[PATH_MAX]; /* to be unmounted in the end; empty: it was mounted */
    bool enabled;         /* version 2: the controller was turned on for this */
};

/* Where a group for the processes of `pid` would be; nothing is made but the mount that looking may
 * need, which agentd_group_release takes back. ERR_UNSUPPORTED says what is missing. */
enum err_code agentd_group_locate(struct agentd_group *group, enum agentd_controller controller,
                                  pid_t pid, const char *id, const char *run_dir, struct err *err);
void agentd_group_release(const struct agentd_group *group);

/* The keys of its journal entry, and back. */
void agentd_group_add_keys(const struct agentd_group *group, struct buf *text);
enum err_code agentd_group_read_keys(const struct line *line, struct agentd_group *group,
                                     struct err *err);

/* Makes it and sets its limit, which is read back: `percent` of one processor, or `bytes`. */
enum err_code agentd_group_make(struct agentd_group *group, int64_t value, struct err *err);
/* Moves these processes there; those that are gone are no error. */
enum err_code agentd_group_move(const struct agentd_group *group,
                                const struct agentd_processes *processes, struct err *err);
bool agentd_group_holds(const struct agentd_group *group, pid_t pid);
/* A number of one of its statistics ("cpu.stat", "nr_throttled"); -1: there is none. */
int64_t agentd_group_number(const struct agentd_group *group, const char *file, const char *key);

enum err_code agentd_group_undo(const struct agentd_group *group, struct err *err);

#endif
