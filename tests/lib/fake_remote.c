/* A transport without a network: see fake_remote.h. A session is an epoll descriptor with the pipes
 * and the processes of its commands in it. */
#include "tests/lib/fake_remote.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"

extern char **environ;

enum { END_OF_INPUT_MS = 300 };

static struct {
    pthread_mutex_t mutex;
    struct {
        int refusals;
        bool may_retry, hang, cut, cut_early;
        int channels_max, connections, channels_seen;
        int wake_fd; /* of the living session, or -1 */
    } nodes[FAKE_NODES_MAX];
} fake = {.mutex = PTHREAD_MUTEX_INITIALIZER};

struct remote_channel {
    TAILQ_ENTRY(remote_channel) entry;
    struct remote_session *session;
    const struct channel_events *events;
    void *context;
    char *text;
    bool started, finish, exited;
    struct buf input;
    int fds[3]; /* to its standard input, from its outputs; -1: closed */
    int pid_fd;
    pid_t pid;
    int status;
};

struct remote_session {
    uint32_t node;
    const struct remote_options *options;
    int epoll_fd, wake_fd;
    int64_t deadline_ns;
    bool ready, may_retry;
    int channels;
    TAILQ_HEAD(, remote_channel) list;
};

void fake_reset(void)
{
    pthread_mutex_lock(&fake.mutex);
    memset(fake.nodes, 0, sizeof fake.nodes);
    for (int i = 0; i < FAKE_NODES_MAX; i++)
        fake.nodes[i].wake_fd = -1;
    pthread_mutex_unlock(&fake.mutex);
}

static void wake(uint32_t node)
{
    uint64_t one = 1;
    if (fake.nodes[node].wake_fd >= 0)
        (void)!write(fake.nodes[node].wake_fd, &one, sizeof one);
}

#define CHANGE(node, change)                                                                       \
    do {                                                                                           \
        pthread_mutex_lock(&fake.mutex);                                                           \
        change;                                                                                    \
        wake(node);                                                                                \
        pthread_mutex_unlock(&fake.mutex);                                                         \
    } while (0)

void fake_refuse(uint32_t node, int count, bool may_retry)
{
    CHANGE(node, (fake.nodes[node].refusals = count, fake.nodes[node].may_retry = may_retry));
}

void fake_hang(uint32_t node, bool hang)
{
    CHANGE(node, fake.nodes[node].hang = hang);
}

void fake_cut(uint32_t node)
{
    CHANGE(node, fake.nodes[node].cut = true);
}

void fake_cut_before_sending(uint32_t node)
{
    CHANGE(node, fake.nodes[node].cut_early = true);
}

void fake_allow_channels(uint32_t node, int max)
{
    CHANGE(node, fake.nodes[node].channels_max = max);
}

static int look(const int *place)
{
    pthread_mutex_lock(&fake.mutex);
    int value = *place;
    pthread_mutex_unlock(&fake.mutex);
    return value;
}

int fake_connections(uint32_t node)
{
    return look(&fake.nodes[node].connections);
}

int fake_channels_seen(uint32_t node)
{
    return look(&fake.nodes[node].channels_seen);
}

/* ---- Processes ---- */

static void watch(struct remote_session *session, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events};
    if (epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        abort();
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void start(struct remote_channel *channel)
{
    int pipes[3][2];
    for (int i = 0; i < 3; i++)
        if (pipe2(pipes[i], O_CLOEXEC) != 0)
            abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < 3; i++) {
        posix_spawn_file_actions_adddup2(&actions, pipes[i][i == 0 ? 0 : 1], i);
        channel->fds[i] = pipes[i][i == 0 ? 1 : 0];
        fcntl(channel->fds[i], F_SETFL, O_NONBLOCK);
    }
    posix_spawnattr_t attributes; /* the I/O thread blocks all signals; a command must not */
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    char *arguments[] = {(char[]){"sh"}, (char[]){"-c"}, channel->text, NULL};
    if (posix_spawn(&channel->pid, "/bin/sh", &actions, &attributes, arguments, environ) != 0)
        abort();
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    for (int i = 0; i < 3; i++)
        close(pipes[i][i == 0 ? 0 : 1]);
    channel->pid_fd = (int)syscall(SYS_pidfd_open, channel->pid, 0);
    if (channel->pid_fd < 0)
        abort();
    watch(channel->session, channel->fds[1], EPOLLIN);
    watch(channel->session, channel->fds[2], EPOLLIN);
    watch(channel->session, channel->pid_fd, EPOLLIN);
    channel->started = true;
}

/* The command's input ends, and it has a moment to act upon that, as under sshd. */
static void free_channel(struct remote_channel *channel)
{
    for (int i = 0; i < 3; i++)
        close_fd(&channel->fds[i]);
    if (channel->started && !channel->exited) {
        struct pollfd ended = {.fd = channel->pid_fd, .events = POLLIN};
        if (poll(&ended, 1, END_OF_INPUT_MS) == 0)
            kill(channel->pid, SIGKILL); /* tidier than sshd, so that tests leave nothing behind */
        waitpid(channel->pid, NULL, 0);
    }
    close_fd(&channel->pid_fd);
    TAILQ_REMOVE(&channel->session->list, channel, entry);
    channel->session->channels--;
    buf_free(&channel->input);
    free(channel->text);
    free(channel);
}

/* ---- Steps ---- */

static bool send_input(struct remote_channel *channel)
{
    bool moved = false;
    while (channel->fds[0] >= 0 && channel->input.length > 0) {
        ssize_t sent = write(channel->fds[0], channel->input.data, channel->input.length);
        if (sent < 0 && errno == EAGAIN) {
            struct epoll_event event = {.events = EPOLLOUT};
            epoll_ctl(channel->session->epoll_fd, EPOLL_CTL_ADD, channel->fds[0], &event);
            return moved;
        }
        moved = true;
        if (sent < 0)
            close_fd(&channel->fds[0]);
        else
            buf_consume(&channel->input, (size_t)sent);
        if (channel->input.length < 1 << 16 && channel->events != NULL && !channel->finish)
            channel->events->on_writable(channel->context);
    }
    if (channel->fds[0] >= 0 && channel->finish) {
        close_fd(&channel->fds[0]);
        moved = true;
    } else if (channel->fds[0] >= 0) {
        epoll_ctl(channel->session->epoll_fd, EPOLL_CTL_DEL, channel->fds[0], NULL);
    }
    return moved;
}

static bool read_output(struct remote_channel *channel, int which)
{
    char bytes[16384];
    if (channel->fds[which] < 0)
        return false;
    ssize_t got = read(channel->fds[which], bytes, sizeof bytes);
    if (got < 0)
        return false;
    if (got == 0)
        close_fd(&channel->fds[which]);
    else if (channel->events != NULL && which == 1)
        channel->events->on_stdout(channel->context, bytes, (size_t)got);
    else if (channel->events != NULL)
        channel->events->on_stderr(channel->context, bytes, (size_t)got);
    return true;
}

static void end(struct remote_channel *channel)
{
    struct channel_end result = {.result = CHANNEL_EXITED, .status = WEXITSTATUS(channel->status)};
    if (WIFSIGNALED(channel->status)) {
        result.status = 128 + WTERMSIG(channel->status);
        result.signal_name = sigabbrev_np(WTERMSIG(channel->status));
    }
    const struct channel_events *events = channel->events;
    void *context = channel->context;
    free_channel(channel);
    if (events != NULL)
        events->on_end(context, &result);
}

/* Returns false when the channel is gone. */
static bool step_channel(struct remote_channel *channel, bool *moved)
{
    if (channel->events == NULL) {
        free_channel(channel);
        *moved = true;
        return false;
    }
    if (!channel->started) {
        start(channel);
        channel->events->on_started(channel->context);
        *moved = true;
    }
    *moved |= send_input(channel);
    *moved |= read_output(channel, 1);
    *moved |= read_output(channel, 2);
    if (!channel->exited && waitpid(channel->pid, &channel->status, WNOHANG) == channel->pid) {
        channel->exited = true;
        close_fd(&channel->pid_fd);
        *moved = true;
    }
    if (channel->events == NULL || !channel->exited || channel->fds[1] >= 0 || channel->fds[2] >= 0)
        return true;
    end(channel);
    *moved = true;
    return false;
}

static bool refused_here(struct remote_channel *channel)
{
    struct remote_session *session = channel->session;
    pthread_mutex_lock(&fake.mutex);
    int max = fake.nodes[session->node].channels_max;
    int running = 0;
    struct remote_channel *other;
    TAILQ_FOREACH(other, &session->list, entry)
    running += other->started;
    bool refused = !channel->started && channel->events != NULL && max > 0 && running >= max;
    if (running > fake.nodes[session->node].channels_seen)
        fake.nodes[session->node].channels_seen = running;
    pthread_mutex_unlock(&fake.mutex);
    if (!refused)
        return false;
    const struct channel_events *events = channel->events;
    void *context = channel->context;
    free_channel(channel);
    events->on_end(context, &(struct channel_end){.result = CHANNEL_REFUSED,
                                                  .reason = "the fake allows no more"});
    return true;
}

static enum remote_state fail(struct remote_session *session, bool may_retry, enum err_code code,
                              const char *message, struct err *err)
{
    session->may_retry = may_retry;
    err_set(err, code, "%s", message);
    return REMOTE_FAILED;
}

static enum remote_state step_connecting(struct remote_session *session, struct err *err)
{
    pthread_mutex_lock(&fake.mutex);
    bool hang = fake.nodes[session->node].hang;
    bool refuse = fake.nodes[session->node].refusals > 0;
    bool may_retry = fake.nodes[session->node].may_retry;
    if (refuse)
        fake.nodes[session->node].refusals--;
    pthread_mutex_unlock(&fake.mutex);
    if (refuse)
        return fail(session, may_retry, ERR_IO,
                    may_retry ? "the fake refused the connection" : "the fake refused the key",
                    err);
    if (hang && clock_monotonic_ns() >= session->deadline_ns)
        return fail(session, true, ERR_TIMEOUT, "the fake did not answer", err);
    session->ready = !hang;
    return hang ? REMOTE_CONNECTING : REMOTE_READY;
}

static enum remote_state session_step(struct remote_session *session, struct err *err)
{
    uint64_t ignored;
    (void)!read(session->wake_fd, &ignored, sizeof ignored);
    if (!session->ready)
        return step_connecting(session, err);
    pthread_mutex_lock(&fake.mutex);
    bool cut = fake.nodes[session->node].cut;
    bool cut_early = fake.nodes[session->node].cut_early && !TAILQ_EMPTY(&session->list);
    fake.nodes[session->node].cut = false;
    if (cut_early)
        fake.nodes[session->node].cut_early = false;
    pthread_mutex_unlock(&fake.mutex);
    if (cut || cut_early)
        return fail(session, true, ERR_IO, "the fake cut the connection", err);
    bool moved;
    do {
        moved = false;
        struct remote_channel *channel = TAILQ_FIRST(&session->list);
        while (channel != NULL) {
            struct remote_channel *next = TAILQ_NEXT(channel, entry);
            if (refused_here(channel))
                moved = true;
            else
                step_channel(channel, &moved);
            channel = next;
        }
    } while (moved);
    return REMOTE_READY;
}

static enum err_code session_open(const struct node *node, const void *address,
                                  const struct remote_options *options,
                                  struct remote_session **session, struct err *err)
{
    (void)address, (void)err;
    struct remote_session *opened = calloc(1, sizeof *opened);
    *opened =
        (struct remote_session){.node = node->index,
                                .options = options,
                                .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                                .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                .deadline_ns = clock_monotonic_ns() + options->connect_timeout_ns};
    TAILQ_INIT(&opened->list);
    watch(opened, opened->wake_fd, EPOLLIN);
    pthread_mutex_lock(&fake.mutex);
    fake.nodes[node->index].connections++;
    fake.nodes[node->index].wake_fd = opened->wake_fd;
    pthread_mutex_unlock(&fake.mutex);
    *session = opened;
    return ERR_NONE;
}

static void session_poll(struct remote_session *session, struct pollfd *pollfd,
                         int64_t *deadline_ns)
{
    *pollfd = (struct pollfd){.fd = session->epoll_fd, .events = POLLIN};
    pthread_mutex_lock(&fake.mutex);
    bool hang = fake.nodes[session->node].hang;
    pthread_mutex_unlock(&fake.mutex);
    int64_t wanted_ns = session->ready ? INT64_MAX : hang ? session->deadline_ns : 0;
    if (wanted_ns < *deadline_ns)
        *deadline_ns = wanted_ns;
}

static bool session_may_retry(const struct remote_session *session)
{
    return session->may_retry;
}

static void session_close(struct remote_session *session)
{
    pthread_mutex_lock(&fake.mutex);
    fake.nodes[session->node].wake_fd = -1;
    pthread_mutex_unlock(&fake.mutex);
    while (!TAILQ_EMPTY(&session->list))
        free_channel(TAILQ_FIRST(&session->list));
    close(session->epoll_fd);
    close(session->wake_fd);
    free(session);
}

static struct remote_channel *channel_open(struct remote_session *session, const char *text,
                                           const struct channel_events *events, void *context)
{
    struct remote_channel *channel = calloc(1, sizeof *channel);
    *channel = (struct remote_channel){.session = session,
                                       .events = events,
                                       .context = context,
                                       .text = strdup(text),
                                       .fds = {-1, -1, -1},
                                       .pid_fd = -1};
    session->channels++;
    TAILQ_INSERT_TAIL(&session->list, channel, entry);
    return channel;
}

static void channel_write(struct remote_channel *channel, const void *data, size_t length)
{
    if (!channel->started || channel->fds[0] >= 0)
        buf_add(&channel->input, data, length);
}

static void channel_finish(struct remote_channel *channel)
{
    channel->finish = true;
}

static size_t channel_backlog(const struct remote_channel *channel)
{
    return channel->input.length;
}

static bool channel_sent(const struct remote_channel *channel)
{
    return channel->started;
}

static void channel_abort(struct remote_channel *channel)
{
    channel->events = NULL;
}

const struct remote fake_remote = {
    .name = "fake",
    .session_open = session_open,
    .session_step = session_step,
    .session_poll = session_poll,
    .session_may_retry = session_may_retry,
    .session_close = session_close,
    .channel_open = channel_open,
    .channel_write = channel_write,
    .channel_finish = channel_finish,
    .channel_backlog = channel_backlog,
    .channel_sent = channel_sent,
    .channel_abort = channel_abort,
};
