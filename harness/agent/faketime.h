/* libfaketime in the processes of a daemon: a library that is preloaded and lies about the wall
 * clock by what a file says, which it reads at every call. See clocks.h. */
#ifndef ORDEAL_AGENT_FAKETIME_H
#define ORDEAL_AGENT_FAKETIME_H

#include <stdint.h>
#include <sys/types.h>

#include "harness/base/err.h"

/* Processes that read `file` are off by this from now on. Without a rate, on purpose: given one,
 * the library also scales how long its processes wait. */
enum err_code agentd_faketime_write(const char *file, int64_t offset_ns, struct err *err);
/* The library that the process has loaded, to `library` (256 bytes); ERR_UNSUPPORTED when none, or
 * when its environment names another file. */
enum err_code agentd_faketime_find(pid_t pid, const char *file, char *library, struct err *err);
/* Runs a program under that library and compares what time it says with the true one, from outside:
 * ERR_REMOTE when it is off by something else. */
enum err_code agentd_faketime_verify(const char *library, const char *file, int64_t offset_ns,
                                     int64_t *seen_ns, struct err *err);

#endif
