/* Limits on processes: see limits.h. What each word takes, and by which means. */
#include "harness/agent/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness/agent/agentd.h"
#include "harness/agent/burdens.h"
#include "harness/agent/groups.h"
#include "harness/agent/limits_rlimit.h"
#include "harness/base/clock.h"

#define VERIFY_NS_MAX (5 * NS_PER_SECOND)
#define HOLD_NS_MAX (120 * NS_PER_SECOND)
#define HOG_LOOK_NS (100 * NS_PER_MS)

enum { MOVES_MAX = 20, MIB = 1 << 20, HOG_WORKS_PERCENT = 10 };

enum what { CPU, MEMORY, FILES, CPU_HOG, MEMORY_HOG, WHATS };
enum means { ANY, GROUP, STEPS, RLIMIT, PROCESS };

static const char *const what_names[] = {"cpu", "memory", "files", "cpu-hog", "memory-hog"};
static const char *const means_names[] = {"any", "cgroup", "steps", "rlimit", "process"};

/* By which means each can be had, the best first. */
static const enum means means_of[WHATS][2] = {
    [CPU] = {GROUP, STEPS},         [MEMORY] = {GROUP, RLIMIT},        [FILES] = {RLIMIT, RLIMIT},
    [CPU_HOG] = {PROCESS, PROCESS}, [MEMORY_HOG] = {PROCESS, PROCESS},
};
static const struct {
    int64_t low, high;
} ranges[WHATS] = {{1, 90}, {1, 1 << 20}, {0, 1 << 20}, {1, 100}, {1, 90}};

struct limit {
    char id[AGENTD_FAULT_ID_SIZE];
    enum what what;
    enum means means;
    int64_t value;
    uint32_t count, share;
    struct agentd_selector selector;
    struct agentd_processes members; /* as first seen */
    struct agentd_group group;
    struct agentd_burden burden;
    int64_t before; /* of what verifying counts */
    bool seen_stopped, seen_running;
};

/* ---- Requests ---- */

static bool find_word(const char *word, const char *const *words, int count, int *found)
{
    for (int i = 0; i < count; i++)
        if (strcmp(words[i], word) == 0) {
            *found = i;
            return true;
        }
    return false;
}

static enum err_code parse(const struct line *line, struct limit *limit, struct err *err)
{
    int what = 0, means = ANY;
    const char *word = line_get(line, "what"), *by = line_get(line, "means");
    if (!find_word(word, what_names, WHATS, &what))
        return err_set(err, ERR_CONFIG,
                       "what: '%.32s' is not cpu, memory, files, cpu-hog or memory-hog", word);
    if (by != NULL &&
        (!find_word(by, means_names, PROCESS + 1, &means) ||
         (means != ANY && (int)means_of[what][0] != means && (int)means_of[what][1] != means)))
        return err_set(err, ERR_CONFIG, "means: %s cannot be limited by '%.32s'", word, by);
    limit->what = (enum what)what;
    limit->means = (enum means)means;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    processors = processors < 1                    ? 1
                 : processors > AGENTD_BURDENS_MAX ? AGENTD_BURDENS_MAX
                                                   : processors;
    limit->count = (uint32_t)line_get_int(line, "count", processors);
    limit->share = (uint32_t)line_get_int(line, "share", 1);
    limit->value = line_get_int(line, "value", ranges[what].low);
    if (limit->value < ranges[what].low || limit->value > ranges[what].high)
        return err_set(err, ERR_CONFIG, "value: %" PRId64 " is not from %" PRId64 " to %" PRId64,
                       limit->value, ranges[what].low, ranges[what].high);
    return ERR_NONE;
}

static bool is_hog(const struct limit *limit)
{
    return limit->what == CPU_HOG || limit->what == MEMORY_HOG;
}

static enum agentd_controller controller_of(const struct limit *limit)
{
    return limit->what == CPU ? AGENTD_CONTROLLER_CPU : AGENTD_CONTROLLER_MEMORY;
}

/* Whose limit it is; false, and replied, when there is nobody. */
static bool select_members(struct agentd *agent, const struct agentd_request *request,
                           struct limit *limit, struct arena *arena)
{
    const char *name = line_get(request->line, "name"), *comm = line_get(request->line, "comm");
    const char *what = what_names[limit->what];
    if (is_hog(limit)) {
        snprintf(limit->id, sizeof limit->id, "limit:%s", what);
        return true;
    }
    if ((name == NULL) == (comm == NULL)) {
        agentd_reply_error(agent, request->id, "bad-request", "name: either name or comm it is");
        return false;
    }
    if (comm != NULL)
        limit->selector = (struct agentd_selector){
            .name = arena_strdup(arena, comm), .self = getpid(), .guardian = agent->guardian};
    else if (!agentd_daemon_selector(agent, request, &limit->selector))
        return false;
    snprintf(limit->id, sizeof limit->id, "limit:%s:%s", what, comm != NULL ? comm : name);
    agentd_processes_select(arena, &limit->selector, &limit->members);
    if (limit->members.count > 0)
        return true;
    agentd_reply_error(agent, request->id, "not-running", "there is no process of %s",
                       comm != NULL ? comm : name);
    return false;
}

/* ---- Beginning: journaled, then done ---- */

static enum err_code keep(struct agentd *agent, const struct limit *limit, const char *kind,
                          struct buf *text, struct err *err)
{
    line_key(text, "id", limit->id);
    enum err_code code = agentd_faults_keep(&agent->faults, limit->id, kind, text, err);
    buf_free(text);
    if (code == ERR_NONE)
        agentd_faults_find(&agent->faults, limit->id)->session = limit->selector.session;
    return code;
}

/* Until all are there: what is forked meanwhile may be born outside. */
static enum err_code move_members(struct limit *limit, struct err *err)
{
    for (int i = 0; i < MOVES_MAX; i++) {
        struct arena arena = ARENA_INIT;
        struct agentd_processes now;
        bool all = true;
        agentd_processes_select(&arena, &limit->selector, &now);
        for (uint32_t k = 0; k < now.count; k++)
            all = all && agentd_group_holds(&limit->group, now.items[k].pid);
        enum err_code code = all ? ERR_NONE : agentd_group_move(&limit->group, &now, err);
        arena_free(&arena);
        if (all || code != ERR_NONE)
            return code;
    }
    return err_set(err, ERR_TIMEOUT, "processes come faster than they can be moved");
}

/* A process that does nothing but spin, in the group: it is throttled even when the daemon has
 * nothing to do, which shows that the daemon would be. */
static enum err_code start_witness(struct limit *limit, struct err *err)
{
    const struct agentd_burden_spec spec = {.kind = AGENTD_BURDEN_SPIN, .count = 1, .amount = 100};
    limit->before = agentd_group_number(&limit->group, "cpu.stat", "nr_throttled");
    enum err_code code = agentd_burden_fork(&spec, &limit->burden, err);
    if (code != ERR_NONE)
        return code;
    struct agentd_processes witness = {.items = limit->burden.items, .count = 1};
    code = agentd_group_move(&limit->group, &witness, err);
    if (code == ERR_NONE)
        agentd_burden_go(&limit->burden);
    return code;
}

static enum err_code begin_group(struct agentd *agent, struct limit *limit, struct err *err)
{
    struct buf text = BUF_INIT;
    enum err_code code =
        agentd_group_locate(&limit->group, controller_of(limit), limit->members.items[0].pid,
                            limit->id, agent->options->run_dir, err);
    if (code != ERR_NONE)
        return code;
    agentd_journal_begin(&agent->faults.journal, &text, AGENTD_KIND_GROUP);
    agentd_group_add_keys(&limit->group, &text);
    code = keep(agent, limit, AGENTD_KIND_GROUP, &text, err);
    if (code != ERR_NONE) {
        agentd_group_release(&limit->group);
        return code;
    }
    code = agentd_group_make(&limit->group, limit->what == CPU ? limit->value : limit->value * MIB,
                             err);
    if (code == ERR_NONE)
        code = move_members(limit, err);
    return code == ERR_NONE && limit->what == CPU ? start_witness(limit, err) : code;
}

static enum err_code begin_rlimit(struct agentd *agent, struct limit *limit, struct err *err)
{
    struct buf text = BUF_INIT;
    enum agentd_rlimit what = limit->what == FILES ? AGENTD_RLIMIT_FILES : AGENTD_RLIMIT_MEMORY;
    agentd_journal_begin(&agent->faults.journal, &text, AGENTD_KIND_RLIMIT);
    agentd_rlimit_add_keys(what, &limit->selector, &limit->members, &text);
    enum err_code code = keep(agent, limit, AGENTD_KIND_RLIMIT, &text, err);
    return code == ERR_NONE ? agentd_rlimit_set(what, &limit->members, limit->value, err) : code;
}

static enum err_code begin_burden(struct agentd *agent, struct limit *limit, struct err *err)
{
    struct buf text = BUF_INIT, list = BUF_INIT;
    struct agentd_burden_spec spec = {.kind = AGENTD_BURDEN_STEP,
                                      .count = 1,
                                      .amount = limit->value,
                                      .selector = &limit->selector};
    if (limit->what == CPU_HOG) {
        spec.kind = AGENTD_BURDEN_SPIN;
        spec.count = limit->count;
    } else if (limit->what == MEMORY_HOG) {
        spec.kind = AGENTD_BURDEN_HOLD;
        spec.amount = agentd_burden_spare_bytes() / limit->share / 100 * limit->value;
        if (spec.amount < MIB)
            return err_set(err, ERR_UNSUPPORTED, "no memory is left that could be held");
        limit->before = spec.amount;
    }
    enum err_code code = agentd_burden_fork(&spec, &limit->burden, err);
    if (code != ERR_NONE)
        return code;
    agentd_journal_begin(&agent->faults.journal, &text, AGENTD_KIND_BURDEN);
    agentd_burden_print(&limit->burden, &list);
    line_key(&text, "children", buf_text(&list));
    if (spec.kind == AGENTD_BURDEN_STEP)
        agentd_pause_add_keys(&limit->selector, &limit->members, &text);
    buf_free(&list);
    code = keep(agent, limit, AGENTD_KIND_BURDEN, &text, err);
    if (code == ERR_NONE)
        agentd_burden_go(&limit->burden);
    return code;
}

static enum err_code begin_by(struct agentd *agent, struct limit *limit, enum means means,
                              struct err *err)
{
    limit->means = means;
    if (means == GROUP)
        return begin_group(agent, limit, err);
    return means == RLIMIT ? begin_rlimit(agent, limit, err) : begin_burden(agent, limit, err);
}

/* ---- Verifying ---- */

/* True once the limit was seen to be in force. */
static bool is_seen(struct limit *limit, int64_t elapsed_ns)
{
    enum agentd_stopped stopped;
    switch (limit->means) {
    case GROUP:
        return limit->what == MEMORY ||
               agentd_group_number(&limit->group, "cpu.stat", "nr_throttled") > limit->before;
    case STEPS:
        stopped = agentd_process_stopped(limit->members.items[0].pid);
        limit->seen_stopped |= stopped == AGENTD_STOPPED_ALL;
        limit->seen_running |= stopped == AGENTD_STOPPED_NONE && limit->seen_stopped;
        return limit->seen_running;
    case PROCESS:
        if (limit->what == CPU_HOG)
            return elapsed_ns >= HOG_LOOK_NS &&
                   agentd_burden_used_ns(&limit->burden) * 100 >=
                       elapsed_ns * limit->count * limit->value / 100 * HOG_WORKS_PERCENT;
        return limit->burden.progress->full &&
               agentd_burden_resident_bytes(limit->burden.items[0].pid) * 20 >=
                   limit->burden.progress->held_bytes * 19 &&
               limit->burden.progress->held_bytes >= MIB;
    default:
        return true; /* read back when it was set */
    }
}

static bool is_there(const struct agentd_process *process)
{
    struct agentd_process now;
    return agentd_process_read(process->pid, &now) && now.start == process->start &&
           !agentd_process_is_dead(&now);
}

static void end_witness(struct limit *limit)
{
    struct buf list = BUF_INIT;
    if (limit->means == GROUP && limit->burden.count > 0) {
        agentd_burden_print(&limit->burden, &list);
        (void)!agentd_burden_kill(buf_text(&list), NULL);
    }
    buf_free(&list);
}

static void reply_begun(struct agentd *agent, const struct agentd_wait *wait,
                        const struct limit *limit)
{
    struct buf *out = agentd_reply(agent, wait->request_id);
    int64_t elapsed_ns = clock_monotonic_ns() - wait->arrived_ns;
    line_key(out, "id", limit->id);
    line_key(out, "means", means_names[limit->means]);
    line_key_int(out, "count", is_hog(limit) ? limit->burden.count : limit->members.count);
    if (limit->what == MEMORY_HOG)
        line_key_int(out, "bytes", limit->burden.progress->held_bytes);
    if (limit->what == CPU_HOG)
        line_key_int(out, "percent", agentd_burden_used_ns(&limit->burden) * 100 / elapsed_ns);
    line_key_int(out, "elapsed_ns", elapsed_ns);
    line_key_int(out, "verified", 1);
    line_end(out);
}

static bool step_limit(struct agentd *agent, struct agentd_wait *wait, bool expired)
{
    struct limit *limit = wait->state;
    bool undone = agentd_faults_find(&agent->faults, limit->id) == NULL;
    bool gone = !is_hog(limit) && !is_there(&limit->members.items[0]);
    bool seen = !undone && !gone && is_seen(limit, clock_monotonic_ns() - wait->arrived_ns);
    if (!seen && !undone && !gone && !expired)
        return false;
    end_witness(limit);
    if (seen) {
        reply_begun(agent, wait, limit);
    } else {
        if (!undone)
            (void)!agentd_faults_undo(&agent->faults, limit->id, NULL);
        agentd_reply_error(agent, wait->request_id, undone || gone ? "not-running" : "timeout",
                           "%s: %s", limit->id,
                           undone ? "it was undone before it was seen"
                           : gone ? "the process ended before it was seen"
                                  : "its effect was not seen, and it is undone");
    }
    agentd_burden_close(&limit->burden);
    return true;
}

void agentd_limit_begin(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    struct limit parsed = {.burden.go = -1};
    if (parse(request->line, &parsed, &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct agentd_wait *wait = agentd_wait_add(
        agent, request, step_limit,
        request->arrived_ns + (parsed.what == MEMORY_HOG ? HOLD_NS_MAX : VERIFY_NS_MAX),
        sizeof parsed);
    if (wait == NULL)
        return;
    struct limit *limit = wait->state;
    *limit = parsed;
    if (!select_members(agent, request, limit, &wait->arena)) {
        agentd_wait_drop(wait);
        return;
    }
    if (agentd_faults_find(&agent->faults, limit->id) != NULL) {
        agentd_reply_error(agent, request->id, "exists", "fault %s is in force already", limit->id);
        agentd_wait_drop(wait);
        return;
    }
    enum means first = parsed.means == ANY ? means_of[parsed.what][0] : parsed.means;
    enum means second = parsed.means == ANY ? means_of[parsed.what][1] : parsed.means;
    enum err_code code = begin_by(agent, limit, first, &err);
    for (int tries = 0; code != ERR_NONE; tries++) {
        end_witness(limit);
        agentd_burden_close(&limit->burden);
        if (agentd_faults_find(&agent->faults, limit->id) != NULL)
            (void)!agentd_faults_undo(&agent->faults, limit->id, NULL);
        if (tries > 0 || first == second) {
            agentd_reply_err(agent, request->id, &err);
            agentd_wait_drop(wait);
            return;
        }
        code = begin_by(agent, limit, second, &err);
    }
}

/* ---- Whether it can be had ---- */

void agentd_limit_check(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    struct limit limit;
    enum err_code code = parse(request->line, &limit, &err);
    if (code == ERR_NONE && (limit.means == ANY || limit.means == GROUP) &&
        means_of[limit.what][0] == GROUP) {
        struct err why = ERR_INIT;
        /* The agent stands for what it will start: they are in its group at first. */
        enum err_code group = agentd_group_locate(&limit.group, controller_of(&limit), getpid(),
                                                  "check", agent->options->run_dir, &why);
        if (group == ERR_NONE)
            group =
                agentd_group_make(&limit.group, limit.value * (limit.what == CPU ? 1 : MIB), &why);
        if (limit.group.directory[0] != '\0')
            (void)!agentd_group_undo(&limit.group, NULL);
        if (group != ERR_NONE && limit.means == GROUP)
            code = err_set(&err, ERR_UNSUPPORTED, "%s", why.message);
        else
            limit.means = group == ERR_NONE ? GROUP : means_of[limit.what][1];
    } else if (code == ERR_NONE && limit.means == ANY) {
        limit.means = means_of[limit.what][0];
    }
    if (code != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key(out, "means", means_names[limit.means]);
    line_end(out);
}

/* ---- What it did ---- */

static void tell_group(const struct agentd_group *group, struct buf *text)
{
    bool second = group->version == 2;
    if (group->controller == AGENTD_CONTROLLER_CPU) {
        int64_t throttled =
            agentd_group_number(group, "cpu.stat", second ? "throttled_usec" : "throttled_time");
        char took[32];
        clock_format_human(second ? throttled * NS_PER_US : throttled, took, sizeof took);
        buf_printf(text, "throttled in %" PRId64 " of %" PRId64 " periods, for %s",
                   agentd_group_number(group, "cpu.stat", "nr_throttled"),
                   agentd_group_number(group, "cpu.stat", "nr_periods"), took);
        return;
    }
    buf_printf(text, "%" PRId64 " killed for want of memory",
               second ? agentd_group_number(group, "memory.events", "oom_kill")
                      : agentd_group_number(group, "memory.oom_control", "oom_kill"));
}

static void tell(const struct agentd_entry *entry, struct buf *text)
{
    struct agentd_group group;
    if (strcmp(entry->kind, AGENTD_KIND_GROUP) == 0 &&
        agentd_group_read_keys(&entry->line, &group, NULL) == ERR_NONE) {
        tell_group(&group, text);
    } else if (strcmp(entry->kind, AGENTD_KIND_RLIMIT) == 0) {
        agentd_rlimit_tell(&entry->line, text);
    } else {
        const char *list = line_get(&entry->line, "children");
        int pid = 0;
        if (list != NULL && sscanf(list, "%d", &pid) == 1)
            buf_printf(text, "%" PRId64 " MiB held", agentd_burden_resident_bytes(pid) / MIB);
    }
}

void agentd_limit_look(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    struct agentd_entry entry;
    struct buf text = BUF_INIT;
    const char *id = line_get(request->line, "id");
    const struct agentd_fault *fault = agentd_faults_find(&agent->faults, id);
    if (fault == NULL || !agentd_limit_is_kind(fault->kind)) {
        agentd_reply_error(agent, request->id, "not-found", "there is no limit %s in force", id);
        return;
    }
    if (agentd_journal_read(&agent->faults.journal, fault->sequence, &agent->scratch, &entry,
                            &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    tell(&entry, &text);
    struct buf *out = agentd_reply(agent, request->id);
    line_key(out, "effect", buf_text(&text));
    line_end(out);
    buf_free(&text);
}

/* ---- Undoing, and blaming ---- */

bool agentd_limit_is_kind(const char *kind)
{
    return strcmp(kind, AGENTD_KIND_GROUP) == 0 || strcmp(kind, AGENTD_KIND_BURDEN) == 0 ||
           strcmp(kind, AGENTD_KIND_RLIMIT) == 0;
}

enum err_code agentd_limit_undo(const struct agentd_entry *entry, struct err *err)
{
    if (strcmp(entry->kind, AGENTD_KIND_GROUP) == 0) {
        struct agentd_group group;
        enum err_code code = agentd_group_read_keys(&entry->line, &group, err);
        return code == ERR_NONE ? agentd_group_undo(&group, err) : code;
    }
    if (strcmp(entry->kind, AGENTD_KIND_RLIMIT) == 0)
        return agentd_rlimit_undo(&entry->line, err);
    const char *list = line_get(&entry->line, "children");
    enum err_code code = agentd_burden_kill(list == NULL ? "" : list, err);
    if (code == ERR_NONE && line_get(&entry->line, "members") != NULL)
        code = agentd_pause_undo(entry, err);
    return code;
}

const char *agentd_limit_on(struct agentd_faults *faults, const char *daemon, pid_t pid)
{
    static const enum what order[] = {MEMORY, FILES, CPU, MEMORY_HOG};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        char id[AGENTD_FAULT_ID_SIZE];
        bool hog = order[i] == MEMORY_HOG;
        snprintf(id, sizeof id, hog ? "limit:%s" : "limit:%s:%s", what_names[order[i]], daemon);
        const struct agentd_fault *fault = agentd_faults_find(faults, id);
        if (fault != NULL && (hog || fault->session == pid))
            return what_names[order[i]];
    }
    return NULL;
}

bool agentd_limit_steps(struct agentd_faults *faults, const char *daemon)
{
    char id[AGENTD_FAULT_ID_SIZE];
    snprintf(id, sizeof id, "limit:cpu:%s", daemon);
    const struct agentd_fault *fault = agentd_faults_find(faults, id);
    return fault != NULL && strcmp(fault->kind, AGENTD_KIND_BURDEN) == 0;
}
