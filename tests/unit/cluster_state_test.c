/* The state file survives a round trip, and no damage to it goes unnoticed; processes are known by
 * more than their pid. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/cluster/network.h"
#include "harness/cluster/state.h"
#include "tests/lib/test.h"

static struct state example(void)
{
    struct state state;
    state_init(&state, 3);
    state.ready = state.ipv6 = true;
    state.keeper = (struct process_id){.pid = 4711, .start_ticks = UINT64_C(987654321)};
    state.nodes[0] = (struct process_id){.pid = 4712, .start_ticks = 5};
    state.nodes[2] = (struct process_id){.pid = 4714, .start_ticks = 6};
    return state;
}

static void a_state_survives_a_round_trip(void **unused)
{
    (void)unused;
    struct state written = example(), read = {.node_count = 0};
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    state_format(&written, &text);
    assert_ok(state_parse(buf_text(&text), text.length, &read, &err));
    assert_string_equal(read.boot, written.boot);
    assert_int_equal(strlen(read.boot), 36);
    assert_int_equal(read.node_count, 3);
    assert_true(read.ready);
    assert_true(read.ipv6);
    assert_false(read.ephemeral);
    assert_int_equal(read.since_wall_ns, written.since_wall_ns);
    assert_int_equal(read.keeper.pid, 4711);
    assert_int_equal(read.keeper.start_ticks, 987654321);
    assert_int_equal(read.nodes[0].pid, 4712);
    assert_int_equal(read.nodes[1].pid, 0);
    assert_int_equal(read.nodes[2].start_ticks, 6);
    buf_free(&text);
}

static void a_state_cut_anywhere_is_refused(void **unused)
{
    (void)unused;
    struct state written = example(), read = {.node_count = 77};
    struct buf text = BUF_INIT;
    state_format(&written, &text);
    for (size_t length = 0; length + 1 < text.length; length++) {
        struct err err = ERR_INIT;
        assert_int_equal(state_parse(buf_text(&text), length, &read, &err), ERR_PARSE);
        assert_int_equal(read.node_count, 77);
        assert_true(err.message[0] != '\0');
    }
    buf_free(&text);
}

static void damaged_bytes_never_crash_the_reader(void **unused)
{
    (void)unused;
    struct state written = example(), read = {.node_count = 0};
    struct buf text = BUF_INIT;
    state_format(&written, &text);
    for (size_t at = 0; at < text.length; at++)
        for (int value = 0; value < 256; value += 15) {
            char saved = text.data[at];
            text.data[at] = (char)value;
            if (state_parse(text.data, text.length, &read, NULL) == ERR_NONE)
                assert_in_range(read.node_count, 1, CLUSTER_NODES_MAX);
            text.data[at] = saved;
        }
    buf_free(&text);
}

static void refuse(const char *text, const char *why)
{
    struct state read = {.node_count = 0};
    struct err err = ERR_INIT;
    assert_int_equal(state_parse(text, strlen(text), &read, &err), ERR_PARSE);
    assert_contains(err.message, why);
}

static void nonsense_is_named(void **unused)
{
    (void)unused;
    refuse("", "cut short");
    refuse("end\n", "cut short");
    refuse("hello\n", "unexpected line 'hello'");
    refuse("cluster\tversion=1\tnodes=65\n", "65 nodes");
    refuse("cluster\tversion=1\tnodes=-1\n", "-1 nodes");
    refuse("cluster\tversion=2\tnodes=5\n", "version 2");
    refuse("cluster\tversion=1\tnodes=1\nnode\tnumber=2\tpid=3\tstart=4\n", "unexpected line");
    refuse("cluster\tversion=1\tnodes=1\nkeeper\tpid=-5\tstart=4\nend\n", "cut short");
    refuse("cluster\tversion=1\tnodes=1\nkeeper\tpid=99999999999\tstart=4\nend\n", "cut short");
}

static void a_process_is_known_by_its_start(void **unused)
{
    (void)unused;
    struct process_id own, imposter;
    struct err err = ERR_INIT;
    assert_ok(process_identify(getpid(), &own, &err));
    assert_true(process_alive(&own));
    imposter = own;
    imposter.start_ticks++;
    assert_false(process_alive(&imposter));
    process_signal(&imposter, SIGKILL); /* would end this test */
    assert_true(process_wait(&imposter, 0));
    assert_false(process_wait(&own, 0));
    assert_false(process_alive(&(struct process_id){.pid = 0}));
}

static void the_dead_are_noticed(void **unused)
{
    (void)unused;
    struct err err = ERR_INIT;
    struct process_id child;
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    assert_ok(process_identify(pid, &child, &err));
    assert_true(process_alive(&child));
    process_signal(&child, SIGKILL);
    assert_true(process_wait(&child, 10000));
    assert_false(process_alive(&child)); /* a zombie still */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(process_alive(&child));
    assert_int_equal(process_identify(pid, &child, &err), ERR_IO);
    assert_contains(err.message, "is gone");
}

static void hosts_name_every_node_twice(void **unused)
{
    (void)unused;
    struct buf hosts = BUF_INIT;
    network_format_hosts(&hosts, 12, true);
    assert_contains(buf_text(&hosts), "127.0.0.1\tlocalhost\n");
    assert_contains(buf_text(&hosts), "\n10.77.0.1\tcontrol\n");
    assert_contains(buf_text(&hosts), "\n10.77.0.11\tn1\n");
    assert_contains(buf_text(&hosts), "\n10.77.0.22\tn12\n");
    assert_contains(buf_text(&hosts), "\nfd77::22\tn12\n");
    assert_null(strstr(buf_text(&hosts), "n13"));
    buf_clear(&hosts);
    network_format_hosts(&hosts, 2, false);
    assert_contains(buf_text(&hosts), "\n10.77.0.12\tn2\n");
    assert_null(strstr(buf_text(&hosts), "::"));
    buf_free(&hosts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_survives_a_round_trip),
        cmocka_unit_test(a_state_cut_anywhere_is_refused),
        cmocka_unit_test(damaged_bytes_never_crash_the_reader),
        cmocka_unit_test(nonsense_is_named),
        cmocka_unit_test(a_process_is_known_by_its_start),
        cmocka_unit_test(the_dead_are_noticed),
        cmocka_unit_test(hosts_name_every_node_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
