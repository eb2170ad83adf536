/* Disks that fail operation by operation, slow down, lie and are full: seen by a victim's own
 * calls, gone afterwards, and never outliving the agent. */
#include <sys/mman.h>
#include <sys/statvfs.h>

#include "tests/lib/agent_disk.h"

static int begin(void **state)
{
    return disk_begin(state, "file_system=strict");
}

static int begin_ext4(void **state)
{
    return disk_begin(state, "size_mb=32");
}

static int begin_xfs(void **state)
{
    return disk_begin(state, "file_system=xfs");
}

static struct disk_fixture *given(void **state)
{
    struct disk_fixture *fixture = *state;
    agent_do(&fixture->agent, "disk-give", fixture->field, fixture->kind);
    return fixture;
}

static int open_in(const struct disk_fixture *fixture, const char *name)
{
    int fd = open(disk_in(fixture, name), O_RDWR | O_CREAT, 0644);
    assert_true(fd >= 0);
    return fd;
}

/* errno of each of the three, 0: it worked. */
struct seen {
    int read, write, fsync;
};

static struct seen look(int fd)
{
    char byte;
    struct seen seen;
    seen.write = pwrite(fd, "x", 1, 0) == 1 ? 0 : errno;
    seen.fsync = fsync(fd) == 0 ? 0 : errno;
    seen.read = pread(fd, &byte, 1, 0) == 1 ? 0 : errno;
    return seen;
}

static void assert_seen(int fd, int read_error, int write_error, int fsync_error)
{
    struct seen seen = look(fd);
    assert_int_equal(seen.read, read_error);
    assert_int_equal(seen.write, write_error);
    assert_int_equal(seen.fsync, fsync_error);
}

static uint64_t hits_of(struct disk_fixture *fixture, const char *id)
{
    struct line line = agent_do(&fixture->agent, "disk-counters", id);
    return (uint64_t)line_get_int(&line, "operations", -1);
}

static void operations_fail_where_it_is_asked(void **state)
{
    need_root();
    struct disk_fixture *fixture = given(state);
    int hit = open_in(fixture, "log-1"), spared = open_in(fixture, "other");
    assert_seen(hit, 0, 0, 0);
    struct line reply = agent_do(&fixture->agent, "disk-fault", "id=f", fixture->field,
                                 "io=eio-fsync", "files=log-*");
    assert_string_equal(disk_get(&reply, "seen"), "fsync: Input/output error");
    assert_seen(hit, 0, 0, EIO);
    assert_seen(spared, 0, 0, 0);
    assert_int_equal(hits_of(fixture, "id=f"), 1); /* the agent's own does not count */
    agent_do(&fixture->agent, "fault-undo", "id=f");
    assert_seen(hit, 0, 0, 0);
    agent_do(&fixture->agent, "disk-fault", "id=f", fixture->field, "io=eio-write");
    assert_seen(hit, 0, EIO, 0);
    assert_seen(spared, 0, EIO, 0);
    struct line list = agent_do(&fixture->agent, "fault-list");
    assert_string_equal(line_at(&list, 4), "id=f");
    assert_string_equal(line_at(&list, 5), "kind=io");
    agent_do(&fixture->agent, "fault-undo", "id=f");
    assert_seen(hit, 0, 0, 0);
    close(hit);
    close(spared);
}

/* Also what was read before, and is remembered by the kernel. */
static void reading_fails_even_what_was_read_before(void **state)
{
    need_root();
    struct disk_fixture *fixture = given(state);
    char bytes[8];
    disk_put(fixture, "log", "precious", true);
    int fd = open_in(fixture, "log");
    assert_int_equal(pread(fd, bytes, 8, 0), 8);
    agent_do(&fixture->agent, "disk-fault", "id=f", fixture->field, "io=eio-read");
    assert_true(pread(fd, bytes, 8, 0) < 0 && errno == EIO);
    agent_do(&fixture->agent, "fault-undo", "id=f");
    assert_int_equal(pread(fd, bytes, 8, 0), 8);
    assert_memory_equal(bytes, "precious", 8);
    close(fd);
}

static void some_operations_fail_by_chance(void **state)
{
    need_root();
    struct disk_fixture *fixture = given(state);
    int fd = open_in(fixture, "log"), failed = 0;
    agent_do(&fixture->agent, "disk-fault", "id=f", fixture->field, "io=eio-fsync", "chance=300",
             "seed=7");
    uint64_t before = hits_of(fixture, "id=f");
    for (int i = 0; i < 400; i++)
        failed += fsync(fd) != 0;
    assert_in_range(failed, 70, 170); /* 120 is meant; five deviations are 46 */
    assert_int_equal(hits_of(fixture, "id=f") - before, failed);
    agent_do(&fixture->agent, "fault-undo", "id=f");
    for (int i = 0; i < 100; i++)
        assert_int_equal(fsync(fd), 0);
    close(fd);
}

static int64_t time_of_fsync(int fd)
{
    int64_t began_ns = clock_monotonic_ns();
    assert_int_equal(fsync(fd), 0);
    return clock_monotonic_ns() - began_ns;
}

/* One that is slow keeps nobody else waiting; who waits is let go when it is undone. */
static void a_slow_file_is_slow_and_no_other(void **state)
{
    need_root();
    struct disk_fixture *fixture = given(state);
    int slow = open_in(fixture, "wal"), fast = open_in(fixture, "other");
    struct line reply = agent_do(&fixture->agent, "disk-fault", "id=s", fixture->field, "io=slow",
                                 "op=fsync", "files=wal", "delay_ms=300");
    assert_contains(disk_get(&reply, "seen"), "fsync took ");
    assert_true(time_of_fsync(slow) >= 300 * NS_PER_MS);
    int64_t began_ns = clock_monotonic_ns();
    assert_int_equal(pwrite(slow, "x", 1, 0), 1); /* only fsync is slow */
    assert_true(clock_monotonic_ns() - began_ns < 200 * NS_PER_MS);
    agent_do(&fixture->agent, "fault-undo", "id=s");
    agent_do(&fixture->agent, "disk-fault", "id=s", fixture->field, "io=slow", "op=fsync",
             "files=wal", "delay_ms=2000");
    began_ns = clock_monotonic_ns();
    pid_t waiter = fork();
    if (waiter == 0)
        _exit(fsync(slow) == 0 ? 0 : 1);
    clock_sleep_ns(50 * NS_PER_MS);
    assert_true(time_of_fsync(fast) < 700 * NS_PER_MS);
    assert_int_equal(waitpid(waiter, NULL, WNOHANG), 0);
    agent_do(&fixture->agent, "fault-undo", "id=s");
    int status;
    assert_int_equal(waitpid(waiter, &status, 0), waiter);
    assert_int_equal(status, 0);
    assert_true(clock_monotonic_ns() - began_ns < 1900 * NS_PER_MS);
    assert_true(time_of_fsync(slow) < 200 * NS_PER_MS);
    close(slow);
    close(fast);
}

static void a_disk_fills_up_to_the_byte(void **state)
{
    need_root();
    struct disk_fixture *fixture = given(state);
    char bytes[60] = {0};
    struct statvfs status;
    int fd = open_in(fixture, "log");
    agent_do(&fixture->agent, "disk-fault", "id=f", fixture->field, "io=full", "bytes=100");
    assert_int_equal(statvfs(fixture->path, &status), 0);
    assert_true((uint64_t)status.f_bavail * status.f_frsize <= 100);
    assert_int_equal(write(fd, bytes, 60), 60);
    assert_int_equal(write(fd, bytes, 60), 40);
    assert_true(write(fd, bytes, 1) < 0 && errno == ENOSPC);
    assert_true(fallocate(fd, 0, 0, 1000) != 0 && errno == ENOSPC);
    assert_int_equal(pwrite(fd, bytes, 60, 20), 60); /* what is there may be overwritten */
    struct line line = agent_do(&fixture->agent, "disk-counters", "id=f");
    assert_int_equal(line_get_int(&line, "left", -1), 0);
    agent_do(&fixture->agent, "fault-undo", "id=f");
    assert_int_equal(write(fd, bytes, 60), 60);
    agent_do(&fixture->agent, "disk-fault", "id=f", fixture->field, "io=full");
    assert_true(write(fd, bytes, 1) < 0 && errno == ENOSPC);
    agent_do(&fixture->agent, "fault-undo", "id=f");
    assert_int_equal(write(fd, bytes, 1), 1);
    close(fd);
}

/* ext4 and XFS: a file takes the room, and gives it back. */
static void a_real_disk_is_full(void **state)
{
    need_root();
    struct disk_fixture *fixture = given(state);
    static char bytes[1 << 20];
    struct statvfs before, after;
    int fd = open_in(fixture, "log");
    assert_int_equal(statvfs(fixture->path, &before), 0);
    struct line reply = agent_do(&fixture->agent, "disk-fault", "id=f", fixture->field, "io=full");
    assert_string_equal(disk_get(&reply, "seen"), "write: No space left on device");
    ssize_t count, written = 0;
    while ((count = write(fd, bytes, sizeof bytes)) > 0)
        written += count;
    assert_int_equal(errno, ENOSPC);
    assert_true(written < 64 << 10);
    struct line counters = agent_do(&fixture->agent, "disk-counters", "id=f");
    assert_null(line_get(&counters, "operations")); /* nobody counts there */
    assert_non_null(line_get(&counters, "left"));
    agent_refused(&fixture->agent, "bad-request", "disk-fault", "id=g", fixture->field, "io=full");
    const char *why = agent_refused(&fixture->agent, "unsupported", "disk-fault", "id=g",
                                    fixture->field, "io=eio-fsync");
    assert_contains(why, "file_system=strict");
    agent_do(&fixture->agent, "fault-undo", "id=f");
    assert_int_equal(write(fd, bytes, sizeof bytes), (ssize_t)sizeof bytes);
    close(fd);
    unlink(disk_in(fixture, "log"));
    disk_put(fixture, "more", "x", true);
    /* An XFS takes its time to free what was removed. */
    wait_until(statvfs(fixture->path, &after) == 0 && after.f_bavail + 2048 >= before.f_bavail);
    /* Some room is left when that is asked for, and then it is used up. */
    agent_do(&fixture->agent, "disk-fault", "id=f", fixture->field, "io=full", "bytes=4194304");
    fd = open_in(fixture, "log");
    written = 0;
    while ((count = write(fd, bytes, sizeof bytes)) > 0)
        written += count;
    assert_in_range(written, 1 << 20, 4194304);
    close(fd);
    /* Undone while there is no power: it must be gone when there is again. */
    agent_do(&fixture->agent, "disk-cut", fixture->field);
    agent_do(&fixture->agent, "fault-undo", "id=f");
    agent_do(&fixture->agent, "disk-back", fixture->field);
    wait_until(statvfs(fixture->path, &after) == 0 && after.f_bavail + 4096 >= before.f_bavail);
}

static void a_lie_shows_when_the_power_goes(void **state)
{
    need_root();
    struct disk_fixture *fixture = given(state);
    disk_put(fixture, "log", "synced\n", true);
    disk_sync_directory(fixture);
    agent_do(&fixture->agent, "disk-fault", "id=l", fixture->field, "io=lying-fsync");
    disk_put(fixture, "log", "synced, they said\n", true);
    assert_int_equal(disk_size_of(fixture, "log"), 25);
    agent_do(&fixture->agent, "disk-cut", fixture->field);
    agent_do(&fixture->agent, "disk-back", fixture->field);
    assert_int_equal(disk_size_of(fixture, "log"), 7);
    /* It lies on after the cut, until it is undone. */
    disk_put(fixture, "log", "again\n", true);
    agent_do(&fixture->agent, "fault-undo", "id=l");
    disk_put(fixture, "log", "true\n", true);
    agent_do(&fixture->agent, "disk-cut", fixture->field);
    agent_do(&fixture->agent, "disk-back", fixture->field);
    assert_int_equal(disk_size_of(fixture, "log"), 18);
}

static void writes_come_short(void **state)
{
    need_root();
    struct disk_fixture *fixture = given(state);
    int fd = open_in(fixture, "log");
    agent_do(&fixture->agent, "disk-fault", "id=w", fixture->field, "io=short-write");
    assert_int_equal(write(fd, "0123456789", 10), 5);
    agent_do(&fixture->agent, "fault-undo", "id=w");
    assert_int_equal(write(fd, "56789", 5), 5);
    assert_int_equal(disk_size_of(fixture, "log"), 10);
    close(fd);
}

static void faults_last_through_a_power_cut(void **state)
{
    need_root();
    struct disk_fixture *fixture = given(state);
    agent_do(&fixture->agent, "disk-fault", "id=f", fixture->field, "io=eio-fsync");
    agent_do(&fixture->agent, "disk-cut", fixture->field);
    agent_do(&fixture->agent, "disk-back", fixture->field);
    int fd = open_in(fixture, "log");
    assert_seen(fd, 0, 0, EIO);
    close(fd);
    agent_do(&fixture->agent, "disk-cut", fixture->field);
    agent_do(&fixture->agent, "fault-undo", "id=f");
    agent_do(&fixture->agent, "disk-back", fixture->field);
    fd = open_in(fixture, "log");
    assert_seen(fd, 0, 0, 0);
    close(fd);
}

/* Somebody waits for a slow disk, and everything fails as well, when the agent is killed. */
static void nothing_outlives_a_killed_agent(void **state)
{
    need_root();
    struct disk_fixture *fixture = given(state);
    char script[600];
    snprintf(script, sizeof script, "arg=while :; do echo x >>%s/log; sync %s/log; done",
             fixture->path, fixture->path);
    agent_do(&fixture->agent, "daemon-start", "name=writer", "arg=sh", "arg=-c", script);
    wait_until(disk_size_of(fixture, "log") > 2);
    agent_do(&fixture->agent, "disk-fault", "id=e", fixture->field, "io=eio-fsync", "chance=100");
    agent_do(&fixture->agent, "disk-fault", "id=f", fixture->field, "io=full");
    agent_do(&fixture->agent, "disk-fault", "id=s", fixture->field, "io=slow", "op=fsync",
             "delay_ms=1500");
    int64_t began_ns = clock_monotonic_ns();
    kill(fixture->agent.serving, SIGKILL);
    assert_int_equal(agent_wait(&fixture->agent), 1);
    fixture->agent.pid = 0;
    assert_true(clock_monotonic_ns() - began_ns < 5 * NS_PER_SECOND);
    assert_false(disk_is_mount(fixture->path));
    assert_int_equal(disk_size_of(fixture, "log"), -1);
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct disk_fixture *fixture = *state;
    need_root();
    struct agent_process *agent = &fixture->agent;
    const char *path = fixture->field;
    const char *why = agent_refused(agent, "bad-request", "disk-fault", "id=f", path, "io=full");
    assert_contains(why, "no disk of its own");
    given(state);
    agent_refused(agent, "bad-request", "disk-fault", "id=f", path, "io=melt");
    agent_refused(agent, "bad-request", "disk-fault", "id=f", path, "io=slow");
    agent_refused(agent, "bad-request", "disk-fault", "id=f", path, "io=slow", "delay_ms=9999");
    agent_refused(agent, "bad-request", "disk-fault", "id=f", path, "io=full", "op=read");
    agent_refused(agent, "bad-request", "disk-fault", "id=f", path, "io=full", "chance=5");
    agent_refused(agent, "bad-request", "disk-fault", "id=f", path, "io=full", "files=a",
                  "bytes=9");
    agent_refused(agent, "bad-request", "disk-counters", "id=f");
    struct line list = agent_do(agent, "fault-list");
    assert_string_equal(disk_get(&list, "kind"), "disk"); /* and nothing else */
    agent_do(agent, "disk-fault", "id=f", path, "io=full");
    agent_refused(agent, "bad-request", "disk-fault", "id=f", path, "io=eio-read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(operations_fail_where_it_is_asked, begin, disk_finish),
        cmocka_unit_test_setup_teardown(reading_fails_even_what_was_read_before, begin,
                                        disk_finish),
        cmocka_unit_test_setup_teardown(some_operations_fail_by_chance, begin, disk_finish),
        cmocka_unit_test_setup_teardown(a_slow_file_is_slow_and_no_other, begin, disk_finish),
        cmocka_unit_test_setup_teardown(a_disk_fills_up_to_the_byte, begin, disk_finish),
        cmocka_unit_test_setup_teardown(a_real_disk_is_full, begin_ext4, disk_finish),
        cmocka_unit_test_setup_teardown(a_real_disk_is_full, begin_xfs, disk_finish),
        cmocka_unit_test_setup_teardown(a_lie_shows_when_the_power_goes, begin, disk_finish),
        cmocka_unit_test_setup_teardown(writes_come_short, begin, disk_finish),
        cmocka_unit_test_setup_teardown(faults_last_through_a_power_cut, begin, disk_finish),
        cmocka_unit_test_setup_teardown(nothing_outlives_a_killed_agent, begin, disk_finish),
        cmocka_unit_test_setup_teardown(what_makes_no_sense_is_refused, begin, disk_finish),
    };
    disk_own_mounts();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
