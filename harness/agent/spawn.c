/* Starting a program: see spawn.h. */
#include "harness/agent/spawn.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/agent/journal.h"
#include "harness/agent/tool.h"
#include "harness/agent/user.h"
#include "harness/base/clock.h"

enum { EXEC_MS_MAX = 10000 };

static const struct {
    const char *name;
    int resource;
} limit_names[] = {
    {"as", RLIMIT_AS},         {"core", RLIMIT_CORE},     {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},     {"fsize", RLIMIT_FSIZE},   {"memlock", RLIMIT_MEMLOCK},
    {"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC},   {"rss", RLIMIT_RSS},
    {"stack", RLIMIT_STACK},   {"rtprio", RLIMIT_RTPRIO},
};

/* "nofile:65536" or "core:unlimited". */
static bool parse_limit(const char *text, int *resource, struct rlimit *limit)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL)
        return false;
    size_t length = (size_t)(colon - text), i = 0, count = sizeof limit_names / sizeof *limit_names;
    while (i < count && !(strlen(limit_names[i].name) == length &&
                          memcmp(limit_names[i].name, text, length) == 0))
        i++;
    if (i == count)
        return false;
    *resource = limit_names[i].resource;
    char *end;
    errno = 0;
    rlim_t value = strtoull(colon + 1, &end, 10);
    if (strcmp(colon + 1, "unlimited") == 0)
        value = RLIM_INFINITY;
    else if (!isdigit((unsigned char)colon[1]) || *end != '\0' || errno != 0)
        return false;
    *limit = (struct rlimit){.rlim_cur = value, .rlim_max = value};
    return true;
}

static const char *const *collect(struct arena *arena, const struct line *line, const char *key)
{
    const char **values = arena_alloc(arena, (line->count + 1) * sizeof *values);
    uint32_t cursor = 0, count = 0;
    const char *value;
    while ((value = line_next(line, key, &cursor)) != NULL)
        values[count++] = value;
    values[count] = NULL;
    return values;
}

enum err_code agentd_spawn_parse(struct arena *arena, const struct line *line,
                                 struct agentd_spawn *spawn, struct err *err)
{
    uint32_t cursor = 0;
    const char *text;
    while ((text = line_next(line, "limit", &cursor)) != NULL) {
        int resource;
        struct rlimit limit;
        if (!parse_limit(text, &resource, &limit))
            return err_set(err, ERR_CONFIG,
                           "limit: '%s' is none: write NAME:NUMBER or NAME:unlimited, NAME being "
                           "nofile, core, as, nproc, data, stack, fsize, memlock, cpu, rss, rtprio",
                           text);
    }
    *spawn = (struct agentd_spawn){.arguments = collect(arena, line, "arg"),
                                   .environment = collect(arena, line, "env"),
                                   .directory = line_get(line, "cwd"),
                                   .user = line_get(line, "user"),
                                   .log = line_get(line, "log"),
                                   .limits = line};
    for (size_t i = 0; spawn->environment[i] != NULL; i++)
        if (strchr(spawn->environment[i], '=') == NULL || spawn->environment[i][0] == '=')
            return err_set(err, ERR_CONFIG, "env: '%s' is not NAME=VALUE", spawn->environment[i]);
    if (spawn->arguments[0][0] == '\0')
        return err_set(err, ERR_CONFIG, "arg: the first one, the program, is empty");
    return ERR_NONE;
}

static enum err_code open_log(const char *path, struct err *err, int *log)
{
    if (path == NULL) {
        *log = open("/dev/null", O_WRONLY | O_CLOEXEC);
        return *log < 0 ? err_errno(err, errno, "cannot open /dev/null") : ERR_NONE;
    }
    char directory[4096];
    snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    if (slash != NULL && slash != directory) {
        *slash = '\0';
        if (agentd_make_directories(directory, 0755, err) != ERR_NONE)
            return err_wrap(err, "log %s", path);
    }
    /* Not blocking, for it may be a pipe that nobody reads: the agent must not hang on it. */
    *log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0644);
    if (*log < 0)
        return err_errno(err, errno, "cannot open log %s", path);
    fcntl(*log, F_SETFL, O_APPEND);
    return ERR_NONE;
}

/* ---- In the child: nothing but the way to exec; failures go home through a pipe ---- */

enum stage { STAGE_RUN, STAGE_DIRECTORY, STAGE_USER, STAGE_LIMIT, STAGE_STANDARD_FILES };

struct failure {
    enum stage stage;
    int errno_value;
};

static _Noreturn void give_up(int report, enum stage stage)
{
    struct failure failure = {.stage = stage, .errno_value = errno};
    if (write(report, &failure, sizeof failure) != (ssize_t)sizeof failure)
        _exit(126);
    _exit(127);
}

static void reset_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "0", 1) != 1) {
        /* Lowering it needs a privilege that the agent then never used either. */
    }
    close(fd);
}

static void set_limits(const struct line *limits, int report)
{
    uint32_t cursor = 0;
    const char *text;
    while ((text = line_next(limits, "limit", &cursor)) != NULL) {
        int resource;
        struct rlimit limit;
        if (parse_limit(text, &resource, &limit) && setrlimit(resource, &limit) != 0)
            give_up(report, STAGE_LIMIT);
    }
}

static void set_environment(const struct agentd_spawn *spawn, const struct agentd_user *user)
{
    if (getenv("PATH") == NULL)
        setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    if (spawn->user != NULL) {
        setenv("USER", user->name, 1);
        setenv("LOGNAME", user->name, 1);
        setenv("HOME", user->home, 1);
    }
    for (size_t i = 0; spawn->environment[i] != NULL; i++)
        putenv((char *)(uintptr_t)spawn->environment[i]);
}

static _Noreturn void become(const struct agentd_spawn *spawn, const struct agentd_user *user,
                             int log, int go, int report)
{
    char word;
    if (read(go, &word, 1) != 1)
        _exit(126); /* not journaled: it must not run */
    setsid();
    prctl(PR_SET_PDEATHSIG, 0);
    reset_oom_score();
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        give_up(report, STAGE_STANDARD_FILES);
    if (null > 2)
        close(null);
    set_limits(spawn->limits, report);
    umask(022);
    set_environment(spawn, user);
    if (spawn->user != NULL && !agentd_user_become(user))
        give_up(report, STAGE_USER);
    if (chdir(spawn->directory != NULL ? spawn->directory : "/") != 0)
        give_up(report, STAGE_DIRECTORY);
    agentd_reset_signals();
    execvp(spawn->arguments[0], (char *const *)(uintptr_t)spawn->arguments);
    give_up(report, STAGE_RUN);
}

/* ---- In the agent ---- */

static enum err_code explain(const struct agentd_spawn *spawn, const struct failure *failure,
                             struct err *err)
{
    const char *program = spawn->arguments[0];
    switch (failure->stage) {
    case STAGE_DIRECTORY:
        return err_errno(err, failure->errno_value, "cannot run %s: cannot enter %s", program,
                         spawn->directory != NULL ? spawn->directory : "/");
    case STAGE_USER:
        return err_errno(err, failure->errno_value, "cannot run %s: cannot become user %s", program,
                         spawn->user);
    case STAGE_LIMIT:
        return err_errno(err, failure->errno_value, "cannot run %s: cannot set its limits",
                         program);
    case STAGE_STANDARD_FILES:
        return err_errno(err, failure->errno_value, "cannot run %s: cannot open its standard files",
                         program);
    case STAGE_RUN:
        break;
    }
    bool is_there = strchr(program, '/') != NULL && access(program, F_OK) == 0;
    err_errno(err, failure->errno_value, "cannot run %s", program);
    if (failure->errno_value == ENOENT && is_there)
        return err_set(err, ERR_IO, "%s (it is there: its interpreter or loader is not)",
                       err->message);
    return err->code;
}

/* What the child says before exec closes the pipe: nothing, when all went well. */
static enum err_code hear(const struct agentd_spawn *spawn, int report, struct err *err)
{
    struct failure failure;
    struct pollfd fds = {.fd = report, .events = POLLIN};
    int64_t deadline_ns = clock_monotonic_ns() + EXEC_MS_MAX * NS_PER_MS;
    int ready;
    do {
        struct timespec patience = clock_timespec(deadline_ns - clock_monotonic_ns());
        ready = patience.tv_sec < 0 ? 0 : ppoll(&fds, 1, &patience, NULL);
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        return err_set(err, ERR_TIMEOUT, "cannot run %s: not started after %d s",
                       spawn->arguments[0], EXEC_MS_MAX / 1000);
    ssize_t length = read(report, &failure, sizeof failure);
    if (length == (ssize_t)sizeof failure)
        return explain(spawn, &failure, err);
    return ERR_NONE;
}

static void reap(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static enum err_code fork_and_run(const struct agentd_spawn *spawn, const struct agentd_user *user,
                                  int log, agentd_spawn_ready *ready, void *context, pid_t *pid,
                                  struct err *err)
{
    int go[2], report[2];
    if (pipe2(go, O_CLOEXEC) != 0)
        return err_errno(err, errno, "cannot make a pipe");
    if (pipe2(report, O_CLOEXEC) != 0) {
        close(go[0]);
        close(go[1]);
        return err_errno(err, errno, "cannot make a pipe");
    }
    pid_t child = fork();
    if (child == 0) {
        close(go[1]);
        close(report[0]);
        become(spawn, user, log, go[0], report[1]);
    }
    int failure = errno;
    close(go[0]);
    close(report[1]);
    enum err_code code = child < 0 ? err_errno(err, failure, "cannot fork") : ERR_NONE;
    if (code == ERR_NONE) {
        code = ready(context, child, err);
        if (code == ERR_NONE && write(go[1], "!", 1) != 1)
            code = err_errno(err, errno, "cannot let %s run", spawn->arguments[0]);
        if (code == ERR_NONE)
            code = hear(spawn, report[0], err);
        if (code != ERR_NONE)
            reap(child);
    }
    close(go[1]);
    close(report[0]);
    if (code == ERR_NONE)
        *pid = child;
    return code;
}

enum err_code agentd_spawn(const struct agentd_spawn *spawn, agentd_spawn_ready *ready,
                           void *context, pid_t *pid, struct err *err)
{
    struct agentd_user user = {.uid = 0};
    if (spawn->user != NULL) {
        enum err_code code = agentd_user_find(spawn->user, &user, err);
        if (code != ERR_NONE)
            return code;
    }
    int log = -1;
    enum err_code code = open_log(spawn->log, err, &log);
    if (code != ERR_NONE)
        return code;
    code = fork_and_run(spawn, &user, log, ready, context, pid, err);
    close(log);
    return code;
}
