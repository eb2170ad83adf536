/* What the files of the SSH transport share. libssh2 is met in these files only.
 *
 * libssh2 never touches the socket: its send and receive callbacks work on two byte queues, which
 * session_step fills from and empties to the socket. That does three things. A send never blocks
 * inside libssh2, which would forbid any other call on the session until that very packet is out
 * (1.10 answers LIBSSH2_ERROR_BAD_USE). Data that one channel's call takes in for another is never
 * waited for on a quiet socket, as the step goes on until nothing moves. And small packets to
 * several channels leave in one system call. */
#ifndef ORDEAL_SSH_INTERNAL_H
#define ORDEAL_SSH_INTERNAL_H

#include <libssh2.h>
#include <netdb.h>
#include <sys/queue.h>

#include "harness/remote/remote.h"

/* ---- A queue of bytes ---- */
struct ssh_queue {
    struct buf buf;
    size_t offset; /* what was taken already */
};
size_t ssh_queue_length(const struct ssh_queue *queue);
const char *ssh_queue_data(const struct ssh_queue *queue);
void ssh_queue_add(struct ssh_queue *queue, const void *data, size_t length);
void ssh_queue_take(struct ssh_queue *queue, size_t length);

/* ---- Keys (ssh_keys.c) ---- */
struct ssh_key_info {
    char type[16]; /* "ED25519", "ECDSA", "RSA", "DSA", or "key" when it cannot be told */
    bool readable;
    bool encrypted;
};
/* Looks into a private key file, in OpenSSH's format or PEM. */
struct ssh_key_info ssh_key_describe(const char *path);
struct ssh_key_info ssh_key_describe_text(const char *text);
/* "ED25519" for "ssh-ed25519" and so on. */
const char *ssh_key_type_short(const char *algorithm);
void ssh_base64(const void *data, size_t length, struct buf *text);
/* "~/x" with the home directory of who runs ordeal. */
void ssh_expand_home(const char *path, struct buf *expanded);

/* ---- known_hosts (ssh_known_hosts.c) ---- */
struct known_key {
    char *algorithm; /* "ssh-ed25519" */
    char *base64;
    unsigned line;
    bool revoked;
};
struct known_hosts {
    struct known_key *keys; /* of one host */
    size_t count;
};
enum host_key_status { HOST_KEY_KNOWN, HOST_KEY_UNKNOWN, HOST_KEY_CHANGED, HOST_KEY_REVOKED };

/* Finds the keys of a host; a missing file holds none. `ssh` serves to check hashed names. */
enum err_code known_hosts_load(LIBSSH2_SESSION *ssh, const char *path, const char *host,
                               uint16_t port, struct known_hosts *known, struct err *err);
void known_hosts_free(struct known_hosts *known);
/* Host key algorithms in the order to ask for: those that can be checked first. */
void known_hosts_preference(const struct known_hosts *known, struct buf *list);
/* `match` is the entry that decided, or NULL. A host with keys of other types only is UNKNOWN. */
enum host_key_status known_hosts_check(const struct known_hosts *known, const char *algorithm,
                                       const char *base64, const struct known_key **match);
enum err_code known_hosts_append(const char *path, const char *host, uint16_t port,
                                 const char *algorithm, const char *base64, struct err *err);

/* ---- Sessions ---- */
struct ssh_address {
    struct addrinfo *list;
};

enum ssh_phase {
    SSH_CONNECT,
    SSH_TUNNEL, /* the way through a jump host is not there yet */
    SSH_HANDSHAKE,
    SSH_METHODS, /* asks what the server lets us log in with */
    SSH_KEY_FILES,
    SSH_AGENT_CONNECT,
    SSH_AGENT_KEYS,
    SSH_PASSWORD,
    SSH_INTERACTIVE,
    SSH_READY,
    SSH_FAILED,
};

enum channel_phase {
    CHANNEL_QUEUED,
    CHANNEL_OPENING,
    CHANNEL_EXEC,
    CHANNEL_RUNNING,
    CHANNEL_WAIT_CLOSED,
    CHANNEL_CLOSING, /* forgotten by the fleet; libssh2 still has to let go of it */
    CHANNEL_GONE,
};

struct remote_channel {
    TAILQ_ENTRY(remote_channel) entry;
    struct remote_session *session;
    const struct channel_events *events; /* NULL once aborted or ended */
    void *context;
    enum channel_phase phase;
    LIBSSH2_CHANNEL *ssh;
    char *text;
    struct ssh_queue input;
    bool finish, finished; /* end of input is wanted, was sent */
};
TAILQ_HEAD(channel_list, remote_channel);

struct ssh_jump;
struct remote_session {
    const struct node *node;
    struct ssh_jump *jump; /* NULL: it has a socket of its own */
    const struct remote_options *options;
    const struct addrinfo *address, *last_address; /* the one being tried */
    enum ssh_phase phase;
    int fd;
    int64_t deadline_ns;         /* for being ready */
    int64_t address_deadline_ns; /* for this address, while others are left */
    bool may_retry;
    struct err failure;

    LIBSSH2_SESSION *ssh;
    struct ssh_queue incoming, outgoing;
    uint64_t moved; /* counts bytes that libssh2 took in, and steps forward */
    bool peer_closed;
    int socket_error;

    char place[300]; /* "10.0.0.2:22" */
    struct buf known_hosts_path;
    struct known_hosts known;
    char **key_files;
    size_t key_count, key_next;
    LIBSSH2_AGENT *agent;
    struct libssh2_agent_publickey *identity;
    struct buf methods; /* "publickey,password" */
    struct buf tried;   /* for the error */

    struct channel_list channels;
    struct remote_channel *opening; /* libssh2 can open one at a time */
    char *read_buffer;
};

enum {
    SSH_READ_BYTES = 64 << 10,
    SSH_OUTGOING_MAX = 512 << 10, /* with this much waiting for the socket, channels wait too */
};

/* Results of a step of the login or of a channel. */
enum ssh_step { SSH_STEP_WAIT, SSH_STEP_MOVED, SSH_STEP_FAILED };

/* Sets the session's failure (which may_retry tells to pass by itself) and phase. */
enum ssh_step ssh_fail(struct remote_session *session, bool may_retry, enum err_code code,
                       const char *format, ...) FORMAT(4, 5);
/* The same from libssh2's last error, or from the socket's state, which explains it better. */
enum ssh_step ssh_fail_library(struct remote_session *session, const char *what);
const char *ssh_user(const struct remote_session *session);

/* ssh_jump.c: of sessions with a jump host. The node that it is: */
enum err_code ssh_jump_node(struct arena *arena, const struct node *node, struct node *jump,
                            struct err *err);
/* Opens the outer session to `address`, as remote_ssh.resolve found it. */
enum err_code ssh_jump_open(struct remote_session *session, const void *address, struct err *err);
struct remote_session *ssh_jump_session(const struct remote_session *session);
enum ssh_step ssh_jump_step(struct remote_session *session); /* in SSH_TUNNEL */
/* Moves bytes between the queues and the outer session; `most` is what incoming may hold. Returns
 * how many came in. */
size_t ssh_jump_fill(struct remote_session *session, size_t most);
void ssh_jump_flush(struct remote_session *session);
void ssh_jump_close(struct remote_session *session);

/* From the greeting to being logged in (ssh_login.c). */
enum err_code ssh_login_begin(struct remote_session *session, struct err *err);
enum ssh_step ssh_login_step(struct remote_session *session);
void ssh_login_end(struct remote_session *session);

/* ssh_channel.c */
enum ssh_step ssh_channels_step(struct remote_session *session);
void ssh_channels_free(struct remote_session *session);
struct remote_channel *ssh_channel_open(struct remote_session *session, const char *text,
                                        const struct channel_events *events, void *context);
void ssh_channel_write(struct remote_channel *channel, const void *data, size_t length);
void ssh_channel_finish(struct remote_channel *channel);
size_t ssh_channel_backlog(const struct remote_channel *channel);
bool ssh_channel_sent(const struct remote_channel *channel);
void ssh_channel_abort(struct remote_channel *channel);

#endif
