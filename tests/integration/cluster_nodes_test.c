/* What it is like on the nodes of a local cluster. One cluster serves all tests here. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/cluster/cluster.h"
#include "tests/lib/cluster_helpers.h"
#include "tests/lib/test.h"

enum { NODES = 3 };

static char name[33], marker[64];
static struct cluster *cluster;
static bool runs;

static int raise_cluster(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    if (geteuid() != 0)
        return 0;
    snprintf(name, sizeof name, "t%d-nodes", (int)getpid());
    snprintf(marker, sizeof marker, "/root/ordeal-marker-%d", (int)getpid());
    const struct cluster_options options = {.name = name, .nodes = NODES};
    int64_t started_ns = clock_monotonic_ns();
    if (cluster_up(&options, &cluster, &err) != ERR_NONE) {
        print_error("%s\n", err.message);
        return -1;
    }
    print_message("# %d nodes up in %.1f ms\n", NODES,
                  (double)(clock_monotonic_ns() - started_ns) / 1e6);
    runs = true;
    return 0;
}

static int drop_cluster(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    if (!runs)
        return 0;
    unlink(marker);
    cluster_close(cluster);
    if (cluster_down(name, CLUSTER_DOWN_FORCE, &err) == ERR_NONE)
        return 0;
    print_error("%s\n", err.message);
    return -1;
}

#define REQUIRE_CLUSTER()                                                                          \
    do {                                                                                           \
        if (!runs)                                                                                 \
            test_skip("needs root");                                                               \
    } while (0)

/* A shell command on node n1.. by way of `exec` or `ssh`; its output without the last newline. */
static char *run_by(const char *verb, const char *node, int expected, const char *command)
{
    struct buf output = BUF_INIT;
    const char *const by_exec[] = {"exec", "--cluster", name,    node, "--",
                                   "bash", "-c",        command, NULL};
    const char *const by_ssh[] = {"ssh", "--cluster", name, node, command, NULL};
    int status = helper_local(&output, strcmp(verb, "ssh") == 0 ? by_ssh : by_exec);
    if (status != expected)
        fail_msg("%s on %s: status %d: %s", command, node, status, buf_text(&output));
    if (output.length > 0 && output.data[output.length - 1] == '\n')
        output.data[--output.length] = '\0';
    return output.data != NULL ? buf_take(&output) : strdup("");
}

static void expect_by(const char *verb, const char *node, const char *command, const char *expected)
{
    char *output = run_by(verb, node, 0, command);
    assert_string_equal(output, expected);
    free(output);
}

static void each_node_has_a_name(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    expect_by("exec", "n1", "hostname; cat /etc/hostname", "n1\nn1");
    expect_by("exec", "n3", "uname -n", "n3");
    expect_by("ssh", "n2", "hostname; whoami; pwd", "n2\nroot\n/root");
}

static void process_1_is_ours(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    expect_by("exec", "n1", "cat /proc/1/comm", "ordeal-init");
    expect_by("exec", "n1", "tr -d '\\0' </proc/1/environ", "");
    assert_int_not_equal(cluster_node_pid(cluster, 0), cluster_node_pid(cluster, 1));
    char *processes = run_by("exec", "n1", 0, "cat /proc/[0-9]*/comm | sort -u | tr '\\n' ' '");
    assert_contains(processes, "sshd");
    assert_null(strstr(processes, "ordeal-keeper"));
    free(processes);
}

static void exit_statuses_pass_through(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    free(run_by("exec", "n1", 7, "exit 7"));
    free(run_by("exec", "n1", 137, "kill -9 $$"));
    free(run_by("ssh", "n1", 9, "exit 9"));
    struct buf output = BUF_INIT;
    const char *const absent[] = {"exec", "--cluster", name, "n1", "--", "no-such-program", NULL};
    assert_int_equal(helper_local(&output, absent), 127);
    assert_contains(buf_text(&output), "no-such-program: No such file");
    buf_clear(&output);
    const char *const stranger[] = {"exec", "--cluster", name, "n9", "--", "true", NULL};
    assert_int_equal(helper_local(&output, stranger), 254);
    assert_contains(buf_text(&output), "has no node 'n9': it has n1 to n3");
    buf_free(&output);
}

static void nodes_reach_each_other(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    /* By name, IPv4 first; then both kinds of address, in every direction. */
    expect_by("exec", "n1", "getent ahosts n2 | awk '{print $1}' | uniq", "10.77.0.12\nfd77::12");
    expect_by("exec", "n1", "getent hosts control | awk '{print $1}'", "fd77::1");
    char command[512];
    for (int from = 0; from < NODES; from++)
        for (int to = 0; to < NODES; to++) {
            snprintf(command, sizeof command,
                     "for address in %s %s %s; do read -t 10 banner <>/dev/tcp/$address/22 && "
                     "echo ${banner:0:4}; done",
                     cluster_node_name(cluster, to), cluster_node_address(cluster, to),
                     cluster_node_address6(cluster, to));
            expect_by("exec", cluster_node_name(cluster, from), command, "SSH-\nSSH-\nSSH-");
        }
}

static void the_harness_reaches_nodes_by_name(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    struct buf output = BUF_INIT;
    const char *const command[] = {"exec",
                                   "--cluster",
                                   name,
                                   "--",
                                   "bash",
                                   "-c",
                                   "read -t 10 banner <>/dev/tcp/n3/22; echo ${banner:0:4}; pwd",
                                   NULL};
    assert_int_equal(helper_local(&output, command), 0);
    char directory[4096], expected[4200];
    assert_non_null(getcwd(directory, sizeof directory));
    snprintf(expected, sizeof expected, "SSH-\n%s\n", directory);
    assert_string_equal(buf_text(&output), expected);
    buf_free(&output);
    assert_false(helper_mounted(name)); /* the host's /etc/hosts stays */
}

static void a_thread_joins_and_leaves(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    struct err err = ERR_INIT;
    ino_t before = helper_namespace(getpid(), "net");
    int previous;
    assert_ok(cluster_join(cluster, &previous, &err));
    assert_int_equal(helper_namespace(getpid(), "net"),
                     helper_namespace(cluster_keeper_pid(cluster), "net"));
    assert_ok(cluster_leave(previous, &err));
    assert_int_equal(helper_namespace(getpid(), "net"), before);
}

static void files_of_a_node_are_its_own(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    free(run_by("exec", "n1", 0,
                "for d in /etc /var /var/lib /usr/bin /opt /tmp /root /run /dev/shm; do echo n1 "
                ">$d/ordeal-own || exit 1; done; rm /etc/debian_version"));
    expect_by("exec", "n2",
              "ls /etc/ordeal-own /var/ordeal-own /var/lib/ordeal-own /usr/bin/ordeal-own "
              "/opt/ordeal-own /tmp/ordeal-own /root/ordeal-own /run/ordeal-own "
              "/dev/shm/ordeal-own 2>/dev/null; test -s /etc/debian_version && echo intact",
              "intact");
    static const char *const places[] = {"/etc", "/var",  "/var/lib", "/usr/bin", "/opt",
                                         "/tmp", "/root", "/run",     "/dev/shm"};
    char path[64];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s/ordeal-own", places[i]);
        assert_int_not_equal(access(path, F_OK), 0);
    }
    assert_int_equal(access("/etc/debian_version", R_OK), 0);
    expect_by("exec", "n1", "rm -f /etc/ordeal-own; mv /var/lib/dpkg /var/lib/moved && echo moved",
              "moved"); /* a directory that came from the host */
}

static void the_hosts_own_never_show(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    int fd = open(marker, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    char command[256];
    snprintf(command, sizeof command, "ls -A %s /root/.bashrc /tmp/ordeal* 2>/dev/null; echo end",
             marker);
    expect_by("exec", "n2", command, "end");
    expect_by("ssh", "n3", "ls -A /root /tmp /var/lib/ordeal/clusters; stat -c '%a %U' /root /tmp",
              "/root:\n\n/tmp:\n\n/var/lib/ordeal/clusters:\n700 root\n1777 root");
    expect_by("exec", "n2", "ls -d /run/ordeal/clusters 2>/dev/null; ls /run/ordeal",
              "authorized_keys\nhost_key\nsshd_config");
    unlink(marker);
}

static void nodes_cannot_set_the_hosts_clock(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    /* CAP_SYS_TIME is bit 25 of the bounding set; nothing is tried on the real clock. */
    static const char command[] =
        "set=$(awk '/CapBnd/{print $2}' /proc/self/status); echo $(((0x$set >> 25) & 1))";
    expect_by("exec", "n1", command, "0");
    expect_by("ssh", "n1", command, "0");
    expect_by("exec", "n1", "awk '/CapBnd/{print $2}' /proc/1/status | cut -c 9-10 | tr -d 'cdef'",
              "");
    expect_by("exec", "n1",
              "f=/proc/sysrq-trigger; test ! -e $f || stat -c %t:%T $f | grep -v 1:3; true",
              ""); /* no such feature, or /dev/null */
}

static void devices_belong_to_the_node(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    struct stat before, after;
    assert_int_equal(stat("/dev/null", &before), 0);
    expect_by("exec", "n1",
              "stat -c '%F %t:%T %a' /dev/null /dev/urandom; readlink /dev/fd; ls /dev/loop255",
              "character special file 1:3 666\ncharacter special file 1:9 666\n/proc/self/fd\n"
              "/dev/loop255");
    free(run_by("exec", "n1", 0,
                "chmod 700 /dev/null; chown 1 /dev/null; rm /dev/zero; rm -r /dev/pts/../urandom; "
                "echo >/dev/file"));
    assert_int_equal(stat("/dev/null", &after), 0);
    assert_int_equal(after.st_mode, before.st_mode);
    assert_int_equal(after.st_uid, before.st_uid);
    assert_int_equal(access("/dev/zero", R_OK), 0);
    assert_int_equal(access("/dev/urandom", R_OK), 0);
    assert_int_not_equal(access("/dev/file", F_OK), 0);
    expect_by("exec", "n2", "stat -c %a /dev/null; head -c 1 /dev/zero | wc -c", "666\n1");
    free(run_by("exec", "n1", 0, "chmod 666 /dev/null; mknod -m 666 /dev/urandom c 1 9"));
}

static void file_systems_can_be_made_in_files(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    if (access("/dev/loop-control", F_OK) != 0 || access("/usr/sbin/mkfs.ext4", X_OK) != 0)
        test_skip("needs loop devices and mkfs.ext4");
    expect_by(
        "exec", "n3",
        "truncate -s 16M /root/image && mkfs.ext4 -q /root/image && mkdir /mnt/image && mount "
        "-o loop /root/image /mnt/image && echo kept >/mnt/image/file && umount /mnt/image && "
        "mount -o loop /root/image /mnt/image && cat /mnt/image/file && umount /mnt/image",
        "kept");
}

static void terminals_belong_to_the_node(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    struct buf output = BUF_INIT;
    const char *const command[] = {"ssh", "--cluster", name, "n1", "--", "script -qc tty /dev/null",
                                   NULL};
    assert_int_equal(helper_local(&output, command), 0);
    assert_contains(buf_text(&output), "/dev/pts/0");
    buf_free(&output);
}

static void firewalls_are_per_node(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    if (access("/usr/sbin/iptables", X_OK) != 0)
        test_skip("needs iptables");
    free(run_by("exec", "n1", 0, "iptables -w -A INPUT -s n2 -j DROP"));
    expect_by("exec", "n1", "iptables -w -S INPUT | grep -c DROP", "1");
    free(run_by("exec", "n2", 1, "iptables -w -S INPUT | grep DROP"));
    free(run_by("exec", "n2", 124, "timeout 0.5 bash -c 'read b <>/dev/tcp/10.77.0.11/22'"));
    expect_by("exec", "n3", "read -t 10 banner <>/dev/tcp/n1/22; echo ${banner:0:4}", "SSH-");
    free(run_by("exec", "n1", 0, "iptables -w -F INPUT"));
    expect_by("exec", "n2", "read -t 10 banner <>/dev/tcp/n1/22; echo ${banner:0:4}", "SSH-");
}

static bool ssh_works(const void *node)
{
    struct buf output = BUF_INIT;
    const char *const command[] = {"ssh", "--cluster", name, node, "echo", "hello", NULL};
    bool works = helper_local(&output, command) == 0 && strcmp(buf_text(&output), "hello\n") == 0;
    buf_free(&output);
    return works;
}

static void sshd_survives_kill_of_everything(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    pid_t before = cluster_node_pid(cluster, 1);
    for (int round = 0; round < 5; round++) {
        free(run_by("exec", "n2", 137, "kill -9 -1; kill -9 $$"));
        assert_true(helper_wait(ssh_works, "n2"));
    }
    free(run_by("exec", "n2", 0, "kill -9 1; kill -TERM 1; kill -STOP 1; kill -INT 1"));
    assert_true(helper_wait(ssh_works, "n2"));
    assert_int_equal(cluster_node_pid(cluster, 1), before);
    expect_by(
        "exec", "n2",
        "for i in $(seq 100); do grep -q '^State:.Z' /proc/[0-9]*/status 2>/dev/null || break; "
        "sleep 0.05; done; grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null; echo clean",
        "clean");
}

static void process_1_reaps_orphans(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    expect_by("exec", "n3",
              "for i in 1 2 3 4 5 6 7 8; do (sleep 0 & exec true); done; for i in $(seq 100); do "
              "grep -q '^State:.Z' /proc/[0-9]*/status 2>/dev/null || break; sleep 0.05; done; "
              "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null; echo clean",
              "clean");
}

static void a_stopped_node_keeps_its_disk(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    struct err err = ERR_INIT;
    struct buf output = BUF_INIT;
    free(run_by("exec", "n2", 0,
                "echo kept | tee /etc/kept /tmp/kept /root/kept /var/kept; echo lost >/run/lost; "
                "sed -i 's/n3/n3 peer/' /etc/hosts; rm -rf /root/.ssh"));
    for (int round = 0; round < 3; round++) {
        int processes = helper_open_namespace(cluster_node_pid(cluster, 1), "pid");
        assert_ok(cluster_stop_node(cluster, 1, &err));
        assert_int_equal(cluster_node_pid(cluster, 1), 0);
        assert_int_equal(helper_count_in_namespace("pid", processes), 0);
        close(processes);
        assert_ok(cluster_stop_node(cluster, 1, &err)); /* is stopped already */
        const char *const dead[] = {"exec", "--cluster", name, "n2", "--", "true", NULL};
        buf_clear(&output);
        assert_int_equal(helper_local(&output, dead), 255);
        assert_contains(buf_text(&output), "n2 is stopped: ordeal local start n2");
        assert_ok(cluster_start_node(cluster, 1, &err));
        assert_ok(cluster_start_node(cluster, 1, &err));
        expect_by("ssh", "n2",
                  "cat /etc/kept /tmp/kept /root/kept /var/kept; ls /run/lost 2>/dev/null; true",
                  "kept\nkept\nkept\nkept");
        free(run_by("exec", "n2", 0, "grep -q peer /etc/hosts"));
        expect_by("exec", "n1", "read -t 10 banner <>/dev/tcp/fd77::12/22; echo ${banner:0:4}",
                  "SSH-");
        expect_by("exec", "n2", "read -t 10 banner <>/dev/tcp/n3/22; echo ${banner:0:4}", "SSH-");
    }
    buf_free(&output);
}

static bool rebooted(const void *previous)
{
    pid_t pid = cluster_node_pid(cluster, 2);
    return pid != 0 && pid != *(const pid_t *)previous && ssh_works("n3");
}

static void a_node_that_reboots_comes_back(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    pid_t before = cluster_node_pid(cluster, 2);
    free(run_by("exec", "n3", 137, "echo kept >/root/rebooted; reboot -f; sleep 10"));
    assert_true(helper_wait(rebooted, &before));
    expect_by("ssh", "n3", "cat /root/rebooted", "kept");
}

static bool n1_is_stopped(const void *unused)
{
    (void)unused;
    return cluster_node_pid(cluster, 0) == 0;
}

static void a_node_that_dies_is_seen_as_stopped(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    struct err err = ERR_INIT;
    struct buf output = BUF_INIT;
    kill(cluster_node_pid(cluster, 0), SIGKILL);
    assert_true(helper_wait(n1_is_stopped, NULL));
    const char *const status[] = {"status", "--cluster", name, NULL};
    assert_int_equal(helper_local(&output, status), 0);
    assert_contains(buf_text(&output), "n1   10.77.0.11   fd77::11   stopped");
    assert_contains(buf_text(&output), "n2   10.77.0.12   fd77::12   pid ");
    assert_ok(cluster_start_node(cluster, 0, &err));
    assert_true(ssh_works("n1"));
    buf_free(&output);
}

static void strangers_keys_are_refused(void **state)
{
    (void)state;
    REQUIRE_CLUSTER();
    struct buf output = BUF_INIT;
    const char *const command[] = {"exec",
                                   "--cluster",
                                   name,
                                   "--",
                                   "ssh",
                                   "-F",
                                   "/dev/null",
                                   "-i",
                                   "/nonexistent",
                                   "-o",
                                   "IdentityAgent=none",
                                   "-o",
                                   "BatchMode=yes",
                                   "-o",
                                   "StrictHostKeyChecking=no",
                                   "-o",
                                   "UserKnownHostsFile=/dev/null",
                                   "root@n1",
                                   "true",
                                   NULL};
    assert_int_equal(helper_local(&output, command), 255);
    assert_contains(buf_text(&output), "Permission denied");
    buf_free(&output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_node_has_a_name),
        cmocka_unit_test(process_1_is_ours),
        cmocka_unit_test(exit_statuses_pass_through),
        cmocka_unit_test(nodes_reach_each_other),
        cmocka_unit_test(the_harness_reaches_nodes_by_name),
        cmocka_unit_test(a_thread_joins_and_leaves),
        cmocka_unit_test(files_of_a_node_are_its_own),
        cmocka_unit_test(the_hosts_own_never_show),
        cmocka_unit_test(nodes_cannot_set_the_hosts_clock),
        cmocka_unit_test(devices_belong_to_the_node),
        cmocka_unit_test(file_systems_can_be_made_in_files),
        cmocka_unit_test(terminals_belong_to_the_node),
        cmocka_unit_test(firewalls_are_per_node),
        cmocka_unit_test(sshd_survives_kill_of_everything),
        cmocka_unit_test(process_1_reaps_orphans),
        cmocka_unit_test(a_stopped_node_keeps_its_disk),
        cmocka_unit_test(a_node_that_reboots_comes_back),
        cmocka_unit_test(a_node_that_dies_is_seen_as_stopped),
        cmocka_unit_test(strangers_keys_are_refused),
    };
    return cmocka_run_group_tests(tests, raise_cluster, drop_cluster);
}
