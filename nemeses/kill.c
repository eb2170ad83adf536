/* Kills daemons, and starts them again: with SIGKILL, or with SIGTERM and, after a grace, SIGKILL;
 * once, or several times in quick succession with a start in between.
 *
 * A daemon that does not run when the fault begins (the system under test may have died of its own)
 * is left alone, and the outcome says so; when none of the targets runs, the fault did not happen.
 */
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/daemons.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static const int64_t settle_ns = NS_PER_SECOND; /* one that exits sooner has not really started */

enum { TIMES_MAX = 1000 };

struct state {
    struct daemons killed;
};

static enum err_code check(struct test *test, struct err *err)
{
    int64_t times = option_int(&test->plan->options, "kill.times");
    enum err_code code = daemons_check(test, err);
    if (code == ERR_NONE && (times < 1 || times > TIMES_MAX))
        code = err_set(err, ERR_CONFIG, "kill.times=%lld is not from 1 to %d", (long long)times,
                       TIMES_MAX);
    return code != ERR_NONE ? code : targets_check(test, "kill.targets", err);
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    const struct options *options = &test->plan->options;
    struct value chosen = targets_choose(test, "kill.targets", prng, arena);
    int64_t times = option_int(options, "kill.times");
    if (strcmp(option_text(options, "kill.signal"), "TERM") == 0)
        chosen = targets_add(chosen, "signal", value_keyword(arena, "term"), arena);
    if (times > 1)
        chosen = targets_add(chosen, "times", value_int(arena, times), arena);
    return chosen;
}

static bool is_polite(const struct fault *fault)
{
    return strcmp(value_as_text(value_get(fault->asked, "signal")), "term") == 0;
}

static enum err_code strike(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    buf_clear(&fault->begun_evidence);
    if (!is_polite(fault))
        return daemons_signal(test, &state->killed, "KILL", &fault->begun_evidence, err);
    return daemons_terminate(test, &state->killed,
                             option_duration_ns(&test->plan->options, "kill.grace"),
                             &fault->begun_evidence, err);
}

/* All but the last time they are started again, and left alone for a moment. */
static enum err_code strike_often(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    struct value asked = value_get(fault->asked, "times");
    int64_t times = value_is_int(asked) ? value_as_int(asked) : 1, began_ns = test_now_ns(test);
    enum err_code code = strike(test, fault, err);
    int64_t done = 1;
    for (; done < times && code == ERR_NONE && !test_cancelled(test); done++) {
        code = daemons_bring_back(test, &state->killed, err);
        if (code != ERR_NONE)
            break;
        clock_sleep_ns(option_duration_ns(&test->plan->options, "kill.alive"));
        code = strike(test, fault, err);
    }
    if (code != ERR_NONE || times == 1)
        return code;
    char took[32];
    clock_format_human(test_now_ns(test) - began_ns, took, sizeof took);
    buf_printf(&fault->begun_evidence, "; that was the last of %lld times within %s",
               (long long)done, took);
    return ERR_NONE;
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
    code = strike_often(test, fault, &cause);
    if (code != ERR_NONE) {
        daemons_wrap(test, "kill", hit, &cause);
        buf_clear(&fault->begun_evidence);
        enum err_code undone = daemons_bring_back(test, &state->killed, &back);
        return err_undone(err, code, &cause, undone == ERR_NONE ? NULL : &back);
    }
    fault->nodes = hit;
    fault->done = daemons_outcome(test, asked, hit, is_polite(fault) ? "stopped" : "killed",
                                  "was-not-running", fault->arena);
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
    {"signal", OPTION_CHOICE, "KILL", "KILL|TERM",
     "TERM: they may end by themselves, and are killed after the grace if they do not."},
    {"grace", OPTION_DURATION, "5s", NULL, "How long SIGTERM leaves them."},
    {"times", OPTION_INT, "1", NULL,
     "How often they are killed in a row, started again in between: a restart storm."},
    {"alive", OPTION_DURATION, "100ms", NULL, "How long they run between two of these times."},
    {.name = NULL},
};

const struct nemesis nemesis_kill = {
    .name = "kill",
    .summary = "kills the system's daemons with SIGKILL or SIGTERM, and starts them again",
    .options = options,
    .begin_f = "kill",
    .end_f = "start",
    .fault_state_size = sizeof(struct state),
    .hits = HITS_PROCESSES,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
