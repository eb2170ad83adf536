/* What log.c (the loop's side and the writer) and log_recover.c (opening) share. */
#ifndef ORDEAL_QUEUE_LOG_INTERNAL_H
#define ORDEAL_QUEUE_LOG_INTERNAL_H

#include <pthread.h>

#include "queue/ahead.h"
#include "queue/log.h"
#include "queue/runs.h"

/* A record in a frame's content: length, type, term, index, payload. The frame has the checksum. */
enum { RECORD_AT_LENGTH = 0, RECORD_AT_TYPE = 4, RECORD_AT_TERM = 8, RECORD_AT_INDEX = 16 };
enum { RECORD_HEADER = 24 };

enum op_kind { OP_APPEND, OP_TRUNCATE, OP_RESET, OP_COMPACT, OP_MARK };

struct op {
    enum op_kind kind;
    uint64_t index, term; /* OP_APPEND: index is the first entry's */
    struct segment_buffer records;
    uint64_t mark; /* reached when this is done; 0 for none */
    struct op *next;
};

struct log {
    struct log_options options;
    unsigned char disk_id[META_DISK_ID_BYTES];
    pthread_t writer;
    int event;

    /* The writer's own. */
    struct segment_buffer scratch;
    struct ahead ahead;   /* the next segment's file */
    uint64_t ahead_asked; /* for the segment behind this one */

    /* `lock` guards what follows. `segments` and `runs` are changed by the writer only, which may
     * therefore read them without it. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct segment **segments; /* in order of sequence, without gaps; the last is written to */
    size_t segment_count, segment_capacity;
    struct runs runs;
    struct op *head, *tail;
    uint64_t pending_bytes;
    uint64_t first, last, persisted; /* as the loop sees the log */
    uint64_t marked;
    /* Truncations and resets asked for and not yet done: what the writer persists meanwhile may be
     * of entries that the loop has given up, so it is not published. */
    size_t cuts;
    bool stopping, failed;
    struct log_counters counters;
};

/* One record at `at`, of `left` bytes: its entry (data points into the record) and its length; 0
 * when it does not fit. */
size_t log_take_record(const char *at, size_t left, struct entry *entry);

/* Opens what is there and reads it into runs; see log_open. */
enum disk_result log_recover(struct log *log, struct queue_error *error);
void log_add_segment(struct log *log, struct segment *segment);

/* Writes one frame where it fits, rolling to a new segment when it must, syncs, and applies it to
 * runs. The caller does not hold the lock. */
enum disk_result log_write_frame(struct log *log, const struct frame *frame,
                                 struct queue_error *error);

#endif
