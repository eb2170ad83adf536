/* epoll and sockets. */
#include "queue/loop.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "queue/clock.h"
#include "queue/config.h"

enum { BIND_TRIES = 150, BIND_AGAIN_MS = 20 };

bool loop_open(struct loop *loop, struct queue_error *error)
{
    *loop = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC), .woken_ms = clock_us() / 1000};
    if (loop->epoll < 0)
        queue_error_set(error, "make an epoll file: %s", strerror(errno));
    return loop->epoll >= 0;
}

void loop_close(struct loop *loop)
{
    close(loop->epoll);
}

bool loop_add(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    watch->events = events;
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->file, &event) == 0;
}

void loop_want(struct loop *loop, struct watch *watch, uint32_t events)
{
    if (watch->events == events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = watch};
    watch->events = events;
    int done = epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->file, &event);
    assert(done == 0);
}

void loop_remove(struct loop *loop, struct watch *watch)
{
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->file, NULL);
    for (int i = loop->at; i < loop->count; i++) {
        if (loop->happened[i].data.ptr == watch)
            loop->happened[i].data.ptr = NULL;
    }
}

void loop_turn(struct loop *loop, int timeout_ms)
{
    loop->count = epoll_wait(loop->epoll, loop->happened,
                             sizeof loop->happened / sizeof *loop->happened, timeout_ms);
    loop->woken_ms = clock_us() / 1000;
    for (loop->at = 0; loop->at < loop->count;) {
        struct epoll_event event = loop->happened[loop->at++];
        struct watch *watch = event.data.ptr;
        if (watch != NULL)
            watch->ready(watch, event.events);
    }
    loop->count = 0;
}

static struct addrinfo *resolve(const char *host, uint32_t port, struct queue_error *error)
{
    char service[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    snprintf(service, sizeof service, "%u", port);
    /* Numbers first: a name server that does not answer must not stall anybody needlessly. */
    hints.ai_flags |= AI_NUMERICHOST;
    int code = getaddrinfo(host, service, &hints, &found);
    if (code != 0) {
        hints.ai_flags &= ~AI_NUMERICHOST;
        code = getaddrinfo(host, service, &hints, &found);
    }
    if (code != 0) {
        queue_error_set(error, "find the address of %.100s: %s", host, gai_strerror(code));
        return NULL;
    }
    return found;
}

/* A child that a killed server had forked may not have run yet, and still hold the port. */
static bool bind_soon(int file, const struct addrinfo *to)
{
    for (int tries = 0;; tries++) {
        if (bind(file, to->ai_addr, to->ai_addrlen) == 0)
            return true;
        if (errno != EADDRINUSE || tries == BIND_TRIES)
            return false;
        poll(NULL, 0, BIND_AGAIN_MS);
    }
}

int loop_listen(const char *address, uint32_t port, struct queue_error *error)
{
    struct addrinfo *found = resolve(address, port, error);
    if (found == NULL)
        return -1;
    int on = 1;
    int file = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (file >= 0)
        setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (file < 0 || !bind_soon(file, found) || listen(file, 1024) != 0) {
        queue_error_set(error, "listen on %.60s port %u: %s", address, port, strerror(errno));
        if (file >= 0)
            close(file);
        file = -1;
    }
    freeaddrinfo(found);
    return file;
}

static void set_no_delay(int file)
{
    int on = 1;
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int loop_accept(int listener)
{
    int file = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (file >= 0)
        set_no_delay(file);
    return file;
}

int loop_dial(const char *name, const struct sockaddr *address, socklen_t length,
              struct queue_error *error)
{
    int file = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (file < 0) {
        queue_error_set(error, "make a socket: %s", strerror(errno));
        return -1;
    }
    set_no_delay(file);
    if (connect(file, address, length) != 0 && errno != EINPROGRESS) {
        queue_error_set(error, "connect to %.100s: %s", name, strerror(errno));
        close(file);
        return -1;
    }
    return file;
}

int loop_dialed(int file)
{
    int code = 0;
    socklen_t size = sizeof code;
    return getsockopt(file, SOL_SOCKET, SO_ERROR, &code, &size) == 0 ? code : errno;
}

void loop_peer_name(int file, char *text, uint32_t size)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    char host[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;
    if (getpeername(file, (struct sockaddr *)&address, &length) == 0) {
        if (address.ss_family == AF_INET) {
            const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
            inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
            port = ntohs(in->sin_port);
        } else if (address.ss_family == AF_INET6) {
            const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&address;
            inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
            port = ntohs(in->sin6_port);
        }
    }
    snprintf(text, size, "%s:%u", host, port);
}
