/* A small server's life on a data directory, step by step, and what must be true of the directory
 * after it was interrupted at any call. */
#ifndef ORDEAL_TESTS_QUEUE_SCRIPT_H
#define ORDEAL_TESTS_QUEUE_SCRIPT_H

#include "queue/storage.h"

enum { SCRIPT_INDEX_MAX = 256, SCRIPT_SEGMENT_BYTES = 8 * 512, SCRIPT_FRAME_BYTES = 1024 };

/* What a directory holds, as far as the outside can tell. */
struct script_view {
    uint64_t first, last;
    uint64_t terms[SCRIPT_INDEX_MAX]; /* of the entries */
    uint64_t snapshot;                /* its index, 0 for none */
    uint64_t meta_term, meta_vote;
    unsigned char disk_id[META_DISK_ID_BYTES];
};

struct script {
    /* All acknowledged, and all that the step under way would make of it. Equal between steps. */
    struct script_view acknowledged, wanted;
    uint64_t wanted_last_min; /* an append may be there in part */
    bool formatted;
    bool damaged; /* the newest snapshot may be passed over for the one before */
    int step;
    int fatal; /* times that the callback was called */
    enum disk_result opened;
    char message[256];
};

struct storage_options script_options(struct script *script);

/* Opens and runs all steps, until one fails. True when all are done. */
bool script_run(struct script *script, const struct disk *disk);

/* Reads everything, checking each entry's and the snapshot's bytes; fails the test when they are
 * not those that belong to their index and term. */
void script_look(struct storage *storage, struct script_view *view);

/* Fails the test unless what is seen is what was acknowledged, or what the step under way makes of
 * it. */
void script_check(const struct script *script, const struct script_view *view);

/* Opens, looks, checks, appends an entry, closes, and opens again to find it. Returns how opening
 * ended; only after DISK_OK is there a view. */
enum disk_result script_reopen(struct script *script, const struct disk *disk,
                               struct script_view *view, struct queue_error *error);

/* But for the snapshot, which may be an older one as long as the log reaches back to it. */
bool script_same(const struct script_view *a, const struct script_view *b);

#endif
