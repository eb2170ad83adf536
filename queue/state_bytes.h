/* Little-endian numbers in bytes, wherever they lie. */
#ifndef ORDEAL_QUEUE_STATE_BYTES_H
#define ORDEAL_QUEUE_STATE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_get_u16(const void *source)
{
    uint16_t value;
    memcpy(&value, source, sizeof value);
    return le16toh(value);
}

static inline uint32_t bytes_get_u32(const void *source)
{
    uint32_t value;
    memcpy(&value, source, sizeof value);
    return le32toh(value);
}

static inline uint64_t bytes_get_u64(const void *source)
{
    uint64_t value;
    memcpy(&value, source, sizeof value);
    return le64toh(value);
}

static inline void bytes_put_u16(void *target, uint16_t value)
{
    value = htole16(value);
    memcpy(target, &value, sizeof value);
}

static inline void bytes_put_u32(void *target, uint32_t value)
{
    value = htole32(value);
    memcpy(target, &value, sizeof value);
}

static inline void bytes_put_u64(void *target, uint64_t value)
{
    value = htole64(value);
    memcpy(target, &value, sizeof value);
}

#endif
