/* The controller's side of the agents, against a scripted agent over a fake transport. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/remote/agent_link.h"
#include "tests/lib/fake_fleet.h"
#include "tests/lib/fake_remote.h"
#include "tests/lib/test.h"

/* ---- Helpers ---- */

static char directory[256]; /* where the agents are put, one for all nodes */

static int make_directory(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/agent-test.XXXXXX", parent != NULL ? parent : "/tmp");
    return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static const char *place(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void touch(const char *name)
{
    FILE *file = fopen(place(name), "we");
    assert_non_null(file);
    fclose(file);
}

static void await_file(const char *name)
{
    int64_t deadline_ns = clock_monotonic_ns() + 20 * NS_PER_SECOND;
    while (access(place(name), F_OK) != 0) {
        assert_true(clock_monotonic_ns() < deadline_ns);
        clock_sleep_ns(NS_PER_MS);
    }
}

static char script_path[400];

static struct agents_options options(void)
{
    static const char *const arguments[] = {"--name", "{node}", NULL};
    const char *source = getenv("ORDEAL_SOURCE");
    snprintf(script_path, sizeof script_path, "%s/tests/lib/fake_agent.sh",
             source != NULL ? source : ".");
    return (struct agents_options){.binary = script_path,
                                   .directory = directory,
                                   .owner = "alice's \"run\"",
                                   .lease_ns = 40 * NS_PER_SECOND,
                                   .arguments = arguments};
}

/* Removes what a test left for the next. */
static void clean(void)
{
    char command[400];
    snprintf(command, sizeof command, "rm -rf %s/*", directory);
    assert_int_equal(system(command), 0);
}

static int uploaded(void)
{
    char command[400];
    snprintf(command, sizeof command, "ls %s | grep -c '^ordeal-agent-[0-9a-f]\\{16\\}$'",
             directory);
    FILE *pipe = popen(command, "re");
    int count = -1;
    assert_int_equal(fscanf(pipe, "%d", &count), 1);
    pclose(pipe);
    return count;
}

struct heard {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct buf text; /* "n2 exit name=etcd|" */
};

static struct heard heard = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                             .changed = PTHREAD_COND_INITIALIZER};

static void on_event(void *context, uint32_t node, const char *name, const struct line *event)
{
    assert_ptr_equal(context, &heard);
    pthread_mutex_lock(&heard.mutex);
    buf_printf(&heard.text, "n%u %s", node + 1, name);
    for (uint32_t i = 2; i < event->count; i++)
        buf_printf(&heard.text, " %s", line_at(event, i));
    buf_add_char(&heard.text, '|');
    pthread_cond_broadcast(&heard.changed);
    pthread_mutex_unlock(&heard.mutex);
}

static void await_event(const char *part)
{
    pthread_mutex_lock(&heard.mutex);
    while (strstr(buf_text(&heard.text), part) == NULL)
        pthread_cond_wait(&heard.changed, &heard.mutex);
    pthread_mutex_unlock(&heard.mutex);
}

/* ---- Starting ---- */

static void agents_are_uploaded_once_and_say_hello(void **state)
{
    (void)state;
    clean();
    struct fleet *fleet = fake_fleet(3);
    struct err err = ERR_INIT;
    struct agents *agents;
    struct agents_options started = options();
    setenv("SSH_CONNECTION", "10.0.0.9 4711 10.0.0.1 22", 1);
    assert_ok(agents_start(fleet, &started, &agents, &err));
    assert_int_equal(uploaded(), 1);
    struct arena arena = ARENA_INIT;
    assert_string_equal(agents_hello(agents, 2, "owner", &arena), "alice's \"run\"");
    assert_string_equal(agents_hello(agents, 2, "lease", &arena), "40000");
    assert_string_equal(agents_hello(agents, 2, "ssh", &arena), "10.0.0.9 4711 10.0.0.1 22");
    assert_null(agents_hello(agents, 2, "nothing", &arena));
    arena_free(&arena);
    assert_true(agents_ready(agents, 1));
    assert_ok(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err));
    await_file("shut-n3");
    struct stat after; /* a second name for the file, which another upload would leave alone */
    char command[700];
    snprintf(command, sizeof command, "ln %s/ordeal-agent-* %s/kept", directory, directory);
    assert_int_equal(system(command), 0);
    assert_ok(agents_start(fleet, &started, &agents, &err)); /* the second time it is there */
    assert_int_equal(stat(place("kept"), &after), 0);
    assert_int_equal(after.st_nlink, 2);
    assert_ok(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err));
    fleet_close(fleet);
}

static void an_agent_that_cannot_run_is_uploaded_again(void **state)
{
    (void)state;
    clean();
    struct fleet *fleet = fake_fleet(2);
    struct err err = ERR_INIT;
    struct agents *agents;
    struct agents_options started = options();
    assert_ok(agents_start(fleet, &started, &agents, &err));
    assert_ok(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err));
    char command[400]; /* what a crash may leave of a file */
    snprintf(command, sizeof command, "for f in %s/ordeal-agent-*; do : >$f; done", directory);
    assert_int_equal(system(command), 0);
    assert_ok(agents_start(fleet, &started, &agents, &err));
    assert_ok(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err));
    fleet_close(fleet);
}

static void reasons_not_to_start_are_told(void **state)
{
    (void)state;
    clean();
    struct fleet *fleet = fake_fleet(3);
    struct err err = ERR_INIT;
    struct agents *agents;
    struct agents_options started = options();
    touch("refuse-n2");
    touch("refuse-n3");
    assert_int_equal(agents_start(fleet, &started, &agents, &err), ERR_REMOTE);
    assert_string_equal(err.message, "n2 is already used by another ordeal (bob@ci, since "
                                     "2026-11-21T08:00:00Z, agent's pid 42) (and 1 more node: n3)");
    await_file("closed-n1"); /* the one that did start was ended */
    clean();
    touch("die-n1");
    assert_int_equal(agents_start(fleet, &started, &agents, &err), ERR_IO);
    assert_string_equal(err.message, "n1: the agent does not start: it exited with status 255: "
                                     "cannot lock /run/ordeal");
    clean();
    touch("mute-n1");
    started.start_timeout_ns = 300 * NS_PER_MS;
    started.binary = script_path;
    assert_int_equal(agents_start(fleet, &started, &agents, &err), ERR_TIMEOUT);
    assert_contains(err.message, "n1: the agent does not start: it said no hello in time");
    started = options();
    started.directory = "/proc/nowhere";
    assert_int_equal(agents_start(fleet, &started, &agents, &err), ERR_REMOTE);
    assert_contains(err.message, "n1: upload to /proc/nowhere/ordeal-agent-");
    started.binary = "/nonexistent/agent";
    assert_int_equal(agents_start(fleet, &started, &agents, &err), ERR_IO);
    assert_contains(err.message, "/nonexistent/agent");
    fleet_close(fleet);
}

/* `sudo` itself is the agent here: it only complains. */
static void a_sudo_that_wants_a_password_is_told(void **state)
{
    (void)state;
    clean();
    struct err err = ERR_INIT;
    struct fleet_options with_user = fake_options();
    with_user.connect.user = "alice";
    char path[5000], *before = strdup(getenv("PATH"));
    snprintf(path, sizeof path, "%s:%s", directory, before);
    FILE *file = fopen(place("sudo"), "we");
    fputs("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n", file);
    fclose(file);
    chmod(place("sudo"), 0755);
    setenv("PATH", path, 1);
    struct fleet *fleet;
    struct agents *agents;
    struct agents_options started = options();
    fake_reset();
    assert_ok(fleet_open(fake_nodes(), 1, &with_user, &fleet, &err));
    assert_int_equal(agents_start(fleet, &started, &agents, &err), ERR_REMOTE);
    assert_contains(err.message, "n1: sudo needs a password of user 'alice'");
    fleet_close(fleet);
    setenv("PATH", before, 1);
    free(before);
}

static void an_agent_of_another_processor_is_told(void **state)
{
    (void)state;
    clean();
    struct fleet *fleet = fake_fleet(1);
    struct err err = ERR_INIT;
    struct agents *agents;
    struct agents_options started = options();
    FILE *file = fopen(place("alien"), "we"); /* an ELF header of no machine */
    fwrite("\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\377\377\1\0\0\0", 1, 24, file);
    for (int i = 0; i < 200; i++)
        fputc(0, file);
    fclose(file);
    char alien[400];
    snprintf(alien, sizeof alien, "%s", place("alien"));
    started.binary = alien;
    assert_int_equal(agents_start(fleet, &started, &agents, &err), ERR_REMOTE);
    assert_contains(err.message, "n1: the agent at ");
    assert_contains(err.message, "was built for another processor");
    fleet_close(fleet);
}

/* ---- Calls ---- */

static void calls_have_replies_and_errors_of_their_own(void **state)
{
    (void)state;
    clean();
    struct fleet *fleet = fake_fleet(3);
    struct err err = ERR_INIT;
    struct agents *agents;
    struct agents_options started = options();
    assert_ok(agents_start(fleet, &started, &agents, &err));
    static const char *const verbs[] = {"echo", "fail", "echo", "what", "nonsense", "echo"};
    struct agent_call calls[6];
    for (uint32_t i = 0; i < 6; i++) {
        agent_call_begin(&calls[i], i % 3, verbs[i]);
        line_key(&calls[i].request, "text", "tab\tline\nend");
        line_key_int(&calls[i].request, "i", i);
    }
    assert_int_equal(agents_call_many(agents, calls, 6, &err), ERR_REMOTE);
    assert_string_equal(err.message, "n1: what: no such verb (and 1 more node: n2)");
    assert_string_equal(line_get(&calls[0].reply.line, "text"), "tab\tline\nend");
    assert_string_equal(line_get(&calls[0].reply.line, "node"), "n1");
    assert_int_equal(line_get_int(&calls[2].reply.line, "i", -1), 2);
    assert_string_equal(line_get(&calls[5].reply.line, "node"), "n3");
    assert_int_equal(calls[5].err.code, ERR_NONE);
    assert_string_equal(calls[1].reply.code, "busy");
    assert_string_equal(calls[1].err.message, "n2: fail: the disk is busy");
    assert_string_equal(calls[3].reply.code, "bad-request");
    assert_int_equal(calls[4].err.code, ERR_PARSE);
    for (int i = 0; i < 6; i++)
        agent_call_free(&calls[i]);
    assert_ok(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err));
    fleet_close(fleet);
}

static enum err_code call(struct agents *agents, uint32_t node, const char *verb,
                          int64_t timeout_ns, struct err *err)
{
    struct agent_call one;
    agent_call_begin(&one, node, verb);
    one.timeout_ns = timeout_ns;
    enum err_code code = agents_call(agents, &one, err);
    agent_call_free(&one);
    return code;
}

static void a_call_without_a_reply_ends_in_time(void **state)
{
    (void)state;
    clean();
    struct fleet *fleet = fake_fleet(1);
    struct err err = ERR_INIT;
    struct agents *agents;
    struct agents_options started = options();
    assert_ok(agents_start(fleet, &started, &agents, &err));
    assert_int_equal(call(agents, 0, "silence", 30 * NS_PER_MS, &err), ERR_TIMEOUT);
    assert_contains(err.message, "n1: silence: the agent did not answer within 30 ms");
    assert_ok(call(agents, 0, "echo", 0, &err));
    assert_ok(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err));
    fleet_close(fleet);
}

static void *call_often(void *argument)
{
    for (int i = 0; i < 50; i++) {
        struct err err = ERR_INIT;
        struct agent_call calls[3];
        for (uint32_t n = 0; n < 3; n++) {
            agent_call_begin(&calls[n], n, "echo");
            line_key_int(&calls[n].request, "i", i);
        }
        assert_ok(agents_call_many(argument, calls, 3, &err));
        for (uint32_t n = 0; n < 3; n++) {
            assert_int_equal(line_get_int(&calls[n].reply.line, "i", -1), i);
            agent_call_free(&calls[n]);
        }
    }
    return NULL;
}

static void threads_call_at_once(void **state)
{
    (void)state;
    clean();
    struct fleet *fleet = fake_fleet(3);
    struct err err = ERR_INIT;
    struct agents *agents;
    struct agents_options started = options();
    assert_ok(agents_start(fleet, &started, &agents, &err));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, call_often, agents);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_ok(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err));
    fleet_close(fleet);
}

/* ---- Events and losses ---- */

static void events_are_told_and_a_lost_agent_is_one(void **state)
{
    (void)state;
    clean();
    struct fleet *fleet = fake_fleet(3);
    struct err err = ERR_INIT;
    struct agents *agents;
    struct agents_options started = options();
    started.on_event = on_event;
    started.context = &heard;
    assert_ok(agents_start(fleet, &started, &agents, &err));
    await_event("n3 hello version=0");
    assert_ok(call(agents, 1, "event", 0, &err));
    await_event("n2 exit name=etcd status=9|");
    assert_int_equal(call(agents, 1, "die", 0, &err), ERR_IO);
    assert_contains(err.message, "n2: die: the agent is gone: it exited with status 9");
    await_event("n2 lost reason=it exited with status 9: out of memory|");
    assert_false(agents_ready(agents, 1));
    assert_int_equal(call(agents, 1, "echo", 0, &err), ERR_IO);
    assert_contains(err.message, "n2: echo: the agent is gone: it exited with status 9");
    assert_ok(agents_restart(agents, 1, &err));
    assert_ok(call(agents, 1, "echo", 0, &err));
    fake_cut(0);
    await_event("n1 lost reason=connection lost: the fake cut the connection|");
    assert_int_equal(call(agents, 0, "echo", 0, &err), ERR_IO);
    assert_ok(agents_restart(agents, 0, &err));
    assert_ok(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err));
    assert_null(strstr(heard.text.data, "n3 lost")); /* being stopped is no loss */
    buf_free(&heard.text);
    fleet_close(fleet);
}

static void pings_keep_the_lease_and_silence_ends_it(void **state)
{
    (void)state;
    clean();
    struct fleet *fleet = fake_fleet(2);
    struct err err = ERR_INIT;
    struct agents *agents;
    struct agents_options started = options();
    started.lease_ns = 200 * NS_PER_MS;
    started.on_event = on_event;
    started.context = &heard;
    touch("silent-n2");
    assert_ok(agents_start(fleet, &started, &agents, &err));
    await_file("pinged-n1");
    await_event("n2 lost reason=it has been silent for");
    await_file("closed-n2"); /* and its input was ended, so that it undoes what it did */
    buf_free(&heard.text);
    assert_ok(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err));
    fleet_close(fleet);
}

static void faults_that_stay_are_told_at_the_end(void **state)
{
    (void)state;
    clean();
    struct fleet *fleet = fake_fleet(3);
    struct err err = ERR_INIT;
    struct agents *agents;
    struct agents_options started = options();
    assert_ok(agents_start(fleet, &started, &agents, &err));
    touch("stuck-n2");
    touch("stuck-n3");
    assert_int_equal(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err), ERR_REMOTE);
    assert_string_equal(err.message, "n2: shutdown: 2 faults could not be undone: nft: busy: see "
                                     "`ordeal heal` (and 1 more node: n3)");
    fleet_close(fleet);
}

static void the_binary_is_looked_for_in_named_places(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct buf path = BUF_INIT;
    setenv("ORDEAL_AGENT", "/nonexistent", 1);
    assert_int_equal(agents_find_binary(&path, &err), ERR_IO);
    assert_contains(err.message, "$ORDEAL_AGENT, /nonexistent");
    setenv("ORDEAL_AGENT", "/bin/sh", 1);
    assert_ok(agents_find_binary(&path, &err));
    assert_string_equal(path.data, "/bin/sh");
    unsetenv("ORDEAL_AGENT");
    buf_clear(&path);
    if (agents_find_binary(&path, &err) != ERR_NONE)
        assert_contains(err.message, "/tests/unit/ordeal-agent nor at ");
    buf_free(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agents_are_uploaded_once_and_say_hello),
        cmocka_unit_test(an_agent_that_cannot_run_is_uploaded_again),
        cmocka_unit_test(reasons_not_to_start_are_told),
        cmocka_unit_test(a_sudo_that_wants_a_password_is_told),
        cmocka_unit_test(an_agent_of_another_processor_is_told),
        cmocka_unit_test(calls_have_replies_and_errors_of_their_own),
        cmocka_unit_test(a_call_without_a_reply_ends_in_time),
        cmocka_unit_test(threads_call_at_once),
        cmocka_unit_test(events_are_told_and_a_lost_agent_is_one),
        cmocka_unit_test(pings_keep_the_lease_and_silence_ends_it),
        cmocka_unit_test(faults_that_stay_are_told_at_the_end),
        cmocka_unit_test(the_binary_is_looked_for_in_named_places),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
