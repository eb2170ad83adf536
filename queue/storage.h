/* A server's data directory as a whole: meta, the newest whole snapshot and the log behind it,
 * opened in the one order in which a power cut at any instant does no harm. */
#ifndef ORDEAL_QUEUE_STORAGE_H
#define ORDEAL_QUEUE_STORAGE_H

#include "queue/log.h"
#include "queue/meta.h"
#include "queue/snapshot.h"

/* What the first disks of a new cluster begin with, the same on each but for the id. */
struct storage_founding {
    uint64_t disk;             /* this disk's id, as the membership in `entry` has it */
    uint64_t term;             /* meta's */
    const struct entry *entry; /* the log's first, index 1 */
};

struct storage_options {
    uint64_t node; /* 0: whichever the directory is of, which must then exist */
    /* For an empty directory only; NULL: a random id, no term and an empty log, to join a cluster.
     */
    const struct storage_founding *founding;
    uint64_t segment_bytes; /* this and what follows: as in struct log_options */
    uint32_t frame_bytes;
    bool begins_anywhere;
    enum log_sync sync;
    enum log_thread thread;
    bool ahead;
    void (*fatal)(void *context, const char *message);
    void *context;
};

struct storage {
    const struct disk *disk;
    struct storage_options options;
    struct meta meta;
    struct log *log;
    bool has_snapshot;
    struct snapshot snapshot; /* its stream at the state's beginning; close it when it is read */
    bool fresh;               /* the directory was formatted just now */
    /* What was found wrong and could be passed over (a damaged newest snapshot), or "". */
    struct queue_error warning;
};

/* Opens a directory, formatting an empty one. DISK_DAMAGED: this disk must not vote and its
 * entries must not count; storage_format_again makes it a new, empty one, which joins as a learner.
 * DISK_REFUSED: not our directory; leave it alone. After anything but DISK_OK nothing is open. */
enum disk_result storage_open(struct storage *storage, const struct disk *disk,
                              const struct storage_options *options, struct queue_error *error);

/* Makes a directory that storage_open called damaged a fresh one with a fresh disk id: what the old
 * id promised binds nobody any more. Interrupted at any instant, the next storage_open goes on with
 * it. Then open it. */
enum disk_result storage_format_again(const struct disk *disk,
                                      const struct storage_options *options,
                                      struct queue_error *error);

/* Closes the log (waiting for what is queued), the snapshot and the meta file. */
void storage_close(struct storage *storage);

#endif
