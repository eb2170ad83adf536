/* Escapes in EDN's strings. Private to the reader of EDN. */
#ifndef ORDEAL_EDN_ESCAPE_H
#define ORDEAL_EDN_ESCAPE_H

#include <stddef.h>

#include "harness/base/buf.h"

/* Adds what an escape stands for; `at` is behind the backslash. The number of bytes used, 0 when
 * there is no such escape. */
size_t edn_add_escape(struct buf *out, const char *at, const char *end);

#endif
