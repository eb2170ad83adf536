/* Opening a data directory. */
#include "queue/storage.h"

#include <errno.h>
#include <string.h>

static void founding_failed(void *context, const char *message)
{
    queue_error_set(context, "%s", message);
}

static enum disk_result write_first_entry(const struct meta *meta,
                                          const struct storage_options *options,
                                          struct queue_error *error)
{
    struct queue_error fatal = {.message = ""};
    struct log_options log_options = {.disk = meta->disk,
                                      .disk_id = meta->state.disk_id,
                                      .segment_bytes = options->segment_bytes,
                                      .thread = LOG_INLINE,
                                      .fatal = founding_failed,
                                      .context = &fatal};
    struct log *log;
    enum disk_result result = log_open(&log_options, &log, error);
    if (result != DISK_OK)
        return result;
    log_append(log, options->founding->entry, 1);
    log_close(log);
    if (fatal.message[0] == '\0')
        return DISK_OK;
    queue_error_set(error, "%s", fatal.message);
    return DISK_FAILED;
}

/* All but meta goes; then an empty log; then meta says that it is done. */
static enum disk_result finish_format(struct meta *meta, const struct storage_options *options,
                                      struct queue_error *error)
{
    const struct disk *disk = meta->disk;
    struct disk_names names;
    enum disk_result result = disk_list(disk, "snapshot-", &names, error);
    for (size_t i = 0; result == DISK_OK && i < names.count; i++)
        result = disk_unlink(disk, names.names[i], error);
    disk_free_names(&names);
    if (result == DISK_OK)
        result = log_create(disk, meta->state.disk_id, options->segment_bytes, error);
    struct meta_state state = meta->state;
    if (result == DISK_OK && state.stage == META_FORMATTING && options->founding != NULL) {
        result = write_first_entry(meta, options, error);
        state.term = options->founding->term;
    }
    if (result != DISK_OK)
        return result;
    state.stage = META_READY;
    return meta_save(meta, &state, error);
}

/* A directory without meta is new only when nothing of ours is in it. */
static enum disk_result begin_format(struct storage *storage, struct queue_error *error)
{
    if (storage->options.node == 0) {
        queue_error_set(error, "there is no meta file in the data directory");
        return DISK_ABSENT;
    }
    static const char *const prefixes[] = {SEGMENT_PREFIX, "snapshot-"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        struct disk_names names;
        enum disk_result result = disk_list(storage->disk, prefixes[i], &names, error);
        if (result == DISK_OK && names.count > 0) {
            queue_error_set(error, "the meta file is missing, %.80s is there", names.names[0]);
            result = DISK_DAMAGED;
        }
        disk_free_names(&names);
        if (result != DISK_OK)
            return result;
    }
    unsigned char disk_id[META_DISK_ID_BYTES];
    const struct storage_founding *founding = storage->options.founding;
    if (founding != NULL)
        meta_make_disk_id(disk_id, founding->disk);
    return meta_create(&storage->meta, storage->disk, storage->options.node,
                       founding == NULL ? NULL : disk_id, META_FORMATTING, error);
}

static enum disk_result open_meta(struct storage *storage, struct queue_error *error)
{
    enum disk_result result =
        meta_open(&storage->meta, storage->disk, storage->options.node, error);
    if (result == DISK_ABSENT)
        result = begin_format(storage, error);
    if (result != DISK_OK || storage->meta.state.stage == META_READY)
        return result;
    storage->fresh = true;
    return finish_format(&storage->meta, &storage->options, error);
}

static enum disk_result open_snapshot(struct storage *storage, struct queue_error *error)
{
    enum disk_result result =
        snapshot_open_newest(&storage->snapshot, storage->disk, &storage->warning, error);
    storage->has_snapshot = result == DISK_OK;
    /* None of those there is whole. A log that reaches back to entry 1 would do without. */
    if (result == DISK_ABSENT || result == DISK_DAMAGED)
        return DISK_OK;
    return result;
}

static enum disk_result open_log(struct storage *storage, struct queue_error *error)
{
    const struct snapshot_header *header = &storage->snapshot.header;
    struct log_options options = {
        .disk = storage->disk,
        .disk_id = storage->meta.state.disk_id,
        .base_index = storage->has_snapshot ? header->index : 0,
        .base_term = storage->has_snapshot ? header->term : 0,
        .segment_bytes = storage->options.segment_bytes,
        .frame_bytes = storage->options.frame_bytes,
        .begins_anywhere = storage->options.begins_anywhere,
        .sync = storage->options.sync,
        .thread = storage->options.thread,
        .ahead = storage->options.ahead,
        .fatal = storage->options.fatal,
        .context = storage->options.context,
    };
    enum disk_result result = log_open(&options, &storage->log, error);
    if (result == DISK_DAMAGED && storage->warning.message[0] != '\0' && error != NULL) {
        struct queue_error log = *error;
        queue_error_set(error, "%.120s; and %.120s", storage->warning.message, log.message);
    }
    return result;
}

enum disk_result storage_open(struct storage *storage, const struct disk *disk,
                              const struct storage_options *options, struct queue_error *error)
{
    *storage = (struct storage){.disk = disk, .options = *options};
    storage->meta = (struct meta){.disk = disk, .file = -1};
    /* What a killed server did not sync must not be built upon before it is. */
    if (disk->calls->sync_directory(disk->context) != 0) {
        queue_error_set(error, "sync the data directory: %s", strerror(errno));
        return DISK_FAILED;
    }
    enum disk_result result = disk_remove_aside(disk, error);
    if (result == DISK_OK)
        result = open_meta(storage, error);
    if (result == DISK_OK)
        result = open_snapshot(storage, error);
    if (result == DISK_OK)
        result = open_log(storage, error);
    if (result == DISK_OK && storage->warning.message[0] != '\0')
        result =
            snapshot_prune(disk, storage->has_snapshot ? storage->snapshot.header.index : 0, error);
    if (result != DISK_OK)
        storage_close(storage);
    return result;
}

enum disk_result storage_format_again(const struct disk *disk,
                                      const struct storage_options *options,
                                      struct queue_error *error)
{
    struct meta meta;
    enum disk_result result = meta_open(&meta, disk, options->node, error);
    if (result == DISK_OK) {
        result = meta_renew(&meta, error);
        if (result != DISK_OK)
            meta_close(&meta);
    } else if (result == DISK_DAMAGED || result == DISK_ABSENT) {
        result = meta_create(&meta, disk, options->node, NULL, META_FORMATTING_AGAIN, error);
    }
    if (result != DISK_OK)
        return result;
    result = finish_format(&meta, options, error);
    meta_close(&meta);
    return result;
}

void storage_close(struct storage *storage)
{
    if (storage->log != NULL)
        log_close(storage->log);
    if (storage->has_snapshot)
        snapshot_close(&storage->snapshot);
    storage->log = NULL;
    storage->has_snapshot = false;
    meta_close(&storage->meta);
}
