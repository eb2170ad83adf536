/* A log entry: what the Raft core orders, the storage keeps, and the state machine applies.
 *
 * Nothing in queue/ includes anything from harness/: the harness must prove this server right, so
 * no bug may hide in code that both share. */
#ifndef ORDEAL_QUEUE_ENTRY_H
#define ORDEAL_QUEUE_ENTRY_H

#include <stdint.h>

enum entry_type {
    ENTRY_NOOP = 1, /* a new leader's first: commits what came before, and carries nothing */
    ENTRY_COMMANDS, /* a batch for the state machine: see state.h */
    ENTRY_CONFIG,   /* a membership: see raft.h */
};

struct entry {
    uint64_t index; /* from 1, without gaps */
    uint64_t term;
    uint32_t type; /* enum entry_type */
    uint32_t length;
    const void *data; /* whose memory it is, each function that takes entries says */
};

#endif
