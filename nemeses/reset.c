/* Resets: established TCP connections of nodes with each other, or with their clients, end at once.
 *
 * Told, the other end hears of it (a RST); silent, it goes on believing in a connection that is
 * half open, until it sends and hears nothing but a refusal. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/packets.h"
#include "nemeses/cutting.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static enum err_code check(struct test *test, struct err *err)
{
    const struct options *options = &test->plan->options;
    bool of_clients = strcmp(option_text(options, "reset.of"), "clients") == 0;
    if (test->node_count < 2 && !of_clients)
        return err_set(err, ERR_CONFIG, "it needs 2 nodes or more; there is only %u",
                       test->node_count);
    if (of_clients && strcmp(option_text(options, "reset.half-open"), "always") == 0)
        return err_set(err, ERR_CONFIG,
                       "reset.half-open: only connections between nodes can be left half open");
    /* Who is not to hear of it is cut off for that moment. */
    if (!of_clients && strcmp(option_text(options, "reset.half-open"), "never") != 0 &&
        network_can_block(test, err) != ERR_NONE)
        return err->code;
    return targets_check(test, "reset.targets", err);
}

/* {:who {...}, :of :nodes, :half-open true} */
static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    const struct options *options = &test->plan->options;
    const char *of = option_text(options, "reset.of"),
               *half_open = option_text(options, "reset.half-open");
    struct value who = targets_choose(test, "reset.targets", prng, arena);
    bool draws[2] = {prng_below(prng, 2) == 0, prng_below(prng, 2) == 0};
    if (strcmp(of, "random") == 0)
        of = draws[0] && strcmp(half_open, "always") != 0 ? "clients" : "nodes";
    bool silent = strcmp(of, "nodes") == 0 && (strcmp(half_open, "always") == 0 ||
                                               (strcmp(half_open, "random") == 0 && draws[1]));
    struct value items[] = {
        value_keyword(arena, "who"),       who,
        value_keyword(arena, "of"),        value_keyword(arena, of),
        value_keyword(arena, "half-open"), value_bool(silent),
    };
    return value_items(arena, VALUE_MAP, items, sizeof items / sizeof *items);
}

static enum err_code judge(const struct network_reset *reset, bool silent, struct err *err)
{
    if (reset->found == 0)
        return err_set(err, ERR_REMOTE, "there is no connection to reset");
    if (reset->gone < reset->found)
        return err_set(err, ERR_REMOTE, "%u of %u connections are still established",
                       reset->found - reset->gone, reset->found);
    if (silent && reset->left_at_peers == 0)
        return err_set(err, ERR_REMOTE, "no connection is half open: the others know of it");
    return ERR_NONE;
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    node_set nodes = 0;
    struct network_reset reset;
    char name[32];
    bool of_clients = strcmp(value_as_text(value_get(fault->asked, "of")), "clients") == 0,
         silent = value_as_bool(value_get(fault->asked, "half-open"));
    snprintf(name, sizeof name, "reset-%u", fault->id);
    enum err_code code = targets_resolve(test, value_get(fault->asked, "who"), &nodes, err);
    if (code == ERR_NONE && silent && nodes == test_all_nodes(test))
        nodes &= nodes - 1; /* somebody must be left who believes in them */
    if (code == ERR_NONE)
        code = network_reset(test, name, nodes, of_clients ? PEERS_CLIENTS : PEERS_NODES,
                             silent ? RESET_SILENT : RESET_TOLD, &reset, err);
    if (code == ERR_NONE)
        code = judge(&reset, silent, err);
    if (code != ERR_NONE)
        return err_wrap(err, "reset");
    buf_printf(&fault->begun_evidence, "%u connections with %s gone", reset.gone,
               of_clients ? "clients" : "nodes");
    if (silent)
        buf_printf(&fault->begun_evidence, "; %u of them half open at the others",
                   reset.left_at_peers);
    fault->begun_verified = VERIFIED_YES;
    fault->nodes = nodes;
    fault->done =
        value_pair(fault->arena, value_keyword(fault->arena, silent ? "half-open" : "reset"),
                   targets_names(test, nodes, fault->arena, VALUE_SET));
    return ERR_NONE;
}

/* What ended has ended; new connections must be possible. */
static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    enum err_code code = cutting_verify(test, NULL, CUTTING_END_NS, &fault->ended_evidence, err);
    if (code != ERR_NONE)
        return err_wrap(err, "connections were reset, and now the network is not whole");
    fault->ended_verified = VERIFIED_YES;
    return ERR_NONE;
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {"of", OPTION_CHOICE, "random", "random|nodes|clients",
     "Connections of the targets with other nodes, or with clients."},
    {"half-open", OPTION_CHOICE, "random", "random|always|never",
     "Between nodes: the other end is not told, and believes in a connection that is gone."},
    {.name = NULL},
};

const struct nemesis nemesis_reset = {
    .name = "reset",
    .summary = "resets established TCP connections, or leaves them half open",
    .options = options,
    .begin_f = "reset",
    .end_f = "stop-reset",
    .hits = HITS_NETWORK,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
