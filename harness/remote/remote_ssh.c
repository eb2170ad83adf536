/* SSH as a way to reach nodes: sockets and the steps of a session. See remote.h and
 * ssh_internal.h. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/remote/ssh_internal.h"

enum {
    RECEIVE_BYTES = 256 << 10,
    INCOMING_MAX = 4 << 20, /* past this much unread, the socket waits */
};

/* ---- Once per process ---- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

static void init_library(void)
{
    library_status = libssh2_init(0);
}

static enum err_code ssh_prepare(struct err *err)
{
    pthread_once(&library_once, init_library);
    if (library_status != 0)
        return err_set(err, ERR_IO, "libssh2 does not start: error %d", library_status);
    return ERR_NONE;
}

/* ---- Addresses ---- */

static enum err_code resolve_node(const struct node *node, void **address, struct err *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char port[8];
    snprintf(port, sizeof port, "%u", node_port(node));
    struct ssh_address *found = calloc(1, sizeof *found);
    if (found == NULL)
        abort();
    int status = getaddrinfo(node_address(node), port, &hints, &found->list);
    if (status != 0) {
        free(found);
        return err_set(err, ERR_REMOTE, "cannot resolve '%s': %s", node_address(node),
                       status == EAI_SYSTEM ? strerror(errno) : gai_strerror(status));
    }
    *address = found;
    return ERR_NONE;
}

/* What is behind a jump host, that one resolves. */
static enum err_code ssh_resolve(const struct node *node, void **address, struct err *err)
{
    if (node->jump == NULL)
        return resolve_node(node, address, err);
    struct arena arena = ARENA_INIT;
    struct node jump;
    enum err_code code = ssh_jump_node(&arena, node, &jump, err);
    if (code == ERR_NONE && resolve_node(&jump, address, err) != ERR_NONE)
        code = err_wrap(err, "the jump host");
    arena_free(&arena);
    return code;
}

static void ssh_address_free(void *address)
{
    struct ssh_address *found = address;
    freeaddrinfo(found->list);
    free(found);
}

/* ---- Failures ---- */

const char *ssh_user(const struct remote_session *session)
{
    return session->node->user != NULL ? session->node->user : session->options->user;
}

enum ssh_step ssh_fail(struct remote_session *session, bool may_retry, enum err_code code,
                       const char *format, ...)
{
    char message[ERR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    err_set(&session->failure, code, "%s", message);
    session->phase = SSH_FAILED;
    session->may_retry = may_retry;
    return SSH_STEP_FAILED;
}

enum ssh_step ssh_fail_library(struct remote_session *session, const char *what)
{
    if (session->socket_error != 0)
        return ssh_fail(session, true, ERR_IO, "%s: %s", session->place,
                        strerror(session->socket_error));
    if (session->peer_closed)
        return ssh_fail(session, true, ERR_IO, "%s closed the connection during %s", session->place,
                        what);
    char *message = NULL;
    int status = libssh2_session_last_error(session->ssh, &message, NULL, 0);
    return ssh_fail(session, true, ERR_REMOTE, "%s: %s: %s (libssh2 error %d)", session->place,
                    what, message != NULL ? message : "?", status);
}

/* ---- What libssh2 sees of the socket ---- */

static LIBSSH2_RECV_FUNC(receive_from_queue)
{
    struct remote_session *session = *abstract;
    if (socket != session->fd) { /* the ssh-agent's */
        ssize_t got = recv(socket, buffer, length, flags);
        return got < 0 ? -errno : got;
    }
    size_t waiting = ssh_queue_length(&session->incoming);
    if (waiting == 0)
        return session->peer_closed || session->socket_error != 0 ? 0 : -EAGAIN;
    size_t taken = waiting < length ? waiting : length;
    memcpy(buffer, ssh_queue_data(&session->incoming), taken);
    ssh_queue_take(&session->incoming, taken);
    session->moved += taken;
    return (ssize_t)taken;
}

static LIBSSH2_SEND_FUNC(send_to_queue)
{
    struct remote_session *session = *abstract;
    if (socket != session->fd) {
        ssize_t sent = send(socket, buffer, length, flags | MSG_NOSIGNAL);
        return sent < 0 ? -errno : sent;
    }
    ssh_queue_add(&session->outgoing, buffer, length);
    return (ssize_t)length;
}

/* The newer setter takes a function type of its own; the older one is deprecated since. */
static void set_callbacks(LIBSSH2_SESSION *ssh)
{
#if LIBSSH2_VERSION_NUM >= 0x010b01
    libssh2_session_callback_set2(ssh, LIBSSH2_CALLBACK_RECV,
                                  (libssh2_cb_generic *)receive_from_queue);
    libssh2_session_callback_set2(ssh, LIBSSH2_CALLBACK_SEND, (libssh2_cb_generic *)send_to_queue);
#else
    libssh2_session_callback_set(ssh, LIBSSH2_CALLBACK_RECV, (void *)receive_from_queue);
    libssh2_session_callback_set(ssh, LIBSSH2_CALLBACK_SEND, (void *)send_to_queue);
#endif
}

/* Returns whether something came in that may not be all. */
static bool fill_incoming(struct remote_session *session)
{
    if (session->jump != NULL)
        return ssh_jump_fill(session, INCOMING_MAX) > 0;
    while (!session->peer_closed && session->socket_error == 0 &&
           ssh_queue_length(&session->incoming) < INCOMING_MAX) {
        struct buf *buf = &session->incoming.buf;
        buf_reserve(buf, RECEIVE_BYTES);
        ssize_t got = recv(session->fd, buf->data + buf->length, RECEIVE_BYTES, 0);
        if (got > 0) {
            buf->length += (size_t)got;
            buf->data[buf->length] = '\0';
            if (got < RECEIVE_BYTES / 2)
                return false; /* surely all there is; poll tells of more */
        } else if (got == 0) {
            session->peer_closed = true;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return false;
        } else if (errno != EINTR) {
            session->socket_error = errno;
        }
    }
    return false;
}

static void flush_outgoing(struct remote_session *session)
{
    if (session->jump != NULL) {
        ssh_jump_flush(session);
        return;
    }
    while (ssh_queue_length(&session->outgoing) > 0 && session->socket_error == 0) {
        ssize_t sent = send(session->fd, ssh_queue_data(&session->outgoing),
                            ssh_queue_length(&session->outgoing), MSG_NOSIGNAL);
        if (sent >= 0)
            ssh_queue_take(&session->outgoing, (size_t)sent);
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        else if (errno != EINTR)
            session->socket_error = errno;
    }
}

/* ---- Connecting ---- */

static void set_option(int fd, int level, int option, int value)
{
    (void)!setsockopt(fd, level, option, &value, sizeof value);
}

/* A peer that vanishes without a word is noticed by the kernel, also while nothing is sent. */
static void set_options(const struct remote_session *session)
{
    int64_t keepalive_ns = session->options->keepalive_ns;
    int seconds = keepalive_ns > NS_PER_SECOND ? (int)(keepalive_ns / NS_PER_SECOND) : 1;
    set_option(session->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(session->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(session->fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
    set_option(session->fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds);
    set_option(session->fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    set_option(session->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(3 * keepalive_ns / NS_PER_MS));
}

static unsigned addresses_left(const struct remote_session *session)
{
    unsigned left = 0;
    for (const struct addrinfo *a = session->address; a != NULL; a = a->ai_next)
        left++;
    return left;
}

static enum ssh_step connect_failed(struct remote_session *session, int error)
{
    const char *place = session->place;
    if (error == ECONNREFUSED)
        return ssh_fail(session, true, ERR_IO, "%s refused the connection: is sshd running there?",
                        place);
    if (error == EHOSTUNREACH || error == ENETUNREACH)
        return ssh_fail(session, true, ERR_IO,
                        "no route to %s (%s): is the node up, and on this network?", place,
                        strerror(error));
    if (error == ETIMEDOUT)
        return ssh_fail(session, true, ERR_TIMEOUT, "no answer from %s: %s", place,
                        strerror(error));
    return ssh_fail(session, true, ERR_IO, "connect to %s: %s", place, strerror(error));
}

/* Begins with the next address; with none left, tells why the last one failed. */
static enum ssh_step connect_next(struct remote_session *session, int error)
{
    if (session->fd >= 0)
        close(session->fd);
    session->fd = -1;
    while (session->address != NULL) {
        const struct addrinfo *address = session->address;
        int64_t now_ns = clock_monotonic_ns();
        int64_t share_ns = (session->deadline_ns - now_ns) / addresses_left(session);
        session->address_deadline_ns = now_ns + share_ns;
        session->address = address->ai_next;
        session->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (session->fd < 0) {
            error = errno;
            continue;
        }
        set_options(session);
        if (connect(session->fd, address->ai_addr, address->ai_addrlen) == 0 ||
            errno == EINPROGRESS)
            return SSH_STEP_WAIT;
        error = errno;
        close(session->fd);
        session->fd = -1;
    }
    return connect_failed(session, error);
}

static enum ssh_step step_connect(struct remote_session *session)
{
    struct pollfd pollfd = {.fd = session->fd, .events = POLLOUT};
    if (poll(&pollfd, 1, 0) <= 0) {
        if (session->address != NULL && clock_monotonic_ns() >= session->address_deadline_ns)
            return connect_next(session, ETIMEDOUT);
        return SSH_STEP_WAIT;
    }
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(session->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    if (error != 0)
        return connect_next(session, error);
    session->phase = SSH_HANDSHAKE;
    struct err err = ERR_INIT;
    if (ssh_login_begin(session, &err) != ERR_NONE)
        return ssh_fail(session, false, err.code, "%s", err.message);
    return SSH_STEP_MOVED;
}

static enum ssh_step connecting_timed_out(struct remote_session *session)
{
    char limit[32];
    clock_format_human(session->options->connect_timeout_ns, limit, sizeof limit);
    if (session->phase == SSH_CONNECT)
        return ssh_fail(session, true, ERR_TIMEOUT,
                        "no answer from %s within %s: is the node up, and does a firewall drop "
                        "what is sent to it?",
                        session->place, limit);
    if (session->phase == SSH_TUNNEL)
        return ssh_fail(session, true, ERR_TIMEOUT,
                        "the jump host opened no way to %s within %s: is the node up?",
                        session->place, limit);
    if (session->phase == SSH_HANDSHAKE)
        return ssh_fail(session, true, ERR_TIMEOUT,
                        "%s took the connection but finished no SSH handshake within %s",
                        session->place, limit);
    return ssh_fail(session, true, ERR_TIMEOUT,
                    "%s did not finish the login of user '%s' within %s", session->place,
                    ssh_user(session), limit);
}

/* ---- A session ---- */

static enum err_code session_open(const struct node *node, const void *address,
                                  const struct remote_options *options,
                                  struct remote_session **session, struct err *err)
{
    struct remote_session *opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        return err_set(err, ERR_NOMEM, "an SSH session");
    *opened = (struct remote_session){
        .node = node,
        .options = options,
        .address = ((const struct ssh_address *)address)->list,
        .fd = -1,
        .deadline_ns = clock_monotonic_ns() + options->connect_timeout_ns,
        .read_buffer = malloc(SSH_READ_BYTES),
    };
    TAILQ_INIT(&opened->channels);
    snprintf(opened->place, sizeof opened->place,
             strchr(node_address(node), ':') != NULL ? "[%s]:%u" : "%s:%u", node_address(node),
             node_port(node));
    if (node->jump != NULL) {
        size_t length = strlen(opened->place);
        snprintf(opened->place + length, sizeof opened->place - length, " (through %.200s)",
                 node->jump);
    }
    opened->ssh = libssh2_session_init_ex(NULL, NULL, NULL, opened);
    if (opened->ssh == NULL || opened->read_buffer == NULL) {
        free(opened->read_buffer);
        free(opened);
        return err_set(err, ERR_NOMEM, "an SSH session");
    }
    libssh2_session_set_blocking(opened->ssh, 0);
    set_callbacks(opened->ssh);
    if (node->jump != NULL && ssh_jump_open(opened, address, err) != ERR_NONE) {
        libssh2_session_free(opened->ssh);
        free(opened->read_buffer);
        free(opened);
        return err->code;
    }
    if (node->jump == NULL && connect_next(opened, 0) != SSH_STEP_FAILED)
        opened->phase = SSH_CONNECT;
    *session = opened;
    return ERR_NONE;
}

static enum ssh_step step_once(struct remote_session *session)
{
    if (session->phase == SSH_FAILED)
        return SSH_STEP_FAILED;
    if (session->phase == SSH_CONNECT)
        return step_connect(session);
    if (session->phase == SSH_TUNNEL)
        return ssh_jump_step(session);
    if (session->phase != SSH_READY)
        return ssh_login_step(session);
    return ssh_channels_step(session);
}

/* An idle session has no channel whose reading would tell that the peer has gone. */
static void notice_end(struct remote_session *session)
{
    if (session->phase == SSH_READY && TAILQ_EMPTY(&session->channels) &&
        (session->peer_closed || session->socket_error != 0))
        ssh_fail_library(session, "an idle session");
}

/* Goes on until nothing moves: what one channel's call takes in may be another's. */
static void move_all(struct remote_session *session)
{
    enum ssh_step step;
    uint64_t moved;
    do {
        moved = session->moved;
        step = step_once(session);
    } while (step == SSH_STEP_MOVED || (step == SSH_STEP_WAIT && session->moved != moved));
}

static bool has_way(const struct remote_session *session)
{
    return session->phase != SSH_CONNECT && session->phase != SSH_TUNNEL &&
           session->phase != SSH_FAILED;
}

static enum remote_state session_step(struct remote_session *session, struct err *err)
{
    bool was_full, more;
    do { /* channels that waited for room behind the socket go on once there is some */
        more = has_way(session) && fill_incoming(session);
        move_all(session);
        was_full = ssh_queue_length(&session->outgoing) >= SSH_OUTGOING_MAX;
        if (session->fd >= 0)
            flush_outgoing(session);
    } while (more || (was_full && session->phase == SSH_READY && session->socket_error == 0 &&
                      ssh_queue_length(&session->outgoing) < SSH_OUTGOING_MAX));
    notice_end(session);
    if (session->phase != SSH_READY && session->phase != SSH_FAILED &&
        clock_monotonic_ns() >= session->deadline_ns)
        connecting_timed_out(session);
    if (session->phase != SSH_FAILED)
        return session->phase == SSH_READY ? REMOTE_READY : REMOTE_CONNECTING;
    *err = session->failure;
    return REMOTE_FAILED;
}

static void session_poll(struct remote_session *session, struct pollfd *pollfd,
                         int64_t *deadline_ns)
{
    *pollfd = (struct pollfd){.fd = session->fd};
    if (session->jump != NULL) {
        session_poll(ssh_jump_session(session), pollfd, deadline_ns);
    } else if (session->phase == SSH_CONNECT) {
        pollfd->events = POLLOUT;
        if (session->address != NULL && session->address_deadline_ns < *deadline_ns)
            *deadline_ns = session->address_deadline_ns;
    } else {
        if (ssh_queue_length(&session->incoming) < INCOMING_MAX)
            pollfd->events |= POLLIN;
        if (ssh_queue_length(&session->outgoing) > 0)
            pollfd->events |= POLLOUT;
    }
    if (session->phase == SSH_FAILED)
        *deadline_ns = 0;
    else if (session->phase != SSH_READY && session->deadline_ns < *deadline_ns)
        *deadline_ns = session->deadline_ns;
}

static bool session_may_retry(const struct remote_session *session)
{
    return session->may_retry;
}

static void session_close(struct remote_session *session)
{
    if (session->phase == SSH_READY && !session->peer_closed && session->socket_error == 0) {
        libssh2_session_disconnect(session->ssh, "done");
        flush_outgoing(session);
    }
    /* From here on libssh2 finds the peer gone, and so waits for nothing while it frees. */
    session->peer_closed = true;
    ssh_queue_take(&session->incoming, ssh_queue_length(&session->incoming));
    ssh_login_end(session);
    for (int tries = 0; tries < 100; tries++)
        if (libssh2_session_free(session->ssh) != LIBSSH2_ERROR_EAGAIN)
            break;
    ssh_channels_free(session);
    ssh_jump_close(session);
    if (session->fd >= 0)
        close(session->fd);
    buf_free(&session->incoming.buf);
    buf_free(&session->outgoing.buf);
    free(session->read_buffer);
    free(session);
}

const struct remote remote_ssh = {
    .name = "ssh",
    .prepare = ssh_prepare,
    .resolve = ssh_resolve,
    .address_free = ssh_address_free,
    .session_open = session_open,
    .session_step = session_step,
    .session_poll = session_poll,
    .session_may_retry = session_may_retry,
    .session_close = session_close,
    .channel_open = ssh_channel_open,
    .channel_write = ssh_channel_write,
    .channel_finish = ssh_channel_finish,
    .channel_backlog = ssh_channel_backlog,
    .channel_sent = ssh_channel_sent,
    .channel_abort = ssh_channel_abort,
};
