/* An agent and a directory that may get a disk of its own, in a mount namespace of the test's own.
 */
#ifndef ORDEAL_TESTS_AGENT_DISK_H
#define ORDEAL_TESTS_AGENT_DISK_H

#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/lib/agent_process.h"

struct disk_fixture {
    struct agent_process agent;
    char directory[200], path[256], field[280];
    const char *kind; /* a field of disk-give */
};

static inline int disk_begin(void **state, const char *kind)
{
    static struct disk_fixture fixture;
    fixture = (struct disk_fixture){.agent = {.network = -1}, .kind = kind};
    *state = &fixture;
    if (geteuid() != 0)
        return 0;
    agent_make_directory(fixture.directory, sizeof fixture.directory);
    snprintf(fixture.path, sizeof fixture.path, "/var/lib/ordeal-disk-test-%d", (int)getpid());
    snprintf(fixture.field, sizeof fixture.field, "path=%s", fixture.path);
    agent_serve(&fixture.agent, fixture.directory, "--firewall", "none");
    return 0;
}

static inline int disk_finish(void **state)
{
    struct disk_fixture *fixture = *state;
    int status = geteuid() != 0 || fixture->agent.pid == 0 ? 0 : agent_end(&fixture->agent);
    rmdir(fixture->path);
    return status == 0 ? 0 : -1;
}

#define need_root()                                                                                \
    do {                                                                                           \
        if (geteuid() != 0)                                                                        \
            test_skip("needs root");                                                               \
    } while (0)

static inline const char *disk_in(const struct disk_fixture *fixture, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", fixture->path, name);
    return path;
}

/* The directory, too: what was made in it is there for ever. */
static inline void disk_sync_directory(const struct disk_fixture *fixture)
{
    int fd = open(fixture->path, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

static inline void disk_put(const struct disk_fixture *fixture, const char *name, const char *text,
                            bool sync)
{
    int fd = open(disk_in(fixture, name), O_WRONLY | O_CREAT | O_APPEND, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    if (sync)
        assert_int_equal(fsync(fd), 0);
    close(fd);
}

static inline ssize_t disk_size_of(const struct disk_fixture *fixture, const char *name)
{
    struct stat status;
    return stat(disk_in(fixture, name), &status) == 0 ? status.st_size : -1;
}

static inline bool disk_is_mount(const char *path)
{
    char line[1024];
    bool found = false;
    FILE *mounts = fopen("/proc/self/mounts", "r");
    assert_non_null(mounts);
    while (fgets(line, sizeof line, mounts) != NULL)
        found = found || strstr(line, path) != NULL;
    fclose(mounts);
    return found;
}

static inline const char *disk_get(const struct line *line, const char *key)
{
    const char *value = line_get(line, key);
    return value == NULL ? "" : value;
}

/* And what agents keep is this test's own. */
static inline void disk_own_mounts(void)
{
    if (geteuid() != 0)
        return;
    mkdir("/var/lib/ordeal", 0755);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/var/lib/ordeal", "tmpfs", 0, NULL) != 0) {
        perror("a mount namespace of its own");
        exit(1);
    }
}

#endif
