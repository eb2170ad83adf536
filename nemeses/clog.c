/* Clogging ("swizzle-clogging", as FoundationDB's testers call it): nodes are cut off one by one,
 * and come back one by one in another order, so that the cluster is never in the same part twice.
 */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/cutting.h"
#include "nemeses/grudge.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

struct state {
    node_set cut;                  /* now */
    uint8_t order[PLAN_NODES_MAX]; /* in which they come back */
};

static enum err_code check(struct test *test, struct err *err)
{
    if (cutting_check(test, 2, err) != ERR_NONE)
        return err->code;
    int64_t step_ns = option_duration_ns(&test->plan->options, "clog.step");
    if (step_ns > 10 * NS_PER_SECOND)
        return err_set(err, ERR_CONFIG, "clog.step: %s is more than 10s",
                       option_text(&test->plan->options, "clog.step"));
    return targets_check(test, "clog.targets", err);
}

static struct value draw_order(const struct test *test, struct prng *prng, struct arena *arena)
{
    uint8_t order[PLAN_NODES_MAX];
    struct value names[PLAN_NODES_MAX];
    for (uint32_t i = 0; i < test->node_count; i++)
        order[i] = (uint8_t)i;
    prng_shuffle(prng, order, test->node_count, sizeof *order);
    for (uint32_t i = 0; i < test->node_count; i++)
        names[i] = value_string(arena, test->nodes[order[i]].name);
    return value_items(arena, VALUE_VECTOR, names, test->node_count);
}

/* {:who {:targets :majority, :nodes [...]}, :cut ["n3" "n1" ...], :back [...]}: the orders are of
 * all nodes, since who leads is known only when the fault begins. */
static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    struct value items[] = {
        value_keyword(arena, "who"),  targets_choose(test, "clog.targets", prng, arena),
        value_keyword(arena, "cut"),  draw_order(test, prng, arena),
        value_keyword(arena, "back"), draw_order(test, prng, arena),
    };
    return value_items(arena, VALUE_MAP, items, sizeof items / sizeof *items);
}

static enum err_code read_order(const struct test *test, struct value names, uint8_t *order,
                                struct err *err)
{
    if (value_count(names) != test->node_count)
        return err_set(err, ERR_CONFIG, "the fault does not name every node in its order");
    for (uint32_t i = 0; i < test->node_count; i++) {
        uint32_t node = 0;
        enum err_code code =
            targets_find_node(test, "the fault", value_as_text(value_at(names, i)), &node, err);
        if (code != ERR_NONE)
            return code;
        order[i] = (uint8_t)node;
    }
    return ERR_NONE;
}

static void name_of(const struct fault *fault, uint32_t node, char *name, size_t size)
{
    snprintf(name, size, "clog-%u-%u", fault->id, node + 1);
}

static void pause_between(struct test *test)
{
    int64_t until_ns = test_now_ns(test) + option_duration_ns(&test->plan->options, "clog.step");
    while (test_now_ns(test) < until_ns && !test_cancelled(test))
        clock_sleep_ns(10 * NS_PER_MS);
}

static enum err_code look(struct test *test, const struct state *state, int64_t timeout_ns,
                          struct buf *evidence, struct err *err)
{
    node_set drops[PLAN_NODES_MAX] = {0};
    cutting_alone(test, state->cut, drops);
    return cutting_verify(test, drops, timeout_ns, evidence, err);
}

static enum err_code cut_one(struct test *test, const struct fault *fault, uint32_t node,
                             struct buf *evidence, struct err *err)
{
    struct state *state = fault->state;
    node_set drops[PLAN_NODES_MAX] = {0};
    char name[48];
    name_of(fault, node, name, sizeof name);
    cutting_alone(test, NODE_SET(node), drops);
    enum err_code code = network_block(test, name, drops, PACKETS_ALL, NULL, err);
    if (code != ERR_NONE)
        return code;
    state->cut |= NODE_SET(node);
    code = look(test, state, CUTTING_BEGIN_NS, evidence, err);
    return code == ERR_NONE ? code : err_wrap(err, "%s", test->nodes[node].name);
}

static enum err_code back_one(struct test *test, const struct fault *fault, uint32_t node,
                              struct err *err)
{
    struct state *state = fault->state;
    char name[48];
    name_of(fault, node, name, sizeof name);
    enum err_code code = cutting_undo(test, name, err);
    if (code == ERR_NONE)
        state->cut &= ~NODE_SET(node);
    return code;
}

/* All at once, as far as they are cut. */
static enum err_code back_all(struct test *test, const struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    enum err_code first = ERR_NONE;
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(state->cut, i)) {
            enum err_code code = back_one(test, fault, i, first == ERR_NONE ? err : NULL);
            first = first == ERR_NONE ? code : first;
        }
    return first;
}

static void tell_order(const struct test *test, node_set nodes, const uint8_t *order,
                       struct buf *evidence)
{
    const char *before = "";
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, order[i])) {
            buf_printf(evidence, "%s%s", before, test->nodes[order[i]].name);
            before = ", then ";
        }
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    uint8_t order[PLAN_NODES_MAX];
    node_set nodes = 0;
    struct buf probes = BUF_INIT;
    struct err cause = ERR_INIT, back = ERR_INIT;
    enum err_code code = read_order(test, value_get(fault->asked, "cut"), order, err);
    if (code == ERR_NONE)
        code = read_order(test, value_get(fault->asked, "back"), state->order, err);
    if (code == ERR_NONE)
        code = targets_resolve(test, value_get(fault->asked, "who"), &nodes, err);
    if (code != ERR_NONE)
        return err_wrap(err, "clog");
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        if (!node_in(nodes, order[i]))
            continue;
        if (state->cut != 0)
            pause_between(test);
        buf_clear(&probes);
        code = cut_one(test, fault, order[i], &probes, &cause);
    }
    if (code == ERR_NONE) {
        tell_order(test, nodes, order, &fault->begun_evidence);
        buf_printf(&fault->begun_evidence, " cut off, each seen to be; %s", buf_text(&probes));
        fault->begun_verified = VERIFIED_YES;
        fault->nodes = nodes;
        fault->done = value_pair(fault->arena, value_keyword(fault->arena, "clogged"),
                                 targets_names(test, nodes, fault->arena, VALUE_SET));
    } else if (back_all(test, fault, &back) != ERR_NONE) {
        err_set(err, code, "clog: %s; and it could not be undone: %s", cause.message, back.message);
    } else {
        err_set(err, code, "clog: not in force, and undone: %s", cause.message);
    }
    buf_free(&probes);
    return code;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    enum err_code code = ERR_NONE;
    uint32_t rest = node_set_count(state->cut);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        if (!node_in(state->cut, state->order[i]))
            continue;
        code = back_one(test, fault, state->order[i], err);
        if (code == ERR_NONE && --rest > 0) {
            code = look(test, state, CUTTING_END_NS, NULL, err);
            pause_between(test);
        }
    }
    if (code != ERR_NONE) { /* what is left must not stay */
        (void)!back_all(test, fault, NULL);
        return err_wrap(err, "bringing clogged nodes back");
    }
    struct buf probes = BUF_INIT;
    code = cutting_verify(test, NULL, CUTTING_END_NS, &probes, err);
    if (code == ERR_NONE) {
        tell_order(test, fault->nodes, state->order, &fault->ended_evidence);
        buf_printf(&fault->ended_evidence, " came back; %s", buf_text(&probes));
        fault->ended_verified = VERIFIED_YES;
    }
    buf_free(&probes);
    return code == ERR_NONE ? code
                            : err_wrap(err, "no node is clogged, but the network is not whole");
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {"step", OPTION_DURATION, "300ms", NULL, "The time from one node to the next."},
    {.name = NULL},
};

const struct nemesis nemesis_clog = {
    .name = "clog",
    .summary = "cuts nodes off one by one, and brings them back one by one in another order",
    .options = options,
    .begin_f = "start-clog",
    .end_f = "stop-clog",
    .fault_state_size = sizeof(struct state),
    .hits = HITS_NETWORK,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
