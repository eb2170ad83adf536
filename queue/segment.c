/* Sectors, stamps and frames. */
#include "queue/segment.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/ahead.h"
#include "queue/bytes.h"
#include "queue/crc32c.h"

static const char MAGIC[8] = "oq-log";
enum { FORMAT = 1, FRAME_HEADER = 36 };
enum { /* the file's header, in its first sector */
       AT_MAGIC = 0,
       AT_CRC = 8,
       AT_FORMAT = 12,
       AT_SEQUENCE = 16,
       AT_NONCE = 24,
       AT_NEXT_INDEX = 32,
       AT_SECTORS = 40,
       AT_DISK_ID = 48,
};
enum {                   /* a frame's header */
       FRAME_AT_CRC = 0, /* of the rest of the header */
       FRAME_AT_KIND = 4,
       FRAME_AT_BYTES = 8,
       FRAME_AT_COUNT = 12,
       FRAME_AT_INDEX = 16,
       FRAME_AT_TERM = 24,
       FRAME_AT_CONTENT_CRC = 32,
};

enum sector_state { SECTOR_WHOLE, SECTOR_UNWRITTEN, SECTOR_WRONG };

static const char zeros[SEGMENT_SECTOR];

uint32_t segment_frame_sectors(uint64_t content_bytes)
{
    return (uint32_t)((FRAME_HEADER + content_bytes + SEGMENT_SECTOR_DATA - 1) /
                      SEGMENT_SECTOR_DATA);
}

void segment_make_name(char name[SEGMENT_NAME_BYTES], uint64_t sequence)
{
    snprintf(name, SEGMENT_NAME_BYTES, SEGMENT_PREFIX "%016llx", (unsigned long long)sequence);
}

bool segment_parse_name(const char *name, uint64_t *sequence)
{
    const char *digits = name + strlen(SEGMENT_PREFIX);
    if (strncmp(name, SEGMENT_PREFIX, strlen(SEGMENT_PREFIX)) != 0 || strlen(digits) != 16 ||
        strspn(digits, "0123456789abcdef") != 16)
        return false;
    *sequence = strtoull(digits, NULL, 16);
    return true;
}

static uint32_t stamp_of(const struct segment *segment, uint32_t sector)
{
    uint64_t mixed = (segment->nonce + sector) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(mixed >> 32) | 0x01010101u;
}

static enum sector_state sector_state(const struct segment *segment, uint32_t sector,
                                      const char *bytes)
{
    uint32_t stamp = bytes_get32(bytes + SEGMENT_SECTOR_DATA);
    if (stamp == 0)
        return SECTOR_UNWRITTEN;
    return stamp == stamp_of(segment, sector) ? SECTOR_WHOLE : SECTOR_WRONG;
}

static bool all_zeros(const char *bytes, size_t length)
{
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* Checksums depend on the file and the place, so that a frame is one only where it was written. */
static uint32_t salt(const struct segment *segment, uint32_t sector)
{
    unsigned char bytes[12];
    bytes_put64(bytes, segment->nonce);
    bytes_put32(bytes + 8, sector);
    return crc32c(0, bytes, sizeof bytes);
}

static enum disk_result damaged(const struct segment *segment, uint32_t sector, const char *what,
                                struct queue_error *error)
{
    queue_error_set(error, "%s, byte %llu: %s", segment->name,
                    (unsigned long long)sector * SEGMENT_SECTOR, what);
    return DISK_DAMAGED;
}

/* The file */

static void encode_header(const struct segment *segment, char sector[SEGMENT_SECTOR])
{
    memset(sector, 0, SEGMENT_SECTOR);
    memcpy(sector + AT_MAGIC, MAGIC, sizeof MAGIC);
    bytes_put32(sector + AT_FORMAT, FORMAT);
    bytes_put64(sector + AT_SEQUENCE, segment->sequence);
    bytes_put64(sector + AT_NONCE, segment->nonce);
    bytes_put64(sector + AT_NEXT_INDEX, segment->next_index);
    bytes_put32(sector + AT_SECTORS, segment->sectors);
    memcpy(sector + AT_DISK_ID, segment->disk_id, META_DISK_ID_BYTES);
    bytes_put32(sector + AT_CRC, crc32c(0, sector + AT_FORMAT, SEGMENT_SECTOR - AT_FORMAT));
}

static enum disk_result fill_new_file(struct segment *segment, const char *aside, bool empty,
                                      struct queue_error *error)
{
    const struct disk *disk = segment->disk;
    char header[SEGMENT_SECTOR];
    encode_header(segment, header);
    if (empty && disk->calls->allocate(disk->context, segment->file,
                                       (uint64_t)segment->sectors * SEGMENT_SECTOR) != 0) {
        queue_error_set(error, "reserve %llu bytes for %s: %m",
                        (unsigned long long)segment->sectors * SEGMENT_SECTOR, segment->name);
        return DISK_FAILED;
    }
    enum disk_result result =
        disk_write(disk, segment->file, aside, header, sizeof header, 0, error);
    if (result == DISK_OK)
        result = disk_sync(disk, segment->file, aside, error);
    return result == DISK_OK ? disk_rename(disk, aside, segment->name, error) : result;
}

enum disk_result segment_create(struct segment *segment, int ahead, struct queue_error *error)
{
    const struct disk *disk = segment->disk;
    char aside[SEGMENT_NAME_BYTES + sizeof DISK_ASIDE] = AHEAD_NAME;
    bool empty = ahead < 0;
    segment_make_name(segment->name, segment->sequence);
    if (empty)
        snprintf(aside, sizeof aside, "%s" DISK_ASIDE, segment->name);
    segment->tail = 1;
    segment->file = ahead;
    segment->direct = -1;
    if (disk->calls->random(disk->context, &segment->nonce, sizeof segment->nonce) != 0) {
        queue_error_set(error, "no random bytes for %s", segment->name);
        segment_close(segment);
        return DISK_FAILED;
    }
    enum disk_result result = DISK_OK;
    if (empty)
        result = disk_open_file(disk, aside, DISK_OPEN_NEW, &segment->file, error);
    if (result == DISK_OK)
        result = fill_new_file(segment, aside, empty, error);
    if (result != DISK_OK)
        segment_close(segment);
    return result;
}

static enum disk_result check_header(struct segment *segment, const char *header,
                                     const unsigned char *disk_id, struct queue_error *error)
{
    if (memcmp(header + AT_MAGIC, MAGIC, sizeof MAGIC) != 0 ||
        bytes_get32(header + AT_CRC) != crc32c(0, header + AT_FORMAT, SEGMENT_SECTOR - AT_FORMAT))
        return damaged(segment, 0, "the segment's header is damaged", error);
    if (bytes_get32(header + AT_FORMAT) != FORMAT) {
        queue_error_set(error, "%s: format %u, this server knows %d", segment->name,
                        bytes_get32(header + AT_FORMAT), FORMAT);
        return DISK_REFUSED;
    }
    if (bytes_get64(header + AT_SEQUENCE) != segment->sequence)
        return damaged(segment, 0, "the segment has another one's name", error);
    if (memcmp(header + AT_DISK_ID, disk_id, META_DISK_ID_BYTES) != 0)
        return damaged(segment, 0, "the segment was written for another disk id", error);
    segment->nonce = bytes_get64(header + AT_NONCE);
    segment->next_index = bytes_get64(header + AT_NEXT_INDEX);
    segment->sectors = bytes_get32(header + AT_SECTORS);
    memcpy(segment->disk_id, disk_id, META_DISK_ID_BYTES);
    int64_t size = segment->disk->calls->size(segment->disk->context, segment->file);
    if (size < 0) {
        queue_error_set(error, "size of %s: %m", segment->name);
        return DISK_FAILED;
    }
    if (size != (int64_t)segment->sectors * SEGMENT_SECTOR) {
        queue_error_set(error, "%s has %lld bytes instead of %llu", segment->name, (long long)size,
                        (unsigned long long)segment->sectors * SEGMENT_SECTOR);
        return DISK_DAMAGED;
    }
    return DISK_OK;
}

enum disk_result segment_open(struct segment *segment, const struct disk *disk, uint64_t sequence,
                              const unsigned char *disk_id, struct queue_error *error)
{
    *segment =
        (struct segment){.disk = disk, .file = -1, .direct = -1, .sequence = sequence, .tail = 1};
    segment_make_name(segment->name, sequence);
    char header[SEGMENT_SECTOR];
    enum disk_result result =
        disk_open_file(disk, segment->name, DISK_OPEN_EXISTING, &segment->file, error);
    if (result == DISK_OK)
        result = disk_read(disk, segment->file, segment->name, header, sizeof header, 0, error);
    if (result == DISK_OK)
        result = check_header(segment, header, disk_id, error);
    if (result != DISK_OK)
        segment_close(segment);
    return result;
}

void segment_write_direct(struct segment *segment)
{
    segment->direct_asked = true;
    if (segment->direct < 0)
        segment->direct = disk_direct(segment->disk, segment->name);
}

void segment_write_direct_end(struct segment *segment)
{
    disk_close_file(segment->disk, &segment->direct);
}

void segment_close(struct segment *segment)
{
    segment_write_direct_end(segment);
    disk_close_file(segment->disk, &segment->file);
}

/* Frames */

void segment_reserve(struct segment_buffer *buffer, size_t more)
{
    size_t needed = buffer->length + more;
    if (buffer->data != NULL && needed <= buffer->capacity)
        return;
    size_t capacity = buffer->capacity < 4096 ? 4096 : buffer->capacity * 2;
    buffer->capacity = capacity < needed ? needed : capacity;
    buffer->data = disk_allocate(buffer->data, buffer->capacity);
}

static void encode_frame_header(const struct segment *segment, const struct frame *frame,
                                char header[FRAME_HEADER])
{
    uint32_t seed = salt(segment, segment->tail);
    bytes_put32(header + FRAME_AT_KIND, frame->kind);
    bytes_put32(header + FRAME_AT_BYTES, frame->bytes);
    bytes_put32(header + FRAME_AT_COUNT, frame->count);
    bytes_put64(header + FRAME_AT_INDEX, frame->index);
    bytes_put64(header + FRAME_AT_TERM, frame->term);
    bytes_put32(header + FRAME_AT_CONTENT_CRC, crc32c(seed, frame->content, frame->bytes));
    bytes_put32(header + FRAME_AT_CRC,
                crc32c(seed, header + FRAME_AT_KIND, FRAME_HEADER - FRAME_AT_KIND));
}

/* Whether a sector begins with a frame's header, written here. */
static bool decode_frame_header(const struct segment *segment, uint32_t sector, const char *header,
                                struct frame *frame)
{
    if (bytes_get32(header + FRAME_AT_CRC) !=
        crc32c(salt(segment, sector), header + FRAME_AT_KIND, FRAME_HEADER - FRAME_AT_KIND))
        return false;
    *frame = (struct frame){
        .kind = (enum frame_kind)bytes_get32(header + FRAME_AT_KIND),
        .bytes = bytes_get32(header + FRAME_AT_BYTES),
        .count = bytes_get32(header + FRAME_AT_COUNT),
        .index = bytes_get64(header + FRAME_AT_INDEX),
        .term = bytes_get64(header + FRAME_AT_TERM),
    };
    return true;
}

/* Header and content as sectors, each with its stamp. */
static void lay_out(const struct segment *segment, const struct frame *frame, char *out)
{
    uint32_t sectors = segment_frame_sectors(frame->bytes);
    char header[FRAME_HEADER];
    encode_frame_header(segment, frame, header);
    const char *from = frame->content;
    size_t left = frame->bytes;
    for (uint32_t i = 0; i < sectors; i++, out += SEGMENT_SECTOR) {
        size_t begin = i == 0 ? FRAME_HEADER : 0;
        size_t room = SEGMENT_SECTOR_DATA - begin, take = left < room ? left : room;
        if (i == 0)
            memcpy(out, header, FRAME_HEADER);
        if (take > 0)
            memcpy(out + begin, from, take);
        memset(out + begin + take, 0, room - take);
        bytes_put32(out + SEGMENT_SECTOR_DATA, stamp_of(segment, segment->tail + i));
        from += take;
        left -= take;
    }
}

/* Room for a frame's sectors, aligned for writing them past the page cache. */
static void reserve_sectors(struct segment_buffer *scratch, size_t length)
{
    if (length <= scratch->capacity)
        return;
    free(scratch->data);
    scratch->capacity = length * 2;
    void *data = NULL;
    if (posix_memalign(&data, DISK_DIRECT_ALIGNMENT, scratch->capacity) != 0)
        data = disk_allocate(NULL, SIZE_MAX); /* says so and ends */
    scratch->data = data;
}

enum disk_result segment_write(struct segment *segment, const struct frame *frame,
                               struct segment_buffer *scratch, struct queue_error *error)
{
    uint32_t sectors = segment_frame_sectors(frame->bytes);
    size_t length = (size_t)sectors * SEGMENT_SECTOR;
    assert(segment->tail + (uint64_t)sectors <= segment->sectors);
    reserve_sectors(scratch, length);
    lay_out(segment, frame, scratch->data);
    int file = segment->direct >= 0 ? segment->direct : segment->file;
    enum disk_result result = disk_write(segment->disk, file, segment->name, scratch->data, length,
                                         (uint64_t)segment->tail * SEGMENT_SECTOR, error);
    if (result == DISK_OK)
        segment->tail += sectors;
    return result;
}

/* Takes the stamps out of a frame's sectors, appending its content. False when it is not what was
 * written, or what fills the last sector is not zeros. */
static bool take_content(const struct segment *segment, uint32_t sector, const char *sectors,
                         const struct frame *frame, struct segment_buffer *content)
{
    uint32_t count = segment_frame_sectors(frame->bytes);
    size_t left = frame->bytes;
    segment_reserve(content, left);
    char *into = content->data + content->length;
    for (uint32_t i = 0; i < count; i++) {
        const char *from = sectors + (size_t)i * SEGMENT_SECTOR;
        size_t begin = i == 0 ? FRAME_HEADER : 0;
        size_t room = SEGMENT_SECTOR_DATA - begin, take = left < room ? left : room;
        memcpy(into, from + begin, take);
        if (!all_zeros(from + begin + take, room - take))
            return false;
        into += take;
        left -= take;
    }
    uint32_t crc = crc32c(salt(segment, sector), content->data + content->length, frame->bytes);
    if (crc != bytes_get32(sectors + FRAME_AT_CONTENT_CRC))
        return false;
    content->length += frame->bytes;
    return true;
}

enum disk_result segment_read(const struct segment *segment, uint32_t sector, struct frame *frame,
                              struct segment_buffer *content, uint32_t *sectors,
                              struct queue_error *error)
{
    char header[SEGMENT_SECTOR];
    uint64_t offset = (uint64_t)sector * SEGMENT_SECTOR;
    enum disk_result result = disk_read(segment->disk, segment->file, segment->name, header,
                                        sizeof header, offset, error);
    if (result != DISK_OK)
        return result;
    if (!decode_frame_header(segment, sector, header, frame) ||
        sector + (uint64_t)segment_frame_sectors(frame->bytes) > segment->sectors)
        return damaged(segment, sector, "a frame's header is damaged", error);
    *sectors = segment_frame_sectors(frame->bytes);
    struct segment_buffer raw = {.data = NULL};
    segment_reserve(&raw, (size_t)*sectors * SEGMENT_SECTOR);
    result = disk_read(segment->disk, segment->file, segment->name, raw.data,
                       (size_t)*sectors * SEGMENT_SECTOR, offset, error);
    for (uint32_t i = 0; result == DISK_OK && i < *sectors; i++)
        if (sector_state(segment, sector + i, raw.data + (size_t)i * SEGMENT_SECTOR) !=
            SECTOR_WHOLE)
            result = damaged(segment, sector + i, "a sector's stamp is wrong", error);
    if (result == DISK_OK && !take_content(segment, sector, raw.data, frame, content))
        result = damaged(segment, sector, "a frame's content is damaged", error);
    free(raw.data);
    return result;
}

/* Reading to the end */

struct scan {
    struct segment *segment;
    const char *bytes; /* the whole file */
    struct segment_end *end;
    struct queue_error *error;
};

static const char *sector_at(const struct scan *scan, uint32_t sector)
{
    return scan->bytes + (size_t)sector * SEGMENT_SECTOR;
}

/* What is behind the tail was never acknowledged, if no frame begins in it but the torn one, which
 * begins at the tail: frames are written one after the other, each synced before the next. */
static enum disk_result check_rest(struct scan *scan, uint32_t after)
{
    struct segment *segment = scan->segment;
    for (uint32_t i = segment->tail; i < segment->sectors; i++) {
        const char *bytes = sector_at(scan, i);
        struct frame later;
        if (all_zeros(bytes, SEGMENT_SECTOR))
            continue;
        scan->end->torn = true;
        scan->end->dirty_until = i + 1;
        if (i >= after && decode_frame_header(segment, i, bytes, &later))
            return damaged(segment, segment->tail, "a frame is missing, a later one is there",
                           scan->error);
    }
    return DISK_OK;
}

enum step { STEP_FRAME, STEP_END, STEP_DAMAGED };

/* What is at the tail: a whole frame, the end (clean or torn; *after is where another frame may
 * not begin), or damage. */
static enum step look(struct scan *scan, struct frame *frame, uint32_t *after)
{
    struct segment *segment = scan->segment;
    uint32_t tail = segment->tail;
    *after = tail + 1;
    if (tail == segment->sectors)
        return STEP_END;
    const char *header = sector_at(scan, tail);
    enum sector_state state = sector_state(segment, tail, header);
    if (state == SECTOR_UNWRITTEN)
        return STEP_END;
    if (state == SECTOR_WRONG || !decode_frame_header(segment, tail, header, frame)) {
        damaged(segment, tail, "a frame's header is damaged", scan->error);
        return STEP_DAMAGED;
    }
    uint32_t count = segment_frame_sectors(frame->bytes);
    /* There is always room for the closing frame, which takes one sector. */
    uint32_t reserved = frame->kind == FRAME_CLOSE ? 0 : 1;
    if (count + (uint64_t)reserved > segment->sectors - tail) {
        damaged(segment, tail, "a frame goes beyond the segment", scan->error);
        return STEP_DAMAGED;
    }
    bool torn = false;
    for (uint32_t i = tail + 1; i < tail + count; i++) {
        state = sector_state(segment, i, sector_at(scan, i));
        torn |= state == SECTOR_UNWRITTEN;
        if (state == SECTOR_WRONG) {
            damaged(segment, i, "a sector's stamp is wrong", scan->error);
            return STEP_DAMAGED;
        }
    }
    *after = tail + count;
    return torn ? STEP_END : STEP_FRAME;
}

static enum disk_result scan_bytes(struct scan *scan, segment_use *use, void *context)
{
    struct segment *segment = scan->segment;
    struct segment_buffer content = {.data = NULL};
    enum disk_result result = DISK_OK;
    uint32_t after = 0;
    enum step step = STEP_FRAME;
    while (result == DISK_OK && !scan->end->closed) {
        struct frame frame;
        step = look(scan, &frame, &after);
        if (step != STEP_FRAME)
            break;
        content.length = 0;
        if (take_content(segment, segment->tail, sector_at(scan, segment->tail), &frame,
                         &content)) {
            frame.content = content.data;
            result = use(context, &frame, segment->tail, scan->error);
        } else {
            result = damaged(segment, segment->tail, "a frame's content is damaged", scan->error);
        }
        if (result != DISK_OK)
            break;
        scan->end->closed = frame.kind == FRAME_CLOSE;
        segment->tail = after;
    }
    free(content.data);
    if (result == DISK_OK)
        result = step == STEP_DAMAGED ? DISK_DAMAGED : check_rest(scan, after);
    if (result == DISK_OK && scan->end->closed && scan->end->torn)
        result = damaged(segment, segment->tail, "bytes behind the closing frame", scan->error);
    return result;
}

enum disk_result segment_scan(struct segment *segment, bool lenient, segment_use *use,
                              void *context, struct segment_end *end, struct queue_error *error)
{
    size_t size = (size_t)segment->sectors * SEGMENT_SECTOR;
    char *bytes = disk_allocate(NULL, size);
    *end = (struct segment_end){.closed = false};
    segment->tail = 1;
    struct scan scan = {.segment = segment, .bytes = bytes, .end = end, .error = error};
    enum disk_result result =
        disk_read(segment->disk, segment->file, segment->name, bytes, size, 0, error);
    if (result == DISK_OK)
        result = scan_bytes(&scan, use, context);
    if (result == DISK_DAMAGED && lenient) {
        end->torn = true;
        end->dirty_until = segment->sectors;
        result = DISK_OK;
    }
    free(bytes);
    return result;
}

enum disk_result segment_cut(struct segment *segment, const struct segment_end *end,
                             struct queue_error *error)
{
    const struct disk *disk = segment->disk;
    uint64_t from = (uint64_t)segment->tail * SEGMENT_SECTOR;
    uint64_t until = (uint64_t)end->dirty_until * SEGMENT_SECTOR;
    /* First the stamp of the frame's header alone, synced: half-erased it would look damaged. */
    enum disk_result result =
        disk_write(disk, segment->file, segment->name, zeros, SEGMENT_SECTOR - SEGMENT_SECTOR_DATA,
                   from + SEGMENT_SECTOR_DATA, error);
    if (result == DISK_OK)
        result = disk_sync(disk, segment->file, segment->name, error);
    for (uint64_t at = from; result == DISK_OK && at < until; at += SEGMENT_SECTOR)
        result = disk_write(disk, segment->file, segment->name, zeros, SEGMENT_SECTOR, at, error);
    if (result == DISK_OK)
        result = disk_sync(disk, segment->file, segment->name, error);
    return result;
}
