/* Escapes in EDN's strings: see edn_escape.h. */
#include "harness/histories/edn_escape.h"

#include <string.h>

static int hex4(const char *text)
{
    int code = 0;
    for (int i = 0; i < 4; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static void add_utf8(struct buf *out, unsigned code)
{
    if (code < 0x80) {
        buf_add_char(out, (char)code);
    } else if (code < 0x800) {
        buf_add_char(out, (char)(0xc0 | code >> 6));
        buf_add_char(out, (char)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        buf_add_char(out, (char)(0xe0 | code >> 12));
        buf_add_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (code & 0x3f)));
    } else {
        buf_add_char(out, (char)(0xf0 | code >> 18));
        buf_add_char(out, (char)(0x80 | (code >> 12 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (code & 0x3f)));
    }
}

/* \uXXXX, two of them for a code point past 16 bits; half a pair becomes U+FFFD. `at` is at the u;
 * the result is how many bytes were used, 0 when it is malformed. */
static size_t add_unicode(struct buf *out, const char *at, const char *end)
{
    int first = end - at >= 5 ? hex4(at + 1) : -1;
    if (first < 0)
        return 0;
    if (first >= 0xd800 && first < 0xdc00 && end - at >= 11 && at[5] == '\\' && at[6] == 'u') {
        int second = hex4(at + 7);
        if (second >= 0xdc00 && second < 0xe000) {
            add_utf8(out,
                     0x10000 + ((unsigned)(first - 0xd800) << 10) + (unsigned)(second - 0xdc00));
            return 11;
        }
    }
    add_utf8(out, first >= 0xd800 && first < 0xe000 ? 0xfffd : (unsigned)first);
    return 5;
}

size_t edn_add_escape(struct buf *out, const char *at, const char *end)
{
    static const char from[] = "\"\\ntrbf", to[] = "\"\\\n\t\r\b\f";
    const char *known = *at == '\0' ? NULL : strchr(from, *at);
    if (known != NULL) {
        buf_add_char(out, to[known - from]);
        return 1;
    }
    if (*at == 'u')
        return add_unicode(out, at, end);
    unsigned code = 0;
    size_t used = 0;
    while (used < 3 && at + used < end && at[used] >= '0' && at[used] <= '7')
        code = code * 8 + (unsigned)(at[used++] - '0');
    if (used == 0 || code > 0377)
        return 0;
    add_utf8(out, code);
    return used;
}
