/* The strict file system: see strict_fs.h. One thread, so that nothing happens at once. */
#define FUSE_USE_VERSION 35

#include "harness/agent/strict_fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "harness/agent/strict_undo.h"

/* The kernel asks again after so long; all changes go through it. */
static const double known_s = 3600;

static struct {
    struct strict_undo undo;
    struct strict_file *root;
    bool dead;
} fs;

static struct strict_file *file_of(fuse_ino_t number)
{
    return number == FUSE_ROOT_ID ? fs.root : (struct strict_file *)(uintptr_t)number;
}

/* Says so to the kernel when there is no power any more. */
static bool refuses(fuse_req_t request)
{
    if (fs.dead)
        fuse_reply_err(request, EIO);
    return fs.dead;
}

/* ---- Names ---- */

static int look_up(struct strict_file *directory, const char *name, struct fuse_entry_param *entry)
{
    int fd = openat(directory->path_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct strict_file *file = fd < 0 ? NULL : strict_file_get(&fs.undo, fd);
    if (file == NULL)
        return errno;
    *entry = (struct fuse_entry_param){
        .ino = (uintptr_t)file, .attr_timeout = known_s, .entry_timeout = known_s};
    return fstatat(file->path_fd, "", &entry->attr, AT_EMPTY_PATH) == 0 ? 0 : errno;
}

static void reply_entry(fuse_req_t request, struct strict_file *directory, const char *name)
{
    struct fuse_entry_param entry;
    int failure = look_up(directory, name, &entry);
    if (failure != 0)
        fuse_reply_err(request, failure);
    else
        fuse_reply_entry(request, &entry);
}

static void do_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    if (!refuses(request))
        reply_entry(request, file_of(parent), name);
}

static void do_forget(fuse_req_t request, fuse_ino_t number, uint64_t count)
{
    if (number != FUSE_ROOT_ID)
        strict_file_release(&fs.undo, file_of(number), count);
    fuse_reply_none(request);
}

/* Belongs to who asked for it, and is remembered as made. */
static void made(fuse_req_t request, struct strict_file *directory, const char *name)
{
    const struct fuse_ctx *who = fuse_req_ctx(request);
    (void)!fchownat(directory->path_fd, name, who->uid, who->gid, AT_SYMLINK_NOFOLLOW);
    strict_made(&fs.undo, directory, name);
}

/* `result` is that of the call that made it, with its errno. */
static void reply_made(fuse_req_t request, struct strict_file *directory, const char *name,
                       int result)
{
    if (result != 0) {
        fuse_reply_err(request, errno);
        return;
    }
    made(request, directory, name);
    reply_entry(request, directory, name);
}

static void do_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                     dev_t device)
{
    struct strict_file *directory = file_of(parent);
    if (!refuses(request))
        reply_made(request, directory, name, mknodat(directory->path_fd, name, mode, device));
}

static void do_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct strict_file *directory = file_of(parent);
    if (!refuses(request))
        reply_made(request, directory, name, mkdirat(directory->path_fd, name, mode));
}

static void do_symlink(fuse_req_t request, const char *to, fuse_ino_t parent, const char *name)
{
    struct strict_file *directory = file_of(parent);
    if (!refuses(request))
        reply_made(request, directory, name, symlinkat(to, directory->path_fd, name));
}

static void do_link(fuse_req_t request, fuse_ino_t number, fuse_ino_t parent, const char *name)
{
    struct strict_file *directory = file_of(parent);
    char path[STRICT_PATH_BYTES];
    if (refuses(request))
        return;
    strict_file_path(file_of(number), path);
    if (linkat(AT_FDCWD, path, directory->path_fd, name, AT_SYMLINK_FOLLOW) != 0) {
        fuse_reply_err(request, errno);
        return;
    }
    strict_made(&fs.undo, directory, name);
    reply_entry(request, directory, name);
}

static void do_remove(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    if (!refuses(request))
        fuse_reply_err(request, strict_remove(&fs.undo, file_of(parent), name));
}

static void do_rename(fuse_req_t request, fuse_ino_t from, const char *old_name, fuse_ino_t to,
                      const char *new_name, unsigned flags)
{
    if (refuses(request))
        return;
    int failure = flags & ~(unsigned)RENAME_NOREPLACE
                      ? EINVAL
                      : strict_rename(&fs.undo, file_of(from), old_name, file_of(to), new_name,
                                      !(flags & RENAME_NOREPLACE));
    fuse_reply_err(request, failure);
}

static void do_readlink(fuse_req_t request, fuse_ino_t number)
{
    char to[4096];
    if (refuses(request))
        return;
    ssize_t length = readlinkat(file_of(number)->path_fd, "", to, sizeof to - 1);
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
        fuse_reply_attr(request, &status, known_s);
}

static void do_getattr(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    (void)info;
    if (!refuses(request))
        reply_attributes(request, file_of(number));
}

static int resize(struct strict_file *file, off_t size)
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
    int failure = to_set & FUSE_SET_ATTR_SIZE ? resize(file, wanted->st_size) : 0;
    struct timespec times[2] = {time_to_set(wanted, to_set, true),
                                time_to_set(wanted, to_set, false)};
    bool times_given = times[0].tv_nsec != UTIME_OMIT || times[1].tv_nsec != UTIME_OMIT;
    if (failure == 0 && times_given && utimensat(AT_FDCWD, path, times, 0) != 0)
        failure = errno;
    return failure;
}

static void do_setattr(fuse_req_t request, fuse_ino_t number, struct stat *wanted, int to_set,
                       struct fuse_file_info *info)
{
    (void)info;
    if (refuses(request))
        return;
    int failure = set_attributes(file_of(number), wanted, to_set);
    if (failure != 0)
        fuse_reply_err(request, failure);
    else
        reply_attributes(request, file_of(number));
}

static void do_statfs(fuse_req_t request, fuse_ino_t number)
{
    struct statvfs status;
    (void)number;
    if (refuses(request))
        return;
    if (fstatvfs(fs.root->path_fd, &status) != 0)
        fuse_reply_err(request, errno);
    else
        fuse_reply_statfs(request, &status);
}

/* ---- Files ---- */

/* What is overwritten is read before, and the kernel says where an append goes. */
static int backing_flags(int flags)
{
    int access = (flags & O_ACCMODE) == O_RDONLY ? O_RDONLY : O_RDWR;
    return (flags & ~(O_ACCMODE | O_APPEND | O_TRUNC | O_CREAT | O_EXCL | O_DIRECT)) | access;
}

static void do_open(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    struct strict_file *file = file_of(number);
    if (refuses(request))
        return;
    int failure = info->flags & O_TRUNC ? resize(file, 0) : 0;
    int fd = failure != 0 ? -1 : strict_file_open(file, backing_flags(info->flags));
    if (fd < 0) {
        fuse_reply_err(request, failure != 0 ? failure : errno);
        return;
    }
    info->fh = (uint64_t)fd;
    fuse_reply_open(request, info);
}

static void do_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *info)
{
    struct strict_file *directory = file_of(parent);
    struct fuse_entry_param entry;
    if (refuses(request))
        return;
    int flags = backing_flags(info->flags) | O_CREAT | O_EXCL | O_CLOEXEC;
    int fd = openat(directory->path_fd, name, (flags & ~O_ACCMODE) | O_RDWR, mode);
    if (fd < 0) {
        fuse_reply_err(request, errno);
        return;
    }
    made(request, directory, name);
    int failure = look_up(directory, name, &entry);
    if (failure != 0) {
        close(fd);
        fuse_reply_err(request, failure);
        return;
    }
    info->fh = (uint64_t)fd;
    fuse_reply_create(request, &entry, info);
}

static void do_release(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    (void)number;
    close((int)info->fh);
    fuse_reply_err(request, 0);
}

static void do_read(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
                    struct fuse_file_info *info)
{
    (void)number;
    if (refuses(request))
        return;
    char *bytes = malloc(size > 0 ? size : 1);
    ssize_t count = bytes == NULL ? -1 : pread((int)info->fh, bytes, size, offset);
    if (count < 0)
        fuse_reply_err(request, bytes == NULL ? ENOMEM : errno);
    else
        fuse_reply_buf(request, bytes, (size_t)count);
    free(bytes);
}

static void do_write(fuse_req_t request, fuse_ino_t number, const char *bytes, size_t size,
                     off_t offset, struct fuse_file_info *info)
{
    if (refuses(request))
        return;
    int failure = strict_before_write(file_of(number), (int)info->fh, offset, size);
    ssize_t count = failure != 0 ? -1 : pwrite((int)info->fh, bytes, size, offset);
    if (count < 0)
        fuse_reply_err(request, failure != 0 ? failure : errno);
    else
        fuse_reply_write(request, (size_t)count);
}

static void do_fsync(fuse_req_t request, fuse_ino_t number, int data_only,
                     struct fuse_file_info *info)
{
    (void)data_only, (void)info;
    if (refuses(request))
        return;
    strict_sync_file(file_of(number));
    fuse_reply_err(request, 0);
}

/* Room is made; what a hole would take away is nobody's need so far. */
static void do_fallocate(fuse_req_t request, fuse_ino_t number, int mode, off_t offset,
                         off_t length, struct fuse_file_info *info)
{
    if (refuses(request))
        return;
    int failure = mode & ~FALLOC_FL_KEEP_SIZE
                      ? EOPNOTSUPP
                      : strict_before_write(file_of(number), (int)info->fh, 0, 0);
    if (failure == 0 && fallocate((int)info->fh, mode, offset, length) != 0)
        failure = errno;
    fuse_reply_err(request, failure);
}

/* ---- Directories ---- */

static void do_opendir(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    if (refuses(request))
        return;
    int fd = strict_file_open(file_of(number), O_RDONLY | O_DIRECTORY);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        fuse_reply_err(request, errno);
        return;
    }
    info->fh = (uintptr_t)directory;
    fuse_reply_open(request, info);
}

static void do_readdir(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
                       struct fuse_file_info *info)
{
    DIR *directory = (DIR *)(uintptr_t)info->fh;
    size_t used = 0;
    (void)number;
    if (refuses(request))
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

static void do_releasedir(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    (void)number;
    closedir((DIR *)(uintptr_t)info->fh);
    fuse_reply_err(request, 0);
}

static void do_fsyncdir(fuse_req_t request, fuse_ino_t number, int data_only,
                        struct fuse_file_info *info)
{
    (void)data_only, (void)info;
    if (refuses(request))
        return;
    strict_sync_directory(&fs.undo, file_of(number));
    fuse_reply_err(request, 0);
}

static const struct fuse_lowlevel_ops operations = {
    .lookup = do_lookup,
    .forget = do_forget,
    .getattr = do_getattr,
    .setattr = do_setattr,
    .readlink = do_readlink,
    .mknod = do_mknod,
    .mkdir = do_mkdir,
    .unlink = do_remove,
    .rmdir = do_remove,
    .symlink = do_symlink,
    .rename = do_rename,
    .link = do_link,
    .open = do_open,
    .create = do_create,
    .read = do_read,
    .write = do_write,
    .release = do_release,
    .fsync = do_fsync,
    .fallocate = do_fallocate,
    .opendir = do_opendir,
    .readdir = do_readdir,
    .releasedir = do_releasedir,
    .fsyncdir = do_fsyncdir,
    .statfs = do_statfs,
};

/* ---- The process ---- */

/* libfuse can load modules by name. We name none, and a static program could not load any. */
void *__wrap_dlopen(const char *path, int how);
void *__wrap_dlopen(const char *path, int how)
{
    (void)path, (void)how;
    return NULL;
}

static bool open_backing(const char *backing, int *at_fd)
{
    int at = open(backing, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int trash = at < 0 ? -1 : openat(at, "trash", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int root = at < 0 ? -1 : openat(at, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int failure = errno;
    *at_fd = at;
    if (trash < 0 || root < 0) {
        fprintf(stderr, "ordeal-agent: strict-fs: %s has no root and trash: %s\n", backing,
                strerror(failure));
        return false;
    }
    strict_open(&fs.undo, trash);
    fs.root = strict_file_get(&fs.undo, root);
    return fs.root != NULL;
}

/* Holds a descriptor for each file that is known. */
static void allow_many_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &limit);
}

static int next_signal(int signals)
{
    struct signalfd_siginfo info;
    return read(signals, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

static void cut(int backing)
{
    struct strict_lost lost;
    int failure = strict_revert(&fs.undo, &lost);
    fs.dead = true;
    int fd = openat(backing, STRICT_FS_DEAD ".new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    dprintf(fd, "%d\n", failure);
    close(fd);
    (void)!renameat(backing, STRICT_FS_DEAD ".new", backing, STRICT_FS_DEAD);
}

/* It hangs between two requests, never in one: whoever is killed meanwhile waits for nobody. */
static void obey(int signals, int backing)
{
    int number = next_signal(signals);
    if (number == STRICT_FS_STALL) {
        int fd = openat(backing, STRICT_FS_STALLED, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
            close(fd);
        while (number != STRICT_FS_GO_ON && number != STRICT_FS_CUT)
            number = next_signal(signals);
        unlinkat(backing, STRICT_FS_STALLED, 0);
    }
    if (number == STRICT_FS_CUT && !fs.dead)
        cut(backing);
}

static int take_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, STRICT_FS_STALL);
    sigaddset(&set, STRICT_FS_GO_ON);
    sigaddset(&set, STRICT_FS_CUT);
    sigprocmask(SIG_SETMASK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static void serve_requests(struct fuse_session *session, int backing, int signals)
{
    struct fuse_buf request = {.mem = NULL};
    while (!fuse_session_exited(session)) {
        struct pollfd wanted[] = {{.fd = signals, .events = POLLIN},
                                  {.fd = fuse_session_fd(session), .events = POLLIN}};
        (void)!poll(wanted, 2, -1);
        if (wanted[0].revents != 0)
            obey(signals, backing);
        if (wanted[1].revents == 0)
            continue;
        int length = fuse_session_receive_buf(session, &request);
        if (length == -EINTR)
            continue;
        if (length <= 0) /* unmounted */
            break;
        fuse_session_process_buf(session, &request);
    }
    free(request.mem);
}

static void write_pid(int backing)
{
    int fd = openat(backing, STRICT_FS_PID, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0)
        dprintf(fd, "%d\n", (int)getpid());
    if (fd >= 0)
        close(fd);
}

/* Never returns in the process that serves. */
static int serve(struct fuse_session *session, int backing)
{
    pid_t child = fork();
    if (child < 0) {
        fprintf(stderr, "ordeal-agent: strict-fs: cannot fork: %s\n", strerror(errno));
        fuse_session_unmount(session);
        return 1;
    }
    if (child > 0)
        return 0;
    setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        dup2(null, fd);
    (void)!chdir("/");
    prctl(PR_SET_NAME, STRICT_FS_NAME);
    int signals = take_signals();
    write_pid(backing);
    serve_requests(session, backing, signals);
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    strict_close(&fs.undo);
    _exit(0);
}

int strict_fs_run(const char *backing, const char *mount)
{
    char name[] = "strict-fs", flag[] = "-o",
         how[] = "allow_other,default_permissions,fsname=ordeal,suid,dev";
    char *words[] = {name, flag, how, NULL};
    struct fuse_args arguments = FUSE_ARGS_INIT(3, words);
    umask(0);
    allow_many_files();
    int at = -1;
    if (!open_backing(backing, &at))
        return 1;
    struct fuse_session *session =
        fuse_session_new(&arguments, &operations, sizeof operations, NULL);
    if (session == NULL || fuse_session_mount(session, mount) != 0) {
        fprintf(stderr, "ordeal-agent: strict-fs: cannot mount at %s (is there a /dev/fuse?)\n",
                mount);
        return 1;
    }
    return serve(session, at);
}
