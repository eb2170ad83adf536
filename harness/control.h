/* How a test reaches its nodes: the SSH fleet, the agents on the nodes, and the log. What plug-ins
 * may call of it is in test.h. */
#ifndef ORDEAL_CONTROL_H
#define ORDEAL_CONTROL_H

#include <stdatomic.h>

#include "harness/log.h"
#include "harness/remote/agent_link.h"
#include "harness/remote/fleet.h"
#include "harness/test.h"

/* A daemon that ended; texts live during the call only. */
struct daemon_exit {
    uint32_t node;
    const char *name;
    int status; /* exit status, or -1 when a signal ended it */
    int signal; /* 0 when it exited */
    bool asked; /* ordeal ended it */
    bool core, oom;
    const char *under; /* the limit that ordeal had set it: "memory", "files"; NULL: none */
};

struct control_hooks {
    void *state;
    /* On the fleet's I/O thread: be quick. */
    void (*on_daemon_exit)(void *state, const struct daemon_exit *exit);
    void (*on_agent_lost)(void *state, uint32_t node, const char *why);
    /* From any thread: a mark, whose value is op->value. NULL: marks are not kept. */
    void (*on_mark)(void *state, struct op *op);
};

struct cluster;
struct notes;

struct control {
    struct test *test;
    struct cluster *cluster;   /* the local cluster; NULL for machines */
    _Atomic(node_set) away;    /* nodes that a fault has taken down: their agents may be lost */
    int holds[PLAN_NODES_MAX]; /* what keeps a local node off, + 1; 0: nothing */
    struct log *log;
    atomic_bool cancelled;
    struct control_hooks hooks;
    struct fleet *fleet;
    struct agents *agents;
    /* Faults by hand: daemons are processes of these names that the agents did not start. */
    bool by_process_name;
    const char *owner;          /* who this is, for others: "ordeal run on ci-7, pid 123" */
    bool leave_daemons;         /* control_close ends agents without their daemons */
    struct notes *notes;        /* of the set-up, for who tells why it failed; NULL: none */
    const char *environment[8]; /* of every daemon, besides its own; NULL at the end */
    struct {
        const char *path, *file_system;
        node_set nodes;
    } disks[4]; /* given so far: a nemesis that is checked twice asks twice */
    uint16_t probe_ports[PLAN_NODES_MAX]; /* 0: this node does not listen for probes yet */
    atomic_uint next_probe, next_run;
    atomic_uint mark_count; /* set so far */
};

/* Calls to the agents, made one after the other and sent together; an agent does its own in their
 * order. `{.items = NULL}` is an empty list. */
struct control_calls {
    struct agent_call *items;
    size_t count, capacity;
};
struct agent_call *control_calls_add(struct control_calls *calls, uint32_t node, const char *verb);
enum err_code control_calls_make(struct test *test, struct control_calls *calls, struct err *err);
void control_calls_free(struct control_calls *calls);
/* Makes the calls of a fault and frees them; when one fails the fault is undone everywhere.
 * `in_force_ns` (may be NULL) gets how long it took. */
enum err_code control_calls_inject(struct test *test, struct control_calls *calls, const char *id,
                                   int64_t *in_force_ns, struct err *err);
/* Adds key=ADDRESS for each address of each of the nodes to a request. */
void control_add_addresses(struct test *test, struct agent_call *call, const char *key,
                           node_set peers);
/* Undoes the agents' fault of this id; a node that never had it is no error. */
enum err_code control_undo(struct test *test, node_set nodes, const char *id, struct err *err);

/* Connects to the test's nodes and starts an agent on each. test->control must point to `control`,
 * whose test, log and hooks are set. `owner` tells others who uses the nodes, and outlives it. What
 * a failure leaves is for control_close, too: until then the fleet may be interrupted from another
 * thread. */
enum err_code control_open(struct control *control, const struct fleet_options *options,
                           const char *owner, struct err *err);
/* Shuts the agents down (they undo what is left, and end the daemons) and disconnects, as far as
 * there are any. */
void control_close(struct control *control);

#endif
