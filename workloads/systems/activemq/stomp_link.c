/* One connection to a broker that speaks STOMP 1.2. */
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/activemq/activemq.h"

/* A broker that hears nothing of a connection for so long gives back what it holds: that of a
 * client which is gone and could not say so must not be held for ever. */
#define HEART_BEAT_MS "10000"

void stomp_init(struct stomp_link *link, const char *host, uint16_t port)
{
    *link = (struct stomp_link){.number = 0};
    stream_init(&link->stream, host, port);
}

void stomp_close(struct stomp_link *link)
{
    stream_close(&link->stream);
}

/* The last frame is done with, and the line ends that follow it. */
static void take_last(struct stomp_link *link)
{
    struct buf *in = &link->stream.in;
    size_t ends = link->taken;
    while (ends < in->length && (in->data[ends] == '\n' || in->data[ends] == '\r'))
        ends++;
    buf_consume(in, ends);
    link->taken = 0;
}

/* Nothing but line ends may come unasked. */
static bool is_good(struct stomp_link *link)
{
    struct stream_trouble trouble;
    if (link->stream.fd < 0)
        return false;
    while (stream_is_stale(link->stream.fd)) {
        take_last(link);
        if (link->stream.in.length > 0 ||
            !stream_receive(&link->stream, clock_monotonic_ns() + NS_PER_MS, &trouble))
            return false;
    }
    take_last(link);
    return link->stream.in.length == 0;
}

bool stomp_is_connection(struct stomp_link *link, uint64_t number)
{
    return link->number == number && is_good(link);
}

bool stomp_ready(struct stomp_link *link, int64_t deadline_ns, struct stomp_trouble *trouble)
{
    static atomic_ullong connections;
    static const char hello[] = "CONNECT\naccept-version:1.2\nhost:ordeal\n"
                                "heart-beat:" HEART_BEAT_MS ",0\n\n";
    struct stream_trouble *stream = &trouble->stream;
    struct stomp_frame frame;
    trouble->said[0] = '\0';
    if (is_good(link))
        return true;
    link->taken = 0;
    link->number = atomic_fetch_add(&connections, 1) + 1;
    if (!stream_connect(&link->stream, deadline_ns, stream) ||
        !stream_send(&link->stream, hello, sizeof hello, deadline_ns, stream) ||
        !stomp_receive(link, deadline_ns, &frame, trouble))
        return false;
    if (!stomp_is(&frame, "CONNECTED"))
        return stream_give_up(&link->stream, STREAM_NOT_SENT, "bad-reply",
                              "the broker did not say CONNECTED", stream);
    struct stomp_text server = stomp_header(&frame, "server");
    snprintf(link->server, sizeof link->server, "%.*s", (int)server.length,
             server.at == NULL ? "" : server.at);
    return true;
}

bool stomp_send(struct stomp_link *link, const struct buf *frames, int64_t deadline_ns,
                struct stomp_trouble *trouble)
{
    trouble->said[0] = '\0';
    return stream_send(&link->stream, frames->data, frames->length, deadline_ns, &trouble->stream);
}

static bool broker_error(struct stomp_link *link, const struct stomp_frame *frame,
                         struct stomp_trouble *trouble)
{
    struct stomp_text message = stomp_header(frame, "message");
    snprintf(trouble->said, sizeof trouble->said, "%.*s", (int)message.length,
             message.at == NULL ? "" : message.at);
    return stream_give_up(&link->stream, STREAM_LOST, "error-frame", trouble->said,
                          &trouble->stream);
}

bool stomp_receive(struct stomp_link *link, int64_t deadline_ns, struct stomp_frame *frame,
                   struct stomp_trouble *trouble)
{
    struct stream *stream = &link->stream;
    take_last(link);
    for (;;) {
        switch (stomp_frame_read(buf_text(&stream->in), stream->in.length, frame)) {
        case STOMP_WHOLE:
            link->taken = frame->length;
            return stomp_is(frame, "ERROR") ? broker_error(link, frame, trouble) : true;
        case STOMP_NONSENSE:
            return stream_give_up(stream, STREAM_LOST, "bad-reply",
                                  "what was received is no frame of STOMP", &trouble->stream);
        case STOMP_MORE:
            if (!stream_receive(stream, deadline_ns, &trouble->stream))
                return false;
        }
    }
}

bool stomp_await_receipt(struct stomp_link *link, uint64_t receipt, int64_t deadline_ns,
                         struct stomp_trouble *trouble)
{
    struct stomp_frame frame;
    char name[32];
    snprintf(name, sizeof name, "%" PRIu64, receipt);
    while (stomp_receive(link, deadline_ns, &frame, trouble)) {
        if (stomp_is(&frame, "RECEIPT") && stomp_header_is(&frame, "receipt-id", name))
            return true;
        if (!stomp_is(&frame, "MESSAGE"))
            return stream_give_up(&link->stream, STREAM_LOST, "bad-reply",
                                  "a frame that nobody asked for", &trouble->stream);
    }
    return false;
}

bool stomp_has(struct stomp_link *link, int64_t until_ns)
{
    struct stream_trouble trouble;
    for (;;) {
        take_last(link);
        if (link->stream.in.length > 0)
            return true;
        if (!stream_await(link->stream.fd, POLLIN, until_ns))
            return false;
        if (!stream_receive(&link->stream, until_ns, &trouble))
            return true; /* that it is lost is what there is to be received */
    }
}
