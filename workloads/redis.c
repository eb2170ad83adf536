/* hiredis, driven without blocking so that deadlines hold: see redis.h. */
#include "workloads/redis.h"

#include <errno.h>
#include <hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/stream.h"

struct redis_client {
    char host[256];
    uint16_t port;
    redisContext *context; /* NULL: not connected */
    redisReply *reply;     /* the last one */
    uint64_t connection;   /* how many there were */
};

enum err_code redis_open(const char *host, uint16_t port, struct redis_client **client,
                         struct err *err)
{
    struct redis_client *made = calloc(1, sizeof *made);
    if (made == NULL)
        return err_set(err, ERR_NOMEM, "no memory for a connection to %s", host);
    snprintf(made->host, sizeof made->host, "%s", host);
    made->port = port;
    *client = made;
    return ERR_NONE;
}

static void disconnect(struct redis_client *client)
{
    if (client->context != NULL)
        redisFree(client->context);
    client->context = NULL;
}

static void forget_reply(struct redis_client *client)
{
    if (client->reply != NULL)
        freeReplyObject(client->reply);
    client->reply = NULL;
}

void redis_close(struct redis_client *client)
{
    if (client == NULL)
        return;
    forget_reply(client);
    disconnect(client);
    free(client);
}

/* ---- One exchange ---- */

static bool give_up(struct redis_reply *reply, enum redis_outcome outcome, const char *error,
                    const char *detail)
{
    reply->outcome = outcome;
    reply->error = error;
    snprintf(reply->detail, sizeof reply->detail, "%s", detail);
    return false;
}

static bool connect_by(struct redis_client *client, int64_t deadline_ns, struct redis_reply *reply)
{
    client->context = redisConnectNonBlock(client->host, client->port);
    client->connection++;
    if (client->context == NULL)
        return give_up(reply, REDIS_NOT_SENT, "out-of-memory", "no memory for a connection");
    int error = 0;
    if (client->context->err != 0) {
        error = client->context->err == REDIS_ERR_IO ? errno : 0;
        return give_up(reply, REDIS_NOT_SENT, stream_error_name(error), client->context->errstr);
    }
    if (!stream_await(client->context->fd, POLLOUT, deadline_ns))
        return give_up(reply, REDIS_NOT_SENT, "connect-timeout", "no connection in time");
    error = stream_error_of(client->context->fd);
    if (error != 0)
        return give_up(reply, REDIS_NOT_SENT, stream_error_name(error), strerror(error));
    return true;
}

bool redis_is_connected(const struct redis_client *client)
{
    return client->context != NULL && !stream_is_stale(client->context->fd);
}

uint64_t redis_connection(const struct redis_client *client)
{
    return client->connection;
}

static bool send_by(struct redis_client *client, int64_t deadline_ns, struct redis_reply *reply)
{
    redisContext *context = client->context;
    size_t whole = sdslen(context->obuf);
    int done = 0;
    while (!done) {
        if (redisBufferWrite(context, &done) != REDIS_OK) {
            /* What the kernel did not take, nobody can have got. */
            bool untouched = context->obuf != NULL && sdslen(context->obuf) == whole;
            return give_up(reply, untouched ? REDIS_NOT_SENT : REDIS_LOST, "connection-lost",
                           context->errstr);
        }
        if (!done && !stream_await(context->fd, POLLOUT, deadline_ns))
            return give_up(reply, sdslen(context->obuf) == whole ? REDIS_NOT_SENT : REDIS_LOST,
                           "timeout", "the request could not be sent in time");
    }
    return true;
}

static bool receive_by(struct redis_client *client, int64_t deadline_ns, struct redis_reply *reply)
{
    redisContext *context = client->context;
    for (;;) {
        void *got = NULL;
        if (redisGetReplyFromReader(context, &got) != REDIS_OK)
            return give_up(reply, REDIS_LOST, "bad-reply", context->errstr);
        if (got != NULL) {
            client->reply = got;
            return true;
        }
        if (!stream_await(context->fd, POLLIN, deadline_ns))
            return give_up(reply, REDIS_LOST, "timeout", "no reply in time");
        if (redisBufferRead(context) != REDIS_OK)
            return give_up(reply, REDIS_LOST, "connection-lost", context->errstr);
    }
}

void redis_ask(struct redis_client *client, const char *const *words, const size_t *lengths,
               size_t count, int64_t timeout_ns, struct redis_reply *reply)
{
    int64_t deadline_ns = clock_monotonic_ns() + timeout_ns;
    *reply = (struct redis_reply){.outcome = REDIS_REPLIED};
    forget_reply(client);
    if (client->context != NULL && stream_is_stale(client->context->fd))
        disconnect(client);
    bool good = client->context != NULL || connect_by(client, deadline_ns, reply);
    /* hiredis takes an array of pointers to non-const that it does not write through. */
    if (good && redisAppendCommandArgv(client->context, (int)count, (const char **)(uintptr_t)words,
                                       lengths) != REDIS_OK)
        good = give_up(reply, REDIS_NOT_SENT, "out-of-memory", client->context->errstr);
    good = good && send_by(client, deadline_ns, reply) && receive_by(client, deadline_ns, reply);
    if (good)
        reply->value = (const struct redis_value *)client->reply;
    else
        disconnect(client);
}

/* ---- Replies ---- */

static const redisReply *raw(const struct redis_value *value)
{
    return (const redisReply *)value;
}

enum redis_kind redis_kind(const struct redis_value *value)
{
    switch (value == NULL ? REDIS_REPLY_NIL : raw(value)->type) {
    case REDIS_REPLY_INTEGER:
        return REDIS_INTEGER;
    case REDIS_REPLY_STRING:
        return REDIS_TEXT;
    case REDIS_REPLY_STATUS:
        return REDIS_STATUS;
    case REDIS_REPLY_ERROR:
        return REDIS_ERROR;
    case REDIS_REPLY_ARRAY:
        return REDIS_ARRAY;
    default:
        return REDIS_NIL;
    }
}

int64_t redis_integer(const struct redis_value *value)
{
    return redis_kind(value) == REDIS_INTEGER ? raw(value)->integer : 0;
}

const char *redis_text(const struct redis_value *value, size_t *length)
{
    enum redis_kind kind = redis_kind(value);
    bool has = kind == REDIS_TEXT || kind == REDIS_STATUS || kind == REDIS_ERROR;
    if (length != NULL)
        *length = has ? raw(value)->len : 0;
    return has ? raw(value)->str : "";
}

size_t redis_count(const struct redis_value *value)
{
    return redis_kind(value) == REDIS_ARRAY ? raw(value)->elements : 0;
}

const struct redis_value *redis_at(const struct redis_value *value, size_t index)
{
    return index < redis_count(value) ? (const struct redis_value *)raw(value)->element[index]
                                      : NULL;
}
