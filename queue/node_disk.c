/* A node and its disk: loading at the start, founding a cluster, effects on log and meta. */
#include "queue/bytes.h"
#include "queue/defect.h"
#include "queue/node.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void node_die(const char *what, const struct queue_error *error)
{
    journal_write(JOURNAL_ERROR, what, "%s; the server ends, since nothing more may be promised",
                  error->message);
    _exit(1);
}

static void on_fatal(void *context, const char *message)
{
    (void)context;
    struct queue_error error;
    queue_error_set(&error, "%s", message);
    node_die("log", &error);
}

static struct storage_options storage_options(const struct node *node)
{
    return (struct storage_options){.node = node->config->node,
                                    .sync = node->config->sync ? LOG_SYNC : LOG_NO_SYNC,
                                    .thread = LOG_THREAD,
                                    .ahead = node->config->sync,
                                    .fatal = on_fatal};
}

static bool open_storage(struct node *node, struct queue_error *error)
{
    struct storage_options options = storage_options(node);
    enum disk_result result = storage_open(&node->storage, &node->disk, &options, error);
    if (result != DISK_DAMAGED)
        return result == DISK_OK;
    if (node->config->peer_count < 2 && !node->config->join) {
        queue_error_wrap(error, "the only copy of the data is damaged, so the server does not "
                                "start; restore the directory, or empty it to begin anew");
        return false;
    }
    journal_write(JOURNAL_ERROR, "damaged",
                  "%s; this disk does not vote any more, gets a new id and waits for CLUSTER "
                  "REPLACE %u",
                  error->message, node->config->node);
    return storage_format_again(&node->disk, &options, error) == DISK_OK &&
           storage_open(&node->storage, &node->disk, &options, error) == DISK_OK;
}

void node_read_entries(struct node *node, uint64_t from, uint64_t bytes_max,
                       struct log_batch *batch)
{
    struct queue_error error;
    if (log_read(node->storage.log, from, bytes_max, batch, &error) != DISK_OK)
        node_die("log", &error);
}

/* All entries of the log without their data, but for memberships. */
struct loaded {
    struct log_batch *configs; /* batches that memberships' data lie in */
    size_t config_count;
    struct entry *entries;
    uint64_t entry_count;
};

static void loaded_free(struct loaded *loaded)
{
    for (size_t i = 0; i < loaded->config_count; i++)
        log_batch_free(&loaded->configs[i]);
    free(loaded->configs);
    free(loaded->entries);
}

/* True when it keeps the batch. */
static bool load_batch(struct loaded *loaded, const struct log_batch *batch)
{
    bool keep = false;
    for (size_t i = 0; i < batch->count; i++) {
        struct entry *entry = &loaded->entries[loaded->entry_count++];
        *entry = batch->entries[i];
        keep |= entry->type == ENTRY_CONFIG;
        if (entry->type != ENTRY_CONFIG)
            entry->data = NULL;
    }
    if (keep) {
        loaded->configs =
            disk_allocate(loaded->configs, (loaded->config_count + 1) * sizeof *loaded->configs);
        loaded->configs[loaded->config_count++] = *batch;
    }
    return keep;
}

static bool load_entries(struct node *node, struct loaded *loaded, struct queue_error *error)
{
    uint64_t first = log_first(node->storage.log), last = log_last(node->storage.log);
    if (first == 0)
        first = 1;
    if (last >= first)
        loaded->entries = disk_allocate(NULL, (last - first + 1) * sizeof *loaded->entries);
    for (uint64_t next = first; next <= last;) {
        struct log_batch batch;
        if (log_read(node->storage.log, next, NODE_READ_BYTES, &batch, error) != DISK_OK)
            return false;
        next += batch.count;
        if (!load_batch(loaded, &batch))
            log_batch_free(&batch);
    }
    return true;
}

static bool open_raft(struct node *node, struct raft_stored *stored, struct queue_error *error)
{
    struct raft_options options = raft_options_default();
    options.node = node->config->node;
    options.now_ms = node_clock_ms();
    options.random = node_random();
    options.election_timeout_ms = node->config->election_timeout_ms;
    options.heartbeat_ms = node->config->election_timeout_ms / 10;
    options.entry_bytes_max = 32 << 20;
    options.uncommitted_entries_max = 1 << 16;
    options.uncommitted_bytes_max = 256 << 20;
    options.memory_bytes_max = NODE_MEMORY_BYTES;
    stored->meta.disk = node->disk_id;
    stored->meta.term = node->storage.meta.state.term;
    stored->meta.vote = node->storage.meta.state.vote;
    const char *problem;
    node->raft = raft_open(&options, stored, &node->effects, &problem);
    if (node->raft == NULL) {
        queue_error_set(error, "what is in the data directory cannot be a log: %s", problem);
        return false;
    }
    struct raft_status status;
    raft_status(node->raft, &status);
    node->term = status.term;
    node->snapshot_index = status.snapshot_index;
    for (size_t i = 0; i < node->effects.count; i++)
        node_carry_out(node, &node->effects.list[i]);
    node_report_persisted(node);
    raft_status(node->raft, &status);
    node->listener->members(node->listener->context, status.config);
    return true;
}

static bool load_snapshot(struct node *node, struct raft_stored *stored, struct queue_error *error)
{
    if (!node->storage.has_snapshot) {
        node->state = state_create();
        return true;
    }
    const struct snapshot_header *header = &node->storage.snapshot.header;
    stored->snapshot_index = header->index;
    stored->snapshot_term = header->term;
    bool good = node_restore(node, &node->storage.snapshot, error);
    if (good &&
        !raft_config_decode(header->config, header->config_bytes, &stored->snapshot_config)) {
        queue_error_set(error, "the snapshot's members cannot be read");
        good = false;
    }
    snapshot_close(&node->storage.snapshot);
    node->storage.has_snapshot = false;
    return good;
}

bool node_load(struct node *node, struct queue_error *error)
{
    if (!open_storage(node, error))
        return false;
    if (node->storage.warning.message[0] != '\0')
        journal_write(JOURNAL_WARNING, "storage", "%s", node->storage.warning.message);
    node->disk_id = bytes_get64(node->storage.meta.state.disk_id) | 1; /* never 0 */
    struct raft_stored stored = {0};
    struct loaded loaded = {0};
    bool good = load_snapshot(node, &stored, error) && load_entries(node, &loaded, error);
    stored.entries = loaded.entries;
    stored.entry_count = loaded.entry_count;
    good = good && open_raft(node, &stored, error);
    loaded_free(&loaded);
    if (!good) {
        storage_close(&node->storage);
        state_free(node->state);
    }
    return good;
}

static void wait_persisted(struct node *node, uint64_t index)
{
    struct pollfd wait = {.fd = log_event(node->storage.log), .events = POLLIN};
    while (log_persisted_event(node->storage.log) < index)
        poll(&wait, 1, 100);
}

bool node_form(struct node *node, const void *bytes, size_t length)
{
    struct raft_config members;
    if (node_formed(node) || !raft_config_decode(bytes, length, &members))
        return false;
    const struct raft_member *self = raft_config_find(&members, node->config->node);
    if (self == NULL || self->disk != node->disk_id)
        return false;
    struct entry first = {
        .index = 1, .term = 1, .type = ENTRY_CONFIG, .length = (uint32_t)length, .data = bytes};
    log_append(node->storage.log, &first, 1);
    wait_persisted(node, 1);
    raft_close(node->raft);
    node->raft = NULL;
    node->pending_count = 0;
    struct raft_stored stored = {.entries = &first, .entry_count = 1};
    struct queue_error error;
    if (!open_raft(node, &stored, &error))
        node_die("form", &error);
    journal_write(JOURNAL_INFO, "formed", "members=%u disk=%016llx", members.count,
                  (unsigned long long)node->disk_id);
    return true;
}

/* Effects. */

static void pend(struct node *node, uint64_t sequence, uint64_t index, bool superseded)
{
    if (node->pending_count == node->pending_capacity) {
        node->pending_capacity = node->pending_capacity ? node->pending_capacity * 2 : 64;
        node->pending =
            disk_allocate(node->pending, node->pending_capacity * sizeof *node->pending);
    }
    node->pending[node->pending_count++] = (struct node_pending){sequence, index, superseded};
}

static void save_meta(struct node *node, const struct raft_effect *effect)
{
    struct meta_state state = node->storage.meta.state;
    state.term = effect->meta.term;
    state.vote = effect->meta.vote;
    struct queue_error error;
    if (!queue_defect(DEFECT_VOTE_NOT_PERSISTED) &&
        meta_save(&node->storage.meta, &state, &error) != DISK_OK)
        node_die("meta", &error);
    pend(node, effect->sequence, 0, false);
}

/* What was on its way behind the cut will never be there; it is as durable as what replaces it. */
static void truncate_log(struct node *node, const struct raft_effect *effect)
{
    log_truncate_suffix(node->storage.log, effect->index + 1);
    for (uint32_t i = 0; i < node->pending_count; i++) {
        if (node->pending[i].index > effect->index)
            node->pending[i].superseded = true;
    }
    pend(node, effect->sequence, effect->index, true);
}

static void reset_log(struct node *node, const struct raft_effect *effect, uint64_t index,
                      uint64_t term)
{
    for (uint32_t i = 0; i < node->pending_count; i++)
        node->pending[i].superseded = true;
    log_reset(node->storage.log, index, term);
    pend(node, effect->sequence, index, false);
}

void node_log_effect(struct node *node, const struct raft_effect *effect)
{
    struct log *log = node->storage.log;
    switch (effect->type) {
    case RAFT_EFFECT_META:
        save_meta(node, effect);
        break;
    case RAFT_EFFECT_APPEND:
        log_append(log, effect->entries.list, effect->entries.count);
        pend(node, effect->sequence, effect->entries.first + effect->entries.count - 1, false);
        break;
    case RAFT_EFFECT_TRUNCATE:
        truncate_log(node, effect);
        break;
    case RAFT_EFFECT_RESET:
        reset_log(node, effect, effect->index, raft_term_at(node->raft, effect->index));
        break;
    case RAFT_EFFECT_INSTALL:
        if (effect->snapshot.keep_log)
            pend(node, effect->sequence, 0, false); /* the file is durable since it was verified */
        else
            reset_log(node, effect, effect->snapshot.index, effect->snapshot.term);
        break;
    default: /* RAFT_EFFECT_COMPACT: the older snapshot still needs what is behind it */
        log_compact_prefix(log, effect->index < node->older_snapshot_index
                                    ? effect->index
                                    : node->older_snapshot_index);
    }
}
