/* Pauses daemons with SIGSTOP, and lets them go on with SIGCONT.
 *
 * To its peers a paused daemon looks like one whose machine hangs: connections stay open, nothing
 * answers, and when it goes on it believes that no time has passed. */
#include "harness/base/clock.h"
#include "nemeses/daemons.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

struct state {
    struct daemons paused;
};

static enum err_code check(struct test *test, struct err *err)
{
    enum err_code code = daemons_check(test, err);
    return code != ERR_NONE ? code : targets_check(test, "pause.targets", err);
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    return targets_choose(test, "pause.targets", prng, arena);
}

/* Lets go on what is still there, with a few tries: another fault may have killed a paused daemon,
 * and even have started it again, and then there is nothing left to resume. `resumed` gets those
 * that go on. */
static enum err_code resume(struct test *test, const struct daemons *paused,
                            struct daemons *resumed, struct buf *evidence, struct err *err)
{
    enum { TRIES = 3 };
    node_set nodes = daemons_nodes(test, paused);
    enum err_code code = ERR_NONE;
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            clock_sleep_ns(100 * NS_PER_MS);
        buf_clear(evidence);
        code =
            daemons_in(test, nodes, paused, DAEMON_ALIVE | DAEMON_BIT(DAEMON_NONE), resumed, err);
        if (code == ERR_NONE)
            code = daemons_signal(test, resumed, "CONT", evidence, err);
        if (code == ERR_NONE)
            return ERR_NONE;
    }
    return daemons_wrap(test, "resuming", nodes, err);
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    node_set asked = 0, hit = 0;
    enum err_code code = daemons_resolve(test, fault, "pause", DAEMON_BIT(DAEMON_RUNNING),
                                         &state->paused, &asked, &hit, err);
    if (code != ERR_NONE)
        return code;
    struct err cause = ERR_INIT, back = ERR_INIT;
    code = daemons_signal(test, &state->paused, "STOP", &fault->begun_evidence, &cause);
    if (code != ERR_NONE) {
        struct daemons resumed;
        daemons_wrap(test, "pause", hit, &cause);
        enum err_code undone =
            resume(test, &state->paused, &resumed, &fault->begun_evidence, &back);
        buf_clear(&fault->begun_evidence);
        return err_undone(err, code, &cause, undone == ERR_NONE ? NULL : &back);
    }
    fault->nodes = hit;
    fault->done = daemons_outcome(test, asked, hit, "paused", "was-not-running", fault->arena);
    fault->begun_verified = VERIFIED_YES;
    return ERR_NONE;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    struct daemons resumed;
    enum err_code code = resume(test, &state->paused, &resumed, &fault->ended_evidence, err);
    if (code != ERR_NONE)
        return code;
    node_set running = daemons_nodes(test, &resumed);
    fault->ended_verified = VERIFIED_YES;
    if ((fault->nodes & ~running) != 0) {
        buf_add_text(&fault->ended_evidence, running == 0 ? "" : "; ");
        buf_add_text(&fault->ended_evidence, "no longer there, so nothing to resume: ");
        test_print_nodes(test, fault->nodes & ~running, &fault->ended_evidence);
    }
    return ERR_NONE;
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {.name = NULL},
};

const struct nemesis nemesis_pause = {
    .name = "pause",
    .summary = "stops the system's daemons with SIGSTOP, and lets them go on with SIGCONT",
    .options = options,
    .begin_f = "pause",
    .end_f = "resume",
    .fault_state_size = sizeof(struct state),
    .hits = HITS_PROCESSES,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
