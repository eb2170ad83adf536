/* Damage to files: bits that flip, ends cut off, blocks written at the wrong place, blocks that are
 * what they were before, files that are gone.
 *
 * Hit is the newest file below a directory whose name (or, for a pattern with a slash, whose path
 * below it) matches. What the damage overwrites is kept beside the journal, with what it wrote, so
 * that it can be put back; where somebody has written since it is not: that would be damage again.
 *
 * Journaled as "damage", undone by putting back. Running out of disk there leaves nothing damaged.
 */
#ifndef ORDEAL_AGENT_DAMAGE_H
#define ORDEAL_AGENT_DAMAGE_H

#include "harness/agent/faults.h"

#define AGENTD_KIND_DAMAGE "damage"

enum agentd_damage_kind {
    AGENTD_FLIP,
    AGENTD_TRUNCATE,
    AGENTD_MISDIRECT,
    AGENTD_STALE,
    AGENTD_REMOVE,
    AGENTD_DAMAGES
};

struct agentd_damage {
    const char *id, *path, *files;
    enum agentd_damage_kind kind;
    int64_t place; /* thousandths of the way through what the file holds */
    uint64_t seed; /* which bit, which other block */
};

/* Does it, durably, and reads it back. `seen` gets it in words; *before and *after the first bytes,
 * in hexadecimal. ERR_CONFIG when no file matches or the file has nothing to damage that way. */
enum err_code agentd_damage_do(struct agentd_faults *faults, const struct agentd_damage *damage,
                               struct buf *seen, struct buf *before, struct buf *after,
                               struct err *err);
/* Keeps the files that match as they are now, under the id that stale damage will have. */
enum err_code agentd_damage_remember(struct agentd_faults *faults, const char *id, const char *path,
                                     const char *files, struct err *err);
/* Puts back what is still as the damage left it, and tells how many places were and were not. */
enum err_code agentd_damage_restore(const struct agentd_entry *entry, uint32_t *restored,
                                    uint32_t *overwritten, struct err *err);
/* Restores fault `id`, and drops it; or drops it alone. */
enum err_code agentd_damage_end(struct agentd_faults *faults, const char *id, bool restore,
                                uint32_t *restored, uint32_t *overwritten, struct err *err);
/* By name, AGENTD_DAMAGES when there is none. */
enum agentd_damage_kind agentd_damage_kind_of(const char *name);

#endif
