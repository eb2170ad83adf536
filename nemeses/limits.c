/* Limits on daemons: see limits.h. */
#include "nemeses/limits.h"

#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/targets.h"

static const char *means_of(const struct test *test, const struct limits_kind *kind)
{
    return kind->means == NULL ? NULL : option_text(&test->plan->options, kind->means);
}

enum err_code limits_check(struct test *test, const struct limits_kind *kind, struct err *err)
{
    int64_t value = option_int(&test->plan->options, kind->value);
    enum err_code code = daemons_check(test, err);
    if (code == ERR_NONE && (value < kind->low || value > kind->high))
        code = err_set(err, ERR_CONFIG, "%s=%lld is not from %lld to %lld", kind->value,
                       (long long)value, (long long)kind->low, (long long)kind->high);
    if (code == ERR_NONE)
        code = targets_check(test, kind->targets, err);
    const struct limit limit = {kind->what, means_of(test, kind), value};
    return code == ERR_NONE ? limit_check(test, test_all_nodes(test), &limit, err) : code;
}

struct value limits_choose(struct test *test, const struct limits_kind *kind, struct prng *prng,
                           struct arena *arena)
{
    struct value chosen = targets_choose(test, kind->targets, prng, arena);
    int64_t value = option_int(&test->plan->options, kind->value);
    return targets_add(chosen, "value", value_int(arena, value), arena);
}

static enum err_code begin_all(struct test *test, const struct limits_state *state,
                               struct buf *evidence, struct err *err)
{
    const char *const *names = test->plan->system->daemons;
    enum err_code code = ERR_NONE;
    for (int d = 0; names[d] != NULL && code == ERR_NONE; d++)
        if (state->on.on[d] != 0)
            code = limit_begin(test, state->on.on[d], names[d], &state->limit, evidence, err);
    return code;
}

/* All are tried, and the first error is told. */
static enum err_code end_once(struct test *test, const struct limits_state *state,
                              struct buf *evidence, struct err *err)
{
    const char *const *names = test->plan->system->daemons;
    enum err_code first = ERR_NONE;
    for (int d = 0; names[d] != NULL; d++) {
        if (state->on.on[d] == 0)
            continue;
        enum err_code code = limit_end(test, state->on.on[d], names[d], &state->limit, evidence,
                                       first == ERR_NONE ? err : NULL);
        first = first == ERR_NONE ? code : first;
    }
    return first;
}

/* With a few tries: what stays limited would spoil the rest of the run. */
static enum err_code end_all(struct test *test, const struct limits_state *state,
                             struct buf *evidence, struct err *err)
{
    enum { TRIES = 3 };
    enum err_code code = ERR_NONE;
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            clock_sleep_ns(100 * NS_PER_MS);
        buf_clear(evidence);
        code = end_once(test, state, evidence, err);
        if (code == ERR_NONE)
            break;
    }
    return code;
}

enum err_code limits_begin(struct test *test, const struct limits_kind *kind, struct fault *fault,
                           struct err *err)
{
    struct limits_state *state = fault->state;
    node_set asked = 0, hit = 0;
    enum err_code code = daemons_resolve(test, fault, fault->nemesis->name,
                                         DAEMON_BIT(DAEMON_RUNNING), &state->on, &asked, &hit, err);
    if (code != ERR_NONE)
        return code;
    state->limit = (struct limit){kind->what, means_of(test, kind),
                                  value_as_int(value_get(fault->asked, "value"))};
    struct err cause = ERR_INIT, back = ERR_INIT;
    code = begin_all(test, state, &fault->begun_evidence, &cause);
    if (code != ERR_NONE) {
        struct buf unused = BUF_INIT;
        buf_clear(&fault->begun_evidence);
        daemons_wrap(test, fault->nemesis->name, hit, &cause);
        enum err_code undone = end_all(test, state, &unused, &back);
        if (undone == ERR_NONE)
            undone = daemons_revive(test, &state->on, &unused, &back);
        buf_free(&unused);
        return err_undone(err, code, &cause, undone == ERR_NONE ? NULL : &back);
    }
    fault->nodes = hit;
    fault->done = daemons_outcome(test, asked, hit, kind->word, "was-not-running", fault->arena);
    fault->begun_verified = VERIFIED_YES;
    return ERR_NONE;
}

enum err_code limits_end(struct test *test, struct fault *fault, struct err *err)
{
    const struct limits_state *state = fault->state;
    buf_clear(&fault->ended_evidence);
    enum err_code code = end_all(test, state, &fault->ended_evidence, err);
    if (code != ERR_NONE)
        return daemons_wrap(test, "undoing it on", fault->nodes, err);
    code = daemons_revive(test, &state->on, &fault->ended_evidence, err);
    if (code != ERR_NONE)
        return code;
    if (fault->ended_evidence.length == 0)
        buf_add_text(&fault->ended_evidence, "no limit is left");
    fault->ended_verified = VERIFIED_YES;
    return ERR_NONE;
}
