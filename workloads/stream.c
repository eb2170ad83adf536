/* TCP without blocking: see stream.h. */
#include "workloads/stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/base/clock.h"

void stream_init(struct stream *stream, const char *host, uint16_t port)
{
    *stream = (struct stream){.port = port, .fd = -1, .in = BUF_INIT};
    snprintf(stream->host, sizeof stream->host, "%s", host);
}

/* Without lingering: a closed socket would go on sending for minutes what is in its buffer, and a
 * request arrive long after it was given up. */
void stream_abort(struct stream *stream)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (stream->fd >= 0) {
        setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(stream->fd);
    }
    stream->fd = -1;
    buf_clear(&stream->in);
}

void stream_close(struct stream *stream)
{
    stream_abort(stream);
    buf_free(&stream->in);
}

bool stream_give_up(struct stream *stream, enum stream_outcome outcome, const char *error,
                    const char *detail, struct stream_trouble *trouble)
{
    trouble->outcome = outcome;
    trouble->error = error;
    snprintf(trouble->detail, sizeof trouble->detail, "%s", detail);
    stream_abort(stream);
    return false;
}

/* ---- Of any socket ---- */

const char *stream_error_name(int number)
{
    switch (number) {
    case ECONNREFUSED:
        return "connection-refused";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "unreachable";
    case ETIMEDOUT:
        return "timeout";
    default:
        return "connection-lost";
    }
}

int stream_error_of(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 ? errno : error;
}

bool stream_await(int fd, short events, int64_t deadline_ns)
{
    for (;;) {
        int64_t left_ns = deadline_ns - clock_monotonic_ns();
        struct pollfd one = {.fd = fd, .events = events};
        if (left_ns <= 0)
            return false;
        struct timespec left = clock_timespec(left_ns);
        if (ppoll(&one, 1, &left, NULL) > 0)
            return true;
    }
}

bool stream_is_stale(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* ---- Connecting ---- */

/* To one of the host's addresses; 0, or the errno. */
static int connect_to(struct stream *stream, const struct addrinfo *address, int64_t deadline_ns)
{
    int one = 1;
    stream->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (stream->fd < 0)
        return errno;
    setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(stream->fd, address->ai_addr, address->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    if (!stream_await(stream->fd, POLLOUT, deadline_ns))
        return ETIMEDOUT;
    return stream_error_of(stream->fd);
}

bool stream_connect(struct stream *stream, int64_t deadline_ns, struct stream_trouble *trouble)
{
    char port[16];
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    stream_abort(stream);
    snprintf(port, sizeof port, "%u", (unsigned)stream->port);
    int trial = getaddrinfo(stream->host, port, &hints, &found);
    if (trial != 0)
        return stream_give_up(stream, STREAM_NOT_SENT, "unreachable", gai_strerror(trial), trouble);
    int error = 0;
    for (const struct addrinfo *one = found; one != NULL; one = one->ai_next) {
        error = connect_to(stream, one, deadline_ns);
        if (error == 0)
            break;
        stream_abort(stream);
    }
    freeaddrinfo(found);
    if (error == 0)
        return true;
    return stream_give_up(stream, STREAM_NOT_SENT,
                          error == ETIMEDOUT ? "connect-timeout" : stream_error_name(error),
                          strerror(error), trouble);
}

/* ---- Sending and receiving ---- */

bool stream_send(struct stream *stream, const char *bytes, size_t length, int64_t deadline_ns,
                 struct stream_trouble *trouble)
{
    for (size_t sent = 0; sent < length;) {
        ssize_t took = send(stream->fd, bytes + sent, length - sent, MSG_NOSIGNAL);
        /* What the kernel did not take, nobody can have got. */
        enum stream_outcome outcome = sent == 0 ? STREAM_NOT_SENT : STREAM_LOST;
        if (took > 0)
            sent += (size_t)took;
        else if (took < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return stream_give_up(stream, outcome, stream_error_name(errno), strerror(errno),
                                  trouble);
        else if (!stream_await(stream->fd, POLLOUT, deadline_ns))
            return stream_give_up(stream, outcome, "timeout",
                                  "the request could not be sent in time", trouble);
    }
    return true;
}

bool stream_receive(struct stream *stream, int64_t deadline_ns, struct stream_trouble *trouble)
{
    char bytes[16384];
    for (;;) {
        ssize_t got = recv(stream->fd, bytes, sizeof bytes, 0);
        if (got > 0) {
            buf_add(&stream->in, bytes, (size_t)got);
            return true;
        }
        if (got == 0)
            return stream_give_up(stream, STREAM_LOST, "connection-lost",
                                  "the server closed the connection", trouble);
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return stream_give_up(stream, STREAM_LOST, stream_error_name(errno), strerror(errno),
                                  trouble);
        if (!stream_await(stream->fd, POLLIN, deadline_ns))
            return stream_give_up(stream, STREAM_LOST, "timeout", "no reply in time", trouble);
    }
}
