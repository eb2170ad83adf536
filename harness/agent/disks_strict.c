/* Strict disks: making, mounting, stalling and cutting them. */
#include "harness/agent/disks_strict.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/agent/process.h"
#include "harness/agent/strict_fs.h"
#include "harness/agent/tool.h"
#include "harness/base/clock.h"

#define STALL_NS_MAX (2 * NS_PER_SECOND)
#define CUT_NS_MAX (10 * NS_PER_SECOND)

static const char *below(const char *directory, const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", directory, name);
    return path;
}

enum err_code agentd_strict_make(const char *backing, struct err *err)
{
    static const char *const parts[] = {"", "root", "trash"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (mkdir(below(backing, parts[i], path), i == 1 ? 0755 : 0700) != 0)
            return err_errno(err, errno, "cannot make %s", path);
    return ERR_NONE;
}

enum err_code agentd_strict_mount(const char *backing, const char *mount, struct err *err)
{
    char self[PATH_MAX], path[PATH_MAX];
    unlink(below(backing, STRICT_FS_DEAD, path));
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        return err_errno(err, errno, "cannot find the agent's own program");
    self[length] = '\0';
    return agentd_tool_run((const char *const[]){self, "strict-fs", backing, mount, NULL}, NULL,
                           NULL, err);
}

/* The process that serves it; false: there is none that runs. */
static bool server_of(const char *backing, struct agentd_process *server)
{
    char path[PATH_MAX];
    int pid = 0;
    FILE *file = fopen(below(backing, STRICT_FS_PID, path), "re");
    if (file == NULL)
        return false;
    bool read = fscanf(file, "%d", &pid) == 1 && pid > 1;
    fclose(file);
    return read && agentd_process_read(pid, server) && !agentd_process_is_dead(server) &&
           strcmp(server->comm, STRICT_FS_NAME) == 0;
}

int agentd_strict_stall(const char *backing, bool stalled)
{
    char path[PATH_MAX];
    int64_t deadline_ns = clock_monotonic_ns() + STALL_NS_MAX;
    struct agentd_process server;
    below(backing, STRICT_FS_STALLED, path);
    if ((access(path, F_OK) == 0) == stalled)
        return 0;
    if (server_of(backing, &server))
        (void)!agentd_process_signal(server.pid, server.start,
                                     stalled ? STRICT_FS_STALL : STRICT_FS_GO_ON);
    while ((access(path, F_OK) == 0) != stalled) {
        if (!server_of(backing, &server)) /* who is gone does not hang */
            return !stalled && unlink(path) == 0 ? 1 : -1;
        if (clock_monotonic_ns() > deadline_ns)
            return -1;
        clock_sleep_ns(NS_PER_MS / 5);
    }
    return 1;
}

/* Whether it has no power any more; *failure: what it could not undo. */
static bool is_dead(const char *backing, int *failure)
{
    char path[PATH_MAX];
    FILE *file = fopen(below(backing, STRICT_FS_DEAD, path), "re");
    bool dead = file != NULL && fscanf(file, "%d", failure) == 1;
    if (file != NULL)
        fclose(file);
    return dead;
}

enum err_code agentd_strict_cut(const char *backing, struct err *err)
{
    int failure = 0;
    int64_t deadline_ns = clock_monotonic_ns() + CUT_NS_MAX;
    struct agentd_process server;
    if (!server_of(backing, &server) ||
        !agentd_process_signal(server.pid, server.start, STRICT_FS_CUT))
        return err_set(err, ERR_REMOTE, "nobody serves the disk of %s", backing);
    while (!is_dead(backing, &failure)) {
        if (clock_monotonic_ns() > deadline_ns)
            return err_set(err, ERR_TIMEOUT, "the disk of %s does not lose its power", backing);
        clock_sleep_ns(NS_PER_MS / 5);
    }
    return failure == 0
               ? ERR_NONE
               : err_errno(err, failure, "the disk of %s keeps what it should lose", backing);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    return remove(path);
}

enum err_code agentd_strict_remove(const char *backing, struct err *err)
{
    enum { DESCRIPTORS = 16 };
    if (nftw(backing, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0 &&
        errno != ENOENT)
        return err_errno(err, errno, "cannot remove %s", backing);
    return ERR_NONE;
}
