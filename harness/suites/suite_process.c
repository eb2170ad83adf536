/* One run of a suite as a process of its own: see suite_run.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "harness/run.h"
#include "harness/store.h"
#include "harness/suites/suite_run.h"

#define OUTPUT_BYTES_MAX ((size_t)1 << 30)

/* ---- Interrupts ---- */

static volatile sig_atomic_t stopped;
static volatile sig_atomic_t child; /* 0: none */

static void pass_on(int number)
{
    stopped = 1;
    if (child > 0)
        kill(child, number);
}

void suite_process_catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
}

bool suite_process_stopped(void *state)
{
    (void)state;
    return stopped != 0;
}

/* ---- The process ---- */

static int scratch_file(struct err *err)
{
    FILE *file = tmpfile();
    int fd = file == NULL ? -1 : fcntl(fileno(file), F_DUPFD_CLOEXEC, 3);
    if (file != NULL)
        fclose(file);
    if (fd < 0)
        err_errno(err, errno, "a file for a run's output");
    return fd;
}

/* In a process group of its own, so that Ctrl-C reaches it through us and but once; and ended with
 * us, however we end: it heals then. */
static pid_t start(char *const *words, int out, int errors, struct err *err)
{
    sigset_t held, before;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_BLOCK, &held, &before); /* none may fall between the fork and `child` */
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        int nothing = open("/dev/null", O_RDONLY);
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        if (getppid() != parent || dup2(nothing, 0) < 0 || dup2(out, 1) < 0 || dup2(errors, 2) < 0)
            _exit(EXIT_HARNESS_FAILED);
        execv(words[0], words);
        dprintf(2, "ordeal: cannot run %s: %s\n", words[0], strerror(errno));
        _exit(EXIT_HARNESS_FAILED);
    }
    child = pid > 0 ? pid : 0;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        err_errno(err, errno, "start %s", words[0]);
    return pid;
}

static int await(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    child = 0;
    return status;
}

static void read_all(int fd, struct buf *out)
{
    char piece[65536];
    ssize_t got;
    if (lseek(fd, 0, SEEK_SET) != 0)
        return;
    while ((got = read(fd, piece, sizeof piece)) > 0 && out->length < OUTPUT_BYTES_MAX)
        buf_add(out, piece, (size_t)got);
}

/* What it told last, which is the problem when there is one. */
static void last_line(struct buf *text, char *line, size_t size)
{
    while (text->length > 0 && text->data[text->length - 1] == '\n')
        text->data[--text->length] = '\0';
    const char *data = buf_text(text), *begin = strrchr(data, '\n');
    begin = begin == NULL ? data : begin + 1;
    snprintf(line, size, "%s", text_starts(begin, "ordeal: ") ? begin + 8 : begin);
}

static void take_output(int status, int out, int errors, struct suite_attempt *attempt)
{
    struct buf text = BUF_INIT, told = BUF_INIT;
    read_all(out, &text);
    read_all(errors, &told);
    if (text.length > 0 &&
        json_parse(text.data, text.length, "output", &attempt->results, NULL) != ERR_NONE)
        attempt->results = NULL;
    if (WIFSIGNALED(status)) { /* it died: as good as any failure of the harness */
        attempt->status = EXIT_HARNESS_FAILED;
        snprintf(attempt->problem, sizeof attempt->problem,
                 "ordeal run was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    } else {
        attempt->status = WEXITSTATUS(status);
        if (attempt->status > EXIT_UNKNOWN)
            last_line(&told, attempt->problem, sizeof attempt->problem);
        else if (attempt->results == NULL) {
            attempt->status = EXIT_HARNESS_FAILED;
            snprintf(attempt->problem, sizeof attempt->problem,
                     "ordeal run ended with status %d and told no results", WEXITSTATUS(status));
        }
    }
    buf_free(&text);
    buf_free(&told);
}

static enum err_code write_plan(const struct suite_process *process, const struct suite_cell *cell,
                                struct arena *arena, const char **path, struct err *err)
{
    const char *plans = store_path(arena, process->directory, "plans");
    const char *name = arena_printf(arena, "%s.json", cell->name);
    *path = store_path(arena, plans, name);
    if (file_make_dirs(plans, err) != ERR_NONE)
        return err->code;
    return store_write_json(plans, name, cell->plan, err);
}

void suite_process_execute(void *state, const struct suite_cell *cell, uint64_t seed,
                           struct suite_attempt *attempt)
{
    const struct suite_process *process = state;
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    const char *plan = NULL;
    int out = -1, errors = -1;
    if (write_plan(process, cell, &arena, &plan, &err) == ERR_NONE &&
        (out = scratch_file(&err)) >= 0 && (errors = scratch_file(&err)) >= 0) {
        const char *words[] = {process->program,
                               "run",
                               plan,
                               "--seed",
                               arena_printf(&arena, "%" PRIu64, seed),
                               "--store",
                               process->store,
                               "--json",
                               NULL};
        pid_t pid = start((char *const *)words, out, errors, &err);
        if (pid > 0)
            take_output(await(pid), out, errors, attempt);
    }
    if (err.code != ERR_NONE)
        snprintf(attempt->problem, sizeof attempt->problem, "%s", err.message);
    if (out >= 0)
        close(out);
    if (errors >= 0)
        close(errors);
    arena_free(&arena);
}
