/* Takes resources from daemons, by what limits the node has: `slow`, `memory` and `files`, which
 * are one fault but for what is limited.
 *
 * Slow ones get a share of one processor, by a quota of their control group or, where there is
 * none, by being stopped and resumed in turn. Unlike one that is paused, a slow daemon answers,
 * late: what waits for it neither goes on nor gives up.
 *
 * Of memory they may have so much more than they have now: by a control group's limit, whose excess
 * the kernel answers with SIGKILL, or by one on each process, which makes its requests fail. And
 * they may open so many more files and connections, and then get EMFILE. A daemon that dies of
 * either is not said to have crashed; it is started again in the end. */
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/daemons.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

/* What is limited, as a nemesis has it. */
struct kind {
    const char *what;    /* the agent's word: "cpu" */
    const char *word;    /* what the outcome says of those it hit: "slowed" */
    const char *targets; /* names of options: "slow.targets" */
    const char *value;
    const char *means; /* NULL: there is but one */
    int64_t low, high; /* of the value */
};

struct state {
    struct daemons on;
    struct limit limit;
};

static const char *means_of(const struct test *test, const struct kind *kind)
{
    return kind->means == NULL ? NULL : option_text(&test->plan->options, kind->means);
}

static enum err_code check(struct test *test, const struct kind *kind, struct err *err)
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

static struct value choose(struct test *test, const struct kind *kind, struct prng *prng,
                           struct arena *arena)
{
    struct value chosen = targets_choose(test, kind->targets, prng, arena);
    int64_t value = option_int(&test->plan->options, kind->value);
    return targets_add(chosen, "value", value_int(arena, value), arena);
}

static enum err_code begin_all(struct test *test, const struct state *state, struct buf *evidence,
                               struct err *err)
{
    const char *const *names = test->plan->system->daemons;
    enum err_code code = ERR_NONE;
    for (int d = 0; names[d] != NULL && code == ERR_NONE; d++)
        if (state->on.on[d] != 0)
            code = limit_begin(test, state->on.on[d], names[d], &state->limit, evidence, err);
    return code;
}

/* All are tried, and the first error is told. */
static enum err_code end_once(struct test *test, const struct state *state, struct buf *evidence,
                              struct err *err)
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
static enum err_code end_all(struct test *test, const struct state *state, struct buf *evidence,
                             struct err *err)
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

static enum err_code begin(struct test *test, const struct kind *kind, struct fault *fault,
                           struct err *err)
{
    struct state *state = fault->state;
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

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    const struct state *state = fault->state;
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

/* ---- The three ---- */

/* A nemesis' functions are not told which it is, so each has its own. */
#define FUNCTIONS(name)                                                                            \
    static enum err_code check_##name(struct test *test, struct err *err)                          \
    {                                                                                              \
        return check(test, &name, err);                                                            \
    }                                                                                              \
    static struct value choose_##name(struct test *test, struct prng *prng, struct arena *arena)   \
    {                                                                                              \
        return choose(test, &name, prng, arena);                                                   \
    }                                                                                              \
    static enum err_code begin_##name(struct test *test, struct fault *fault, struct err *err)     \
    {                                                                                              \
        return begin(test, &name, fault, err);                                                     \
    }
#define REST(name_)                                                                                \
    .begin_f = "start-" #name_, .end_f = "stop-" #name_, .fault_state_size = sizeof(struct state), \
    .hits = HITS_PROCESSES, .where = targets_where, .repeat = targets_repeat,                      \
    .check = check_##name_, .choose = choose_##name_, .begin = begin_##name_, .end = end

static const struct kind slow = {.what = "cpu",
                                 .word = "slowed",
                                 .targets = "slow.targets",
                                 .value = "slow.percent",
                                 .means = "slow.means",
                                 .low = 1,
                                 .high = 90};
static const struct kind memory = {.what = "memory",
                                   .word = "short-of-memory",
                                   .targets = "memory.targets",
                                   .value = "memory.more",
                                   .means = "memory.means",
                                   .low = 1,
                                   .high = 1048576};
static const struct kind files = {.what = "files",
                                  .word = "short-of-files",
                                  .targets = "files.targets",
                                  .value = "files.more",
                                  .low = 0,
                                  .high = 1048576};
FUNCTIONS(slow)
FUNCTIONS(memory)
FUNCTIONS(files)

static const struct option slow_options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {"percent", OPTION_INT, "5", NULL, "Their share of one processor, from 1 to 90."},
    {"means", OPTION_CHOICE, "any", "any|cgroup|steps",
     "By a control group's quota, or by stopping and resuming them in turn; any: the first of "
     "these that the node has."},
    {.name = NULL},
};
static const struct option memory_options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {"more", OPTION_INT, "16", NULL, "MiB that they may take besides what they have."},
    {"means", OPTION_CHOICE, "any", "any|cgroup|rlimit",
     "cgroup: who takes too much is killed; rlimit: is refused more; any: the first of these that "
     "the node has."},
    {.name = NULL},
};
static const struct option files_options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {"more", OPTION_INT, "0", NULL, "How many they may open besides those that they have."},
    {.name = NULL},
};

const struct nemesis nemesis_slow = {
    .name = "slow",
    .summary = "slows the system's daemons down to a share of one processor",
    .options = slow_options,
    REST(slow),
};
const struct nemesis nemesis_memory = {
    .name = "memory",
    .summary = "limits the memory that the system's daemons can get",
    .options = memory_options,
    REST(memory),
};
const struct nemesis nemesis_files = {
    .name = "files",
    .summary = "limits the file descriptors that the system's daemons can open",
    .options = files_options,
    REST(files),
};
