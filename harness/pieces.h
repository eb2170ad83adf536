/* Judging histories larger than memory: key by key, in pieces.
 *
 * Linearizability is local, so the operations of one key can be judged without those of the others.
 * A first pass over history.ordeal counts each key's events; then the keys are put together into
 * pieces that fit a budget, and the file is read again for each piece. In memory are at any time
 * the keys with their counts, one block of the file, and one piece. */
#ifndef ORDEAL_PIECES_H
#define ORDEAL_PIECES_H

#include "harness/checker.h"

struct pieces_options {
    const char *path;           /* a history.ordeal */
    struct check_limits limits; /* of each piece */
    const struct json *options; /* of checkers */
    enum keyed keyed;           /* KEYED_NO is refused */
    size_t piece_bytes;         /* for one piece, judging it included */
};

/* Judges by `linearizable` alone; the results are as check_all's, and say how many pieces there
 * were. Event numbers are those of the file. `notes` gets a line for what is missing at the file's
 * end. ERR_UNSUPPORTED when the operations are not all about keys. The caller frees the results. */
enum err_code pieces_check(const struct pieces_options *options, struct json **results,
                           enum verdict *verdict, struct buf *notes, struct err *err);

/* How much memory this process may still use: by its limits and the machine's. */
size_t pieces_memory_left(void);
/* How much a history.ordeal of this size takes in memory, about, with what judging it takes. */
size_t pieces_memory_needed(size_t file_bytes);

#endif
