/* A private sshd for tests: see test_sshd.h. */
#include "tests/lib/test_sshd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "tests/lib/test.h"

static const char program[] = "/usr/sbin/sshd";

bool test_sshd_available(const char **skip)
{
    if (access(program, X_OK) != 0)
        *skip = "there is no /usr/sbin/sshd";
    else if (system("command -v ssh-keygen >/dev/null") != 0)
        *skip = "there is no ssh-keygen";
    else if (geteuid() == 0 && system("mkdir -p /run/sshd") != 0)
        *skip = "/run/sshd cannot be made";
    else
        return true;
    return false;
}

void sshd_shell(const char *format, ...)
{
    char command[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    int status = system(command);
    if (status != 0)
        fail_msg("`%s` ended with status %d", command, status);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static bool answers(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return connected;
}

static void write_config(struct test_sshd *sshd, const char *extra)
{
    char path[300];
    snprintf(path, sizeof path, "%s/sshd_config", sshd->dir);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file,
            "%s\n" /* first: sshd keeps the first value of each keyword */
            "ListenAddress 127.0.0.1:%u\nHostKey %s/host_ed25519\nHostKey %s/host_ecdsa\n"
            "HostKey %s/host_rsa\nAuthorizedKeysFile %s/authorized_keys\nStrictModes no\n"
            "UsePAM no\nPermitRootLogin yes\nMaxSessions 1000\nMaxStartups 1000\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUseDNS no\n"
            "PidFile none\nPrintMotd no\nPerSourceMaxStartups none\n",
            extra != NULL ? extra : "", sshd->port, sshd->dir, sshd->dir, sshd->dir, sshd->dir);
    fclose(file);
}

static void launch(struct test_sshd *sshd)
{
    char config[300], log[300];
    snprintf(config, sizeof config, "%s/sshd_config", sshd->dir);
    snprintf(log, sizeof log, "%s/sshd.log", sshd->dir);
    sshd->pid = fork();
    assert_true(sshd->pid >= 0);
    if (sshd->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test ends by an assert */
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(fd, 2);
        execl(program, program, "-D", "-e", "-f", config, (char *)NULL);
        _exit(127);
    }
    int64_t deadline_ns = clock_monotonic_ns() + 20 * NS_PER_SECOND;
    while (!answers(sshd->port)) {
        if (waitpid(sshd->pid, NULL, WNOHANG) != 0 || clock_monotonic_ns() > deadline_ns)
            fail_msg("sshd does not come up; see %s", log);
        clock_sleep_ns(5 * NS_PER_MS);
    }
}

void test_sshd_new_host_keys(struct test_sshd *sshd)
{
    sshd_shell("cd %s && rm -f host_* && ssh-keygen -q -t ed25519 -N '' -f host_ed25519 && "
               "ssh-keygen -q -t ecdsa -N '' -f host_ecdsa && "
               "ssh-keygen -q -t rsa -b 2048 -N '' -f host_rsa",
               sshd->dir);
}

void test_sshd_known_hosts(struct test_sshd *sshd, const char *types, bool hashed)
{
    sshd_shell("cd %s && rm -f known_hosts && for t in %s; do "
               "echo \"[127.0.0.1]:%u $(cut -d' ' -f1,2 host_$t.pub)\" >>known_hosts; done; "
               "[ %d = 0 ] || ssh-keygen -q -H -f known_hosts >/dev/null 2>&1",
               sshd->dir, types, sshd->port, hashed);
}

static void describe_nodes(struct test_sshd *sshd)
{
    snprintf(sshd->key, sizeof sshd->key, "%s/id_ed25519", sshd->dir);
    snprintf(sshd->known_hosts, sizeof sshd->known_hosts, "%s/known_hosts", sshd->dir);
    sshd->keys[0] = sshd->key;
    sshd->keys[1] = NULL;
    sshd->options = (struct fleet_options){
        .connect = {.key_files = sshd->keys, .no_agent = true, .known_hosts = sshd->known_hosts}};
    for (uint32_t i = 0; i < TEST_SSHD_NODES; i++) {
        snprintf(sshd->names[i], sizeof sshd->names[i], "n%u", i + 1);
        sshd->nodes[i] = (struct node){
            .index = i, .name = sshd->names[i], .address = "127.0.0.1", .port = sshd->port};
    }
}

struct fleet *test_sshd_fleet(struct test_sshd *sshd, size_t count)
{
    struct err err = ERR_INIT;
    struct fleet *fleet;
    assert_ok(fleet_open(sshd->nodes, count, &sshd->options, &fleet, &err));
    return fleet;
}

static bool own_mounts;

bool test_own_mounts(void)
{
    own_mounts = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                 mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return own_mounts;
}

/* What root's login scripts do on this machine is not what is tested, so root has an empty home;
 * and there is a user who logs in with a password. */
static void override_users(struct test_sshd *sshd)
{
    sshd_shell("cd %s && mkdir -m 755 home && chmod 755 . && "
               "sed \"s|^root:.*|root:x:0:0::$PWD/home:/bin/sh|\" /etc/passwd >passwd && "
               "echo \"ordealtest:x:64321:64321::$PWD/home:/bin/sh\" >>passwd && "
               "cp /etc/shadow shadow && "
               "echo \"ordealtest:$(openssl passwd -6 secret):19000:0:99999:7:::\" >>shadow && "
               "mount --bind passwd /etc/passwd && mount --bind shadow /etc/shadow",
               sshd->dir);
}

void test_sshd_start(struct test_sshd *sshd, const char *extra)
{
    const char *parent = getenv("TMPDIR");
    snprintf(sshd->dir, sizeof sshd->dir, "%s/ordeal-sshd.XXXXXX",
             parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(sshd->dir));
    test_sshd_new_host_keys(sshd);
    sshd_shell("cd %s && for t in ed25519 ecdsa rsa; do "
               "ssh-keygen -q -t $t -N '' -f id_$t; cat id_$t.pub >>authorized_keys; done; "
               "ssh-keygen -q -t ed25519 -N '' -f id_wrong; "
               "ssh-keygen -q -t ed25519 -N secret -f id_locked",
               sshd->dir);
    sshd->port = free_port();
    describe_nodes(sshd);
    test_sshd_known_hosts(sshd, "ed25519 ecdsa", false);
    if (own_mounts)
        override_users(sshd);
    write_config(sshd, extra);
    launch(sshd);
}

/* Pids of the processes whose parent is `parent`; returns how many. */
static int children(pid_t parent, pid_t *pids, int max)
{
    char command[64];
    snprintf(command, sizeof command, "ps -o pid= --ppid %d", (int)parent);
    FILE *pipe = popen(command, "re");
    int count = 0, pid;
    while (count < max && fscanf(pipe, "%d", &pid) == 1)
        pids[count++] = pid;
    pclose(pipe);
    return count;
}

int test_sshd_kill_sessions(struct test_sshd *sshd)
{
    pid_t pids[256];
    int count = children(sshd->pid, pids, 256);
    for (int i = 0; i < count; i++) {
        pid_t inner[256];
        int inner_count = children(pids[i], inner, 256);
        kill(pids[i], SIGKILL);
        for (int j = 0; j < inner_count; j++) /* without root there is one process, not two */
            kill(inner[j], SIGKILL);
    }
    return count;
}

void test_sshd_stop(struct test_sshd *sshd)
{
    if (sshd->pid <= 0)
        return;
    test_sshd_kill_sessions(sshd);
    kill(sshd->pid, SIGKILL);
    waitpid(sshd->pid, NULL, 0);
    sshd->pid = 0;
}

void test_sshd_restart(struct test_sshd *sshd, const char *extra)
{
    test_sshd_stop(sshd);
    write_config(sshd, extra);
    launch(sshd);
}

void test_sshd_free(struct test_sshd *sshd)
{
    test_sshd_stop(sshd);
    if (own_mounts) /* a package that was installed meanwhile has renamed files onto them */
        sshd_shell("umount /etc/passwd /etc/shadow 2>/dev/null || true");
    sshd_shell("rm -rf %s", sshd->dir);
}
