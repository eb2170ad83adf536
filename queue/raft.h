/* The Raft core: a pure state machine. An event goes in, effects come out; nothing else happens.
 *
 * It has no clock, socket, file, thread or random number. Time and randomness arrive in TICK
 * events, bytes of peers in MESSAGE events, and completions of the disk in PERSISTED events;
 * whatever must happen outside is an effect that the caller carries out. Hence a simulator can run
 * the same code through millions of schedules, and every run can be repeated from its seed.
 *
 * Sources: D. Ongaro and J. Ousterhout, "In Search of an Understandable Consensus Algorithm" (the
 * paper), figure 2 for the rules and figure 13 for snapshots; D. Ongaro, "Consensus: Bridging
 * Theory and Practice" (the thesis), §3.10 leadership transfer, §4.1 single-server membership
 * changes (with the correction of 2015: an entry of the own term must be committed first), §4.2.1
 * learners, §4.2.3 and §9.6 pre-vote, §6.2 a leader that hears no quorum steps down, §6.4 reads by
 * ReadIndex, §10.2.1 writing to the own disk in parallel. Left out on purpose: joint consensus, and
 * leases for reads (they would trust clocks).
 *
 * A voter is its disk. Every disk gets a random id, never 0, when it is formatted; members of a
 * configuration are pairs of node and disk, every message says which disk it is from and which it
 * is for, and votes and acknowledgements count only from the very disk in the configuration. A node
 * that comes back with an emptied or doubtful disk has to format it, thereby has another id, and is
 * nobody until it has joined again as a learner. So neither lost votes nor lost entries can make a
 * second history.
 *
 * Threads: one thread at a time per struct raft. Memory that cannot be had ends the program.
 */
#ifndef ORDEAL_QUEUE_RAFT_H
#define ORDEAL_QUEUE_RAFT_H

#include "queue/entry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RAFT_MEMBERS_MAX = 9,
    RAFT_ADDRESS_BYTES = 128,       /* with the 0 at the end */
    RAFT_MESSAGE_ENTRIES_MAX = 256, /* entries in one message */
    RAFT_CONFIG_BYTES_MAX = 1 + RAFT_MEMBERS_MAX * (4 + 8 + 1 + 1 + RAFT_ADDRESS_BYTES),
    RAFT_MESSAGE_HEADER_BYTES_MAX = 128 + RAFT_CONFIG_BYTES_MAX,
};

/* Membership. */

enum raft_standing {
    RAFT_VOTER = 1,
    RAFT_JOINING, /* receives the log without a vote; the leader makes it a voter once it has caught
                     up */
    RAFT_LEARNER, /* receives the log without a vote, until somebody promotes it */
};

struct raft_member {
    uint64_t disk;
    uint32_t node; /* never 0 */
    enum raft_standing standing;
    char address[RAFT_ADDRESS_BYTES]; /* means nothing to the core: where the others reach it */
};

/* At most one member for each node. */
struct raft_config {
    uint32_t count;
    struct raft_member members[RAFT_MEMBERS_MAX];
};

/* The data of an ENTRY_CONFIG. Encode writes at most RAFT_CONFIG_BYTES_MAX and returns how many.
 * Decode is for bytes of any origin: false leaves *config as it was. The first entry of a new
 * cluster, at index 1 with term 1, is such an entry; whoever formats the first disks writes it, the
 * same on each, beside a meta of term 1. A disk that is to join an existing cluster is formatted
 * with an empty log and term 0. */
size_t raft_config_encode(const struct raft_config *config, void *bytes);
bool raft_config_decode(const void *bytes, size_t length, struct raft_config *config);
const struct raft_member *raft_config_find(const struct raft_config *config, uint32_t node);
uint32_t raft_config_voters(const struct raft_config *config);

/* Messages between nodes. Which fields a type uses:
 *
 *  PREVOTE, VOTE    term (PREVOTE: that it would stand in), index and log_term of the last entry;
 *                   RAFT_FLAG_TRANSFER: the leader asked for it, do not wait for its silence
 *  their replies    term; RAFT_FLAG_YES when granted
 *  APPEND           term, index and log_term of the entry before the first, commit, round, entries
 *  APPEND_REPLY     term, round; index: everything up to it is on this disk and is as the leader
 * has it; or RAFT_FLAG_NO, index: of the refused APPEND, hint and log_term: an earlier entry before
 * which both may agree SNAPSHOT         term, round, index and log_term of the last entry in it,
 * config, offset, data; RAFT_FLAG_LAST SNAPSHOT_REPLY   term, round, index of the snapshot, offset
 * of the chunk that it wants next TIMEOUT_NOW      term: stand for election at once STRANGER term
 * 0: a message came that was for another disk than from_disk, which is mine */
enum raft_message_type {
    RAFT_MESSAGE_PREVOTE = 1,
    RAFT_MESSAGE_PREVOTE_REPLY,
    RAFT_MESSAGE_VOTE,
    RAFT_MESSAGE_VOTE_REPLY,
    RAFT_MESSAGE_APPEND,
    RAFT_MESSAGE_APPEND_REPLY,
    RAFT_MESSAGE_SNAPSHOT,
    RAFT_MESSAGE_SNAPSHOT_REPLY,
    RAFT_MESSAGE_TIMEOUT_NOW,
    RAFT_MESSAGE_STRANGER,
    RAFT_MESSAGE_TYPES,
};

enum {
    RAFT_FLAG_YES = 1,
    RAFT_FLAG_NO = 2,
    RAFT_FLAG_TRANSFER = 4,
    RAFT_FLAG_LAST = 8,
};

struct raft_message {
    enum raft_message_type type;
    uint32_t flags;
    uint32_t from, to;
    uint64_t from_disk, to_disk;
    uint64_t term;
    uint64_t index, log_term;
    uint64_t hint;
    uint64_t commit;
    uint64_t
        round; /* numbers a leader's messages; a reply carries that of the message it answers */
    uint64_t offset;
    uint32_t entry_count;
    uint32_t length; /* of data, in bytes */
    const struct entry *entries;
    const void *data;
    const struct raft_config *config;
};

/* Bytes for the wire: little-endian, without framing, checksum or authentication, which are the
 * connection's. Size is exact; encode writes that many. */
size_t raft_message_size(const struct raft_message *message);
void raft_message_encode(const struct raft_message *message, void *bytes);

/* Room for a decoded message, whose data still lies in the bytes that were decoded. About 12 KiB.
 */
struct raft_decoded {
    struct raft_message message;
    struct raft_config config;
    struct entry entries[RAFT_MESSAGE_ENTRIES_MAX];
};
/* Takes bytes of any origin. Returns NULL, or in a few words what is wrong with them. */
const char *raft_message_decode(const void *bytes, size_t length, struct raft_decoded *decoded);

/* Events. */

enum raft_event_type {
    RAFT_EVENT_TICK = 1,          /* tick: time passes; send one every few milliseconds */
    RAFT_EVENT_MESSAGE,           /* message: as decoded; nothing in it is trusted */
    RAFT_EVENT_PROPOSE,           /* propose: answered by PROPOSED or REFUSED */
    RAFT_EVENT_PERSISTED,         /* persisted: the disk has kept what it was given */
    RAFT_EVENT_SNAPSHOT_TAKEN,    /* snapshot: of the own state, and durable */
    RAFT_EVENT_SNAPSHOT_VERIFIED, /* snapshot: the last STORE_CHUNK is durable and its checksums
                                     were seen to */
    RAFT_EVENT_MEMBERSHIP,        /* membership: answered by MEMBERSHIP */
    RAFT_EVENT_TRANSFER,          /* transfer: hand leadership over; see ROLE for how it went */
    RAFT_EVENT_READ,              /* read: answered by READ_READY or READ_FAILED */
};

enum raft_change {
    /* The member joins as its standing says (JOINING or LEARNER). If the node is there already with
     * another disk, this replaces it: the old disk is out at once. */
    RAFT_CHANGE_ADD = 1,
    /* A learner that has caught up becomes a voter. */
    RAFT_CHANGE_PROMOTE,
    /* The node is out. A leader that removes itself steps down after the commit. Nobody can tell
     * the core which disks are lost for good: do not leave a membership that has lost half of them.
     */
    RAFT_CHANGE_REMOVE,
};

struct raft_proposal {
    const void *data;
    uint32_t length;
};

struct raft_event {
    enum raft_event_type type;
    union {
        struct {
            uint64_t now_ms; /* of a clock that never goes back; only differences matter */
            uint64_t random; /* any: election timeouts until the next tick are drawn from it */
        } tick;
        const struct raft_message *message;
        struct {
            const struct raft_proposal *proposals; /* one entry each; copied */
            uint32_t count;
            uint64_t id; /* the caller's, returned in the answer */
        } propose;
        struct {
            uint64_t sequence; /* every effect up to this sequence is durable */
        } persisted;
        struct {
            uint64_t index;
            bool good; /* VERIFIED only: false when it is not what was sent */
        } snapshot;
        struct {
            enum raft_change change;
            struct raft_member member; /* PROMOTE and REMOVE look at its node only */
            uint64_t id;
        } membership;
        struct {
            uint32_t node;
        } transfer;
        struct {
            uint64_t id;
        } read;
    };
};

/* Effects, to be carried out in their order.
 *
 * Those for the disk (META, APPEND, TRUNCATE, RESET, INSTALL) carry a sequence. Carry them out in
 * that order; once all up to one are durable, say so by PERSISTED, for one or many at a time. After
 * a crash any prefix of what was not yet durable may be there, of meta and of log independently,
 * but never a later effect on the log without the earlier ones. A disk that reports an error must
 * not be written to again: end the process.
 *
 * Pointers in effects belong to the core and are good until the next raft_step or raft_close. */
enum raft_effect_type {
    RAFT_EFFECT_META = 1, /* meta: keep it */
    RAFT_EFFECT_APPEND,   /* entries: behind the log's last */
    RAFT_EFFECT_TRUNCATE, /* index: drop all entries behind it */
    RAFT_EFFECT_RESET,    /* index: drop all entries; the next to come is the one behind index */
    RAFT_EFFECT_INSTALL,  /* snapshot: the verified one becomes the node's state, machine included;
                             then as RESET, unless keep_log: entries up to index may go */
    RAFT_EFFECT_COMPACT,  /* index: entries up to it may go, now or later; needs no sync */
    RAFT_EFFECT_SEND,     /* message: may be lost, late, doubled */
    RAFT_EFFECT_SEND_SNAPSHOT, /* message: fill in data, length and RAFT_FLAG_LAST from the snapshot
                                  at index, from offset on, and send it; past its end without data
                                  but with that flag; not at all when the snapshot is gone. Of one
                                  disk and index there must never be two different snapshots */
    RAFT_EFFECT_STORE_CHUNK, /* chunk: of a snapshot being received; offset 0 starts a new one, and
                                drops what was there, with its SNAPSHOT_VERIFIED if that has not
                                been sent. After the last: check it, sync it, then
                                SNAPSHOT_VERIFIED */
    RAFT_EFFECT_APPLY, /* entries: committed, the next in order for the machine. Those of another
                          term than was proposed at their index mean that the proposal was lost */
    RAFT_EFFECT_ROLE,  /* role: role, term or leader have changed */
    RAFT_EFFECT_STEP_DOWN,  /* step_down: was leader, is not any more; what was proposed and not yet
                               applied may or may not be committed */
    RAFT_EFFECT_PROPOSED,   /* proposed: will be applied at these indexes, if this term is theirs */
    RAFT_EFFECT_REFUSED,    /* refused: nothing was done, nor will be */
    RAFT_EFFECT_READ_READY, /* read: once applied up to index, the machine may answer */
    RAFT_EFFECT_READ_FAILED,  /* read: ask the leader */
    RAFT_EFFECT_MEMBERSHIP,   /* membership: RAFT_OK: appended at index, committed when applied */
    RAFT_EFFECT_CONFIG,       /* config: the members are these from now on (connect to them) */
    RAFT_EFFECT_DISK_CHANGED, /* disk: the node answers for another than the configuration has; may
                                 be an old answer, so ask the node before replacing its disk */
    RAFT_EFFECT_DISK_SUSPECT, /* disk: has lost what it acknowledged, under the same id: it counts
                                 no more in this term, and must be formatted and join again */
};

enum raft_role { RAFT_FOLLOWER, RAFT_PRECANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

enum raft_reason {
    RAFT_OK,
    RAFT_NOT_LEADER,
    RAFT_BUSY, /* too much uncommitted, or leadership is being handed over: try again */
    RAFT_TOO_LARGE,
    RAFT_CHANGE_PENDING, /* another change, or the term's first entry, is not yet committed */
    RAFT_NOT_MEMBER,
    RAFT_ALREADY, /* it is as asked */
    RAFT_FULL,    /* RAFT_MEMBERS_MAX */
    RAFT_NOT_CAUGHT_UP,
    RAFT_NO_QUORUM,   /* the members left would not have had a quorum just now */
    RAFT_HIGHER_TERM, /* STEP_DOWN: another leader or candidate */
    RAFT_REMOVED,     /* STEP_DOWN: is no voter any more */
    RAFT_INVALID,
};
const char *raft_reason_text(enum raft_reason reason);

struct raft_meta {
    uint64_t disk; /* set when the disk is formatted; the core never changes it */
    uint64_t term;
    uint64_t vote; /* the disk voted for in this term, 0: none */
};

struct raft_effect {
    enum raft_effect_type type;
    uint64_t sequence; /* of effects for the disk, from 1; 0 for others */
    union {
        struct raft_meta meta;
        struct {
            const struct entry *list;
            uint64_t first; /* index */
            uint64_t count;
        } entries;
        uint64_t index;
        struct {
            uint64_t index, term;
            const struct raft_config *config;
            bool keep_log;
        } snapshot;
        struct raft_message message;
        struct {
            uint64_t index, term; /* of the snapshot */
            uint64_t offset;
            const void *data;
            uint32_t length;
            bool last;
        } chunk;
        struct {
            enum raft_role role;
            uint64_t term;
            uint32_t leader; /* node, 0: not known */
        } role;
        struct {
            enum raft_reason reason;
        } step_down;
        struct {
            uint64_t id, first, count, term;
        } proposed;
        struct {
            uint64_t id;
            enum raft_reason reason;
            uint32_t leader;
        } refused;
        struct {
            uint64_t id, index;
        } read;
        struct {
            uint64_t id, index;
            enum raft_reason reason;
        } membership;
        const struct raft_config *config;
        struct {
            uint64_t disk;
            uint32_t node;
        } disk;
    };
};

/* The caller's, reused from step to step; starts as {0}. */
struct raft_effects {
    struct raft_effect *list;
    size_t count, capacity;
};
void raft_effects_free(struct raft_effects *effects);

/* Life. */

struct raft_options {
    uint32_t node;
    uint64_t now_ms, random;      /* as in a TICK */
    uint32_t election_timeout_ms; /* each one waits this long and up to as long again */
    uint32_t heartbeat_ms;        /* a fraction of that: a fifth or less */
    uint32_t message_bytes_max; /* of entries in one message; one entry is sent whatever its size */
    uint32_t inflight_messages_max;   /* unanswered messages with entries to one peer, 1 to 16 */
    uint32_t entry_bytes_max;         /* larger proposals are refused */
    uint64_t uncommitted_entries_max; /* further proposals are refused as BUSY */
    uint64_t uncommitted_bytes_max;
    uint64_t trailing_entries; /* kept behind a snapshot, for followers that are a little late */
    uint64_t catch_up_entries; /* a learner that lacks no more than these has caught up */
    /* So many bytes of entries are kept in memory, of those that are durable and applied: of older
     * ones only what they are, but not their data. 0: of all. */
    uint64_t memory_bytes_max;
};
/* Values for a local network; the caller sets node, now_ms and random. */
struct raft_options raft_options_default(void);

/* What the disk has. */
struct raft_stored {
    struct raft_meta meta;
    uint64_t snapshot_index, snapshot_term; /* 0: none */
    struct raft_config snapshot_config;
    const struct entry *entries; /* in order, without gaps; copied, see below */
    uint64_t entry_count;
};

/* In what is stored, and in SEND and APPLY effects, an entry whose data is NULL although its length
 * is not 0 is one whose data is on the disk only: whoever needs it reads it there. That of an
 * ENTRY_CONFIG is always in memory.
 *
 * Starts from what is stored; the machine is at the snapshot's state. NULL and *problem, a static
 * text, when that cannot be the rest of any log: format the disk and join again. May have effects,
 * as a step has. */
struct raft *raft_open(const struct raft_options *options, const struct raft_stored *stored,
                       struct raft_effects *effects, const char **problem);
void raft_close(struct raft *raft);

/* One step. Replaces what is in *effects. */
void raft_step(struct raft *raft, const struct raft_event *event, struct raft_effects *effects);

/* To look at, between steps. */
struct raft_status {
    enum raft_role role;
    uint64_t term, vote, disk;
    uint32_t node, leader; /* leader 0: not known */
    uint64_t first;        /* entries are kept from here */
    uint64_t last, commit, persisted;
    uint64_t snapshot_index;
    uint64_t window_bytes; /* of the entries kept: time for a snapshot when it is large */
    uint64_t memory_bytes; /* of them, the data that is in memory */
    const struct raft_config *config;
    uint64_t config_index;
};
void raft_status(const struct raft *raft, struct raft_status *status);
/* NULL when it is not kept. */
const struct entry *raft_entry(const struct raft *raft, uint64_t index);
/* The membership to write into a snapshot at this index; false when the index is older than the
 * last snapshot or not committed. */
bool raft_config_at(const struct raft *raft, uint64_t index, struct raft_config *config);
/* The term to write into a snapshot at this index; 0 when not known. */
uint64_t raft_term_at(const struct raft *raft, uint64_t index);

#endif
