/* What the files of the simulator share. */
#ifndef ORDEAL_TESTS_QUEUE_RAFT_WORLD_H
#define ORDEAL_TESTS_QUEUE_RAFT_WORLD_H

#include "queue/raft.h"
#include "tests/queue/lib/raft_simulator.h"

#include <setjmp.h>

enum {
    NODES = SIMULATION_NODES_MAX,
    ENTRY_BYTES = 128,
    READS_MAX = 64,
    DISKS_MAX = 256,
    ELECTION_TIMEOUT_MS = 100,
    HEARTBEAT_MS = 20,
    TICK_US = 10000,
    FAULT_PHASE_US = 3000000,
    LIVENESS_US = 15000000,
    SNAPSHOT_BYTES = 100,
    CHUNK_BYTES = 40,
};

/* An entry as disks keep it. Its chain is a hash of it and all before it, so that two logs agree up
 * to an entry if and only if the chains there are equal. */
struct kept {
    uint64_t term, chain;
    uint32_t type, length;
    uint8_t data[ENTRY_BYTES];
};

struct kept_snapshot {
    uint64_t index, term, chain;
    struct raft_config config;
};

enum disk_op_kind { OP_META, OP_APPEND, OP_TRUNCATE, OP_RESET, OP_INSTALL, OP_COMPACT };

struct disk_op {
    enum disk_op_kind kind;
    bool keep_log;
    uint64_t sequence, index;
    struct raft_meta meta;
    struct kept entry; /* APPEND: one op for each entry */
    struct kept_snapshot *snapshot;
};

/* What is durable, and what has been asked for since. */
struct disk {
    struct raft_meta meta;
    uint64_t first; /* index of the first entry */
    struct kept *log;
    size_t count, capacity;
    struct kept_snapshot snapshot;
    struct disk_op *ops;
    size_t op_count, op_capacity;
    bool syncing;
    uint32_t slow_ms;
};

struct simulated_read {
    uint64_t id, required; /* index that must be seen */
};

struct simulated_node {
    uint32_t id;
    uint64_t epoch; /* counts starts: what was meant for an earlier life is dropped */
    struct raft *raft;
    struct disk disk;
    bool wanted; /* by the operator, as a member */
    uint64_t paused_until_us, rate_permille, clock_us, clock_at_us;

    /* Of this life. */
    uint64_t *chain; /* by index */
    uint64_t chain_capacity;
    uint64_t last, applied, commit, term, sequence;
    enum raft_role role;
    struct raft_config config;                    /* as told, in the order of effects */
    uint64_t heard_us[NODES + 1], leads_since_us; /* by its own clock */
    struct simulated_read reads[READS_MAX];
    uint32_t read_count;
    uint8_t incoming[SNAPSHOT_BYTES];
    uint64_t incoming_index, incoming_length;
    struct kept_snapshot taking;
};

enum occurrence_kind {
    OCCUR_TICK,
    OCCUR_DELIVER,
    OCCUR_SYNC,
    OCCUR_PERSISTED,
    OCCUR_VERIFY,
    OCCUR_SNAPSHOT,
    OCCUR_START,
    OCCUR_FAULT,
    OCCUR_AMBUSH,
    OCCUR_CLIENT,
    OCCUR_OPERATOR,
    OCCUR_HEAL,
};

struct occurrence {
    uint64_t at_us, order;
    enum occurrence_kind kind;
    uint32_t node, from;
    uint64_t epoch, value;
    uint8_t *bytes;
    uint32_t length;
};

/* What the observer has seen committed, by index. */
struct committed {
    uint64_t term, chain, commit_term;
};

struct seen {
    uint64_t index, term, chain;
};

/* What the nemesis of figure 8 is at. */
struct figure8 {
    int act;
    uint64_t since_us, pair; /* bit i: node i is one of the first leader and its follower */
    uint32_t lonely;         /* who was elected beside them */
};

struct world {
    const struct simulation_options *options;
    struct simulation_result *result;
    const struct fault *faults;
    size_t fault_count;
    uint64_t random[2];
    uint64_t now_us, order;
    struct occurrence *heap;
    size_t heap_count, heap_capacity;
    uint32_t nodes;
    struct simulated_node node[NODES + 1];
    struct raft_effects effects;
    struct raft_decoded decoded;

    bool blocked[NODES + 1][NODES + 1];
    uint32_t loss, duplicate, late, late_ms;
    uint32_t ambushes[SIMULATION_FAULTS_MAX], ambush_count; /* set for the next leaders */
    uint32_t voter_ambushes;

    uint64_t next_disk;
    uint64_t dead_disks[DISKS_MAX];
    uint32_t dead_count;
    struct raft_config first_config;

    uint64_t next_payload, next_read;
    uint64_t proposed_first; /* of the payloads that were proposed last */
    bool healed;
    uint64_t healed_index; /* proposed after healing, 0: not yet */
    uint64_t healed_term;

    struct committed *committed;
    uint64_t committed_last, committed_capacity;
    struct raft_config committed_config;
    struct seen *seen;
    size_t seen_count, seen_capacity;
    uint32_t *leaders; /* by term */
    uint64_t leaders_capacity;
    uint8_t *carrying; /* bytes of the message being delivered */
    sigjmp_buf failed;
    struct simulated_node *stepping; /* whose core is at work */
    uint32_t restarts;               /* of nodes whose core refused to go on */
    struct figure8 figure8;
    struct recorder *recorder; /* NULL: no history is wanted */
};

/* raft_simulator.c */
uint64_t world_random(struct world *world);
uint64_t world_below(struct world *world, uint64_t bound);
bool world_chance(struct world *world, uint32_t percent);
void world_later(struct world *world, uint64_t delay_us, struct occurrence occurrence);
void world_step(struct world *world, struct simulated_node *node, const struct raft_event *event);
/* The core was opened: its effects, and its first tick. */
void world_started(struct world *world, struct simulated_node *node);
void world_trace(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* raft_world_users.c */
void world_client(struct world *world);
void world_operator(struct world *world);
/* Whether all are voters again, and have applied what was proposed since the healing. */
bool world_alive_again(const struct world *world);

/* raft_world_disk.c */
void disk_push(struct simulated_node *node, const struct disk_op *op);
void disk_apply(struct disk *disk, size_t count);
void disk_crash(struct world *world, struct disk *disk);
void disk_format(struct disk *disk, uint64_t id);
void disk_bootstrap(struct disk *disk, const struct raft_config *config);
void disk_free(struct disk *disk);
uint64_t disk_last(const struct disk *disk);
bool disk_has(const struct disk *disk, uint64_t index, uint64_t chain);
uint64_t chain_next(uint64_t chain, const struct entry *entry);

/* raft_world_faults.c */
enum schedule { SCHEDULE_ALL, SCHEDULE_ELECTIONS, SCHEDULE_MEMBERS };
enum schedule world_schedule(const struct simulation_options *options);
void world_fault(struct world *world, const struct fault *fault);
/* A leader was elected: what lies in wait for it begins. */
void world_elected(struct world *world, const struct simulated_node *node);
void world_heal(struct world *world);
void world_start(struct world *world, struct simulated_node *node);
/* Whether a membership, with those that join, has lost at most f disks, one more of them included.
 */
bool world_bears(const struct world *world, const struct raft_config *config, uint64_t also);
uint32_t world_leader(const struct world *world);

/* raft_world_check.c: each ends the run when something is wrong. */
void world_fail(struct world *world, const struct simulated_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));
/* An entry with its data, which the core may have left to the disk. */
struct entry world_whole_entry(struct world *world, const struct simulated_node *node,
                               const struct entry *entry);

void check_entry(struct world *world, struct simulated_node *node, const struct entry *entry);
void check_truncate(struct world *world, struct simulated_node *node, uint64_t last);
/* After opening: the observer's view of the log, from the disk. */
void check_restore(struct world *world, struct simulated_node *node);
void check_install(struct world *world, struct simulated_node *node,
                   const struct kept_snapshot *snapshot);
void check_apply(struct world *world, struct simulated_node *node, const struct entry *entry);
void check_commit(struct world *world, struct simulated_node *node, uint64_t index);
void check_leader(struct world *world, struct simulated_node *node);
void check_stale_leader(struct world *world, struct simulated_node *node);
void check_read(struct world *world, struct simulated_node *node, uint64_t id, uint64_t index);
void check_after_step(struct world *world, struct simulated_node *node);

/* raft_world_figure8.c: nothing happens in them unless it is wanted. */
void figure8_elected(struct world *world, const struct simulated_node *node);
void figure8_committed(struct world *world, const struct simulated_node *node);
void figure8_time(struct world *world);

/* raft_world_history.c: nothing happens in them where no history is wanted. */
struct recorder *recorder_open(FILE *out);
void recorder_free(struct recorder *recorder);
void record_invoked(struct world *world, const struct simulated_node *node, uint64_t payload);
/* Those of these payloads that are waited for were refused. */
void record_refused(struct world *world, uint64_t first, uint64_t last);
/* `chain` is the log that ends with the entry, `before` the log without it. */
void record_entry(struct world *world, uint64_t before, uint64_t chain, const struct entry *entry);
uint64_t record_before(const struct world *world, uint64_t chain);
void record_applied(struct world *world, const struct simulated_node *node,
                    const struct entry *entry);
/* Whether it is time to drain though not all is well. */
bool record_finished(struct world *world);
/* Takes all that the leader has applied. */
void record_drained(struct world *world);

#endif
