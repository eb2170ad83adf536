/* Disks that hang and lose power, in a mount namespace of this test's own: what was synced is kept,
 * what was not is lost, and nothing outlives the agent. */
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/lib/agent_process.h"

struct fixture {
    struct agent_process agent;
    char directory[200], path[256], field[280];
    const char *kind; /* a field of disk-give */
};

static int begin_with(void **state, const char *kind)
{
    static struct fixture fixture;
    fixture = (struct fixture){.agent = {.network = -1}, .kind = kind};
    *state = &fixture;
    if (geteuid() != 0)
        return 0;
    agent_make_directory(fixture.directory, sizeof fixture.directory);
    snprintf(fixture.path, sizeof fixture.path, "/var/lib/ordeal-disk-test-%d", (int)getpid());
    snprintf(fixture.field, sizeof fixture.field, "path=%s", fixture.path);
    agent_serve(&fixture.agent, fixture.directory, "--firewall", "none");
    return 0;
}

static int begin(void **state)
{
    return begin_with(state, "size_mb=32");
}

static int begin_strict(void **state)
{
    return begin_with(state, "file_system=strict");
}

static int finish(void **state)
{
    struct fixture *fixture = *state;
    int status = geteuid() != 0 || fixture->agent.pid == 0 ? 0 : agent_end(&fixture->agent);
    rmdir(fixture->path);
    return status == 0 ? 0 : -1;
}

#define need_root()                                                                                \
    do {                                                                                           \
        if (geteuid() != 0)                                                                        \
            test_skip("needs root");                                                               \
    } while (0)

static const char *in(const struct fixture *fixture, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", fixture->path, name);
    return path;
}

/* The directory, too: what was made in it is there for ever. */
static void sync_directory(const struct fixture *fixture)
{
    int fd = open(fixture->path, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

static void put(const struct fixture *fixture, const char *name, const char *text, bool sync)
{
    int fd = open(in(fixture, name), O_WRONLY | O_CREAT | O_APPEND, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    if (sync)
        assert_int_equal(fsync(fd), 0);
    close(fd);
}

static ssize_t size_of(const struct fixture *fixture, const char *name)
{
    struct stat status;
    return stat(in(fixture, name), &status) == 0 ? status.st_size : -1;
}

static bool is_mount(const char *path)
{
    char line[1024];
    bool found = false;
    FILE *mounts = fopen("/proc/self/mounts", "r");
    assert_non_null(mounts);
    while (fgets(line, sizeof line, mounts) != NULL)
        found = found || strstr(line, path) != NULL;
    fclose(mounts);
    return found;
}

static const char *get(const struct line *line, const char *key)
{
    const char *value = line_get(line, key);
    return value == NULL ? "" : value;
}

static void what_was_synced_is_kept_and_the_rest_is_lost(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    agent_do(&fixture->agent, "disk-give", fixture->field, fixture->kind);
    assert_true(is_mount(fixture->path));
    for (int round = 0; round < 3; round++) {
        put(fixture, "log", "synced\n", true);
        sync_directory(fixture);
        put(fixture, "log", "not synced\n", false);
        put(fixture, "new", "never synced\n", false);
        agent_do(&fixture->agent, "disk-cut", fixture->field);
        int fd = open(in(fixture, "more"), O_WRONLY | O_CREAT, 0644);
        assert_true(fd < 0 && errno == EIO);
        struct line back = agent_do(&fixture->agent, "disk-back", fixture->field);
        assert_string_equal(get(&back, "unsynced"), "lost");
        assert_int_equal(size_of(fixture, "log"), 7 * (round + 1));
        assert_true(size_of(fixture, "new") <= 0);
    }
    struct line list = agent_do(&fixture->agent, "fault-list");
    assert_string_equal(get(&list, "kind"), "disk");
    char undo[300];
    snprintf(undo, sizeof undo, "id=disk:%s", fixture->path);
    agent_do(&fixture->agent, "fault-undo", undo);
    assert_false(is_mount(fixture->path));
    assert_int_equal(size_of(fixture, "log"), -1);
}

/* Appends and syncs until it fails, counting; the exit status is the error. */
static pid_t start_writer(const struct fixture *fixture, atomic_long *synced)
{
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(in(fixture, "log"), O_WRONLY | O_CREAT | O_APPEND, 0644);
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
    struct fixture *fixture = *state;
    need_root();
    agent_do(&fixture->agent, "disk-give", fixture->field, fixture->kind);
    /* Seen without the disk: who asks one that hangs may wait as well. */
    atomic_long *synced =
        mmap(NULL, sizeof *synced, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(synced, MAP_FAILED);
    pid_t writer = start_writer(fixture, synced);
    wait_until(atomic_load(synced) > 10);
    sync_directory(fixture);
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
    assert_string_equal(get(&back, "unsynced"), "none");
    /* All that was synced, and perhaps the one that hung. */
    assert_in_range(size_of(fixture, "log"), before, before + 1);
    munmap(synced, sizeof *synced);
}

static void a_stall_can_end_well(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    char undo[300];
    snprintf(undo, sizeof undo, "id=stall:%s", fixture->path);
    agent_do(&fixture->agent, "disk-give", fixture->field, fixture->kind);
    agent_do(&fixture->agent, "disk-stall", fixture->field);
    agent_do(&fixture->agent, "fault-undo", undo);
    put(fixture, "log", "works\n", true);
    agent_refused(&fixture->agent, "not-found", "fault-undo", undo);
}

static void what_is_there_is_never_hidden(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    mkdir(fixture->path, 0755);
    put(fixture, "precious", "data\n", false);
    const char *why = agent_refused(&fixture->agent, "bad-request", "disk-give", fixture->field);
    assert_contains(why, "is not empty");
    unlink(in(fixture, "precious"));
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
    struct fixture *fixture = *state;
    need_root();
    char script[400];
    snprintf(script, sizeof script, "arg=while echo x >>%s/log; do sync; done", fixture->path);
    agent_do(&fixture->agent, "disk-give", fixture->field, fixture->kind);
    agent_do(&fixture->agent, "daemon-start", "name=writer", "arg=sh", "arg=-c", script);
    wait_until(size_of(fixture, "log") > 2);
    agent_do(&fixture->agent, "disk-stall", fixture->field);
    kill(fixture->agent.serving, SIGKILL);
    assert_int_equal(agent_wait(&fixture->agent), 1);
    fixture->agent.pid = 0;
    assert_false(is_mount(fixture->path));
    assert_int_equal(size_of(fixture, "log"), -1);
}

/* What only the strict one does: a name without its directory's sync is gone, a rename too. */
static void a_strict_disk_keeps_no_more_than_it_must(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    char from[512];
    agent_do(&fixture->agent, "disk-give", fixture->field, fixture->kind);
    put(fixture, "old", "old bytes\n", true);
    sync_directory(fixture);
    put(fixture, "new", "synced, and its name is not\n", true);
    put(fixture, "old.next", "next bytes, much longer\n", true);
    snprintf(from, sizeof from, "%s", in(fixture, "old.next"));
    assert_int_equal(rename(from, in(fixture, "old")), 0);
    agent_do(&fixture->agent, "disk-cut", fixture->field);
    agent_do(&fixture->agent, "disk-back", fixture->field);
    assert_int_equal(size_of(fixture, "new"), -1);
    assert_int_equal(size_of(fixture, "old.next"), -1);
    assert_int_equal(size_of(fixture, "old"), 10);
    put(fixture, "old.next", "next bytes, much longer\n", true);
    assert_int_equal(rename(from, in(fixture, "old")), 0);
    sync_directory(fixture);
    agent_do(&fixture->agent, "disk-cut", fixture->field);
    agent_do(&fixture->agent, "disk-back", fixture->field);
    assert_int_equal(size_of(fixture, "old"), 24);
    agent_refused(&fixture->agent, "bad-request", "disk-give", "path=/var/lib/ordeal-no",
                  "file_system=zfs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_synced_is_kept_and_the_rest_is_lost, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(a_hanging_disk_keeps_its_writers_until_the_power_goes,
                                        begin, finish),
        cmocka_unit_test_setup_teardown(a_stall_can_end_well, begin, finish),
        cmocka_unit_test_setup_teardown(what_is_there_is_never_hidden, begin, finish),
        cmocka_unit_test_setup_teardown(nothing_outlives_a_killed_agent, begin, finish),
        cmocka_unit_test_setup_teardown(what_was_synced_is_kept_and_the_rest_is_lost, begin_strict,
                                        finish),
        cmocka_unit_test_setup_teardown(a_hanging_disk_keeps_its_writers_until_the_power_goes,
                                        begin_strict, finish),
        cmocka_unit_test_setup_teardown(a_stall_can_end_well, begin_strict, finish),
        cmocka_unit_test_setup_teardown(nothing_outlives_a_killed_agent, begin_strict, finish),
        cmocka_unit_test_setup_teardown(a_strict_disk_keeps_no_more_than_it_must, begin_strict,
                                        finish),
    };
    /* Mounts of this test are nobody else's. */
    if (geteuid() == 0 &&
        (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)) {
        perror("a mount namespace of its own");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
