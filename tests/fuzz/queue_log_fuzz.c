/* Segments with sound checksums and any content: frames as the input has them, and damage as it has
 * it, on a disk in memory. Opening must answer, never crash, and what it calls sound must be
 * readable from its first entry to its last. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "queue/log.h"
#include "tests/queue/lib/disk_shim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENT_BYTES = 32 * 512 };

static const unsigned char disk_id[META_DISK_ID_BYTES] = "the fuzzed disk";

struct input {
    const uint8_t *data;
    size_t left;
};

static uint8_t take(struct input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->data++;
}

static uint32_t take_two(struct input *input)
{
    uint32_t high = take(input);
    return high * 256 + take(input);
}

/* Records that are right but for what the input changes in them. */
static void write_frame(struct segment *segment, struct input *input, uint64_t *next,
                        struct segment_buffer *scratch)
{
    unsigned char content[2048] = {0};
    struct frame frame = {.kind = (enum frame_kind)(take(input) % 4), .content = (char *)content};
    frame.index = frame.kind == FRAME_CLOSE ? segment->sequence + 1 : *next - take(input) % 4;
    frame.term = take(input);
    frame.count = take(input) % 5;
    for (uint32_t i = 0; i < frame.count; i++) {
        uint32_t length = take(input);
        unsigned char *at = content + frame.bytes;
        at[0] = (unsigned char)length;
        at[4] = ENTRY_COMMANDS;
        at[8] = 1;
        at[16] = (unsigned char)(frame.index + i);
        frame.bytes += 24 + length;
    }
    for (uint8_t changes = take(input) % 4; changes > 0; changes--)
        content[take_two(input) % sizeof content] = take(input);
    if (segment->tail + segment_frame_sectors(frame.bytes) > segment->sectors)
        return;
    assert(segment_write(segment, &frame, scratch, NULL) == DISK_OK);
    *next = frame.kind == FRAME_RESET ? frame.index + 1 : frame.index + frame.count;
}

static void write_segments(struct shim *shim, struct input *input)
{
    struct segment_buffer scratch = {.data = NULL};
    uint64_t next = 1;
    for (uint64_t sequence = 1; sequence <= 3 && input->left > 0; sequence++) {
        struct segment segment = {.disk = shim_disk(shim),
                                  .sequence = sequence,
                                  .sectors = SEGMENT_BYTES / SEGMENT_SECTOR,
                                  .next_index = next};
        memcpy(segment.disk_id, disk_id, sizeof disk_id);
        assert(segment_create(&segment, -1, NULL) == DISK_OK);
        for (int frames = take(input) % 12; frames > 0 && input->left > 0; frames--)
            write_frame(&segment, input, &next, &scratch);
        for (uint8_t flips = take(input) % 3; flips > 0; flips--)
            shim_flip(shim, segment.name, take_two(input) % SEGMENT_BYTES, take(input));
        segment_close(&segment);
    }
    free(scratch.data);
}

static void fatal(void *context, const char *message)
{
    (void)context;
    (void)message;
    assert(!"a disk that never fails");
}

static void read_all(struct log *log)
{
    for (uint64_t index = log_first(log); index <= log_persisted(log);) {
        struct log_batch batch;
        assert(log_read(log, index, 300, &batch, NULL) == DISK_OK && batch.count > 0);
        for (size_t i = 0; i < batch.count; i++)
            assert(batch.entries[i].index == index++);
        log_batch_free(&batch);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.data = data, .left = size};
    struct shim *shim = shim_new();
    struct queue_error error = {.message = ""};
    struct log_options options = {.disk = shim_disk(shim),
                                  .disk_id = disk_id,
                                  .base_index = take(&input) % 8,
                                  .base_term = 1,
                                  .segment_bytes = SEGMENT_BYTES,
                                  .sync = take(&input) % 4 == 0 ? LOG_NO_SYNC : LOG_SYNC,
                                  .thread = LOG_INLINE,
                                  .fatal = fatal};
    struct log *log;
    write_segments(shim, &input);
    enum disk_result result = log_open(&options, &log, &error);
    assert(result == DISK_OK || (result == DISK_DAMAGED && error.message[0] != '\0'));
    if (result == DISK_OK) {
        uint64_t last = log_last(log);
        read_all(log);
        struct entry entry = {.index = last + 1, .term = UINT64_MAX, .type = ENTRY_NOOP};
        log_append(log, &entry, 1);
        log_work(log);
        read_all(log);
        log_close(log);
        assert(log_open(&options, &log, &error) == DISK_OK);
        assert(log_last(log) == last + 1);
        log_close(log);
    }
    shim_free(shim);
    return 0;
}
