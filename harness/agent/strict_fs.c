/* The strict file system: see strict_fs.h. One thread, so that nothing happens at once. */
#include "harness/agent/strict_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/agent/strict_fs_internal.h"
#include "harness/base/text.h"

struct strict_fs strict_fs;

/* ---- Where files are ---- */

/* Its path below the backing, whatever the kernel was told. */
static bool path_of(const struct strict_file *file, char text[PATH_MAX])
{
    char link[STRICT_PATH_BYTES];
    strict_file_path(file, link);
    ssize_t length = readlink(link, text, PATH_MAX - 1);
    if (length < 0)
        return false;
    text[length] = '\0';
    return true;
}

bool strict_fs_path(const struct strict_file *file, char text[PATH_MAX], const char **path)
{
    static const char data[] = "/" STRICT_FS_DATA, probe[] = "/" STRICT_FS_PROBE;
    size_t root = strlen(strict_fs.root_path);
    *path = "";
    if (!path_of(file, text) || strncmp(text, strict_fs.root_path, root) != 0)
        return true; /* in the trash */
    if (strncmp(text + root, data, sizeof data - 1) == 0) {
        *path = text + root + sizeof data - 1;
        *path += **path == '/';
        return true;
    }
    *path = NULL;
    return strcmp(text + root, probe) == 0;
}

static const struct fuse_lowlevel_ops operations = {
    .lookup = strict_fs_lookup,
    .forget = strict_fs_forget,
    .getattr = strict_fs_getattr,
    .setattr = strict_fs_setattr,
    .readlink = strict_fs_readlink,
    .mknod = strict_fs_mknod,
    .mkdir = strict_fs_mkdir,
    .unlink = strict_fs_remove,
    .rmdir = strict_fs_remove,
    .symlink = strict_fs_symlink,
    .rename = strict_fs_rename,
    .link = strict_fs_link,
    .open = strict_fs_open,
    .create = strict_fs_create,
    .read = strict_fs_read,
    .write = strict_fs_write,
    .release = strict_fs_release,
    .fsync = strict_fs_fsync,
    .fallocate = strict_fs_fallocate,
    .opendir = strict_fs_opendir,
    .readdir = strict_fs_readdir,
    .releasedir = strict_fs_releasedir,
    .fsyncdir = strict_fs_fsyncdir,
    .statfs = strict_fs_statfs,
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
    strict_open(&strict_fs.undo, trash);
    strict_fs.root = strict_file_get(&strict_fs.undo, root);
    return strict_fs.root != NULL && path_of(strict_fs.root, strict_fs.root_path);
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

static void cut(int backing, struct fuse_session *session)
{
    struct strict_lost lost;
    int failure = strict_revert(&strict_fs.undo, &lost);
    strict_fs.dead = true;
    strict_fs_unpark(session, true);
    int fd = openat(backing, STRICT_FS_DEAD ".new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    dprintf(fd, "%d\n", failure);
    close(fd);
    (void)!renameat(backing, STRICT_FS_DEAD ".new", backing, STRICT_FS_DEAD);
}

/* Takes over the rules that BACKING holds now, and answers with what they have hit so far. */
static void take_rules(int backing, struct fuse_session *session)
{
    struct buf text = BUF_INIT, answer = BUF_INIT;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d/" STRICT_FS_RULES, backing);
    (void)!file_read(path, STRICT_FS_RULES_BYTES_MAX, &text, NULL);
    const char *end = text.length == 0 ? NULL : memchr(text.data, '\n', text.length);
    size_t first = end == NULL ? 0 : (size_t)(end - text.data) + 1;
    strict_rules_load(&strict_fs.rules, buf_text(&text) + first, text.length - first);
    if (session != NULL)
        strict_fs_unpark(session, true);
    buf_add(&answer, buf_text(&text), first);
    for (uint32_t i = 0; i < strict_fs.rules.count; i++) {
        const struct strict_rule *rule = &strict_fs.rules.items[i];
        line_key(&answer, "id", rule->id);
        line_key_int(&answer, "hits", (int64_t)rule->hits);
        line_key_int(&answer, "tries", (int64_t)rule->tries);
        line_key_int(&answer, "left", (int64_t)rule->bytes);
        line_end(&answer);
    }
    int fd =
        openat(backing, STRICT_FS_ANSWER ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)!write(fd, buf_text(&answer), answer.length);
        close(fd);
        (void)!renameat(backing, STRICT_FS_ANSWER ".new", backing, STRICT_FS_ANSWER);
    }
    buf_free(&text);
    buf_free(&answer);
}

/* It hangs between two requests, never in one: whoever is killed meanwhile waits for nobody. */
static void obey(int signals, int backing, struct fuse_session *session)
{
    int number = next_signal(signals);
    if (number == STRICT_FS_CHANGE)
        take_rules(backing, session);
    if (number == STRICT_FS_STALL) {
        int fd = openat(backing, STRICT_FS_STALLED, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
            close(fd);
        while (number != STRICT_FS_GO_ON && number != STRICT_FS_CUT)
            if ((number = next_signal(signals)) == STRICT_FS_CHANGE)
                take_rules(backing, NULL);
        unlinkat(backing, STRICT_FS_STALLED, 0);
    }
    if (number == STRICT_FS_CUT && !strict_fs.dead)
        cut(backing, session);
}

static int take_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, STRICT_FS_STALL);
    sigaddset(&set, STRICT_FS_GO_ON);
    sigaddset(&set, STRICT_FS_CUT);
    sigaddset(&set, STRICT_FS_CHANGE);
    sigprocmask(SIG_SETMASK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static void serve_requests(struct fuse_session *session, int backing, int signals)
{
    struct fuse_buf request = {.mem = NULL};
    while (!fuse_session_exited(session)) {
        struct pollfd wanted[] = {{.fd = signals, .events = POLLIN},
                                  {.fd = fuse_session_fd(session), .events = POLLIN}};
        (void)!poll(wanted, 2, strict_fs_parked_ms());
        if (wanted[0].revents != 0)
            obey(signals, backing, session);
        strict_fs_unpark(session, false);
        if (wanted[1].revents == 0)
            continue;
        int length = fuse_session_receive_buf(session, &request);
        if (length == -EINTR)
            continue;
        if (length <= 0) /* unmounted */
            break;
        if (!strict_fs_park(&request))
            fuse_session_process_buf(session, &request);
    }
    strict_fs_unpark(session, true);
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
        _exit(0); /* at once: what the session holds is the child's */
    setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        dup2(null, fd);
    (void)!chdir("/");
    prctl(PR_SET_NAME, STRICT_FS_NAME);
    int signals = take_signals();
    take_rules(backing, NULL);
    write_pid(backing);
    serve_requests(session, backing, signals);
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    strict_close(&strict_fs.undo);
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
    fuse_opt_free_args(&arguments);
    if (session == NULL || fuse_session_mount(session, mount) != 0) {
        fprintf(stderr, "ordeal-agent: strict-fs: cannot mount at %s (is there a /dev/fuse?)\n",
                mount);
        return 1;
    }
    return serve(session, at);
}
