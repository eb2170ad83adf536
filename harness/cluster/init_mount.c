/* A node's file system: an overlay over the host's disks, and what must never show through.
 *
 * The caller is alone in a mount namespace that still is a copy of the host's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness/cluster/init.h"

static enum err_code mount_at(const char *source, const char *target, const char *type,
                              unsigned long flags, const char *options, struct err *err)
{
    mkdir(target, 0755); /* hosts that lack /dev/shm and the like */
    if (mount(source, target, type, flags, options) == 0)
        return ERR_NONE;
    if (errno == ENODEV)
        return err_set(err, ERR_UNSUPPORTED, "this kernel has no %s file system", type);
    return err_errno(err, errno, "mount %s on %s", type != NULL ? type : source, target);
}

/* ---- Overlays ---- */

/* Where the kernel cannot write, it mounts all the same, but read-only, and tells only its log. */
static enum err_code check_writable(const char *target, const char *work, struct err *err)
{
    struct statvfs status;
    if (statvfs(target, &status) != 0)
        return err_errno(err, errno, "look at %s", target);
    if ((status.f_flag & ST_RDONLY) == 0)
        return ERR_NONE;
    char probe[PLACE_PATH_MAX];
    place_join(work, "probe", probe);
    int error = mkdir(probe, 0700) != 0 ? errno : EROFS;
    rmdir(probe);
    return err_errno(err, error, "write on the node's disk");
}

/* redirect_dir lets a node rename directories that came from the host, as databases do; kernels and
 * file systems that cannot do without. index=off: the disk must mount again after a stop while the
 * kernel may still be clearing the last mount away. Upper and work are relative to the working
 * directory, so that no path of the user's can break the option string. */
static enum err_code mount_overlay(const char *lower, const char *upper, const char *work,
                                   const char *target, struct err *err)
{
    char options[PLACE_PATH_MAX];
    for (int redirect = 1; redirect >= 0; redirect--) {
        snprintf(options, sizeof options,
                 "lowerdir=%.500s,upperdir=%.200s,workdir=%.200s,index=off%s", lower, upper, work,
                 redirect ? ",redirect_dir=on" : "");
        if (mount("overlay", target, "overlay", 0, options) == 0)
            return check_writable(target, work, err);
        if (errno != EINVAL && errno != EOPNOTSUPP)
            break;
    }
    if (errno == ENODEV)
        return err_set(err, ERR_UNSUPPORTED,
                       "this kernel has no overlay file system (CONFIG_OVERLAY_FS)");
    if (errno == EPERM || errno == EACCES)
        return err_set(err, ERR_UNSUPPORTED,
                       "mounting is not allowed here; a container needs --privileged");
    if (errno == EINVAL)
        return err_set(err, ERR_UNSUPPORTED,
                       "mount an overlay over %s: the nodes' disks must be on ext4, xfs, btrfs or "
                       "tmpfs; set ORDEAL_DISK_DIR to a directory there",
                       lower);
    return err_errno(err, errno, "mount an overlay over %s", lower);
}

/* Whether the host's mount point holds things that nodes should have, too. Not what is nodes' own
 * (/tmp, /root), the kernel's, removable, or another overlay. */
static bool worth_overlaying(const struct place *place, const char *point, const char *type)
{
    static const char *const disks[] = {"ext2", "ext3", "ext4",     "xfs", "btrfs",
                                        "f2fs", "zfs",  "bcachefs", "jfs"};
    static const char *const never[] = {"/proc", "/sys", "/dev",   "/run",  "/tmp",
                                        "/root", "/mnt", "/media", "/boot", "/efi"};
    bool disk = false;
    for (size_t i = 0; i < sizeof disks / sizeof *disks; i++)
        disk |= strcmp(type, disks[i]) == 0;
    struct stat status;
    if (!disk || strcmp(point, "/") == 0 || strpbrk(point, ",:\\") != NULL ||
        stat(point, &status) != 0 || !S_ISDIR(status.st_mode))
        return false;
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        size_t length = strlen(never[i]);
        if (strncmp(point, never[i], length) == 0 &&
            (point[length] == '/' || point[length] == '\0'))
            return false;
    }
    return strncmp(point, place->disk_parent, strlen(place->disk_parent)) != 0;
}

/* An overlay shows one file system and none that is mounted below it: a host with its own /usr,
 * /var or /home needs one more for each. */
static enum err_code overlay_mount_point(const char *point, struct err *err)
{
    char name[256], upper[300], work[300], target[300];
    snprintf(name, sizeof name, "mounts/%.200s", point + 1);
    for (char *slash = strchr(name + 7, '/'); slash != NULL; slash = strchr(slash, '/'))
        *slash = '%';
    snprintf(upper, sizeof upper, "%s/upper", name);
    snprintf(work, sizeof work, "%s/work", name);
    snprintf(target, sizeof target, "merged%.250s", point);
    mkdir("mounts", 0700);
    mkdir(name, 0700);
    struct stat status;
    if (stat(point, &status) != 0)
        return err_errno(err, errno, "look at %s", point);
    if (mkdir(upper, 0755) == 0 && (chmod(upper, status.st_mode & 07777) != 0 ||
                                    chown(upper, status.st_uid, status.st_gid) != 0))
        return err_errno(err, errno, "make %s", upper);
    mkdir(work, 0700);
    return mount_overlay(point, upper, work, target, err);
}

/* The kernel writes spaces and the like in octal. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        unsigned value;
        if (*from == '\\' && sscanf(from + 1, "%3o", &value) == 1) {
            *to = (char)value;
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

static bool is_mounted(const char *target)
{
    struct stat inside, above;
    char parent[PLACE_PATH_MAX];
    snprintf(parent, sizeof parent, "%s/..", target);
    return stat(target, &inside) == 0 && stat(parent, &above) == 0 && inside.st_dev != above.st_dev;
}

static enum err_code overlay_mount_points(const struct place *place, struct err *err)
{
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (mounts == NULL)
        return err_errno(err, errno, "read /proc/self/mountinfo");
    enum err_code code = ERR_NONE;
    char *line = NULL;
    size_t size = 0;
    while (code == ERR_NONE && getline(&line, &size, mounts) > 0) {
        char point[512], type[64];
        const char *dash = strstr(line, " - ");
        if (dash == NULL || sscanf(line, "%*s %*s %*s %*s %511s", point) != 1 ||
            sscanf(dash, " - %63s", type) != 1)
            continue;
        unescape(point);
        char target[600];
        snprintf(target, sizeof target, "merged%s", point);
        if (worth_overlaying(place, point, type) && !is_mounted(target))
            code = overlay_mount_point(point, err);
    }
    free(line);
    fclose(mounts);
    return code;
}

/* ---- What is the node's own ---- */

static enum err_code mount_kernel(struct err *err)
{
    enum err_code code =
        mount_at("proc", "proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL, err);
    if (code == ERR_NONE)
        code = mount_at("sysfs", "sys", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL, err);
    if (code == ERR_NONE)
        code = init_make_devices(err);
    if (code == ERR_NONE)
        code = mount_at("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
                        "newinstance,ptmxmode=0666,mode=620,gid=5", err);
    if (code == ERR_NONE)
        code = mount_at("tmpfs", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", err);
    if (code == ERR_NONE && access("dev/mqueue", F_OK) == 0)
        code = mount_at("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV, NULL, err);
    /* A node that pulls this would crash the host. */
    if (code == ERR_NONE && access("proc/sysrq-trigger", F_OK) == 0 &&
        mount("/dev/null", "proc/sysrq-trigger", NULL, MS_BIND, NULL) != 0)
        code = err_errno(err, errno, "mask /proc/sysrq-trigger");
    return code;
}

/* Services expect their directory in /run to be there, with their owner, as the host's boot made
 * it. What belongs to root is made by whoever needs it. */
static void copy_run_skeleton(void)
{
    DIR *run = opendir("/run");
    if (run == NULL)
        return;
    struct dirent *entry;
    while ((entry = readdir(run)) != NULL) {
        struct stat status;
        char path[300];
        snprintf(path, sizeof path, "run/%s", entry->d_name);
        if (entry->d_name[0] != '.' &&
            fstatat(dirfd(run), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(status.st_mode) && (status.st_uid != 0 || status.st_gid != 0) &&
            mkdir(path, 0700) == 0 && chown(path, status.st_uid, status.st_gid) == 0 &&
            chmod(path, status.st_mode & 07777) != 0)
            rmdir(path);
    }
    closedir(run);
}

static enum err_code mount_run(struct err *err)
{
    enum err_code code = mount_at("tmpfs", "run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755", err);
    if (code != ERR_NONE)
        return code;
    if (mkdir("run/sshd", 0755) != 0 || mkdir("run/ordeal", 0755) != 0 ||
        mkdir("run/lock", 01777) != 0 || chmod("run/lock", 01777) != 0 ||
        symlink("/dev/shm", "run/shm") != 0)
        return err_errno(err, errno, "make directories in /run");
    copy_run_skeleton();
    return ERR_NONE;
}

static enum err_code bind_own(const char *disk, const char *name, struct err *err)
{
    char source[PLACE_PATH_MAX];
    place_join(disk, name, source);
    return mount_at(source, name, NULL, MS_BIND, NULL, err);
}

/* The clusters' keys and disks, this node's own among them, are not the node's business. */
static enum err_code mask(const char *path, struct err *err)
{
    struct stat status;
    char target[PLACE_PATH_MAX];
    snprintf(target, sizeof target, ".%s", path);
    if (stat(target, &status) != 0)
        return ERR_NONE; /* hidden already, by the node's own /run or /tmp */
    return mount_at("tmpfs", target, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "size=4k,mode=755",
                    err);
}

static enum err_code become_root(struct err *err)
{
    /* With both the same, the old root comes to lie on top of the new one, and goes from there. */
    if (syscall(SYS_pivot_root, ".", ".") != 0)
        return err_errno(err, errno, "change the root directory");
    if (umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
        return err_errno(err, errno, "leave the host's root directory");
    return ERR_NONE;
}

enum err_code init_mount(const struct init_spec *spec, struct err *err)
{
    const struct place *place = spec->place;
    char disk[PLACE_PATH_MAX], name[16];
    snprintf(name, sizeof name, "n%d", spec->index + 1);
    place_join(place->disk_dir, name, disk);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return err_errno(err, errno, "make the mounts private");
    if (chdir(disk) != 0)
        return err_errno(err, errno, "enter %s", disk);
    enum err_code code = mount_overlay("/", "upper", "work", "merged", err);
    if (code == ERR_NONE)
        code = overlay_mount_points(place, err);
    if (code == ERR_NONE && chdir("merged") != 0)
        code = err_errno(err, errno, "enter %s/merged", disk);
    if (code == ERR_NONE)
        code = mount_kernel(err);
    if (code == ERR_NONE)
        code = mount_run(err);
    if (code == ERR_NONE)
        code = bind_own(disk, "root", err);
    if (code == ERR_NONE)
        code = bind_own(disk, "tmp", err);
    if (code == ERR_NONE)
        code = mask(place->disk_parent, err);
    if (code == ERR_NONE)
        code = mask(place->state_parent, err);
    if (code == ERR_NONE)
        code = become_root(err);
    return code;
}
