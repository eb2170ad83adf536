/* The node agents over real SSH: a scripted one for what goes wrong, the real one for what it does
 * and how quickly. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/remote/agent_link.h"
#include "tests/lib/test.h"
#include "tests/lib/test_sshd.h"

enum { NODES = 5, ROUNDS = 200 };

static struct test_sshd sshd;
static const char *skip;
static bool own_mounts;

static int set_up(void **state)
{
    (void)state;
    if (!test_sshd_available(&skip))
        return 0;
    own_mounts = test_own_mounts();
    test_sshd_start(&sshd, NULL);
    for (int i = 0; i < NODES; i++) /* the scripted agent needs no root */
        sshd.nodes[i].sudo = NODE_SUDO_NEVER;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (skip == NULL)
        test_sshd_free(&sshd);
    return 0;
}

static void need_sshd(void)
{
    if (skip != NULL)
        test_skip(skip);
}

/* ---- Helpers ---- */

static const char *place(const char *name)
{
    static char paths[4][400];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", sshd.dir, name);
    return path;
}

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct buf text;
} heard = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void on_event(void *context, uint32_t node, const char *name, const struct line *event)
{
    (void)context;
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

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Prints how long one request to each of the nodes takes, all together. */
static void measure(struct agents *agents, const char *what)
{
    struct err err = ERR_INIT;
    static int64_t times_ns[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        struct agent_call calls[NODES];
        for (uint32_t n = 0; n < NODES; n++)
            agent_call_begin(&calls[n], n, "ping");
        int64_t begin_ns = clock_monotonic_ns();
        assert_ok(agents_call_many(agents, calls, NODES, &err));
        times_ns[i] = clock_monotonic_ns() - begin_ns;
        for (uint32_t n = 0; n < NODES; n++)
            agent_call_free(&calls[n]);
    }
    qsort(times_ns, ROUNDS, sizeof times_ns[0], compare_times);
    print_message("# %s: a call to each of %d nodes: median %.2f ms, 90%% under %.2f ms\n", what,
                  NODES, (double)times_ns[ROUNDS / 2] / 1e6,
                  (double)times_ns[ROUNDS * 9 / 10] / 1e6);
    assert_true(times_ns[ROUNDS / 2] < NS_PER_SECOND);
}

static const char *const scripted_arguments[] = {"--name", "{node}", NULL};

static struct agents_options scripted(void)
{
    static char binary[400];
    const char *source = getenv("ORDEAL_SOURCE");
    snprintf(binary, sizeof binary, "%s/tests/lib/fake_agent.sh", source != NULL ? source : ".");
    return (struct agents_options){.binary = binary,
                                   .directory = place("agents"),
                                   .owner = "the tests",
                                   .arguments = scripted_arguments,
                                   .on_event = on_event};
}

static void touch(const char *name)
{
    sshd_shell("mkdir -p %s && : >%s/%s", place("agents"), place("agents"), name);
}

/* ---- The scripted agent ---- */

static void agents_start_talk_and_stop(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct fleet *fleet = test_sshd_fleet(&sshd, NODES);
    struct agents_options options = scripted();
    char directory[400];
    snprintf(directory, sizeof directory, "%s", options.directory);
    options.directory = directory;
    struct agents *agents;
    assert_ok(agents_start(fleet, &options, &agents, &err));
    struct arena arena = ARENA_INIT;
    assert_contains(agents_hello(agents, 3, "ssh", &arena), "127.0.0.1 ");
    arena_free(&arena);
    measure(agents, "scripted agent");
    assert_ok(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err));
    fleet_close(fleet);
}

static void killed_sessions_lose_their_agents(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct fleet *fleet = test_sshd_fleet(&sshd, 2);
    struct agents_options options = scripted();
    char directory[400];
    snprintf(directory, sizeof directory, "%s", options.directory);
    options.directory = directory;
    struct agents *agents;
    assert_ok(agents_start(fleet, &options, &agents, &err));
    assert_true(test_sshd_kill_sessions(&sshd) > 0);
    await_event("n1 lost reason=connection lost: 127.0.0.1:");
    await_event("n2 lost reason=connection lost: 127.0.0.1:");
    struct agent_call call;
    agent_call_begin(&call, 1, "echo");
    assert_int_equal(agents_call(agents, &call, &err), ERR_IO);
    assert_contains(err.message, "n2: echo: the agent is gone: connection lost: ");
    agent_call_free(&call);
    assert_ok(agents_restart(agents, 1, &err));
    agent_call_begin(&call, 1, "echo");
    assert_ok(agents_call(agents, &call, &err));
    agent_call_free(&call);
    assert_ok(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err));
    fleet_close(fleet);
}

static void nodes_in_use_and_bad_places_are_told(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct fleet *fleet = test_sshd_fleet(&sshd, 3);
    struct agents_options options = scripted();
    char directory[400];
    snprintf(directory, sizeof directory, "%s", options.directory);
    options.directory = directory;
    struct agents *agents;
    touch("refuse-n2");
    assert_int_equal(agents_start(fleet, &options, &agents, &err), ERR_REMOTE);
    assert_contains(err.message, "n2 is already used by another ordeal (bob@ci, since ");
    sshd_shell("rm %s/refuse-n2", directory);
    if (own_mounts) {
        sshd_shell("mkdir -p %s && mount -t tmpfs -o size=4k none %s", place("tiny"),
                   place("tiny"));
        sshd_shell("mkdir -p %s && mount -t tmpfs -o noexec none %s", place("noexec"),
                   place("noexec"));
        test_sshd_restart(&sshd, NULL);
        /* Nothing of the file fits. */
        sshd_shell("head -c 4096 /dev/zero >%s/filler", place("tiny"));
        snprintf(directory, sizeof directory, "%s", place("tiny"));
        assert_int_equal(agents_start(fleet, &options, &agents, &err), ERR_REMOTE);
        assert_contains(err.message, "n1: upload to ");
        assert_contains(err.message, "No space left on device");
        assert_contains(err.message, "(and 2 more nodes: n2, n3)");
        snprintf(directory, sizeof directory, "%s", place("noexec"));
        assert_int_equal(agents_start(fleet, &options, &agents, &err), ERR_REMOTE);
        assert_contains(err.message, "may not be run there: is its file system mounted noexec?");
        sshd_shell("umount %s %s", place("tiny"), place("noexec"));
    }
    fleet_close(fleet);
}

/* ---- The real agent ---- */

static void the_real_agents_start_answer_and_stop(void **state)
{
    (void)state;
    need_sshd();
    if (geteuid() != 0)
        test_skip("the agent runs as root");
    const char *build = getenv("ORDEAL_BUILD");
    char binary[400], run_dir[500], directory[400];
    snprintf(binary, sizeof binary, "%s/ordeal-agent", build != NULL ? build : "build/release");
    if (access(binary, X_OK) != 0)
        test_skip("the agent is not built");
    snprintf(directory, sizeof directory, "%s", place("real"));
    snprintf(run_dir, sizeof run_dir, "%s/run-{node}", sshd.dir);
    const char *const arguments[] = {"--run-dir", run_dir, "--firewall", "none", NULL};
    struct agents_options options = {.binary = binary,
                                     .directory = directory,
                                     .owner = "the tests",
                                     .arguments = arguments,
                                     .on_event = on_event};
    struct err err = ERR_INIT;
    struct fleet *fleet = test_sshd_fleet(&sshd, NODES);
    struct agents *agents, *others;
    int64_t begin_ns = clock_monotonic_ns();
    assert_ok(agents_start(fleet, &options, &agents, &err));
    print_message("# agents_start on %d nodes with upload: %.0f ms\n", NODES,
                  (double)(clock_monotonic_ns() - begin_ns) / 1e6);
    struct arena arena = ARENA_INIT;
    assert_non_null(agents_hello(agents, 0, "boot_id", &arena));
    arena_free(&arena);
    measure(agents, "real agent");
    assert_int_equal(agents_start(fleet, &options, &others, &err), ERR_REMOTE);
    assert_contains(err.message, "n1 is already used by another ordeal (the tests, since ");
    assert_contains(err.message, "(and 4 more nodes: n2, n3, n4, n5)");
    assert_ok(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err));
    begin_ns = clock_monotonic_ns();
    assert_ok(agents_start(fleet, &options, &agents, &err));
    print_message("# agents_start on %d nodes, already there: %.0f ms\n", NODES,
                  (double)(clock_monotonic_ns() - begin_ns) / 1e6);
    assert_ok(agents_stop(agents, AGENTS_END_DAEMONS, 20 * NS_PER_SECOND, &err));
    fleet_close(fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agents_start_talk_and_stop),
        cmocka_unit_test(killed_sessions_lose_their_agents),
        cmocka_unit_test(nodes_in_use_and_bad_places_are_told),
        cmocka_unit_test(the_real_agents_start_answer_and_stop),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
