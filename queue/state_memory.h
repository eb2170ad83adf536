/* Memory of the replicated state. A replica that cannot hold a committed command must stop: going
 * on without it would make its state differ from the others'. So these never return NULL. */
#ifndef ORDEAL_QUEUE_STATE_MEMORY_H
#define ORDEAL_QUEUE_STATE_MEMORY_H

#include <stdio.h>
#include <stdlib.h>

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

#endif
