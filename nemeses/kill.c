/* Kills daemons with SIGKILL, and starts them again.
 *
 * A daemon that does not run when the fault begins (the system under test may have died of its own)
 * is left alone, and the outcome says so; when none of the targets runs, the fault did not happen.
 */
#include "harness/base/clock.h"
#include "nemeses/daemons.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static const int64_t settle_ns = NS_PER_SECOND; /* one that exits sooner has not really started */

struct state {
    struct daemons killed;
};

static enum err_code check(struct test *test, struct err *err)
{
    enum err_code code = daemons_check(test, err);
    return code != ERR_NONE ? code : targets_check(test, "kill.targets", err);
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    return targets_choose(test, "kill.targets", prng, arena);
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    node_set asked = 0, hit = 0;
    enum err_code code =
        daemons_resolve(test, fault, "kill", DAEMON_ALIVE, &state->killed, &asked, &hit, err);
    if (code != ERR_NONE)
        return code;
    struct err cause = ERR_INIT, back = ERR_INIT;
    code = daemons_signal(test, &state->killed, "KILL", &fault->begun_evidence, &cause);
    if (code != ERR_NONE) {
        daemons_wrap(test, "kill", hit, &cause);
        buf_clear(&fault->begun_evidence);
        if (daemons_bring_back(test, &state->killed, &back) != ERR_NONE)
            return err_set(err, code, "%s; and undoing that failed too: %s", cause.message,
                           back.message);
        return err_set(err, code, "%s", cause.message);
    }
    fault->nodes = hit;
    fault->done = daemons_outcome(test, asked, hit, "killed", "was-not-running", fault->arena);
    fault->begun_verified = VERIFIED_YES;
    return ERR_NONE;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    enum err_code code = daemons_bring_back(test, &state->killed, err);
    if (code != ERR_NONE)
        return code;
    code = daemons_stay(test, &state->killed, DAEMON_ALIVE, settle_ns, err);
    if (code != ERR_NONE)
        return err_wrap(err, "started again, but it did not stay");
    fault->ended_verified = VERIFIED_YES;
    buf_add_text(&fault->ended_evidence, "running again on ");
    test_print_nodes(test, fault->nodes, &fault->ended_evidence);
    if (!test_cancelled(test)) /* or the watching was cut short */
        buf_add_text(&fault->ended_evidence, ", and still so a second later");
    return ERR_NONE;
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {.name = NULL},
};

const struct nemesis nemesis_kill = {
    .name = "kill",
    .summary = "kills the system's daemons with SIGKILL, and starts them again",
    .options = options,
    .begin_f = "kill",
    .end_f = "start",
    .fault_state_size = sizeof(struct state),
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
