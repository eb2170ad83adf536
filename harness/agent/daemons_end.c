/* Killing all that was started: by the agent at its end, by its guardian, by whoever finds the
 * journal of a dead agent. See agentd.h and daemons.h. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "harness/agent/agentd.h"
#include "harness/base/clock.h"

#define END_NS_MAX (3 * NS_PER_SECOND)

static bool kill_children_seen(void)
{
    struct arena arena = ARENA_INIT;
    struct agentd_processes all;
    pid_t self = getpid();
    bool any = false;
    agentd_processes_read(&arena, &all);
    for (uint32_t i = 0; i < all.count; i++)
        if (all.items[i].parent == self && !agentd_process_is_dead(&all.items[i])) {
            kill(all.items[i].pid, SIGKILL); /* not reaped, so the number is still its own */
            any = true;
        }
    arena_free(&arena);
    return any;
}

bool agentd_kill_children(void)
{
    /* Reading /proc takes its time: an orphan may have been passed before it became ours. */
    return kill_children_seen() || kill_children_seen();
}

bool agentd_kill_everything(struct agentd *agent)
{
    for (uint32_t i = 0; i < agent->daemons.count; i++)
        if (agent->daemons.items[i].state == AGENTD_DAEMON_RUNNING) {
            agent->daemons.items[i].asked_to_die = true;
            kill(-agent->daemons.items[i].pid, SIGKILL);
        }
    int64_t deadline_ns = clock_monotonic_ns() + END_NS_MAX;
    while (agentd_kill_children()) {
        agentd_reap(agent);
        if (clock_monotonic_ns() > deadline_ns)
            return false;
        clock_sleep_ns(NS_PER_MS);
    }
    agentd_reap(agent);
    return true;
}

/* Kills the session, if its leader is still the one that was journaled; true once it is gone. */
static bool kill_session(const struct agentd_selector *session)
{
    int64_t deadline_ns = clock_monotonic_ns() + END_NS_MAX;
    struct agentd_process leader;
    if (!agentd_process_read(session->session, &leader) || leader.start != session->start)
        return true; /* whatever has the number now is none of ours */
    for (;;) {
        struct arena arena = ARENA_INIT;
        struct agentd_processes found;
        agentd_processes_select(&arena, session, &found);
        for (uint32_t i = 0; i < found.count; i++)
            agentd_process_signal(found.items[i].pid, found.items[i].start, SIGKILL);
        arena_free(&arena);
        if (found.count == 0 || clock_monotonic_ns() > deadline_ns)
            return found.count == 0;
        clock_sleep_ns(NS_PER_MS);
    }
}

uint32_t agentd_daemons_replay(struct agentd_journal *journal, struct buf *problems)
{
    struct arena arena = ARENA_INIT;
    struct agentd_entries entries = {.count = 0};
    struct err err = ERR_INIT;
    uint32_t killed = 0;
    if (agentd_journal_list(journal, &arena, &entries, problems, &err) != ERR_NONE)
        buf_printf(problems, "%s\n", err.message);
    for (uint32_t i = 0; i < entries.count; i++) {
        const struct line *line = &entries.items[i].line;
        struct agentd_selector session = {.session = (pid_t)line_get_int(line, "pid", 0),
                                          .start = (uint64_t)line_get_int(line, "start", 0)};
        struct agentd_process leader;
        if (strcmp(entries.items[i].kind, AGENTD_KIND_DAEMON) != 0 || session.session <= 1) {
            buf_printf(problems, "a journaled daemon without pid; kept aside as .bad\n");
            agentd_journal_set_aside(journal, entries.items[i].sequence);
            continue;
        }
        bool alive = agentd_process_read(session.session, &leader) &&
                     leader.start == session.start && !agentd_process_is_dead(&leader);
        if (!kill_session(&session)) {
            buf_printf(problems, "daemon pid %d is still there after SIGKILL\n",
                       (int)session.session);
            continue;
        }
        killed += alive;
        if (agentd_journal_remove(journal, entries.items[i].sequence, &err) != ERR_NONE)
            buf_printf(problems, "%s\n", err.message);
    }
    arena_free(&arena);
    return killed;
}
