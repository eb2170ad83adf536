/* What a server must never forget: who it is, which disk this is, its term and its vote.
 *
 * One file of two slots, each with a sequence number and a CRC. A change is written to the first
 * slot, synced, written to the second, synced: whatever is acknowledged is there twice, so that
 * neither a write torn by a power cut nor a damaged slot can bring an older vote back. (Alternating
 * slots would not do: a damaged newest slot would uncover the vote before.)
 *
 * One thread at a time. Calls block until the disk has it; elections are rare. */
#ifndef ORDEAL_QUEUE_META_H
#define ORDEAL_QUEUE_META_H

#include "queue/disk.h"

enum { META_DISK_ID_BYTES = 16, META_FORMAT = 1 };

enum meta_stage {
    META_READY,
    META_FORMATTING,       /* an empty directory: an empty log is still to be made */
    META_FORMATTING_AGAIN, /* a damaged one: what there is of log and snapshots does not count */
};

struct meta_state {
    uint64_t node;                             /* the server's number in the cluster, not 0 */
    unsigned char disk_id[META_DISK_ID_BYTES]; /* random, made when the directory was formatted */
    uint64_t term, vote;                       /* vote: for whom, 0 for nobody */
    enum meta_stage stage;
};

/* The disk id as the Raft core knows it: its first eight bytes, never 0. */
uint64_t meta_disk(const struct meta_state *state);
void meta_make_disk_id(unsigned char disk_id[META_DISK_ID_BYTES], uint64_t disk);

struct meta {
    const struct disk *disk;
    int file;
    uint64_t sequence;
    struct meta_state state; /* what is on the disk */
};

/* Makes the file, in the stage given, with this disk id (NULL: a random one). DISK_OK or
 * DISK_FAILED. */
enum disk_result meta_create(struct meta *meta, const struct disk *disk, uint64_t node,
                             const unsigned char *disk_id, enum meta_stage stage,
                             struct queue_error *error);

/* DISK_ABSENT when there is no file; DISK_REFUSED when it is another node's (node 0: any will do)
 * or of another format; DISK_DAMAGED when neither slot is sound. A slot that a power cut tore is
 * repaired. After anything but DISK_OK nothing is open. */
enum disk_result meta_open(struct meta *meta, const struct disk *disk, uint64_t node,
                           struct queue_error *error);

/* On DISK_FAILED the old or the new state is on the disk: end the process. */
enum disk_result meta_save(struct meta *meta, const struct meta_state *state,
                           struct queue_error *error);

/* A new disk id with no term and no vote, to be formatted again, in one save: from here on,
 * whatever this disk promised under its old id binds nobody, and nobody counts on it. */
enum disk_result meta_renew(struct meta *meta, struct queue_error *error);

void meta_close(struct meta *meta);

#endif
