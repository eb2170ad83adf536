/* Commands on an SSH session: each is a channel, moved on by the session's steps. See
 * ssh_internal.h. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/remote/ssh_internal.h"

enum {
    WINDOW_BYTES = 2 << 20, /* what a node may send before we have read it */
    BACKLOG_LOW = 64 << 10, /* below this much to send, more is asked for */
    READS_PER_STEP = 16,    /* then the other channels have their turn */
    EXIT_SIGNALLED = 128,
};

/* ---- A queue of bytes ---- */

size_t ssh_queue_length(const struct ssh_queue *queue)
{
    return queue->buf.length - queue->offset;
}

const char *ssh_queue_data(const struct ssh_queue *queue)
{
    return buf_text(&queue->buf) + queue->offset;
}

void ssh_queue_add(struct ssh_queue *queue, const void *data, size_t length)
{
    buf_add(&queue->buf, data, length);
}

/* The front is moved away only once it is the larger part, so each byte is moved about once. */
void ssh_queue_take(struct ssh_queue *queue, size_t length)
{
    queue->offset += length;
    if (queue->offset == queue->buf.length) {
        buf_clear(&queue->buf);
        queue->offset = 0;
    } else if (queue->offset > queue->buf.length / 2) {
        buf_consume(&queue->buf, queue->offset);
        queue->offset = 0;
    }
}

/* ---- The fleet's side ---- */

struct remote_channel *ssh_channel_open(struct remote_session *session, const char *text,
                                        const struct channel_events *events, void *context)
{
    struct remote_channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL)
        abort();
    *channel = (struct remote_channel){.session = session,
                                       .events = events,
                                       .context = context,
                                       .phase = CHANNEL_QUEUED,
                                       .text = strdup(text)};
    if (channel->text == NULL)
        abort();
    TAILQ_INSERT_TAIL(&session->channels, channel, entry);
    return channel;
}

void ssh_channel_write(struct remote_channel *channel, const void *data, size_t length)
{
    if (channel->phase < CHANNEL_WAIT_CLOSED)
        ssh_queue_add(&channel->input, data, length);
}

void ssh_channel_finish(struct remote_channel *channel)
{
    channel->finish = true;
}

size_t ssh_channel_backlog(const struct remote_channel *channel)
{
    return ssh_queue_length(&channel->input);
}

bool ssh_channel_sent(const struct remote_channel *channel)
{
    return channel->phase >= CHANNEL_EXEC;
}

void ssh_channel_abort(struct remote_channel *channel)
{
    channel->events = NULL;
}

static void free_channel(struct remote_channel *channel)
{
    TAILQ_REMOVE(&channel->session->channels, channel, entry);
    if (channel->session->opening == channel)
        channel->session->opening = NULL;
    buf_free(&channel->input.buf);
    free(channel->text);
    free(channel);
}

void ssh_channels_free(struct remote_session *session)
{
    while (!TAILQ_EMPTY(&session->channels))
        free_channel(TAILQ_FIRST(&session->channels)); /* libssh2's go with its session */
}

/* ---- Ends ---- */

/* The last event; the channel itself is let go of in later steps. */
static void report_end(struct remote_channel *channel, const struct channel_end *end)
{
    const struct channel_events *events = channel->events;
    channel->events = NULL;
    if (events != NULL)
        events->on_end(channel->context, end);
}

static const struct {
    const char *name;
    int number;
} signals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"ILL", SIGILL},   {"ABRT", SIGABRT},
    {"FPE", SIGFPE},   {"KILL", SIGKILL}, {"SEGV", SIGSEGV}, {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},
    {"TERM", SIGTERM}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
};

static int signal_number(const char *name)
{
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (strcmp(signals[i].name, name) == 0)
            return signals[i].number;
    return 0;
}

static void report_exit(struct remote_channel *channel)
{
    struct channel_end end = {.result = CHANNEL_EXITED,
                              .status = libssh2_channel_get_exit_status(channel->ssh)};
    char *name = NULL;
    libssh2_channel_get_exit_signal(channel->ssh, &name, NULL, NULL, NULL, NULL, NULL);
    if (name != NULL) {
        end.signal_name = name;
        end.status = EXIT_SIGNALLED + signal_number(name);
    }
    report_end(channel, &end);
    if (name != NULL)
        libssh2_free(channel->session->ssh, name);
}

/* ---- Steps: each returns whether something moved ---- */

static bool is_fatal(int status)
{
    return status == LIBSSH2_ERROR_SOCKET_SEND || status == LIBSSH2_ERROR_SOCKET_RECV ||
           status == LIBSSH2_ERROR_SOCKET_DISCONNECT || status == LIBSSH2_ERROR_SOCKET_TIMEOUT ||
           status == LIBSSH2_ERROR_TIMEOUT || status == LIBSSH2_ERROR_BAD_SOCKET ||
           status == LIBSSH2_ERROR_PROTO || status == LIBSSH2_ERROR_DECRYPT ||
           status == LIBSSH2_ERROR_ENCRYPT || status == LIBSSH2_ERROR_INVALID_MAC ||
           status == LIBSSH2_ERROR_ALLOC || status == LIBSSH2_ERROR_BAD_USE ||
           status == LIBSSH2_ERROR_OUT_OF_BOUNDARY || status == LIBSSH2_ERROR_KEX_FAILURE ||
           status == LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE;
}

static char *last_message(struct remote_session *session)
{
    char *message = NULL;
    libssh2_session_last_error(session->ssh, &message, NULL, 0);
    return message;
}

static enum ssh_step open_channel(struct remote_channel *channel)
{
    struct remote_session *session = channel->session;
    if (channel->phase == CHANNEL_QUEUED && channel->events == NULL) {
        channel->phase = CHANNEL_GONE;
        return SSH_STEP_MOVED;
    }
    if (session->opening != NULL && session->opening != channel)
        return SSH_STEP_WAIT;
    session->opening = channel;
    channel->phase = CHANNEL_OPENING;
    channel->ssh = libssh2_channel_open_ex(session->ssh, "session", 7, WINDOW_BYTES,
                                           LIBSSH2_CHANNEL_PACKET_DEFAULT, NULL, 0);
    if (channel->ssh != NULL) {
        session->opening = NULL;
        channel->phase = channel->events != NULL ? CHANNEL_EXEC : CHANNEL_CLOSING;
        return SSH_STEP_MOVED;
    }
    int status = libssh2_session_last_errno(session->ssh);
    if (status == LIBSSH2_ERROR_EAGAIN)
        return SSH_STEP_WAIT;
    session->opening = NULL;
    if (status != LIBSSH2_ERROR_CHANNEL_FAILURE)
        return ssh_fail_library(session, "opening a channel");
    channel->phase = CHANNEL_GONE;
    report_end(channel,
               &(struct channel_end){.result = CHANNEL_REFUSED, .reason = last_message(session)});
    return SSH_STEP_MOVED;
}

static enum ssh_step start_command(struct remote_channel *channel)
{
    int status = libssh2_channel_process_startup(channel->ssh, "exec", 4, channel->text,
                                                 (unsigned)strlen(channel->text));
    if (status == LIBSSH2_ERROR_EAGAIN)
        return SSH_STEP_WAIT;
    if (status == 0) {
        channel->phase = CHANNEL_RUNNING;
        if (channel->events != NULL)
            channel->events->on_started(channel->context);
        return SSH_STEP_MOVED;
    }
    if (is_fatal(status))
        return ssh_fail_library(channel->session, "starting a command");
    channel->phase = CHANNEL_CLOSING;
    report_end(channel, &(struct channel_end){.result = CHANNEL_DENIED,
                                              .reason = last_message(channel->session)});
    return SSH_STEP_MOVED;
}

/* The command closed its input, or ended: what is left to send has no reader. */
static void drop_input(struct remote_channel *channel)
{
    ssh_queue_take(&channel->input, ssh_queue_length(&channel->input));
    channel->finished = true;
}

static enum ssh_step send_input(struct remote_channel *channel)
{
    struct remote_session *session = channel->session;
    enum ssh_step step = SSH_STEP_WAIT;
    while (ssh_queue_length(&channel->input) > 0 && !channel->finished &&
           ssh_queue_length(&session->outgoing) < SSH_OUTGOING_MAX) {
        ssize_t sent = libssh2_channel_write(channel->ssh, ssh_queue_data(&channel->input),
                                             ssh_queue_length(&channel->input));
        if (sent == LIBSSH2_ERROR_EAGAIN || sent == 0)
            return step;
        if (sent < 0 && is_fatal((int)sent))
            return ssh_fail_library(session, "sending input to a command");
        step = SSH_STEP_MOVED;
        if (sent < 0)
            drop_input(channel);
        else
            ssh_queue_take(&channel->input, (size_t)sent);
        if (ssh_queue_length(&channel->input) < BACKLOG_LOW && channel->events != NULL &&
            !channel->finish && !channel->finished && channel->events->on_writable != NULL)
            channel->events->on_writable(channel->context);
    }
    if (channel->finish && !channel->finished && ssh_queue_length(&channel->input) == 0) {
        int status = libssh2_channel_send_eof(channel->ssh);
        if (status == LIBSSH2_ERROR_EAGAIN)
            return step;
        if (status != 0 && is_fatal(status))
            return ssh_fail_library(session, "ending a command's input");
        channel->finished = true;
        step = SSH_STEP_MOVED;
    }
    return step;
}

static enum ssh_step read_stream(struct remote_channel *channel, int stream)
{
    struct remote_session *session = channel->session;
    enum ssh_step step = SSH_STEP_WAIT;
    for (int reads = 0; reads < READS_PER_STEP; reads++) {
        ssize_t got =
            libssh2_channel_read_ex(channel->ssh, stream, session->read_buffer, SSH_READ_BYTES);
        if (got == LIBSSH2_ERROR_EAGAIN || got == 0)
            break;
        if (got < 0 && is_fatal((int)got))
            return ssh_fail_library(session, "reading a command's output");
        if (got < 0)
            break;
        step = SSH_STEP_MOVED;
        if (channel->events == NULL)
            continue;
        if (stream == 0)
            channel->events->on_stdout(channel->context, session->read_buffer, (size_t)got);
        else
            channel->events->on_stderr(channel->context, session->read_buffer, (size_t)got);
    }
    return step;
}

static enum ssh_step run_channel(struct remote_channel *channel)
{
    if (channel->events == NULL) {
        channel->phase = CHANNEL_CLOSING;
        return SSH_STEP_MOVED;
    }
    enum ssh_step sent = send_input(channel);
    if (sent == SSH_STEP_FAILED)
        return sent;
    enum ssh_step out = read_stream(channel, 0);
    if (out == SSH_STEP_FAILED)
        return out;
    enum ssh_step errors = read_stream(channel, SSH_EXTENDED_DATA_STDERR);
    if (errors == SSH_STEP_FAILED)
        return errors;
    if (channel->events == NULL)
        return SSH_STEP_MOVED; /* aborted by one of its own events */
    if (libssh2_channel_eof(channel->ssh) == 1) {
        channel->phase = CHANNEL_WAIT_CLOSED;
        return SSH_STEP_MOVED;
    }
    return sent == SSH_STEP_MOVED || out == SSH_STEP_MOVED || errors == SSH_STEP_MOVED
               ? SSH_STEP_MOVED
               : SSH_STEP_WAIT;
}

/* The exit status comes after the end of output, right before the node closes the channel. Closing
 * from our side first would lose it. */
static enum ssh_step await_exit(struct remote_channel *channel)
{
    int status = libssh2_channel_wait_closed(channel->ssh);
    if (status == LIBSSH2_ERROR_EAGAIN && channel->events != NULL)
        return SSH_STEP_WAIT;
    if (status < 0 && is_fatal(status))
        return ssh_fail_library(channel->session, "waiting for a command's exit status");
    channel->phase = CHANNEL_CLOSING;
    report_exit(channel);
    return SSH_STEP_MOVED;
}

static enum ssh_step close_channel(struct remote_channel *channel)
{
    int status = libssh2_channel_free(channel->ssh);
    if (status == LIBSSH2_ERROR_EAGAIN)
        return SSH_STEP_WAIT;
    if (status < 0 && is_fatal(status))
        return ssh_fail_library(channel->session, "closing a channel");
    channel->ssh = NULL;
    channel->phase = CHANNEL_GONE;
    return SSH_STEP_MOVED;
}

static enum ssh_step step_channel(struct remote_channel *channel)
{
    switch (channel->phase) {
    case CHANNEL_QUEUED:
    case CHANNEL_OPENING:
        return open_channel(channel);
    case CHANNEL_EXEC:
        return start_command(channel);
    case CHANNEL_RUNNING:
        return run_channel(channel);
    case CHANNEL_WAIT_CLOSED:
        return await_exit(channel);
    case CHANNEL_CLOSING:
        return close_channel(channel);
    case CHANNEL_GONE:
        break;
    }
    return SSH_STEP_WAIT;
}

enum ssh_step ssh_channels_step(struct remote_session *session)
{
    enum ssh_step result = SSH_STEP_WAIT;
    struct remote_channel *channel = TAILQ_FIRST(&session->channels);
    while (channel != NULL) {
        enum ssh_step step = step_channel(channel);
        if (step == SSH_STEP_FAILED)
            return step;
        if (step == SSH_STEP_MOVED)
            result = SSH_STEP_MOVED;
        /* Events may have added channels behind this one, never removed any. */
        struct remote_channel *next = TAILQ_NEXT(channel, entry);
        if (channel->phase == CHANNEL_GONE)
            free_channel(channel);
        channel = next;
    }
    return result;
}
