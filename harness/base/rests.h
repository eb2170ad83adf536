/* The rests of a thread that does something again and again, until it is told to end. */
#ifndef ORDEAL_BASE_RESTS_H
#define ORDEAL_BASE_RESTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct rests {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool ending;
};

void rests_init(struct rests *rests);
/* Waits that long, by the monotonic clock, or until the end. True: the thread goes on. */
bool rests_for(struct rests *rests, int64_t duration_ns);
/* Wakes the thread to its end; from another one, which then joins it. */
void rests_end(struct rests *rests);
void rests_free(struct rests *rests);

#endif
