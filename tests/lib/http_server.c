/* A scripted HTTP server: see http_server.h. */
#include "tests/lib/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/base/buf.h"
#include "harness/base/clock.h"

enum { CONNECTIONS_MAX = 64, REQUESTS_MAX = 4096 };

struct connection {
    int fd; /* -1: free */
    struct buf input;
};

struct http_server {
    pthread_t thread;
    int listener, stop;
    uint16_t port;
    const struct http_step *steps;
    size_t step_count;
    struct connection connections[CONNECTIONS_MAX];
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    size_t accepted, closed, request_count;
    char *requests[REQUESTS_MAX];
};

static void die(const char *what)
{
    fprintf(stderr, "http_server: %s: %s\n", what, strerror(errno));
    abort();
}

static int listen_on(const char *address, uint16_t port, uint16_t *bound)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address == NULL ? "127.0.0.1" : address, &at.sin_addr) != 1)
        die("address");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0)
        die("socket");
    socklen_t length = sizeof at;
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &length) != 0)
        die("listen");
    *bound = ntohs(at.sin_port);
    return fd;
}

uint16_t http_free_port(void)
{
    uint16_t port;
    close(listen_on(NULL, 0, &port));
    return port;
}

static void drop(struct connection *connection, bool reset)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(connection->fd);
    connection->fd = -1;
    buf_clear(&connection->input);
}

static void send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        data += sent;
        length -= (size_t)sent;
    }
}

static void answer(struct connection *connection, const struct http_step *step)
{
    const char *body = step->body == NULL ? "" : step->body;
    struct buf out = BUF_INIT;
    if (step->act == HTTP_ACT_RAW)
        buf_add_text(&out, body);
    else
        buf_printf(&out,
                   "HTTP/1.1 %d Scripted\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   step->status, strlen(body), body);
    if (step->act == HTTP_ACT_CUT)
        out.length--;
    if (step->act == HTTP_ACT_REPLY || step->act == HTTP_ACT_REPLY_CLOSE ||
        step->act == HTTP_ACT_CUT || step->act == HTTP_ACT_RAW)
        send_all(connection->fd, out.data, out.length);
    buf_free(&out);
    if (step->act != HTTP_ACT_REPLY && step->act != HTTP_ACT_SILENCE)
        drop(connection, step->act == HTTP_ACT_RESET);
}

/* Length of the whole request at the front of the input, 0 while it is not all there. */
static size_t whole_request(const struct buf *input)
{
    const char *end = strstr(buf_text(input), "\r\n\r\n");
    if (end == NULL)
        return 0;
    const char *field = strcasestr(input->data, "\r\nContent-Length:");
    size_t body = field != NULL && field < end ? strtoul(field + 17, NULL, 10) : 0;
    size_t whole = (size_t)(end - input->data) + 4 + body;
    return input->length >= whole ? whole : 0;
}

static void serve(struct http_server *server, struct connection *connection)
{
    char data[4096];
    ssize_t got = recv(connection->fd, data, sizeof data, 0);
    if (got <= 0) {
        drop(connection, false);
        return;
    }
    buf_add(&connection->input, data, (size_t)got);
    for (size_t length; connection->fd >= 0 && (length = whole_request(&connection->input)) > 0;) {
        struct http_step over = {HTTP_ACT_REPLY, 500, "the script is over"};
        pthread_mutex_lock(&server->lock);
        size_t index = server->request_count;
        if (index < REQUESTS_MAX) {
            server->requests[index] = strndup(connection->input.data, length);
            server->request_count++;
        }
        pthread_mutex_unlock(&server->lock);
        buf_consume(&connection->input, length);
        answer(connection, index < server->step_count ? &server->steps[index] : &over);
        pthread_mutex_lock(&server->lock);
        server->closed += connection->fd < 0;
        pthread_cond_broadcast(&server->changed);
        pthread_mutex_unlock(&server->lock);
    }
}

static void accept_one(struct http_server *server)
{
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < CONNECTIONS_MAX; i++)
        if (server->connections[i].fd < 0) {
            server->connections[i].fd = fd;
            pthread_mutex_lock(&server->lock);
            server->accepted++;
            pthread_mutex_unlock(&server->lock);
            return;
        }
    if (fd >= 0)
        close(fd);
}

static void *run(void *state)
{
    struct http_server *server = state;
    for (;;) {
        struct pollfd polled[CONNECTIONS_MAX + 2] = {{server->stop, POLLIN, 0},
                                                     {server->listener, POLLIN, 0}};
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
            polled[i + 2] = (struct pollfd){server->connections[i].fd, POLLIN, 0};
        if (poll(polled, CONNECTIONS_MAX + 2, -1) < 0 && errno != EINTR)
            die("poll");
        if (polled[0].revents != 0)
            return NULL;
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
            if (polled[i + 2].fd >= 0 && polled[i + 2].revents != 0)
                serve(server, &server->connections[i]);
        if (polled[1].revents != 0)
            accept_one(server);
    }
}

struct http_server *http_server_start(const char *address, uint16_t port,
                                      const struct http_step *steps, size_t count)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        die("memory");
    server->listener = listen_on(address, port, &server->port);
    server->stop = eventfd(0, EFD_CLOEXEC);
    server->steps = steps;
    server->step_count = count;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        server->connections[i].fd = -1;
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (server->stop < 0 || pthread_create(&server->thread, NULL, run, server) != 0)
        die("thread");
    return server;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

size_t http_server_connections(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    size_t count = server->accepted;
    pthread_mutex_unlock(&server->lock);
    return count;
}

bool http_server_wait_closed(struct http_server *server, size_t count)
{
    struct timespec deadline = clock_timespec(clock_monotonic_ns() + 10 * NS_PER_SECOND);
    int status = 0;
    pthread_mutex_lock(&server->lock);
    while (server->closed < count && status == 0)
        status = pthread_cond_timedwait(&server->changed, &server->lock, &deadline);
    bool done = server->closed >= count;
    pthread_mutex_unlock(&server->lock);
    return done;
}

size_t http_server_requests(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    size_t count = server->request_count;
    pthread_mutex_unlock(&server->lock);
    return count;
}

const char *http_server_request(struct http_server *server, size_t index)
{
    pthread_mutex_lock(&server->lock);
    const char *text = index < server->request_count ? server->requests[index] : "";
    pthread_mutex_unlock(&server->lock);
    return text;
}

void http_server_stop(struct http_server *server)
{
    if (eventfd_write(server->stop, 1) != 0)
        die("stop");
    pthread_join(server->thread, NULL);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (server->connections[i].fd >= 0)
            close(server->connections[i].fd);
        buf_free(&server->connections[i].input);
    }
    for (size_t i = 0; i < server->request_count; i++)
        free(server->requests[i]);
    close(server->listener);
    close(server->stop);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
