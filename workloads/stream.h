/* Speaking over TCP so that deadlines hold: for clients whose protocol has no library.
 *
 * One stream is one connection at a time, for one thread. What matters most is the difference
 * between bytes of which none left this machine and bytes that may have arrived. A stream that is
 * given up is reset: what it has not sent by then nobody gets later. */
#ifndef ORDEAL_WORKLOADS_STREAM_H
#define ORDEAL_WORKLOADS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/buf.h"

struct stream {
    char host[256];
    uint16_t port;
    int fd;        /* -1: not connected */
    struct buf in; /* received; what is done with is the caller's to consume */
};

enum stream_outcome {
    STREAM_NOT_SENT, /* no byte of what was to be sent was handed to the network */
    STREAM_LOST,     /* sent, perhaps in part; whether it arrived is unknown */
};
struct stream_trouble {
    enum stream_outcome outcome;
    const char *error; /* a keyword such as "connection-refused", "timeout" */
    char detail[160];  /* and a sentence */
};

/* The host is a name or a numeric address. Connects to nothing yet. */
void stream_init(struct stream *stream, const char *host, uint16_t port);
/* Resets the connection, forgets what was received; it can be connected again. */
void stream_abort(struct stream *stream);
void stream_close(struct stream *stream); /* the same, and frees its memory */

/* Each of these ends by `deadline_ns`, and on false says why and has aborted the stream. */
bool stream_connect(struct stream *stream, int64_t deadline_ns, struct stream_trouble *trouble);
bool stream_send(struct stream *stream, const char *bytes, size_t length, int64_t deadline_ns,
                 struct stream_trouble *trouble);
/* At least one more byte to `in`. The outcome of a failure is STREAM_LOST. */
bool stream_receive(struct stream *stream, int64_t deadline_ns, struct stream_trouble *trouble);
/* Aborts, and says so: for what the other side says that cannot be. */
bool stream_give_up(struct stream *stream, enum stream_outcome outcome, const char *error,
                    const char *detail, struct stream_trouble *trouble);

/* ---- Of any socket ---- */

/* Waits for one of poll's `events`; false at the deadline. */
bool stream_await(int fd, short events, int64_t deadline_ns);
/* A server that went away while nothing was asked of it has closed the connection, or has said
 * something that nobody asked for; either way it is of no use any more. */
bool stream_is_stale(int fd);
/* The keyword for an errno. */
const char *stream_error_name(int number);
/* The error that a socket has met, as an errno; 0: none. */
int stream_error_of(int fd);

#endif
