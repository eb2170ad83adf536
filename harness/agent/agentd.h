/* The serving process: its state, its replies, and what its rooms share.
 *
 * One thread, one poll loop. A request is answered at once, or leaves a wait behind that answers
 * later; so replies come out of order and a waiting probe blocks nobody. */
#ifndef ORDEAL_AGENT_AGENTD_H
#define ORDEAL_AGENT_AGENTD_H

#include "harness/agent/clocks.h"
#include "harness/agent/daemons.h"
#include "harness/agent/faults.h"
#include "harness/agent/gauge.h"
#include "harness/agent/machine.h"
#include "harness/agent/probe.h"
#include "harness/base/line.h"

enum {
    AGENTD_PROTOCOL = 1,
    AGENTD_REQUEST_ID_MAX = 64,
    AGENTD_WAITS_MAX = 256,
    AGENTD_OUTPUT_BYTES_MAX = 16 << 20,
};

enum agentd_exit {
    AGENTD_EXIT_DONE = 0,
    AGENTD_EXIT_NOT_HEALED = 1, /* something could not be undone, or the agent was killed */
    AGENTD_EXIT_REFUSED = 3,    /* another agent has the lock */
    AGENTD_EXIT_ARGUMENTS = 254,
    AGENTD_EXIT_FAILED = 255,
};

struct agentd_options {
    const char *owner, *run_dir;
    int64_t lease_ns; /* 0: none */
    enum agentd_firewall_choice firewall;
    bool keep_daemons;
    struct agentd_connection control[AGENTD_CONTROL_MAX];
    uint32_t control_count;
};

enum agentd_end {
    AGENTD_END_NONE,
    AGENTD_END_INPUT,    /* the controller is gone */
    AGENTD_END_LEASE,    /* nothing was heard from it for too long */
    AGENTD_END_OUTPUT,   /* it does not read what we say */
    AGENTD_END_SIGNAL,   /* SIGTERM, SIGINT, SIGHUP; also when the guardian died */
    AGENTD_END_SHUTDOWN, /* it asked for the end */
};

struct agentd_request {
    const char *id;
    const struct line *line;
    int64_t arrived_ns;
};

struct agentd;
struct agentd_wait;

/* Looks whether the wait is over: true when it replied. `expired`: its deadline has passed, and it
 * must reply. */
typedef bool agentd_step(struct agentd *agent, struct agentd_wait *wait, bool expired);

struct agentd_wait {
    agentd_step *step; /* NULL: free */
    char request_id[AGENTD_REQUEST_ID_MAX + 1];
    int64_t arrived_ns, deadline_ns, next_step_ns;
    bool event_driven; /* stepped only when something happened, not by the clock */
    struct arena arena;
    void *state;
};

struct agentd {
    const struct agentd_options *options;
    pid_t guardian;
    enum agentd_end end;
    bool leaves_daemons; /* told so by the shutdown */
    struct buf input, output;
    bool skipping; /* inside a line that is too long */
    bool stirred;  /* a child ended or a datagram came: every wait looks again */
    int64_t heard_ns;
    struct arena scratch; /* of the request at hand */
    struct agentd_faults faults;
    struct agentd_daemons daemons;
    struct agentd_clocks clocks;
    struct agentd_machine machine;
    struct agentd_probe probe;
    struct agentd_gauge gauge;
    struct agentd_wait waits[AGENTD_WAITS_MAX];
};

/* ---- Replies: begin, add keys to agent->output with line_key, then line_end ---- */
struct buf *agentd_reply(struct agentd *agent, const char *request_id);
struct buf *agentd_event(struct agentd *agent, const char *name);
void agentd_reply_error(struct agentd *agent, const char *request_id, const char *code,
                        const char *format, ...) FORMAT(4, 5);
/* With the CODE that fits the error. */
void agentd_reply_err(struct agentd *agent, const char *request_id, const struct err *err);

/* ---- Waits ---- */

/* A new wait with `size` zeroed bytes of state; NULL (and replied) when there are too many. */
struct agentd_wait *agentd_wait_add(struct agentd *agent, const struct agentd_request *request,
                                    agentd_step *step, int64_t deadline_ns, size_t size);
/* For one that was added and turned out not to be needed; nothing is replied. */
void agentd_wait_drop(struct agentd_wait *wait);
/* Lets every wait look whose time has come; all of them when agent->stirred. */
void agentd_waits_step(struct agentd *agent);
/* When the next one wants to look; INT64_MAX when there is none. */
int64_t agentd_waits_next_ns(const struct agentd *agent);

/* ---- Clock faults in force (clocks.c): jumps that are due, processes that are new ---- */
void agentd_clocks_step(struct agentd *agent);
int64_t agentd_clocks_next_ns(const struct agentd *agent);

/* ---- Requests (dispatch.c): one line without its newline ---- */
void agentd_dispatch(struct agentd *agent, const char *bytes, size_t length, int64_t arrived_ns);
/* Input as it comes, in pieces of any size. */
void agentd_feed(struct agentd *agent, const char *bytes, size_t length, int64_t arrived_ns);

/* ---- What verbs do; each replies by itself ---- */
typedef void agentd_verb(struct agentd *agent, const struct agentd_request *request);
agentd_verb agentd_daemon_start, agentd_daemon_stop, agentd_daemon_signal, agentd_daemon_status,
    agentd_daemon_list, agentd_process_signal_verb, agentd_probe_listen, agentd_probe_send,
    agentd_probe_wait, agentd_fault_block, agentd_fault_undo, agentd_fault_list,
    agentd_fault_counters, agentd_disk_verb, agentd_disk_back_verb, agentd_clock_skew,
    agentd_clock_view, agentd_clock_set, agentd_clock_means, agentd_limit_begin, agentd_limit_check,
    agentd_limit_look, agentd_heal, agentd_clock, agentd_read_file, agentd_ping, agentd_shutdown;
agentd_verb agentd_disk_fault, agentd_disk_counters, agentd_disk_damage, agentd_disk_remember,
    agentd_disk_restore;
agentd_verb agentd_connections_verb, agentd_fault_shape, agentd_shape_means, agentd_gauge_listen,
    agentd_gauge_send, agentd_gauge_read;
agentd_verb agentd_node_reboot;

/* Stops the selected processes, journaled as fault `id`; replies once all their threads stand. */
void agentd_pause(struct agentd *agent, const struct agentd_request *request, const char *id,
                  const struct agentd_selector *selector);

/* The session of the daemon that a request names; false, and replied, when it does not run. */
bool agentd_daemon_selector(struct agentd *agent, const struct agentd_request *request,
                            struct agentd_selector *selector);

/* Reaps whatever ended and tells of the daemons among it. */
void agentd_reap(struct agentd *agent);
/* Kills this process's children, once; false when there was none left. Orphans of daemons become
 * children of the nearest subreaper, which the agent and its guardian are, whatever session they
 * made for themselves: so doing this until it says false finds everything. The caller reaps. */
bool agentd_kill_children(void);
/* Kills all daemons and whatever descends from the agent; false when some live on after 3 s. */
bool agentd_kill_everything(struct agentd *agent);

/* ---- Processes of the whole: each returns an exit status ---- */
int agentd_serve(const struct agentd_options *options);
int agentd_command_heal(const char *run_dir);
int agentd_command_journal(const char *run_dir);

/* ---- The guardian (guardian.c) ---- */

/* Forks. Returns in the child, which serves; the parent watches it, and when it dies of anything
 * but its own end replays the journals and kills what it left, and exits. */
enum err_code agentd_guard(const struct agentd_options *options, pid_t *guardian, struct err *err);

/* The directories below the run directory. `path` holds 4096 bytes. */
const char *agentd_faults_path(const char *run_dir, char *path);
const char *agentd_daemons_path(const char *run_dir, char *path);

#endif
