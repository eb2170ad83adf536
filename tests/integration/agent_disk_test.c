/* Disks that hang and lose power, in a mount namespace of this test's own: what was synced is kept,
 * what was not is lost, and nothing outlives the agent. */
#include <stdatomic.h>
#include <sys/mman.h>

#include "tests/lib/agent_disk.h"

static int begin(void **state)
{
    return disk_begin(state, "size_mb=32");
}

static int begin_strict(void **state)
{
    return disk_begin(state, "file_system=strict");
}

static int begin_xfs(void **state)
{
    return disk_begin(state, "file_system=xfs");
}

static void what_was_synced_is_kept_and_the_rest_is_lost(void **state)
{
    struct disk_fixture *fixture = *state;
    need_root();
    agent_do(&fixture->agent, "disk-give", fixture->field, fixture->kind);
    assert_true(disk_is_mount(fixture->path));
    for (int round = 0; round < 3; round++) {
        disk_put(fixture, "log", "synced\n", true);
        disk_sync_directory(fixture);
        disk_put(fixture, "log", "not synced\n", false);
        disk_put(fixture, "new", "never synced\n", false);
        agent_do(&fixture->agent, "disk-cut", fixture->field);
        int fd = open(disk_in(fixture, "more"), O_WRONLY | O_CREAT, 0644);
        assert_true(fd < 0 && errno == EIO);
        struct line back = agent_do(&fixture->agent, "disk-back", fixture->field);
        assert_string_equal(disk_get(&back, "unsynced"), "lost");
        assert_int_equal(disk_size_of(fixture, "log"), 7 * (round + 1));
        assert_true(disk_size_of(fixture, "new") <= 0);
    }
    struct line list = agent_do(&fixture->agent, "fault-list");
    assert_string_equal(disk_get(&list, "kind"), "disk");
    char undo[300];
    snprintf(undo, sizeof undo, "id=disk:%s", fixture->path);
    agent_do(&fixture->agent, "fault-undo", undo);
    assert_false(disk_is_mount(fixture->path));
    assert_int_equal(disk_size_of(fixture, "log"), -1);
    assert_int_not_equal(access("/var/lib/ordeal/disks", F_OK), 0); /* it was the only one */
}

/* Appends and syncs until it fails, counting; the exit status is the error. */
static pid_t start_writer(const struct disk_fixture *fixture, atomic_long *synced)
{
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(disk_in(fixture, "log"), O_WRONLY | O_CREAT | O_APPEND, 0644);
        for (;;)
            if (write(fd, "x", 1) != 1 || fsync(fd) != 0)
                _exit(errno);
            else
                atomic_fetch_add(synced, 1);
    }
    return pid;
}

static void a_hanging_disk_keeps_its_writers_until_the_power_goes(void **state)
{
    struct disk_fixture *fixture = *state;
    need_root();
    agent_do(&fixture->agent, "disk-give", fixture->field, fixture->kind);
    /* Seen without the disk: who asks one that hangs may wait as well. */
    atomic_long *synced =
        mmap(NULL, sizeof *synced, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(synced, MAP_FAILED);
    pid_t writer = start_writer(fixture, synced);
    wait_until(atomic_load(synced) > 10);
    disk_sync_directory(fixture);
    agent_do(&fixture->agent, "disk-stall", fixture->field);
    agent_refused(&fixture->agent, "bad-request", "disk-stall", fixture->field);
    clock_sleep_ns(20 * NS_PER_MS);
    long before = atomic_load(synced);
    clock_sleep_ns(100 * NS_PER_MS);
    assert_int_equal(atomic_load(synced), before);
    agent_do(&fixture->agent, "disk-cut", fixture->field);
    int status;
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EIO);
    struct line back = agent_do(&fixture->agent, "disk-back", fixture->field);
    assert_string_equal(disk_get(&back, "unsynced"), "none");
    /* All that was synced, and perhaps the one that hung. */
    assert_in_range(disk_size_of(fixture, "log"), before, before + 1);
    munmap(synced, sizeof *synced);
}

static void a_stall_can_end_well(void **state)
{
    struct disk_fixture *fixture = *state;
    need_root();
    char undo[300];
    snprintf(undo, sizeof undo, "id=stall:%s", fixture->path);
    agent_do(&fixture->agent, "disk-give", fixture->field, fixture->kind);
    agent_do(&fixture->agent, "disk-stall", fixture->field);
    agent_do(&fixture->agent, "fault-undo", undo);
    disk_put(fixture, "log", "works\n", true);
    agent_refused(&fixture->agent, "not-found", "fault-undo", undo);
}

static void what_is_there_is_never_hidden(void **state)
{
    struct disk_fixture *fixture = *state;
    need_root();
    mkdir(fixture->path, 0755);
    disk_put(fixture, "precious", "data\n", false);
    const char *why = agent_refused(&fixture->agent, "bad-request", "disk-give", fixture->field);
    assert_contains(why, "is not empty");
    unlink(disk_in(fixture, "precious"));
    agent_refused(&fixture->agent, "bad-request", "disk-give", "path=relative");
    agent_refused(&fixture->agent, "bad-request", "disk-give", "path=/var/../etc");
    agent_refused(&fixture->agent, "bad-request", "disk-cut", fixture->field);
    agent_refused(&fixture->agent, "bad-request", "disk-back", fixture->field);
    agent_do(&fixture->agent, "disk-give", fixture->field, fixture->kind);
    agent_refused(&fixture->agent, "bad-request", "disk-give", fixture->field);
}

/* The daemon writes, the disk hangs, and the agent is killed with -9: its guardian undoes it. */
static void nothing_outlives_a_killed_agent(void **state)
{
    struct disk_fixture *fixture = *state;
    need_root();
    char script[400];
    snprintf(script, sizeof script, "arg=while echo x >>%s/log; do sync; done", fixture->path);
    agent_do(&fixture->agent, "disk-give", fixture->field, fixture->kind);
    agent_do(&fixture->agent, "daemon-start", "name=writer", "arg=sh", "arg=-c", script);
    wait_until(disk_size_of(fixture, "log") > 2);
    agent_do(&fixture->agent, "disk-stall", fixture->field);
    kill(fixture->agent.serving, SIGKILL);
    assert_int_equal(agent_wait(&fixture->agent), 1);
    fixture->agent.pid = 0;
    assert_false(disk_is_mount(fixture->path));
    assert_int_equal(disk_size_of(fixture, "log"), -1);
    assert_int_not_equal(access("/var/lib/ordeal/disks", F_OK), 0); /* it was the only one */
}

/* What only the strict one does: a name without its directory's sync is gone, a rename too. */
static void a_strict_disk_keeps_no_more_than_it_must(void **state)
{
    struct disk_fixture *fixture = *state;
    need_root();
    char from[512];
    agent_do(&fixture->agent, "disk-give", fixture->field, fixture->kind);
    disk_put(fixture, "old", "old bytes\n", true);
    disk_sync_directory(fixture);
    disk_put(fixture, "new", "synced, and its name is not\n", true);
    disk_put(fixture, "old.next", "next bytes, much longer\n", true);
    snprintf(from, sizeof from, "%s", disk_in(fixture, "old.next"));
    assert_int_equal(rename(from, disk_in(fixture, "old")), 0);
    agent_do(&fixture->agent, "disk-cut", fixture->field);
    agent_do(&fixture->agent, "disk-back", fixture->field);
    assert_int_equal(disk_size_of(fixture, "new"), -1);
    assert_int_equal(disk_size_of(fixture, "old.next"), -1);
    assert_int_equal(disk_size_of(fixture, "old"), 10);
    disk_put(fixture, "old.next", "next bytes, much longer\n", true);
    assert_int_equal(rename(from, disk_in(fixture, "old")), 0);
    disk_sync_directory(fixture);
    agent_do(&fixture->agent, "disk-cut", fixture->field);
    agent_do(&fixture->agent, "disk-back", fixture->field);
    assert_int_equal(disk_size_of(fixture, "old"), 24);
    agent_refused(&fixture->agent, "bad-request", "disk-give", "path=/var/lib/ordeal-no",
                  "file_system=zfs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_synced_is_kept_and_the_rest_is_lost, begin,
                                        disk_finish),
        cmocka_unit_test_setup_teardown(a_hanging_disk_keeps_its_writers_until_the_power_goes,
                                        begin, disk_finish),
        cmocka_unit_test_setup_teardown(a_stall_can_end_well, begin, disk_finish),
        cmocka_unit_test_setup_teardown(what_is_there_is_never_hidden, begin, disk_finish),
        cmocka_unit_test_setup_teardown(nothing_outlives_a_killed_agent, begin, disk_finish),
        cmocka_unit_test_setup_teardown(what_was_synced_is_kept_and_the_rest_is_lost, begin_strict,
                                        disk_finish),
        cmocka_unit_test_setup_teardown(a_hanging_disk_keeps_its_writers_until_the_power_goes,
                                        begin_strict, disk_finish),
        cmocka_unit_test_setup_teardown(a_stall_can_end_well, begin_strict, disk_finish),
        cmocka_unit_test_setup_teardown(nothing_outlives_a_killed_agent, begin_strict, disk_finish),
        cmocka_unit_test_setup_teardown(what_was_synced_is_kept_and_the_rest_is_lost, begin_xfs,
                                        disk_finish),
        cmocka_unit_test_setup_teardown(a_hanging_disk_keeps_its_writers_until_the_power_goes,
                                        begin_xfs, disk_finish),
        cmocka_unit_test_setup_teardown(nothing_outlives_a_killed_agent, begin_xfs, disk_finish),
        cmocka_unit_test_setup_teardown(a_strict_disk_keeps_no_more_than_it_must, begin_strict,
                                        disk_finish),
    };
    disk_own_mounts();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
