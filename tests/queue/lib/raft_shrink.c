/* From a failing seed to the few faults that matter: delta debugging (Zeller and Hildebrandt,
 * 2002). */
#include "tests/queue/lib/raft_simulator.h"

#include <stdio.h>
#include <string.h>

static bool still_fails(const struct simulation_options *options, const struct fault *faults,
                        size_t count)
{
    struct simulation_result result;
    simulation_run(options, faults, count, &result);
    return result.failed;
}

static size_t without(const struct fault *faults, size_t count, size_t from, size_t size,
                      struct fault *rest)
{
    size_t end = from + size < count ? from + size : count;
    memcpy(rest, faults, from * sizeof *faults);
    memcpy(rest + from, faults + end, (count - end) * sizeof *faults);
    return count - (end - from);
}

size_t simulation_shrink(const struct simulation_options *options, struct fault *faults,
                         size_t count)
{
    struct simulation_options quiet = *options;
    quiet.trace = false;
    struct fault rest[SIMULATION_FAULTS_MAX];
    size_t size = count > 1 ? count / 2 : 1;
    while (size > 0 && count > 0) {
        bool smaller = false;
        for (size_t from = 0; from < count;) {
            size_t left = without(faults, count, from, size, rest);
            if (still_fails(&quiet, rest, left)) {
                memcpy(faults, rest, left * sizeof *faults);
                count = left;
                smaller = true;
            } else {
                from += size;
            }
        }
        if (!smaller || size > count) {
            size = size > 1 ? size / 2 : smaller && count > 0 ? 1 : 0;
        }
    }
    return count;
}

const char *simulation_lie_name(enum simulation_lie lie)
{
    static const char *const names[LIE_COUNT] = {
        "no lie",         "told of durability early", "term and vote forgotten",
        "disk id reused", "log cut unnoticed",        "reads answered from local state",
    };
    return names[lie];
}

static const char *const fault_names[FAULT_KINDS] = {
    [FAULT_CRASH] = "crash",
    [FAULT_CRASH_ALL] = "crash all",
    [FAULT_WIPE] = "wipe",
    [FAULT_ROT] = "rot",
    [FAULT_PAUSE] = "pause",
    [FAULT_RATE] = "clock rate",
    [FAULT_PARTITION] = "partition",
    [FAULT_ISOLATE] = "isolate",
    [FAULT_LINK] = "cut link",
    [FAULT_HEAL] = "heal network",
    [FAULT_LOSS] = "loss",
    [FAULT_DUPLICATE] = "duplicate",
    [FAULT_DELAY] = "delay",
    [FAULT_DISK_SLOW] = "slow disk",
    [FAULT_SNAPSHOT] = "snapshot",
    [FAULT_MEMBER] = "member",
    [FAULT_TRANSFER] = "transfer",
    [FAULT_AMBUSH] = "ambush",
    [FAULT_AMBUSH_VOTER] = "ambush voter",
};

void simulation_print(const struct simulation_options *options, const struct fault *faults,
                      size_t count, const struct simulation_result *result)
{
    fprintf(stderr, "# RAFT_SIM_SEED=%lu: %s\n", options->seed, result->message);
    for (size_t i = 0; i < count; i++) {
        fprintf(stderr, "#   %5u ms  %-12s  node %u  value %u\n", faults[i].at_ms,
                fault_names[faults[i].kind], faults[i].node, faults[i].value);
    }
}

void simulation_check(const struct simulation_options *options, struct simulation_result *result)
{
    struct fault faults[SIMULATION_FAULTS_MAX];
    size_t count = simulation_faults(options, faults);
    simulation_run(options, faults, count, result);
    if (!result->failed) {
        return;
    }
    simulation_print(options, faults, 0, result);
    count = simulation_shrink(options, faults, count);
    struct simulation_result shrunk;
    simulation_run(options, faults, count, &shrunk);
    fprintf(stderr, "# with only these faults (node 0: whoever leads):\n");
    simulation_print(options, faults, count, &shrunk);
}
