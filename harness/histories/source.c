/* A text that is read piece by piece: see source.h. */
#include "harness/histories/source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW_BYTES = 1 << 18 };

void source_open_text(struct source *source, const char *name, const char *text, size_t length)
{
    *source = (struct source){.name = name,
                              .data = text,
                              .length = length,
                              .end = true,
                              .fd = -1,
                              .line = 1,
                              .column = 1};
}

void source_open_fd(struct source *source, const char *name, int fd)
{
    *source = (struct source){.name = name, .data = "", .fd = fd, .line = 1, .column = 1};
}

void source_close(struct source *source)
{
    free(source->memory);
    source->memory = NULL;
}

void source_locate(const struct source *source, size_t at, uint64_t *line, uint64_t *column)
{
    *line = source->line;
    *column = source->column;
    const char *from = source->data, *to = source->data + at;
    for (const char *newline; from < to && (newline = memchr(from, '\n', (size_t)(to - from)));) {
        from = newline + 1;
        (*line)++;
        *column = 1;
    }
    *column += (uint64_t)(to - from);
}

enum err_code source_fill(struct source *source, size_t drop, struct err *err)
{
    if (source->end)
        return ERR_NONE;
    source_locate(source, drop, &source->line, &source->column);
    size_t rest = source->length - drop;
    if (rest > 0)
        memmove(source->memory, source->memory + drop, rest);
    source->length = rest;
    if (source->capacity - rest < WINDOW_BYTES / 2) {
        size_t capacity = rest * 2 < WINDOW_BYTES ? WINDOW_BYTES : rest * 2;
        char *memory = realloc(source->memory, capacity);
        if (memory == NULL)
            return err_set(err, ERR_NOMEM, "%s:%" PRIu64 ": out of memory for %zu bytes",
                           source->name, source->line, capacity);
        source->memory = memory;
        source->capacity = capacity;
    }
    source->data = source->memory;
    ssize_t got;
    do
        got = read(source->fd, source->memory + rest, source->capacity - rest);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_errno(err, errno, "read %s", source->name);
    source->length += (size_t)got;
    source->end = got == 0;
    return ERR_NONE;
}

enum err_code source_error(const struct source *source, size_t at, struct err *err,
                           const char *message)
{
    uint64_t line, column;
    source_locate(source, at, &line, &column);
    return err_set(err, ERR_PARSE, "%s:%" PRIu64 ":%" PRIu64 ": %s", source->name, line, column,
                   message);
}
