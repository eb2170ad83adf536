/* What plug-ins may do to whole nodes: see test.h. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/cluster/cluster.h"
#include "harness/control.h"
#include "harness/node_command.h"
#include "harness/switched_off.h"

#define GONE_NS_MAX (60 * NS_PER_SECOND)
#define POLL_NS (20 * NS_PER_MS)
#define RETRY_NS (200 * NS_PER_MS)
#define LEAVE_NS (500 * NS_PER_MS)

/* In /run, which no node has again after a boot. */
static const char marker[] = "/run/ordeal/before-the-node-went-down";

/* ---- Whether it can be ---- */

static enum err_code ask_agents(struct test *test, node_set nodes, const char *how, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, i))
            line_key(&control_calls_add(&calls, i, "node-reboot")->request, "how", how);
    enum err_code code = control_calls_make(test, &calls, err);
    control_calls_free(&calls);
    return code;
}

/* A machine that is this one, or a container that shares its kernel: rebooting it would end ordeal,
 * or a container that nobody starts again. */
static enum err_code check_own_kernels(struct test *test, node_set nodes, struct err *err)
{
    struct buf own = BUF_INIT;
    struct arena arena = ARENA_INIT;
    enum err_code code = file_read("/proc/sys/kernel/random/boot_id", 64, &own, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        const char *boot =
            node_in(nodes, i) ? agents_hello(test->control->agents, i, "boot_id", &arena) : NULL;
        if (boot != NULL && *boot != '\0' && text_starts(own.data, boot))
            code = err_set(err, ERR_UNSUPPORTED,
                           "%s runs on this machine's kernel, which is not rebooted",
                           test->nodes[i].name);
    }
    arena_free(&arena);
    buf_free(&own);
    return code;
}

enum err_code node_down_check(struct test *test, node_set nodes, const struct node_power *power,
                              struct err *err)
{
    if (power->off != NULL)
        return ERR_NONE;
    if (power->how == NODE_OFF && !test->plan->local)
        return power->off_command != NULL && power->on_command != NULL
                   ? ERR_NONE
                   : err_set(err, ERR_CONFIG,
                             "machines are switched off and on by commands: name both");
    if (power->how == NODE_OFF)
        return ERR_NONE;
    enum err_code code = test->plan->local ? ERR_NONE : check_own_kernels(test, nodes, err);
    return code == ERR_NONE ? ask_agents(test, nodes, "check", err) : code;
}

/* ---- Down ---- */

static enum err_code run_here(const struct node *node, const char *text, struct err *err)
{
    struct buf command = BUF_INIT;
    node_command_fill(node, text, &command);
    enum err_code code = node_command_run(node->name, buf_text(&command), err);
    buf_free(&command);
    return code;
}

enum err_code node_note_off(struct test *test, uint32_t node, const char *starter,
                            const struct json *how, struct err *err)
{
    if (test->control->cluster != NULL)
        return ERR_NONE;
    return switched_off_note(test->plan->store, &test->nodes[node], starter, how,
                             test->control->owner, err);
}

/* A machine is noted before it goes: nobody is on it that could bring it back. */
static enum err_code command_off(struct test *test, uint32_t node, const struct node_power *power,
                                 struct err *err)
{
    struct buf command = BUF_INIT;
    struct json *how = json_object();
    node_command_fill(&test->nodes[node], power->on_command, &command);
    json_set_text(how, "command", buf_text(&command));
    enum err_code code = node_note_off(test, node, SWITCHED_OFF_COMMAND, how, err);
    if (code == ERR_NONE)
        code = run_here(&test->nodes[node], power->off_command, err);
    json_free(how);
    buf_free(&command);
    return code;
}

static enum err_code switch_off(struct test *test, uint32_t node, const struct node_power *power,
                                struct err *err)
{
    struct control *control = test->control;
    int hold = -1;
    if (control->cluster == NULL)
        return command_off(test, node, power, err);
    enum err_code code = cluster_hold_off(control->cluster, (int)node, &hold, err);
    if (code == ERR_NONE)
        control->holds[node] = hold + 1;
    return code;
}

static enum err_code await_gone(struct test *test, node_set nodes, struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + GONE_NS_MAX;
    for (uint32_t i = 0; i < test->node_count; i++)
        while (node_in(nodes, i) && agents_ready(test->control->agents, i)) {
            if (clock_monotonic_ns() > deadline_ns)
                return err_set(err, ERR_TIMEOUT, "%s is still there", test->nodes[i].name);
            clock_sleep_ns(POLL_NS);
        }
    return ERR_NONE;
}

/* What the agents had on the nodes is no more. */
static void forget_nodes(struct test *test, node_set nodes)
{
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, i))
            test->control->probe_ports[i] = 0;
}

static enum err_code refuse_lost_disks(const struct test *test, node_set nodes, struct err *err)
{
    const struct control *control = test->control;
    for (size_t i = 0; i < sizeof control->disks / sizeof control->disks[0]; i++)
        if (control->disks[i].path != NULL && (control->disks[i].nodes & nodes) != 0)
            return err_set(err, ERR_UNSUPPORTED,
                           "%s is on a disk that ordeal has made, which does not survive a boot",
                           control->disks[i].path);
    return ERR_NONE;
}

enum err_code node_down(struct test *test, node_set nodes, const struct node_power *power,
                        struct buf *evidence, struct err *err)
{
    struct control *control = test->control;
    enum err_code code = refuse_lost_disks(test, nodes, err);
    if (code == ERR_NONE)
        code = test_shell(test, nodes, err, "mkdir -p /run/ordeal && : >%s", marker);
    if (code != ERR_NONE)
        return code;
    int64_t began_ns = clock_monotonic_ns();
    atomic_fetch_or(&control->away, nodes);
    if (power->off != NULL)
        code = power->off(power->context, err);
    else if (power->how != NODE_OFF)
        code = ask_agents(test, nodes, power->how == NODE_COLD ? "cold" : "force", err);
    bool each = power->off == NULL && power->how == NODE_OFF;
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE && each; i++)
        if (node_in(nodes, i))
            code = switch_off(test, i, power, err);
    if (code == ERR_NONE)
        code = await_gone(test, nodes, err);
    forget_nodes(test, nodes);
    if (code != ERR_NONE)
        return code;
    char took[32];
    clock_format_human(clock_monotonic_ns() - began_ns, took, sizeof took);
    buf_add_text(evidence, "gone: ");
    test_print_nodes(test, nodes, evidence);
    buf_printf(evidence, ", their connections lost after %s", took);
    return ERR_NONE;
}

/* ---- Up ---- */

static enum err_code switch_on(struct test *test, uint32_t node, const struct node_power *power,
                               struct err *err)
{
    struct control *control = test->control;
    if (control->cluster == NULL)
        return run_here(&test->nodes[node], power->on_command, err);
    enum err_code code = cluster_start_node(control->cluster, (int)node, err);
    if (code == ERR_NONE && control->holds[node] > 0) {
        close(control->holds[node] - 1);
        control->holds[node] = 0;
    }
    return code;
}

/* Until its agent is there again. */
static enum err_code await_agent(struct test *test, uint32_t node, int64_t deadline_ns,
                                 struct err *err)
{
    for (;;) {
        struct err one = ERR_INIT;
        if (agents_restart(test->control->agents, node, &one) == ERR_NONE)
            return ERR_NONE;
        if (test_cancelled(test) || clock_monotonic_ns() > deadline_ns)
            return err_set(err, one.code, "%s does not come back: %s", test->nodes[node].name,
                           one.message);
        clock_sleep_ns(RETRY_NS);
    }
}

/* The nodes that are down, or never went: after a node_down that failed, some are on their way. */
static node_set find_lost(const struct test *test, node_set nodes)
{
    node_set lost = 0;
    for (int looks = 0; looks < 2 && lost != nodes; looks++) {
        if (looks > 0)
            clock_sleep_ns(LEAVE_NS);
        for (uint32_t i = 0; i < test->node_count; i++)
            if (node_in(nodes, i) && !agents_ready(test->control->agents, i))
                lost |= NODE_SET(i);
    }
    return lost;
}

/* Whether what is there now was booted since. */
static enum err_code see_boot(struct test *test, uint32_t node, struct err *err)
{
    struct buf out = BUF_INIT;
    int status = 0;
    enum err_code code = test_shell_output(test, node, &out, &status, err, "[ ! -e %s ]", marker);
    buf_free(&out);
    if (code == ERR_NONE && status != 0)
        code = err_set(err, ERR_REMOTE, "%s was not booted: %s is still there",
                       test->nodes[node].name, marker);
    return code;
}

enum err_code node_up(struct test *test, node_set nodes, const struct node_power *power,
                      int64_t timeout_ns, struct buf *evidence, struct err *err)
{
    struct control *control = test->control;
    int64_t began_ns = clock_monotonic_ns();
    node_set lost = find_lost(test, nodes);
    enum err_code first = power->on == NULL ? ERR_NONE : power->on(power->context, err);
    for (uint32_t i = 0; i < test->node_count && first == ERR_NONE; i++) {
        struct err one = ERR_INIT;
        if (!node_in(nodes, i))
            continue;
        enum err_code code = power->on == NULL && power->how == NODE_OFF
                                 ? switch_on(test, i, power, &one)
                                 : ERR_NONE;
        if (code == ERR_NONE)
            code = await_agent(test, i, began_ns + timeout_ns, &one);
        if (code == ERR_NONE)
            atomic_fetch_and(&control->away, ~NODE_SET(i));
        if (code == ERR_NONE && control->cluster == NULL)
            code = switched_off_forget(test->plan->store, &test->nodes[i], &one);
        if (code == ERR_NONE && node_in(lost, i))
            code = see_boot(test, i, &one);
        if (code != ERR_NONE)
            first = err_set(err, code, "%s", one.message);
    }
    if (first != ERR_NONE)
        return first;
    char took[32];
    clock_format_human(clock_monotonic_ns() - began_ns, took, sizeof took);
    test_print_nodes(test, nodes, evidence);
    buf_printf(evidence, " booted, and agents on them again after %s", took);
    return ERR_NONE;
}
