/* How a test reaches its nodes: see control.h and test.h. */
#include "harness/control.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/notes.h"

#define LEASE_NS (10 * NS_PER_SECOND)
#define CALL_TIMEOUT_NS (10 * NS_PER_SECOND)
#define CONNECT_PATIENCE_NS (2 * NS_PER_SECOND)

/* ---- The test itself ---- */

int64_t test_now_ns(const struct test *test)
{
    return clock_monotonic_ns() - test->epoch_ns;
}

void test_print_nodes(const struct test *test, node_set set, struct buf *out)
{
    bool first = true;
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(set, i))
            continue;
        buf_printf(out, "%s%s", first ? "" : ", ", test->nodes[i].name);
        first = false;
    }
    if (first)
        buf_add_text(out, "no node");
}

void test_log(const struct test *test, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_vline(test->control->log, format, arguments);
    va_end(arguments);
}

bool test_cancelled(const struct test *test)
{
    return atomic_load(&test->control->cancelled);
}

/* The indices of a set, for the fleet's lists. */
static size_t list_nodes(const struct test *test, node_set set, uint32_t *indices)
{
    size_t count = 0;
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(set, i))
            indices[count++] = i;
    return count;
}

/* ---- Commands and files ---- */

void test_note_failure(struct test *test, uint32_t node, const char *command, int status,
                       const char *said)
{
    if (test->control->notes == NULL)
        return;
    if (command == NULL)
        notes_clear_commands(test->control->notes);
    else
        notes_command(test->control->notes, node, command, status, said);
}

/* Whether it failed. */
static bool note_output(struct test *test, uint32_t node, const char *command,
                        const struct output *output)
{
    if (output->status == 0)
        return false;
    struct buf said = BUF_INIT;
    buf_add_text(&said, buf_text(&output->out));
    buf_add_text(&said, buf_text(&output->err));
    test_note_failure(test, node, command, output->status, buf_text(&said));
    buf_free(&said);
    return true;
}

enum err_code test_shell(struct test *test, node_set nodes, struct err *err, const char *format,
                         ...)
{
    struct buf text = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&text, format, arguments);
    va_end(arguments);
    uint32_t indices[PLAN_NODES_MAX];
    size_t count = list_nodes(test, nodes, indices);
    struct fleet_job jobs[PLAN_NODES_MAX];
    for (size_t i = 0; i < count; i++)
        jobs[i] = (struct fleet_job){.node = indices[i],
                                     .command = {.text = buf_text(&text), .as_root = true}};
    enum err_code code = fleet_check_jobs(test->control->fleet, jobs, count, err);
    for (size_t i = 0; i < count && err != NULL; i++)
        if (note_output(test, indices[i], buf_text(&text), &jobs[i].output))
            break;
    for (size_t i = 0; i < count; i++)
        output_free(&jobs[i].output);
    buf_free(&text);
    return code;
}

enum err_code test_shell_output(struct test *test, uint32_t node, struct buf *out, int *status,
                                struct err *err, const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&text, format, arguments);
    va_end(arguments);
    struct fleet_job job = {.node = node, .command = {.text = buf_text(&text), .as_root = true}};
    enum err_code code = status == NULL ? fleet_check_jobs(test->control->fleet, &job, 1, err)
                                        : fleet_run_jobs(test->control->fleet, &job, 1, err);
    if (code == ERR_NONE) {
        buf_add(out, buf_text(&job.output.out), job.output.out.length);
        if (status != NULL)
            *status = job.output.status;
    } else if (err != NULL) {
        note_output(test, node, buf_text(&text), &job.output);
    }
    output_free(&job.output);
    buf_free(&text);
    return code;
}

enum err_code test_write_file(struct test *test, uint32_t node, const char *path, const char *text,
                              unsigned mode, struct err *err)
{
    struct fleet_upload upload = {.node = node,
                                  .data = text,
                                  .length = strlen(text),
                                  .target = path,
                                  .mode = mode,
                                  .make_parents = true,
                                  .as_root = true};
    return fleet_upload(test->control->fleet, &upload, 1, err);
}

enum err_code test_upload_file(struct test *test, node_set nodes, const char *local_path,
                               const char *path, unsigned mode, struct err *err)
{
    struct fleet_upload uploads[PLAN_NODES_MAX];
    uint32_t indices[PLAN_NODES_MAX];
    size_t count = list_nodes(test, nodes, indices);
    for (size_t i = 0; i < count; i++)
        uploads[i] = (struct fleet_upload){.node = indices[i],
                                           .source = local_path,
                                           .target = path,
                                           .mode = mode,
                                           .make_parents = true,
                                           .as_root = true};
    return fleet_upload(test->control->fleet, uploads, count, err);
}

enum err_code test_fetch_file(struct test *test, uint32_t node, const char *remote_path,
                              const char *local_path, struct err *err)
{
    struct fleet_download download = {
        .node = node, .source = remote_path, .target = local_path, .as_root = true};
    return fleet_download(test->control->fleet, &download, 1, err);
}

/* ---- Connecting ---- */

static void on_event(void *context, uint32_t node, const char *name, const struct line *event)
{
    struct control *control = context;
    if (strcmp(name, "exit") == 0 && control->hooks.on_daemon_exit != NULL) {
        const struct daemon_exit ended = {
            .node = node,
            .name = line_get(event, "name") == NULL ? "?" : line_get(event, "name"),
            .status = (int)line_get_int(event, "status", -1),
            .signal = (int)line_get_int(event, "signal", 0),
            .asked = line_get_int(event, "asked", 0) != 0,
            .core = line_get_int(event, "core", 0) != 0,
            .oom = line_get_int(event, "oom", 0) != 0,
            .under = line_get(event, "under"),
        };
        control->hooks.on_daemon_exit(control->hooks.state, &ended);
    } else if (strcmp(name, "lost") == 0 && node_in(atomic_load(&control->away), node)) {
        return; /* which node_down waits for */
    } else if (strcmp(name, "lost") == 0 && control->hooks.on_agent_lost != NULL) {
        const char *reason = line_get(event, "reason");
        control->hooks.on_agent_lost(control->hooks.state, node,
                                     reason == NULL ? "no reason given" : reason);
    }
}

static void log_agents(struct control *control)
{
    struct arena arena = ARENA_INIT;
    for (uint32_t i = 0; i < control->test->node_count; i++) {
        const char *firewall = agents_hello(control->agents, i, "firewall", &arena);
        const char *healed = agents_hello(control->agents, i, "healed", &arena);
        if (healed != NULL && strcmp(healed, "0") != 0)
            log_line(control->log, "%s: undid %s faults that an earlier run had left",
                     control->test->nodes[i].name, healed);
        if (i == 0 && firewall != NULL)
            log_line(control->log, "agents run on %u node%s, firewalls through %s",
                     control->test->node_count, control->test->node_count == 1 ? "" : "s",
                     firewall);
    }
    arena_free(&arena);
}

enum err_code control_open(struct control *control, const struct fleet_options *options,
                           const char *owner, struct err *err)
{
    struct fleet_options fleet_options = *options;
    fleet_options.patience_ns = CONNECT_PATIENCE_NS;
    control->owner = owner;
    enum err_code code = fleet_open(control->test->nodes, control->test->node_count, &fleet_options,
                                    &control->fleet, err);
    if (code != ERR_NONE)
        return code;
    struct agents_options agents_options = {
        .owner = owner, .lease_ns = LEASE_NS, .on_event = on_event, .context = control};
    code = agents_start(control->fleet, &agents_options, &control->agents, err);
    if (code != ERR_NONE) {
        control->agents = NULL;
        return code;
    }
    log_agents(control);
    return ERR_NONE;
}

void control_close(struct control *control)
{
    struct err err = ERR_INIT;
    if (agents_stop(control->agents,
                    control->leave_daemons ? AGENTS_LEAVE_DAEMONS : AGENTS_END_DAEMONS,
                    CALL_TIMEOUT_NS, &err) != ERR_NONE)
        log_problem(control->log, "stopping the agents: %s", err.message);
    control->agents = NULL;
    fleet_close(control->fleet);
    control->fleet = NULL;
}

/* ---- Daemons ---- */

enum err_code daemon_start(struct test *test, uint32_t node, const struct daemon_spec *spec,
                           struct err *err)
{
    struct agent_call call;
    agent_call_begin(&call, node, "daemon-start");
    line_key(&call.request, "name", spec->name);
    for (const char *const *word = spec->argv; *word != NULL; word++)
        line_key(&call.request, "arg", *word);
    for (const char *const *pair = spec->env; pair != NULL && *pair != NULL; pair++)
        line_key(&call.request, "env", *pair);
    for (const char *const *pair = test->control->environment; *pair != NULL; pair++)
        line_key(&call.request, "env", *pair);
    if (spec->cwd != NULL)
        line_key(&call.request, "cwd", spec->cwd);
    if (spec->user != NULL)
        line_key(&call.request, "user", spec->user);
    struct buf log = BUF_INIT;
    buf_printf(&log, "/var/log/ordeal/%s.log", spec->name);
    line_key(&call.request, "log", spec->log != NULL ? spec->log : log.data);
    if (test->control->notes != NULL)
        notes_daemon(test->control->notes, node, spec, spec->log != NULL ? spec->log : log.data);
    buf_free(&log);
    enum err_code code = agents_call(test->control->agents, &call, err);
    agent_call_free(&call);
    return code;
}

void daemon_environment(struct test *test, const char *pair)
{
    const char **environment = test->control->environment;
    size_t count = 0, most = sizeof test->control->environment / sizeof *environment - 1;
    for (; environment[count] != NULL; count++)
        if (strcmp(environment[count], pair) == 0)
            return;       /* a nemesis that is checked twice asks twice */
    assert(count < most); /* nemeses that need more make the room for it */
    environment[count] = pair;
}

static void print_end(const struct test *test, const struct agent_call *call, const char *name,
                      int64_t grace_ns, struct buf *evidence)
{
    const struct line *reply = &call->reply.line;
    char took[32], grace[32];
    clock_format_human(line_get_int(reply, "elapsed_ns", 0), took, sizeof took);
    clock_format_human(grace_ns, grace, sizeof grace);
    buf_printf(evidence, "%s%s: %s ", evidence->length > 0 ? "; " : "",
               test->nodes[call->node].name, name);
    if (line_get_int(reply, "killed", 0) != 0)
        buf_printf(evidence, "outlived SIGTERM for %s and was killed", grace);
    else
        buf_printf(evidence, "ended by itself %s after SIGTERM", took);
}

enum err_code daemon_end(struct test *test, node_set nodes, const char *name, int64_t grace_ns,
                         struct buf *evidence, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    if (test->control->by_process_name)
        return err_set(err, ERR_UNSUPPORTED,
                       "processes found by name get no grace period; kill them with SIGKILL");
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(nodes, i))
            continue;
        struct agent_call *call = control_calls_add(&calls, i, "daemon-stop");
        line_key(&call->request, "name", name);
        line_key_int(&call->request, "grace_ms", grace_ns / NS_PER_MS);
        call->timeout_ns = grace_ns + CALL_TIMEOUT_NS;
    }
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE && evidence != NULL; i++)
        print_end(test, &calls.items[i], name, grace_ns, evidence);
    control_calls_free(&calls);
    return code;
}

enum err_code daemon_stop(struct test *test, node_set nodes, const char *name, int64_t grace_ns,
                          struct err *err)
{
    node_set running = 0;
    enum daemon_state states[PLAN_NODES_MAX];
    enum err_code code = daemon_states(test, nodes, name, states, err);
    if (code != ERR_NONE)
        return code;
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, i) && (states[i] == DAEMON_RUNNING || states[i] == DAEMON_PAUSED))
            running |= NODE_SET(i);
    return daemon_end(test, running, name, grace_ns, NULL, err);
}

enum err_code daemon_states(struct test *test, node_set nodes, const char *name,
                            enum daemon_state *states, struct err *err)
{
    static const char *const names[] = {"none", "running", "paused", "exited"};
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, i))
            line_key(&control_calls_add(&calls, i, "daemon-status")->request, "name", name);
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE; i++) {
        const char *answer = line_get(&calls.items[i].reply.line, "state");
        enum daemon_state *state = &states[calls.items[i].node];
        *state = DAEMON_NONE;
        for (int k = 0; k < 4 && answer != NULL; k++)
            if (strcmp(answer, names[k]) == 0)
                *state = (enum daemon_state)k;
    }
    control_calls_free(&calls);
    return code;
}

enum err_code daemon_status(struct test *test, uint32_t node, const char *name,
                            enum daemon_state *state, struct err *err)
{
    enum daemon_state states[PLAN_NODES_MAX];
    enum err_code code = daemon_states(test, NODE_SET(node), name, states, err);
    if (code == ERR_NONE)
        *state = states[node];
    return code;
}

enum err_code daemon_signal(struct test *test, node_set nodes, const char *name, const char *signal,
                            struct buf *evidence, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(nodes, i))
            continue;
        bool by_name = test->control->by_process_name;
        struct agent_call *call =
            control_calls_add(&calls, i, by_name ? "process-signal" : "daemon-signal");
        line_key(&call->request, by_name ? "comm" : "name", name);
        line_key(&call->request, "signal", signal);
    }
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE && evidence != NULL; i++) {
        const struct line *reply = &calls.items[i].reply.line;
        char took[32];
        clock_format_human(line_get_int(reply, "elapsed_ns", 0), took, sizeof took);
        buf_printf(evidence, "%s%s: %s pid %lld %s in %s", evidence->length > 0 ? "; " : "",
                   test->nodes[calls.items[i].node].name, name,
                   (long long)line_get_int(reply, "pid", 0),
                   strcmp(signal, "KILL") == 0   ? "gone"
                   : strcmp(signal, "STOP") == 0 ? "stopped"
                   : strcmp(signal, "CONT") == 0 ? "running"
                                                 : "signalled",
                   took);
    }
    control_calls_free(&calls);
    return code;
}

/* ---- Network faults ---- */

void control_add_addresses(struct test *test, struct agent_call *call, const char *key,
                           node_set peers)
{
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(peers, i))
            continue;
        line_key(&call->request, key, node_peer_address(&test->nodes[i]));
        if (test->nodes[i].peer_address6 != NULL)
            line_key(&call->request, key, test->nodes[i].peer_address6);
    }
}

enum err_code control_calls_inject(struct test *test, struct control_calls *calls, const char *id,
                                   int64_t *in_force_ns, struct err *err)
{
    int64_t began_ns = clock_monotonic_ns();
    enum err_code code = control_calls_make(test, calls, err);
    if (in_force_ns != NULL)
        *in_force_ns = clock_monotonic_ns() - began_ns;
    control_calls_free(calls);
    if (code != ERR_NONE && network_undo(test, id, NULL) != ERR_NONE)
        log_problem(test->control->log, "fault %s could not be undone on every node", id);
    return code;
}

enum err_code network_block(struct test *test, const char *id, const node_set *drops,
                            enum packets packets, int64_t *in_force_ns, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (drops[i] == 0)
            continue;
        struct agent_call *call = control_calls_add(&calls, i, "fault-block");
        line_key(&call->request, "id", id);
        control_add_addresses(test, call, "from", drops[i]);
        if (packets == PACKETS_DATA)
            line_key(&call->request, "packets", "data");
    }
    return control_calls_inject(test, &calls, id, in_force_ns, err);
}

enum err_code control_undo(struct test *test, node_set set, const char *id, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(set, i))
            line_key(&control_calls_add(&calls, i, "fault-undo")->request, "id", id);
    enum err_code code = control_calls_make(test, &calls, NULL);
    if (code != ERR_NONE) { /* a node that never had it is no error */
        const struct err *errs[PLAN_NODES_MAX];
        uint32_t nodes[PLAN_NODES_MAX];
        for (uint32_t i = 0; i < calls.count; i++) {
            nodes[i] = calls.items[i].node;
            errs[i] =
                strcmp(calls.items[i].reply.code, "not-found") == 0 ? NULL : &calls.items[i].err;
        }
        code = fleet_sum_up(test->control->fleet, nodes, errs, calls.count, err);
    }
    control_calls_free(&calls);
    return code;
}

enum err_code network_undo(struct test *test, const char *id, struct err *err)
{
    return control_undo(test, test_all_nodes(test), id, err);
}

static enum err_code listen_for_probes(struct test *test, struct err *err)
{
    struct control *control = test->control;
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++)
        if (control->probe_ports[i] == 0)
            line_key_int(&control_calls_add(&calls, i, "probe-listen")->request, "port", 0);
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE; i++)
        control->probe_ports[calls.items[i].node] =
            (uint16_t)line_get_int(&calls.items[i].reply.line, "port", 0);
    control_calls_free(&calls);
    return code;
}

/* How long an open path may take, and how long a cut one is listened on. A probe that would arrive
 * after the second but before the first cannot pass unseen for long: every later verification sees
 * it too. */
enum { PROBE_OPEN_MS = 1000, PROBE_CUT_MS = 150 };

struct probe {
    uint32_t source, target;
    bool six; /* over IPv6 */
    bool cut; /* as it should be */
};

static size_t list_probes(const struct test *test, const node_set *drops, struct probe *probes)
{
    size_t count = 0;
    for (uint32_t source = 0; source < test->node_count; source++)
        for (uint32_t target = 0; target < test->node_count; target++)
            for (int six = 0; six < 2 && source != target; six++) {
                if (six && (test->nodes[source].peer_address6 == NULL ||
                            test->nodes[target].peer_address6 == NULL))
                    continue;
                bool cut = drops != NULL && node_in(drops[target], source);
                probes[count++] = (struct probe){source, target, six != 0, cut};
            }
    return count;
}

static const char *probe_address(const struct test *test, uint32_t node, bool six)
{
    return six ? test->nodes[node].peer_address6 : node_peer_address(&test->nodes[node]);
}

static void add_probe(struct test *test, struct control_calls *calls, const struct probe *probe)
{
    char nonce[32];
    snprintf(nonce, sizeof nonce, "p%u", atomic_fetch_add(&test->control->next_probe, 1));
    struct agent_call *send = control_calls_add(calls, probe->source, "probe-send");
    line_key(&send->request, "to", probe_address(test, probe->target, probe->six));
    line_key_int(&send->request, "port", test->control->probe_ports[probe->target]);
    line_key(&send->request, "nonce", nonce);
    line_key_int(&send->request, "count", 3); /* one lost datagram is no partition */
    struct agent_call *wait = control_calls_add(calls, probe->target, "probe-wait");
    line_key(&wait->request, "nonce", nonce);
    line_key(&wait->request, "from", probe_address(test, probe->source, probe->six));
    line_key_int(&wait->request, "timeout_ms", probe->cut ? PROBE_CUT_MS : PROBE_OPEN_MS);
}

static enum err_code judge_probes(const struct test *test, const struct control_calls *calls,
                                  const struct probe *probes, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        bool seen = line_get_int(&calls->items[2 * i + 1].reply.line, "seen", -1) == 1;
        if (seen != probes[i].cut)
            continue;
        return err_set(err, ERR_REMOTE, "a probe from %s to %s over IPv%d %s",
                       test->nodes[probes[i].source].name, test->nodes[probes[i].target].name,
                       probes[i].six ? 6 : 4,
                       seen ? "arrived, though that path should be cut"
                            : "did not arrive, though that path should be open");
    }
    return ERR_NONE;
}

/* Not more at once than receivers' buffers hold, or probes are lost that no fault has dropped. */
enum { PROBES_AT_ONCE = 1024 };

static enum err_code send_probes(struct test *test, const struct probe *probes, size_t count,
                                 struct err *err)
{
    enum err_code code = ERR_NONE;
    for (size_t first = 0; first < count && code == ERR_NONE; first += PROBES_AT_ONCE) {
        size_t wave = count - first < PROBES_AT_ONCE ? count - first : PROBES_AT_ONCE;
        struct control_calls calls = {.items = NULL};
        for (size_t i = 0; i < wave; i++)
            add_probe(test, &calls, &probes[first + i]);
        code = control_calls_make(test, &calls, err);
        if (code == ERR_NONE)
            code = judge_probes(test, &calls, probes + first, wave, err);
        control_calls_free(&calls);
    }
    return code;
}

enum err_code network_verify(struct test *test, const node_set *drops, struct buf *evidence,
                             struct err *err)
{
    if (listen_for_probes(test, err) != ERR_NONE)
        return err_wrap(err, "listen for probes");
    size_t most = 2 * (size_t)test->node_count * test->node_count;
    struct probe *probes = malloc(most * sizeof *probes);
    if (probes == NULL)
        return err_set(err, ERR_NOMEM, "no memory for %zu probes", most);
    size_t count = list_probes(test, drops, probes), cut = 0;
    for (size_t i = 0; i < count; i++)
        cut += probes[i].cut;
    enum err_code code = send_probes(test, probes, count, err);
    if (code == ERR_NONE && evidence != NULL)
        buf_printf(evidence, "%s%zu paths probed: %zu cut, %zu open",
                   evidence->length > 0 ? "; " : "", count, cut, count - cut);
    free(probes);
    return code;
}
