/* Loses or damages the disk of one node: its data is wiped, or its newest log is damaged (test.h),
 * while its daemons are down; then they are started on what is left. Afterwards the system makes
 * that node a member anew (system->replace), as an operator would.
 *
 * Staged as a trap, the fault is the worst that a system which survives the loss of a minority's
 * disks must survive: a minority is killed, and falls behind; then all others are killed, one of
 * them loses its disk, and this one is started together with the minority, while those who know
 * better stay down. If the one without its memory takes part in decisions, they decide without what
 * they have forgotten. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/daemons.h"
#include "nemeses/disks.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static const int64_t replace_timeout_ns = 40 * NS_PER_SECOND;
static const int64_t stale_ns = NS_PER_SECOND;     /* how old a block is that comes back */
static const int64_t behind_ns = 1500 * NS_PER_MS; /* how long the minority falls behind */

struct state {
    struct daemons killed; /* everywhere */
    node_set victim;
    bool damaged;
};

static enum err_code check(struct test *test, struct err *err)
{
    const struct system *system = test->plan->system;
    enum err_code code = daemons_check(test, err);
    if (code != ERR_NONE)
        return code;
    if (system->data_dir_option == NULL || system->replace == NULL)
        return err_set(err, ERR_CONFIG,
                       "it needs a system whose members can be replaced; %s cannot", system->name);
    if (test->node_count < 3)
        return err_set(err, ERR_CONFIG, "it needs 3 nodes: of fewer none can be lost");
    return ERR_NONE;
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    const struct options *options = &test->plan->options;
    const char *damage = option_text(options, "disk.damage");
    const char *stage = option_text(options, "disk.stage");
    static const char *const kinds[] = {"wipe", "flip", "truncate", "misdirect", "stale", "remove"};
    const char *drawn = kinds[prng_below(prng, sizeof kinds / sizeof *kinds)];
    bool traps = prng_below(prng, 2) == 0;
    int64_t place = prng_between(prng, 300, 950);
    node_set some = targets_draw(test, targets_minority(test->node_count) + 1, prng);
    node_set victim = some & -some; /* any: which of them it is does not matter to who is behind */
    if (strcmp(damage, "random") == 0)
        damage = drawn;
    if (strcmp(stage, "random") == 0)
        stage = traps ? "trap" : "plain";
    struct value items[] = {
        value_keyword(arena, "damage"), value_keyword(arena, damage),
        value_keyword(arena, "stage"),  value_keyword(arena, stage),
        value_keyword(arena, "nodes"),  targets_names(test, victim, arena, VALUE_VECTOR),
        value_keyword(arena, "behind"), targets_names(test, some & ~victim, arena, VALUE_VECTOR),
        value_keyword(arena, "place"),  value_int(arena, place),
    };
    return value_items(arena, VALUE_MAP, items, sizeof items / sizeof *items);
}

/* ---- Damaging ---- */

/* Empties the directory, and looks that it is. */
static const char wipe_script[] = "cd %s && find . -mindepth 1 -delete && [ -z \"$(ls -A)\" ] && "
                                  "echo wiped";

static enum err_code wipe(struct test *test, struct fault *fault, uint32_t victim, struct err *err)
{
    struct buf directory = BUF_INIT, says = BUF_INIT;
    int status = 0;
    buf_add_shell_word(&directory, disks_data_dir(test));
    enum err_code code =
        test_shell_output(test, victim, &says, &status, err, wipe_script, directory.data);
    if (code == ERR_NONE && status != 0)
        code = err_set(err, ERR_REMOTE, "%s: wiping %s failed", test->nodes[victim].name,
                       disks_data_dir(test));
    if (code == ERR_NONE)
        buf_printf(&fault->begun_evidence, "%s: wiped", test->nodes[victim].name);
    buf_free(&directory);
    buf_free(&says);
    return code;
}

static const char *kind_of(const struct fault *fault)
{
    return value_as_text(value_get(fault->asked, "damage"));
}

static void damage_id(const struct fault *fault, char id[32])
{
    snprintf(id, 32, "damage:%u", fault->id);
}

static bool is_kept(const struct fault *fault)
{
    return strcmp(kind_of(fault), "wipe") != 0;
}

/* For a block that is to be what it was before: as the files are while the system still runs. */
static enum err_code remember(struct test *test, const struct fault *fault, node_set victim,
                              struct err *err)
{
    char id[32];
    damage_id(fault, id);
    if (strcmp(kind_of(fault), "stale") != 0)
        return ERR_NONE;
    enum err_code code = disk_remember(test, victim, disks_data_dir(test),
                                       option_text(&test->plan->options, "disk.files"), id, err);
    for (int64_t slept = 0; code == ERR_NONE && slept < stale_ns && !test_cancelled(test);
         slept += 50 * NS_PER_MS)
        clock_sleep_ns(50 * NS_PER_MS);
    return code;
}

static enum err_code damage(struct test *test, struct fault *fault, uint32_t victim,
                            struct err *err)
{
    ((struct state *)fault->state)->damaged = true; /* or halfway so */
    if (!is_kept(fault))
        return wipe(test, fault, victim, err);
    char id[32];
    damage_id(fault, id);
    const struct disk_damage what = {.kind = kind_of(fault),
                                     .files = option_text(&test->plan->options, "disk.files"),
                                     .place = value_as_int(value_get(fault->asked, "place")),
                                     .seed = fault->id};
    return disk_damage(test, NODE_SET(victim), disks_data_dir(test), id, &what,
                       &fault->begun_evidence, err);
}

/* ---- Staging ---- */

/* Kills what runs on `nodes`; it is then among `killed`. */
static enum err_code kill_on(struct test *test, node_set nodes, struct daemons *killed,
                             struct err *err)
{
    struct daemons found;
    enum err_code code = daemons_targets(test, nodes, DAEMON_ALIVE, &found, err);
    for (int d = 0; d < DAEMONS_MAX && code == ERR_NONE; d++)
        killed->on[d] |= found.on[d]; /* before: what fails halfway has killed some */
    return code == ERR_NONE ? daemons_signal(test, &found, "KILL", NULL, err) : code;
}

static enum err_code start_on(struct test *test, node_set nodes, const struct daemons *killed,
                              struct err *err)
{
    struct daemons these = *killed;
    for (int d = 0; d < DAEMONS_MAX; d++)
        these.on[d] &= nodes;
    return daemons_bring_back(test, &these, err);
}

static enum err_code stage(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    node_set behind = 0;
    bool trap = strcmp(value_as_text(value_get(fault->asked, "stage")), "trap") == 0;
    uint32_t victim = (uint32_t)__builtin_ctzll(state->victim);
    enum err_code code = remember(test, fault, state->victim, err);
    if (code == ERR_NONE && trap) {
        code = targets_read_names(test, value_get(fault->asked, "behind"), &behind, err);
        if (code == ERR_NONE)
            code = kill_on(test, behind, &state->killed, err);
        for (int64_t slept = 0; code == ERR_NONE && slept < behind_ns && !test_cancelled(test);
             slept += 50 * NS_PER_MS)
            clock_sleep_ns(50 * NS_PER_MS);
        if (code == ERR_NONE)
            code = kill_on(test, test_all_nodes(test), &state->killed, err);
    } else if (code == ERR_NONE) {
        code = kill_on(test, state->victim, &state->killed, err);
    }
    if (code == ERR_NONE)
        code = damage(test, fault, victim, err);
    if (code == ERR_NONE)
        code = start_on(test, behind | state->victim, &state->killed, err);
    if (code == ERR_NONE && trap) {
        buf_add_text(&fault->begun_evidence, "; started with ");
        test_print_nodes(test, behind, &fault->begun_evidence);
        buf_add_text(&fault->begun_evidence, ", which missed the last 1.5 s, while the others are "
                                             "down");
    }
    return code;
}

static enum err_code replace(struct test *test, node_set victim, struct err *err)
{
    int64_t deadline_ns = test_now_ns(test) + replace_timeout_ns;
    for (;;) {
        struct err last = ERR_INIT;
        enum err_code code = test->plan->system->replace(test, victim, &last);
        if (code == ERR_NONE)
            return code;
        if (test_cancelled(test) || test_now_ns(test) > deadline_ns)
            return err_set(err, code, "making it a member again: %s", last.message);
        clock_sleep_ns(100 * NS_PER_MS);
    }
}

/* What the damage overwrote is of no use to a member that was made anew. */
static enum err_code forget(struct test *test, const struct fault *fault, struct err *err)
{
    char id[32];
    damage_id(fault, id);
    return is_kept(fault)
               ? disk_damage_forget(test, ((struct state *)fault->state)->victim, id, err)
               : ERR_NONE;
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    enum err_code code =
        targets_read_names(test, value_get(fault->asked, "nodes"), &state->victim, err);
    if (code == ERR_NONE && node_set_count(state->victim) != 1)
        code = err_set(err, ERR_CONFIG, "disk: it hits one node");
    if (code != ERR_NONE)
        return code;
    struct err cause = ERR_INIT;
    code = stage(test, fault, &cause);
    if (code != ERR_NONE) {
        struct err back = ERR_INIT;
        buf_clear(&fault->begun_evidence);
        if (daemons_bring_back(test, &state->killed, &back) != ERR_NONE ||
            (state->damaged && replace(test, state->victim, &back) != ERR_NONE))
            return err_undone(err, code, &cause, &back);
        (void)!forget(test, fault, NULL); /* there may be none */
        return err_undone(err, code, &cause, NULL);
    }
    fault->nodes = daemons_nodes(test, &state->killed);
    fault->done = value_copy(fault->arena, fault->asked);
    fault->begun_verified = VERIFIED_YES;
    return ERR_NONE;
}

/* ---- Ending ---- */

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    enum err_code code = daemons_bring_back(test, &state->killed, err);
    int64_t began_ns = test_now_ns(test);
    if (code == ERR_NONE)
        code = replace(test, state->victim, err);
    if (code == ERR_NONE)
        code = forget(test, fault, err);
    if (code != ERR_NONE)
        return code;
    char took[32];
    clock_format_human(test_now_ns(test) - began_ns, took, sizeof took);
    fault->ended_verified = VERIFIED_YES;
    buf_add_text(&fault->ended_evidence, "running again on ");
    test_print_nodes(test, fault->nodes, &fault->ended_evidence);
    buf_add_text(&fault->ended_evidence, "; ");
    test_print_nodes(test, state->victim, &fault->ended_evidence);
    buf_printf(&fault->ended_evidence, " is a member with all it needs after %s", took);
    return ERR_NONE;
}

static const struct option options[] = {
    {"damage", OPTION_CHOICE, "random", "wipe|flip|truncate|misdirect|stale|remove|random",
     "what happens to a disk: all is gone; one bit of a file is another; its end is cut off; a "
     "block is written over another, or is what it was a second before; it is gone. random: each "
     "time another of these"},
    {"stage", OPTION_CHOICE, "random", "plain|trap|random",
     "plain: that alone; trap: it is started with a minority that has fallen behind, while the "
     "others are down"},
    {"files", OPTION_TEXT, "log-*", NULL,
     "which files (a shell pattern; with a slash, of paths) are damaged: the newest of them"},
    {.name = NULL},
};

const struct nemesis nemesis_disk = {
    .name = "disk",
    .summary = "wipes or damages one node's data, and has that node replaced",
    .options = options,
    .begin_f = "lose-disk",
    .end_f = "replace-disk",
    .fault_state_size = sizeof(struct state),
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
