/* What is packed for a page's script: see page_pack.h. The one file that meets zlib. */
#include "reports/page_pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { LEVEL = 6 }; /* the same bytes each time, whatever zlib's default becomes */

void pack_deflate(struct buf *out, const void *bytes, size_t length)
{
    uLongf size = compressBound(length);
    buf_reserve(out, size + 1);
    int code = compress2((unsigned char *)out->data + out->length, &size, bytes, length, LEVEL);
    if (code != Z_OK) { /* the room is enough, so only memory can have ended */
        fprintf(stderr, "ordeal: out of memory for a page\n");
        abort();
    }
    out->length += size;
    out->data[out->length] = '\0';
}

void pack_base64(struct buf *out, const void *bytes, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = bytes;
    buf_reserve(out, (length + 2) / 3 * 4 + 1);
    char *at = out->data + out->length;
    for (size_t i = 0; i < length; i += 3) {
        uint32_t three = (uint32_t)in[i] << 16;
        three |= i + 1 < length ? (uint32_t)in[i + 1] << 8 : 0;
        three |= i + 2 < length ? in[i + 2] : 0;
        *at++ = digits[three >> 18];
        *at++ = digits[three >> 12 & 63];
        *at++ = i + 1 < length ? digits[three >> 6 & 63] : '=';
        *at++ = i + 2 < length ? digits[three & 63] : '=';
    }
    *at = '\0';
    out->length = (size_t)(at - out->data);
}
