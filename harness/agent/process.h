/* Processes as /proc tells of them, and signals that cannot hit a recycled pid.
 *
 * A process is named by its pid and its start time (clock ticks since boot): the pair is never used
 * twice. */
#ifndef ORDEAL_AGENT_PROCESS_H
#define ORDEAL_AGENT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "harness/base/arena.h"

struct agentd_process {
    pid_t pid, parent, group, session;
    uint64_t start;
    char state;
    bool kernel_thread;
    char comm[64];
};

struct agentd_processes {
    struct agentd_process *items; /* in the arena */
    uint32_t count;
};

/* False when there is no such process (any more). A zombie still is one. */
bool agentd_process_read(pid_t pid, struct agentd_process *process);
/* Zombie or dead: it runs no more, whoever still has to reap it. */
bool agentd_process_is_dead(const struct agentd_process *process);
/* Every process this pid namespace shows, zombies included. */
void agentd_processes_read(struct arena *arena, struct agentd_processes *all);

/* Which processes a fault or a daemon is about. */
struct agentd_selector {
    pid_t session; /* this session or process group, led by `session` started at `start`, and what
                      descends from that while it lives ... */
    uint64_t start;
    const char *name; /* ... or, when not NULL: executable base name or comm */
    pid_t self, guardian;
};
/* The living processes selected now. By name never: kernel threads, pid 1, the agent, whatever the
 * agent descends from (its shell, sudo, sshd), and sshd unless that is the very name. By session
 * nothing when the session's number belongs to another leader by now. */
void agentd_processes_select(struct arena *arena, const struct agentd_selector *selector,
                             struct agentd_processes *found);

enum agentd_stopped { AGENTD_STOPPED_NONE, AGENTD_STOPPED_SOME, AGENTD_STOPPED_ALL };
/* Looks at every thread of the process. A process that is gone counts as NONE. `waits_in_kernel`
 * (may be NULL) tells whether some thread is in a wait that no signal but SIGKILL ends. */
enum agentd_stopped agentd_process_threads(pid_t pid, bool *waits_in_kernel);
enum agentd_stopped agentd_process_stopped(pid_t pid);

/* Sends `signal` to this very process. False when it is gone, or when it may not be signalled. */
bool agentd_process_signal(pid_t pid, uint64_t start, int signal);

/* Where that is allowed: this thread runs before others (but not what it forks), and so do all
 * threads of a process, for one that is about to die. */
void agentd_be_prompt(void);
void agentd_process_hurry(pid_t pid);

/* "KILL", or the number as text when it has no name. `text` holds 16 bytes. */
const char *agentd_signal_name(int signal, char *text);
/* From "KILL", "SIGKILL" or "9"; 0 when it is none. */
int agentd_signal_number(const char *text);

#endif
