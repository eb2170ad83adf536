/* Committed entries of any content, and snapshots of any content. Entries: the input is cut into
 * batches, which are applied; the state's invariants must hold, and a snapshot of it must read back
 * as the same state. Snapshots: the input becomes blocks with sound checksums. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "queue/crc32c.h"
#include "queue/state.h"
#include "queue/state_base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
    uint8_t *data;
    size_t length, at;
};

static bool sink(void *context, const void *data, size_t length)
{
    struct bytes *bytes = context;
    if (length == 0)
        return true;
    bytes->data = realloc(bytes->data, bytes->length + length);
    assert(bytes->data != NULL);
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
    return true;
}

static int64_t source(void *context, void *data, size_t length)
{
    struct bytes *bytes = context;
    size_t left = bytes->length - bytes->at;
    length = length < left ? length : left;
    if (length > 0)
        memcpy(data, bytes->data + bytes->at, length);
    bytes->at += length;
    return (int64_t)length;
}

static void must_be_sound(struct state *state)
{
    struct queue_error error = {.message = ""};
    struct bytes bytes = {.data = NULL};
    assert(state_check(state, &error));
    assert(state_snapshot_write(state, sink, &bytes));
    struct state *again = state_snapshot_read(source, &bytes, &error);
    assert(again != NULL);
    assert(state_hash(again) == state_hash(state));
    assert(state_check(again, &error));
    state_free(again);
    free(bytes.data);
}

static uint8_t take(const uint8_t **data, size_t *size)
{
    if (*size == 0)
        return 0;
    --*size;
    return *(*data)++;
}

/* Each batch: its length in two bytes, the time that passed in one, then commands as they are. */
static void apply_all(const uint8_t *data, size_t size)
{
    struct state *state = state_create();
    uint64_t time_ms = 0;
    for (uint64_t index = 1; size > 0; index++) {
        size_t length = take(&data, &size) * 256u;
        length += take(&data, &size);
        time_ms += take(&data, &size) * 100u;
        uint32_t count = take(&data, &size) % 8 + 1u;
        length = length < size ? length : size;
        uint8_t *batch = malloc(13 + length);
        assert(batch != NULL);
        batch[0] = 1;
        bytes_put64(batch + 1, time_ms);
        bytes_put32(batch + 9, count);
        memcpy(batch + 13, data, length);
        struct entry entry = {.index = index,
                              .term = 1,
                              .type = ENTRY_COMMANDS,
                              .length = (uint32_t)(13 + length),
                              .data = batch};
        struct queue_error error = {.message = ""};
        bool applied = state_apply(state, &entry, NULL, &error);
        assert(applied == command_batch_check(batch, 13 + length, NULL));
        free(batch);
        data += length;
        size -= length;
    }
    must_be_sound(state);
    state_free(state);
}

/* The payload is the input; only the checksums and the end are made right. */
static void read_snapshot(const uint8_t *data, size_t size)
{
    struct bytes bytes = {.data = NULL};
    uint8_t head[8], number[8];
    for (uint64_t block = 0; block < 2; block++) {
        uint32_t length = block == 0 ? (uint32_t)(size < 65536 ? size : 65536) : 0;
        bytes_put64(number, block);
        bytes_put32(head, length);
        bytes_put32(head + 4, crc32c(crc32c(0, number, sizeof number), data, length));
        sink(&bytes, head, sizeof head);
        sink(&bytes, data, length);
        if (length == 0)
            break;
    }
    struct queue_error error = {.message = ""};
    struct state *state = state_snapshot_read(source, &bytes, &error);
    assert(state != NULL || error.message[0] != '\0');
    if (state != NULL) {
        assert(state_check(state, &error));
        state_free(state);
    }
    free(bytes.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0)
        apply_all(data + 1, size - 1);
    else
        read_snapshot(data + 1, size - 1);
    return 0;
}
