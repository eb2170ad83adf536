/* One member of the cluster without its sockets: the Raft core, the disk it orders about, and the
 * state machine it feeds.
 *
 * Commands are gathered by node_submit and become one log entry at the end of the event loop's turn
 * (node_turn), with one sync for all of them. A `tag` is the caller's word for one of its requests:
 * each tag submitted is answered by exactly one of result, lost or refused; each read tag by one
 * `read`; each change's by one `changed`. Callbacks come from within the calls below, and may
 * submit, but not step, turn or form.
 *
 * Time. A leader's T is the T that its term's first entry left in the state, plus what its
 * monotonic clock has counted since. Until that entry is applied it leads nothing.
 *
 * Threads: the event loop's only. A disk that fails ends the process. */
#ifndef ORDEAL_QUEUE_NODE_H
#define ORDEAL_QUEUE_NODE_H

#include "queue/config.h"
#include "queue/raft.h"
#include "queue/state.h"
#include "queue/storage.h"

enum { NODE_READ_BYTES = 4 << 20, NODE_MEMORY_BYTES = 4 << 20 };

struct node_listener {
    void *context;
    /* Committed and applied, in the term in which it was proposed, by this node. */
    void (*result)(void *context, void *tag, const struct state_result *result);
    void (*proposed)(void *context, void *tag); /* in the leader's log, and nothing more */
    void (*lost)(void *context, void *tag);     /* may or may not have been, or yet be, committed */
    void (*refused)(void *context, void *tag, enum raft_reason reason); /* will never be */
    size_t (*read)(void *context, void *tag, bool good); /* good: answer from the state now; how
                                                            many bytes that took */
    void (*changed)(void *context, void *tag, enum raft_reason reason); /* RAFT_BUSY: unknown */
    void (*ready)(void *context, struct command_bytes queue); /* while leading; see state.h */
    void (*role)(void *context); /* `leading`, `leader` or the term are not what they were */
    void (*send)(void *context, const struct raft_message *message);
    void (*applied)(const struct state_result *result); /* for planted defects */
    void (*members)(void *context, const struct raft_config *members);
};

/* An entry of this node's that is not applied yet. */
struct node_flight {
    struct node_flight *next;
    uint64_t index, term;
    void *change; /* a membership change's tag */
    uint32_t count;
    void *tags[];
};

struct node_tags {
    void **list;
    uint32_t count, capacity;
};

struct node_pending { /* on its way to the disk */
    uint64_t sequence, index;
    bool superseded; /* durable with whatever comes after it */
};

struct node_counters {
    uint64_t batches, commands, ticks, elections, snapshots, snapshots_received;
    uint64_t fork_us;      /* how long the last snapshot's fork held everybody up */
    uint64_t entries_read; /* from the log, for followers that were far behind */
    uint64_t memory_index; /* state index at which `bytes` was looked up */
};

struct node {
    const struct config *config;
    const struct node_listener *listener;
    struct disk disk;
    struct storage storage;
    struct state *state;
    struct raft *raft;
    struct raft_effects effects;
    uint64_t disk_id;
    bool leading; /* leads, and has applied its term's first entry */
    enum raft_role role;
    uint32_t leader; /* 0: not known */
    uint64_t term, term_start_ms, term_start_mono_ms;

    struct command_batch batch;
    struct node_tags batch_tags;
    struct node_flight *flights, **flights_end;
    uint64_t flight_bytes;
    struct node_tags reads_next, reads_now;
    uint64_t read_index; /* reads_now are to be answered at it; 0: not confirmed */
    uint32_t reads_done; /* of reads_now */
    size_t read_bytes;   /* answered in this turn */
    bool reading, tick_in_flight;

    struct node_pending *pending;
    uint32_t pending_count, pending_capacity;

    bool child_running, receiving;
    struct snapshot_child child;
    struct snapshot_receiver receiver;
    struct snapshot sending;
    bool sending_open;
    uint64_t snapshot_index, older_snapshot_index;
    uint64_t verified_index; /* an event to be stepped; 0: none */
    bool verified_good;
    uint64_t snapshot_failures;

    struct node_counters counters;
};

/* Opens the directory and starts. A damaged disk of a cluster is formatted again and waits to be
 * added; of a single node it is refused. False with the reason. */
bool node_open(struct node *node, const struct config *config, const struct node_listener *listener,
               struct queue_error *error);
void node_close(struct node *node);

/* Whether this disk is, or has ever been, part of a cluster. */
bool node_formed(const struct node *node);
/* Makes this disk, which is part of none, a founder of the cluster with these members, itself among
 * them. `bytes` is an encoded raft_config. False when it is not so. */
bool node_form(struct node *node, const void *bytes, size_t length);
/* The founding entry's data, or NULL when it is no longer kept. */
const struct entry *node_founding(const struct node *node);

/* Adds to the turn's batch. The tag may be NULL: nobody waits. False when the command cannot be
 * encoded: then nothing is answered. */
bool node_submit(struct node *node, const struct command *command, void *tag,
                 struct queue_error *error);
/* How much waits to be applied: stop taking commands when it is large. */
uint64_t node_backlog_bytes(const struct node *node);
/* Proposes what was gathered, when it is large enough to be an entry of its own. */
void node_flush(struct node *node);
void node_read(struct node *node, void *tag);
bool node_has_reads(const struct node *node); /* left for the next turn, which should not wait */
void node_change(struct node *node, enum raft_change change, const struct raft_member *member,
                 void *tag);
void node_transfer(struct node *node, uint32_t target);

/* Events. */
void node_message(struct node *node, const struct raft_message *message);
void node_persisted(struct node *node); /* the log's event file is readable */
void node_tick(struct node *node);
void node_turn(struct node *node); /* at the end of each turn of the loop */

uint64_t node_time_ms(const struct node *node); /* T now; the state's when not leading */
uint64_t node_clock_ms(void);                   /* CLOCK_MONOTONIC */
uint64_t node_random(void);

/* For node_disk.c and node_snapshot.c. */
void node_step(struct node *node, const struct raft_event *event);
void node_carry_out(struct node *node, const struct raft_effect *effect);
void node_report_persisted(struct node *node);
bool node_load(struct node *node, struct queue_error *error);
/* As log_read does, of entries that must be there: the process ends when they are not. */
void node_read_entries(struct node *node, uint64_t from, uint64_t bytes_max,
                       struct log_batch *batch);
void node_log_effect(struct node *node, const struct raft_effect *effect);
void node_send_snapshot(struct node *node, const struct raft_message *message);
void node_store_chunk(struct node *node, const struct raft_effect *effect);
void node_install(struct node *node, const struct raft_effect *effect);
void node_snapshot_turn(struct node *node);
bool node_restore(struct node *node, struct snapshot *snapshot, struct queue_error *error);
void node_die(const char *what, const struct queue_error *error) __attribute__((noreturn));

#endif
