/* Processes of the agent's own that are a burden: they spin, hold memory, or stop and resume a
 * daemon in turn. They do nothing before they are journaled, and die with the serving process. */
#ifndef ORDEAL_AGENT_BURDENS_H
#define ORDEAL_AGENT_BURDENS_H

#include "harness/agent/faults.h"

#define AGENTD_KIND_BURDEN "burden"

enum agentd_burden_kind {
    AGENTD_BURDEN_SPIN, /* `amount` percent of one processor, each */
    AGENTD_BURDEN_HOLD, /* `amount` bytes */
    AGENTD_BURDEN_STEP, /* lets what `selector` selects run for `amount` percent of the time */
};

enum { AGENTD_BURDENS_MAX = 64 };

struct agentd_burden_spec {
    enum agentd_burden_kind kind;
    uint32_t count; /* of processes */
    int64_t amount;
    const struct agentd_selector *selector; /* of STEP */
};

/* What a process that holds memory tells, in memory that it shares with the agent. */
struct agentd_burden_progress {
    int64_t held_bytes;
    bool full; /* it takes no more: it has all, or the bound is reached */
};

struct agentd_burden {
    struct agentd_process items[AGENTD_BURDENS_MAX];
    uint32_t count;
    int go;                                  /* the end of a pipe that lets them begin */
    struct agentd_burden_progress *progress; /* mapped; NULL unless it is HOLD */
};

/* Forks them; they wait. On failure none is left. */
enum err_code agentd_burden_fork(const struct agentd_burden_spec *spec,
                                 struct agentd_burden *burden, struct err *err);
void agentd_burden_go(struct agentd_burden *burden);
/* Gives back the pipe (which ends those that still wait) and the mapping. */
void agentd_burden_close(struct agentd_burden *burden);

/* Processor time that they have used, nanoseconds. */
int64_t agentd_burden_used_ns(const struct agentd_burden *burden);
int64_t agentd_burden_resident_bytes(pid_t pid);

/* "pid:start pid:start", for the journal. Kills those that it names, and sees them dead. */
void agentd_burden_print(const struct agentd_burden *burden, struct buf *text);
enum err_code agentd_burden_kill(const char *list, struct err *err);

/* Memory that may be taken without danger to the machine, as things are now: what is available
 * less a reserve of a tenth of all and at least 256 MiB. */
int64_t agentd_burden_spare_bytes(void);

#endif
