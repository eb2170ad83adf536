/* Limits the memory of daemons: they may have so much more than they have now. By a control
 * group's limit, whose excess the kernel answers with SIGKILL, or by one on each process, which
 * makes its requests fail. A daemon that dies of it is not said to have crashed; it is started
 * again in the end. */
#include "nemeses/limits.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static const struct limits_kind kind = {.what = "memory",
                                        .word = "short-of-memory",
                                        .targets = "memory.targets",
                                        .value = "memory.more",
                                        .means = "memory.means",
                                        .low = 1,
                                        .high = 1048576};

static enum err_code check(struct test *test, struct err *err)
{
    return limits_check(test, &kind, err);
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    return limits_choose(test, &kind, prng, arena);
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    return limits_begin(test, &kind, fault, err);
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {"more", OPTION_INT, "16", NULL, "MiB that they may take besides what they have."},
    {"means", OPTION_CHOICE, "any", "any|cgroup|rlimit",
     "cgroup: who takes too much is killed; rlimit: is refused more; any: the first of these that "
     "the node has."},
    {.name = NULL},
};

const struct nemesis nemesis_memory = {
    .name = "memory",
    .summary = "limits the memory that the system's daemons can get",
    .options = options,
    .begin_f = "start-memory",
    .end_f = "stop-memory",
    .fault_state_size = sizeof(struct limits_state),
    .hits = HITS_PROCESSES,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = limits_end,
};
