/* Where in the segments the entries are: a run begins at a frame and goes on until the next run
 * begins, frame by frame. There is a run for the first frame of a segment, for each frame that
 * replaced entries written before it, and for every so many sectors between.
 *
 * No locks: the log holds its own. */
#ifndef ORDEAL_QUEUE_RUNS_H
#define ORDEAL_QUEUE_RUNS_H

#include "queue/segment.h"

struct run {
    uint64_t first, sequence; /* the first entry, and the segment it is in */
    uint32_t sector;
};

struct runs {
    struct run *items;
    size_t count, capacity;
    uint64_t first, last; /* entries in the log; none when last + 1 == first */
    bool cut; /* frames of the newest run hold entries that are gone: the next frame begins one */
};

/* An empty log whose next entry is `next_index`. */
void runs_begin(struct runs *runs, uint64_t next_index);

/* What a frame does to the log. False, and nothing done, when it would leave a gap. */
bool runs_apply(struct runs *runs, const struct frame *frame, uint64_t sequence, uint32_t sector);

/* The run with an entry that the log has; *limit is the entry behind the run's last. */
const struct run *runs_find(const struct runs *runs, uint64_t index, uint64_t *limit);

/* Whether a segment holds no entry after `index`, nor the end of the log. */
bool runs_may_drop(const struct runs *runs, uint64_t sequence, uint64_t index);

/* Forgets the runs of all segments up to this one. */
void runs_drop(struct runs *runs, uint64_t sequence);

void runs_free(struct runs *runs);

#endif
