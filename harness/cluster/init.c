/* A node from the inside: see init.h. */
#include "harness/cluster/init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/line.h"
#include "harness/base/text.h"
#include "harness/cluster/network.h"
#include "harness/cluster/process.h"
#include "harness/cluster/tool.h"

static const char sshd_log[] = "/var/log/ordeal-sshd.log";
static const char sshd_config[] = "/run/ordeal/sshd_config";
enum { RESPAWN_PAUSE_MS = 100 };

enum err_code init_make_disk(const struct place *place, int index, struct err *err)
{
    static const struct {
        const char *name;
        unsigned mode;
    } parts[] = {
        {"upper", 0755}, {"work", 0700}, {"merged", 0755}, {"root", 0700}, {"tmp", 01777},
    };
    char disk[PLACE_PATH_MAX], path[PLACE_PATH_MAX], name[16];
    snprintf(name, sizeof name, "n%d", index + 1);
    place_join(place->disk_dir, name, disk);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        place_join(disk, parts[i].name, path);
        enum err_code code = place_make_directory(path, parts[i].mode, err);
        if (code != ERR_NONE)
            return code;
    }
    return ERR_NONE;
}

/* Time is one for all nodes and the host: namespaces cannot part it. */
void init_limit_self(void)
{
    prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0);
}

/* ---- Getting up ---- */

static void tell(int channel, const char *what, enum err_code code, const char *message)
{
    struct buf text = BUF_INIT;
    line_field(&text, what);
    line_field(&text, message);
    line_key_int(&text, "code", code);
    /* When nobody listens any more, the node is up and this is history. */
    if (send(channel, text.data, text.length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        errno = 0;
    buf_free(&text);
}

/* From OpenSSH 9.8 on sshd refuses addresses that broke off a few logins; here they are faults that
 * ordeal itself injected. Older ones refuse to start with an option they do not know, so that the
 * program is asked: its keyword table holds the name. */
static bool sshd_has_penalties(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0)
        return false;
    bool found = false;
    if (fstat(fd, &status) == 0 && status.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes != MAP_FAILED) {
            static const char keyword[] = "persourcepenalties";
            found = memmem(bytes, (size_t)status.st_size, keyword, sizeof keyword) != NULL;
            munmap(bytes, (size_t)status.st_size);
        }
    }
    close(fd);
    return found;
}

/* In /run, so that nothing that happens to the node's disk can lock ordeal out; not the host's
 * configuration, which may forbid what nodes need. PAM would bring the host's session rules. */
static enum err_code write_ssh_files(const struct line *go, struct err *err)
{
    char sshd[256];
    if (!tool_find("sshd", sshd, sizeof sshd))
        return err_set(err, ERR_UNSUPPORTED, "sshd is not installed");
    struct buf config = BUF_INIT;
    buf_add_text(&config, "HostKey /run/ordeal/host_key\n"
                          "AuthorizedKeysFile /run/ordeal/authorized_keys .ssh/authorized_keys\n"
                          "PermitRootLogin prohibit-password\n"
                          "PasswordAuthentication no\n"
                          "KbdInteractiveAuthentication no\n"
                          "StrictModes no\n"
                          "UseDNS no\n"
                          "PrintMotd no\n"
                          "PrintLastLog no\n"
                          "MaxSessions 1000\n"
                          "MaxStartups 1000\n"
                          "MaxAuthTries 20\n"
                          "PidFile /run/sshd.pid\n"
                          "SetEnv PATH=" TOOL_PATH "\n"
                          "Subsystem sftp internal-sftp\n");
    if (sshd_has_penalties(sshd))
        buf_add_text(&config, "PerSourcePenalties no\n");
    const char *host_key = line_get(go, "host_key"), *keys = line_get(go, "authorized_keys");
    enum err_code code = place_write_file(sshd_config, buf_text(&config), 0644, err);
    if (code == ERR_NONE)
        code =
            place_write_file("/run/ordeal/host_key", host_key != NULL ? host_key : "", 0600, err);
    if (code == ERR_NONE)
        code = place_write_file("/run/ordeal/authorized_keys", keys != NULL ? keys : "", 0644, err);
    buf_free(&config);
    return code;
}

/* Once per disk: what a test does to these files afterwards, a boot must not undo. */
static enum err_code write_names(const struct init_spec *spec, const char *name, struct err *err)
{
    struct buf text = BUF_INIT;
    network_format_hosts(&text, spec->node_count, spec->ipv6);
    enum err_code code = place_write_file("/etc/hosts", buf_text(&text), 0644, err);
    buf_clear(&text);
    buf_printf(&text, "%s\n", name);
    if (code == ERR_NONE)
        code = place_write_file("/etc/hostname", buf_text(&text), 0644, err);
    if (code == ERR_NONE)
        code = place_write_file("/etc/gai.conf", NETWORK_GAI_CONF, 0644, err);
    buf_free(&text);
    return code;
}

/* Waits for the keeper to say that eth0 is there. Its end of the channel closes when it dies. */
static enum err_code receive_go(int channel, struct arena *arena, struct line *go, struct err *err)
{
    char message[INIT_MESSAGE_MAX];
    ssize_t length;
    do
        length = recv(channel, message, sizeof message, 0);
    while (length < 0 && errno == EINTR);
    if (length <= 1)
        _exit(1);
    return line_parse(arena, message, (size_t)length - 1, go, err);
}

/* Databases want many; the default of 1024 is for interactive shells. */
static void raise_file_limit(void)
{
    struct rlimit limit = {.rlim_cur = 65536, .rlim_max = 1048576};
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536; /* may not go higher here */
    setrlimit(RLIMIT_NOFILE, &limit);
}

static enum err_code get_up(const struct init_spec *spec, const char *name, int channel,
                            struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct line go;
    enum err_code code = init_mount(spec, err);
    if (code == ERR_NONE && sethostname(name, strlen(name)) != 0)
        code = err_errno(err, errno, "set the host name");
    if (code == ERR_NONE && spec->fresh)
        code = write_names(spec, name, err);
    if (code == ERR_NONE)
        code = receive_go(channel, &arena, &go, err);
    if (code == ERR_NONE)
        code = network_configure_node(spec->index, spec->node_count, spec->ipv6, err);
    if (code == ERR_NONE)
        code = write_ssh_files(&go, err);
    arena_free(&arena);
    init_limit_self();
    raise_file_limit();
    return code;
}

/* ---- Staying up ---- */

static void exec_sshd(void)
{
    char path[256];
    char *const argv[] = {path,         (char *)"-D",        (char *)"-e",
                          (char *)"-f", (char *)sshd_config, NULL};
    char *const environment[] = {(char *)"PATH=" TOOL_PATH, (char *)"TERM=linux",
                                 (char *)"LANG=C.UTF-8", NULL};
    int log = open(sshd_log, O_WRONLY | O_CREAT | O_APPEND, 0640);
    if (log >= 0) {
        dup2(log, 1);
        dup2(log, 2);
        close(log);
    }
    setsid();
    process_reset_signals();
    process_set_oom_score(0);
    if (tool_find("sshd", path, sizeof path))
        execve(path, argv, environment);
    _exit(127);
}

/* Tells the keeper, with the last line that sshd wrote. */
static void explain_end(int channel, int status)
{
    struct buf log = BUF_INIT;
    const char *why = "";
    if (file_read(sshd_log, 1 << 24, &log, NULL) == ERR_NONE && log.length > 0) {
        if (log.data[log.length - 1] == '\n')
            log.data[log.length - 1] = '\0';
        const char *newline = strrchr(log.data, '\n');
        why = newline != NULL ? newline + 1 : log.data;
    }
    char message[600];
    snprintf(message, sizeof message, "sshd ended (%s %d): %.500s",
             WIFSIGNALED(status) ? "signal" : "exit status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), why);
    buf_free(&log);
    tell(channel, "fail", ERR_IO, message);
}

/* Reaps everything, and starts sshd again whenever it is gone: `kill -9 -1` on the node is a fault
 * that tests inject, and must not cut them off. */
static void __attribute__((noreturn)) supervise(int channel)
{
    for (int64_t started_ns = 0;;) {
        int64_t pause_ns = started_ns + RESPAWN_PAUSE_MS * NS_PER_MS - clock_monotonic_ns();
        if (started_ns != 0)
            clock_sleep_ns(pause_ns);
        pid_t sshd = fork();
        if (sshd == 0)
            exec_sshd();
        bool first = started_ns == 0;
        started_ns = clock_monotonic_ns();
        if (first && sshd > 0)
            tell(channel, "sshd", ERR_NONE, "");
        int status;
        pid_t ended;
        do
            ended = waitpid(-1, &status, 0);
        while (ended != sshd && (ended > 0 || errno == EINTR));
        if (first) {
            if (ended == sshd)
                explain_end(channel, status);
            close(channel);
        }
    }
}

void init_main(const struct init_spec *spec, int channel)
{
    char name[16], title[80];
    snprintf(name, sizeof name, "n%d", spec->index + 1);
    snprintf(title, sizeof title, "%s/%s", spec->place->name, name);
    process_close_others(&channel, 1);
    /* The node must not outlive its keeper. Should that have died before this line, the channel is
     * closed and receive_go ends the process. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    setsid();
    umask(022);
    process_rename("ordeal-init", title);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    struct err err = ERR_INIT;
    if (get_up(spec, name, channel, &err) != ERR_NONE) {
        tell(channel, "fail", err.code, err.message);
        _exit(1);
    }
    supervise(channel);
}
