/* Producers, consumers, and the reckoning. */
#include "tests/queue/lib/traffic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 3000, PROGRESS_MS_MAX = 30000, CHECK_MS_MAX = 30000 };

static void keep(struct traffic_worker *worker, const char *id)
{
    if (worker->count == worker->capacity) {
        worker->capacity = worker->capacity * 2 + 1024;
        worker->ids = realloc(worker->ids, worker->capacity * sizeof *worker->ids);
    }
    snprintf(worker->ids[worker->count++], sizeof *worker->ids, "%.35s", id);
    atomic_fetch_add(&worker->traffic->answered, 1);
}

static void work_once(struct traffic_worker *worker, struct redis *redis)
{
    struct reply *reply =
        worker->kind == TRAFFIC_KEEPS  ? redis_ask(redis, "ADDJOB keep body 1000 RETRY 3600")
        : worker->kind == TRAFFIC_ONCE ? redis_ask(redis, "ADDJOB once body 1000 RETRY 0")
                                       : redis_ask(redis, "GETJOB TIMEOUT 100 COUNT 5 FROM once");
    if (reply->type == REPLY_STATUS)
        keep(worker, reply->text);
    for (size_t i = 0; i < reply->count; i++)
        keep(worker, reply->elements[i].elements[1].text);
    reply_free(reply);
}

static void *work(void *context)
{
    struct traffic_worker *worker = context;
    struct redis redis = {.socket = -1};
    while (!atomic_load(&worker->traffic->stop)) {
        if (redis.socket < 0)
            redis_open(&redis, cluster_port(worker->traffic->cluster, worker->node), WAIT_MS);
        if (redis.socket >= 0)
            work_once(worker, &redis);
        else
            usleep(20000);
    }
    redis_close(&redis);
    return NULL;
}

void traffic_start(struct traffic *traffic, struct cluster *cluster)
{
    memset(traffic, 0, sizeof *traffic);
    traffic->cluster = cluster;
    for (unsigned i = 0; i < cluster->nodes * TRAFFIC_KINDS; i++) {
        struct traffic_worker *worker = &traffic->workers[i];
        *worker = (struct traffic_worker){.traffic = traffic,
                                          .node = i / TRAFFIC_KINDS + 1,
                                          .kind = (enum traffic_kind)(i % TRAFFIC_KINDS)};
        assert_int_equal(pthread_create(&worker->thread, NULL, work, worker), 0);
    }
}

void traffic_wait(struct traffic *traffic, unsigned long answers)
{
    unsigned long wanted = atomic_load(&traffic->answered) + answers;
    uint64_t end_ms = cluster_now_ms() + PROGRESS_MS_MAX;
    while (atomic_load(&traffic->answered) < wanted) {
        if (cluster_now_ms() > end_ms)
            fail_msg("only %lu requests were answered in %d ms, of %lu",
                     answers - (wanted - atomic_load(&traffic->answered)), PROGRESS_MS_MAX,
                     answers);
        usleep(5000);
    }
}

/* All ids of one kind, sorted. */
struct ids {
    char (*list)[36];
    size_t count;
};

static int compare(const void *left, const void *right)
{
    return strcmp(left, right);
}

static struct ids gather(struct traffic *traffic, enum traffic_kind kind)
{
    struct ids ids = {0};
    for (unsigned i = kind; i < traffic->cluster->nodes * TRAFFIC_KINDS; i += TRAFFIC_KINDS) {
        const struct traffic_worker *worker = &traffic->workers[i];
        ids.list = realloc(ids.list, (ids.count + worker->count + 1) * sizeof *ids.list);
        if (worker->count > 0)
            memcpy(ids.list + ids.count, worker->ids, worker->count * sizeof *ids.list);
        ids.count += worker->count;
    }
    qsort(ids.list, ids.count, sizeof *ids.list, compare);
    return ids;
}

/* Every job there is, by a scan, which gets each of them whoever leads. */
static struct ids scan(struct traffic *traffic, const char *queue)
{
    struct ids ids = {0};
    struct redis redis = {.socket = -1};
    char cursor[32] = "0";
    uint64_t end_ms = cluster_now_ms() + CHECK_MS_MAX;
    do {
        if (redis.socket < 0)
            redis_open(&redis, cluster_port(traffic->cluster, cluster_leader(traffic->cluster)),
                       WAIT_MS);
        struct reply *reply = redis_ask(&redis, "JSCAN %s COUNT 1000 QUEUE %s", cursor, queue);
        if (reply->type == REPLY_LIST) {
            const struct reply *found = &reply->elements[1];
            ids.list = realloc(ids.list, (ids.count + found->count + 1) * sizeof *ids.list);
            for (size_t i = 0; i < found->count; i++)
                snprintf(ids.list[ids.count++], sizeof *ids.list, "%s", found->elements[i].text);
            snprintf(cursor, sizeof cursor, "%s", reply->elements[0].text);
        } else if (cluster_now_ms() > end_ms) {
            fail_msg("JSCAN: %s", reply->text ? reply->text : "broken");
        } else {
            cursor[0] = 'x'; /* another node's cursors are as good, but be sure */
        }
        reply_free(reply);
        if (cursor[0] == 'x') {
            ids.count = 0;
            snprintf(cursor, sizeof cursor, "0");
            continue;
        }
    } while (strcmp(cursor, "0") != 0 || ids.list == NULL);
    redis_close(&redis);
    qsort(ids.list, ids.count, sizeof *ids.list, compare);
    return ids;
}

static void nothing_is_lost(const struct ids *added, const struct ids *found)
{
    for (size_t i = 0; i < added->count; i++) {
        if (bsearch(added->list[i], found->list, found->count, sizeof *found->list, compare) ==
            NULL)
            fail_msg("%s was acknowledged and is gone (%zu acknowledged, %zu there)",
                     added->list[i], added->count, found->count);
    }
}

/* And no list has an id twice. */
static void nothing_is_twice(const struct ids *ids, const char *what)
{
    for (size_t i = 1; i < ids->count; i++) {
        if (strcmp(ids->list[i - 1], ids->list[i]) == 0)
            fail_msg("%s %s twice", ids->list[i], what);
    }
}

static void counters_conserve(struct cluster *cluster, unsigned node)
{
    static const char *const parts[] = {"acked", "spent",   "expired", "deleted",
                                        "ready", "delayed", "leased",  "dead"};
    struct redis redis;
    char line[64];
    uint64_t sum = 0;
    uint64_t end_ms = cluster_now_ms() + CHECK_MS_MAX;
    redis_open(&redis, cluster_port(cluster, node), WAIT_MS);
    struct reply *reply = redis_ask(&redis, "INFO");
    /* It may be starting still, or not have heard yet what is committed. */
    while ((reply->type != REPLY_TEXT || strstr(reply->text, "\njobs_added:0\r") != NULL) &&
           cluster_now_ms() < end_ms) {
        reply_free(reply);
        redis_close(&redis);
        usleep(50000);
        redis_open(&redis, cluster_port(cluster, node), WAIT_MS);
        reply = redis_ask(&redis, "INFO");
    }
    assert_int_equal(reply->type, REPLY_TEXT);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(line, sizeof line, "\njobs_%s:", parts[i]);
        sum += strtoull(strstr(reply->text, line) + strlen(line), NULL, 10);
    }
    uint64_t added = strtoull(strstr(reply->text, "\njobs_added:") + 12, NULL, 10);
    if (added != sum || added == 0)
        fail_msg("node %u: %llu jobs were added, and %llu are accounted for", node,
                 (unsigned long long)added, (unsigned long long)sum);
    reply_free(reply);
    redis_close(&redis);
}

size_t traffic_check(struct traffic *traffic)
{
    struct cluster *cluster = traffic->cluster;
    cluster_leader(cluster);
    atomic_store(&traffic->stop, true);
    for (unsigned i = 0; i < cluster->nodes * TRAFFIC_KINDS; i++)
        pthread_join(traffic->workers[i].thread, NULL);
    struct ids kept = gather(traffic, TRAFFIC_KEEPS), taken = gather(traffic, TRAFFIC_TAKES);
    struct ids found = scan(traffic, "keep");
    nothing_is_lost(&kept, &found);
    nothing_is_twice(&found, "is there");
    nothing_is_twice(&taken, "was delivered");
    for (unsigned node = 1; node <= cluster->nodes; node++)
        counters_conserve(cluster, node);
    size_t count = kept.count;
    assert_true(count > 0 && taken.count > 0);
    free(kept.list);
    free(taken.list);
    free(found.list);
    for (unsigned i = 0; i < cluster->nodes * TRAFFIC_KINDS; i++)
        free(traffic->workers[i].ids);
    return count;
}
