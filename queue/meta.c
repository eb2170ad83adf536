/* Two slots, written one after the other. */
#include "queue/meta.h"

#include <assert.h>
#include <string.h>

#include "queue/bytes.h"
#include "queue/crc32c.h"

static const char FILE_NAME[] = "meta";
static const char ASIDE_NAME[] = "meta" DISK_ASIDE;
static const char MAGIC[8] = "oq-meta";

/* Each slot has a page of its own, so that no write of one can touch the other. */
enum { SLOT_SPACING = 4096, SLOT_BYTES = 128, SLOT_COUNT = 2 };
enum {
    AT_MAGIC = 0,
    AT_CRC = 8, /* of all that follows it */
    AT_FORMAT = 12,
    AT_SEQUENCE = 16,
    AT_NODE = 24,
    AT_DISK_ID = 32,
    AT_TERM = 48,
    AT_VOTE = 56,
    AT_STAGE = 64,
};

static void encode(unsigned char slot[SLOT_BYTES], uint64_t sequence,
                   const struct meta_state *state)
{
    memset(slot, 0, SLOT_BYTES);
    memcpy(slot + AT_MAGIC, MAGIC, sizeof MAGIC);
    bytes_put32(slot + AT_FORMAT, META_FORMAT);
    bytes_put64(slot + AT_SEQUENCE, sequence);
    bytes_put64(slot + AT_NODE, state->node);
    memcpy(slot + AT_DISK_ID, state->disk_id, META_DISK_ID_BYTES);
    bytes_put64(slot + AT_TERM, state->term);
    bytes_put64(slot + AT_VOTE, state->vote);
    bytes_put32(slot + AT_STAGE, state->stage);
    bytes_put32(slot + AT_CRC, crc32c(0, slot + AT_FORMAT, SLOT_BYTES - AT_FORMAT));
}

static bool is_sound(const unsigned char slot[SLOT_BYTES])
{
    return memcmp(slot + AT_MAGIC, MAGIC, sizeof MAGIC) == 0 &&
           bytes_get32(slot + AT_CRC) == crc32c(0, slot + AT_FORMAT, SLOT_BYTES - AT_FORMAT);
}

static void decode(const unsigned char slot[SLOT_BYTES], struct meta *meta)
{
    meta->sequence = bytes_get64(slot + AT_SEQUENCE);
    meta->state = (struct meta_state){
        .node = bytes_get64(slot + AT_NODE),
        .term = bytes_get64(slot + AT_TERM),
        .vote = bytes_get64(slot + AT_VOTE),
        .stage = (enum meta_stage)bytes_get32(slot + AT_STAGE),
    };
    memcpy(meta->state.disk_id, slot + AT_DISK_ID, META_DISK_ID_BYTES);
}

static enum disk_result write_both(struct meta *meta, const char *name, struct queue_error *error)
{
    unsigned char slot[SLOT_BYTES];
    encode(slot, meta->sequence, &meta->state);
    for (uint64_t i = 0; i < SLOT_COUNT; i++) {
        enum disk_result result =
            disk_write(meta->disk, meta->file, name, slot, sizeof slot, i * SLOT_SPACING, error);
        if (result == DISK_OK)
            result = disk_sync(meta->disk, meta->file, name, error);
        if (result != DISK_OK)
            return result;
    }
    return DISK_OK;
}

uint64_t meta_disk(const struct meta_state *state)
{
    return bytes_get64(state->disk_id);
}

void meta_make_disk_id(unsigned char disk_id[META_DISK_ID_BYTES], uint64_t disk)
{
    assert(disk != 0);
    memset(disk_id, 0, META_DISK_ID_BYTES);
    bytes_put64(disk_id, disk);
}

static enum disk_result fresh_disk_id(struct meta *meta, struct queue_error *error)
{
    int failed;
    do
        failed =
            meta->disk->calls->random(meta->disk->context, meta->state.disk_id, META_DISK_ID_BYTES);
    while (failed == 0 && meta_disk(&meta->state) == 0);
    if (failed == 0)
        return DISK_OK;
    queue_error_set(error, "no random bytes for a disk id");
    return DISK_FAILED;
}

enum disk_result meta_create(struct meta *meta, const struct disk *disk, uint64_t node,
                             const unsigned char *disk_id, enum meta_stage stage,
                             struct queue_error *error)
{
    assert(node != 0);
    *meta = (struct meta){
        .disk = disk, .file = -1, .sequence = 1, .state = {.node = node, .stage = stage}};
    enum disk_result result = DISK_OK;
    if (disk_id != NULL)
        memcpy(meta->state.disk_id, disk_id, META_DISK_ID_BYTES);
    else
        result = fresh_disk_id(meta, error);
    if (result == DISK_OK)
        result = disk_open_file(disk, ASIDE_NAME, DISK_OPEN_NEW, &meta->file, error);
    if (result == DISK_OK)
        result = write_both(meta, ASIDE_NAME, error);
    if (result == DISK_OK)
        result = disk_rename(disk, ASIDE_NAME, FILE_NAME, error);
    if (result != DISK_OK)
        meta_close(meta);
    return result;
}

/* A slot that the file ends before is as bad as a damaged one. */
static enum disk_result read_slots(struct meta *meta, unsigned char slots[SLOT_COUNT][SLOT_BYTES],
                                   struct queue_error *error)
{
    for (uint64_t i = 0; i < SLOT_COUNT; i++) {
        enum disk_result result = disk_read(meta->disk, meta->file, FILE_NAME, slots[i], SLOT_BYTES,
                                            i * SLOT_SPACING, error);
        if (result == DISK_FAILED)
            return result;
        if (result == DISK_DAMAGED)
            memset(slots[i], 0, SLOT_BYTES);
    }
    return DISK_OK;
}

/* Which slot counts, or NULL. */
static const unsigned char *newest(unsigned char slots[SLOT_COUNT][SLOT_BYTES])
{
    bool first = is_sound(slots[0]), second = is_sound(slots[1]);
    if (first && second)
        return slots[bytes_get64(slots[1] + AT_SEQUENCE) > bytes_get64(slots[0] + AT_SEQUENCE)];
    return first ? slots[0] : second ? slots[1] : NULL;
}

static enum disk_result load(struct meta *meta, uint64_t node, struct queue_error *error)
{
    unsigned char slots[SLOT_COUNT][SLOT_BYTES];
    enum disk_result result = read_slots(meta, slots, error);
    if (result != DISK_OK)
        return result;
    const unsigned char *slot = newest(slots);
    if (slot == NULL) {
        queue_error_set(error, "meta: both copies of the term and the vote are damaged");
        return DISK_DAMAGED;
    }
    if (bytes_get32(slot + AT_FORMAT) != META_FORMAT) {
        queue_error_set(error,
                        "meta: format %u, this server knows %d: run the version that wrote "
                        "it, or give an empty directory",
                        bytes_get32(slot + AT_FORMAT), META_FORMAT);
        return DISK_REFUSED;
    }
    decode(slot, meta);
    if (node != 0 && meta->state.node != node) {
        queue_error_set(error, "the data directory is that of node %llu, not of node %llu",
                        (unsigned long long)meta->state.node, (unsigned long long)node);
        return DISK_REFUSED;
    }
    if (memcmp(slots[0], slots[1], SLOT_BYTES) != 0)
        return write_both(meta, FILE_NAME, error);
    /* A server killed between write and sync left what we read in memory only. */
    return disk_sync(meta->disk, meta->file, FILE_NAME, error);
}

enum disk_result meta_open(struct meta *meta, const struct disk *disk, uint64_t node,
                           struct queue_error *error)
{
    *meta = (struct meta){.disk = disk, .file = -1};
    enum disk_result result =
        disk_open_file(disk, FILE_NAME, DISK_OPEN_EXISTING, &meta->file, error);
    if (result == DISK_OK)
        result = load(meta, node, error);
    if (result != DISK_OK)
        meta_close(meta);
    return result;
}

enum disk_result meta_save(struct meta *meta, const struct meta_state *state,
                           struct queue_error *error)
{
    meta->state = *state;
    meta->sequence++;
    return write_both(meta, FILE_NAME, error);
}

enum disk_result meta_renew(struct meta *meta, struct queue_error *error)
{
    struct meta_state state = {.node = meta->state.node, .stage = META_FORMATTING_AGAIN};
    enum disk_result result = fresh_disk_id(meta, error);
    if (result != DISK_OK)
        return result;
    memcpy(state.disk_id, meta->state.disk_id, META_DISK_ID_BYTES);
    return meta_save(meta, &state, error);
}

void meta_close(struct meta *meta)
{
    disk_close_file(meta->disk, &meta->file);
}
