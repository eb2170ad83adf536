/* What the local cluster's tests share: see cluster_helpers.h. */
#include "tests/lib/cluster_helpers.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/cli/cmd_local.h"
#include "harness/cluster/process.h"

int helper_local(struct buf *output, const char *const *arguments)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[HELPER_ARGUMENTS_MAX + 2] = {(char *)"local"};
        int argc = 1;
        for (; argc <= HELPER_ARGUMENTS_MAX && arguments[argc - 1] != NULL; argc++)
            argv[argc] = (char *)arguments[argc - 1];
        dup2(fds[1], STDOUT_FILENO);
        dup2(fds[1], STDERR_FILENO);
        int status = cmd_local(argc, argv);
        fflush(NULL);
        _exit(status);
    }
    close(fds[1]);
    char chunk[4096];
    ssize_t got;
    /* Should a keeper hold the pipe, this never ends: that it does not is part of the test. */
    while ((got = read(fds[0], chunk, sizeof chunk)) > 0)
        buf_add(output, chunk, (size_t)got);
    close(fds[0]);
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

bool helper_wait(bool (*condition)(const void *), const void *argument)
{
    int64_t deadline_ns = clock_monotonic_ns() + 10 * NS_PER_SECOND;
    while (!condition(argument)) {
        if (clock_monotonic_ns() > deadline_ns)
            return false;
        clock_sleep_ns(5 * NS_PER_MS);
    }
    return true;
}

ino_t helper_namespace(pid_t pid, const char *kind)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kind);
    return stat(path, &status) == 0 ? status.st_ino : 0;
}

/* Calls for each live process; returns how many said yes. */
static int count_processes(bool (*matches)(pid_t, const void *), const void *argument)
{
    int count = 0;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        struct process_id process;
        if (!isdigit((unsigned char)entry->d_name[0]) ||
            process_identify((pid_t)atoi(entry->d_name), &process, NULL) != ERR_NONE ||
            !process_alive(&process))
            continue;
        count += matches(process.pid, argument);
    }
    if (proc != NULL)
        closedir(proc);
    return count;
}

struct wanted_namespace {
    const char *kind;
    ino_t inode;
};

static bool in_namespace(pid_t pid, const void *argument)
{
    const struct wanted_namespace *wanted = argument;
    return helper_namespace(pid, wanted->kind) == wanted->inode;
}

int helper_open_namespace(pid_t pid, const char *kind)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kind);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int helper_count_in_namespace(const char *kind, int namespace_fd)
{
    struct stat status;
    if (fstat(namespace_fd, &status) != 0)
        return -1;
    const struct wanted_namespace wanted = {.kind = kind, .inode = status.st_ino};
    return count_processes(in_namespace, &wanted);
}

static bool command_begins(pid_t pid, const void *argument)
{
    char path[64];
    struct buf command = BUF_INIT;
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    bool begins = file_read(path, 1 << 20, &command, NULL) == ERR_NONE &&
                  strncmp(buf_text(&command), argument, strlen(argument)) == 0;
    buf_free(&command);
    return begins;
}

int helper_count_commands(const char *text)
{
    return count_processes(command_begins, text);
}

bool helper_mounted(const char *text)
{
    struct buf mounts = BUF_INIT;
    bool found = file_read("/proc/self/mounts", 1 << 24, &mounts, NULL) != ERR_NONE ||
                 strstr(buf_text(&mounts), text) != NULL;
    buf_free(&mounts);
    return found;
}
