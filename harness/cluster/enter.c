/* Commands on nodes and in the control network: see cluster.h. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/cluster/cluster.h"
#include "harness/cluster/init.h"
#include "harness/cluster/process.h"
#include "harness/cluster/tool.h"

/* ---- On a node, without ssh ---- */

static enum err_code open_node(const struct cluster *cluster, int index, int *pidfd,
                               struct err *err)
{
    const char *name = cluster_node_name(cluster, index);
    pid_t pid = cluster_node_pid(cluster, index);
    int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (fd < 0 || cluster_node_pid(cluster, index) != pid) {
        if (fd >= 0)
            close(fd);
        return err_set(err, ERR_REMOTE, "%s is stopped: ordeal local start %s", name, name);
    }
    *pidfd = fd;
    return ERR_NONE;
}

static char *environment_entry(const char *name)
{
    const char *value = getenv(name);
    char *entry = NULL;
    if (value == NULL || asprintf(&entry, "%s=%s", name, value) < 0)
        return NULL;
    return entry;
}

/* What ssh would give: nothing of the caller's but its terminal's type. */
static void __attribute__((noreturn)) exec_on_node(char *const command[])
{
    char *environment[] = {(char *)"PATH=" TOOL_PATH, (char *)"HOME=/root",
                           (char *)"USER=root",       (char *)"LOGNAME=root",
                           (char *)"SHELL=/bin/sh",   environment_entry("TERM"),
                           environment_entry("LANG"), NULL};
    if (environment[5] == NULL) {
        environment[5] = environment[6];
        environment[6] = NULL;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    process_reset_signals();
    init_limit_self();
    if (chdir("/root") != 0 && chdir("/") != 0)
        _exit(127);
    environ = environment;
    execvp(command[0], command);
    fprintf(stderr, "ordeal: %s: %s\n", command[0], strerror(errno));
    _exit(127);
}

static volatile sig_atomic_t running_command;

static void pass_on(int number)
{
    if (running_command > 0)
        kill((pid_t)running_command, number);
}

/* The terminal sends its interrupts to the command, too: here they are only not to end the wait. */
static int await_command(pid_t pid)
{
    static const int handled[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};
    struct sigaction previous[4];
    running_command = pid;
    for (size_t i = 0; i < 4; i++) {
        struct sigaction action = {.sa_handler = i < 2 ? pass_on : SIG_IGN, .sa_flags = SA_RESTART};
        sigemptyset(&action.sa_mask);
        sigaction(handled[i], &action, &previous[i]);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    running_command = 0;
    for (size_t i = 0; i < 4; i++)
        sigaction(handled[i], &previous[i], NULL);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

enum err_code cluster_run_on_node(const struct cluster *cluster, int index, char *const command[],
                                  int *status, struct err *err)
{
    int pidfd = -1;
    enum err_code code = open_node(cluster, index, &pidfd, err);
    if (code != ERR_NONE)
        return code;
    /* Only children come to live in a process namespace, and this process shall not stay in the
     * others: a child enters, and its child is the command. */
    pid_t middle = fork();
    if (middle == 0) {
        if (setns(pidfd, CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC) !=
            0) {
            fprintf(stderr, "ordeal: enter %s: %s\n", cluster_node_name(cluster, index),
                    strerror(errno));
            _exit(127);
        }
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        pid_t pid = fork();
        if (pid == 0)
            exec_on_node(command);
        _exit(pid > 0 ? await_command(pid) : 127);
    }
    int error = errno;
    close(pidfd);
    if (middle < 0)
        return err_errno(err, error, "run a command on %s", cluster_node_name(cluster, index));
    *status = await_command(middle);
    return ERR_NONE;
}

/* ---- In the control network ---- */

static enum err_code enter_control(const struct cluster *cluster, struct err *err)
{
    int previous;
    enum err_code code = cluster_join(cluster, &previous, err);
    if (code == ERR_NONE)
        close(previous);
    return code;
}

/* The key's neighbour in the state directory. */
static void state_file(const struct cluster *cluster, const char *name, char *path, size_t size)
{
    const char *key = cluster_key_path(cluster);
    snprintf(path, size, "%.*s%s", (int)(strrchr(key, '/') + 1 - key), key, name);
}

/* Names: a private copy of the mounts, in which /etc/hosts is the cluster's. */
static enum err_code show_names(const struct cluster *cluster, struct err *err)
{
    char hosts[1200], gai_conf[1200];
    state_file(cluster, "hosts", hosts, sizeof hosts);
    state_file(cluster, "gai.conf", gai_conf, sizeof gai_conf);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        return err_errno(err, errno, "make the mounts private");
    if (mount(hosts, "/etc/hosts", NULL, MS_BIND, NULL) != 0)
        return err_errno(err, errno, "mount %s on /etc/hosts", hosts);
    if (access("/etc/gai.conf", F_OK) == 0 &&
        mount(gai_conf, "/etc/gai.conf", NULL, MS_BIND, NULL) != 0)
        return err_errno(err, errno, "mount %s on /etc/gai.conf", gai_conf);
    return ERR_NONE;
}

enum err_code cluster_exec_on_control(const struct cluster *cluster, char *const command[],
                                      struct err *err)
{
    char directory[4096];
    bool known = getcwd(directory, sizeof directory) != NULL;
    enum err_code code = enter_control(cluster, err);
    if (code == ERR_NONE)
        code = show_names(cluster, err);
    if (code != ERR_NONE)
        return code;
    if (known && chdir(directory) != 0)
        return err_errno(err, errno, "return to %s", directory);
    execvp(command[0], command);
    return err_errno(err, errno, "run %s", command[0]);
}

enum err_code cluster_exec_ssh(const struct cluster *cluster, int index, char *const command[],
                               struct err *err)
{
    char path[256], target[64], alias[32], known_hosts[1200];
    if (!tool_find("ssh", path, sizeof path))
        return err_set(err, ERR_UNSUPPORTED,
                       "ssh is not installed: apt-get install openssh-client");
    snprintf(target, sizeof target, "root@%s", cluster_node_address(cluster, index));
    snprintf(alias, sizeof alias, "HostKeyAlias=%s", cluster_node_name(cluster, index));
    snprintf(known_hosts, sizeof known_hosts, "UserKnownHostsFile=\"%s\"",
             cluster_known_hosts_path(cluster));
    size_t count = 0;
    while (command[count] != NULL)
        count++;
    const char *const fixed[] = {path,
                                 "-F",
                                 "/dev/null",
                                 "-i",
                                 cluster_key_path(cluster),
                                 "-o",
                                 known_hosts,
                                 "-o",
                                 "GlobalKnownHostsFile=/dev/null",
                                 "-o",
                                 "StrictHostKeyChecking=yes",
                                 "-o",
                                 "IdentitiesOnly=yes",
                                 "-o",
                                 alias,
                                 target,
                                 "--"};
    const size_t fixed_count = sizeof fixed / sizeof *fixed - (count == 0);
    const char **argv = calloc(fixed_count + count + 1, sizeof *argv);
    if (argv == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    memcpy(argv, fixed, fixed_count * sizeof *argv);
    for (size_t i = 0; i < count; i++)
        argv[fixed_count + i] = command[i];
    enum err_code code = enter_control(cluster, err);
    if (code == ERR_NONE) {
        execv(path, (char *const *)argv);
        code = err_errno(err, errno, "run %s", path);
    }
    free(argv);
    return code;
}
