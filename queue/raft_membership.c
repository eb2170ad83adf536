/* Membership: one member at a time (thesis §4.1), learners before voters (§4.2.1), and leadership
 * handed over (§3.10). A configuration counts from the moment that it is in the log; one that is
 * cut off again gives way to the one before it. */
#include "queue/raft_internal.h"

#include <string.h>

static void peers_sync(struct raft *raft)
{
    struct peer peers[RAFT_MEMBERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < raft->config.count; i++) {
        const struct raft_member *member = &raft->config.members[i];
        if (member->node == raft->options.node) {
            continue;
        }
        const struct peer *known = raft_peer(raft, member->node, member->disk);
        /* A new disk starts at the end of the log and is told back from there. */
        peers[count++] = known ? *known
                               : (struct peer){.node = member->node,
                                               .disk = member->disk,
                                               .next = raft_last(raft) + 1};
    }
    memcpy(raft->peers, peers, count * sizeof *peers);
    raft->peer_count = count;
}

void raft_adopt_config(struct raft *raft, const struct raft_config *config, uint64_t index)
{
    raft->config = *config;
    raft->config_index = index;
    peers_sync(raft);
    raft_effect(raft, RAFT_EFFECT_CONFIG)->config = &raft->config;
}

/* The newest up to an index, which is not before the snapshot. Returns where it is. */
static uint64_t config_find(const struct raft *raft, uint64_t index, struct raft_config *config)
{
    for (uint64_t i = index; i > raft->snapshot_index; i--) {
        const struct entry *entry = raft_window_at(raft, i);
        if (entry->type == ENTRY_CONFIG && raft_config_decode(entry->data, entry->length, config)) {
            return i;
        }
    }
    *config = raft->snapshot_config;
    return raft->snapshot_index;
}

void raft_config_rescan(struct raft *raft)
{
    struct raft_config config;
    uint64_t index = config_find(raft, raft_last(raft), &config);
    raft_adopt_config(raft, &config, index);
}

bool raft_config_before(const struct raft *raft, struct raft_config *config)
{
    if (raft->config_index <= raft->snapshot_index) {
        return false;
    }
    config_find(raft, raft->config_index - 1, config);
    return true;
}

bool raft_config_at(const struct raft *raft, uint64_t index, struct raft_config *config)
{
    if (index < raft->snapshot_index || index > raft->commit) {
        return false;
    }
    config_find(raft, index, config);
    return true;
}

static bool caught_up(const struct raft *raft, const struct peer *peer)
{
    return !peer->suspect && peer->match >= raft->term_start &&
           peer->match + raft->options.catch_up_entries >= raft_last(raft);
}

static enum raft_reason config_add(const struct raft *raft, struct raft_config *config,
                                   const struct raft_member *member, struct raft_member *present)
{
    if (member->disk == 0 ||
        (member->standing != RAFT_JOINING && member->standing != RAFT_LEARNER) ||
        !memchr(member->address, 0, RAFT_ADDRESS_BYTES)) {
        return RAFT_INVALID;
    }
    for (uint32_t i = 0; i < config->count; i++) {
        if (config->members[i].disk == member->disk) {
            return config->members[i].node == member->node ? RAFT_ALREADY : RAFT_INVALID;
        }
    }
    if (present && present->node == raft->options.node) {
        return RAFT_INVALID; /* a leader cannot be replaced by another disk of its own node */
    }
    if (!present && config->count == RAFT_MEMBERS_MAX) {
        return RAFT_FULL;
    }
    if (!present) {
        present = &config->members[config->count++];
    }
    *present = *member;
    return RAFT_OK;
}

static enum raft_reason config_promote(struct raft *raft, struct raft_member *present)
{
    if (!present) {
        return RAFT_NOT_MEMBER;
    }
    if (present->standing == RAFT_VOTER) {
        return RAFT_ALREADY;
    }
    const struct peer *peer = raft_peer(raft, present->node, present->disk);
    if (!peer || !caught_up(raft, peer)) {
        return RAFT_NOT_CAUGHT_UP;
    }
    present->standing = RAFT_VOTER;
    return RAFT_OK;
}

static enum raft_reason config_remove(struct raft_config *config, struct raft_member *present)
{
    if (!present) {
        return RAFT_NOT_MEMBER;
    }
    *present = config->members[--config->count];
    return RAFT_OK;
}

static enum raft_reason config_change(struct raft *raft, enum raft_change change,
                                      const struct raft_member *member, struct raft_config *config)
{
    if (raft->role != RAFT_LEADER) {
        return RAFT_NOT_LEADER;
    }
    if (raft->transfer_node) {
        return RAFT_BUSY;
    }
    /* Two changes at once could give two majorities that do not meet; and a change appended before
     * this term's first entry is committed could be one too many (the correction of 2015 to thesis
     * §4.1). */
    if (raft->config_index > raft->commit || raft->commit < raft->term_start) {
        return RAFT_CHANGE_PENDING;
    }
    *config = raft->config;
    struct raft_member *present = (struct raft_member *)raft_config_find(config, member->node);
    enum raft_reason reason = member->node == 0 ? RAFT_INVALID
                              : change == RAFT_CHANGE_ADD
                                  ? config_add(raft, config, member, present)
                              : change == RAFT_CHANGE_PROMOTE ? config_promote(raft, present)
                              : change == RAFT_CHANGE_REMOVE  ? config_remove(config, present)
                                                              : RAFT_INVALID;
    if (reason == RAFT_OK && !raft_quorum(raft, config, true, raft_heard_lately, 0)) {
        return RAFT_NO_QUORUM;
    }
    return reason;
}

/* Returns the index, or 0 and *reason. */
static uint64_t change_append(struct raft *raft, enum raft_change change,
                              const struct raft_member *member, enum raft_reason *reason)
{
    struct raft_config config;
    *reason = config_change(raft, change, member, &config);
    if (*reason != RAFT_OK) {
        return 0;
    }
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
    struct entry entry = {.index = raft_last(raft) + 1,
                          .term = raft->meta.term,
                          .type = ENTRY_CONFIG,
                          .length = (uint32_t)raft_config_encode(&config, bytes),
                          .data = bytes};
    raft_log_append(raft, &entry, 1);
    return entry.index;
}

void raft_membership(struct raft *raft, const struct raft_event *event)
{
    enum raft_reason reason;
    uint64_t index =
        change_append(raft, event->membership.change, &event->membership.member, &reason);
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_MEMBERSHIP);
    effect->membership.id = event->membership.id;
    effect->membership.reason = reason;
    effect->membership.index = index;
    if (index > 0) {
        raft_replicate_all(raft);
        raft_leader_commit(raft);
    }
}

void raft_membership_promote(struct raft *raft)
{
    if (raft->role != RAFT_LEADER) {
        return;
    }
    for (uint32_t i = 0; i < raft->config.count; i++) {
        struct raft_member member = raft->config.members[i];
        if (member.standing != RAFT_JOINING) {
            continue;
        }
        enum raft_reason reason;
        if (change_append(raft, RAFT_CHANGE_PROMOTE, &member, &reason) > 0) {
            raft_replicate_all(raft);
            raft_leader_commit(raft);
            return; /* one at a time */
        }
    }
}

void raft_membership_committed(struct raft *raft)
{
    if (raft->config_index > raft->commit) {
        return;
    }
    const struct raft_member *self = raft_config_find(&raft->config, raft->options.node);
    if (self && raft_is_self(raft, self) && self->standing == RAFT_VOTER) {
        return;
    }
    raft_heartbeat_all(
        raft); /* so that the others know it is committed without another election first */
    raft_become_follower(raft, raft->meta.term, 0, 0, RAFT_REMOVED);
}

static void send_timeout_now(struct raft *raft, const struct peer *peer)
{
    struct raft_message message = raft_to(raft, RAFT_MESSAGE_TIMEOUT_NOW, peer->node, peer->disk);
    raft_send(raft, &message);
    raft->transfer_sent = true;
}

void raft_transfer(struct raft *raft, uint32_t node)
{
    const struct raft_member *member = raft_config_find(&raft->config, node);
    if (raft->role != RAFT_LEADER || raft->transfer_node || !member ||
        member->standing != RAFT_VOTER || raft_is_self(raft, member)) {
        return;
    }
    struct peer *peer = raft_peer(raft, node, member->disk);
    if (!peer || peer->suspect) {
        return;
    }
    raft->transfer_node = node;
    raft->transfer_until_ms = raft->now_ms + raft->options.election_timeout_ms;
    raft->transfer_sent = false;
    raft_transfer_progress(raft, peer);
}

void raft_transfer_progress(struct raft *raft, struct peer *peer)
{
    if (raft->transfer_node == peer->node && !raft->transfer_sent &&
        peer->match == raft_last(raft)) {
        send_timeout_now(raft, peer);
    }
}
