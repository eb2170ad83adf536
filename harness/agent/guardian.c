/* The guardian: the parent that outlives the serving process, to undo what it could not.
 *
 * It is the process that the controller started; its child serves. The child may die of kill -9,
 * of a bug, of the out-of-memory killer: then the guardian replays the journals, kills whatever the
 * child had started (orphans become its own children, for it is their subreaper), and exits with
 * another status than 0. When the guardian itself dies, the child is sent SIGTERM by the kernel and
 * heals and exits. When both die at once, rules in a table owned by the child's socket are deleted
 * by the kernel, and the rest waits in the journal for the next agent or `ordeal-agent heal`. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/agent/agentd.h"
#include "harness/base/clock.h"

#define END_NS_MAX (5 * NS_PER_SECOND)

const char *agentd_faults_path(const char *run_dir, char *path)
{
    snprintf(path, 4096, "%s/journal", run_dir);
    return path;
}

const char *agentd_daemons_path(const char *run_dir, char *path)
{
    snprintf(path, 4096, "%s/daemons", run_dir);
    return path;
}

/* The controller sees the end of the conversation when the last holder of these ends: that must be
 * the child. */
static void let_go_of_input_and_output(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return;
    dup2(null, 0);
    dup2(null, 1);
    if (null > 2)
        close(null);
}

static bool kill_orphans(void)
{
    bool any = agentd_kill_children();
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return any;
}

static void kill_all_orphans(void)
{
    int64_t deadline_ns = clock_monotonic_ns() + END_NS_MAX;
    while (kill_orphans() && clock_monotonic_ns() < deadline_ns)
        clock_sleep_ns(NS_PER_MS);
}

static bool replay_journal(const char *path, struct agentd_healed *healed)
{
    struct agentd_journal journal;
    struct err err = ERR_INIT;
    if (agentd_journal_open(&journal, path, &err) != ERR_NONE) {
        healed->failed++;
        buf_printf(&healed->problems, "%s\n", err.message);
        return false;
    }
    struct agentd_firewall firewall = {.netlink_fd = -1};
    agentd_replay(&journal, &firewall, healed);
    agentd_firewall_nftables.close(&firewall);
    agentd_journal_close(&journal);
    return true;
}

static void clean_up_after(const struct agentd_options *options, int wait_status)
{
    char path[4096], name[16] = "?";
    struct agentd_healed healed = {.undone = 0};
    if (WIFSIGNALED(wait_status))
        agentd_signal_name(WTERMSIG(wait_status), name);
    if (!options->keep_daemons)
        kill_orphans(); /* once, so that they act no more; the faults must not wait for the rest */
    replay_journal(agentd_faults_path(options->run_dir, path), &healed);
    if (!options->keep_daemons) {
        struct agentd_journal journal;
        kill_all_orphans();
        if (agentd_journal_open(&journal, agentd_daemons_path(options->run_dir, path), NULL) ==
            ERR_NONE) {
            agentd_daemons_replay(&journal, &healed.problems);
            agentd_journal_close(&journal);
        }
    }
    fprintf(stderr,
            "ordeal-agent: the serving process %s %s: undid %u faults, %u could not be undone\n",
            WIFSIGNALED(wait_status) ? "was killed by signal" : "failed",
            WIFSIGNALED(wait_status) ? name : "", healed.undone, healed.failed);
    fputs(buf_text(&healed.problems), stderr);
    agentd_healed_free(&healed);
}

static _Noreturn void watch(const struct agentd_options *options, pid_t child,
                            const sigset_t *signals)
{
    int wait_status = 0;
    let_go_of_input_and_output();
    for (;;) {
        pid_t ended;
        while ((ended = waitpid(-1, &wait_status, WNOHANG)) > 0 && ended != child)
            ;
        if (ended == child || (ended < 0 && errno == ECHILD))
            break;
        int number = sigwaitinfo(signals, NULL);
        if (number > 0 && number != SIGCHLD)
            kill(child, SIGTERM);
    }
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == AGENTD_EXIT_DONE)
        _exit(AGENTD_EXIT_DONE);
    clean_up_after(options, wait_status);
    bool never_began = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == AGENTD_EXIT_FAILED;
    _exit(never_began ? AGENTD_EXIT_FAILED : AGENTD_EXIT_NOT_HEALED);
}

enum err_code agentd_guard(const struct agentd_options *options, pid_t *guardian, struct err *err)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t self = getpid();
    pid_t child = fork();
    if (child < 0)
        return err_errno(err, errno, "cannot fork the serving process");
    if (child > 0)
        watch(options, child, &signals);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* not inherited */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != self) /* it died before the line above */
        raise(SIGTERM);
    *guardian = self;
    return ERR_NONE;
}
