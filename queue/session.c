/* Requests that go from one node's client to the leader, and their replies.
 *
 *     forward: u64 session | u64 number | u8 version | u8 has id | 16 id | u32 count | each
 * argument: u32 length, bytes reply: u64 session | u64 number | u8 done | bytes to hand to the
 * client gone: u64 session
 *
 * A forward is sent once. When the connection breaks or another leads, its outcome is unknown. */
#include "queue/client.h"

#include <stdlib.h>
#include <string.h>

#include "queue/bytes.h"
#include "queue/commands.h"
#include "queue/server.h"

enum { HEAD = 38, REPLY_HEAD = 17, ARGUMENTS_MAX = 1 << 16 };

static struct request **forwarded_chain(struct server *server, uint64_t number)
{
    return &server->forwarded[number % SERVER_HASH];
}

void session_unlink(struct request *request)
{
    struct server *server = request_server(request);
    struct request **at = forwarded_chain(server, request->number);
    while (*at != NULL && *at != request)
        at = &(*at)->hash_next;
    if (*at == NULL)
        return;
    *at = request->hash_next;
    struct peer *peer = peers_find(&server->peers, request->with);
    char head[8];
    bytes_put64(head, request->client->number);
    if (peer != NULL && (request->entry->flags & COMMAND_BLOCKS))
        peer_send(&server->peers, peer, PEER_GONE, head, sizeof head, NULL, 0);
}

bool session_forward(struct request *request, struct peer *leader,
                     const struct resp_slice *arguments, uint32_t count)
{
    struct server *server = request_server(request);
    struct buffer frame = {0};
    char *head = buffer_room(&frame, HEAD);
    request->number = ++server->request_number;
    bytes_put64(head, request->client->number);
    bytes_put64(head + 8, request->number);
    head[16] = (char)request->client->version;
    head[17] = request->has_id;
    memcpy(head + 18, request->id.bytes, sizeof request->id.bytes);
    bytes_put32(head + 34, count);
    buffer_added(&frame, HEAD);
    for (uint32_t i = 0; i < count; i++) {
        char length[4];
        bytes_put32(length, (uint32_t)arguments[i].length);
        buffer_append(&frame, length, sizeof length);
        buffer_append(&frame, arguments[i].data, arguments[i].length);
    }
    bool sent = peer_send(&server->peers, leader, PEER_FORWARD, buffer_bytes(&frame),
                          buffer_length(&frame), NULL, 0);
    buffer_free(&frame);
    if (!sent)
        return false;
    request_keep(request, arguments, count);
    request->with = leader->node;
    request->phase = REQUEST_FORWARDED;
    struct request **chain = forwarded_chain(server, request->number);
    request->hash_next = *chain;
    *chain = request;
    server->counters.forwarded++;
    return true;
}

static struct request *take_forwarded(struct server *server, uint64_t number)
{
    struct request **at = forwarded_chain(server, number);
    while (*at != NULL && (*at)->number != number)
        at = &(*at)->hash_next;
    struct request *request = *at;
    if (request != NULL)
        *at = request->hash_next;
    return request;
}

static void append_reply(struct resp_buffer *reply, const char *bytes, size_t length)
{
    resp_buffer_free(reply);
    reply->data = disk_allocate(NULL, length + 1);
    memcpy(reply->data, bytes, length);
    reply->length = length;
    reply->capacity = length + 1;
}

void session_on_reply(struct server *server, const char *bytes, size_t length)
{
    if (length < REPLY_HEAD)
        return;
    struct request *request = take_forwarded(server, bytes_get64(bytes + 8));
    if (request == NULL)
        return;
    if (bytes[16] == 0) {
        request_again(request); /* at the next tick: it may not know yet who leads */
        return;
    }
    append_reply(&request->reply, bytes + REPLY_HEAD, length - REPLY_HEAD);
    request_finish(request);
}

/* All that were with a node that is not the leader any more, or cannot be reached. */
static void end_forwarded(struct server *server, uint32_t node, bool all_but)
{
    for (uint32_t i = 0; i < SERVER_HASH; i++) {
        struct request *ended = NULL, **at = &server->forwarded[i];
        while (*at != NULL) {
            struct request *request = *at;
            if ((request->with == node) == all_but) {
                at = &request->hash_next;
                continue;
            }
            *at = request->hash_next;
            request->hash_next = ended;
            ended = request;
        }
        while (ended != NULL) {
            struct request *next = ended->hash_next;
            if (ended->entry->flags & COMMAND_READ) {
                request_again(ended); /* nothing can have been done */
                client_schedule(ended->client);
            } else {
                request_unknown(ended);
            }
            ended = next;
        }
    }
}

void session_leader_changed(struct server *server, uint32_t leader)
{
    if (leader != 0)
        end_forwarded(server, leader, true);
}

/* The leader's side. */

static struct client **session_chain(struct server *server, uint32_t node, uint64_t session)
{
    return &server->sessions[(session * 31 + node) % SERVER_HASH];
}

static struct client *find_session(struct server *server, uint32_t node, uint64_t session)
{
    struct client *client = *session_chain(server, node, session);
    while (client != NULL && (client->node != node || client->number != session))
        client = client->next;
    return client;
}

static struct client *make_session(struct server *server, uint32_t node, uint64_t session)
{
    struct client *client = find_session(server, node, session);
    if (client != NULL)
        return client;
    client = client_open(server, -1);
    client->node = node;
    client->number = session;
    struct client **chain = session_chain(server, node, session);
    client->next = *chain;
    client->at = chain;
    if (client->next != NULL)
        client->next->at = &client->next;
    *chain = client;
    server->session_count++;
    return client;
}

static bool read_arguments(const char *bytes, size_t length, struct resp_slice *arguments,
                           uint32_t count)
{
    size_t at = HEAD;
    for (uint32_t i = 0; i < count; i++) {
        if (length - at < 4)
            return false;
        size_t size = bytes_get32(bytes + at);
        at += 4;
        if (size > length - at)
            return false;
        arguments[i] = (struct resp_slice){bytes + at, size};
        at += size;
    }
    return at == length;
}

void session_take(struct server *server, struct peer *peer, const char *bytes, size_t length)
{
    if (length < HEAD)
        return;
    uint32_t count = bytes_get32(bytes + 34);
    if (count == 0 || count > ARGUMENTS_MAX)
        return;
    struct resp_slice *arguments = disk_allocate(NULL, count * sizeof *arguments);
    if (read_arguments(bytes, length, arguments, count)) {
        struct client *client = make_session(server, peer->node, bytes_get64(bytes));
        client->version = bytes[16] == RESP_3 ? RESP_3 : RESP_2;
        struct request *request = request_new(client);
        request->number = bytes_get64(bytes + 8);
        request->has_id = bytes[17] != 0;
        memcpy(request->id.bytes, bytes + 18, sizeof request->id.bytes);
        request_keep(request, arguments, count);
        if (client->queued == NULL)
            client->queued = request;
        client_schedule(client);
    }
    free(arguments);
}

void session_reply(struct request *request)
{
    struct server *server = request_server(request);
    struct peer *peer = peers_find(&server->peers, request->client->node);
    char head[REPLY_HEAD];
    bytes_put64(head, request->client->number);
    bytes_put64(head + 8, request->number);
    head[16] = !request->not_done;
    if (peer != NULL)
        peer_send(&server->peers, peer, PEER_REPLY, head, sizeof head, request->reply.data,
                  request->not_done ? 0 : request->reply.length);
}

void session_on_gone(struct server *server, struct peer *peer, const char *bytes, size_t length)
{
    struct client *client =
        length == 8 ? find_session(server, peer->node, bytes_get64(bytes)) : NULL;
    if (client != NULL)
        client_close(client);
}

void session_peer_down(struct server *server, struct peer *peer)
{
    end_forwarded(server, peer->node, false);
    for (uint32_t i = 0; i < SERVER_HASH; i++) {
        for (struct client *client = server->sessions[i], *next; client != NULL; client = next) {
            next = client->next;
            if (client->node == peer->node)
                client_close(client);
        }
    }
}
