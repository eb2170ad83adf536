/* However an agent ends, nothing of it is left: end of input, lease, signals, kill -9 of either of
 * its processes or of both; one agent at a time; healing by hand. */
#include "tests/lib/agent_process.h"

struct fixture {
    struct agent_process agent;
    char directory[200];
    char name[32]; /* of the foreign process */
    pid_t foreign; /* a process of ours that the agent is told to pause */
    pid_t daemon;
};

static int begin(void **state)
{
    static struct fixture fixture;
    static int number;
    fixture = (struct fixture){.agent = {.network = -1}};
    agent_make_directory(fixture.directory, sizeof fixture.directory);
    snprintf(fixture.name, sizeof fixture.name, "ord%d-%d", (int)getpid(), number++);
    const char *path = agent_copy_program("/bin/sleep", fixture.directory, fixture.name);
    fixture.foreign = fork();
    if (fixture.foreign == 0) {
        execl(path, path, "300", (char *)NULL);
        _exit(127);
    }
    struct agentd_process process;
    wait_until(agentd_process_read(fixture.foreign, &process) &&
               strcmp(process.comm, fixture.name) == 0);
    *state = &fixture;
    return 0;
}

static int finish(void **state)
{
    struct fixture *fixture = *state;
    kill(fixture->foreign, SIGKILL);
    waitpid(fixture->foreign, NULL, 0);
    return 0;
}

static bool foreign_stands(const struct fixture *fixture)
{
    return agentd_process_stopped(fixture->foreign) == AGENTD_STOPPED_ALL;
}

/* An agent with a daemon and a fault in force. */
#define serve_with_fault(fixture, ...)                                                             \
    do {                                                                                           \
        agent_serve(&(fixture)->agent, (fixture)->directory, "--firewall", "none", __VA_ARGS__);   \
        add_daemon_and_fault(fixture);                                                             \
    } while (0)

static void add_daemon_and_fault(struct fixture *fixture)
{
    char comm[64];
    struct line reply = agent_do(&fixture->agent, "daemon-start", "name=d", "arg=sleep", "arg=300");
    fixture->daemon = (pid_t)line_get_int(&reply, "pid", 0);
    snprintf(comm, sizeof comm, "comm=%s", fixture->name);
    agent_do(&fixture->agent, "process-signal", comm, "signal=STOP");
    assert_true(foreign_stands(fixture));
    assert_true(process_lives(fixture->daemon));
}

/* Runs a command of the agent to its end; its output in `text`. */
static int run_command(const struct fixture *fixture, const char *command, char *text, size_t size)
{
    struct agent_process process = {.network = -1};
    agent_start(&process, (const char *[]){command, "--run-dir", fixture->directory, NULL});
    size_t length = 0;
    ssize_t step;
    while (length + 1 < size && (step = read(process.output, text + length, size - 1 - length)) > 0)
        length += (size_t)step;
    text[length] = '\0';
    return agent_wait(&process);
}

static void assert_nothing_is_left(const struct fixture *fixture)
{
    char text[1000];
    assert_false(foreign_stands(fixture));
    assert_true(process_lives(fixture->foreign));
    wait_until(!process_lives(fixture->daemon));
    assert_int_equal(run_command(fixture, "journal", text, sizeof text), 0);
    assert_int_equal(strncmp(text, "0 in the journal", 16), 0);
}

static void the_end_of_input_undoes_everything(void **state)
{
    struct fixture *fixture = *state;
    serve_with_fault(fixture, "--lease-ms", "0");
    assert_int_equal(agent_end(&fixture->agent), 0);
    assert_nothing_is_left(fixture);
}

static void orphans_in_other_sessions_go_too(void **state)
{
    struct fixture *fixture = *state;
    char path[256], argument[1024];
    snprintf(path, sizeof path, "%s/pid", fixture->directory);
    snprintf(argument, sizeof argument,
             "arg=(setsid sleep 300 & echo $! >%s.new; mv %s.new %s) & wait", path, path, path);
    serve_with_fault(fixture, "--lease-ms", "0");
    agent_do(&fixture->agent, "daemon-start", "name=escape", "arg=sh", "arg=-c", argument);
    agent_event(&fixture->agent, "exit");
    wait_until(access(path, F_OK) == 0);
    FILE *file = fopen(path, "r");
    int pid = 0;
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    fclose(file);
    assert_true(process_lives(pid));
    assert_int_equal(agent_end(&fixture->agent), 0);
    assert_false(process_lives(pid));
    assert_nothing_is_left(fixture);
}

static void daemons_can_be_kept(void **state)
{
    struct fixture *fixture = *state;
    serve_with_fault(fixture, "--keep-daemons");
    agent_do(&fixture->agent, "daemon-signal", "name=d", "signal=STOP");
    assert_int_equal(agent_end(&fixture->agent), 0);
    assert_false(foreign_stands(fixture));
    assert_true(process_lives(fixture->daemon));
    assert_int_equal(agentd_process_stopped(fixture->daemon), AGENTD_STOPPED_NONE);
    kill(fixture->daemon, SIGKILL);
}

static void a_silent_controller_loses_its_lease(void **state)
{
    struct fixture *fixture = *state;
    serve_with_fault(fixture, "--lease-ms", "1500");
    int64_t started_ns = clock_monotonic_ns();
    while (clock_monotonic_ns() < started_ns + 2000 * NS_PER_MS) {
        agent_do(&fixture->agent, "ping"); /* longer than the lease: each ping renews it */
        clock_sleep_ns(100 * NS_PER_MS);
    }
    int64_t silent_ns = clock_monotonic_ns();
    agent_event(&fixture->agent, "lease-expired");
    assert_true(clock_monotonic_ns() - silent_ns >= 1000 * NS_PER_MS);
    assert_int_equal(agent_wait(&fixture->agent), 0);
    assert_nothing_is_left(fixture);
}

static void a_signal_ends_it_as_end_of_input_does(void **state)
{
    struct fixture *fixture = *state;
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < 3; i++)
        for (int to_guardian = 0; to_guardian < 2; to_guardian++) {
            serve_with_fault(fixture, "--lease-ms", "0");
            kill(to_guardian ? fixture->agent.pid : fixture->agent.serving, numbers[i]);
            assert_int_equal(agent_wait(&fixture->agent), 0);
            assert_nothing_is_left(fixture);
        }
}

static void shutdown_stops_daemons_gently(void **state)
{
    struct fixture *fixture = *state;
    serve_with_fault(fixture, "--lease-ms", "0");
    agent_do(&fixture->agent, "daemon-signal", "name=d", "signal=STOP");
    struct line reply = agent_do(&fixture->agent, "shutdown", "grace_ms=15000");
    assert_int_equal(line_get_int(&reply, "undone", -1), 1);
    assert_int_equal(line_get_int(&reply, "failed", -1), 0);
    assert_int_equal(line_get_int(&reply, "killed", -1), 0);
    struct line event = agent_event(&fixture->agent, "exit");
    assert_string_equal(line_get(&event, "signal_name"), "TERM");
    assert_int_equal(agent_wait(&fixture->agent), 0);
    assert_nothing_is_left(fixture);
}

static void the_guardian_heals_after_the_serving_process_was_killed(void **state)
{
    struct fixture *fixture = *state;
    struct line line;
    serve_with_fault(fixture, "--lease-ms", "0");
    kill(fixture->agent.serving, SIGKILL);
    while (agent_read_line(&fixture->agent, &line)) /* the controller sees the end of the output */
        ;
    assert_int_equal(agent_wait(&fixture->agent), 1);
    assert_false(process_lives(fixture->daemon));
    assert_nothing_is_left(fixture);
}

static void the_serving_process_heals_after_its_guardian_was_killed(void **state)
{
    struct fixture *fixture = *state;
    serve_with_fault(fixture, "--lease-ms", "0");
    kill(fixture->agent.pid, SIGKILL);
    int input = fixture->agent.input;
    fixture->agent.input = -1; /* so that it is not the end of input that it sees */
    assert_int_equal(agent_wait(&fixture->agent), 1000 + SIGKILL);
    wait_until(!process_lives(fixture->agent.serving));
    close(input);
    assert_nothing_is_left(fixture);
}

static void kill_both(struct fixture *fixture)
{
    kill(fixture->agent.pid, SIGSTOP); /* so that it can do nothing in between */
    wait_until(agentd_process_stopped(fixture->agent.pid) == AGENTD_STOPPED_ALL);
    kill(fixture->agent.serving, SIGKILL);
    kill(fixture->agent.pid, SIGKILL);
    assert_int_equal(agent_wait(&fixture->agent), 1000 + SIGKILL);
    wait_until(!process_lives(fixture->agent.serving));
    assert_true(foreign_stands(fixture));
    assert_true(process_lives(fixture->daemon));
}

static void the_next_agent_heals_after_both_were_killed(void **state)
{
    struct fixture *fixture = *state;
    serve_with_fault(fixture, "--lease-ms", "0");
    kill_both(fixture);
    agent_serve(&fixture->agent, fixture->directory, "--firewall", "none");
    assert_int_equal(line_get_int(&fixture->agent.hello, "healed", -1), 1);
    assert_int_equal(line_get_int(&fixture->agent.hello, "killed", -1), 1);
    assert_false(foreign_stands(fixture));
    assert_int_equal(agent_end(&fixture->agent), 0);
    assert_nothing_is_left(fixture);
}

static void healing_by_hand_after_both_were_killed(void **state)
{
    struct fixture *fixture = *state;
    char text[2000];
    serve_with_fault(fixture, "--lease-ms", "0");
    kill_both(fixture);
    assert_int_equal(run_command(fixture, "journal", text, sizeof text), 0);
    assert_contains(text, "pause pause-comm:");
    assert_contains(text, "daemon: name d");
    assert_contains(text, "2 in the journal");
    assert_int_equal(run_command(fixture, "heal", text, sizeof text), 0);
    assert_contains(text, "undone pause pause-comm:");
    assert_contains(text, "1 undone, 0 failed, 1 daemons killed");
    assert_nothing_is_left(fixture);
    assert_int_equal(run_command(fixture, "heal", text, sizeof text), 0);
    assert_contains(text, "0 undone, 0 failed, 0 daemons killed");
}

static void healing_by_hand_ends_a_living_agent(void **state)
{
    struct fixture *fixture = *state;
    char text[2000];
    serve_with_fault(fixture, "--lease-ms", "0");
    assert_int_equal(run_command(fixture, "heal", text, sizeof text), 0);
    assert_contains(text, "ending the agent of the test");
    assert_int_equal(agent_wait(&fixture->agent), 0);
    assert_nothing_is_left(fixture);
}

static void healing_by_hand_kills_an_agent_that_does_not_answer(void **state)
{
    struct fixture *fixture = *state;
    char text[2000];
    serve_with_fault(fixture, "--lease-ms", "0");
    kill(fixture->agent.serving, SIGSTOP);
    kill(fixture->agent.pid, SIGSTOP);
    assert_int_equal(run_command(fixture, "heal", text, sizeof text), 0);
    assert_contains(text, "undone pause pause-comm:");
    assert_int_equal(agent_wait(&fixture->agent), 1000 + SIGKILL);
    assert_nothing_is_left(fixture);
}

static void a_second_agent_is_refused(void **state)
{
    struct fixture *fixture = *state;
    serve_with_fault(fixture, "--lease-ms", "0");
    struct agent_process second = {.network = -1};
    agent_start(&second, (const char *[]){"serve", "--owner", "another", "--run-dir",
                                          fixture->directory, NULL});
    struct line event = agent_event(&second, "refused");
    assert_string_equal(line_get(&event, "owner"), "the test");
    assert_int_equal(line_get_int(&event, "pid", 0), fixture->agent.serving);
    assert_contains(line_get(&event, "since"), "Z");
    assert_int_equal(agent_wait(&second), 3);
    assert_true(foreign_stands(fixture));
    assert_int_equal(agent_end(&fixture->agent), 0);
    assert_nothing_is_left(fixture);
    agent_serve(&fixture->agent, fixture->directory, "--firewall", "none");
    assert_int_equal(agent_end(&fixture->agent), 0);
}

static void damage_in_the_journal_is_told_in_hello(void **state)
{
    struct fixture *fixture = *state;
    char path[300];
    serve_with_fault(fixture, "--lease-ms", "0");
    kill_both(fixture);
    snprintf(path, sizeof path, "%s/journal/000000000999", fixture->directory);
    FILE *file = fopen(path, "w");
    fputs("half an ent", file);
    fclose(file);
    agent_serve(&fixture->agent, fixture->directory, "--firewall", "none");
    assert_int_equal(line_get_int(&fixture->agent.hello, "healed", -1), 1);
    assert_int_equal(line_get_int(&fixture->agent.hello, "failed", -1), 1);
    assert_contains(line_get(&fixture->agent.hello, "problem"), "kept aside as .bad");
    assert_int_equal(agent_end(&fixture->agent), 0);
    assert_nothing_is_left(fixture);
}

static void a_controller_that_does_not_read_is_let_go(void **state)
{
    struct fixture *fixture = *state;
    serve_with_fault(fixture, "--lease-ms", "0");
    close(fixture->agent.output);
    agent_send(&fixture->agent, "ping", NULL);
    int input = fixture->agent.input;
    fixture->agent.input = -1;
    fixture->agent.output = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(agent_wait(&fixture->agent), 0);
    close(input);
    assert_nothing_is_left(fixture);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_input_undoes_everything),
        cmocka_unit_test(orphans_in_other_sessions_go_too),
        cmocka_unit_test(daemons_can_be_kept),
        cmocka_unit_test(a_silent_controller_loses_its_lease),
        cmocka_unit_test(a_signal_ends_it_as_end_of_input_does),
        cmocka_unit_test(shutdown_stops_daemons_gently),
        cmocka_unit_test(the_guardian_heals_after_the_serving_process_was_killed),
        cmocka_unit_test(the_serving_process_heals_after_its_guardian_was_killed),
        cmocka_unit_test(the_next_agent_heals_after_both_were_killed),
        cmocka_unit_test(healing_by_hand_after_both_were_killed),
        cmocka_unit_test(healing_by_hand_ends_a_living_agent),
        cmocka_unit_test(healing_by_hand_kills_an_agent_that_does_not_answer),
        cmocka_unit_test(a_second_agent_is_refused),
        cmocka_unit_test(damage_in_the_journal_is_told_in_hello),
        cmocka_unit_test(a_controller_that_does_not_read_is_let_go),
    };
    struct CMUnitTest with_fixture[sizeof tests / sizeof tests[0]];
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        with_fixture[i] = tests[i];
        with_fixture[i].setup_func = begin;
        with_fixture[i].teardown_func = finish;
    }
    return cmocka_run_group_tests(with_fixture, NULL, NULL);
}
