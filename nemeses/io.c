/* Makes the disks of daemons fail while they run: reads, writes or syncs that return EIO, delays, a
 * disk that is full, writes that come short, syncs that lie.
 *
 * Before the run every node's data directory gets the strict disk (test.h), or, for disks that are
 * full and nothing else, an ext4 or XFS. Many systems end their process when a disk fails, and do
 * well to: it is started again when the disk works. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/daemons.h"
#include "nemeses/disks.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

/* What random draws from. Not a sync that lies: no system survives that and a power cut, and
 * without one it shows nothing. */
static const char *const random_kinds[] = {"eio-read", "eio-write", "eio-fsync",
                                           "slow",     "full",      "short-write"};
enum { RANDOM_KINDS = sizeof random_kinds / sizeof *random_kinds, DELAY_MS_MAX = 3000 };

struct state {
    struct daemons on;
    char id[32];
};

static const char *text_of(const struct test *test, const char *option)
{
    return option_text(&test->plan->options, option);
}

static int64_t delay_ms(const struct test *test)
{
    return option_duration_ns(&test->plan->options, "io.delay") / NS_PER_MS;
}

static bool is_strict(const struct test *test)
{
    return strcmp(text_of(test, "io.file-system"), "strict") == 0;
}

static enum err_code check_options(const struct test *test, struct err *err)
{
    const char *kind = text_of(test, "io.kind");
    int64_t chance = option_int(&test->plan->options, "io.chance");
    if (!is_strict(test) &&
        (strcmp(kind, "full") != 0 || strcmp(text_of(test, "io.files"), "*") != 0 || chance != 100))
        return err_set(err, ERR_CONFIG,
                       "a disk of io.file-system=%s can be full and nothing else: set "
                       "io.kind=full, or io.file-system=strict",
                       text_of(test, "io.file-system"));
    if (chance < 1 || chance > 100)
        return err_set(err, ERR_CONFIG, "io.chance=%lld is not from 1 to 100", (long long)chance);
    if (delay_ms(test) < 1 || delay_ms(test) > DELAY_MS_MAX)
        return err_set(err, ERR_CONFIG, "io.delay is not from 1ms to 3s");
    if (option_int(&test->plan->options, "io.leave") < 0)
        return err_set(err, ERR_CONFIG, "io.leave is below 0");
    return ERR_NONE;
}

static enum err_code check(struct test *test, struct err *err)
{
    enum err_code code = daemons_check(test, err);
    if (code == ERR_NONE)
        code = disks_check(test, err);
    if (code == ERR_NONE)
        code = targets_check(test, "io.targets", err);
    if (code == ERR_NONE)
        code = check_options(test, err);
    return code == ERR_NONE ? disks_give(test, "io", err) : code;
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    const char *kind = text_of(test, "io.kind");
    const char *drawn = random_kinds[prng_below(prng, RANDOM_KINDS)];
    int64_t seed = (int64_t)prng_below(prng, INT32_MAX);
    struct value chosen = targets_choose(test, "io.targets", prng, arena);
    kind = strcmp(kind, "random") == 0 ? drawn : kind;
    chosen = targets_add(chosen, "kind", value_keyword(arena, kind), arena);
    return targets_add(chosen, "seed", value_int(arena, seed), arena);
}

static struct disk_fault fault_of(const struct test *test, const struct fault *fault)
{
    const char *kind = value_as_text(value_get(fault->asked, "kind"));
    bool slow = strcmp(kind, "slow") == 0, full = strcmp(kind, "full") == 0;
    int64_t percent = option_int(&test->plan->options, "io.chance");
    int64_t leave = option_int(&test->plan->options, "io.leave");
    bool all = strcmp(text_of(test, "io.files"), "*") == 0;
    return (struct disk_fault){.io = kind,
                               .files = text_of(test, "io.files"),
                               .delay_ms = slow ? delay_ms(test) : 0,
                               .bytes = full && all ? leave : 0,
                               .chance = full ? 1000 : percent * 10,
                               .seed = value_as_int(value_get(fault->asked, "seed"))};
}

/* With a few tries: a disk that stays broken would spoil the rest of the run. */
static enum err_code mend(struct test *test, const struct state *state, struct buf *evidence,
                          struct err *err)
{
    enum { TRIES = 3 };
    enum err_code code = ERR_NONE;
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            clock_sleep_ns(100 * NS_PER_MS);
        buf_clear(evidence);
        code = disk_fault_end(test, daemons_nodes(test, &state->on), state->id, evidence, err);
        if (code == ERR_NONE)
            break;
    }
    return code == ERR_NONE ? daemons_revive(test, &state->on, evidence, err) : code;
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    node_set asked = 0, hit = 0;
    enum err_code code =
        daemons_resolve(test, fault, "the disk of", DAEMON_ALIVE, &state->on, &asked, &hit, err);
    if (code != ERR_NONE)
        return code;
    struct err cause = ERR_INIT, back = ERR_INIT;
    struct disk_fault what = fault_of(test, fault);
    snprintf(state->id, sizeof state->id, "io:%u", fault->id);
    code = disk_fault_begin(test, hit, disks_data_dir(test), state->id, &what,
                            &fault->begun_evidence, &cause);
    if (code != ERR_NONE) {
        struct buf unused = BUF_INIT;
        buf_clear(&fault->begun_evidence);
        enum err_code undone = mend(test, state, &unused, &back);
        buf_free(&unused);
        return err_undone(err, code, &cause, undone == ERR_NONE ? NULL : &back);
    }
    fault->nodes = hit;
    fault->done = daemons_outcome(test, asked, hit, what.io, "was-not-running", fault->arena);
    fault->begun_verified = VERIFIED_YES;
    return ERR_NONE;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    enum err_code code = mend(test, fault->state, &fault->ended_evidence, err);
    if (code == ERR_NONE)
        fault->ended_verified = VERIFIED_YES;
    return code;
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "minority", NULL, TARGETS_HELP},
    {"kind", OPTION_CHOICE, "random",
     "eio-read|eio-write|eio-fsync|slow|full|short-write|lying-fsync|random",
     "What goes wrong; random: each time another of these but lying-fsync, whose syncs do nothing, "
     "as a power cut then shows"},
    {"file-system", OPTION_CHOICE, "strict", "strict|ext4|xfs",
     "of the nodes' data, as power has it; ext4 and XFS can be full and nothing else"},
    {"files", OPTION_TEXT, "*", NULL,
     "which files: a shell pattern of names, or with a slash of paths below the data directory"},
    {"chance", OPTION_INT, "100", NULL, "percent of the operations that are hit"},
    {"delay", OPTION_DURATION, "100ms", NULL, "by how much slow is slower, at most 3s"},
    {"leave", OPTION_INT, "0", NULL, "bytes that are left when a disk is full"},
    {.name = NULL},
};

const struct nemesis nemesis_io = {
    .name = "io",
    .summary = "disks that fail: EIO, slow, full, short writes, syncs that lie",
    .options = options,
    .begin_f = "start-io",
    .end_f = "stop-io",
    .fault_state_size = sizeof(struct state),
    .hits = HITS_PROCESSES | HITS_DISKS,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
