/* Base64 with the standard alphabet and padding (RFC 4648), as JSON carries bytes. */
#ifndef ORDEAL_SYSTEMS_BASE64_H
#define ORDEAL_SYSTEMS_BASE64_H

#include "harness/base/buf.h"

void base64_add(struct buf *out, const void *data, size_t length);
/* Adds the bytes that `text` stands for; false, with nothing added, when it is not base64. */
bool base64_decode(const char *text, size_t length, struct buf *out);

#endif
