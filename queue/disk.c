/* The real file system behind struct disk_calls, and the checks and words that every user wants. */
#include "queue/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static int directory_of(const void *context)
{
    return ((const struct disk *)context)->directory;
}

static int real_open(void *context, const char *name, enum disk_open how)
{
    int flags = O_RDWR | O_CLOEXEC | (how == DISK_OPEN_NEW ? O_CREAT | O_TRUNC : 0);
    return openat(directory_of(context), name, flags, 0600);
}

/* Asked before it is tried: what a file system that does not say so would do with a sector is not
 * known. */
static int real_open_direct(void *context, const char *name)
{
#ifdef STATX_DIOALIGN
    struct statx status;
    if (statx(directory_of(context), name, 0, STATX_DIOALIGN, &status) != 0 ||
        !(status.stx_mask & STATX_DIOALIGN) || status.stx_dio_offset_align == 0 ||
        status.stx_dio_offset_align > DISK_SECTOR ||
        status.stx_dio_mem_align > DISK_DIRECT_ALIGNMENT)
        return -1;
    return openat(directory_of(context), name, O_RDWR | O_CLOEXEC | O_DIRECT);
#else
    (void)context;
    (void)name;
    return -1;
#endif
}

static int real_close(void *context, int file)
{
    (void)context;
    return close(file);
}

static ssize_t real_read(void *context, int file, void *bytes, size_t length, uint64_t offset)
{
    (void)context;
    return pread(file, bytes, length, (off_t)offset);
}

static ssize_t real_write(void *context, int file, const void *bytes, size_t length,
                          uint64_t offset)
{
    (void)context;
    return pwrite(file, bytes, length, (off_t)offset);
}

static int real_allocate(void *context, int file, uint64_t length)
{
    (void)context;
    int code = posix_fallocate(file, 0, (off_t)length);
    if (code == 0)
        return 0;
    errno = code;
    return -1;
}

static int64_t real_size(void *context, int file)
{
    (void)context;
    struct stat status;
    return fstat(file, &status) == 0 ? status.st_size : -1;
}

static int real_sync(void *context, int file)
{
    (void)context;
    return fdatasync(file);
}

static int real_settle(void *context, int file, uint64_t offset, uint64_t length)
{
    (void)context;
    return sync_file_range(file, (off_t)offset, (off_t)length,
                           SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                               SYNC_FILE_RANGE_WAIT_AFTER);
}

static int real_sync_directory(void *context)
{
    return fsync(directory_of(context));
}

static int real_rename(void *context, const char *source, const char *target)
{
    return renameat(directory_of(context), source, directory_of(context), target);
}

static int real_unlink(void *context, const char *name)
{
    return unlinkat(directory_of(context), name, 0);
}

static int real_list(void *context, void (*found)(void *argument, const char *name), void *argument)
{
    int copy = openat(directory_of(context), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0)
        return -1;
    DIR *directory = fdopendir(copy);
    if (directory == NULL) {
        close(copy);
        return -1;
    }
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (entry == NULL)
            break;
        if (entry->d_name[0] != '.')
            found(argument, entry->d_name);
    }
    int code = errno;
    closedir(directory);
    errno = code;
    return code == 0 ? 0 : -1;
}

/* A record lock is the process's own. One of flock() would live on in a child that a killed server
 * forked and that has not run yet, and keep the next server out. */
static int real_lock(void *context, const char *name)
{
    int file = openat(directory_of(context), name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (file >= 0 && fcntl(file, F_SETLK, &whole) != 0) {
        int code = errno == EACCES || errno == EAGAIN ? EWOULDBLOCK : errno;
        close(file);
        errno = code;
        return -1;
    }
    return file;
}

static int real_random(void *context, void *bytes, size_t length)
{
    (void)context;
    for (size_t done = 0; done < length;) {
        ssize_t got = getrandom((char *)bytes + done, length - done, 0);
        if (got < 0 && errno != EINTR)
            return -1;
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static const struct disk_calls real_calls = {
    .open = real_open,
    .open_direct = real_open_direct,
    .close = real_close,
    .read = real_read,
    .write = real_write,
    .allocate = real_allocate,
    .size = real_size,
    .sync = real_sync,
    .settle = real_settle,
    .sync_directory = real_sync_directory,
    .rename = real_rename,
    .unlink = real_unlink,
    .list = real_list,
    .lock = real_lock,
    .random = real_random,
};

/* Or a power cut could take the whole directory away, with all that was synced in it. */
static bool sync_parent(const struct disk *disk)
{
    int parent = openat(disk->directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = parent >= 0 && fsync(parent) == 0;
    if (parent >= 0)
        close(parent);
    return synced;
}

enum disk_result disk_open(struct disk *disk, const char *path, struct queue_error *error)
{
    *disk = (struct disk){.calls = &real_calls, .context = disk, .directory = -1, .lock = -1};
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST) {
        queue_error_set(error, "make the data directory %.120s: %s", path, strerror(errno));
        return DISK_FAILED;
    }
    disk->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (disk->directory < 0) {
        queue_error_set(error, "open the data directory %.120s: %s", path, strerror(errno));
        return DISK_FAILED;
    }
    if (made && !sync_parent(disk)) {
        queue_error_set(error, "sync the parent of %.120s: %s", path, strerror(errno));
        disk_close(disk);
        return DISK_FAILED;
    }
    disk->lock = disk->calls->lock(disk->context, "lock");
    if (disk->lock < 0) {
        bool held = errno == EWOULDBLOCK;
        if (held)
            queue_error_set(error, "%.120s is in use by another server: stop that one first", path);
        else
            queue_error_set(error, "lock the data directory %.120s: %s", path, strerror(errno));
        disk_close(disk);
        return held ? DISK_REFUSED : DISK_FAILED;
    }
    return DISK_OK;
}

void disk_close(struct disk *disk)
{
    if (disk->lock >= 0)
        close(disk->lock);
    if (disk->directory >= 0)
        close(disk->directory);
    disk->lock = disk->directory = -1;
}

void disk_keep_only(const struct disk *disk, int keep)
{
    int low = disk->directory < keep ? disk->directory : keep;
    int high = disk->directory < keep ? keep : disk->directory;
    int next = STDERR_FILENO + 1;
    if (low > STDERR_FILENO) {
        if (low > next)
            close_range((unsigned)next, (unsigned)low - 1, 0);
        next = low + 1;
    }
    if (high > next)
        close_range((unsigned)next, (unsigned)high - 1, 0);
    close_range((unsigned)high + 1, ~0U, 0);
}

int disk_direct(const struct disk *disk, const char *name)
{
    return disk->calls->open_direct != NULL ? disk->calls->open_direct(disk->context, name) : -1;
}

static enum disk_result failed(struct queue_error *error, const char *verb, const char *name)
{
    queue_error_set(error, "%s %.80s: %s", verb, name, strerror(errno));
    return DISK_FAILED;
}

enum disk_result disk_write(const struct disk *disk, int file, const char *name, const void *bytes,
                            size_t length, uint64_t offset, struct queue_error *error)
{
    const char *from = bytes;
    while (length > 0) {
        ssize_t done = disk->calls->write(disk->context, file, from, length, offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = ENOSPC;
        if (done <= 0)
            return failed(error, "write to", name);
        from += done;
        offset += (uint64_t)done;
        length -= (size_t)done;
    }
    return DISK_OK;
}

enum disk_result disk_read(const struct disk *disk, int file, const char *name, void *bytes,
                           size_t length, uint64_t offset, struct queue_error *error)
{
    char *into = bytes;
    while (length > 0) {
        ssize_t done = disk->calls->read(disk->context, file, into, length, offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return failed(error, "read", name);
        if (done == 0) {
            queue_error_set(error, "%.80s ends at byte %llu, before what it must hold", name,
                            (unsigned long long)offset);
            return DISK_DAMAGED;
        }
        into += done;
        offset += (uint64_t)done;
        length -= (size_t)done;
    }
    return DISK_OK;
}

enum disk_result disk_sync(const struct disk *disk, int file, const char *name,
                           struct queue_error *error)
{
    if (disk->calls->sync(disk->context, file) != 0)
        return failed(error, "sync", name);
    return DISK_OK;
}

void disk_settle(const struct disk *disk, int file, uint64_t offset, uint64_t length)
{
    if (disk->calls->settle != NULL)
        disk->calls->settle(disk->context, file, offset, length);
}

static enum disk_result sync_directory(const struct disk *disk, struct queue_error *error)
{
    if (disk->calls->sync_directory(disk->context) != 0)
        return failed(error, "sync", "the data directory");
    return DISK_OK;
}

enum disk_result disk_rename(const struct disk *disk, const char *source, const char *target,
                             struct queue_error *error)
{
    if (disk->calls->rename(disk->context, source, target) != 0)
        return failed(error, "rename", source);
    return sync_directory(disk, error);
}

enum disk_result disk_unlink(const struct disk *disk, const char *name, struct queue_error *error)
{
    if (disk->calls->unlink(disk->context, name) != 0)
        return failed(error, "unlink", name);
    return sync_directory(disk, error);
}

enum disk_result disk_open_file(const struct disk *disk, const char *name, enum disk_open how,
                                int *file, struct queue_error *error)
{
    *file = disk->calls->open(disk->context, name, how);
    if (*file >= 0)
        return DISK_OK;
    int code = errno;
    failed(error, how == DISK_OPEN_NEW ? "create" : "open", name);
    return how == DISK_OPEN_EXISTING && code == ENOENT ? DISK_ABSENT : DISK_FAILED;
}

void disk_close_file(const struct disk *disk, int *file)
{
    if (*file >= 0)
        disk->calls->close(disk->context, *file);
    *file = -1;
}

struct listing {
    struct disk_names *names;
    const char *prefix;
    size_t capacity;
};

static void add_name(void *argument, const char *name)
{
    struct listing *listing = argument;
    if (strncmp(name, listing->prefix, strlen(listing->prefix)) != 0)
        return;
    struct disk_names *names = listing->names;
    if (names->count == listing->capacity) {
        listing->capacity = listing->capacity == 0 ? 16 : listing->capacity * 2;
        names->names = disk_allocate(names->names, listing->capacity * sizeof *names->names);
    }
    size_t size = strlen(name) + 1;
    names->names[names->count++] = memcpy(disk_allocate(NULL, size), name, size);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum disk_result disk_list(const struct disk *disk, const char *prefix, struct disk_names *names,
                           struct queue_error *error)
{
    *names = (struct disk_names){.names = NULL, .count = 0};
    struct listing listing = {.names = names, .prefix = prefix};
    if (disk->calls->list(disk->context, add_name, &listing) != 0) {
        failed(error, "list", "the data directory");
        disk_free_names(names);
        return DISK_FAILED;
    }
    if (names->count > 0)
        qsort(names->names, names->count, sizeof *names->names, by_name);
    return DISK_OK;
}

void disk_free_names(struct disk_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct disk_names){.names = NULL, .count = 0};
}

bool disk_is_aside(const char *name)
{
    size_t length = strlen(name), suffix = strlen(DISK_ASIDE);
    return length >= suffix && strcmp(name + length - suffix, DISK_ASIDE) == 0;
}

enum disk_result disk_remove_aside(const struct disk *disk, struct queue_error *error)
{
    struct disk_names names;
    enum disk_result result = disk_list(disk, "", &names, error);
    for (size_t i = 0; result == DISK_OK && i < names.count; i++)
        if (disk_is_aside(names.names[i]))
            result = disk_unlink(disk, names.names[i], error);
    disk_free_names(&names);
    return result;
}

void *disk_allocate(void *old, size_t size)
{
    void *memory = realloc(old, size);
    if (memory == NULL) {
        fprintf(stderr, "out of memory: %zu bytes for the storage\n", size);
        abort();
    }
    return memory;
}
