/* Clients: bytes to requests, replies to bytes, in order. */
#include "queue/client.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "queue/commands.h"
#include "queue/server.h"
#include "queue/slab.h"
#include "queue/tls.h"

enum {
    RECEIVE_BYTES = 64 << 10,
    REQUESTS_MAX = 4096, /* of one client, not answered yet */
    REQUESTS_SPARE = 2048,
    REPLY_BYTES_SPARE = 512,
    TAKE_BYTES_MIN = 4096,        /* shorter replies are copied */
    OUTPUT_BYTES_PAUSE = 4 << 20, /* a client that does not read is not read from */
    OUTPUT_BYTES_MAX = 256 << 20, /* and closed when it asked for more than this */
};

struct server *request_server(const struct request *request)
{
    return request->client->server;
}

/* Requests. */

static void waiting_add(struct server *server, struct request *request)
{
    request->waiting_next = server->waiting;
    request->waiting_at = &server->waiting;
    if (server->waiting != NULL)
        server->waiting->waiting_at = &request->waiting_next;
    server->waiting = request;
}

static void waiting_remove(struct request *request)
{
    if (request->waiting_at == NULL)
        return;
    *request->waiting_at = request->waiting_next;
    if (request->waiting_next != NULL)
        request->waiting_next->waiting_at = request->waiting_at;
    request->waiting_at = NULL;
}

/* Requests that are over, with room for a short reply: many begin and end in each turn. */
static struct {
    struct request *first;
    uint32_t count;
} spare;

static void request_spare(struct request *request)
{
    request->next = spare.first;
    spare.first = request;
    spare.count++;
}

static struct request *request_allocate(void)
{
    struct request *request = spare.first;
    if (request == NULL) {
        request = disk_allocate(NULL, sizeof *request);
        *request = (struct request){.client = NULL};
        return request;
    }
    spare.first = request->next;
    spare.count--;
    struct resp_buffer reply = {.data = request->reply.data, .capacity = request->reply.capacity};
    *request = (struct request){.reply = reply};
    return request;
}

struct request *request_new(struct client *client)
{
    struct request *request = request_allocate();
    request->client = client;
    request->reply.length_max = OUTPUT_BYTES_MAX;
    request->deadline_ms = client->server->loop.woken_ms + SERVER_COMMAND_MS_MAX;
    *client->end = request;
    client->end = &request->next;
    client->count++;
    client->requests++;
    client->server->counters.requests++;
    waiting_add(client->server, request);
    return request;
}

static void request_free(struct request *request)
{
    assert(request->tags == 0 && request->waiting_at == NULL);
    free(request->arguments);
    commands_free_get(request);
    if (request->reply.capacity > REPLY_BYTES_SPARE)
        resp_buffer_free(&request->reply);
    if (!SLAB_NONE && spare.count < REQUESTS_SPARE) {
        request_spare(request);
        return;
    }
    resp_buffer_free(&request->reply);
    free(request);
}

void request_untag(struct request *request)
{
    assert(request->tags > 0);
    request->tags--;
    if (request->tags == 0 && request->client == NULL)
        request_free(request);
}

/* The client wants no more of it. */
static void request_leave(struct server *server, struct request *request)
{
    waiting_remove(request);
    commands_unpark(server, request);
    if (request->phase == REQUEST_FORWARDED)
        session_unlink(request);
    request->phase = REQUEST_DONE;
    request->client = NULL;
    if (request->tags == 0)
        request_free(request);
}

void request_keep(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    if (request->arguments != NULL || arguments == NULL)
        return;
    size_t size = count * sizeof *arguments;
    for (uint32_t i = 0; i < count; i++)
        size += arguments[i].length;
    request->arguments = disk_allocate(NULL, size + 1);
    request->argument_count = count;
    char *at = (char *)(request->arguments + count);
    for (uint32_t i = 0; i < count; i++) {
        if (arguments[i].length > 0)
            memcpy(at, arguments[i].data, arguments[i].length);
        request->arguments[i] = (struct resp_slice){at, arguments[i].length};
        at += arguments[i].length;
    }
}

struct resp_writer request_writer(struct request *request)
{
    return (struct resp_writer){&request->reply, request->client->version};
}

void request_barrier(struct request *request)
{
    if (!request->barrier)
        request->client->barriers++;
    request->barrier = true;
}

static void schedule_flush(struct client *client)
{
    if (client->flushing || client->watch.file < 0)
        return;
    client->flushing = true;
    client->flush_next = client->server->flush;
    client->server->flush = client;
}

static void append_reply(struct client *client, struct resp_buffer *reply)
{
    if (reply->length < TAKE_BYTES_MIN || buffer_length(&client->out) > 0) {
        buffer_append(&client->out, reply->data, reply->length);
        return;
    }
    buffer_take(&client->out, reply->data, reply->length, reply->capacity);
    *reply = (struct resp_buffer){0};
}

/* Hands over the replies that are ready, up to the first that is not. */
static void advance(struct client *client)
{
    while (client->first != NULL && client->first->phase == REQUEST_DONE) {
        struct request *request = client->first;
        client->first = request->next;
        if (client->first == NULL)
            client->end = &client->first;
        client->count--;
        if (client->take != NULL)
            client->take(client, request);
        else if (client->watch.file < 0)
            session_reply(request);
        else
            append_reply(client, &request->reply);
        if (request->reply.failed)
            client->closing = true;
        request->client = NULL;
        if (request->tags == 0)
            request_free(request);
    }
    schedule_flush(client);
    client_schedule(client);
}

void request_finish(struct request *request)
{
    struct client *client = request->client;
    assert(request->phase != REQUEST_DONE);
    request->phase = REQUEST_DONE;
    waiting_remove(request);
    if (request->barrier)
        client->barriers--;
    request->barrier = false;
    if (request->reply.length > 0 && request->reply.data[0] == '-')
        client->server->counters.errors++;
    if (client->first == request && !client->starting)
        advance(client);
}

void request_error(struct request *request, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    resp_buffer_free(&request->reply);
    request->reply.length_max = OUTPUT_BYTES_MAX;
    struct resp_writer writer = request_writer(request);
    resp_write_error(&writer, "%s", text);
    request_finish(request);
}

void request_unknown(struct request *request)
{
    char id[COMMANDS_ID_BYTES] = "-";
    if (request->has_id)
        commands_print_id(&request->id, id);
    request_server(request)->counters.unknown++;
    request_error(request,
                  "UNKNOWN %s the request may have been carried out, or may yet be, or never: ask "
                  "for its state, or repeat it",
                  id);
}

void request_again(struct request *request)
{
    struct client *client = request->client;
    request->phase = REQUEST_QUEUED;
    request->results = request->accepted = request->stale = 0;
    if (client_is_session(client)) { /* its own node knows better where to ask */
        request->not_done = true;
        request_finish(request);
        return;
    }
    for (struct request *at = client->first; at != NULL; at = at->next) {
        if (at->phase == REQUEST_QUEUED) {
            client->queued = at;
            break;
        }
    }
}

void request_expire(struct request *request)
{
    request->deadline_ms = 0;
    switch (request->phase) {
    case REQUEST_QUEUED:
        if (request->client->queued == request) {
            request->client->queued = request->next;
            while (request->client->queued != NULL &&
                   request->client->queued->phase != REQUEST_QUEUED)
                request->client->queued = request->client->queued->next;
        }
        commands_never_begun(request);
        break;
    case REQUEST_READING:
        request_error(request, "NOLEADER the leader could not be sure in time that it leads");
        break;
    case REQUEST_PARKED:
        commands_end_get(request);
        break;
    case REQUEST_PROPOSED:
        if (request->get == NULL) /* a take says itself how it ended */
            request_unknown(request);
        break;
    case REQUEST_FORWARDED:
        session_unlink(request);
        request_unknown(request);
        break;
    case REQUEST_SPOOLED:
        drain_expire(request);
        break;
    case REQUEST_DONE:
        break;
    }
}

/* Clients. */

void client_schedule(struct client *client)
{
    if (client->resuming || client->dead)
        return;
    client->resuming = true;
    client->resume_next = NULL;
    *client->server->resume_end = client;
    client->server->resume_end = &client->resume_next;
}

static bool start(struct client *client, struct request *request,
                  const struct resp_slice *arguments, uint32_t count)
{
    if (commands_start(request, arguments, count))
        return true;
    request_keep(request, arguments, count);
    if (client->queued == NULL)
        client->queued = request;
    return false;
}

/* Replies wait until all is started, so that no request goes while its neighbour is looked at. */
static void start_queued(struct client *client)
{
    bool going = true;
    client->starting = true;
    while (going && client->queued != NULL) {
        struct request *request = client->queued;
        client->queued = NULL;
        going = start(client, request, request->arguments, request->argument_count);
        while (going && request != NULL && request->phase != REQUEST_QUEUED)
            request = request->next;
        client->queued = request;
    }
    client->starting = false;
    if (client->first != NULL && client->first->phase == REQUEST_DONE)
        advance(client);
}

static bool may_parse(const struct client *client)
{
    return !client->closing && !client->dead && client->queued == NULL && client->barriers == 0 &&
           client->count < REQUESTS_MAX && buffer_length(&client->out) < OUTPUT_BYTES_PAUSE;
}

static void protocol_error(struct client *client, const char *text)
{
    struct request *request = request_new(client);
    client->closing = true;
    request_error(request, "ERR %s", text);
}

static void parse(struct client *client)
{
    struct resp_request found;
    while (may_parse(client) && buffer_length(&client->in) > 0) {
        client->parser.limits =
            client->authenticated ? &resp_limits_default : &resp_limits_stranger;
        enum resp_status status = resp_parse(&client->parser, buffer_bytes(&client->in),
                                             buffer_length(&client->in), &found);
        if (status == RESP_MORE)
            return;
        if (status == RESP_ERROR) {
            protocol_error(client, found.error);
            return;
        }
        if (found.count > 0)
            start(client, request_new(client), found.arguments, found.count);
        buffer_consume(&client->in, found.consumed);
        node_flush(&client->server->node);
    }
}

static void want_events(struct client *client)
{
    uint32_t events = 0;
    /* Whoever asks without taking the answers is not listened to for as long. */
    if (may_parse(client))
        events |= EPOLLIN;
    else
        events |= EPOLLRDHUP;
    /* What is sent at the end of this turn anyway need not be waited for: most replies go at once.
     */
    if (buffer_length(&client->out) > 0 && !client->flushing)
        events |= EPOLLOUT;
    loop_want(&client->server->loop, &client->watch, events);
}

/* Only when what comes can be parsed, so that most of it never needs memory of its own. */
static bool receive(struct client *client)
{
    static char lent[RECEIVE_BYTES];
    if (!client->readable || !may_parse(client))
        return true;
    client->readable = false;
    size_t wanted = resp_wanted(&client->parser), held = buffer_length(&client->in);
    size_t more = wanted > held + RECEIVE_BYTES ? wanted - held : 0;
    if (client->tls != NULL)
        return tls_receive(client->tls, &client->in, more > 0 ? more : RECEIVE_BYTES) >= 0;
    if (more > 0)
        return buffer_receive(&client->in, client->watch.file, more) >= 0;
    return buffer_receive_lent(&client->in, client->watch.file, lent, sizeof lent) >= 0;
}

void client_resume(struct client *client)
{
    if (client->dead)
        return;
    start_queued(client);
    if (client->watch.file >= 0) {
        if (!receive(client)) {
            client_close(client);
            return;
        }
        parse(client);
        buffer_keep(&client->in);
        if (!client->dead)
            want_events(client);
    } else if (client->first == NULL && client_is_session(client)) {
        client_close(client);
    }
}

void client_inject(struct client *client, const struct resp_slice *arguments, uint32_t count)
{
    struct request *request = request_new(client);
    request_keep(request, arguments, count);
    if (client->queued == NULL)
        client->queued = request;
    client_schedule(client);
}

void client_flush(struct client *client)
{
    if (client->dead)
        return;
    bool paused = buffer_length(&client->out) >= OUTPUT_BYTES_PAUSE;
    long sent = 0;
    if (client->tls != NULL && !tls_ready(client->tls))
        return;
    do
        sent = client->tls != NULL ? tls_send(client->tls, &client->out)
                                   : buffer_send(&client->out, client->watch.file);
    while (sent > 0 && buffer_length(&client->out) > 0);
    bool stuck = buffer_length(&client->out) > OUTPUT_BYTES_MAX;
    if (stuck) {
        client->server->counters.slow_closed++;
        journal_write(JOURNAL_WARNING, "slow-client", "address=%s does not read its replies",
                      client->address);
    }
    if (sent < 0 || stuck ||
        (client->closing && client->first == NULL && buffer_length(&client->out) == 0)) {
        client_close(client);
        return;
    }
    if (paused && buffer_length(&client->out) < OUTPUT_BYTES_PAUSE)
        client_schedule(client);
    want_events(client);
}

/* False: not now, or never; the client may be closed. */
static bool guess(struct client *client)
{
    static const char refused[] = "-ERR this port speaks TLS only\r\n";
    struct server *server = client->server;
    enum tls_guess said = tls_guess(client->watch.file);
    if (said == TLS_GUESS_NONE_YET)
        return false;
    client->guessing = false;
    if (said == TLS_GUESS_TLS)
        client->tls = tls_open(server->tls, client->watch.file, false);
    else if (said == TLS_GUESS_PLAIN && server->config.tls == CONFIG_TLS_REQUIRED)
        (void)!send(client->watch.file, refused, sizeof refused - 1, MSG_NOSIGNAL);
    else if (said == TLS_GUESS_PLAIN)
        return true;
    if (client->tls == NULL)
        client_close(client);
    return client->tls != NULL;
}

/* True once it is done. A few steps a turn, whoever asks for how many: the others wait for the next
 * turn, and those who are past their handshake do not wait for them. */
static bool shake_hands(struct client *client)
{
    char why[128];
    struct server *server = client->server;
    if (server->handshakes >= SERVER_HANDSHAKES_MAX)
        return false;
    server->handshakes++;
    int done = tls_handshake(client->tls, why, sizeof why);
    if (done < 0) {
        server->counters.tls_failed++;
        journal_write(JOURNAL_DEBUG, "tls", "address=%s %s", client->address, why);
        client_close(client);
    } else {
        loop_want(&server->loop, &client->watch,
                  EPOLLIN | (tls_wants_write(client->tls) ? (uint32_t)EPOLLOUT : 0));
    }
    return done > 0;
}

static void client_ready(struct watch *watch, uint32_t events)
{
    struct client *client = (struct client *)watch;
    if (client->guessing && !guess(client))
        return;
    if (client->tls != NULL && !tls_ready(client->tls) && !shake_hands(client))
        return;
    if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
        if ((events & (EPOLLHUP | EPOLLERR)) || !(events & EPOLLIN)) {
            client_close(client);
            return;
        }
    }
    if (events & EPOLLIN) {
        client->readable = true;
        client_schedule(client);
    }
    if (events & EPOLLOUT)
        client_flush(client);
}

struct client *client_open(struct server *server, int file)
{
    struct client *client = disk_allocate(NULL, sizeof *client);
    *client = (struct client){.watch = {.file = file, .ready = client_ready},
                              .server = server,
                              .version = RESP_2,
                              .number = ++server->client_number,
                              .authenticated = server->config.password[0] == '\0' || file < 0,
                              .opened_ms = node_clock_ms()};
    client->end = &client->first;
    client->guessing = file >= 0 && server->tls != NULL;
    resp_parser_init(&client->parser, &resp_limits_stranger);
    if (file < 0)
        return client;
    loop_peer_name(file, client->address, sizeof client->address);
    client->next = server->clients;
    client->at = &server->clients;
    if (client->next != NULL)
        client->next->at = &client->next;
    server->clients = client;
    server->client_count++;
    server->counters.connections++;
    loop_add(&server->loop, &client->watch, EPOLLIN);
    return client;
}

void client_close(struct client *client)
{
    struct server *server = client->server;
    if (client->dead)
        return;
    client->dead = true;
    for (struct request *request = client->first, *next; request != NULL; request = next) {
        next = request->next;
        request_leave(server, request);
    }
    client->first = client->queued = NULL;
    client->end = &client->first;
    if (client->at != NULL)
        *client->at = client->next;
    if (client->next != NULL)
        client->next->at = client->at;
    if (client->watch.file >= 0) {
        loop_remove(&server->loop, &client->watch);
        tls_close(client->tls);
        client->tls = NULL;
        close(client->watch.file);
        server->client_count--;
    } else if (client_is_session(client)) {
        server->session_count--;
    }
    client->dead_next = server->dead;
    server->dead = client;
}

void client_free_dead(struct server *server)
{
    struct client *keep = NULL;
    while (server->dead != NULL) {
        struct client *client = server->dead;
        server->dead = client->dead_next;
        if (client->resuming || client->flushing) { /* still on a list of this turn's */
            client->dead_next = keep;
            keep = client;
            continue;
        }
        buffer_free(&client->in);
        buffer_free(&client->out);
        resp_parser_free(&client->parser);
        free(client);
    }
    server->dead = keep;
}
