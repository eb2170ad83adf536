/* Disks of a daemon's own, whose power can be taken away.
 *
 * A directory gets a file system of its own: ext4 or XFS in a file, on a loop device, or the
 * strict one of strict_fs.h, which keeps no more than it must, and fails as it is told
 * (disks_io.h). It can be made to hang (frozen: whoever writes waits) and it can lose power: the
 * kernel drops all that it was not made to write (FS_IOC_SHUTDOWN without flushing the log), so
 * that after mounting it again what was synced is there, by the journal's recovery, and what was
 * not is gone.
 *
 * Journaled are the disk ("disk": undone by unmounting and removing it, with all that is on it) and
 * its hanging ("stall": undone by thawing it). */
#ifndef ORDEAL_AGENT_DISKS_H
#define ORDEAL_AGENT_DISKS_H

#include "harness/agent/faults.h"

#define AGENTD_KIND_DISK "disk"
#define AGENTD_KIND_STALL "stall"
#define AGENTD_KIND_IO "io"

enum agentd_file_system { AGENTD_EXT4, AGENTD_XFS, AGENTD_STRICT };

/* Gives the directory `path`, which must be empty or absent, a disk; `size_mb` is that of a real
 * file system. */
enum err_code agentd_disk_give(struct agentd_faults *faults, const char *path,
                               enum agentd_file_system file_system, int64_t size_mb,
                               struct err *err);
/* It hangs until it is cut or its fault "stall:PATH" is undone. */
enum err_code agentd_disk_stall(struct agentd_faults *faults, const char *path, struct err *err);
/* Its power goes; verified: nothing can be made on it any more. A disk that hangs goes on, into its
 * end: who waited for it gets an error. */
enum err_code agentd_disk_cut(struct agentd_faults *faults, const char *path, struct err *err);
/* Power is back: mounted again, recovered, verified to keep what is synced. *marker tells of what
 * was written just before the cut and never synced. */
enum agentd_marker { AGENTD_MARKER_NONE, AGENTD_MARKER_LOST, AGENTD_MARKER_KEPT };
enum err_code agentd_disk_back(struct agentd_faults *faults, const char *path,
                               enum agentd_marker *marker, struct err *err);

/* Undoes an entry of the journal of any of these kinds, in whichever process. */
enum err_code agentd_disk_undo(const struct agentd_entry *entry, struct err *err);

#endif
