/* The spool on its disk. */
#include "queue/spool.h"

#include <string.h>

enum { READ_BYTES = 4 << 20, TERM = 1 };

static uint64_t entry_bytes(const struct entry *entry)
{
    return entry->length + 64; /* what a record and its frame add, about */
}

/* What the last process left. Each must be readable now: later it could only be thrown away. */
static enum disk_result look(struct spool *spool, struct queue_error *error)
{
    struct log *log = spool->storage.log;
    uint64_t first = log_first(log);
    spool->last = log_last(log);
    spool->decided = first > 0 && first <= spool->last ? first - 1 : spool->last;
    spool->reset = spool->decided;
    for (uint64_t next = spool->decided + 1; next <= spool->last;) {
        struct log_batch batch;
        enum disk_result result = log_read(log, next, READ_BYTES, &batch, error);
        if (result != DISK_OK)
            return result;
        for (size_t i = 0; result == DISK_OK && i < batch.count; i++) {
            spool->bytes += entry_bytes(&batch.entries[i]);
            if (!command_batch_check(batch.entries[i].data, batch.entries[i].length, error))
                result = DISK_DAMAGED;
        }
        next += batch.count;
        log_batch_free(&batch);
        if (result != DISK_OK)
            return result;
    }
    return DISK_OK;
}

enum disk_result spool_open(struct spool *spool, const struct disk *disk,
                            const struct spool_options *options, struct queue_error *error)
{
    *spool = (struct spool){0};
    struct storage_options storage = {
        .node = options->node,
        .segment_bytes = options->segment_bytes ? options->segment_bytes : SPOOL_SEGMENT_BYTES,
        .frame_bytes = 1 << 20,
        .begins_anywhere = true,
        .sync = LOG_SYNC, /* whatever --fsync says: a number must never be used twice */
        .thread = options->thread,
        .fatal = options->fatal,
        .context = options->context};
    enum disk_result result = storage_open(&spool->storage, disk, &storage, error);
    if (result != DISK_OK)
        return result;
    spool->origin = meta_disk(&spool->storage.meta.state);
    result = look(spool, error);
    if (result != DISK_OK)
        spool_close(spool);
    return result;
}

void spool_close(struct spool *spool)
{
    storage_close(&spool->storage);
}

uint64_t spool_add(struct spool *spool, const struct command *add, struct queue_error *error)
{
    struct command_batch batch = COMMAND_BATCH_INIT;
    command_batch_begin(&batch, 0);
    if (!command_batch_add(&batch, add, error)) {
        command_batch_free(&batch);
        return 0;
    }
    struct entry entry = {.index = ++spool->last,
                          .term = TERM,
                          .type = ENTRY_COMMANDS,
                          .length = (uint32_t)batch.length,
                          .data = batch.data};
    spool->bytes += entry_bytes(&entry);
    log_append(spool->storage.log, &entry, 1);
    command_batch_free(&batch);
    return spool->last;
}

uint64_t spool_persisted(struct spool *spool)
{
    return log_persisted(spool->storage.log);
}

enum disk_result spool_next(struct spool *spool, uint64_t bytes_max, struct log_batch *batch,
                            struct queue_error *error)
{
    *batch = (struct log_batch){0};
    if (spool->decided >= spool_persisted(spool))
        return DISK_ABSENT;
    return log_read(spool->storage.log, spool->decided + 1, bytes_max, batch, error);
}

void spool_decide(struct spool *spool, uint64_t number)
{
    if (number > spool->last)
        number = spool->last;
    if (number <= spool->decided)
        return;
    /* When some are left, those that leave count as their share: each one's size is on the disk
     * only. */
    uint64_t jobs = spool->last - spool->decided, leave = number - spool->decided;
    spool->bytes -= leave == jobs ? spool->bytes : spool->bytes / jobs * leave;
    spool->decided = number;
    log_compact_prefix(spool->storage.log, number);
}

void spool_tidy(struct spool *spool)
{
    if (spool->decided < spool->last || spool->reset == spool->last)
        return;
    spool->reset = spool->last;
    log_reset(spool->storage.log, spool->last, TERM);
}
