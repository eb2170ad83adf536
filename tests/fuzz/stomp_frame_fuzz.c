/* What a broker says in STOMP: any bytes are a frame, the beginning of one, or none, and a frame
 * that comes byte by byte is read as it is when it comes at once. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/systems/activemq/activemq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void is_within(struct stomp_text text, const char *bytes, size_t length)
{
    assert(text.at == NULL || (text.at >= bytes && text.at + text.length <= bytes + length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stomp_frame frame, part;
    char *bytes = malloc(size + 1); /* so that what is read behind the end is noticed */
    memcpy(bytes, data, size);
    if (stomp_frame_read(bytes, size, &frame) == STOMP_WHOLE) {
        assert(frame.length <= size && frame.length > 0 && bytes[frame.length - 1] == '\0');
        is_within(frame.command, bytes, frame.length);
        is_within(frame.headers, bytes, frame.length);
        is_within(frame.body, bytes, frame.length);
        is_within(stomp_header(&frame, "message-id"), bytes, frame.length);
        size_t from = frame.length > 64 ? frame.length - 64 : 0;
        for (size_t length = from; length < frame.length; length++)
            assert(stomp_frame_read(bytes, length, &part) == STOMP_MORE);
    }
    free(bytes);
    return 0;
}
