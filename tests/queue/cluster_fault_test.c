/* Three and five real servers, and what happens to machines: links that are cut in every shape,
 * kills of any minority at a high rate, stops, bits that turn, wall clocks that jump, a node that
 * stays away. Nothing acknowledged is lost, nothing is delivered twice that may be delivered once,
 * leases end on time, memory is given back. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/queue/lib/network.h"
#include "tests/queue/lib/traffic.h"

enum { NODES = 3, MANY = 5, WAIT_MS = 3000 };

static struct cluster cluster;
static struct traffic traffic;

static void open_cluster(unsigned nodes, struct cluster like)
{
    cluster = like;
    cluster_open(&cluster, nodes);
    traffic_start(&traffic, &cluster);
    traffic_wait(&traffic, 50);
}

static void close_cluster(void)
{
    size_t jobs = traffic_check(&traffic);
    print_message("# %zu jobs acknowledged\n", jobs);
    cluster_close(&cluster);
}

static unsigned pick(unsigned *seed, unsigned count)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed / 65536 % count;
}

/* Two of five, any two, ten times: half of them before those of the last time have caught up. */
static void any_minority_may_be_killed_at_any_rate(void **state)
{
    (void)state;
    unsigned seed = 7;
    open_cluster(MANY, (struct cluster){.extra = {"--snapshot-entries", "200"}});
    for (int round = 0; round < 10; round++) {
        unsigned first = pick(&seed, MANY) + 1, second = first % MANY + 1;
        cluster_kill(&cluster, first);
        cluster_kill(&cluster, second);
        if (round % 2 == 0)
            traffic_wait(&traffic, 20);
        cluster_start(&cluster, first);
        cluster_start(&cluster, second);
        if (round % 4 < 2)
            traffic_wait(&traffic, 20);
    }
    close_cluster();
}

static void stops_of_any_node_harm_nobody(void **state)
{
    (void)state;
    open_cluster(NODES, (struct cluster){0});
    for (unsigned round = 0; round < 4; round++) {
        unsigned node = round % 2 == 0 ? cluster_leader(&cluster) : round % NODES + 1;
        cluster_signal(&cluster, node, SIGSTOP);
        usleep(700000); /* beyond the election timeout */
        cluster_signal(&cluster, node, SIGCONT);
        traffic_wait(&traffic, 20);
    }
    close_cluster();
}

/* Whom each shape cuts from whom, one way a line; the leader is 0, the others 1 and 2. */
static const struct shape {
    const char *name;
    unsigned cuts[4][2];
    unsigned count;
} shapes[] = {
    {"the leader alone", {{0, 1}, {1, 0}, {0, 2}, {2, 0}}, 4},
    {"a follower alone", {{1, 0}, {0, 1}, {1, 2}, {2, 1}}, 4},
    {"a bridge that leads", {{1, 2}, {2, 1}}, 2},
    {"a bridge that follows", {{0, 1}, {1, 0}}, 2},
    {"a leader that is not heard", {{0, 1}, {0, 2}}, 2},
    {"a leader that hears nobody", {{1, 0}, {2, 0}}, 2},
    {"a follower that is not heard", {{1, 0}, {1, 2}}, 2},
    {"a follower that hears nobody", {{0, 1}, {2, 1}}, 2},
    {"everybody alone, one way", {{0, 1}, {1, 2}, {2, 0}}, 3},
};

static const char *network_host_of_port(unsigned port)
{
    return network_host((port - cluster.base_port) / 3);
}

static void partitions_of_every_shape_harm_nobody(void **state)
{
    (void)state;
    if (!network_open(NODES)) {
        print_message("# SKIP namespaces need root\n");
        skip();
    }
    redis_host = network_host_of_port;
    open_cluster(NODES, (struct cluster){.network = true});
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct shape *shape = &shapes[i];
        unsigned leader = cluster_leader(&cluster);
        for (unsigned k = 0; k < shape->count; k++) {
            unsigned from = (leader - 1 + shape->cuts[k][0]) % NODES + 1;
            unsigned to = (leader - 1 + shape->cuts[k][1]) % NODES + 1;
            network_cut(from, to);
            assert_false(network_passes(from, to));
        }
        usleep(1200000);
        network_heal();
        for (unsigned k = 0; k < 6; k++)
            assert_true(network_passes(k / 2 + 1, (k / 2 + 1 + k % 2) % NODES + 1));
        traffic_wait(&traffic, 30);
    }
    close_cluster();
    redis_host = NULL;
    network_close();
}

/* A shape that leaves a majority connected leaves the service there, and soon. */
static void a_majority_goes_on_without_its_leader(void **state)
{
    (void)state;
    struct redis redis;
    if (!network_open(NODES)) {
        print_message("# SKIP namespaces need root\n");
        skip();
    }
    redis_host = network_host_of_port;
    cluster = (struct cluster){.network = true};
    cluster_open(&cluster, NODES);
    unsigned leader = cluster_leader(&cluster), other = leader % NODES + 1;
    for (unsigned node = 1; node <= NODES; node++) {
        if (node != leader) {
            network_cut(leader, node);
            network_cut(node, leader);
        }
    }
    uint64_t begun_ms = cluster_now_ms();
    redis_open(&redis, cluster_port(&cluster, other), 10000);
    bool served = false;
    while (!served && cluster_now_ms() - begun_ms < 10000) {
        struct reply *reply = redis_ask(&redis, "ADDJOB work x 500");
        served = reply->type == REPLY_STATUS;
        reply_free(reply);
    }
    uint64_t took_ms = cluster_now_ms() - begun_ms;
    print_message("# the majority served again after %llu ms\n", (unsigned long long)took_ms);
    assert_true(served && took_ms < 5000);
    redis_close(&redis);
    redis_open(&redis, cluster_port(&cluster, leader), 10000);
    begun_ms = cluster_now_ms();
    struct reply *reply = redis_ask(&redis, "ADDJOB work x 500"); /* it promises nothing */
    assert_true(cluster_now_ms() - begun_ms < 3000);              /* and says so in time */
    assert_int_equal(reply->type, REPLY_ERROR);
    assert_true(strncmp(reply->text, "UNKNOWN", 7) == 0 ||
                strncmp(reply->text, "NOLEADER", 8) == 0);
    reply_free(reply);
    redis_close(&redis);
    network_heal();
    cluster_close(&cluster);
    redis_host = NULL;
    network_close();
}

static void flip(unsigned node, const char *files, unsigned at)
{
    char path[300], command[800];
    cluster_path(&cluster, node, path, sizeof path);
    snprintf(command, sizeof command,
             "ls %s/%s >/dev/null && for f in %s/%s; do printf '\\125' | "
             "dd of=$f bs=1 seek=%u conv=notrunc 2>/dev/null; done",
             path, files, path, files, at);
    assert_int_equal(system(command), 0);
}

/* The log of one node, and in the next round the newest snapshots of another. What is damaged is
 * not trusted: the node comes back by its log, or as a new disk. */
static void turned_bits_on_one_disk_are_healed_from_the_others(void **state)
{
    (void)state;
    open_cluster(NODES, (struct cluster){.extra = {"--snapshot-entries", "100"}});
    for (unsigned round = 0; round < 3; round++) {
        unsigned node = round + 1;
        traffic_wait(&traffic, 500);
        cluster_wait_info(&cluster, node, "snapshot_index", 100);
        cluster_kill(&cluster, node);
        if (round != 1)
            flip(node, "log-*", 700);
        if (round != 0)
            flip(node, "snapshot-*", 90);
        cluster_start(&cluster, node);
        uint64_t end_ms = cluster_now_ms() + 20000;
        while (cluster_info(&cluster, node, "leader") == 0 && cluster_now_ms() < end_ms) {
            struct redis redis;
            redis_open(&redis, cluster_port(&cluster, node % NODES + 1), WAIT_MS);
            reply_free(redis_ask(&redis, "CLUSTER REPLACE %u", node));
            redis_close(&redis);
            usleep(100000);
        }
        cluster_wait_info(&cluster, node, "leader", 1);
    }
    /* A replaced disk must count again before the next may be lost. */
    traffic_wait(&traffic, 100);
    close_cluster();
}

/* Memory of what was acknowledged is free, and the log is cut, though a node does not come back. */
static void acknowledged_jobs_cost_nothing_while_a_node_is_away(void **state)
{
    (void)state;
    enum { JOBS = 2000 };
    struct redis redis;
    cluster = (struct cluster){.extra = {"--snapshot-entries", "50"}};
    cluster_open(&cluster, NODES);
    unsigned away = cluster_leader(&cluster) % NODES + 1;
    cluster_kill(&cluster, away);
    unsigned leader = cluster_leader(&cluster);
    redis_open(&redis, cluster_port(&cluster, leader), WAIT_MS);
    for (int i = 0; i < JOBS; i++)
        redis_send(&redis, "ADDJOB work 0123456789 0");
    for (int i = 0; i < JOBS; i++)
        reply_free(redis_receive(&redis));
    assert_int_equal(redis_integer(&redis, "QLEN work"), JOBS);
    for (int done = 0; done < JOBS;) {
        struct reply *reply = redis_ask(&redis, "GETJOB NOHANG COUNT 50 FROM work");
        assert_int_equal(reply->type, REPLY_LIST);
        for (size_t i = 0; i < reply->count; i++, done++)
            assert_int_equal(
                redis_integer(&redis, "ACKJOB %s", reply->elements[i].elements[1].text), 1);
        reply_free(reply);
    }
    redis_close(&redis);
    for (unsigned node = 1; node <= NODES; node++) {
        if (node == away)
            continue;
        cluster_wait_info(&cluster, node, "jobs_acked", JOBS);
        assert_int_equal(cluster_info(&cluster, node, "job_bytes"), 0);
        cluster_wait_info(&cluster, node, "snapshot_index", 500);
    }
    cluster_start(&cluster, away);
    cluster_wait_info(&cluster, away, "jobs_acked", JOBS);
    assert_int_equal(cluster_info(&cluster, away, "job_bytes"), 0);
    cluster_close(&cluster);
}

/* Wall clocks. */

static char clock_path[300];

static void set_clock(const char *offset)
{
    FILE *file = fopen(clock_path, "we");
    assert_non_null(file);
    fputs(offset, file);
    fclose(file);
}

/* How far the newest line of this node's log is from the true time: the step is seen to be there.
 */
static long logged_offset(unsigned node)
{
    char path[320], line[512], last[512] = "";
    struct redis redis;
    redis_open(&redis, cluster_port(&cluster, node), WAIT_MS);
    redis_expect(&redis, "OK", "CONFIG SET log-level debug");
    for (int i = 0; i < 3; i++) { /* a peer that does not know the secret is worth a line */
        struct redis stranger;
        redis_open(&stranger, cluster_peer_port(&cluster, node), WAIT_MS);
        redis_send_bytes(&stranger, "nonsense that is no hello", 25);
        reply_free(redis_receive(&stranger));
        redis_close(&stranger);
    }
    redis_expect(&redis, "OK", "CONFIG SET log-level info");
    redis_close(&redis);
    snprintf(path, sizeof path, "%s/%u.log", cluster.directory, node);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        snprintf(last, sizeof last, "%s", line);
    fclose(file);
    struct tm day = {0};
    assert_non_null(strptime(last, "%Y-%m-%dT%H:%M:%S", &day));
    return (long)(timegm(&day) - time(NULL));
}

/* As Disque was measured: 50 jobs are held by consumers when the clocks of all nodes jump. All come
 * again, after their lease and no more than a second and what this machine's load takes later. */
static void jump(const char *offset, long seconds)
{
    enum { JOBS = 50, RETRY_MS = 2000, SLACK_MS = 4000 };
    struct redis redis;
    char held[JOBS][36];
    redis_open(&redis, cluster_port(&cluster, cluster_leader(&cluster)), 10000);
    for (int i = 0; i < JOBS; i++)
        redis_expect(&redis, "D-", "ADDJOB clock x 0 RETRY 2 TTL 86400");
    uint64_t taken_ms = cluster_now_ms();
    struct reply *reply = redis_ask(&redis, "GETJOB NOHANG COUNT %d FROM clock", JOBS);
    assert_int_equal(reply->count, JOBS);
    for (int i = 0; i < JOBS; i++)
        snprintf(held[i], sizeof held[i], "%s", reply->elements[i].elements[1].text);
    reply_free(reply);
    set_clock(offset);
    for (unsigned node = 1; node <= NODES; node++) {
        long seen = logged_offset(node);
        if (labs(seen - seconds) > 60)
            fail_msg("node %u: its clock is off by %ld s, not by %ld", node, seen, seconds);
    }
    for (int came = 0; came < JOBS;) {
        reply = redis_ask(&redis, "GETJOB TIMEOUT 5000 COUNT %d FROM clock", JOBS);
        uint64_t after_ms = cluster_now_ms() - taken_ms;
        if (reply->type != REPLY_LIST)
            fail_msg("%s: %d of %d came again", offset, came, JOBS);
        assert_in_range(after_ms, RETRY_MS, RETRY_MS + SLACK_MS);
        for (size_t i = 0; i < reply->count; i++, came++)
            assert_int_equal(
                redis_integer(&redis, "ACKJOB %s", reply->elements[i].elements[1].text), 1);
        reply_free(reply);
    }
    assert_int_equal(redis_integer(&redis, "ACKJOB %s", held[0]), 0);
    redis_close(&redis);
}

static void wall_clocks_may_jump(void **state)
{
    (void)state;
    if (access(CLUSTER_FAKETIME, R_OK) != 0) {
        print_message("# SKIP libfaketime is not installed\n");
        skip();
    }
    if (getenv("ORDEAL_BUILD") != NULL && strstr(getenv("ORDEAL_BUILD"), "san-") != NULL) {
        print_message("# SKIP sanitizers and libfaketime do not go together\n");
        skip();
    }
    const char *temporary = getenv("TMPDIR");
    snprintf(clock_path, sizeof clock_path, "%s/clock.%d", temporary ? temporary : "/tmp",
             (int)getpid());
    set_clock("+0");
    open_cluster(NODES, (struct cluster){.clock = clock_path});
    jump("+2d", 2 * 86400);
    jump("-1h", -3600);
    jump("+0", 0);
    close_cluster();
    unlink(clock_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_minority_may_be_killed_at_any_rate),
        cmocka_unit_test(stops_of_any_node_harm_nobody),
        cmocka_unit_test(turned_bits_on_one_disk_are_healed_from_the_others),
        cmocka_unit_test(acknowledged_jobs_cost_nothing_while_a_node_is_away),
        cmocka_unit_test(wall_clocks_may_jump),
        /* From here on in networks of its own. */
        cmocka_unit_test(partitions_of_every_shape_harm_nobody),
        cmocka_unit_test(a_majority_goes_on_without_its_leader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
