/* Numbers that Java keeps as bytes: see fressian_number.h. */
#include "harness/histories/fressian_number.h"

#include <inttypes.h>
#include <stdlib.h>

void fressian_add_decimal(struct buf *out, const struct buf *raw)
{
    size_t count = raw->length;
    bool negative = count > 0 && (raw->data[0] & 0x80);
    uint8_t *bytes = malloc(count + 1);
    char *digits = malloc(count * 3 + 2);
    if (bytes == NULL || digits == NULL)
        abort();
    unsigned carry = negative;
    for (size_t i = count; i-- > 0;) { /* the magnitude */
        unsigned byte = (uint8_t)raw->data[i];
        unsigned sum = negative ? (byte ^ 0xff) + carry : byte;
        bytes[i] = (uint8_t)sum;
        carry = negative ? sum >> 8 : 0;
    }
    size_t at = 0, first = 0;
    do { /* divide by ten until nothing is left */
        unsigned rest = 0;
        for (size_t i = first; i < count; i++) {
            unsigned part = rest << 8 | bytes[i];
            bytes[i] = (uint8_t)(part / 10);
            rest = part % 10;
        }
        while (first < count && bytes[first] == 0)
            first++;
        digits[at++] = (char)('0' + rest);
    } while (first < count);
    if (negative)
        buf_add_char(out, '-');
    while (at > 0)
        buf_add_char(out, digits[--at]);
    free(bytes);
    free(digits);
}

void fressian_add_scaled(struct buf *out, const struct buf *digits, int64_t scale)
{
    size_t sign = digits->data[0] == '-', count = digits->length - sign;
    buf_add(out, digits->data, sign);
    if (scale > 0 && scale < (int64_t)count + 64) {
        size_t whole = (int64_t)count > scale ? count - (size_t)scale : 0;
        buf_add(out, digits->data + sign, whole);
        buf_add_text(out, whole == 0 ? "0." : ".");
        for (int64_t i = (int64_t)count; i < scale; i++)
            buf_add_char(out, '0');
        buf_add(out, digits->data + sign + whole, count - whole);
    } else {
        buf_add(out, digits->data + sign, count);
        if (scale != 0)
            buf_printf(out, "E%" PRId64, scale == INT64_MIN ? INT64_MAX : -scale);
    }
    buf_add_char(out, 'M');
}
