/* The controller's side of the node agents (harness/agent/): puts the agent on every node, talks to
 * it, and keeps its lease alive.
 *
 * Requests, replies and events are lines of fields (harness/base/line.h):
 *     request  ID <tab> VERB <tab> key=value ...
 *     reply    ID <tab> ok <tab> key=value ...    or    ID <tab> err <tab> CODE <tab> message
 *     event    ! <tab> NAME <tab> key=value ...
 * The agent undoes every fault when its input closes or no line came for a lease; pings are sent
 * every quarter of it, from the I/O thread. */
#ifndef ORDEAL_AGENT_LINK_H
#define ORDEAL_AGENT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/arena.h"
#include "harness/base/buf.h"
#include "harness/base/err.h"
#include "harness/base/line.h"
#include "harness/remote/fleet.h"

struct agents;

struct agents_options {
    const char *binary;    /* local; NULL: see agents_find_binary */
    const char *directory; /* on the nodes; NULL: /var/lib/ordeal/bin */
    const char *owner;     /* who uses the nodes, for others that try to: "alice@ci-7, run 42" */
    int64_t lease_ns;      /* 0: 15 s */
    /* More arguments for `ordeal-agent serve`, NULL at the end; "{node}" in them stands for the
     * node's name. NULL: none. */
    const char *const *arguments;
    int64_t start_timeout_ns; /* for the agent to say hello, once it runs; 0: 20 s */
    /* Every event, and "lost" (with reason=...) once when an agent is gone. On the fleet's I/O
     * thread: be quick, make no blocking call of the fleet or of this header. `event` lives until
     * the callback returns. May be called before agents_start has returned. NULL: not told. */
    void (*on_event)(void *context, uint32_t node, const char *name, const struct line *event);
    void *context;
};

/* The agent's binary on this machine: $ORDEAL_AGENT, or "ordeal-agent" beside the running program,
 * or in the installed libexec folder. ERR_UNSUPPORTED names the places that were looked at. */
enum err_code agents_find_binary(struct buf *path, struct err *err);

/* On all nodes of the fleet in parallel: starts the agent that has the binary's content hash in its
 * name, as root; uploads it where it is missing or does not run. Returns when all have said hello.
 * On failure no agent stays. The fleet and the options' texts must outlive the agents. */
enum err_code agents_start(struct fleet *fleet, const struct agents_options *options,
                           struct agents **agents, struct err *err);
/* Daemons that are left run on by themselves; the next agent on the node ends them, and so does
 * `ordeal heal`. */
enum agents_end { AGENTS_END_DAEMONS, AGENTS_LEAVE_DAEMONS };
/* Asks the agents to undo their faults and end, waits up to `timeout_ns`, and frees everything
 * whatever the answer. The error tells which nodes may still hold faults. NULL agents are allowed.
 */
enum err_code agents_stop(struct agents *agents, enum agents_end end, int64_t timeout_ns,
                          struct err *err);

/* Starts the agent of one node anew after it was lost. */
enum err_code agents_restart(struct agents *agents, uint32_t node, struct err *err);

/* Whether the node's agent is there, as far as is known. From any thread. */
bool agents_ready(struct agents *agents, uint32_t node);
/* A field of the agent's hello, copied to the arena; NULL when it was not in it. */
const char *agents_hello(struct agents *agents, uint32_t node, const char *key,
                         struct arena *arena);

/* ---- Calls ---- */
struct agent_reply {
    struct line line; /* fields of an ok: line_get(&call.reply.line, "pid") */
    char code[32];    /* the agent's word for what went wrong; "" otherwise */
    struct arena arena;
};

/* One request to one node: agent_call_begin, then line_key & co. on `request`, then a call below,
 * then agent_call_free. A call may be made once. */
struct agent_call {
    uint32_t node;
    struct buf request; /* the verb and its fields, without ID and newline */
    int64_t timeout_ns; /* 0: 10 s */
    struct agent_reply reply;
    struct err err; /* ERR_NONE, or why there is no ok: ERR_REMOTE with reply.code when the agent
                       refused, ERR_IO when it is gone, ERR_TIMEOUT when it did not answer in time
                       and may yet do it */
    /* The link's own, while the call is under way. */
    struct agent_call *next;
    uint64_t id;
    int64_t deadline_ns;
    struct batch *batch;
};
void agent_call_begin(struct agent_call *call, uint32_t node, const char *verb);
void agent_call_free(struct agent_call *call);

/* Puts all requests on the wire at once and waits for all replies; any nodes, several per node too;
 * replies come in any order. From any thread but the I/O thread. The error sums up the calls'
 * own. */
enum err_code agents_call_many(struct agents *agents, struct agent_call *calls, size_t count,
                               struct err *err);
enum err_code agents_call(struct agents *agents, struct agent_call *call, struct err *err);

#endif
