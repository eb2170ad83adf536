/* The faults in force: see faults.h. */
#include "harness/agent/faults.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/agent/clocks.h"
#include "harness/agent/damage.h"
#include "harness/agent/disks.h"
#include "harness/agent/limits.h"
#include "harness/agent/machine.h"
#include "harness/agent/netem.h"
#include "harness/base/clock.h"

#define RESUME_NS_MAX (2 * NS_PER_SECOND)

static const char kind_block[] = "block", kind_shape[] = "shape", kind_pause[] = "pause";

void agentd_healed_free(struct agentd_healed *healed)
{
    buf_free(&healed->undone_texts);
    buf_free(&healed->problems);
}

struct agentd_fault *agentd_faults_find(struct agentd_faults *faults, const char *id)
{
    for (uint32_t i = 0; i < faults->count; i++)
        if (strcmp(faults->items[i].id, id) == 0)
            return &faults->items[i];
    return NULL;
}

static void drop(struct agentd_faults *faults, struct agentd_fault *fault)
{
    size_t after = (size_t)(&faults->items[faults->count] - (fault + 1));
    agentd_shaper_close(fault->shaper);
    memmove(fault, fault + 1, after * sizeof *fault);
    faults->count--;
}

static enum err_code room_for(const struct agentd_faults *faults, struct err *err)
{
    if (faults->count < AGENTD_FAULTS_MAX)
        return ERR_NONE;
    return err_set(err, ERR_NOMEM, "%d faults are in force already: undo some", AGENTD_FAULTS_MAX);
}

static void add(struct agentd_faults *faults, const char *id, const char *kind, uint64_t sequence)
{
    struct agentd_fault *fault = &faults->items[faults->count++];
    *fault = (struct agentd_fault){.kind = kind, .sequence = sequence};
    snprintf(fault->id, sizeof fault->id, "%s", id);
}

/* ---- Blocks ---- */

static void add_block_keys(struct buf *text, const struct agentd_faults *faults, const char *kind,
                           const struct agentd_block *block)
{
    agentd_journal_begin(&faults->journal, text, kind);
    line_key(text, "id", block->id);
    line_key(text, "firewall", faults->firewall.kind->name);
    if (block->protocol != 0)
        line_key(text, "proto", block->protocol == IPPROTO_TCP ? "tcp" : "udp");
    if (block->port != 0)
        line_key_int(text, "port", block->port);
    if (block->data_only)
        line_key(text, "packets", "data");
    for (uint32_t i = 0; i < block->count; i++)
        line_key(text, block->targets[i].out ? "to" : "from", block->targets[i].address.text);
}

static enum err_code add_rules(struct agentd_faults *faults, const char *kind,
                               const struct agentd_block *block, struct err *err)
{
    if (agentd_faults_find(faults, block->id) != NULL)
        return err_set(err, ERR_CONFIG, "id: fault %s is in force already", block->id);
    if (faults->firewall.kind == NULL)
        return err_set(err, ERR_UNSUPPORTED, "no packet filter works here: %s",
                       faults->firewall.reason);
    enum err_code code = room_for(faults, err);
    if (code != ERR_NONE)
        return code;
    uint64_t sequence = 0;
    struct buf text = BUF_INIT;
    add_block_keys(&text, faults, kind, block);
    code = agentd_journal_write(&faults->journal, &sequence, &text, err);
    buf_free(&text);
    if (code != ERR_NONE)
        return code;
    code = faults->firewall.kind->block(&faults->firewall, block, err);
    if (code == ERR_NONE)
        add(faults, block->id, kind, sequence);
    else
        agentd_journal_remove(&faults->journal, sequence, NULL);
    return code;
}

enum err_code agentd_faults_block(struct agentd_faults *faults, const struct agentd_block *block,
                                  struct err *err)
{
    return add_rules(faults, kind_block, block, err);
}

enum err_code agentd_faults_can_shape(struct agentd_faults *faults, struct err *err)
{
    struct agentd_firewall *firewall = &faults->firewall;
    if (faults->can_shape)
        return ERR_NONE;
    if (firewall->kind == NULL)
        return err_set(err, ERR_UNSUPPORTED, "no packet filter works here: %s", firewall->reason);
    if (firewall->kind->try_queue == NULL)
        return err_set(err, ERR_UNSUPPORTED,
                       "shaping packets needs nf_tables; only %s works here: %s",
                       firewall->kind->name, firewall->reason);
    enum err_code code = firewall->kind->try_queue(firewall, err);
    if (code == ERR_NONE)
        code = agentd_shaper_try(err);
    faults->can_shape = code == ERR_NONE;
    return code;
}

enum err_code agentd_faults_shape(struct agentd_faults *faults, struct agentd_block *block,
                                  const struct agentd_shape *shape, struct err *err)
{
    struct agentd_shaper *shaper;
    enum err_code code = agentd_faults_can_shape(faults, err);
    if (code == ERR_NONE)
        code =
            agentd_shaper_open(shape, (uint64_t)clock_monotonic_ns(), &block->queue, &shaper, err);
    if (code != ERR_NONE)
        return code;
    code = add_rules(faults, kind_shape, block, err);
    if (code == ERR_NONE)
        agentd_faults_find(faults, block->id)->shaper = shaper;
    else
        agentd_shaper_close(shaper);
    return code;
}

static bool has_rules(const struct agentd_fault *fault)
{
    return fault->kind == kind_block || fault->kind == kind_shape;
}

static enum err_code read_block(struct agentd_faults *faults, const struct agentd_fault *fault,
                                struct arena *arena, struct agentd_block *block, struct err *err)
{
    struct agentd_entry entry;
    enum err_code code = agentd_journal_read(&faults->journal, fault->sequence, arena, &entry, err);
    return code == ERR_NONE ? agentd_block_parse(arena, &entry.line, block, err) : code;
}

enum err_code agentd_faults_count(struct agentd_faults *faults, const char *id, struct arena *arena,
                                  struct agentd_block *block, uint64_t *counters, struct err *err)
{
    const struct agentd_fault *fault = agentd_faults_find(faults, id);
    if (fault == NULL || !has_rules(fault))
        return err_set(err, ERR_CONFIG, "id: there is no block %s in force", id);
    enum err_code code = read_block(faults, fault, arena, block, err);
    memset(counters, 0, AGENTD_TARGETS_MAX * sizeof *counters);
    return code == ERR_NONE ? faults->firewall.kind->count(&faults->firewall, block, counters, err)
                            : code;
}

static bool blocks_remain(const struct agentd_faults *faults)
{
    for (uint32_t i = 0; i < faults->count; i++)
        if (has_rules(&faults->items[i]))
            return true;
    return false;
}

static enum err_code undo_block(struct agentd_faults *faults, const struct agentd_fault *fault,
                                struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct agentd_block block;
    enum err_code code = read_block(faults, fault, &arena, &block, err);
    if (code == ERR_NONE)
        code = faults->firewall.kind->undo(&faults->firewall, &block, err);
    arena_free(&arena);
    return code;
}

/* ---- Pauses ---- */

void agentd_pause_add_keys(const struct agentd_selector *selector,
                           const struct agentd_processes *processes, struct buf *text)
{
    if (selector->name == NULL) {
        line_key_int(text, "session", selector->session);
        line_key_int(text, "start", (int64_t)selector->start);
    }
    /* Fields in a line are bounded, so the members share one. */
    struct buf members = BUF_INIT;
    for (uint32_t i = 0; i < processes->count; i++)
        buf_printf(&members, "%s%d:%" PRIu64, i == 0 ? "" : " ", (int)processes->items[i].pid,
                   processes->items[i].start);
    line_key(text, "members", buf_text(&members));
    buf_free(&members);
}

enum err_code agentd_faults_pause(struct agentd_faults *faults, const char *id,
                                  const struct agentd_selector *selector,
                                  const struct agentd_processes *processes, struct err *err)
{
    struct agentd_fault *known = agentd_faults_find(faults, id);
    enum err_code code = known == NULL ? room_for(faults, err) : ERR_NONE;
    if (code != ERR_NONE)
        return code;
    struct buf text = BUF_INIT;
    agentd_journal_begin(&faults->journal, &text, kind_pause);
    line_key(&text, "id", id);
    agentd_pause_add_keys(selector, processes, &text);
    uint64_t sequence = known == NULL ? 0 : known->sequence;
    code = agentd_journal_write(&faults->journal, &sequence, &text, err);
    buf_free(&text);
    if (code == ERR_NONE && known == NULL)
        add(faults, id, kind_pause, sequence);
    return code;
}

void agentd_faults_forget(struct agentd_faults *faults, const char *id)
{
    struct agentd_fault *fault = agentd_faults_find(faults, id);
    if (fault == NULL)
        return;
    agentd_journal_remove(&faults->journal, fault->sequence, NULL);
    drop(faults, fault);
}

/* Resumes one process; false while it still has a stopped thread. */
static bool resume(pid_t pid, uint64_t start)
{
    agentd_process_signal(pid, start, SIGCONT);
    struct agentd_process now;
    return !agentd_process_read(pid, &now) || now.start != start || agentd_process_is_dead(&now) ||
           agentd_process_stopped(pid) == AGENTD_STOPPED_NONE;
}

static bool resume_members(const char *members, pid_t *stuck)
{
    bool all = true;
    int pid, length;
    uint64_t start;
    while (sscanf(members, "%d:%" SCNu64 "%n", &pid, &start, &length) == 2) {
        if (!resume(pid, start)) {
            all = false;
            *stuck = pid;
        }
        members += length;
    }
    return all;
}

/* Also what was forked between looking and stopping, as long as the session is known to be it. */
static bool resume_session(pid_t session, uint64_t start, pid_t *stuck)
{
    struct agentd_process leader;
    if (session <= 1 || !agentd_process_read(session, &leader) || leader.start != start)
        return true;
    struct arena arena = ARENA_INIT;
    struct agentd_processes found;
    struct agentd_selector selector = {.session = session, .start = start};
    agentd_processes_select(&arena, &selector, &found);
    bool all = true;
    for (uint32_t i = 0; i < found.count; i++)
        if (!resume(found.items[i].pid, found.items[i].start)) {
            all = false;
            *stuck = found.items[i].pid;
        }
    arena_free(&arena);
    return all;
}

enum err_code agentd_pause_undo(const struct agentd_entry *entry, struct err *err)
{
    const char *members = line_get(&entry->line, "members");
    if (members == NULL)
        return err_set(err, ERR_PARSE, "a pause without members");
    pid_t session = (pid_t)line_get_int(&entry->line, "session", 0);
    uint64_t start = (uint64_t)line_get_int(&entry->line, "start", 0);
    int64_t deadline_ns = clock_monotonic_ns() + RESUME_NS_MAX;
    pid_t stuck = 0;
    for (;;) {
        bool members_run = resume_members(members, &stuck);
        if (resume_session(session, start, &stuck) && members_run)
            return ERR_NONE;
        if (clock_monotonic_ns() > deadline_ns)
            return err_set(err, ERR_TIMEOUT, "process %d is still stopped after SIGCONT",
                           (int)stuck);
        clock_sleep_ns(NS_PER_MS);
    }
}

/* ---- Other kinds ---- */

enum err_code agentd_faults_keep(struct agentd_faults *faults, const char *id, const char *kind,
                                 struct buf *text, struct err *err)
{
    if (agentd_faults_find(faults, id) != NULL)
        return err_set(err, ERR_CONFIG, "id: fault %s is in force already", id);
    enum err_code code = room_for(faults, err);
    uint64_t sequence = 0;
    if (code == ERR_NONE)
        code = agentd_journal_write(&faults->journal, &sequence, text, err);
    if (code == ERR_NONE)
        add(faults, id, kind, sequence);
    return code;
}

static bool is_of_disks(const char *kind)
{
    return strcmp(kind, AGENTD_KIND_DISK) == 0 || strcmp(kind, AGENTD_KIND_STALL) == 0 ||
           strcmp(kind, AGENTD_KIND_IO) == 0;
}

/* ---- Undoing ---- */

/* All but blocks, which know their firewall. */
static enum err_code undo_other(const struct agentd_entry *entry, struct err *err)
{
    if (strcmp(entry->kind, kind_pause) == 0)
        return agentd_pause_undo(entry, err);
    if (is_of_disks(entry->kind))
        return agentd_disk_undo(entry, err);
    uint32_t restored, overwritten;
    if (strcmp(entry->kind, AGENTD_KIND_DAMAGE) == 0)
        return agentd_damage_restore(entry, &restored, &overwritten, err);
    if (strcmp(entry->kind, AGENTD_KIND_CLOCK) == 0)
        return agentd_clock_undo(entry, err);
    if (agentd_limit_is_kind(entry->kind))
        return agentd_limit_undo(entry, err);
    if (strcmp(entry->kind, AGENTD_KIND_MACHINE) == 0)
        return agentd_machine_undo(entry, err);
    if (strcmp(entry->kind, AGENTD_KIND_NETEM) == 0)
        return agentd_netem_undo(entry, err);
    return err_set(err, ERR_PARSE, "a fault of unknown kind '%s'", entry->kind);
}

enum err_code agentd_faults_undo(struct agentd_faults *faults, const char *id, struct err *err)
{
    struct agentd_fault *fault = agentd_faults_find(faults, id);
    if (fault == NULL)
        return err_set(err, ERR_CONFIG, "id: there is no fault %s in force", id);
    enum err_code code;
    if (has_rules(fault)) {
        code = undo_block(faults, fault, err);
    } else {
        struct arena arena = ARENA_INIT;
        struct agentd_entry entry;
        code = agentd_journal_read(&faults->journal, fault->sequence, &arena, &entry, err);
        if (code == ERR_NONE)
            code = undo_other(&entry, err);
        arena_free(&arena);
    }
    if (code == ERR_NONE)
        code = agentd_journal_remove(&faults->journal, fault->sequence, err);
    if (code != ERR_NONE)
        return code;
    if (strcmp(fault->kind, AGENTD_KIND_IO) == 0)
        faults->io_ended_ns = clock_monotonic_ns();
    drop(faults, fault);
    /* The last block leaves nothing of ours behind, not even empty chains. */
    if (faults->firewall.prepared && !blocks_remain(faults))
        code = faults->firewall.kind->clear(&faults->firewall, err);
    return code;
}

/* Clears a back-end once for all its entries. */
struct clearing {
    const struct agentd_firewall_kind *kind;
    bool tried;
    enum err_code code;
    struct err err;
};

static enum err_code replay_block(const struct agentd_entry *entry,
                                  struct agentd_firewall *firewall, struct clearing *clearings,
                                  struct err *err)
{
    const char *name = line_get(&entry->line, "firewall");
    for (size_t i = 0; i < 2; i++) {
        struct clearing *clearing = &clearings[i];
        if (name == NULL || strcmp(name, clearing->kind->name) != 0)
            continue;
        if (!clearing->tried)
            clearing->code = clearing->kind->clear(firewall, &clearing->err);
        clearing->tried = true;
        return clearing->code == ERR_NONE
                   ? ERR_NONE
                   : err_set(err, clearing->code, "%s", clearing->err.message);
    }
    return err_set(err, ERR_PARSE, "a block of an unknown packet filter");
}

static enum err_code replay_entry(const struct agentd_entry *entry,
                                  struct agentd_firewall *firewall, struct clearing *clearings,
                                  struct err *err)
{
    if (strcmp(entry->kind, kind_block) == 0 || strcmp(entry->kind, kind_shape) == 0)
        return replay_block(entry, firewall, clearings, err);
    return undo_other(entry, err);
}

static void count_problems(struct agentd_healed *healed, const struct buf *problems)
{
    for (size_t i = 0; i < problems->length; i++)
        healed->failed += problems->data[i] == '\n';
    buf_add_text(&healed->problems, buf_text(problems));
}

void agentd_replay(struct agentd_journal *journal, struct agentd_firewall *firewall,
                   struct agentd_healed *healed)
{
    struct arena arena = ARENA_INIT;
    struct agentd_entries entries = {.count = 0};
    struct buf problems = BUF_INIT;
    struct err err = ERR_INIT;
    if (agentd_journal_list(journal, &arena, &entries, &problems, &err) != ERR_NONE)
        buf_printf(&problems, "%s\n", err.message);
    struct clearing clearings[2] = {{.kind = &agentd_firewall_nftables},
                                    {.kind = &agentd_firewall_iptables}};
    if (problems.length > 0) /* what cannot be read may have been a block */
        clearings[0].kind->clear(firewall, NULL);
    count_problems(healed, &problems);
    for (uint32_t i = 0; i < entries.count; i++) {
        const struct agentd_entry *entry = &entries.items[i];
        enum err_code code = replay_entry(entry, firewall, clearings, &err);
        if (code == ERR_NONE)
            code = agentd_journal_remove(journal, entry->sequence, &err);
        if (code == ERR_NONE) {
            healed->undone++;
            agentd_entry_describe(entry, &healed->undone_texts);
            buf_add_char(&healed->undone_texts, '\n');
        } else {
            healed->failed++;
            buf_printf(&healed->problems, "%s: %s\n", entry->kind, err.message);
            if (code == ERR_PARSE)
                agentd_journal_set_aside(journal, entry->sequence);
        }
    }
    buf_free(&problems);
    arena_free(&arena);
}

void agentd_faults_heal(struct agentd_faults *faults, struct agentd_healed *healed)
{
    agentd_replay(&faults->journal, &faults->firewall, healed);
    /* Keep those that are still in the journal: they failed, and can be tried again. */
    for (uint32_t i = faults->count; i-- > 0;) {
        struct arena arena = ARENA_INIT;
        struct agentd_entry entry;
        if (agentd_journal_read(&faults->journal, faults->items[i].sequence, &arena, &entry,
                                NULL) != ERR_NONE)
            drop(faults, &faults->items[i]);
        arena_free(&arena);
    }
    struct err err = ERR_INIT;
    if (faults->firewall.prepared && !blocks_remain(faults) &&
        faults->firewall.kind->clear(&faults->firewall, &err) != ERR_NONE) {
        healed->failed++;
        buf_printf(&healed->problems, "%s\n", err.message);
    }
}

void agentd_entry_describe(const struct agentd_entry *entry, struct buf *text)
{
    static const char *const shown[] = {"name", "pid",     "from", "to",       "proto",
                                        "port", "members", "path", "children", "device"};
    const char *id = line_get(&entry->line, "id");
    buf_printf(text, "%s%s%s", entry->kind, id != NULL ? " " : "", id != NULL ? id : "");
    const char *mark = ":";
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        uint32_t cursor = 0;
        const char *value;
        while ((value = line_next(&entry->line, shown[i], &cursor)) != NULL) {
            buf_printf(text, "%s %s %s", mark, shown[i], value);
            mark = ",";
        }
    }
}
