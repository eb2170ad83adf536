/* One service's links: what goes to or from one port is dropped between nodes that hear each other
 * otherwise.
 *
 * In force means that packets of that port were dropped, as the nodes' packet filters count them,
 * while all others pass: a port that nobody uses between the nodes cannot be cut. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/packets.h"
#include "nemeses/cutting.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

enum { PORT_MAX = 65535 };
static const int64_t retry_ns = 50 * NS_PER_MS, patience_ns = 3 * NS_PER_SECOND;

static enum err_code check(struct test *test, struct err *err)
{
    int64_t port = option_int(&test->plan->options, "port.number");
    if (port < 1 || port > PORT_MAX)
        return err_set(err, ERR_CONFIG,
                       "port.number: say which port is cut, 1 to %d: --set port.number=...",
                       PORT_MAX);
    if (cutting_check(test, 2, err) != ERR_NONE)
        return err->code;
    return targets_check(test, "port.targets", err);
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    const struct options *options = &test->plan->options;
    struct value items[] = {
        value_keyword(arena, "who"),
        targets_choose(test, "port.targets", prng, arena),
        value_keyword(arena, "protocol"),
        value_keyword(arena, option_text(options, "port.protocol")),
        value_keyword(arena, "port"),
        value_int(arena, option_int(options, "port.number")),
    };
    return value_items(arena, VALUE_MAP, items, sizeof items / sizeof *items);
}

static enum err_code read_port(struct value asked, const char **protocol, uint16_t *port,
                               struct err *err)
{
    struct value number = value_get(asked, "port");
    *protocol = value_as_text(value_get(asked, "protocol"));
    if (!value_is_int(number) || value_as_int(number) < 1 || value_as_int(number) > PORT_MAX)
        return err_set(err, ERR_CONFIG, "the fault names no port from 1 to %d", PORT_MAX);
    if (strcmp(*protocol, "tcp") != 0 && strcmp(*protocol, "udp") != 0)
        return err_set(err, ERR_CONFIG, "the fault's protocol is neither tcp nor udp");
    *port = (uint16_t)value_as_int(number);
    return ERR_NONE;
}

/* Waits for the first packets that are dropped. */
static enum err_code see_dropped(struct test *test, const char *name, const node_set *drops,
                                 struct network_dropped *dropped, struct err *err)
{
    int64_t deadline_ns = test_now_ns(test) + patience_ns;
    for (;;) {
        enum err_code code = network_count_dropped(test, name, drops, dropped, err);
        if (code != ERR_NONE || dropped->packets > 0)
            return code;
        if (test_now_ns(test) >= deadline_ns || test_cancelled(test))
            return err_set(err, ERR_REMOTE, "nothing passed that port between them");
        clock_sleep_ns(retry_ns);
    }
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    node_set nodes = 0, drops[PLAN_NODES_MAX] = {0};
    int64_t in_force_ns = 0;
    char name[32], took[32];
    const char *protocol;
    uint16_t port = 0;
    struct network_dropped dropped = {.packets = 0};
    snprintf(name, sizeof name, "port-%u", fault->id);
    enum err_code code = read_port(fault->asked, &protocol, &port, err);
    if (code == ERR_NONE)
        code = targets_resolve(test, value_get(fault->asked, "who"), &nodes, err);
    if (code == ERR_NONE) {
        cutting_alone(test, nodes, drops);
        code = network_block_port(test, name, drops, protocol, port, &in_force_ns, err);
    }
    if (code != ERR_NONE)
        return err_wrap(err, "port");
    struct err cause = ERR_INIT;
    struct buf probes = BUF_INIT;
    code = see_dropped(test, name, drops, &dropped, &cause);
    if (code == ERR_NONE) /* the nodes hear each other: this is no partition of them */
        code = cutting_verify(test, NULL, CUTTING_BEGIN_NS, &probes, &cause);
    if (code == ERR_NONE) {
        clock_format_human(in_force_ns, took, sizeof took);
        buf_printf(&fault->begun_evidence,
                   "in force in %s; %llu packets of %s port %u dropped on %u of %u links; else %s",
                   took, (unsigned long long)dropped.packets, protocol, port, dropped.links,
                   dropped.of_links, buf_text(&probes));
        fault->begun_verified = VERIFIED_YES;
        fault->nodes = nodes;
        fault->done = value_pair(fault->arena, value_keyword(fault->arena, "port-cut"),
                                 targets_names(test, nodes, fault->arena, VALUE_SET));
    } else {
        cutting_give_up(test, name, "port: not in force", code, &cause, err);
    }
    buf_free(&probes);
    return code;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    char name[32];
    snprintf(name, sizeof name, "port-%u", fault->id);
    return cutting_end(test, fault, name, "opening a port again", "opening a port again", err);
}

static const struct option options[] = {
    {"number", OPTION_INT, "0", NULL, "The port, whichever end of a packet has it; must be given."},
    {"protocol", OPTION_CHOICE, "tcp", "tcp|udp", "Of which protocol."},
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {.name = NULL},
};

const struct nemesis nemesis_port = {
    .name = "port",
    .summary = "cuts one port of one protocol between nodes, and nothing else",
    .options = options,
    .begin_f = "start-port",
    .end_f = "stop-port",
    .hits = HITS_NETWORK,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
