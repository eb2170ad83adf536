/* A node's snapshots: written by a forked child, sent in chunks, received, installed. */
#include "queue/node.h"
#include "queue/slab.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "queue/clock.h"
#include "queue/snapshot_internal.h"

enum { CHUNK_BYTES = 256 << 10 };

static bool write_state(void *context, const void *data, size_t length)
{
    return snapshot_write(context, data, length);
}

static bool fill(void *context, struct snapshot_writer *writer)
{
    return state_snapshot_write(context, write_state, writer);
}

static int64_t read_state(void *context, void *data, size_t length)
{
    size_t got;
    struct queue_error error;
    if (snapshot_read(context, data, length, &got, &error) != DISK_OK)
        return -1;
    return (int64_t)got;
}

bool node_restore(struct node *node, struct snapshot *snapshot, struct queue_error *error)
{
    struct state *state = state_snapshot_read(read_state, snapshot, error);
    if (state == NULL)
        return false;
    state_free(node->state);
    node->state = state;
    return true;
}

static void begin(struct node *node, const struct state_info *info)
{
    struct raft_config config;
    char bytes[RAFT_CONFIG_BYTES_MAX];
    struct queue_error error;
    if (!raft_config_at(node->raft, info->index, &config))
        return;
    struct snapshot_header header = {.index = info->index,
                                     .term = raft_term_at(node->raft, info->index),
                                     .config = bytes,
                                     .config_bytes = (uint32_t)raft_config_encode(&config, bytes)};
    uint64_t begun_us = clock_us();
    enum disk_result result =
        snapshot_begin_child(&node->disk, &node->child, &header, fill, node->state, &error);
    node->counters.fork_us = clock_us() - begun_us;
    if (result == DISK_OK) {
        node->child_running = true;
    } else {
        node->snapshot_failures++;
        journal_write(JOURNAL_ERROR, "snapshot", "%s", error.message);
    }
}

/* A snapshot that fails is no danger: the log is longer for it. A full disk is seen to by the log.
 */
static void finish(struct node *node)
{
    struct queue_error error;
    node->child_running = false;
    slab_rejoin_begin();
    if (snapshot_finish_child(&node->child, &error) != DISK_OK) {
        node->snapshot_failures++;
        journal_write(JOURNAL_ERROR, "snapshot", "%s", error.message);
        return;
    }
    journal_write(JOURNAL_INFO, "snapshot", "index=%llu", (unsigned long long)node->child.index);
    node->counters.snapshots++;
    node->older_snapshot_index = node->snapshot_index;
    node->snapshot_index = node->child.index;
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_TAKEN,
                               .snapshot.index = node->child.index};
    node_step(node, &event);
}

void node_snapshot_turn(struct node *node)
{
    if (node->child_running) {
        struct pollfd ended = {.fd = node->child.pipe, .events = POLLIN};
        if (poll(&ended, 1, 0) > 0)
            finish(node);
        return;
    }
    struct state_info info;
    struct raft_status status;
    state_info(node->state, &info);
    raft_status(node->raft, &status);
    uint64_t behind = info.index - node->snapshot_index;
    /* After a failure the log must grow as much again before the next attempt. */
    uint64_t entries = node->config->snapshot_entries * (1 + node->snapshot_failures % 16);
    if (!node->receiving && info.index > node->snapshot_index &&
        (behind >= entries ||
         (status.window_bytes > node->config->snapshot_bytes && behind > 1024)))
        begin(node, &info);
}

/* Sending. */

static bool open_sending(struct node *node, uint64_t index, uint64_t term)
{
    if (node->sending_open && node->sending.header.index == index)
        return true;
    if (node->sending_open)
        snapshot_close(&node->sending);
    char name[SNAPSHOT_NAME_BYTES];
    struct queue_error error;
    snapshot_make_name(name, index, term);
    node->sending_open = snapshot_open(&node->sending, &node->disk, name, &error) == DISK_OK;
    if (!node->sending_open)
        journal_write(JOURNAL_WARNING, "snapshot-send", "%s", error.message);
    return node->sending_open;
}

void node_send_snapshot(struct node *node, const struct raft_message *asked)
{
    struct raft_message message = *asked;
    struct queue_error error;
    size_t length;
    if (!open_sending(node, message.index, message.log_term))
        return;
    char *bytes = disk_allocate(NULL, CHUNK_BYTES);
    if (snapshot_read_chunk(&node->sending, message.offset, bytes, CHUNK_BYTES, &length, &error) ==
        DISK_OK) {
        message.data = bytes;
        message.length = (uint32_t)length;
        if (message.offset + length >= node->sending.file_bytes)
            message.flags |= RAFT_FLAG_LAST;
        node->listener->send(node->listener->context, &message);
    }
    free(bytes);
}

/* Receiving. A child that ended later than the snapshot received would take it for a damaged one.
 */
static void stop_child(struct node *node)
{
    struct queue_error ignored;
    if (!node->child_running)
        return;
    kill(node->child.pid, SIGKILL);
    node->child_running = false;
    snapshot_finish_child(&node->child, &ignored);
    disk_unlink(&node->disk, node->child.aside, &ignored);
}

void node_store_chunk(struct node *node, const struct raft_effect *effect)
{
    struct queue_error error;
    if (effect->chunk.offset == 0) {
        if (node->receiving)
            snapshot_receive_abandon(&node->receiver);
        stop_child(node);
        if (snapshot_receive_begin(&node->receiver, &node->disk, &error) != DISK_OK)
            node_die("snapshot-receive", &error);
        node->receiving = true;
    }
    if (snapshot_receive(&node->receiver, effect->chunk.offset, effect->chunk.data,
                         effect->chunk.length, &error) != DISK_OK)
        node_die("snapshot-receive", &error);
    if (!effect->chunk.last)
        return;
    enum disk_result result =
        snapshot_receive_verify(&node->receiver, effect->chunk.index, effect->chunk.term, &error);
    node->receiving = result == DISK_OK; /* a verified one waits for its installation */
    if (result == DISK_FAILED)
        node_die("snapshot-receive", &error);
    if (result != DISK_OK)
        journal_write(JOURNAL_WARNING, "snapshot-receive", "%s", error.message);
    node->verified_index = effect->chunk.index;
    node->verified_good = result == DISK_OK;
}

void node_install(struct node *node, const struct raft_effect *effect)
{
    struct queue_error error = {"nothing was received"};
    char name[SNAPSHOT_NAME_BYTES];
    struct snapshot snapshot;
    if (!node->receiving || snapshot_receive_install(&node->receiver, &error) != DISK_OK)
        node_die("snapshot-install", &error);
    node->receiving = false;
    snapshot_make_name(name, effect->snapshot.index, effect->snapshot.term);
    if (snapshot_open(&snapshot, &node->disk, name, &error) != DISK_OK ||
        !node_restore(node, &snapshot, &error))
        node_die("snapshot-install", &error);
    snapshot_close(&snapshot);
    node->counters.snapshots_received++;
    node->older_snapshot_index = node->snapshot_index;
    node->snapshot_index = effect->snapshot.index;
    journal_write(JOURNAL_INFO, "snapshot-installed", "index=%llu",
                  (unsigned long long)effect->snapshot.index);
    node_log_effect(node, effect);
}
