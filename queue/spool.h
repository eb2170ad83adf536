/* Jobs that this node has promised by itself (ADDJOB ... SPOOL), until the cluster has them.
 *
 * A data directory of its own, whose disk id is the origin and whose log's indexes are the numbers
 * under which the cluster decides each job once and no more: see `state_origin`. What was sent but
 * not decided is sent again, under the same number, by this process or the next. A number is used
 * for a job only once: nothing is sent before it is synced, and a job leaves only when it is
 * decided.
 *
 * Threads: the event loop's; the log's writer calls `fatal`. */
#ifndef ORDEAL_QUEUE_SPOOL_H
#define ORDEAL_QUEUE_SPOOL_H

#include "queue/command.h"
#include "queue/storage.h"

struct spool_options {
    uint64_t node;
    uint64_t segment_bytes; /* 0: SPOOL_SEGMENT_BYTES */
    enum log_thread thread;
    void (*fatal)(void *context, const char *message);
    void *context;
};

enum { SPOOL_SEGMENT_BYTES = 4 << 20 };

struct spool {
    struct storage storage;
    uint64_t origin;
    uint64_t decided; /* the cluster has decided all up to here */
    uint64_t last;    /* appended, synced or not */
    uint64_t bytes;   /* of those not decided, as they are kept */
    uint64_t reset;   /* the log on the disk begins behind it */
};

/* Opens or makes it. DISK_DAMAGED: what it holds cannot be read, and is left as it is. Nothing is
 * open after anything but DISK_OK. */
enum disk_result spool_open(struct spool *spool, const struct disk *disk,
                            const struct spool_options *options, struct queue_error *error);
void spool_close(struct spool *spool); /* waits for the disk */

/* Its number; 0, with the reason, when no reader would accept it. It is promised once
 * spool_persisted has reached the number. */
uint64_t spool_add(struct spool *spool, const struct command *add, struct queue_error *error);
uint64_t spool_persisted(struct spool *spool);

/* Those to be sent next, up to about so many bytes: each entry's data is a batch of one command,
 * its index the job's number. Free the batch. DISK_ABSENT when there is none. */
enum disk_result spool_next(struct spool *spool, uint64_t bytes_max, struct log_batch *batch,
                            struct queue_error *error);

/* The cluster has decided all up to `number`: they leave. */
void spool_decide(struct spool *spool, uint64_t number);
/* Lets the disk forget what is decided, when nothing else is left: not needed for anything but
 * telling the next process at once that nothing waits. */
void spool_tidy(struct spool *spool);

#endif
