/* The log's next file, made ahead: zeros that are on the disk before anything is written over them.
 *
 * A file system has to note down where bytes of a new file are before a sync of them is done, and
 * three servers that share a disk wait for each other's notes. Bytes that are already there are
 * written and nothing else. A thread of its own writes them, a piece at a time, and leaves the disk
 * to others for two thirds of the time.
 *
 * What goes wrong here is nobody's loss: there is no file then, and whoever wants one makes it. */
#ifndef ORDEAL_QUEUE_AHEAD_H
#define ORDEAL_QUEUE_AHEAD_H

#include <pthread.h>

#include "queue/disk.h"

#define AHEAD_NAME "ahead" DISK_ASIDE

struct ahead {
    const struct disk *disk;
    uint64_t bytes; /* of the file */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool running, wanted, stopping;
    int file; /* ready to be taken, or -1 */
};

/* Starts the thread; false when that is impossible: then nothing is ever ready. */
bool ahead_start(struct ahead *ahead, const struct disk *disk, uint64_t bytes);
/* Waits for the thread; a file that nobody took is removed. Does nothing without ahead_start. */
void ahead_stop(struct ahead *ahead);

/* One thread calls these. */
void ahead_want(struct ahead *ahead); /* a file, soon; again is no more */
/* The file AHEAD_NAME of `bytes` zeros, all of them synced, now the caller's; or -1. */
int ahead_take(struct ahead *ahead);

#endif
