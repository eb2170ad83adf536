/* Changing a cluster of real servers by its commands: meeting, forgetting, replacing, handing
 * leadership over, stopping; and clients that would rather be told where the leader is. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/queue/lib/cluster.h"

enum { NODES = 3, WAIT_MS = 15000 };

static void wait_nodes(struct cluster *cluster, unsigned node, const char *text)
{
    uint64_t end_ms = cluster_now_ms() + 10000;
    for (bool found = false; !found;) {
        struct redis redis;
        redis_open(&redis, cluster_port(cluster, node), WAIT_MS);
        struct reply *reply = redis_ask(&redis, "CLUSTER NODES");
        found = reply->text != NULL && strstr(reply->text, text) != NULL;
        if (!found && cluster_now_ms() > end_ms)
            fail_msg("no \"%s\" in:\n%s", text, reply->text ? reply->text : "");
        reply_free(reply);
        redis_close(&redis);
        usleep(20000);
    }
}

static void a_server_is_met_by_its_address(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis redis;
    char line[96];
    cluster_open(&cluster, NODES);
    redis_open(&redis, cluster_port(&cluster, 2), WAIT_MS);
    for (int i = 0; i < 20; i++)
        redis_expect(&redis, "D-", "ADDJOB work x 0");
    cluster_start(&cluster, 4);
    redis_expect(&redis, "OK", "CLUSTER MEET 127.0.0.1 %u", cluster_peer_port(&cluster, 4));
    snprintf(line, sizeof line, "4 127.0.0.1:%u voter", cluster_peer_port(&cluster, 4));
    wait_nodes(&cluster, 1, line);
    cluster_wait_info(&cluster, 4, "jobs_ready", 20);
    /* It counts: with two of the old ones dead it and the last are no majority of four, with one
     * they are. */
    cluster_kill(&cluster, cluster_leader(&cluster) == 1 ? 3 : 1);
    cluster_leader(&cluster);
    redis_close(&redis);
    redis_open(&redis, cluster_port(&cluster, 4), WAIT_MS);
    redis_expect(&redis, "D-", "ADDJOB work x 5000");
    redis_close(&redis);
    cluster_close(&cluster);
}

static void nobody_there_is_an_error_in_time(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis redis;
    cluster_open(&cluster, 1);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    redis_expect(&redis, "ERR the node could not be reached", "CLUSTER ADD 7 127.0.0.1:%u",
                 cluster_peer_port(&cluster, 5));
    redis_expect(&redis, "D-", "ADDJOB work x 5000");
    struct reply *reply = redis_ask(&redis, "CLUSTER NODES");
    assert_null(strstr(reply->text, "\n7 "));
    reply_free(reply);
    redis_close(&redis);
    cluster_close(&cluster);
}

static void leadership_goes_where_it_is_told(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis redis;
    cluster_open(&cluster, NODES);
    for (int turn = 0; turn < 3; turn++) {
        unsigned leader = cluster_leader(&cluster), target = leader % NODES + 1;
        redis_open(&redis, cluster_port(&cluster, turn == 1 ? target : leader), WAIT_MS);
        redis_expect(&redis, "OK", "CLUSTER LEADER %u", target);
        redis_close(&redis);
        uint64_t end_ms = cluster_now_ms() + 5000;
        while (cluster_leader(&cluster) != target && cluster_now_ms() < end_ms)
            usleep(10000);
        assert_int_equal(cluster_leader(&cluster), target);
    }
    cluster_close(&cluster);
}

static void the_leader_may_be_forgotten(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis redis;
    char gone[16];
    cluster_open(&cluster, NODES);
    unsigned leader = cluster_leader(&cluster), other = leader % NODES + 1;
    redis_open(&redis, cluster_port(&cluster, other), WAIT_MS);
    struct reply *reply = redis_ask(&redis, "CLUSTER FORGET %u", leader);
    reply_free(reply); /* the one who would say OK goes with it */
    redis_close(&redis);
    uint64_t end_ms = cluster_now_ms() + 10000;
    snprintf(gone, sizeof gone, "%u 127.0.0.1:", leader);
    for (bool done = false; !done;) {
        redis_open(&redis, cluster_port(&cluster, other), WAIT_MS);
        reply = redis_ask(&redis, "CLUSTER NODES");
        const char *at = reply->text != NULL ? strstr(reply->text, gone) : NULL;
        done = reply->type == REPLY_TEXT && (at == NULL || (at > reply->text && at[-1] != '\n'));
        assert_true(done || cluster_now_ms() < end_ms);
        reply_free(reply);
        redis_close(&redis);
        usleep(20000);
    }
    cluster_kill(&cluster, leader);
    assert_int_not_equal(cluster_leader(&cluster), leader);
    redis_open(&redis, cluster_port(&cluster, other), WAIT_MS);
    redis_expect(&redis, "D-", "ADDJOB work x 5000");
    redis_close(&redis);
    cluster_close(&cluster);
}

/* Only one member at a time may change, and a majority must be able to agree. */
static void what_cannot_be_changed_is_said(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis redis;
    cluster_open(&cluster, NODES);
    unsigned leader = cluster_leader(&cluster);
    redis_open(&redis, cluster_port(&cluster, leader), WAIT_MS);
    redis_expect(&redis, "ERR node", "CLUSTER REPLACE %u", leader);
    struct reply *reply = redis_ask(&redis, "CLUSTER REPLACE %u", leader % NODES + 1);
    assert_int_equal(reply->type, REPLY_ERROR); /* it has the disk that is known */
    reply_free(reply);
    redis_close(&redis);
    cluster_close(&cluster);
}

static void shutdown_is_clean_and_quick(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis redis;
    int status;
    cluster_open(&cluster, NODES);
    unsigned leader = cluster_leader(&cluster);
    redis_open(&redis, cluster_port(&cluster, leader), WAIT_MS);
    for (int i = 0; i < 200; i++)
        redis_send(&redis, "ADDJOB work x 0");
    redis_send(&redis, "SHUTDOWN");
    unsigned committed = 0;
    for (bool more = true; more;) {
        struct reply *reply = redis_receive(&redis);
        more = reply->type != REPLY_BROKEN;
        committed += reply->type == REPLY_STATUS && strncmp(reply->text, "D-", 2) == 0;
        reply_free(reply);
    }
    uint64_t begun_ms = cluster_now_ms();
    assert_int_equal(waitpid(cluster.pids[leader], &status, 0), cluster.pids[leader]);
    cluster.pids[leader] = 0;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(cluster_now_ms() - begun_ms < 5000);
    redis_close(&redis);
    unsigned next = cluster_leader(&cluster);
    assert_true(cluster_info(&cluster, next, "jobs_added") >= committed);
    cluster_close(&cluster);
}

static void redirected_clients_find_the_leader(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis redis;
    char moved[64];
    cluster_open(&cluster, NODES);
    unsigned leader = cluster_leader(&cluster), other = leader % NODES + 1;
    redis_open(&redis, cluster_port(&cluster, other), WAIT_MS);
    reply_free(redis_ask(&redis, "HELLO 3 REDIRECT"));
    snprintf(moved, sizeof moved, "MOVED 127.0.0.1:%u", cluster_port(&cluster, leader));
    static const char *const commands[] = {
        "ADDJOB work x 0",  "GETJOB FROM work",     "QLEN work",
        "JSCAN 0",          "PAUSE work in",        "ACKJOB D-0000000000000000-0000000000000001",
        "CLUSTER FORGET 9", "CONFIG SET done-max 5"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        redis_expect(&redis, moved, "%s", commands[i]);
    redis_expect(&redis, "PONG", "PING");
    redis_expect(&redis, "OK", "CONFIG SET max-clients 100"); /* of this node */
    redis_expect(&redis, "OK", "CLIENT REDIRECT off");
    redis_expect(&redis, "D-", "ADDJOB work x 0");
    redis_close(&redis);
    cluster_close(&cluster);
}

/* A consumer that waits at a follower is served, and so is one whose leader changes meanwhile. */
static void consumers_wait_at_any_node(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis waits, redis;
    cluster_open(&cluster, NODES);
    unsigned leader = cluster_leader(&cluster), other = leader % NODES + 1;
    redis_open(&waits, cluster_port(&cluster, other), WAIT_MS);
    redis_send(&waits, "GETJOB FROM later");
    usleep(100000);
    redis_open(&redis, cluster_port(&cluster, leader), WAIT_MS);
    redis_expect(&redis, "D-", "ADDJOB later x 0");
    struct reply *reply = redis_receive(&waits);
    assert_int_equal(reply->type, REPLY_LIST);
    reply_free(reply);
    redis_send(&waits, "GETJOB FROM later");
    usleep(100000);
    redis_expect(&redis, "OK", "CLUSTER LEADER %u", leader % NODES + 1);
    redis_close(&redis);
    usleep(500000);
    redis_open(&redis, cluster_port(&cluster, cluster_leader(&cluster)), WAIT_MS);
    redis_expect(&redis, "D-", "ADDJOB later y 5000");
    reply = redis_receive(&waits);
    if (reply->type == REPLY_ERROR) { /* it may be told to ask again, but not left alone */
        assert_true(strncmp(reply->text, "UNKNOWN", 7) == 0);
        reply_free(reply);
        reply = redis_ask(&waits, "GETJOB FROM later");
    }
    assert_int_equal(reply->type, REPLY_LIST);
    assert_string_equal(reply->elements[0].elements[2].text, "y");
    reply_free(reply);
    redis_close(&waits);
    redis_close(&redis);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_is_met_by_its_address),
        cmocka_unit_test(nobody_there_is_an_error_in_time),
        cmocka_unit_test(leadership_goes_where_it_is_told),
        cmocka_unit_test(the_leader_may_be_forgotten),
        cmocka_unit_test(what_cannot_be_changed_is_said),
        cmocka_unit_test(shutdown_is_clean_and_quick),
        cmocka_unit_test(redirected_clients_find_the_leader),
        cmocka_unit_test(consumers_wait_at_any_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
