/* history.ordeal: the history of a run, written while the run goes on.
 *
 * The file is blocks with a check sum each, only ever appended to, so that a controller killed at
 * any instant leaves a file that can be read up to its last whole block. docs/history-format.md
 * describes every byte.
 *
 * The writer encodes into memory in the caller's thread; a thread of its own writes full blocks as
 * they come and unfinished ones at least every 50 ms. The reader never takes a damaged or torn file
 * for an error: it gives every event before the damage, and says in words what is missing. */
#ifndef ORDEAL_HISTORY_FILE_H
#define ORDEAL_HISTORY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/history.h"

#define HISTORY_FILE_NAME "history.ordeal"

/* ---- Writing ---- */
struct history_writer;

/* Creates the file (it must not exist). `names` is the history whose f_names and process_names the
 * appended events refer to; it may grow meanwhile, but only under the lock that append is called
 * under, and must outlive the writer. `header` is a JSON object about the run (see
 * history_header_add), or NULL. */
enum err_code history_writer_open(const char *path, const struct history *names, const char *header,
                                  struct history_writer **writer, struct err *err);
/* The same onto a descriptor, which history_writer_close closes (on failure here it stays open). */
enum err_code history_writer_open_fd(int fd, const char *name, const struct history *names,
                                     const char *header, struct history_writer **writer,
                                     struct err *err);
/* Adds an event: some tens of nanoseconds, no system call, memory only when a block is full. Waits
 * when 64 MiB have not reached the disk yet. After a failed write it does nothing. One thread at a
 * time. */
void history_writer_append(struct history_writer *writer, const struct op *op);
/* Waits until what was appended has been written. Any thread, as are the next. */
enum err_code history_writer_flush(struct history_writer *writer, struct err *err);
/* The first failure, such as "store/...: No space left on device", which the run should stop on. */
enum err_code history_writer_problem(struct history_writer *writer, struct err *err);
/* Writes what is left and the mark of a clean end, syncs, and frees the writer whatever happens.
 * Returns the first failure. NULL is fine. */
enum err_code history_writer_close(struct history_writer *writer, struct err *err);

/* Adds the header that runs write: {"test":..., "started":"20261121T083015.123Z", "seed":...,
 * "version":...}. */
void history_header_add(struct buf *out, const char *test, int64_t started_wall_ns, uint64_t seed);

/* ---- Reading ---- */

/* Adds all events of a file to an empty history. A torn or damaged file is not an error: `cut` of
 * the history then says what is missing. ERR_PARSE when it is no such file. */
enum err_code history_file_read(const char *path, struct history *history, struct err *err);
enum err_code history_file_read_fd(int fd, const char *name, struct history *history,
                                   struct err *err);

/* In pieces, for histories larger than memory. */
struct history_reader;
enum err_code history_reader_open(const char *path, struct history_reader **reader,
                                  struct err *err);
/* The descriptor must be one that pread works on; it is not closed. */
enum err_code history_reader_open_fd(int fd, const char *name, struct history_reader **reader,
                                     struct err *err);
/* The JSON object about the run. */
const char *history_reader_header(const struct history_reader *reader);
/* Adds the next block's events to `history`, which may be another one (or an emptied one) each
 * time. *more is false at the end, and nothing was added. A run still going on may write more
 * later: calling again then goes on from there. */
enum err_code history_reader_next(struct history_reader *reader, struct history *history,
                                  bool *more, struct err *err);
/* The index, in the file, of the last added block's first event. */
uint64_t history_reader_first(const struct history_reader *reader);
/* After *more was false: what is missing, in words; NULL when the end was a clean one. Lives until
 * the next call. */
const char *history_reader_cut(const struct history_reader *reader);
void history_reader_close(struct history_reader *reader);

/* ---- For what writes and checks such files byte by byte (writer, reader, tests) ---- */
enum history_block { HISTORY_BLOCK_HEADER = 1, HISTORY_BLOCK_DATA = 2, HISTORY_BLOCK_END = 3 };
enum { HISTORY_MAGIC_BYTES = 16, HISTORY_BLOCK_BYTES = 24, HISTORY_VERSION = 1 };

/* The 16 bytes that begin a file. */
extern const unsigned char history_file_magic[HISTORY_MAGIC_BYTES];

struct history_block_head {
    enum history_block type;
    uint32_t payload_bytes;
    uint32_t count; /* events in the block */
    uint32_t first; /* index of the first one, modulo 2^32 */
};
/* Fills in the head's 24 bytes, check sum included. */
void history_block_seal(const struct history_block_head *head, const void *payload,
                        unsigned char bytes[HISTORY_BLOCK_BYTES]);
/* False when these 24 bytes are no head. */
bool history_block_parse(const unsigned char bytes[HISTORY_BLOCK_BYTES],
                         struct history_block_head *head);
/* Whether head and payload are as they were written. */
bool history_block_intact(const unsigned char bytes[HISTORY_BLOCK_BYTES], const void *payload,
                          size_t length);

#endif
