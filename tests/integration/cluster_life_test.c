/* How a local cluster begins and ends, by the book and by force, and what it leaves: nothing. */
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/cluster/cluster.h"
#include "harness/cluster/place.h"
#include "tests/lib/cluster_helpers.h"
#include "tests/lib/test.h"

#define REQUIRE_ROOT()                                                                             \
    do {                                                                                           \
        if (geteuid() != 0)                                                                        \
            test_skip("needs root");                                                               \
    } while (0)

/* Two names of this run's own; whatever a failed test leaves under them goes after it. */
static char name[33], other[33];

static int choose_names(void **state)
{
    (void)state;
    snprintf(name, sizeof name, "t%d-life", (int)getpid());
    snprintf(other, sizeof other, "t%d-other", (int)getpid());
    return 0;
}

static int clear(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    const char *const names[] = {name, other};
    for (int i = 0; geteuid() == 0 && i < 2; i++)
        if (cluster_down(names[i], CLUSTER_DOWN_FORCE, &err) != ERR_NONE) {
            print_error("%s\n", err.message);
            return -1;
        }
    return 0;
}

static struct cluster *up(const char *cluster_name_, int nodes, bool ephemeral)
{
    struct err err = ERR_INIT;
    struct cluster *cluster = NULL;
    const struct cluster_options options = {
        .name = cluster_name_, .nodes = nodes, .ephemeral = ephemeral};
    int64_t started_ns = clock_monotonic_ns();
    assert_ok(cluster_up(&options, &cluster, &err));
    print_message("# %d nodes up in %.1f ms\n", cluster_node_count(cluster),
                  (double)(clock_monotonic_ns() - started_ns) / 1e6);
    return cluster;
}

static void expect(int status, const char *part, const char *const *arguments)
{
    struct buf output = BUF_INIT;
    int got = helper_local(&output, arguments);
    if (got != status)
        fail_msg("%s: status %d, not %d: %s", arguments[0], got, status, buf_text(&output));
    assert_contains(buf_text(&output), part);
    buf_free(&output);
}
#define EXPECT(status, part, ...) expect(status, part, (const char *const[]){__VA_ARGS__, NULL})

/* ---- What is left ---- */

/* Descriptors of its namespaces, so that they stay its own; open until drop_traces. */
struct traces {
    char name[33];
    int control;
    int processes[CLUSTER_NODES_MAX];
    int nodes;
};

static struct traces note_traces(const struct cluster *cluster)
{
    struct traces traces = {.nodes = cluster_node_count(cluster)};
    snprintf(traces.name, sizeof traces.name, "%s", cluster_name(cluster));
    traces.control = helper_open_namespace(cluster_keeper_pid(cluster), "net");
    for (int i = 0; i < traces.nodes; i++)
        traces.processes[i] = helper_open_namespace(cluster_node_pid(cluster, i), "pid");
    return traces;
}

static void drop_traces(const struct traces *traces)
{
    close(traces->control);
    for (int i = 0; i < traces->nodes; i++)
        close(traces->processes[i]);
}

static bool no_process_left(const void *argument)
{
    const struct traces *traces = argument;
    char command[80];
    for (int i = 0; i < traces->nodes; i++)
        if (helper_count_in_namespace("pid", traces->processes[i]) != 0)
            return false;
    if (helper_count_in_namespace("net", traces->control) != 0)
        return false;
    snprintf(command, sizeof command, "ordeal-init %s/", traces->name);
    if (helper_count_commands(command) > 0)
        return false;
    snprintf(command, sizeof command, "ordeal-keeper %s", traces->name);
    return helper_count_commands(command) == 0;
}

static bool no_file_left(const void *argument)
{
    struct place place;
    return place_init(&place, argument, NULL) == ERR_NONE && !place_exists(&place);
}

static void expect_nothing_left(const struct traces *traces)
{
    assert_true(no_process_left(traces));
    drop_traces(traces);
    assert_true(no_file_left(traces->name));
    assert_false(helper_mounted(traces->name));
}

/* For child processes, which report through their exit status: the line that went wrong, modulo
 * 250, or 0. */
#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, err.message);               \
            _exit(__LINE__ % 250 + 1);                                                             \
        }                                                                                          \
    } while (0)

/* All of the host that a cluster could leave traces in, besides processes and its own files. */
static char *describe_host(void)
{
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT;
    struct if_nameindex *interfaces = if_nameindex();
    for (struct if_nameindex *i = interfaces; i != NULL && i->if_index != 0; i++)
        buf_printf(&text, "%u %s\n", i->if_index, i->if_name);
    if_freenameindex(interfaces);
    NEED(file_read("/proc/self/mounts", 1 << 24, &text, &err) == ERR_NONE);
    NEED(file_read("/etc/hosts", 1 << 20, &text, &err) == ERR_NONE);
    NEED(file_read("/proc/sys/kernel/hostname", 1 << 10, &text, &err) == ERR_NONE);
    return buf_take(&text);
}

/* A host of its own, as far as that goes: what others do on this machine meanwhile is not seen. */
static void raise_and_drop(void)
{
    struct err err = ERR_INIT;
    struct cluster *cluster;
    const struct cluster_options options = {.name = name, .nodes = 5};
    NEED(unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS) == 0);
    NEED(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    char *before = describe_host();
    int64_t times_ns[3] = {clock_monotonic_ns()};
    NEED(cluster_up(&options, &cluster, &err) == ERR_NONE);
    times_ns[1] = clock_monotonic_ns();
    NEED(!cluster_was_up(cluster));
    struct traces traces = note_traces(cluster);
    NEED(!no_process_left(&traces) && !no_file_left(name));
    char *during = describe_host();
    NEED(strcmp(before, during) == 0);
    cluster_close(cluster);
    times_ns[2] = clock_monotonic_ns();
    NEED(cluster_down(name, CLUSTER_DOWN_IF_FREE, &err) == ERR_NONE);
    print_message("# 5 nodes up in %.1f ms, down in %.1f ms\n",
                  (double)(times_ns[1] - times_ns[0]) / 1e6,
                  (double)(clock_monotonic_ns() - times_ns[2]) / 1e6);
    NEED(no_process_left(&traces) && no_file_left(name));
    char *after = describe_host();
    NEED(strcmp(before, after) == 0);
}

static void up_and_down_leave_nothing(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    pid_t pid = fork();
    if (pid == 0) {
        raise_and_drop();
        fflush(NULL);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_false(helper_mounted(name));
}

static void the_commands_say_what_they_did(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    EXPECT(0, "is up in", "up", "--nodes", "2", "--cluster", name);
    EXPECT(0, "is up already: 2 nodes, n1 (10.77.0.11) to n2 (10.77.0.12)", "up", "--cluster",
           name);
    EXPECT(0, "is up already", "up", "--cluster", name, "--nodes=2");
    EXPECT(254, "is up with 2 nodes, not 3: take it down first", "up", "--nodes", "3", "--cluster",
           name);
    EXPECT(0, "\"address6\":\"fd77::12\"", "status", "--json");
    EXPECT(0, "2 nodes since", "status", "--cluster", name);
    EXPECT(0, "n2\n", "ssh", "--cluster", name, "n2", "hostname");
    EXPECT(0, "n2 is stopped (", "stop", "n2", "--cluster", name);
    EXPECT(255, "n2 is stopped: ordeal local start n2", "exec", "n2", "--cluster", name, "--",
           "id");
    EXPECT(0, "n2 is running (", "start", "n2", "--cluster", name);
    EXPECT(0, " is down (", "down", "--cluster", name);
    EXPECT(0, "no cluster ", "down", "--cluster", name);
    EXPECT(254, "is up: ordeal local up --cluster", "ssh", "--cluster", name, "n1");
}

static void clusters_live_side_by_side(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    struct err err = ERR_INIT;
    struct cluster *left = up(name, 2, false), *right = up(other, 1, false);
    assert_string_equal(cluster_node_address(left, 0), cluster_node_address(right, 0));
    EXPECT(0, "", "exec", "--cluster", name, "n1", "--", "sh", "-c", "echo left >/etc/which");
    EXPECT(0, "", "exec", "--cluster", other, "n1", "--", "sh", "-c", "echo right >/etc/which");
    EXPECT(0, "left\n", "ssh", "--cluster", name, "n1", "cat", "/etc/which");
    EXPECT(0, "right\n", "ssh", "--cluster", other, "n1", "cat", "/etc/which");
    EXPECT(1, "", "exec", "--cluster", other, "--", "bash", "-c",
           "timeout 0.3 bash -c '</dev/tcp/10.77.0.12/22' && exit 0; exit 1");
    struct traces traces = note_traces(right);
    cluster_close(right);
    assert_ok(cluster_down(other, CLUSTER_DOWN_IF_FREE, &err));
    expect_nothing_left(&traces);
    EXPECT(0, "left\n", "ssh", "--cluster", name, "n1", "cat", "/etc/which");
    cluster_close(left);
}

static void a_killed_keeper_takes_its_nodes_along(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    struct err err = ERR_INIT;
    struct cluster *cluster = up(name, 3, false), *none = NULL;
    struct traces traces = note_traces(cluster);
    EXPECT(0, "", "exec", "--cluster", name, "n1", "--", "sh", "-c",
           "setsid sleep 1000 >/dev/null 2>&1 & echo stale >/etc/stale");
    kill(cluster_keeper_pid(cluster), SIGKILL);
    assert_true(helper_wait(no_process_left, &traces));
    drop_traces(&traces);
    assert_int_equal(cluster_node_pid(cluster, 0), 0);
    int previous;
    assert_int_equal(cluster_join(cluster, &previous, &err), ERR_IO);
    assert_contains(err.message, "has gone down");
    cluster_close(cluster);
    assert_int_equal(cluster_attach(name, &none, &err), ERR_CONFIG);
    EXPECT(0, "dead, its keeper is gone; clear it with: ordeal local down --cluster", "status",
           "--cluster", name);
    cluster = up(name, 2, false); /* also of another size */
    assert_false(cluster_was_up(cluster));
    EXPECT(2, "No such file", "ssh", "--cluster", name, "n1", "ls", "/etc/stale");
    traces = note_traces(cluster);
    cluster_close(cluster);
    assert_ok(cluster_down(name, CLUSTER_DOWN_IF_FREE, &err));
    expect_nothing_left(&traces);
}

static void a_stopped_keeper_goes_down(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    struct err err = ERR_INIT;
    struct cluster *cluster = up(name, 1, false);
    struct traces traces = note_traces(cluster);
    kill(cluster_keeper_pid(cluster), SIGSTOP);
    cluster_close(cluster);
    assert_ok(cluster_down(name, CLUSTER_DOWN_IF_FREE, &err));
    expect_nothing_left(&traces);
}

/* Somebody cleared /run by hand: the keeper lives, but nothing tells of it. */
static void a_keeper_without_its_files_is_found(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    struct err err = ERR_INIT;
    struct place place;
    assert_ok(place_init(&place, name, &err));
    for (int by_up = 0; by_up < 2; by_up++) {
        struct cluster *cluster = up(name, 2, false);
        struct traces traces = note_traces(cluster);
        cluster_close(cluster);
        assert_ok(place_remove_tree(place.state_dir, &err));
        if (by_up)
            cluster_close(up(name, 1, false));
        else
            assert_ok(cluster_down(name, CLUSTER_DOWN_IF_FREE, &err));
        for (int i = 0; i < traces.nodes; i++)
            assert_int_equal(helper_count_in_namespace("pid", traces.processes[i]), 0);
        assert_int_equal(helper_count_in_namespace("net", traces.control), 0);
        drop_traces(&traces);
    }
}

/* Its creator is killed at any point of `up`: what it had begun goes, and the next one works. */
static void an_up_that_is_killed_leaves_the_way_free(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    struct err err = ERR_INIT;
    for (int delay_ms = 0; delay_ms < 60; delay_ms += 4) {
        pid_t pid = fork();
        if (pid == 0) {
            struct cluster *cluster;
            const struct cluster_options options = {.name = name, .nodes = 3};
            _exit(cluster_up(&options, &cluster, &err));
        }
        clock_sleep_ns(delay_ms * NS_PER_MS); /* the moment itself does not matter */
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        struct cluster *cluster = up(name, 0, false);
        assert_int_equal(cluster_node_count(cluster), cluster_was_up(cluster) ? 3 : 5);
        struct traces traces = note_traces(cluster);
        cluster_close(cluster);
        EXPECT(0, "n3\n", "ssh", "--cluster", name, "n3", "hostname");
        assert_ok(cluster_down(name, CLUSTER_DOWN_IF_FREE, &err));
        expect_nothing_left(&traces);
    }
}

static bool all_gone(const void *traces)
{
    return no_process_left(traces) && no_file_left(((const struct traces *)traces)->name);
}

static void a_terminated_keeper_clears_up(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    struct cluster *cluster = up(name, 2, false);
    struct traces traces = note_traces(cluster);
    kill(cluster_keeper_pid(cluster), SIGTERM);
    assert_true(helper_wait(all_gone, &traces));
    drop_traces(&traces);
    cluster_close(cluster);
}

/* A state file may be damaged while the keeper lives, or name a process that is somebody else's. */
static void leftovers_of_any_kind_are_cleared(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    struct err err = ERR_INIT;
    struct place place;
    char path[PLACE_PATH_MAX], text[256];
    assert_ok(place_init(&place, name, &err));
    assert_ok(place_make_directory(place.state_dir, 0700, &err));
    assert_ok(place_make_directory(place.disk_dir, 0700, &err));
    place_join(place.disk_dir, "n1", path);
    assert_ok(place_make_directory(path, 0700, &err));
    place_join(place.state_dir, "state", path);
    snprintf(text, sizeof text,
             "cluster\tversion=1\tnodes=1\tready=1\tboot=other\nkeeper\tpid=%d\tstart=1\nend\n",
             (int)getpid());
    static const char *const damaged[] = {"", "nonsense\n", NULL};
    for (int i = 0; i < 3; i++) {
        assert_ok(place_write_file(path, damaged[i] != NULL ? damaged[i] : text, 0600, &err));
        struct cluster *cluster = up(name, 1, false);
        assert_false(cluster_was_up(cluster));
        cluster_close(cluster);
        assert_ok(cluster_down(name, CLUSTER_DOWN_IF_FREE, &err));
        assert_false(place_exists(&place));
        assert_ok(place_make_directory(place.state_dir, 0700, &err));
    }
    assert_ok(cluster_down(name, CLUSTER_DOWN_IF_FREE, &err));
    assert_false(place_exists(&place));
}

/* ---- Ephemeral ---- */

/* A child raises a cluster and lives until it is killed; a grandchild outlives it, as the system
 * under test's helpers may. */
static pid_t raise_in_child(int *grandchild)
{
    int ready[2];
    if (pipe(ready) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        struct cluster *cluster;
        struct err err = ERR_INIT;
        const struct cluster_options options = {.name = name, .nodes = 2, .ephemeral = true};
        if (cluster_up(&options, &cluster, &err) != ERR_NONE)
            _exit(1);
        pid_t idle = fork();
        if (idle == 0)
            for (;;)
                pause();
        if (write(ready[1], &idle, sizeof idle) != (ssize_t)sizeof idle)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    if (read(ready[0], grandchild, sizeof *grandchild) != (ssize_t)sizeof *grandchild)
        *grandchild = 0;
    close(ready[0]);
    return pid;
}

static void an_ephemeral_cluster_dies_with_its_creator(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    struct err err = ERR_INIT;
    struct cluster *cluster;
    int grandchild = 0;
    pid_t creator = raise_in_child(&grandchild);
    assert_int_not_equal(grandchild, 0);
    assert_ok(cluster_attach(name, &cluster, &err));
    EXPECT(0, "for as long as its creator runs", "status", "--cluster", name);
    struct traces traces = note_traces(cluster);
    cluster_close(cluster); /* not this process's to take down */
    assert_false(no_process_left(&traces));
    kill(creator, SIGKILL);
    int64_t started_ns = clock_monotonic_ns();
    bool gone = helper_wait(all_gone, &traces);
    print_message("# gone in %.1f ms\n", (double)(clock_monotonic_ns() - started_ns) / 1e6);
    kill(grandchild, SIGKILL);
    waitpid(creator, NULL, 0);
    assert_true(gone);
    expect_nothing_left(&traces);
}

static void closing_an_ephemeral_cluster_ends_it(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    struct cluster *cluster = up(name, 1, true);
    struct traces traces = note_traces(cluster);
    pid_t pid = fork();
    if (pid == 0) { /* a child's close is not its creator's */
        cluster_close(cluster);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(no_process_left(&traces));
    cluster_close(cluster);
    expect_nothing_left(&traces);
}

/* ---- Claims ---- */

static void a_claimed_cluster_is_left_alone(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    struct err err = ERR_INIT;
    struct cluster *mine = up(name, 1, false), *theirs;
    char expected[128];
    assert_ok(cluster_claim(mine, "ordeal run", &err));
    assert_ok(cluster_claim(mine, "ordeal run", &err));
    assert_ok(cluster_attach(name, &theirs, &err));
    assert_int_equal(cluster_claim(theirs, "ordeal nemesis", &err), ERR_CONFIG);
    snprintf(expected, sizeof expected, "cluster %s is in use by pid %d (ordeal run, since ", name,
             (int)getpid());
    assert_contains(err.message, expected);
    EXPECT(0, "in use by pid ", "status", "--cluster", name);
    EXPECT(254, "wait for it, or use --force", "down", "--cluster", name);
    EXPECT(0, "n1\n", "ssh", "--cluster", name, "n1", "hostname"); /* looking is allowed */
    cluster_close(mine);
    assert_ok(cluster_claim(theirs, "ordeal nemesis", &err));
    EXPECT(0, " is down (", "down", "--cluster", name, "--force");
    cluster_close(theirs);
}

static void a_claim_ends_with_its_process(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    struct err err = ERR_INIT;
    struct cluster *cluster = up(name, 1, false);
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct cluster *own;
        if (cluster_attach(name, &own, &err) != ERR_NONE ||
            cluster_claim(own, "a child", &err) != ERR_NONE || write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(cluster_claim(cluster, "x", &err), ERR_CONFIG);
    assert_contains(err.message, "(a child, since ");
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_ok(cluster_claim(cluster, "x", &err));
    cluster_close(cluster);
}

/* ---- Disks ---- */

static bool fill(const char *path)
{
    static char block[65536];
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    while (fd >= 0 && write(fd, block, sizeof block) > 0)
        ;
    while (fd >= 0 && write(fd, block, 1) > 0)
        ;
    close(fd);
    return fd >= 0;
}

/* In a mount namespace of its own, with a small file system for the disks and the state. */
static void mount_small(const char *directory, const char *options)
{
    struct err err = ERR_INIT;
    NEED(unshare(CLONE_NEWNS) == 0);
    NEED(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    NEED(mount("tmpfs", directory, "tmpfs", 0, options) == 0);
    char path[300];
    snprintf(path, sizeof path, "%s/state", directory);
    setenv("ORDEAL_STATE_DIR", path, 1);
    snprintf(path, sizeof path, "%s/disk", directory);
    setenv("ORDEAL_DISK_DIR", path, 1);
}

static void in_child_with_small_disk(const char *options, void (*body)(const char *directory))
{
    char directory[] = "/tmp/ordeal-small.XXXXXX";
    assert_non_null(mkdtemp(directory));
    pid_t pid = fork();
    if (pid == 0) {
        mount_small(directory, options);
        body(directory);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(status, 0);
}

static void fill_and_take_down(const char *directory)
{
    struct err err = ERR_INIT;
    struct cluster *cluster;
    struct place place;
    char path[300];
    const struct cluster_options options = {.name = name, .nodes = 2};
    NEED(place_init(&place, name, &err) == ERR_NONE);
    NEED(cluster_up(&options, &cluster, &err) == ERR_NONE);
    snprintf(path, sizeof path, "%s/filler", directory);
    NEED(fill(path));
    NEED(cluster_stop_node(cluster, 0, &err) == ERR_NONE);
    cluster_close(cluster);
    NEED(cluster_down(name, CLUSTER_DOWN_IF_FREE, &err) == ERR_NONE);
    NEED(!place_exists(&place));
    NEED(unlink(path) == 0);
}

static void a_full_disk_does_not_prevent_down(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    in_child_with_small_disk("size=8m", fill_and_take_down);
}

static void fail_to_get_up(const char *directory)
{
    struct err err = ERR_INIT;
    struct cluster *cluster = NULL;
    struct place place;
    char path[300];
    const struct cluster_options options = {.name = name, .nodes = 5};
    NEED(place_init(&place, name, &err) == ERR_NONE);
    snprintf(path, sizeof path, "%s/filler", directory);
    NEED(cluster_up(&options, &cluster, &err) == ERR_IO);
    NEED(cluster == NULL);
    NEED(strstr(err.message, "No space left on device") != NULL);
    NEED(strstr(err.message, name) != NULL);
    NEED(!place_exists(&place));
}

static void up_on_a_full_disk_undoes_itself(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    /* Room for some of the files that a cluster needs. */
    in_child_with_small_disk("size=8m,nr_inodes=40", fail_to_get_up);
    in_child_with_small_disk("size=24k", fail_to_get_up);
}

/* A program that makes a key is still writing when the building fails for another reason: nothing
 * may be left by it. In place of ssh-keygen stands one that writes its file over and over. */
static void fail_to_get_up_beside_keys(const char *directory)
{
    char program[] = "/tmp/ordeal-keygen.XXXXXX";
    static const char script[] = "#!/bin/sh\n"
                                 "for file; do :; done\n"
                                 "turn=0\n"
                                 "while [ $turn -lt 30000 ]; do\n"
                                 "    : >\"$file\"\n"
                                 "    turn=$((turn + 1))\n"
                                 "done\n";
    struct err err = ERR_INIT;
    int fd = mkstemp(program);
    NEED(fd >= 0 && write(fd, script, sizeof script - 1) == (ssize_t)sizeof script - 1);
    NEED(fchmod(fd, 0755) == 0 && close(fd) == 0);
    NEED(mount(program, "/usr/bin/ssh-keygen", NULL, MS_BIND, NULL) == 0);
    fail_to_get_up(directory);
    NEED(unlink(program) == 0);
}

static void what_makes_the_keys_does_not_outlive_a_failed_up(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    in_child_with_small_disk("size=8m,nr_inodes=40", fail_to_get_up_beside_keys);
}

/* A host with a file system of its own at /srv: a node must see what is in it, and keep its own
 * changes to itself. */
static void share_a_mount_point(const char *directory)
{
    struct err err = ERR_INIT;
    struct cluster *cluster;
    char command[600];
    snprintf(command, sizeof command,
             "truncate -s 16M %s/image && mkfs.ext4 -q %s/image && mount -o loop %s/image /srv && "
             "echo host >/srv/file",
             directory, directory, directory);
    if (system(command) != 0)
        _exit(77);
    const struct cluster_options options = {.name = name, .nodes = 1};
    NEED(cluster_up(&options, &cluster, &err) == ERR_NONE);
    int status = 0;
    char *const look[] = {(char *)"sh", (char *)"-c",
                          (char *)"grep -q host /srv/file && echo node >/srv/file", NULL};
    NEED(cluster_run_on_node(cluster, 0, look, &status, &err) == ERR_NONE && status == 0);
    NEED(cluster_stop_node(cluster, 0, &err) == ERR_NONE);
    NEED(cluster_start_node(cluster, 0, &err) == ERR_NONE);
    char *const again[] = {(char *)"grep", (char *)"-q", (char *)"node", (char *)"/srv/file", NULL};
    NEED(cluster_run_on_node(cluster, 0, again, &status, &err) == ERR_NONE && status == 0);
    cluster_close(cluster);
    NEED(cluster_down(name, CLUSTER_DOWN_IF_FREE, &err) == ERR_NONE);
    NEED(system("grep -q host /srv/file && umount /srv") == 0);
}

static void other_file_systems_of_the_host_are_there(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    char directory[] = "/tmp/ordeal-small.XXXXXX";
    assert_non_null(mkdtemp(directory));
    pid_t pid = fork();
    if (pid == 0) {
        mount_small(directory, "size=64m");
        share_a_mount_point(directory);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(rmdir(directory), 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        test_skip("needs loop devices and mkfs.ext4");
    assert_int_equal(status, 0);
}

/* ---- What is missing ---- */

static void expect_refusal(enum err_code expected, const char *part)
{
    struct err err = ERR_INIT;
    struct cluster *cluster = NULL;
    struct place place;
    const struct cluster_options options = {.name = name, .nodes = 1};
    NEED(place_init(&place, name, &err) == ERR_NONE);
    enum err_code code = cluster_up(&options, &cluster, &err);
    NEED(code == expected && strstr(err.message, part) != NULL);
    NEED(!place_exists(&place));
}

static void refuse_for_want_of_sshd(const char *directory)
{
    struct err err = ERR_INIT;
    (void)directory;
    NEED(mount("/dev/null", "/usr/sbin/sshd", NULL, MS_BIND, NULL) == 0);
    expect_refusal(ERR_UNSUPPORTED, "needs sshd, which is not installed: apt-get install "
                                    "openssh-server");
}

static void overlay_an_overlay_or_say_why(const char *directory)
{
    struct err err = ERR_INIT;
    char path[300], options[1000];
    static const char *const parts[] = {"upper", "work", "both"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, parts[i]);
        NEED(mkdir(path, 0755) == 0);
    }
    snprintf(options, sizeof options, "lowerdir=/etc,upperdir=%s/upper,workdir=%s/work", directory,
             directory);
    NEED(mount("overlay", path, "overlay", 0, options) == 0);
    setenv("ORDEAL_DISK_DIR", path, 1);
    const struct cluster_options one = {.name = name, .nodes = 1};
    struct cluster *cluster;
    if (cluster_up(&one, &cluster, &err) == ERR_NONE) { /* kernels from 6.7 on can do it */
        cluster_close(cluster);
        NEED(cluster_down(name, CLUSTER_DOWN_IF_FREE, &err) == ERR_NONE);
    } else {
        expect_refusal(ERR_UNSUPPORTED, "n1: mount an overlay over /: the nodes' disks must be on");
    }
}

static void refuse_without_the_right_to_namespaces(const char *directory)
{
    (void)directory;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    struct err err = ERR_INIT;
    NEED(syscall(SYS_capget, &header, data) == 0);
    data[0].effective &= ~(UINT32_C(1) << CAP_SYS_ADMIN);
    NEED(syscall(SYS_capset, &header, data) == 0);
    expect_refusal(ERR_UNSUPPORTED, "a container needs --privileged");
}

static void what_is_missing_is_said(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    in_child_with_small_disk("size=8m", refuse_for_want_of_sshd);
    in_child_with_small_disk("size=8m", overlay_an_overlay_or_say_why);
    in_child_with_small_disk("size=8m", refuse_without_the_right_to_namespaces);
}

/* A node's disk may hold what `rm` stumbles over. */
static void stubborn_files_are_removed(void **state)
{
    (void)state;
    REQUIRE_ROOT();
    struct err err = ERR_INIT;
    struct cluster *cluster = up(name, 1, false);
    struct traces traces = note_traces(cluster);
    EXPECT(0, "", "exec", "--cluster", name, "n1", "--", "sh", "-c",
           "cd /root && mkdir -p a/b && touch a/b/c && chattr +i a/b/c && chattr +a a/b && mkfifo "
           "pipe && ln -s /etc link && mkdir -m 0 closed && "
           "for i in $(seq 300); do mkdir d && cd d || exit 1; done");
    cluster_close(cluster);
    assert_ok(cluster_down(name, CLUSTER_DOWN_IF_FREE, &err));
    expect_nothing_left(&traces);
    assert_int_equal(access("/etc/hosts", F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(up_and_down_leave_nothing, clear),
        cmocka_unit_test_teardown(the_commands_say_what_they_did, clear),
        cmocka_unit_test_teardown(clusters_live_side_by_side, clear),
        cmocka_unit_test_teardown(a_killed_keeper_takes_its_nodes_along, clear),
        cmocka_unit_test_teardown(a_stopped_keeper_goes_down, clear),
        cmocka_unit_test_teardown(a_keeper_without_its_files_is_found, clear),
        cmocka_unit_test_teardown(an_up_that_is_killed_leaves_the_way_free, clear),
        cmocka_unit_test_teardown(a_terminated_keeper_clears_up, clear),
        cmocka_unit_test_teardown(leftovers_of_any_kind_are_cleared, clear),
        cmocka_unit_test_teardown(an_ephemeral_cluster_dies_with_its_creator, clear),
        cmocka_unit_test_teardown(closing_an_ephemeral_cluster_ends_it, clear),
        cmocka_unit_test_teardown(a_claimed_cluster_is_left_alone, clear),
        cmocka_unit_test_teardown(a_claim_ends_with_its_process, clear),
        cmocka_unit_test_teardown(a_full_disk_does_not_prevent_down, clear),
        cmocka_unit_test_teardown(up_on_a_full_disk_undoes_itself, clear),
        cmocka_unit_test_teardown(what_makes_the_keys_does_not_outlive_a_failed_up, clear),
        cmocka_unit_test_teardown(other_file_systems_of_the_host_are_there, clear),
        cmocka_unit_test_teardown(what_is_missing_is_said, clear),
        cmocka_unit_test_teardown(stubborn_files_are_removed, clear),
    };
    return cmocka_run_group_tests(tests, choose_names, NULL);
}
