/* What plug-ins may take from the nodes' processes: see test.h. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/control.h"

#define LIMIT_TIMEOUT_NS (130 * NS_PER_SECOND) /* a memory hog takes its time */

static void add_limit(struct agent_call *call, const struct limit *limit)
{
    line_key(&call->request, "what", limit->what);
    if (limit->means != NULL)
        line_key(&call->request, "means", limit->means);
    line_key_int(&call->request, "value", limit->value);
    call->timeout_ns = LIMIT_TIMEOUT_NS;
}

static void print_id(const struct limit *limit, const char *daemon, char id[160])
{
    if (daemon == NULL)
        snprintf(id, 160, "limit:%.60s", limit->what);
    else
        snprintf(id, 160, "limit:%.60s:%.80s", limit->what, daemon);
}

enum err_code limit_check(struct test *test, node_set nodes, const struct limit *limit,
                          struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, i))
            add_limit(control_calls_add(&calls, i, "limit-check"), limit);
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE; i++) {
        const char *means = line_get(&calls.items[i].reply.line, "means");
        if (i == 0)
            test_log(test, "%s is limited by %s on %s", limit->what, means == NULL ? "?" : means,
                     test->nodes[calls.items[i].node].name);
    }
    control_calls_free(&calls);
    return code;
}

static void print_begun(const struct test *test, const struct agent_call *call,
                        const struct limit *limit, struct buf *out)
{
    const struct line *reply = &call->reply.line;
    const char *means = line_get(reply, "means");
    char took[32];
    clock_format_human(line_get_int(reply, "elapsed_ns", 0), took, sizeof took);
    buf_printf(out, "%s%s: ", out->length > 0 ? "; " : "", test->nodes[call->node].name);
    long long bytes = line_get_int(reply, "bytes", 0), percent = line_get_int(reply, "percent", 0);
    if (bytes > 0)
        buf_printf(out, "%lld MiB held", bytes >> 20);
    else if (percent > 0)
        buf_printf(out, "%lld processes use %lld %% of a processor",
                   (long long)line_get_int(reply, "count", 0), percent);
    else
        buf_printf(out, "%s of %lld process%s limited by %s", limit->what,
                   (long long)line_get_int(reply, "count", 0),
                   line_get_int(reply, "count", 0) == 1 ? "" : "es", means == NULL ? "?" : means);
    buf_printf(out, " after %s", took);
}

enum err_code limit_begin(struct test *test, node_set nodes, const char *daemon,
                          const struct limit *limit, struct buf *evidence, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(nodes, i))
            continue;
        struct agent_call *call = control_calls_add(&calls, i, "limit-begin");
        add_limit(call, limit);
        if (daemon != NULL)
            line_key(&call->request, test->control->by_process_name ? "comm" : "name", daemon);
        /* Nodes of a local cluster share one machine's memory. */
        if (test->plan->local && strcmp(limit->what, "memory-hog") == 0)
            line_key_int(&call->request, "share", node_set_count(nodes));
    }
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE; i++)
        print_begun(test, &calls.items[i], limit, evidence);
    control_calls_free(&calls);
    if (code != ERR_NONE) {
        char id[160];
        print_id(limit, daemon, id);
        if (control_undo(test, nodes, id, NULL) != ERR_NONE)
            log_problem(test->control->log, "fault %s could not be undone on every node", id);
    }
    return code;
}

enum err_code limit_end(struct test *test, node_set nodes, const char *daemon,
                        const struct limit *limit, struct buf *evidence, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    char id[160];
    print_id(limit, daemon, id);
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, i))
            line_key(&control_calls_add(&calls, i, "limit-look")->request, "id", id);
    /* What it did is told as far as it is known; undoing it does not depend on that. */
    (void)!control_calls_make(test, &calls, NULL);
    for (size_t i = 0; i < calls.count; i++) {
        const char *effect = line_get(&calls.items[i].reply.line, "effect");
        if (calls.items[i].err.code == ERR_NONE && effect != NULL && *effect != '\0')
            buf_printf(evidence, "%s%s: %s", evidence->length > 0 ? "; " : "",
                       test->nodes[calls.items[i].node].name, effect);
    }
    control_calls_free(&calls);
    return control_undo(test, nodes, id, err);
}
