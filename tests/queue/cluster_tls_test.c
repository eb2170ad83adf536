/* Three real servers that speak TLS to each other, know each other by names, and change from plain
 * to TLS one after the other. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/queue/lib/certificates.h"
#include "tests/queue/lib/cluster.h"
#include "tests/queue/lib/scratch.h"

enum { NODES = 3, WAIT_MS = 5000, JOBS = 50 };

static char *directory;
static char ca[300], cert[300], key[300], other_cert[300], other_key[300];

static int make_certificates(void **state)
{
    (void)state;
    directory = scratch_make();
    certificate_make(directory, "ca", NULL);
    certificate_make(directory, "server", "ca");
    certificate_make(directory, "stranger", NULL);
    certificate_make(directory, "other", "stranger");
    snprintf(ca, sizeof ca, "%s/ca.crt", directory);
    snprintf(cert, sizeof cert, "%s/server.crt", directory);
    snprintf(key, sizeof key, "%s/server.key", directory);
    snprintf(other_cert, sizeof other_cert, "%s/other.crt", directory);
    snprintf(other_key, sizeof other_key, "%s/other.key", directory);
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    scratch_remove(directory);
    return 0;
}

static struct cluster make_cluster(const char *peers)
{
    return (struct cluster){.extra = {"--tls-peers", peers, "--tls-cert", cert, "--tls-key", key,
                                      "--tls-ca", ca, "--peer-secret", "known to all"}};
}

static void add_jobs(struct cluster *cluster, unsigned node)
{
    struct redis redis;
    redis_open(&redis, cluster_port(cluster, node), WAIT_MS);
    for (int i = 0; i < JOBS; i++)
        redis_expect(&redis, "D-", "ADDJOB work body-%d 5000", i);
    redis_close(&redis);
}

/* More than a record, and more than a socket takes at once. */
static void add_large(struct cluster *cluster, unsigned node)
{
    static char body[30001];
    struct redis redis;
    memset(body, 'b', sizeof body - 1);
    redis_open(&redis, cluster_port(cluster, node), WAIT_MS);
    for (int i = 0; i < JOBS; i++)
        redis_send(&redis, "ADDJOB large %s 5000", body);
    for (int i = 0; i < JOBS; i++) {
        struct reply *reply = redis_receive(&redis);
        assert_int_equal(reply->type, REPLY_STATUS);
        reply_free(reply);
    }
    redis_close(&redis);
}

static void nodes_speak_tls(void **state)
{
    (void)state;
    struct cluster cluster = make_cluster("required");
    cluster_open(&cluster, NODES);
    unsigned leader = cluster_leader(&cluster), other = leader % NODES + 1;
    add_jobs(&cluster, leader);
    add_large(&cluster, other); /* forwarded */
    cluster_kill(&cluster, leader);
    cluster_leader(&cluster);
    add_jobs(&cluster, other);
    cluster_start(&cluster, leader);
    cluster_wait_info(&cluster, leader, "jobs_added", 3 * JOBS);
    assert_int_equal(cluster_info(&cluster, leader, "jobs_added"), 3 * JOBS);
    cluster_close(&cluster);
}

/* With another authority's certificate, or with none at all. */
static void others_are_refused(void **state)
{
    (void)state;
    struct cluster cluster = make_cluster("required");
    cluster_open(&cluster, NODES);
    unsigned node = cluster_leader(&cluster) % NODES + 1, kept = node % NODES + 1;
    cluster_kill(&cluster, node);
    struct cluster stranger = cluster;
    stranger.extra[3] = other_cert;
    stranger.extra[5] = other_key;
    uint64_t refused = cluster_info(&cluster, kept, "peers_refused");
    cluster_start(&stranger, node);
    cluster_wait_info(&cluster, kept, "peers_refused", refused + 2);
    assert_int_equal(cluster_info(&stranger, node, "leader"), 0);
    cluster_kill(&stranger, node);
    stranger.extra[1] = "no";
    refused = cluster_info(&cluster, kept, "peers_refused");
    cluster_start(&stranger, node);
    cluster_wait_info(&cluster, kept, "peers_refused", refused + 2);
    assert_int_equal(cluster_info(&stranger, node, "leader"), 0);
    cluster_kill(&stranger, node);
    cluster_start(&cluster, node);
    cluster_wait_info(&cluster, node, "leader", 1);
    cluster_close(&cluster);
}

/* no -> optional -> required, each node restarted in its turn, with a majority up all the time. */
static void a_cluster_changes_to_tls_node_by_node(void **state)
{
    (void)state;
    static const char *const steps[] = {"optional", "required"};
    struct cluster cluster = make_cluster("no");
    cluster_open(&cluster, NODES);
    add_jobs(&cluster, 1);
    for (size_t step = 0; step < 2; step++) {
        cluster.extra[1] = steps[step];
        for (unsigned node = 1; node <= NODES; node++) {
            assert_int_equal(cluster_stop(&cluster, node), 0);
            cluster_start(&cluster, node);
            cluster_wait_info(&cluster, node, "leader", 1);
            cluster_leader(&cluster);
        }
        add_jobs(&cluster, 2);
    }
    cluster_wait_info(&cluster, 3, "jobs_added", 3 * JOBS);
    cluster_close(&cluster);
}

static void nodes_may_have_names(void **state)
{
    (void)state;
    struct cluster cluster = make_cluster("required");
    cluster.host = "localhost";
    cluster_open(&cluster, NODES);
    add_jobs(&cluster, 1);
    unsigned leader = cluster_leader(&cluster);
    cluster_kill(&cluster, leader);
    cluster_leader(&cluster);
    add_jobs(&cluster, leader % NODES + 1);
    cluster_start(&cluster, leader);
    cluster_wait_info(&cluster, leader, "jobs_added", 2 * JOBS);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_speak_tls),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(a_cluster_changes_to_tls_node_by_node),
        cmocka_unit_test(nodes_may_have_names),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
