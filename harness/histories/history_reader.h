/* What the two ways of reading history.ordeal share: block by block, and many blocks at once.
 * Private to them. */
#ifndef ORDEAL_HISTORY_READER_H
#define ORDEAL_HISTORY_READER_H

#include "harness/histories/history_file.h"
#include "harness/histories/history_record.h"

struct history_reader {
    int fd;
    bool owns_fd;
    char *name;
    uint64_t offset; /* of the next block */
    uint64_t first, event_count, block_count, data_blocks;
    struct record_decoder decoder;
    unsigned char *payload;
    size_t payload_capacity;
    struct buf header, cut;
    bool ended; /* the end mark was seen */
};

/* Reads up to `length` bytes at `offset`; fewer only at the end of the file. */
enum err_code history_read_at(const struct history_reader *reader, uint64_t offset, void *bytes,
                              size_t length, size_t *got, struct err *err);
/* How large the file is now. */
uint64_t history_reader_bytes(const struct history_reader *reader);
/* Adds what is left of the file to `history`, several blocks at once where they are plain ones.
 * What is not (new names, damage, the end) is left to history_reader_next, so that the outcome is
 * that of calling it alone. */
enum err_code history_reader_rest(struct history_reader *reader, struct history *history,
                                  struct err *err);

#endif
