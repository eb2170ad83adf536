/* What the fleet's own files share: the I/O thread's state, and the errands on it. */
#ifndef ORDEAL_FLEET_INTERNAL_H
#define ORDEAL_FLEET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "harness/remote/batch.h"
#include "harness/remote/fleet.h"

struct fleet_member;

enum errand_kind {
    ERRAND_CONNECT, /* done when the session is ready */
    ERRAND_COMMAND,
    ERRAND_STREAM,
};

/* One thing under way on one node. Owned by the I/O thread from submission until batch_done; a
 * stream's errand lives in its stream. */
struct errand {
    TAILQ_ENTRY(errand) entry;
    enum errand_kind kind;
    struct fleet *fleet;
    struct fleet_member *member;
    struct buf line; /* what the node's login shell is given */
    char label[72];  /* what errors call it: "`mkdir /x`", "upload to /x" */
    bool sudo;       /* it goes through sudo, whose refusals are told apart */
    bool running;    /* in member->running, else in member->queued */
    int64_t timeout_ns;
    int64_t begun_ns, deadline_ns, retry_until_ns;
    struct remote_channel *channel;
    /* input: memory, or a file read at its own place */
    const char *input;
    int input_fd;
    off_t input_offset;
    size_t input_left;
    bool input_finished;
    /* output: memory, or a file */
    struct output output;
    size_t output_bytes_max;
    int output_fd; /* -1: memory */
    struct stream *stream;
    struct err err;
    struct batch *batch; /* NULL once done */
};
TAILQ_HEAD(errand_list, errand);

struct stream {
    struct errand errand;
    const struct stream_events *events;
    void *context;
    atomic_bool open; /* events may still come */
};

struct fleet_member {
    struct fleet *fleet;
    const struct node *node;
    void *address;
    struct remote_session *session; /* NULL: not connected */
    bool ready;
    bool dirty; /* something was written or opened since its last step */
    uint32_t failures;
    int64_t retry_at_ns;
    struct err last_failure;
    uint32_t channels, channels_max; /* the latter is learnt from refusals */
    struct errand_list queued, running;
};

struct fleet {
    const struct remote *remote;
    struct fleet_options options;
    struct fleet_member *members;
    size_t count;
    pthread_t thread;
    int wake_fd;
    struct pollfd *pollfds;
    struct fleet_timer *timers;
    pthread_mutex_t mutex; /* guards the two below */
    struct fleet_task *first_task, **last_task;
    bool stopping;
};

enum { FLEET_CHANNELS_MAX = 1000 };

/* Zeroed memory; never NULL. */
void *fleet_allocate(size_t count, size_t size);

/* ---- One node's connection (fleet_link.c), on the I/O thread ---- */
/* Connects when somebody waits for it, begins what waits, moves what can move. */
void member_step(struct fleet_member *member, int64_t now_ns);
/* Fills in what to wait for; returns until when at most. */
int64_t member_poll(struct fleet_member *member, struct pollfd *pollfd);
/* Fails what is past its deadline. */
void member_expire(struct fleet_member *member, int64_t now_ns);
/* Fails everything with ERR_CANCELLED; open streams only when told so. */
void member_fail(struct fleet_member *member, bool streams_too, const char *reason);
void member_disconnect(struct fleet_member *member);

/* ---- Errands, on the I/O thread ---- */
void errand_submit(struct errand *errand);
void errand_fail(struct errand *errand, enum err_code code, const char *format, ...) FORMAT(3, 4);
void errand_started(struct errand *errand);
void errand_ended(struct errand *errand, const struct channel_end *end);
/* Takes the errand off its node, and aborts its channel if it has one. */
void errand_detach(struct errand *errand);
void errand_feed(struct errand *errand);
extern const struct channel_events errand_events;
void stream_lost(struct stream *stream, const struct channel_end *end, const struct err *err);

void errand_init(struct errand *errand, struct fleet *fleet, uint32_t node, enum errand_kind kind);
/* An errand of kind ERRAND_COMMAND that runs `command`; errand->err tells what is wrong with it. */
void errand_prepare(struct errand *errand, struct fleet *fleet, uint32_t node,
                    const struct command *command);
void errand_destroy(struct errand *errand);
/* `count` zeroed errands, as pointers; the other destroys and frees them. */
struct errand **errand_array(size_t count);
void errand_array_free(struct errand **errands, size_t count);
/* Puts all on the I/O thread with one wake-up and waits until they are done. */
void errands_run(struct fleet *fleet, struct errand *const *errands, size_t count);

/* ---- Texts (fleet_text.c) ---- */
/* The line for the node's login shell: "exec [sudo -n ][env ...]sh -c '...'". */
enum err_code command_line(const struct node *node, const char *user, const struct command *command,
                           struct buf *line, bool *sudo, struct err *err);
/* What errors call the command, on one line; `size` is at least 72. */
void command_label(const struct command *command, char *label, size_t size);
/* ERR_REMOTE with the status and the end of stderr. */
enum err_code command_failed(const struct node *node, const char *label,
                             const struct output *output, struct err *err);
/* Whether sudo itself refused, in words that say what to do. */
bool sudo_refused(const struct node *node, const char *user, const struct output *output,
                  struct err *err);
const char *member_user(const struct fleet *fleet, const struct node *node);

#endif
