/* Flapping: links that go and come in quick succession, as with a loose plug or a route that
 * changes its mind, and are gone in the end until the fault is over. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/cutting.h"
#include "nemeses/grudge.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static enum err_code check(struct test *test, struct err *err)
{
    const struct options *options = &test->plan->options;
    if (cutting_check(test, 2, err) != ERR_NONE)
        return err->code;
    int64_t times = option_int(options, "flap.times");
    if (times < 1 || times > 100)
        return err_set(err, ERR_CONFIG, "flap.times: %lld is not from 1 to 100", (long long)times);
    if (option_duration_ns(options, "flap.for") > 10 * NS_PER_SECOND ||
        option_duration_ns(options, "flap.pause") > 10 * NS_PER_SECOND)
        return err_set(err, ERR_CONFIG, "flap.for and flap.pause: they are 10s at most");
    return targets_check(test, "flap.targets", err);
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    return targets_choose(test, "flap.targets", prng, arena);
}

static void wait(struct test *test, const char *option)
{
    int64_t until_ns = test_now_ns(test) + option_duration_ns(&test->plan->options, option);
    while (test_now_ns(test) < until_ns && !test_cancelled(test))
        clock_sleep_ns(10 * NS_PER_MS);
}

/* Gone, seen to be, and back, seen to be. */
static enum err_code flap_once(struct test *test, const char *name, const node_set *drops,
                               struct err *err)
{
    enum err_code code = network_block(test, name, drops, PACKETS_ALL, NULL, err);
    if (code == ERR_NONE)
        code = cutting_verify(test, drops, CUTTING_BEGIN_NS, NULL, err);
    if (code == ERR_NONE)
        wait(test, "flap.for");
    if (code == ERR_NONE)
        code = cutting_undo(test, name, err);
    if (code == ERR_NONE)
        code = cutting_verify(test, NULL, CUTTING_END_NS, NULL, err);
    if (code == ERR_NONE)
        wait(test, "flap.pause");
    return code;
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    node_set nodes = 0, drops[PLAN_NODES_MAX] = {0};
    struct grudge grudge = {.shape = SHAPE_MAP};
    struct err cause = ERR_INIT, back = ERR_INIT;
    struct buf probes = BUF_INIT;
    char name[32], took[32];
    int64_t times = option_int(&test->plan->options, "flap.times");
    enum err_code code = targets_resolve(test, fault->asked, &nodes, err);
    if (code != ERR_NONE)
        return err_wrap(err, "flap");
    snprintf(name, sizeof name, "flap-%u", fault->id);
    cutting_alone(test, nodes, drops);
    int64_t began_ns = test_now_ns(test);
    for (int64_t i = 0; i < times && code == ERR_NONE; i++)
        code = flap_once(test, name, drops, &cause);
    clock_format_human(test_now_ns(test) - began_ns, took, sizeof took);
    if (code == ERR_NONE)
        code = network_block(test, name, drops, PACKETS_ALL, NULL, &cause);
    if (code == ERR_NONE)
        code = cutting_verify(test, drops, CUTTING_BEGIN_NS, &probes, &cause);
    if (code == ERR_NONE) {
        memcpy(grudge.drops, drops, sizeof grudge.drops);
        buf_printf(&fault->begun_evidence,
                   "gone and back %lld times in %s, each seen to be; then gone: %s",
                   (long long)times, took, buf_text(&probes));
        fault->begun_verified = VERIFIED_YES;
        fault->nodes = nodes;
        fault->done = value_pair(fault->arena, value_keyword(fault->arena, "isolated"),
                                 grudge_drops_value(test, &grudge, fault->arena));
    } else if (cutting_undo(test, name, &back) != ERR_NONE) {
        err_set(err, code, "flap: %s; and it could not be undone: %s", cause.message, back.message);
    } else {
        err_set(err, code, "flap: not in force, and undone: %s", cause.message);
    }
    buf_free(&probes);
    return code;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    char name[32];
    snprintf(name, sizeof name, "flap-%u", fault->id);
    return cutting_end(test, fault, name, "healing links that flapped",
                       "links flap no more, but the network is not whole", err);
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {"times", OPTION_INT, "4", NULL, "How often the links of the targets go and come back."},
    {"for", OPTION_DURATION, "100ms", NULL, "How long they are gone, once seen to be."},
    {"pause", OPTION_DURATION, "100ms", NULL, "How long they are back in between."},
    {.name = NULL},
};

const struct nemesis nemesis_flap = {
    .name = "flap",
    .summary = "cuts nodes off and lets them back in quick succession",
    .options = options,
    .begin_f = "start-flap",
    .end_f = "stop-flap",
    .hits = HITS_NETWORK,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
