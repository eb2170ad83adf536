/* CRC-32C (Castagnoli), as in iSCSI and ext4: finds every burst of up to 32 damaged bits. */
#ifndef ORDEAL_QUEUE_CRC32C_H
#define ORDEAL_QUEUE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to begin) over more bytes: crc32c(crc32c(0, a), b) is that of a followed by b.
 * Uses the processor's instruction where there is one. Any thread. */
uint32_t crc32c(uint32_t crc, const void *data, size_t length);

/* The same by a table, on any processor: what crc32c is checked against. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t length);

#endif
