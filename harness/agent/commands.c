/* `ordeal-agent heal` and `ordeal-agent journal`: by hand, with or without a living agent. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/agent/agentd.h"
#include "harness/agent/lock.h"
#include "harness/base/clock.h"

#define POLITE_NS_MAX (5 * NS_PER_SECOND)
#define FORCED_NS_MAX (5 * NS_PER_SECOND)

static enum agentd_lock take_within(const char *run_dir, int64_t duration_ns, int *fd,
                                    struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + duration_ns;
    for (;;) {
        enum agentd_lock result = agentd_lock_take(run_dir, fd, err);
        if (result != AGENTD_LOCK_HELD || clock_monotonic_ns() > deadline_ns)
            return result;
        clock_sleep_ns(5 * NS_PER_MS);
    }
}

/* The serving process heals and exits when told to; if it cannot, both are killed, and what is in
 * the journals is undone here. */
static enum agentd_lock end_agent(const char *run_dir, int *fd, struct err *err)
{
    enum agentd_lock result = take_within(run_dir, 0, fd, err);
    if (result != AGENTD_LOCK_HELD)
        return result;
    struct agentd_holder holder;
    agentd_lock_read(run_dir, &holder);
    printf("ending the agent of %s, pid %d, there since %s\n", holder.owner, (int)holder.pid,
           holder.since);
    fflush(stdout);
    if (!agentd_process_signal(holder.pid, holder.pid_start, SIGTERM))
        agentd_process_signal(holder.guardian, holder.guardian_start, SIGTERM);
    result = take_within(run_dir, POLITE_NS_MAX, fd, err);
    if (result != AGENTD_LOCK_HELD)
        return result;
    agentd_lock_read(run_dir, &holder);
    agentd_process_signal(holder.guardian, holder.guardian_start, SIGKILL);
    agentd_process_signal(holder.pid, holder.pid_start, SIGKILL);
    result = take_within(run_dir, FORCED_NS_MAX, fd, err);
    if (result == AGENTD_LOCK_HELD)
        err_set(err, ERR_TIMEOUT, "the agent of %s, pid %d, is still there after SIGKILL",
                holder.owner, (int)holder.pid);
    return result;
}

static void print_undone(const struct agentd_healed *healed)
{
    char *rest = healed->undone_texts.length > 0 ? healed->undone_texts.data : NULL;
    for (char *text = strsep(&rest, "\n"); text != NULL; text = strsep(&rest, "\n"))
        if (*text != '\0')
            printf("undone %s\n", text);
    fputs(buf_text(&healed->problems), stderr);
}

static int replay_all(const char *run_dir)
{
    char path[4096];
    struct err err = ERR_INIT;
    struct agentd_journal faults, daemons;
    if (agentd_journal_open(&faults, agentd_faults_path(run_dir, path), &err) != ERR_NONE ||
        agentd_journal_open(&daemons, agentd_daemons_path(run_dir, path), &err) != ERR_NONE) {
        fprintf(stderr, "ordeal-agent: %s\n", err.message);
        return AGENTD_EXIT_FAILED;
    }
    struct agentd_healed healed = {.undone = 0};
    struct agentd_firewall firewall = {.netlink_fd = -1};
    uint32_t killed = agentd_daemons_replay(&daemons, &healed.problems);
    if (healed.problems.length > 0)
        healed.failed++;
    agentd_replay(&faults, &firewall, &healed);
    agentd_firewall_nftables.close(&firewall);
    agentd_journal_close(&faults);
    agentd_journal_close(&daemons);
    print_undone(&healed);
    printf("%u undone, %u failed, %u daemons killed\n", healed.undone, healed.failed, killed);
    int status = healed.failed == 0 ? AGENTD_EXIT_DONE : AGENTD_EXIT_NOT_HEALED;
    agentd_healed_free(&healed);
    return status;
}

int agentd_command_heal(const char *run_dir)
{
    struct err err = ERR_INIT;
    int fd = -1;
    if (access(run_dir, F_OK) != 0) {
        printf("0 undone, 0 failed, 0 daemons killed: no agent ever ran with %s\n", run_dir);
        return AGENTD_EXIT_DONE;
    }
    if (end_agent(run_dir, &fd, &err) != AGENTD_LOCK_TAKEN) {
        fprintf(stderr, "ordeal-agent: %s\n", err.message);
        return AGENTD_EXIT_FAILED;
    }
    int status = replay_all(run_dir);
    close(fd);
    return status;
}

static enum err_code print_journal(const char *path, uint32_t *count, struct err *err)
{
    struct agentd_journal journal;
    struct agentd_entries entries;
    struct arena arena = ARENA_INIT;
    struct buf problems = BUF_INIT;
    enum err_code code = agentd_journal_open(&journal, path, err);
    if (code != ERR_NONE)
        return code;
    code = agentd_journal_list(&journal, &arena, &entries, &problems, err);
    for (uint32_t i = 0; code == ERR_NONE && i < entries.count; i++) {
        struct buf text = BUF_INIT;
        agentd_entry_describe(&entries.items[i], &text);
        printf("%s\n", buf_text(&text));
        buf_free(&text);
        (*count)++;
    }
    fputs(buf_text(&problems), stderr);
    buf_free(&problems);
    arena_free(&arena);
    agentd_journal_close(&journal);
    return code;
}

int agentd_command_journal(const char *run_dir)
{
    char path[4096];
    struct err err = ERR_INIT;
    uint32_t count = 0;
    if (access(run_dir, F_OK) == 0 &&
        (print_journal(agentd_faults_path(run_dir, path), &count, &err) != ERR_NONE ||
         print_journal(agentd_daemons_path(run_dir, path), &count, &err) != ERR_NONE)) {
        fprintf(stderr, "ordeal-agent: %s\n", err.message);
        return AGENTD_EXIT_FAILED;
    }
    printf("%u in the journal of %s\n", count, run_dir);
    return AGENTD_EXIT_DONE;
}
