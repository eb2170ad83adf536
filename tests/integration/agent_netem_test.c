/* Shapes by the kernel's queueing disciplines, between two nodes that are network namespaces.
 *
 * The tree of htb, filters and tbf is a real kernel's, and its rate is seen by datagrams that know
 * nothing of it. Where this kernel has no netem, its refusal is what is tested, and the leaf itself
 * against a stand-in for tc, which is bound over the real one and writes down what it is told. */
#include <sys/stat.h>

#include "tests/lib/agent_burst.h"

#define TO_A "to=10.99.0.1", "to=fd99::1"
#define limit(...) agent_do(&world.b.agent, "fault-shape", "id=s", "means=netem", TO_A, __VA_ARGS__)

static const char *roots(const struct node *node)
{
    return capture_in(node->network, "tc qdisc show; tc class show dev vb; tc filter show dev vb");
}

static bool is_shaped(const struct node *node)
{
    return strstr(roots(node), "dea1:") != NULL;
}

/* 2 Mbit/s: 60 datagrams of 1028 bytes with their headers take 247 ms. */
static bool is_slow(const struct node *from, const struct node *to, int family)
{
    struct heard heard = burst(from, to, family, 60, 1000);
    size_t whole = 1000 + 8 + (family == AF_INET ? 20 : 40);
    double rate = (double)(heard.unique - 1) * (double)whole * 8e9 / (double)heard.span_ns;
    print_message("# %.2f Mbit/s\n", rate / 1e6);
    return heard.unique == 60 && rate > 1.8e6 && rate < 2.3e6;
}

static void assert_gone(void)
{
    assert_false(is_shaped(&world.b));
    assert_contains(capture_in(world.b.network, "tc qdisc show dev vb"), "qdisc noqueue 0: root");
    assert_whole();
}

static void a_rate_limits_one_direction(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    struct line reply = limit("rate_bps=2000000");
    assert_string_equal(line_get(&reply, "means"), "tbf");
    for (size_t i = 0; i < 2; i++) {
        soon(is_slow(&world.b, &world.a, families[i]));
        soon(is_untouched(&world.a, &world.b, families[i]));
    }
    agent_do(&world.b.agent, "fault-undo", "id=s");
    assert_gone();
}

/* Each address has a line of its own, and what is not named passes beside them all. */
static void who_is_not_named_is_not_shaped(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    agent_do(&world.b.agent, "fault-shape", "id=s", "means=netem", "to=fd99::1",
             "rate_bps=2000000");
    soon(is_slow(&world.b, &world.a, AF_INET6));
    soon(is_untouched(&world.b, &world.a, AF_INET));
    agent_do(&world.b.agent, "heal");
    assert_gone();
}

/* What was not ours is neither replaced nor taken away. */
static void a_root_that_somebody_chose_is_left_alone(void **state)
{
    (void)state;
    need_root();
    run_in(world.b.network, "tc qdisc add dev vb root handle 7: tbf rate 1gbit burst 64k latency "
                            "50ms");
    struct line reply = agent_do(&world.b.agent, "shape-means", "id=m", TO_A, "rate_bps=2000000");
    assert_string_equal(line_get(&reply, "netem"),
                        "vb has a queueing discipline of its own already (tbf 7:)");
    assert_contains(agent_refused(&world.b.agent, "unsupported", "fault-shape", "id=s",
                                  "means=netem", TO_A, "rate_bps=2000000"),
                    "of its own already (tbf 7:)");
    agent_do(&world.b.agent, "heal");
    assert_contains(roots(&world.b), "qdisc tbf 7: dev vb root");
    run_in(world.b.network, "tc qdisc del dev vb root");
    reply = limit("rate_bps=2000000");
    assert_contains(agent_refused(&world.b.agent, "unsupported", "fault-shape", "id=t",
                                  "means=netem", TO_A, "rate_bps=2000000"),
                    "vb is shaped already, by the fault s");
    assert_true(is_shaped(&world.b));
    agent_do(&world.b.agent, "fault-undo", "id=s");
    assert_gone();
}

static void the_control_connection_is_not_slowed(void **state)
{
    (void)state;
    need_root();
    int client, server;
    char control[160];
    connect_control(AF_INET, world.b.network, &client, &server, control, sizeof control);
    assert_int_equal(agent_end(&world.a.agent), 0);
    start_node(&world.a, control);
    agent_do(&world.a.agent, "fault-shape", "id=s", "means=netem", "to=10.99.0.2",
             "rate_bps=10000");
    /* 10 kbit/s: the first packets fill the line for seconds, and the rest of them is dropped. */
    struct heard heard = burst(&world.a, &world.b, AF_INET, 60, 1000);
    assert_true(heard.unique < 20);
    int64_t began_ns = clock_monotonic_ns();
    for (int round = 0; round < 20; round++)
        assert_true(talks(server, client) && talks(client, server));
    assert_true(clock_monotonic_ns() - began_ns < 500 * NS_PER_MS);
    agent_do(&world.a.agent, "heal");
    close(client);
    close(server);
    assert_whole();
}

static void the_end_of_input_leaves_nothing(void **state)
{
    (void)state;
    need_root();
    limit("rate_bps=2000000");
    assert_true(is_shaped(&world.b));
    assert_int_equal(agent_end(&world.b.agent), 0);
    assert_false(is_shaped(&world.b));
    start_node(&world.b, "");
    assert_gone();
}

static void killing_the_agent_leaves_nothing(void **state)
{
    (void)state;
    need_root();
    limit("rate_bps=2000000");
    int64_t began_ns = clock_monotonic_ns();
    kill(world.b.agent.serving, SIGKILL);
    assert_int_equal(agent_wait(&world.b.agent), 1);
    assert_false(is_shaped(&world.b));
    assert_true(clock_monotonic_ns() - began_ns < 5 * NS_PER_SECOND);
    start_node(&world.b, "");
    assert_gone();
}

static void the_next_agent_undoes_what_two_dead_ones_left(void **state)
{
    (void)state;
    need_root();
    struct agent_process *agent = &world.b.agent;
    limit("rate_bps=2000000");
    kill(agent->pid, SIGSTOP);
    wait_until(agentd_process_stopped(agent->pid) == AGENTD_STOPPED_ALL);
    kill(agent->serving, SIGKILL);
    kill(agent->pid, SIGKILL);
    assert_int_equal(agent_wait(agent), 1000 + SIGKILL);
    wait_until(!process_lives(agent->serving));
    assert_true(is_shaped(&world.b));
    agent_serve(agent, world.b.run_dir, "--firewall", world.firewall);
    assert_int_equal(line_get_int(&agent->hello, "healed", -1), 1);
    assert_false(is_shaped(&world.b));
    assert_int_equal(agent_end(agent), 0);
    start_node(&world.b, "");
    assert_gone();
}

static void a_device_that_is_gone_is_no_trouble(void **state)
{
    (void)state;
    need_root();
    run_in(world.b.network,
           "ip link add spare type veth peer name spare2 && ip addr add 10.98.0.1/24 dev spare && "
           "ip link set spare up");
    agent_do(&world.b.agent, "fault-shape", "id=s", "means=netem", "to=10.98.0.2", "to=10.99.0.1",
             "rate_bps=2000000");
    run_in(world.b.network, "ip link del spare");
    agent_do(&world.b.agent, "fault-undo", "id=s");
    assert_gone();
}

/* This kernel's own word on netem, whichever it is; and nothing is left of having asked. */
static void a_kernel_without_netem_says_so(void **state)
{
    (void)state;
    need_root();
    struct line reply = agent_do(&world.b.agent, "shape-means", "id=m", TO_A, "delay_us=20000");
    const char *can = line_get(&reply, "netem");
    assert_string_equal(line_get(&reply, "queue"), "yes");
    assert_false(is_shaped(&world.b));
    if (strcmp(can, "yes") == 0) { /* then it must delay */
        reply = limit("delay_us=20000");
        assert_string_equal(line_get(&reply, "means"), "netem");
        struct heard heard = burst(&world.b, &world.a, AF_INET, 50, 100);
        assert_true(median_ms(&heard) >= 20);
        agent_do(&world.b.agent, "fault-undo", "id=s");
    } else {
        assert_string_equal(can, "the kernel has no netem: Specified qdisc kind is unknown");
        assert_string_equal(agent_refused(&world.b.agent, "unsupported", "fault-shape", "id=s",
                                          "means=netem", TO_A, "delay_us=20000"),
                            "tc: Specified qdisc kind is unknown");
        reply = agent_do(&world.b.agent, "fault-list");
        assert_null(line_get(&reply, "kind"));
    }
    assert_gone();
}

static void what_means_nothing_is_refused(void **state)
{
    (void)state;
    need_root();
    static const struct {
        const char *fields[3], *message;
    } refused[] = {
        {{"from=10.99.0.1", "delay_us=1"}, "means=netem shapes packets to addresses: give to="},
        {{"to=10.99.0.1", "proto=tcp", "delay_us=1"}, "shapes packets of all protocols"},
        {{"to=10.99.0.1"}, "nothing is asked for"},
        {{"delay_us=1"}, "at least one from= or to="},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const char *words[8] = {"fault-shape", "id=s", "means=netem"};
        for (size_t j = 0; j < 3 && refused[i].fields[j] != NULL; j++)
            words[3 + j] = refused[i].fields[j];
        assert_contains(agent_refused_list(&world.b.agent, "bad-request", words),
                        refused[i].message);
    }
    assert_contains(
        agent_refused(&world.b.agent, "bad-request", "shape-means", "id=m", "to=10.99.0.1"),
        "nothing is asked for");
    assert_contains(agent_refused(&world.b.agent, "unsupported", "fault-shape", "id=s",
                                  "means=netem", "to=203.0.113.1", "delay_us=1"),
                    "no route leads to 203.0.113.1: ");
    assert_gone();
}

/* ---- A stand-in for tc ---- */

/* It keeps the roots as files, fails as it is told by `fail`, and writes everything down. */
static const char stand_in[] =
    "echo \"tc $*\" >>log\n"
    "case \"$*\" in\n"
    "-batch*)\n"
    "    cat >batch\n"
    "    cat batch >>log\n"
    "    for device in $(sed -n 's/^qdisc add dev \\([a-z]*\\) root .*/\\1/p' batch); do\n"
    "        [ $device = lo ] || touch root.$device\n"
    "    done\n"
    "    if grep -q -f fail batch; then echo 'Error: As it was told.' >&2; exit 1; fi;;\n"
    "'qdisc show dev'*)\n"
    "    if [ -e root.$4 ]; then echo 'qdisc htb dea1: root refcnt 2'\n"
    "    else echo 'qdisc noqueue 0: root refcnt 2'; fi;;\n"
    "'qdisc del dev'*) rm root.$4;;\n"
    "esac\n";

struct stand_in {
    char directory[200];
};

static void write_file(const struct stand_in *stand_in_of, const char *name, const char *text)
{
    char path[260];
    snprintf(path, sizeof path, "%s/%s", stand_in_of->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

/* An agent of node b that finds this tc, in a mount namespace of its own. */
static void start_with(struct stand_in *stand_in_of)
{
    static char program[260], text[8192];
    agent_make_directory(stand_in_of->directory, sizeof stand_in_of->directory);
    snprintf(text, sizeof text, "#!/bin/sh\ncd %s || exit 9\n%s", stand_in_of->directory, stand_in);
    write_file(stand_in_of, "tc", text);
    write_file(stand_in_of, "fail", "nothing of the kind\n");
    snprintf(text, sizeof text,
             "#!/bin/sh\nexec unshare -m sh -c 'mount --bind %s/tc $(readlink -f /usr/sbin/tc) && "
             "exec %s \"$@\"' -- \"$@\"\n",
             stand_in_of->directory, agent_program());
    write_file(stand_in_of, "agent", text);
    snprintf(program, sizeof program, "%s/agent", stand_in_of->directory);
    assert_int_equal(agent_end(&world.b.agent), 0);
    agent_make_directory(world.b.run_dir, sizeof world.b.run_dir);
    world.b.agent = (struct agent_process){.network = world.b.network, .program = program};
    agent_serve(&world.b.agent, world.b.run_dir, "--firewall", world.firewall);
}

static const char *log_of(const struct stand_in *stand_in_of)
{
    char command[300];
    snprintf(command, sizeof command, "cd %s && cat log && : >log", stand_in_of->directory);
    return capture_in(world.b.network, command);
}

static bool has_root(const struct stand_in *stand_in_of)
{
    char path[260];
    snprintf(path, sizeof path, "%s/root.vb", stand_in_of->directory);
    return access(path, F_OK) == 0;
}

static void netem_is_asked_for_and_undone(void **state)
{
    (void)state;
    need_root();
    struct stand_in tc;
    start_with(&tc);
    struct line reply = agent_do(&world.b.agent, "shape-means", "id=m", TO_A, "delay_us=20000");
    assert_string_equal(line_get(&reply, "netem"), "yes");
    const char *log = log_of(&tc);
    assert_contains(log, "tc -batch -\nqdisc add dev lo root handle dea1: htb\n");
    assert_contains(log, "handle deb1: netem limit 20000 delay 20000us\n");
    assert_contains(log, "tc qdisc show dev vb root\n");
    assert_false(has_root(&tc));
    reply = limit("delay_us=20000", "loss_ppm=100000");
    assert_string_equal(line_get(&reply, "means"), "netem");
    assert_string_equal(
        log_of(&tc),
        "tc -batch -\n"
        "qdisc add dev vb root handle dea1: htb\n"
        "class add dev vb parent dea1: classid dea1:1 htb rate 100gbit quantum 60000\n"
        "qdisc add dev vb parent dea1:1 handle deb1: netem limit 20000 delay 20000us loss random "
        "10.0000%\n"
        "filter add dev vb parent dea1: protocol ip prio 3 u32 match ip dst 10.99.0.1/32 flowid "
        "dea1:1\n"
        "filter add dev vb parent dea1: protocol ipv6 prio 4 u32 match ip6 dst fd99::1/128 flowid "
        "dea1:1\n");
    agent_do(&world.b.agent, "fault-undo", "id=s");
    assert_string_equal(log_of(&tc), "tc qdisc show dev vb root\n"
                                     "tc qdisc del dev vb root\n"
                                     "tc qdisc show dev vb root\n");
    assert_false(has_root(&tc));
    limit("delay_us=20000");
    assert_true(has_root(&tc));
    kill(world.b.agent.serving, SIGKILL); /* and the guardian undoes it */
    assert_int_equal(agent_wait(&world.b.agent), 1);
    assert_false(has_root(&tc));
    start_node(&world.b, "");
}

/* Half a tree is no shape. */
static void what_fails_halfway_is_undone(void **state)
{
    (void)state;
    need_root();
    struct stand_in tc;
    start_with(&tc);
    write_file(&tc, "fail", "dev vb .*netem\n");
    assert_string_equal(agent_refused(&world.b.agent, "unsupported", "fault-shape", "id=s",
                                      "means=netem", TO_A, "delay_us=1"),
                        "tc: As it was told");
    assert_false(has_root(&tc));
    struct line reply = agent_do(&world.b.agent, "fault-list");
    assert_null(line_get(&reply, "kind"));
    assert_int_equal(agent_end(&world.b.agent), 0);
    start_node(&world.b, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_nodes, end_nodes)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_rate_limits_one_direction),
        TEST(who_is_not_named_is_not_shaped),
        TEST(a_root_that_somebody_chose_is_left_alone),
        TEST(the_control_connection_is_not_slowed),
        TEST(the_end_of_input_leaves_nothing),
        TEST(killing_the_agent_leaves_nothing),
        TEST(the_next_agent_undoes_what_two_dead_ones_left),
        TEST(a_device_that_is_gone_is_no_trouble),
        TEST(a_kernel_without_netem_says_so),
        TEST(what_means_nothing_is_refused),
        TEST(netem_is_asked_for_and_undone),
        TEST(what_fails_halfway_is_undone),
    };
    world.firewall = "nftables";
    return cmocka_run_group_tests(tests, build_world, tear_down_world);
}
