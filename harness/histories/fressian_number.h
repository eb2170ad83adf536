/* Numbers that Java keeps as bytes, as decimal text. Private to the reader of Fressian. */
#ifndef ORDEAL_FRESSIAN_NUMBER_H
#define ORDEAL_FRESSIAN_NUMBER_H

#include <stdint.h>

#include "harness/base/buf.h"

/* An integer in two's complement, big-endian. Takes a time that grows with its square. */
void fressian_add_decimal(struct buf *out, const struct buf *raw);
/* An integer's digits (with their sign) times ten to the power of -scale, with EDN's M. */
void fressian_add_scaled(struct buf *out, const struct buf *digits, int64_t scale);

#endif
