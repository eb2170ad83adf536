/* Opening a log: reading all segments, telling what a power cut leaves from damage. */
#include <stdlib.h>
#include <string.h>

#include "queue/bytes.h"
#include "queue/defect.h"
#include "queue/log_internal.h"

/* What is above cannot have been counted up to, and sums with it would wrap. */
static const uint64_t INDEX_MAX = (uint64_t)1 << 62;

size_t log_take_record(const char *at, size_t left, struct entry *entry)
{
    if (left < RECORD_HEADER)
        return 0;
    uint32_t length = bytes_get32(at + RECORD_AT_LENGTH);
    if (length > left - RECORD_HEADER)
        return 0;
    *entry = (struct entry){
        .index = bytes_get64(at + RECORD_AT_INDEX),
        .term = bytes_get64(at + RECORD_AT_TERM),
        .type = bytes_get32(at + RECORD_AT_TYPE),
        .length = length,
        .data = at + RECORD_HEADER,
    };
    return RECORD_HEADER + (size_t)length;
}

enum disk_result log_create(const struct disk *disk, const unsigned char *disk_id,
                            uint64_t segment_bytes, struct queue_error *error)
{
    struct disk_names names;
    enum disk_result result = disk_list(disk, SEGMENT_PREFIX, &names, error);
    for (size_t i = 0; result == DISK_OK && i < names.count; i++)
        result = disk_unlink(disk, names.names[i], error);
    disk_free_names(&names);
    if (result != DISK_OK)
        return result;
    uint64_t bytes = segment_bytes == 0 ? LOG_SEGMENT_BYTES : segment_bytes;
    struct segment segment = {.disk = disk,
                              .sequence = 1,
                              .sectors = (uint32_t)(bytes / SEGMENT_SECTOR),
                              .next_index = 1};
    memcpy(segment.disk_id, disk_id, META_DISK_ID_BYTES);
    result = segment_create(&segment, -1, error);
    if (result == DISK_OK)
        segment_close(&segment);
    return result;
}

/* Reading frames */

struct recovery {
    struct log *log;
    struct segment *segment;
    uint64_t last_term; /* of the entry at runs.last; 0 when not known */
    bool any;           /* the segment has a frame that is not FRAME_CLOSE */
};

static enum disk_result wrong(const struct recovery *recovery, uint32_t sector, const char *what,
                              uint64_t index, struct queue_error *error)
{
    queue_error_set(error, "%s, byte %llu: %s (entry %llu, the log ends at %llu)",
                    recovery->segment->name, (unsigned long long)sector * SEGMENT_SECTOR, what,
                    (unsigned long long)index, (unsigned long long)recovery->log->runs.last);
    return DISK_DAMAGED;
}

/* The checksum was right, so what is found here was written wrong. */
static const char *check_records(struct recovery *recovery, const struct frame *frame)
{
    const char *at = frame->content;
    size_t left = frame->bytes;
    uint64_t term = frame->index == recovery->log->runs.last + 1 ? recovery->last_term : 0;
    for (uint32_t i = 0; i < frame->count; i++) {
        struct entry entry;
        size_t length = log_take_record(at, left, &entry);
        if (length == 0)
            return "a record goes beyond its frame";
        if (entry.index != frame->index + i)
            return "a record has another one's index";
        if (entry.term < term)
            return "terms go back";
        term = entry.term;
        at += length;
        left -= length;
    }
    recovery->last_term = frame->count > 0 ? term : 0;
    return left == 0 ? NULL : "bytes behind the last record";
}

static enum disk_result use_frame(void *context, const struct frame *frame, uint32_t sector,
                                  struct queue_error *error)
{
    struct recovery *recovery = context;
    const char *problem = frame->index > INDEX_MAX ? "an index beyond any" : NULL;
    switch (frame->kind) {
    case FRAME_ENTRIES:
        if (problem == NULL)
            problem = check_records(recovery, frame);
        break;
    case FRAME_RESET:
        recovery->last_term = frame->term;
        break;
    case FRAME_CLOSE:
        if (frame->index != recovery->segment->sequence + 1)
            problem = "the closing frame names another segment";
        break;
    default:
        problem = "a frame of an unknown kind";
    }
    if (problem == NULL &&
        !runs_apply(&recovery->log->runs, frame, recovery->segment->sequence, sector))
        problem = "entries are missing before this frame";
    if (problem != NULL)
        return wrong(recovery, sector, problem, frame->index, error);
    recovery->any |= frame->kind != FRAME_CLOSE;
    return DISK_OK;
}

void log_add_segment(struct log *log, struct segment *segment)
{
    if (log->segment_count == log->segment_capacity) {
        log->segment_capacity = log->segment_capacity == 0 ? 8 : log->segment_capacity * 2;
        log->segments =
            disk_allocate(log->segments, log->segment_capacity * sizeof(struct segment *));
    }
    log->segments[log->segment_count++] = segment;
    log->counters.segments = log->segment_count;
}

static enum disk_result open_segments(struct log *log, struct queue_error *error)
{
    const struct disk *disk = log->options.disk;
    struct disk_names names;
    enum disk_result result = disk_list(disk, SEGMENT_PREFIX, &names, error);
    for (size_t i = 0; result == DISK_OK && i < names.count; i++) {
        uint64_t sequence;
        if (!segment_parse_name(names.names[i], &sequence)) {
            queue_error_set(error, "%.80s is in the data directory and no segment's name",
                            names.names[i]);
            result = DISK_DAMAGED;
        } else if (log->segment_count > 0 &&
                   sequence != log->segments[log->segment_count - 1]->sequence + 1) {
            queue_error_set(error, "the log's segment before %.80s is missing", names.names[i]);
            result = DISK_DAMAGED;
        } else {
            struct segment *segment = disk_allocate(NULL, sizeof *segment);
            result = segment_open(segment, disk, sequence, log->disk_id, error);
            if (result == DISK_OK)
                log_add_segment(log, segment);
            else
                free(segment);
        }
    }
    disk_free_names(&names);
    if (result == DISK_OK && log->segment_count == 0) {
        queue_error_set(error, "the log has no segment at all");
        return DISK_DAMAGED;
    }
    return result;
}

/* The last one was made, and the one before not yet closed, when the power went: as if not made. */
static enum disk_result drop_last_segment(struct log *log, struct queue_error *error)
{
    struct segment *last = log->segments[--log->segment_count];
    enum disk_result result = disk_unlink(log->options.disk, last->name, error);
    segment_close(last);
    free(last);
    log->counters.segments = log->segment_count;
    return result;
}

static enum disk_result check_empty(struct log *log, struct segment *segment,
                                    struct queue_error *error)
{
    struct recovery recovery = {.log = log, .segment = segment};
    struct segment_end end;
    enum disk_result result = segment_scan(segment, false, use_frame, &recovery, &end, error);
    if (result != DISK_OK)
        return result;
    if (!recovery.any && !end.closed && !end.torn)
        return DISK_OK;
    queue_error_set(error, "%s is in use, but the segment before it was never closed",
                    segment->name);
    return DISK_DAMAGED;
}

static enum disk_result read_segment(struct log *log, size_t place, struct recovery *recovery,
                                     struct queue_error *error)
{
    struct segment *segment = log->segments[place];
    recovery->segment = segment;
    recovery->any = false;
    bool last = place + 1 == log->segment_count;
    bool lenient =
        last && (log->options.sync == LOG_NO_SYNC || queue_defect(DEFECT_CUT_COMMITTED_TAIL));
    struct segment_end end;
    if (place > 0 && segment->next_index != log->runs.last + 1)
        return wrong(recovery, 0, "entries are missing before this segment", segment->next_index,
                     error);
    enum disk_result result = segment_scan(segment, lenient, use_frame, recovery, &end, error);
    if (result != DISK_OK || end.closed) {
        if (result == DISK_OK && last)
            return wrong(recovery, segment->tail, "the segment that follows is missing",
                         log->runs.last + 1, error);
        return result;
    }
    if (!last && place + 2 < log->segment_count)
        return wrong(recovery, segment->tail, "the segment was never closed, others follow",
                     log->runs.last + 1, error);
    if (!last)
        result = check_empty(log, log->segments[place + 1], error);
    if (result == DISK_OK && end.torn)
        result = segment_cut(segment, &end, error);
    if (result == DISK_OK && !last)
        result = drop_last_segment(log, error);
    return result;
}

/* A server killed between a write and its sync left what we read in memory only. */
static enum disk_result sync_all(struct log *log, struct queue_error *error)
{
    enum disk_result result = DISK_OK;
    for (size_t i = 0; result == DISK_OK && i < log->segment_count; i++)
        result =
            disk_sync(log->options.disk, log->segments[i]->file, log->segments[i]->name, error);
    return result;
}

static enum disk_result term_at(struct log *log, uint64_t index, uint64_t *term,
                                struct queue_error *error)
{
    struct log_batch batch;
    enum disk_result result = log_read(log, index, 0, &batch, error);
    if (result == DISK_OK)
        *term = batch.entries[0].term;
    log_batch_free(&batch);
    return result;
}

/* Makes log and snapshot one: see log_open. */
static enum disk_result align(struct log *log, struct queue_error *error)
{
    uint64_t base = log->options.base_index, term = log->options.base_term;
    if (log->options.begins_anywhere)
        return DISK_OK;
    if (log->runs.first > base + 1) {
        queue_error_set(error, "the log begins at entry %llu, but the snapshot ends at %llu",
                        (unsigned long long)log->runs.first, (unsigned long long)base);
        return DISK_DAMAGED;
    }
    enum disk_result result = DISK_OK;
    if (base >= log->runs.first && base <= log->runs.last)
        result = term_at(log, base, &term, error);
    if (result != DISK_OK || (base <= log->runs.last && term == log->options.base_term))
        return result;
    struct frame frame = {
        .kind = FRAME_RESET, .index = base, .term = log->options.base_term, .content = ""};
    return log_write_frame(log, &frame, error);
}

enum disk_result log_recover(struct log *log, struct queue_error *error)
{
    enum disk_result result = open_segments(log, error);
    if (result != DISK_OK)
        return result;
    struct recovery recovery = {.log = log, .segment = log->segments[0]};
    if (log->segments[0]->next_index - 1 > INDEX_MAX)
        return wrong(&recovery, 0, "an index beyond any", log->segments[0]->next_index, error);
    runs_begin(&log->runs, log->segments[0]->next_index);
    for (size_t i = 0; result == DISK_OK && i < log->segment_count; i++)
        result = read_segment(log, i, &recovery, error);
    if (result == DISK_OK)
        result = sync_all(log, error);
    log->first = log->runs.first;
    log->last = log->persisted = log->runs.last;
    if (result == DISK_OK)
        result = align(log, error);
    log->first = log->runs.first;
    log->last = log->persisted = log->runs.last;
    return result;
}
