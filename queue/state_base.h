/* What the files of the replicated state share: memory, two-byte numbers, refusals.
 *
 * A replica that cannot hold a committed command must stop: going on without it would make its
 * state differ from the others'. So the memory functions never return NULL. */
#ifndef ORDEAL_QUEUE_STATE_BASE_H
#define ORDEAL_QUEUE_STATE_BASE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "queue/bytes.h"
#include "queue/error.h"

/* Sets the error and is false. */
#define refuse(error, ...) (queue_error_set(error, __VA_ARGS__), false)

static inline void *memory_checked(void *memory, size_t size)
{
    if (!memory) {
        fprintf(stderr, "queue: out of memory for %zu bytes: this replica stops\n", size);
        abort();
    }
    return memory;
}

static inline void *memory_take(size_t size)
{
    return memory_checked(malloc(size), size);
}

static inline void *memory_zeroed(size_t size)
{
    return memory_checked(calloc(1, size), size);
}

static inline void *memory_resize(void *memory, size_t size)
{
    return memory_checked(realloc(memory, size), size);
}

static inline uint16_t bytes_get16(const void *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return le16toh(value);
}

static inline void bytes_put16(void *at, uint16_t value)
{
    value = htole16(value);
    memcpy(at, &value, sizeof value);
}

#endif
