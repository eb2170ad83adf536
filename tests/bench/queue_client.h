/* One server's protocol, as the queue benchmark speaks it: requests put into a buffer, replies
 * taken from one, in the order of the requests of a connection. */
#ifndef ORDEAL_TESTS_BENCH_QUEUE_CLIENT_H
#define ORDEAL_TESTS_BENCH_QUEUE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_BODY = 100, BENCH_ID_MAX = 128, BENCH_NAME_MAX = 64 };

struct bench_bytes {
    char *data;
    size_t start, end, capacity;
};
void bench_put(struct bench_bytes *bytes, const void *data, size_t length);
void bench_print(struct bench_bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What came back for the oldest request: nothing whole yet, done, a job to acknowledge with its id,
 * none there, or an error (in `id`, as text). */
enum bench_reply { BENCH_MORE, BENCH_DONE, BENCH_JOB, BENCH_EMPTY, BENCH_ERROR };

struct bench_connection {
    int socket, number;
    struct bench_bytes in, out;
    uint64_t sequence;          /* for protocols that number requests */
    char request[256];          /* of protocols whose `adds_alike`: the first one's bytes */
    size_t request_length;      /* 0: none yet */
    char id[BENCH_ID_MAX];      /* of BENCH_JOB, or the error */
    uint64_t tag, acknowledged; /* AMQP: the last delivery tag, and confirmed up to */
};

struct bench_protocol {
    const char *name;
    bool pushes;     /* jobs come unasked: that there is none is told by silence */
    bool adds_alike; /* every `add` of a connection is the same bytes: printed once */
    /* Called once per connection, blocking, before anything else; may be NULL. */
    void (*open)(struct bench_connection *connection, const char *queue, bool takes,
                 uint32_t pipeline);
    void (*add)(struct bench_connection *connection, const char *queue, const char *body);
    void (*take)(struct bench_connection *connection, const char *queue);
    /* False: nothing answers an acknowledgement, the cycle ends with it. */
    bool (*acknowledge)(struct bench_connection *connection, const char *queue, const char *id);
    enum bench_reply (*reply)(struct bench_connection *connection, const char *queue);
};

extern const struct bench_protocol bench_queue, bench_stream, bench_beanstalk, bench_nats,
    bench_amqp, bench_probe;

/* Blocking helpers for `open`. */
void bench_flush(struct bench_connection *connection);
void bench_fill(struct bench_connection *connection); /* waits for more bytes */

#endif
