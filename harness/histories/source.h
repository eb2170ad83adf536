/* A text that is read piece by piece: a window onto a file or onto memory, and where it lies, for
 * messages. What parses takes from the window and, when a thing in it is not whole, asks for more
 * and starts that thing again. */
#ifndef ORDEAL_SOURCE_H
#define ORDEAL_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/err.h"

struct source {
    const char *name;
    const char *data; /* the window */
    size_t length;
    bool end; /* nothing follows the window */
    /* private */
    int fd;
    char *memory;
    size_t capacity;
    uint64_t line, column; /* of data[0], from 1 */
};

/* The text stays the caller's. */
void source_open_text(struct source *source, const char *name, const char *text, size_t length);
/* The descriptor is not closed; it may be a pipe. */
void source_open_fd(struct source *source, const char *name, int fd);
void source_close(struct source *source);

/* Drops the window's first `drop` bytes and reads more behind the rest, or sets `end`. Pointers
 * into the window are stale afterwards. */
enum err_code source_fill(struct source *source, size_t drop, struct err *err);

/* ERR_PARSE with "name:line:column: message" for the byte at `at` of the window. */
enum err_code source_error(const struct source *source, size_t at, struct err *err,
                           const char *message);
void source_locate(const struct source *source, size_t at, uint64_t *line, uint64_t *column);

#endif
