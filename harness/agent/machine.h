/* The machine's own wall clock, made wrong: set off by a step, jumping to and fro, drifting.
 *
 * Only where the node is a machine of its own: the kernel's clock is shared by all that run on it,
 * so a node that is a container, or runs on the controller's machine, is refused. The true time is
 * kept by the monotonic clock that nothing steers (CLOCK_MONOTONIC_RAW) and the frequency that the
 * kernel ran at, from a moment before the first fault; no network is needed to come back. NTP
 * daemons would correct the clock, so they are paused meanwhile.
 *
 * Everything that touches the machine goes through a backend, which tests replace. */
#ifndef ORDEAL_AGENT_MACHINE_H
#define ORDEAL_AGENT_MACHINE_H

#include "harness/agent/faults.h"

#define AGENTD_KIND_MACHINE "machine-clock"

enum { AGENTD_TICK_NORMAL = 10000, AGENTD_DRIFT_PPM_MAX = 100000 };

/* How the kernel makes its clock from its oscillator: microseconds a tick (a hundredth of a
 * second), and parts per million with 16 bits of fraction. */
struct agentd_steering {
    int64_t tick, frequency;
};

struct agentd_machine_backend {
    /* Why this machine's clock must not be touched; "" when it may. */
    void (*refusal)(const char *controller_boot, char *reason, size_t size);
    int64_t (*wall_ns)(void);
    int64_t (*raw_ns)(void); /* an oscillator that nobody steers */
    enum err_code (*set_wall)(int64_t wall_ns, struct err *err);
    enum err_code (*steer)(const struct agentd_steering *wanted, struct agentd_steering *now,
                           struct err *err); /* wanted NULL: only asks */
    void (*ntp_daemons)(struct arena *arena, struct agentd_processes *found);
};
extern const struct agentd_machine_backend agentd_machine_real;
extern const struct agentd_machine_backend *agentd_machine_backend; /* what is used */

/* What is true: at `raw_ns` it was `wall_ns`, and went on as it was steered then. */
struct agentd_truth {
    int64_t wall_ns, raw_ns;
    struct agentd_steering steering;
};
enum err_code agentd_truth_take(struct agentd_truth *truth, struct err *err);
int64_t agentd_truth_now_ns(const struct agentd_truth *truth);

/* The fault in force; one at a time. */
struct agentd_machine {
    char id[AGENTD_FAULT_ID_SIZE]; /* "": none */
    struct agentd_truth truth;
    struct agentd_truth wanted; /* what the clock should say instead */
    int64_t offset_ns, strobe_ns, next_ns;
    char problem[128]; /* something else set the clock meanwhile; "" when nothing did */
    bool back;
    struct agentd_truth began; /* of the agent, for who looks */
};

/* By how much the clock is off, by what was true before the fault, or else when the agent began. */
int64_t agentd_machine_offset_ns(const struct agentd_machine *machine);
/* ERR_UNSUPPORTED says why not; ERR_CONFIG when another fault has the clock. */
enum err_code agentd_machine_set(struct agentd_machine *machine, struct agentd_faults *faults,
                                 const char *id, const char *controller_boot, int64_t offset_ns,
                                 int64_t rate_ppm, int64_t strobe_ns, struct err *err);
/* The jump of a strobe that is due, or a look whether the clock is still off as it should; when the
 * next is (monotonic), INT64_MAX for none. */
void agentd_machine_step(struct agentd_machine *machine, struct agentd_faults *faults,
                         int64_t now_ns);
int64_t agentd_machine_next_ns(const struct agentd_machine *machine);
/* True time, steering and NTP daemons as they were; verified. In whichever process. */
enum err_code agentd_machine_undo(const struct agentd_entry *entry, struct err *err);

#endif
