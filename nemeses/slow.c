/* Slows daemons down: they get a share of one processor, by a quota of their control group or,
 * where there is none, by being stopped and resumed in turn. Unlike one that is paused, a slow
 * daemon answers, late: what waits for it neither goes on nor gives up. */
#include "nemeses/limits.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static const struct limits_kind kind = {.what = "cpu",
                                        .word = "slowed",
                                        .targets = "slow.targets",
                                        .value = "slow.percent",
                                        .means = "slow.means",
                                        .low = 1,
                                        .high = 90};

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
    {"percent", OPTION_INT, "5", NULL, "Their share of one processor, from 1 to 90."},
    {"means", OPTION_CHOICE, "any", "any|cgroup|steps",
     "By a control group's quota, or by stopping and resuming them in turn; any: the first of "
     "these "
     "that the node has."},
    {.name = NULL},
};

const struct nemesis nemesis_slow = {
    .name = "slow",
    .summary = "slows the system's daemons down to a share of one processor",
    .options = options,
    .begin_f = "start-slow",
    .end_f = "stop-slow",
    .fault_state_size = sizeof(struct limits_state),
    .hits = HITS_PROCESSES,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = limits_end,
};
