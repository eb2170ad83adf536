/* The format of a snapshot file, which its writer and its reader share. */
#ifndef ORDEAL_QUEUE_SNAPSHOT_INTERNAL_H
#define ORDEAL_QUEUE_SNAPSHOT_INTERNAL_H

#include "queue/snapshot.h"

#define SNAPSHOT_PREFIX "snapshot-"
#define SNAPSHOT_MAGIC "oq-snap" /* eight bytes with its zero */

/* A header; then blocks, each a length, a checksum and that many bytes of config and state; the
 * last block has no bytes. Every checksum begins with the file's nonce and the block's number, so
 * that blocks left out, exchanged, or of another file are found too. */
enum { SNAPSHOT_FORMAT = 1, SNAPSHOT_BLOCK = 64 << 10, SNAPSHOT_BLOCK_HEADER = 8 };
enum {
    SNAPSHOT_AT_MAGIC = 0,
    SNAPSHOT_AT_CRC = 8, /* of the rest of the header */
    SNAPSHOT_AT_FORMAT = 12,
    SNAPSHOT_AT_NONCE = 16,
    SNAPSHOT_AT_INDEX = 24,
    SNAPSHOT_AT_TERM = 32,
    SNAPSHOT_AT_CONFIG_BYTES = 40,
    SNAPSHOT_HEADER = 48,
};

uint32_t snapshot_salt(uint64_t nonce, uint32_t block, uint32_t length);
void snapshot_make_name(char name[SNAPSHOT_NAME_BYTES], uint64_t index, uint64_t term);
/* False for what is no snapshot under its final name. */
bool snapshot_parse_name(const char *name, uint64_t *index, uint64_t *term);
/* Opens by name and reads header and config; the state's stream begins behind them. */
enum disk_result snapshot_open(struct snapshot *snapshot, const struct disk *disk, const char *name,
                               struct queue_error *error);
/* Reads the whole file; DISK_DAMAGED with the place. The stream is then at its end. */
enum disk_result snapshot_check(struct snapshot *snapshot, struct queue_error *error);

#endif
