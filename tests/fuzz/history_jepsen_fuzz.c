/* test.jepsen: any bytes as a value in Fressian, and as a file. A file's check sums would keep
 * mutations out of everything behind them, so the bytes are also dressed as a file of one chunk.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness/histories/edn.h"
#include "harness/histories/fressian.h"
#include "harness/histories/history_jepsen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PRINTED_MAX = 1 << 20 };

static void read_value(const uint8_t *data, size_t size)
{
    struct arena arena = ARENA_INIT;
    struct fressian fressian;
    struct value value;
    fressian_init(&fressian, &arena, data, size);
    if (fressian_read(&fressian, &value)) {
        assert(fressian.at <= data + size);
        if (fressian.items < PRINTED_MAX / 64) {
            struct buf text = BUF_INIT;
            value_print(value, &text);
            buf_free(&text);
        }
    } else {
        assert(fressian.problem != NULL);
    }
    fressian_free(&fressian);
    arena_free(&arena);
}

static void read_file(const uint8_t *data, size_t size)
{
    struct history history;
    struct history_notes notes = {.format = "jepsen"};
    struct err err = ERR_INIT;
    history_init(&history);
    if (history_jepsen_read(data, size, "fuzz", &history, &notes, &err) == ERR_NONE)
        for (uint32_t i = 0; i < history.count; i++)
            assert(history.type[i] <= OP_INFO && history.f[i] < history.f_count);
    else
        assert(err.message[0] != '\0');
    history_free(&history);
}

static void put(uint8_t *at, uint64_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(number >> (bytes - 1 - i) * 8);
}

static uint32_t crc32_of(const uint8_t *bytes, size_t length, uint32_t crc)
{
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return crc;
}

/* One whole chunk and no index: the reader falls back to it. */
static void read_dressed(const uint8_t *data, size_t size)
{
    size_t length = 18 + 28 + size;
    uint8_t *file = calloc(1, length);
    if (file == NULL)
        abort();
    memcpy(file, "JEPSEN\0\0\0\1", 10);
    uint8_t *head = file + 18;
    put(head, 28 + size, 8);
    put(head + 12, 4, 2);
    if (size > 0)
        memcpy(head + 28, data, size);
    uint32_t crc = crc32_of(data, size, UINT32_MAX);
    put(head + 8, ~crc32_of(head, 28, crc), 4);
    read_file(file, length);
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_value(data, size);
    read_file(data, size);
    read_dressed(data, size);
    return 0;
}

/* libFuzzer's own; absent where files are only replayed. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Puts whole values at some place, since bytes alone rarely make one. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static const struct {
        uint8_t length;
        char bytes[16];
    } values[] = {
        {7, "\xca\xf7\xcd\xde"
            "typ"},
        {8, "\xca\xf7\xcd\xde"
            "type"},
        {10, "\xca\xf7\xcd\xe0"
             "invoke"},
        {5, "\xca\xf7\xcd\xdb"
            "f"},
        {3, "\xc0\xec\x04"},
        {2, "\xcd\xe6"},
        {1, "\x80"},
        {1, "\xa0"},
        {5, "\xef\xdc"
            "ab\x02"},
        {12, "\xef\xe3\x08"
             "multiset\x01"},
        {4, "\xc0\xe6\x05\x02"},
        {3, "\xc6\xd1\xff"},
        {4, "\xc7\xd1\x0f\x01"},
        {2, "\xc8\x00"},
        {3, "\xe2\x01"
            "a"},
        {3, "\xed\x01\xfd"},
        {9, "\xfa\x7f\xf8\x00\x00\x00\x00\x00\x00"},
        {1, "\xfe"},
    };
    uint32_t state = seed * UINT32_C(2654435761) + 1;
    if (size + 12 > max_size || (state >> 16) % 2 == 0)
        return LLVMFuzzerMutate == NULL ? size : LLVMFuzzerMutate(data, size, max_size);
    size_t which = (state >> 8) % (sizeof values / sizeof values[0]);
    size_t at = (state >> 4) % (size + 1), length = values[which].length;
    memmove(data + at + length, data + at, size - at);
    memcpy(data + at, values[which].bytes, length);
    return size + length;
}
