/* Planted defects: each takes away one line of the argument why the queue keeps its promises, so
 * that the harness can be shown to convict every one of them. DEFECTS.md says which faults show it.
 *
 * A normal build has none: queue_defect() is the constant false there, the compiler removes what it
 * guards, and the names are not in the program, nor in its debugging symbols. They exist only with
 * -DORDEAL_QUEUE_DEFECTS, a build that is for testing the testers and must never serve anybody. */
#ifndef ORDEAL_QUEUE_DEFECT_H
#define ORDEAL_QUEUE_DEFECT_H

#include <stdbool.h>

#ifdef ORDEAL_QUEUE_DEFECTS

enum defect {
    DEFECT_ACK_BEFORE_FSYNC,   /* followers acknowledge, and a leader counts itself, before fsync */
    DEFECT_VOTE_NOT_PERSISTED, /* terms and votes are used without being written */
    DEFECT_DISK_ID_IGNORED,    /* voters are told apart by node alone: an emptied disk votes */
    DEFECT_COMMIT_OLD_TERM,    /* entries of earlier terms are committed by counting copies */
    DEFECT_NO_CHECK_QUORUM,    /* no pre-vote, and a leader without a quorum stays one */
    DEFECT_LEASE_WALL_CLOCK,   /* leases end by each node's wall clock */
    DEFECT_TTL_WALL_CLOCK,     /* time to live ends by the wall clock */
    DEFECT_REPLY_REPLAY,       /* a delivery's reply is sent again after a fail-over */
    DEFECT_ACK_ANY_ATTEMPT,    /* acknowledgements are taken without looking at the attempt */
    DEFECT_TAKE_LOCAL,         /* jobs are handed out from local state, not through the log */
    DEFECT_SNAPSHOT_NO_DIRSYNC, /* a snapshot is renamed into place without syncing the directory */
    DEFECT_CUT_COMMITTED_TAIL,  /* a bad checksum in the log cuts everything behind it, silently */
    DEFECT_KEYS_NOT_IN_SNAPSHOT, /* the table of keys is left out of snapshots */
    DEFECT_SPOOL_DELETED_EARLY,  /* a spooled job is deleted before its commit is known */
    DEFECT_COUNT,
};

/* Not thread-safe: switch defects on before the first thread starts. */
bool queue_defect(enum defect defect);
void queue_defect_set(enum defect defect, bool planted);
/* The name on the command line, such as "ack-before-fsync"; NULL past the last. */
const char *queue_defect_name(enum defect defect);
/* DEFECT_COUNT when there is none of that name. */
enum defect queue_defect_find(const char *name);

#else
/* A macro that drops the name, so that not even debugging symbols keep it. */
#define queue_defect(defect) false
#endif

#endif
