/* Running the few programs that the local cluster needs: ip, ssh-keygen. */
#ifndef ORDEAL_CLUSTER_TOOL_H
#define ORDEAL_CLUSTER_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "harness/base/err.h"

/* What a command on a node, and the look for programs here, get as PATH. */
#define TOOL_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Finds a program in TOOL_PATH. `path` holds `size` bytes. */
bool tool_find(const char *name, char *path, size_t size);

struct tool {
    const char *name;
    pid_t pid;
    int error_fd; /* its standard error */
};
/* Starts argv[0] (found in TOOL_PATH) with `input`, at most 64 KiB, on its standard input. */
enum err_code tool_start(struct tool *tool, const char *const argv[], const char *input,
                         struct err *err) MUST_CHECK;
/* Waits for its end. ERR_IO with the beginning of its standard error when it failed. */
enum err_code tool_finish(struct tool *tool, struct err *err) MUST_CHECK;
/* Both. */
enum err_code tool_run(const char *const argv[], const char *input, struct err *err) MUST_CHECK;

#endif
