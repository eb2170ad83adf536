/* ADDJOB ... SPOOL: jobs that go to this node's spool first, are promised as soon as it is synced,
 * and then go to the leader, whoever that is, until they are decided.
 *
 * They are handed on by a client of the server's own, as a command that no other client may give:
 * SPOOLED origin first-number job ... Like any request it waits for a leader and is forwarded. Its
 * reply is the last number of the origin that the cluster has decided, so a reply that is lost
 * costs nothing: the same is sent again. */
#ifndef ORDEAL_QUEUE_DRAIN_H
#define ORDEAL_QUEUE_DRAIN_H

#include "queue/client.h"
#include "queue/spool.h"

/* A request that waits for its receipt. */
struct drain_receipt {
    uint64_t number;
    struct request *request;
};

struct drain {
    struct server *server;
    struct disk disk;
    struct spool spool;
    bool open;
    bool stale; /* an older copy of itself was put back: its numbers cannot be used */
    struct watch watch;
    struct client *client; /* the server's own */
    bool sending;
    uint64_t sent_to; /* the last number of what is being sent */
    uint64_t again_at_ms, tidy_at_ms;
    struct drain_receipt *receipts; /* in order: first..last, of `capacity` */
    uint32_t first, last, capacity;
    uint64_t spooled, handed_on; /* counters */
};

/* A damaged spool is no reason not to serve: it is told in the log, and SPOOL is refused. False
 * when the directory may not be used at all. */
bool drain_open(struct drain *drain, struct server *server, struct queue_error *error);
void drain_close(struct drain *drain);

/* Puts the job into the spool and sees to its receipt. The request is finished, or will be. */
void drain_add(struct drain *drain, struct request *request, const struct command *add,
               uint64_t timeout_ms);
void drain_expire(struct request *request); /* its time for a better receipt is over */
void drain_turn(struct drain *drain, uint64_t now_ms);
bool drain_busy(const struct drain *drain);     /* somebody waits for the disk */
uint64_t drain_jobs(const struct drain *drain); /* not decided */

#endif
