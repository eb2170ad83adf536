/* Clocks of daemons that are wrong: set off, running fast or slow, jumping to and fro.
 *
 * A fault of kind "clock" is about one daemon (or the processes of one name) and all that descends
 * from it, also what is started while it is in force. Its means are the processes' vDSO (vdso.h),
 * or libfaketime, whose file is written here; the machine's own clock is another file's
 * (machine.h). */
#ifndef ORDEAL_AGENT_CLOCKS_H
#define ORDEAL_AGENT_CLOCKS_H

#include "harness/agent/faults.h"
#include "harness/agent/vdso.h"

#define AGENTD_KIND_CLOCK "clock"

enum { AGENTD_CLOCKS_MAX = 16, AGENTD_CLOCK_MEMBERS_MAX = 1024, AGENTD_RATE_PPM_MAX = 9000000 };

enum agentd_clock_means { AGENTD_MEANS_VDSO, AGENTD_MEANS_FAKETIME };

/* One in force, as the serving process keeps it. */
struct agentd_clock {
    char id[AGENTD_FAULT_ID_SIZE];
    char name[65];
    bool by_comm; /* `name` is a comm, not a daemon's */
    enum agentd_clock_means means;
    uint64_t cookie;      /* of the pages of its processes */
    int64_t offset_ns;    /* at base_ns */
    int64_t base_ns;      /* true wall clock, when it was set last */
    int64_t rate;         /* in 2^-32 */
    int64_t strobe_ns;    /* 0: none; else there and back again every so often */
    int64_t next_ns;      /* of the next jump, monotonic */
    int64_t next_look_ns; /* for processes that are new */
    bool back;            /* of a strobe: true time now */
    struct agentd_warps warps;
    struct agentd_vdso_process *members; /* AGENTD_CLOCK_MEMBERS_MAX, made when first needed */
    uint32_t member_count;
    char file[256];    /* of libfaketime */
    char problem[256]; /* with a process that came later */
};

struct agentd_clocks {
    struct agentd_clock items[AGENTD_CLOCKS_MAX];
    uint32_t count;
    struct arena arena; /* of the members */
};

/* Undoes an entry of the journal, in whichever process, and verifies that. */
enum err_code agentd_clock_undo(const struct agentd_entry *entry, struct err *err);

#endif
