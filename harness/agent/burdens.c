/* Processes that are a burden: see burdens.h. */
#include "harness/agent/burdens.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"

#define KILL_NS_MAX (3 * NS_PER_SECOND)
#define SPIN_PERIOD_NS (20 * NS_PER_MS)
#define STEP_PERIOD_NS (100 * NS_PER_MS)
#define LOOK_NS (50 * NS_PER_MS)

enum { MIB = 1 << 20, PIECE_BYTES = 4 * MIB, RESERVE_MIB_MIN = 256 };

static const char comm[] = "ordeal-burden";

/* ---- The machine's memory ---- */

static int64_t meminfo_bytes(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at == NULL ? 0 : strtoll(at + strlen(key), NULL, 10) * 1024;
}

int64_t agentd_burden_spare_bytes(void)
{
    struct buf text = BUF_INIT;
    (void)!file_read("/proc/meminfo", 1 << 16, &text, NULL);
    int64_t all = meminfo_bytes(buf_text(&text), "MemTotal:");
    int64_t available = meminfo_bytes(buf_text(&text), "MemAvailable:");
    buf_free(&text);
    int64_t reserve = all / 10;
    if (reserve < (int64_t)RESERVE_MIB_MIN * MIB)
        reserve = (int64_t)RESERVE_MIB_MIN * MIB;
    return available - reserve;
}

int64_t agentd_burden_resident_bytes(pid_t pid)
{
    char path[64];
    long long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%*s %lld", &pages) != 1)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* ---- What they do ---- */

static int64_t cpu_ns(clockid_t clock)
{
    struct timespec used;
    return clock_gettime(clock, &used) != 0 ? 0 : used.tv_sec * NS_PER_SECOND + used.tv_nsec;
}

static _Noreturn void spin(int64_t percent)
{
    for (;;) {
        int64_t began_ns = clock_monotonic_ns(), used_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
        while (cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - used_ns < SPIN_PERIOD_NS * percent / 100)
            ;
        int64_t left_ns = began_ns + SPIN_PERIOD_NS - clock_monotonic_ns();
        if (left_ns > 0)
            clock_sleep_ns(left_ns);
    }
}

/* Takes a piece at a time and looks each time what is left; what it took and the machine comes to
 * need, it gives back, and does not take again. */
static _Noreturn void hold(int64_t bytes, struct agentd_burden_progress *progress)
{
    char *memory = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        _exit(1);
    int64_t held = 0;
    while (held < bytes && agentd_burden_spare_bytes() > PIECE_BYTES) {
        int64_t piece = bytes - held < PIECE_BYTES ? bytes - held : PIECE_BYTES;
        memset(memory + held, 0x5a, (size_t)piece);
        held += piece;
        progress->held_bytes = held;
    }
    progress->full = true;
    for (;;) {
        clock_sleep_ns(LOOK_NS);
        int64_t spare = agentd_burden_spare_bytes();
        if (spare >= 0 || held == 0)
            continue;
        int64_t back = -spare + PIECE_BYTES < held ? -spare + PIECE_BYTES : held;
        held = (held - back) / PIECE_BYTES * PIECE_BYTES;
        madvise(memory + held, (size_t)(bytes - held), MADV_DONTNEED);
        progress->held_bytes = held;
    }
}

static void signal_all(const struct agentd_selector *selector, int number)
{
    struct arena arena = ARENA_INIT;
    struct agentd_processes found;
    agentd_processes_select(&arena, selector, &found);
    for (uint32_t i = 0; i < found.count; i++)
        agentd_process_signal(found.items[i].pid, found.items[i].start, number);
    arena_free(&arena);
}

static _Noreturn void step(const struct agentd_selector *selector, int64_t percent)
{
    for (;;) {
        signal_all(selector, SIGSTOP);
        clock_sleep_ns(STEP_PERIOD_NS * (100 - percent) / 100);
        signal_all(selector, SIGCONT);
        clock_sleep_ns(STEP_PERIOD_NS * percent / 100);
    }
}

/* The kernel should rather have this process than any other, and nobody wait for its end to see the
 * agent's. */
static void become_burden(pid_t agent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != agent)
        _exit(1);
    prctl(PR_SET_NAME, comm);
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) {
        if (write(score, "1000", 4) != 4)
            errno = 0;
        close(score);
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void live(const struct agentd_burden_spec *spec,
                           const struct agentd_burden *burden, int gate, pid_t agent)
{
    char byte;
    become_burden(agent);
    close(burden->go);
    if (read(gate, &byte, 1) != 1) /* the agent ended before it had journaled this */
        _exit(1);
    close_range(STDERR_FILENO + 1, ~0u, 0);
    switch (spec->kind) {
    case AGENTD_BURDEN_SPIN:
        spin(spec->amount);
    case AGENTD_BURDEN_HOLD:
        hold(spec->amount, burden->progress);
    default:
        step(spec->selector, spec->amount);
    }
}

/* ---- From outside ---- */

static enum err_code fork_one(const struct agentd_burden_spec *spec, struct agentd_burden *burden,
                              int gate, struct err *err)
{
    pid_t agent = getpid(), pid = fork();
    if (pid == 0)
        live(spec, burden, gate, agent);
    if (pid < 0)
        return err_errno(err, errno, "cannot fork");
    struct agentd_process *process = &burden->items[burden->count++];
    if (!agentd_process_read(pid, process))
        return err_set(err, ERR_IO, "cannot read /proc/%d/stat", (int)pid);
    return ERR_NONE;
}

enum err_code agentd_burden_fork(const struct agentd_burden_spec *spec,
                                 struct agentd_burden *burden, struct err *err)
{
    int gate[2];
    *burden = (struct agentd_burden){.go = -1};
    if (spec->kind == AGENTD_BURDEN_HOLD) {
        burden->progress = mmap(NULL, sizeof *burden->progress, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (burden->progress == MAP_FAILED) {
            burden->progress = NULL;
            return err_errno(err, errno, "cannot map memory");
        }
    }
    if (pipe2(gate, O_CLOEXEC) != 0) {
        agentd_burden_close(burden);
        return err_errno(err, errno, "cannot make a pipe");
    }
    burden->go = gate[1];
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < spec->count && code == ERR_NONE; i++)
        code = fork_one(spec, burden, gate[0], err);
    close(gate[0]);
    if (code != ERR_NONE) /* their end of the pipe ends them */
        agentd_burden_close(burden);
    return code;
}

void agentd_burden_go(struct agentd_burden *burden)
{
    char bytes[AGENTD_BURDENS_MAX] = {0};
    if (write(burden->go, bytes, burden->count) != (ssize_t)burden->count)
        errno = 0; /* those that did not get one end, and the verification tells */
    close(burden->go);
    burden->go = -1;
}

void agentd_burden_close(struct agentd_burden *burden)
{
    if (burden->go >= 0)
        close(burden->go);
    burden->go = -1;
    if (burden->progress != NULL)
        munmap(burden->progress, sizeof *burden->progress);
    burden->progress = NULL;
}

int64_t agentd_burden_used_ns(const struct agentd_burden *burden)
{
    int64_t used_ns = 0;
    clockid_t clock;
    for (uint32_t i = 0; i < burden->count; i++)
        if (clock_getcpuclockid(burden->items[i].pid, &clock) == 0)
            used_ns += cpu_ns(clock);
    return used_ns;
}

void agentd_burden_print(const struct agentd_burden *burden, struct buf *text)
{
    for (uint32_t i = 0; i < burden->count; i++)
        buf_printf(text, "%s%d:%" PRIu64, i == 0 ? "" : " ", (int)burden->items[i].pid,
                   burden->items[i].start);
}

static bool is_gone(pid_t pid, uint64_t start)
{
    struct agentd_process now;
    return !agentd_process_read(pid, &now) || now.start != start || agentd_process_is_dead(&now);
}

enum err_code agentd_burden_kill(const char *list, struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + KILL_NS_MAX;
    int pid, length;
    uint64_t start;
    for (const char *at = list; sscanf(at, "%d:%" SCNu64 "%n", &pid, &start, &length) == 2;
         at += length)
        agentd_process_signal(pid, start, SIGKILL);
    for (const char *at = list; sscanf(at, "%d:%" SCNu64 "%n", &pid, &start, &length) == 2;
         at += length)
        while (!is_gone(pid, start)) {
            if (clock_monotonic_ns() > deadline_ns)
                return err_set(err, ERR_TIMEOUT, "process %d is still there after SIGKILL", pid);
            clock_sleep_ns(NS_PER_MS);
        }
    return ERR_NONE;
}
