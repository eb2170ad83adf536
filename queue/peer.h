/* The other nodes: one TCP connection to each, with a keyed hello, that is dialed again whenever it
 * is gone.
 *
 *     frame:  u32 length | u32 crc32c of the rest | u8 type | `length` bytes
 *     hello:  dialer -> HELLO {version node disk client-port nonce}
 *             listener -> WELCOME {the same of its own, and its proof}
 *             dialer -> PROOF {its proof}
 *
 * A proof is an HMAC-SHA256 by the peer secret over who proves, the HELLO and the WELCOME without
 * its proof: both nonces and both identities, so that no proof is good for another connection. What
 * follows is encrypted only with --tls-peers, of which TLS is then the outer layer: either end
 * shows a certificate of the cluster's authority before the first frame.
 *
 * The node with the smaller number dials; the other does too when nobody has called for a while. A
 * connection on which nothing was heard for two seconds is closed: TCP itself would take minutes to
 * notice that a network came back. */
#ifndef ORDEAL_QUEUE_PEER_H
#define ORDEAL_QUEUE_PEER_H

#include "queue/buffer.h"
#include "queue/config.h"
#include "queue/loop.h"
#include "queue/resolve.h"
#include "queue/tls.h"

enum peer_frame {
    PEER_HELLO = 1,
    PEER_WELCOME,
    PEER_PROOF,
    PEER_STATUS,  /* u8 formed: sent twice a second */
    PEER_FOUND,   /* the founding entry's data */
    PEER_RAFT,    /* a raft message */
    PEER_FORWARD, /* a client's request: see forward.h */
    PEER_REPLY,
    PEER_GONE, /* the client of a session has gone */
};

enum { PEER_FRAME_BYTES_MAX = 128 << 20, PEER_OUTPUT_BYTES_MAX = 256 << 20, PEER_LIST_MAX = 32 };

struct peer_link;
struct peer {
    uint32_t node; /* 0: not known yet, only its address */
    char address[RAFT_ADDRESS_BYTES];
    bool wanted;            /* a member or about to be: keep a connection */
    struct peer_link *link; /* the one that is spoken on, or NULL */
    struct peer_link *dialing;
    uint64_t dial_at_ms;
    bool resolving;
    uint32_t dials; /* each tries the next of the name's addresses */
    struct resolve_addresses addresses;
    /* What it said last. */
    uint64_t disk;
    uint32_t client_port;
    bool formed, status_known; /* status_known: on this link */
};

struct peers_listener {
    void *context;
    bool (*formed)(void *context);
    void (*up)(void *context, struct peer *peer);
    void (*down)(void *context, struct peer *peer); /* what was sent may or may not have arrived */
    void (*status)(void *context, struct peer *peer);
    void (*frame)(void *context, struct peer *peer, enum peer_frame type, const char *bytes,
                  size_t length);
};

struct peers {
    const struct config *config;
    struct loop *loop;
    const struct peers_listener *listener;
    uint64_t disk;
    struct watch door;
    struct peer list[PEER_LIST_MAX];
    uint32_t count;
    struct peer_link *links;
    uint64_t status_at_ms;
    struct tls_context *tls; /* NULL: none */
    struct resolver *resolver;
    uint64_t refused; /* connections whose hello was not right */
};

bool peers_open(struct peers *peers, const struct config *config, struct loop *loop, uint64_t disk,
                const struct peers_listener *listener, struct queue_error *error);
void peers_close(struct peers *peers);
void peers_accept(struct peers *peers, int file); /* somebody called */

/* Keep a connection to this node; a known one gets the new address. NULL when there are too many.
 */
struct peer *peers_want(struct peers *peers, uint32_t node, const char *address);
void peers_forget(struct peers *peers, uint32_t node);
struct peer *peers_find(struct peers *peers, uint32_t node);
struct peer *peers_find_address(struct peers *peers, const char *address);

/* The frame's bytes are the two parts after each other. False when there is no connection, or
 * nobody reads at its other end. */
bool peer_send(struct peers *peers, struct peer *peer, enum peer_frame type, const void *head,
               size_t head_length, const void *body, size_t body_length);
/* The same without a copy: room for the frame's bytes, or NULL; then they are written there, and
 * nothing else is sent before the second call, with the same length. */
char *peer_frame(struct peer *peer, size_t length);
void peer_frame_written(struct peer *peer, enum peer_frame type, size_t length);
void peers_tick(struct peers *peers, uint64_t now_ms); /* a few times a second at least */
void peers_flush(struct peers *peers);                 /* at the end of each turn */

#endif
