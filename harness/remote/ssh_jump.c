/* Jump hosts: a session whose bytes go through a channel of another one, to a host that forwards
 * them. See ssh_internal.h.
 *
 * The outer session is one like any other, moved on by the inner one's steps; only its socket is
 * waited for. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/remote/ssh_internal.h"

enum { PIECE_BYTES = 64 << 10, FREE_TRIES = 100 };

struct ssh_jump {
    struct arena arena; /* the node's texts */
    struct node node;
    struct remote_session *session;
    LIBSSH2_CHANNEL *channel;
};

enum err_code ssh_jump_node(struct arena *arena, const struct node *node, struct node *jump,
                            struct err *err)
{
    if (node_parse_jump(arena, node->jump, jump, err) != ERR_NONE)
        return err->code;
    jump->key_files = node->key_files;
    return ERR_NONE;
}

enum err_code ssh_jump_open(struct remote_session *session, const void *address, struct err *err)
{
    struct ssh_jump *jump = calloc(1, sizeof *jump);
    if (jump == NULL)
        return err_set(err, ERR_NOMEM, "an SSH session");
    enum err_code code = ssh_jump_node(&jump->arena, session->node, &jump->node, err);
    if (code == ERR_NONE)
        code = remote_ssh.session_open(&jump->node, address, session->options, &jump->session, err);
    if (code != ERR_NONE) {
        arena_free(&jump->arena);
        free(jump);
        return code;
    }
    session->jump = jump;
    session->phase = SSH_TUNNEL;
    return ERR_NONE;
}

struct remote_session *ssh_jump_session(const struct remote_session *session)
{
    return session->jump->session;
}

/* ---- Steps ---- */

static enum ssh_step outer_failed(struct remote_session *session, const struct err *err)
{
    return ssh_fail(session, remote_ssh.session_may_retry(session->jump->session), err->code,
                    "the jump host: %s", err->message);
}

/* libssh2 wants a socket to hold on to, though it never touches it. */
static enum ssh_step begin_inside(struct remote_session *session)
{
    struct err err = ERR_INIT;
    session->fd = fcntl(session->jump->session->fd, F_DUPFD_CLOEXEC, 3);
    if (session->fd < 0)
        return ssh_fail(session, true, ERR_IO, "%s: no file descriptor is left", session->place);
    session->phase = SSH_HANDSHAKE;
    if (ssh_login_begin(session, &err) != ERR_NONE)
        return ssh_fail(session, false, err.code, "%s", err.message);
    return SSH_STEP_MOVED;
}

enum ssh_step ssh_jump_step(struct remote_session *session)
{
    struct ssh_jump *jump = session->jump;
    struct err err = ERR_INIT;
    enum remote_state state = remote_ssh.session_step(jump->session, &err);
    if (state == REMOTE_FAILED)
        return outer_failed(session, &err);
    if (state == REMOTE_CONNECTING)
        return SSH_STEP_WAIT;
    LIBSSH2_SESSION *ssh = jump->session->ssh;
    jump->channel = libssh2_channel_direct_tcpip_ex(ssh, node_address(session->node),
                                                    node_port(session->node), "127.0.0.1", 22);
    if (jump->channel != NULL)
        return begin_inside(session);
    char *message = NULL;
    int status = libssh2_session_last_error(ssh, &message, NULL, 0);
    if (status == LIBSSH2_ERROR_EAGAIN) { /* what it has to say still has to leave */
        (void)!remote_ssh.session_step(jump->session, &err);
        return SSH_STEP_WAIT;
    }
    if (status != LIBSSH2_ERROR_CHANNEL_FAILURE)
        return ssh_fail_library(jump->session, "asking for a way through") == SSH_STEP_FAILED
                   ? outer_failed(session, &jump->session->failure)
                   : SSH_STEP_WAIT;
    return ssh_fail(session, true, ERR_REMOTE,
                    "%s cannot be reached from the jump host: is sshd running there, and does the "
                    "jump host allow forwarding (AllowTcpForwarding, PermitOpen)?",
                    session->place);
}

size_t ssh_jump_fill(struct remote_session *session, size_t most)
{
    struct ssh_jump *jump = session->jump;
    struct buf *buf = &session->incoming.buf;
    struct err err = ERR_INIT;
    size_t all = 0;
    bool lost = remote_ssh.session_step(jump->session, &err) == REMOTE_FAILED;
    while (!session->peer_closed && ssh_queue_length(&session->incoming) < most) {
        buf_reserve(buf, PIECE_BYTES);
        ssize_t got = libssh2_channel_read(jump->channel, buf->data + buf->length, PIECE_BYTES);
        if (got > 0) {
            buf->length += (size_t)got;
            buf->data[buf->length] = '\0';
            all += (size_t)got;
            continue;
        }
        if ((got < 0 && got != LIBSSH2_ERROR_EAGAIN) || libssh2_channel_eof(jump->channel) || lost)
            session->peer_closed = true;
        break;
    }
    return all;
}

void ssh_jump_flush(struct remote_session *session)
{
    struct ssh_jump *jump = session->jump;
    struct err err = ERR_INIT;
    while (ssh_queue_length(&session->outgoing) > 0) {
        ssize_t sent = libssh2_channel_write(jump->channel, ssh_queue_data(&session->outgoing),
                                             ssh_queue_length(&session->outgoing));
        if (sent > 0) {
            ssh_queue_take(&session->outgoing, (size_t)sent);
            continue;
        }
        if (sent != LIBSSH2_ERROR_EAGAIN && sent != 0)
            session->peer_closed = true;
        break;
    }
    (void)!remote_ssh.session_step(jump->session, &err); /* tells of its end when it is read */
}

void ssh_jump_close(struct remote_session *session)
{
    struct ssh_jump *jump = session->jump;
    if (jump == NULL)
        return;
    for (int tries = 0; jump->channel != NULL && tries < FREE_TRIES; tries++)
        if (libssh2_channel_free(jump->channel) != LIBSSH2_ERROR_EAGAIN)
            break;
    remote_ssh.session_close(jump->session);
    arena_free(&jump->arena);
    free(jump);
    session->jump = NULL;
}
