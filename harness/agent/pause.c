/* Stopping processes, and signalling those that the agent did not start. See PROTOCOL.md. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/agent/agentd.h"
#include "harness/base/clock.h"

#define PAUSE_NS_MAX (5 * NS_PER_SECOND)
#define KILL_NS_MAX (10 * NS_PER_SECOND)

static void reply_processes(struct agentd *agent, const char *request_id, int64_t arrived_ns,
                            const struct agentd_processes *processes,
                            const struct agentd_selector *selector, bool verified)
{
    struct buf pids = BUF_INIT;
    for (uint32_t i = 0; i < processes->count; i++)
        buf_printf(&pids, "%s%d", i == 0 ? "" : ",", (int)processes->items[i].pid);
    struct buf *out = agentd_reply(agent, request_id);
    if (selector->name == NULL)
        line_key_int(out, "pid", selector->session);
    line_key(out, "pids", buf_text(&pids));
    line_key_int(out, "count", processes->count);
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - arrived_ns);
    line_key_int(out, "verified", verified);
    line_end(out);
    buf_free(&pids);
}

/* ---- Pausing ---- */

struct pausing {
    char id[AGENTD_FAULT_ID_SIZE];
    struct agentd_selector selector;
};

/* A parent in vfork stands still in the kernel, out of SIGSTOP's reach, until its child runs exec;
 * and a child that was stopped before its exec never will. So such a child goes on for a moment. */
static void release_vfork(const struct agentd_processes *processes, pid_t parent)
{
    for (uint32_t i = 0; i < processes->count; i++) {
        const struct agentd_process *child = &processes->items[i];
        if (child->parent == parent && agentd_process_stopped(child->pid) == AGENTD_STOPPED_ALL)
            agentd_process_signal(child->pid, child->start, SIGCONT);
    }
}

/* True when every thread of all of them stands; those that do not are told again. */
static bool stop_all(const struct agentd_processes *processes, pid_t *running)
{
    bool all = true;
    for (uint32_t i = 0; i < processes->count; i++) {
        const struct agentd_process *process = &processes->items[i];
        bool waits_in_kernel;
        if (agentd_process_threads(process->pid, &waits_in_kernel) == AGENTD_STOPPED_ALL)
            continue;
        struct agentd_process now;
        if (!agentd_process_read(process->pid, &now) || agentd_process_is_dead(&now))
            continue;
        agentd_process_signal(process->pid, process->start, SIGSTOP);
        if (waits_in_kernel)
            release_vfork(processes, process->pid);
        *running = process->pid;
        all = false;
    }
    return all;
}

static bool step_pause(struct agentd *agent, struct agentd_wait *wait, bool expired)
{
    struct pausing *pausing = wait->state;
    struct agentd_processes now;
    struct err err = ERR_INIT;
    pid_t running = 0;
    agentd_processes_select(&agent->scratch, &pausing->selector, &now);
    if (now.count == 0) {
        agentd_faults_forget(&agent->faults, pausing->id);
        agentd_reply_error(agent, wait->request_id, "not-running", "it ended while being stopped");
        return true;
    }
    if (!stop_all(&now, &running)) {
        if (!expired)
            return false;
        agentd_faults_undo(&agent->faults, pausing->id, NULL);
        agentd_reply_error(agent, wait->request_id, "timeout",
                           "process %d does not stop (resumed all of them)", (int)running);
        return true;
    }
    /* What was forked between looking and stopping belongs to the fault too. */
    if (agentd_faults_pause(&agent->faults, pausing->id, &pausing->selector, &now, &err) !=
        ERR_NONE) {
        agentd_faults_undo(&agent->faults, pausing->id, NULL);
        agentd_reply_err(agent, wait->request_id, &err);
        return true;
    }
    reply_processes(agent, wait->request_id, wait->arrived_ns, &now, &pausing->selector, true);
    return true;
}

/* What is journaled before acting. For a session its leader is enough: undoing looks for the rest,
 * and not looking now saves the time of reading /proc while the daemon runs on. */
static void first_members(struct agentd *agent, const struct agentd_selector *selector,
                          struct agentd_processes *members)
{
    if (selector->name != NULL) {
        agentd_processes_select(&agent->scratch, selector, members);
        return;
    }
    members->items = arena_zalloc(&agent->scratch, sizeof *members->items);
    members->count = 1;
    members->items[0].pid = selector->session;
    members->items[0].start = selector->start;
}

static void stop_first(const struct agentd_selector *selector,
                       const struct agentd_processes *members)
{
    if (selector->name == NULL)
        kill(-selector->session, SIGSTOP); /* the group in one go; its leader is our child */
    for (uint32_t i = 0; selector->name != NULL && i < members->count; i++)
        agentd_process_signal(members->items[i].pid, members->items[i].start, SIGSTOP);
}

void agentd_pause(struct agentd *agent, const struct agentd_request *request, const char *id,
                  const struct agentd_selector *selector)
{
    struct agentd_processes members;
    struct err err = ERR_INIT;
    first_members(agent, selector, &members);
    if (members.count == 0) {
        reply_processes(agent, request->id, request->arrived_ns, &members, selector, true);
        return;
    }
    struct agentd_wait *wait = agentd_wait_add(
        agent, request, step_pause, request->arrived_ns + PAUSE_NS_MAX, sizeof(struct pausing));
    if (wait == NULL)
        return;
    if (agentd_faults_pause(&agent->faults, id, selector, &members, &err) != ERR_NONE) {
        agentd_wait_drop(wait);
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    stop_first(selector, &members);
    struct pausing *pausing = wait->state;
    pausing->selector = *selector;
    if (selector->name != NULL)
        pausing->selector.name = arena_strdup(&wait->arena, selector->name);
    snprintf(pausing->id, sizeof pausing->id, "%s", id);
}

/* ---- Processes by name ---- */

struct killing {
    struct agentd_processes killed;
    struct agentd_selector selector;
};

static bool step_killed(struct agentd *agent, struct agentd_wait *wait, bool expired)
{
    struct killing *killing = wait->state;
    for (uint32_t i = 0; i < killing->killed.count; i++) {
        const struct agentd_process *process = &killing->killed.items[i];
        struct agentd_process now;
        bool gone = !agentd_process_read(process->pid, &now) || now.start != process->start ||
                    agentd_process_is_dead(&now);
        if (gone)
            continue;
        if (expired)
            agentd_reply_error(agent, wait->request_id, "timeout",
                               "process %d is still there after SIGKILL", (int)process->pid);
        return expired;
    }
    reply_processes(agent, wait->request_id, wait->arrived_ns, &killing->killed, &killing->selector,
                    true);
    return true;
}

static void kill_named(struct agentd *agent, const struct agentd_request *request,
                       const struct agentd_selector *selector)
{
    struct agentd_wait *wait = agentd_wait_add(
        agent, request, step_killed, request->arrived_ns + KILL_NS_MAX, sizeof(struct killing));
    if (wait == NULL)
        return;
    struct killing *killing = wait->state;
    killing->selector = *selector;
    killing->selector.name = arena_strdup(&wait->arena, selector->name);
    agentd_processes_select(&wait->arena, selector, &killing->killed);
    for (uint32_t i = 0; i < killing->killed.count; i++)
        agentd_process_signal(killing->killed.items[i].pid, killing->killed.items[i].start,
                              SIGKILL);
}

static void resume_named(struct agentd *agent, const struct agentd_request *request, const char *id,
                         const struct agentd_selector *selector)
{
    struct agentd_processes found;
    struct err err = ERR_INIT;
    enum err_code code = ERR_NONE;
    agentd_processes_select(&agent->scratch, selector, &found);
    if (found.count > 0)
        code = agentd_faults_pause(&agent->faults, id, selector, &found, &err);
    if (code == ERR_NONE && agentd_faults_find(&agent->faults, id) != NULL)
        code = agentd_faults_undo(&agent->faults, id, &err);
    if (code != ERR_NONE)
        agentd_reply_err(agent, request->id, &err);
    else
        reply_processes(agent, request->id, request->arrived_ns, &found, selector, true);
}

void agentd_process_signal_verb(struct agentd *agent, const struct agentd_request *request)
{
    const char *name = line_get(request->line, "comm"), *text = line_get(request->line, "signal");
    struct agentd_selector selector = {.name = name, .self = getpid(), .guardian = agent->guardian};
    char id[AGENTD_FAULT_ID_SIZE];
    snprintf(id, sizeof id, "pause-comm:%s", name);
    int number = agentd_signal_number(text);
    if (number == SIGKILL) {
        kill_named(agent, request, &selector);
    } else if (number == SIGSTOP) {
        agentd_pause(agent, request, id, &selector);
    } else if (number == SIGCONT) {
        resume_named(agent, request, id, &selector);
    } else if (number == SIGTERM) {
        struct agentd_processes found;
        agentd_processes_select(&agent->scratch, &selector, &found);
        for (uint32_t i = 0; i < found.count; i++)
            agentd_process_signal(found.items[i].pid, found.items[i].start, SIGTERM);
        reply_processes(agent, request->id, request->arrived_ns, &found, &selector, false);
    } else {
        agentd_reply_error(agent, request->id, "bad-request",
                           "signal: '%s' is not STOP, CONT, KILL or TERM", text);
    }
}
