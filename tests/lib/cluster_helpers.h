/* What the local cluster's tests share. */
#ifndef ORDEAL_TESTS_CLUSTER_HELPERS_H
#define ORDEAL_TESTS_CLUSTER_HELPERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "harness/base/buf.h"

enum { HELPER_ARGUMENTS_MAX = 24 };

/* Runs `ordeal local` with these arguments (NULL at the end) in a child; its standard output and
 * error are added to `output`. Returns the exit status, -1 when a signal ended it. */
int helper_local(struct buf *output, const char *const *arguments);

/* Waits until the condition holds, at most ten seconds; returns whether it does. */
bool helper_wait(bool (*condition)(const void *), const void *argument);

/* How many live processes have this namespace ("pid", "net", "mnt"), or how many live processes'
 * command lines begin with `text`. Zombies do not count. */
int helper_count_in_namespace(const char *kind, ino_t inode);
int helper_count_commands(const char *text);
ino_t helper_namespace(pid_t pid, const char *kind);

/* Whether /proc/mounts of this process has the text. */
bool helper_mounted(const char *text);

#endif
