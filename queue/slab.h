/* Memory for the many small things of the replicated state: jobs and what is remembered of them.
 *
 * Pieces of equal size lie side by side in slabs of 64 KiB, without a header each, and slabs in
 * chunks of 2 MiB that ask for huge pages. So a job costs what it is long; a fork (for a snapshot)
 * copies one entry of the page table for 512 pages; and a chunk goes back to the system when the
 * last piece in it does. Writing while a forked child lives splits huge pages; slab_rejoin puts
 * them together again, a chunk at a time.
 *
 * One pool for the process, for one thread. Never returns NULL: see state_base.h. */
#ifndef ORDEAL_QUEUE_SLAB_H
#define ORDEAL_QUEUE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The address sanitizer is to see each piece by itself: nothing is kept for the next who asks. */
#if defined(__SANITIZE_ADDRESS__)
#define SLAB_NONE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_NONE 1
#endif
#endif
#ifndef SLAB_NONE
#define SLAB_NONE 0
#endif

enum {
    SLAB_BYTES = 64 << 10,
    SLAB_CHUNK_BYTES = 2 << 20,
    SLAB_PIECE_BYTES_MAX = 4096, /* larger ones are the C library's */
};

void *slab_take(size_t size);
void slab_give(void *piece, size_t size); /* the size that it was taken with; NULL is nothing */

/* Makes one more chunk a huge page again, in a fraction of a millisecond. False when all are, as
 * far as the system will: then nothing is left to do until the next fork. */
bool slab_rejoin(void);
void slab_rejoin_begin(void); /* after the child has ended: all are to be looked at */

uint64_t slab_bytes(void); /* held from the system */

#endif
