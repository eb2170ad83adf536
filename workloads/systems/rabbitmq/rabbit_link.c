/* One connection to a RabbitMQ node: see rabbit_link.h.
 *
 * Frames are read one by one with what is left until the deadline, for librabbitmq's own reading of
 * a message waits without one. */
#include "workloads/systems/rabbitmq/rabbit_link.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"

enum { CHANNEL = 1, FRAME_MAX = 131072 };

struct rabbit_link {
    char *host;
    uint16_t port;
    amqp_connection_state_t connection; /* NULL: not connected */
    uint64_t epoch, published;          /* since the channel is in confirm mode */
    char version[32];
    struct rabbit_reply reply;
};

struct rabbit_link *rabbit_link_new(const char *host, uint16_t port)
{
    struct rabbit_link *link = calloc(1, sizeof *link);
    if (link == NULL || (link->host = strdup(host)) == NULL)
        abort();
    link->port = port;
    return link;
}

/* The broker takes it for a client that is gone, and gives what it held to others. */
static void disconnect(struct rabbit_link *link)
{
    if (link->connection != NULL)
        amqp_destroy_connection(link->connection);
    link->connection = NULL;
}

void rabbit_link_close(struct rabbit_link *link)
{
    if (link == NULL)
        return;
    disconnect(link);
    buf_free(&link->reply.body);
    free(link->host);
    free(link);
}

uint64_t rabbit_link_epoch(const struct rabbit_link *link)
{
    return link->connection == NULL ? 0 : link->epoch;
}

const char *rabbit_link_version(const struct rabbit_link *link)
{
    return link->version;
}

/* ---- Replies ---- */

static struct rabbit_reply *replied(struct rabbit_link *link, enum rabbit_outcome outcome)
{
    struct rabbit_reply *reply = &link->reply;
    struct buf body = reply->body;
    *reply = (struct rabbit_reply){.outcome = outcome, .body = body};
    buf_clear(&reply->body);
    return reply;
}

static struct rabbit_reply *gone(struct rabbit_link *link, enum rabbit_outcome outcome,
                                 const char *error, const char *detail)
{
    struct rabbit_reply *reply = replied(link, outcome);
    reply->error = error;
    snprintf(reply->detail, sizeof reply->detail, "%s", detail);
    disconnect(link);
    return reply;
}

static struct rabbit_reply *lost(struct rabbit_link *link, int status)
{
    if (status == AMQP_STATUS_TIMEOUT)
        return gone(link, RABBIT_LOST, "timeout", "no reply in time");
    return gone(link, RABBIT_LOST, "connection-lost", amqp_error_string2(status));
}

static struct rabbit_reply *closed(struct rabbit_link *link, int code, amqp_bytes_t text)
{
    char detail[160]; /* the text ends with the connection */
    snprintf(detail, sizeof detail, "%d %.*s", code, (int)text.len, (const char *)text.bytes);
    struct rabbit_reply *reply = gone(link, RABBIT_CLOSED, "closed", detail);
    reply->code = code;
    return reply;
}

/* ---- Waiting ---- */

static struct timeval time_left(int64_t deadline_ns)
{
    int64_t left_ns = deadline_ns - clock_monotonic_ns();
    left_ns = left_ns < 0 ? 0 : left_ns;
    return (struct timeval){.tv_sec = left_ns / NS_PER_SECOND,
                            .tv_usec = left_ns % NS_PER_SECOND / NS_PER_US};
}

/* The next frame; a reply when there is none to be had, or it ends the channel. */
static struct rabbit_reply *next_frame(struct rabbit_link *link, amqp_frame_t *frame,
                                       int64_t deadline_ns)
{
    struct timeval left = time_left(deadline_ns);
    int status = amqp_simple_wait_frame_noblock(link->connection, frame, &left);
    if (status != AMQP_STATUS_OK)
        return lost(link, status);
    if (frame->frame_type != AMQP_FRAME_METHOD)
        return NULL;
    if (frame->payload.method.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close = frame->payload.method.decoded;
        return closed(link, close->reply_code, close->reply_text);
    }
    if (frame->payload.method.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close = frame->payload.method.decoded;
        return closed(link, close->reply_code, close->reply_text);
    }
    return NULL;
}

/* Frames until one of two methods comes; others (what is returned late, say) are passed over. */
static struct rabbit_reply *await(struct rabbit_link *link, amqp_frame_t *frame,
                                  amqp_method_number_t one, amqp_method_number_t other,
                                  int64_t deadline_ns)
{
    for (;;) {
        struct rabbit_reply *end = next_frame(link, frame, deadline_ns);
        if (end != NULL)
            return end;
        if (frame->frame_type == AMQP_FRAME_METHOD &&
            (frame->payload.method.id == one || frame->payload.method.id == other))
            return NULL;
    }
}

/* Sends one method; a reply when that failed. */
static struct rabbit_reply *send_method(struct rabbit_link *link, amqp_method_number_t id,
                                        void *method)
{
    int status = amqp_send_method(link->connection, CHANNEL, id, method);
    return status == AMQP_STATUS_OK ? NULL : lost(link, status);
}

static struct rabbit_reply *call(struct rabbit_link *link, amqp_method_number_t id, void *method,
                                 amqp_method_number_t answer, amqp_frame_t *frame,
                                 int64_t deadline_ns)
{
    struct rabbit_reply *end = send_method(link, id, method);
    return end != NULL ? end : await(link, frame, answer, answer, deadline_ns);
}

/* ---- Connecting ---- */

static void read_version(struct rabbit_link *link)
{
    const amqp_table_t *table = amqp_get_server_properties(link->connection);
    for (int i = 0; table != NULL && i < table->num_entries; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        if (entry->key.len == 7 && memcmp(entry->key.bytes, "version", 7) == 0 &&
            entry->value.kind == AMQP_FIELD_KIND_UTF8)
            snprintf(link->version, sizeof link->version, "%.*s", (int)entry->value.value.bytes.len,
                     (const char *)entry->value.value.bytes.bytes);
    }
}

static struct rabbit_reply *not_sent(struct rabbit_link *link, int status)
{
    const char *error = status == AMQP_STATUS_TIMEOUT ? "connect-timeout" : "connect-failed";
    return gone(link, RABBIT_NOT_SENT, error, amqp_error_string2(status));
}

static struct rabbit_reply *log_in(struct rabbit_link *link)
{
    amqp_rpc_reply_t reply = amqp_login(link->connection, "/", 0, FRAME_MAX, 0,
                                        AMQP_SASL_METHOD_PLAIN, "guest", "guest");
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return NULL;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        return not_sent(link, reply.library_error);
    return gone(link, RABBIT_NOT_SENT, "login-refused", "the broker closed the connection");
}

/* As a request, but one that asks for nothing yet: whatever becomes of it, nothing was sent. */
static struct rabbit_reply *open_channel(struct rabbit_link *link, int64_t deadline_ns)
{
    amqp_frame_t frame;
    amqp_channel_open_t open = {.out_of_band = amqp_empty_bytes};
    amqp_confirm_select_t select = {.nowait = 0};
    struct rabbit_reply *end = call(link, AMQP_CHANNEL_OPEN_METHOD, &open,
                                    AMQP_CHANNEL_OPEN_OK_METHOD, &frame, deadline_ns);
    if (end == NULL)
        end = call(link, AMQP_CONFIRM_SELECT_METHOD, &select, AMQP_CONFIRM_SELECT_OK_METHOD, &frame,
                   deadline_ns);
    if (end == NULL)
        return NULL;
    end->outcome = RABBIT_NOT_SENT;
    end->error = "no-channel";
    return end;
}

/* NULL when connected. */
static struct rabbit_reply *connected(struct rabbit_link *link, int64_t deadline_ns)
{
    if (link->connection != NULL) {
        amqp_maybe_release_buffers(link->connection);
        return NULL;
    }
    link->connection = amqp_new_connection();
    amqp_socket_t *socket = link->connection == NULL ? NULL : amqp_tcp_socket_new(link->connection);
    if (socket == NULL)
        return gone(link, RABBIT_NOT_SENT, "out-of-memory", "no memory for a connection");
    struct timeval left = time_left(deadline_ns);
    int status = amqp_socket_open_noblock(socket, link->host, link->port, &left);
    if (status != AMQP_STATUS_OK)
        return not_sent(link, status);
    left = time_left(deadline_ns);
    amqp_set_handshake_timeout(link->connection, &left);
    struct rabbit_reply *end = log_in(link);
    if (end == NULL)
        end = open_channel(link, deadline_ns);
    if (end != NULL)
        return end;
    link->epoch++;
    link->published = 0;
    read_version(link);
    return NULL;
}

struct rabbit_reply *rabbit_connect(struct rabbit_link *link, int64_t deadline_ns)
{
    struct rabbit_reply *end = connected(link, deadline_ns);
    return end != NULL ? end : replied(link, RABBIT_DONE);
}

/* ---- Publishing ---- */

/* A message that no queue takes comes back before its confirmation. */
static struct rabbit_reply *await_confirm(struct rabbit_link *link, int64_t deadline_ns)
{
    bool returned = false;
    amqp_frame_t frame;
    for (;;) {
        struct rabbit_reply *end = next_frame(link, &frame, deadline_ns);
        if (end != NULL)
            return end;
        if (frame.frame_type != AMQP_FRAME_METHOD)
            continue; /* the returned message's own */
        if (frame.payload.method.id == AMQP_BASIC_RETURN_METHOD)
            returned = true;
        if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
            const amqp_basic_ack_t *ack = frame.payload.method.decoded;
            if (ack->delivery_tag == link->published ||
                (ack->multiple && ack->delivery_tag > link->published))
                return replied(link, returned ? RABBIT_RETURNED : RABBIT_DONE);
        }
        if (frame.payload.method.id == AMQP_BASIC_NACK_METHOD) {
            const amqp_basic_nack_t *nack = frame.payload.method.decoded;
            if (nack->delivery_tag == link->published ||
                (nack->multiple && nack->delivery_tag > link->published))
                return replied(link, RABBIT_REFUSED);
        }
    }
}

struct rabbit_reply *rabbit_publish(struct rabbit_link *link, const char *queue, const char *body,
                                    size_t length, enum rabbit_confirm confirm, int64_t deadline_ns)
{
    struct rabbit_reply *end = connected(link, deadline_ns);
    if (end != NULL)
        return end;
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .delivery_mode = AMQP_DELIVERY_PERSISTENT};
    amqp_bytes_t bytes = {.len = length, .bytes = (void *)(uintptr_t)body};
    int status = amqp_basic_publish(link->connection, CHANNEL, amqp_empty_bytes,
                                    amqp_cstring_bytes(queue), 1, 0, &properties, bytes);
    if (status != AMQP_STATUS_OK)
        return lost(link, status);
    link->published++;
    if (confirm == RABBIT_SEND_ONLY)
        return replied(link, RABBIT_DONE);
    return await_confirm(link, deadline_ns);
}

/* ---- Getting and settling ---- */

/* What follows basic.get-ok: a header that tells how much comes, and pieces. */
static struct rabbit_reply *read_body(struct rabbit_link *link, struct buf *body,
                                      int64_t deadline_ns)
{
    uint64_t expected = UINT64_MAX;
    while (body->length < expected) {
        amqp_frame_t frame;
        struct rabbit_reply *end = next_frame(link, &frame, deadline_ns);
        if (end != NULL)
            return end;
        if (frame.frame_type == AMQP_FRAME_HEADER)
            expected = frame.payload.properties.body_size;
        else if (frame.frame_type == AMQP_FRAME_BODY)
            buf_add(body, frame.payload.body_fragment.bytes, frame.payload.body_fragment.len);
    }
    return NULL;
}

struct rabbit_reply *rabbit_get(struct rabbit_link *link, const char *queue, int64_t deadline_ns)
{
    amqp_frame_t frame;
    struct rabbit_reply *end = connected(link, deadline_ns);
    amqp_basic_get_t get = {.queue = amqp_cstring_bytes(queue), .no_ack = 0};
    if (end == NULL)
        end = send_method(link, AMQP_BASIC_GET_METHOD, &get);
    if (end == NULL)
        end =
            await(link, &frame, AMQP_BASIC_GET_OK_METHOD, AMQP_BASIC_GET_EMPTY_METHOD, deadline_ns);
    if (end != NULL)
        return end;
    if (frame.payload.method.id == AMQP_BASIC_GET_EMPTY_METHOD)
        return replied(link, RABBIT_EMPTY);
    const amqp_basic_get_ok_t *ok = frame.payload.method.decoded;
    uint64_t tag = ok->delivery_tag;
    bool redelivered = ok->redelivered != 0;
    struct buf body = BUF_INIT;
    end = read_body(link, &body, deadline_ns);
    if (end == NULL) {
        end = replied(link, RABBIT_DONE);
        end->tag = tag;
        end->redelivered = redelivered;
        buf_add(&end->body, buf_text(&body), body.length);
    }
    buf_free(&body);
    return end;
}

/* Neither has an answer of its own; the answer to basic.qos, which changes nothing here, tells that
 * the channel has come so far. */
struct rabbit_reply *rabbit_settle(struct rabbit_link *link, const uint64_t *tags, size_t count,
                                   enum rabbit_settle how, int64_t deadline_ns)
{
    amqp_frame_t frame;
    struct rabbit_reply *end = connected(link, deadline_ns);
    for (size_t i = 0; i < count && end == NULL; i++) {
        amqp_basic_ack_t ack = {.delivery_tag = tags[i]};
        amqp_basic_nack_t nack = {.delivery_tag = tags[i], .requeue = 1};
        end = how == RABBIT_ACK ? send_method(link, AMQP_BASIC_ACK_METHOD, &ack)
                                : send_method(link, AMQP_BASIC_NACK_METHOD, &nack);
    }
    amqp_basic_qos_t qos = {.prefetch_count = 0};
    if (end == NULL)
        end =
            call(link, AMQP_BASIC_QOS_METHOD, &qos, AMQP_BASIC_QOS_OK_METHOD, &frame, deadline_ns);
    return end != NULL ? end : replied(link, RABBIT_DONE);
}

/* ---- Declaring ---- */

struct rabbit_reply *rabbit_declare(struct rabbit_link *link, const char *queue, const char *type,
                                    int64_t deadline_ns)
{
    amqp_frame_t frame;
    bool exclusive = type != NULL && strcmp(type, "exclusive") == 0;
    amqp_table_entry_t entry = {
        .key = amqp_cstring_bytes("x-queue-type"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8,
                  .value.bytes = amqp_cstring_bytes(type == NULL ? "" : type)},
    };
    amqp_queue_declare_t declare = {
        .queue = amqp_cstring_bytes(queue),
        .passive = type == NULL,
        .durable = type != NULL && !exclusive,
        .exclusive = exclusive,
        .arguments = {.num_entries = type != NULL && !exclusive, .entries = &entry},
    };
    struct rabbit_reply *end = connected(link, deadline_ns);
    if (end == NULL)
        end = call(link, AMQP_QUEUE_DECLARE_METHOD, &declare, AMQP_QUEUE_DECLARE_OK_METHOD, &frame,
                   deadline_ns);
    if (end != NULL)
        return end;
    const amqp_queue_declare_ok_t *ok = frame.payload.method.decoded;
    int64_t ready = ok->message_count;
    end = replied(link, RABBIT_DONE);
    end->ready = ready;
    return end;
}
