/* Clock faults of daemons, as the serving process makes them: see clocks.h and PROTOCOL.md. */
#include "harness/agent/clocks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "harness/agent/agentd.h"
#include "harness/agent/faketime.h"
#include "harness/base/clock.h"

#define LOOK_NS (100 * NS_PER_MS) /* for processes that were started since */
#define STEP_NS (20 * NS_PER_MS)  /* libfaketime's rate is made of steps */

enum { PAGES_MAX = 256, LOOK_SHARE = 20 };

/* Pages that patches of the past left in processes, to be used again. */
static struct agentd_vdso_process pages[PAGES_MAX];
static uint32_t page_count;

static void remember_page(const struct agentd_vdso_process *process)
{
    for (uint32_t i = 0; i < page_count && i < PAGES_MAX; i++)
        if (pages[i].pid == process->pid && pages[i].start == process->start)
            return;
    pages[page_count++ % PAGES_MAX] = *process;
}

static uint64_t known_page(const struct agentd_process *process)
{
    for (uint32_t i = 0; i < page_count && i < PAGES_MAX; i++)
        if (pages[i].pid == process->pid && pages[i].start == process->start)
            return pages[i].page;
    return 0;
}

/* ---- Which processes ---- */

static bool is_among(const struct agentd_processes *set, pid_t pid)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->items[i].pid == pid)
            return true;
    return false;
}

/* The daemon's session and group, and what descends from it in sessions of its own. */
static void select_daemon(struct agentd *agent, const struct agentd_daemon *daemon,
                          struct agentd_processes *found)
{
    struct agentd_processes all;
    agentd_processes_read(&agent->scratch, &all);
    *found = (struct agentd_processes){
        .items = arena_alloc(&agent->scratch, (all.count + 1) * sizeof *found->items)};
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 0; i < all.count; i++) {
            const struct agentd_process *process = &all.items[i];
            bool wanted = process->session == daemon->pid || process->group == daemon->pid ||
                          process->pid == daemon->pid || is_among(found, process->parent);
            if (!wanted || agentd_process_is_dead(process) || is_among(found, process->pid))
                continue;
            found->items[found->count++] = *process;
            more = true;
        }
    }
}

static void select_processes(struct agentd *agent, const char *name, bool by_comm,
                             struct agentd_processes *found)
{
    *found = (struct agentd_processes){.count = 0};
    if (by_comm) {
        struct agentd_selector selector = {
            .name = name, .self = getpid(), .guardian = agent->guardian};
        agentd_processes_select(&agent->scratch, &selector, found);
        return;
    }
    for (uint32_t i = 0; i < agent->daemons.count; i++) {
        const struct agentd_daemon *daemon = &agent->daemons.items[i];
        if (strcmp(daemon->name, name) == 0 && daemon->state == AGENTD_DAEMON_RUNNING)
            select_daemon(agent, daemon, found);
    }
}

/* ---- By how much ---- */

static int64_t told_offset_ns(const struct agentd_clock *clock, int64_t now_ns)
{
    return clock->back ? 0 : agentd_warp_apply(&clock->warps.wall, now_ns) - now_ns;
}

static void set_warps(struct agentd_clock *clock, bool monotonic)
{
    int64_t now_ns = clock_wall_ns();
    clock->base_ns = now_ns;
    clock->warps.wall = (struct agentd_warp){now_ns, now_ns + clock->offset_ns, clock->rate};
    /* From where, each page knows by itself. */
    clock->warps.monotonic = agentd_warps_none().monotonic;
    if (monotonic)
        clock->warps.monotonic.rate = clock->rate;
}

/* ---- Bringing it into force ---- */

static void add_member(struct agentd *agent, struct agentd_clock *clock,
                       const struct agentd_vdso_process *process)
{
    if (clock->members == NULL)
        clock->members =
            arena_alloc(&agent->clocks.arena, AGENTD_CLOCK_MEMBERS_MAX * sizeof *clock->members);
    for (uint32_t i = 0; i < clock->member_count; i++)
        if (clock->members[i].pid == process->pid && clock->members[i].start == process->start)
            return;
    if (clock->member_count < AGENTD_CLOCK_MEMBERS_MAX)
        clock->members[clock->member_count++] = *process;
}

/* One process: patched, or, when it is already (a fork of one that is), told the new time. Gone is
 * no error. */
static enum err_code skew_process(struct agentd *agent, struct agentd_clock *clock,
                                  const struct agentd_process *process,
                                  const struct agentd_warps *warps, struct err *err)
{
    struct agentd_vdso_answer answer;
    struct agentd_vdso_process at = {process->pid, process->start, known_page(process)};
    uint64_t page, cookie;
    enum agentd_vdso_state state = agentd_vdso_look(process->pid, &page, &cookie);
    enum err_code code = ERR_NONE;
    struct err one = ERR_INIT;
    if (state == AGENTD_VDSO_PATCHED && cookie == clock->cookie) {
        at.page = page;
        code = agentd_vdso_write(process->pid, page, warps, &one);
    } else {
        code = agentd_vdso_patch(&at, clock->cookie, warps, &answer, &one);
    }
    struct agentd_process now;
    if (code != ERR_NONE && (!agentd_process_read(process->pid, &now) ||
                             now.start != process->start || agentd_process_is_dead(&now)))
        return ERR_NONE;
    if (code != ERR_NONE)
        return err_set(err, code, "%s: %s", process->comm, one.message);
    add_member(agent, clock, &at);
    remember_page(&at);
    return ERR_NONE;
}

static struct agentd_warps warps_now(const struct agentd_clock *clock)
{
    struct agentd_warps warps = clock->warps;
    if (clock->back)
        warps.wall = agentd_warps_none().wall;
    return warps;
}

static enum err_code apply_vdso(struct agentd *agent, struct agentd_clock *clock,
                                const struct agentd_processes *found, struct err *err)
{
    struct agentd_warps warps = warps_now(clock);
    clock->member_count = 0;
    for (uint32_t i = 0; i < found->count; i++)
        if (skew_process(agent, clock, &found->items[i], &warps, err) != ERR_NONE)
            return err->code;
    return clock->member_count > 0
               ? ERR_NONE
               : err_set(err, ERR_IO, "%s ended while its clock was set", clock->name);
}

/* One that was just started has loaded nothing yet; one that has ended needs nothing. */
static enum err_code find_library(const struct agentd_process *process, const char *file,
                                  char *library, struct err *err)
{
    enum { TRIES = 150 };
    enum err_code code = ERR_NONE;
    struct err one = ERR_INIT;
    for (int i = 0; i < TRIES; i++) {
        char here[256];
        struct agentd_process now;
        code = agentd_faketime_find(process->pid, file, here, &one);
        if (code == ERR_NONE) {
            memcpy(library, here, sizeof here);
            return ERR_NONE;
        }
        if (!agentd_process_read(process->pid, &now) || now.start != process->start ||
            agentd_process_is_dead(&now))
            return ERR_NONE;
        clock_sleep_ns(2 * NS_PER_MS);
    }
    return err_set(err, code, "%s: %s", process->comm, one.message);
}

static enum err_code apply_faketime(struct agentd_clock *clock,
                                    const struct agentd_processes *found, struct err *err)
{
    char library[256] = "";
    int64_t seen_ns, offset_ns = told_offset_ns(clock, clock_wall_ns());
    for (uint32_t i = 0; i < found->count; i++)
        if (find_library(&found->items[i], clock->file, library, err) != ERR_NONE)
            return err->code;
    if (library[0] == '\0')
        return err_set(err, ERR_IO, "%s ended while its clock was set", clock->name);
    if (agentd_faketime_write(clock->file, offset_ns, err) != ERR_NONE)
        return err->code;
    return agentd_faketime_verify(library, clock->file, offset_ns, &seen_ns, err);
}

static enum err_code apply(struct agentd *agent, struct agentd_clock *clock,
                           const struct agentd_processes *found, struct err *err)
{
    return clock->means == AGENTD_MEANS_VDSO ? apply_vdso(agent, clock, found, err)
                                             : apply_faketime(clock, found, err);
}

/* ---- While it is in force ---- */

static bool has_steps(const struct agentd_clock *clock)
{
    return clock->means == AGENTD_MEANS_FAKETIME && clock->rate != AGENTD_RATE_ONE;
}

/* The jump of a strobe, or a step of libfaketime's rate: nobody is looked for. */
static void step(struct agentd_clock *clock, struct err *err)
{
    struct agentd_warps warps;
    if (clock->strobe_ns > 0)
        clock->back = !clock->back;
    warps = warps_now(clock);
    if (clock->means == AGENTD_MEANS_FAKETIME)
        (void)!agentd_faketime_write(clock->file, told_offset_ns(clock, clock_wall_ns()), err);
    for (uint32_t i = 0; clock->means == AGENTD_MEANS_VDSO && i < clock->member_count; i++)
        (void)!agentd_vdso_write(clock->members[i].pid, clock->members[i].page, &warps, NULL);
}

static void look_for_new(struct agentd *agent, struct agentd_clock *clock, struct err *err)
{
    struct agentd_processes found;
    struct agentd_warps warps = warps_now(clock);
    select_processes(agent, clock->name, clock->by_comm, &found);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < clock->member_count; i++)
        if (is_among(&found, clock->members[i].pid))
            clock->members[kept++] = clock->members[i];
    clock->member_count = kept;
    for (uint32_t i = 0; i < found.count; i++) {
        uint64_t page, cookie = 0;
        bool patched = agentd_vdso_look(found.items[i].pid, &page, &cookie) == AGENTD_VDSO_PATCHED;
        struct agentd_vdso_process at = {found.items[i].pid, found.items[i].start, page};
        if (patched && cookie == clock->cookie)
            add_member(agent, clock, &at);
        else if (skew_process(agent, clock, &found.items[i], &warps, err) != ERR_NONE)
            return;
    }
}

static void drop_undone(struct agentd *agent)
{
    struct agentd_clocks *clocks = &agent->clocks;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < clocks->count; i++)
        if (agentd_faults_find(&agent->faults, clocks->items[i].id) != NULL)
            clocks->items[kept++] = clocks->items[i];
    clocks->count = kept;
    if (kept == 0)
        arena_free(&clocks->arena);
}

void agentd_clocks_step(struct agentd *agent)
{
    struct agentd_clocks *clocks = &agent->clocks;
    agentd_machine_step(&agent->machine, &agent->faults, clock_monotonic_ns());
    if (clocks->count == 0)
        return;
    drop_undone(agent);
    for (uint32_t i = 0; i < clocks->count; i++) {
        struct agentd_clock *clock = &clocks->items[i];
        struct err err = ERR_INIT;
        int64_t now_ns = clock_monotonic_ns();
        if (now_ns >= clock->next_ns && (clock->strobe_ns > 0 || has_steps(clock))) {
            step(clock, &err);
            clock->next_ns = now_ns + (clock->strobe_ns > 0 ? clock->strobe_ns : STEP_NS);
        }
        if (now_ns >= clock->next_look_ns && clock->means == AGENTD_MEANS_VDSO) {
            arena_reset(&agent->scratch);
            look_for_new(agent, clock, &err);
            int64_t ended_ns = clock_monotonic_ns(), took_ns = ended_ns - now_ns;
            int64_t rest_ns = LOOK_SHARE * took_ns; /* where there are thousands of processes */
            clock->next_look_ns = ended_ns + (rest_ns > LOOK_NS ? rest_ns : LOOK_NS);
        }
        if (err.code != ERR_NONE)
            snprintf(clock->problem, sizeof clock->problem, "%.250s", err.message);
    }
}

int64_t agentd_clocks_next_ns(const struct agentd *agent)
{
    int64_t next_ns = agentd_machine_next_ns(&agent->machine);
    for (uint32_t i = 0; i < agent->clocks.count; i++) {
        const struct agentd_clock *clock = &agent->clocks.items[i];
        bool steps = clock->strobe_ns > 0 || has_steps(clock);
        if (steps && clock->next_ns < next_ns)
            next_ns = clock->next_ns;
        if (clock->means == AGENTD_MEANS_VDSO && clock->next_look_ns < next_ns)
            next_ns = clock->next_look_ns;
    }
    return next_ns;
}

/* ---- clock-skew ---- */

static struct agentd_clock *find_clock(struct agentd *agent, const char *id)
{
    for (uint32_t i = 0; i < agent->clocks.count; i++)
        if (strcmp(agent->clocks.items[i].id, id) == 0)
            return &agent->clocks.items[i];
    return NULL;
}

static enum err_code read_target(const struct line *line, struct agentd_clock *clock,
                                 struct err *err)
{
    const char *daemon = line_get(line, "daemon"), *comm = line_get(line, "comm");
    if ((daemon == NULL) == (comm == NULL))
        return err_set(err, ERR_CONFIG, "daemon: either it or comm says whose clock is meant");
    clock->by_comm = comm != NULL;
    snprintf(clock->name, sizeof clock->name, "%s", daemon != NULL ? daemon : comm);
    return ERR_NONE;
}

static enum err_code read_means(const struct line *line, struct agentd_clock *clock,
                                struct err *err)
{
    const char *means = line_get(line, "means"), *file = line_get(line, "file");
    clock->means = AGENTD_MEANS_VDSO;
    if (means != NULL && strcmp(means, "faketime") == 0)
        clock->means = AGENTD_MEANS_FAKETIME;
    else if (means != NULL && strcmp(means, "vdso") != 0)
        return err_set(err, ERR_CONFIG, "means: '%.32s' is not vdso or faketime", means);
    if ((clock->means == AGENTD_MEANS_FAKETIME) != (file != NULL))
        return err_set(err, ERR_CONFIG, "file: faketime needs the file that the library reads");
    if (file != NULL && strlen(file) >= sizeof clock->file)
        return err_set(err, ERR_CONFIG, "file: it is too long");
    snprintf(clock->file, sizeof clock->file, "%s", file != NULL ? file : "");
    return ERR_NONE;
}

static enum err_code read_shape(const struct line *line, struct agentd_clock *clock,
                                bool *monotonic, struct err *err)
{
    const char *clocks = line_get(line, "clocks");
    int64_t rate_ppm = line_get_int(line, "rate_ppm", 0);
    *monotonic = clocks != NULL && strcmp(clocks, "all") == 0;
    if (clocks != NULL && !*monotonic && strcmp(clocks, "wall") != 0)
        return err_set(err, ERR_CONFIG, "clocks: '%.32s' is not wall or all", clocks);
    if (*monotonic && clock->means != AGENTD_MEANS_VDSO)
        return err_set(err, ERR_UNSUPPORTED, "the monotonic clock is reached by vdso only");
    if (*monotonic && rate_ppm > 0)
        return err_set(err, ERR_CONFIG,
                       "rate_ppm: the monotonic clock can only run slow: undoing the other would "
                       "make it run backwards, which no machine does");
    clock->offset_ns = line_get_int(line, "offset_ns", 0);
    clock->rate = AGENTD_RATE_ONE + (int64_t)((__int128)rate_ppm * AGENTD_RATE_ONE / 1000000);
    clock->strobe_ns = line_get_int(line, "strobe_ms", 0) * NS_PER_MS;
    clock->back = false;
    return ERR_NONE;
}

static enum err_code keep(struct agentd *agent, struct agentd_clock *clock, struct err *err)
{
    struct buf text = BUF_INIT;
    char cookie[32];
    agentd_journal_begin(&agent->faults.journal, &text, AGENTD_KIND_CLOCK);
    line_key(&text, "id", clock->id);
    line_key(&text, "name", clock->name);
    if (clock->means == AGENTD_MEANS_VDSO) {
        if (getrandom(&clock->cookie, sizeof clock->cookie, 0) != sizeof clock->cookie)
            clock->cookie = (uint64_t)clock_wall_ns() ^ (uint64_t)getpid() << 40;
        snprintf(cookie, sizeof cookie, "%" PRIx64, clock->cookie);
        line_key(&text, "cookie", cookie);
    } else {
        line_key(&text, "file", clock->file);
    }
    enum err_code code =
        agentd_faults_keep(&agent->faults, clock->id, AGENTD_KIND_CLOCK, &text, err);
    buf_free(&text);
    return code;
}

/* The fault that the request names: one in force, which must be about the same processes, or a new
 * one that is journaled. */
static enum err_code begin_clock(struct agentd *agent, const struct agentd_clock *wanted,
                                 struct agentd_clock **clock, bool *is_new, struct err *err)
{
    *clock = find_clock(agent, wanted->id);
    *is_new = *clock == NULL;
    if (*clock != NULL) {
        if (strcmp((*clock)->name, wanted->name) != 0 || (*clock)->by_comm != wanted->by_comm ||
            (*clock)->means != wanted->means || strcmp((*clock)->file, wanted->file) != 0)
            return err_set(err, ERR_CONFIG, "id: the fault %s is about something else", wanted->id);
        return ERR_NONE;
    }
    if (agent->clocks.count == AGENTD_CLOCKS_MAX)
        return err_set(err, ERR_NOMEM, "%d clock faults are in force already: undo some",
                       AGENTD_CLOCKS_MAX);
    *clock = &agent->clocks.items[agent->clocks.count];
    **clock = *wanted;
    if (keep(agent, *clock, err) != ERR_NONE)
        return err->code;
    agent->clocks.count++;
    return ERR_NONE;
}

static void reply_skewed(struct agentd *agent, const struct agentd_request *request,
                         const struct agentd_clock *clock, const struct agentd_processes *found)
{
    struct buf pids = BUF_INIT;
    for (uint32_t i = 0; i < found->count; i++)
        buf_printf(&pids, "%s%d", i == 0 ? "" : ",", (int)found->items[i].pid);
    struct buf *out = agentd_reply(agent, request->id);
    line_key(out, "means", clock->means == AGENTD_MEANS_VDSO ? "vdso" : "faketime");
    line_key(out, "pids", buf_text(&pids));
    line_key_int(out, "count", found->count);
    line_key_int(out, "offset_ns", told_offset_ns(clock, clock_wall_ns()));
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - request->arrived_ns);
    line_key_int(out, "verified", 1);
    line_end(out);
    buf_free(&pids);
}

static enum err_code skew(struct agentd *agent, const struct agentd_request *request,
                          struct agentd_clock **clock, struct agentd_processes *found,
                          struct err *err)
{
    struct agentd_clock wanted = {.warps = agentd_warps_none()};
    bool monotonic, is_new;
    snprintf(wanted.id, sizeof wanted.id, "%s", line_get(request->line, "id"));
    drop_undone(agent);
    if (read_target(request->line, &wanted, err) != ERR_NONE ||
        read_means(request->line, &wanted, err) != ERR_NONE ||
        read_shape(request->line, &wanted, &monotonic, err) != ERR_NONE)
        return err->code;
    select_processes(agent, wanted.name, wanted.by_comm, found);
    if (found->count == 0)
        return err_set(err, ERR_IO, "no process of %s runs", wanted.name);
    if (begin_clock(agent, &wanted, clock, &is_new, err) != ERR_NONE)
        return err->code;
    (*clock)->offset_ns = wanted.offset_ns;
    (*clock)->rate = wanted.rate;
    (*clock)->strobe_ns = wanted.strobe_ns;
    (*clock)->back = false;
    set_warps(*clock, monotonic);
    enum err_code code = apply(agent, *clock, found, err);
    int64_t now_ns = clock_monotonic_ns();
    (*clock)->next_ns = now_ns + (wanted.strobe_ns > 0 ? wanted.strobe_ns : STEP_NS);
    (*clock)->next_look_ns = now_ns + LOOK_NS;
    if (code == ERR_NONE)
        return ERR_NONE;
    struct err undone = ERR_INIT;
    if (agentd_faults_undo(&agent->faults, wanted.id, &undone) != ERR_NONE)
        (void)!err_set(err, code, "%s; and undoing it failed too: %s", err->message,
                       undone.message);
    drop_undone(agent);
    return code;
}

void agentd_clock_skew(struct agentd *agent, const struct agentd_request *request)
{
    struct agentd_clock *clock = NULL;
    struct agentd_processes found = {.count = 1};
    struct err err = ERR_INIT;
    if (skew(agent, request, &clock, &found, &err) == ERR_NONE)
        reply_skewed(agent, request, clock, &found);
    else if (found.count == 0)
        agentd_reply_error(agent, request->id, "not-running", "%s", err.message);
    else
        agentd_reply_err(agent, request->id, &err);
}

/* ---- clock-view ---- */

static void add_view(struct agentd *agent, struct buf *out, const struct agentd_process *process,
                     const char *name)
{
    uint64_t page;
    struct agentd_warps warps = agentd_warps_none();
    int64_t offset_ns = 0;
    const char *means = "none";
    if (agentd_vdso_look(process->pid, &page, NULL) == AGENTD_VDSO_PATCHED &&
        agentd_vdso_read(process->pid, page, &warps)) {
        int64_t now_ns = clock_wall_ns();
        means = "vdso";
        offset_ns = agentd_warp_apply(&warps.wall, now_ns) - now_ns;
    }
    for (uint32_t i = 0; i < agent->clocks.count; i++) {
        const struct agentd_clock *clock = &agent->clocks.items[i];
        if (clock->means != AGENTD_MEANS_FAKETIME || strcmp(clock->name, name) != 0)
            continue;
        means = "faketime";
        offset_ns = told_offset_ns(clock, clock_wall_ns());
    }
    line_key_int(out, "pid", process->pid);
    line_key_int(out, "offset_ns", offset_ns);
    line_key(out, "means", means);
}

void agentd_clock_view(struct agentd *agent, const struct agentd_request *request)
{
    struct agentd_clock target;
    struct agentd_processes found;
    struct err err = ERR_INIT;
    if (read_target(request->line, &target, &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    drop_undone(agent);
    select_processes(agent, target.name, target.by_comm, &found);
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "wall_ns", clock_wall_ns());
    line_key_int(out, "monotonic_ns", clock_monotonic_ns());
    line_key_int(out, "machine_offset_ns", agentd_machine_offset_ns(&agent->machine));
    for (uint32_t i = 0; i < found.count; i++)
        add_view(agent, out, &found.items[i], target.name);
    for (uint32_t i = 0; i < agent->clocks.count; i++)
        if (agent->clocks.items[i].problem[0] != '\0' &&
            strcmp(agent->clocks.items[i].name, target.name) == 0)
            line_key(out, "problem", agent->clocks.items[i].problem);
    if (agent->machine.id[0] != '\0' && agent->machine.problem[0] != '\0')
        line_key(out, "problem", agent->machine.problem);
    line_end(out);
}
