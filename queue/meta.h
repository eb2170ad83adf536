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

struct meta_state {
    uint64_t node;                             /* the server's number in the cluster, not 0 */
    unsigned char disk_id[META_DISK_ID_BYTES]; /* random, made when the directory was formatted */
    uint64_t term, vote;                       /* vote: a node, 0 for none */
    bool formatting; /* an empty log is still to be made; what there is does not count */
};

struct meta {
    const struct disk *disk;
    int file;
    uint64_t sequence;
    struct meta_state state; /* what is on the disk */
};

/* Makes the file with a fresh disk id, `formatting` set. DISK_OK or DISK_FAILED. */
enum disk_result meta_create(struct meta *meta, const struct disk *disk, uint64_t node,
                             struct queue_error *error);

/* DISK_ABSENT when there is no file; DISK_REFUSED when it is another node's (node 0: any will do)
 * or of another format; DISK_DAMAGED when neither slot is sound. A slot that a power cut tore is
 * repaired. After anything but DISK_OK nothing is open. */
enum disk_result meta_open(struct meta *meta, const struct disk *disk, uint64_t node,
                           struct queue_error *error);

/* On DISK_FAILED the old or the new state is on the disk: end the process. */
enum disk_result meta_save(struct meta *meta, const struct meta_state *state,
                           struct queue_error *error);

/* A new disk id with no term, no vote and `formatting` set, in one save: from here on, whatever
 * this disk promised under its old id binds nobody, and nobody counts on it. */
enum disk_result meta_renew(struct meta *meta, struct queue_error *error);

void meta_close(struct meta *meta);

#endif
