/* A batch: one thread waits until several things that others do are done. */
#ifndef ORDEAL_BATCH_H
#define ORDEAL_BATCH_H

#include <pthread.h>
#include <stddef.h>

struct batch {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    size_t pending;
};

void batch_init(struct batch *batch, size_t pending);
/* Returns when batch_done was called `pending` times; the batch is destroyed. */
void batch_wait(struct batch *batch);
/* From any thread. The last call lets the waiter go on, so nothing of its may be touched after. */
void batch_done(struct batch *batch);

#endif
