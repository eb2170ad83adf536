/* The clients' links: nodes that go on hearing each other, but no client. */
#include <stdio.h>

#include "harness/base/clock.h"
#include "harness/packets.h"
#include "nemeses/cutting.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static const int64_t retry_ns = 50 * NS_PER_MS;

static enum err_code check(struct test *test, struct err *err)
{
    if (cutting_check(test, 1, err) != ERR_NONE)
        return err->code;
    return targets_check(test, "clients.targets", err);
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    return targets_choose(test, "clients.targets", prng, arena);
}

static enum err_code verify(struct test *test, node_set cut, int64_t timeout_ns,
                            struct buf *evidence, struct err *err)
{
    int64_t deadline_ns = test_now_ns(test) + timeout_ns;
    for (;;) {
        enum err_code code = network_verify_clients(test, cut, evidence, err);
        if (code == ERR_NONE || test_now_ns(test) >= deadline_ns || test_cancelled(test))
            return code;
        clock_sleep_ns(retry_ns);
    }
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    node_set nodes = 0;
    int64_t in_force_ns = 0;
    char name[32], took[32];
    snprintf(name, sizeof name, "clients-%u", fault->id);
    enum err_code code = targets_resolve(test, fault->asked, &nodes, err);
    if (code == ERR_NONE)
        code = network_block_clients(test, name, nodes, &in_force_ns, err);
    if (code != ERR_NONE)
        return err_wrap(err, "clients");
    struct err cause = ERR_INIT;
    struct buf tried = BUF_INIT;
    code = verify(test, nodes, CUTTING_BEGIN_NS, &tried, &cause);
    /* The nodes hear each other: this is no partition of them. */
    if (code == ERR_NONE)
        code = cutting_verify(test, NULL, CUTTING_BEGIN_NS, &tried, &cause);
    if (code == ERR_NONE) {
        clock_format_human(in_force_ns, took, sizeof took);
        buf_printf(&fault->begun_evidence, "in force in %s; %s", took, buf_text(&tried));
        fault->begun_verified = VERIFIED_YES;
        fault->nodes = nodes;
        fault->done = value_pair(fault->arena, value_keyword(fault->arena, "unreachable"),
                                 targets_names(test, nodes, fault->arena, VALUE_SET));
    } else {
        cutting_give_up(test, name, "clients: made but not in force", code, &cause, err);
    }
    buf_free(&tried);
    return code;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    char name[32];
    snprintf(name, sizeof name, "clients-%u", fault->id);
    enum err_code code = cutting_undo(test, name, err);
    if (code != ERR_NONE)
        return err_wrap(err, "healing the clients' links");
    code = verify(test, 0, CUTTING_END_NS, &fault->ended_evidence, err);
    if (code != ERR_NONE)
        return err_wrap(err, "the clients' links were healed, but are not whole");
    fault->ended_verified = VERIFIED_YES;
    return ERR_NONE;
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {.name = NULL},
};

const struct nemesis nemesis_clients = {
    .name = "clients",
    .summary = "cuts the clients from nodes that go on hearing each other",
    .options = options,
    .begin_f = "start-clients",
    .end_f = "stop-clients",
    .hits = HITS_NETWORK,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
