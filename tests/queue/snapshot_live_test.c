/* Snapshots of a server at work: each is the state at one index, whatever changes while it is
 * written. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/queue/lib/cluster.h"

enum { WAIT_MS = 10000, PIPELINE = 50, ROUNDS = 120, SNAPSHOTS = 5, NUMBERS = 9 };

static const char *const numbers[NUMBERS] = {
    "jobs_added",   "jobs_acked",   "jobs_ready",      "jobs_leased",    "jobs_dead",
    "jobs_delayed", "jobs_deleted", "done_remembered", "jobs_delivered",
};

static void expect_all(struct redis *redis, int count, enum reply_type type)
{
    for (int i = 0; i < count; i++) {
        struct reply *reply = redis_receive(redis);
        assert_int_equal(reply->type, type);
        reply_free(reply);
    }
}

/* Adds, then takes as many, of which half are acknowledged, a few die, and the rest is leased. */
static void work_round(struct redis *redis, int round)
{
    for (int i = 0; i < PIPELINE; i++)
        redis_send(redis, "ADDJOB work %d-%d 0 RETRY 3600 KEY k%d-%d KEYTTL 3600", round, i, round,
                   i);
    expect_all(redis, PIPELINE, REPLY_STATUS);
    struct reply *taken = redis_ask(redis, "GETJOB NOHANG COUNT %d FROM work", PIPELINE - 1);
    assert_int_equal(taken->type, REPLY_LIST);
    int asked = 0;
    for (size_t i = 0; i < taken->count; i++) {
        const char *id = taken->elements[i].elements[1].text;
        if (i % 2 == 0)
            redis_send(redis, "ACKJOB %s", id);
        else if (i % 7 == 1)
            redis_send(redis, "NACK %s DEAD", id);
        else if (i % 7 == 3)
            redis_send(redis, "DELJOB %s", id);
        else
            continue;
        asked++;
    }
    reply_free(taken);
    expect_all(redis, asked, REPLY_INTEGER);
}

static void look(struct cluster *cluster, uint64_t *seen)
{
    for (int i = 0; i < NUMBERS; i++)
        seen[i] = cluster_info(cluster, 1, numbers[i]);
}

static void a_snapshot_under_change_is_of_one_moment(void **state)
{
    (void)state;
    struct cluster cluster = {.extra = {"--snapshot-entries", "20"}};
    struct redis redis;
    uint64_t before[NUMBERS], after[NUMBERS];
    cluster_open(&cluster, 1);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    int rounds = 0;
    uint64_t snapshots = 0;
    /* On a machine that is busy the writers of snapshots are slow, and fewer fit into so many. */
    while (rounds < ROUNDS || (snapshots < SNAPSHOTS && rounds < 20 * ROUNDS)) {
        work_round(&redis, rounds++);
        if (rounds >= ROUNDS && rounds % 10 == 0)
            snapshots = cluster_info(&cluster, 1, "snapshots");
    }
    redis_close(&redis);
    look(&cluster, before);
    snapshots = cluster_info(&cluster, 1, "snapshots");
    print_message("# %" PRIu64 " snapshots, the last fork took %" PRIu64 " us\n", snapshots,
                  cluster_info(&cluster, 1, "snapshot_fork_us"));
    assert_true(snapshots >= SNAPSHOTS);
    assert_int_equal(before[0], rounds * PIPELINE);
    cluster_kill(&cluster, 1);
    cluster_start(&cluster, 1);
    cluster_leader(&cluster);
    assert_true(cluster_info(&cluster, 1, "snapshot_index") > 0);
    look(&cluster, after);
    for (int i = 0; i < NUMBERS; i++) {
        if (before[i] != after[i])
            fail_msg("%s: %" PRIu64 " before, %" PRIu64 " after", numbers[i], before[i], after[i]);
    }
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_under_change_is_of_one_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
