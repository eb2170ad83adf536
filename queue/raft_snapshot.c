/* Snapshots: the paper §7 and figure 13. The core knows of a snapshot only where it ends; its bytes
 * pass by in chunks, one at a time, each asked for by the one who wants it, so that a broken
 * transfer goes on from where it was. */
#include "queue/raft_internal.h"

/* The leader's side. */

static void send_chunk(struct raft *raft, struct peer *peer)
{
    struct raft_message message = raft_to(raft, RAFT_MESSAGE_SNAPSHOT, peer->node, peer->disk);
    message.index = raft->snapshot_index;
    message.log_term = raft->snapshot_term;
    message.config = &raft->snapshot_config;
    message.offset = peer->snapshot_offset;
    message.round = ++raft->round;
    raft_effect(raft, RAFT_EFFECT_SEND_SNAPSHOT)->message = message;
    peer->waiting = true;
}

void raft_snapshot_begin(struct raft *raft, struct peer *peer)
{
    peer->mode = PEER_SNAPSHOT;
    peer->inflight_count = 0;
    peer->snapshot_index = raft->snapshot_index;
    peer->snapshot_offset = 0;
    send_chunk(raft, peer);
}

/* Each heartbeat: once more what was not answered since the last; of the newest snapshot, as the
 * one begun may be gone. */
void raft_snapshot_resend(struct raft *raft, struct peer *peer)
{
    if (peer->mode != PEER_SNAPSHOT || peer->suspect) {
        return;
    }
    if (!peer->waiting) {
        peer->waiting = true;
        return;
    }
    if (peer->snapshot_index != raft->snapshot_index) {
        raft_snapshot_begin(raft, peer);
    } else {
        send_chunk(raft, peer);
    }
}

void raft_handle_snapshot_reply(struct raft *raft, const struct raft_message *message)
{
    struct peer *peer = raft_peer(raft, message->from, message->from_disk);
    if (!peer) {
        return;
    }
    if (message->term > raft->meta.term) {
        raft_become_follower(raft, message->term, 0, 0, RAFT_HIGHER_TERM);
        return;
    }
    if (raft->role != RAFT_LEADER || message->term < raft->meta.term || peer->suspect ||
        message->round > raft->round) {
        return;
    }
    raft_heard(raft, peer);
    if (message->round > peer->acked_round) {
        peer->acked_round = message->round;
        raft_reads_confirm(raft);
    }
    if (peer->mode != PEER_SNAPSHOT || message->index != peer->snapshot_index ||
        message->offset == peer->snapshot_offset) {
        return;
    }
    if (peer->snapshot_index != raft->snapshot_index) {
        raft_snapshot_begin(raft, peer);
        return;
    }
    peer->snapshot_offset = message->offset;
    send_chunk(raft, peer);
}

void raft_snapshot_taken(struct raft *raft, uint64_t index)
{
    if (index <= raft->snapshot_index || index > raft->commit) {
        return;
    }
    struct raft_config config;
    if (!raft_config_at(raft, index, &config)) {
        return;
    }
    raft->snapshot_term = raft_window_term(raft, index);
    raft->snapshot_index = index;
    raft->snapshot_config = config;
    uint64_t trailing = raft->options.trailing_entries;
    if (index > trailing && index - trailing > raft->window.base) {
        raft_window_drop(raft, index - trailing);
        raft_effect(raft, RAFT_EFFECT_COMPACT)->index = index - trailing;
    }
}

/* The follower's side. */

static void reply_chunk(struct raft *raft)
{
    struct raft_message reply =
        raft_to(raft, RAFT_MESSAGE_SNAPSHOT_REPLY, raft->leader, raft->leader_disk);
    reply.index = raft->incoming.index;
    reply.offset = raft->incoming.offset;
    reply.round = raft->round;
    raft_send_durable(raft, &reply);
}

static void store_chunk(struct raft *raft, const struct raft_message *message)
{
    struct incoming *incoming = &raft->incoming;
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_STORE_CHUNK);
    effect->chunk.index = message->index;
    effect->chunk.term = message->log_term;
    effect->chunk.offset = message->offset;
    effect->chunk.data = message->data;
    effect->chunk.length = message->length;
    effect->chunk.last = incoming->complete = message->flags & RAFT_FLAG_LAST;
    incoming->offset += message->length;
}

void raft_handle_snapshot(struct raft *raft, const struct raft_message *message)
{
    if (message->term < raft->meta.term) {
        struct raft_message reply =
            raft_to(raft, RAFT_MESSAGE_SNAPSHOT_REPLY, message->from, message->from_disk);
        raft_send_durable(raft, &reply);
        return;
    }
    if (raft->role == RAFT_LEADER && message->term == raft->meta.term) {
        return;
    }
    raft_follow(raft, message);
    if (message->index <= raft->commit) {
        /* All that is in it is here, as in every later leader's log. */
        if (raft->commit > raft->verified) {
            raft->verified = raft->commit;
        }
        raft_reply_append(raft);
        return;
    }
    struct incoming *incoming = &raft->incoming;
    if (incoming->from_disk != message->from_disk || incoming->index != message->index ||
        incoming->term != message->log_term) {
        *incoming = (struct incoming){.from_disk = message->from_disk,
                                      .index = message->index,
                                      .term = message->log_term,
                                      .config = *message->config};
    }
    if (!incoming->complete && message->offset == incoming->offset &&
        (message->length > 0 || (message->flags & RAFT_FLAG_LAST))) {
        store_chunk(raft, message);
    }
    reply_chunk(raft);
}

static void install(struct raft *raft, const struct incoming *incoming)
{
    bool keep = raft_window_term(raft, incoming->index) == incoming->term;
    raft->snapshot_index = incoming->index;
    raft->snapshot_term = incoming->term;
    raft->snapshot_config = incoming->config;
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_INSTALL);
    effect->sequence = ++raft->sequence;
    effect->snapshot.index = incoming->index;
    effect->snapshot.term = incoming->term;
    effect->snapshot.config = &raft->snapshot_config;
    effect->snapshot.keep_log = keep;
    if (keep) {
        raft_window_drop(raft, incoming->index);
    } else {
        raft_log_lost(raft, raft->commit);
        raft_window_reset(raft, incoming->index, incoming->term);
    }
    raft_log_pending(raft, effect->sequence, incoming->index);
    raft->commit = incoming->index;
    raft->uncommitted_bytes = 0;
    for (uint64_t i = raft->commit + 1; i <= raft_last(raft); i++) {
        raft->uncommitted_bytes += raft_window_at(raft, i)->length;
    }
    raft_config_rescan(raft);
}

void raft_snapshot_verified(struct raft *raft, uint64_t index, bool good)
{
    struct incoming incoming = raft->incoming;
    if (!incoming.complete || incoming.index != index) {
        return;
    }
    if (!good) { /* once more from the beginning */
        raft->incoming.offset = 0;
        raft->incoming.complete = false;
        if (raft->leader && raft->leader != raft->options.node) {
            reply_chunk(raft);
        }
        return;
    }
    raft->incoming = (struct incoming){0};
    if (incoming.index <= raft->commit || raft->role == RAFT_LEADER) {
        return;
    }
    install(raft, &incoming);
    /* All in it is committed, hence in the log of whoever leads now or later. */
    if (raft->leader && raft->verified < index) {
        raft->verified = index;
    }
    raft_reply_append(raft);
}
