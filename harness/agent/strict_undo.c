/* What is not durable yet, and how to take it back: see strict_undo.h. */
#include "harness/agent/strict_undo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRASH_NAME_BYTES = 24 };

enum name_change { NAME_MADE, NAME_REMOVED, NAME_MOVED };

struct strict_name {
    struct strict_name *older;
    enum name_change change;
    struct strict_file *directory, *to; /* to: of a move */
    char *name, *new_name;
    uint64_t trash; /* what the name or the new name led to; 0: nothing */
};

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        fprintf(stderr, "ordeal-agent: out of memory for what is not durable\n");
        abort();
    }
    return memory;
}

static char *copy_of(const char *text)
{
    return text == NULL ? NULL : strcpy(allocate(strlen(text) + 1), text);
}

/* ---- Files ---- */

void strict_open(struct strict_undo *undo, int trash_fd)
{
    memset(undo, 0, sizeof *undo);
    undo->trash_fd = trash_fd;
}

static size_t slot_of(dev_t device, ino_t inode)
{
    return (size_t)((inode * UINT64_C(0x9e3779b97f4a7c15) + device) >> 40) % STRICT_SLOTS;
}

struct strict_file *strict_file_get(struct strict_undo *undo, int path_fd)
{
    struct stat status;
    if (path_fd < 0 || fstatat(path_fd, "", &status, AT_EMPTY_PATH) != 0) {
        if (path_fd >= 0)
            close(path_fd);
        return NULL;
    }
    struct strict_file **slot = &undo->files[slot_of(status.st_dev, status.st_ino)];
    for (struct strict_file *file = *slot; file != NULL; file = file->next)
        if (file->inode == status.st_ino && file->device == status.st_dev) {
            close(path_fd);
            file->references++;
            return file;
        }
    struct strict_file *file = allocate(sizeof *file);
    *file = (struct strict_file){.next = *slot,
                                 .device = status.st_dev,
                                 .inode = status.st_ino,
                                 .path_fd = path_fd,
                                 .references = 1};
    return *slot = file;
}

static void forget_bytes(struct strict_file *file)
{
    while (file->bytes != NULL) {
        struct strict_old_bytes *older = file->bytes->older;
        free(file->bytes);
        file->bytes = older;
    }
}

/* What is kept of its bytes keeps it, too: it may come back with a name. */
static void free_if_unknown(struct strict_undo *undo, struct strict_file *file)
{
    struct strict_file **at = &undo->files[slot_of(file->device, file->inode)];
    if (file->references > 0 || file->bytes != NULL)
        return;
    while (*at != file)
        at = &(*at)->next;
    *at = file->next;
    close(file->path_fd);
    free(file);
}

void strict_file_release(struct strict_undo *undo, struct strict_file *file, uint64_t count)
{
    file->references -= count < file->references ? count : file->references;
    free_if_unknown(undo, file);
}

void strict_file_path(const struct strict_file *file, char path[STRICT_PATH_BYTES])
{
    snprintf(path, STRICT_PATH_BYTES, "/proc/self/fd/%d", file->path_fd);
}

int strict_file_open(const struct strict_file *file, int flags)
{
    char path[STRICT_PATH_BYTES];
    strict_file_path(file, path);
    return open(path, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
}

/* ---- Bytes ---- */

static int keep_bytes(struct strict_file *file, int fd, off_t offset, off_t end)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return errno;
    end = end < status.st_size ? end : status.st_size;
    size_t length = offset < end ? (size_t)(end - offset) : 0, done = 0;
    struct strict_old_bytes *old = allocate(sizeof *old + length);
    *old = (struct strict_old_bytes){.offset = offset, .size = status.st_size, .length = length};
    while (done < length) {
        ssize_t count = pread(fd, old->bytes + done, length - done, offset + (off_t)done);
        if (count <= 0) {
            free(old);
            return count < 0 ? errno : EIO;
        }
        done += (size_t)count;
    }
    old->older = file->bytes;
    file->bytes = old;
    return 0;
}

int strict_before_write(struct strict_file *file, int fd, off_t offset, size_t length)
{
    return keep_bytes(file, fd, offset, offset + (off_t)length);
}

int strict_before_resize(struct strict_file *file, int fd, off_t size)
{
    return keep_bytes(file, fd, size, INT64_MAX);
}

void strict_sync_file(struct strict_file *file)
{
    forget_bytes(file);
}

static int put_back(const struct strict_old_bytes *old, int fd)
{
    size_t done = 0;
    while (done < old->length) {
        ssize_t count =
            pwrite(fd, old->bytes + done, old->length - done, old->offset + (off_t)done);
        if (count < 0)
            return errno;
        done += (size_t)count;
    }
    return ftruncate(fd, old->size) == 0 ? 0 : errno;
}

static int revert_bytes(struct strict_file *file, struct strict_lost *lost)
{
    int fd = file->bytes == NULL ? -1 : strict_file_open(file, O_RDWR), failure = 0;
    if (file->bytes != NULL && fd < 0)
        return errno;
    for (const struct strict_old_bytes *old = file->bytes; old != NULL && failure == 0;
         old = old->older) {
        failure = put_back(old, fd);
        lost->writes++;
    }
    if (fd >= 0)
        close(fd);
    forget_bytes(file);
    return failure;
}

/* ---- Names ---- */

static void trash_name(uint64_t number, char name[TRASH_NAME_BYTES])
{
    snprintf(name, TRASH_NAME_BYTES, "%llu", (unsigned long long)number);
}

static void push_name(struct strict_undo *undo, const struct strict_name *change)
{
    struct strict_name *name = allocate(sizeof *name);
    *name = *change;
    name->name = copy_of(change->name);
    name->new_name = copy_of(change->new_name);
    name->directory->references++;
    if (name->to != NULL)
        name->to->references++;
    name->older = undo->names;
    undo->names = name;
}

static void free_name(struct strict_undo *undo, struct strict_name *name)
{
    strict_file_release(undo, name->directory, 1);
    if (name->to != NULL)
        strict_file_release(undo, name->to, 1);
    free(name->name);
    free(name->new_name);
    free(name);
}

void strict_made(struct strict_undo *undo, struct strict_file *directory, const char *name)
{
    push_name(undo, &(struct strict_name){.change = NAME_MADE,
                                          .directory = directory,
                                          .name = (char *)(uintptr_t)name});
}

static bool is_directory(int at, const char *name)
{
    struct stat status;
    return fstatat(at, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

/* 0: it is empty, or no directory. */
static int not_empty(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    int failure = fd < 0 && errno != ENOTDIR && errno != ELOOP ? errno : 0;
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            failure = ENOTEMPTY;
    if (directory != NULL)
        closedir(directory);
    else if (fd >= 0)
        close(fd);
    return failure;
}

static int to_trash(struct strict_undo *undo, int at, const char *name, uint64_t *trash)
{
    char aside[TRASH_NAME_BYTES];
    int failure = not_empty(at, name);
    if (failure != 0)
        return failure;
    trash_name(undo->trash_last + 1, aside);
    if (renameat(at, name, undo->trash_fd, aside) != 0)
        return errno;
    *trash = ++undo->trash_last;
    return 0;
}

int strict_remove(struct strict_undo *undo, struct strict_file *directory, const char *name)
{
    struct strict_name change = {
        .change = NAME_REMOVED, .directory = directory, .name = (char *)(uintptr_t)name};
    int failure = to_trash(undo, directory->path_fd, name, &change.trash);
    if (failure == 0)
        push_name(undo, &change);
    return failure;
}

int strict_rename(struct strict_undo *undo, struct strict_file *from, const char *old_name,
                  struct strict_file *to, const char *new_name, bool replace)
{
    struct stat old, new;
    struct strict_name change = {.change = NAME_MOVED,
                                 .directory = from,
                                 .to = to,
                                 .name = (char *)(uintptr_t)old_name,
                                 .new_name = (char *)(uintptr_t)new_name};
    if (fstatat(from->path_fd, old_name, &old, AT_SYMLINK_NOFOLLOW) != 0)
        return errno;
    bool exists = fstatat(to->path_fd, new_name, &new, AT_SYMLINK_NOFOLLOW) == 0;
    if (exists && !replace)
        return EEXIST;
    if (exists && old.st_dev == new.st_dev &&old.st_ino == new.st_ino)
        return 0;
    if (exists && S_ISDIR(old.st_mode) != S_ISDIR(new.st_mode))
        return S_ISDIR(old.st_mode) ? ENOTDIR : EISDIR;
    int failure = exists ? to_trash(undo, to->path_fd, new_name, &change.trash) : 0;
    if (failure == 0 && renameat(from->path_fd, old_name, to->path_fd, new_name) != 0) {
        failure = errno;
        char aside[TRASH_NAME_BYTES];
        trash_name(change.trash, aside);
        if (exists)
            (void)!renameat(undo->trash_fd, aside, to->path_fd, new_name);
    }
    if (failure == 0)
        push_name(undo, &change);
    return failure;
}

static void empty_trash(const struct strict_undo *undo, uint64_t number)
{
    char name[TRASH_NAME_BYTES];
    trash_name(number, name);
    if (number != 0)
        unlinkat(undo->trash_fd, name, is_directory(undo->trash_fd, name) ? AT_REMOVEDIR : 0);
}

void strict_sync_directory(struct strict_undo *undo, const struct strict_file *directory)
{
    struct strict_name **at = &undo->names;
    while (*at != NULL) {
        struct strict_name *name = *at;
        if (name->directory != directory && name->to != directory) {
            at = &name->older;
            continue;
        }
        *at = name->older;
        empty_trash(undo, name->trash);
        free_name(undo, name);
    }
}

/* A directory that was never made durable is gone with all that is in it. */
static int remove_all(int at, const char *name)
{
    if (!is_directory(at, name))
        return unlinkat(at, name, 0) == 0 || errno == ENOENT ? 0 : errno;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), failure = 0;
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL)
        return errno;
    for (struct dirent *entry; failure == 0 && (entry = readdir(directory)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            failure = remove_all(fd, entry->d_name);
    closedir(directory);
    return failure == 0 && unlinkat(at, name, AT_REMOVEDIR) != 0 ? errno : failure;
}

static int from_trash(const struct strict_undo *undo, uint64_t number, int at, const char *name)
{
    char aside[TRASH_NAME_BYTES];
    trash_name(number, aside);
    return renameat(undo->trash_fd, aside, at, name) == 0 ? 0 : errno;
}

/* A directory whose removal was made durable: so is all that had happened in it, for it had to be
 * emptied first. */
static bool is_gone(const struct strict_file *directory)
{
    struct stat status;
    return fstat(directory->path_fd, &status) == 0 && status.st_nlink == 0;
}

static int revert_name(const struct strict_undo *undo, const struct strict_name *name)
{
    int at = name->directory->path_fd, failure = 0;
    if (is_gone(name->directory) || (name->to != NULL && is_gone(name->to))) {
        empty_trash(undo, name->trash);
        return 0;
    }
    switch (name->change) {
    case NAME_MADE:
        return remove_all(at, name->name);
    case NAME_REMOVED:
        return from_trash(undo, name->trash, at, name->name);
    case NAME_MOVED:
        failure = renameat(name->to->path_fd, name->new_name, at, name->name) == 0 ? 0 : errno;
        if (failure == 0 && name->trash != 0)
            failure = from_trash(undo, name->trash, name->to->path_fd, name->new_name);
        return failure;
    }
    return EINVAL;
}

int strict_revert(struct strict_undo *undo, struct strict_lost *lost)
{
    int failure = 0;
    *lost = (struct strict_lost){.writes = 0};
    /* Bytes first: every file is there still, whatever its name. */
    for (size_t i = 0; i < STRICT_SLOTS; i++)
        for (struct strict_file *file = undo->files[i]; file != NULL; file = file->next) {
            int result = revert_bytes(file, lost);
            failure = failure == 0 ? result : failure;
        }
    while (undo->names != NULL) {
        struct strict_name *name = undo->names;
        int result = revert_name(undo, name);
        failure = failure == 0 ? result : failure;
        lost->names++;
        undo->names = name->older;
        free_name(undo, name);
    }
    return failure;
}

void strict_close(struct strict_undo *undo)
{
    while (undo->names != NULL) {
        struct strict_name *name = undo->names;
        undo->names = name->older;
        free_name(undo, name);
    }
    for (size_t i = 0; i < STRICT_SLOTS; i++)
        while (undo->files[i] != NULL) {
            struct strict_file *file = undo->files[i];
            forget_bytes(file);
            file->references = 0;
            free_if_unknown(undo, file);
        }
}
