/* What a peer says: the hello of a stranger, and, behind a right one, frames of any type and
 * content with sound checksums. Those that carry clients' requests and replies go on to where they
 * are taken apart. */
#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "queue/bytes.h"
#include "queue/crc32c.h"
#include "queue/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HELLO = 36, PROOF = 32, FRAME = 9 };

static struct server server;

static bool formed(void *context)
{
    (void)context;
    return true;
}

static void ignore(void *context, struct peer *peer)
{
    (void)context;
    (void)peer;
}

static void on_frame(void *context, struct peer *peer, enum peer_frame type, const char *bytes,
                     size_t length)
{
    static struct raft_decoded decoded;
    (void)context;
    if (type == PEER_RAFT)
        raft_message_decode(bytes, length, &decoded);
    else if (type == PEER_FORWARD)
        session_take(&server, peer, bytes, length);
    else if (type == PEER_REPLY)
        session_on_reply(&server, bytes, length);
    else if (type == PEER_GONE)
        session_on_gone(&server, peer, bytes, length);
}

static void on_down(void *context, struct peer *peer)
{
    (void)context;
    session_peer_down(&server, peer);
}

static const struct peers_listener listener = {
    .formed = formed, .up = ignore, .down = on_down, .status = ignore, .frame = on_frame};

static void turn(void)
{
    for (int i = 0; i < 3; i++)
        loop_turn(&server.loop, 0);
    peers_flush(&server.peers);
    while (server.resume != NULL) {
        struct client *client = server.resume;
        server.resume = client->resume_next;
        client->resuming = false;
    }
    server.resume_end = &server.resume;
    client_free_dead(&server);
}

static void say(int file, uint8_t type, const void *bytes, size_t length, bool sound)
{
    unsigned char head[FRAME];
    bytes_put32(head, (uint32_t)length);
    head[8] = type;
    bytes_put32(head + 4, crc32c(crc32c(0, head + 8, 1), bytes, length) ^ !sound);
    if (send(file, head, sizeof head, MSG_NOSIGNAL) < 0 ||
        send(file, bytes, length, MSG_NOSIGNAL) < 0)
        return; /* it has hung up, as it may */
}

static void greet(int file)
{
    unsigned char hello[HELLO] = {0}, welcome[FRAME + HELLO + PROOF], said[1 + 2 * HELLO];
    unsigned char proof[PROOF];
    unsigned length = PROOF;
    bytes_put32(hello, 1);
    bytes_put32(hello + 4, 2);
    bytes_put64(hello + 8, 77);
    say(file, PEER_HELLO, hello, sizeof hello, true);
    turn();
    assert(recv(file, welcome, sizeof welcome, MSG_DONTWAIT) == sizeof welcome);
    said[0] = 'd';
    memcpy(said + 1, hello, HELLO);
    memcpy(said + 1 + HELLO, welcome + FRAME, HELLO);
    HMAC(EVP_sha256(), "secret", 6, said, sizeof said, proof, &length);
    say(file, PEER_PROOF, proof, sizeof proof, true);
    turn();
    assert(server.peers.count > 0 && server.peers.list[0].link != NULL);
}

static void set_up(void)
{
    config_default(&server.config);
    strcpy(server.config.peer_secret, "secret");
    server.config.node = 1;
    server.resume_end = &server.resume;
    journal_level_set(JOURNAL_ERROR);
    assert(loop_open(&server.loop, NULL));
    server.peers = (struct peers){
        .config = &server.config, .loop = &server.loop, .disk = 5, .listener = &listener};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ends[2];
    if (server.resume_end == NULL)
        set_up();
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    peers_accept(&server.peers, ends[0]);
    if (size > 0 && data[0] % 4 != 0)
        greet(ends[1]);
    if (size > 0 && data[0] % 4 == 1) {
        (void)!send(ends[1], data + 1, size - 1, MSG_NOSIGNAL);
        turn();
    }
    for (size_t at = 1; size > 0 && data[0] % 4 != 1 && at + 3 < size;) {
        size_t length = data[at + 1] * 256u + data[at + 2];
        uint8_t type = data[at] & 127;
        bool sound = data[at] < 200;
        at += 3;
        length = length < size - at ? length : size - at;
        say(ends[1], type, data + at, length, sound);
        turn();
        at += length;
    }
    close(ends[1]);
    turn();
    turn();
    assert(server.peers.links == NULL && server.session_count == 0);
    for (uint32_t i = 0; i < server.peers.count; i++)
        assert(server.peers.list[i].link == NULL);
    server.peers.count = 0;
    return 0;
}
