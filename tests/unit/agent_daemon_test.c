/* The agent's daemons, with a real agent: they start, end, stop, are killed and paused, and what is
 * said of them is true. */
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/lib/agent_process.h"

struct fixture {
    struct agent_process agent;
    char directory[200], log[256];
};

static int start_agent(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.agent = {.network = -1}};
    agent_make_directory(fixture.directory, sizeof fixture.directory);
    snprintf(fixture.log, sizeof fixture.log, "%s/logs/deep/daemon.log", fixture.directory);
    agent_serve(&fixture.agent, fixture.directory, "--firewall", "none");
    *state = &fixture;
    return 0;
}

static int end_agent(void **state)
{
    struct fixture *fixture = *state;
    int status = agent_end(&fixture->agent);
    return status == 0 ? 0 : -1;
}

static const char *read_text(const char *path)
{
    static char text[8192];
    int fd = open(path, O_RDONLY);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[length < 0 ? 0 : length] = '\0';
    return text;
}

static const char *field(const char *key, const char *value)
{
    static char texts[8][512];
    static unsigned next;
    char *text = texts[next++ % 8];
    snprintf(text, 512, "%s=%s", key, value);
    return text;
}

/* Starts a shell script; waits until it has said `ready` in its log. */
static pid_t start_script(struct fixture *fixture, const char *name, const char *script)
{
    unlink(fixture->log);
    struct line reply =
        agent_do(&fixture->agent, "daemon-start", field("name", name), "arg=/bin/sh", "arg=-c",
                 field("arg", script), field("log", fixture->log));
    wait_until(strstr(read_text(fixture->log), "ready\n") != NULL);
    return (pid_t)line_get_int(&reply, "pid", 0);
}

static pid_t number_after(const char *text, const char *word)
{
    const char *at = strstr(text, word);
    return at == NULL ? 0 : (pid_t)atoi(at + strlen(word));
}

static const char *status_of(struct fixture *fixture, const char *name, const char *key)
{
    struct line reply = agent_do(&fixture->agent, "daemon-status", field("name", name));
    const char *value = line_get(&reply, key);
    return value != NULL ? value : "(absent)";
}

static void a_daemon_runs_with_what_it_was_given(void **state)
{
    struct fixture *fixture = *state;
    struct line reply =
        agent_do(&fixture->agent, "daemon-start", "name=given", "arg=/bin/sh", "arg=-c",
                 "arg=echo \"$0|$1|$GREETING|$(pwd)|$(ulimit -n)\"; cat; echo bad >&2; exit 7",
                 "arg=zero\twith tab", "arg=", "env=GREETING=hello\nworld", "cwd=/tmp",
                 "limit=nofile:77", field("log", fixture->log));
    pid_t pid = (pid_t)line_get_int(&reply, "pid", 0);
    struct line event = agent_event(&fixture->agent, "exit");
    assert_string_equal(line_get(&event, "name"), "given");
    assert_int_equal(line_get_int(&event, "pid", 0), pid);
    assert_int_equal(line_get_int(&event, "status", -1), 7);
    assert_null(line_get(&event, "signal"));
    assert_int_equal(line_get_int(&event, "asked", -1), 0);
    assert_int_equal(line_get_int(&event, "oom", -1), 0);
    assert_true(line_get_int(&event, "at_ns", 0) > 0);
    assert_string_equal(read_text(fixture->log), "zero\twith tab||hello\nworld|/tmp|77\nbad\n");
    assert_string_equal(status_of(fixture, "given", "state"), "exited");
    assert_string_equal(status_of(fixture, "given", "status"), "7");
}

static void a_daemon_leads_its_own_session_with_signals_as_they_should_be(void **state)
{
    struct fixture *fixture = *state;
    pid_t pid =
        start_script(fixture, "session", "grep ^Sig /proc/self/status; echo ready; sleep 60");
    struct agentd_process process;
    assert_true(agentd_process_read(pid, &process));
    assert_int_equal(process.session, pid);
    assert_int_equal(process.group, pid);
    assert_contains(read_text(fixture->log), "SigBlk:\t0000000000000000");
    assert_contains(read_text(fixture->log), "SigIgn:\t0000000000000000");
    agent_do(&fixture->agent, "daemon-signal", "name=session", "signal=KILL");
}

static void a_program_that_cannot_run_is_told_precisely(void **state)
{
    struct fixture *fixture = *state;
    const char *message = agent_refused(&fixture->agent, "failed", "daemon-start", "name=none",
                                        "arg=/usr/bin/no-such-etcd");
    assert_string_equal(message, "cannot run /usr/bin/no-such-etcd: No such file or directory");
    message =
        agent_refused(&fixture->agent, "failed", "daemon-start", "name=none", "arg=/etc/passwd");
    assert_string_equal(message, "cannot run /etc/passwd: Permission denied");
    message = agent_refused(&fixture->agent, "failed", "daemon-start", "name=none", "arg=/bin/true",
                            "cwd=/no/where");
    assert_contains(message, "cannot enter /no/where: No such file or directory");
    message = agent_refused(&fixture->agent, "bad-request", "daemon-start", "name=none",
                            "arg=/bin/true", "user=nobody-by-that-name");
    assert_contains(message, "user: there is no 'nobody-by-that-name'");
    message = agent_refused(&fixture->agent, "bad-request", "daemon-start", "name=none",
                            "arg=/bin/true", "limit=tables:3");
    assert_contains(message, "limit: 'tables:3'");
    message = agent_refused(&fixture->agent, "failed", "daemon-start", "name=none", "arg=/bin/true",
                            "log=/proc/no/log");
    assert_contains(message, "log /proc/no/log");
    assert_string_equal(status_of(fixture, "none", "state"), "none");
}

static void a_name_runs_once_at_a_time_and_may_run_again(void **state)
{
    struct fixture *fixture = *state;
    pid_t first = start_script(fixture, "again", "echo ready; exec sleep 60");
    const char *message =
        agent_refused(&fixture->agent, "exists", "daemon-start", "name=again", "arg=/bin/true");
    assert_contains(message, "running already");
    agent_do(&fixture->agent, "daemon-signal", "name=again", "signal=KILL");
    pid_t second = start_script(fixture, "again", "echo ready; exec sleep 60");
    assert_int_not_equal(first, second);
    assert_string_equal(status_of(fixture, "again", "state"), "running");
    agent_do(&fixture->agent, "daemon-stop", "name=again");
    assert_string_equal(status_of(fixture, "again", "signal_name"), "TERM");
}

static void a_crash_is_told_as_not_asked_for(void **state)
{
    struct fixture *fixture = *state;
    pid_t pid = start_script(fixture, "crash", "echo ready; exec sleep 60");
    kill(pid, SIGKILL);
    struct line event = agent_event(&fixture->agent, "exit");
    assert_string_equal(line_get(&event, "signal_name"), "KILL");
    assert_int_equal(line_get_int(&event, "signal", 0), SIGKILL);
    assert_null(line_get(&event, "status"));
    assert_int_equal(line_get_int(&event, "asked", -1), 0);
    assert_int_equal(line_get_int(&event, "core", -1), 0);
    agent_refused(&fixture->agent, "not-running", "daemon-stop", "name=crash");
    agent_refused(&fixture->agent, "not-found", "daemon-stop", "name=never-heard-of");
}

static void killing_leaves_no_process_of_the_session(void **state)
{
    struct fixture *fixture = *state;
    /* A child in the group, and one in a group of its own (set -m). */
    pid_t pid = start_script(fixture, "family",
                             "sleep 60 & echo child $!; set -m; sleep 60 & echo other $!; "
                             "echo ready; wait; sleep 60");
    pid_t child = number_after(read_text(fixture->log), "child "),
          other = number_after(read_text(fixture->log), "other ");
    assert_true(process_lives(child) && process_lives(other));
    struct line reply = agent_do(&fixture->agent, "daemon-signal", "name=family", "signal=KILL");
    assert_false(process_lives(pid) || process_lives(child) || process_lives(other));
    assert_int_equal(line_get_int(&reply, "pid", 0), pid);
    assert_int_equal(line_get_int(&reply, "verified", 0), 1);
    assert_true(line_get_int(&reply, "elapsed_ns", 0) > 0);
    struct line event = agent_event(&fixture->agent, "exit");
    assert_int_equal(line_get_int(&event, "asked", -1), 1);
    assert_string_equal(line_get(&event, "signal_name"), "KILL");
}

static bool stands(pid_t pid)
{
    return agentd_process_stopped(pid) == AGENTD_STOPPED_ALL;
}

static void a_pause_stops_every_process_and_is_a_fault(void **state)
{
    struct fixture *fixture = *state;
    pid_t pid = start_script(fixture, "paused",
                             "(while :; do :; done) & echo child $!; set -m; sleep 60 & echo other "
                             "$!; echo ready; wait");
    pid_t child = number_after(read_text(fixture->log), "child "),
          other = number_after(read_text(fixture->log), "other ");
    struct line reply = agent_do(&fixture->agent, "daemon-signal", "name=paused", "signal=STOP");
    assert_true(stands(pid) && stands(child) && stands(other));
    assert_int_equal(line_get_int(&reply, "verified", 0), 1);
    assert_int_equal(line_get_int(&reply, "count", 0), 3);
    assert_string_equal(status_of(fixture, "paused", "state"), "paused");
    struct line list = agent_do(&fixture->agent, "fault-list");
    assert_string_equal(line_get(&list, "id"), "pause:paused");
    assert_string_equal(line_get(&list, "kind"), "pause");

    agent_do(&fixture->agent, "daemon-signal", "name=paused", "signal=CONT");
    assert_false(stands(pid) || stands(child) || stands(other));
    list = agent_do(&fixture->agent, "fault-list");
    assert_null(line_get(&list, "id"));

    agent_do(&fixture->agent, "daemon-signal", "name=paused", "signal=STOP");
    reply = agent_do(&fixture->agent, "heal");
    assert_int_equal(line_get_int(&reply, "undone", -1), 1);
    assert_int_equal(line_get_int(&reply, "failed", -1), 0);
    assert_false(stands(pid) || stands(child) || stands(other));

    agent_do(&fixture->agent, "daemon-signal", "name=paused", "signal=STOP");
    agent_do(&fixture->agent, "daemon-signal", "name=paused", "signal=KILL");
    assert_false(process_lives(pid) || process_lives(child) || process_lives(other));
    list = agent_do(&fixture->agent, "fault-list");
    assert_null(line_get(&list, "id"));
}

static void a_daemon_in_the_middle_of_forking_is_paused_too(void **state)
{
    struct fixture *fixture = *state;
    /* sh starts programs by vfork: stopped at the wrong moment, it waits where no signal reaches.
     */
    pid_t pid = start_script(fixture, "forking", "echo ready; while :; do /bin/true; done");
    for (int i = 0; i < 30; i++) {
        agent_do(&fixture->agent, "daemon-signal", "name=forking", "signal=STOP");
        assert_true(stands(pid));
        agent_do(&fixture->agent, "daemon-signal", "name=forking", "signal=CONT");
        assert_false(stands(pid));
    }
    agent_do(&fixture->agent, "daemon-signal", "name=forking", "signal=KILL");
}

/* PostgreSQL's children each lead a session of their own. */
static void children_in_sessions_of_their_own_belong_to_it(void **state)
{
    struct fixture *fixture = *state;
    static const char *const script = "setsid sleep 60 & echo child $!; "
                                      "setsid sh -c 'echo other $$; echo ready; sleep 60; true'; "
                                      "sleep 60";
    pid_t pid = start_script(fixture, "sessions", script);
    pid_t child = number_after(read_text(fixture->log), "child "),
          other = number_after(read_text(fixture->log), "other ");
    wait_until(getsid(child) == child && getsid(other) == other);
    agent_do(&fixture->agent, "daemon-signal", "name=sessions", "signal=STOP");
    assert_true(stands(pid) && stands(child) && stands(other));
    agent_do(&fixture->agent, "daemon-signal", "name=sessions", "signal=CONT");
    assert_false(stands(pid) || stands(child) || stands(other));
    agent_do(&fixture->agent, "daemon-signal", "name=sessions", "signal=KILL");
    assert_false(process_lives(pid) || process_lives(child) || process_lives(other));

    pid = start_script(fixture, "sessions", script);
    other = number_after(read_text(fixture->log), "other ");
    assert_true(process_lives(pid) && process_lives(other));
    agent_do(&fixture->agent, "daemon-stop", "name=sessions", "grace_ms=100");
    assert_false(process_lives(pid) || process_lives(other));
}

static void what_a_paused_daemon_leaves_behind_stays_a_fault_until_undone(void **state)
{
    struct fixture *fixture = *state;
    pid_t pid = start_script(fixture, "left", "sleep 60 & echo child $!; echo ready; wait");
    pid_t child = number_after(read_text(fixture->log), "child ");
    agent_do(&fixture->agent, "daemon-signal", "name=left", "signal=STOP");
    kill(pid, SIGKILL);
    agent_event(&fixture->agent, "exit");
    assert_true(stands(child));
    struct line list = agent_do(&fixture->agent, "fault-list");
    assert_string_equal(line_get(&list, "id"), "pause:left");
    start_script(fixture, "left", "echo ready; exec sleep 60");
    assert_true(process_lives(child) && !stands(child));
    list = agent_do(&fixture->agent, "fault-list");
    assert_null(line_get(&list, "id"));
}

static void stopping_is_gentle_first(void **state)
{
    struct fixture *fixture = *state;
    start_script(fixture, "gentle", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done");
    agent_do(&fixture->agent, "daemon-signal", "name=gentle", "signal=STOP");
    struct line reply = agent_do(&fixture->agent, "daemon-stop", "name=gentle", "grace_ms=10000");
    assert_int_equal(line_get_int(&reply, "status", -1), 3);
    assert_int_equal(line_get_int(&reply, "killed", -1), 0);
    struct line event = agent_event(&fixture->agent, "exit");
    assert_int_equal(line_get_int(&event, "asked", -1), 1);
    struct line list = agent_do(&fixture->agent, "fault-list");
    assert_null(line_get(&list, "id"));
}

static void stopping_kills_after_the_grace(void **state)
{
    struct fixture *fixture = *state;
    start_script(fixture, "stubborn", "trap '' TERM; echo ready; while :; do sleep 0.01; done");
    uint32_t stop = agent_send(&fixture->agent, "daemon-stop",
                               (const char *[]){"name=stubborn", "grace_ms=150", NULL});
    agent_do(&fixture->agent, "ping"); /* a waiting request blocks no other */
    struct line reply = agent_reply(&fixture->agent, stop);
    assert_string_equal(line_at(&reply, 1), "ok");
    assert_string_equal(line_get(&reply, "signal_name"), "KILL");
    assert_int_equal(line_get_int(&reply, "killed", -1), 1);
    assert_true(line_get_int(&reply, "elapsed_ns", 0) >= 150 * NS_PER_MS);
}

static void other_signals_reach_the_main_process(void **state)
{
    struct fixture *fixture = *state;
    start_script(fixture, "usr", "trap 'echo got' USR1; echo ready; while :; do sleep 0.01; done");
    struct line reply = agent_do(&fixture->agent, "daemon-signal", "name=usr", "signal=SIGUSR1");
    assert_int_equal(line_get_int(&reply, "verified", -1), 0);
    wait_until(strstr(read_text(fixture->log), "got\n") != NULL);
    agent_refused(&fixture->agent, "bad-request", "daemon-signal", "name=usr", "signal=NONE");
    agent_do(&fixture->agent, "daemon-signal", "name=usr", "signal=KILL");
}

static void many_daemons_are_listed_and_bounded(void **state)
{
    struct fixture *fixture = *state;
    char name[32];
    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "name=many%d", i);
        agent_do(&fixture->agent, "daemon-start", name, "arg=true");
    }
    agent_refused(&fixture->agent, "limit", "daemon-start", "name=one-more", "arg=true");
    struct line list = agent_do(&fixture->agent, "daemon-list");
    uint32_t names = 0, states = 0, cursor = 0;
    while (line_next(&list, "name", &cursor) != NULL)
        names++;
    for (cursor = 0; line_next(&list, "state", &cursor) != NULL;)
        states++;
    assert_int_equal(names, 64);
    assert_int_equal(states, 64);
}

/* A program under a name of its own, started by nobody's agent. */
static pid_t start_foreign(const struct fixture *fixture, const char *name)
{
    const char *path = agent_copy_program("/bin/sleep", fixture->directory, name);
    pid_t pid = fork();
    if (pid == 0) {
        execl(path, path, "60", (char *)NULL);
        _exit(127);
    }
    struct agentd_process process;
    wait_until(agentd_process_read(pid, &process) && strncmp(process.comm, name, 15) == 0);
    return pid;
}

static void foreign_processes_are_signalled_by_name(void **state)
{
    struct fixture *fixture = *state;
    static const char name[] = "ordealtest-sleeper-of-a-long-name";
    char comm[64];
    snprintf(comm, sizeof comm, "comm=%s", name);
    pid_t first = start_foreign(fixture, name), second = start_foreign(fixture, name);
    struct line reply = agent_do(&fixture->agent, "process-signal", comm, "signal=STOP");
    assert_int_equal(line_get_int(&reply, "count", 0), 2);
    assert_true(stands(first) && stands(second));
    reply = agent_do(&fixture->agent, "process-signal", comm, "signal=CONT");
    assert_int_equal(line_get_int(&reply, "count", 0), 2);
    assert_false(stands(first) || stands(second));
    agent_do(&fixture->agent, "process-signal", comm, "signal=STOP");
    reply = agent_do(&fixture->agent, "heal");
    assert_int_equal(line_get_int(&reply, "undone", 0), 1);
    assert_false(stands(first) || stands(second));
    reply = agent_do(&fixture->agent, "process-signal", comm, "signal=KILL");
    assert_int_equal(line_get_int(&reply, "verified", 0), 1);
    assert_false(process_lives(first) || process_lives(second));
    reply = agent_do(&fixture->agent, "process-signal", comm, "signal=TERM");
    assert_int_equal(line_get_int(&reply, "count", -1), 0);
    waitpid(first, NULL, 0);
    waitpid(second, NULL, 0);
}

static void the_agent_and_whom_it_descends_from_are_never_signalled(void **state)
{
    struct fixture *fixture = *state;
    /* Under names of their own: the agents of other tests are none of ours. */
    char name[32], comm[64], script[4800], run_dir[256];
    snprintf(name, sizeof name, "ordagt%d", (int)getpid());
    snprintf(comm, sizeof comm, "comm=%s", name);
    snprintf(run_dir, sizeof run_dir, "%s/second", fixture->directory);
    struct agent_process agent = {.network = -1};
    agent.program = agent_copy_program(agent_program(), fixture->directory, name);
    agent_serve(&agent, run_dir, "--firewall", "none");
    struct line reply = agent_do(&agent, "process-signal", comm, "signal=KILL");
    assert_int_equal(line_get_int(&reply, "count", -1), 0);
    reply = agent_do(&agent, "process-signal", comm, "signal=STOP");
    assert_int_equal(line_get_int(&reply, "count", -1), 0);
    assert_int_equal(agent_end(&agent), 0);

    /* A shell by that name which starts the agent and waits for it. */
    char shell_name[32];
    snprintf(shell_name, sizeof shell_name, "ordsh%d", (int)getpid());
    snprintf(comm, sizeof comm, "comm=%s", shell_name);
    snprintf(script, sizeof script, "%s serve --owner o --run-dir %s --firewall none; exit $?",
             agent_program(), run_dir);
    agent = (struct agent_process){.network = -1};
    agent.program = agent_copy_program("/bin/sh", fixture->directory, shell_name);
    agent_start(&agent, (const char *[]){"-c", script, NULL});
    agent_event(&agent, "hello");
    reply = agent_do(&agent, "process-signal", comm, "signal=TERM");
    assert_int_equal(line_get_int(&reply, "count", -1), 0);
    assert_int_equal(agent_end(&agent), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_daemon_runs_with_what_it_was_given),
        cmocka_unit_test(a_daemon_leads_its_own_session_with_signals_as_they_should_be),
        cmocka_unit_test(a_program_that_cannot_run_is_told_precisely),
        cmocka_unit_test(a_name_runs_once_at_a_time_and_may_run_again),
        cmocka_unit_test(a_crash_is_told_as_not_asked_for),
        cmocka_unit_test(killing_leaves_no_process_of_the_session),
        cmocka_unit_test(a_pause_stops_every_process_and_is_a_fault),
        cmocka_unit_test(a_daemon_in_the_middle_of_forking_is_paused_too),
        cmocka_unit_test(children_in_sessions_of_their_own_belong_to_it),
        cmocka_unit_test(what_a_paused_daemon_leaves_behind_stays_a_fault_until_undone),
        cmocka_unit_test(stopping_is_gentle_first),
        cmocka_unit_test(stopping_kills_after_the_grace),
        cmocka_unit_test(other_signals_reach_the_main_process),
        cmocka_unit_test(many_daemons_are_listed_and_bounded),
        cmocka_unit_test(foreign_processes_are_signalled_by_name),
        cmocka_unit_test(the_agent_and_whom_it_descends_from_are_never_signalled),
    };
    struct CMUnitTest with_agent[sizeof tests / sizeof tests[0]];
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        with_agent[i] = tests[i];
        with_agent[i].setup_func = start_agent;
        with_agent[i].teardown_func = end_agent;
    }
    return cmocka_run_group_tests(with_agent, NULL, NULL);
}
