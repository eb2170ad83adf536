/* Control groups: see groups.h. */
#include "harness/agent/groups.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/crc32c.h"
#include "harness/base/text.h"

#define REMOVE_NS_MAX (3 * NS_PER_SECOND)

enum { FILE_BYTES_MAX = 1 << 20, FINE_PERCENT = 5, FINE_PERIOD_US = 20000, PERIOD_US = 100000 };

static const char *const names[] = {"cpu", "memory"};

/* ---- Files ---- */

/* Leaves errno as it was when it failed: the caller may make an exception of it. */
static enum err_code write_text(const char *directory, const char *name, const char *text,
                                struct err *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return err_set(err, ERR_IO, "the path of a control group is too long");
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    int failure = errno;
    if (fd >= 0)
        close(fd);
    enum err_code code =
        good ? ERR_NONE : err_errno(err, failure, "cannot write '%s' to %s", text, path);
    errno = failure;
    return code;
}

/* Empty when it cannot be read. */
static void read_text(const char *directory, const char *name, struct buf *text)
{
    char path[PATH_MAX];
    buf_clear(text);
    if (snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path)
        (void)!file_read(path, FILE_BYTES_MAX, text, NULL);
}

static bool exists(const char *directory, const char *name)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path &&
           access(path, F_OK) == 0;
}

int64_t agentd_group_number(const struct agentd_group *group, const char *file, const char *key)
{
    struct buf text = BUF_INIT;
    read_text(group->directory, file, &text);
    int64_t number = -1;
    size_t length = strlen(key);
    for (const char *line = buf_text(&text); *line != '\0'; line += *line == '\n') {
        if (length == 0 && *line >= '0' && *line <= '9')
            number = strtoll(line, NULL, 10);
        else if (strncmp(line, key, length) == 0 && line[length] == ' ')
            number = strtoll(line + length + 1, NULL, 10);
        line += strcspn(line, "\n");
    }
    buf_free(&text);
    return number;
}

/* ---- Where ---- */

static bool list_has(const char *list, const char *name, char separator)
{
    size_t length = strlen(name);
    for (const char *at = list; at != NULL; at = strchr(at, separator)) {
        at += *at == separator;
        if (strncmp(at, name, length) == 0 &&
            (at[length] == '\0' || at[length] == separator || at[length] == '\n'))
            return true;
    }
    return false;
}

/* From /proc/PID/cgroup: lines of "NUMBER:CONTROLLERS:PATH", where 0 and none is version 2. */
static bool find_path(pid_t pid, const char *controller, int *version, char *controllers,
                      char *path)
{
    char file[64], line[PATH_MAX + 256];
    snprintf(file, sizeof file, "/proc/%d/cgroup", (int)pid);
    FILE *lines = fopen(file, "re");
    *version = 0;
    while (lines != NULL && *version != 1 && fgets(line, sizeof line, lines) != NULL) {
        char *list = strchr(line, ':'), *where = list != NULL ? strchr(list + 1, ':') : NULL;
        if (where == NULL)
            continue;
        *where++ = '\0';
        list++;
        where[strcspn(where, "\n")] = '\0';
        if (list_has(list, controller, ','))
            *version = 1;
        else if (*list == '\0' && line[0] == '0')
            *version = 2;
        else
            continue;
        snprintf(controllers, 256, "%s", list);
        snprintf(path, PATH_MAX, "%s", where);
    }
    if (lines != NULL)
        fclose(lines);
    return *version != 0;
}

/* The mount point of the hierarchy, and which of its directories is mounted there. */
static bool find_mount(int version, const char *controller, const char *run_dir, char *point,
                       char *root)
{
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    while (mounts != NULL && !found && getline(&line, &size, mounts) > 0) {
        char type[64], options[512];
        const char *dash = strstr(line, " - ");
        if (dash == NULL || sscanf(line, "%*s %*s %*s %4000s %4000s", root, point) != 2 ||
            sscanf(dash, " - %63s %*s %511s", type, options) != 2 ||
            text_starts(point, run_dir)) /* another fault's own, which goes with it */
            continue;
        found = version == 2 ? strcmp(type, "cgroup2") == 0
                             : strcmp(type, "cgroup") == 0 && list_has(options, controller, ',');
    }
    free(line);
    if (mounts != NULL)
        fclose(mounts);
    return found;
}

/* A mount of our own, below the run directory. */
static enum err_code mount_own(struct agentd_group *group, const char *controllers, const char *id,
                               const char *run_dir, struct err *err)
{
    snprintf(group->mount, sizeof group->mount, "%.3000s/cgroup-%08x", run_dir,
             crc32c(0, id, strlen(id)));
    if (mkdir(group->mount, 0700) != 0 && errno != EEXIST)
        return err_errno(err, errno, "cannot make %s", group->mount);
    int result = group->version == 2 ? mount("none", group->mount, "cgroup2", 0, NULL)
                                     : mount("none", group->mount, "cgroup", 0, controllers);
    if (result == 0)
        return ERR_NONE;
    int failure = errno;
    rmdir(group->mount);
    group->mount[0] = '\0';
    return err_set(err, ERR_UNSUPPORTED, "control groups are not mounted and cannot be: %s",
                   strerror(failure));
}

/* Turns the controller on for groups below the root, where it is off. */
static enum err_code enable(struct agentd_group *group, const char *parent, struct err *err)
{
    const char *name = names[group->controller];
    struct buf text = BUF_INIT;
    read_text(parent, "cgroup.controllers", &text);
    bool there = list_has(buf_text(&text), name, ' ');
    read_text(parent, "cgroup.subtree_control", &text);
    bool on = list_has(buf_text(&text), name, ' ');
    buf_free(&text);
    if (!there)
        return err_set(err, ERR_UNSUPPORTED, "the kernel has no control groups for %s here", name);
    if (on)
        return ERR_NONE;
    char switch_on[32];
    snprintf(switch_on, sizeof switch_on, "+%s", name);
    struct err why = ERR_INIT;
    if (write_text(parent, "cgroup.subtree_control", switch_on, &why) != ERR_NONE)
        return err_set(err, ERR_UNSUPPORTED, "control groups for %s cannot be made here: %s", name,
                       why.message);
    group->enabled = true;
    return ERR_NONE;
}

/* Nodes of a local cluster share the hierarchy, so that the name holds the pid namespace. The
 * cluster's keeper knows it, and removes the groups of nodes that died. */
static void name_group(struct agentd_group *group, const char *parent, const char *id)
{
    struct stat status = {.st_ino = 0};
    if (stat("/proc/self/ns/pid", &status) != 0)
        status.st_ino = 0;
    snprintf(group->directory, sizeof group->directory, "%.3800s/ordeal-%ju-%08x", parent,
             (uintmax_t)status.st_ino, crc32c(0, id, strlen(id)));
}

enum err_code agentd_group_locate(struct agentd_group *group, enum agentd_controller controller,
                                  pid_t pid, const char *id, const char *run_dir, struct err *err)
{
    const char *name = names[controller];
    char controllers[256], path[PATH_MAX], point[PATH_MAX], root[PATH_MAX];
    *group = (struct agentd_group){.controller = controller};
    if (!find_path(pid, name, &group->version, controllers, path))
        return err_set(err, ERR_UNSUPPORTED, "this kernel has no control groups for %s", name);
    if (!find_mount(group->version, name, run_dir, point, root)) {
        enum err_code code = mount_own(group, controllers, id, run_dir, err);
        if (code != ERR_NONE)
            return code;
        snprintf(point, sizeof point, "%s", group->mount);
        strcpy(root, "/");
    }
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    enum err_code code = ERR_NONE;
    if (strncmp(path, "/..", 3) == 0 || strncmp(path, root, length) != 0)
        code = err_set(err, ERR_UNSUPPORTED,
                       "the control group of the process, %.200s, is out of reach", path);
    snprintf(group->home, sizeof group->home, "%.2000s%.2000s", point, path + length);
    const char *parent = group->version == 2 ? point : group->home;
    if (code == ERR_NONE && group->version == 2)
        code = enable(group, parent, err);
    if (code != ERR_NONE) {
        agentd_group_release(group);
        return code;
    }
    name_group(group, parent, id);
    return ERR_NONE;
}

void agentd_group_release(const struct agentd_group *group)
{
    char parent[PATH_MAX], switch_off[32];
    snprintf(parent, sizeof parent, "%s", group->directory);
    char *slash = strrchr(parent, '/');
    if (group->enabled && slash != NULL) {
        *slash = '\0';
        snprintf(switch_off, sizeof switch_off, "-%s", names[group->controller]);
        /* Somebody else may have come to need it. */
        (void)!write_text(parent, "cgroup.subtree_control", switch_off, NULL);
    }
    if (group->mount[0] == '\0')
        return;
    umount2(group->mount, MNT_DETACH);
    rmdir(group->mount);
}

/* ---- The journal's keys ---- */

void agentd_group_add_keys(const struct agentd_group *group, struct buf *text)
{
    line_key(text, "controller", names[group->controller]);
    line_key_int(text, "version", group->version);
    line_key(text, "path", group->directory);
    line_key(text, "home", group->home);
    line_key(text, "mount", group->mount);
    line_key_int(text, "enabled", group->enabled);
}

enum err_code agentd_group_read_keys(const struct line *line, struct agentd_group *group,
                                     struct err *err)
{
    const char *controller = line_get(line, "controller"), *path = line_get(line, "path"),
               *home = line_get(line, "home"), *own = line_get(line, "mount");
    if (controller == NULL || path == NULL || home == NULL || own == NULL ||
        strstr(path, "/ordeal-") == NULL)
        return err_set(err, ERR_PARSE, "a control group without its path");
    *group = (struct agentd_group){.version = (int)line_get_int(line, "version", 1),
                                   .enabled = line_get_int(line, "enabled", 0) != 0};
    group->controller =
        strcmp(controller, "cpu") == 0 ? AGENTD_CONTROLLER_CPU : AGENTD_CONTROLLER_MEMORY;
    snprintf(group->directory, sizeof group->directory, "%s", path);
    snprintf(group->home, sizeof group->home, "%s", home);
    snprintf(group->mount, sizeof group->mount, "%s", own);
    return ERR_NONE;
}

/* ---- Making ---- */

/* Short periods, so that a slow process is slow rather than now and then paused, as long as its
 * share of one is not below the millisecond that the kernel wants. */
static enum err_code set_cpu(const struct agentd_group *group, int64_t percent, struct err *err)
{
    char quota[64], period[32];
    int64_t period_us = percent >= FINE_PERCENT ? FINE_PERIOD_US : PERIOD_US;
    int64_t quota_us = percent * period_us / 100;
    snprintf(period, sizeof period, "%" PRId64, period_us);
    if (group->version == 2) {
        snprintf(quota, sizeof quota, "%" PRId64 " %" PRId64, quota_us, period_us);
        return write_text(group->directory, "cpu.max", quota, err);
    }
    snprintf(quota, sizeof quota, "%" PRId64, quota_us);
    enum err_code code = write_text(group->directory, "cpu.cfs_period_us", period, err);
    if (code == ERR_NONE)
        code = write_text(group->directory, "cpu.cfs_quota_us", quota, err);
    if (code == ERR_NONE && agentd_group_number(group, "cpu.cfs_quota_us", "") != quota_us)
        code = err_set(err, ERR_REMOTE, "the kernel does not keep a quota of %s us", quota);
    return code;
}

/* Not the kernel's word for a limit, which it rounds to pages, but near it. */
static enum err_code set_memory(const struct agentd_group *group, int64_t bytes, struct err *err)
{
    bool second = group->version == 2;
    const char *file = second ? "memory.max" : "memory.limit_in_bytes";
    const char *with_swap = second ? "memory.swap.max" : "memory.memsw.limit_in_bytes";
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, bytes);
    enum err_code code = write_text(group->directory, file, text, err);
    if (code == ERR_NONE && exists(group->directory, with_swap))
        code = write_text(group->directory, with_swap, second ? "0" : text, err);
    int64_t kept = agentd_group_number(group, file, "");
    if (code == ERR_NONE && (kept < bytes - (1 << 20) || kept > bytes + (1 << 20)))
        code = err_set(err, ERR_REMOTE, "the kernel keeps a limit of %" PRId64 " bytes, not %s",
                       kept, text);
    return code;
}

enum err_code agentd_group_make(struct agentd_group *group, int64_t value, struct err *err)
{
    if (mkdir(group->directory, 0755) != 0 && errno != EEXIST)
        return err_set(err, ERR_UNSUPPORTED, "a control group cannot be made: %s: %s",
                       group->directory, strerror(errno));
    return group->controller == AGENTD_CONTROLLER_CPU ? set_cpu(group, value, err)
                                                      : set_memory(group, value, err);
}

static enum err_code move_to(const char *directory, pid_t pid, struct err *err)
{
    char text[16];
    struct err why = ERR_INIT;
    snprintf(text, sizeof text, "%d", (int)pid);
    if (write_text(directory, "cgroup.procs", text, &why) == ERR_NONE || errno == ESRCH)
        return ERR_NONE;
    return err_set(err, why.code, "%s", why.message);
}

enum err_code agentd_group_move(const struct agentd_group *group,
                                const struct agentd_processes *processes, struct err *err)
{
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < processes->count && code == ERR_NONE; i++)
        if (!agentd_group_holds(group, processes->items[i].pid))
            code = move_to(group->directory, processes->items[i].pid, err);
    return code;
}

bool agentd_group_holds(const struct agentd_group *group, pid_t pid)
{
    int version;
    char controllers[256], path[PATH_MAX];
    const char *own = strrchr(group->directory, '/');
    if (!find_path(pid, names[group->controller], &version, controllers, path))
        return false;
    const char *last = strrchr(path, '/');
    return last != NULL && strcmp(last, own) == 0;
}

/* ---- Undoing ---- */

static void move_home(const struct agentd_group *group)
{
    struct buf text = BUF_INIT;
    read_text(group->directory, "cgroup.procs", &text);
    for (const char *line = buf_text(&text); *line != '\0'; line += *line == '\n') {
        pid_t pid = (pid_t)atoi(line);
        if (pid > 0)
            (void)!move_to(group->home, pid, NULL);
        line += strcspn(line, "\n");
    }
    buf_free(&text);
}

enum err_code agentd_group_undo(const struct agentd_group *group, struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + REMOVE_NS_MAX;
    for (;;) {
        move_home(group);
        if (rmdir(group->directory) == 0 || errno == ENOENT)
            break;
        if (clock_monotonic_ns() > deadline_ns)
            return err_errno(err, errno, "cannot remove the control group %s", group->directory);
        clock_sleep_ns(2 * NS_PER_MS);
    }
    agentd_group_release(group);
    return ERR_NONE;
}
