/* Elections: the paper §5.2 and §5.4.1, with pre-vote (thesis §9.6), and deaf to candidates while a
 * leader is heard of (thesis §4.2.3), so that a node that was cut off or removed disturbs nobody.
 */
#include "queue/defect.h"
#include "queue/raft_internal.h"

void raft_election_reset(struct raft *raft)
{
    uint64_t timeout_ms = raft->options.election_timeout_ms;
    raft->election_at_ms = raft->now_ms + timeout_ms + raft->random % timeout_ms;
}

static void leave_leadership(struct raft *raft, enum raft_reason reason)
{
    raft_effect(raft, RAFT_EFFECT_STEP_DOWN)->step_down.reason = reason;
    raft_reads_fail(raft);
    raft->transfer_node = 0;
    raft->verified = 0;
    raft->round = 0;
    raft->reply_due = false;
    raft_election_reset(raft); /* the deadline is from before it led */
}

/* What is known of the leader of a term ends with the term. */
static void begin_term(struct raft *raft, uint64_t term, uint64_t vote)
{
    raft->meta.term = term;
    raft->meta.vote = vote;
    raft_persist_meta(raft);
    raft->verified = 0;
    raft->round = 0;
    raft->reply_due = false;
    raft->leader_heard = false;
    raft->leader = 0;
    raft->leader_disk = 0;
}

void raft_become_follower(struct raft *raft, uint64_t term, uint32_t leader, uint64_t disk,
                          enum raft_reason reason)
{
    bool led = raft->role == RAFT_LEADER;
    raft->role = RAFT_FOLLOWER;
    if (led) {
        leave_leadership(raft, reason);
    }
    if (term > raft->meta.term) {
        begin_term(raft, term, 0);
    }
    raft->leader = leader;
    raft->leader_disk = disk;
}

static bool is_voter(const struct raft *raft, const struct raft_config *config)
{
    const struct raft_member *self = raft_config_find(config, raft->options.node);
    return self && self->standing == RAFT_VOTER && raft_is_self(raft, self);
}

/* One whose removal is not yet committed must still stand (thesis §4.2.2): it may be the only one
 * that has all that is committed. */
static bool may_stand(const struct raft *raft)
{
    if (is_voter(raft, &raft->config)) {
        return true;
    }
    struct raft_config before;
    return raft->config_index > raft->commit && raft_config_before(raft, &before) &&
           is_voter(raft, &before);
}

static bool has_granted(const struct raft *raft, const struct peer *peer, uint64_t value)
{
    (void)raft;
    (void)value;
    return peer->granted;
}

static void ask_votes(struct raft *raft, enum raft_message_type type, uint32_t flags)
{
    for (uint32_t i = 0; i < raft->config.count; i++) {
        const struct raft_member *member = &raft->config.members[i];
        if (member->standing != RAFT_VOTER || raft_is_self(raft, member)) {
            continue;
        }
        struct raft_message message = raft_to(raft, type, member->node, member->disk);
        message.flags = flags;
        message.index = raft_last(raft);
        message.log_term = raft_window_term(raft, message.index);
        if (type == RAFT_MESSAGE_PREVOTE) {
            message.term = raft->meta.term + 1; /* only asked about: nothing to keep */
            raft_send(raft, &message);
        } else {
            raft_send_durable(raft, &message);
        }
    }
}

static void forget_votes(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        raft->peers[i].granted = false;
        raft->peers[i].suspect = false;
    }
}

static void stand(struct raft *raft, uint32_t flags)
{
    begin_term(raft, raft->meta.term + 1, raft->meta.disk);
    raft->role = RAFT_CANDIDATE;
    forget_votes(raft);
    raft_election_reset(raft);
    ask_votes(raft, RAFT_MESSAGE_VOTE, flags);
}

/* The own vote counts once it is durable, as everybody's does. */
void raft_election_persisted(struct raft *raft)
{
    if (raft->role == RAFT_CANDIDATE &&
        raft_quorum(raft, &raft->config, raft_meta_durable(raft), has_granted, 0)) {
        raft_lead(raft);
    }
}

static void ask_first(struct raft *raft)
{
    raft->role = RAFT_PRECANDIDATE;
    raft->leader = 0;
    raft->leader_disk = 0;
    forget_votes(raft);
    raft_election_reset(raft);
    if (queue_defect(DEFECT_NO_CHECK_QUORUM) ||
        raft_quorum(raft, &raft->config, true, has_granted, 0)) { /* the only voter */
        stand(raft, 0);
        return;
    }
    ask_votes(raft, RAFT_MESSAGE_PREVOTE, 0);
}

void raft_election_tick(struct raft *raft)
{
    if (raft->now_ms < raft->election_at_ms) {
        return;
    }
    if (may_stand(raft)) {
        ask_first(raft);
    } else {
        raft->role = RAFT_FOLLOWER;
        raft->leader = 0;
        raft_election_reset(raft);
    }
}

static bool hears_leader(const struct raft *raft)
{
    if (queue_defect(DEFECT_NO_CHECK_QUORUM)) {
        return false;
    }
    return raft->role == RAFT_LEADER ||
           (raft->leader != 0 && raft->leader_heard &&
            raft->now_ms < raft->leader_heard_ms + raft->options.election_timeout_ms);
}

static bool log_as_new(const struct raft *raft, const struct raft_message *message)
{
    uint64_t last = raft_last(raft), term = raft_window_term(raft, last);
    return message->log_term > term || (message->log_term == term && message->index >= last);
}

/* A disk that has never been part of the cluster knows no members, and has nothing to judge a log
 * by. */
static bool may_vote(const struct raft *raft)
{
    return raft->config.count > 0 || queue_defect(DEFECT_DISK_ID_IGNORED);
}

static bool grant_vote(struct raft *raft, const struct raft_message *message)
{
    if (message->term < raft->meta.term || !may_vote(raft) || !log_as_new(raft, message) ||
        (raft->meta.vote != 0 && raft->meta.vote != message->from_disk)) {
        return false;
    }
    if (raft->meta.vote == 0) {
        raft->meta.vote = message->from_disk;
        if (!queue_defect(DEFECT_VOTE_NOT_PERSISTED)) {
            raft_persist_meta(raft);
        }
    }
    raft_election_reset(raft);
    return true;
}

void raft_handle_vote(struct raft *raft, const struct raft_message *message)
{
    bool pre = message->type == RAFT_MESSAGE_PREVOTE;
    if (!(message->flags & RAFT_FLAG_TRANSFER) && hears_leader(raft)) {
        if (message->term < raft->meta.term) {
            /* It has to learn the term, or it would go on asking in vain. */
            struct raft_message reply =
                raft_to(raft, pre ? RAFT_MESSAGE_PREVOTE_REPLY : RAFT_MESSAGE_VOTE_REPLY,
                        message->from, message->from_disk);
            raft_send_durable(raft, &reply);
        }
        return;
    }
    bool granted;
    if (pre) {
        granted = message->term > raft->meta.term && may_vote(raft) && log_as_new(raft, message);
    } else {
        if (message->term > raft->meta.term) {
            raft_become_follower(raft, message->term, 0, 0, RAFT_HIGHER_TERM);
        }
        granted = grant_vote(raft, message);
    }
    struct raft_message reply =
        raft_to(raft, pre ? RAFT_MESSAGE_PREVOTE_REPLY : RAFT_MESSAGE_VOTE_REPLY, message->from,
                message->from_disk);
    reply.flags = granted ? RAFT_FLAG_YES : 0;
    if (pre && granted) {
        reply.term = message->term;
    }
    raft_send_durable(raft, &reply);
}

void raft_handle_vote_reply(struct raft *raft, const struct raft_message *message)
{
    bool pre = message->type == RAFT_MESSAGE_PREVOTE_REPLY;
    bool yes = message->flags & RAFT_FLAG_YES;
    struct peer *peer = raft_peer(raft, message->from, message->from_disk);
    if (!peer) {
        return;
    }
    if (message->term > raft->meta.term && !(pre && yes)) {
        raft_become_follower(raft, message->term, 0, 0, RAFT_HIGHER_TERM);
        return;
    }
    if (!yes) {
        return;
    }
    if (pre && raft->role == RAFT_PRECANDIDATE && message->term == raft->meta.term + 1) {
        peer->granted = true;
        if (raft_quorum(raft, &raft->config, true, has_granted, 0)) {
            stand(raft, 0);
        }
    } else if (!pre && raft->role == RAFT_CANDIDATE && message->term == raft->meta.term) {
        peer->granted = true;
        raft_election_persisted(raft);
    }
}

void raft_handle_timeout_now(struct raft *raft, const struct raft_message *message)
{
    if (message->term != raft->meta.term || raft->role == RAFT_LEADER ||
        message->from != raft->leader || !may_stand(raft)) {
        return;
    }
    stand(raft, RAFT_FLAG_TRANSFER);
}
