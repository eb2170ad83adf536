/* The replicated log on one disk: segments of frames, one frame a batch, one sync a frame.
 *
 * The event loop's thread calls everything below but log_work and never waits for a write: what it
 * asks for is queued, in order, and one writer thread does it. While a sync runs, all entries that
 * are appended gather in the next frame (group commit). When a frame is synced the writer raises
 * the persisted index and makes the event file readable.
 *
 * The first write or sync that the system refuses ends it: `fatal` is called once, from the
 * writer's thread, and nothing is written any more. A sync is never tried again, because the kernel
 * may have dropped the pages that it could not write. */
#ifndef ORDEAL_QUEUE_LOG_H
#define ORDEAL_QUEUE_LOG_H

#include "queue/entry.h"
#include "queue/segment.h"

enum {
    LOG_SEGMENT_BYTES = 64 << 20,
    LOG_FRAME_BYTES = 4 << 20,
    LOG_ENTRY_BYTES_MAX = 1 << 30,
};

enum log_sync { LOG_SYNC, LOG_NO_SYNC };
enum log_thread { LOG_THREAD, LOG_INLINE };

struct log_options {
    const struct disk *disk;
    const unsigned char *disk_id;
    uint64_t base_index, base_term; /* of the snapshot that the state starts from; 0, 0 for none */
    bool begins_anywhere;           /* it belongs to no state: its first entry may be any */
    uint64_t segment_bytes;         /* 0: LOG_SEGMENT_BYTES; an entry too large gets a larger one */
    uint32_t frame_bytes;           /* 0: LOG_FRAME_BYTES */
    /* LOG_NO_SYNC: what is persisted is lost with the machine's power, though not with the process.
     * Opening then cuts the newest segment at the first thing that is wrong. */
    enum log_sync sync;
    enum log_thread thread; /* LOG_INLINE: no thread; the caller runs log_work */
    bool ahead;             /* the next segment is made ahead, by another thread: see ahead.h */
    void (*fatal)(void *context, const char *message);
    void *context;
};

struct log_counters {
    uint64_t entries, frames, syncs, bytes; /* written since opening */
    uint64_t segments;                      /* there are now */
    uint64_t segments_ahead;                /* begun in a file that was made ahead */
};

struct log;

/* Makes the first segment of an empty log, for entry 1. Any segments there are unlinked first. */
enum disk_result log_create(const struct disk *disk, const unsigned char *disk_id,
                            uint64_t segment_bytes, struct queue_error *error);

/* Reads all segments. A torn frame at the very end, which cannot have been acknowledged, is cut.
 * Anything else that is not as it was written, or does not reach back to the base, is DISK_DAMAGED,
 * with the place in words. A log that ends before the base, or disagrees with it, is older than the
 * snapshot and is emptied to go on behind it. All that the log then holds is synced. */
enum disk_result log_open(const struct log_options *options, struct log **log,
                          struct queue_error *error);

/* Waits until all that was queued is done (not after a fatal error), and frees. */
void log_close(struct log *log);

/* The entries follow log_last without a gap; their data is copied. */
void log_append(struct log *log, const struct entry *entries, size_t count);

/* Entries from `from` on are gone: a new leader replaces them. The persisted index never exceeds
 * from - 1 again because of the old ones. */
void log_truncate_suffix(struct log *log, uint64_t from);

/* The log is empty and goes on behind `index`, whose term is `term`: for a snapshot received, once
 * it is on the disk. Until this is too, log_persisted is 0: acknowledge the snapshot only when it
 * is `index` or more, since till then a damaged snapshot would uncover the log before. */
void log_reset(struct log *log, uint64_t index, uint64_t term);

/* A snapshot on the disk holds all up to `index`: segments with nothing else are unlinked. Give the
 * older of the two snapshots that are kept, so that the newer one may turn out damaged. */
void log_compact_prefix(struct log *log, uint64_t index);

uint64_t log_first(struct log *log);         /* of the entries still there */
uint64_t log_last(struct log *log);          /* appended, persisted or not */
uint64_t log_persisted(struct log *log);     /* up to here the disk has it; see also log_event */
uint64_t log_pending_bytes(struct log *log); /* queued for the writer: push back when it grows */
struct log_counters log_counters(struct log *log);

/* Everything asked for up to now is on the disk once log_marked is at least `mark`; marks grow. A
 * step's effects share one mark, such as the sequence of the last of them. */
void log_mark(struct log *log, uint64_t mark);
uint64_t log_marked(struct log *log);

/* An eventfd, readable after the persisted index or the mark moved; log_persisted_event also drains
 * it. */
int log_event(const struct log *log);
uint64_t log_persisted_event(struct log *log);

struct log_batch {
    struct entry *entries; /* data points into `bytes` */
    size_t count;
    struct segment_buffer bytes;
};
/* Entries from `from` on which are persisted, at least one if there is any, then as many as
 * `bytes_max` of payload allow. DISK_ABSENT when they are no longer (or not yet) there, with an
 * empty batch. Reads on the caller's thread. Free the batch. */
enum disk_result log_read(struct log *log, uint64_t from, uint64_t bytes_max,
                          struct log_batch *batch, struct queue_error *error);
void log_batch_free(struct log_batch *batch);

/* LOG_INLINE: does all that is queued. False when there was nothing or the log has failed. */
bool log_work(struct log *log);

#endif
