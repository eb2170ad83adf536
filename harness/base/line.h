/* Lines of fields: how controller and agent talk.
 *
 * A line is fields separated by tabs and ended by a newline. Inside a field a backslash escapes:
 * "\\" "\t" "\n" "\r" "\0". The first fields are positional (see harness/agent/PROTOCOL.md), the
 * rest are key=value; a key may repeat (arguments, environment, addresses). */
#ifndef ORDEAL_BASE_LINE_H
#define ORDEAL_BASE_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/base/arena.h"
#include "harness/base/buf.h"

enum { LINE_FIELDS_MAX = 1024, LINE_BYTES_MAX = 1 << 20 };

/* ---- Writing: fields one after the other, then line_end ---- */
void line_field(struct buf *out, const char *text);
void line_key(struct buf *out, const char *key, const char *value);
void line_key_int(struct buf *out, const char *key, int64_t value);
void line_key_bytes(struct buf *out, const char *key, const void *value, size_t length);
void line_end(struct buf *out);

/* ---- Reading ---- */
struct line_field {
    const char *text; /* unescaped, NUL-terminated */
    size_t length;    /* may hold NULs before its end */
};
struct line {
    struct line_field *fields; /* in the arena */
    uint32_t count;
};

/* Parses `length` bytes without the newline. Everything of the result lives in the arena. */
enum err_code line_parse(struct arena *arena, const char *bytes, size_t length, struct line *line,
                         struct err *err);
/* Positional field, "" when there are fewer. */
const char *line_at(const struct line *line, uint32_t index);
/* Value of the first key=..., or NULL. */
const char *line_get(const struct line *line, const char *key);
int64_t line_get_int(const struct line *line, const char *key, int64_t absent);
/* Steps through the values of a repeated key: start with *cursor = 0; NULL at the end. */
const char *line_next(const struct line *line, const char *key, uint32_t *cursor);

#endif
