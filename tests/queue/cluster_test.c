/* Three real servers: what was acknowledged survives kills, pauses, restarts and lost disks, and
 * what may be delivered once is never delivered twice. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/queue/lib/cluster.h"

enum { NODES = 3, WAIT_MS = 3000, ID_BYTES = 36, IDS_MAX = 200000 };

/* Ids, sorted when they are compared. */
struct ids {
    char (*list)[ID_BYTES];
    size_t count;
};

static void ids_push(struct ids *ids, const char *id)
{
    if (ids->list == NULL)
        ids->list = calloc(IDS_MAX, sizeof *ids->list);
    assert_true(ids->count < IDS_MAX);
    snprintf(ids->list[ids->count++], ID_BYTES, "%.35s", id);
}

static int compare(const void *left, const void *right)
{
    return strcmp(left, right);
}

static void ids_sort(struct ids *ids)
{
    qsort(ids->list, ids->count, sizeof *ids->list, compare);
}

static bool ids_have(const struct ids *ids, const char *id)
{
    return ids->count > 0 && bsearch(id, ids->list, ids->count, sizeof *ids->list, compare) != NULL;
}

/* A client of one node in a thread of its own, until it is told to stop. */
struct worker {
    struct cluster *cluster;
    unsigned node;
    const char *words; /* after the command's name */
    bool consumes;
    atomic_bool *stop;
    struct ids ids;
    size_t unknown;
    pthread_t thread;
};

static void work_once(struct worker *worker, struct redis *redis, unsigned number)
{
    struct reply *reply =
        worker->consumes ? redis_ask(redis, "GETJOB TIMEOUT 200 COUNT 3 FROM %s", worker->words)
                         : redis_ask(redis, "ADDJOB %s w%u-%u 2000 RETRY %s", "work", worker->node,
                                     number, worker->words);
    if (reply->type == REPLY_STATUS)
        ids_push(&worker->ids, reply->text);
    else if (reply->type == REPLY_LIST)
        for (size_t i = 0; i < reply->count; i++)
            ids_push(&worker->ids, reply->elements[i].elements[1].text);
    else if (reply->type == REPLY_ERROR && strncmp(reply->text, "UNKNOWN", 7) == 0)
        worker->unknown++;
    reply_free(reply);
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct redis redis = {.socket = -1};
    for (unsigned number = 0; !atomic_load(worker->stop); number++) {
        if (redis.socket < 0)
            redis_open(&redis, cluster_port(worker->cluster, worker->node), WAIT_MS);
        if (redis.socket >= 0)
            work_once(worker, &redis, number);
        else
            usleep(20000);
    }
    redis_close(&redis);
    return NULL;
}

static void start_workers(struct worker *workers, struct cluster *cluster, const char *words,
                          bool consumes, atomic_bool *stop)
{
    for (unsigned i = 0; i < NODES; i++) {
        workers[i] = (struct worker){
            .cluster = cluster, .node = i + 1, .words = words, .consumes = consumes, .stop = stop};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
}

static void gather(struct worker *workers, struct ids *ids)
{
    for (unsigned i = 0; i < NODES; i++) {
        pthread_join(workers[i].thread, NULL);
        for (size_t k = 0; k < workers[i].ids.count; k++)
            ids_push(ids, workers[i].ids.list[k]);
        free(workers[i].ids.list);
    }
}

/* All that is there to be had, with long leases. How many takes were not answered: what such a one
 * has taken, if anything, nobody has, until its lease ends. */
static size_t drain(struct cluster *cluster, struct ids *ids)
{
    size_t unanswered = 0;
    struct redis redis = {.socket = -1};
    uint64_t end_ms = cluster_now_ms() + 20000;
    for (bool more = true; more && cluster_now_ms() < end_ms;) {
        if (redis.socket < 0)
            redis_open(&redis, cluster_port(cluster, cluster_leader(cluster)), WAIT_MS);
        struct reply *reply = redis_ask(&redis, "GETJOB NOHANG COUNT 1000 FROM work");
        for (size_t i = 0; reply->type == REPLY_LIST && i < reply->count; i++)
            ids_push(ids, reply->elements[i].elements[1].text);
        more = reply->type != REPLY_NULL;
        unanswered += reply->type == REPLY_ERROR || reply->type == REPLY_BROKEN;
        reply_free(reply);
    }
    redis_close(&redis);
    return unanswered;
}

static bool is_leased(struct cluster *cluster, const char *id)
{
    struct redis redis;
    redis_open(&redis, cluster_port(cluster, cluster_leader(cluster)), WAIT_MS);
    struct reply *reply = redis_ask(&redis, "SHOW %s", id);
    bool leased = reply->type == REPLY_LIST && reply->count > 5 &&
                  strcmp(reply->elements[5].text, "leased") == 0;
    reply_free(reply);
    redis_close(&redis);
    return leased;
}

static void must_all_be_there(struct cluster *cluster, struct ids *added)
{
    struct ids found_ids = {0}, *found = &found_ids;
    size_t unanswered = drain(cluster, found);
    ids_sort(found);
    for (size_t i = 0; i < added->count; i++) {
        if (ids_have(found, added->list[i]))
            continue;
        if (unanswered == 0 || !is_leased(cluster, added->list[i]))
            fail_msg("%s was acknowledged and is gone (%zu added, %zu found)", added->list[i],
                     added->count, found->count);
    }
    for (size_t i = 1; i < found->count; i++)
        assert_string_not_equal(found->list[i - 1], found->list[i]);
    free(added->list);
    free(found->list);
}

/* Waits until some more requests were answered, so that faults meet traffic. */
static void let_work(struct cluster *cluster, uint64_t jobs)
{
    unsigned leader = cluster_leader(cluster);
    cluster_wait_info(cluster, leader, "jobs_added",
                      cluster_info(cluster, leader, "jobs_added") + jobs);
}

static void restart(struct cluster *cluster, unsigned node)
{
    cluster_kill(cluster, node);
    cluster_leader(cluster);
    let_work(cluster, 50);
    cluster_start(cluster, node);
    cluster_wait_info(cluster, node, "leader", 1);
}

static void killing_the_leader_loses_nothing_acknowledged(void **state)
{
    (void)state;
    struct cluster cluster = {.extra = {"--peer-secret", "known to all"}};
    struct worker workers[NODES];
    struct ids added = {0};
    atomic_bool stop = false;
    cluster_open(&cluster, NODES);
    start_workers(workers, &cluster, "3600", false, &stop);
    for (int kill = 0; kill < 2; kill++) {
        let_work(&cluster, 100);
        restart(&cluster, cluster_leader(&cluster));
    }
    let_work(&cluster, 100);
    atomic_store(&stop, true);
    gather(workers, &added);
    assert_true(added.count > 300);
    must_all_be_there(&cluster, &added);
    cluster_close(&cluster);
}

static void at_most_once_is_never_twice(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct worker producers[NODES], consumers[NODES];
    struct ids added = {0}, got = {0};
    atomic_bool stop = false;
    cluster_open(&cluster, NODES);
    start_workers(producers, &cluster, "0", false, &stop);
    start_workers(consumers, &cluster, "work", true, &stop);
    for (int kill = 0; kill < 2; kill++) {
        let_work(&cluster, 100);
        restart(&cluster, cluster_leader(&cluster));
    }
    let_work(&cluster, 100);
    atomic_store(&stop, true);
    gather(producers, &added);
    gather(consumers, &got);
    assert_true(got.count > 200);
    ids_sort(&got);
    for (size_t i = 1; i < got.count; i++)
        assert_string_not_equal(got.list[i - 1], got.list[i]);
    free(added.list);
    free(got.list);
    cluster_close(&cluster);
}

static void a_stopped_leader_is_replaced_and_comes_back(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct worker workers[NODES];
    struct ids added = {0};
    atomic_bool stop = false;
    cluster_open(&cluster, NODES);
    start_workers(workers, &cluster, "3600", false, &stop);
    let_work(&cluster, 50);
    unsigned leader = cluster_leader(&cluster), other = leader % NODES + 1;
    cluster_signal(&cluster, leader, SIGSTOP);
    uint64_t before = cluster_info(&cluster, other, "jobs_added");
    cluster_wait_info(&cluster, other, "jobs_added", before + 100);
    assert_int_not_equal(cluster_info(&cluster, other, "leader"), leader);
    cluster_signal(&cluster, leader, SIGCONT);
    cluster_wait_info(&cluster, leader, "jobs_added", before + 100);
    atomic_store(&stop, true);
    gather(workers, &added);
    must_all_be_there(&cluster, &added);
    cluster_close(&cluster);
}

static void the_whole_cluster_may_be_killed(void **state)
{
    (void)state;
    struct cluster cluster = {.extra = {"--snapshot-entries", "100"}};
    struct worker workers[NODES];
    struct ids added = {0};
    atomic_bool stop = false;
    cluster_open(&cluster, NODES);
    start_workers(workers, &cluster, "3600", false, &stop);
    let_work(&cluster, 300);
    for (unsigned node = 1; node <= NODES; node++)
        cluster_kill(&cluster, node);
    for (unsigned node = 1; node <= NODES; node++)
        cluster_start(&cluster, node);
    let_work(&cluster, 100);
    atomic_store(&stop, true);
    gather(workers, &added);
    must_all_be_there(&cluster, &added);
    cluster_close(&cluster);
}

static void replace(struct cluster *cluster, unsigned node)
{
    struct redis redis;
    uint64_t end_ms = cluster_now_ms() + 10000;
    for (bool done = false; !done;) {
        redis_open(&redis, cluster_port(cluster, node % NODES + 1), WAIT_MS);
        struct reply *reply = redis_ask(&redis, "CLUSTER REPLACE %u", node);
        done = reply->type == REPLY_STATUS;
        if (!done && cluster_now_ms() > end_ms)
            fail_msg("CLUSTER REPLACE: %s", reply->text ? reply->text : "broken");
        reply_free(reply);
        redis_close(&redis);
    }
}

static void wait_voter(struct cluster *cluster, unsigned node)
{
    char line[128];
    uint64_t end_ms = cluster_now_ms() + 10000;
    snprintf(line, sizeof line, "%u 127.0.0.1:%u voter", node, cluster_peer_port(cluster, node));
    for (bool done = false; !done;) {
        struct redis redis;
        redis_open(&redis, cluster_port(cluster, node % NODES + 1), WAIT_MS);
        struct reply *reply = redis_ask(&redis, "CLUSTER NODES");
        const char *found = reply->text != NULL ? strstr(reply->text, line) : NULL;
        const char *end = found != NULL ? strchr(found, '\n') : NULL;
        const char *stale = found != NULL ? strstr(found, "another-disk") : NULL;
        done = found != NULL && (stale == NULL || stale > end);
        if (!done && cluster_now_ms() > end_ms)
            fail_msg("node %u is no voter: %s", node, reply->text ? reply->text : "");
        reply_free(reply);
        redis_close(&redis);
        usleep(20000);
    }
}

/* One disk after another is lost, each replaced before the next: at the end no node has its first
 * disk any more. */
static void every_disk_may_be_lost_in_turn(void **state)
{
    (void)state;
    struct cluster cluster = {.extra = {"--snapshot-entries", "100"}};
    struct worker workers[NODES];
    struct ids added = {0};
    atomic_bool stop = false;
    cluster_open(&cluster, NODES);
    start_workers(workers, &cluster, "3600", false, &stop);
    for (unsigned node = 1; node <= NODES; node++) {
        let_work(&cluster, 150);
        cluster_kill(&cluster, node);
        cluster_wipe(&cluster, node);
        cluster_start(&cluster, node);
        replace(&cluster, node);
        wait_voter(&cluster, node);
    }
    let_work(&cluster, 50);
    atomic_store(&stop, true);
    gather(workers, &added);
    must_all_be_there(&cluster, &added);
    cluster_close(&cluster);
}

static void flip_a_byte_of_the_log(struct cluster *cluster, unsigned node)
{
    char path[300], command[800];
    cluster_path(cluster, node, path, sizeof path);
    /* Within the first frames, which later ones follow: no interrupted write looks like that. */
    snprintf(command, sizeof command,
             "for f in %s/log-*; do printf '\\377\\377' | dd of=$f bs=1 seek=600 conv=notrunc "
             "2>/dev/null; done",
             path);
    assert_int_equal(system(command), 0);
}

static void a_damaged_log_does_not_vote(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis redis;
    cluster_open(&cluster, NODES);
    unsigned node = cluster_leader(&cluster) % NODES + 1;
    redis_open(&redis, cluster_port(&cluster, cluster_leader(&cluster)), WAIT_MS);
    for (int i = 0; i < 50; i++)
        redis_expect(&redis, "D-", "ADDJOB work body 0 RETRY 3600");
    cluster_wait_info(&cluster, node, "jobs_added", 50);
    cluster_kill(&cluster, node);
    flip_a_byte_of_the_log(&cluster, node);
    cluster_start(&cluster, node);
    replace(&cluster, node);
    wait_voter(&cluster, node);
    cluster_wait_info(&cluster, node, "jobs_ready", 50);
    redis_close(&redis);
    cluster_close(&cluster);
}

static void a_node_joins_and_leaves(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis redis;
    cluster_open(&cluster, NODES);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    for (int i = 0; i < 20; i++)
        redis_expect(&redis, "D-", "ADDJOB work body 0");
    cluster_start(&cluster, 4);
    redis_expect(&redis, "OK", "CLUSTER ADD 4 127.0.0.1:%u", cluster_peer_port(&cluster, 4));
    wait_voter(&cluster, 4);
    cluster_wait_info(&cluster, 4, "jobs_ready", 20);
    struct redis fourth;
    redis_open(&fourth, cluster_port(&cluster, 4), WAIT_MS);
    redis_expect(&fourth, "D-", "ADDJOB work body 0");
    redis_close(&fourth);
    redis_expect(&redis, "OK", "CLUSTER FORGET 4");
    redis_expect(&redis, "ERR no such member", "CLUSTER FORGET 4");
    redis_close(&redis);
    cluster_close(&cluster);
}

static void a_clean_stop_hands_over(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    cluster_open(&cluster, NODES);
    unsigned leader = cluster_leader(&cluster), other = leader % NODES + 1;
    uint64_t term = cluster_info(&cluster, other, "term");
    assert_int_equal(cluster_stop(&cluster, leader), 0);
    cluster_wait_info(&cluster, other, "term", term + 1);
    assert_int_not_equal(cluster_leader(&cluster), leader);
    cluster_close(&cluster);
}

static void followers_forward_or_redirect(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis redis;
    char moved[64];
    cluster_open(&cluster, NODES);
    unsigned leader = cluster_leader(&cluster);
    redis_open(&redis, cluster_port(&cluster, leader % NODES + 1), WAIT_MS);
    for (int i = 0; i < 500; i++)
        redis_send(&redis, "ADDJOB work %d 0", i);
    for (int i = 0; i < 500; i++) {
        struct reply *reply = redis_receive(&redis);
        assert_int_equal(reply->type, REPLY_STATUS);
        reply_free(reply);
    }
    assert_int_equal(redis_integer(&redis, "QLEN work"), 500);
    struct reply *reply = redis_ask(&redis, "GETJOB TIMEOUT 50 FROM none");
    assert_int_equal(reply->type, REPLY_NULL);
    reply_free(reply);
    redis_expect(&redis, "ERR syntax", "ADDJOB work x 0 PRI 11");
    redis_expect(&redis, "OK", "CLIENT REDIRECT on");
    snprintf(moved, sizeof moved, "MOVED 127.0.0.1:%u", cluster_port(&cluster, leader));
    redis_expect(&redis, moved, "ADDJOB work x 0");
    redis_close(&redis);
    cluster_close(&cluster);
}

static void strangers_without_the_secret_are_refused(void **state)
{
    (void)state;
    struct cluster cluster = {.extra = {"--peer-secret", "right"}};
    cluster_open(&cluster, NODES);
    unsigned node = cluster_leader(&cluster) % NODES + 1;
    cluster_kill(&cluster, node);
    cluster.extra[1] = "wrong";
    cluster_start(&cluster, node);
    cluster_wait_info(&cluster, node, "peers_refused", 2);
    assert_int_equal(cluster_info(&cluster, node, "leader"), 0);
    cluster_close(&cluster);
}

/* By a minority nothing is promised: an answer in time, and it says that nothing is known. */
static void without_a_majority_nothing_is_promised(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis redis;
    cluster_open(&cluster, NODES);
    unsigned leader = cluster_leader(&cluster);
    redis_open(&redis, cluster_port(&cluster, leader), WAIT_MS);
    for (unsigned node = 1; node <= NODES; node++) {
        if (node != leader)
            cluster_kill(&cluster, node);
    }
    redis_expect(&redis, "UNKNOWN D-", "ADDJOB work x 300");
    redis_close(&redis);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killing_the_leader_loses_nothing_acknowledged),
        cmocka_unit_test(at_most_once_is_never_twice),
        cmocka_unit_test(a_stopped_leader_is_replaced_and_comes_back),
        cmocka_unit_test(the_whole_cluster_may_be_killed),
        cmocka_unit_test(every_disk_may_be_lost_in_turn),
        cmocka_unit_test(a_damaged_log_does_not_vote),
        cmocka_unit_test(a_node_joins_and_leaves),
        cmocka_unit_test(a_clean_stop_hands_over),
        cmocka_unit_test(followers_forward_or_redirect),
        cmocka_unit_test(strangers_without_the_secret_are_refused),
        cmocka_unit_test(without_a_majority_nothing_is_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
