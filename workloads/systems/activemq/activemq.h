/* What the files of the system activemq share, and its tests see. */
#ifndef ORDEAL_SYSTEMS_ACTIVEMQ_H
#define ORDEAL_SYSTEMS_ACTIVEMQ_H

#include "harness/option.h"
#include "harness/workload.h"
#include "workloads/stream.h"

#define ACTIVEMQ_DAEMON "activemq"

extern const struct option activemq_options[];
uint16_t activemq_client_port(const struct test *test);
/* A broker's configuration. */
void activemq_config(const struct test *test, uint32_t node, struct buf *out);

/* ---- stomp_frame.c: what STOMP 1.2 is made of ---- */

struct stomp_text {
    const char *at;
    size_t length;
};
struct stomp_frame {
    struct stomp_text command, headers /* lines */, body;
    size_t length; /* of all of it, with the line ends before it */
};
enum stomp_read { STOMP_WHOLE, STOMP_MORE, STOMP_NONSENSE };
/* Reads the first frame of what was received; MORE: it is not all there yet. */
enum stomp_read stomp_frame_read(const char *bytes, size_t length, struct stomp_frame *frame);
bool stomp_is(const struct stomp_frame *frame, const char *command);
/* A header's value as it was sent, with what is escaped in it; the first counts. Empty: none. */
struct stomp_text stomp_header(const struct stomp_frame *frame, const char *name);
bool stomp_header_is(const struct stomp_frame *frame, const char *name, const char *value);

/* ---- stomp_link.c: one connection ---- */

struct stomp_link {
    struct stream stream;
    uint64_t number; /* of the connection, unique in this process: what it holds is its own */
    uint64_t names;  /* of subscriptions and receipts, so far */
    size_t taken;    /* bytes of the last frame, which the stream still holds */
    char server[64]; /* "ActiveMQ/5.17.2", once connected */
};
/* What the broker last said goes to `said` where it is an error of its own. */
struct stomp_trouble {
    struct stream_trouble stream;
    char said[160];
};
void stomp_init(struct stomp_link *link, const char *host, uint16_t port);
void stomp_close(struct stomp_link *link);
/* Whether it is the connection of this number, and looks good. */
bool stomp_is_connection(struct stomp_link *link, uint64_t number);
/* Each of these ends by `deadline_ns`, and on false says why and has aborted the connection. */
/* Connects where there is no good connection. */
bool stomp_ready(struct stomp_link *link, int64_t deadline_ns, struct stomp_trouble *trouble);
bool stomp_send(struct stomp_link *link, const struct buf *frames, int64_t deadline_ns,
                struct stomp_trouble *trouble);
/* The next frame, valid until the next call; an ERROR is a failure. */
bool stomp_receive(struct stomp_link *link, int64_t deadline_ns, struct stomp_frame *frame,
                   struct stomp_trouble *trouble);
/* Passes over messages until this receipt has come. */
bool stomp_await_receipt(struct stomp_link *link, uint64_t receipt, int64_t deadline_ns,
                         struct stomp_trouble *trouble);
/* Whether a frame has begun to come by then, or the connection's end. */
bool stomp_has(struct stomp_link *link, int64_t until_ns);

/* ---- activemq_client.c ---- */

extern const struct client activemq_queue_client;

#endif
