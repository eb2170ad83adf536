/* The daemons: starting, stopping, signalling, and noticing how they end. See daemons.h. */
#include "harness/agent/daemons.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/agent/agentd.h"
#include "harness/agent/disks_io.h"
#include "harness/agent/limits.h"
#include "harness/agent/spawn.h"
#include "harness/base/clock.h"

#define GRACE_MS_DEFAULT 5000
#define KILL_NS_MAX (10 * NS_PER_SECOND)

static struct agentd_daemon *find(struct agentd *agent, const char *name)
{
    for (uint32_t i = 0; i < agent->daemons.count; i++)
        if (strcmp(agent->daemons.items[i].name, name) == 0)
            return &agent->daemons.items[i];
    return NULL;
}

static struct agentd_selector session_of(const struct agentd_daemon *daemon)
{
    return (struct agentd_selector){.session = daemon->pid, .start = daemon->start};
}

static void pause_id(const char *name, char *id)
{
    snprintf(id, AGENTD_FAULT_ID_SIZE, "pause:%s", name);
}

/* ---- Noticing the end ---- */

static uint64_t read_oom_kills(void)
{
    char text[8192];
    int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[length < 0 ? 0 : length] = '\0';
    const char *at = strstr(text, "\noom_kill ");
    return at == NULL ? 0 : strtoull(at + strlen("\noom_kill "), NULL, 10);
}

/* SIGKILL that nobody asked for, while the kernel's count of its out-of-memory kills went up. */
static bool looks_like_oom(struct agentd *agent, const struct agentd_daemon *daemon)
{
    if (daemon->asked || !WIFSIGNALED(daemon->wait_status) ||
        WTERMSIG(daemon->wait_status) != SIGKILL)
        return false;
    uint64_t kills = read_oom_kills();
    bool rose = kills > agent->daemons.oom_kills;
    agent->daemons.oom_kills = kills;
    return rose;
}

static bool is_reaped(const struct agentd_daemon *now, const struct agentd_daemon *then)
{
    return now == NULL || now->pid != then->pid || now->state != AGENTD_DAEMON_RUNNING;
}

/* Nothing of it lives. Only for a daemon that was reaped: it is the main process that is looked for
 * cheaply, by its SIGCHLD. */
static bool session_is_gone(const struct agentd_daemon *daemon)
{
    struct arena arena = ARENA_INIT;
    struct agentd_processes left;
    struct agentd_selector selector = session_of(daemon);
    agentd_processes_select(&arena, &selector, &left);
    arena_free(&arena);
    return left.count == 0;
}

static void add_status(struct buf *out, int wait_status)
{
    char name[16];
    if (WIFSIGNALED(wait_status)) {
        line_key_int(out, "signal", WTERMSIG(wait_status));
        line_key(out, "signal_name", agentd_signal_name(WTERMSIG(wait_status), name));
        line_key_int(out, "core", WCOREDUMP(wait_status) != 0);
    } else {
        line_key_int(out, "status", WEXITSTATUS(wait_status));
    }
}

static void note_end(struct agentd *agent, struct agentd_daemon *daemon, int wait_status)
{
    daemon->state = AGENTD_DAEMON_EXITED;
    daemon->wait_status = wait_status;
    daemon->since_ns = clock_monotonic_ns();
    bool by_kill = WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL;
    daemon->asked = daemon->asked_to_end || (daemon->asked_to_die && by_kill);
    agentd_journal_remove(&agent->daemons.journal, daemon->entry, NULL);
    char id[AGENTD_FAULT_ID_SIZE];
    pause_id(daemon->name, id);
    if (agentd_faults_find(&agent->faults, id) != NULL && session_is_gone(daemon))
        agentd_faults_forget(&agent->faults, id);
    struct buf *out = agentd_event(agent, "exit");
    line_key(out, "name", daemon->name);
    line_key_int(out, "pid", daemon->pid);
    add_status(out, wait_status);
    line_key_int(out, "asked", daemon->asked);
    line_key_int(out, "oom", looks_like_oom(agent, daemon));
    const char *under = agentd_limit_on(&agent->faults, daemon->name, daemon->pid);
    if (under == NULL)
        under = agentd_io_hurts(&agent->faults);
    if (under != NULL)
        line_key(out, "under", under);
    line_key_int(out, "at_ns", daemon->since_ns);
    line_end(out);
}

void agentd_reap(struct agentd *agent)
{
    int wait_status;
    pid_t pid;
    while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
        agent->stirred = true;
        for (uint32_t i = 0; i < agent->daemons.count; i++) {
            struct agentd_daemon *daemon = &agent->daemons.items[i];
            if (daemon->state == AGENTD_DAEMON_RUNNING && daemon->pid == pid)
                note_end(agent, daemon, wait_status);
        }
    }
}

/* ---- Starting ---- */

struct starting {
    struct agentd *agent;
    const char *name;
    uint64_t start, entry;
};

static enum err_code journal_daemon(void *context, pid_t pid, struct err *err)
{
    struct starting *starting = context;
    struct agentd_process process;
    if (!agentd_process_read(pid, &process))
        return err_set(err, ERR_IO, "cannot read /proc/%d/stat", (int)pid);
    starting->start = process.start;
    if (starting->agent->options->keep_daemons)
        return ERR_NONE;
    struct buf text = BUF_INIT;
    agentd_journal_begin(&starting->agent->daemons.journal, &text, AGENTD_KIND_DAEMON);
    line_key(&text, "name", starting->name);
    line_key_int(&text, "pid", pid);
    line_key_int(&text, "start", (int64_t)process.start);
    enum err_code code =
        agentd_journal_write(&starting->agent->daemons.journal, &starting->entry, &text, err);
    buf_free(&text);
    return code;
}

static struct agentd_daemon *slot_for(struct agentd *agent, const char *name)
{
    struct agentd_daemon *daemon = find(agent, name);
    if (daemon != NULL || agent->daemons.count == AGENTD_DAEMONS_MAX)
        return daemon;
    return &agent->daemons.items[agent->daemons.count++];
}

void agentd_daemon_start(struct agentd *agent, const struct agentd_request *request)
{
    const char *name = line_get(request->line, "name");
    const struct agentd_daemon *known = find(agent, name);
    struct agentd_spawn spawn;
    struct err err = ERR_INIT;
    if (known != NULL && known->state == AGENTD_DAEMON_RUNNING) {
        agentd_reply_error(agent, request->id, "exists", "daemon %s is running already, pid %d",
                           name, (int)known->pid);
        return;
    }
    if (known == NULL && agent->daemons.count == AGENTD_DAEMONS_MAX) {
        agentd_reply_error(agent, request->id, "limit", "%d daemons are known already",
                           AGENTD_DAEMONS_MAX);
        return;
    }
    if (agentd_spawn_parse(&agent->scratch, request->line, &spawn, &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct starting starting = {.agent = agent, .name = name};
    pid_t pid;
    agent->daemons.oom_kills = read_oom_kills();
    if (agentd_spawn(&spawn, journal_daemon, &starting, &pid, &err) != ERR_NONE) {
        if (starting.entry != 0)
            agentd_journal_remove(&agent->daemons.journal, starting.entry, NULL);
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    /* What an earlier daemon of this name left behind stopped would else be forgotten by a pause of
     * the new one, which is journaled under the same id. */
    char id[AGENTD_FAULT_ID_SIZE];
    pause_id(name, id);
    if (agentd_faults_find(&agent->faults, id) != NULL)
        agentd_faults_undo(&agent->faults, id, NULL);
    struct agentd_daemon *daemon = slot_for(agent, name);
    *daemon = (struct agentd_daemon){.state = AGENTD_DAEMON_RUNNING,
                                     .pid = pid,
                                     .start = starting.start,
                                     .entry = starting.entry,
                                     .since_ns = clock_monotonic_ns()};
    snprintf(daemon->name, sizeof daemon->name, "%s", name);
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "pid", pid);
    line_end(out);
}

/* ---- Ending ---- */

/* The daemon by that name, if it runs; else replies. What has just ended is noticed first, so that
 * a crash is never taken for an end that was asked for. */
static struct agentd_daemon *running(struct agentd *agent, const struct agentd_request *request)
{
    agentd_reap(agent);
    const char *name = line_get(request->line, "name");
    struct agentd_daemon *daemon = find(agent, name);
    if (daemon == NULL)
        agentd_reply_error(agent, request->id, "not-found", "there is no daemon %s", name);
    else if (daemon->state != AGENTD_DAEMON_RUNNING)
        agentd_reply_error(agent, request->id, "not-running", "daemon %s has ended", name);
    else
        return daemon;
    return NULL;
}

bool agentd_daemon_selector(struct agentd *agent, const struct agentd_request *request,
                            struct agentd_selector *selector)
{
    const struct agentd_daemon *daemon = running(agent, request);
    if (daemon != NULL)
        *selector = session_of(daemon);
    return daemon != NULL;
}

/* To the group in one go, which no fork can slip through, then to the rest of the session. Once the
 * main process was reaped its number may come to mean another group, so then one by one. */
static void signal_session(struct agentd *agent, const struct agentd_daemon *then, int number)
{
    bool reaped = is_reaped(find(agent, then->name), then);
    if (!reaped)
        kill(-then->pid, number);
    struct arena arena = ARENA_INIT;
    struct agentd_processes found;
    struct agentd_selector selector = session_of(then);
    agentd_processes_select(&arena, &selector, &found);
    for (uint32_t i = 0; i < found.count; i++) {
        if (reaped || found.items[i].group != then->pid)
            agentd_process_signal(found.items[i].pid, found.items[i].start, number);
        if (number == SIGKILL)
            agentd_process_hurry(found.items[i].pid);
    }
    arena_free(&arena);
}

struct ending {
    struct agentd_daemon then;       /* as it was when asked; the name may run again by now */
    struct agentd_processes members; /* all that it had then, whatever session they are in */
    int64_t kill_at_ns;              /* INT64_MAX: never, it was killed at once */
    bool killed;
};

/* What had left the session is told from others only while its parent lives: so it is looked for
 * before anything is killed. */
static void note_members(struct agentd_wait *wait, const struct agentd_daemon *daemon)
{
    struct ending *ending = wait->state;
    struct agentd_selector selector = session_of(daemon);
    agentd_processes_select(&wait->arena, &selector, &ending->members);
}

static void kill_members(const struct ending *ending)
{
    for (uint32_t i = 0; i < ending->members.count; i++) {
        const struct agentd_process *member = &ending->members.items[i];
        agentd_process_signal(member->pid, member->start, SIGKILL);
        agentd_process_hurry(member->pid);
    }
}

static void kill_all(struct agentd *agent, const struct ending *ending)
{
    signal_session(agent, &ending->then, SIGKILL);
    kill_members(ending);
}

static bool members_are_gone(const struct ending *ending)
{
    for (uint32_t i = 0; i < ending->members.count; i++) {
        const struct agentd_process *then = &ending->members.items[i];
        struct agentd_process now;
        if (agentd_process_read(then->pid, &now) && now.start == then->start &&
            !agentd_process_is_dead(&now))
            return false;
    }
    return true;
}

static bool has_ended(struct agentd *agent, const struct ending *ending)
{
    const struct agentd_daemon *then = &ending->then;
    return is_reaped(find(agent, then->name), then) && session_is_gone(then) &&
           members_are_gone(ending);
}

static void forget_pause(struct agentd *agent, const char *name)
{
    char id[AGENTD_FAULT_ID_SIZE];
    pause_id(name, id);
    agentd_faults_forget(&agent->faults, id);
}

static void resume_quietly(struct agentd *agent, struct agentd_daemon *daemon)
{
    char id[AGENTD_FAULT_ID_SIZE];
    pause_id(daemon->name, id);
    if (agentd_faults_find(&agent->faults, id) != NULL)
        agentd_faults_undo(&agent->faults, id, NULL);
    else if (agentd_process_stopped(daemon->pid) != AGENTD_STOPPED_NONE)
        signal_session(agent, daemon, SIGCONT);
}

static void reply_still_there(struct agentd *agent, const struct agentd_wait *wait,
                              const struct agentd_daemon *daemon)
{
    agentd_reply_error(agent, wait->request_id, "timeout",
                       "daemon %s (pid %d) is still there after SIGKILL", daemon->name,
                       (int)daemon->pid);
}

static bool step_stop(struct agentd *agent, struct agentd_wait *wait, bool expired)
{
    struct ending *ending = wait->state;
    const char *name = ending->then.name;
    if (has_ended(agent, ending)) {
        struct buf *out = agentd_reply(agent, wait->request_id);
        const struct agentd_daemon *now = find(agent, name);
        if (now != NULL && now->pid == ending->then.pid)
            add_status(out, now->wait_status);
        line_key_int(out, "killed", ending->killed);
        line_key_int(out, "elapsed_ns", clock_monotonic_ns() - wait->arrived_ns);
        line_end(out);
        return true;
    }
    if (!ending->killed && clock_monotonic_ns() >= ending->kill_at_ns) {
        struct agentd_daemon *now = find(agent, name);
        if (now != NULL && now->pid == ending->then.pid)
            now->asked_to_die = true;
        kill_all(agent, ending);
        ending->killed = true;
    }
    if (expired)
        reply_still_there(agent, wait, &ending->then);
    return expired;
}

void agentd_daemon_stop(struct agentd *agent, const struct agentd_request *request)
{
    struct agentd_daemon *daemon = running(agent, request);
    if (daemon == NULL)
        return;
    int64_t grace_ns = line_get_int(request->line, "grace_ms", GRACE_MS_DEFAULT) * NS_PER_MS;
    int64_t kill_at_ns = request->arrived_ns + grace_ns;
    struct agentd_wait *wait =
        agentd_wait_add(agent, request, step_stop, kill_at_ns + KILL_NS_MAX, sizeof(struct ending));
    if (wait == NULL)
        return;
    *(struct ending *)wait->state = (struct ending){.then = *daemon, .kill_at_ns = kill_at_ns};
    ((struct ending *)wait->state)->then.asked_to_end = daemon->asked_to_end = true;
    note_members(wait, daemon);
    resume_quietly(agent, daemon);
    signal_session(agent, daemon, SIGTERM);
}

/* ---- Signals ---- */

static bool step_kill(struct agentd *agent, struct agentd_wait *wait, bool expired)
{
    struct ending *ending = wait->state;
    if (!has_ended(agent, ending)) {
        if (expired)
            reply_still_there(agent, wait, &ending->then);
        else if (is_reaped(find(agent, ending->then.name), &ending->then))
            kill_all(agent, ending); /* what had left the group before */
        return expired;
    }
    forget_pause(agent, ending->then.name);
    struct buf *out = agentd_reply(agent, wait->request_id);
    line_key_int(out, "pid", ending->then.pid);
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - wait->arrived_ns);
    line_key_int(out, "verified", 1);
    line_end(out);
    return true;
}

static void kill_daemon(struct agentd *agent, const struct agentd_request *request,
                        struct agentd_daemon *daemon)
{
    struct agentd_wait *wait = agentd_wait_add(
        agent, request, step_kill, request->arrived_ns + KILL_NS_MAX, sizeof(struct ending));
    if (wait == NULL)
        return;
    daemon->asked_to_die = true;
    *(struct ending *)wait->state = (struct ending){.then = *daemon, .kill_at_ns = INT64_MAX};
    note_members(wait, daemon);
    /* Not reaped, so the number is still its group's; a fork that had left it since the look is
     * found by the look that says whether all are gone. */
    kill(-daemon->pid, SIGKILL);
    kill_members(wait->state);
}

static void resume_daemon(struct agentd *agent, const struct agentd_request *request,
                          struct agentd_daemon *daemon)
{
    char id[AGENTD_FAULT_ID_SIZE];
    struct err err = ERR_INIT;
    struct agentd_selector selector = session_of(daemon);
    struct agentd_processes members;
    pause_id(daemon->name, id);
    agentd_processes_select(&agent->scratch, &selector, &members);
    /* Written anew, so that undoing it covers what joined the session since, or what somebody else
     * stopped. */
    enum err_code code = agentd_faults_pause(&agent->faults, id, &selector, &members, &err);
    if (code == ERR_NONE)
        code = agentd_faults_undo(&agent->faults, id, &err);
    if (code != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "pid", daemon->pid);
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - request->arrived_ns);
    line_key_int(out, "verified", 1);
    line_end(out);
}

static void signal_main(struct agentd *agent, const struct agentd_request *request,
                        struct agentd_daemon *daemon, int number)
{
    static const int endings[] = {SIGTERM, SIGINT, SIGQUIT, SIGABRT,
                                  SIGSEGV, SIGBUS, SIGILL,  SIGFPE};
    if (kill(daemon->pid, number) != 0) {
        agentd_reply_error(agent, request->id, "failed", "cannot signal pid %d: %s",
                           (int)daemon->pid, strerror(errno));
        return;
    }
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        daemon->asked_to_end |= endings[i] == number;
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "pid", daemon->pid);
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - request->arrived_ns);
    line_key_int(out, "verified", 0);
    line_end(out);
}

void agentd_daemon_signal(struct agentd *agent, const struct agentd_request *request)
{
    const char *text = line_get(request->line, "signal");
    int number = agentd_signal_number(text);
    if (number == 0) {
        agentd_reply_error(agent, request->id, "bad-request", "signal: '%s' is none", text);
        return;
    }
    struct agentd_daemon *daemon = running(agent, request);
    if (daemon == NULL)
        return;
    if (number == SIGKILL) {
        kill_daemon(agent, request, daemon);
    } else if (number == SIGSTOP) {
        struct agentd_selector selector = session_of(daemon);
        char id[AGENTD_FAULT_ID_SIZE];
        pause_id(daemon->name, id);
        if (agentd_limit_steps(&agent->faults, daemon->name)) {
            agentd_reply_error(agent, request->id, "exists",
                               "daemon %s is stopped and resumed in turn, for the fault limit:cpu",
                               daemon->name);
            return;
        }
        agentd_pause(agent, request, id, &selector);
    } else if (number == SIGCONT) {
        resume_daemon(agent, request, daemon);
    } else {
        signal_main(agent, request, daemon, number);
    }
}

/* ---- Telling ---- */

/* Every key is always there, so that the n-th of each belongs to the n-th daemon. */
static void add_daemon(struct buf *out, const char *name, const struct agentd_daemon *daemon)
{
    static const struct agentd_daemon none = {.state = AGENTD_DAEMON_NONE};
    if (daemon == NULL)
        daemon = &none;
    bool is_running = daemon->state == AGENTD_DAEMON_RUNNING,
         has_ended_once = daemon->state == AGENTD_DAEMON_EXITED;
    bool paused = is_running && agentd_process_stopped(daemon->pid) == AGENTD_STOPPED_ALL;
    bool by_signal = has_ended_once && WIFSIGNALED(daemon->wait_status);
    char signal_name[16] = "", number[16] = "", status[16] = "";
    if (by_signal) {
        agentd_signal_name(WTERMSIG(daemon->wait_status), signal_name);
        snprintf(number, sizeof number, "%d", WTERMSIG(daemon->wait_status));
    } else if (has_ended_once) {
        snprintf(status, sizeof status, "%d", WEXITSTATUS(daemon->wait_status));
    }
    line_key(out, "name", name);
    line_key(out, "state",
             paused           ? "paused"
             : is_running     ? "running"
             : has_ended_once ? "exited"
                              : "none");
    line_key_int(out, "pid", daemon->pid);
    line_key(out, "status", status);
    line_key(out, "signal", number);
    line_key(out, "signal_name", signal_name);
    line_key_int(out, "asked", has_ended_once && daemon->asked);
    line_key_int(out, "since_ns", daemon->since_ns);
}

void agentd_daemon_status(struct agentd *agent, const struct agentd_request *request)
{
    agentd_reap(agent);
    const char *name = line_get(request->line, "name");
    const struct agentd_daemon *daemon = find(agent, name);
    struct buf *out = agentd_reply(agent, request->id);
    add_daemon(out, name, daemon);
    line_end(out);
}

void agentd_daemon_list(struct agentd *agent, const struct agentd_request *request)
{
    agentd_reap(agent);
    struct buf *out = agentd_reply(agent, request->id);
    for (uint32_t i = 0; i < agent->daemons.count; i++)
        add_daemon(out, agent->daemons.items[i].name, &agent->daemons.items[i]);
    line_end(out);
}

/* ---- The end of everything ---- */

static bool step_shutdown(struct agentd *agent, struct agentd_wait *wait, bool expired)
{
    struct ending *ending = wait->state;
    bool all = true;
    int64_t now_ns = clock_monotonic_ns();
    bool kill_now = !ending->killed && now_ns >= ending->kill_at_ns;
    for (uint32_t i = 0; i < agent->daemons.count && !agent->leaves_daemons; i++) {
        struct agentd_daemon *daemon = &agent->daemons.items[i];
        if (is_reaped(daemon, daemon) && session_is_gone(daemon))
            continue;
        all = false;
        if (kill_now) {
            daemon->asked_to_die = true;
            signal_session(agent, daemon, SIGKILL);
        }
    }
    ending->killed |= kill_now;
    if (!all && !expired)
        return false;
    struct agentd_healed healed = {.undone = 0};
    agentd_faults_heal(&agent->faults, &healed);
    struct buf *out = agentd_reply(agent, wait->request_id);
    line_key_int(out, "undone", healed.undone);
    line_key_int(out, "failed", healed.failed);
    line_key_int(out, "killed", ending->killed);
    line_end(out);
    agentd_healed_free(&healed);
    agent->end = AGENTD_END_SHUTDOWN;
    return true;
}

void agentd_shutdown(struct agentd *agent, const struct agentd_request *request)
{
    agentd_reap(agent);
    int64_t grace_ns = line_get_int(request->line, "grace_ms", GRACE_MS_DEFAULT) * NS_PER_MS;
    int64_t kill_at_ns = request->arrived_ns + grace_ns;
    struct agentd_wait *wait = agentd_wait_add(agent, request, step_shutdown,
                                               kill_at_ns + KILL_NS_MAX, sizeof(struct ending));
    if (wait == NULL)
        return;
    ((struct ending *)wait->state)->kill_at_ns = kill_at_ns;
    agent->leaves_daemons = line_get_int(request->line, "keep_daemons", 0) != 0;
    for (uint32_t i = 0; i < agent->daemons.count && !agent->leaves_daemons; i++) {
        struct agentd_daemon *daemon = &agent->daemons.items[i];
        if (daemon->state != AGENTD_DAEMON_RUNNING)
            continue;
        daemon->asked_to_end = true;
        resume_quietly(agent, daemon);
        signal_session(agent, daemon, SIGTERM);
    }
}
