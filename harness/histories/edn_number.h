/* Numbers as EDN writes them: what the texts of tokens say. Private to the reader of EDN. */
#ifndef ORDEAL_EDN_NUMBER_H
#define ORDEAL_EDN_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many digits the text begins with. */
size_t edn_digits(const char *text, size_t length);
/* The integer of `length` digits; false when it does not fit. */
bool edn_decimal(const char *text, size_t length, bool negative, int64_t *integer);
bool edn_hexadecimal(const char *text, size_t length, bool negative, int64_t *integer);
/* What the whole token is, after its sign: "1/3"; "1.5", "1.0E10". */
bool edn_is_ratio(const char *text, size_t length);
bool edn_is_real(const char *text, size_t length);
/* Where each of `count` integers ends in a text that has one space between them, and begins at its
 * byte `from`; false when it is written otherwise. */
bool edn_int_ends(const char *text, size_t length, size_t from, uint32_t *ends, size_t count);

#endif
