/* Base64: see base64.h. */
#include "workloads/systems/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_add(struct buf *out, const void *data, size_t length)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i < 3 ? length - i : 3;
        uint32_t word = (uint32_t)bytes[i] << 16;
        word |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        word |= left > 2 ? bytes[i + 2] : 0;
        char quad[4] = {alphabet[word >> 18], alphabet[word >> 12 & 63],
                        left > 1 ? alphabet[word >> 6 & 63] : '=',
                        left > 2 ? alphabet[word & 63] : '='};
        buf_add(out, quad, sizeof quad);
    }
}

static int digit(char c)
{
    const char *found = c == '\0' ? NULL : strchr(alphabet, c);
    return found == NULL ? -1 : (int)(found - alphabet);
}

bool base64_decode(const char *text, size_t length, struct buf *out)
{
    size_t before = out->length;
    if (length % 4 != 0)
        return false;
    for (size_t i = 0; i < length; i += 4) {
        bool last = i + 4 == length;
        size_t padding = last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 2 : 1) : 0;
        uint32_t word = 0;
        bool valid = true;
        for (size_t j = 0; j < 4; j++) {
            int value = j >= 4 - padding ? 0 : digit(text[i + j]);
            valid = valid && value >= 0;
            word = word << 6 | (uint32_t)value;
        }
        /* Bits that padding leaves over must be zero, so that each text has one meaning. */
        if (!valid || (padding == 1 && (word & 0xff) != 0) || (padding == 2 && (word & 0xffff))) {
            out->length = before;
            return false;
        }
        char bytes[3] = {(char)(word >> 16), (char)(word >> 8), (char)word};
        buf_add(out, bytes, 3 - padding);
    }
    return true;
}
