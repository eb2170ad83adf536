/* What a million jobs cost a real server, all included: resident memory before and after.
 *
 * QUEUE_MEMORY_JOBS=n adds so many; without it, as many as a quick test allows. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/sanitized.h"
#include "tests/queue/lib/cluster.h"

enum {
    WAIT_MS = 20000,
    BODY_BYTES = 100,
    JOB_BYTES_MAX = 220,
    QUICK_JOBS = 200000,
    PIPELINE = 500,
    /* What does not grow with the number of jobs: the log's newest entries and buffers. */
    FIXED_BYTES = 8 << 20,
    MISSED_JOBS = 60000,
    NODES = 3,
};

static uint64_t resident_bytes(struct cluster *cluster, unsigned node)
{
    char path[64];
    unsigned long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)cluster->pids[node]);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %lu", &pages), 1);
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_jobs(struct redis *redis, uint64_t jobs)
{
    char body[BODY_BYTES + 1], request[256];
    memset(body, 'x', BODY_BYTES);
    body[BODY_BYTES] = '\0';
    int length =
        snprintf(request, sizeof request,
                 "*4\r\n$6\r\nADDJOB\r\n$1\r\nq\r\n$%d\r\n%s\r\n$1\r\n0\r\n", BODY_BYTES, body);
    char *many = malloc((size_t)length * PIPELINE);
    assert_non_null(many);
    for (int i = 0; i < PIPELINE; i++)
        memcpy(many + (size_t)i * (size_t)length, request, (size_t)length);
    for (uint64_t i = 0; i < jobs; i += PIPELINE) {
        redis_send_bytes(redis, many, (size_t)length * PIPELINE);
        for (int k = 0; k < PIPELINE; k++) {
            struct reply *reply = redis_receive(redis);
            assert_int_equal(reply->type, REPLY_STATUS);
            reply_free(reply);
        }
    }
    free(many);
}

static void a_job_costs_what_was_promised(void **state)
{
    (void)state;
    if (SANITIZED)
        skip(); /* sanitizers bring their own allocator, and shadows */
    const char *asked = getenv("QUEUE_MEMORY_JOBS");
    uint64_t jobs = asked != NULL ? strtoull(asked, NULL, 10) : QUICK_JOBS;
    struct cluster cluster = {.extra = {"--fsync", "no"}};
    struct redis redis;
    cluster_open(&cluster, 1);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    uint64_t before = resident_bytes(&cluster, 1);
    add_jobs(&redis, jobs);
    uint64_t grown = resident_bytes(&cluster, 1) - before;
    print_message("# %" PRIu64
                  " jobs: %.1f bytes each resident, of them %.1f in the log's window\n",
                  jobs, (double)grown / (double)jobs,
                  (double)cluster_info(&cluster, 1, "window_memory_bytes") / (double)jobs);
    assert_int_equal(cluster_info(&cluster, 1, "jobs_ready"), jobs);
    assert_true(grown <= jobs * JOB_BYTES_MAX + (asked != NULL ? 0 : FIXED_BYTES));
    redis_close(&redis);
    cluster_close(&cluster);
}

/* It missed more than is kept in memory, and less than would make a snapshot: the leader reads back
 * from its disk what it sends. */
static void a_follower_far_behind_is_sent_what_the_disk_has(void **state)
{
    (void)state;
    struct cluster cluster = {.extra = {"--fsync", "no"}};
    struct redis redis;
    cluster_open(&cluster, NODES);
    unsigned leader = cluster_leader(&cluster), behind = leader % NODES + 1;
    cluster_kill(&cluster, behind);
    redis_open(&redis, cluster_port(&cluster, leader), WAIT_MS);
    add_jobs(&redis, MISSED_JOBS);
    redis_close(&redis);
    assert_true(cluster_info(&cluster, leader, "window_memory_bytes") < 5 << 20);
    assert_true(cluster_info(&cluster, leader, "window_bytes") > 6 << 20);
    cluster_start(&cluster, behind);
    cluster_wait_info(&cluster, behind, "jobs_added", MISSED_JOBS);
    assert_true(cluster_info(&cluster, leader, "entries_read") > 0);
    assert_int_equal(cluster_info(&cluster, behind, "snapshots_received"), 0);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_follower_far_behind_is_sent_what_the_disk_has),
        cmocka_unit_test(a_job_costs_what_was_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
