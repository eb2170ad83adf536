/* Clients and their requests.
 *
 * A client is a connection, or a session: a client of another node whose requests come through that
 * node. Its requests are answered in their order, though many are under way at once. A request that
 * cannot be started yet (no leader, or it must wait for those before it) holds up those behind it.
 */
#ifndef ORDEAL_QUEUE_CLIENT_H
#define ORDEAL_QUEUE_CLIENT_H

#include "queue/buffer.h"
#include "queue/loop.h"
#include "queue/resp.h"
#include "queue/state.h"

struct server;
struct peer;
struct command_entry;

enum request_phase {
    REQUEST_QUEUED,    /* not started */
    REQUEST_PROPOSED,  /* its commands are in the log, or on their way there */
    REQUEST_READING,   /* waits for the leader to be sure that it leads */
    REQUEST_PARKED,    /* waits for jobs */
    REQUEST_FORWARDED, /* with the leader */
    REQUEST_SPOOLED,   /* in this node's spool, or on its way there: see drain.h */
    REQUEST_DONE,
};

struct get; /* commands_get.c */

struct request {
    struct request *next; /* of the client */
    struct request *waiting_next, **waiting_at;
    struct request *hash_next;
    struct client *client; /* NULL: has gone */
    const struct command_entry *entry;
    struct resp_slice *arguments; /* kept, or NULL */
    uint32_t argument_count;
    enum request_phase phase;
    uint32_t tags;        /* how often the node knows it */
    uint64_t number;      /* REQUEST_FORWARDED: ours; of a session: the origin's */
    uint32_t with;        /* REQUEST_FORWARDED: the leader's node */
    uint64_t deadline_ms; /* 0: none */
    struct job_id id;
    bool has_id, barrier, async, not_done;
    bool prepared;                     /* its entry's `prepare` was called */
    uint32_t results, accepted, stale; /* of commands with several ids */
    uint64_t decided;                  /* SPOOLED: the last number of the origin */
    struct get *get;
    struct resp_buffer reply;
};

struct client {
    struct watch watch; /* file -1 for a session */
    struct tls *tls;    /* NULL: plain */
    bool guessing;      /* whether it will be, its first byte tells */
    struct server *server;
    struct client *next, **at; /* in the server's list or hash chain */
    struct client *resume_next, *flush_next, *dead_next;
    bool resuming, flushing, dead;
    bool readable;   /* its socket, when it was last looked at */
    uint64_t number; /* of a session: its number at its node */
    uint32_t node;   /* of a session: where it comes from */
    char address[64], name[64];
    struct buffer in, out;
    struct resp_parser parser;
    enum resp_version version;
    bool authenticated, redirect, closing, starting;
    struct request *first, **end, *queued; /* queued: the first not started */
    uint32_t count, barriers;
    uint64_t requests, opened_ms;
    /* Of the server's own client: what to do with a reply, which nobody else gets. */
    void (*take)(struct client *client, struct request *request);
};

struct client *client_open(struct server *server, int file);
void client_close(struct client *client);
static inline bool client_is_session(const struct client *client)
{
    return client->watch.file < 0 && client->take == NULL;
}
/* A request of the server's own client, which copies the arguments. */
void client_inject(struct client *client, const struct resp_slice *arguments, uint32_t count);
/* Starts what can be started and parses what there is. */
void client_resume(struct client *client);
void client_flush(struct client *client);
void client_schedule(struct client *client); /* resume in this turn */
void client_free_dead(struct server *server);

/* Requests. */
struct request *request_new(struct client *client);
/* Keeps a copy of the arguments for as long as the request lives. */
void request_keep(struct request *request, const struct resp_slice *arguments, uint32_t count);
struct resp_writer request_writer(struct request *request);
/* The reply is written: sends it in its turn. The request may be freed. */
void request_finish(struct request *request);
void request_error(struct request *request, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* writes the error in place of any reply; finishes */
/* "UNKNOWN id": what became of it cannot be said. */
void request_unknown(struct request *request);
/* Back to the start: nothing was done. */
void request_again(struct request *request);
void request_barrier(struct request *request); /* what is behind it waits for its end */
void request_untag(struct request *request);   /* the node has forgotten it once */
struct server *request_server(const struct request *request);
void request_expire(struct request *request); /* its deadline has passed */

/* Sessions (session.c): requests of and for other nodes' clients. */
bool session_forward(struct request *request, struct peer *leader,
                     const struct resp_slice *arguments, uint32_t count);
void session_take(struct server *server, struct peer *peer, const char *bytes, size_t length);
void session_reply(struct request *request); /* to the origin; the request is finished */
void session_on_reply(struct server *server, const char *bytes, size_t length);
void session_on_gone(struct server *server, struct peer *peer, const char *bytes, size_t length);
void session_peer_down(struct server *server, struct peer *peer);
void session_leader_changed(struct server *server, uint32_t leader);
void session_unlink(struct request *request); /* a forwarded one, of which no more is wanted */

#endif
