/* Disks that can lose power: see disks.h. */
#include "harness/agent/disks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/agent/disks_io.h"
#include "harness/agent/disks_place.h"
#include "harness/agent/disks_strict.h"
#include "harness/agent/tool.h"
#include "harness/base/clock.h"

/* ext4 and XFS take it; the name is not in every kernel's headers. */
#define SHUTDOWN_IOCTL _IOR('X', 125, uint32_t)
#define SHUTDOWN_NO_LOG_FLUSH 2u
#define UNMOUNT_NS_MAX (3 * NS_PER_SECOND)

enum { LOOP_TRIES = 16, XFS_MB_MIN = 300 };

/* ---- Writing ---- */

static bool write_small(const char *path, bool sync)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, "ordeal\n", 7) == 7 && (!sync || fsync(fd) == 0);
    int failure = errno;
    if (fd >= 0)
        close(fd);
    errno = failure;
    return good;
}

/* ---- Mounting ---- */

static int attach_once(int control, int image, char device[32])
{
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0)
        return -1;
    snprintf(device, 32, "/dev/loop%d", number);
    int loop = open(device, O_RDWR | O_CLOEXEC);
    struct loop_config config = {.fd = (uint32_t)image, .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
    if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) != 0) {
        int failure = errno;
        close(loop);
        errno = failure;
        return -1;
    }
    return loop;
}

/* A loop device that goes with its last user. Others take free ones at the same time. */
static enum err_code attach(const struct agentd_disk *disk, int *loop, char device[32],
                            struct err *err)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int image = open(disk->image, O_RDWR | O_CLOEXEC), failure = errno;
    *loop = -1;
    for (int i = 0; i < LOOP_TRIES && control >= 0 && image >= 0 && *loop < 0; i++) {
        *loop = attach_once(control, image, device);
        failure = errno;
        if (*loop < 0 && failure != EBUSY)
            break;
    }
    if (control >= 0)
        close(control);
    if (image >= 0)
        close(image);
    return *loop >= 0 ? ERR_NONE
                      : err_errno(err, failure, "cannot put %s on a loop device", disk->image);
}

static enum err_code mount_image(const struct agentd_disk *disk, struct err *err)
{
    int loop;
    char device[32];
    enum err_code code = attach(disk, &loop, device, err);
    if (code != ERR_NONE)
        return code;
    const char *type = disk->file_system == AGENTD_XFS ? "xfs" : "ext4";
    if (mount(device, disk->mount, type, MS_NOATIME, NULL) != 0)
        code = err_errno(err, errno, "cannot mount %s", device);
    close(loop);
    return code;
}

/* What is below the data directory is the daemon's; that there is one is ours, and durable. */
static enum err_code sync_directory(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err_code code =
        fd >= 0 && fsync(fd) == 0 ? ERR_NONE : err_errno(err, errno, "cannot sync %s", path);
    if (fd >= 0)
        close(fd);
    return code;
}

static enum err_code mount_disk(const struct agentd_disk *disk, struct err *err)
{
    enum err_code code = disk->file_system == AGENTD_STRICT
                             ? agentd_strict_mount(disk->backing, disk->mount, err)
                             : mount_image(disk, err);
    if (code == ERR_NONE && mkdir(disk->data, 0755) != 0 && errno != EEXIST)
        code = err_errno(err, errno, "cannot make %s", disk->data);
    if (code == ERR_NONE && access(disk->fault_probe, F_OK) != 0 &&
        !write_small(disk->fault_probe, true))
        code = err_errno(err, errno, "cannot write to the disk of %s", disk->path);
    if (code == ERR_NONE)
        code = sync_directory(disk->mount, err);
    if (code == ERR_NONE && mount(disk->data, disk->path, NULL, MS_BIND, NULL) != 0)
        code = err_errno(err, errno, "cannot mount %s on %s", disk->data, disk->path);
    return code;
}

static bool is_mounted(const char *path)
{
    struct stat own, parent;
    char above[AGENTD_DISK_WHOLE_MAX];
    snprintf(above, sizeof above, "%s/..", path);
    if (stat(path, &own) != 0)
        return errno == EIO || errno == ENOTCONN; /* only a mount that is dead says so */
    return stat(above, &parent) == 0 && own.st_dev != parent.st_dev;
}

/* Processes that were just killed may still be on their way out. */
static enum err_code unmount(const char *path, struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + UNMOUNT_NS_MAX;
    while (is_mounted(path) && umount2(path, 0) != 0) {
        int failure = errno;
        if (failure != EBUSY || clock_monotonic_ns() > deadline_ns) {
            umount2(path, MNT_DETACH);
            return err_errno(err, failure, "cannot unmount %s in good order", path);
        }
        clock_sleep_ns(2 * NS_PER_MS);
    }
    return ERR_NONE;
}

static enum err_code unmount_disk(const struct agentd_disk *disk, struct err *err)
{
    enum err_code code = unmount(disk->path, err);
    enum err_code second = unmount(disk->mount, code == ERR_NONE ? err : NULL);
    return code == ERR_NONE ? second : code;
}

/* ---- Freezing ---- */

/* 1: thawed or frozen as asked; 0: it was so before; -1: cannot. */
static int set_frozen(const struct agentd_disk *disk, bool frozen)
{
    if (disk->file_system == AGENTD_STRICT)
        return agentd_strict_stall(disk->backing, frozen);
    int fd = open(disk->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 ? -1 : ioctl(fd, frozen ? FIFREEZE : FITHAW, 0);
    int failure = errno;
    if (fd >= 0)
        close(fd);
    errno = failure;
    if (result == 0)
        return 1;
    if (fd < 0 && !frozen && failure == EIO)
        return 0; /* without power, and thawed when it went */
    return fd >= 0 && failure == (frozen ? EBUSY : EINVAL) ? 0 : -1;
}

/* ---- Giving ---- */

static bool is_empty_directory(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    bool empty = directory != NULL;
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    if (directory != NULL)
        closedir(directory);
    return empty;
}

static enum err_code make_image(const struct agentd_disk *disk, int64_t size_mb, struct err *err)
{
    char tool[256];
    bool xfs = disk->file_system == AGENTD_XFS;
    if (!agentd_tool_find(xfs ? "mkfs.xfs" : "mkfs.ext4", tool, sizeof tool))
        return err_set(err, ERR_UNSUPPORTED, "there is no mkfs.%s here (Debian: %s)",
                       xfs ? "xfs" : "ext4", xfs ? "xfsprogs" : "e2fsprogs");
    if (xfs && size_mb < XFS_MB_MIN)
        return err_set(err, ERR_CONFIG, "size_mb: an XFS needs %d", XFS_MB_MIN);
    int fd = open(disk->image, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, size_mb << 20) != 0) {
        int failure = errno;
        if (fd >= 0)
            close(fd);
        return err_errno(err, failure, "cannot make %s", disk->image);
    }
    close(fd);
    const char *const ext4[] = {tool, "-q", "-F", "-m", "0", disk->image, NULL};
    const char *const of_xfs[] = {tool, "-q", "-f", disk->image, NULL};
    return agentd_tool_run(xfs ? of_xfs : ext4, NULL, NULL, err);
}

static enum err_code prepare(const struct agentd_disk *disk, struct err *err)
{
    enum err_code code = agentd_make_directories(disk->path, 0755, err);
    if (code == ERR_NONE)
        code = agentd_make_directories(disk->mount, 0755, err);
    if (code == ERR_NONE && !is_empty_directory(disk->path))
        code = err_set(err, ERR_CONFIG, "path: %s is not empty: what is there would be hidden",
                       disk->path);
    return code;
}

static enum err_code keep(struct agentd_faults *faults, const struct agentd_disk *disk,
                          const char *id, const char *kind, struct err *err)
{
    struct buf text = BUF_INIT;
    agentd_journal_begin(&faults->journal, &text, kind);
    line_key(&text, "id", id);
    line_key(&text, "path", disk->path);
    enum err_code code = agentd_faults_keep(faults, id, kind, &text, err);
    buf_free(&text);
    return code;
}

enum err_code agentd_disk_give(struct agentd_faults *faults, const char *path,
                               enum agentd_file_system file_system, int64_t size_mb,
                               struct err *err)
{
    struct agentd_disk disk;
    enum err_code code = agentd_disk_locate(&disk, path, err);
    if (code == ERR_NONE && agentd_faults_find(faults, disk.id) != NULL)
        return err_set(err, ERR_CONFIG, "path: %s has a disk of its own already", path);
    if (code == ERR_NONE)
        code = prepare(&disk, err);
    if (code == ERR_NONE)
        code = keep(faults, &disk, disk.id, AGENTD_KIND_DISK, err);
    if (code != ERR_NONE)
        return code;
    disk.file_system = file_system;
    code = file_system == AGENTD_STRICT ? agentd_strict_make(disk.backing, err)
                                        : make_image(&disk, size_mb, err);
    if (code == ERR_NONE)
        code = mount_disk(&disk, err);
    if (code == ERR_NONE && !write_small(disk.probe, true))
        code = err_errno(err, errno, "cannot write to the disk of %s", path);
    if (code != ERR_NONE)
        (void)!agentd_faults_undo(faults, disk.id, NULL);
    return code;
}

/* ---- Hanging, and losing power ---- */

enum err_code agentd_disk_stall(struct agentd_faults *faults, const char *path, struct err *err)
{
    struct agentd_disk disk;
    enum err_code code = agentd_disk_locate_given(faults, path, &disk, err);
    if (code == ERR_NONE)
        code = keep(faults, &disk, disk.stall_id, AGENTD_KIND_STALL, err);
    if (code != ERR_NONE)
        return code;
    if (set_frozen(&disk, true) < 0)
        code = err_errno(err, errno, "cannot freeze the disk of %s", path);
    else if (set_frozen(&disk, true) != 0) /* verified: it is so already */
        code = err_set(err, ERR_REMOTE, "the disk of %s does not stay frozen", path);
    if (code != ERR_NONE)
        (void)!agentd_faults_undo(faults, disk.stall_id, NULL);
    return code;
}

static enum err_code shut_down(const struct agentd_disk *disk, struct err *err)
{
    uint32_t how = SHUTDOWN_NO_LOG_FLUSH;
    if (disk->file_system == AGENTD_STRICT)
        return agentd_strict_cut(disk->backing, err);
    int fd = open(disk->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 ? -1 : ioctl(fd, SHUTDOWN_IOCTL, &how);
    int failure = errno;
    if (result == 0) /* now: of an XFS without power nothing can be opened any more */
        (void)ioctl(fd, FITHAW, 0);
    if (fd >= 0)
        close(fd);
    return result == 0
               ? ERR_NONE
               : err_errno(err, failure, "cannot take the power of the disk of %s", disk->path);
}

enum err_code agentd_disk_cut(struct agentd_faults *faults, const char *path, struct err *err)
{
    struct agentd_disk disk;
    enum err_code code = agentd_disk_locate_given(faults, path, &disk, err);
    if (code != ERR_NONE)
        return code;
    bool stalled = agentd_faults_find(faults, disk.stall_id) != NULL;
    agentd_faults_find(faults, disk.id)->marked = !stalled && write_small(disk.marker, false);
    code = shut_down(&disk, err);
    if (stalled) {
        enum err_code thawed =
            agentd_faults_undo(faults, disk.stall_id, code == ERR_NONE ? err : NULL);
        code = code == ERR_NONE ? thawed : code;
    }
    if (code == ERR_NONE && write_small(disk.probe, true))
        code = err_set(err, ERR_REMOTE, "the disk of %s can still be written to", path);
    return code;
}

enum err_code agentd_disk_back(struct agentd_faults *faults, const char *path,
                               enum agentd_marker *marker, struct err *err)
{
    struct agentd_disk disk;
    enum err_code code = agentd_disk_locate_given(faults, path, &disk, err);
    if (code == ERR_NONE)
        code = unmount_disk(&disk, err);
    if (code == ERR_NONE)
        code = mount_disk(&disk, err);
    if (code != ERR_NONE)
        return code;
    struct stat status;
    bool kept = stat(disk.marker, &status) == 0 && status.st_size > 0;
    *marker = !agentd_faults_find(faults, disk.id)->marked ? AGENTD_MARKER_NONE
              : kept                                       ? AGENTD_MARKER_KEPT
                                                           : AGENTD_MARKER_LOST;
    unlink(disk.marker);
    if (!agentd_io_is_full(&faults->journal, path))
        unlink(disk.fill); /* of a fault that was undone while there was no power */
    if (!write_small(disk.probe, true))
        return err_errno(err, errno, "the disk of %s does not work again", path);
    return ERR_NONE;
}

/* ---- Undoing ---- */

static enum err_code undo_disk(const struct agentd_disk *disk, struct err *err)
{
    (void)set_frozen(disk, false); /* nothing could be unmounted otherwise */
    enum err_code code = unmount_disk(disk, err);
    unlink(disk->image);
    if (disk->file_system == AGENTD_STRICT && code == ERR_NONE)
        code = agentd_strict_remove(disk->backing, err);
    if (rmdir(disk->mount) != 0 && errno != ENOENT && code == ERR_NONE)
        code = err_errno(err, errno, "cannot remove %s", disk->mount);
    (void)rmdir(AGENTD_DISKS); /* with the last one */
    return code;
}

enum err_code agentd_disk_undo(const struct agentd_entry *entry, struct err *err)
{
    struct agentd_disk disk;
    const char *path = line_get(&entry->line, "path");
    if (path == NULL || agentd_disk_locate(&disk, path, err) != ERR_NONE)
        return err_set(err, ERR_PARSE, "a disk without a path");
    if (strcmp(entry->kind, AGENTD_KIND_DISK) == 0)
        return undo_disk(&disk, err);
    if (strcmp(entry->kind, AGENTD_KIND_IO) == 0)
        return agentd_io_undo(entry, &disk, err);
    if (set_frozen(&disk, false) >= 0 || !is_mounted(disk.mount))
        return ERR_NONE;
    return err_errno(err, errno, "cannot thaw the disk of %s", path);
}
