/* The machine's clock: see machine.h. What really touches it is in machine_real.c. */
#include "harness/agent/machine.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"

#define TOLERANCE_NS (10 * NS_PER_MS) /* this process may be put aside between two looks */
#define STRAY_NS (250 * NS_PER_MS)
#define LOOK_NS NS_PER_SECOND
#define FREQUENCY_ONE ((int64_t)1000000 << 16)
#define PAUSE_NS_MAX (2 * NS_PER_SECOND)

const struct agentd_machine_backend *agentd_machine_backend = &agentd_machine_real;

/* ---- The truth ---- */

enum err_code agentd_truth_take(struct agentd_truth *truth, struct err *err)
{
    if (agentd_machine_backend->steer(NULL, &truth->steering, err) != ERR_NONE)
        return err->code;
    /* The narrowest of a few, so that no interruption lies between the two. */
    int64_t narrowest_ns = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        int64_t before_ns = agentd_machine_backend->raw_ns();
        int64_t wall_ns = agentd_machine_backend->wall_ns();
        int64_t after_ns = agentd_machine_backend->raw_ns();
        if (after_ns - before_ns >= narrowest_ns)
            continue;
        narrowest_ns = after_ns - before_ns;
        truth->wall_ns = wall_ns;
        truth->raw_ns = before_ns + narrowest_ns / 2;
    }
    return ERR_NONE;
}

int64_t agentd_truth_now_ns(const struct agentd_truth *truth)
{
    int64_t raw_ns = agentd_machine_backend->raw_ns() - truth->raw_ns;
    __int128 told = (__int128)raw_ns * truth->steering.tick / AGENTD_TICK_NORMAL;
    told += told * truth->steering.frequency / FREQUENCY_ONE;
    return truth->wall_ns + (int64_t)told;
}

int64_t agentd_machine_offset_ns(const struct agentd_machine *machine)
{
    const struct agentd_truth *truth = machine->id[0] != '\0' ? &machine->truth : &machine->began;
    if (truth->wall_ns == 0)
        return 0;
    int64_t true_ns = agentd_truth_now_ns(truth);
    return agentd_machine_backend->wall_ns() - true_ns;
}

static enum err_code set_off(const struct agentd_truth *truth, int64_t offset_ns, struct err *err)
{
    if (agentd_machine_backend->set_wall(agentd_truth_now_ns(truth) + offset_ns, err) != ERR_NONE)
        return err->code;
    int64_t off_ns = agentd_machine_backend->wall_ns() - agentd_truth_now_ns(truth);
    if (llabs(off_ns - offset_ns) > TOLERANCE_NS)
        return err_set(err, ERR_REMOTE,
                       "the clock was set off by %" PRId64 " ms and is off by %" PRId64
                       " ms: something else sets it",
                       offset_ns / NS_PER_MS, off_ns / NS_PER_MS);
    return ERR_NONE;
}

static enum err_code set_steering(const struct agentd_steering *wanted, struct err *err)
{
    struct agentd_steering now;
    if (agentd_machine_backend->steer(wanted, &now, err) != ERR_NONE ||
        agentd_machine_backend->steer(NULL, &now, err) != ERR_NONE)
        return err->code;
    if (now.tick != wanted->tick || llabs(now.frequency - wanted->frequency) > 1)
        return err_set(err, ERR_REMOTE, "the kernel does not keep how fast its clock should run");
    return ERR_NONE;
}

/* ---- NTP daemons ---- */

static enum err_code pause_daemons(const struct agentd_processes *daemons, struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + PAUSE_NS_MAX;
    for (uint32_t i = 0; i < daemons->count; i++) {
        const struct agentd_process *process = &daemons->items[i];
        agentd_process_signal(process->pid, process->start, SIGSTOP);
        while (agentd_process_stopped(process->pid) != AGENTD_STOPPED_ALL) {
            struct agentd_process now;
            if (!agentd_process_read(process->pid, &now) || now.start != process->start)
                break;
            if (clock_monotonic_ns() > deadline_ns)
                return err_set(err, ERR_TIMEOUT, "%s (process %d) cannot be paused", process->comm,
                               (int)process->pid);
            clock_sleep_ns(NS_PER_MS);
        }
    }
    return ERR_NONE;
}

static void resume_daemons(const char *members)
{
    int pid, length;
    uint64_t start;
    while (members != NULL && sscanf(members, "%d:%" SCNu64 "%n", &pid, &start, &length) == 2) {
        agentd_process_signal(pid, start, SIGCONT);
        members += length;
    }
}

/* ---- The fault ---- */

static enum err_code keep(struct agentd_faults *faults, const char *id,
                          const struct agentd_truth *truth, const struct agentd_processes *daemons,
                          struct err *err)
{
    struct buf text = BUF_INIT, members = BUF_INIT;
    for (uint32_t i = 0; i < daemons->count; i++)
        buf_printf(&members, "%s%d:%" PRIu64, i == 0 ? "" : " ", (int)daemons->items[i].pid,
                   daemons->items[i].start);
    agentd_journal_begin(&faults->journal, &text, AGENTD_KIND_MACHINE);
    line_key(&text, "id", id);
    line_key_int(&text, "wall_ns", truth->wall_ns);
    line_key_int(&text, "raw_ns", truth->raw_ns);
    line_key_int(&text, "tick", truth->steering.tick);
    line_key_int(&text, "frequency", truth->steering.frequency);
    line_key(&text, "members", buf_text(&members));
    enum err_code code = agentd_faults_keep(faults, id, AGENTD_KIND_MACHINE, &text, err);
    buf_free(&members);
    buf_free(&text);
    return code;
}

static enum err_code begin(struct agentd_machine *machine, struct agentd_faults *faults,
                           const char *id, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct agentd_processes daemons = {.count = 0};
    struct agentd_truth truth;
    agentd_machine_backend->ntp_daemons(&arena, &daemons);
    enum err_code code = agentd_truth_take(&truth, err);
    if (code == ERR_NONE)
        code = keep(faults, id, &truth, &daemons, err);
    if (code == ERR_NONE) {
        machine->truth = truth;
        snprintf(machine->id, sizeof machine->id, "%s", id);
        code = pause_daemons(&daemons, err);
    }
    arena_free(&arena);
    return code;
}

static enum err_code check(const struct agentd_machine *machine, const char *id,
                           const char *controller_boot, int64_t rate_ppm, struct err *err)
{
    char reason[256] = "";
    agentd_machine_backend->refusal(controller_boot, reason, sizeof reason);
    if (reason[0] != '\0')
        return err_set(err, ERR_UNSUPPORTED, "%s", reason);
    if (llabs(rate_ppm) > AGENTD_DRIFT_PPM_MAX)
        return err_set(err, ERR_CONFIG,
                       "rate_ppm: a machine's clock can run %d to %d parts per million wrong",
                       -AGENTD_DRIFT_PPM_MAX, AGENTD_DRIFT_PPM_MAX);
    if (machine->id[0] != '\0' && strcmp(machine->id, id) != 0)
        return err_set(err, ERR_CONFIG, "id: the fault %s has the machine's clock", machine->id);
    return ERR_NONE;
}

/* What the clock should say from now on. */
static enum err_code want(struct agentd_machine *machine, struct err *err)
{
    machine->problem[0] = '\0';
    return agentd_truth_take(&machine->wanted, err);
}

enum err_code agentd_machine_set(struct agentd_machine *machine, struct agentd_faults *faults,
                                 const char *id, const char *controller_boot, int64_t offset_ns,
                                 int64_t rate_ppm, int64_t strobe_ns, struct err *err)
{
    if (machine->id[0] != '\0' && agentd_faults_find(faults, machine->id) == NULL)
        machine->id[0] = '\0'; /* it was undone */
    if (check(machine, id, controller_boot, rate_ppm, err) != ERR_NONE)
        return err->code;
    enum err_code code = machine->id[0] == '\0' ? begin(machine, faults, id, err) : ERR_NONE;
    struct agentd_steering steering = machine->truth.steering;
    /* Relative to how it ran; the kernel takes whole microseconds a tick, so 100 ppm at a time. */
    steering.tick += steering.tick * rate_ppm / 1000000;
    if (code == ERR_NONE)
        code = set_steering(&steering, err);
    if (code == ERR_NONE)
        code = set_off(&machine->truth, offset_ns, err);
    machine->offset_ns = offset_ns;
    machine->strobe_ns = strobe_ns;
    machine->next_ns = clock_monotonic_ns() + (strobe_ns > 0 ? strobe_ns : LOOK_NS);
    machine->back = false;
    if (code == ERR_NONE)
        code = want(machine, err);
    if (code == ERR_NONE)
        return ERR_NONE;
    struct err undone = ERR_INIT;
    if (agentd_faults_find(faults, id) != NULL &&
        agentd_faults_undo(faults, id, &undone) != ERR_NONE)
        (void)!err_set(err, code, "%s; and undoing it failed too: %s", err->message,
                       undone.message);
    machine->id[0] = '\0';
    return code;
}

/* An NTP daemon that nobody knew, or a supervisor that started one anew, ends the fault unasked. */
static void look_after(struct agentd_machine *machine)
{
    int64_t off_ns = agentd_machine_backend->wall_ns() - agentd_truth_now_ns(&machine->wanted);
    if (llabs(off_ns) > STRAY_NS && machine->problem[0] == '\0')
        snprintf(machine->problem, sizeof machine->problem,
                 "something else set the machine's clock: it is %" PRId64
                 " ms from where it should be",
                 off_ns / NS_PER_MS);
}

void agentd_machine_step(struct agentd_machine *machine, struct agentd_faults *faults,
                         int64_t now_ns)
{
    if (machine->id[0] == '\0')
        return;
    if (agentd_faults_find(faults, machine->id) == NULL) {
        machine->id[0] = '\0';
        return;
    }
    if (now_ns < machine->next_ns)
        return;
    look_after(machine);
    machine->next_ns = now_ns + (machine->strobe_ns > 0 ? machine->strobe_ns : LOOK_NS);
    if (machine->strobe_ns == 0)
        return;
    machine->back = !machine->back;
    char kept[sizeof machine->problem];
    memcpy(kept, machine->problem, sizeof kept);
    (void)!set_off(&machine->truth, machine->back ? 0 : machine->offset_ns, NULL);
    (void)!want(machine, NULL);
    memcpy(machine->problem, kept, sizeof kept);
}

int64_t agentd_machine_next_ns(const struct agentd_machine *machine)
{
    return machine->id[0] != '\0' ? machine->next_ns : INT64_MAX;
}

enum err_code agentd_machine_undo(const struct agentd_entry *entry, struct err *err)
{
    const struct line *line = &entry->line;
    struct agentd_truth truth = {
        .wall_ns = line_get_int(line, "wall_ns", 0),
        .raw_ns = line_get_int(line, "raw_ns", 0),
        .steering = {line_get_int(line, "tick", 0), line_get_int(line, "frequency", 0)},
    };
    if (truth.wall_ns == 0 || truth.steering.tick == 0)
        return err_set(err, ERR_PARSE, "a machine's clock without its truth");
    enum err_code code = set_steering(&truth.steering, err);
    if (code == ERR_NONE)
        code = set_off(&truth, 0, err);
    resume_daemons(line_get(line, "members"));
    return code;
}
