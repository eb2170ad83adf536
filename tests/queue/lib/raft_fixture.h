/* One core alone, and a test that plays the rest of the world. Failures are cmocka's. */
#ifndef ORDEAL_TESTS_QUEUE_RAFT_FIXTURE_H
#define ORDEAL_TESTS_QUEUE_RAFT_FIXTURE_H

#include "queue/raft.h"

/* Node n has the disk 100 + n; node 1 is the core. */
struct fixture {
    struct raft *raft;
    struct raft_effects effects; /* of the last step */
    uint64_t now_ms;
};

struct raft_options fixture_options(void);
struct raft_config fixture_config(uint32_t voters);
/* A cluster of so many, fresh from formatting: the core is a follower of term 1. */
struct fixture *fixture_open(uint32_t voters);
void fixture_close(struct fixture *fixture);

void fixture_tick(struct fixture *fixture, uint64_t ms);
void fixture_persist(struct fixture *fixture); /* what the last step asked for, and all before */
void fixture_message(struct fixture *fixture, struct raft_message message);
/* From a node to the core, from and for the right disks. */
struct raft_message fixture_from(uint32_t node, enum raft_message_type type, uint64_t term);
void fixture_propose(struct fixture *fixture, const char *data);
void fixture_propose_many(struct fixture *fixture, uint32_t count);
void fixture_change(struct fixture *fixture, enum raft_change change, uint32_t node, uint64_t disk,
                    enum raft_standing standing);
void fixture_elect(struct fixture *fixture); /* makes it the leader, its first entry durable */
/* An acknowledgement of the last message of its round that the core has sent to that node. */
void fixture_acknowledge(struct fixture *fixture, uint32_t node, uint64_t index);

struct raft_status fixture_status(const struct fixture *fixture);
/* The nth (from 0) effect of a type in the last step; NULL when there are fewer. */
const struct raft_effect *fixture_effect(const struct fixture *fixture, enum raft_effect_type type,
                                         size_t nth);
/* The message of a type to a node (0: any) in the last step; NULL when there is none. */
const struct raft_message *fixture_sent(const struct fixture *fixture, enum raft_message_type type,
                                        uint32_t node);

#endif
