/* How commands reach a node: the contract between the fleet and a transport.
 *
 * The fleet (harness/fleet.h) owns threads, queues, deadlines and retries; a transport only moves
 * bytes, without ever blocking. SSH is one (remote_ssh.c); the unit tests have another that runs
 * commands with a local shell (tests/lib/fake_remote.c), so that everything above the transport is
 * tested without a server.
 *
 * All hooks are called on the fleet's I/O thread, and so are all events. */
#ifndef ORDEAL_REMOTE_H
#define ORDEAL_REMOTE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/buf.h"
#include "harness/base/err.h"
#include "harness/node.h"

/* One command for a node's shell. Zero and NULL are the defaults. */
struct command {
    const char *text;  /* what `sh` is given; at most REMOTE_COMMAND_BYTES_MAX with all below */
    const char *label; /* what errors call it; NULL: its text, shortened */
    const char *const *env; /* "NAME=value", NULL at the end */
    const char *const
        *keep_env;     /* names of variables that SSH set, to be kept through sudo; NULL */
    const char *cwd;   /* where it runs; NULL: the user's home */
    const void *input; /* its standard input; NULL: empty */
    size_t input_length;
    bool as_root;            /* through `sudo -n` where the node's user is not root */
    int64_t timeout_ns;      /* from the call to the exit, reconnecting included; 0: the fleet's */
    size_t output_bytes_max; /* kept of each of stdout and stderr; 0: 1 MiB */
};

/* SSH carries a command in one packet of at most 32 KiB: longer scripts are uploaded as files. */
enum { REMOTE_COMMAND_BYTES_MAX = 32000 };

/* What a command gave back. A non-zero status is output, not an error. */
struct output {
    struct buf out; /* the first output_bytes_max bytes of its stdout */
    struct buf err; /* the last output_bytes_max bytes of its stderr: errors come last */
    bool out_truncated;
    bool err_truncated;
    int status;           /* exit status; 128 + number when a signal ended it, as shells say */
    char signal_name[16]; /* "KILL", or empty */
    int64_t duration_ns;
};
void output_free(struct output *output);

/* How a session gets in. Zero and NULL are the defaults. */
struct remote_options {
    const char *user;             /* where the node names none; NULL: who runs ordeal */
    const char *const *key_files; /* NULL: ~/.ssh/id_ed25519, id_ecdsa, id_rsa */
    bool no_agent;                /* do not ask the ssh-agent at $SSH_AUTH_SOCK after the files */
    const char *password;         /* tried last; NULL: none */
    const char *known_hosts;      /* NULL: ~/.ssh/known_hosts */
    /* Adds the key of a host that known_hosts does not mention at all, instead of refusing it. A
     * changed key is refused always. */
    bool accept_new_host_keys;
    int64_t connect_timeout_ns; /* for connecting, greeting and logging in together; 0: 10 s */
    /* A peer that acknowledges nothing for three times this long is gone; 0: 5 s. */
    int64_t keepalive_ns;
};

enum remote_state {
    REMOTE_CONNECTING,
    REMOTE_READY,
    REMOTE_FAILED, /* for good: close the session; its channels get no more events */
};

enum channel_result {
    CHANNEL_EXITED,
    CHANNEL_REFUSED, /* the node allows no further channel now; nothing was run */
    CHANNEL_DENIED,  /* the channel was there, the command was refused */
};

struct channel_end {
    enum channel_result result;
    int status; /* as in struct output */
    const char *signal_name;
    const char *reason; /* of what was not CHANNEL_EXITED */
};

struct channel_events {
    void (*on_started)(void *context); /* the node has accepted the command */
    void (*on_stdout)(void *context, const char *bytes, size_t length);
    void (*on_stderr)(void *context, const char *bytes, size_t length);
    void (*on_writable)(void *context); /* little is left to send: write more */
    void (*on_end)(void *context, const struct channel_end *end); /* last; the channel is gone */
};

struct remote_session;
struct remote_channel;

struct remote {
    const char *name; /* "ssh" */
    /* Once per process and thread-safe, before any session; may be NULL. */
    enum err_code (*prepare)(struct err *err);
    /* Resolves what must be resolved; called on the thread that opens the fleet, and may block. The
     * result goes to session_open; may be NULL. */
    enum err_code (*resolve)(const struct node *node, void **address, struct err *err);
    void (*address_free)(void *address);
    /* Begins to connect. `node` and `options` outlive the session. */
    enum err_code (*session_open)(const struct node *node, const void *address,
                                  const struct remote_options *options,
                                  struct remote_session **session, struct err *err);
    /* Moves all that can move now, calls events; `err` is set with REMOTE_FAILED. Errors do not
     * name the node: the fleet does. */
    enum remote_state (*session_step)(struct remote_session *session, struct err *err);
    /* What to wait for before the next step; *deadline_ns (monotonic) is lowered when time alone
     * also calls for one. */
    void (*session_poll)(struct remote_session *session, struct pollfd *pollfd,
                         int64_t *deadline_ns);
    /* Whether the last failure may pass by itself (refused, timed out, lost) or will not before
     * somebody acts (key refused, host key unknown). */
    bool (*session_may_retry)(const struct remote_session *session);
    /* Not from within an event. */
    void (*session_close)(struct remote_session *session);

    /* Runs `text` with the user's shell. The texts are copied; `events` and `context` outlive the
     * channel. Never fails: a failure is on_end or REMOTE_FAILED in a later step. */
    struct remote_channel *(*channel_open)(struct remote_session *session, const char *text,
                                           const struct channel_events *events, void *context);
    void (*channel_write)(struct remote_channel *channel, const void *data, size_t length);
    void (*channel_finish)(
        struct remote_channel *channel); /* end of input, after what was written */
    size_t (*channel_backlog)(const struct remote_channel *channel); /* bytes not yet sent */
    /* Whether the command may have reached the node: decides if it may be tried again. */
    bool (*channel_sent)(const struct remote_channel *channel);
    /* Forgets the channel: no more events. The command may go on on the node. */
    void (*channel_abort)(struct remote_channel *channel);
};

extern const struct remote remote_ssh;

#endif
