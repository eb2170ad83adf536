/* Processes: see process.h. */
#include "harness/cluster/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness/base/buf.h"
#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/cluster/place.h"

/* Fields 3 (state) and 22 (start time) of /proc/PID/stat; the name in field 2 may hold anything,
 * so that counting starts at its closing parenthesis, the last in the line. */
static bool read_stat(pid_t pid, char *run_state, uint64_t *start_ticks)
{
    char path[32];
    struct buf text = BUF_INIT;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    bool found = false;
    if (pid > 0 && file_read(path, 1 << 20, &text, NULL) == ERR_NONE) {
        const char *after_name = strrchr(buf_text(&text), ')');
        found = after_name != NULL &&
                sscanf(after_name,
                       ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                       "%*d %" SCNu64,
                       run_state, start_ticks) == 2;
    }
    buf_free(&text);
    return found;
}

enum err_code process_identify(pid_t pid, struct process_id *process, struct err *err)
{
    char run_state;
    uint64_t start_ticks;
    if (!read_stat(pid, &run_state, &start_ticks))
        return err_set(err, ERR_IO, "process %d is gone", (int)pid);
    *process = (struct process_id){.pid = pid, .start_ticks = start_ticks};
    return ERR_NONE;
}

bool process_alive(const struct process_id *process)
{
    char run_state;
    uint64_t start_ticks;
    return read_stat(process->pid, &run_state, &start_ticks) &&
           start_ticks == process->start_ticks && run_state != 'Z' && run_state != 'X';
}

/* The descriptor is opened first and the identity checked after: what it then stands for cannot
 * change any more. -1 when the process is gone. */
static int open_process(const struct process_id *process)
{
    int fd = process->pid > 0 ? (int)syscall(SYS_pidfd_open, process->pid, 0) : -1;
    if (fd >= 0 && !process_alive(process)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

bool process_wait(const struct process_id *process, int wait_ms)
{
    int64_t deadline_ns = clock_monotonic_ns() + wait_ms * NS_PER_MS;
    int fd = open_process(process);
    if (fd < 0)
        return !process_alive(process);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int ready;
    do {
        int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
        ready = poll(&poll_fd, 1, left_ms > 0 ? (int)left_ms : 0);
    } while (ready < 0 && errno == EINTR);
    close(fd);
    return ready > 0;
}

void process_signal(const struct process_id *process, int signal)
{
    int fd = open_process(process);
    if (fd < 0)
        return;
    syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
    close(fd);
}

/* Where the kernel finds what it shows as this process's arguments and environment: fields 48 to 51
 * of /proc/self/stat. Only when they adjoin, as they do unless somebody moved them. */
static bool find_title_area(char **start, char **end)
{
    unsigned long arg_start, arg_end, env_start, env_end;
    struct buf text = BUF_INIT;
    bool found = false;
    if (file_read("/proc/self/stat", 1 << 20, &text, NULL) == ERR_NONE) {
        const char *field = strrchr(buf_text(&text), ')');
        for (int number = 2; field != NULL && number < 48; number++)
            field = strchr(field + 1, ' ');
        found = field != NULL &&
                sscanf(field, "%lu %lu %lu %lu", &arg_start, &arg_end, &env_start, &env_end) == 4 &&
                arg_start != 0 && arg_start < arg_end && arg_end == env_start &&
                env_start <= env_end;
    }
    buf_free(&text);
    if (found) {
        *start = (char *)arg_start;
        *end = (char *)env_end;
    }
    return found;
}

/* The text is written over the arguments and, where it is longer, the environment; the kernel knows
 * this old custom. The rest of both is wiped: what the caller has in its environment is nothing
 * that the processes of a node should find in /proc/1/environ. */
void process_rename(const char *name, const char *detail)
{
    char *start, *end;
    prctl(PR_SET_NAME, name);
    if (!find_title_area(&start, &end))
        return;
    clearenv();
    memset(start, 0, (size_t)(end - start));
    snprintf(start, (size_t)(end - start), "%s %s", name, detail);
}

static int compare_ints(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

void process_close_others(const int *kept, int count)
{
    int sorted[8];
    if (count > 8)
        abort();
    memcpy(sorted, kept, (size_t)count * sizeof *kept);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_ints);
    unsigned next = 3;
    for (int i = 0; i < count; i++) {
        if (sorted[i] < 0)
            continue;
        if ((unsigned)sorted[i] > next)
            close_range(next, (unsigned)sorted[i] - 1, 0);
        next = (unsigned)sorted[i] + 1;
    }
    close_range(next, ~0U, 0);
}

void process_reset_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* refused for SIGKILL, SIGSTOP and the C library's own */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void process_set_oom_score(int score)
{
    char text[8];
    int length = snprintf(text, sizeof text, "%d", score);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, text, (size_t)length) < 0)
        errno = 0;
    close(fd);
}
