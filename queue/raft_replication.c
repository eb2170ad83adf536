/* Replication: the paper §5.3 and figure 2. A leader sends each follower what it lacks, several
 * messages at a time once it knows where their logs agree; a follower acknowledges what is on its
 * disk. */
#include "queue/defect.h"
#include "queue/raft_internal.h"

#include <stdlib.h>
#include <string.h>

/* The leader's side: sending. */

static uint32_t batch(const struct raft *raft, uint64_t first)
{
    uint64_t bytes = 0;
    uint32_t count = 0;
    for (uint64_t i = first; i <= raft_last(raft) && count < RAFT_MESSAGE_ENTRIES_MAX; i++) {
        bytes += raft_window_at(raft, i)->length;
        if (count > 0 && bytes > raft->options.message_bytes_max) {
            break;
        }
        count++;
    }
    return count;
}

static void send_append(struct raft *raft, struct peer *peer, uint64_t before, uint32_t count)
{
    struct raft_message message = raft_to(raft, RAFT_MESSAGE_APPEND, peer->node, peer->disk);
    message.index = before;
    message.log_term = before > 0 ? raft_window_term(raft, before) : 0;
    message.entry_count = count;
    message.commit = raft->commit;
    message.round = ++raft->round;
    raft_send(raft, &message);
}

void raft_replicate(struct raft *raft, struct peer *peer)
{
    if (peer->suspect || peer->mode == PEER_SNAPSHOT) {
        return;
    }
    if (peer->next <= raft->window.base) {
        raft_snapshot_begin(raft, peer);
        return;
    }
    if (peer->mode == PEER_PROBE) {
        if (!peer->waiting) {
            send_append(raft, peer, peer->next - 1, batch(raft, peer->next));
            peer->waiting = true;
        }
        return;
    }
    while (peer->next <= raft_last(raft) &&
           peer->inflight_count < raft->options.inflight_messages_max) {
        uint32_t count = batch(raft, peer->next);
        send_append(raft, peer, peer->next - 1, count);
        peer->next += count;
        peer->inflight[peer->inflight_count++] = peer->next - 1;
    }
}

void raft_replicate_all(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        raft_replicate(raft, &raft->peers[i]);
    }
}

/* Tells all that there is a leader, and finds out what was lost on the way: an empty APPEND behind
 * the last that was sent is refused by one who lacks it. */
void raft_heartbeat_all(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        struct peer *peer = &raft->peers[i];
        if (peer->suspect) {
            continue;
        }
        if (peer->mode == PEER_SNAPSHOT) {
            send_append(raft, peer, 0, 0); /* before all entries every log agrees */
        } else if (peer->next <= raft->window.base) {
            raft_snapshot_begin(raft, peer);
        } else if (peer->mode == PEER_PROBE) {
            peer->waiting = false;
            raft_replicate(raft, peer);
        } else {
            send_append(raft, peer, peer->next - 1, 0);
        }
    }
}

/* The leader's side: being one. */

void raft_lead(struct raft *raft)
{
    raft->role = RAFT_LEADER;
    raft->leader = raft->options.node;
    raft->leader_disk = raft->meta.disk;
    raft->round = 0;
    raft->read_count = 0;
    raft->transfer_node = 0;
    raft->heartbeat_at_ms = raft->now_ms + raft->options.heartbeat_ms;
    raft->quorum_check_at_ms = raft->now_ms + raft->options.election_timeout_ms;
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        struct peer *peer = &raft->peers[i];
        *peer = (struct peer){.node = peer->node, .disk = peer->disk, .next = raft_last(raft) + 1};
    }
    struct entry noop = {.index = raft_last(raft) + 1, .term = raft->meta.term, .type = ENTRY_NOOP};
    raft->term_start = noop.index;
    raft_log_append(raft, &noop, 1);
    raft_replicate_all(raft);
    raft_leader_commit(raft);
}

bool raft_heard_lately(const struct raft *raft, const struct peer *peer, uint64_t value)
{
    (void)value;
    return peer->heard && peer->heard_ms + raft->options.election_timeout_ms >= raft->now_ms;
}

void raft_heard(const struct raft *raft, struct peer *peer)
{
    peer->heard = true;
    peer->heard_ms = raft->now_ms;
}

void raft_leader_tick(struct raft *raft)
{
    uint64_t timeout_ms = raft->options.election_timeout_ms;
    if (raft->now_ms >= raft->quorum_check_at_ms && !queue_defect(DEFECT_NO_CHECK_QUORUM)) {
        raft->quorum_check_at_ms = raft->now_ms + timeout_ms / 2;
        if (!raft_quorum(raft, &raft->config, true, raft_heard_lately, 0)) {
            raft_become_follower(raft, raft->meta.term, 0, 0, RAFT_NO_QUORUM);
            return;
        }
    }
    if (raft->transfer_node && raft->now_ms >= raft->transfer_until_ms) {
        raft->transfer_node = 0; /* it did not take over: go on */
    }
    if (raft->now_ms >= raft->heartbeat_at_ms) {
        raft->heartbeat_at_ms = raft->now_ms + raft->options.heartbeat_ms;
        raft_heartbeat_all(raft);
        for (uint32_t i = 0; i < raft->peer_count; i++) {
            raft_snapshot_resend(raft, &raft->peers[i]);
        }
        raft_membership_promote(raft);
    }
}

static int descending(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? 1 : a > b ? -1 : 0;
}

/* The last index that a majority of the voters have on disk. */
static uint64_t quorum_match(struct raft *raft)
{
    uint64_t matches[RAFT_MEMBERS_MAX];
    size_t voters = 0;
    for (uint32_t i = 0; i < raft->config.count; i++) {
        const struct raft_member *member = &raft->config.members[i];
        if (member->standing != RAFT_VOTER) {
            continue;
        }
        const struct peer *peer = raft_peer(raft, member->node, member->disk);
        if (raft_is_self(raft, member)) {
            /* But for its first entry, which is applied when it is known to lead. */
            bool early =
                queue_defect(DEFECT_ACK_BEFORE_FSYNC) && raft_last(raft) > raft->term_start;
            matches[voters++] = early ? raft_last(raft) : raft->persisted;
        } else {
            matches[voters++] = peer && !peer->suspect ? peer->match : 0;
        }
    }
    qsort(matches, voters, sizeof *matches, descending);
    return voters > 0 ? matches[voters / 2] : 0;
}

void raft_leader_commit(struct raft *raft)
{
    uint64_t index = quorum_match(raft);
    if (index <= raft->commit) {
        return;
    }
    /* Entries of earlier terms are never committed by counting (the paper, figure 8): a majority
     * may have one and yet elect a leader that lacks it. They become so with the first of this
     * term. */
    if (raft_window_term(raft, index) != raft->meta.term && !queue_defect(DEFECT_COMMIT_OLD_TERM)) {
        return;
    }
    raft_commit_to(raft, index);
    raft_reads_committed(raft);
    raft_membership_committed(raft);
}

void raft_propose(struct raft *raft, const struct raft_event *event)
{
    enum raft_reason reason = RAFT_OK;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < event->propose.count; i++) {
        bytes += event->propose.proposals[i].length;
        if (event->propose.proposals[i].length > raft->options.entry_bytes_max) {
            reason = RAFT_TOO_LARGE;
        }
    }
    uint64_t waiting = raft_last(raft) - raft->commit;
    if (raft->role != RAFT_LEADER) {
        reason = RAFT_NOT_LEADER;
    } else if (event->propose.count == 0) {
        reason = RAFT_INVALID;
    } else if (reason == RAFT_OK &&
               (raft->transfer_node ||
                waiting + event->propose.count > raft->options.uncommitted_entries_max ||
                (waiting > 0 &&
                 raft->uncommitted_bytes + bytes > raft->options.uncommitted_bytes_max))) {
        reason = RAFT_BUSY;
    }
    if (reason != RAFT_OK) {
        struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_REFUSED);
        effect->refused.id = event->propose.id;
        effect->refused.reason = reason;
        effect->refused.leader = raft->leader;
        return;
    }
    struct entry *entries = calloc(event->propose.count, sizeof *entries);
    if (!entries) {
        abort();
    }
    for (uint32_t i = 0; i < event->propose.count; i++) {
        entries[i] = (struct entry){.index = raft_last(raft) + 1 + i,
                                    .term = raft->meta.term,
                                    .type = ENTRY_COMMANDS,
                                    .length = event->propose.proposals[i].length,
                                    .data = event->propose.proposals[i].data};
    }
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_PROPOSED);
    effect->proposed.id = event->propose.id;
    effect->proposed.first = entries[0].index;
    effect->proposed.count = event->propose.count;
    effect->proposed.term = raft->meta.term;
    raft_log_append(raft, entries, event->propose.count);
    free(entries);
    raft_replicate_all(raft);
    raft_leader_commit(raft);
}

/* The follower's side. */

void raft_follow(struct raft *raft, const struct raft_message *message)
{
    raft_become_follower(raft, message->term, message->from, message->from_disk, RAFT_HIGHER_TERM);
    raft->leader_heard = true;
    raft->leader_heard_ms = raft->now_ms;
    raft_election_reset(raft);
    if (message->round > raft->round) {
        raft->round = message->round;
    }
}

/* Says how much is on this disk and as the leader has it; nothing before the term itself is
 * durable. */
void raft_reply_append(struct raft *raft)
{
    if (raft->role == RAFT_LEADER || !raft->leader || !raft->leader_heard) {
        return;
    }
    bool early = queue_defect(DEFECT_ACK_BEFORE_FSYNC);
    if (!raft_meta_durable(raft)) {
        raft->reply_due = true;
        return;
    }
    raft->reply_due = false;
    struct raft_message reply =
        raft_to(raft, RAFT_MESSAGE_APPEND_REPLY, raft->leader, raft->leader_disk);
    reply.index = raft->verified < raft->persisted || early ? raft->verified : raft->persisted;
    reply.round = raft->round;
    raft_send(raft, &reply);
}

/* Refuses, with the last entry here that may be the leader's too: not behind the one asked for, and
 * of no newer term. */
static void refuse_append(struct raft *raft, const struct raft_message *message)
{
    uint64_t hint = message->index < raft_last(raft) ? message->index : raft_last(raft);
    while (hint > raft->commit && raft_window_term(raft, hint) > message->log_term) {
        hint--;
    }
    struct raft_message reply =
        raft_to(raft, RAFT_MESSAGE_APPEND_REPLY, message->from, message->from_disk);
    reply.flags = RAFT_FLAG_NO;
    reply.index = message->index;
    reply.hint = hint;
    reply.log_term = raft_window_term(raft, hint);
    reply.round = message->round;
    raft_send_durable(raft, &reply);
}

static void store_entries(struct raft *raft, const struct raft_message *message, uint32_t skip)
{
    for (uint32_t i = skip; i < message->entry_count; i++) {
        const struct entry *entry = &message->entries[i];
        if (entry->index > raft_last(raft)) {
            raft_log_append(raft, entry, message->entry_count - i);
            return;
        }
        if (raft_window_term(raft, entry->index) != entry->term) {
            raft_log_truncate(raft, entry->index - 1);
            raft_log_append(raft, entry, message->entry_count - i);
            return;
        }
    }
}

void raft_handle_append(struct raft *raft, const struct raft_message *message)
{
    if (message->term < raft->meta.term) {
        /* A leader that is none any more learns it by the term. Nothing else may be said: if it
         * leads again by now, it would take the round for one of its present term. */
        struct raft_message reply =
            raft_to(raft, RAFT_MESSAGE_APPEND_REPLY, message->from, message->from_disk);
        reply.flags = RAFT_FLAG_NO;
        raft_send_durable(raft, &reply);
        return;
    }
    if (raft->role == RAFT_LEADER && message->term == raft->meta.term) {
        return; /* there cannot be two */
    }
    raft_follow(raft, message);
    uint64_t before = message->index, end = before + message->entry_count;
    uint32_t skip = 0;
    if (before < raft->commit) { /* what is committed is the same in every later leader's log */
        skip = end < raft->commit ? message->entry_count : (uint32_t)(raft->commit - before);
        before = raft->commit;
        end = end < before ? before : end;
    } else if (before > raft_last(raft) || raft_window_term(raft, before) != message->log_term) {
        refuse_append(raft, message);
        return;
    }
    store_entries(raft, message, skip);
    if (end > raft->verified) {
        raft->verified = end;
    }
    uint64_t commit = message->commit < raft->verified ? message->commit : raft->verified;
    if (commit > raft->commit) {
        raft_commit_to(raft, commit);
    }
    raft_reply_append(raft);
}

/* The leader's side: answers. */

static void peer_probe(struct peer *peer, uint64_t next)
{
    peer->mode = PEER_PROBE;
    peer->next = next > peer->match ? next : peer->match + 1;
    peer->waiting = false;
    peer->inflight_count = 0;
}

void raft_peer_matched(struct raft *raft, struct peer *peer, uint64_t match)
{
    uint32_t done = 0;
    while (done < peer->inflight_count && peer->inflight[done] <= match) {
        done++;
    }
    peer->inflight_count -= done;
    memmove(peer->inflight, peer->inflight + done, peer->inflight_count * sizeof *peer->inflight);
    if (match > peer->match) {
        peer->match = match;
        peer->match_round = raft->round;
    }
    if (peer->next <= match) {
        peer->next = match + 1;
    }
    if (peer->mode == PEER_PROBE) {
        peer->mode = PEER_REPLICATE;
        peer->waiting = false;
    } else if (peer->mode == PEER_SNAPSHOT && peer->match >= raft->window.base) {
        peer_probe(peer, peer->match + 1);
    }
}

static void append_refused(struct raft *raft, struct peer *peer, const struct raft_message *message)
{
    if (message->index <= peer->match) {
        /* It acknowledged this entry, then was asked about it, and does not have it. */
        if (message->round > peer->match_round && !peer->suspect) {
            peer->suspect = true;
            struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_DISK_SUSPECT);
            effect->disk.node = peer->node;
            effect->disk.disk = peer->disk;
        }
        return;
    }
    if (peer->mode == PEER_SNAPSHOT ||
        (peer->mode == PEER_PROBE && message->index != peer->next - 1)) {
        return; /* an answer to something older */
    }
    uint64_t next = message->hint < message->index ? message->hint : message->index - 1;
    while (next > peer->match && next > raft->window.base &&
           raft_window_term(raft, next) > message->log_term) {
        next--;
    }
    peer_probe(peer, next + 1);
    raft_replicate(raft, peer);
}

void raft_handle_append_reply(struct raft *raft, const struct raft_message *message)
{
    struct peer *peer = raft_peer(raft, message->from, message->from_disk);
    if (!peer) {
        return;
    }
    if (message->term > raft->meta.term) {
        raft_become_follower(raft, message->term, 0, 0, RAFT_HIGHER_TERM);
        return;
    }
    bool refused = message->flags & RAFT_FLAG_NO;
    if (raft->role != RAFT_LEADER || message->term < raft->meta.term || peer->suspect ||
        message->round > raft->round || message->index > raft_last(raft)) {
        return;
    }
    raft_heard(raft, peer);
    if (message->round > peer->acked_round) {
        peer->acked_round = message->round;
        raft_reads_confirm(raft);
    }
    if (refused) {
        append_refused(raft, peer, message);
        return;
    }
    raft_peer_matched(raft, peer, message->index);
    raft_leader_commit(raft);
    if (raft->role != RAFT_LEADER) {
        return;
    }
    raft_membership_promote(raft);
    raft_transfer_progress(raft, peer);
    raft_replicate(raft, peer);
}
