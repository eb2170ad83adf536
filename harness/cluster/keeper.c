/* The keeper as others see it: see keeper.h. */
#include "harness/cluster/keeper.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/line.h"
#include "harness/base/text.h"
#include "harness/cluster/state.h"

enum { SPAWN_WAIT_MS = 90000, REQUEST_WAIT_MS = 60000, END_WAIT_MS = 15000 };

int keeper_socket(const struct place *place, enum keeper_side side)
{
    int directory = open(place->state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = directory >= 0 ? socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) : -1;
    if (fd >= 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/control", directory);
        const struct sockaddr *generic = (const struct sockaddr *)&address;
        int result = side == KEEPER_SERVES ? bind(fd, generic, sizeof address)
                                           : connect(fd, generic, sizeof address);
        if (result == 0 && side == KEEPER_SERVES)
            result = listen(fd, 16);
        if (result != 0) {
            int error = errno;
            close(fd);
            errno = error;
            fd = -1;
        }
    }
    int error = errno;
    if (directory >= 0)
        close(directory);
    errno = error;
    return fd;
}

/* "ok", or "error", a code and a message. */
static enum err_code read_reply(const char *bytes, size_t length, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct line line;
    enum err_code code = line_parse(&arena, bytes, length - (length > 0), &line, err);
    if (code == ERR_NONE && strcmp(line_at(&line, 0), "ok") != 0) {
        code = (enum err_code)line_get_int(&line, "code", ERR_IO);
        code = err_set(err, code == ERR_NONE ? ERR_IO : code, "%s", line_at(&line, 1));
    }
    arena_free(&arena);
    return code;
}

/* ---- Starting ---- */

/* The middle process ends at once, so that the keeper becomes a child of the system's process 1 and
 * nobody has to wait for it but that. */
static enum err_code fork_keeper(const struct keeper_start *start, struct err *err)
{
    pid_t middle = fork();
    if (middle < 0)
        return err_errno(err, errno, "start the keeper");
    if (middle == 0) {
        setsid();
        pid_t keeper = fork();
        if (keeper == 0)
            keeper_main(start);
        _exit(keeper < 0);
    }
    int status;
    while (waitpid(middle, &status, 0) < 0) {
        if (errno == ECHILD) /* the caller ignores SIGCHLD */
            return ERR_NONE;
        if (errno != EINTR)
            return err_errno(err, errno, "start the keeper");
    }
    if (status != 0)
        return err_set(err, ERR_IO, "start the keeper: cannot fork");
    return ERR_NONE;
}

static enum err_code await_reply(const struct place *place, int fd, struct err *err)
{
    struct buf reply = BUF_INIT;
    int64_t deadline_ns = clock_monotonic_ns() + SPAWN_WAIT_MS * NS_PER_MS;
    enum err_code code = ERR_NONE;
    for (;;) {
        int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        int ready = poll(&poll_fd, 1, left_ms > 0 ? (int)left_ms : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        char chunk[2048];
        ssize_t got = ready > 0 ? read(fd, chunk, sizeof chunk) : 0;
        if (ready <= 0)
            code = err_set(err, ERR_TIMEOUT, "its keeper did not get it up within %d s",
                           SPAWN_WAIT_MS / 1000);
        if (got <= 0)
            break;
        buf_add(&reply, chunk, (size_t)got);
    }
    if (code == ERR_NONE && reply.length == 0)
        code =
            err_set(err, ERR_IO, "its keeper ended too early; see %s/keeper.log", place->state_dir);
    else if (code == ERR_NONE)
        code = read_reply(reply.data, reply.length, err);
    buf_free(&reply);
    return code;
}

enum err_code keeper_spawn(const struct place *place, const struct keeper_options *options,
                           struct err *err)
{
    int reply[2];
    if (pipe2(reply, O_CLOEXEC) != 0)
        return err_errno(err, errno, "make a pipe");
    struct keeper_start start = {
        .place = place, .options = *options, .reply_fd = reply[1], .creator_pidfd = -1};
    enum err_code code = ERR_NONE;
    /* A process descriptor, not a pipe whose writing end this process would hold: a child of this
     * process that outlives it cannot hold it open. */
    if (options->ephemeral) {
        start.creator_pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
        if (start.creator_pidfd < 0)
            code = err_errno(err, errno, "watch this process (the kernel must be 5.3 or newer)");
    }
    if (code == ERR_NONE)
        code = fork_keeper(&start, err);
    close(reply[1]);
    if (start.creator_pidfd >= 0)
        close(start.creator_pidfd);
    if (code == ERR_NONE)
        code = await_reply(place, reply[0], err);
    close(reply[0]);
    return code;
}

/* ---- Asking ---- */

/* `hold` gets the connection when it succeeds, unless it is NULL. */
static enum err_code ask(const struct place *place, const char *verb, const char *node, int *hold,
                         struct err *err)
{
    int fd = keeper_socket(place, KEEPER_IS_ASKED);
    if (fd < 0)
        return err_errno(err, errno, "cluster %s: reach its keeper", place->name);
    struct buf request = BUF_INIT;
    line_field(&request, verb);
    line_field(&request, node);
    line_end(&request);
    const struct timeval wait = {.tv_sec = REQUEST_WAIT_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    char reply[ERR_MESSAGE_MAX * 2];
    ssize_t length = send(fd, request.data, request.length, MSG_NOSIGNAL);
    if (length > 0)
        do
            length = recv(fd, reply, sizeof reply, 0);
        while (length < 0 && errno == EINTR);
    int error = errno;
    buf_free(&request);
    enum err_code code = ERR_NONE;
    if (length > 0)
        code = read_reply(reply, (size_t)length, err);
    if (length > 0 && code == ERR_NONE && hold != NULL)
        *hold = fd;
    else
        close(fd);
    if (length < 0 && (error == EAGAIN || error == EWOULDBLOCK))
        return err_set(err, ERR_TIMEOUT, "cluster %s: its keeper does not answer", place->name);
    if (length < 0)
        return err_errno(err, error, "cluster %s: ask its keeper", place->name);
    if (length == 0)
        return err_set(err, ERR_IO, "cluster %s: its keeper ended", place->name);
    return code;
}

enum err_code keeper_request(const struct place *place, const char *verb, const char *node,
                             struct err *err)
{
    return ask(place, verb, node, NULL, err);
}

enum err_code keeper_hold_off(const struct place *place, const char *node, int *hold,
                              struct err *err)
{
    return ask(place, "off", node, hold, err);
}

static bool nodes_gone(const struct state *state, int wait_ms)
{
    int64_t deadline_ns = clock_monotonic_ns() + wait_ms * NS_PER_MS;
    for (int i = 0; i < state->node_count; i++) {
        int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
        if (state->nodes[i].pid != 0 &&
            !process_wait(&state->nodes[i], left_ms > 0 ? (int)left_ms : 0))
            return false;
    }
    return true;
}

enum err_code keeper_end(const struct place *place, const struct state *state, struct err *err)
{
    if (process_alive(&state->keeper)) {
        /* Being asked, it can wait for its children; SIGKILL must do when it is stuck. */
        process_signal(&state->keeper, SIGCONT);
        process_signal(&state->keeper, SIGTERM);
        if (!process_wait(&state->keeper, END_WAIT_MS))
            process_signal(&state->keeper, SIGKILL);
        if (!process_wait(&state->keeper, END_WAIT_MS))
            return err_set(err, ERR_TIMEOUT, "cluster %s: its keeper, process %d, cannot be killed",
                           place->name, (int)state->keeper.pid);
    }
    if (!nodes_gone(state, END_WAIT_MS))
        return err_set(err, ERR_TIMEOUT,
                       "cluster %s: processes of a node stay although their process 1 was killed; "
                       "are they frozen?",
                       place->name);
    return ERR_NONE;
}

/* A keeper's name is its own doing; its log tells whose it is, also when that was removed. */
static bool is_keeper(const struct place *place, const char *pid)
{
    char path[300], log[PLACE_PATH_MAX], target[PLACE_PATH_MAX];
    struct buf name = BUF_INIT;
    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    bool named = file_read(path, 64, &name, NULL) == ERR_NONE &&
                 strcmp(buf_text(&name), "ordeal-keeper\n") == 0;
    buf_free(&name);
    if (!named)
        return false;
    snprintf(path, sizeof path, "/proc/%s/fd/2", pid);
    ssize_t length = readlink(path, target, sizeof target - 1);
    place_join(place->state_dir, "keeper.log", log);
    target[length > 0 ? length : 0] = '\0';
    return strncmp(target, log, strlen(log)) == 0;
}

bool keeper_find(const struct place *place, struct process_id *process)
{
    bool found = false;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc != NULL && !found && (entry = readdir(proc)) != NULL)
        found = isdigit((unsigned char)entry->d_name[0]) && is_keeper(place, entry->d_name) &&
                process_identify((pid_t)atoi(entry->d_name), process, NULL) == ERR_NONE &&
                process_alive(process);
    if (proc != NULL)
        closedir(proc);
    return found;
}
