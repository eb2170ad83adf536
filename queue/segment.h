/* One file of the log: sectors of 512 bytes, the first a header, then frames.
 *
 * A frame is what one write and one sync put there, so it is there whole or it was never
 * acknowledged. It begins at a sector and fills it up with zeros. Each sector ends with a stamp of
 * four bytes, none of them zero, made from the file's random nonce and the sector's number: a disk
 * that loses power leaves a sector new or zero (the file is zeros where nothing was written), so a
 * frame with a sector whose stamp is all zeros was torn, while a frame with all its stamps and a
 * wrong checksum was damaged later. That is how an interrupted write is told from a bit flip in an
 * acknowledged frame. A sector that the disk turns to zeros as a whole, in the last frame, looks
 * like an interrupted write; nothing that is written before the acknowledgement could tell them
 * apart for less than a second sync.
 *
 * The nonce is in every checksum too, so that bytes which a client sent, or an older file left,
 * never pass for a frame.
 *
 * The file has its full length before it gets its name: a file cut short is damage, not a tear. */
#ifndef ORDEAL_QUEUE_SEGMENT_H
#define ORDEAL_QUEUE_SEGMENT_H

#include "queue/disk.h"
#include "queue/meta.h"

enum { SEGMENT_SECTOR = 512, SEGMENT_SECTOR_DATA = 508, SEGMENT_NAME_BYTES = 32 };
#define SEGMENT_PREFIX "log-"

enum frame_kind {
    FRAME_ENTRIES = 1, /* replaces all entries from `index` on with `count` records; 0: cuts only */
    FRAME_RESET,       /* the log is empty and goes on after `index`, whose term is `term` */
    FRAME_CLOSE,       /* the log goes on in the segment whose sequence is `index` */
};

struct frame {
    enum frame_kind kind;
    uint32_t count;
    uint64_t index, term;
    uint32_t bytes; /* of content */
    const char *content;
};

struct segment {
    const struct disk *disk;
    int file;
    bool direct_asked;
    int direct; /* for writing frames past the page cache: see disk_direct; -1: through `file` */
    char name[SEGMENT_NAME_BYTES];
    uint64_t sequence, nonce;
    uint32_t sectors;    /* the file's length */
    uint32_t tail;       /* where the next frame goes */
    uint64_t next_index; /* of the log when the segment was begun */
    unsigned char disk_id[META_DISK_ID_BYTES];
};

/* What reading a segment to its end found. */
struct segment_end {
    bool closed;
    bool torn;            /* a frame that was never acknowledged; segment_cut removes it */
    uint32_t dirty_until; /* behind the last sector that is not zeros */
};

/* How many sectors a frame with this much content takes. */
uint32_t segment_frame_sectors(uint64_t content_bytes);

void segment_make_name(char name[SEGMENT_NAME_BYTES], uint64_t sequence);
/* False when it is not a segment's name. */
bool segment_parse_name(const char *name, uint64_t *sequence);

/* Makes the file aside, zeros, header and all, and gives it its name once it is synced. The caller
 * has set disk, sequence, sectors, next_index and disk_id. `ahead` is a file AHEAD_NAME with as
 * many zeros, which becomes the segment's, or -1. */
enum disk_result segment_create(struct segment *segment, int ahead, struct queue_error *error);

/* Opens a file by its sequence and checks its header and length against `disk_id`. */
enum disk_result segment_open(struct segment *segment, const struct disk *disk, uint64_t sequence,
                              const unsigned char *disk_id, struct queue_error *error);
void segment_close(struct segment *segment);
/* From now on frames are written past the page cache, where that can be done. */
void segment_write_direct(struct segment *segment);
void segment_write_direct_end(struct segment *segment);

/* Frames in order, up to the end; sets segment->tail. `use` sees each sound frame (its content
 * lives until it returns) and may refuse it by another result than DISK_OK. `lenient`: whatever is
 * bad counts as torn, for a log that was written without syncs. */
typedef enum disk_result segment_use(void *context, const struct frame *frame, uint32_t sector,
                                     struct queue_error *error);
enum disk_result segment_scan(struct segment *segment, bool lenient, segment_use *use,
                              void *context, struct segment_end *end, struct queue_error *error);

/* Makes zeros of what a torn frame left behind the tail, so that at no instant of doing so it could
 * be taken for anything else. */
enum disk_result segment_cut(struct segment *segment, const struct segment_end *end,
                             struct queue_error *error);

/* Bytes that grow; the owner frees `data`. */
struct segment_buffer {
    char *data;
    size_t length, capacity;
};
void segment_reserve(struct segment_buffer *buffer, size_t more);

/* Writes a frame at the tail in one write, with no sync; the caller has made sure it fits.
 * `scratch` is the caller's to keep between calls, and used for nothing else. */
enum disk_result segment_write(struct segment *segment, const struct frame *frame,
                               struct segment_buffer *scratch, struct queue_error *error);

/* Reads the frame at a sector that is known to hold one, appending its content to `content`;
 * frame->content stays NULL. *sectors is the frame's length. */
enum disk_result segment_read(const struct segment *segment, uint32_t sector, struct frame *frame,
                              struct segment_buffer *content, uint32_t *sectors,
                              struct queue_error *error);

#endif
