/* The Raft core in the simulator: thousands of schedules, each from a seed that is printed when it
 * fails.
 *
 * RAFT_SIM_SEED=n runs that seed alone (RAFT_SIM_TRACE=1 tells what happens); RAFT_SIM_SECONDS=n
 * runs new seeds for so long. */
#include "tests/queue/lib/raft_simulator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void add(struct simulation_result *total, const struct simulation_result *result)
{
    total->steps += result->steps;
    total->virtual_ms += result->virtual_ms;
    total->committed += result->committed;
    total->elections += result->elections;
    total->reads += result->reads;
    total->installs += result->installs;
    total->wipes += result->wipes;
    total->crashes += result->crashes;
    total->changes += result->changes;
    total->transfers += result->transfers;
    total->entries_read += result->entries_read;
}

static void seeds_hold(void **state)
{
    (void)state;
    const char *seed = getenv("RAFT_SIM_SEED"), *limit = getenv("RAFT_SIM_SECONDS");
    struct simulation_options options = {.seed = seed ? strtoull(seed, NULL, 0) : 1,
                                         .trace = getenv("RAFT_SIM_TRACE") != NULL};
    uint64_t first = options.seed, failures = 0, ran = 0;
    if (limit && !seed) {
        options.seed = first = (uint64_t)time(NULL) * 1000;
    }
    struct simulation_result total = {0}, result;
    double start = seconds(), end = start + (limit ? atof(limit) : 10);
    do {
        simulation_check(&options, &result);
        add(&total, &result);
        failures += result.failed;
        ran++;
        options.seed++;
    } while (!seed && failures < 3 && seconds() < end);
    double took = seconds() - start;
    printf("# seeds %lu to %lu: %lu steps (%.2f million a minute), %lu virtual s, %lu committed, "
           "%lu elections, %lu reads, %lu changes, %lu crashes, %lu disks lost, %lu snapshots "
           "installed, "
           "%lu transfers, %lu entries read back\n",
           first, first + ran - 1, total.steps, (double)total.steps / took * 60 / 1e6,
           total.virtual_ms / 1000, total.committed, total.elections, total.reads, total.changes,
           total.crashes, total.wipes, total.installs, total.transfers, total.entries_read);
    assert_int_equal(failures, 0);
    assert_true(seed || total.entries_read > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
