/* Disks that fail operation by operation, slow down, lie, or are full: see disks_io.h. */
#include "harness/agent/disks_io.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "harness/agent/damage.h"
#include "harness/agent/disks_probe.h"
#include "harness/agent/disks_strict.h"
#include "harness/base/clock.h"

/* How long after a failed operation a process may take to end of it. */
#define HURT_NS (2 * NS_PER_SECOND)

/* ---- Rules of a strict disk ---- */

struct counts {
    uint64_t hits, tries, left;
};

/* Asks who serves the disk what a rule has hit; ERR_CONFIG when it does not know the rule. */
static enum err_code ask(const struct agentd_disk *disk, const char *id, struct counts *counts,
                         struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct buf answer = BUF_INIT;
    enum err_code code = agentd_strict_rules(disk->backing, NULL, NULL, &answer, err);
    bool found = false;
    char *rest = answer.length > 0 ? answer.data : NULL;
    for (char *text = strsep(&rest, "\n"); text != NULL && !found; text = strsep(&rest, "\n")) {
        struct line line;
        const char *name = line_parse(&arena, text, strlen(text), &line, NULL) == ERR_NONE
                               ? line_get(&line, "id")
                               : NULL;
        found = name != NULL && strcmp(name, id) == 0;
        if (found) {
            counts->hits = (uint64_t)line_get_int(&line, "hits", 0);
            counts->tries = (uint64_t)line_get_int(&line, "tries", 0);
            counts->left = (uint64_t)line_get_int(&line, "left", 0);
        }
    }
    buf_free(&answer);
    arena_free(&arena);
    if (code == ERR_NONE && !found)
        code = err_set(err, ERR_CONFIG, "the disk of %s has no rule %s", disk->path, id);
    return code;
}

/* A lie shows in nothing but in what is lost later: that it was told is counted by who told it. */
static enum err_code see_lie(const struct agentd_disk *disk, const struct strict_rule *rule,
                             struct buf *seen, struct err *err)
{
    enum { TRIES = 21 * STRICT_CHANCE_ALWAYS };
    struct counts before = {0}, after = {0};
    enum err_code code = ask(disk, rule->id, &before, err);
    for (int i = 0; i < TRIES && code == ERR_NONE && after.tries <= before.tries; i++) {
        code = agentd_disk_probe(disk, rule, seen, err);
        if (code == ERR_NONE)
            code = ask(disk, rule->id, &after, err);
        if (rule->chance == STRICT_CHANCE_ALWAYS)
            break;
    }
    if (code == ERR_NONE && after.tries <= before.tries)
        code = err_set(err, ERR_REMOTE, "no fsync on the disk of %s is swallowed", disk->path);
    buf_clear(seen);
    buf_add_text(seen, "fsync: said to have worked, and swallowed");
    return code;
}

static int open_and_close(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)where;
    int fd = kind == FTW_F && S_ISREG(status->st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0)
        close(fd);
    return 0;
}

/* What the kernel remembers of the files would be read without the disk: it forgets it whenever
 * somebody opens them. */
static void forget_what_was_read(const struct agentd_disk *disk)
{
    enum { DESCRIPTORS = 16 };
    (void)!nftw(disk->data, open_and_close, DESCRIPTORS, FTW_PHYS | FTW_MOUNT);
}

static enum err_code begin_strict(const struct agentd_disk *disk, const struct strict_rule *rule,
                                  struct buf *seen, struct err *err)
{
    if ((rule->ops & STRICT_READ) != 0)
        forget_what_was_read(disk);
    enum err_code code = agentd_strict_rules(disk->backing, rule, NULL, NULL, err);
    if (code != ERR_NONE)
        return code;
    return rule->kind == STRICT_LYING_FSYNC ? see_lie(disk, rule, seen, err)
                                            : agentd_disk_probe(disk, rule, seen, err);
}

/* ---- Real file systems ---- */

static uint64_t free_bytes(const struct agentd_disk *disk, uint64_t *block)
{
    struct statvfs status;
    bool told = statvfs(disk->mount, &status) == 0;
    *block = told ? status.f_frsize : 1;
    return told ? (uint64_t)status.f_bavail * status.f_frsize : 0;
}

/* A file takes all but so many bytes, and goes with its room when it is removed. It is synced, so
 * that it is still there after a power cut. */
static enum err_code fill(const struct agentd_disk *disk, uint64_t leave, struct err *err)
{
    int fd = open(disk->fill, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), failure = 0;
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    uint64_t block = 1, available = fd < 0 ? 0 : free_bytes(disk, &block);
    uint64_t piece = available > leave ? available - leave : 0;
    while (fd >= 0 && failure == 0 && piece >= block) {
        piece -= piece % block;
        if (fallocate(fd, 0, end, (off_t)piece) == 0) {
            end += (off_t)piece;
            available = free_bytes(disk, &block);
            uint64_t more = available > leave ? available - leave : 0;
            piece = more < piece ? more : piece;
        } else if (errno == ENOSPC) {
            piece /= 2; /* what is free is not all for files */
        } else {
            failure = errno;
        }
    }
    if (fd < 0 || (failure == 0 && fsync(fd) != 0))
        failure = errno;
    if (fd >= 0)
        close(fd);
    return failure == 0 ? ERR_NONE
                        : err_errno(err, failure, "cannot fill the disk of %s", disk->path);
}

static enum err_code begin_real(const struct agentd_disk *disk, const struct strict_rule *rule,
                                struct buf *seen, struct err *err)
{
    enum { TRIES = 10 };
    enum err_code code = ERR_NONE;
    for (int i = 0; i < TRIES; i++) {
        code = fill(disk, rule->bytes, err);
        if (code == ERR_NONE)
            code = agentd_disk_probe(disk, rule, seen, err);
        if (code != ERR_REMOTE)
            break;
        clock_sleep_ns(20 * NS_PER_MS); /* an XFS frees later what was removed before */
    }
    return code;
}

static enum err_code check_real(const struct agentd_disk *disk, const struct strict_rule *rule,
                                const struct agentd_faults *faults, struct err *err)
{
    if (rule->kind != STRICT_FULL || strcmp(rule->files, "*") != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "the disk of %s can only be full, for all files: for more it needs "
                       "file_system=strict",
                       disk->path);
    if (agentd_io_is_full((struct agentd_journal *)(uintptr_t)&faults->journal, disk->path))
        return err_set(err, ERR_CONFIG, "path: the disk of %s is full already", disk->path);
    return ERR_NONE;
}

const char *agentd_io_hurts(const struct agentd_faults *faults)
{
    bool damaged = false;
    if (faults->io_ended_ns != 0 && clock_monotonic_ns() - faults->io_ended_ns < HURT_NS)
        return "disk";
    for (uint32_t i = 0; i < faults->count; i++) {
        if (strcmp(faults->items[i].kind, AGENTD_KIND_IO) == 0)
            return "disk";
        damaged = damaged || strcmp(faults->items[i].kind, AGENTD_KIND_DAMAGE) == 0;
    }
    return damaged ? "damage" : NULL;
}

bool agentd_io_is_full(struct agentd_journal *journal, const char *path)
{
    struct arena arena = ARENA_INIT;
    struct agentd_entries entries = {.count = 0};
    struct buf problems = BUF_INIT;
    bool full = false;
    if (agentd_journal_list(journal, &arena, &entries, &problems, NULL) == ERR_NONE)
        for (uint32_t i = 0; i < entries.count; i++) {
            const struct line *line = &entries.items[i].line;
            const char *where = line_get(line, "path"), *what = line_get(line, "io");
            full = full || (strcmp(entries.items[i].kind, AGENTD_KIND_IO) == 0 && where != NULL &&
                            strcmp(where, path) == 0 && what != NULL &&
                            strcmp(what, strict_kind_names[STRICT_FULL]) == 0);
        }
    buf_free(&problems);
    arena_free(&arena);
    return full;
}

/* ---- Beginning ---- */

static enum err_code keep(struct agentd_faults *faults, const struct agentd_disk *disk,
                          const struct strict_rule *rule, struct err *err)
{
    struct buf text = BUF_INIT;
    agentd_journal_begin(&faults->journal, &text, AGENTD_KIND_IO);
    line_key(&text, "path", disk->path);
    strict_rule_print(rule, &text);
    enum err_code code = agentd_faults_keep(faults, rule->id, AGENTD_KIND_IO, &text, err);
    buf_free(&text);
    return code;
}

enum err_code agentd_io_begin(struct agentd_faults *faults, const struct line *fields,
                              struct buf *seen, struct err *err)
{
    struct agentd_disk disk;
    struct strict_rule rule;
    enum err_code code = agentd_disk_locate_given(faults, line_get(fields, "path"), &disk, err);
    if (code == ERR_NONE)
        code = strict_rule_parse(fields, &rule, err);
    bool strict = disk.file_system == AGENTD_STRICT;
    if (code == ERR_NONE && !strict)
        code = check_real(&disk, &rule, faults, err);
    if (code == ERR_NONE && agentd_faults_find(faults, disk.stall_id) != NULL)
        code = err_set(err, ERR_CONFIG, "path: the disk of %s hangs", disk.path);
    if (code == ERR_NONE)
        code = keep(faults, &disk, &rule, err);
    if (code != ERR_NONE)
        return code;
    code = strict ? begin_strict(&disk, &rule, seen, err) : begin_real(&disk, &rule, seen, err);
    if (code != ERR_NONE)
        (void)!agentd_faults_undo(faults, rule.id, NULL);
    return code;
}

enum err_code agentd_io_count(struct agentd_faults *faults, const char *id, uint64_t *hits,
                              uint64_t *left, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct agentd_entry entry;
    struct agentd_disk disk;
    uint64_t block;
    const struct agentd_fault *fault = agentd_faults_find(faults, id);
    if (fault == NULL || strcmp(fault->kind, AGENTD_KIND_IO) != 0)
        return err_set(err, ERR_CONFIG, "id: there is no fault %s of a disk in force", id);
    enum err_code code =
        agentd_journal_read(&faults->journal, fault->sequence, &arena, &entry, err);
    if (code == ERR_NONE)
        code = agentd_disk_locate_given(faults, line_get(&entry.line, "path"), &disk, err);
    struct counts counts = {0};
    if (code == ERR_NONE && disk.file_system == AGENTD_STRICT)
        code = ask(&disk, id, &counts, err);
    else if (code == ERR_NONE)
        counts = (struct counts){.hits = AGENTD_IO_UNTOLD, .left = free_bytes(&disk, &block)};
    *hits = counts.hits;
    *left = counts.left;
    arena_free(&arena);
    return code;
}

/* ---- Undoing ---- */

/* 0: nobody is there who could tell, or the disk has no power, or hangs. */
static bool can_be_tried(const struct agentd_disk *disk)
{
    struct stat status;
    if (disk->file_system == AGENTD_STRICT && !agentd_strict_serves(disk->backing))
        return false;
    return stat(disk->fault_probe, &status) == 0;
}

static enum err_code undo_real(const struct agentd_disk *disk, struct err *err)
{
    if (unlink(disk->fill) != 0 && errno != ENOENT)
        return errno == EIO ? ERR_NONE /* without power: disk-back removes it */
                            : err_errno(err, errno, "cannot remove %s", disk->fill);
    return can_be_tried(disk) ? agentd_disk_probe_works(disk, 0, err) : ERR_NONE;
}

enum err_code agentd_io_undo(const struct agentd_entry *entry, const struct agentd_disk *disk,
                             struct err *err)
{
    struct strict_rule rule;
    if (strict_rule_parse(&entry->line, &rule, err) != ERR_NONE)
        return err_set(err, ERR_PARSE, "a fault of a disk that says not which");
    if (disk->file_system != AGENTD_STRICT)
        return undo_real(disk, err);
    bool last = false;
    enum err_code code = agentd_strict_rules_drop(disk->backing, rule.id, &last, err);
    if (code == ERR_NONE && last && can_be_tried(disk))
        code = agentd_disk_probe_works(disk, rule.delay_ns, err);
    return code;
}
