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

/* A descriptor of a process's namespace ("pid", "net"). While it is open, the kernel gives the
 * namespace's number to no other. -1 when the process is gone. */
int helper_open_namespace(pid_t pid, const char *kind);
ino_t helper_namespace(pid_t pid, const char *kind);
/* How many live processes are in that namespace, or have a command line that begins with `text`.
 * Zombies do not count. */
int helper_count_in_namespace(const char *kind, int namespace_fd);
int helper_count_commands(const char *text);

/* Whether /proc/mounts of this process has the text. */
bool helper_mounted(const char *text);

#endif
