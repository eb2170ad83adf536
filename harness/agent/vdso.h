/* Clocks of running processes, by patching their vDSO.
 *
 * Programs ask for the time through the vDSO, code that the kernel maps into every process. Here
 * the first bytes of its clock_gettime, gettimeofday and time are replaced, in one process, by a
 * jump to code of ours, which asks the kernel and warps the answer by what a page in that process
 * says. The page can be written at any time without stopping anybody. Children of fork share it;
 * what is started by exec has a vDSO of its own, which is not patched.
 *
 * Reached is whoever calls the vDSO, whatever its language and linking. Not reached is who makes
 * the system call itself; and the kernel keeps true time, so waits for a duration take as long as
 * they should, but a wait *until* a point of CLOCK_REALTIME that was computed from the skewed clock
 * ends early or late by as much as the clock is off.
 *
 * x86-64 only; elsewhere everything is ERR_UNSUPPORTED. */
#ifndef ORDEAL_AGENT_VDSO_H
#define ORDEAL_AGENT_VDSO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "harness/base/err.h"

/* What a process is told at the true time t: base_told + (t - base_true) * rate / 2^32. */
struct agentd_warp {
    int64_t base_true_ns, base_told_ns, rate;
};
#define AGENTD_RATE_ONE (INT64_C(1) << 32)
struct agentd_warps {
    struct agentd_warp wall, monotonic;
};
/* Of the monotonic clock only the rate is asked for: patching and writing choose the bases so that
 * it goes on from where it is in that process and is never seen to run backwards. At
 * AGENTD_RATE_ONE it is the truth, at once; so the rate must not be above that. */
int64_t agentd_warp_apply(const struct agentd_warp *warp, int64_t true_ns);
/* That tells the truth. */
struct agentd_warps agentd_warps_none(void);

/* A process, and where its page is; 0: not known. */
struct agentd_vdso_process {
    pid_t pid;
    uint64_t start;
    uint64_t page;
};

/* What a process answered when its own vDSO function was called, less the truth. */
struct agentd_vdso_answer {
    int64_t wall_offset_ns, monotonic_offset_ns;
};

enum agentd_vdso_state {
    AGENTD_VDSO_CLEAN,   /* as the kernel mapped it */
    AGENTD_VDSO_PATCHED, /* by an agent */
    AGENTD_VDSO_NONE,    /* there is none that we know: another architecture, a 32-bit process */
    AGENTD_VDSO_GONE,    /* no such process, or it may not be looked at */
};
/* Looks from outside, without stopping it. When patched, *page and *cookie (may be NULL) tell where
 * its page is and whose it is. */
enum agentd_vdso_state agentd_vdso_look(pid_t pid, uint64_t *page, uint64_t *cookie);

/* Patches the process, stopping its threads for a moment (a system call of theirs that is
 * documented to may end with EINTR), and calls the patched functions in it: ERR_REMOTE when they do
 * not say what they should. Sets process->page, or uses it when it is one of an earlier patch.
 * ERR_UNSUPPORTED where it has no vDSO; ERR_IO when it may not be traced or is gone. */
enum err_code agentd_vdso_patch(struct agentd_vdso_process *process, uint64_t cookie,
                                const struct agentd_warps *warps, struct agentd_vdso_answer *answer,
                                struct err *err);
/* Changes the page of a patched process, and so of those that share it; nobody is stopped. */
enum err_code agentd_vdso_write(pid_t pid, uint64_t page, const struct agentd_warps *warps,
                                struct err *err);
/* What the page says now. False when it is no page of ours. */
bool agentd_vdso_read(pid_t pid, uint64_t page, struct agentd_warps *warps);
/* Puts the original bytes back and calls the functions in the process, to see that they tell the
 * truth. A process that is gone or not patched is no error. The page stays mapped, since a signal
 * handler may yet return into its code; it is used again by the next patch. */
enum err_code agentd_vdso_restore(const struct agentd_vdso_process *process, struct err *err);

/* ---- The parts (vdso_image.c, vdso_trace.c) ---- */

enum { AGENTD_VDSO_FUNCTIONS = 3, AGENTD_VDSO_JUMP_BYTES = 12, AGENTD_VDSO_PAGE_BYTES = 4096 };

/* The vDSO as the kernel made it: that of this process, which is everybody's. */
struct agentd_vdso_image {
    const uint8_t *bytes;
    uint64_t functions[AGENTD_VDSO_FUNCTIONS]; /* clock_gettime, gettimeofday, time */
    uint64_t syscall;                          /* where a system call instruction is */
    char reason[128];                          /* why there is none; "" when there is */
};
const struct agentd_vdso_image *agentd_vdso_image(void);
/* Where it is in that process: CLEAN when it is there, else NONE or GONE. */
enum agentd_vdso_state agentd_vdso_address(pid_t pid, uint64_t *address);
bool agentd_vdso_peek(pid_t pid, uint64_t address, void *bytes, size_t size);
bool agentd_vdso_poke(pid_t pid, uint64_t address, const void *bytes, size_t size);

/* The data page: this, then the stack of calls that the agent makes in the process. Its index names
 * the slot that is read; a writer fills the other one and then moves on, so nobody ever waits for a
 * writer that died. */
struct agentd_vdso_page {
    char magic[16];
    uint64_t cookie;
    uint8_t index, unused[7];
    struct agentd_warps slots[2];
};
#define AGENTD_VDSO_MAGIC "ordeal-clock-01"

/* The code that follows the data page. Entries are offsets in it. */
extern const uint8_t agentd_payload[], agentd_payload_end[];
uint64_t agentd_payload_entry(int function);
uint64_t agentd_payload_trap(void); /* where calls return to: a breakpoint */

#endif
