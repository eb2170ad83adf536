/* Finding, copying and changing files: see damage_files.h. */
#include "harness/agent/damage_files.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 64 << 10, DESCRIPTORS = 16 };

/* ---- Finding: nftw has no state of its own ---- */

static struct {
    const char *files;
    size_t root; /* length of the directory's path */
    bool (*each)(void *state, const char *file);
    void *state;
} walk;

static int look_at(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    if (kind != FTW_F || !S_ISREG(status->st_mode) || status->st_size == 0)
        return 0;
    bool whole = strchr(walk.files, '/') != NULL;
    const char *name = whole ? path + walk.root + 1 : path + where->base;
    if (fnmatch(walk.files, name, whole ? FNM_PATHNAME : 0) != 0)
        return 0;
    return walk.each(walk.state, path) ? 0 : 1;
}

bool agentd_files_each(const char *path, const char *files,
                       bool (*each)(void *state, const char *file), void *state)
{
    walk.files = files;
    walk.root = strlen(path);
    walk.each = each;
    walk.state = state;
    return nftw(path, look_at, DESCRIPTORS, FTW_PHYS | FTW_MOUNT) == 0;
}

struct newest {
    struct timespec changed;
    char *found;
};

static bool keep_newest(void *state, const char *file)
{
    struct newest *newest = state;
    struct stat status;
    if (strlen(file) >= 4096 || stat(file, &status) != 0)
        return true;
    struct timespec at = status.st_mtim;
    if (at.tv_sec > newest->changed.tv_sec ||
        (at.tv_sec == newest->changed.tv_sec && at.tv_nsec >= newest->changed.tv_nsec)) {
        newest->changed = at;
        strcpy(newest->found, file);
    }
    return true;
}

bool agentd_files_newest(const char *path, const char *files, char found[4096])
{
    struct newest newest = {.found = found};
    found[0] = '\0';
    (void)agentd_files_each(path, files, keep_newest, &newest);
    return found[0] != '\0';
}

/* ---- Bytes ---- */

enum err_code agentd_files_read(const char *file, off_t offset, void *bytes, size_t length,
                                struct err *err)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? -1 : pread(fd, bytes, length, offset);
    int failure = count < 0 ? errno : EIO;
    if (fd >= 0)
        close(fd);
    return count == (ssize_t)length ? ERR_NONE : err_errno(err, failure, "cannot read %s", file);
}

enum err_code agentd_files_write(const char *file, off_t offset, const void *bytes, size_t length,
                                 struct err *err)
{
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && pwrite(fd, bytes, length, offset) == (ssize_t)length && fsync(fd) == 0;
    int failure = errno;
    if (fd >= 0)
        close(fd);
    return good ? ERR_NONE : err_errno(err, failure, "cannot write %s", file);
}

static bool is_zero(const char *bytes, size_t length)
{
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* 0, or an errno. */
static int copy_pieces(int source, off_t offset, int target)
{
    static char bytes[PIECE];
    struct stat status;
    size_t kept = 0;
    ssize_t count;
    if (fstat(source, &status) != 0 || ftruncate(target, status.st_size) != 0)
        return errno;
    while ((count = pread(source, bytes, sizeof bytes, offset)) > 0) {
        if (!is_zero(bytes, (size_t)count)) {
            kept += (size_t)count;
            if (kept > DAMAGE_KEPT_BYTES_MAX)
                return EFBIG;
            ssize_t written = pwrite(target, bytes, (size_t)count, offset);
            if (written != count)
                return written < 0 ? errno : ENOSPC;
        }
        offset += count;
    }
    return count < 0 || fsync(target) != 0 ? errno : 0;
}

enum err_code agentd_files_copy(const char *source, off_t offset, const char *target, bool anew,
                                struct err *err)
{
    int from = open(source, O_RDONLY | O_CLOEXEC);
    int to =
        from < 0 ? -1 : open(target, O_WRONLY | O_CREAT | O_CLOEXEC | (anew ? O_TRUNC : 0), 0600);
    int failure = to < 0 ? errno : copy_pieces(from, offset, to);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return failure == 0 ? ERR_NONE : err_errno(err, failure, "cannot copy %s", source);
}

enum err_code agentd_files_sync_names(const char *file, struct err *err)
{
    char directory[4096];
    snprintf(directory, sizeof directory, "%s", file);
    *strrchr(directory, '/') = '\0';
    int fd = open(directory[0] == '\0' ? "/" : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    int failure = errno;
    if (fd >= 0)
        close(fd);
    return good ? ERR_NONE : err_errno(err, failure, "cannot sync %s", directory);
}

/* ---- Places ---- */

/* Counts the bytes that are not 0; the `wanted`th of them (from 0) goes to *at, and the end behind
 * the last to *end. */
static int64_t survey(const char *file, int64_t wanted, off_t *at, off_t *end)
{
    static char bytes[PIECE];
    int64_t seen = 0;
    off_t offset = 0;
    ssize_t count;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    while ((count = pread(fd, bytes, sizeof bytes, offset)) > 0) {
        for (ssize_t i = 0; i < count && !is_zero(bytes, (size_t)count); i++) {
            if (bytes[i] == 0)
                continue;
            if (seen++ == wanted)
                *at = offset + i;
            *end = offset + i + 1;
        }
        offset += count;
    }
    close(fd);
    return count < 0 ? -1 : seen;
}

off_t agentd_files_end(const char *file)
{
    off_t at = -1, end = 0;
    return survey(file, -1, &at, &end) < 0 ? -1 : end;
}

off_t agentd_files_place(const char *file, int64_t place)
{
    off_t at = -1, end = 0;
    int64_t all = survey(file, -1, &at, &end);
    if (all <= 0)
        return -1;
    int64_t wanted = all * place / 1000;
    (void)survey(file, wanted < all ? wanted : all - 1, &at, &end);
    return at;
}
