/* What plug-ins may do to the nodes' disks, and the calls that this is made of: see test.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/control.h"

/* ---- Many calls at once ---- */

struct agent_call *control_calls_add(struct control_calls *calls, uint32_t node, const char *verb)
{
    if (calls->count == calls->capacity) {
        calls->capacity = calls->capacity == 0 ? 16 : calls->capacity * 2;
        calls->items = realloc(calls->items, calls->capacity * sizeof *calls->items);
        if (calls->items == NULL) {
            fprintf(stderr, "ordeal: out of memory for calls to agents\n");
            abort();
        }
    }
    struct agent_call *call = &calls->items[calls->count++];
    agent_call_begin(call, node, verb);
    return call;
}

void control_calls_free(struct control_calls *calls)
{
    for (size_t i = 0; i < calls->count; i++)
        agent_call_free(&calls->items[i]);
    free(calls->items);
    *calls = (struct control_calls){.items = NULL};
}

enum err_code control_calls_make(struct test *test, struct control_calls *calls, struct err *err)
{
    if (calls->count == 0)
        return ERR_NONE;
    return agents_call_many(test->control->agents, calls->items, calls->count, err);
}

/* ---- Disks ---- */

#define DISK_TIMEOUT_NS (30 * NS_PER_SECOND)

static void add_disk_calls(struct test *test, struct control_calls *calls, node_set nodes,
                           const char *verb, const char *path)
{
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(nodes, i))
            continue;
        struct agent_call *call = control_calls_add(calls, i, verb);
        line_key(&call->request, "path", path);
        call->timeout_ns = DISK_TIMEOUT_NS;
    }
}

static enum err_code do_to_disks(struct test *test, node_set nodes, const char *verb,
                                 const char *path, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    add_disk_calls(test, &calls, nodes, verb, path);
    enum err_code code = control_calls_make(test, &calls, err);
    control_calls_free(&calls);
    return code;
}

enum err_code disk_give(struct test *test, node_set nodes, const char *path,
                        const char *file_system, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    struct control *control = test->control;
    size_t known = 0, most = sizeof control->disks / sizeof control->disks[0];
    for (; known < most && control->disks[known].path != NULL; known++)
        if (strcmp(control->disks[known].path, path) == 0 &&
            strcmp(control->disks[known].file_system, file_system) == 0 &&
            (nodes & ~control->disks[known].nodes) == 0)
            return ERR_NONE;
    add_disk_calls(test, &calls, nodes, "disk-give", path);
    for (size_t i = 0; i < calls.count; i++)
        line_key(&calls.items[i].request, "file_system", file_system);
    enum err_code code = control_calls_make(test, &calls, err);
    if (code == ERR_NONE && known < most) {
        control->disks[known].path = arena_strdup(test->arena, path);
        control->disks[known].file_system = arena_strdup(test->arena, file_system);
        control->disks[known].nodes = nodes;
    }
    control_calls_free(&calls);
    return code;
}

enum err_code disk_stall(struct test *test, node_set nodes, const char *path, struct err *err)
{
    enum err_code code = do_to_disks(test, nodes, "disk-stall", path, err);
    if (code != ERR_NONE)
        (void)!disk_go_on(test, nodes, path, NULL);
    return code;
}

enum err_code disk_go_on(struct test *test, node_set nodes, const char *path, struct err *err)
{
    char id[256];
    snprintf(id, sizeof id, "stall:%s", path);
    return control_undo(test, nodes, id, err);
}

enum err_code disk_cut(struct test *test, node_set nodes, const char *path,
                       const char *const *daemons, const node_set *on, int64_t *elapsed_ns,
                       struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++)
        for (size_t d = 0; daemons[d] != NULL; d++) {
            if (!node_in(nodes & on[d], i))
                continue;
            struct agent_call *call = control_calls_add(&calls, i, "daemon-signal");
            line_key(&call->request, "name", daemons[d]);
            line_key(&call->request, "signal", "KILL");
            call->timeout_ns = DISK_TIMEOUT_NS;
        }
    add_disk_calls(test, &calls, nodes, "disk-cut", path);
    int64_t began_ns = clock_monotonic_ns();
    enum err_code code = control_calls_make(test, &calls, err);
    *elapsed_ns = clock_monotonic_ns() - began_ns;
    control_calls_free(&calls);
    return code;
}

enum err_code disk_back(struct test *test, node_set nodes, const char *path, struct buf *evidence,
                        struct err *err)
{
    struct control_calls calls = {.items = NULL};
    add_disk_calls(test, &calls, nodes, "disk-back", path);
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE; i++) {
        const struct agent_call *call = &calls.items[i];
        const char *unsynced = line_get(&call->reply.line, "unsynced");
        char took[32];
        clock_format_human(line_get_int(&call->reply.line, "elapsed_ns", 0), took, sizeof took);
        buf_printf(evidence, "%s%s: mounted again in %s", evidence->length > 0 ? "; " : "",
                   test->nodes[call->node].name, took);
        if (unsynced != NULL && strcmp(unsynced, "none") != 0)
            buf_printf(evidence, ", what was not synced is %s", unsynced);
    }
    control_calls_free(&calls);
    return code;
}

/* ---- Disks that fail ---- */

enum err_code disk_fault_begin(struct test *test, node_set nodes, const char *path, const char *id,
                               const struct disk_fault *fault, struct buf *evidence,
                               struct err *err)
{
    struct control_calls calls = {.items = NULL};
    add_disk_calls(test, &calls, nodes, "disk-fault", path);
    for (size_t i = 0; i < calls.count; i++) {
        struct buf *request = &calls.items[i].request;
        line_key(request, "id", id);
        line_key(request, "io", fault->io);
        line_key(request, "files", fault->files);
        if (fault->delay_ms > 0)
            line_key_int(request, "delay_ms", fault->delay_ms);
        if (fault->bytes > 0)
            line_key_int(request, "bytes", fault->bytes);
        line_key_int(request, "chance", fault->chance);
        line_key_int(request, "seed", fault->seed);
    }
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE; i++) {
        const struct agent_call *call = &calls.items[i];
        const char *seen = line_get(&call->reply.line, "seen");
        buf_printf(evidence, "%s%s: %s", evidence->length > 0 ? "; " : "",
                   test->nodes[call->node].name, seen == NULL ? "" : seen);
    }
    control_calls_free(&calls);
    return code;
}

/* Only told: what cannot be counted, as where it is gone already, is left out. */
static void print_hits(struct test *test, node_set nodes, const char *id, struct buf *evidence)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, i))
            line_key(&control_calls_add(&calls, i, "disk-counters")->request, "id", id);
    (void)!control_calls_make(test, &calls, NULL);
    for (size_t i = 0; i < calls.count; i++) {
        const struct agent_call *call = &calls.items[i];
        int64_t count =
            call->err.code == ERR_NONE ? line_get_int(&call->reply.line, "operations", -1) : -1;
        if (count >= 0)
            buf_printf(evidence, "%s%s: %lld operation%s hit", evidence->length > 0 ? "; " : "",
                       test->nodes[call->node].name, (long long)count, count == 1 ? "" : "s");
    }
    control_calls_free(&calls);
}

enum err_code disk_fault_end(struct test *test, node_set nodes, const char *id,
                             struct buf *evidence, struct err *err)
{
    print_hits(test, nodes, id, evidence);
    enum err_code code = control_undo(test, nodes, id, err);
    if (code == ERR_NONE)
        buf_add_text(evidence, evidence->length > 0 ? "; they read, write and sync again"
                                                    : "they read, write and sync again");
    return code;
}

/* ---- Damage ---- */

enum err_code disk_remember(struct test *test, node_set nodes, const char *path, const char *files,
                            const char *id, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    add_disk_calls(test, &calls, nodes, "disk-remember", path);
    for (size_t i = 0; i < calls.count; i++) {
        line_key(&calls.items[i].request, "files", files);
        line_key(&calls.items[i].request, "id", id);
    }
    enum err_code code = control_calls_make(test, &calls, err);
    control_calls_free(&calls);
    return code;
}

enum err_code disk_damage(struct test *test, node_set nodes, const char *path, const char *id,
                          const struct disk_damage *damage, struct buf *evidence, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    add_disk_calls(test, &calls, nodes, "disk-damage", path);
    for (size_t i = 0; i < calls.count; i++) {
        struct buf *request = &calls.items[i].request;
        line_key(request, "id", id);
        line_key(request, "kind", damage->kind);
        line_key(request, "files", damage->files);
        line_key_int(request, "place", damage->place);
        line_key_int(request, "seed", damage->seed);
    }
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE; i++) {
        const struct line *reply = &calls.items[i].reply.line;
        const char *seen = line_get(reply, "seen"), *before = line_get(reply, "before");
        const char *after = line_get(reply, "after");
        buf_printf(evidence, "%s%s: %s", evidence->length > 0 ? "; " : "",
                   test->nodes[calls.items[i].node].name, seen == NULL ? "" : seen);
        if (before != NULL && *before != '\0' && after != NULL)
            buf_printf(evidence, " (%s was there, %s is)", before, after);
    }
    control_calls_free(&calls);
    return code;
}

enum err_code disk_damage_forget(struct test *test, node_set nodes, const char *id, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, i)) {
            struct agent_call *call = control_calls_add(&calls, i, "disk-restore");
            line_key(&call->request, "id", id);
            line_key_int(&call->request, "drop", 1);
        }
    enum err_code code = control_calls_make(test, &calls, err);
    control_calls_free(&calls);
    return code;
}
