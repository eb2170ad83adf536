/* Resets of real connections between two network namespaces. */
#include <errno.h>

#include "tests/lib/agent_world.h"

struct pair {
    int client, server;
    char text[160];
};

static struct pair connect_pair(int family)
{
    struct pair pair;
    connect_control(family, world.b.network, &pair.client, &pair.server, pair.text,
                    sizeof pair.text);
    return pair;
}

static void close_pair(const struct pair *pair)
{
    close(pair->client);
    close(pair->server);
}

static int64_t established(struct node *node, const char *peer)
{
    struct line reply = agent_do(&node->agent, "connections", peer);
    return line_get_int(&reply, "established", -1);
}

/* What a read of it says: ECONNRESET and so on; 0 when it waits. */
static int state_of(int file)
{
    char byte;
    struct pollfd fds = {.fd = file, .events = POLLIN};
    if (poll(&fds, 1, 500) == 0)
        return 0;
    ssize_t length = read(file, &byte, 1);
    return length < 0 ? errno : length == 0 ? ESHUTDOWN : 0;
}

static void a_reset_is_heard_at_both_ends(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    struct pair four = connect_pair(AF_INET), six = connect_pair(AF_INET6);
    assert_int_equal(established(&world.a, "peer=10.99.0.2"), 1);
    assert_int_equal(established(&world.a, "peer=fd99::2"), 1);
    assert_int_equal(established(&world.a, "peer=10.99.0.77"), 0);
    struct line reply =
        agent_do(&world.a.agent, "connections-reset", "peer=10.99.0.2", "peer=10.99.0.77");
    assert_int_equal(line_get_int(&reply, "found", -1), 1);
    assert_int_equal(line_get_int(&reply, "gone", -1), 1);
    assert_int_equal(state_of(four.server), ECONNABORTED);
    assert_int_equal(state_of(four.client), ECONNRESET);
    assert_true(talks(six.client, six.server)); /* not meant */
    reply = agent_do(&world.a.agent, "connections-reset", "peer=fd99::2");
    assert_int_equal(line_get_int(&reply, "gone", -1), 1);
    assert_int_equal(state_of(six.client), ECONNRESET);
    assert_int_equal(established(&world.b, "peer=10.99.0.1"), 0);
    reply = agent_do(&world.a.agent, "connections-reset", "peer=fd99::2");
    assert_int_equal(line_get_int(&reply, "found", -1), 0);
    close_pair(&four);
    close_pair(&six);
    struct pair again = connect_pair(AF_INET); /* nothing is left of it */
    assert_true(talks(again.client, again.server));
    close_pair(&again);
}

static void behind_a_block_it_is_half_open(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    struct pair pair = connect_pair(AF_INET);
    agent_do(&world.a.agent, "fault-block", "id=silent", "to=10.99.0.2", "from=10.99.0.2");
    agent_do(&world.a.agent, "connections-reset", "peer=10.99.0.2");
    agent_do(&world.a.agent, "fault-undo", "id=silent");
    assert_int_equal(state_of(pair.server), ECONNABORTED);
    assert_int_equal(state_of(pair.client), 0); /* it has not heard */
    assert_int_equal(established(&world.b, "peer=10.99.0.1"), 1);
    assert_int_equal(established(&world.a, "peer=10.99.0.2"), 0);
    assert_int_equal(write(pair.client, "x", 1), 1);
    assert_int_equal(state_of(pair.client), ECONNRESET); /* but once it speaks it does */
    close_pair(&pair);
    assert_false(rules_exist(&world.a));
}

static void the_control_connection_is_never_reset(void **state)
{
    (void)state;
    need_root();
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < 2; i++) {
        struct pair control = connect_pair(families[i]), other = connect_pair(families[i]);
        assert_int_equal(agent_end(&world.a.agent), 0);
        start_node(&world.a, control.text);
        assert_string_equal(line_get(&world.a.agent.hello, "controller"),
                            families[i] == AF_INET ? B4 : B6);
        struct line reply =
            agent_do(&world.a.agent, "connections-reset", "peer=10.99.0.2", "peer=fd99::2");
        assert_int_equal(line_get_int(&reply, "found", -1), 1);
        assert_int_equal(state_of(other.client), ECONNRESET);
        assert_true(talks(control.client, control.server) && talks(control.server, control.client));
        close_pair(&control);
        close_pair(&other);
    }
}

static void addresses_are_checked(void **state)
{
    (void)state;
    need_root();
    assert_contains(agent_refused(&world.a.agent, "bad-request", "connections-reset", "peer=here"),
                    "peer: 'here' is not an IPv4 or IPv6 address");
    agent_refused(&world.a.agent, "bad-request", "connections-reset");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_nodes, end_nodes)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reset_is_heard_at_both_ends),
        TEST(behind_a_block_it_is_half_open),
        TEST(the_control_connection_is_never_reset),
        TEST(addresses_are_checked),
    };
    world.firewall = "nftables";
    return cmocka_run_group_tests(tests, build_world, tear_down_world);
}
