/* A real ordeal-agent at the other end of two pipes, for tests. All waits have a deadline and fail
 * the test. In a header, for it needs cmocka, which what links tests/lib need not have. */
#ifndef ORDEAL_TESTS_AGENT_PROCESS_H
#define ORDEAL_TESTS_AGENT_PROCESS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/agent/process.h"
#include "harness/base/clock.h"
#include "harness/base/line.h"
#include "tests/lib/test.h"

#define AGENT_WAIT_NS (20 * NS_PER_SECOND)

struct agent_process {
    pid_t pid;              /* what was started: the guardian */
    pid_t serving;          /* from hello */
    int input, output;      /* our ends; -1 once closed */
    int network;            /* a network namespace to start it in; -1: ours */
    const char *program;    /* NULL: the one that was built */
    struct buf text;        /* read, not yet looked at */
    struct arena arena;     /* every line that was returned */
    struct line events[64]; /* that came while a reply was awaited */
    uint32_t event_count;
    uint32_t next_id;
    struct line hello;
};

static inline const char *agent_program(void)
{
    static char path[4096];
    const char *build = getenv("ORDEAL_BUILD");
    snprintf(path, sizeof path, "%s/ordeal-agent", build != NULL ? build : "build/release");
    return path;
}

/* A directory of this test's own below $TMPDIR. */
static inline void agent_make_directory(char *path, size_t size)
{
    const char *base = getenv("TMPDIR");
    snprintf(path, size, "%s/agent.XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(path) == NULL)
        fail_msg("cannot make %s: %s", path, strerror(errno));
}

/* Copies a program to `directory`/`name`, so that its name is nobody else's. */
static inline const char *agent_copy_program(const char *source, const char *directory,
                                             const char *name)
{
    static char path[4200];
    char command[12800];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    snprintf(command, sizeof command, "cp '%s' '%s'", source, path);
    if (access(path, F_OK) != 0 && system(command) != 0)
        fail_msg("cannot copy %s to %s", source, path);
    return path;
}

/* Starts `arguments` (NULL-terminated, without the program) and does not wait. */
static inline void agent_start(struct agent_process *agent, const char *const *arguments)
{
    int to[2], from[2];
    const char *argv[32] = {agent->program != NULL ? agent->program : agent_program()};
    for (size_t i = 0; arguments[i] != NULL && i < 30; i++)
        argv[i + 1] = arguments[i];
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        fail_msg("cannot make pipes: %s", strerror(errno));
    agent->pid = fork();
    if (agent->pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        if (agent->network > 0 && setns(agent->network, CLONE_NEWNET) != 0)
            _exit(125);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(126);
    }
    close(to[0]);
    close(from[1]);
    agent->input = to[1];
    agent->output = from[0];
}

/* The next line; false at the end of the output. */
static inline bool agent_read_line(struct agent_process *agent, struct line *line)
{
    int64_t deadline_ns = clock_monotonic_ns() + AGENT_WAIT_NS;
    struct err err = ERR_INIT;
    for (;;) {
        const char *newline =
            agent->text.length > 0 ? memchr(agent->text.data, '\n', agent->text.length) : NULL;
        if (newline != NULL) {
            size_t length = (size_t)(newline - agent->text.data);
            assert_ok(line_parse(&agent->arena, agent->text.data, length, line, &err));
            buf_consume(&agent->text, length + 1);
            return true;
        }
        struct pollfd fds = {.fd = agent->output, .events = POLLIN};
        int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
        if (left_ms <= 0 || poll(&fds, 1, (int)left_ms) <= 0)
            fail_msg("the agent says nothing");
        char bytes[65536];
        ssize_t length = read(agent->output, bytes, sizeof bytes);
        if (length <= 0)
            return false;
        buf_add(&agent->text, bytes, (size_t)length);
    }
}

static inline bool agent_is_event(const struct line *line, const char *name)
{
    return strcmp(line_at(line, 0), "!") == 0 && strcmp(line_at(line, 1), name) == 0;
}

/* The next event of this name, also one that came before. */
static inline struct line agent_event(struct agent_process *agent, const char *name)
{
    struct line line;
    for (uint32_t i = 0; i < agent->event_count; i++)
        if (agent_is_event(&agent->events[i], name)) {
            line = agent->events[i];
            agent->event_count--;
            memmove(&agent->events[i], &agent->events[i + 1],
                    (agent->event_count - i) * sizeof line);
            return line;
        }
    for (;;) {
        if (!agent_read_line(agent, &line))
            fail_msg("the agent ended without the event %s", name);
        if (agent_is_event(&line, name))
            return line;
    }
}

/* Sends a request of "key=value" texts (NULL-terminated); its id is returned. */
static inline uint32_t agent_send(struct agent_process *agent, const char *verb,
                                  const char *const *fields)
{
    struct buf text = BUF_INIT;
    uint32_t id = ++agent->next_id;
    char name[16];
    snprintf(name, sizeof name, "%u", id);
    line_field(&text, name);
    line_field(&text, verb);
    for (size_t i = 0; fields != NULL && fields[i] != NULL; i++)
        line_field(&text, fields[i]);
    line_end(&text);
    size_t done = 0;
    while (done < text.length) {
        ssize_t step = write(agent->input, text.data + done, text.length - done);
        if (step <= 0)
            fail_msg("cannot write to the agent: %s", strerror(errno));
        done += (size_t)step;
    }
    buf_free(&text);
    return id;
}

/* The reply to that request; events that come first are kept for agent_event. */
static inline struct line agent_reply(struct agent_process *agent, uint32_t id)
{
    char name[16];
    struct line line;
    snprintf(name, sizeof name, "%u", id);
    for (;;) {
        if (!agent_read_line(agent, &line))
            fail_msg("the agent ended without replying to request %u", id);
        if (strcmp(line_at(&line, 0), name) == 0)
            return line;
        if (strcmp(line_at(&line, 0), "!") == 0 && agent->event_count < 64)
            agent->events[agent->event_count++] = line;
    }
}

/* agent_ask(&agent, "daemon-stop", "name=a", "grace_ms=100") */
#define agent_ask(agent, ...) agent_ask_list(agent, (const char *const[]){__VA_ARGS__, NULL})
static inline struct line agent_ask_list(struct agent_process *agent, const char *const *words)
{
    return agent_reply(agent, agent_send(agent, words[0], words + 1));
}

/* The same, and it must be ok. */
#define agent_do(agent, ...) agent_do_list(agent, (const char *const[]){__VA_ARGS__, NULL})
static inline struct line agent_do_list(struct agent_process *agent, const char *const *words)
{
    struct line line = agent_ask_list(agent, words);
    if (strcmp(line_at(&line, 1), "ok") != 0)
        fail_msg("%s: %s: %s", words[0], line_at(&line, 2), line_at(&line, 3));
    return line;
}

/* The same, and it must fail with this CODE; the message. */
#define agent_refused(agent, code, ...)                                                            \
    agent_refused_list(agent, code, (const char *const[]){__VA_ARGS__, NULL})
static inline const char *agent_refused_list(struct agent_process *agent, const char *code,
                                             const char *const *words)
{
    struct line line = agent_ask_list(agent, words);
    assert_string_equal(line_at(&line, 1), "err");
    assert_string_equal(line_at(&line, 2), code);
    return line_at(&line, 3);
}

/* agent_serve(&agent, run_dir, "--firewall", "none") */
#define agent_serve(agent, run_dir, ...)                                                           \
    agent_serve_list(agent, run_dir, (const char *const[]){__VA_ARGS__, NULL})
static inline void agent_serve_list(struct agent_process *agent, const char *run_dir,
                                    const char *const *more)
{
    const char *arguments[24] = {"serve", "--owner", "the test", "--run-dir", run_dir};
    for (size_t i = 0; more[i] != NULL && i < 16; i++)
        arguments[5 + i] = more[i];
    *agent = (struct agent_process){.network = agent->network, .program = agent->program};
    agent_start(agent, arguments);
    agent->hello = agent_event(agent, "hello");
    agent->serving = (pid_t)line_get_int(&agent->hello, "pid", 0);
}

static inline void agent_close_input(struct agent_process *agent)
{
    if (agent->input >= 0)
        close(agent->input);
    agent->input = -1;
}

/* Waits for the process that was started; its exit status, or 1000 + signal. */
static inline int agent_wait(struct agent_process *agent)
{
    int64_t deadline_ns = clock_monotonic_ns() + AGENT_WAIT_NS;
    int status;
    pid_t ended;
    while ((ended = waitpid(agent->pid, &status, WNOHANG)) == 0) {
        if (clock_monotonic_ns() > deadline_ns)
            fail_msg("the agent does not end");
        clock_sleep_ns(NS_PER_MS);
    }
    if (ended < 0)
        fail_msg("cannot wait for the agent: %s", strerror(errno));
    agent_close_input(agent);
    close(agent->output);
    buf_free(&agent->text);
    arena_free(&agent->arena);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* End of input, and its exit status. */
static inline int agent_end(struct agent_process *agent)
{
    agent_close_input(agent);
    return agent_wait(agent);
}

static inline bool process_lives(pid_t pid)
{
    struct agentd_process process;
    return agentd_process_read(pid, &process) && !agentd_process_is_dead(&process);
}

/* Waits until `condition` holds, and fails the test when it does not in time. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        int64_t wait_until_deadline_ns = clock_monotonic_ns() + AGENT_WAIT_NS;                     \
        while (!(condition)) {                                                                     \
            if (clock_monotonic_ns() > wait_until_deadline_ns)                                     \
                fail_msg("never came true: %s", #condition);                                       \
            clock_sleep_ns(NS_PER_MS);                                                             \
        }                                                                                          \
    } while (0)

#endif
