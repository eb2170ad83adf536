/* Takes away the power: daemons are killed and what their disks were not made to write is lost.
 *
 * Before the run every node's data directory gets a disk of its own (test.h), with a file system as
 * real or as strict as the plan says. When the power goes,
 * the daemons of a node are killed and its disk drops all that was not synced, in one breath; when
 * it comes back, the disk is mounted again, recovered by its journal, and the system started. Now
 * and then the disks hang for a moment before: a system that promises only what is on disks
 * promises nothing then, and one that promises earlier loses all that it promised meanwhile. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/daemons.h"
#include "nemeses/disks.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static const int64_t settle_ns = NS_PER_SECOND; /* one that exits sooner has not really started */

struct state {
    struct daemons killed;
};

static int64_t lie_ms(const struct test *test)
{
    return option_duration_ns(&test->plan->options, "power.lie") / NS_PER_MS;
}

static enum err_code check(struct test *test, struct err *err)
{
    enum err_code code = daemons_check(test, err);
    if (code == ERR_NONE)
        code = disks_check(test, err);
    if (code == ERR_NONE)
        code = targets_check(test, "power.targets", err);
    if (code == ERR_NONE && lie_ms(test) > 0 &&
        strcmp(option_text(&test->plan->options, "power.file-system"), "strict") != 0)
        code = err_set(err, ERR_CONFIG, "power.lie needs power.file-system=strict");
    return code == ERR_NONE ? disks_give(test, "power", err) : code;
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    int64_t stall_ms = option_duration_ns(&test->plan->options, "power.stall") / NS_PER_MS;
    bool stalls = prng_below(prng, 2) == 0;
    struct value chosen = targets_choose(test, "power.targets", prng, arena);
    return targets_add(chosen, "stall", value_int(arena, stalls ? stall_ms : 0), arena);
}

static void sleep_ms(const struct test *test, int64_t ms)
{
    for (int64_t slept = 0; slept < ms && !test_cancelled(test); slept += 10)
        clock_sleep_ns(10 * NS_PER_MS);
}

/* Syncs do nothing for a while. */
static enum err_code begin_lying(struct test *test, const struct fault *fault, node_set hit,
                                 struct err *err)
{
    static const struct disk_fault lie = {.io = "lying-fsync", .files = "*", .chance = 1000};
    char id[32];
    struct buf unused = BUF_INIT;
    snprintf(id, sizeof id, "lie:%u", fault->id);
    enum err_code code = disk_fault_begin(test, hit, disks_data_dir(test), id, &lie, &unused, err);
    buf_free(&unused);
    if (code == ERR_NONE)
        sleep_ms(test, lie_ms(test));
    return code;
}

static enum err_code end_lying(struct test *test, const struct fault *fault, node_set hit,
                               struct err *err)
{
    char id[32];
    struct buf unused = BUF_INIT;
    snprintf(id, sizeof id, "lie:%u", fault->id);
    enum err_code code = lie_ms(test) == 0 ? ERR_NONE : disk_fault_end(test, hit, id, &unused, err);
    buf_free(&unused);
    return code;
}

static enum err_code cut(struct test *test, struct fault *fault, node_set hit, int64_t stall_ms,
                         struct err *err)
{
    const struct state *state = fault->state;
    int64_t elapsed_ns = 0;
    enum err_code code = lie_ms(test) > 0 ? begin_lying(test, fault, hit, err) : ERR_NONE;
    if (code == ERR_NONE && stall_ms > 0) {
        code = disk_stall(test, hit, disks_data_dir(test), err);
        if (code == ERR_NONE)
            sleep_ms(test, stall_ms);
    }
    if (code == ERR_NONE)
        code = disk_cut(test, hit, disks_data_dir(test), test->plan->system->daemons,
                        state->killed.on, &elapsed_ns, err);
    if (code != ERR_NONE)
        return code;
    char took[32];
    clock_format_human(elapsed_ns, took, sizeof took);
    test_print_nodes(test, hit, &fault->begun_evidence);
    buf_printf(&fault->begun_evidence, ": daemons gone and disks without power in %s", took);
    if (stall_ms > 0)
        buf_printf(&fault->begun_evidence, ", after they hung for %lld ms", (long long)stall_ms);
    if (lie_ms(test) > 0)
        buf_printf(&fault->begun_evidence, "%s their syncs had done nothing for %lld ms",
                   stall_ms > 0 ? ";" : ", after", (long long)lie_ms(test));
    return ERR_NONE;
}

/* With a few tries: what stays without power would spoil the rest of the run. */
static enum err_code restore(struct test *test, const struct fault *fault,
                             const struct daemons *killed, struct buf *evidence, struct err *err)
{
    node_set nodes = daemons_nodes(test, killed);
    enum { TRIES = 3 };
    enum err_code code = ERR_NONE;
    for (int i = 0; i < TRIES; i++) {
        buf_clear(evidence);
        code = end_lying(test, fault, nodes, err);
        if (code == ERR_NONE)
            code = disk_back(test, nodes, disks_data_dir(test), evidence, err);
        if (code == ERR_NONE || code == ERR_CANCELLED)
            break;
        clock_sleep_ns(100 * NS_PER_MS);
    }
    return code == ERR_NONE ? daemons_bring_back(test, killed, err) : code;
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    node_set asked = 0, hit = 0;
    enum err_code code =
        daemons_resolve(test, fault, "power of", DAEMON_ALIVE, &state->killed, &asked, &hit, err);
    if (code != ERR_NONE)
        return code;
    struct err cause = ERR_INIT, back = ERR_INIT;
    code = cut(test, fault, hit, value_as_int(value_get(fault->asked, "stall")), &cause);
    if (code != ERR_NONE) {
        buf_clear(&fault->begun_evidence);
        (void)!disk_go_on(test, hit, disks_data_dir(test), NULL);
        struct daemons alive;
        if (daemons_in(test, hit, &state->killed, DAEMON_ALIVE, &alive, &back) != ERR_NONE ||
            daemons_signal(test, &alive, "KILL", NULL, &back) != ERR_NONE ||
            restore(test, fault, &state->killed, &fault->begun_evidence, &back) != ERR_NONE)
            return err_undone(err, code, &cause, &back);
        buf_clear(&fault->begun_evidence);
        return err_undone(err, code, &cause, NULL);
    }
    fault->nodes = hit;
    fault->done =
        daemons_outcome(test, asked, hit, "without-power", "was-not-running", fault->arena);
    fault->begun_verified = VERIFIED_YES;
    return ERR_NONE;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    enum err_code code = restore(test, fault, &state->killed, &fault->ended_evidence, err);
    if (code != ERR_NONE)
        return code;
    code = daemons_stay(test, &state->killed, DAEMON_ALIVE, settle_ns, err);
    if (code != ERR_NONE)
        return err_wrap(err, "started again, but it did not stay");
    fault->ended_verified = VERIFIED_YES;
    buf_add_text(&fault->ended_evidence, "; running again on ");
    test_print_nodes(test, fault->nodes, &fault->ended_evidence);
    return ERR_NONE;
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {"file-system", OPTION_CHOICE, "ext4", "ext4|xfs|strict",
     "of the nodes' data: strict keeps only bytes of files that were synced and names in "
     "directories that were synced, where a real one keeps more by accident"},
    {"stall", OPTION_DURATION, "400ms", NULL,
     "how long disks hang before, every other time; 0s: never"},
    {"lie", OPTION_DURATION, "0s", NULL,
     "for how long before, and until then, syncs do nothing though they are said to have worked; "
     "needs file-system=strict"},
    {.name = NULL},
};

const struct nemesis nemesis_power = {
    .name = "power",
    .summary = "power loss: daemons are killed, and their disks lose what was not synced",
    .options = options,
    .begin_f = "power-off",
    .end_f = "power-on",
    .fault_state_size = sizeof(struct state),
    .hits = HITS_PROCESSES | HITS_DISKS,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
