/* Limits on daemons, seen from outside: processor time that is not used, memory and descriptors
 * that are not had, burdens that weigh; each gone when it is undone, and when the agent is killed.
 */
#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/lib/agent_process.h"

struct fixture {
    struct agent_process agent;
    char directory[200], go[256], go_field[300], log[256], log_field[300];
};

static int begin_with(void **state, const char *program, const char *more)
{
    static struct fixture fixture;
    fixture = (struct fixture){.agent = {.network = -1, .program = program}};
    *state = &fixture;
    if (geteuid() != 0)
        return 0;
    agent_make_directory(fixture.directory, sizeof fixture.directory);
    snprintf(fixture.go, sizeof fixture.go, "%s/go", fixture.directory);
    snprintf(fixture.go_field, sizeof fixture.go_field, "env=GO=%s", fixture.go);
    snprintf(fixture.log, sizeof fixture.log, "%s/log", fixture.directory);
    snprintf(fixture.log_field, sizeof fixture.log_field, "log=%s", fixture.log);
    agent_serve(&fixture.agent, fixture.directory, "--firewall", "none", more);
    return 0;
}

static int begin(void **state)
{
    return begin_with(state, NULL, NULL);
}

static int begin_keeping(void **state)
{
    return begin_with(state, NULL, "--keep-daemons");
}

static int finish(void **state)
{
    struct fixture *fixture = *state;
    return geteuid() != 0 || agent_end(&fixture->agent) == 0 ? 0 : -1;
}

#define need_root()                                                                                \
    do {                                                                                           \
        if (geteuid() != 0)                                                                        \
            test_skip("needs root");                                                               \
    } while (0)

/* ---- Looking from outside ---- */

static const char *read_text(const char *path)
{
    static char text[16384];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[length < 0 ? 0 : length] = '\0';
    return text;
}

static const char *proc_text(pid_t pid, const char *file)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    return read_text(path);
}

static int64_t cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return 0;
    return used.tv_sec * NS_PER_SECOND + used.tv_nsec;
}

/* The share of one processor that a process used for a while, in thousandths. */
static int64_t used_permille(pid_t pid, int64_t for_ns)
{
    int64_t began_ns = clock_monotonic_ns(), before_ns = cpu_ns(pid);
    clock_sleep_ns(for_ns);
    return (cpu_ns(pid) - before_ns) * 1000 / (clock_monotonic_ns() - began_ns);
}

/* Those of three times which were the least and the most. Other work on the machine makes less of
 * what runs freely or by a quota; of what is stopped in turn also more, when who stops it is late.
 */
struct permille {
    int64_t least, most;
};

static struct permille measure_permille(pid_t pid)
{
    struct permille used = {.least = INT64_MAX};
    for (int i = 0; i < 3; i++) {
        int64_t now = used_permille(pid, 300 * NS_PER_MS);
        used.least = now < used.least ? now : used.least;
        used.most = now > used.most ? now : used.most;
    }
    return used;
}

static bool is_in_own_group(pid_t pid)
{
    return strstr(proc_text(pid, "cgroup"), "/ordeal-") != NULL;
}

/* Groups of ordeal's that this pid namespace has left anywhere, below what it is in. */
static int groups_left(void)
{
    char command[256];
    int count = -1;
    struct stat status;
    if (stat("/proc/self/ns/pid", &status) != 0)
        return -1;
    snprintf(command, sizeof command,
             "find /sys/fs/cgroup -type d -name 'ordeal-%ju-*' 2>/dev/null | wc -l",
             (uintmax_t)status.st_ino);
    FILE *pipe = popen(command, "r");
    if (pipe == NULL || fscanf(pipe, "%d", &count) != 1)
        count = -1;
    if (pipe != NULL)
        pclose(pipe);
    return count;
}

static int burdens_of(pid_t parent, pid_t *last)
{
    struct arena arena = ARENA_INIT;
    struct agentd_processes all;
    int count = 0;
    agentd_processes_read(&arena, &all);
    for (uint32_t i = 0; i < all.count; i++)
        if (strcmp(all.items[i].comm, "ordeal-burden") == 0 &&
            (parent == 0 || all.items[i].parent == parent) &&
            !agentd_process_is_dead(&all.items[i])) {
            count++;
            *last = all.items[i].pid;
        }
    arena_free(&arena);
    return count;
}

static long long limit_of(pid_t pid, const char *name)
{
    const char *at = strstr(proc_text(pid, "limits"), name);
    assert_non_null(at);
    at += strlen(name);
    at += strspn(at, " ");
    return strncmp(at, "unlimited", 9) == 0 ? -1 : atoll(at);
}

static pid_t start(struct fixture *fixture, const char *name, const char *program,
                   const char *script)
{
    char name_field[64], script_field[1024];
    snprintf(name_field, sizeof name_field, "name=%s", name);
    snprintf(script_field, sizeof script_field, "arg=%s", script);
    struct line reply = agent_do(&fixture->agent, "daemon-start", name_field, program,
                                 strcmp(program, "arg=sh") == 0 ? "arg=-c" : "arg=-e", script_field,
                                 fixture->go_field, fixture->log_field);
    return (pid_t)line_get_int(&reply, "pid", 0);
}

static void let_go(const struct fixture *fixture)
{
    close(open(fixture->go, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static const char spinning[] = "while :; do :; done";
/* perl does without another process, or any descriptor, until it is told to go on. */
#define WAITING "select(undef, undef, undef, 0.02) until -e $ENV{GO};"
static const char growing[] = WAITING "exec 'tail', '/dev/zero'";
static const char opening[] =
    WAITING "$| = 1; for (1..3) { open($f[$_], '<', '/dev/null') ? print \"opened\\n\""
            " : print \"$!\\n\" } sleep 60";

/* ---- Processor time ---- */

static void is_slow_while_it_lasts(struct fixture *fixture, const char *means,
                                   const char *means_field)
{
    pid_t pid = start(fixture, "s", "arg=sh", spinning);
    struct line reply =
        agent_do(&fixture->agent, "limit-begin", "what=cpu", "name=s", "value=10", means_field);
    assert_string_equal(line_get(&reply, "means"), means);
    assert_string_equal(line_get(&reply, "id"), "limit:cpu:s");
    assert_int_equal(line_get_int(&reply, "verified", 0), 1);
    struct permille used = measure_permille(pid);
    int64_t slow = strcmp(means, "steps") == 0 ? used.least : used.most;
    assert_in_range(slow, 1, 200); /* a tenth, and what measuring costs */
    agent_refused(&fixture->agent, "exists", "limit-begin", "what=cpu", "name=s", "value=20");
    agent_do(&fixture->agent, "fault-undo", "id=limit:cpu:s");
    assert_false(is_in_own_group(pid));
    wait_until(used_permille(pid, 200 * NS_PER_MS) > 2 * slow && measure_permille(pid).most > 250);
}

static void a_quota_makes_a_daemon_slow(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    is_slow_while_it_lasts(fixture, "cgroup", "means=any");
    assert_int_equal(groups_left(), 0);
}

static void so_do_stops_in_turn_where_there_is_no_quota(void **state)
{
    struct fixture *fixture = *state;
    pid_t last;
    need_root();
    is_slow_while_it_lasts(fixture, "steps", "means=steps");
    assert_int_equal(burdens_of(fixture->agent.serving, &last), 0);
    /* A pause meanwhile would not last, and is refused. */
    agent_do(&fixture->agent, "limit-begin", "what=cpu", "name=s", "value=50", "means=steps");
    const char *message =
        agent_refused(&fixture->agent, "exists", "daemon-signal", "name=s", "signal=STOP");
    assert_contains(message, "stopped and resumed in turn");
    /* A kill is none of its business. */
    struct line killed = agent_do(&fixture->agent, "daemon-signal", "name=s", "signal=KILL");
    assert_int_equal(line_get_int(&killed, "verified", 0), 1);
    agent_do(&fixture->agent, "fault-undo", "id=limit:cpu:s");
    assert_int_equal(burdens_of(fixture->agent.serving, &last), 0);
}

static void the_throttling_is_told_and_an_idle_daemon_is_slowed_too(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    pid_t pid = start(fixture, "idle", "arg=sh", "exec sleep 60");
    agent_do(&fixture->agent, "limit-begin", "what=cpu", "name=idle", "value=2");
    assert_true(is_in_own_group(pid));
    struct line look = agent_do(&fixture->agent, "limit-look", "id=limit:cpu:idle");
    assert_contains(line_get(&look, "effect"), "throttled in ");
    struct line killed = agent_do(&fixture->agent, "daemon-signal", "name=idle", "signal=KILL");
    assert_int_equal(line_get_int(&killed, "verified", 0), 1);
    struct line event = agent_event(&fixture->agent, "exit");
    assert_string_equal(line_get(&event, "under"), "cpu");
    assert_int_equal(line_get_int(&event, "asked", 0), 1);
    /* What is started under that name since is under no limit, and what it dies of is its own. */
    start(fixture, "idle", "arg=sh", "exit 3");
    event = agent_event(&fixture->agent, "exit");
    assert_int_equal(line_get_int(&event, "status", 0), 3);
    assert_null(line_get(&event, "under"));
    agent_do(&fixture->agent, "fault-undo", "id=limit:cpu:idle");
    assert_int_equal(groups_left(), 0);
}

/* ---- Memory and descriptors ---- */

static void a_daemon_that_takes_too_much_dies_of_the_limit(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    pid_t pid = start(fixture, "g", "arg=perl", growing);
    struct line reply =
        agent_do(&fixture->agent, "limit-begin", "what=memory", "name=g", "value=16");
    assert_string_equal(line_get(&reply, "means"), "cgroup");
    assert_true(is_in_own_group(pid));
    let_go(fixture);
    struct line event = agent_event(&fixture->agent, "exit");
    assert_string_equal(line_get(&event, "signal_name"), "KILL");
    assert_string_equal(line_get(&event, "under"), "memory");
    assert_int_equal(line_get_int(&event, "oom", 0), 1);
    assert_int_equal(line_get_int(&event, "asked", -1), 0);
    struct line look = agent_do(&fixture->agent, "limit-look", "id=limit:memory:g");
    assert_string_equal(line_get(&look, "effect"), "1 killed for want of memory");
    agent_do(&fixture->agent, "fault-undo", "id=limit:memory:g");
    assert_int_equal(groups_left(), 0);
}

static void or_gets_no_more_where_processes_are_limited(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    pid_t pid = start(fixture, "g", "arg=perl", growing);
    assert_int_equal(limit_of(pid, "Max address space"), -1);
    agent_do(&fixture->agent, "limit-begin", "what=memory", "name=g", "value=64", "means=rlimit");
    assert_true(limit_of(pid, "Max address space") > 64 << 20);
    let_go(fixture);
    struct line event = agent_event(&fixture->agent, "exit");
    assert_int_not_equal(line_get_int(&event, "status", 0), 0);
    assert_string_equal(line_get(&event, "under"), "memory");
    assert_contains(read_text(fixture->log), "memory exhausted");
    agent_do(&fixture->agent, "fault-undo", "id=limit:memory:g");
}

static void a_daemon_runs_out_of_descriptors_and_has_them_again(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    pid_t pid = start(fixture, "f", "arg=perl", opening);
    long long before = limit_of(pid, "Max open files");
    agent_do(&fixture->agent, "limit-begin", "what=files", "name=f", "value=1");
    long long limit = limit_of(pid, "Max open files");
    assert_in_range(limit, 3, 20);
    let_go(fixture);
    wait_until(strstr(read_text(fixture->log), "Too many open files\nToo many open files\n") !=
               NULL);
    assert_int_equal(strncmp(read_text(fixture->log), "opened\n", 7), 0);
    struct line look = agent_do(&fixture->agent, "limit-look", "id=limit:files:f");
    char expected[64];
    snprintf(expected, sizeof expected, " descriptors open, limit %lld", limit);
    assert_contains(line_get(&look, "effect"), expected);
    agent_do(&fixture->agent, "fault-undo", "id=limit:files:f");
    assert_int_equal(limit_of(pid, "Max open files"), before);
}

/* ---- Burdens ---- */

static void hogs_weigh_what_was_asked_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    pid_t hog = 0;
    need_root();
    agent_do(&fixture->agent, "limit-begin", "what=cpu-hog", "value=40", "count=2");
    assert_int_equal(burdens_of(fixture->agent.serving, &hog), 2);
    assert_in_range(measure_permille(hog).most, 20, 480);
    agent_do(&fixture->agent, "fault-undo", "id=limit:cpu-hog");
    assert_int_equal(burdens_of(fixture->agent.serving, &hog), 0);
    struct line reply =
        agent_do(&fixture->agent, "limit-begin", "what=memory-hog", "value=1", "share=16");
    assert_int_equal(burdens_of(fixture->agent.serving, &hog), 1);
    long long pages = 0;
    assert_int_equal(sscanf(proc_text(hog, "statm"), "%*s %lld", &pages), 1);
    assert_true(pages * sysconf(_SC_PAGESIZE) >= line_get_int(&reply, "bytes", 0) * 19 / 20);
    assert_true(line_get_int(&reply, "bytes", 0) >= 1 << 20);
    assert_string_equal(proc_text(hog, "oom_score_adj"), "1000\n"); /* it goes first */
    agent_do(&fixture->agent, "fault-undo", "id=limit:memory-hog");
    assert_int_equal(burdens_of(fixture->agent.serving, &hog), 0);
}

/* ---- Nothing outlives the agent ---- */

static void a_killed_agent_leaves_no_limit(void **state)
{
    struct fixture *fixture = *state;
    pid_t last;
    need_root();
    pid_t slow = start(fixture, "a", "arg=sh", spinning);
    pid_t steps = start(fixture, "b", "arg=sh", spinning);
    pid_t files = start(fixture, "c", "arg=perl", opening);
    long long before = limit_of(files, "Max open files");
    agent_do(&fixture->agent, "limit-begin", "what=cpu", "name=a", "value=5");
    agent_do(&fixture->agent, "limit-begin", "what=memory", "name=a", "value=500");
    agent_do(&fixture->agent, "limit-begin", "what=cpu", "name=b", "value=5", "means=steps");
    agent_do(&fixture->agent, "limit-begin", "what=files", "name=c", "value=0");
    agent_do(&fixture->agent, "limit-begin", "what=cpu-hog", "value=5");
    pid_t serving = fixture->agent.serving;
    int64_t began_ns = clock_monotonic_ns();
    kill(serving, SIGKILL);
    assert_int_equal(agent_wait(&fixture->agent), 1);
    assert_true(clock_monotonic_ns() - began_ns < 5 * NS_PER_SECOND);
    assert_true(process_lives(slow) && process_lives(steps) && process_lives(files));
    assert_false(is_in_own_group(slow));
    assert_int_equal(groups_left(), 0);
    assert_int_equal(limit_of(files, "Max open files"), before);
    assert_int_equal(burdens_of(serving, &last), 0);
    assert_string_equal(read_text(fixture->log), "");
    for (int i = 0; i < 20; i++) {
        assert_int_equal(agentd_process_stopped(steps), AGENTD_STOPPED_NONE);
        clock_sleep_ns(10 * NS_PER_MS);
    }
    kill(slow, SIGKILL);
    kill(steps, SIGKILL);
    kill(files, SIGKILL);
}

static void a_killed_agent_whose_daemons_go_with_it_leaves_no_group(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    pid_t pid = start(fixture, "a", "arg=sh", "(while :; do :; done) & sleep 60");
    agent_do(&fixture->agent, "limit-begin", "what=cpu", "name=a", "value=1");
    kill(fixture->agent.serving, SIGKILL);
    int64_t began_ns = clock_monotonic_ns();
    assert_int_equal(agent_wait(&fixture->agent), 1);
    assert_true(clock_monotonic_ns() - began_ns < 5 * NS_PER_SECOND);
    assert_false(process_lives(pid));
    assert_int_equal(groups_left(), 0);
}

/* ---- Where it cannot work ---- */

static const char *wrapper_without_groups(void)
{
    static char path[300];
    char directory[200];
    agent_make_directory(directory, sizeof directory);
    snprintf(path, sizeof path, "%s/agent", directory);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        fail_msg("cannot write %s", path);
    fprintf(file,
            "#!/bin/sh\n"
            "exec unshare -m sh -c 'umount -R -l /sys/fs/cgroup; exec setpriv --bounding-set"
            " -sys_admin --inh-caps -sys_admin %s \"$@\"' sh \"$@\"\n",
            agent_program());
    fchmod(fileno(file), 0700);
    fclose(file);
    return path;
}

static int begin_without_groups(void **state)
{
    return begin_with(state, geteuid() != 0 ? NULL : wrapper_without_groups(), NULL);
}

static void what_cannot_be_had_is_told_before(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    const char *message = agent_refused(&fixture->agent, "unsupported", "limit-check", "what=cpu",
                                        "means=cgroup", "value=10");
    assert_contains(message, "control groups are not mounted and cannot be: Operation not");
    struct line reply = agent_do(&fixture->agent, "limit-check", "what=cpu", "value=10");
    assert_string_equal(line_get(&reply, "means"), "steps");
    reply = agent_do(&fixture->agent, "limit-check", "what=memory", "value=10");
    assert_string_equal(line_get(&reply, "means"), "rlimit");
    is_slow_while_it_lasts(fixture, "steps", "means=any");
    agent_refused(&fixture->agent, "bad-request", "limit-begin", "what=cpu", "name=s", "value=10",
                  "means=rlimit");
    agent_refused(&fixture->agent, "bad-request", "limit-begin", "what=cpu", "name=s", "value=99");
    agent_refused(&fixture->agent, "bad-request", "limit-begin", "what=luck", "value=9");
    agent_refused(&fixture->agent, "not-found", "limit-begin", "what=cpu", "name=x", "value=9");
    reply = agent_do(&fixture->agent, "fault-list");
    assert_null(line_get(&reply, "id"));
}

int main(void)
{
#define TEST(name, set_up, tear_down) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_quota_makes_a_daemon_slow, begin, finish),
        TEST(so_do_stops_in_turn_where_there_is_no_quota, begin, finish),
        TEST(the_throttling_is_told_and_an_idle_daemon_is_slowed_too, begin, finish),
        TEST(a_daemon_that_takes_too_much_dies_of_the_limit, begin, finish),
        TEST(or_gets_no_more_where_processes_are_limited, begin, finish),
        TEST(a_daemon_runs_out_of_descriptors_and_has_them_again, begin, finish),
        TEST(hogs_weigh_what_was_asked_and_no_more, begin, finish),
        TEST(a_killed_agent_leaves_no_limit, begin_keeping, NULL),
        TEST(a_killed_agent_whose_daemons_go_with_it_leaves_no_group, begin, NULL),
        TEST(what_cannot_be_had_is_told_before, begin_without_groups, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
