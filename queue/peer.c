/* Connections between nodes. */
#include "queue/peer.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queue/bytes.h"
#include "queue/crc32c.h"
#include "queue/defect.h"
#include "queue/disk.h"
#include "queue/node.h"

enum {
    VERSION = 1,
    NONCE_BYTES = 16,
    PROOF_BYTES = 32,
    HELLO_BYTES = 4 + 4 + 8 + 4 + NONCE_BYTES,
    FRAME_HEADER = 9,
    RECEIVE_BYTES = 256 << 10,
    HELLO_MS_MAX = 2000,
    SILENCE_MS_MAX = 2000,
    STATUS_MS = 500,
    DIAL_MS = 200,
    NAME_MS = 1000,
};

enum stage {
    STAGE_CONNECTING,
    STAGE_GUESSING, /* a listener's, that takes TLS and plain */
    STAGE_TLS,
    STAGE_HELLO,
    STAGE_PROOF,
    STAGE_OPEN,
};

struct peer_link {
    struct watch watch;
    struct peers *peers;
    struct peer_link *next;
    struct peer *peer; /* whom we dialed, or who has proved who it is */
    struct tls *tls;   /* NULL: plain */
    bool dialed, broken;
    enum stage stage;
    uint64_t begun_ms, heard_ms;
    struct buffer in, out;
    unsigned char hello[HELLO_BYTES], welcome[HELLO_BYTES];
    bool greeted;
};

/* Frames out. */

static void put_frame(struct buffer *out, enum peer_frame type, const void *head,
                      size_t head_length, const void *body, size_t body_length)
{
    char header[FRAME_HEADER];
    bytes_put32(header, (uint32_t)(head_length + body_length));
    header[8] = (char)type;
    uint32_t crc = crc32c(0, header + 8, 1);
    crc = head_length > 0 ? crc32c(crc, head, head_length) : crc;
    crc = body_length > 0 ? crc32c(crc, body, body_length) : crc;
    bytes_put32(header + 4, crc);
    buffer_append(out, header, sizeof header);
    buffer_append(out, head, head_length);
    buffer_append(out, body, body_length);
}

bool peer_send(struct peers *peers, struct peer *peer, enum peer_frame type, const void *head,
               size_t head_length, const void *body, size_t body_length)
{
    (void)peers;
    struct peer_link *link = peer->link;
    if (link == NULL || link->broken || buffer_length(&link->out) > PEER_OUTPUT_BYTES_MAX)
        return false;
    put_frame(&link->out, type, head, head_length, body, body_length);
    return true;
}

char *peer_frame(struct peer *peer, size_t length)
{
    struct peer_link *link = peer->link;
    if (link == NULL || link->broken || buffer_length(&link->out) > PEER_OUTPUT_BYTES_MAX)
        return NULL;
    return buffer_room(&link->out, FRAME_HEADER + length) + FRAME_HEADER;
}

void peer_frame_written(struct peer *peer, enum peer_frame type, size_t length)
{
    struct buffer *out = &peer->link->out;
    char *header = buffer_room(out, FRAME_HEADER + length);
    bytes_put32(header, (uint32_t)length);
    header[8] = (char)type;
    bytes_put32(header + 4, crc32c(0, header + 8, length + 1));
    buffer_added(out, FRAME_HEADER + length);
}

/* The end of a link. */

static void link_free(struct peer_link *link)
{
    struct peers *peers = link->peers;
    for (struct peer_link **at = &peers->links; *at != NULL; at = &(*at)->next) {
        if (*at == link) {
            *at = link->next;
            break;
        }
    }
    loop_remove(peers->loop, &link->watch);
    tls_close(link->tls);
    close(link->watch.file);
    buffer_free(&link->in);
    buffer_free(&link->out);
    free(link);
}

static void link_detach(struct peer_link *link)
{
    struct peer *peer = link->peer;
    link->broken = true;
    if (peer == NULL)
        return;
    if (peer->dialing == link)
        peer->dialing = NULL;
    if (peer->link == link) {
        peer->link = NULL;
        peer->status_known = false;
        journal_write(JOURNAL_INFO, "peer-down", "node=%u", peer->node);
        link->peers->listener->down(link->peers->listener->context, peer);
    }
    link->peer = NULL;
}

/* The hello. */

static void make_hello(const struct peers *peers, unsigned char *hello)
{
    bytes_put32(hello, VERSION);
    bytes_put32(hello + 4, peers->config->node);
    bytes_put64(hello + 8, peers->disk);
    bytes_put32(hello + 16, peers->config->port);
    bytes_put64(hello + 20, node_random());
    bytes_put64(hello + 28, node_random());
}

static void make_proof(const struct peer_link *link, bool dialer, unsigned char *proof)
{
    const char *secret = link->peers->config->peer_secret;
    unsigned char said[1 + 2 * HELLO_BYTES];
    unsigned length = PROOF_BYTES;
    said[0] = dialer ? 'd' : 'l';
    memcpy(said + 1, link->hello, HELLO_BYTES);
    memcpy(said + 1 + HELLO_BYTES, link->welcome, HELLO_BYTES);
    HMAC(EVP_sha256(), secret, (int)strlen(secret), said, sizeof said, proof, &length);
}

static bool proof_good(const struct peer_link *link, bool dialer, const char *proof)
{
    unsigned char expected[PROOF_BYTES];
    make_proof(link, dialer, expected);
    return CRYPTO_memcmp(expected, proof, PROOF_BYTES) == 0;
}

static bool refuse(struct peer_link *link, const char *why)
{
    char name[64];
    loop_peer_name(link->watch.file, name, sizeof name);
    journal_write(JOURNAL_WARNING, "peer-refused", "address=%s %s", name, why);
    link->peers->refused++;
    return false;
}

/* Of two connections between the same nodes both ends must keep the same one: a living one that the
 * smaller number dialed stays. */
static bool keeps_old(const struct peer_link *old, const struct peer_link *link, uint32_t node)
{
    bool smaller = link->peers->config->node < node;
    bool old_right = old->dialed == smaller, new_right = link->dialed == smaller;
    return old_right && !new_right && node_clock_ms() - old->heard_ms < 2 * STATUS_MS;
}

static bool link_open(struct peer_link *link, const unsigned char *theirs)
{
    struct peers *peers = link->peers;
    uint32_t node = bytes_get32(theirs + 4);
    struct peer *peer = link->peer != NULL ? link->peer : peers_find(peers, node);
    if (node == 0 || node == peers->config->node)
        return refuse(link, "it says that it is this node: two servers with one number");
    if (peer != NULL && peer->node == 0)
        peer->node = node; /* dialed by address alone */
    if (peer == NULL)
        peer = peers_want(peers, node, "");
    if (peer == NULL || peer->node != node)
        return refuse(link, "it is another node than was expected at this address");
    if (peer->link != NULL && keeps_old(peer->link, link, node))
        return false;
    if (peer->link != NULL)
        link_detach(peer->link);
    if (peer->dialing == link)
        peer->dialing = NULL;
    link->peer = peer;
    link->stage = STAGE_OPEN;
    peer->link = link;
    peer->disk = bytes_get64(theirs + 8);
    peer->client_port = bytes_get32(theirs + 16);
    peer->status_known = false;
    journal_write(JOURNAL_INFO, "peer-up", "node=%u disk=%016llx", node,
                  (unsigned long long)peer->disk);
    unsigned char formed = peers->listener->formed(peers->listener->context);
    peer_send(peers, peer, PEER_STATUS, &formed, 1, NULL, 0);
    peers->listener->up(peers->listener->context, peer);
    return true;
}

static bool on_hello(struct peer_link *link, const char *bytes, size_t length)
{
    unsigned char proof[PROOF_BYTES];
    if (link->dialed || link->greeted || length != HELLO_BYTES || bytes_get32(bytes) != VERSION)
        return refuse(link, "its hello is not of this version");
    link->greeted = true;
    memcpy(link->hello, bytes, HELLO_BYTES);
    make_hello(link->peers, link->welcome);
    make_proof(link, false, proof);
    put_frame(&link->out, PEER_WELCOME, link->welcome, HELLO_BYTES, proof, PROOF_BYTES);
    link->stage = STAGE_PROOF;
    return true;
}

static bool on_welcome(struct peer_link *link, const char *bytes, size_t length)
{
    unsigned char proof[PROOF_BYTES];
    if (!link->dialed || link->stage != STAGE_HELLO || length != HELLO_BYTES + PROOF_BYTES ||
        bytes_get32(bytes) != VERSION)
        return refuse(link, "its welcome is not of this version");
    memcpy(link->welcome, bytes, HELLO_BYTES);
    if (!proof_good(link, false, bytes + HELLO_BYTES))
        return refuse(link, "it does not know the peer secret");
    make_proof(link, true, proof);
    put_frame(&link->out, PEER_PROOF, proof, PROOF_BYTES, NULL, 0);
    return link_open(link, link->welcome);
}

static bool on_proof(struct peer_link *link, const char *bytes, size_t length)
{
    if (link->dialed || link->stage != STAGE_PROOF || length != PROOF_BYTES ||
        !proof_good(link, true, bytes))
        return refuse(link, "it does not know the peer secret");
    return link_open(link, link->hello);
}

/* Frames in. */

static bool on_frame(struct peer_link *link, enum peer_frame type, const char *bytes, size_t length)
{
    struct peers *peers = link->peers;
    if (link->stage != STAGE_OPEN) {
        switch (type) {
        case PEER_HELLO:
            return on_hello(link, bytes, length);
        case PEER_WELCOME:
            return on_welcome(link, bytes, length);
        case PEER_PROOF:
            return on_proof(link, bytes, length);
        default:
            return refuse(link, "it speaks before its hello");
        }
    }
    if (type == PEER_STATUS && length == 1) {
        link->peer->formed = bytes[0] != 0;
        link->peer->status_known = true;
        peers->listener->status(peers->listener->context, link->peer);
    } else {
        peers->listener->frame(peers->listener->context, link->peer, type, bytes, length);
    }
    return !link->broken;
}

static bool take_frames(struct peer_link *link)
{
    while (buffer_length(&link->in) >= FRAME_HEADER) {
        const char *bytes = buffer_bytes(&link->in);
        size_t length = bytes_get32(bytes);
        size_t most = link->stage == STAGE_OPEN ? PEER_FRAME_BYTES_MAX : 256;
        if (length > most)
            return refuse(link, "a frame is too long");
        if (buffer_length(&link->in) < FRAME_HEADER + length)
            return true;
        if (crc32c(0, bytes + 8, length + 1) != bytes_get32(bytes + 4))
            return refuse(link, "a frame's checksum is wrong");
        if (!on_frame(link, (enum peer_frame)bytes[8], bytes + FRAME_HEADER, length))
            return false;
        buffer_consume(&link->in, FRAME_HEADER + length);
    }
    return true;
}

static void link_flush(struct peer_link *link)
{
    long sent = 0;
    if (link->stage < STAGE_HELLO)
        return;
    do
        sent = link->tls != NULL ? tls_send(link->tls, &link->out)
                                 : buffer_send(&link->out, link->watch.file);
    while (sent > 0 && buffer_length(&link->out) > 0);
    if (sent < 0) {
        link_detach(link);
        return;
    }
    loop_want(link->peers->loop, &link->watch,
              EPOLLIN | (buffer_length(&link->out) > 0 ? (uint32_t)EPOLLOUT : 0));
}

static void begin_hello(struct peer_link *link)
{
    link->stage = STAGE_HELLO;
    if (!link->dialed)
        return;
    make_hello(link->peers, link->hello);
    put_frame(&link->out, PEER_HELLO, link->hello, HELLO_BYTES, NULL, 0);
}

static bool shake_hands(struct peer_link *link)
{
    char why[128];
    int done = tls_handshake(link->tls, why, sizeof why);
    if (done < 0)
        return refuse(link, why);
    loop_want(link->peers->loop, &link->watch,
              EPOLLIN | (tls_wants_write(link->tls) ? (uint32_t)EPOLLOUT : 0));
    if (done > 0)
        begin_hello(link);
    return true;
}

static bool begin_tls(struct peer_link *link)
{
    link->stage = STAGE_TLS;
    link->tls = tls_open(link->peers->tls, link->watch.file, link->dialed);
    return shake_hands(link);
}

static bool connected(struct peer_link *link)
{
    if (loop_dialed(link->watch.file) != 0)
        return false;
    if (link->peers->config->tls_peers == CONFIG_TLS_REQUIRED)
        return begin_tls(link);
    begin_hello(link);
    return true;
}

static bool guess(struct peer_link *link)
{
    switch (tls_guess(link->watch.file)) {
    case TLS_GUESS_NONE_YET:
        return true;
    case TLS_GUESS_TLS:
        return begin_tls(link);
    case TLS_GUESS_PLAIN:
        if (link->peers->config->tls_peers == CONFIG_TLS_REQUIRED)
            return refuse(link, "it does not speak TLS");
        begin_hello(link);
        return true;
    default:
        return false;
    }
}

static bool receive(struct peer_link *link)
{
    static char lent[RECEIVE_BYTES];
    long got = link->tls != NULL
                   ? tls_receive(link->tls, &link->in, RECEIVE_BYTES)
                   : buffer_receive_lent(&link->in, link->watch.file, lent, sizeof lent);
    if (got > 0)
        link->heard_ms = node_clock_ms();
    bool good = got >= 0 && take_frames(link);
    buffer_keep(&link->in);
    return good;
}

static void link_ready(struct watch *watch, uint32_t events)
{
    struct peer_link *link = (struct peer_link *)watch;
    bool good = !link->broken;
    if (good && link->stage == STAGE_CONNECTING)
        good = connected(link);
    else if (good && link->stage == STAGE_GUESSING)
        good = guess(link);
    else if (good && link->stage == STAGE_TLS)
        good = shake_hands(link);
    else if (good && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        good = receive(link);
    if (good)
        link_flush(link);
    else
        link_detach(link);
    if (link->broken)
        link_free(link);
}

/* Beginning. */

static struct peer_link *link_new(struct peers *peers, int file, bool dialed)
{
    struct peer_link *link = disk_allocate(NULL, sizeof *link);
    *link = (struct peer_link){.watch = {.file = file, .ready = link_ready},
                               .peers = peers,
                               .next = peers->links,
                               .dialed = dialed,
                               .stage = dialed               ? STAGE_CONNECTING
                                        : peers->tls != NULL ? STAGE_GUESSING
                                                             : STAGE_HELLO,
                               .begun_ms = node_clock_ms(),
                               .heard_ms = node_clock_ms()};
    peers->links = link;
    loop_add(peers->loop, &link->watch, dialed ? EPOLLOUT : EPOLLIN);
    return link;
}

void peers_accept(struct peers *peers, int file)
{
    link_new(peers, file, false);
}

static void door_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    struct peers *peers = (struct peers *)((char *)watch - offsetof(struct peers, door));
    for (int file = loop_accept(watch->file); file >= 0; file = loop_accept(watch->file))
        peers_accept(peers, file);
}

static void dial(struct peers *peers, struct peer *peer, uint64_t now_ms)
{
    struct queue_error error;
    const struct resolve_addresses *found = &peer->addresses;
    uint32_t turn = found->count > 0 ? peer->dials++ % found->count : 0;
    peer->dial_at_ms = now_ms + DIAL_MS + node_random() % DIAL_MS;
    int file = loop_dial(peer->address, (const struct sockaddr *)&found->list[turn],
                         found->lengths[turn], &error);
    if (file < 0) {
        journal_write(JOURNAL_DEBUG, "dial", "node=%u %s", peer->node, error.message);
        return;
    }
    peer->dialing = link_new(peers, file, true);
    peer->dialing->peer = peer;
}

static void on_resolved(void *context, const char *address, const struct resolve_addresses *found,
                        const char *problem)
{
    struct peers *peers = context;
    struct peer *peer = peers_find_address(peers, address);
    if (peer == NULL)
        return; /* it has another one by now, or is wanted no more */
    peer->resolving = false;
    peer->addresses = *found;
    if (found->count == 0)
        journal_write(JOURNAL_WARNING, "resolve", "node=%u %s: %s", peer->node, address, problem);
    else if (peer->wanted && peer->link == NULL && peer->dialing == NULL)
        dial(peers, peer, node_clock_ms());
}

/* A name is looked up before each dial: it may have moved. */
static void find_and_dial(struct peers *peers, struct peer *peer, uint64_t now_ms)
{
    if (resolve_number(peer->address, &peer->addresses)) {
        dial(peers, peer, now_ms);
        return;
    }
    peer->resolving = true;
    peer->dial_at_ms = now_ms + NAME_MS; /* once it has an answer */
    resolver_ask(peers->resolver, peer->address);
}

/* The greater number waits a second for the smaller one to dial. */
static void consider_dialing(struct peers *peers, struct peer *peer, uint64_t now_ms)
{
    if (!peer->wanted || peer->link != NULL || peer->dialing != NULL || peer->resolving ||
        peer->address[0] == '\0')
        return;
    if (peer->dial_at_ms == 0)
        peer->dial_at_ms = peer->node < peers->config->node && peer->node != 0 ? now_ms + 1000 : 1;
    if (now_ms >= peer->dial_at_ms)
        find_and_dial(peers, peer, now_ms);
}

void peers_tick(struct peers *peers, uint64_t now_ms)
{
    for (struct peer_link *link = peers->links, *next; link != NULL; link = next) {
        next = link->next;
        bool slow = link->stage != STAGE_OPEN && now_ms - link->begun_ms > HELLO_MS_MAX;
        bool silent = now_ms > link->heard_ms + SILENCE_MS_MAX;
        if (slow || (silent && !queue_defect(DEFECT_NO_CHECK_QUORUM)))
            link_detach(link);
        if (link->broken)
            link_free(link);
    }
    for (uint32_t i = 0; i < peers->count; i++)
        consider_dialing(peers, &peers->list[i], now_ms);
    if (now_ms < peers->status_at_ms)
        return;
    peers->status_at_ms = now_ms + STATUS_MS;
    unsigned char formed = peers->listener->formed(peers->listener->context);
    for (uint32_t i = 0; i < peers->count; i++)
        peer_send(peers, &peers->list[i], PEER_STATUS, &formed, 1, NULL, 0);
}

void peers_flush(struct peers *peers)
{
    for (struct peer_link *link = peers->links; link != NULL; link = link->next) {
        if (!link->broken && buffer_length(&link->out) > 0)
            link_flush(link);
    }
}

struct peer *peers_find(struct peers *peers, uint32_t node)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        if (peers->list[i].node == node && node != 0)
            return &peers->list[i];
    }
    return NULL;
}

struct peer *peers_find_address(struct peers *peers, const char *address)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        if (strcmp(peers->list[i].address, address) == 0)
            return &peers->list[i];
    }
    return NULL;
}

struct peer *peers_want(struct peers *peers, uint32_t node, const char *address)
{
    struct peer *peer = node != 0 ? peers_find(peers, node) : NULL;
    if (peer == NULL && address[0] != '\0')
        peer = peers_find_address(peers, address);
    for (uint32_t i = 0; peer == NULL && i < peers->count; i++) {
        struct peer *old = &peers->list[i];
        if (!old->wanted && old->link == NULL && old->dialing == NULL) {
            *old = (struct peer){.node = node};
            peer = old;
        }
    }
    if (peer == NULL) {
        if (peers->count == PEER_LIST_MAX)
            return NULL;
        peer = &peers->list[peers->count++];
        *peer = (struct peer){.node = node};
    }
    if (address[0] != '\0') {
        peer->wanted = true;
        if (address != peer->address && strcmp(address, peer->address) != 0) {
            peer->resolving = false;
            snprintf(peer->address, sizeof peer->address, "%s", address);
        }
    }
    return peer;
}

void peers_forget(struct peers *peers, uint32_t node)
{
    struct peer *peer = peers_find(peers, node);
    if (peer != NULL)
        peer->wanted = false;
}

bool peers_open(struct peers *peers, const struct config *config, struct loop *loop, uint64_t disk,
                const struct peers_listener *listener, struct queue_error *error)
{
    *peers = (struct peers){.config = config, .loop = loop, .disk = disk, .listener = listener};
    peers->door = (struct watch){.file = loop_listen(config->bind, config->peer_port, error),
                                 .ready = door_ready};
    if (config->tls_peers != CONFIG_TLS_NO) {
        peers->tls = tls_context_open(config, TLS_ASK_CERTIFICATE, error);
        if (peers->tls == NULL)
            return false;
    }
    peers->resolver = resolver_open(loop, on_resolved, peers);
    return peers->door.file >= 0 && loop_add(loop, &peers->door, EPOLLIN);
}

void peers_close(struct peers *peers)
{
    while (peers->links != NULL) {
        peers->links->peer = NULL;
        link_free(peers->links);
    }
    resolver_close(peers->resolver);
    tls_context_close(peers->tls);
    loop_remove(peers->loop, &peers->door);
    close(peers->door.file);
}
