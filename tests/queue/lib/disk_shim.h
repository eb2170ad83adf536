/* A disk in memory that loses power: keeps what was synced, and of the rest any part.
 *
 * Of writes not yet synced each sector of 512 bytes may be kept or not, and one of them may be torn
 * inside, the front of it new; of names not yet synced each change may be kept or not. A failed
 * sync loses some of what was to be synced for good, as Linux does. */
#ifndef ORDEAL_TESTS_QUEUE_DISK_SHIM_H
#define ORDEAL_TESTS_QUEUE_DISK_SHIM_H

#include "queue/disk.h"

enum shim_cut {
    SHIM_NOTHING, /* nothing unsynced is kept */
    SHIM_ALL,
    SHIM_RANDOM, /* each piece by chance */
    SHIM_FRONT,  /* what was written first, up to a point inside a sector */
    SHIM_BACK,   /* what was written last */
    SHIM_TORN,   /* the front of each piece, which the old bytes of its sector follow */
    SHIM_NAMES,  /* changes of names, and no bytes */
    SHIM_BYTES,  /* bytes, and no change of names */
    SHIM_CUTS,
};

struct shim;
struct shim *shim_new(void);
struct shim *shim_copy(const struct shim *shim); /* as the process sees it, no file open */
void shim_free(struct shim *shim);
struct disk *shim_disk(struct shim *shim);

/* The process is killed: nothing is lost, all files are closed. */
void shim_kill(struct shim *shim);
/* The power goes, and comes back. */
void shim_power_cut(struct shim *shim, enum shim_cut how, uint64_t seed);

/* At the n-th call from now on that changes something (0: never), the power goes: that call has
 * begun, none after it does anything. */
void shim_crash_at(struct shim *shim, uint64_t n);
bool shim_crashed(const struct shim *shim);
/* The n-th call of any kind from now on fails with this errno; a write has then written half. */
void shim_fail_at(struct shim *shim, uint64_t n, int code);
bool shim_failed(const struct shim *shim); /* it came to that */
uint64_t shim_syncs_after_failure(const struct shim *shim);

/* The length of a file; false when there is none. */
bool shim_length(struct shim *shim, const char *name, size_t *length);
/* Damage: these bits of this byte are turned, whatever happens later. */
void shim_flip(struct shim *shim, const char *name, size_t at, unsigned char bits);
void shim_zero(struct shim *shim, const char *name, size_t at, size_t length);
void shim_cut_file(struct shim *shim, const char *name, size_t length);
void shim_remove(struct shim *shim, const char *name);
size_t shim_names(struct shim *shim, char names[][64], size_t max);

#endif
