/* The server: one thread that turns between sockets and the node.
 *
 * A turn: what the sockets brought is parsed and becomes commands; the node proposes them as one
 * log entry; replies that are ready go out. */
#ifndef ORDEAL_QUEUE_SERVER_H
#define ORDEAL_QUEUE_SERVER_H

#include "queue/client.h"
#include "queue/config.h"
#include "queue/drain.h"
#include "queue/loop.h"
#include "queue/metrics.h"
#include "queue/node.h"
#include "queue/peer.h"
#include "queue/waiters.h"

enum {
    SERVER_HASH = 1024,
    SERVER_TICK_MS = 20,
    SERVER_COMMAND_MS_MAX = 10000, /* without an answer for so long: unknown */
    SERVER_BACKLOG_BYTES_MAX = 128 << 20,
    SERVER_HANDSHAKES_MAX = 4, /* steps of TLS handshakes with clients in one turn */
    SERVER_HANDSHAKE_MS_MAX = 10000,
};

struct server_counters {
    uint64_t connections, refused_connections, requests, errors, forwarded, unknown, slow_closed;
    uint64_t lost_in_reply; /* jobs taken at most once whose reply found nobody */
    uint64_t given_back;    /* other jobs whose reply found nobody: ready again at once */
    uint64_t tls_failed;    /* handshakes */
};

struct server {
    struct config config;
    struct loop loop;
    struct node node;
    struct peers peers;
    struct metrics metrics;
    struct drain drain;
    struct watch door, log_watch;
    struct tls_context *tls; /* for clients; NULL: none */
    uint32_t handshakes;     /* in this turn */
    uint64_t slow_at_ms;     /* look for slow handshakes */
    struct waiters waiters;
    struct request *waiting;              /* all that are not answered yet */
    struct client *clients;               /* connections */
    struct client *sessions[SERVER_HASH]; /* clients of other nodes that ask through them */
    struct request *forwarded[SERVER_HASH];
    struct client *resume, **resume_end; /* to be run in this turn */
    struct client *flush;                /* with output to be sent */
    struct client *dead;                 /* to be freed at the turn's end */
    uint32_t client_count, session_count;
    uint64_t client_number, request_number;
    uint64_t id_creator, id_sequence;
    uint64_t started_ms, tick_at_ms;
    bool stopping;
    uint64_t stop_at_ms;
    struct server_counters counters;
};

/* Opens everything and serves until it is told to stop. The exit status. */
int server_run(const struct config *config);

void server_make_id(struct server *server, struct job_id *id);
/* Begins the end: leadership is handed over, what is being written is finished. */
void server_stop(struct server *server);

#endif
