/* Where a cluster keeps its things: see place.h. */
#include "harness/cluster/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "harness/base/buf.h"
#include "harness/base/clock.h"
#include "harness/base/line.h"

static const char lock_name[] = "lock", claim_name[] = "claim";

bool place_name_valid(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return length > 0 && length <= CLUSTER_NAME_MAX && name[length] == '\0';
}

/* A relative directory would mean another one to the keeper, whose working directory is "/". */
static enum err_code parent_directory(const char *variable, const char *normal, char *path,
                                      size_t size, struct err *err)
{
    const char *given = getenv(variable);
    if (given == NULL || *given == '\0')
        given = normal;
    if (*given != '/')
        return err_set(err, ERR_CONFIG, "%s=%s: give a path that begins with /", variable, given);
    if ((size_t)snprintf(path, size, "%s", given) >= size)
        return err_set(err, ERR_CONFIG, "%s: the path is longer than %zu bytes", variable,
                       size - 1);
    return ERR_NONE;
}

enum err_code place_init(struct place *place, const char *name, struct err *err)
{
    if (name == NULL)
        name = "default";
    if (!place_name_valid(name))
        return err_set(err, ERR_CONFIG,
                       "'%.40s' is not a cluster name: use 1 to %d of a-z, 0-9 and -", name,
                       CLUSTER_NAME_MAX);
    struct place made = {.name = ""};
    snprintf(made.name, sizeof made.name, "%s", name);
    enum err_code code =
        parent_directory("ORDEAL_STATE_DIR", "/run/ordeal/clusters", made.state_parent,
                         sizeof made.state_parent - CLUSTER_NAME_MAX, err);
    if (code == ERR_NONE)
        code = parent_directory("ORDEAL_DISK_DIR", "/var/lib/ordeal/clusters", made.disk_parent,
                                sizeof made.disk_parent - CLUSTER_NAME_MAX, err);
    if (code != ERR_NONE)
        return code;
    place_join(made.state_parent, name, made.state_dir);
    place_join(made.disk_parent, name, made.disk_dir);
    *place = made;
    return ERR_NONE;
}

void place_join(const char *directory, const char *file, char *path)
{
    snprintf(path, PLACE_PATH_MAX, "%.900s/%.100s", directory, file);
}

bool place_exists(const struct place *place)
{
    struct stat status;
    return lstat(place->state_dir, &status) == 0 || lstat(place->disk_dir, &status) == 0;
}

/* What was there before keeps its mode: it may be /tmp, or anything else a user named. */
static enum err_code make_one_directory(const char *path, unsigned mode, struct err *err)
{
    struct stat status;
    if (mkdir(path, 0700) == 0)
        return chmod(path, mode) == 0 /* whatever the umask */
                   ? ERR_NONE
                   : err_errno(err, errno, "set the mode of %s", path);
    if (errno == EEXIST && stat(path, &status) == 0)
        return S_ISDIR(status.st_mode) ? ERR_NONE
                                       : err_errno(err, ENOTDIR, "make directory %s", path);
    return err_errno(err, errno, "make directory %s", path);
}

enum err_code place_make_directory(const char *path, unsigned mode, struct err *err)
{
    char partial[PLACE_PATH_MAX];
    snprintf(partial, sizeof partial, "%s", path);
    for (char *slash = strchr(partial + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        enum err_code code = make_one_directory(partial, 0755, err);
        if (code != ERR_NONE)
            return code;
        *slash = '/';
    }
    return make_one_directory(path, mode, err);
}

/* ---- Files ---- */

static bool write_all(int fd, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t written = write(fd, text, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        text += written;
        left -= (size_t)written;
    }
    return true;
}

enum err_code place_write_file(const char *path, const char *text, unsigned mode, struct err *err)
{
    char aside[PLACE_PATH_MAX + 8];
    snprintf(aside, sizeof aside, "%s.new", path);
    unlink(aside);
    int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return err_errno(err, errno, "write %s", path);
    bool written = fchmod(fd, mode) == 0 && write_all(fd, text);
    int error = errno;
    if (close(fd) != 0 && written) {
        written = false;
        error = errno;
    }
    if (written && rename(aside, path) != 0) {
        written = false;
        error = errno;
    }
    if (written)
        return ERR_NONE;
    unlink(aside);
    return err_errno(err, error, "write %s", path);
}

/* ---- Removal ---- */

static enum err_code remove_entry(int parent, const char *name, struct err *err);

/* Directories are opened relative to their parents, without following links: what a node put on its
 * disk must not lead the removal out of it. */
static enum err_code remove_contents(int fd, const char *spare, struct err *err)
{
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        int error = errno;
        close(fd);
        return err_errno(err, error, "read directory");
    }
    enum err_code code = ERR_NONE;
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (spare != NULL && strcmp(entry->d_name, spare) == 0))
            continue;
        enum err_code one =
            remove_entry(dirfd(directory), entry->d_name, code == ERR_NONE ? err : NULL);
        if (code == ERR_NONE)
            code = one;
    }
    closedir(directory);
    return code;
}

/* `chattr +i` on a node is a way to break a system; it must not outlive the node. */
static void clear_flags(int fd)
{
    int flags;
    if (fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 &&
        (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) != 0) {
        flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
        ioctl(fd, FS_IOC_SETFLAGS, &flags);
    }
}

static bool unlink_firmly(int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EPERM)
        return false;
    if (parent != AT_FDCWD)
        clear_flags(parent);
    int fd = openat(parent, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    clear_flags(fd);
    if (fd >= 0)
        close(fd);
    return unlinkat(parent, name, 0) == 0;
}

static enum err_code remove_entry(int parent, const char *name, struct err *err)
{
    if (unlink_firmly(parent, name))
        return ERR_NONE;
    if (errno != EISDIR)
        return err_errno(err, errno, "remove %s", name);
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
        return ERR_NONE;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "remove %s", name);
    clear_flags(fd);
    enum err_code code = remove_contents(fd, NULL, err);
    if (code != ERR_NONE)
        return code;
    if (unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return err_errno(err, errno, "remove %s", name);
    return ERR_NONE;
}

enum err_code place_remove_tree(const char *path, struct err *err)
{
    enum err_code code = remove_entry(AT_FDCWD, path, err);
    if (code != ERR_NONE)
        err_wrap(err, "clear %s", path);
    return code;
}

enum err_code place_sweep(const struct place *place, enum place_sweep_mode mode, struct err *err)
{
    enum err_code code = place_remove_tree(place->disk_dir, err);
    int fd = open(place->state_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return code;
    enum err_code state = remove_contents(fd, lock_name, code == ERR_NONE ? err : NULL);
    if (code == ERR_NONE)
        code = state;
    if (mode == PLACE_LEAVE_NOTHING && code == ERR_NONE) {
        char path[PLACE_PATH_MAX];
        place_join(place->state_dir, lock_name, path);
        unlink(path);
        rmdir(place->state_dir); /* fails when an `up` that waits made a new lock: it is theirs */
    }
    return code;
}

/* ---- Locks: "open file description" locks, which go with the descriptor and can be looked at
 * without being taken ---- */

static struct flock whole_file(short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

static bool same_file(int fd, const char *path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
           held.st_dev == named.st_dev;
}

enum err_code place_lock(const struct place *place, int wait_ms, int *lock_fd, struct err *err)
{
    char path[PLACE_PATH_MAX];
    place_join(place->state_dir, lock_name, path);
    int64_t deadline_ns = clock_monotonic_ns() + wait_ms * NS_PER_MS;
    for (;;) {
        enum err_code code = place_make_directory(place->state_parent, 0755, err);
        if (code == ERR_NONE)
            code = place_make_directory(place->state_dir, 0700, err);
        if (code != ERR_NONE)
            return code;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 && errno == ENOENT)
            continue; /* another's `down` removed the directory meanwhile */
        if (fd < 0)
            return err_errno(err, errno, "open %s", path);
        struct flock lock = whole_file(F_WRLCK);
        bool locked = fcntl(fd, F_OFD_SETLK, &lock) == 0;
        if (locked && same_file(fd, path)) { /* else it was removed before we had it */
            *lock_fd = fd;
            return ERR_NONE;
        }
        close(fd);
        if (!locked && clock_monotonic_ns() > deadline_ns)
            return err_set(err, ERR_TIMEOUT,
                           "cluster %s: another ordeal is taking it up or down; try again later",
                           place->name);
        if (!locked)
            clock_sleep_ns(5 * NS_PER_MS);
    }
}

void place_claim_holder(const struct place *place, char *holder, size_t size, pid_t *pid)
{
    holder[0] = '\0';
    char path[PLACE_PATH_MAX];
    place_join(place->state_dir, claim_name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    struct flock lock = whole_file(F_RDLCK);
    bool held = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    char text[512];
    ssize_t length = held ? read(fd, text, sizeof text) : 0;
    close(fd);
    if (!held)
        return;
    snprintf(holder, size, "another process");
    struct arena arena = ARENA_INIT;
    struct line line;
    if (length > 1 && line_parse(&arena, text, (size_t)length - 1, &line, NULL) == ERR_NONE) {
        snprintf(holder, size, "pid %" PRId64 " (%.60s, since %.20s)",
                 line_get_int(&line, "pid", 0), line_at(&line, 0), line_at(&line, 1));
        if (pid != NULL)
            *pid = (pid_t)line_get_int(&line, "pid", 0);
    }
    arena_free(&arena);
}

static void write_claim(int fd, const char *who)
{
    time_t now = (time_t)(clock_wall_ns() / NS_PER_SECOND);
    struct tm local;
    char since[16];
    strftime(since, sizeof since, "%H:%M:%S", localtime_r(&now, &local));
    struct buf text = BUF_INIT;
    line_field(&text, who);
    line_field(&text, since);
    line_key_int(&text, "pid", getpid());
    line_end(&text);
    /* The lock is the claim, the text only says whose: a full disk makes it "another process". */
    if (ftruncate(fd, 0) == 0 && !write_all(fd, text.data) && ftruncate(fd, 0) != 0)
        errno = 0;
    buf_free(&text);
}

enum err_code place_claim(const struct place *place, const char *who, int *claim_fd,
                          struct err *err)
{
    char path[PLACE_PATH_MAX], holder[128];
    place_join(place->state_dir, claim_name, path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, errno, "cluster %s: claim %s", place->name, path);
    struct flock lock = whole_file(F_WRLCK);
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
        write_claim(fd, who);
        *claim_fd = fd;
        return ERR_NONE;
    }
    int error = errno;
    close(fd);
    if (error != EAGAIN && error != EACCES)
        return err_errno(err, error, "cluster %s: lock %s", place->name, path);
    place_claim_holder(place, holder, sizeof holder, NULL);
    return err_set(err, ERR_CONFIG,
                   "cluster %s is in use by %s: wait for it, or use --cluster NAME", place->name,
                   holder[0] != '\0' ? holder : "a process that has just ended");
}
