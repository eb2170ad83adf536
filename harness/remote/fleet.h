/* The fleet: SSH sessions to all nodes, driven by one I/O thread.
 *
 * Callers on any thread make blocking calls that work on many nodes at once; the I/O thread moves
 * the bytes of all of them. There is one session per node, and each command is a channel on it.
 *
 *  - Every call has a deadline, and ends by it whatever the network does.
 *  - A dead connection fails what was running over it; the next use connects again, with growing
 *    pauses. A command that may already have run is never run a second time: its caller is told.
 *  - Errors begin with the node's name. When several nodes fail, the first in node order is told,
 *    and the others are named: "n1: ... (and 2 more nodes: n3, n4)".
 *  - The I/O thread, which makes the sockets, is started by fleet_open and so lives in the network
 *    namespace of the thread that called it: join a cluster's namespace first, then open. */
#ifndef ORDEAL_FLEET_H
#define ORDEAL_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/buf.h"
#include "harness/base/err.h"
#include "harness/node.h"
#include "harness/remote/remote.h"

struct fleet;

struct fleet_options {
    const struct remote *remote; /* NULL: remote_ssh */
    struct remote_options connect;
    int64_t command_timeout_ns; /* of commands that name none; 0: 60 s */
    /* fleet_open tries refused and timed-out connections again for this long: nodes may still be
     * booting. 0: one attempt each. */
    int64_t patience_ns;
    /* Later calls try to connect again for this long when a session was lost; 0: 5 s. */
    int64_t reconnect_ns;
};

/* Connects to all nodes at once and returns when every one is ready. `nodes[i].index` must be i.
 * The nodes and all texts of the options stay the caller's and must outlive the fleet. On failure
 * nothing stays open. */
enum err_code fleet_open(const struct node *nodes, size_t count,
                         const struct fleet_options *options, struct fleet **fleet,
                         struct err *err);
/* Fails what is pending with ERR_CANCELLED and closes everything. No call may be under way on
 * another thread, nor begin afterwards. NULL is allowed. */
void fleet_close(struct fleet *fleet);

size_t fleet_size(const struct fleet *fleet);
const struct node *fleet_node(const struct fleet *fleet, uint32_t node);

/* Fails every call that is under way with ERR_CANCELLED; the fleet stays usable. Streams live on.
 * From any thread. */
void fleet_interrupt(struct fleet *fleet);

/* ---- Commands ----
 * The text runs under `sh` on the node. `output` is overwritten and then the caller's to free
 * (output_free), on failure it is left alone. _run: a non-zero exit status is output. _check: it is
 * an error, ERR_REMOTE, with the end of stderr: "n2: `mkfs /x` exited with status 1: ...". */
enum err_code fleet_run(struct fleet *fleet, uint32_t node, const struct command *command,
                        struct output *output, struct err *err);
/* `output` may be NULL. */
enum err_code fleet_check(struct fleet *fleet, uint32_t node, const struct command *command,
                          struct output *output, struct err *err);

/* One command on several nodes in parallel: `nodes` lists `count` of them, or is NULL for the first
 * `count`. `outputs` has `count` places or is NULL; a node that failed leaves an empty output. */
enum err_code fleet_run_all(struct fleet *fleet, const uint32_t *nodes, size_t count,
                            const struct command *command, struct output *outputs, struct err *err);
enum err_code fleet_check_all(struct fleet *fleet, const uint32_t *nodes, size_t count,
                              const struct command *command, struct output *outputs,
                              struct err *err);

/* Any commands on any nodes in parallel, several per node too. Each job has its own error and
 * output (which the caller frees, also after a failure); the call's error sums them up. */
struct fleet_job {
    uint32_t node;
    struct command command;
    struct output output;
    struct err err; /* code ERR_NONE when it went well */
};
enum err_code fleet_run_jobs(struct fleet *fleet, struct fleet_job *jobs, size_t count,
                             struct err *err);
enum err_code fleet_check_jobs(struct fleet *fleet, struct fleet_job *jobs, size_t count,
                               struct err *err);

/* ---- Files ----
 * A target is written aside and renamed, so nobody sees half a file; what a lost connection cut
 * short is never renamed. */
struct fleet_upload {
    uint32_t node;
    const char *source; /* a local file; NULL: `data` */
    const void *data;
    size_t length;
    const char *target; /* on the node */
    unsigned mode;      /* 0: 0644 */
    bool make_parents;  /* makes the target's directory when it is missing */
    bool as_root;
    int64_t timeout_ns; /* 0: the fleet's, and a second for each MiB */
    struct err err;
};
enum err_code fleet_upload(struct fleet *fleet, struct fleet_upload *uploads, size_t count,
                           struct err *err);

struct fleet_download {
    uint32_t node;
    const char *source; /* on the node */
    const char *target; /* a local path; its directory exists */
    bool as_root;
    int64_t timeout_ns; /* 0: ten times the fleet's */
    struct err err;
};
enum err_code fleet_download(struct fleet *fleet, struct fleet_download *downloads, size_t count,
                             struct err *err);

/* ---- Streams: commands that stay, and are talked to ---- */
struct stream;

struct stream_events { /* on the I/O thread: be quick, and make no blocking call of this header */
    void (*on_stdout)(void *context, const char *bytes, size_t length);
    void (*on_stderr)(void *context, const char *bytes, size_t length); /* may be NULL */
    /* The last event. Either the command ended (`end`), or the connection did (`err`); the other is
     * NULL. */
    void (*on_close)(void *context, const struct channel_end *end, const struct err *err);
};

/* Starts the command and returns once the node has accepted it; command->timeout_ns bounds that
 * alone, and `input` is not used. `events` and `context` outlive the stream. */
enum err_code fleet_stream_open(struct fleet *fleet, uint32_t node, const struct command *command,
                                const struct stream_events *events, void *context,
                                struct stream **stream, struct err *err);
/* Several in parallel. Each job has its own error; those that went well are open (`stream` is not
 * NULL) also when the call fails. */
struct fleet_stream_job {
    uint32_t node;
    struct command command;
    const struct stream_events *events;
    void *context;
    struct stream *stream;
    struct err err;
};
enum err_code fleet_stream_open_all(struct fleet *fleet, struct fleet_stream_job *jobs,
                                    size_t count, struct err *err);
/* Sends; from any thread; never blocks. What is written to a stream that has closed is dropped. */
void fleet_stream_write(struct stream *stream, const void *data, size_t length);
/* Ends the stream's input, after what was written. From any thread. */
void fleet_stream_finish(struct stream *stream);
/* Frees the stream, whether it has closed or not; no event comes after this call, and no other call
 * on the stream may be under way. From any thread; on the I/O thread also from within an event of
 * this stream, but of no other. */
void fleet_stream_close(struct stream *stream);

/* ---- The I/O thread, for what must be quick ---- */
struct fleet_task {
    void (*run)(struct fleet_task *task);
    struct fleet_task *next;
};
/* Runs the task on the I/O thread, soon, in the order posted. The task's memory stays the caller's
 * until it runs. */
void fleet_post(struct fleet *fleet, struct fleet_task *task);
bool fleet_on_io_thread(const struct fleet *fleet);

struct fleet_timer {
    void (*fire)(struct fleet_timer *timer); /* on the I/O thread; may set the timer again */
    int64_t at_ns;
    struct fleet_timer *next, **place; /* the fleet's */
};
/* On the I/O thread only: sets or moves the timer to a monotonic time; clears it. */
void fleet_timer_set(struct fleet *fleet, struct fleet_timer *timer, int64_t at_ns);
void fleet_timer_clear(struct fleet_timer *timer);

/* ---- Texts, shared with what is built upon the fleet ---- */
/* "n1: what (and 2 more nodes: n3, n4)" from errors by place: `errs[i]` (NULL or ERR_NONE: went
 * well) happened on nodes[i]. Returns ERR_NONE when none did. */
enum err_code fleet_sum_up(const struct fleet *fleet, const uint32_t *nodes,
                           const struct err *const *errs, size_t count, struct err *err);

#endif
