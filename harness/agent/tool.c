/* Running a command: see tool.h. */
#include "harness/agent/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"

enum { OUTPUT_BYTES_MAX = 8 << 20, NOT_RUN_STATUS = 127 };
#define TOOL_NS_MAX (10 * NS_PER_SECOND)

void agentd_reset_signals(void)
{
    /* By system call: the C library refuses its own two signals, which a parent may have ignored.
     */
    struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } normal = {.handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        syscall(SYS_rt_sigaction, number, &normal, NULL, sizeof normal.mask);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

bool agentd_tool_find(const char *name, char *path, size_t size)
{
    static const char *const directories[] = {"/usr/sbin", "/sbin", "/usr/bin", "/bin",
                                              "/usr/local/sbin"};
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        snprintf(path, size, "%s/%s", directories[i], name);
        if (access(path, X_OK) == 0)
            return true;
    }
    path[0] = '\0';
    return false;
}

struct running {
    pid_t pid;
    int input, output, errors; /* our ends; -1 once closed */
};

static void become(enum agentd_tool_place place, const char *const *argv, const int *ends)
{
    agentd_reset_signals();
    if (place == TOOL_IN_NEW_NETWORK && unshare(CLONE_NEWNET) != 0) {
        dprintf(ends[2], "cannot make a network: %s\n", strerror(errno));
        _exit(NOT_RUN_STATUS);
    }
    if (dup2(ends[0], 0) < 0 || dup2(ends[1], 1) < 0 || dup2(ends[2], 2) < 0)
        _exit(NOT_RUN_STATUS);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(NOT_RUN_STATUS);
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static enum err_code start(enum agentd_tool_place place, const char *const *argv,
                           struct running *running, struct err *err)
{
    int pipes[3][2];
    for (int i = 0; i < 3; i++)
        if (pipe2(pipes[i], O_CLOEXEC) != 0) {
            int failure = errno;
            while (--i >= 0) {
                close(pipes[i][0]);
                close(pipes[i][1]);
            }
            return err_errno(err, failure, "cannot make a pipe for %s", argv[0]);
        }
    int ends[3] = {pipes[0][0], pipes[1][1], pipes[2][1]};
    pid_t pid = fork();
    if (pid == 0)
        become(place, argv, ends);
    int failure = errno;
    for (int i = 0; i < 3; i++)
        close(ends[i]);
    *running = (struct running){
        .pid = pid, .input = pipes[0][1], .output = pipes[1][0], .errors = pipes[2][0]};
    if (pid >= 0)
        return ERR_NONE;
    close(running->input);
    close(running->output);
    close(running->errors);
    return err_errno(err, failure, "cannot fork for %s", argv[0]);
}

static void feed(struct running *running, const char **input)
{
    ssize_t step = write(running->input, *input, strlen(*input));
    if (step > 0)
        *input += step;
    if (**input == '\0' || (step < 0 && errno != EAGAIN && errno != EINTR))
        close_end(&running->input);
}

static void drain(int *fd, struct buf *into)
{
    char bytes[8192];
    ssize_t step = read(*fd, bytes, sizeof bytes);
    if (step > 0 && into->length + (size_t)step <= OUTPUT_BYTES_MAX)
        buf_add(into, bytes, (size_t)step);
    else if (step == 0 || (step < 0 && errno != EINTR && errno != EAGAIN))
        close_end(fd);
}

/* False when the deadline passed first. */
static bool converse(struct running *running, const char *input, struct buf *output,
                     struct buf *errors)
{
    int64_t deadline_ns = clock_monotonic_ns() + TOOL_NS_MAX;
    fcntl(running->input, F_SETFL, O_NONBLOCK);
    while (running->output >= 0 || running->errors >= 0) {
        int64_t left_ns = deadline_ns - clock_monotonic_ns();
        struct pollfd fds[3] = {{.fd = running->input, .events = POLLOUT},
                                {.fd = running->output, .events = POLLIN},
                                {.fd = running->errors, .events = POLLIN}};
        if (left_ns <= 0)
            return false;
        struct timespec patience = clock_timespec(left_ns);
        if (ppoll(fds, 3, &patience, NULL) <= 0)
            continue;
        if (fds[0].revents != 0)
            feed(running, &input);
        if (fds[1].revents != 0)
            drain(&running->output, output);
        if (fds[2].revents != 0)
            drain(&running->errors, errors);
    }
    return true;
}

static enum err_code judge(const char *const *argv, int status, const struct buf *errors,
                           struct err *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return ERR_NONE;
    const char *words = buf_text(errors);
    if (strlen(words) > 400)
        words += strlen(words) - 400;
    if (WIFSIGNALED(status))
        return err_set(err, ERR_REMOTE, "%s died of signal %d: %s", argv[0], WTERMSIG(status),
                       words);
    return err_set(err, ERR_REMOTE, "%s failed with status %d: %s", argv[0], WEXITSTATUS(status),
                   words);
}

enum err_code agentd_tool_run(const char *const *argv, const char *input, struct buf *output,
                              struct err *err)
{
    return agentd_tool_run_in(TOOL_HERE, argv, input, output, err);
}

enum err_code agentd_tool_run_in(enum agentd_tool_place place, const char *const *argv,
                                 const char *input, struct buf *output, struct err *err)
{
    struct running running;
    enum err_code code = start(place, argv, &running, err);
    if (code != ERR_NONE)
        return code;
    struct buf dropped = BUF_INIT, errors = BUF_INIT;
    bool finished =
        converse(&running, input == NULL ? "" : input, output != NULL ? output : &dropped, &errors);
    if (!finished)
        kill(running.pid, SIGKILL);
    close_end(&running.input);
    close_end(&running.output);
    close_end(&running.errors);
    int status = 0;
    while (waitpid(running.pid, &status, 0) < 0 && errno == EINTR)
        ;
    code = finished
               ? judge(argv, status, &errors, err)
               : err_set(err, ERR_TIMEOUT, "%s did not end within 10 s and was killed", argv[0]);
    buf_free(&dropped);
    buf_free(&errors);
    return code;
}
