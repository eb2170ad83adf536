/* Reading snapshots: for the state, for checking, for sending. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/bytes.h"
#include "queue/crc32c.h"
#include "queue/snapshot_internal.h"

static enum disk_result damaged(const struct snapshot *snapshot, const char *what,
                                struct queue_error *error)
{
    queue_error_set(error, "%s, byte %llu: %s", snapshot->name,
                    (unsigned long long)snapshot->offset, what);
    return DISK_DAMAGED;
}

/* The next block into snapshot->bytes. */
static enum disk_result next_block(struct snapshot *snapshot, struct queue_error *error)
{
    char header[SNAPSHOT_BLOCK_HEADER];
    enum disk_result result = disk_read(snapshot->disk, snapshot->file, snapshot->name, header,
                                        sizeof header, snapshot->offset, error);
    if (result != DISK_OK)
        return result;
    uint32_t length = bytes_get32(header);
    if (length > SNAPSHOT_BLOCK)
        return damaged(snapshot, "a block longer than any", error);
    result = disk_read(snapshot->disk, snapshot->file, snapshot->name, snapshot->bytes, length,
                       snapshot->offset + sizeof header, error);
    if (result != DISK_OK)
        return result;
    uint32_t crc = snapshot_salt(snapshot->nonce, snapshot->block, length);
    if (crc32c(crc, snapshot->bytes, length) != bytes_get32(header + 4))
        return damaged(snapshot, "a block's checksum is wrong", error);
    snapshot->offset += sizeof header + length;
    snapshot->block++;
    snapshot->length = length;
    snapshot->used = 0;
    snapshot->ended = length == 0;
    if (snapshot->ended && snapshot->offset != snapshot->file_bytes)
        return damaged(snapshot, "bytes behind the last block", error);
    return DISK_OK;
}

enum disk_result snapshot_read(struct snapshot *snapshot, void *bytes, size_t size, size_t *length,
                               struct queue_error *error)
{
    char *into = bytes;
    *length = 0;
    while (size > 0 && !snapshot->ended) {
        if (snapshot->used == snapshot->length) {
            enum disk_result result = next_block(snapshot, error);
            if (result != DISK_OK)
                return result;
            continue;
        }
        size_t left = snapshot->length - snapshot->used, take = size < left ? size : left;
        memcpy(into, snapshot->bytes + snapshot->used, take);
        snapshot->used += (uint32_t)take;
        *length += take;
        into += take;
        size -= take;
    }
    return DISK_OK;
}

static enum disk_result read_config(struct snapshot *snapshot, struct queue_error *error)
{
    uint32_t wanted = snapshot->header.config_bytes;
    if (wanted > SNAPSHOT_CONFIG_BYTES_MAX)
        return damaged(snapshot, "a configuration larger than any", error);
    char *config = disk_allocate(NULL, wanted + 1);
    snapshot->header.config = config;
    size_t length;
    enum disk_result result = snapshot_read(snapshot, config, wanted, &length, error);
    if (result == DISK_OK && length < wanted)
        return damaged(snapshot, "it ends in its configuration", error);
    return result;
}

static enum disk_result read_header(struct snapshot *snapshot, struct queue_error *error)
{
    char bytes[SNAPSHOT_HEADER];
    enum disk_result result =
        disk_read(snapshot->disk, snapshot->file, snapshot->name, bytes, sizeof bytes, 0, error);
    if (result != DISK_OK)
        return result;
    if (memcmp(bytes, SNAPSHOT_MAGIC, sizeof SNAPSHOT_MAGIC) != 0 ||
        bytes_get32(bytes + SNAPSHOT_AT_CRC) !=
            crc32c(0, bytes + SNAPSHOT_AT_FORMAT, SNAPSHOT_HEADER - SNAPSHOT_AT_FORMAT))
        return damaged(snapshot, "the header is damaged", error);
    if (bytes_get32(bytes + SNAPSHOT_AT_FORMAT) != SNAPSHOT_FORMAT) {
        queue_error_set(error, "%s: format %u, this server knows %d", snapshot->name,
                        bytes_get32(bytes + SNAPSHOT_AT_FORMAT), SNAPSHOT_FORMAT);
        return DISK_REFUSED;
    }
    snapshot->nonce = bytes_get64(bytes + SNAPSHOT_AT_NONCE);
    snapshot->header = (struct snapshot_header){
        .index = bytes_get64(bytes + SNAPSHOT_AT_INDEX),
        .term = bytes_get64(bytes + SNAPSHOT_AT_TERM),
        .config_bytes = bytes_get32(bytes + SNAPSHOT_AT_CONFIG_BYTES),
    };
    snapshot->offset = sizeof bytes;
    int64_t size = snapshot->disk->calls->size(snapshot->disk->context, snapshot->file);
    if (size < 0) {
        queue_error_set(error, "size of %s: %s", snapshot->name, strerror(errno));
        return DISK_FAILED;
    }
    snapshot->file_bytes = (uint64_t)size;
    return read_config(snapshot, error);
}

enum disk_result snapshot_open(struct snapshot *snapshot, const struct disk *disk, const char *name,
                               struct queue_error *error)
{
    *snapshot = (struct snapshot){.disk = disk, .file = -1};
    snprintf(snapshot->name, sizeof snapshot->name, "%s", name);
    enum disk_result result =
        disk_open_file(disk, name, DISK_OPEN_EXISTING, &snapshot->file, error);
    if (result != DISK_OK)
        return result;
    snapshot->bytes = disk_allocate(NULL, SNAPSHOT_BLOCK);
    result = read_header(snapshot, error);
    if (result != DISK_OK)
        snapshot_close(snapshot);
    return result;
}

enum disk_result snapshot_check(struct snapshot *snapshot, struct queue_error *error)
{
    while (!snapshot->ended) {
        enum disk_result result = next_block(snapshot, error);
        if (result != DISK_OK)
            return result;
    }
    return DISK_OK;
}

/* Opens a file that claims to be a snapshot, checks it whole, and leaves its stream at the state's
 * beginning. */
static enum disk_result open_checked(struct snapshot *snapshot, const struct disk *disk,
                                     const char *name, struct queue_error *error)
{
    uint64_t index = 0, term = 0;
    if (!snapshot_parse_name(name, &index, &term)) {
        queue_error_set(error, "%.80s is no snapshot's name", name);
        return DISK_DAMAGED;
    }
    enum disk_result result = snapshot_open(snapshot, disk, name, error);
    if (result != DISK_OK)
        return result;
    if (snapshot->header.index != index || snapshot->header.term != term)
        result = damaged(snapshot, "it has another one's name", error);
    if (result == DISK_OK)
        result = snapshot_check(snapshot, error);
    snapshot_close(snapshot);
    return result == DISK_OK ? snapshot_open(snapshot, disk, name, error) : result;
}

enum disk_result snapshot_open_newest(struct snapshot *snapshot, const struct disk *disk,
                                      struct queue_error *passed, struct queue_error *error)
{
    struct disk_names names;
    struct queue_error own;
    if (error == NULL)
        error = &own;
    if (passed != NULL)
        passed->message[0] = '\0';
    enum disk_result result = disk_list(disk, SNAPSHOT_PREFIX, &names, error);
    if (result == DISK_OK)
        result = DISK_ABSENT;
    for (size_t i = names.count; i > 0; i--) {
        if (disk_is_aside(names.names[i - 1]))
            continue;
        result = open_checked(snapshot, disk, names.names[i - 1], error);
        if (result != DISK_DAMAGED)
            break;
        if (passed != NULL)
            *passed = *error;
    }
    disk_free_names(&names);
    return result;
}

enum disk_result snapshot_open_at(struct snapshot *snapshot, const struct disk *disk,
                                  uint64_t wanted, struct queue_error *error)
{
    struct disk_names names;
    enum disk_result result = disk_list(disk, SNAPSHOT_PREFIX, &names, error);
    if (result == DISK_OK) {
        queue_error_set(error, "there is no snapshot at entry %llu", (unsigned long long)wanted);
        result = DISK_ABSENT;
    }
    for (size_t i = 0; result == DISK_ABSENT && i < names.count; i++) {
        uint64_t index, term;
        if (snapshot_parse_name(names.names[i], &index, &term) && index == wanted) {
            result = open_checked(snapshot, disk, names.names[i], error);
            break;
        }
    }
    disk_free_names(&names);
    return result;
}

enum disk_result snapshot_read_chunk(const struct snapshot *snapshot, uint64_t offset, void *bytes,
                                     size_t size, size_t *length, struct queue_error *error)
{
    uint64_t left = offset < snapshot->file_bytes ? snapshot->file_bytes - offset : 0;
    *length = left < size ? (size_t)left : size;
    return disk_read(snapshot->disk, snapshot->file, snapshot->name, bytes, *length, offset, error);
}

void snapshot_close(struct snapshot *snapshot)
{
    disk_close_file(snapshot->disk, &snapshot->file);
    free(snapshot->bytes);
    free((void *)snapshot->header.config);
    snapshot->bytes = NULL;
    snapshot->header.config = NULL;
}
