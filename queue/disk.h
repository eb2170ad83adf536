/* One data directory, through a small table of calls: what the log, the meta file and the snapshots
 * know of a disk. The default table is the real file system; the tests put a model of a disk there
 * that loses power at any call.
 *
 * The directory is flat. Names are those of files in it. */
#ifndef ORDEAL_QUEUE_DISK_H
#define ORDEAL_QUEUE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "queue/error.h"

/* How a storage function ended. */
enum disk_result {
    DISK_OK,
    DISK_FAILED,  /* the operating system refused a call: stop the process, never retry a sync */
    DISK_DAMAGED, /* what is stored is not what was stored: this disk must not vote */
    DISK_REFUSED, /* a sound directory, but not ours: in use, another node's, another format's */
    DISK_ABSENT,  /* there is none yet */
};

enum disk_open { DISK_OPEN_EXISTING, DISK_OPEN_NEW };

/* Each call returns -1 and sets errno when it fails, else 0 or what it says. */
struct disk_calls {
    /* A file to read and write; DISK_OPEN_NEW makes an empty one, in place of any of that name. */
    int (*open)(void *context, const char *name, enum disk_open how);
    /* The same file once more, for writes of whole sectors past the page cache: see disk_direct.
     * May be NULL. */
    int (*open_direct)(void *context, const char *name);
    int (*close)(void *context, int file);
    ssize_t (*read)(void *context, int file, void *bytes, size_t length, uint64_t offset);
    ssize_t (*write)(void *context, int file, const void *bytes, size_t length, uint64_t offset);
    int (*allocate)(void *context, int file, uint64_t length); /* so long, the new part zeros */
    int64_t (*size)(void *context, int file);
    int (*sync)(void *context, int file); /* its bytes and its length */
    /* Writes these bytes out without making them durable; may be NULL. See disk_settle. */
    int (*settle)(void *context, int file, uint64_t offset, uint64_t length);
    int (*sync_directory)(void *context); /* which names there are */
    int (*rename)(void *context, const char *source, const char *target);
    int (*unlink)(void *context, const char *name);
    int (*list)(void *context, void (*found)(void *argument, const char *name), void *argument);
    int (*lock)(void *context, const char *name); /* EWOULDBLOCK when another process holds it */
    int (*random)(void *context, void *bytes, size_t length);
};

struct disk {
    const struct disk_calls *calls;
    void *context;
    int directory; /* the real table's */
    int lock;
};

/* Opens a real directory, which is made if it is missing (its parent must be there), and takes its
 * lock: DISK_REFUSED when another server has it. */
enum disk_result disk_open(struct disk *disk, const char *path, struct queue_error *error);
void disk_close(struct disk *disk);

/* In a forked child: closes every inherited file but the directory, `keep` and the standard ones,
 * so that neither the lock nor clients' connections live on in it. */
void disk_keep_only(const struct disk *disk, int keep);

/* All of the bytes or DISK_FAILED; the name is for the message. A read past the end of the file
 * is DISK_DAMAGED: whoever reads knows how long the file must be. */
enum disk_result disk_write(const struct disk *disk, int file, const char *name, const void *bytes,
                            size_t length, uint64_t offset, struct queue_error *error);
enum disk_result disk_read(const struct disk *disk, int file, const char *name, void *bytes,
                           size_t length, uint64_t offset, struct queue_error *error);
enum disk_result disk_sync(const struct disk *disk, int file, const char *name,
                           struct queue_error *error);
/* Waits until these bytes have left memory, so that whoever syncs another file need not wait for
 * them as well. Promises nothing. */
void disk_settle(const struct disk *disk, int file, uint64_t offset, uint64_t length);
enum disk_result disk_rename(const struct disk *disk, const char *source, const char *target,
                             struct queue_error *error); /* and syncs the directory */
enum disk_result disk_unlink(const struct disk *disk, const char *name,
                             struct queue_error *error); /* and syncs the directory */
/* DISK_ABSENT when there is no such file; *file is then -1. */
enum disk_result disk_open_file(const struct disk *disk, const char *name, enum disk_open how,
                                int *file, struct queue_error *error);
void disk_close_file(const struct disk *disk, int *file);
/* A file through which sectors can be written that are not read again soon, from memory aligned to
 * DISK_DIRECT_ALIGNMENT: the page cache then holds no copy of each. They are durable after a
 * disk_sync of either file, and what is read through the other is what was written. -1 where the
 * system has no such thing: write to the other. */
enum { DISK_SECTOR = 512, DISK_DIRECT_ALIGNMENT = 4096 };
int disk_direct(const struct disk *disk, const char *name);

/* The names beginning with `prefix`, in order; free with disk_free_names. */
struct disk_names {
    char **names;
    size_t count;
};
enum disk_result disk_list(const struct disk *disk, const char *prefix, struct disk_names *names,
                           struct queue_error *error);
void disk_free_names(struct disk_names *names);

/* Unlinks what was being written aside (names ending in DISK_ASIDE) when the process ended. */
#define DISK_ASIDE ".part"
bool disk_is_aside(const char *name);
enum disk_result disk_remove_aside(const struct disk *disk, struct queue_error *error);

/* Memory that the server cannot go on without: ends the process when there is none. */
void *disk_allocate(void *old, size_t size);

#endif
