/* Small things about text: the nearest name to a misspelt one, splitting lists, files read whole
 * and written so that no reader ever sees half of one. */
#ifndef ORDEAL_BASE_TEXT_H
#define ORDEAL_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/arena.h"
#include "harness/base/buf.h"

/* The candidate nearest to `name` by edit distance (Damerau), or NULL when none is near. */
const char *text_nearest(const char *name, const char *const *candidates, size_t count);
/* Splits at `separator`, trims blanks, drops empty parts; the parts live in the arena. */
size_t text_split(struct arena *arena, const char *text, char separator, const char ***parts);
bool text_starts(const char *text, const char *prefix);

/* Bytes of the UTF-8 sequence at `text`: 0 when there is none (malformed, overlong, a surrogate, or
 * longer than `length`). */
size_t text_utf8(const char *text, size_t length);

/* Reads a whole file (at most `limit` bytes) behind what `out` holds. */
enum err_code file_read(const char *path, size_t limit, struct buf *out, struct err *err);
/* Writes aside, syncs, renames into place. */
enum err_code file_write(const char *path, const void *data, size_t length, struct err *err);
/* Writes all of it to a descriptor, in as many pieces as it takes; `name` is for the message. */
enum err_code file_write_fd(int fd, const char *name, const void *data, size_t length,
                            struct err *err);
/* mkdir -p */
enum err_code file_make_dirs(const char *path, struct err *err);

#endif
