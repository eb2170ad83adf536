/* The daemons that the agent started. */
#ifndef ORDEAL_AGENT_DAEMONS_H
#define ORDEAL_AGENT_DAEMONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "harness/agent/journal.h"

#define AGENTD_KIND_DAEMON "daemon" /* of its journal entries */

enum { AGENTD_DAEMONS_MAX = 64, AGENTD_NAME_MAX = 64 };

enum agentd_daemon_state { AGENTD_DAEMON_NONE, AGENTD_DAEMON_RUNNING, AGENTD_DAEMON_EXITED };

struct agentd_daemon {
    char name[AGENTD_NAME_MAX + 1];
    enum agentd_daemon_state state;
    pid_t pid; /* also its session and process group */
    uint64_t start;
    int wait_status;
    bool asked_to_end, asked_to_die; /* TERM and the like; KILL */
    bool asked;                      /* it ended because it was asked to */
    int64_t since_ns;
    uint64_t entry; /* its journal entry */
};

struct agentd_daemons {
    /* Not faults, but to be undone all the same: whoever replays it kills these sessions. */
    struct agentd_journal journal;
    struct agentd_daemon items[AGENTD_DAEMONS_MAX];
    uint32_t count;
    uint64_t oom_kills; /* of the whole kernel, when last looked */
};

/* Kills the sessions that a dead agent left in its journal of daemons; the number killed. Problems
 * are added as lines. */
uint32_t agentd_daemons_replay(struct agentd_journal *journal, struct buf *problems);

#endif
