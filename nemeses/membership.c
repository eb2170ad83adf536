/* Changes who belongs to the cluster: a member is removed, and added again with an empty disk, or
 * is replaced at once. Who can go is resolved from what the members themselves see: a majority of
 * them must agree on who they are, and of those that stay a majority must live, before and after.
 */
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/daemons.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static const int64_t patience_ns = 30 * NS_PER_SECOND, pause_ns = 100 * NS_PER_MS;
static const int64_t grace_ns = 5 * NS_PER_SECOND;
static const int64_t settle_ns = NS_PER_SECOND; /* one that exits sooner has not really started */

struct state {
    struct daemons on; /* the node's */
    node_set before;   /* who belonged to it */
    uint32_t node;
    bool replaces;
};

static enum err_code check(struct test *test, struct err *err)
{
    const struct system *system = test->plan->system;
    enum err_code code = daemons_check(test, err);
    if (code != ERR_NONE)
        return code;
    if (system->members == NULL || system->remove == NULL || system->add == NULL)
        return err_set(err, ERR_CONFIG,
                       "it needs a system whose membership can be changed; %s's cannot",
                       system->name);
    if (test->node_count < 3)
        return err_set(err, ERR_CONFIG, "it needs 3 nodes: of fewer none can go");
    return ERR_NONE;
}

/* In which order nodes are to be thought of, since it is not known yet who may go. */
static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    const char *action = option_text(&test->plan->options, "membership.action");
    struct value names[PLAN_NODES_MAX];
    uint8_t order[PLAN_NODES_MAX];
    bool replaces = prng_below(prng, 2) == 0;
    for (uint32_t i = 0; i < test->node_count; i++)
        order[i] = (uint8_t)i;
    prng_shuffle(prng, order, test->node_count, sizeof *order);
    for (uint32_t i = 0; i < test->node_count; i++)
        names[i] = value_string(arena, test->nodes[order[i]].name);
    if (strcmp(action, "random") == 0)
        action = replaces ? "replace" : "remove";
    struct value items[] = {value_keyword(arena, "action"), value_keyword(arena, action),
                            value_keyword(arena, "order"),
                            value_items(arena, VALUE_VECTOR, names, test->node_count)};
    return value_items(arena, VALUE_MAP, items, 4);
}

static struct value repeat(const struct test *test, struct value asked, struct value done,
                           node_set nodes, struct arena *arena)
{
    (void)done;
    struct value items[] = {value_keyword(arena, "action"), value_get(asked, "action"),
                            value_keyword(arena, "order"),
                            targets_names(test, nodes, arena, VALUE_VECTOR)};
    return value_items(arena, VALUE_MAP, items, 4);
}

/* ---- Views ---- */

struct view {
    node_set members; /* as a majority of them sees it */
    node_set live;    /* nodes that say who belongs to it, whatever they say */
};

static enum err_code look_once(struct test *test, struct view *view, struct err *err)
{
    node_set seen[PLAN_NODES_MAX], live = 0;
    struct err last = ERR_INIT;
    for (uint32_t i = 0; i < test->node_count; i++)
        if (test->plan->system->members(test, i, &seen[i], &last) == ERR_NONE)
            live |= NODE_SET(i);
    for (uint32_t i = 0; i < test->node_count; i++) {
        uint32_t agree = 0;
        for (uint32_t j = 0; j < test->node_count && node_in(live, i); j++)
            agree += node_in(live & seen[i], j) && seen[j] == seen[i];
        if (node_in(live, i) && 2 * agree > node_set_count(seen[i])) {
            *view = (struct view){.members = seen[i], .live = live};
            return ERR_NONE;
        }
    }
    return err_set(err, ERR_REMOTE, "no majority agrees on who its members are%s%s",
                   last.code != ERR_NONE ? ": " : "", last.code != ERR_NONE ? last.message : "");
}

/* A view may be behind for a moment, and an election be under way. */
static enum err_code look(struct test *test, struct view *view, struct err *err)
{
    int64_t deadline_ns = test_now_ns(test) + patience_ns;
    for (;;) {
        enum err_code code = look_once(test, view, err);
        if (code == ERR_NONE || test_cancelled(test) || test_now_ns(test) > deadline_ns)
            return code;
        clock_sleep_ns(pause_ns);
    }
}

static enum err_code await_view(struct test *test, node_set members, struct err *err)
{
    int64_t deadline_ns = test_now_ns(test) + patience_ns;
    for (;;) {
        struct view view = {.members = 0};
        struct err one = ERR_INIT;
        enum err_code code = look_once(test, &view, &one);
        if (code == ERR_NONE && view.members == members)
            return ERR_NONE;
        if (test_cancelled(test) || test_now_ns(test) > deadline_ns) {
            if (code != ERR_NONE)
                return err_set(err, code, "%s", one.message);
            err_set(err, ERR_TIMEOUT, "that is not what the members see");
            return daemons_wrap(test, "members are to be", members, err);
        }
        clock_sleep_ns(pause_ns);
    }
}

/* It lives, so that it can be as it was; and without it a majority of those that stay lives, and of
 * all of them too, or the change could not be agreed upon. */
static bool may_go(const struct view *view, uint32_t node)
{
    node_set rest = view->members & ~NODE_SET(node);
    uint32_t live = node_set_count(rest & view->live);
    return node_in(view->members & view->live, node) && node_set_count(rest) >= 2 &&
           2 * live > node_set_count(rest) && 2 * live > node_set_count(view->members);
}

static enum err_code pick(struct test *test, struct value order, const struct view *view,
                          uint32_t *node, struct err *err)
{
    for (size_t i = 0; i < value_count(order); i++) {
        enum err_code code =
            targets_find_node(test, "the fault", value_as_text(value_at(order, i)), node, err);
        if (code != ERR_NONE)
            return code;
        if (may_go(view, *node))
            return ERR_NONE;
    }
    err_set(err, ERR_REMOTE, "none of them can go, or no majority would live");
    return daemons_wrap(test, "of the members", view->members, err);
}

/* ---- Changes ---- */

enum change { CHANGE_REMOVE, CHANGE_ADD };

/* By way of one member after the other, until one takes it. */
static enum err_code change(struct test *test, enum change change, uint32_t node, node_set members,
                            uint32_t *via, struct err *err)
{
    const struct system *system = test->plan->system;
    int64_t deadline_ns = test_now_ns(test) + patience_ns;
    node_set others = members & ~NODE_SET(node);
    for (;;) {
        enum err_code code = ERR_REMOTE;
        for (uint32_t i = 0; i < test->node_count && code != ERR_NONE; i++) {
            if (!node_in(others, i))
                continue;
            *via = i;
            code = change == CHANGE_REMOVE ? system->remove(test, node, i, err)
                                           : system->add(test, node, i, others, err);
        }
        if (code == ERR_NONE || test_cancelled(test) || test_now_ns(test) > deadline_ns)
            return code;
        clock_sleep_ns(pause_ns);
    }
}

static enum err_code take_out(struct test *test, const struct state *state, struct buf *evidence,
                              struct err *err)
{
    uint32_t via = 0;
    int64_t began_ns = test_now_ns(test);
    node_set rest = state->before & ~NODE_SET(state->node);
    enum err_code code = daemons_terminate(test, &state->on, grace_ns, NULL, err);
    if (code == ERR_NONE)
        code = change(test, CHANGE_REMOVE, state->node, state->before, &via, err);
    if (code == ERR_NONE)
        code = await_view(test, rest, err);
    if (code != ERR_NONE)
        return code;
    char took[32];
    clock_format_human(test_now_ns(test) - began_ns, took, sizeof took);
    buf_printf(evidence, "%s removed by way of %s; after %s the members are ",
               test->nodes[state->node].name, test->nodes[via].name, took);
    test_print_nodes(test, rest, evidence);
    return ERR_NONE;
}

static enum err_code wipe(struct test *test, const struct state *state, struct err *err)
{
    struct daemons left;
    enum err_code code = daemons_in(test, NODE_SET(state->node), NULL, DAEMON_ALIVE, &left, err);
    if (code == ERR_NONE && daemons_nodes(test, &left) != 0)
        code = daemons_signal(test, &left, "KILL", NULL, err);
    return code == ERR_NONE ? test->plan->system->wipe(test, NODE_SET(state->node), err) : code;
}

static enum err_code take_in_once(struct test *test, const struct state *state,
                                  struct buf *evidence, struct err *err)
{
    uint32_t via = 0;
    struct view view;
    int64_t began_ns = test_now_ns(test);
    node_set all = state->before | NODE_SET(state->node);
    enum err_code code = look(test, &view, err);
    bool is_in = code == ERR_NONE && node_in(view.members, state->node);
    if (code == ERR_NONE && !is_in)
        code = wipe(test, state, err);
    if (code == ERR_NONE && !is_in)
        code = change(test, CHANGE_ADD, state->node, view.members, &via, err);
    if (code == ERR_NONE) /* it may never have gone, and just be down */
        code = is_in ? daemons_bring_back(test, &state->on, err) : await_view(test, all, err);
    if (code == ERR_NONE)
        code = daemons_stay(test, &state->on, DAEMON_ALIVE, settle_ns, err);
    if (code != ERR_NONE || is_in)
        return code;
    char took[32];
    clock_format_human(test_now_ns(test) - began_ns, took, sizeof took);
    buf_printf(evidence, "%s%s added with an empty disk by way of %s; after %s the members are ",
               evidence->length > 0 ? "; " : "", test->nodes[state->node].name,
               test->nodes[via].name, took);
    test_print_nodes(test, all, evidence);
    return ERR_NONE;
}

/* With a few tries: who stays out would spoil the rest of the run. */
static enum err_code take_in(struct test *test, const struct state *state, struct buf *evidence,
                             struct err *err)
{
    enum { TRIES = 3 };
    enum err_code code = ERR_IO;
    for (int i = 0; i < TRIES && code != ERR_NONE && (i == 0 || !test_cancelled(test)); i++)
        code = take_in_once(test, state, evidence, err);
    return code;
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    struct view view;
    enum err_code code = look(test, &view, err);
    if (code == ERR_NONE)
        code = pick(test, value_get(fault->asked, "order"), &view, &state->node, err);
    if (code == ERR_NONE)
        code = daemons_in(test, NODE_SET(state->node), NULL, DAEMON_ALIVE, &state->on, err);
    if (code == ERR_NONE && daemons_nodes(test, &state->on) == 0)
        code = err_set(err, ERR_REMOTE, "%s does not run", test->nodes[state->node].name);
    if (code != ERR_NONE)
        return err_wrap(err, "membership");
    state->before = view.members;
    state->replaces = strcmp(value_as_text(value_get(fault->asked, "action")), "replace") == 0;
    struct err cause = ERR_INIT, back = ERR_INIT;
    code = take_out(test, state, &fault->begun_evidence, &cause);
    if (code == ERR_NONE && state->replaces)
        code = take_in(test, state, &fault->begun_evidence, &cause);
    if (code != ERR_NONE) {
        struct buf unused = BUF_INIT;
        buf_clear(&fault->begun_evidence);
        enum err_code undone = take_in(test, state, &unused, &back);
        buf_free(&unused);
        err_undone(err, code, &cause, undone == ERR_NONE ? NULL : &back);
        return err_wrap(err, "membership");
    }
    fault->nodes = NODE_SET(state->node);
    fault->done = daemons_outcome(test, fault->nodes, fault->nodes,
                                  state->replaces ? "replaced" : "removed", "", fault->arena);
    fault->begun_verified = VERIFIED_YES;
    return ERR_NONE;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    buf_clear(&fault->ended_evidence);
    enum err_code code = take_in(test, state, &fault->ended_evidence, err);
    if (code == ERR_NONE)
        code = await_view(test, state->before, err);
    if (code != ERR_NONE)
        return code;
    if (fault->ended_evidence.length == 0) {
        buf_add_text(&fault->ended_evidence, "the members are ");
        test_print_nodes(test, state->before, &fault->ended_evidence);
    }
    fault->ended_verified = VERIFIED_YES;
    return ERR_NONE;
}

static const struct option options[] = {
    {"action", OPTION_CHOICE, "random", "remove|replace|random",
     "remove: it is added again when the fault ends; replace: at once; both with an empty disk."},
    {.name = NULL},
};

const struct nemesis nemesis_membership = {
    .name = "membership",
    .summary = "removes, adds and replaces members of the system",
    .options = options,
    .begin_f = "start-membership",
    .end_f = "stop-membership",
    .fault_state_size = sizeof(struct state),
    .repeat = repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
