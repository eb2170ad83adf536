/* Patching a process' vDSO, and undoing it, while its threads stand still. See vdso.h.
 *
 * A forked helper is the tracer: should a thread not stop, the helper is ended by its alarm and the
 * kernel lets everybody go on; and should the agent be killed meanwhile, the helper still finishes.
 */
#include "harness/agent/vdso.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/agent/process.h"
#include "harness/base/clock.h"

#ifdef __x86_64__

enum { THREADS_MAX = 16384, HELPER_SECONDS_MAX = 3, STACK_OFFSET = 4032, ROUNDS_MAX = 16 };
/* Of a wait status: a stop that PTRACE_INTERRUPT asked for, or of a process that is paused. */
#define IS_EVENT_STOP(status) ((status) >> 16 == PTRACE_EVENT_STOP)

/* What the helper is told, and tells. */
struct job {
    struct agentd_vdso_process process;
    bool restore;
    uint64_t cookie;
    struct agentd_warps warps;
};
struct outcome {
    struct err err;
    uint64_t page;
    struct agentd_vdso_answer answer;
};

struct traced {
    pid_t *threads;
    uint32_t count;
    pid_t at;      /* the thread that works for us */
    uint64_t base; /* of the vDSO */
};

/* ---- Stopping ---- */

static bool is_known(const struct traced *traced, pid_t thread)
{
    for (uint32_t i = 0; i < traced->count; i++)
        if (traced->threads[i] == thread)
            return true;
    return false;
}

/* Waits until the thread stands for us, letting it have the signals that come first. */
static bool await_stop(pid_t thread)
{
    int status;
    for (;;) {
        if (waitpid(thread, &status, __WALL) != thread || !WIFSTOPPED(status))
            return false; /* it ended */
        if (IS_EVENT_STOP(status))
            return true;
        if (ptrace(PTRACE_CONT, thread, NULL, (void *)(intptr_t)WSTOPSIG(status)) != 0)
            return false;
    }
}

/* Interrupts the threads that are not known yet, then waits for them. */
static enum err_code stop_new(struct traced *traced, pid_t pid, uint32_t *added, struct err *err)
{
    char path[64];
    uint32_t before = traced->count;
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        pid_t thread = (pid_t)atoi(entry->d_name);
        if (thread <= 0 || is_known(traced, thread) || traced->count == THREADS_MAX)
            continue;
        if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) != 0) {
            if (errno == ESRCH)
                continue; /* it ended meanwhile, or is a leader that did and waits for the rest */
            err_errno(err, errno, "process %d cannot be traced", (int)pid);
            closedir(tasks);
            return err->code;
        }
        if (ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) == 0)
            traced->threads[traced->count++] = thread;
    }
    if (tasks != NULL)
        closedir(tasks);
    uint32_t kept = before;
    for (uint32_t i = before; i < traced->count; i++)
        if (await_stop(traced->threads[i]))
            traced->threads[kept++] = traced->threads[i];
    *added = kept - before;
    traced->count = kept;
    return ERR_NONE;
}

/* Such a thread works for us when there is one: it is in no restartable sequence, whose protection
 * would be lost by running something else in the middle of it. */
static bool is_in_system_call(pid_t thread)
{
    struct user_regs_struct registers;
    return ptrace(PTRACE_GETREGS, thread, NULL, &registers) == 0 &&
           (int64_t)registers.orig_rax >= 0;
}

/* Until no thread is found that is not stopped: they may make others meanwhile. */
static enum err_code stop_all(struct traced *traced, pid_t pid, struct err *err)
{
    uint32_t added = 1;
    for (int round = 0; round < ROUNDS_MAX && added > 0; round++)
        if (stop_new(traced, pid, &added, err) != ERR_NONE)
            return err->code;
    if (traced->count == 0 || added > 0)
        return err_set(err, ERR_IO, "process %d %s", (int)pid,
                       added > 0 ? "makes threads faster than they can be stopped" : "is gone");
    traced->at = traced->threads[0];
    for (uint32_t i = traced->count; i-- > 0;)
        if (is_in_system_call(traced->threads[i]))
            traced->at = traced->threads[i];
    return ERR_NONE;
}

static void let_go(const struct traced *traced)
{
    for (uint32_t i = 0; i < traced->count; i++)
        ptrace(PTRACE_DETACH, traced->threads[i], NULL, NULL);
}

/* ---- Working in a stopped thread ----
 *
 * Its signals but SIGTRAP are blocked meanwhile, so that none is met and lost on the way. */

struct borrowed {
    struct user_regs_struct registers;
    uint64_t signals;
};

static bool borrow(pid_t thread, struct borrowed *borrowed)
{
    uint64_t none_but_trap = ~(UINT64_C(1) << (SIGTRAP - 1));
    return ptrace(PTRACE_GETREGS, thread, NULL, &borrowed->registers) == 0 &&
           ptrace(PTRACE_GETSIGMASK, thread, (void *)sizeof borrowed->signals,
                  &borrowed->signals) == 0 &&
           ptrace(PTRACE_SETSIGMASK, thread, (void *)sizeof none_but_trap, &none_but_trap) == 0;
}

static bool give_back(pid_t thread, struct borrowed *borrowed)
{
    bool registers = ptrace(PTRACE_SETREGS, thread, NULL, &borrowed->registers) == 0;
    return ptrace(PTRACE_SETSIGMASK, thread, (void *)sizeof borrowed->signals,
                  &borrowed->signals) == 0 &&
           registers;
}

/* Lets it run to the next trap. */
static bool run_to_trap(pid_t thread, enum __ptrace_request how)
{
    int status;
    for (;;) {
        if (ptrace(how, thread, NULL, NULL) != 0 || waitpid(thread, &status, __WALL) != thread ||
            !WIFSTOPPED(status))
            return false;
        if (!IS_EVENT_STOP(status)) /* a SIGSTOP from elsewhere is one, and waits for us */
            return WSTOPSIG(status) == SIGTRAP;
    }
}

static bool run_with(pid_t thread, struct user_regs_struct *registers, enum __ptrace_request how)
{
    registers->orig_rax =
        (unsigned long long)-1; /* or the kernel would restart a call of its own */
    return ptrace(PTRACE_SETREGS, thread, NULL, registers) == 0 && run_to_trap(thread, how) &&
           ptrace(PTRACE_GETREGS, thread, NULL, registers) == 0;
}

/* A system call in the process; false when the thread is lost. */
static bool make_call(const struct traced *traced, long number, const uint64_t arguments[6],
                      int64_t *result)
{
    struct borrowed borrowed;
    if (!borrow(traced->at, &borrowed))
        return false;
    struct user_regs_struct registers = borrowed.registers;
    registers.rip = traced->base + agentd_vdso_image()->syscall;
    registers.rax = (uint64_t)number;
    registers.rdi = arguments[0];
    registers.rsi = arguments[1];
    registers.rdx = arguments[2];
    registers.r10 = arguments[3];
    registers.r8 = arguments[4];
    registers.r9 = arguments[5];
    bool ran = run_with(traced->at, &registers, PTRACE_SINGLESTEP);
    *result = (int64_t)registers.rax;
    return give_back(traced->at, &borrowed) && ran;
}

/* Calls the vDSO's clock_gettime as the process would, on the stack in our page: its own may have
 * no room. The true time was between the two around it. */
static bool ask_clock(const struct traced *traced, uint64_t page, clockid_t id, int64_t *told_ns)
{
    struct borrowed borrowed;
    struct timespec told = {.tv_sec = 0};
    uint64_t stack = page + STACK_OFFSET;
    uint64_t trap = page + AGENTD_VDSO_PAGE_BYTES + agentd_payload_trap();
    if (!agentd_vdso_poke(traced->at, stack - 8, &trap, sizeof trap) ||
        !borrow(traced->at, &borrowed))
        return false;
    struct user_regs_struct registers = borrowed.registers;
    registers.rip = traced->base + agentd_vdso_image()->functions[0];
    registers.rsp = stack - 8;
    registers.rdi = (uint64_t)id;
    registers.rsi = stack;
    bool ran = run_with(traced->at, &registers, PTRACE_CONT);
    bool right = registers.rip == trap + 1 && registers.rax == 0;
    bool back = give_back(traced->at, &borrowed);
    *told_ns = 0;
    if (!ran || !right || !back || !agentd_vdso_peek(traced->at, stack, &told, sizeof told))
        return false;
    *told_ns = told.tv_sec * NS_PER_SECOND + told.tv_nsec;
    return true;
}

/* ---- Memory that only a tracer may write ---- */

static bool write_words(pid_t thread, uint64_t address, const uint8_t *bytes, size_t size)
{
    for (size_t done = 0; done < size; done += sizeof(long)) {
        long word = 0;
        size_t part = size - done < sizeof word ? size - done : sizeof word;
        errno = 0;
        if (part < sizeof word)
            word = ptrace(PTRACE_PEEKDATA, thread, (void *)(address + done), NULL);
        memcpy(&word, bytes + done, part);
        if (errno != 0 || ptrace(PTRACE_POKEDATA, thread, (void *)(address + done), word) != 0)
            return false;
    }
    return true;
}

/* No thread may stand in the middle of bytes that change. */
static bool step_out(const struct traced *traced)
{
    const struct agentd_vdso_image *image = agentd_vdso_image();
    for (uint32_t i = 0; i < traced->count; i++)
        for (int steps = 0;; steps++) {
            struct borrowed borrowed;
            bool inside = false;
            if (steps > AGENTD_VDSO_JUMP_BYTES || !borrow(traced->threads[i], &borrowed))
                return false;
            for (int f = 0; f < AGENTD_VDSO_FUNCTIONS; f++) {
                uint64_t at = borrowed.registers.rip - traced->base - image->functions[f];
                inside = inside || (at > 0 && at < AGENTD_VDSO_JUMP_BYTES);
            }
            if (inside && (!run_to_trap(traced->threads[i], PTRACE_SINGLESTEP) ||
                           ptrace(PTRACE_GETREGS, traced->threads[i], NULL, &borrowed.registers)))
                return false;
            if (!give_back(traced->threads[i], &borrowed))
                return false;
            if (!inside)
                break;
        }
    return true;
}

static bool write_functions(const struct traced *traced, uint64_t page)
{
    const struct agentd_vdso_image *image = agentd_vdso_image();
    for (int i = 0; i < AGENTD_VDSO_FUNCTIONS; i++) {
        uint8_t bytes[AGENTD_VDSO_JUMP_BYTES] = {0x48, 0xb8, [10] = 0xff, 0xe0};
        uint64_t target = page + AGENTD_VDSO_PAGE_BYTES + agentd_payload_entry(i);
        memcpy(bytes + 2, &target, sizeof target); /* movabs $target, %rax; jmp *%rax */
        if (!write_words(traced->at, traced->base + image->functions[i],
                         page != 0 ? bytes : image->bytes + image->functions[i], sizeof bytes))
            return false;
    }
    return true;
}

/* By the system call: a vDSO of ours may be patched like any. */
static int64_t true_ns(clockid_t id)
{
    struct timespec now = {.tv_sec = 0};
    syscall(SYS_clock_gettime, id, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

/* ---- The page ---- */

/* Data that its forks share, and code behind it. */
static bool map_page(const struct traced *traced, uint64_t *page, struct err *err)
{
    const uint64_t both[6] = {0,
                              2 * (uint64_t)AGENTD_VDSO_PAGE_BYTES,
                              PROT_READ | PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS,
                              (uint64_t)-1,
                              0};
    int64_t at = 0, data = 0;
    if (!make_call(traced, SYS_mmap, both, &at))
        return false;
    if (at < 0 && at > -4096)
        return err_errno(err, (int)-at, "process %d may not map code", (int)traced->at) == ERR_NONE;
    const uint64_t first[6] = {(uint64_t)at,           AGENTD_VDSO_PAGE_BYTES,
                               PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
                               (uint64_t)-1,           0};
    if (!make_call(traced, SYS_mmap, first, &data) || data != at)
        return false;
    *page = (uint64_t)at;
    return write_words(traced->at, *page + AGENTD_VDSO_PAGE_BYTES, agentd_payload,
                       (size_t)(agentd_payload_end - agentd_payload));
}

static bool fill_page(pid_t pid, uint64_t page, uint64_t cookie, const struct agentd_warps *warps)
{
    struct agentd_vdso_page data = {.magic = AGENTD_VDSO_MAGIC, .cookie = cookie};
    data.slots[0] = data.slots[1] = *warps;
    return agentd_vdso_poke(pid, page, &data, sizeof data);
}

/* ---- The two jobs ---- */

static enum err_code verify_clock(const struct traced *traced, uint64_t page, clockid_t id,
                                  const struct agentd_warp *warp, int64_t *offset_ns,
                                  struct err *err)
{
    int64_t told_ns, before_ns = true_ns(id);
    if (!ask_clock(traced, page, id, &told_ns))
        return err_set(err, ERR_IO, "process %d cannot be asked for its time", (int)traced->at);
    int64_t after_ns = true_ns(id);
    *offset_ns = told_ns - after_ns + (after_ns - before_ns) / 2;
    if (told_ns < agentd_warp_apply(warp, before_ns) || told_ns > agentd_warp_apply(warp, after_ns))
        return err_set(err, ERR_REMOTE,
                       "process %d is off by %lld ms after its clock was set, which it should not",
                       (int)traced->at, (long long)(*offset_ns / NS_PER_MS));
    return ERR_NONE;
}

static enum err_code verify_both(const struct traced *traced, uint64_t page,
                                 const struct agentd_warps *warps,
                                 struct agentd_vdso_answer *answer, struct err *err)
{
    enum err_code code =
        verify_clock(traced, page, CLOCK_REALTIME, &warps->wall, &answer->wall_offset_ns, err);
    if (code == ERR_NONE)
        code = verify_clock(traced, page, CLOCK_MONOTONIC, &warps->monotonic,
                            &answer->monotonic_offset_ns, err);
    return code;
}

static enum err_code cannot(const struct traced *traced, struct err *err)
{
    if (err->code != ERR_NONE)
        return err->code;
    return err_errno(err, errno, "cannot change process %d", (int)traced->at);
}

static enum err_code do_patch(const struct traced *traced, const struct job *job,
                              struct outcome *outcome)
{
    struct agentd_warps known;
    outcome->page = job->process.page;
    if (outcome->page == 0 || !agentd_vdso_read(traced->at, outcome->page, &known))
        if (!map_page(traced, &outcome->page, &outcome->err))
            return cannot(traced, &outcome->err);
    /* All threads stand: none has read a monotonic time that is later than this. */
    struct agentd_warps warps = job->warps;
    if (warps.monotonic.rate != AGENTD_RATE_ONE)
        warps.monotonic.base_true_ns = warps.monotonic.base_told_ns = true_ns(CLOCK_MONOTONIC);
    if (!fill_page(traced->at, outcome->page, job->cookie, &warps) || !step_out(traced) ||
        !write_functions(traced, outcome->page))
        return cannot(traced, &outcome->err);
    enum err_code code =
        verify_both(traced, outcome->page, &warps, &outcome->answer, &outcome->err);
    if (code != ERR_NONE)
        (void)!write_functions(traced, 0);
    return code;
}

static enum err_code do_restore(const struct traced *traced, const struct job *job,
                                struct outcome *outcome)
{
    struct agentd_warps none = agentd_warps_none();
    struct agentd_vdso_answer answer;
    if (!step_out(traced) || !write_functions(traced, 0))
        return cannot(traced, &outcome->err);
    return verify_both(traced, job->process.page, &none, &answer, &outcome->err);
}

/* ---- The helper ---- */

static void help(const struct job *job, struct outcome *outcome)
{
    struct agentd_process now;
    struct traced traced = {.threads = calloc(THREADS_MAX, sizeof *traced.threads)};
    if (traced.threads == NULL || stop_all(&traced, job->process.pid, &outcome->err) != ERR_NONE)
        return;
    /* Only once it is traced can its number mean nobody else. */
    if (!agentd_process_read(job->process.pid, &now) || now.start != job->process.start ||
        agentd_vdso_address(job->process.pid, &traced.base) != AGENTD_VDSO_CLEAN)
        (void)!err_set(&outcome->err, ERR_IO, "process %d is gone", (int)job->process.pid);
    else
        (void)!(job->restore ? do_restore(&traced, job, outcome) : do_patch(&traced, job, outcome));
    let_go(&traced);
}

static _Noreturn void be_helper(const struct job *job, int fd)
{
    struct outcome outcome = {.err = ERR_INIT};
    signal(SIGALRM, SIG_DFL);
    alarm(HELPER_SECONDS_MAX);
    help(job, &outcome);
    _exit(write(fd, &outcome, sizeof outcome) == (ssize_t)sizeof outcome ? 0 : 1);
}

static enum err_code run_helper(const struct job *job, struct outcome *outcome, struct err *err)
{
    int fds[2], status;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return err_errno(err, errno, "cannot make a pipe");
    pid_t helper = fork();
    if (helper == 0)
        be_helper(job, fds[1]);
    close(fds[1]);
    ssize_t length = helper < 0 ? -1 : read(fds[0], outcome, sizeof *outcome);
    while (length < 0 && errno == EINTR)
        length = read(fds[0], outcome, sizeof *outcome);
    close(fds[0]);
    if (helper < 0)
        return err_errno(err, errno, "cannot fork a tracer");
    while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
        ;
    if (length != (ssize_t)sizeof *outcome)
        return err_set(err, ERR_TIMEOUT, "the threads of process %d do not stand still for %d s",
                       (int)job->process.pid, HELPER_SECONDS_MAX);
    return outcome->err.code == ERR_NONE
               ? ERR_NONE
               : err_set(err, outcome->err.code, "%s", outcome->err.message);
}

/* ---- For others ---- */

enum err_code agentd_vdso_patch(struct agentd_vdso_process *process, uint64_t cookie,
                                const struct agentd_warps *warps, struct agentd_vdso_answer *answer,
                                struct err *err)
{
    struct job job = {.process = *process, .cookie = cookie, .warps = *warps};
    struct outcome outcome;
    uint64_t page = 0;
    switch (agentd_vdso_look(process->pid, &page, NULL)) {
    case AGENTD_VDSO_GONE:
        return err_set(err, ERR_IO, "process %d is gone", (int)process->pid);
    case AGENTD_VDSO_NONE:
        if (agentd_vdso_image()->reason[0] != '\0')
            return err_set(err, ERR_UNSUPPORTED, "%s", agentd_vdso_image()->reason);
        return err_set(err, ERR_UNSUPPORTED, "process %d has no vDSO like ours (is it of 32 bits?)",
                       (int)process->pid);
    case AGENTD_VDSO_PATCHED:
        return err_set(err, ERR_CONFIG, "the clock of process %d is under another fault",
                       (int)process->pid);
    case AGENTD_VDSO_CLEAN:
        break;
    }
    enum err_code code = run_helper(&job, &outcome, err);
    if (code != ERR_NONE)
        return code;
    process->page = outcome.page;
    *answer = outcome.answer;
    return ERR_NONE;
}

enum err_code agentd_vdso_restore(const struct agentd_vdso_process *process, struct err *err)
{
    struct job job = {.process = *process, .restore = true};
    struct outcome outcome;
    uint64_t page = 0, cookie;
    if (agentd_vdso_look(process->pid, &page, &cookie) != AGENTD_VDSO_PATCHED)
        return ERR_NONE;
    job.process.page = page;
    enum err_code code = run_helper(&job, &outcome, err);
    return code == ERR_IO && agentd_vdso_look(process->pid, NULL, NULL) == AGENTD_VDSO_GONE
               ? ERR_NONE
               : code;
}

#else

enum err_code agentd_vdso_patch(struct agentd_vdso_process *process, uint64_t cookie,
                                const struct agentd_warps *warps, struct agentd_vdso_answer *answer,
                                struct err *err)
{
    (void)process, (void)cookie, (void)warps, (void)answer;
    return err_set(err, ERR_UNSUPPORTED, "%s", agentd_vdso_image()->reason);
}

enum err_code agentd_vdso_restore(const struct agentd_vdso_process *process, struct err *err)
{
    (void)process, (void)err;
    return ERR_NONE;
}

#endif
