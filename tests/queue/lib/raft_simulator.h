/* A deterministic world for the Raft core: virtual time, network, disks, clients, an operator, and
 * faults.
 *
 * Everything is drawn from one seed, so a run can be repeated. The faults are a list made from the
 * seed beforehand, so that a failing run can be shrunk to the few faults that matter. After every
 * step of every node the invariants of Raft are checked against what an omniscient observer knows;
 * at the end all is healed, and the cluster must commit a new entry everywhere. */
#ifndef ORDEAL_TESTS_QUEUE_RAFT_SIMULATOR_H
#define ORDEAL_TESTS_QUEUE_RAFT_SIMULATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { SIMULATION_NODES_MAX = 7, SIMULATION_FAULTS_MAX = 96 };

enum fault_kind {
    FAULT_CRASH,     /* node, ms down; unsynced effects are lost, or some of the first survive */
    FAULT_CRASH_ALL, /* ms down */
    FAULT_WIPE,      /* node, ms down: it comes back with an empty disk; not past f disks at once */
    FAULT_ROT,       /* node, ms down: its log has lost its end, the storage notices and formats */
    FAULT_PAUSE,     /* node, ms */
    FAULT_RATE,      /* node, permille of its clock */
    FAULT_PARTITION, /* mask of one side, direction */
    FAULT_ISOLATE,   /* node, direction */
    FAULT_LINK,      /* node, other: one way */
    FAULT_HEAL,      /* of the network */
    FAULT_LOSS,      /* percent */
    FAULT_DUPLICATE, /* percent */
    FAULT_DELAY,     /* percent of messages that are late, ms at most */
    FAULT_DISK_SLOW, /* node, ms a sync may take */
    FAULT_SNAPSHOT,  /* node */
    FAULT_MEMBER,    /* node: leaves if it is in, joins if it is out */
    FAULT_TRANSFER,  /* node that is to lead */
    FAULT_AMBUSH,    /* the next to be elected falls a little later: crashed, or cut off */
    FAULT_AMBUSH_VOTER, /* the next that gives a vote crashes, for a very short time */
    FAULT_KINDS,
};

/* node 0 means whoever leads at that time. */
struct fault {
    uint32_t at_ms;
    enum fault_kind kind;
    uint32_t node, value;
};

/* Ways in which the world breaks what it promised the core: each must be noticed. */
enum simulation_lie {
    LIE_NONE,
    LIE_PERSISTED_EARLY, /* PERSISTED comes before anything is on disk */
    LIE_META_FORGOTTEN,  /* a crash loses term and vote although they were durable */
    LIE_DISK_ID_REUSED,  /* a wiped disk keeps its id, and claims to be a first disk of the cluster
                          */
    LIE_LOG_CUT,         /* rot cuts durable entries and the storage does not notice */
    LIE_READ_LOCAL,      /* reads are answered by whoever believes to lead, without ReadIndex */
    LIE_COUNT,
};

const char *simulation_lie_name(enum simulation_lie lie);

struct simulation_options {
    uint64_t seed;
    enum simulation_lie lie;
    uint32_t nodes;     /* 0: 3 to 7, drawn from the seed */
    bool outcomes_only; /* leave out the check that commits are on a majority of disks, to see
                           what the others find by themselves */
    bool trace;         /* print what happens to stderr */
    bool figure8;       /* besides the faults, that of the Raft paper, again and again */
    /* What clients saw goes there, in EDN; then the observer stays silent, and a node whose core
     * refuses to go on is restarted, as a service would be. NULL: none. */
    FILE *history;
};

struct simulation_result {
    uint64_t entries_read; /* by the core's wish, from a disk */
    bool failed;
    char message[400]; /* what was violated, where and when */
    uint64_t steps;    /* calls of raft_step */
    uint64_t virtual_ms;
    uint64_t committed, elections, reads, installs, wipes, crashes, changes, transfers, suspects;
};

/* The faults that the seed stands for. Returns how many. */
size_t simulation_faults(const struct simulation_options *options,
                         struct fault faults[SIMULATION_FAULTS_MAX]);
void simulation_run(const struct simulation_options *options, const struct fault *faults,
                    size_t count, struct simulation_result *result);
/* Leaves out faults for as long as the run still fails. Returns how many are left. */
size_t simulation_shrink(const struct simulation_options *options, struct fault *faults,
                         size_t count);
/* Runs the seed; on a failure shrinks it and prints seed, violation and faults to stderr. */
void simulation_check(const struct simulation_options *options, struct simulation_result *result);
void simulation_print(const struct simulation_options *options, const struct fault *faults,
                      size_t count, const struct simulation_result *result);

#endif
