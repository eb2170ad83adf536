/* One AMQP 0-9-1 connection to one node of a RabbitMQ cluster: the one place that meets
 * librabbitmq.
 *
 * A link has one channel, in confirm mode, and does one thing at a time; all calls come from one
 * thread and end by their deadline. It connects when it is first used, and again when the
 * connection was lost; `epoch` tells connections apart, for a delivery can only be settled on the
 * channel that it came by. librabbitmq repeats nothing by itself. */
#ifndef ORDEAL_SYSTEMS_RABBIT_LINK_H
#define ORDEAL_SYSTEMS_RABBIT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/buf.h"

enum rabbit_outcome {
    RABBIT_DONE,     /* the broker has confirmed, answered or delivered */
    RABBIT_EMPTY,    /* of a get: nothing was there */
    RABBIT_NOT_SENT, /* no byte of the request was handed to the network */
    RABBIT_RETURNED, /* of a publish: came back, for there is no queue that it could go to */
    RABBIT_REFUSED,  /* of a publish: basic.nack */
    RABBIT_CLOSED,   /* the broker closed the channel or the connection instead: `code` says why */
    RABBIT_LOST,     /* sent, perhaps in part; whether it arrived is unknown */
};

struct rabbit_reply {
    enum rabbit_outcome outcome;
    const char *error; /* NOT_SENT, LOST: a keyword such as "connection-refused", "timeout" */
    int code;          /* CLOSED: 404 and the like */
    char detail[160];
    uint64_t tag; /* DONE, of a get: what acknowledges it */
    bool redelivered;
    struct buf body; /* of a get */
    int64_t ready;   /* DONE, of a declare: messages that wait */
};

struct rabbit_link;
/* Nothing is connected yet. Link and reply are freed by rabbit_link_close. */
struct rabbit_link *rabbit_link_new(const char *host, uint16_t port);
void rabbit_link_close(struct rabbit_link *link); /* NULL is allowed */
/* 0 while there is no connection. */
uint64_t rabbit_link_epoch(const struct rabbit_link *link);
/* "3.10.8"; "" before the first connection. */
const char *rabbit_link_version(const struct rabbit_link *link);

/* All return the link's reply, which holds until the next call. After anything but DONE, EMPTY,
 * RETURNED and REFUSED the connection is closed. */
enum rabbit_confirm { RABBIT_CONFIRM, RABBIT_SEND_ONLY };
struct rabbit_reply *rabbit_connect(struct rabbit_link *link, int64_t deadline_ns);
struct rabbit_reply *rabbit_publish(struct rabbit_link *link, const char *queue, const char *body,
                                    size_t length, enum rabbit_confirm confirm,
                                    int64_t deadline_ns);
struct rabbit_reply *rabbit_get(struct rabbit_link *link, const char *queue, int64_t deadline_ns);
/* DONE when the channel has taken it: what follows it on this channel comes after it. */
enum rabbit_settle { RABBIT_ACK, RABBIT_REQUEUE };
struct rabbit_reply *rabbit_settle(struct rabbit_link *link, const uint64_t *tags, size_t count,
                                   enum rabbit_settle how, int64_t deadline_ns);
/* `type` is "quorum" or "classic"; NULL: only looks whether it is there (passive). A `type` of
 * "exclusive" is a transient queue that ends with this connection. */
struct rabbit_reply *rabbit_declare(struct rabbit_link *link, const char *queue, const char *type,
                                    int64_t deadline_ns);

#endif
