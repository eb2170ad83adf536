/* CRC-32C by the processor's instruction, or by a table. */
#include "queue/crc32c.h"

#include <string.h>

enum { TABLE_SIZE = 256, LONG = 2048, SHORT = 256 };
static const uint32_t POLYNOMIAL_REVERSED = 0x82f63b78;

static uint32_t table[TABLE_SIZE];

/* What becomes of each byte of a state when LONG or SHORT zeros follow: a state is a sum of bits,
 * and so is what becomes of it. */
static uint32_t past_long[4][TABLE_SIZE], past_short[4][TABLE_SIZE];

static void fill_past(uint32_t past[4][TABLE_SIZE], size_t zeros)
{
    uint32_t bits[32];
    for (uint32_t bit = 0; bit < 32; bit++) {
        uint32_t state = (uint32_t)1 << bit;
        for (size_t i = 0; i < zeros; i++)
            state = (state >> 8) ^ table[state & 0xff];
        bits[bit] = state;
    }
    for (uint32_t byte = 0; byte < 4; byte++) {
        for (uint32_t value = 0; value < TABLE_SIZE; value++) {
            past[byte][value] = 0;
            for (uint32_t bit = 0; bit < 8; bit++)
                past[byte][value] ^= value >> bit & 1 ? bits[8 * byte + bit] : 0;
        }
    }
}

static uint32_t shift(uint32_t past[4][TABLE_SIZE], uint32_t state)
{
    return past[0][state & 0xff] ^ past[1][state >> 8 & 0xff] ^ past[2][state >> 16 & 0xff] ^
           past[3][state >> 24];
}

/* Before main, so that no thread can see half a table. */
__attribute__((constructor)) static void fill_tables(void)
{
    for (uint32_t i = 0; i < TABLE_SIZE; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL_REVERSED : 0);
        table[i] = crc;
    }
    fill_past(past_long, LONG);
    fill_past(past_short, SHORT);
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t length)
{
    const unsigned char *bytes = data;
    crc = ~crc;
    for (size_t i = 0; i < length; i++)
        crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static inline uint64_t take_word(uint64_t state,
                                                                   const unsigned char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return __builtin_ia32_crc32di(state, word);
}

/* The instruction's result comes three cycles late, and one may begin in each: so three blocks are
 * gone through side by side and then put together. */
__attribute__((target("sse4.2"))) static uint64_t
three_blocks(uint64_t state, const unsigned char *bytes, size_t block, uint32_t past[4][TABLE_SIZE])
{
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < block; i += 8) {
        state = take_word(state, bytes + i);
        second = take_word(second, bytes + block + i);
        third = take_word(third, bytes + 2 * block + i);
    }
    state = shift(past, (uint32_t)state) ^ second;
    return shift(past, (uint32_t)state) ^ third;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const void *data,
                                                                 size_t length)
{
    const unsigned char *bytes = data;
    uint64_t state = (uint32_t)~crc;
    for (; length >= 3 * LONG; bytes += 3 * LONG, length -= 3 * LONG)
        state = three_blocks(state, bytes, LONG, past_long);
    for (; length >= 3 * SHORT; bytes += 3 * SHORT, length -= 3 * SHORT)
        state = three_blocks(state, bytes, SHORT, past_short);
    for (; length >= 8; bytes += 8, length -= 8)
        state = take_word(state, bytes);
    uint32_t tail = (uint32_t)state;
    for (; length > 0; bytes++, length--)
        tail = __builtin_ia32_crc32qi(tail, *bytes);
    return ~tail;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t length)
{
    return __builtin_cpu_supports("sse4.2") ? by_instruction(crc, data, length)
                                            : crc32c_portable(crc, data, length);
}
#else
uint32_t crc32c(uint32_t crc, const void *data, size_t length)
{
    return crc32c_portable(crc, data, length);
}
#endif
