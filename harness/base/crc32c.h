/* CRC-32C (Castagnoli polynomial), as in iSCSI and ext4: the check sum of history blocks. */
#ifndef ORDEAL_BASE_CRC32C_H
#define ORDEAL_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues from `crc` (0 to begin with). */
uint32_t crc32c(uint32_t crc, const void *data, size_t length);

#endif
