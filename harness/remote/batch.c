/* Batches: see batch.h. */
#include "harness/remote/batch.h"

void batch_init(struct batch *batch, size_t pending)
{
    pthread_mutex_init(&batch->mutex, NULL);
    pthread_cond_init(&batch->done, NULL);
    batch->pending = pending;
}

void batch_wait(struct batch *batch)
{
    pthread_mutex_lock(&batch->mutex);
    while (batch->pending > 0)
        pthread_cond_wait(&batch->done, &batch->mutex);
    pthread_mutex_unlock(&batch->mutex);
    pthread_cond_destroy(&batch->done);
    pthread_mutex_destroy(&batch->mutex);
}

void batch_done(struct batch *batch)
{
    pthread_mutex_lock(&batch->mutex);
    /* Signalled under the lock: the waiter destroys the batch as soon as it has it. */
    if (--batch->pending == 0)
        pthread_cond_signal(&batch->done);
    pthread_mutex_unlock(&batch->mutex);
}
