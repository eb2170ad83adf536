/* Disks of a daemon's own that fail operation by operation, slow down, lie, or are full.
 *
 * A strict disk does all of it, by the rules of strict_faults.h; one with a real file system can be
 * full: a file takes the room away. Every fault is tried by the agent itself, through the mount, on
 * a file of its own: it counts once an error was seen, or the time taken, and is undone once that
 * was seen to be over.
 *
 * Journaled as "io", with the fields of the rule and `path`. A fault of a disk that loses its power
 * is in force again when the disk is back. */
#ifndef ORDEAL_AGENT_DISKS_IO_H
#define ORDEAL_AGENT_DISKS_IO_H

#include "harness/agent/disks_place.h"
#include "harness/agent/strict_faults.h"

/* Brings the fault of a request's fields into force; `seen` gets how it showed. ERR_UNSUPPORTED
 * where the disk's file system cannot. */
enum err_code agentd_io_begin(struct agentd_faults *faults, const struct line *fields,
                              struct buf *seen, struct err *err);
/* How many operations it has hit so far (AGENTD_IO_UNTOLD on a real file system, which does not
 * say), and the bytes that a full disk has left. */
#define AGENTD_IO_UNTOLD UINT64_MAX
enum err_code agentd_io_count(struct agentd_faults *faults, const char *id, uint64_t *hits,
                              uint64_t *left, struct err *err);
enum err_code agentd_io_undo(const struct agentd_entry *entry, const struct agentd_disk *disk,
                             struct err *err);
/* "disk" when one fails, or did a moment ago, "damage" when a file is damaged, else NULL: who ends
 * now may have met that. */
const char *agentd_io_hurts(const struct agentd_faults *faults);
/* Whether the journal has it that this directory's disk is full. */
bool agentd_io_is_full(struct agentd_journal *journal, const char *path);

#endif
