/* A program that is spoken to by lines: see program_pipe.h. */
#include "harness/program_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"

extern char **environ;

enum err_code pipe_start(struct pipe_program *program, struct err *err)
{
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0)
        return err_errno(err, errno, "start %s", program->path);
    if (pipe2(out, O_CLOEXEC) != 0) {
        enum err_code code = err_errno(err, errno, "start %s", program->path);
        close(in[0]);
        close(in[1]);
        return code;
    }
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    if (program->cwd != NULL)
        posix_spawn_file_actions_addchdir_np(&actions, program->cwd);
    const char *const alone[] = {program->path, NULL};
    char *const *argv = (char *const *)(program->argv == NULL ? alone : program->argv);
    pid_t pid = 0;
    int problem = posix_spawnp(&pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(in[0]);
    close(out[1]);
    if (problem != 0) {
        close(in[1]);
        close(out[0]);
        return err_errno(err, problem, "start %s", program->path);
    }
    (void)!fcntl(in[1], F_SETFL, O_NONBLOCK);
    program->pid = pid;
    program->in = in[1];
    program->out = out[0];
    buf_clear(&program->unread);
    return ERR_NONE;
}

/* It is gone, or has to be. */
static void let_go(struct pipe_program *program, int *status)
{
    if (program->pid == 0)
        return;
    close(program->in);
    close(program->out);
    (void)kill(-program->pid, SIGKILL); /* with what it has started */
    (void)kill(program->pid, SIGKILL);
    while (waitpid(program->pid, status, 0) < 0 && errno == EINTR)
        ;
    program->pid = 0;
    buf_free(&program->unread);
    program->unread = BUF_INIT;
}

/* How it ended is asked before it is killed, or it would always have been the kill. */
enum err_code pipe_ended(struct pipe_program *program, struct err *err)
{
    int status = 0;
    pid_t ended = 0;
    if (program->pid == 0)
        return err_set(err, ERR_IO, "%s does not run", program->path);
    for (int i = 0; i < 1000 && ended == 0; i++) { /* its output closes a moment before it ends */
        ended = waitpid(program->pid, &status, WNOHANG);
        if (ended == 0)
            poll(NULL, 0, 1);
    }
    if (ended == program->pid) {
        close(program->in);
        close(program->out);
        (void)kill(-program->pid, SIGKILL);
        program->pid = 0;
        buf_free(&program->unread);
        program->unread = BUF_INIT;
    } else {
        let_go(program, &status);
    }
    if (ended > 0 && WIFSIGNALED(status))
        return err_set(err, ERR_IO, "%s was ended by signal %d", program->path, WTERMSIG(status));
    if (ended > 0)
        return err_set(err, ERR_IO, "%s ended with status %d", program->path, WEXITSTATUS(status));
    return err_set(err, ERR_IO, "%s closed its output", program->path);
}

static bool await(int fd, short events, int64_t deadline_ns)
{
    for (;;) {
        int64_t left_ns = deadline_ns - clock_monotonic_ns();
        if (left_ns <= 0)
            return false;
        struct pollfd wanted = {.fd = fd, .events = events};
        int ready = poll(&wanted, 1, (int)(left_ns / NS_PER_MS) + 1);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
    }
}

/* write(), but that a reader which has gone is an error and no signal, whatever the process does
 * about signals. */
static ssize_t write_quietly(int fd, const void *data, size_t length)
{
    sigset_t pipe_signal, before, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ssize_t count = write(fd, data, length);
    int problem = errno;
    const struct timespec at_once = {0};
    if (count < 0 && problem == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&pipe_signal, NULL, &at_once); /* ours: taken off again */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = problem;
    return count;
}

enum err_code pipe_write(struct pipe_program *program, const char *line, int64_t deadline_ns,
                         size_t *sent, struct err *err)
{
    struct buf text = BUF_INIT;
    size_t written = 0;
    enum err_code code = ERR_NONE;
    buf_printf(&text, "%s\n", line);
    while (written < text.length && code == ERR_NONE) {
        ssize_t count = write_quietly(program->in, text.data + written, text.length - written);
        if (count > 0)
            written += (size_t)count;
        else if (count < 0 && errno == EAGAIN && await(program->in, POLLOUT, deadline_ns))
            continue;
        else if (count < 0 && errno == EAGAIN)
            code = err_set(err, ERR_TIMEOUT, "%s did not read in time", program->path);
        else if (count < 0 && errno != EINTR)
            code = err_errno(err, errno, "write to %s", program->path);
    }
    if (sent != NULL)
        *sent = written;
    buf_free(&text);
    return code;
}

enum err_code pipe_read(struct pipe_program *program, int64_t deadline_ns, struct buf *line,
                        struct err *err)
{
    size_t searched = 0;
    for (;;) {
        const struct buf *unread = &program->unread;
        const char *end = unread->length == searched
                              ? NULL
                              : memchr(unread->data + searched, '\n', unread->length - searched);
        searched = unread->length;
        if (end != NULL) {
            size_t length = (size_t)(end - unread->data);
            buf_clear(line);
            buf_add(line, unread->data, length);
            buf_consume(&program->unread, length + 1);
            return ERR_NONE;
        }
        if (unread->length > PIPE_LINE_BYTES_MAX)
            return err_set(err, ERR_PARSE, "%s said a line of more than %d bytes", program->path,
                           PIPE_LINE_BYTES_MAX);
        if (!await(program->out, POLLIN, deadline_ns))
            return err_set(err, ERR_TIMEOUT, "%s did not answer in time", program->path);
        char bytes[4096];
        ssize_t count = read(program->out, bytes, sizeof bytes);
        if (count == 0 || (count < 0 && errno != EINTR))
            return err_set(err, ERR_IO, "%s closed its output", program->path);
        if (count > 0)
            buf_add(&program->unread, bytes, (size_t)count);
    }
}

/* Whatever went wrong, it is not spoken to any more. */
static enum err_code give_up(struct pipe_program *program, enum err_code code, struct err *err)
{
    int status;
    if (code == ERR_IO)
        return pipe_ended(program, err);
    let_go(program, &status);
    if (code == ERR_TIMEOUT)
        return err_set(err, code, "%s did not answer in time, and was killed", program->path);
    return code;
}

enum err_code pipe_say(struct pipe_program *program, const char *line, int64_t deadline_ns,
                       struct err *err)
{
    enum err_code code = pipe_write(program, line, deadline_ns, NULL, err);
    return code == ERR_NONE ? code : give_up(program, code, err);
}

enum err_code pipe_hear(struct pipe_program *program, int64_t deadline_ns, struct json **said,
                        struct err *err)
{
    struct buf line = BUF_INIT;
    struct json *json = NULL;
    enum err_code code = pipe_read(program, deadline_ns, &line, err);
    if (code == ERR_NONE &&
        (json_parse(buf_text(&line), line.length, program->path, &json, NULL) != ERR_NONE ||
         json_kind(json) != JSON_OBJECT)) {
        code = err_set(err, ERR_PARSE, "%s said what is no JSON object: '%.80s'", program->path,
                       buf_text(&line));
        json_free(json);
    }
    if (code == ERR_NONE)
        *said = json;
    buf_free(&line);
    return code == ERR_NONE ? code : give_up(program, code, err);
}

void pipe_stop(struct pipe_program *program, int64_t patience_ns)
{
    int status;
    if (program->pid == 0)
        return;
    int64_t deadline_ns = clock_monotonic_ns() + patience_ns;
    close(program->in);
    program->in = open("/dev/null", O_WRONLY | O_CLOEXEC);
    while (clock_monotonic_ns() < deadline_ns)
        if (waitpid(program->pid, &status, WNOHANG) == 0) {
            poll(NULL, 0, 5);
        } else {
            close(program->in);
            close(program->out);
            program->pid = 0;
            buf_free(&program->unread);
            program->unread = BUF_INIT;
            return;
        }
    let_go(program, &status);
}
