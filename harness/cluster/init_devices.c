/* A node's /dev: copies of the host's device files, in a file system of the node's own.
 *
 * A bind mount would be less code, but then `chmod`, `rm` or a program told to write its output to
 * /dev/null, run as root on a node, would change the host. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "harness/cluster/init.h"

enum { LOOP_DEVICES = 256, LOOP_MAJOR = 7, DEPTH_MAX = 6 };

static void copy_link(int source, int target, const char *name)
{
    char text[1024];
    ssize_t length = readlinkat(source, name, text, sizeof text - 1);
    if (length <= 0)
        return;
    text[length] = '\0';
    if (symlinkat(text, target, name) != 0)
        errno = 0; /* one link less */
}

static void copy_device(int target, const char *name, const struct stat *status)
{
    if (mknodat(target, name, status->st_mode & (S_IFMT | 0777), status->st_rdev) == 0 &&
        (fchmodat(target, name, status->st_mode & 07777, 0) != 0 ||
         fchownat(target, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) != 0))
        unlinkat(target, name, 0);
}

/* Takes both descriptors. What is mounted below (pts, shm, mqueue) becomes an empty directory. */
static void copy_directory(int source, int target, int depth)
{
    struct stat own, status;
    DIR *directory = fdopendir(source);
    struct dirent *entry;
    if (directory == NULL)
        close(source);
    while (directory != NULL && fstat(source, &own) == 0 && (entry = readdir(directory)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            fstatat(source, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISLNK(status.st_mode))
            copy_link(source, target, name);
        else if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
            copy_device(target, name, &status);
        if (!S_ISDIR(status.st_mode) || mkdirat(target, name, 0755) != 0 || depth >= DEPTH_MAX ||
            status.st_dev != own.st_dev)
            continue;
        int inner_source = openat(source, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int inner_target = openat(target, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner_source >= 0 && inner_target >= 0) {
            copy_directory(inner_source, inner_target, depth + 1);
        } else {
            close(inner_source);
            close(inner_target);
        }
    }
    if (directory != NULL)
        closedir(directory);
    close(target);
}

/* The kernel makes loop devices as they are asked for, and their files only on the host. */
static void add_loop_devices(void)
{
    char path[32];
    for (unsigned i = 0; i < LOOP_DEVICES; i++) {
        snprintf(path, sizeof path, "dev/loop%u", i);
        if (mknod(path, S_IFBLK | 0660, makedev(LOOP_MAJOR, i)) != 0 && errno != EEXIST)
            return;
    }
}

enum err_code init_make_devices(struct err *err)
{
    struct stat status;
    if (mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755") != 0)
        return err_errno(err, errno, "mount a tmpfs on /dev");
    int source = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int target = open("dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (source < 0 || target < 0) {
        int error = errno;
        close(source);
        close(target);
        return err_errno(err, error, "read /dev");
    }
    copy_directory(source, target, 0);
    add_loop_devices();
    if (stat("dev/null", &status) != 0 || !S_ISCHR(status.st_mode))
        return err_set(err, ERR_UNSUPPORTED,
                       "device files cannot be made here; a container needs --privileged");
    return ERR_NONE;
}
