/* Verbs of disks: giving them, taking their power, making them fail. */
#include <string.h>

#include "harness/agent/agentd.h"
#include "harness/agent/damage.h"
#include "harness/agent/disks.h"
#include "harness/agent/disks_io.h"
#include "harness/base/clock.h"

/* Files with holes: what is not used takes no room. */
enum { EXT4_MB_DEFAULT = 256, XFS_MB_DEFAULT = 320 };

static void reply_elapsed(struct agentd *agent, const struct agentd_request *request)
{
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - request->arrived_ns);
    line_end(out);
}

static enum err_code disk_give(struct agentd *agent, const struct agentd_request *request,
                               const char *path, struct err *err)
{
    static const char *const kinds[] = {
        [AGENTD_EXT4] = "ext4", [AGENTD_XFS] = "xfs", [AGENTD_STRICT] = "strict"};
    const char *kind = line_get(request->line, "file_system");
    int found = kind == NULL ? AGENTD_EXT4 : -1;
    for (int i = 0; i <= AGENTD_STRICT && found < 0; i++)
        found = strcmp(kind, kinds[i]) == 0 ? i : -1;
    if (found < 0)
        return err_set(err, ERR_CONFIG, "file_system: '%.32s' is not ext4, xfs or strict", kind);
    int64_t size_mb = found == AGENTD_XFS ? XFS_MB_DEFAULT : EXT4_MB_DEFAULT;
    return agentd_disk_give(&agent->faults, path, (enum agentd_file_system)found,
                            line_get_int(request->line, "size_mb", size_mb), err);
}

void agentd_disk_verb(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    const char *verb = line_at(request->line, 1), *path = line_get(request->line, "path");
    enum err_code code;
    if (strcmp(verb, "disk-give") == 0)
        code = disk_give(agent, request, path, &err);
    else if (strcmp(verb, "disk-stall") == 0)
        code = agentd_disk_stall(&agent->faults, path, &err);
    else
        code = agentd_disk_cut(&agent->faults, path, &err);
    if (code != ERR_NONE)
        agentd_reply_err(agent, request->id, &err);
    else
        reply_elapsed(agent, request);
}

void agentd_disk_back_verb(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    enum agentd_marker marker;
    static const char *const words[] = {"none", "lost", "kept"};
    if (agentd_disk_back(&agent->faults, line_get(request->line, "path"), &marker, &err) !=
        ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key(out, "unsynced", words[marker]);
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - request->arrived_ns);
    line_end(out);
}

/* ---- Faults of their operations ---- */

void agentd_disk_fault(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    struct buf seen = BUF_INIT;
    if (agentd_io_begin(&agent->faults, request->line, &seen, &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
    } else {
        struct buf *out = agentd_reply(agent, request->id);
        line_key(out, "seen", buf_text(&seen));
        line_key_int(out, "verified", 1);
        line_key_int(out, "elapsed_ns", clock_monotonic_ns() - request->arrived_ns);
        line_end(out);
    }
    buf_free(&seen);
}

void agentd_disk_counters(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    uint64_t hits = 0, left = 0;
    if (agentd_io_count(&agent->faults, line_get(request->line, "id"), &hits, &left, &err) !=
        ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    if (hits != AGENTD_IO_UNTOLD)
        line_key_int(out, "operations", (int64_t)hits);
    line_key_int(out, "left", (int64_t)left);
    line_end(out);
}

/* ---- Damage ---- */

static const char *or_all(const char *files)
{
    return files == NULL ? "*" : files;
}

static enum err_code check_directory(const char *path, struct err *err)
{
    return path[0] == '/' && path[1] != '\0' && strlen(path) < 2048
               ? ERR_NONE
               : err_set(err, ERR_CONFIG, "path: '%.100s' is no full path of a directory", path);
}

void agentd_disk_remember(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    const struct line *line = request->line;
    const char *path = line_get(line, "path");
    enum err_code code = check_directory(path, &err);
    if (code == ERR_NONE)
        code = agentd_damage_remember(&agent->faults, line_get(line, "id"), path,
                                      or_all(line_get(line, "files")), &err);
    if (code != ERR_NONE)
        agentd_reply_err(agent, request->id, &err);
    else
        reply_elapsed(agent, request);
}

void agentd_disk_damage(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    struct buf seen = BUF_INIT, before = BUF_INIT, after = BUF_INIT;
    const struct line *line = request->line;
    struct agentd_damage damage = {.id = line_get(line, "id"),
                                   .path = line_get(line, "path"),
                                   .files = or_all(line_get(line, "files")),
                                   .kind = agentd_damage_kind_of(line_get(line, "kind")),
                                   .place = line_get_int(line, "place", 500),
                                   .seed = (uint64_t)line_get_int(line, "seed", 0)};
    enum err_code code = check_directory(damage.path, &err);
    if (code == ERR_NONE && damage.kind == AGENTD_DAMAGES)
        code = err_set(&err, ERR_CONFIG,
                       "kind: '%.32s' is not flip, truncate, misdirect, stale or remove",
                       line_get(line, "kind"));
    if (code == ERR_NONE)
        code = agentd_damage_do(&agent->faults, &damage, &seen, &before, &after, &err);
    if (code != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
    } else {
        struct buf *out = agentd_reply(agent, request->id);
        line_key(out, "seen", buf_text(&seen));
        line_key(out, "before", buf_text(&before));
        line_key(out, "after", buf_text(&after));
        line_key_int(out, "elapsed_ns", clock_monotonic_ns() - request->arrived_ns);
        line_end(out);
    }
    buf_free(&seen);
    buf_free(&before);
    buf_free(&after);
}

void agentd_disk_restore(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    uint32_t restored, overwritten;
    if (agentd_damage_end(&agent->faults, line_get(request->line, "id"),
                          line_get_int(request->line, "drop", 0) == 0, &restored, &overwritten,
                          &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "restored", restored);
    line_key_int(out, "overwritten", overwritten);
    line_end(out);
}
