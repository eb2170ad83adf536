/* Numbers as EDN writes them: see edn_number.h. */
#include "harness/histories/edn_number.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

size_t edn_digits(const char *text, size_t length)
{
    size_t count = 0;
    while (count < length && is_digit(text[count]))
        count++;
    return count;
}

bool edn_decimal(const char *text, size_t length, bool negative, int64_t *integer)
{
    uint64_t sum = 0;
    if (length > 19)
        return false;
    for (size_t i = 0; i < length; i++)
        sum = sum * 10 + (uint64_t)(text[i] - '0'); /* 19 digits fit an unsigned word */
    if (sum > (uint64_t)INT64_MAX + negative)
        return false;
    *integer = (int64_t)(negative ? 0 - sum : sum);
    return true;
}

bool edn_hexadecimal(const char *text, size_t length, bool negative, int64_t *integer)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        if (digit == 16 || sum >> 59 != 0)
            return false;
        sum = sum << 4 | digit;
    }
    *integer = (int64_t)(negative ? 0 - sum : sum);
    return length > 0;
}

bool edn_is_ratio(const char *text, size_t length)
{
    size_t above = edn_digits(text, length);
    return above > 0 && above < length && text[above] == '/' &&
           edn_digits(text + above + 1, length - above - 1) == length - above - 1 &&
           above + 1 < length;
}

bool edn_is_real(const char *text, size_t length)
{
    size_t at = edn_digits(text, length);
    if (at == 0)
        return false;
    if (at < length && text[at] == '.') {
        at++;
        at += edn_digits(text + at, length - at);
    }
    if (at < length && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        at += at < length && (text[at] == '-' || text[at] == '+');
        size_t exponent = edn_digits(text + at, length - at);
        if (exponent == 0)
            return false;
        at += exponent;
    }
    return at == length;
}

bool edn_int_ends(const char *text, size_t length, size_t from, uint32_t *ends, size_t count)
{
    size_t found = 0;
    for (size_t i = from; i < length; i++) {
        if (text[i] == ' ') {
            if (found == count)
                return false;
            ends[found++] = (uint32_t)i;
        } else if (!is_digit(text[i]) && text[i] != '-') {
            return false;
        }
    }
    if (found + 1 != count)
        return false;
    ends[found] = (uint32_t)length;
    return true;
}
