/* The switches of planted defects: an empty file in a normal build. */
#include "queue/defect.h"

#ifdef ORDEAL_QUEUE_DEFECTS

#include <stddef.h>
#include <string.h>

static const char *const defect_names[DEFECT_COUNT] = {
    [DEFECT_ACK_BEFORE_FSYNC] = "ack-before-fsync",
    [DEFECT_VOTE_NOT_PERSISTED] = "vote-not-persisted",
    [DEFECT_DISK_ID_IGNORED] = "disk-id-ignored",
    [DEFECT_COMMIT_OLD_TERM] = "commit-old-term",
    [DEFECT_NO_CHECK_QUORUM] = "no-check-quorum",
    [DEFECT_LEASE_WALL_CLOCK] = "lease-wall-clock",
    [DEFECT_TTL_WALL_CLOCK] = "ttl-wall-clock",
    [DEFECT_REPLY_REPLAY] = "reply-replay",
    [DEFECT_ACK_ANY_ATTEMPT] = "ack-any-attempt",
    [DEFECT_TAKE_LOCAL] = "take-local",
    [DEFECT_SNAPSHOT_NO_DIRSYNC] = "snapshot-no-dirsync",
    [DEFECT_CUT_COMMITTED_TAIL] = "cut-committed-tail",
    [DEFECT_KEYS_NOT_IN_SNAPSHOT] = "keys-not-in-snapshot",
    [DEFECT_SPOOL_DELETED_EARLY] = "spool-deleted-early",
};
static bool defects_planted[DEFECT_COUNT];

bool queue_defect(enum defect defect)
{
    return defects_planted[defect];
}

void queue_defect_set(enum defect defect, bool planted)
{
    defects_planted[defect] = planted;
}

const char *queue_defect_name(enum defect defect)
{
    return defect < DEFECT_COUNT ? defect_names[defect] : NULL;
}

enum defect queue_defect_find(const char *name)
{
    enum defect defect = 0;
    while (defect < DEFECT_COUNT && strcmp(defect_names[defect], name) != 0) {
        defect++;
    }
    return defect;
}

#endif
