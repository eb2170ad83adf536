/* Limits the file descriptors of daemons: they may open so many more files and connections, and
 * then get EMFILE. A daemon that exits because of it is not said to have crashed; it is started
 * again in the end. */
#include "nemeses/limits.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static const struct limits_kind kind = {.what = "files",
                                        .word = "short-of-files",
                                        .targets = "files.targets",
                                        .value = "files.more",
                                        .low = 0,
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
    {"more", OPTION_INT, "0", NULL, "How many they may open besides those that they have."},
    {.name = NULL},
};

const struct nemesis nemesis_files = {
    .name = "files",
    .summary = "limits the file descriptors that the system's daemons can open",
    .options = options,
    .begin_f = "start-files",
    .end_f = "stop-files",
    .fault_state_size = sizeof(struct limits_state),
    .hits = HITS_PROCESSES,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = limits_end,
};
