/* What a job costs in memory, and what a command costs in time.
 *
 * Quick by default: it verifies the promise of 220 bytes per job of 100 bytes with 100 000 jobs.
 * QUEUE_BENCH_JOBS=1000000 measures that many, prints speeds too, and verifies nothing about them,
 * since they depend on the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "queue/slab.h"
#include "tests/queue/lib/state_trial.h"

#define BATCH 100
#define BODY_BYTES 100
#define BYTES_PER_JOB_MAX 220

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct bench {
    struct state *state;
    struct command_batch batch;
    uint64_t index, time_ms;
    uint64_t jobs, delivered;
    struct job_id ids[BATCH];
    double encoding_s, applying_s;
};

static void keep_ids(void *context, const struct state_result *result)
{
    struct bench *bench = context;
    for (uint32_t i = 0; i < result->count; i++)
        bench->ids[bench->delivered++ % BATCH] = result->jobs[i].id;
}

/* Applies the batch; counts the time. */
static void apply(struct bench *bench)
{
    struct state_listener listener = {bench, keep_ids, NULL};
    struct entry entry = {++bench->index, 1, ENTRY_COMMANDS, (uint32_t)bench->batch.length,
                          bench->batch.data};
    double start = now_s();
    assert_true(state_apply(bench->state, &entry, &listener, NULL));
    bench->applying_s += now_s() - start;
}

static void add(struct bench *bench, struct command *command)
{
    assert_true(command_batch_add(&bench->batch, command, NULL));
}

static void report(const char *what, uint64_t commands, double seconds)
{
    printf("# %-28s %9.0f a second\n", what, (double)commands / seconds);
}

static void add_jobs(struct bench *bench, uint64_t ttl_ms)
{
    static char body[BODY_BYTES + 1];
    memset(body, 'b', BODY_BYTES);
    struct command command = trial_add(0, "bench", body);
    command.add.ttl_ms = ttl_ms;
    command.add.retry_ms = 60000;
    bench->applying_s = 0;
    for (uint64_t i = 0; i < bench->jobs; i++) {
        if (i % BATCH == 0)
            command_batch_begin(&bench->batch, bench->time_ms += 1);
        command.id = trial_id(i + 1);
        add(bench, &command);
        if (i % BATCH == BATCH - 1)
            apply(bench);
    }
    report("ADD", bench->jobs, bench->applying_s);
}

static void take_and_ack(struct bench *bench)
{
    double taking_s = 0, acking_s = 0;
    bench->delivered = 0;
    for (uint64_t i = 0; i < bench->jobs / BATCH; i++) {
        struct command take = trial_take("bench", BATCH);
        struct command ack = {.type = COMMAND_ACK, .attempt = 1};
        bench->applying_s = 0;
        command_batch_begin(&bench->batch, bench->time_ms += 1);
        add(bench, &take);
        apply(bench);
        taking_s += bench->applying_s;
        bench->applying_s = 0;
        command_batch_begin(&bench->batch, bench->time_ms += 1);
        for (uint32_t k = 0; k < BATCH; k++) {
            ack.id = bench->ids[k];
            add(bench, &ack);
        }
        apply(bench);
        acking_s += bench->applying_s;
    }
    assert_int_equal(bench->delivered, bench->jobs);
    report("TAKE (jobs, by 100)", bench->jobs, taking_s);
    report("ACK", bench->jobs, acking_s);
}

/* Many jobs are waiting; each entry adds as many as it takes, one by one, and as it acknowledges of
 * those that the entry before it took. */
static void mixed(struct bench *bench)
{
    static char body[BODY_BYTES + 1];
    memset(body, 'b', BODY_BYTES);
    uint64_t rounds = bench->jobs / BATCH, number = bench->jobs;
    struct command command = trial_add(0, "bench", body);
    struct command take = trial_take("bench", 1), ack = {.type = COMMAND_ACK, .attempt = 1};
    command.add.retry_ms = 60000;
    bench->applying_s = 0;
    bench->delivered = 0;
    for (uint64_t i = 0; i <= rounds; i++) {
        command_batch_begin(&bench->batch, bench->time_ms += 1);
        for (uint32_t k = 0; k < BATCH; k++) {
            command.id = trial_id(++number);
            ack.id = bench->ids[k];
            if (i < rounds)
                add(bench, &command);
            if (i > 0)
                add(bench, &ack);
            if (i < rounds)
                add(bench, &take);
        }
        apply(bench);
    }
    struct state_info info;
    state_info(bench->state, &info);
    assert_int_equal(bench->delivered, rounds * BATCH);
    assert_int_equal(info.counters.acked, rounds * BATCH);
    assert_int_equal(info.counters.leased, 0);
    report("ADD, TAKE and ACK, mixed", rounds * BATCH * 3, bench->applying_s);
}

static uint64_t used_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd + slab_bytes();
}

static bool count_bytes(void *context, const void *data, size_t length)
{
    (void)data;
    *(uint64_t *)context += length;
    return true;
}

static void measure(struct bench *bench, uint64_t ttl_ms, const char *what, bool bounded)
{
    uint64_t used_before = used_bytes(), resident_before = resident_bytes(), snapshot_bytes = 0;
    bench->state = state_create();
    bench->index = bench->time_ms = 0;
    add_jobs(bench, ttl_ms);
    uint64_t used = used_bytes() - used_before, resident = resident_bytes() - resident_before;
    printf("# %s: %" PRIu64 " jobs of %d bytes: %.1f bytes each taken, %.1f resident\n", what,
           bench->jobs, BODY_BYTES, (double)used / (double)bench->jobs,
           (double)resident / (double)bench->jobs);
    if (bounded) {
        double start = now_s();
        assert_true(state_snapshot_write(bench->state, count_bytes, &snapshot_bytes));
        printf("# snapshot: %" PRIu64 " bytes in %.3f s\n", snapshot_bytes, now_s() - start);
        /* Whether the ordinary allocator was measured: sanitizers bring their own. */
        if (used_before)
            assert_true(used <= bench->jobs * BYTES_PER_JOB_MAX);
        mixed(bench);
        take_and_ack(bench);
    }
    state_free(bench->state);
    command_batch_free(&bench->batch);
    malloc_trim(0);
}

static void a_job_costs_what_was_promised(void **state)
{
    (void)state;
    static struct bench bench;
    const char *text = getenv("QUEUE_BENCH_JOBS");
    bench.jobs = text ? strtoull(text, NULL, 10) / BATCH * BATCH : 100000;
    command_batch_begin(&bench.batch, 0);
    measure(&bench, 0, "ready", true);
    measure(&bench, COMMAND_DURATION_MS_MAX, "ready, with a TTL", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_costs_what_was_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
