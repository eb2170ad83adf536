/* S8 on real servers: what one node took into its spool commits exactly once when it meets a
 * majority, whatever was killed meanwhile. */
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

enum { NODES = 3, WAIT_MS = 5000, ID_BYTES = 36, IDS_MAX = 100000, ALONE_JOBS = 200 };
enum { TOKEN_BYTES = ID_BYTES + 11 }; /* an id, and ":" with the number of the delivery */

struct ids {
    char (*list)[TOKEN_BYTES];
    size_t count;
};

static void ids_push(struct ids *ids, const char *id)
{
    if (ids->list == NULL)
        ids->list = calloc(IDS_MAX, sizeof *ids->list);
    assert_true(ids->count < IDS_MAX);
    snprintf(ids->list[ids->count++], TOKEN_BYTES, "%.*s", ID_BYTES - 1, id);
}

/* With the number of the delivery. */
static void tokens_push(struct ids *tokens, const char *token)
{
    ids_push(tokens, token);
    snprintf(tokens->list[tokens->count - 1], TOKEN_BYTES, "%s", token);
}

static int compare(const void *left, const void *right)
{
    return strcmp(left, right);
}

static int compare_ids(const void *left, const void *right)
{
    return strncmp(left, right, ID_BYTES - 1);
}

/* The same ids, each once in both. */
static void must_be_equal(struct ids *added, struct ids *got)
{
    qsort(added->list, added->count, sizeof *added->list, compare);
    qsort(got->list, got->count, sizeof *got->list, compare);
    for (size_t i = 1; i < got->count; i++)
        assert_string_not_equal(got->list[i - 1], got->list[i]);
    for (size_t i = 0; i < added->count; i++) {
        if (bsearch(added->list[i], got->list, got->count, sizeof *got->list, compare) == NULL)
            fail_msg("%s was spooled and never came (%zu spooled, %zu came)", added->list[i],
                     added->count, got->count);
    }
}

/* Leaves only this node running, and waits until it knows that it has no leader. */
static void isolate(struct cluster *cluster, unsigned node)
{
    for (unsigned other = 1; other <= NODES; other++) {
        if (other != node && cluster->pids[other] != 0)
            cluster_kill(cluster, other);
    }
    uint64_t end_ms = cluster_now_ms() + 10000;
    while (cluster_info(cluster, node, "leader") != 0 && cluster_now_ms() < end_ms)
        usleep(10000);
    assert_int_equal(cluster_info(cluster, node, "leader"), 0);
}

static void spool(struct cluster *cluster, unsigned node, unsigned count, struct ids *ids)
{
    struct redis redis;
    redis_open(&redis, cluster_port(cluster, node), WAIT_MS);
    for (unsigned i = 0; i < count; i++) {
        struct reply *reply = redis_ask(&redis, "ADDJOB work body-%u 5000 RETRY 3600 SPOOL", i);
        assert_int_equal(reply->type, REPLY_STATUS);
        assert_string_equal(reply->text + ID_BYTES - 1, " spooled");
        ids_push(ids, reply->text);
        reply_free(reply);
    }
    redis_close(&redis);
}

static void wait_drained(struct cluster *cluster, unsigned node)
{
    uint64_t end_ms = cluster_now_ms() + 20000;
    while (cluster_now_ms() < end_ms) {
        if (cluster_info(cluster, node, "process_id") != 0 &&
            cluster_info(cluster, node, "spool_jobs") == 0)
            return;
        usleep(10000);
    }
    fail_msg("the spool of node %u still holds %llu jobs", node,
             (unsigned long long)cluster_info(cluster, node, "spool_jobs"));
}

static void take_all(struct cluster *cluster, struct ids *got)
{
    struct redis redis;
    redis_open(&redis, cluster_port(cluster, cluster_leader(cluster)), WAIT_MS);
    for (bool more = true; more;) {
        struct reply *reply = redis_ask(&redis, "GETJOB NOHANG COUNT 100 FROM work");
        assert_true(reply->type == REPLY_LIST || reply->type == REPLY_NULL);
        for (size_t i = 0; i < reply->count; i++)
            ids_push(got, reply->elements[i].elements[1].text);
        more = reply->type == REPLY_LIST;
        reply_free(reply);
    }
    redis_close(&redis);
}

static void a_node_alone_keeps_its_word(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct ids added = {0}, got = {0};
    cluster_open(&cluster, NODES);
    isolate(&cluster, 1);
    spool(&cluster, 1, ALONE_JOBS, &added);
    assert_int_equal(cluster_info(&cluster, 1, "spool_jobs"), ALONE_JOBS);
    cluster_kill(&cluster, 1);
    cluster_start(&cluster, 1);
    cluster_wait_info(&cluster, 1, "spool_jobs", ALONE_JOBS);
    cluster_start(&cluster, 2);
    cluster_leader(&cluster);
    wait_drained(&cluster, 1);
    take_all(&cluster, &got);
    assert_int_equal(got.count, ALONE_JOBS);
    must_be_equal(&added, &got);
    /* And a clean stop keeps it as well as a kill does. */
    cluster_kill(&cluster, 2);
    isolate(&cluster, 1);
    spool(&cluster, 1, 5, &added);
    assert_int_equal(cluster_stop(&cluster, 1), 0);
    cluster_start(&cluster, 1);
    cluster_start(&cluster, 3);
    cluster_leader(&cluster);
    wait_drained(&cluster, 1);
    take_all(&cluster, &got);
    must_be_equal(&added, &got);
    free(added.list);
    free(got.list);
    cluster_close(&cluster);
}

/* A producer of each node, and consumers that acknowledge at once. Ids of finished jobs are not
 * remembered here, so only the spool's numbers keep a job from being there twice. */
struct worker {
    struct cluster *cluster;
    unsigned node;
    bool consumes;
    atomic_bool *stop;
    struct ids ids;
    size_t empty, committed;
    pthread_t thread;
};

static void produce(struct worker *worker, struct redis *redis)
{
    struct reply *reply = redis_ask(redis, "ADDJOB work x 50 RETRY 3600 SPOOL");
    if (reply->type == REPLY_STATUS)
        ids_push(&worker->ids, reply->text);
    worker->committed += reply->type == REPLY_STATUS && strstr(reply->text, "committed");
    reply_free(reply);
}

static void consume(struct worker *worker, struct redis *redis)
{
    struct reply *reply = redis_ask(redis, "GETJOB FENCED TIMEOUT 300 COUNT 10 FROM work");
    worker->empty = reply->type == REPLY_NULL ? worker->empty + 1 : 0;
    for (size_t i = 0; i < reply->count; i++) {
        const char *id = reply->elements[i].elements[1].text;
        tokens_push(&worker->ids, id);
        reply_free(redis_ask(redis, "ACKJOB %s", id));
    }
    reply_free(reply);
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct redis redis = {.socket = -1};
    while (!atomic_load(worker->stop)) {
        if (redis.socket < 0)
            redis_open(&redis, cluster_port(worker->cluster, worker->node), WAIT_MS);
        if (redis.socket < 0)
            usleep(20000);
        else if (worker->consumes)
            consume(worker, &redis);
        else
            produce(worker, &redis);
    }
    redis_close(&redis);
    return NULL;
}

static void start(struct worker *workers, struct cluster *cluster, bool consumes, atomic_bool *stop)
{
    for (unsigned i = 0; i < NODES; i++) {
        workers[i] =
            (struct worker){.cluster = cluster, .node = i + 1, .consumes = consumes, .stop = stop};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
}

static size_t gather(struct worker *workers, struct ids *ids)
{
    size_t committed = 0;
    for (unsigned i = 0; i < NODES; i++) {
        pthread_join(workers[i].thread, NULL);
        for (size_t k = 0; k < workers[i].ids.count; k++)
            tokens_push(ids, workers[i].ids.list[k]);
        committed += workers[i].committed;
        free(workers[i].ids.list);
    }
    return committed;
}

static void wait_empty(struct cluster *cluster)
{
    uint64_t end_ms = cluster_now_ms() + 20000;
    for (unsigned node = 1; node <= NODES; node++)
        wait_drained(cluster, node);
    unsigned leader = cluster_leader(cluster);
    while (cluster_info(cluster, leader, "jobs_ready") > 0 && cluster_now_ms() < end_ms)
        usleep(10000);
    assert_int_equal(cluster_info(cluster, leader, "jobs_ready"), 0);
}

/* A job whose delivery nobody heard of (its consumer's node was killed) is leased, and none other
 * may be missing. One that came again has a higher number: the server took it back when the
 * consumer's connection had ended before the answer. The same number twice is a second job. */
static void must_have_come(struct cluster *cluster, struct ids *added, struct ids *got)
{
    size_t missing = 0;
    uint64_t leased = cluster_info(cluster, cluster_leader(cluster), "jobs_leased");
    qsort(got->list, got->count, sizeof *got->list, compare);
    for (size_t i = 1; i < got->count; i++)
        assert_string_not_equal(got->list[i - 1], got->list[i]);
    for (size_t i = 0; i < added->count; i++)
        missing +=
            bsearch(added->list[i], got->list, got->count, sizeof *got->list, compare_ids) == NULL;
    if (missing > leased)
        fail_msg("%zu of %zu spooled jobs are missing, %llu are leased", missing, added->count,
                 (unsigned long long)leased);
}

static void kills_while_draining_repeat_nothing(void **state)
{
    (void)state;
    struct cluster cluster = {.extra = {"--snapshot-entries", "200"}};
    struct worker producers[NODES], consumers[NODES];
    struct ids added = {0}, got = {0};
    struct redis redis;
    atomic_bool stop = false, stop_consuming = false;
    cluster_open(&cluster, NODES);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    redis_expect(&redis, "OK", "CONFIG SET done-max 0");
    redis_close(&redis);
    start(producers, &cluster, false, &stop);
    start(consumers, &cluster, true, &stop_consuming);
    for (unsigned kill = 0; kill < 6; kill++) {
        unsigned node = kill % 2 == 0 ? cluster_leader(&cluster) : kill % NODES + 1;
        cluster_kill(&cluster, node);
        usleep(300000);
        cluster_start(&cluster, node);
        cluster_wait_info(&cluster, node, "leader", 1);
        usleep(200000);
    }
    atomic_store(&stop, true);
    size_t committed = gather(producers, &added);
    wait_empty(&cluster);
    atomic_store(&stop_consuming, true);
    gather(consumers, &got);
    assert_true(added.count > 100);
    assert_true(committed > 0);
    must_have_come(&cluster, &added, &got);
    free(added.list);
    free(got.list);
    cluster_close(&cluster);
}

static void receipts_say_what_is_known(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis redis;
    cluster_open(&cluster, NODES);
    unsigned leader = cluster_leader(&cluster);
    for (unsigned node = 1; node <= NODES; node++) {
        redis_open(&redis, cluster_port(&cluster, node), WAIT_MS);
        struct reply *reply = redis_ask(&redis, "ADDJOB work x 5000 SPOOL");
        assert_string_equal(reply->text + ID_BYTES - 1, " committed");
        reply_free(reply);
        reply = redis_ask(&redis, "ADDJOB work x 0 SPOOL");
        assert_string_equal(reply->text + ID_BYTES - 1, " spooled");
        reply_free(reply);
        reply = redis_ask(&redis, "ADDJOB work x 5000 SPOOL KEY same");
        assert_string_equal(reply->text + ID_BYTES - 1, " spooled");
        reply_free(reply);
        redis_expect(&redis, "ERR SPOOL and ASYNC", "ADDJOB work x 0 SPOOL ASYNC");
        redis_expect(&redis, "ERR the job's time", "ADDJOB work x 0 SPOOL DELAY 5 TTL 2");
        redis_expect(&redis, "ERR unknown command", "SPOOLED 1 1 x");
        redis_close(&redis);
        wait_drained(&cluster, node);
    }
    /* Three nodes, two jobs each, and one for the key. */
    assert_int_equal(cluster_info(&cluster, leader, "jobs_ready"), 7);
    cluster_close(&cluster);
}

static void a_full_spool_says_so(void **state)
{
    (void)state;
    struct cluster cluster = {.extra = {"--spool-max", "10k"}};
    struct redis redis;
    cluster_open(&cluster, NODES);
    isolate(&cluster, 1);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    unsigned taken = 0;
    for (bool full = false; !full && taken < 1000;) {
        struct reply *reply = redis_ask(&redis, "ADDJOB work 0123456789 0 SPOOL");
        full = reply->type == REPLY_ERROR;
        assert_true(!full || strncmp(reply->text, "OOM", 3) == 0);
        taken += !full;
        reply_free(reply);
    }
    assert_in_range(taken, 10, 999);
    redis_close(&redis);
    cluster_close(&cluster);
}

static void damage(struct cluster *cluster, unsigned node, const char *files)
{
    char path[300], command[800];
    cluster_path(cluster, node, path, sizeof path);
    snprintf(command, sizeof command,
             "for f in %s/%s; do printf '\\377\\377' | dd of=$f bs=1 seek=600 conv=notrunc "
             "2>/dev/null; done",
             path, files);
    assert_int_equal(system(command), 0);
}

/* A disk whose log is damaged does not vote any more, but its spool is as good as before. */
static void a_damaged_log_leaves_the_spool_alone(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct ids added = {0}, got = {0};
    struct redis redis;
    cluster_open(&cluster, NODES);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    for (int i = 0; i < 20; i++)
        redis_expect(&redis, "D-", "ADDJOB other x 0");
    redis_close(&redis);
    isolate(&cluster, 1);
    spool(&cluster, 1, 20, &added);
    cluster_kill(&cluster, 1);
    damage(&cluster, 1, "log-*");
    cluster_start(&cluster, 2);
    cluster_start(&cluster, 3);
    cluster_start(&cluster, 1);
    cluster_wait_info(&cluster, 1, "spool_jobs", 20);
    uint64_t end_ms = cluster_now_ms() + 10000;
    for (bool done = false; !done && cluster_now_ms() < end_ms;) {
        redis_open(&redis, cluster_port(&cluster, 2), WAIT_MS);
        struct reply *reply = redis_ask(&redis, "CLUSTER REPLACE 1");
        done = reply->type == REPLY_STATUS;
        reply_free(reply);
        redis_close(&redis);
    }
    wait_drained(&cluster, 1);
    take_all(&cluster, &got);
    must_be_equal(&added, &got);
    free(added.list);
    free(got.list);
    cluster_close(&cluster);
}

/* What cannot be read is not thrown away, and the node serves all the same. */
static void a_damaged_spool_is_left_and_told(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct ids added = {0};
    struct redis redis;
    cluster_open(&cluster, NODES);
    isolate(&cluster, 1);
    spool(&cluster, 1, 20, &added);
    cluster_kill(&cluster, 1);
    damage(&cluster, 1, "spool/log-*");
    cluster_start(&cluster, 1);
    cluster_start(&cluster, 2);
    cluster_leader(&cluster);
    cluster_wait_info(&cluster, 1, "leader", 1);
    assert_int_equal(cluster_info(&cluster, 1, "spool_unusable"), 1);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    redis_expect(&redis, "ERR the spool", "ADDJOB work x 0 SPOOL");
    redis_expect(&redis, "D-", "ADDJOB work x 0");
    redis_close(&redis);
    free(added.list);
    cluster_close(&cluster);
}

/* From a backup: numbers that the cluster knows would be given to other jobs. */
static void an_older_spool_is_found_out(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    struct redis redis;
    char path[300], command[1300];
    cluster_open(&cluster, NODES);
    cluster_path(&cluster, 1, path, sizeof path);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    for (int i = 0; i < 5; i++)
        redis_expect(&redis, "D-", "ADDJOB work x 5000 SPOOL");
    assert_int_equal(cluster_stop(&cluster, 1), 0);
    redis_close(&redis);
    snprintf(command, sizeof command, "cp -a %s/spool %s/../old", path, path);
    assert_int_equal(system(command), 0);
    cluster_start(&cluster, 1);
    cluster_wait_info(&cluster, 1, "leader", 1);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    for (int i = 0; i < 10; i++)
        redis_expect(&redis, "D-", "ADDJOB work x 5000 SPOOL");
    wait_drained(&cluster, 1);
    redis_close(&redis);
    cluster_kill(&cluster, 1);
    snprintf(command, sizeof command, "rm -r %s/spool && mv %s/../old %s/spool", path, path, path);
    assert_int_equal(system(command), 0);
    cluster_start(&cluster, 1);
    cluster_wait_info(&cluster, 1, "leader", 1);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    /* The old copy holds five jobs that it does not know to be decided. Whether it hears of that
     * before or after it takes this one is a race: it may not call it added in either case. */
    struct reply *reply = redis_ask(&redis, "ADDJOB work x 5000 SPOOL");
    assert_int_equal(reply->type, REPLY_ERROR);
    assert_true(strncmp(reply->text, "UNKNOWN D-", 10) == 0 ||
                strncmp(reply->text, "ERR the spool", 13) == 0);
    reply_free(reply);
    redis_expect(&redis, "ERR the spool", "ADDJOB work x 5000 SPOOL");
    assert_int_equal(cluster_info(&cluster, 1, "spool_unusable"), 1);
    redis_expect(&redis, "D-", "ADDJOB work x 5000");
    redis_close(&redis);
    cluster_close(&cluster);
}

/* The planted defect: a job leaves the spool when it is handed on, so with nobody there to take it
 * the promise is broken. */
static void the_defect_breaks_the_promise(void **state)
{
    (void)state;
    struct cluster cluster = {.program = "ordeal-queue-defective",
                              .extra = {"--defect", "spool-deleted-early"}};
    struct ids added = {0}, got = {0};
    cluster_open(&cluster, NODES);
    isolate(&cluster, 1);
    spool(&cluster, 1, 20, &added);
    cluster_kill(&cluster, 1);
    cluster_start(&cluster, 1);
    cluster_start(&cluster, 2);
    cluster_leader(&cluster);
    wait_drained(&cluster, 1);
    take_all(&cluster, &got);
    assert_true(got.count < added.count);
    free(added.list);
    free(got.list);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_alone_keeps_its_word),
        cmocka_unit_test(kills_while_draining_repeat_nothing),
        cmocka_unit_test(receipts_say_what_is_known),
        cmocka_unit_test(a_full_spool_says_so),
        cmocka_unit_test(a_damaged_log_leaves_the_spool_alone),
        cmocka_unit_test(a_damaged_spool_is_left_and_told),
        cmocka_unit_test(an_older_spool_is_found_out),
        cmocka_unit_test(the_defect_breaks_the_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
