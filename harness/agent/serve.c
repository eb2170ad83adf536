/* The serving process: its loop, its beginning and its end. See agentd.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "harness/agent/agentd.h"
#include "harness/agent/lock.h"
#include "harness/base/clock.h"

enum { READ_BYTES = 64 << 10, LAST_WORDS_MS = 500, OOM_SCORE_BYTES = 8 };

/* ---- Output ---- */

/* Writes what fits; false when there is nobody to read it any more. */
static bool write_some(struct agentd *agent)
{
    while (agent->output.length > 0) {
        ssize_t step = write(1, agent->output.data, agent->output.length);
        if (step < 0 && errno == EINTR)
            continue;
        if (step < 0)
            return errno == EAGAIN;
        buf_consume(&agent->output, (size_t)step);
    }
    return true;
}

static void flush_output(struct agentd *agent)
{
    if (!write_some(agent) && agent->end == AGENTD_END_NONE)
        agent->end = AGENTD_END_INPUT;
    if (agent->output.length > AGENTD_OUTPUT_BYTES_MAX && agent->end == AGENTD_END_NONE)
        agent->end = AGENTD_END_OUTPUT;
}

static void say_last_words(struct agentd *agent)
{
    int64_t deadline_ns = clock_monotonic_ns() + LAST_WORDS_MS * NS_PER_MS;
    while (write_some(agent) && agent->output.length > 0 && clock_monotonic_ns() < deadline_ns) {
        struct pollfd fds = {.fd = 1, .events = POLLOUT};
        poll(&fds, 1, 50);
    }
}

/* ---- Input ---- */

static void read_input(struct agentd *agent)
{
    static char bytes[READ_BYTES];
    ssize_t length = read(0, bytes, sizeof bytes);
    if (length < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (length <= 0) {
        agent->end = AGENTD_END_INPUT;
        return;
    }
    agent->heard_ns = clock_monotonic_ns();
    agentd_feed(agent, bytes, (size_t)length, agent->heard_ns);
}

static void read_signals(struct agentd *agent, int fd)
{
    struct signalfd_siginfo signals[16];
    ssize_t length = read(fd, signals, sizeof signals);
    for (ssize_t i = 0; i < length / (ssize_t)sizeof signals[0]; i++)
        if (signals[i].ssi_signo != SIGCHLD && agent->end == AGENTD_END_NONE)
            agent->end = AGENTD_END_SIGNAL;
    agentd_reap(agent);
}

static void check_lease(struct agentd *agent)
{
    int64_t lease_ns = agent->options->lease_ns;
    if (lease_ns == 0 || agent->end != AGENTD_END_NONE ||
        clock_monotonic_ns() < agent->heard_ns + lease_ns)
        return;
    agent->end = AGENTD_END_LEASE;
    line_end(agentd_event(agent, "lease-expired"));
}

static struct timespec patience(const struct agentd *agent)
{
    int64_t wake_ns = agentd_waits_next_ns(agent), lease_ns = agent->options->lease_ns;
    if (agentd_clocks_next_ns(agent) < wake_ns)
        wake_ns = agentd_clocks_next_ns(agent);
    if (lease_ns > 0 && agent->heard_ns + lease_ns < wake_ns)
        wake_ns = agent->heard_ns + lease_ns;
    int64_t left_ns = wake_ns == INT64_MAX ? 3600 * NS_PER_SECOND : wake_ns - clock_monotonic_ns();
    return clock_timespec(left_ns < 0 ? 0 : left_ns);
}

static void loop(struct agentd *agent, int signals_fd)
{
    while (agent->end == AGENTD_END_NONE) {
        struct pollfd fds[4] = {
            {.fd = 0, .events = POLLIN},
            {.fd = signals_fd, .events = POLLIN},
            {.fd = agent->probe.fd, .events = POLLIN},
            {.fd = agent->output.length > 0 ? 1 : -1, .events = POLLOUT},
        };
        struct timespec timeout = patience(agent);
        if (ppoll(fds, 4, &timeout, NULL) < 0)
            continue;
        if (fds[1].revents != 0)
            read_signals(agent, signals_fd);
        if (fds[2].revents != 0) {
            agentd_probe_receive(&agent->probe, clock_monotonic_ns());
            agent->stirred = true;
        }
        /* Before the lease is looked at: what has come in renews it, however late we are. */
        if (fds[0].revents != 0 && agent->end == AGENTD_END_NONE)
            read_input(agent);
        check_lease(agent);
        agentd_waits_step(agent);
        agentd_clocks_step(agent);
        flush_output(agent);
    }
}

/* ---- Beginning ---- */

static void read_boot_id(const struct agentd *agent, struct buf *out)
{
    line_key(out, "boot_id", agent->faults.journal.boot_id);
}

static void say_hello(struct agentd *agent, const struct agentd_healed *healed, uint32_t killed)
{
    struct buf *out = agentd_event(agent, "hello");
    const struct agentd_firewall *firewall = &agent->faults.firewall;
    line_key(out, "version", ORDEAL_VERSION);
    line_key_int(out, "protocol", AGENTD_PROTOCOL);
    line_key_int(out, "pid", getpid());
    line_key_int(out, "guardian", agent->guardian);
    read_boot_id(agent, out);
    line_key(out, "firewall", firewall->kind != NULL ? firewall->kind->name : "none");
    if (firewall->kind == NULL)
        line_key(out, "reason", firewall->reason);
    line_key_int(out, "ipv6", access("/proc/net/if_inet6", F_OK) == 0);
    line_key_int(out, "healed", healed->undone);
    line_key_int(out, "failed", healed->failed);
    line_key_int(out, "killed", killed);
    line_key_int(out, "uid", geteuid());
    if (agent->options->control_count > 0)
        line_key(out, "controller", agent->options->control[0].client.text);
    char *problems = healed->problems.length > 0 ? strdup(healed->problems.data) : NULL;
    char *rest = problems;
    for (char *problem = strsep(&rest, "\n"); problem != NULL; problem = strsep(&rest, "\n"))
        if (*problem != '\0')
            line_key(out, "problem", problem);
    free(problems);
    line_end(out);
}

/* The system under test should be what an out-of-memory kernel picks, not who watches it; daemons
 * get theirs reset. Without the privilege it stays as it is. */
static void protect_from_oom(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "-900", 4) != 4) {
        /* See above. */
    }
    close(fd);
}

static enum err_code open_everything(struct agentd *agent, struct err *err)
{
    const struct agentd_options *options = agent->options;
    char path[4096];
    enum err_code code = agentd_journal_open(&agent->faults.journal,
                                             agentd_faults_path(options->run_dir, path), err);
    if (code == ERR_NONE)
        code = agentd_journal_open(&agent->daemons.journal,
                                   agentd_daemons_path(options->run_dir, path), err);
    if (code != ERR_NONE)
        return code;
    struct agentd_firewall *firewall = &agent->faults.firewall;
    memcpy(firewall->control, options->control, sizeof firewall->control);
    firewall->control_count = options->control_count;
    firewall->netlink_fd = -1;
    struct agentd_healed healed = {.undone = 0};
    uint32_t killed = agentd_daemons_replay(&agent->daemons.journal, &healed.problems);
    agentd_replay(&agent->faults.journal, firewall, &healed);
    agentd_firewall_nftables.close(firewall);
    agentd_firewall_open(firewall, options->firewall);
    say_hello(agent, &healed, killed);
    agentd_healed_free(&healed);
    return ERR_NONE;
}

/* ---- End ---- */

static void kill_groups(struct agentd *agent)
{
    for (uint32_t i = 0; i < agent->daemons.count; i++)
        if (agent->daemons.items[i].state == AGENTD_DAEMON_RUNNING)
            kill(-agent->daemons.items[i].pid, SIGKILL);
}

static int finish(struct agentd *agent)
{
    struct agentd_healed healed = {.undone = 0};
    bool keep = agent->options->keep_daemons || agent->leaves_daemons;
    /* The daemons first, so that they act no more; but the faults do not wait for their death. */
    if (!keep)
        kill_groups(agent);
    agentd_faults_heal(&agent->faults, &healed);
    if (!keep && !agentd_kill_everything(agent)) {
        healed.failed++;
        buf_add_text(&healed.problems, "a daemon is still there after SIGKILL\n");
    }
    say_last_words(agent);
    fputs(buf_text(&healed.problems), stderr);
    int status = healed.failed == 0 ? AGENTD_EXIT_DONE : AGENTD_EXIT_NOT_HEALED;
    agentd_healed_free(&healed);
    return status;
}

static void free_everything(struct agentd *agent)
{
    agentd_probe_close(&agent->probe);
    agentd_gauge_close(&agent->gauge);
    agentd_firewall_close(&agent->faults.firewall);
    agentd_journal_close(&agent->faults.journal);
    agentd_journal_close(&agent->daemons.journal);
    for (size_t i = 0; i < AGENTD_WAITS_MAX; i++)
        agentd_wait_drop(&agent->waits[i]);
    arena_free(&agent->clocks.arena);
    arena_free(&agent->scratch);
    buf_free(&agent->input);
    buf_free(&agent->output);
}

static int open_signals(void)
{
    sigset_t signals; /* blocked since before the fork, so that none was missed */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int serve(const struct agentd_options *options, pid_t guardian)
{
    static struct agentd agent;
    struct err err = ERR_INIT;
    agent = (struct agentd){.options = options,
                            .guardian = guardian,
                            .probe = {.fd = -1},
                            .heard_ns = clock_monotonic_ns()};
    int signals_fd = open_signals();
    protect_from_oom();
    int output_flags = fcntl(1, F_GETFL); /* shared with whoever gave it to us: put back below */
    fcntl(1, F_SETFL, output_flags | O_NONBLOCK);
    if (signals_fd < 0 || open_everything(&agent, &err) != ERR_NONE) {
        fprintf(stderr, "ordeal-agent: %s\n",
                signals_fd < 0 ? "cannot make a signalfd" : err.message);
        return AGENTD_EXIT_FAILED;
    }
    (void)!agentd_truth_take(&agent.machine.began, NULL); /* only for who looks */
    flush_output(&agent);
    loop(&agent, signals_fd);
    int status = finish(&agent);
    fcntl(1, F_SETFL, output_flags);
    close(signals_fd);
    free_everything(&agent);
    return status;
}

static int refuse(const char *run_dir)
{
    struct agentd_holder holder;
    agentd_lock_read(run_dir, &holder);
    struct buf out = BUF_INIT;
    line_field(&out, "!");
    line_field(&out, "refused");
    line_key(&out, "owner", holder.owner);
    line_key(&out, "since", holder.since);
    line_key_int(&out, "pid", holder.pid);
    line_end(&out);
    ssize_t written = write(1, out.data, out.length);
    buf_free(&out);
    return written < 0 ? AGENTD_EXIT_FAILED : AGENTD_EXIT_REFUSED;
}

/* Started with its standard files closed, the lock would become one of them. */
static void fill_standard_files(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

int agentd_serve(const struct agentd_options *options)
{
    struct err err = ERR_INIT;
    int lock_fd = -1;
    pid_t guardian;
    fill_standard_files();
    switch (agentd_lock_take(options->run_dir, &lock_fd, &err)) {
    case AGENTD_LOCK_HELD:
        return refuse(options->run_dir);
    case AGENTD_LOCK_FAILED:
        fprintf(stderr, "ordeal-agent: %s\n", err.message);
        return AGENTD_EXIT_FAILED;
    case AGENTD_LOCK_TAKEN:
        break;
    }
    if (agentd_guard(options, &guardian, &err) != ERR_NONE) {
        fprintf(stderr, "ordeal-agent: %s\n", err.message);
        return AGENTD_EXIT_FAILED;
    }
    agentd_lock_sign(lock_fd, options->owner, guardian);
    int status = serve(options, guardian);
    close(lock_fd);
    return status;
}
