/* Daemons as targets of faults: see daemons.h. */
#include "nemeses/daemons.h"

#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/targets.h"

static const int64_t settle_ns = NS_PER_SECOND; /* one that exits sooner has not really started */
static const int64_t poll_ns = 50 * NS_PER_MS;
static const int64_t start_timeout_ns = 5 * NS_PER_SECOND;

static const char *const state_names[] = {"unknown to its agent", "running", "paused", "exited"};

static uint32_t daemon_count(const struct test *test)
{
    const char *const *names = test->plan->system->daemons;
    uint32_t count = 0;
    while (names != NULL && names[count] != NULL)
        count++;
    return count;
}

enum err_code daemons_check(const struct test *test, struct err *err)
{
    const struct system *system = test->plan->system;
    uint32_t count = daemon_count(test);
    if (count == 0)
        return err_set(err, ERR_CONFIG, "it needs a system with daemons; %s has none",
                       system->name);
    if (count > DAEMONS_MAX)
        return err_set(err, ERR_CONFIG, "it can hit %d daemons a node; %s has %u", DAEMONS_MAX,
                       system->name, count);
    return ERR_NONE;
}

/* Looks at one daemon on these nodes, at all of them at once. */
static enum err_code look(struct test *test, node_set nodes, uint32_t daemon,
                          enum daemon_state *states, struct err *err)
{
    const char *name = test->plan->system->daemons[daemon];
    if (nodes != 0 && daemon_states(test, nodes, name, states, err) != ERR_NONE)
        return err_wrap(err, "looking at %s", name);
    return ERR_NONE;
}

/* The nodes whose daemon is in one of `wanted`. */
static node_set select_nodes(const struct test *test, node_set nodes,
                             const enum daemon_state *states, unsigned wanted)
{
    node_set selected = 0;
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, i) && (wanted & DAEMON_BIT(states[i])) != 0)
            selected |= NODE_SET(i);
    return selected;
}

enum err_code daemons_in(struct test *test, node_set nodes, const struct daemons *within,
                         unsigned states, struct daemons *found, struct err *err)
{
    struct daemons set = {.on = {0}};
    for (uint32_t d = 0; d < daemon_count(test); d++) {
        enum daemon_state now[PLAN_NODES_MAX];
        node_set here = nodes & (within != NULL ? within->on[d] : ~(node_set)0);
        enum err_code code = look(test, here, d, now, err);
        if (code != ERR_NONE)
            return code;
        set.on[d] = select_nodes(test, here, now, states);
    }
    *found = set;
    return ERR_NONE;
}

enum err_code daemons_targets(struct test *test, node_set nodes, unsigned states,
                              struct daemons *found, struct err *err)
{
    const unsigned known = DAEMON_ALIVE | DAEMON_BIT(DAEMON_EXITED);
    struct daemons wanted = {.on = {0}}, strangers = {.on = {0}};
    bool any_known = false;
    for (uint32_t d = 0; d < daemon_count(test); d++) {
        enum daemon_state now[PLAN_NODES_MAX];
        enum err_code code = look(test, nodes, d, now, err);
        if (code != ERR_NONE)
            return code;
        wanted.on[d] = select_nodes(test, nodes, now, states);
        strangers.on[d] = select_nodes(test, nodes, now, DAEMON_BIT(DAEMON_NONE));
        any_known = any_known || select_nodes(test, nodes, now, known) != 0;
    }
    *found = any_known ? wanted : strangers;
    return ERR_NONE;
}

enum err_code daemons_resolve(struct test *test, const struct fault *fault, const char *what,
                              unsigned states, struct daemons *found, node_set *asked,
                              node_set *hit, struct err *err)
{
    enum err_code code = targets_resolve(test, fault->asked, asked, err);
    if (code == ERR_NONE)
        code = daemons_targets(test, *asked, states, found, err);
    if (code != ERR_NONE)
        return err_wrap(err, "%s", fault->nemesis->name);
    *hit = daemons_nodes(test, found);
    if (*hit != 0)
        return ERR_NONE;
    err_set(err, ERR_REMOTE, "no daemon of %s runs there", test->plan->system->name);
    return daemons_wrap(test, what, *asked, err);
}

node_set daemons_nodes(const struct test *test, const struct daemons *daemons)
{
    node_set nodes = 0;
    for (uint32_t d = 0; d < daemon_count(test); d++)
        nodes |= daemons->on[d];
    return nodes;
}

/* The evidence of several calls, each with lines of its own, as one line. */
static void add_one_line(struct buf *out, const char *lines)
{
    for (const char *c = lines; *c != '\0'; c++) {
        if (*c != '\n')
            buf_add_char(out, *c);
        else if (c[1] != '\0')
            buf_add_text(out, "; ");
    }
}

/* `grace_ns`: of a SIGTERM that is followed by SIGKILL; -1: the signal, and nothing after it. */
static enum err_code signal_all(struct test *test, const struct daemons *daemons,
                                const char *signal, int64_t grace_ns, struct buf *evidence,
                                struct err *err)
{
    enum err_code first = ERR_NONE;
    for (uint32_t d = 0; d < daemon_count(test); d++) {
        if (daemons->on[d] == 0)
            continue;
        struct err one = ERR_INIT;
        struct buf lines = BUF_INIT;
        const char *name = test->plan->system->daemons[d];
        enum err_code code = grace_ns < 0
                                 ? daemon_signal(test, daemons->on[d], name, signal, &lines, &one)
                                 : daemon_end(test, daemons->on[d], name, grace_ns, &lines, &one);
        if (code != ERR_NONE && first == ERR_NONE)
            first = err_set(err, code, "SIG%s to %s: %s", signal, name, one.message);
        if (evidence != NULL && lines.length > 0) {
            if (evidence->length > 0)
                buf_add_text(evidence, "; ");
            add_one_line(evidence, lines.data);
        }
        buf_free(&lines);
    }
    return first;
}

enum err_code daemons_signal(struct test *test, const struct daemons *daemons, const char *signal,
                             struct buf *evidence, struct err *err)
{
    return signal_all(test, daemons, signal, -1, evidence, err);
}

enum err_code daemons_terminate(struct test *test, const struct daemons *daemons, int64_t grace_ns,
                                struct buf *evidence, struct err *err)
{
    return signal_all(test, daemons, "TERM", grace_ns, evidence, err);
}

/* ERR_REMOTE names the first daemon that is in none of the states; *strayed tells that from a look
 * that failed. */
static enum err_code look_at_all(struct test *test, const struct daemons *daemons, unsigned states,
                                 bool *strayed, struct err *err)
{
    *strayed = false;
    for (uint32_t d = 0; d < daemon_count(test); d++) {
        enum daemon_state now[PLAN_NODES_MAX];
        enum err_code code = look(test, daemons->on[d], d, now, err);
        if (code != ERR_NONE)
            return code;
        node_set astray = daemons->on[d] & ~select_nodes(test, daemons->on[d], now, states);
        *strayed = astray != 0;
        if (*strayed) {
            uint32_t first = (uint32_t)__builtin_ctzll(astray);
            return err_set(err, ERR_REMOTE, "%s on %s is %s", test->plan->system->daemons[d],
                           test->nodes[first].name, state_names[now[first]]);
        }
    }
    return ERR_NONE;
}

enum err_code daemons_await(struct test *test, const struct daemons *daemons, unsigned states,
                            int64_t timeout_ns, struct err *err)
{
    int64_t deadline_ns = test_now_ns(test) + timeout_ns;
    for (;;) {
        bool strayed;
        struct err one = ERR_INIT;
        if (look_at_all(test, daemons, states, &strayed, &one) == ERR_NONE)
            return ERR_NONE;
        char waited[32];
        clock_format_human(timeout_ns, waited, sizeof waited);
        if (test_now_ns(test) >= deadline_ns)
            return err_set(err, ERR_TIMEOUT, "%s, after waiting %s", one.message, waited);
        if (test_cancelled(test))
            return err_set(err, ERR_CANCELLED, "%s, and the run was interrupted", one.message);
        clock_sleep_ns(poll_ns);
    }
}

enum err_code daemons_stay(struct test *test, const struct daemons *daemons, unsigned states,
                           int64_t duration_ns, struct err *err)
{
    int64_t began_ns = test_now_ns(test);
    for (;;) {
        bool strayed;
        struct err one = ERR_INIT;
        enum err_code code = look_at_all(test, daemons, states, &strayed, &one);
        int64_t elapsed_ns = test_now_ns(test) - began_ns;
        if (strayed) {
            char after[32];
            clock_format_human(elapsed_ns, after, sizeof after);
            return err_set(err, code, "%s, %s after it was seen running", one.message, after);
        }
        /* A look that failed says nothing about the daemon, unless the last one did too. */
        if (elapsed_ns >= duration_ns || test_cancelled(test))
            return code == ERR_NONE ? code : err_set(err, code, "%s", one.message);
        clock_sleep_ns(poll_ns);
    }
}

enum err_code daemons_wrap(const struct test *test, const char *what, node_set nodes,
                           struct err *err)
{
    struct buf names = BUF_INIT;
    test_print_nodes(test, nodes, &names);
    enum err_code code = err_wrap(err, "%s %s", what, buf_text(&names));
    buf_free(&names);
    return code;
}

struct value daemons_outcome(const struct test *test, node_set asked, node_set hit,
                             const char *word, const char *other, struct arena *arena)
{
    struct value items[2 * PLAN_NODES_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(asked, i))
            continue;
        items[count++] = value_string(arena, test->nodes[i].name);
        items[count++] = value_keyword(arena, node_in(hit, i) ? word : other);
    }
    return value_items(arena, VALUE_MAP, items, count);
}

/* Starts the system on the nodes where one of `killed` does not run. A daemon that still runs there
 * is stopped first: systems start all their daemons of a node together. */
static enum err_code start_missing(struct test *test, const struct daemons *killed, struct err *err)
{
    struct daemons alive;
    enum err_code code =
        daemons_in(test, daemons_nodes(test, killed), NULL, DAEMON_ALIVE, &alive, err);
    if (code != ERR_NONE)
        return code;
    node_set missing = 0;
    for (int d = 0; d < DAEMONS_MAX; d++)
        missing |= killed->on[d] & ~alive.on[d];
    if (missing == 0)
        return ERR_NONE;
    for (int d = 0; d < DAEMONS_MAX && code == ERR_NONE; d++)
        if ((alive.on[d] & missing) != 0)
            code = daemon_stop(test, alive.on[d] & missing, test->plan->system->daemons[d],
                               start_timeout_ns, err);
    if (code == ERR_NONE)
        code = test->plan->system->start(test, missing, err);
    return code;
}

enum err_code daemons_bring_back(struct test *test, const struct daemons *killed, struct err *err)
{
    enum { TRIES = 3 };
    enum err_code code = ERR_NONE;
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            clock_sleep_ns(100 * NS_PER_MS);
        code = start_missing(test, killed, err);
        if (code == ERR_NONE)
            code = daemons_await(test, killed, DAEMON_ALIVE, start_timeout_ns, err);
        if (code == ERR_NONE || code == ERR_CANCELLED)
            break;
    }
    return code == ERR_NONE
               ? code
               : daemons_wrap(test, "starting again", daemons_nodes(test, killed), err);
}

enum err_code daemons_revive(struct test *test, const struct daemons *hurt, struct buf *evidence,
                             struct err *err)
{
    struct daemons dead = {.on = {0}};
    enum err_code code =
        daemons_in(test, daemons_nodes(test, hurt), hurt, DAEMON_BIT(DAEMON_EXITED), &dead, NULL);
    if (code != ERR_NONE) /* once more: a look that failed tells nothing */
        code = daemons_in(test, daemons_nodes(test, hurt), hurt, DAEMON_BIT(DAEMON_EXITED), &dead,
                          err);
    node_set nodes = code == ERR_NONE ? daemons_nodes(test, &dead) : 0;
    if (nodes == 0)
        return code;
    code = daemons_bring_back(test, &dead, err);
    if (code == ERR_NONE)
        code = daemons_stay(test, &dead, DAEMON_ALIVE, settle_ns, err);
    if (code != ERR_NONE)
        return err_wrap(err, "what died was started again, but did not stay");
    buf_add_text(evidence, evidence->length > 0 ? "; had died, and run again: "
                                                : "had died, and run again: ");
    test_print_nodes(test, nodes, evidence);
    return ERR_NONE;
}
