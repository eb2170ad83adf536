/* Open files and directories of the strict file system. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/agent/strict_fs_internal.h"

/* What is overwritten is read before, and the kernel says where an append goes. */
static int backing_flags(int flags)
{
    int access = (flags & O_ACCMODE) == O_RDONLY ? O_RDONLY : O_RDWR;
    return (flags & ~(O_ACCMODE | O_APPEND | O_TRUNC | O_CREAT | O_EXCL | O_DIRECT)) | access;
}

void strict_fs_open(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    struct strict_file *file = strict_fs_file(number);
    if (strict_fs_refuses(request))
        return;
    int failure = info->flags & O_TRUNC ? strict_fs_resize(file, 0) : 0;
    int fd = failure != 0 ? -1 : strict_file_open(file, backing_flags(info->flags));
    if (fd < 0) {
        fuse_reply_err(request, failure != 0 ? failure : errno);
        return;
    }
    info->fh = (uint64_t)fd;
    fuse_reply_open(request, info);
}

void strict_fs_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *info)
{
    struct strict_file *directory = strict_fs_file(parent);
    struct fuse_entry_param entry;
    if (strict_fs_refuses(request))
        return;
    int flags = backing_flags(info->flags) | O_CREAT | O_EXCL | O_CLOEXEC;
    int fd = openat(directory->path_fd, name, (flags & ~O_ACCMODE) | O_RDWR, mode);
    if (fd < 0) {
        fuse_reply_err(request, errno);
        return;
    }
    strict_fs_made(request, directory, name);
    int failure = strict_fs_look_up(directory, name, &entry);
    if (failure != 0) {
        close(fd);
        fuse_reply_err(request, failure);
        return;
    }
    info->fh = (uint64_t)fd;
    fuse_reply_create(request, &entry, info);
}

void strict_fs_release(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    (void)number;
    close((int)info->fh);
    fuse_reply_err(request, 0);
}

/* ---- What goes wrong with them ---- */

static bool fails(fuse_ino_t number, enum strict_op op)
{
    char text[PATH_MAX];
    const char *path;
    return strict_fs.rules.count > 0 && strict_fs_path(strict_fs_file(number), text, &path) &&
           strict_rules_fail(&strict_fs.rules, op, path);
}

static bool lies(fuse_ino_t number)
{
    char text[PATH_MAX];
    const char *path;
    return strict_fs.rules.count > 0 && strict_fs_path(strict_fs_file(number), text, &path) &&
           strict_rules_lie(&strict_fs.rules, path);
}

/* How much room there is from `offset` on, where `length` bytes want to be; what is there already
 * needs none. 0: none, or its size cannot be told. */
static size_t room(fuse_ino_t number, int fd, off_t offset, size_t length)
{
    char text[PATH_MAX];
    const char *path;
    struct stat status;
    if (strict_fs.rules.count == 0 || !strict_fs_path(strict_fs_file(number), text, &path))
        return length;
    if (fstat(fd, &status) != 0)
        return 0;
    off_t end = offset + (off_t)length, from = offset > status.st_size ? offset : status.st_size;
    uint64_t growth = end > from ? (uint64_t)(end - from) : 0;
    return length - growth + strict_rules_room(&strict_fs.rules, path, growth);
}

static size_t shortened(fuse_ino_t number, size_t size)
{
    char text[PATH_MAX];
    const char *path;
    if (strict_fs.rules.count == 0 || !strict_fs_path(strict_fs_file(number), text, &path))
        return size;
    return strict_rules_shorten(&strict_fs.rules, path, size);
}

/* ---- Bytes ---- */

void strict_fs_read(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
                    struct fuse_file_info *info)
{
    if (strict_fs_refuses(request))
        return;
    if (fails(number, STRICT_READ)) {
        fuse_reply_err(request, EIO);
        return;
    }
    char *bytes = malloc(size > 0 ? size : 1);
    ssize_t count = bytes == NULL ? -1 : pread((int)info->fh, bytes, size, offset);
    if (count < 0)
        fuse_reply_err(request, bytes == NULL ? ENOMEM : errno);
    else
        fuse_reply_buf(request, bytes, (size_t)count);
    free(bytes);
}

void strict_fs_write(fuse_req_t request, fuse_ino_t number, const char *bytes, size_t size,
                     off_t offset, struct fuse_file_info *info)
{
    if (strict_fs_refuses(request))
        return;
    int failure = fails(number, STRICT_WRITE) ? EIO : 0;
    size = failure != 0 ? 0 : shortened(number, size);
    size_t fits = failure != 0 ? 0 : room(number, (int)info->fh, offset, size);
    if (failure == 0 && fits == 0 && size > 0)
        failure = ENOSPC;
    if (failure == 0)
        failure = strict_before_write(strict_fs_file(number), (int)info->fh, offset, fits);
    ssize_t count = failure != 0 ? -1 : pwrite((int)info->fh, bytes, fits, offset);
    if (count < 0)
        fuse_reply_err(request, failure != 0 ? failure : errno);
    else
        fuse_reply_write(request, (size_t)count);
}

void strict_fs_fsync(fuse_req_t request, fuse_ino_t number, int data_only,
                     struct fuse_file_info *info)
{
    (void)data_only, (void)info;
    if (strict_fs_refuses(request))
        return;
    if (fails(number, STRICT_FSYNC)) {
        fuse_reply_err(request, EIO);
        return;
    }
    if (!lies(number))
        strict_sync_file(strict_fs_file(number));
    fuse_reply_err(request, 0);
}

/* Room is made; what a hole would take away is nobody's need so far. */
void strict_fs_fallocate(fuse_req_t request, fuse_ino_t number, int mode, off_t offset,
                         off_t length, struct fuse_file_info *info)
{
    if (strict_fs_refuses(request))
        return;
    int fd = (int)info->fh, failure = mode & ~FALLOC_FL_KEEP_SIZE ? EOPNOTSUPP : 0;
    if (failure == 0 && fails(number, STRICT_WRITE))
        failure = EIO;
    if (failure == 0 && room(number, fd, offset, (size_t)length) < (size_t)length)
        failure = ENOSPC;
    if (failure == 0)
        failure = strict_before_write(strict_fs_file(number), fd, 0, 0);
    if (failure == 0 && fallocate(fd, mode, offset, length) != 0)
        failure = errno;
    fuse_reply_err(request, failure);
}

/* ---- Directories ---- */

void strict_fs_opendir(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    if (strict_fs_refuses(request))
        return;
    int fd = strict_file_open(strict_fs_file(number), O_RDONLY | O_DIRECTORY);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        fuse_reply_err(request, errno);
        return;
    }
    info->fh = (uintptr_t)directory;
    fuse_reply_open(request, info);
}

void strict_fs_readdir(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
                       struct fuse_file_info *info)
{
    DIR *directory = (DIR *)(uintptr_t)info->fh;
    size_t used = 0;
    (void)number;
    if (strict_fs_refuses(request))
        return;
    char *bytes = malloc(size > 0 ? size : 1);
    seekdir(directory, offset);
    for (struct dirent *entry; bytes != NULL && (entry = readdir(directory)) != NULL;) {
        struct stat status = {.st_ino = entry->d_ino, .st_mode = DTTOIF(entry->d_type)};
        size_t needed = fuse_add_direntry(request, bytes + used, size - used, entry->d_name,
                                          &status, telldir(directory));
        if (needed > size - used)
            break;
        used += needed;
    }
    if (bytes == NULL)
        fuse_reply_err(request, ENOMEM);
    else
        fuse_reply_buf(request, bytes, used);
    free(bytes);
}

void strict_fs_releasedir(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    (void)number;
    closedir((DIR *)(uintptr_t)info->fh);
    fuse_reply_err(request, 0);
}

void strict_fs_fsyncdir(fuse_req_t request, fuse_ino_t number, int data_only,
                        struct fuse_file_info *info)
{
    (void)data_only, (void)info;
    if (strict_fs_refuses(request))
        return;
    if (fails(number, STRICT_FSYNC)) {
        fuse_reply_err(request, EIO);
        return;
    }
    if (!lies(number))
        strict_sync_directory(&strict_fs.undo, strict_fs_file(number));
    fuse_reply_err(request, 0);
}
