/* CRC-32C (Castagnoli), which guards what the queue stores and sends. */
#ifndef ORDEAL_QUEUE_CRC32C_H
#define ORDEAL_QUEUE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to begin) over the bytes. Calls may be chained over the parts of a message. */
uint32_t queue_crc32c(uint32_t crc, const void *data, size_t length);

#endif
