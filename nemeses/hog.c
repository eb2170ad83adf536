/* Burdens whole nodes: processes of the agent's that use the processors, or hold memory, within
 * bounds that leave the machine alive. Nodes of a local cluster share one machine, and so one
 * burden. */
#include <string.h>

#include "nemeses/daemons.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

struct state {
    node_set nodes;
    struct limit limit;
};

static bool may_hog(const struct test *test, const char *what)
{
    const char *asked = option_text(&test->plan->options, "hog.what");
    return strcmp(asked, "random") == 0 || strcmp(asked, what) == 0;
}

static enum err_code check_percent(const struct test *test, const char *name, struct err *err)
{
    int64_t value = option_int(&test->plan->options, name);
    if (value >= 1 && value <= 90)
        return ERR_NONE;
    return err_set(err, ERR_CONFIG, "%s=%lld is not from 1 to 90", name, (long long)value);
}

static enum err_code check(struct test *test, struct err *err)
{
    enum err_code code = targets_check(test, "hog.targets", err);
    if (code == ERR_NONE)
        code = check_percent(test, "hog.load", err);
    if (code == ERR_NONE)
        code = check_percent(test, "hog.memory", err);
    const struct limit cpu = {"cpu-hog", NULL, 1}, memory = {"memory-hog", NULL, 1};
    if (code == ERR_NONE && may_hog(test, "cpu"))
        code = limit_check(test, test_all_nodes(test), &cpu, err);
    if (code == ERR_NONE && may_hog(test, "memory"))
        code = limit_check(test, test_all_nodes(test), &memory, err);
    return code;
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    const struct options *options = &test->plan->options;
    struct value chosen = targets_choose(test, "hog.targets", prng, arena);
    const char *what = option_text(options, "hog.what");
    bool cpu = prng_below(prng, 2) == 0;
    if (strcmp(what, "random") == 0)
        what = cpu ? "cpu" : "memory";
    bool memory = strcmp(what, "memory") == 0;
    int64_t value = option_int(options, memory ? "hog.memory" : "hog.load");
    chosen = targets_add(chosen, "what", value_keyword(arena, what), arena);
    return targets_add(chosen, "value", value_int(arena, value), arena);
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    enum err_code code = targets_resolve(test, fault->asked, &state->nodes, err);
    if (code != ERR_NONE)
        return err_wrap(err, "hog");
    bool memory = strcmp(value_as_text(value_get(fault->asked, "what")), "memory") == 0;
    int64_t value = value_as_int(value_get(fault->asked, "value"));
    if (test->plan->local && !memory) /* the machine's processors are every node's */
        value = value / node_set_count(state->nodes) > 0 ? value / node_set_count(state->nodes) : 1;
    state->limit = (struct limit){memory ? "memory-hog" : "cpu-hog", NULL, value};
    code = limit_begin(test, state->nodes, NULL, &state->limit, &fault->begun_evidence, err);
    if (code != ERR_NONE) {
        buf_clear(&fault->begun_evidence);
        return daemons_wrap(test, "hog", state->nodes, err);
    }
    fault->nodes = state->nodes;
    fault->done = daemons_outcome(test, state->nodes, state->nodes,
                                  memory ? "memory-held" : "processors-used", "", fault->arena);
    fault->begun_verified = VERIFIED_YES;
    return ERR_NONE;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    const struct state *state = fault->state;
    enum { TRIES = 3 };
    enum err_code code = ERR_IO;
    for (int i = 0; i < TRIES && code != ERR_NONE; i++) {
        buf_clear(&fault->ended_evidence);
        code = limit_end(test, state->nodes, NULL, &state->limit, &fault->ended_evidence, err);
    }
    if (code != ERR_NONE)
        return daemons_wrap(test, "undoing it on", fault->nodes, err);
    buf_add_text(&fault->ended_evidence,
                 fault->ended_evidence.length > 0 ? "; all of it is gone" : "all of it is gone");
    fault->ended_verified = VERIFIED_YES;
    return ERR_NONE;
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {"what", OPTION_CHOICE, "random", "cpu|memory|random",
     "What is used up: the processors, or memory."},
    {"load", OPTION_INT, "75", NULL,
     "How much of every processor is used, in percent; nodes of a local cluster share it."},
    {"memory", OPTION_INT, "50", NULL,
     "How much of the memory that is available is held, in percent; a tenth of the machine's stays "
     "free whatever is asked."},
    {.name = NULL},
};

const struct nemesis nemesis_hog = {
    .name = "hog",
    .summary = "uses up the nodes' processors, or memory, within bounds",
    .options = options,
    .begin_f = "start-hog",
    .end_f = "stop-hog",
    .fault_state_size = sizeof(struct state),
    .hits = HITS_NOTHING,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
