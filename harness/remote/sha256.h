/* SHA-256 (FIPS 180-4): names uploaded files by what they hold. */
#ifndef ORDEAL_SHA256_H
#define ORDEAL_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "harness/base/err.h"

enum { SHA256_BYTES = 32 };

struct sha256 {
    uint32_t state[8];
    uint64_t length;
    unsigned char block[64];
};
void sha256_begin(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *data, size_t length);
void sha256_end(struct sha256 *sha, unsigned char digest[SHA256_BYTES]);

/* Lower-case hexadecimal digits of a file's digest; `text` holds 65 bytes. */
enum err_code sha256_file(const char *path, char *text, struct err *err);

#endif
