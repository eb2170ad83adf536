/* What plug-ins may do to the nodes' clocks: see test.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/control.h"

#define TOLERANCE_NS (2 * NS_PER_MS)

enum { DAEMONS_A_NODE = 16 };

static const char *const means_words[] = {"vdso", "faketime", "machine"};
static const char *const means_names[] = {"its vDSO", "libfaketime", "the machine's clock"};

/* ---- Whether ---- */

/* The boot id is the kernel's: who has the same one shares its clock. */
static void read_own_boot_id(char *boot_id, size_t size)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file == NULL || fgets(boot_id, (int)size, file) == NULL)
        snprintf(boot_id, size, "unknown");
    boot_id[strcspn(boot_id, "\n")] = '\0';
    if (file != NULL)
        fclose(file);
}

static enum err_code kernels_are_their_own(struct test *test, struct err *err)
{
    struct arena scratch = ARENA_INIT;
    const char *ids[PLAN_NODES_MAX];
    char own[64];
    enum err_code code = ERR_NONE;
    read_own_boot_id(own, sizeof own);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        ids[i] = agents_hello(test->control->agents, i, "boot_id", &scratch);
        if (ids[i] == NULL || strcmp(ids[i], own) == 0)
            code = err_set(err, ERR_UNSUPPORTED,
                           "%s: it shares its kernel, and so its clock, with this machine",
                           test->nodes[i].name);
        for (uint32_t j = 0; j < i && code == ERR_NONE; j++)
            if (strcmp(ids[i], ids[j]) == 0)
                code = err_set(err, ERR_UNSUPPORTED,
                               "%s: it shares its kernel, and so its clock, with %s",
                               test->nodes[i].name, test->nodes[j].name);
    }
    arena_free(&scratch);
    return code;
}

enum err_code clock_possible(struct test *test, enum clock_means means, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    char own[64];
    if (means == CLOCK_MEANS_FAKETIME)
        return ERR_NONE;
    if (means == CLOCK_MEANS_MACHINE && test->control->by_process_name)
        return err_set(err, ERR_UNSUPPORTED, "by hand only clocks of processes are set");
    if (means == CLOCK_MEANS_MACHINE && kernels_are_their_own(test, err) != ERR_NONE)
        return err->code;
    read_own_boot_id(own, sizeof own);
    for (uint32_t i = 0; i < test->node_count; i++)
        line_key(&control_calls_add(&calls, i, "clock-means")->request, "controller_boot", own);
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE; i++) {
        const char *reason = line_get(&calls.items[i].reply.line, means_words[means]);
        if (reason == NULL || strcmp(reason, "yes") != 0)
            code = err_set(err, ERR_UNSUPPORTED, "%s: %s", test->nodes[calls.items[i].node].name,
                           reason == NULL ? "its agent does not know that" : reason);
    }
    control_calls_free(&calls);
    return code;
}

/* ---- Into force ---- */

static void name_target(const struct test *test, struct buf *request, const char *daemon)
{
    line_key(request, test->control->by_process_name ? "comm" : "daemon", daemon);
}

static const char *full_id(const char *id, const char *daemon, char *text, size_t size)
{
    snprintf(text, size, "%s:%s", id, daemon);
    return text;
}

static void add_skew(struct test *test, struct control_calls *calls, uint32_t node, const char *id,
                     const char *daemon, const struct clock_skew *skew)
{
    char full[64], own[64];
    bool machine = skew->means == CLOCK_MEANS_MACHINE;
    struct agent_call *call = control_calls_add(calls, node, machine ? "clock-set" : "clock-skew");
    struct buf *request = &call->request;
    line_key(request, "id", machine ? id : full_id(id, daemon, full, sizeof full));
    if (machine) {
        read_own_boot_id(own, sizeof own);
        line_key(request, "controller_boot", own);
    } else {
        name_target(test, request, daemon);
        line_key(request, "means", means_words[skew->means]);
    }
    if (skew->means == CLOCK_MEANS_FAKETIME)
        line_key(request, "file", CLOCK_FAKETIME_FILE);
    line_key_int(request, "offset_ns", skew->offset_ns);
    line_key_int(request, "rate_ppm", skew->rate_ppm);
    if (skew->strobe_ns > 0)
        line_key_int(request, "strobe_ms", skew->strobe_ns / NS_PER_MS);
}

static void print_skew(const struct test *test, const struct agent_call *call, const char *daemon,
                       const struct clock_skew *skew, struct buf *evidence)
{
    char took[32];
    const struct line *reply = &call->reply.line;
    clock_format_human(line_get_int(reply, "elapsed_ns", 0), took, sizeof took);
    buf_printf(evidence, "%s%s: %s", evidence->length > 0 ? "; " : "", test->nodes[call->node].name,
               skew->means == CLOCK_MEANS_MACHINE ? "all of it" : daemon);
    if (skew->means != CLOCK_MEANS_MACHINE)
        buf_printf(evidence, " (%" PRId64 " process%s)", line_get_int(reply, "count", 0),
                   line_get_int(reply, "count", 0) == 1 ? "" : "es");
    if (skew->rate_ppm != 0)
        buf_printf(evidence, " %+.3g%%", (double)skew->rate_ppm / 1e4);
    if (skew->rate_ppm == 0 || skew->offset_ns != 0)
        buf_printf(evidence, " %+.3f s", (double)line_get_int(reply, "offset_ns", 0) / 1e9);
    if (skew->strobe_ns > 0)
        buf_printf(evidence, " and back, every %" PRId64 " ms,", skew->strobe_ns / NS_PER_MS);
    buf_printf(evidence, " through %s in %s", means_names[skew->means], took);
}

/* A daemon that does not run is not hit, and no failure. Which calls were refused so is told by
 * taking their nodes out of the targets. */
static enum err_code leave_out_the_dead(struct test *test, const struct control_calls *calls,
                                        struct clock_target *const *hit, struct err *err)
{
    uint32_t nodes[PLAN_NODES_MAX * DAEMONS_A_NODE];
    const struct err *errs[PLAN_NODES_MAX * DAEMONS_A_NODE];
    for (size_t i = 0; i < calls->count; i++) {
        const struct agent_call *call = &calls->items[i];
        bool dead = strcmp(call->reply.code, "not-running") == 0;
        nodes[i] = call->node;
        errs[i] = dead ? NULL : &call->err;
        if (dead)
            hit[i]->nodes &= ~NODE_SET(call->node);
    }
    return fleet_sum_up(test->control->fleet, nodes, errs, calls->count, err);
}

enum err_code clock_skew(struct test *test, const char *id, struct clock_target *targets,
                         const struct clock_skew *skew, struct buf *evidence, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    struct clock_target *hit[PLAN_NODES_MAX * DAEMONS_A_NODE];
    node_set done = 0, left = 0;
    for (struct clock_target *target = targets; target->daemon != NULL; target++)
        for (uint32_t i = 0; i < test->node_count; i++) {
            bool again = skew->means == CLOCK_MEANS_MACHINE && node_in(done, i);
            if (!node_in(target->nodes, i) || again || calls.count == sizeof hit / sizeof *hit)
                continue;
            hit[calls.count] = target;
            add_skew(test, &calls, i, id, target->daemon, skew);
            done |= NODE_SET(i);
        }
    enum err_code code = control_calls_make(test, &calls, NULL);
    if (code != ERR_NONE)
        code = leave_out_the_dead(test, &calls, hit, err);
    for (struct clock_target *target = targets; target->daemon != NULL; target++)
        left |= target->nodes;
    if (code == ERR_NONE && left == 0)
        code = err_set(err, ERR_REMOTE, "no daemon runs there whose clock could be set");
    for (size_t i = 0; i < calls.count && code == ERR_NONE && evidence != NULL; i++)
        if (calls.items[i].err.code == ERR_NONE)
            print_skew(test, &calls.items[i], hit[i]->daemon, skew, evidence);
    control_calls_free(&calls);
    struct err undone = ERR_INIT;
    if (code != ERR_NONE && clock_skew_end(test, id, targets, NULL, &undone) != ERR_NONE)
        err_set(err, code, "%s; and undoing it failed too: %s", err->message, undone.message);
    return code;
}

/* ---- Looking ---- */

/* What the process that is off most is told; false when there is no process. */
static bool read_view(const struct line *reply, int64_t *offset_ns)
{
    uint32_t cursor = 0;
    const char *text;
    int64_t machine_ns = line_get_int(reply, "machine_offset_ns", 0), most_ns = 0;
    bool any = false;
    while ((text = line_next(reply, "offset_ns", &cursor)) != NULL) {
        int64_t one_ns = strtoll(text, NULL, 10);
        any = true;
        if (llabs(one_ns) > llabs(most_ns))
            most_ns = one_ns;
    }
    *offset_ns = most_ns + machine_ns;
    return any;
}

static void add_view(struct test *test, struct control_calls *calls, uint32_t node,
                     const char *daemon)
{
    name_target(test, &control_calls_add(calls, node, "clock-view")->request, daemon);
}

enum err_code clock_offsets(struct test *test, const char *const *daemons, int64_t *offset_ns,
                            node_set *seen, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    *seen = 0;
    for (const char *const *daemon = daemons; *daemon != NULL; daemon++)
        for (uint32_t i = 0; i < test->node_count; i++)
            add_view(test, &calls, i, *daemon);
    (void)!control_calls_make(test, &calls, err); /* those that answered count */
    for (size_t i = 0; i < calls.count; i++) {
        const struct agent_call *call = &calls.items[i];
        int64_t one_ns;
        if (call->err.code != ERR_NONE || !read_view(&call->reply.line, &one_ns))
            continue;
        if (!node_in(*seen, call->node) || llabs(one_ns) > llabs(offset_ns[call->node]))
            offset_ns[call->node] = one_ns;
        *seen |= NODE_SET(call->node);
    }
    control_calls_free(&calls);
    return *seen == 0 && err->code != ERR_NONE ? err->code : ERR_NONE;
}

/* ---- Back ---- */

/* What came while it was in force and could not be reached. Asked before it is undone, and only
 * told: the fault was in force for the others. */
static void add_problems(struct test *test, const struct clock_target *targets,
                         struct buf *evidence)
{
    struct control_calls calls = {.items = NULL};
    for (const struct clock_target *target = targets; target->daemon != NULL; target++)
        for (uint32_t i = 0; i < test->node_count; i++)
            if (node_in(target->nodes, i))
                add_view(test, &calls, i, target->daemon);
    (void)!control_calls_make(test, &calls, NULL);
    for (size_t i = 0; i < calls.count; i++) {
        const struct agent_call *call = &calls.items[i];
        const char *problem =
            call->err.code == ERR_NONE ? line_get(&call->reply.line, "problem") : NULL;
        if (problem != NULL)
            buf_printf(evidence, "%s%s: not reached while it was in force: %.200s",
                       evidence->length > 0 ? "; " : "", test->nodes[call->node].name, problem);
    }
    control_calls_free(&calls);
}

static enum err_code verify_truth(struct test *test, const struct clock_target *targets,
                                  struct buf *evidence, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    const char *daemons[PLAN_NODES_MAX * DAEMONS_A_NODE];
    for (const struct clock_target *target = targets; target->daemon != NULL; target++)
        for (uint32_t i = 0; i < test->node_count; i++)
            if (node_in(target->nodes, i) && calls.count < sizeof daemons / sizeof *daemons) {
                daemons[calls.count] = target->daemon;
                add_view(test, &calls, i, target->daemon);
            }
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE; i++) {
        const char *node = test->nodes[calls.items[i].node].name;
        int64_t offset_ns;
        bool runs = read_view(&calls.items[i].reply.line, &offset_ns);
        if (llabs(offset_ns) > TOLERANCE_NS)
            code = err_set(err, ERR_REMOTE, "%s: the clock of %s is still off by %" PRId64 " ms",
                           node, daemons[i], offset_ns / NS_PER_MS);
        else if (evidence != NULL)
            buf_printf(evidence, "%s%s: %s %s", evidence->length > 0 ? "; " : "", node, daemons[i],
                       runs ? "is told the truth" : "does not run");
    }
    control_calls_free(&calls);
    return code;
}

enum err_code clock_skew_end(struct test *test, const char *id, const struct clock_target *targets,
                             struct buf *evidence, struct err *err)
{
    node_set all = 0;
    enum err_code code = ERR_NONE;
    struct err one = ERR_INIT;
    if (evidence != NULL)
        add_problems(test, targets, evidence);
    for (const struct clock_target *target = targets; target->daemon != NULL; target++) {
        char full[64];
        all |= target->nodes;
        if (control_undo(test, target->nodes, full_id(id, target->daemon, full, sizeof full),
                         &one) != ERR_NONE &&
            code == ERR_NONE)
            code = err_set(err, one.code, "%s", one.message);
    }
    if (control_undo(test, all, id, &one) != ERR_NONE && code == ERR_NONE) /* the machines' */
        code = err_set(err, one.code, "%s", one.message);
    return code == ERR_NONE ? verify_truth(test, targets, evidence, err) : code;
}
