/* Disks with explicit points of sync: what is asked for waits in a list until it is applied. A
 * crash applies any prefix of what waits, of meta and of the log independently. */
#include "tests/queue/lib/raft_world.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 32) * 0x9e3779b97f4a7c15u;
    return value ^ value >> 29;
}

uint64_t chain_next(uint64_t chain, const struct entry *entry)
{
    const uint8_t *data = entry->data;
    chain = mix(chain + entry->term * 0xbf58476d1ce4e5b9u + entry->type);
    for (uint32_t i = 0; i < entry->length; i += 8) {
        uint64_t word = 0;
        memcpy(&word, data + i, entry->length - i < 8 ? entry->length - i : 8);
        chain = mix(chain ^ word);
    }
    return mix(chain + entry->length) | 1; /* never 0, which says "not known" */
}

uint64_t disk_last(const struct disk *disk)
{
    return disk->first + disk->count - 1;
}

bool disk_has(const struct disk *disk, uint64_t index, uint64_t chain)
{
    if (index <= disk->snapshot.index) {
        return true; /* checked when it was installed */
    }
    return index >= disk->first && index <= disk_last(disk) &&
           disk->log[index - disk->first].chain == chain;
}

void disk_push(struct simulated_node *node, const struct disk_op *op)
{
    struct disk *disk = &node->disk;
    if (disk->op_count == disk->op_capacity) {
        disk->op_capacity = disk->op_capacity ? disk->op_capacity * 2 : 32;
        disk->ops = realloc(disk->ops, disk->op_capacity * sizeof *disk->ops);
        assert(disk->ops);
    }
    disk->ops[disk->op_count++] = *op;
}

static void log_push(struct disk *disk, const struct kept *entry)
{
    if (disk->count == disk->capacity) {
        disk->capacity = disk->capacity ? disk->capacity * 2 : 64;
        disk->log = realloc(disk->log, disk->capacity * sizeof *disk->log);
        assert(disk->log);
    }
    disk->log[disk->count++] = *entry;
}

static void log_drop(struct disk *disk, uint64_t index)
{
    if (index < disk->first || disk->count == 0) {
        return;
    }
    uint64_t drop = index - disk->first + 1;
    drop = drop < disk->count ? drop : disk->count;
    disk->count -= drop;
    disk->first += drop;
    memmove(disk->log, disk->log + drop, disk->count * sizeof *disk->log);
}

static void log_reset(struct disk *disk, uint64_t index)
{
    disk->count = 0;
    disk->first = index + 1;
}

static void snapshot_keep(struct disk *disk, const struct kept_snapshot *snapshot)
{
    if (snapshot->index > disk->snapshot.index) {
        disk->snapshot = *snapshot;
    }
}

static void op_apply(struct disk *disk, const struct disk_op *op)
{
    switch (op->kind) {
    case OP_META:
        disk->meta = op->meta;
        break;
    case OP_APPEND:
        assert(op->index == disk_last(disk) + 1);
        log_push(disk, &op->entry);
        break;
    case OP_TRUNCATE:
        assert(op->index + 1 >= disk->first && op->index <= disk_last(disk));
        disk->count = op->index + 1 - disk->first;
        break;
    case OP_RESET:
        log_reset(disk, op->index);
        break;
    case OP_INSTALL:
        snapshot_keep(disk, op->snapshot);
        if (!op->keep_log) {
            log_reset(disk, op->index);
        } else {
            log_drop(disk, op->index);
        }
        break;
    case OP_COMPACT:
        log_drop(disk, op->index);
        break;
    }
}

static void ops_drop(struct disk *disk, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(disk->ops[i].snapshot);
    }
    disk->op_count -= count;
    if (disk->op_count == 0) {
        return;
    }
    memmove(disk->ops, disk->ops + count, disk->op_count * sizeof *disk->ops);
}

void disk_apply(struct disk *disk, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        op_apply(disk, &disk->ops[i]);
    }
    ops_drop(disk, count);
}

void disk_crash(struct world *world, struct disk *disk)
{
    bool none = world_below(world, 2) == 0;
    size_t meta_ops = 0;
    for (size_t i = 0; i < disk->op_count; i++) {
        meta_ops += disk->ops[i].kind == OP_META;
    }
    size_t meta_kept = none ? 0 : world_below(world, meta_ops + 1);
    size_t log_kept = none ? 0 : world_below(world, disk->op_count - meta_ops + 1);
    for (size_t i = 0; i < disk->op_count; i++) {
        struct disk_op *op = &disk->ops[i];
        size_t *left = op->kind == OP_META ? &meta_kept : &log_kept;
        if (*left > 0) {
            --*left;
            op_apply(disk, op);
        } else if (op->kind == OP_INSTALL && log_kept == 0 && !none) {
            snapshot_keep(disk, op->snapshot); /* renamed, and then the log was not reset */
            break;
        }
    }
    ops_drop(disk, disk->op_count);
    disk->syncing = false;
}

void disk_format(struct disk *disk, uint64_t id)
{
    ops_drop(disk, disk->op_count);
    disk->meta = (struct raft_meta){.disk = id};
    disk->snapshot = (struct kept_snapshot){0};
    disk->syncing = false;
    log_reset(disk, 0);
}

void disk_bootstrap(struct disk *disk, const struct raft_config *config)
{
    disk->meta.term = 1;
    struct kept kept = {.term = 1, .type = ENTRY_CONFIG};
    kept.length = (uint32_t)raft_config_encode(config, kept.data);
    struct entry entry = {1, 1, kept.type, kept.length, kept.data};
    kept.chain = chain_next(0, &entry);
    log_push(disk, &kept);
}

void disk_free(struct disk *disk)
{
    ops_drop(disk, disk->op_count);
    free(disk->ops);
    free(disk->log);
}

struct entry world_whole_entry(struct world *world, const struct simulated_node *node,
                               const struct entry *entry)
{
    struct entry whole = *entry;
    const struct disk *disk = &node->disk;
    if (entry->data || entry->length == 0) {
        return whole;
    }
    uint64_t place = entry->index - disk->first;
    if (entry->index < disk->first || place >= disk->count ||
        disk->log[place].term != entry->term || disk->log[place].length != entry->length) {
        world_fail(world, node, "keeps entry %lu neither in memory nor on the disk", entry->index);
    }
    whole.data = disk->log[place].data;
    world->result->entries_read++;
    return whole;
}
