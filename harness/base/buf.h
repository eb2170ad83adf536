/* A growing byte string. Always NUL-terminated once something was added, so `data` is also C text.
 *
 * Allocation failure ends the process with a message: the harness's texts are small, and a harness
 * that is out of memory for a log line has nothing better to do than say so. What holds user data
 * in bulk (arenas, history columns) reports ERR_NOMEM instead. */
#ifndef ORDEAL_BASE_BUF_H
#define ORDEAL_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/err.h"

struct buf {
    char *data;
    size_t length, capacity;
};

#define BUF_INIT ((struct buf){.data = NULL})

void buf_free(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */
void buf_reserve(struct buf *buf, size_t more);
void buf_add(struct buf *buf, const void *data, size_t length);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) FORMAT(2, 3);
void buf_vprintf(struct buf *buf, const char *format, va_list arguments);
/* Drops the first `length` bytes; what follows moves to the front. */
void buf_consume(struct buf *buf, size_t length);
/* The text, "" when nothing was ever added. */
const char *buf_text(const struct buf *buf);
/* Hands the memory to the caller, who frees it; the buffer is empty afterwards. */
char *buf_take(struct buf *buf);
/* Adds `text` as a POSIX shell word: quoted so that no shell can read anything else in it. */
void buf_add_shell_word(struct buf *buf, const char *text);

#endif
