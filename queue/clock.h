/* Time that only goes forward, for intervals within one process. */
#ifndef ORDEAL_QUEUE_CLOCK_H
#define ORDEAL_QUEUE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

#endif
