/* Control groups of dead nodes: see groups.h. */
#include "harness/cluster/groups.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"

enum { TRIES = 100 };

ino_t groups_namespace(pid_t pid)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    return stat(path, &status) == 0 ? status.st_ino : 0;
}

/* The kernel may still be counting the dead. */
static void remove_group(const char *path)
{
    for (int i = 0; i < TRIES && rmdir(path) != 0 && errno == EBUSY; i++)
        clock_sleep_ns(2 * NS_PER_MS);
}

static void sweep_directory(const char *directory, const char *prefix)
{
    DIR *entries = opendir(directory);
    struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        char path[PATH_MAX];
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
            snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) < (int)sizeof path)
            remove_group(path);
    }
    if (entries != NULL)
        closedir(entries);
}

/* Groups are below that of the keeper, which all of a node's processes begin in (version 1), or
 * below the root (version 2). */
static void sweep_mount(const char *point, const char *prefix)
{
    char line[PATH_MAX + 256], path[2 * PATH_MAX];
    sweep_directory(point, prefix);
    FILE *lines = fopen("/proc/self/cgroup", "re");
    while (lines != NULL && fgets(line, sizeof line, lines) != NULL) {
        const char *list = strchr(line, ':');
        char *own = list == NULL ? NULL : strchr(list + 1, ':');
        if (own == NULL || strcmp(own, ":/\n") == 0)
            continue;
        own[strcspn(own, "\n")] = '\0';
        snprintf(path, sizeof path, "%s%s", point, own + 1);
        sweep_directory(path, prefix);
    }
    if (lines != NULL)
        fclose(lines);
}

void groups_sweep(ino_t namespace)
{
    char line[PATH_MAX + 512], prefix[64], point[PATH_MAX], type[64];
    if (namespace == 0)
        return;
    snprintf(prefix, sizeof prefix, "ordeal-%ju-", (uintmax_t) namespace);
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    while (mounts != NULL && fgets(line, sizeof line, mounts) != NULL) {
        const char *dash = strstr(line, " - ");
        if (dash != NULL && sscanf(line, "%*s %*s %*s %*s %4000s", point) == 1 &&
            sscanf(dash, " - %63s", type) == 1 && strncmp(type, "cgroup", 6) == 0)
            sweep_mount(point, prefix);
    }
    if (mounts != NULL)
        fclose(mounts);
}
