/* Planted defects in real servers: each scenario is run with the defective program, where it must
 * do harm that a client sees, and with the same program without the defect, where it must not. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/queue/lib/cluster.h"

enum { NODES = 3, WAIT_MS = 3000, ID_BYTES = 36, JOBS = 20 };

static void open_with(struct cluster *cluster, const char *defect, unsigned nodes)
{
    size_t used = 0;
    cluster->program = "ordeal-queue-defective";
    while (cluster->extra[used] != NULL)
        used++;
    if (defect != NULL) {
        cluster->extra[used++] = "--defect";
        cluster->extra[used] = defect;
    }
    cluster_open(cluster, nodes);
}

static void connect_to(struct redis *redis, struct cluster *cluster, unsigned node)
{
    redis_open(redis, cluster_port(cluster, node), WAIT_MS);
    assert_true(redis->socket >= 0);
}

static void add_jobs(struct cluster *cluster, unsigned node, const char *words)
{
    struct redis redis;
    connect_to(&redis, cluster, node);
    for (int i = 0; i < JOBS; i++)
        redis_expect(&redis, "D-", "ADDJOB %s", words);
    redis_close(&redis);
}

/* Linearizable, by whoever leads. */
static int64_t length(struct cluster *cluster)
{
    struct redis redis;
    connect_to(&redis, cluster, cluster_leader(cluster));
    int64_t jobs = redis_integer(&redis, "QLEN work");
    redis_close(&redis);
    return jobs;
}

static unsigned other_than(unsigned one, unsigned two)
{
    for (unsigned node = 1;; node++) {
        if (node != one && node != two)
            return node;
    }
}

/* Runs until a leader is heard of or the time is over. */
static bool has_leader(struct cluster *cluster, unsigned node, int wait_ms)
{
    uint64_t end_ms = cluster_now_ms() + (uint64_t)wait_ms;
    while (cluster_now_ms() < end_ms) {
        if (cluster_info(cluster, node, "leader") != 0)
            return true;
        usleep(20000);
    }
    return false;
}

/* Two requests that come together: the second must not get what the first got. */
static bool delivered_twice(const char *defect)
{
    struct cluster cluster = {0};
    struct redis redis;
    open_with(&cluster, defect, 1);
    connect_to(&redis, &cluster, 1);
    redis_expect(&redis, "D-", "ADDJOB work once 0 RETRY 0");
    redis_send(&redis, "GETJOB NOHANG FROM work");
    redis_send(&redis, "GETJOB NOHANG FROM work");
    struct reply *first = redis_receive(&redis), *second = redis_receive(&redis);
    assert_int_equal(first->type, REPLY_LIST);
    bool twice = second->type == REPLY_LIST;
    reply_free(first);
    reply_free(second);
    redis_close(&redis);
    cluster_close(&cluster);
    return twice;
}

/* A fail-over after deliveries at most once. */
static bool delivered_again(const char *defect)
{
    struct cluster cluster = {0};
    struct redis redis;
    open_with(&cluster, defect, NODES);
    unsigned leader = cluster_leader(&cluster);
    add_jobs(&cluster, leader, "work once 0 RETRY 0");
    connect_to(&redis, &cluster, leader);
    reply_free(redis_ask(&redis, "GETJOB COUNT 10 FROM work"));
    struct reply *reply = redis_ask(&redis, "GETJOB COUNT 10 FROM work");
    assert_int_equal(reply->count, 10);
    reply_free(reply);
    redis_close(&redis);
    cluster_wait_info(&cluster, leader % NODES + 1, "jobs_spent", JOBS);
    cluster_wait_info(&cluster, other_than(leader, leader % NODES + 1), "jobs_spent", JOBS);
    cluster_kill(&cluster, leader);
    connect_to(&redis, &cluster, cluster_leader(&cluster));
    reply = redis_ask(&redis, "GETJOB NOHANG COUNT 10 FROM work");
    bool again = reply->type == REPLY_LIST && reply->count > 0;
    reply_free(reply);
    redis_close(&redis);
    cluster_close(&cluster);
    return again;
}

/* One server under load, killed at once: of what it had acknowledged something is gone. */
static bool lost_by_a_kill(const char *defect)
{
    enum { SENT = 3000, ROUNDS = 6 };
    bool lost = false;
    struct cluster cluster = {0};
    char body[4001];
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    open_with(&cluster, defect, 1);
    int64_t acknowledged = 0;
    for (int round = 0; round < ROUNDS && !lost; round++) {
        struct redis redis;
        connect_to(&redis, &cluster, 1);
        int sent = 0;
        for (int half = 0; half < 2; half++) {
            for (; sent < SENT / (2 - half); sent++)
                redis_send(&redis, "ADDJOB work %s 0", body);
            if (half == 0) {
                struct reply *reply = redis_receive(&redis);
                acknowledged += reply->type == REPLY_STATUS;
                reply_free(reply);
            }
        }
        cluster_kill(&cluster, 1);
        for (bool more = true; more;) {
            struct reply *reply = redis_receive(&redis);
            more = reply->type == REPLY_STATUS;
            acknowledged += more;
            reply_free(reply);
        }
        redis_close(&redis);
        cluster_start(&cluster, 1);
        lost = length(&cluster) < acknowledged;
        /* What was not acknowledged may be there all the same, and must not hide a later loss. */
        acknowledged = length(&cluster);
    }
    cluster_close(&cluster);
    return lost;
}

/* What one node has acknowledged with the leader, and then forgets, while the third was away: then
 * the leader is away, and the forgetful one and the third are a majority that knows nothing. */
static bool lost_by_forgetting(const char *defect, void (*forget)(struct cluster *, unsigned))
{
    struct cluster cluster = {0};
    open_with(&cluster, defect, NODES);
    unsigned leader = cluster_leader(&cluster), forgetful = leader % NODES + 1;
    unsigned away = other_than(leader, forgetful);
    cluster_wait_info(&cluster, away, "leader", 1);
    cluster_kill(&cluster, away);
    add_jobs(&cluster, leader, "work keep 0 RETRY 3600");
    cluster_kill(&cluster, leader);
    cluster_kill(&cluster, forgetful);
    forget(&cluster, forgetful);
    cluster_start(&cluster, forgetful);
    cluster_start(&cluster, away);
    /* Two that know nothing may be slow to find each other; without the defect they never do. */
    bool lost =
        has_leader(&cluster, away, defect == NULL ? 2500 : 30000) && length(&cluster) < JOBS;
    cluster_start(&cluster, leader);
    if (!lost)
        assert_int_equal(length(&cluster), JOBS); /* the leader and the third have it all */
    cluster_close(&cluster);
    return lost;
}

static void damage_the_log(struct cluster *cluster, unsigned node)
{
    char path[300], command[800];
    cluster_path(cluster, node, path, sizeof path);
    /* In a frame of long ago, with many behind it. */
    snprintf(command, sizeof command,
             "for f in %s/log-*; do printf '\\377\\377' | dd of=$f bs=1 seek=2200 conv=notrunc "
             "2>/dev/null; done",
             path);
    assert_int_equal(system(command), 0);
}

/* How many jobs are seen by some node within the time; -1: nobody can tell. */
static int64_t seen_within(struct cluster *cluster, int wait_ms)
{
    uint64_t end_ms = cluster_now_ms() + (uint64_t)wait_ms;
    int64_t seen = -1;
    for (unsigned node = 1; seen < 0 && cluster_now_ms() < end_ms; node = node % NODES + 1) {
        struct redis redis;
        redis_open(&redis, cluster_port(cluster, node), 500);
        struct reply *reply = redis_ask(&redis, "QLEN work");
        seen = reply->type == REPLY_INTEGER ? reply->integer : -1;
        reply_free(reply);
        redis_close(&redis);
        usleep(seen < 0 ? 20000 : 0);
    }
    return seen;
}

static void pass_terms(struct cluster *cluster)
{
    for (unsigned node = 1; node <= NODES; node++) {
        struct redis redis;
        connect_to(&redis, cluster, cluster_leader(cluster));
        reply_free(redis_ask(&redis, "CLUSTER LEADER %u", node));
        redis_close(&redis);
        for (int i = 0; i < 200 && cluster_info(cluster, node, "leader") != node; i++)
            usleep(10000);
    }
}

/* All are killed, a few times: terms that were used begin again, until no log can be believed. */
static bool lost_by_kills_of_all(const char *defect)
{
    enum { ROUNDS = 4 };
    struct cluster cluster = {0};
    open_with(&cluster, defect, NODES);
    pass_terms(&cluster);
    pass_terms(&cluster);
    add_jobs(&cluster, cluster_leader(&cluster), "work keep 0 RETRY 3600");
    int64_t seen = JOBS;
    for (int round = 0; round < ROUNDS && seen == JOBS; round++) {
        for (unsigned node = 1; node <= NODES; node++)
            cluster_kill(&cluster, node);
        for (unsigned node = 1; node <= NODES; node++)
            cluster_start(&cluster, node);
        seen = seen_within(&cluster, defect == NULL ? 30000 : 5000);
    }
    cluster_close(&cluster);
    return seen != JOBS;
}

/* The same key again, after a restart from a snapshot. */
static bool key_twice(const char *defect)
{
    struct cluster cluster = {.extra = {"--snapshot-entries", "10"}};
    struct redis redis;
    char first[ID_BYTES];
    open_with(&cluster, defect, 1);
    connect_to(&redis, &cluster, 1);
    struct reply *reply = redis_ask(&redis, "ADDJOB work one 0 KEY k");
    assert_int_equal(reply->type, REPLY_STATUS);
    snprintf(first, sizeof first, "%s", reply->text);
    reply_free(reply);
    for (int i = 0; i < JOBS; i++)
        redis_expect(&redis, "D-", "ADDJOB other x 0");
    cluster_wait_info(&cluster, 1, "snapshots", 1);
    redis_close(&redis);
    cluster_kill(&cluster, 1);
    cluster_start(&cluster, 1);
    cluster_leader(&cluster);
    connect_to(&redis, &cluster, 1);
    reply = redis_ask(&redis, "ADDJOB work two 0 KEY k");
    bool twice = strncmp(reply->text, first, ID_BYTES - 1) != 0;
    reply_free(reply);
    redis_close(&redis);
    cluster_close(&cluster);
    return twice;
}

/* The first consumer's acknowledgement, when the job is long another's. */
static bool stale_ack_taken(const char *defect)
{
    struct cluster cluster = {0};
    struct redis redis;
    char id[ID_BYTES];
    open_with(&cluster, defect, 1);
    connect_to(&redis, &cluster, 1);
    struct reply *reply = redis_ask(&redis, "ADDJOB work x 0 RETRY 0.1");
    snprintf(id, sizeof id, "%s", reply->text);
    reply_free(reply);
    reply_free(redis_ask(&redis, "GETJOB FROM work"));
    reply_free(redis_ask(&redis, "GETJOB FROM work"));
    reply = redis_ask(&redis, "ACKJOB %s:1", id);
    bool taken = reply->type == REPLY_INTEGER && reply->integer == 1;
    assert_true(taken || strncmp(reply->text, "STALE", 5) == 0);
    reply_free(reply);
    redis_close(&redis);
    cluster_close(&cluster);
    return taken;
}

static void harms(bool (*scenario)(const char *), const char *defect)
{
    assert_false(scenario(NULL));
    assert_true(scenario(defect));
}

static void take_local(void **state)
{
    (void)state;
    harms(delivered_twice, "take-local");
}

static void reply_replay(void **state)
{
    (void)state;
    harms(delivered_again, "reply-replay");
}

static void ack_before_fsync(void **state)
{
    (void)state;
    harms(lost_by_a_kill, "ack-before-fsync");
}

static void disk_id_ignored(void **state)
{
    (void)state;
    assert_false(lost_by_forgetting(NULL, cluster_wipe));
    assert_true(lost_by_forgetting("disk-id-ignored", cluster_wipe));
}

static void cut_committed_tail(void **state)
{
    (void)state;
    assert_false(lost_by_forgetting(NULL, damage_the_log));
    assert_true(lost_by_forgetting("cut-committed-tail", damage_the_log));
}

static void vote_not_persisted(void **state)
{
    (void)state;
    harms(lost_by_kills_of_all, "vote-not-persisted");
}

static void keys_not_in_snapshot(void **state)
{
    (void)state;
    harms(key_twice, "keys-not-in-snapshot");
}

static void ack_any_attempt(void **state)
{
    (void)state;
    harms(stale_ack_taken, "ack-any-attempt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(take_local),           cmocka_unit_test(reply_replay),
        cmocka_unit_test(ack_before_fsync),     cmocka_unit_test(disk_id_ignored),
        cmocka_unit_test(cut_committed_tail),   cmocka_unit_test(vote_not_persisted),
        cmocka_unit_test(keys_not_in_snapshot), cmocka_unit_test(ack_any_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
