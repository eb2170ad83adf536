/* Blocks with a real kernel, on two nodes that are network namespaces made here, joined by a veth:
 * they drop what they should and nothing else, and nothing of them is left in the end. Every test
 * runs with both back-ends. */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "tests/lib/agent_world.h"

enum { TRIES = 50 };

/* ---- Tests ---- */

static void a_block_drops_one_way_only_and_counts(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    agent_do(&world.a.agent, "fault-block", "id=one", "from=10.99.0.2", "from=fd99::2");
    assert_false(reaches(&world.b, &world.a, B4, A4));
    assert_false(reaches(&world.b, &world.a, B6, A6));
    /* The other way is open: UDP needs no answer. (IPv6 neighbours are asked for by multicast and
     * answer by unicast, which the block drops too; they know each other by now.) */
    assert_true(reaches_at_last(&world.a, &world.b, A4, B4));
    assert_true(reaches_at_last(&world.a, &world.b, A6, B6));
    int64_t before = packets(&world.a, "id=one", 0);
    assert_true(before >= 1);
    assert_true(packets(&world.a, "id=one", 1) >= 1);
    char port[32];
    snprintf(port, sizeof port, "port=%d", PROBE_PORT);
    agent_do(&world.b.agent, "probe-send", "to=10.99.0.1", port, "nonce=x", "count=7");
    assert_int_equal(packets(&world.a, "id=one", 0), before + 7);
    agent_do(&world.a.agent, "fault-undo", "id=one");
    assert_false(rules_exist(&world.a));
    assert_all_reach();
    agent_refused(&world.a.agent, "not-found", "fault-counters", "id=one");
}

static void a_block_of_what_leaves_is_refused_at_home(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    agent_do(&world.a.agent, "fault-block", "id=out", "to=10.99.0.2", "to=fd99::2");
    char port[32];
    snprintf(port, sizeof port, "port=%d", PROBE_PORT);
    struct line reply =
        agent_do(&world.a.agent, "probe-send", "to=10.99.0.2", port, "nonce=o", "count=3");
    assert_int_equal(line_get_int(&reply, "refused", -1), 3);
    assert_int_equal(packets(&world.a, "id=out", 0), 3);
    assert_false(reaches(&world.a, &world.b, A6, B6));
    assert_true(reaches_at_last(&world.b, &world.a, B4, A4));
    agent_do(&world.a.agent, "fault-undo", "id=out");
    assert_all_reach();
}

static void overlapping_blocks_are_undone_on_their_own(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    agent_do(&world.a.agent, "fault-block", "id=x", "from=10.99.0.2", "from=10.99.0.77");
    agent_do(&world.a.agent, "fault-block", "id=x1", "from=10.99.0.2", "from=fd99::2");
    assert_contains(agent_refused(&world.a.agent, "exists", "fault-block", "id=x", "from=1.1.1.1"),
                    "in force already");
    agent_do(&world.a.agent, "fault-undo", "id=x");
    assert_false(reaches(&world.b, &world.a, B4, A4));
    assert_false(reaches(&world.b, &world.a, B6, A6));
    agent_do(&world.a.agent, "fault-block", "id=x", "from=10.99.0.2");
    agent_do(&world.a.agent, "fault-undo", "id=x1");
    assert_false(reaches(&world.b, &world.a, B4, A4));
    assert_true(reaches_at_last(&world.b, &world.a, B6, A6));
    struct line reply = agent_do(&world.a.agent, "heal");
    assert_int_equal(line_get_int(&reply, "undone", -1), 1);
    assert_false(rules_exist(&world.a));
    assert_all_reach();
}

static void a_block_of_a_port_leaves_the_others(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    agent_do(&world.a.agent, "fault-block", "id=other", "from=10.99.0.2", "from=fd99::2",
             "proto=udp", "port=9999");
    agent_do(&world.a.agent, "fault-block", "id=tcp", "from=10.99.0.2", "from=fd99::2",
             "proto=tcp");
    assert_all_reach();
    char port[32];
    snprintf(port, sizeof port, "port=%d", PROBE_PORT);
    agent_do(&world.a.agent, "fault-block", "id=this", "from=10.99.0.2", "from=fd99::2",
             "proto=udp", port);
    assert_false(reaches(&world.b, &world.a, B4, A4));
    assert_false(reaches(&world.b, &world.a, B6, A6));
    agent_do(&world.a.agent, "heal");
    assert_all_reach();
}

/* Until the other end has acknowledged all that was sent. */
static bool is_acknowledged(int file)
{
    for (int i = 0; i < TRIES; i++) {
        int waiting = -1;
        assert_int_equal(ioctl(file, SIOCOUTQ, &waiting), 0);
        if (waiting == 0)
            return true;
        usleep(20000);
    }
    return false;
}

/* A hears nothing of B's, and B all of A's; the smallest message is one, the largest are many
 * packets. */
static void assert_deaf_but_connected(int family)
{
    static char many[100000];
    int client, server;
    char text[160], byte;
    agent_do(&world.a.agent, "fault-block", "id=deaf", "from=10.99.0.2", "from=fd99::2",
             "packets=data");
    assert_false(reaches(&world.b, &world.a, family == AF_INET ? B4 : B6,
                         family == AF_INET ? A4 : A6)); /* datagrams are data */
    connect_control(family, world.b.network, &client, &server, text, sizeof text);
    assert_true(talks(server, client) && is_acknowledged(server));
    assert_int_equal(write(client, "x", 1), 1);
    assert_false(arrives_in(server, 300));
    assert_int_equal(write(client, many, 1000), 1000);
    assert_false(arrives_in(server, 300));
    assert_int_equal(write(server, many, 50000), 50000);
    assert_true(is_acknowledged(server));
    assert_true(packets(&world.a, "id=deaf", family == AF_INET ? 0 : 1) >= 2);
    agent_do(&world.a.agent, "fault-undo", "id=deaf");
    assert_false(rules_exist(&world.a));
    assert_true(arrives_in(server, 5000)); /* sent again */
    assert_int_equal(read(server, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(client);
    close(server);
}

static void a_block_of_data_leaves_connections_alive(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    assert_deaf_but_connected(AF_INET);
    assert_deaf_but_connected(AF_INET6);
    assert_contains(agent_refused(&world.a.agent, "bad-request", "fault-block", "id=x",
                                  "from=1.1.1.1", "packets=some"),
                    "packets: 'some' is neither all nor data");
    assert_all_reach();
}

/* Blocks both nodes' addresses both ways: what still talks is let through on purpose. */
static void assert_control_survives(int family, int client_network)
{
    int client, server;
    char control[160];
    connect_control(family, client_network, &client, &server, control, sizeof control);
    assert_int_equal(agent_end(&world.a.agent), 0);
    start_node(&world.a, control);
    agent_do(&world.a.agent, "fault-block", "id=b", "from=10.99.0.2", "from=fd99::2",
             "to=10.99.0.2", "to=fd99::2");
    agent_do(&world.a.agent, "fault-block", "id=a", "from=10.99.0.1", "from=fd99::1",
             "to=10.99.0.1", "to=fd99::1");
    assert_false(reaches(&world.b, &world.a, B4, A4));
    assert_false(reaches(&world.a, &world.b, A6, B6));
    assert_false(reaches(&world.a, &world.a, A4, A4));
    for (int round = 0; round < 3; round++)
        assert_true(talks(client, server) && talks(server, client));
    agent_do(&world.a.agent, "heal");
    close(client);
    close(server);
}

static void the_control_connection_is_never_cut(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    assert_control_survives(AF_INET, world.b.network);
    assert_control_survives(AF_INET6, world.b.network);
    /* A controller that runs on the node itself. */
    assert_control_survives(AF_INET, world.a.network);
    assert_control_survives(AF_INET6, world.a.network);
    assert_all_reach();
}

static const char foreign_rules[] =
    "nft add table inet theirs && nft add chain inet theirs input '{ type filter hook input "
    "priority 0; }' && "
    "nft add rule inet theirs input ip saddr 192.0.2.1 drop && "
    "iptables -A INPUT -s 192.0.2.2 -j DROP && iptables -N THEIRS && "
    "iptables -A OUTPUT -d 192.0.2.3 -j THEIRS && ip6tables -A INPUT -s 2001:db8::1 -j DROP";

static void drop_foreign_rules(void)
{
    run_in(world.a.network, "nft flush ruleset");
}

/* Without the counters, which count. */
static char *foreign_snapshot(void)
{
    return strdup(capture_in(
        world.a.network, "nft -s list table inet theirs; iptables-save 2>/dev/null | grep -v '^#'; "
                         "ip6tables-save 2>/dev/null | grep -v '^#'"));
}

static void rules_of_others_are_left_as_they_are(void **state)
{
    (void)state;
    need_root();
    run_in(world.a.network, foreign_rules);
    char *before = foreign_snapshot();
    agent_do(&world.a.agent, "fault-block", "id=x", "from=10.99.0.2", "to=fd99::2");
    const char *now = capture_in(world.a.network, "nft list ruleset");
    assert_contains(now, "192.0.2.1");
    assert_contains(now, "192.0.2.2");
    agent_do(&world.a.agent, "fault-block", "id=y", "from=10.99.0.3", "from=fd99::3");
    agent_do(&world.a.agent, "fault-undo", "id=x");
    agent_do(&world.a.agent, "heal");
    char *after = foreign_snapshot();
    assert_contains(before, "192.0.2.3");
    /* Packet counts of built-in chains are in the text: both were taken with none passing. */
    assert_string_equal(before, after);
    free(before);
    free(after);
    drop_foreign_rules();
}

static void flushing_everything_does_not_heal_an_owned_block(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    agent_do(&world.a.agent, "fault-block", "id=x", "from=10.99.0.2");
    bool owned = strstr(capture_in(world.a.network, "nft list ruleset"), "owner") != NULL;
    run_in(world.a.network, "nft flush ruleset");
    if (owned) {
        assert_false(reaches(&world.b, &world.a, B4, A4));
        agent_do(&world.a.agent, "fault-counters", "id=x");
    } else {
        agent_refused(&world.a.agent, "failed", "fault-counters", "id=x");
    }
    agent_do(&world.a.agent, "fault-undo", "id=x");
    assert_all_reach();
    assert_false(rules_exist(&world.a));
}

static void block_everything(void)
{
    assert_all_reach();
    agent_do(&world.a.agent, "fault-block", "id=x", "from=10.99.0.2", "from=fd99::2");
    agent_do(&world.a.agent, "fault-block", "id=y", "to=10.99.0.2", "to=fd99::2");
    assert_false(reaches(&world.b, &world.a, B4, A4));
    assert_true(rules_exist(&world.a));
}

static void the_end_of_input_leaves_no_rule(void **state)
{
    (void)state;
    need_root();
    block_everything();
    assert_int_equal(agent_end(&world.a.agent), 0);
    assert_false(rules_exist(&world.a));
    start_node(&world.a, "");
    assert_all_reach();
}

static void killing_the_agent_leaves_no_rule(void **state)
{
    (void)state;
    need_root();
    block_everything();
    kill(world.a.agent.serving, SIGKILL);
    assert_int_equal(agent_wait(&world.a.agent), 1);
    assert_false(rules_exist(&world.a));
    start_node(&world.a, "");
    assert_all_reach();
}

static void after_killing_both_the_next_one_leaves_no_rule(void **state)
{
    (void)state;
    need_root();
    block_everything();
    struct agent_process *agent = &world.a.agent;
    kill(agent->pid, SIGSTOP);
    wait_until(agentd_process_stopped(agent->pid) == AGENTD_STOPPED_ALL);
    kill(agent->serving, SIGKILL);
    kill(agent->pid, SIGKILL);
    assert_int_equal(agent_wait(agent), 1000 + SIGKILL);
    wait_until(!process_lives(agent->serving));
    agent_serve(agent, world.a.run_dir, "--firewall", world.firewall);
    assert_int_equal(line_get_int(&agent->hello, "healed", -1), 2);
    assert_int_equal(line_get_int(&agent->hello, "failed", -1), 0);
    assert_false(rules_exist(&world.a));
    assert_int_equal(agent_end(agent), 0);
    start_node(&world.a, "");
    assert_all_reach();
}

static void a_fault_of_many_addresses_works(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    static char texts[256][32];
    const char *fields[260] = {"id=many"};
    for (int i = 0; i < 254; i++) {
        snprintf(texts[i], sizeof texts[i], "from=10.98.%d.%d", i / 16, i % 16 + 1);
        fields[i + 1] = texts[i];
    }
    fields[255] = "from=10.99.0.2";
    fields[256] = "from=fd99::2";
    uint32_t id = agent_send(&world.a.agent, "fault-block", fields);
    struct line reply = agent_reply(&world.a.agent, id);
    assert_string_equal(line_at(&reply, 1), "ok");
    assert_false(reaches(&world.b, &world.a, B4, A4));
    assert_true(packets(&world.a, "id=many", 254) >= 1);
    agent_do(&world.a.agent, "fault-undo", "id=many");
    assert_false(rules_exist(&world.a));
    assert_all_reach();
}

static int by_size(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

static void a_block_is_quick(void **state)
{
    (void)state;
    need_root();
    int64_t block_ns[TRIES], undo_ns[TRIES];
    for (int i = 0; i < TRIES; i++) {
        struct line reply = agent_do(&world.a.agent, "fault-block", "id=q", "from=10.99.0.2",
                                     "from=fd99::2", "to=10.99.0.2", "to=fd99::2");
        block_ns[i] = line_get_int(&reply, "elapsed_ns", INT64_MAX);
        reply = agent_do(&world.a.agent, "fault-undo", "id=q");
        undo_ns[i] = line_get_int(&reply, "elapsed_ns", INT64_MAX);
    }
    qsort(block_ns, TRIES, sizeof block_ns[0], by_size);
    qsort(undo_ns, TRIES, sizeof undo_ns[0], by_size);
    print_message("# %s: fault-block of 4 addresses: median %.0f us, 90%% within %.0f us; "
                  "fault-undo: median %.0f us\n",
                  world.firewall, (double)block_ns[TRIES / 2] / 1e3,
                  (double)block_ns[TRIES * 9 / 10] / 1e3, (double)undo_ns[TRIES / 2] / 1e3);
    /* A machine under load is slow; a command line instead of a system call is slower still. */
    if (strcmp(world.firewall, "nftables") == 0)
        assert_true(block_ns[TRIES / 2] < 3 * NS_PER_MS);
    assert_true(block_ns[TRIES / 2] < NS_PER_SECOND);
}

static int run_with(const char *firewall)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_block_drops_one_way_only_and_counts, start_nodes,
                                        end_nodes),
        cmocka_unit_test_setup_teardown(a_block_of_what_leaves_is_refused_at_home, start_nodes,
                                        end_nodes),
        cmocka_unit_test_setup_teardown(overlapping_blocks_are_undone_on_their_own, start_nodes,
                                        end_nodes),
        cmocka_unit_test_setup_teardown(a_block_of_a_port_leaves_the_others, start_nodes,
                                        end_nodes),
        cmocka_unit_test_setup_teardown(a_block_of_data_leaves_connections_alive, start_nodes,
                                        end_nodes),
        cmocka_unit_test_setup_teardown(the_control_connection_is_never_cut, start_nodes,
                                        end_nodes),
        cmocka_unit_test_setup_teardown(rules_of_others_are_left_as_they_are, start_nodes,
                                        end_nodes),
        cmocka_unit_test_setup_teardown(flushing_everything_does_not_heal_an_owned_block,
                                        start_nodes, end_nodes),
        cmocka_unit_test_setup_teardown(the_end_of_input_leaves_no_rule, start_nodes, end_nodes),
        cmocka_unit_test_setup_teardown(killing_the_agent_leaves_no_rule, start_nodes, end_nodes),
        cmocka_unit_test_setup_teardown(after_killing_both_the_next_one_leaves_no_rule, start_nodes,
                                        end_nodes),
        cmocka_unit_test_setup_teardown(a_fault_of_many_addresses_works, start_nodes, end_nodes),
        cmocka_unit_test_setup_teardown(a_block_is_quick, start_nodes, end_nodes),
    };
    world.firewall = firewall;
    return cmocka_run_group_tests_name(firewall, tests, build_world, tear_down_world);
}

int main(void)
{
    return run_with("nftables") + run_with("iptables");
}
