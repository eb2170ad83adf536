/* Names and attributes of the strict file system. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "harness/agent/strict_fs_internal.h"

/* ---- Names ---- */

int strict_fs_look_up(struct strict_file *directory, const char *name,
                      struct fuse_entry_param *entry)
{
    int fd = openat(directory->path_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct strict_file *file = fd < 0 ? NULL : strict_file_get(&strict_fs.undo, fd);
    if (file == NULL)
        return errno;
    *entry = (struct fuse_entry_param){.ino = (uintptr_t)file,
                                       .attr_timeout = strict_fs_known_s,
                                       .entry_timeout = strict_fs_known_s};
    return fstatat(file->path_fd, "", &entry->attr, AT_EMPTY_PATH) == 0 ? 0 : errno;
}

static void reply_entry(fuse_req_t request, struct strict_file *directory, const char *name)
{
    struct fuse_entry_param entry;
    int failure = strict_fs_look_up(directory, name, &entry);
    if (failure != 0)
        fuse_reply_err(request, failure);
    else
        fuse_reply_entry(request, &entry);
}

void strict_fs_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    if (!strict_fs_refuses(request))
        reply_entry(request, strict_fs_file(parent), name);
}

void strict_fs_forget(fuse_req_t request, fuse_ino_t number, uint64_t count)
{
    if (number != FUSE_ROOT_ID)
        strict_file_release(&strict_fs.undo, strict_fs_file(number), count);
    fuse_reply_none(request);
}

/* Belongs to who asked for it, and is remembered as made. */
void strict_fs_made(fuse_req_t request, struct strict_file *directory, const char *name)
{
    const struct fuse_ctx *who = fuse_req_ctx(request);
    (void)!fchownat(directory->path_fd, name, who->uid, who->gid, AT_SYMLINK_NOFOLLOW);
    strict_made(&strict_fs.undo, directory, name);
}

/* `result` is that of the call that made it, with its errno. */
static void reply_made(fuse_req_t request, struct strict_file *directory, const char *name,
                       int result)
{
    if (result != 0) {
        fuse_reply_err(request, errno);
        return;
    }
    strict_fs_made(request, directory, name);
    reply_entry(request, directory, name);
}

void strict_fs_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                     dev_t device)
{
    struct strict_file *directory = strict_fs_file(parent);
    if (!strict_fs_refuses(request))
        reply_made(request, directory, name, mknodat(directory->path_fd, name, mode, device));
}

void strict_fs_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct strict_file *directory = strict_fs_file(parent);
    if (!strict_fs_refuses(request))
        reply_made(request, directory, name, mkdirat(directory->path_fd, name, mode));
}

void strict_fs_symlink(fuse_req_t request, const char *to, fuse_ino_t parent, const char *name)
{
    struct strict_file *directory = strict_fs_file(parent);
    if (!strict_fs_refuses(request))
        reply_made(request, directory, name, symlinkat(to, directory->path_fd, name));
}

void strict_fs_link(fuse_req_t request, fuse_ino_t number, fuse_ino_t parent, const char *name)
{
    struct strict_file *directory = strict_fs_file(parent);
    char path[STRICT_PATH_BYTES];
    if (strict_fs_refuses(request))
        return;
    strict_file_path(strict_fs_file(number), path);
    if (linkat(AT_FDCWD, path, directory->path_fd, name, AT_SYMLINK_FOLLOW) != 0) {
        fuse_reply_err(request, errno);
        return;
    }
    strict_made(&strict_fs.undo, directory, name);
    reply_entry(request, directory, name);
}

void strict_fs_remove(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    if (!strict_fs_refuses(request))
        fuse_reply_err(request, strict_remove(&strict_fs.undo, strict_fs_file(parent), name));
}

void strict_fs_rename(fuse_req_t request, fuse_ino_t from, const char *old_name, fuse_ino_t to,
                      const char *new_name, unsigned flags)
{
    if (strict_fs_refuses(request))
        return;
    int failure = flags & ~(unsigned)RENAME_NOREPLACE
                      ? EINVAL
                      : strict_rename(&strict_fs.undo, strict_fs_file(from), old_name,
                                      strict_fs_file(to), new_name, !(flags & RENAME_NOREPLACE));
    fuse_reply_err(request, failure);
}

void strict_fs_readlink(fuse_req_t request, fuse_ino_t number)
{
    char to[4096];
    if (strict_fs_refuses(request))
        return;
    ssize_t length = readlinkat(strict_fs_file(number)->path_fd, "", to, sizeof to - 1);
    if (length < 0) {
        fuse_reply_err(request, errno);
        return;
    }
    to[length] = '\0';
    fuse_reply_readlink(request, to);
}

/* ---- Attributes ---- */

static void reply_attributes(fuse_req_t request, const struct strict_file *file)
{
    struct stat status;
    if (fstatat(file->path_fd, "", &status, AT_EMPTY_PATH) != 0)
        fuse_reply_err(request, errno);
    else
        fuse_reply_attr(request, &status, strict_fs_known_s);
}

void strict_fs_getattr(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    (void)info;
    if (!strict_fs_refuses(request))
        reply_attributes(request, strict_fs_file(number));
}

int strict_fs_resize(struct strict_file *file, off_t size)
{
    int fd = strict_file_open(file, O_RDWR);
    if (fd < 0)
        return errno;
    int failure = strict_before_resize(file, fd, size);
    if (failure == 0 && ftruncate(fd, size) != 0)
        failure = errno;
    close(fd);
    return failure;
}

static struct timespec time_to_set(const struct stat *wanted, int to_set, bool access)
{
    int now = access ? FUSE_SET_ATTR_ATIME_NOW : FUSE_SET_ATTR_MTIME_NOW;
    int given = access ? FUSE_SET_ATTR_ATIME : FUSE_SET_ATTR_MTIME;
    if (to_set & now)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    if (to_set & given)
        return access ? wanted->st_atim : wanted->st_mtim;
    return (struct timespec){.tv_nsec = UTIME_OMIT};
}

/* Owners, modes and times last: no promise of any system that we know rests on them. */
static int set_attributes(struct strict_file *file, const struct stat *wanted, int to_set)
{
    char path[STRICT_PATH_BYTES];
    strict_file_path(file, path);
    if (to_set & FUSE_SET_ATTR_MODE && chmod(path, wanted->st_mode) != 0)
        return errno;
    uid_t user = to_set & FUSE_SET_ATTR_UID ? wanted->st_uid : (uid_t)-1;
    gid_t group = to_set & FUSE_SET_ATTR_GID ? wanted->st_gid : (gid_t)-1;
    if (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) &&
        fchownat(file->path_fd, "", user, group, AT_EMPTY_PATH) != 0)
        return errno;
    int failure = to_set & FUSE_SET_ATTR_SIZE ? strict_fs_resize(file, wanted->st_size) : 0;
    struct timespec times[2] = {time_to_set(wanted, to_set, true),
                                time_to_set(wanted, to_set, false)};
    bool times_given = times[0].tv_nsec != UTIME_OMIT || times[1].tv_nsec != UTIME_OMIT;
    if (failure == 0 && times_given && utimensat(AT_FDCWD, path, times, 0) != 0)
        failure = errno;
    return failure;
}

void strict_fs_setattr(fuse_req_t request, fuse_ino_t number, struct stat *wanted, int to_set,
                       struct fuse_file_info *info)
{
    (void)info;
    if (strict_fs_refuses(request))
        return;
    int failure = set_attributes(strict_fs_file(number), wanted, to_set);
    if (failure != 0)
        fuse_reply_err(request, failure);
    else
        reply_attributes(request, strict_fs_file(number));
}

void strict_fs_statfs(fuse_req_t request, fuse_ino_t number)
{
    struct statvfs status;
    (void)number;
    if (strict_fs_refuses(request))
        return;
    if (fstatvfs(strict_fs.root->path_fd, &status) != 0) {
        fuse_reply_err(request, errno);
        return;
    }
    uint64_t left = strict_rules_left(&strict_fs.rules) / status.f_frsize;
    status.f_bfree = left < status.f_bfree ? left : status.f_bfree;
    status.f_bavail = left < status.f_bavail ? left : status.f_bavail;
    fuse_reply_statfs(request, &status);
}
