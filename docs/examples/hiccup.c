/* A nemesis of one's own: the system's first daemon hiccups on one node, stopping and going on
 * several times. See docs/extending.md.
 *
 *   cc -shared -fPIC -I/usr/local/include/ordeal -o hiccup.so hiccup.c
 *   ordeal run --nemesis ./hiccup.so ...
 *
 * Stopping is a primitive of the harness that is written to a journal on the node first: should
 * ordeal die, the node's agent lets the daemon go on. */
#include <time.h>

#include "harness/nemesis.h"

static const struct option options[] = {
    {"times", OPTION_INT, "3", NULL, "how often it hiccups before it stays stopped"},
    {.name = NULL},
};

static enum err_code check(struct test *test, struct err *err)
{
    if (test->plan->system->daemons[0] == NULL)
        return err_set(err, ERR_CONFIG, "it needs a system with daemons");
    return ERR_NONE;
}

/* Drawn from the seed, and quick: the run waits for it. */
static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    uint32_t node = (uint32_t)prng_below(prng, test->node_count);
    return value_string(arena, test->nodes[node].name);
}

static node_set where(const struct test *test, struct value asked)
{
    node_set nodes = 0;
    for (uint32_t i = 0; i < test->node_count; i++)
        if (value_equal(asked, value_string(test->arena, test->nodes[i].name)))
            nodes |= NODE_SET(i);
    return nodes;
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    const char *daemon = test->plan->system->daemons[0];
    const struct timespec moment = {.tv_nsec = 50 * 1000 * 1000};
    fault->nodes = where(test, fault->asked);
    for (int64_t i = option_int(&test->plan->options, "hiccup.times"); i > 0; i--) {
        if (daemon_signal(test, fault->nodes, daemon, "STOP", NULL, err) != ERR_NONE)
            return err->code; /* nothing of it is left in force */
        nanosleep(&moment, NULL);
        if (daemon_signal(test, fault->nodes, daemon, "CONT", NULL, err) != ERR_NONE)
            return err->code;
        nanosleep(&moment, NULL);
    }
    /* daemon_signal verifies what it does, and says so. */
    if (daemon_signal(test, fault->nodes, daemon, "STOP", &fault->begun_evidence, err) != ERR_NONE)
        return err->code;
    fault->done = fault->asked;
    fault->begun_verified = VERIFIED_YES;
    return ERR_NONE;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    if (daemon_signal(test, fault->nodes, test->plan->system->daemons[0], "CONT",
                      &fault->ended_evidence, err) != ERR_NONE)
        return err->code;
    fault->ended_verified = VERIFIED_YES;
    return ERR_NONE;
}

const struct nemesis ORDEAL_NEMESIS = {
    .name = "hiccup", /* as the file is called */
    .summary = "stops a daemon of one node several times",
    .options = options,
    .begin_f = "start-hiccup",
    .end_f = "stop-hiccup",
    .hits = HITS_PROCESSES,
    .where = where,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
