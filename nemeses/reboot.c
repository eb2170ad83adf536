/* Reboots whole nodes, or takes their power: all that runs on them ends at once, agent and
 * connections too; they come back, or are switched on again, the agent is started anew, and the
 * system with it. */
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/daemons.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static const int64_t settle_ns = NS_PER_SECOND; /* one that exits sooner has not really started */

struct state {
    struct daemons on; /* what ran there */
    node_set nodes;
    struct node_power power;
};

static const char *option_or_null(const struct test *test, const char *name)
{
    const char *text = option_text(&test->plan->options, name);
    return *text == '\0' ? NULL : text;
}

static struct node_power power_of(const struct test *test, const char *how)
{
    return (struct node_power){.how = strcmp(how, "off") == 0    ? NODE_OFF
                                      : strcmp(how, "cold") == 0 ? NODE_COLD
                                                                 : NODE_REBOOT,
                               .off_command = option_or_null(test, "reboot.off-command"),
                               .on_command = option_or_null(test, "reboot.on-command")};
}

static enum err_code check(struct test *test, struct err *err)
{
    const struct plan *plan = test->plan;
    const struct node_power power = power_of(test, option_text(&plan->options, "reboot.how"));
    for (size_t i = 0; i < plan->nemesis_count; i++)
        if ((plan->nemeses[i]->hits & HITS_DISKS) != 0)
            return err_set(err, ERR_CONFIG,
                           "it cannot be in one plan with %s: disks that ordeal makes do not "
                           "survive a boot",
                           plan->nemeses[i]->name);
    enum err_code code = targets_check(test, "reboot.targets", err);
    return code == ERR_NONE ? node_down_check(test, test_all_nodes(test), &power, err) : code;
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    const char *how = option_text(&test->plan->options, "reboot.how");
    struct value chosen = targets_choose(test, "reboot.targets", prng, arena);
    return targets_add(chosen, "how", value_keyword(arena, how), arena);
}

/* With a few tries: a node that stays down would spoil the rest of the run. */
static enum err_code bring_up(struct test *test, const struct state *state, struct buf *evidence,
                              struct err *err)
{
    enum { TRIES = 3 };
    enum err_code code = ERR_IO;
    for (int i = 0; i < TRIES && code != ERR_NONE && (i == 0 || !test_cancelled(test)); i++) {
        buf_clear(evidence);
        code = node_up(test, state->nodes, &state->power,
                       option_duration_ns(&test->plan->options, "reboot.timeout"), evidence, err);
    }
    if (code == ERR_NONE && daemons_nodes(test, &state->on) != 0)
        code = daemons_bring_back(test, &state->on, err);
    return code;
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    enum err_code code = targets_resolve(test, fault->asked, &state->nodes, err);
    if (code == ERR_NONE)
        code = daemons_in(test, state->nodes, NULL, DAEMON_ALIVE, &state->on, err);
    if (code != ERR_NONE)
        return err_wrap(err, "reboot");
    const char *how = value_as_text(value_get(fault->asked, "how"));
    state->power = power_of(test, how);
    struct err cause = ERR_INIT, back = ERR_INIT;
    code = node_down(test, state->nodes, &state->power, &fault->begun_evidence, &cause);
    if (code != ERR_NONE) {
        struct buf unused = BUF_INIT;
        buf_clear(&fault->begun_evidence);
        enum err_code undone = bring_up(test, state, &unused, &back);
        buf_free(&unused);
        err_undone(err, code, &cause, undone == ERR_NONE ? NULL : &back);
        return err_wrap(err, "reboot");
    }
    fault->nodes = state->nodes;
    fault->done = daemons_outcome(test, state->nodes, state->nodes,
                                  state->power.how == NODE_OFF ? "switched-off" : "rebooted", "",
                                  fault->arena);
    fault->begun_verified = VERIFIED_YES;
    return ERR_NONE;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    enum err_code code = bring_up(test, state, &fault->ended_evidence, err);
    if (code == ERR_NONE)
        code = daemons_stay(test, &state->on, DAEMON_ALIVE, settle_ns, err);
    if (code != ERR_NONE)
        return code;
    if (daemons_nodes(test, &state->on) != 0)
        buf_add_text(&fault->ended_evidence, "; the system runs there again");
    fault->ended_verified = VERIFIED_YES;
    return ERR_NONE;
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {"how", OPTION_CHOICE, "reboot", "reboot|cold|off",
     "reboot: at once, after a sync, as reboot -f; cold: without; off: until the fault ends."},
    {"timeout", OPTION_DURATION, "5m", NULL, "How long a node may take to come back."},
    {"off-command", OPTION_TEXT, "", NULL,
     "For off, of machines: a command that is run here, with {node} and {address} in it "
     "(ipmitool, virsh); a local cluster needs none."},
    {"on-command", OPTION_TEXT, "", NULL, "The same, to switch them on again."},
    {.name = NULL},
};

const struct nemesis nemesis_reboot = {
    .name = "reboot",
    .summary = "reboots whole nodes, or takes their power for a while",
    .options = options,
    .begin_f = "start-reboot",
    .end_f = "stop-reboot",
    .fault_state_size = sizeof(struct state),
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
