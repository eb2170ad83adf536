/* Snapshot files: the whole state up to an entry, in one file of checked blocks.
 *
 * A file is written aside, synced, renamed, and the directory synced: under its name it is whole.
 * The state's bytes come from a callback; what they mean is not this file's business. Two are kept,
 * so that a damaged newest one is no loss while the log reaches back to the one before.
 *
 * One thread at a time. */
#ifndef ORDEAL_QUEUE_SNAPSHOT_H
#define ORDEAL_QUEUE_SNAPSHOT_H

#include "queue/disk.h"

enum { SNAPSHOT_NAME_BYTES = 64, SNAPSHOT_KEEP = 2, SNAPSHOT_CONFIG_BYTES_MAX = 1 << 20 };

/* What a snapshot stands for: all entries up to `index`, and the membership then. */
struct snapshot_header {
    uint64_t index, term;
    const void *config;
    uint32_t config_bytes;
};

/* Writing */

struct snapshot_writer;
/* The next bytes of the state. False when the disk refused them: the callback then gives up too. */
bool snapshot_write(struct snapshot_writer *writer, const void *bytes, size_t length);

/* Writes the state by snapshot_write; false when it cannot. */
typedef bool snapshot_fill(void *context, struct snapshot_writer *writer);

/* Writes a snapshot here and now, and unlinks all but the newest two. */
enum disk_result snapshot_save(const struct disk *disk, const struct snapshot_header *header,
                               snapshot_fill *fill, void *context, struct queue_error *error);

/* The same in a forked child, which has the state as it is at this instant while the server goes
 * on. The child closes all files but the directory, dies with the server, and takes no lock that
 * another thread may hold: `fill` must not either. It gives way to others on processor and disk,
 * and gives the file its name itself, since that waits for the disk. When `pipe` becomes readable
 * the child has ended: call snapshot_finish_child. */
struct snapshot_child {
    int pid, pipe;
    uint64_t index, term;
    char aside[SNAPSHOT_NAME_BYTES];
};
enum disk_result snapshot_begin_child(const struct disk *disk, struct snapshot_child *child,
                                      const struct snapshot_header *header, snapshot_fill *fill,
                                      void *context, struct queue_error *error);
enum disk_result snapshot_finish_child(struct snapshot_child *child, struct queue_error *error);

/* Reading */

struct snapshot {
    const struct disk *disk;
    int file;
    char name[SNAPSHOT_NAME_BYTES];
    struct snapshot_header header; /* config is the snapshot's own memory */
    uint64_t file_bytes;
    uint64_t nonce;
    /* the stream's place */
    uint64_t offset;
    uint32_t block;
    char *bytes;
    uint32_t length, used;
    bool ended;
};

/* The newest that is whole, checked to its last byte. DISK_ABSENT when there is none at all;
 * DISK_DAMAGED when there are, but none is whole. `passed` (may be NULL) says in words which newer
 * ones were passed over, or is "". Those are left for snapshot_prune. */
enum disk_result snapshot_open_newest(struct snapshot *snapshot, const struct disk *disk,
                                      struct queue_error *passed, struct queue_error *error);

/* The next bytes of the state, as many as there are up to `size`; *length 0 at its end. */
enum disk_result snapshot_read(struct snapshot *snapshot, void *bytes, size_t size, size_t *length,
                               struct queue_error *error);

/* Part of the file as it is, for sending: up to `size` bytes from `offset`; none at its end. */
enum disk_result snapshot_read_chunk(const struct snapshot *snapshot, uint64_t offset, void *bytes,
                                     size_t size, size_t *length, struct queue_error *error);
void snapshot_close(struct snapshot *snapshot);

/* One that is known by its index, for sending, checked as above. DISK_ABSENT when it is gone. It
 * may be read on while it is unlinked. */
enum disk_result snapshot_open_at(struct snapshot *snapshot, const struct disk *disk,
                                  uint64_t index, struct queue_error *error);

/* Unlinks whatever is newer than `index` (damaged, passed over) and all but the newest two. */
enum disk_result snapshot_prune(const struct disk *disk, uint64_t index, struct queue_error *error);

/* Receiving */

struct snapshot_receiver {
    const struct disk *disk;
    int file;
    uint64_t offset;      /* the chunk wanted next begins here */
    uint64_t index, term; /* once it is verified */
    char aside[SNAPSHOT_NAME_BYTES];
};
enum disk_result snapshot_receive_begin(struct snapshot_receiver *receiver, const struct disk *disk,
                                        struct queue_error *error);
/* A chunk that does not begin at receiver->offset is ignored: it was sent twice, or too early. */
enum disk_result snapshot_receive(struct snapshot_receiver *receiver, uint64_t offset,
                                  const void *bytes, size_t length, struct queue_error *error);
/* After the last chunk: syncs the file and checks all of it, and that it is of this index and term.
 * DISK_DAMAGED: what came is not that snapshot; it is unlinked and the receiver closed, begin
 * again. Until it is installed, a start forgets it. */
enum disk_result snapshot_receive_verify(struct snapshot_receiver *receiver, uint64_t index,
                                         uint64_t term, struct queue_error *error);
/* Gives a verified one its name, and unlinks all but the newest two. The receiver is closed. */
enum disk_result snapshot_receive_install(struct snapshot_receiver *receiver,
                                          struct queue_error *error);
void snapshot_receive_abandon(struct snapshot_receiver *receiver);

#endif
