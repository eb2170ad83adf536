/* Bytes for a page's script: deflated and as base64, which is inert wherever it stands. */
#ifndef ORDEAL_REPORTS_PAGE_PACK_H
#define ORDEAL_REPORTS_PAGE_PACK_H

#include "harness/base/buf.h"

/* Adds `bytes` as a zlib stream: what a browser's DecompressionStream calls "deflate". */
void pack_deflate(struct buf *out, const void *bytes, size_t length);
void pack_base64(struct buf *out, const void *bytes, size_t length);
/* Adds a number in groups of seven bits, the lowest first, the high bit set in all but the last. */
static inline void pack_varint(struct buf *out, uint64_t number)
{
    unsigned char bytes[10];
    size_t length = 0;
    for (; number >= 0x80; number >>= 7)
        bytes[length++] = (unsigned char)(number | 0x80);
    bytes[length++] = (unsigned char)number;
    buf_add(out, bytes, length);
}

#endif
