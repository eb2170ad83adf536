/* What the files of the Raft core share. Nothing outside queue/raft*.c includes this. */
#ifndef ORDEAL_QUEUE_RAFT_INTERNAL_H
#define ORDEAL_QUEUE_RAFT_INTERNAL_H

#include "queue/raft.h"

enum {
    RAFT_INFLIGHT_MAX = 16,
    RAFT_HELD_MAX = 64, /* messages that wait for the disk */
    RAFT_READS_MAX = 1024,
};

/* What a leader knows of a follower: the paper's nextIndex and matchIndex, and how to send. */
enum peer_mode {
    PEER_PROBE,     /* where the logs agree is not known: one message at a time */
    PEER_REPLICATE, /* it is: several on the way, next runs ahead of match */
    PEER_SNAPSHOT,  /* what it lacks is no longer kept */
};

struct peer {
    uint64_t disk;
    uint32_t node;
    bool heard;   /* has answered in this term, last at heard_ms */
    bool granted; /* its vote or pre-vote, to a candidate */
    bool suspect; /* its disk has lost what it had acknowledged */
    bool waiting; /* PROBE, SNAPSHOT: for the answer to what was sent, or the next heartbeat */
    enum peer_mode mode;
    uint64_t match, next;
    uint64_t match_round; /* the newest round there was when match was learnt */
    uint64_t acked_round;
    uint64_t heard_ms;
    uint64_t snapshot_index, snapshot_offset;
    uint32_t inflight_count;
    uint64_t inflight[RAFT_INFLIGHT_MAX]; /* last index of each message on its way, oldest first */
};

/* Entries behind base, which is compacted or in the snapshot. Each owns its data, as far as that is
 * in memory; up to `evicted` it is not. */
struct window {
    struct entry *list;
    size_t start, count, capacity;
    uint64_t base, base_term;
    uint64_t bytes, memory_bytes;
    uint64_t evicted;
};

/* An APPEND or INSTALL that is not yet known to be durable. */
struct pending {
    uint64_t sequence, last;
};

struct held {
    uint64_t sequence; /* not before this is durable */
    struct raft_message message;
};

struct read_request {
    uint64_t id, round;
    uint64_t index; /* 0: the term's first entry is not yet committed */
};

/* A snapshot that comes in, from a leader's disk. */
struct incoming {
    uint64_t from_disk, index, term;
    uint64_t offset; /* wanted next */
    bool complete;   /* all is there; SNAPSHOT_VERIFIED is awaited */
    struct raft_config config;
};

struct raft {
    struct raft_options options;
    uint64_t now_ms, random;

    /* On disk, or on its way there. */
    struct raft_meta meta;
    struct window window;
    uint64_t snapshot_index, snapshot_term;
    struct raft_config snapshot_config;

    uint64_t sequence, persisted_sequence, meta_sequence;
    uint64_t persisted; /* entries up to here are durable */
    struct pending *pending;
    size_t pending_count, pending_capacity;
    struct held held[RAFT_HELD_MAX];
    uint32_t held_count;

    uint64_t commit;           /* all up to here has been given out by APPLY */
    struct raft_config config; /* the newest in the log, committed or not */
    uint64_t config_index;

    enum raft_role role;
    uint32_t leader;
    uint64_t leader_disk;
    uint64_t election_at_ms;
    uint64_t leader_heard_ms;
    bool leader_heard; /* in this term */

    /* Of a follower, in this term. */
    uint64_t verified; /* up to here the log is as the leader's */
    uint64_t round;    /* of the leader's last message; of a leader: its own last */
    bool reply_due;    /* an APPEND_REPLY waits for the disk */
    struct incoming incoming;

    /* Of a candidate or leader. */
    struct peer peers[RAFT_MEMBERS_MAX]; /* all members but this disk */
    uint32_t peer_count;
    uint64_t term_start; /* index of the term's first entry */
    uint64_t heartbeat_at_ms, quorum_check_at_ms;
    uint64_t uncommitted_bytes;
    struct read_request *reads;
    uint32_t read_count;
    uint32_t transfer_node;
    uint64_t transfer_until_ms;
    bool transfer_sent;

    enum raft_role told_role;
    uint64_t told_term;
    uint32_t told_leader;

    struct raft_effects *effects; /* of the step being made */
};

/* raft.c */
struct raft_effect *raft_effect(struct raft *raft, enum raft_effect_type type);
struct raft_message raft_to(const struct raft *raft, enum raft_message_type type, uint32_t node,
                            uint64_t disk);
void raft_send(struct raft *raft, const struct raft_message *message);
/* Sends once the term and vote are durable: nobody may hear of a vote that a crash could take back.
 */
void raft_send_durable(struct raft *raft, const struct raft_message *message);
bool raft_meta_durable(const struct raft *raft);
void raft_persist_meta(struct raft *raft);
void raft_commit_to(struct raft *raft, uint64_t index);
bool raft_is_self(const struct raft *raft, const struct raft_member *member);
/* Whether the voters of config for which accept() says yes (this disk: self) are a majority of
 * them. */
bool raft_quorum(const struct raft *raft, const struct raft_config *config, bool self,
                 bool (*accept)(const struct raft *raft, const struct peer *peer, uint64_t value),
                 uint64_t value);
struct peer *raft_peer(struct raft *raft, uint32_t node, uint64_t disk);

/* raft_window.c */
uint64_t raft_last(const struct raft *raft);
struct entry *raft_window_at(const struct raft *raft, uint64_t index);
uint64_t raft_window_term(const struct raft *raft, uint64_t index);  /* 0: not kept */
void raft_window_push(struct raft *raft, const struct entry *entry); /* copies */
void raft_window_cut(struct raft *raft, uint64_t last);
void raft_window_evict(struct raft *raft);
void raft_window_drop(struct raft *raft, uint64_t index); /* entries up to index */
void raft_window_reset(struct raft *raft, uint64_t base, uint64_t base_term);
void raft_window_free(struct raft *raft);
/* The log as a whole: window, disk, membership. */
void raft_log_append(struct raft *raft, const struct entry *entries, uint64_t count);
void raft_log_truncate(struct raft *raft, uint64_t last);
void raft_log_lost(struct raft *raft, uint64_t last); /* nothing behind it is taken for durable */
void raft_log_pending(struct raft *raft, uint64_t sequence, uint64_t last);
void raft_log_persisted(struct raft *raft, uint64_t sequence);

/* raft_election.c */
void raft_become_follower(struct raft *raft, uint64_t term, uint32_t leader, uint64_t disk,
                          enum raft_reason reason);
void raft_election_reset(struct raft *raft);
void raft_election_tick(struct raft *raft);
void raft_election_persisted(struct raft *raft);
void raft_handle_vote(struct raft *raft, const struct raft_message *message);
void raft_handle_vote_reply(struct raft *raft, const struct raft_message *message);
void raft_handle_timeout_now(struct raft *raft, const struct raft_message *message);

/* raft_replication.c */
void raft_lead(struct raft *raft);
void raft_leader_tick(struct raft *raft);
void raft_leader_commit(struct raft *raft);
void raft_heard(const struct raft *raft, struct peer *peer);
bool raft_heard_lately(const struct raft *raft, const struct peer *peer, uint64_t value);
void raft_replicate(struct raft *raft, struct peer *peer);
void raft_replicate_all(struct raft *raft);
void raft_heartbeat_all(struct raft *raft);
void raft_follow(struct raft *raft, const struct raft_message *message);
void raft_reply_append(struct raft *raft);
void raft_handle_append(struct raft *raft, const struct raft_message *message);
void raft_handle_append_reply(struct raft *raft, const struct raft_message *message);
void raft_peer_matched(struct raft *raft, struct peer *peer, uint64_t match);
void raft_propose(struct raft *raft, const struct raft_event *event);

/* raft_read.c */
void raft_read(struct raft *raft, uint64_t id);
void raft_reads_confirm(struct raft *raft);
void raft_reads_committed(struct raft *raft);
void raft_reads_fail(struct raft *raft);

/* raft_membership.c */
void raft_adopt_config(struct raft *raft, const struct raft_config *config, uint64_t index);
/* The membership before the newest; false when that is in the snapshot. */
bool raft_config_before(const struct raft *raft, struct raft_config *config);
void raft_config_rescan(struct raft *raft);
void raft_membership(struct raft *raft, const struct raft_event *event);
void raft_membership_promote(struct raft *raft);
void raft_membership_committed(struct raft *raft);
void raft_transfer(struct raft *raft, uint32_t node);
void raft_transfer_progress(struct raft *raft, struct peer *peer);

/* raft_snapshot.c */
void raft_snapshot_begin(struct raft *raft, struct peer *peer);
void raft_snapshot_resend(struct raft *raft, struct peer *peer);
void raft_snapshot_taken(struct raft *raft, uint64_t index);
void raft_snapshot_verified(struct raft *raft, uint64_t index, bool good);
void raft_handle_snapshot(struct raft *raft, const struct raft_message *message);
void raft_handle_snapshot_reply(struct raft *raft, const struct raft_message *message);

#endif
