/* CRC-32C by the processor's instruction, or by a table. */
#include "queue/crc32c.h"

#include <string.h>

enum { TABLE_SIZE = 256 };
static const uint32_t POLYNOMIAL_REVERSED = 0x82f63b78;

static uint32_t table[TABLE_SIZE];

/* Before main, so that no thread can see half a table. */
__attribute__((constructor)) static void fill_table(void)
{
    for (uint32_t i = 0; i < TABLE_SIZE; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL_REVERSED : 0);
        table[i] = crc;
    }
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
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const void *data,
                                                                 size_t length)
{
    const unsigned char *bytes = data;
    uint64_t state = (uint32_t)~crc;
    for (; length >= 8; bytes += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        state = __builtin_ia32_crc32di(state, word);
    }
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
