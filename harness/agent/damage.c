/* Damage to files: see damage.h. */
#include "harness/agent/damage.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/agent/damage_files.h"
#include "harness/base/crc32c.h"
#include "harness/base/prng.h"

enum { KEPT_BYTES = 4400, SHOWN_BYTES = 16 };

static const char *const kind_names[AGENTD_DAMAGES] = {
    [AGENTD_FLIP] = "flip",   [AGENTD_TRUNCATE] = "truncate", [AGENTD_MISDIRECT] = "misdirect",
    [AGENTD_STALE] = "stale", [AGENTD_REMOVE] = "remove",
};

/* What is to be done to one file: bytes that are another, a new end, or no file. */
struct change {
    char file[4096];
    off_t offset, size; /* size: the file's before */
    size_t length;      /* of the bytes */
    unsigned char before[DAMAGE_BLOCK], after[DAMAGE_BLOCK];
};

enum agentd_damage_kind agentd_damage_kind_of(const char *name)
{
    int kind = 0;
    while (kind < AGENTD_DAMAGES && strcmp(kind_names[kind], name) != 0)
        kind++;
    return (enum agentd_damage_kind)kind;
}

static bool is_of_bytes(enum agentd_damage_kind kind)
{
    return kind == AGENTD_FLIP || kind == AGENTD_MISDIRECT || kind == AGENTD_STALE;
}

/* ---- What is kept ---- */

static void kept_directory(const struct agentd_faults *faults, const char *id,
                           char kept[KEPT_BYTES])
{
    snprintf(kept, KEPT_BYTES, "%s.damage/%s", faults->journal.path, id);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static void drop_kept(const char *kept)
{
    enum { DESCRIPTORS = 16 };
    char above[KEPT_BYTES];
    (void)nftw(kept, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
    snprintf(above, sizeof above, "%s", kept);
    *strrchr(above, '/') = '\0';
    (void)rmdir(above); /* the last one */
}

/* Where a file was remembered: by its path, whatever that is. */
static void remembered(const char *kept, const char *file, char copy[KEPT_BYTES + 16])
{
    snprintf(copy, KEPT_BYTES + 16, "%s/%08x.then", kept, crc32c(0, file, strlen(file)));
}

struct remembering {
    const char *kept;
    uint32_t count;
    enum err_code code;
    struct err *err;
};

static bool remember_one(void *state, const char *file)
{
    struct remembering *all = state;
    char copy[KEPT_BYTES + 16];
    remembered(all->kept, file, copy);
    all->code = agentd_files_copy(file, 0, copy, true, all->err);
    all->count++;
    return all->code == ERR_NONE;
}

enum err_code agentd_damage_remember(struct agentd_faults *faults, const char *id, const char *path,
                                     const char *files, struct err *err)
{
    char kept[KEPT_BYTES];
    kept_directory(faults, id, kept);
    enum err_code code = agentd_make_directories(kept, 0700, err);
    struct remembering all = {.kept = kept, .err = err};
    if (code == ERR_NONE)
        (void)agentd_files_each(path, files, remember_one, &all);
    code = code == ERR_NONE ? all.code : code;
    if (code == ERR_NONE && all.count == 0)
        code = err_set(err, ERR_CONFIG, "files: there is no %s below %s", files, path);
    if (code != ERR_NONE)
        drop_kept(kept);
    return code;
}

/* ---- Choosing ---- */

static enum err_code choose_flip(const struct agentd_damage *damage, struct change *change,
                                 struct buf *seen, struct err *err)
{
    off_t at = agentd_files_place(change->file, damage->place);
    struct prng prng = prng_stream(damage->seed, "flip");
    unsigned bit = (unsigned)prng_below(&prng, 8);
    if (at < 0)
        return err_set(err, ERR_CONFIG, "files: %s holds nothing", change->file);
    change->offset = at;
    change->length = 1;
    enum err_code code = agentd_files_read(change->file, at, change->before, 1, err);
    change->after[0] = (unsigned char)(change->before[0] ^ (1u << bit));
    buf_printf(seen, "bit %u of byte %lld of %s flipped", bit, (long long)at, change->file);
    return code;
}

static enum err_code read_block(const char *file, off_t block, unsigned char *bytes,
                                struct err *err)
{
    return agentd_files_read(file, block * DAMAGE_BLOCK, bytes, DAMAGE_BLOCK, err);
}

/* The block at `place` is written over another, drawn from those that differ. */
static enum err_code choose_misdirect(const struct agentd_damage *damage, struct change *change,
                                      struct buf *seen, struct err *err)
{
    enum { TRIES = 64 };
    off_t end = agentd_files_end(change->file), blocks = end / DAMAGE_BLOCK;
    off_t from = blocks * damage->place / 1000;
    struct prng prng = prng_stream(damage->seed, "misdirect");
    for (int i = 0; i < TRIES && blocks > 1; i++) {
        off_t to = (off_t)prng_below(&prng, (uint64_t)blocks);
        enum err_code code = read_block(change->file, from, change->after, err);
        if (code == ERR_NONE)
            code = read_block(change->file, to, change->before, err);
        if (code != ERR_NONE)
            return code;
        if (memcmp(change->before, change->after, DAMAGE_BLOCK) == 0)
            continue;
        change->offset = to * DAMAGE_BLOCK;
        change->length = DAMAGE_BLOCK;
        buf_printf(seen, "block %lld of %s written over block %lld", (long long)from, change->file,
                   (long long)to);
        return ERR_NONE;
    }
    return err_set(err, ERR_CONFIG, "files: %s has no two blocks of %d bytes that differ",
                   change->file, DAMAGE_BLOCK);
}

/* Of those that have changed since, the one `place` thousandths through them. */
static enum err_code choose_stale(const struct agentd_damage *damage, const char *kept,
                                  struct change *change, struct buf *seen, struct err *err)
{
    char then[KEPT_BYTES + 16];
    off_t end = agentd_files_end(change->file), changed = 0, wanted = -1;
    remembered(kept, change->file, then);
    if (access(then, F_OK) != 0)
        return err_set(err, ERR_CONFIG, "files: %s was not remembered: disk-remember comes first",
                       change->file);
    for (int pass = 0; pass < 2; pass++) {
        off_t count = 0;
        for (off_t block = 0; block < end / DAMAGE_BLOCK; block++) {
            if (read_block(change->file, block, change->before, NULL) != ERR_NONE ||
                read_block(then, block, change->after, NULL) != ERR_NONE ||
                memcmp(change->before, change->after, DAMAGE_BLOCK) == 0)
                continue;
            if (count++ != wanted)
                continue;
            change->offset = block * DAMAGE_BLOCK;
            change->length = DAMAGE_BLOCK;
            buf_printf(seen, "block %lld of %s is what it was before", (long long)block,
                       change->file);
            return ERR_NONE;
        }
        changed = count;
        wanted = changed * damage->place / 1000;
        wanted = wanted < changed ? wanted : changed - 1;
        if (changed == 0)
            break;
    }
    return err_set(err, ERR_CONFIG, "files: no block of %s has changed since", change->file);
}

static enum err_code choose(const struct agentd_damage *damage, const char *kept,
                            struct change *change, struct buf *seen, struct err *err)
{
    struct stat status;
    if (!agentd_files_newest(damage->path, damage->files, change->file) ||
        stat(change->file, &status) != 0)
        return err_set(err, ERR_CONFIG, "files: there is no %s below %s", damage->files,
                       damage->path);
    change->size = status.st_size;
    switch (damage->kind) {
    case AGENTD_FLIP:
        return choose_flip(damage, change, seen, err);
    case AGENTD_MISDIRECT:
        return choose_misdirect(damage, change, seen, err);
    case AGENTD_STALE:
        return choose_stale(damage, kept, change, seen, err);
    case AGENTD_TRUNCATE: {
        off_t end = agentd_files_end(change->file);
        change->offset = end <= 0 ? -1 : end * damage->place / 1000;
        buf_printf(seen, "%s cut from %lld to %lld bytes", change->file, (long long)change->size,
                   (long long)change->offset);
        return change->offset >= 0 && change->offset < change->size
                   ? ERR_NONE
                   : err_set(err, ERR_CONFIG, "files: %s holds nothing", change->file);
    }
    default:
        buf_printf(seen, "%s of %lld bytes removed", change->file, (long long)change->size);
        return ERR_NONE;
    }
}

/* ---- Doing ---- */

static enum err_code keep(struct agentd_faults *faults, const struct agentd_damage *damage,
                          const struct change *change, const char *kept, struct err *err)
{
    struct buf text = BUF_INIT;
    char copy[KEPT_BYTES + 16];
    struct stat status;
    snprintf(copy, sizeof copy, "%s/before", kept);
    bool bytes = is_of_bytes(damage->kind);
    enum err_code code =
        bytes ? ERR_NONE : agentd_files_copy(change->file, change->offset, copy, true, err);
    agentd_journal_begin(&faults->journal, &text, AGENTD_KIND_DAMAGE);
    line_key(&text, "id", damage->id);
    line_key(&text, "path", change->file);
    line_key(&text, "damage", kind_names[damage->kind]);
    line_key(&text, "kept", kept);
    line_key_int(&text, "offset", change->offset);
    line_key_int(&text, "size", change->size);
    if (bytes) {
        line_key_bytes(&text, "before", change->before, change->length);
        line_key_bytes(&text, "after", change->after, change->length);
    } else if (stat(change->file, &status) == 0) {
        line_key_int(&text, "mode", status.st_mode & 07777);
        line_key_int(&text, "uid", status.st_uid);
        line_key_int(&text, "gid", status.st_gid);
    }
    if (code == ERR_NONE)
        code = agentd_faults_keep(faults, damage->id, AGENTD_KIND_DAMAGE, &text, err);
    buf_free(&text);
    return code;
}

static enum err_code apply(const struct agentd_damage *damage, const struct change *change,
                           struct err *err)
{
    struct stat status;
    unsigned char now[DAMAGE_BLOCK];
    enum err_code code = ERR_NONE;
    if (is_of_bytes(damage->kind)) {
        code = agentd_files_write(change->file, change->offset, change->after, change->length, err);
        if (code == ERR_NONE)
            code = agentd_files_read(change->file, change->offset, now, change->length, err);
        return code == ERR_NONE && memcmp(now, change->after, change->length) != 0
                   ? err_set(err, ERR_REMOTE, "%s is not what was written", change->file)
                   : code;
    }
    if (damage->kind == AGENTD_REMOVE) {
        if (unlink(change->file) != 0)
            return err_errno(err, errno, "cannot remove %s", change->file);
        code = agentd_files_sync_names(change->file, err);
        return code == ERR_NONE && stat(change->file, &status) == 0
                   ? err_set(err, ERR_REMOTE, "%s is there still", change->file)
                   : code;
    }
    if (truncate(change->file, change->offset) != 0)
        return err_errno(err, errno, "cannot cut %s", change->file);
    code = agentd_files_write(change->file, 0, "", 0, err); /* a sync */
    return code == ERR_NONE &&
                   (stat(change->file, &status) != 0 || status.st_size != change->offset)
               ? err_set(err, ERR_REMOTE, "%s is not as short as it was cut", change->file)
               : code;
}

static void add_hex(struct buf *out, const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length && i < SHOWN_BYTES; i++)
        buf_printf(out, "%02x", bytes[i]);
}

enum err_code agentd_damage_do(struct agentd_faults *faults, const struct agentd_damage *damage,
                               struct buf *seen, struct buf *before, struct buf *after,
                               struct err *err)
{
    static struct change change;
    char kept[KEPT_BYTES];
    kept_directory(faults, damage->id, kept);
    if (agentd_faults_find(faults, damage->id) != NULL)
        return err_set(err, ERR_CONFIG, "id: fault %s is in force already", damage->id);
    enum err_code code = agentd_make_directories(kept, 0700, err);
    memset(&change, 0, sizeof change);
    if (code == ERR_NONE)
        code = choose(damage, kept, &change, seen, err);
    if (code == ERR_NONE)
        code = keep(faults, damage, &change, kept, err);
    if (code != ERR_NONE) {
        drop_kept(kept);
        return code;
    }
    code = apply(damage, &change, err);
    if (code != ERR_NONE)
        (void)!agentd_faults_undo(faults, damage->id, NULL);
    add_hex(before, change.before, change.length);
    add_hex(after, change.after, change.length);
    return code;
}

/* ---- Undoing ---- */

static enum err_code restore_bytes(const struct line *line, const char *file, uint32_t *restored,
                                   struct err *err)
{
    unsigned char now[DAMAGE_BLOCK];
    const struct line_field *before = NULL, *after = NULL;
    for (uint32_t i = 0; i < line->count; i++) {
        if (strncmp(line->fields[i].text, "before=", 7) == 0)
            before = &line->fields[i];
        if (strncmp(line->fields[i].text, "after=", 6) == 0)
            after = &line->fields[i];
    }
    size_t length = before == NULL ? 0 : before->length - 7;
    off_t offset = (off_t)line_get_int(line, "offset", 0);
    if (length == 0 || length > sizeof now || after == NULL || after->length - 6 != length)
        return err_set(err, ERR_PARSE, "damage that does not say what was there before");
    if (agentd_files_read(file, offset, now, length, NULL) != ERR_NONE ||
        memcmp(now, after->text + 6, length) != 0)
        return ERR_NONE;
    *restored = 1;
    return agentd_files_write(file, offset, before->text + 7, length, err);
}

/* The end again of a file that was cut, or all of one that was removed; neither has been made
 * longer, or anew, since. */
static enum err_code restore_file(const struct line *line, const char *file, bool removed,
                                  uint32_t *restored, struct err *err)
{
    char copy[KEPT_BYTES + 16];
    struct stat status;
    const char *kept = line_get(line, "kept");
    snprintf(copy, sizeof copy, "%s/before", kept == NULL ? "" : kept);
    bool there = stat(file, &status) == 0;
    if (removed ? there : !there || status.st_size != (off_t)line_get_int(line, "offset", 0))
        return ERR_NONE;
    *restored = 1;
    /* A copy has the file's whole length, and what was kept of it at its own place. */
    enum err_code code = agentd_files_copy(copy, removed ? 0 : status.st_size, file, removed, err);
    if (!removed)
        return code;
    if (code == ERR_NONE && (chmod(file, (mode_t)line_get_int(line, "mode", 0600)) != 0 ||
                             chown(file, (uid_t)line_get_int(line, "uid", 0),
                                   (gid_t)line_get_int(line, "gid", 0)) != 0))
        code = err_errno(err, errno, "cannot give %s its owner again", file);
    return code == ERR_NONE ? agentd_files_sync_names(file, err) : code;
}

enum err_code agentd_damage_restore(const struct agentd_entry *entry, uint32_t *restored,
                                    uint32_t *overwritten, struct err *err)
{
    const struct line *line = &entry->line;
    const char *file = line_get(line, "path"), *name = line_get(line, "damage");
    enum agentd_damage_kind kind = agentd_damage_kind_of(name == NULL ? "" : name);
    *restored = 0;
    if (file == NULL || kind == AGENTD_DAMAGES)
        return err_set(err, ERR_PARSE, "damage that says not what");
    enum err_code code = is_of_bytes(kind)
                             ? restore_bytes(line, file, restored, err)
                             : restore_file(line, file, kind == AGENTD_REMOVE, restored, err);
    *overwritten = code == ERR_NONE ? 1 - *restored : 0;
    const char *kept = line_get(line, "kept");
    if (code == ERR_NONE && kept != NULL)
        drop_kept(kept);
    return code;
}

enum err_code agentd_damage_end(struct agentd_faults *faults, const char *id, bool restore,
                                uint32_t *restored, uint32_t *overwritten, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct agentd_entry entry;
    const struct agentd_fault *fault = agentd_faults_find(faults, id);
    *restored = *overwritten = 0;
    if (fault == NULL || strcmp(fault->kind, AGENTD_KIND_DAMAGE) != 0)
        return err_set(err, ERR_CONFIG, "id: there is no damage %s", id);
    enum err_code code =
        agentd_journal_read(&faults->journal, fault->sequence, &arena, &entry, err);
    if (code == ERR_NONE && restore)
        code = agentd_damage_restore(&entry, restored, overwritten, err);
    else if (code == ERR_NONE && line_get(&entry.line, "kept") != NULL)
        drop_kept(line_get(&entry.line, "kept"));
    if (code == ERR_NONE)
        agentd_faults_forget(faults, id);
    arena_free(&arena);
    return code;
}
