/* The loop's side of the log, and its writer. */
#include "queue/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "queue/bytes.h"
#include "queue/log_internal.h"

/* Opening and closing */

static void free_log(struct log *log)
{
    for (size_t i = 0; i < log->segment_count; i++) {
        segment_close(log->segments[i]);
        free(log->segments[i]);
    }
    while (log->head != NULL) {
        struct op *op = log->head;
        log->head = op->next;
        free(op->records.data);
        free(op);
    }
    free(log->segments);
    free(log->scratch.data);
    runs_free(&log->runs);
    pthread_cond_destroy(&log->wake);
    pthread_mutex_destroy(&log->lock);
    if (log->event >= 0)
        close(log->event);
    free(log);
}

static void *writer_main(void *argument)
{
    struct log *log = argument;
    for (;;) {
        pthread_mutex_lock(&log->lock);
        while (log->head == NULL && !log->stopping)
            pthread_cond_wait(&log->wake, &log->lock);
        bool done = log->head == NULL;
        pthread_mutex_unlock(&log->lock);
        if (done || !log_work(log))
            return NULL;
    }
}

enum disk_result log_open(const struct log_options *options, struct log **out,
                          struct queue_error *error)
{
    struct log *log = disk_allocate(NULL, sizeof *log);
    *log = (struct log){.options = *options};
    memcpy(log->disk_id, options->disk_id, META_DISK_ID_BYTES);
    log->options.disk_id = log->disk_id;
    if (log->options.segment_bytes == 0)
        log->options.segment_bytes = LOG_SEGMENT_BYTES;
    if (log->options.frame_bytes == 0)
        log->options.frame_bytes = LOG_FRAME_BYTES;
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->wake, NULL);
    log->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum disk_result result = DISK_FAILED;
    if (log->event < 0)
        queue_error_set(error, "make the log's event: %s", strerror(errno));
    else
        result = log_recover(log, error);
    if (result == DISK_OK && options->thread == LOG_THREAD) {
        int code = pthread_create(&log->writer, NULL, writer_main, log);
        if (code != 0) {
            queue_error_set(error, "start the log's writer: %s", strerror(code));
            result = DISK_FAILED;
        }
    }
    if (result == DISK_OK && options->ahead)
        ahead_start(&log->ahead, options->disk, log->options.segment_bytes);
    if (result != DISK_OK) {
        free_log(log);
        return result;
    }
    *out = log;
    return DISK_OK;
}

void log_close(struct log *log)
{
    pthread_mutex_lock(&log->lock);
    log->stopping = true;
    pthread_cond_signal(&log->wake);
    pthread_mutex_unlock(&log->lock);
    if (log->options.thread == LOG_THREAD)
        pthread_join(log->writer, NULL);
    else
        log_work(log);
    ahead_stop(&log->ahead);
    free_log(log);
}

/* What the loop asks for. The caller holds the lock. */

static struct op *push(struct log *log, enum op_kind kind, uint64_t index, uint64_t term)
{
    struct op *op = disk_allocate(NULL, sizeof *op);
    *op = (struct op){.kind = kind, .index = index, .term = term};
    if (log->head == NULL)
        log->head = op;
    else
        log->tail->next = op;
    log->tail = op;
    pthread_cond_signal(&log->wake);
    return op;
}

static void add_record(struct segment_buffer *records, const struct entry *entry)
{
    segment_reserve(records, RECORD_HEADER + (size_t)entry->length);
    char *at = records->data + records->length;
    bytes_put32(at + RECORD_AT_LENGTH, entry->length);
    bytes_put32(at + RECORD_AT_TYPE, entry->type);
    bytes_put64(at + RECORD_AT_TERM, entry->term);
    bytes_put64(at + RECORD_AT_INDEX, entry->index);
    if (entry->length > 0)
        memcpy(at + RECORD_HEADER, entry->data, entry->length);
    records->length += RECORD_HEADER + (size_t)entry->length;
}

void log_append(struct log *log, const struct entry *entries, size_t count)
{
    if (count == 0)
        return;
    pthread_mutex_lock(&log->lock);
    struct op *op = log->head != NULL && log->tail->kind == OP_APPEND
                        ? log->tail
                        : push(log, OP_APPEND, entries[0].index, 0);
    size_t before = op->records.length;
    for (size_t i = 0; i < count; i++) {
        assert(entries[i].index == log->last + 1);
        assert(entries[i].length <= LOG_ENTRY_BYTES_MAX);
        add_record(&op->records, &entries[i]);
        log->last++;
    }
    log->pending_bytes += op->records.length - before;
    pthread_mutex_unlock(&log->lock);
}

void log_truncate_suffix(struct log *log, uint64_t from)
{
    assert(from > 0);
    pthread_mutex_lock(&log->lock);
    if (from <= log->last) {
        push(log, OP_TRUNCATE, from, 0);
        log->cuts++;
        log->last = from - 1;
        if (log->persisted > log->last)
            log->persisted = log->last;
        if (log->first > from)
            log->first = from;
    }
    pthread_mutex_unlock(&log->lock);
}

void log_reset(struct log *log, uint64_t index, uint64_t term)
{
    pthread_mutex_lock(&log->lock);
    push(log, OP_RESET, index, term);
    log->cuts++;
    log->first = index + 1;
    log->last = index;
    log->persisted = 0;
    pthread_mutex_unlock(&log->lock);
}

void log_compact_prefix(struct log *log, uint64_t index)
{
    pthread_mutex_lock(&log->lock);
    push(log, OP_COMPACT, index, 0);
    pthread_mutex_unlock(&log->lock);
}

static uint64_t locked(struct log *log, const uint64_t *value)
{
    pthread_mutex_lock(&log->lock);
    uint64_t copy = *value;
    pthread_mutex_unlock(&log->lock);
    return copy;
}

void log_mark(struct log *log, uint64_t mark)
{
    pthread_mutex_lock(&log->lock);
    /* On the last operation, which more entries may still join: a mark of its own would end the
     * batch. With nothing queued the writer may still be at work, so it has to say when it is not.
     */
    struct op *op = log->head != NULL ? log->tail : push(log, OP_MARK, 0, 0);
    assert(mark >= op->mark);
    op->mark = mark;
    pthread_mutex_unlock(&log->lock);
}

uint64_t log_marked(struct log *log)
{
    return locked(log, &log->marked);
}

uint64_t log_first(struct log *log)
{
    return locked(log, &log->first);
}

uint64_t log_last(struct log *log)
{
    return locked(log, &log->last);
}

uint64_t log_persisted(struct log *log)
{
    return locked(log, &log->persisted);
}

uint64_t log_pending_bytes(struct log *log)
{
    return locked(log, &log->pending_bytes);
}

struct log_counters log_counters(struct log *log)
{
    pthread_mutex_lock(&log->lock);
    struct log_counters copy = log->counters;
    pthread_mutex_unlock(&log->lock);
    return copy;
}

int log_event(const struct log *log)
{
    return log->event;
}

uint64_t log_persisted_event(struct log *log)
{
    eventfd_t count;
    eventfd_read(log->event, &count); /* that it was not readable is no error */
    return log_persisted(log);
}

/* Reading */

static struct segment *segment_by_sequence(const struct log *log, uint64_t sequence)
{
    return log->segments[sequence - log->segments[0]->sequence];
}

struct reading {
    uint64_t next, until; /* entries wanted: up to, not with, `until` */
    uint64_t payload, payload_max;
    size_t entries;
    bool full;
};

/* Keeps of the content added at `begin` only the records that are wanted. */
static void keep_wanted(struct segment_buffer *bytes, size_t begin, uint64_t limit,
                        struct reading *reading)
{
    size_t at = begin, end = bytes->length, kept = begin;
    struct entry entry;
    for (size_t length; at < end; at += length) {
        length = log_take_record(bytes->data + at, end - at, &entry);
        assert(length > 0);
        if (entry.index < reading->next)
            continue;
        if (entry.index >= limit || entry.index >= reading->until)
            break;
        if (reading->entries > 0 && reading->payload + entry.length > reading->payload_max) {
            reading->full = true;
            break;
        }
        memmove(bytes->data + kept, bytes->data + at, length);
        kept += length;
        reading->payload += entry.length;
        reading->entries++;
        reading->next++;
    }
    bytes->length = kept;
}

/* The caller holds the lock: no segment is unlinked meanwhile. */
static enum disk_result read_run(struct log *log, struct reading *reading,
                                 struct segment_buffer *bytes, struct queue_error *error)
{
    uint64_t limit;
    const struct run *run = runs_find(&log->runs, reading->next, &limit);
    const struct segment *segment = segment_by_sequence(log, run->sequence);
    for (uint32_t sector = run->sector;
         reading->next < limit && reading->next < reading->until && !reading->full;) {
        struct frame frame;
        uint32_t sectors;
        size_t begin = bytes->length;
        uint64_t before = reading->next;
        enum disk_result result = segment_read(segment, sector, &frame, bytes, &sectors, error);
        if (result != DISK_OK)
            return result;
        if (frame.kind == FRAME_ENTRIES)
            keep_wanted(bytes, begin, limit, reading);
        else
            bytes->length = begin;
        assert(frame.index + frame.count <= before || reading->next > before || reading->full);
        sector += sectors;
    }
    return DISK_OK;
}

static void make_entries(struct log_batch *batch, size_t count)
{
    batch->entries = disk_allocate(NULL, count * sizeof *batch->entries);
    batch->count = count;
    size_t at = 0;
    for (size_t i = 0; i < count; i++)
        at += log_take_record(batch->bytes.data + at, batch->bytes.length - at, &batch->entries[i]);
}

enum disk_result log_read(struct log *log, uint64_t from, uint64_t bytes_max,
                          struct log_batch *batch, struct queue_error *error)
{
    *batch = (struct log_batch){.entries = NULL};
    enum disk_result result = DISK_OK;
    pthread_mutex_lock(&log->lock);
    struct reading reading = {.next = from, .until = log->persisted + 1, .payload_max = bytes_max};
    if (from < log->first || from > log->persisted) {
        queue_error_set(error, "entry %llu is not in the log, which has %llu to %llu",
                        (unsigned long long)from, (unsigned long long)log->first,
                        (unsigned long long)log->persisted);
        result = DISK_ABSENT;
    }
    while (result == DISK_OK && reading.next < reading.until && !reading.full)
        result = read_run(log, &reading, &batch->bytes, error);
    pthread_mutex_unlock(&log->lock);
    if (result == DISK_OK)
        make_entries(batch, reading.entries);
    else
        log_batch_free(batch);
    return result;
}

void log_batch_free(struct log_batch *batch)
{
    free(batch->entries);
    free(batch->bytes.data);
    *batch = (struct log_batch){.entries = NULL};
}

/* The writer */

static struct segment *active(const struct log *log)
{
    return log->segments[log->segment_count - 1];
}

static enum disk_result roll(struct log *log, uint32_t frame_sectors, struct queue_error *error)
{
    struct segment *old = active(log), *segment = disk_allocate(NULL, sizeof *segment);
    uint64_t wanted = log->options.segment_bytes / SEGMENT_SECTOR;
    uint64_t needed = (uint64_t)frame_sectors + 2; /* the header, the closing frame */
    *segment = (struct segment){.disk = log->options.disk,
                                .sequence = old->sequence + 1,
                                .sectors = (uint32_t)(wanted < needed ? needed : wanted),
                                .next_index = log->runs.last + 1};
    memcpy(segment->disk_id, log->disk_id, META_DISK_ID_BYTES);
    bool usual = (uint64_t)segment->sectors * SEGMENT_SECTOR == log->ahead.bytes;
    int ahead = usual ? ahead_take(&log->ahead) : -1;
    enum disk_result result = segment_create(segment, ahead, error);
    if (result == DISK_OK) {
        struct frame frame = {.kind = FRAME_CLOSE, .index = segment->sequence, .content = ""};
        result = segment_write(old, &frame, &log->scratch, error);
    }
    /* Also without syncs at each frame: only the newest segment may ever be torn. */
    if (result == DISK_OK)
        result = disk_sync(log->options.disk, old->file, old->name, error);
    if (result != DISK_OK) {
        segment_close(segment);
        free(segment);
        return result;
    }
    segment_write_direct_end(old);
    pthread_mutex_lock(&log->lock);
    log_add_segment(log, segment);
    log->counters.segments_ahead += ahead >= 0;
    pthread_mutex_unlock(&log->lock);
    return DISK_OK;
}

enum disk_result log_write_frame(struct log *log, const struct frame *frame,
                                 struct queue_error *error)
{
    uint32_t sectors = segment_frame_sectors(frame->bytes);
    struct segment *segment = active(log);
    enum disk_result result = DISK_OK;
    if (segment->tail + (uint64_t)sectors + 1 > segment->sectors) {
        result = roll(log, sectors, error);
        segment = active(log);
    }
    if (segment->tail > segment->sectors / 4 && log->ahead_asked < segment->sequence) {
        ahead_want(&log->ahead);
        log->ahead_asked = segment->sequence;
    }
    uint32_t sector = segment->tail;
    bool sync = log->options.sync == LOG_SYNC;
    if (sync && !segment->direct_asked) /* without syncs the page cache is what it is written to */
        segment_write_direct(segment);
    if (result == DISK_OK)
        result = segment_write(segment, frame, &log->scratch, error);
    if (result == DISK_OK && sync)
        result = disk_sync(log->options.disk, segment->file, segment->name, error);
    if (result != DISK_OK)
        return result;
    pthread_mutex_lock(&log->lock);
    bool applied = runs_apply(&log->runs, frame, segment->sequence, sector);
    assert(applied);
    log->counters.frames++;
    log->counters.entries += frame->count;
    log->counters.syncs += sync;
    log->counters.bytes += (uint64_t)sectors * SEGMENT_SECTOR;
    pthread_mutex_unlock(&log->lock);
    return DISK_OK;
}

static void publish(struct log *log, size_t cuts_done, uint64_t bytes_done)
{
    pthread_mutex_lock(&log->lock);
    log->cuts -= cuts_done;
    log->pending_bytes -= bytes_done;
    if (log->cuts == 0) {
        log->first = log->runs.first;
        log->persisted = log->runs.last;
    }
    pthread_mutex_unlock(&log->lock);
    eventfd_write(log->event, 1);
}

/* `cuts_done`: truncations that the first frame does by replacing what it must. */
static enum disk_result do_append(struct log *log, const struct op *op, size_t cuts_done,
                                  struct queue_error *error)
{
    const char *at = op->records.data;
    size_t left = op->records.length;
    uint64_t index = op->index;
    while (left > 0) {
        struct frame frame = {.kind = FRAME_ENTRIES, .index = index, .content = at};
        struct entry entry;
        for (size_t length; left > 0; frame.count++, at += length, left -= length) {
            length = log_take_record(at, left, &entry);
            if (frame.count > 0 && frame.bytes + length > log->options.frame_bytes)
                break;
            frame.bytes += (uint32_t)length;
        }
        enum disk_result result = log_write_frame(log, &frame, error);
        if (result != DISK_OK)
            return result;
        index += frame.count;
        publish(log, cuts_done, frame.bytes);
        cuts_done = 0;
    }
    return DISK_OK;
}

static enum disk_result do_compact(struct log *log, uint64_t index, struct queue_error *error)
{
    while (log->segment_count > 1 && runs_may_drop(&log->runs, log->segments[0]->sequence, index)) {
        struct segment *oldest = log->segments[0];
        /* One by one and synced, so that a power cut never leaves a hole in the sequence. */
        enum disk_result result = disk_unlink(log->options.disk, oldest->name, error);
        if (result != DISK_OK)
            return result;
        pthread_mutex_lock(&log->lock);
        runs_drop(&log->runs, oldest->sequence);
        log->segment_count--;
        memmove(log->segments, log->segments + 1, log->segment_count * sizeof oldest);
        log->counters.segments = log->segment_count;
        segment_close(oldest);
        pthread_mutex_unlock(&log->lock);
        free(oldest);
    }
    publish(log, 0, 0);
    return DISK_OK;
}

static enum disk_result do_op(struct log *log, struct op *op, size_t *cuts_waiting,
                              struct queue_error *error)
{
    struct frame frame = {.kind = FRAME_ENTRIES, .index = op->index, .content = ""};
    enum disk_result result = DISK_OK;
    switch (op->kind) {
    case OP_APPEND:
        result = do_append(log, op, *cuts_waiting, error);
        *cuts_waiting = 0;
        return result;
    case OP_COMPACT:
        return do_compact(log, op->index, error);
    case OP_MARK:
        return DISK_OK;
    case OP_RESET:
        frame.kind = FRAME_RESET;
        frame.term = op->term;
        break;
    case OP_TRUNCATE:
        /* Entries that follow at once replace the old ones in the same frame. */
        if (op->next != NULL && op->next->kind == OP_APPEND) {
            ++*cuts_waiting;
            if (op->next->mark == 0)
                op->next->mark = op->mark;
            op->mark = 0;
            return DISK_OK;
        }
        break;
    }
    /* What was appended in vain may never have been written; then there is nothing to cut. */
    if (op->kind == OP_RESET || frame.index <= log->runs.last)
        result = log_write_frame(log, &frame, error);
    if (result == DISK_OK)
        publish(log, 1, 0);
    return result;
}

static void reach(struct log *log, uint64_t mark)
{
    pthread_mutex_lock(&log->lock);
    log->marked = mark;
    pthread_mutex_unlock(&log->lock);
    eventfd_write(log->event, 1);
}

static void free_op(struct op *op)
{
    free(op->records.data);
    free(op);
}

bool log_work(struct log *log)
{
    pthread_mutex_lock(&log->lock);
    struct op *op = log->failed ? NULL : log->head;
    if (op != NULL)
        log->head = log->tail = NULL;
    pthread_mutex_unlock(&log->lock);
    if (op == NULL)
        return false;
    struct queue_error error;
    enum disk_result result = DISK_OK;
    size_t cuts_waiting = 0;
    while (op != NULL) {
        if (result == DISK_OK)
            result = do_op(log, op, &cuts_waiting, &error);
        if (result == DISK_OK && op->mark != 0)
            reach(log, op->mark);
        struct op *next = op->next;
        free_op(op);
        op = next;
    }
    if (result == DISK_OK)
        return true;
    pthread_mutex_lock(&log->lock);
    log->failed = true;
    pthread_mutex_unlock(&log->lock);
    log->options.fatal(log->options.context, error.message);
    return false;
}
