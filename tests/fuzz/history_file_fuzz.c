/* history.ordeal. 'F' and bytes: a file as it is. Anything else: what follows is the payload of one
 * data block whose check sum is right (bytes 1 and 2 are its count), so that the decoder is
 * reached; what it takes must come out of the encoder again. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/histories/history_file.h"
#include "harness/histories/history_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_file(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    assert(fd >= 0);
    ssize_t wrote = write(fd, data, size);
    assert(wrote == (ssize_t)size);
    struct history history;
    struct err err = ERR_INIT;
    history_init(&history);
    if (history_file_read_fd(fd, "fuzz", &history, &err) != ERR_NONE)
        assert(err.message[0] != '\0');
    history_free(&history);
    close(fd);
}

static void encode_again(const struct history *history)
{
    struct record_encoder encoder;
    struct record_decoder decoder;
    struct record_bytes bytes = {.data = NULL};
    struct history back;
    struct err err;
    enum err_code code;
    record_encoder_init(&encoder, history);
    record_decoder_init(&decoder);
    history_init(&back);
    for (uint32_t i = 0; i < history->count; i++) {
        struct op op = history_op(history, i);
        code = record_encode(&encoder, &bytes, &op, &err);
        assert(code == ERR_NONE);
    }
    bool good = record_decode(&decoder, bytes.data, bytes.length, history->count, &back, &code);
    assert(good && back.count == history->count);
    for (uint32_t i = 0; i < history->count; i++) {
        assert(value_hash(back.value[i]) == value_hash(history->value[i]));
        assert(back.time_ns[i] == history->time_ns[i] && back.type[i] == history->type[i]);
    }
    history_free(&back);
    record_decoder_free(&decoder);
    record_encoder_free(&encoder);
    free(bytes.data);
}

static void read_payload(const uint8_t *data, size_t size)
{
    struct record_decoder decoder;
    struct history history;
    enum err_code code;
    uint32_t count = size < 2 ? 0 : data[0] | (uint32_t)data[1] << 8;
    size_t skip = size < 2 ? size : 2;
    record_decoder_init(&decoder);
    history_init(&history);
    bool good = record_decode(&decoder, data + skip, size - skip, count, &history, &code);
    assert(history.count == (good ? count : 0));
    if (good)
        encode_again(&history);
    history_free(&history);
    record_decoder_free(&decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] == 'F')
        read_file(data + 1, size - 1);
    else if (size > 0)
        read_payload(data + 1, size - 1);
    return 0;
}

/* libFuzzer's own; absent where files are only replayed. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Puts whole records and values at some place, since bytes alone rarely make one. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static const struct {
        uint8_t length;
        char bytes[12];
    } records[] = {
        {3, "\x80\x01r"}, /* a function */
        {3, "\x81\x01p"}, /* a process */
        {4, "\x82\x0a\x01"
            "e"},                         /* an error, a new keyword */
        {7, "\x83\x13\x02\x0a\x01n\x41"}, /* another key, {:n 1} */
        {4, "\x00\x02\x02\x00"},          /* an invocation of nil */
        {4, "\x01\x02\x02\x41"},          /* an ok of 1 */
        {5, "\x07\x02\x02\x01\x41"},      /* an info with error 1 */
        {4, "\x22\x41\x42\x30"},          /* values: vectors, keywords, texts, tags */
        {4, "\x06\x02hi"},
        {6, "\x14\x08\x01i\x06\x00"},
        {3, "\x12\x01\x40"},
        {9, "\x04\x00\x00\x00\x00\x00\x00\xf8\x7f"},
    };
    uint32_t state = seed * UINT32_C(2654435761) + 1;
    if (size < 4 || size + 12 > max_size || (state >> 16) % 2 == 0)
        return LLVMFuzzerMutate == NULL ? size : LLVMFuzzerMutate(data, size, max_size);
    size_t which = (state >> 8) % (sizeof records / sizeof records[0]);
    size_t at = 3 + (state >> 4) % (size - 2), length = records[which].length;
    memmove(data + at + length, data + at, size - at);
    memcpy(data + at, records[which].bytes, length);
    return size + length;
}
