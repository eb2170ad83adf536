/* A file system that loses, when its power goes, all that POSIX lets it lose: what was written and
 * not synced, and every name in a directory that was not synced. Real ones with a journal keep most
 * of that by accident.
 *
 * It is a process of its own (FUSE): files are below BACKING/root as they are, BACKING/trash holds
 * what may have to come back. Nothing is written through to a disk: who asks for durability is
 * believed to have it.
 *
 * The power goes with the signal STRICT_FS_CUT: what is not durable is undone, from then on every
 * request fails with EIO, and a file STRICT_FS_DEAD appears in BACKING: an errno in digits, 0 when
 * all was undone. Unmounting ends the process, without undoing anything.
 *
 * It hangs from STRICT_FS_STALL to STRICT_FS_GO_ON or STRICT_FS_CUT; in between there is a file
 * STRICT_FS_STALLED in BACKING. STRICT_FS_PID there says which process it is; it is called
 * STRICT_FS_NAME.
 *
 * What else goes wrong, operation by operation, is in BACKING's STRICT_FS_RULES: a first line that
 * tells one state of it from another, then rules (strict_faults.h). At STRICT_FS_CHANGE (and when
 * it starts) they are read again; then STRICT_FS_ANSWER has the same first line, and of each rule a
 * line `id= hits= tries= left=`: operations that it hit, those on STRICT_FS_PROBE apart, and bytes
 * that a full disk has left. Files that are meant are those below STRICT_FS_DATA, and
 * STRICT_FS_PROBE. */
#ifndef ORDEAL_AGENT_STRICT_FS_H
#define ORDEAL_AGENT_STRICT_FS_H

#include <signal.h>

#define STRICT_FS_STALL SIGUSR1
#define STRICT_FS_GO_ON SIGUSR2
#define STRICT_FS_CUT SIGHUP
#define STRICT_FS_CHANGE SIGALRM
#define STRICT_FS_STALLED "stalled"
#define STRICT_FS_DEAD "dead"
#define STRICT_FS_PID "pid"
#define STRICT_FS_NAME "strict-fs"
#define STRICT_FS_RULES "rules"
#define STRICT_FS_ANSWER "answer"
#define STRICT_FS_DATA "data"
#define STRICT_FS_PROBE "fault-probe"

enum { STRICT_FS_RULES_BYTES_MAX = 64 << 10 };

/* Mounts BACKING at `mount` and returns once it works, in the process that asked; another serves
 * it. Returns an exit status, with a line on stderr when it is not 0. */
int strict_fs_run(const char *backing, const char *mount);

#endif
