/* What a cluster of etcd looks like from outside: command lines, readiness, leaders. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "tests/lib/etcd_fixture.h"
#include "tests/lib/http_server.h"
#include "tests/lib/test.h"
#include "workloads/systems/etcd.h"

static const char *argument(const char *const *arguments, const char *name)
{
    for (; *arguments != NULL; arguments++)
        if (strcmp(*arguments, name) == 0)
            return arguments[1];
    return "(absent)";
}

static void command_lines_name_the_whole_cluster(void **state)
{
    (void)state;
    struct etcd_fixture fixture;
    struct arena arena = ARENA_INIT;
    etcd_fixture_init(&fixture, 3, 2379, NS_PER_SECOND);
    const char *const *arguments =
        etcd_arguments(&fixture.test, 1, ETCD_FOUNDER, test_all_nodes(&fixture.test), &arena);
    assert_string_equal(arguments[0], "etcd");
    assert_string_equal(argument(arguments, "--name"), "n2");
    assert_string_equal(argument(arguments, "--data-dir"), "/var/lib/ordeal-etcd");
    assert_string_equal(argument(arguments, "--initial-cluster"),
                        "n1=http://127.0.0.1:2380,n2=http://127.0.0.2:2380,"
                        "n3=http://127.0.0.3:2380");
    assert_string_equal(argument(arguments, "--listen-peer-urls"), "http://127.0.0.2:2380");
    assert_string_equal(argument(arguments, "--listen-client-urls"), "http://127.0.0.2:2379");
    assert_string_equal(argument(arguments, "--election-timeout"), "1000");
    arena_free(&arena);
    etcd_fixture_free(&fixture);
}

/* etcd refuses to listen on a name, and on the address by which only we reach it. */
static void members_listen_where_peers_and_clients_reach_them(void **state)
{
    (void)state;
    static const struct {
        const char *address, *peer, *listen, *advertise;
    } cases[] = {
        {"db1", NULL, "http://0.0.0.0:2379", "http://db1:2379"},
        {"203.0.113.7", "10.0.0.7", "http://0.0.0.0:2379", "http://10.0.0.7:2379"},
        {"10.0.0.7", "10.0.0.7", "http://10.0.0.7:2379", "http://10.0.0.7:2379"},
        {"fd00::7", NULL, "http://[fd00::7]:2379", "http://[fd00::7]:2379"},
        {"db1", "fd00::7", "http://[::]:2379", "http://[fd00::7]:2379"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct etcd_fixture fixture;
        struct arena arena = ARENA_INIT;
        etcd_fixture_init(&fixture, 1, 2379, NS_PER_SECOND);
        fixture.nodes[0].address = cases[i].address;
        fixture.nodes[0].peer_address = cases[i].peer;
        const char *const *arguments =
            etcd_arguments(&fixture.test, 0, ETCD_FOUNDER, test_all_nodes(&fixture.test), &arena);
        assert_string_equal(argument(arguments, "--listen-client-urls"), cases[i].listen);
        assert_string_equal(argument(arguments, "--advertise-client-urls"), cases[i].advertise);
        arena_free(&arena);
        etcd_fixture_free(&fixture);
    }
}

static void who_joins_names_the_members_that_there_are(void **state)
{
    (void)state;
    struct etcd_fixture fixture;
    struct arena arena = ARENA_INIT;
    etcd_fixture_init(&fixture, 3, 2379, NS_PER_SECOND);
    const char *const *arguments = etcd_arguments(&fixture.test, 2, ETCD_JOINS, 1 | 4, &arena);
    assert_string_equal(argument(arguments, "--initial-cluster"),
                        "n1=http://127.0.0.1:2380,n3=http://127.0.0.3:2380");
    assert_string_equal(argument(arguments, "--initial-cluster-state"), "existing");
    arena_free(&arena);
    etcd_fixture_free(&fixture);
}

/* One scripted member each at 127.0.0.1, 127.0.0.2 ... on the same port. A body of NULL: absent. */
static void start_members(struct etcd_fixture *fixture, struct http_server **servers,
                          const struct http_step *steps, uint32_t count)
{
    static const char *const addresses[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3"};
    servers[0] = http_server_start(addresses[0], 0, &steps[0], 1);
    uint16_t port = http_server_port(servers[0]);
    for (uint32_t i = 1; i < count; i++)
        servers[i] =
            steps[i].body == NULL ? NULL : http_server_start(addresses[i], port, &steps[i], 1);
    etcd_fixture_init(fixture, count, port, NS_PER_SECOND);
}

static void stop_members(struct etcd_fixture *fixture, struct http_server **servers)
{
    for (uint32_t i = 0; i < fixture->test.node_count; i++)
        if (servers[i] != NULL)
            http_server_stop(servers[i]);
    etcd_fixture_free(fixture);
}

static void ready_needs_every_node(void **state)
{
    (void)state;
    const struct http_step good = {HTTP_ACT_REPLY, 200, "{\"header\":{\"revision\":\"1\"}}"};
    const struct http_step bad = {HTTP_ACT_REPLY, 503,
                                  "{\"error\":\"etcdserver: leader changed\",\"code\":14}"};
    const struct http_step absent = {HTTP_ACT_REPLY, 0, NULL};
    const struct http_step all_good[] = {good, good, good}, mixed[] = {good, bad, absent};
    struct etcd_fixture fixture;
    struct http_server *servers[3];
    struct buf why_not = BUF_INIT;
    start_members(&fixture, servers, all_good, 3);
    assert_true(etcd_ready(&fixture.test, &why_not));
    assert_string_equal(buf_text(&why_not), "");
    stop_members(&fixture, servers);
    start_members(&fixture, servers, mixed, 3);
    assert_false(etcd_ready(&fixture.test, &why_not));
    assert_string_equal(buf_text(&why_not),
                        "n2: etcdserver: leader changed; n3: Connection refused");
    stop_members(&fixture, servers);
    buf_free(&why_not);
}

static void something_else_on_the_port_is_not_ready(void **state)
{
    (void)state;
    const struct http_step page[] = {{HTTP_ACT_REPLY, 200, "<html>It works!</html>"}};
    struct etcd_fixture fixture;
    struct http_server *servers[1];
    struct buf why_not = BUF_INIT;
    start_members(&fixture, servers, page, 1);
    assert_false(etcd_ready(&fixture.test, &why_not));
    assert_string_equal(buf_text(&why_not), "n1: HTTP status 200 without a reply of etcd");
    stop_members(&fixture, servers);
    buf_free(&why_not);
}

#define STATUS(member, leader, term)                                                               \
    {                                                                                              \
        HTTP_ACT_REPLY, 200,                                                                       \
            "{\"header\":{\"member_id\":\"" member "\"},\"leader\":\"" leader                      \
            "\",\"raftTerm\":\"" term "\"}"                                                        \
    }

static void the_leader_of_the_newest_term_leads(void **state)
{
    (void)state;
    /* Ids are 64-bit: as doubles these three would be one. */
    static const struct http_step agreed[] = {
        STATUS("18249187646912138821", "18249187646912138822", "4"),
        STATUS("18249187646912138822", "18249187646912138822", "4"),
        STATUS("18249187646912138823", "18249187646912138822", "4")};
    static const struct http_step deposed[] = {STATUS("1", "1", "10"), STATUS("2", "3", "11"),
                                               STATUS("3", "3", "11")};
    static const struct http_step none[] = {
        STATUS("1", "0", "5"), STATUS("2", "0", "6"), {HTTP_ACT_REPLY, 0, NULL}};
    static const struct http_step *const cases[] = {agreed, deposed, none};
    const node_set expected[] = {NODE_SET(1), NODE_SET(2), 0};
    for (size_t i = 0; i < 3; i++) {
        struct etcd_fixture fixture;
        struct http_server *servers[3];
        struct err err = ERR_INIT;
        node_set primaries = 77;
        start_members(&fixture, servers, cases[i], 3);
        assert_ok(etcd_primaries(&fixture.test, &primaries, &err));
        assert_int_equal(primaries, expected[i]);
        stop_members(&fixture, servers);
    }
}

static void the_version_comes_from_any_node(void **state)
{
    (void)state;
    const struct http_step steps[] = {{HTTP_ACT_CLOSE, 0, NULL},
                                      {HTTP_ACT_REPLY, 200, "{\"etcdserver\":\"3.4.23\"}"},
                                      {HTTP_ACT_REPLY, 0, NULL}};
    struct etcd_fixture fixture;
    struct http_server *servers[3];
    struct buf version = BUF_INIT;
    struct err err = ERR_INIT;
    start_members(&fixture, servers, steps, 3);
    assert_ok(etcd_version(&fixture.test, &version, &err));
    assert_string_equal(buf_text(&version), "etcd 3.4.23");
    stop_members(&fixture, servers);
    const struct http_step nobody[] = {{HTTP_ACT_CLOSE, 0, NULL}};
    start_members(&fixture, servers, nobody, 1);
    assert_int_equal(etcd_version(&fixture.test, &version, &err), ERR_REMOTE);
    stop_members(&fixture, servers);
    buf_free(&version);
}

/* Unstarted members do not count, and one that is no node of ours is told. */
static void members_are_told_by_their_addresses(void **state)
{
    (void)state;
    struct etcd_fixture fixture;
    struct http_server *servers[3];
    const struct http_step steps[] = {
        {HTTP_ACT_REPLY, 200,
         "{\"header\":{},\"members\":["
         "{\"ID\":\"9372538179322589801\",\"name\":\"n1\",\"peerURLs\":[\"http://"
         "127.0.0.1:2380\"]},"
         "{\"ID\":\"2\",\"name\":\"n3\",\"peerURLs\":[\"http://127.0.0.3:2380\"]},"
         "{\"ID\":\"3\",\"peerURLs\":[\"http://127.0.0.2:2380\"]}]}"},
        {HTTP_ACT_REPLY, 200,
         "{\"header\":{},\"members\":["
         "{\"ID\":\"1\",\"name\":\"x\",\"peerURLs\":[\"http://192.0.2.1:2380\"]}]}"},
        {HTTP_ACT_REPLY, 503, "{\"error\":\"etcdserver: no leader\"}"},
    };
    struct err err = ERR_INIT;
    node_set members = 0;
    start_members(&fixture, servers, steps, 3);
    assert_ok(etcd_members(&fixture.test, 0, &members, &err));
    assert_int_equal(members, 5);
    assert_int_equal(etcd_members(&fixture.test, 1, &members, &err), ERR_REMOTE);
    assert_string_equal(err.message, "n2 tells of a member that is no node: x");
    assert_int_equal(etcd_members(&fixture.test, 2, &members, &err), ERR_REMOTE);
    assert_string_equal(err.message, "n3: etcdserver: no leader");
    assert_int_equal(members, 5);
    stop_members(&fixture, servers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_lines_name_the_whole_cluster),
        cmocka_unit_test(members_listen_where_peers_and_clients_reach_them),
        cmocka_unit_test(who_joins_names_the_members_that_there_are),
        cmocka_unit_test(members_are_told_by_their_addresses),
        cmocka_unit_test(ready_needs_every_node),
        cmocka_unit_test(something_else_on_the_port_is_not_ready),
        cmocka_unit_test(the_leader_of_the_newest_term_leads),
        cmocka_unit_test(the_version_comes_from_any_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
