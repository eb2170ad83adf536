/* The protocols of line and length: ours and Redis streams over RESP, beanstalkd, NATS JetStream,
 * and the commit-path probe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/queue_client.h"

static void keep(struct bench_connection *connection, const char *text, size_t length)
{
    if (length >= BENCH_ID_MAX)
        length = BENCH_ID_MAX - 1;
    memcpy(connection->id, text, length);
    connection->id[length] = '\0';
}

/* The line that begins at `at`, without its end; NULL when it is not whole. *next is behind it. */
static const char *line_at(const struct bench_bytes *in, size_t at, size_t *length, size_t *next)
{
    const char *begin = in->data + in->start + at;
    size_t left = in->end - in->start - at;
    const char *end = left > 0 ? memchr(begin, '\n', left) : NULL;
    if (end == NULL)
        return NULL;
    *length = (size_t)(end - begin) - 1;
    *next = at + (size_t)(end - begin) + 1;
    return begin;
}

/* RESP. */

struct resp_found {
    const char *texts[8]; /* bulk strings, in order, at any depth */
    size_t lengths[8], count;
};

/* One value at `at`; where it ends, or 0 when it is not whole. */
static size_t resp_value(const struct bench_bytes *in, size_t at, struct resp_found *found)
{
    size_t length, next;
    const char *line = line_at(in, at, &length, &next);
    if (line == NULL)
        return 0;
    long number = atol(line + 1);
    if (*line == '$' && number >= 0) {
        if (in->end - in->start < next + (size_t)number + 2)
            return 0;
        if (found->count < 8) {
            found->texts[found->count] = in->data + in->start + next;
            found->lengths[found->count++] = (size_t)number;
        }
        return next + (size_t)number + 2;
    }
    for (long i = 0; *line == '*' && i < number; i++) {
        next = resp_value(in, next, found);
        if (next == 0)
            return 0;
    }
    return next;
}

/* `place`: which of the texts is the id of a job. */
static enum bench_reply resp_reply(struct bench_connection *connection, size_t place)
{
    struct bench_bytes *in = &connection->in;
    struct resp_found found = {.count = 0};
    size_t end = resp_value(in, 0, &found), length, next;
    if (end == 0)
        return BENCH_MORE;
    const char *line = line_at(in, 0, &length, &next);
    enum bench_reply reply = BENCH_DONE;
    if (*line == '-') {
        keep(connection, line, length);
        reply = BENCH_ERROR;
    } else if (*line == '*' && found.count > place) {
        keep(connection, found.texts[place], found.lengths[place]);
        reply = BENCH_JOB;
    } else if (*line == '*' || (*line == '$' && found.count == 0)) {
        reply = BENCH_EMPTY;
    }
    in->start += end;
    return reply;
}

static void queue_add(struct bench_connection *connection, const char *queue, const char *body)
{
    bench_print(&connection->out, "*4\r\n$6\r\nADDJOB\r\n$%zu\r\n%s\r\n$%d\r\n%s\r\n$1\r\n0\r\n",
                strlen(queue), queue, BENCH_BODY, body);
}

static void queue_take(struct bench_connection *connection, const char *queue)
{
    bench_print(&connection->out,
                "*4\r\n$6\r\nGETJOB\r\n$6\r\nNOHANG\r\n$4\r\nFROM\r\n$%zu\r\n%s\r\n", strlen(queue),
                queue);
}

static bool queue_acknowledge(struct bench_connection *connection, const char *queue,
                              const char *id)
{
    (void)queue;
    bench_print(&connection->out, "*2\r\n$6\r\nACKJOB\r\n$%zu\r\n%s\r\n", strlen(id), id);
    return true;
}

static enum bench_reply queue_reply(struct bench_connection *connection, const char *queue)
{
    (void)queue;
    return resp_reply(connection, 1);
}

const struct bench_protocol bench_queue = {.name = "queue",
                                           .adds_alike = true,
                                           .add = queue_add,
                                           .take = queue_take,
                                           .acknowledge = queue_acknowledge,
                                           .reply = queue_reply};

static void ignore_reply(struct bench_connection *connection)
{
    bench_flush(connection);
    while (resp_reply(connection, 99) == BENCH_MORE)
        bench_fill(connection);
}

static void stream_open(struct bench_connection *connection, const char *queue, bool takes,
                        uint32_t pipeline)
{
    (void)pipeline;
    if (!takes)
        return;
    bench_print(&connection->out, "XGROUP CREATE %s g 0 MKSTREAM\r\n", queue);
    ignore_reply(connection); /* the first makes it, the others are told that it is there */
}

static void stream_add(struct bench_connection *connection, const char *queue, const char *body)
{
    bench_print(&connection->out,
                "*5\r\n$4\r\nXADD\r\n$%zu\r\n%s\r\n$1\r\n*\r\n$1\r\nb\r\n$%d\r\n%s\r\n",
                strlen(queue), queue, BENCH_BODY, body);
}

static void stream_take(struct bench_connection *connection, const char *queue)
{
    bench_print(&connection->out,
                "*9\r\n$10\r\nXREADGROUP\r\n$5\r\nGROUP\r\n$1\r\ng\r\n$1\r\nc\r\n$5\r\nCOUNT\r\n"
                "$1\r\n1\r\n$7\r\nSTREAMS\r\n$%zu\r\n%s\r\n$1\r\n>\r\n",
                strlen(queue), queue);
}

static bool stream_acknowledge(struct bench_connection *connection, const char *queue,
                               const char *id)
{
    bench_print(&connection->out, "*4\r\n$4\r\nXACK\r\n$%zu\r\n%s\r\n$1\r\ng\r\n$%zu\r\n%s\r\n",
                strlen(queue), queue, strlen(id), id);
    return true;
}

/* XADD answers with a text, which is no job; XREADGROUP with stream, id, field, body. */
static enum bench_reply stream_reply(struct bench_connection *connection, const char *queue)
{
    (void)queue;
    return resp_reply(connection, 1);
}

const struct bench_protocol bench_stream = {.name = "stream",
                                            .adds_alike = true,
                                            .open = stream_open,
                                            .add = stream_add,
                                            .take = stream_take,
                                            .acknowledge = stream_acknowledge,
                                            .reply = stream_reply};

/* beanstalkd. */

static void beanstalk_open(struct bench_connection *connection, const char *queue, bool takes,
                           uint32_t pipeline)
{
    size_t length, next;
    (void)pipeline;
    bench_print(&connection->out, "%s %s\r\n", takes ? "watch" : "use", queue);
    bench_flush(connection);
    while (line_at(&connection->in, 0, &length, &next) == NULL)
        bench_fill(connection);
    connection->in.start += next;
}

static void beanstalk_add(struct bench_connection *connection, const char *queue, const char *body)
{
    (void)queue;
    bench_print(&connection->out, "put 0 0 300 %d\r\n%s\r\n", BENCH_BODY, body);
}

static void beanstalk_take(struct bench_connection *connection, const char *queue)
{
    (void)queue;
    bench_print(&connection->out, "reserve-with-timeout 0\r\n");
}

static bool beanstalk_acknowledge(struct bench_connection *connection, const char *queue,
                                  const char *id)
{
    (void)queue;
    bench_print(&connection->out, "delete %s\r\n", id);
    return true;
}

static enum bench_reply beanstalk_reply(struct bench_connection *connection, const char *queue)
{
    struct bench_bytes *in = &connection->in;
    size_t length, next;
    const char *line = line_at(in, 0, &length, &next);
    enum bench_reply reply = BENCH_ERROR;
    (void)queue;
    if (line == NULL)
        return BENCH_MORE;
    if (strncmp(line, "INSERTED", 8) == 0 || strncmp(line, "DELETED", 7) == 0)
        reply = BENCH_DONE;
    else if (strncmp(line, "TIMED_OUT", 9) == 0)
        reply = BENCH_EMPTY;
    if (strncmp(line, "RESERVED ", 9) == 0) {
        const char *id = line + 9, *space = memchr(id, ' ', length - 9);
        size_t bytes = (size_t)atol(space);
        if (in->end - in->start < next + bytes + 2)
            return BENCH_MORE;
        keep(connection, id, (size_t)(space - id));
        next += bytes + 2;
        reply = BENCH_JOB;
    } else if (reply == BENCH_ERROR) {
        keep(connection, line, length);
    }
    in->start += next;
    return reply;
}

const struct bench_protocol bench_beanstalk = {.name = "beanstalk",
                                               .adds_alike = true,
                                               .open = beanstalk_open,
                                               .add = beanstalk_add,
                                               .take = beanstalk_take,
                                               .acknowledge = beanstalk_acknowledge,
                                               .reply = beanstalk_reply};

/* NATS JetStream: stream `bench` on subject `jobs`, consumer `c`, both made by nats_open. */

static int nats_replicas(void)
{
    const char *replicas = getenv("NATS_REPLICAS");
    return replicas != NULL ? atoi(replicas) : 1;
}

static void nats_request(struct bench_connection *connection, const char *subject, const char *json)
{
    size_t length, next;
    bench_print(&connection->out, "PUB %s _INBOX.%d.x %zu\r\n%s\r\n", subject, connection->number,
                strlen(json), json);
    bench_flush(connection);
    for (;;) { /* its reply: a MSG line and a line of JSON */
        const char *line = line_at(&connection->in, 0, &length, &next);
        if (line == NULL) {
            bench_fill(connection);
            continue;
        }
        size_t at = next;
        if (strncmp(line, "MSG", 3) == 0) {
            if (line_at(&connection->in, at, &length, &next) == NULL) {
                bench_fill(connection);
                continue;
            }
            connection->in.start += next;
            return;
        }
        connection->in.start += at; /* INFO, PING, +OK */
    }
}

static void nats_open(struct bench_connection *connection, const char *queue, bool takes,
                      uint32_t pipeline)
{
    char json[512], subject[128];
    (void)pipeline;
    bench_print(&connection->out, "CONNECT {\"verbose\":false}\r\nSUB _INBOX.%d.* 1\r\n",
                connection->number);
    if (connection->number > 0)
        return;
    if (!takes) {
        snprintf(json, sizeof json,
                 "{\"name\":\"%s\",\"subjects\":[\"%s\"],\"retention\":\"workqueue\","
                 "\"storage\":\"file\",\"num_replicas\":%d,\"max_age\":0}",
                 queue, queue, nats_replicas());
        snprintf(subject, sizeof subject, "$JS.API.STREAM.CREATE.%s", queue);
        nats_request(connection, subject, json);
    }
    snprintf(json, sizeof json,
             "{\"stream_name\":\"%s\",\"config\":{\"durable_name\":\"c\",\"ack_policy\":"
             "\"explicit\",\"max_ack_pending\":-1}}",
             queue);
    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.DURABLE.CREATE.%s.c", queue);
    nats_request(connection, subject, json);
}

static void nats_add(struct bench_connection *connection, const char *queue, const char *body)
{
    bench_print(&connection->out, "PUB %s _INBOX.%d.a %d\r\n%s\r\n", queue, connection->number,
                BENCH_BODY, body);
}

static void nats_take(struct bench_connection *connection, const char *queue)
{
    static const char json[] = "{\"batch\":1,\"no_wait\":true}";
    bench_print(&connection->out, "PUB $JS.API.CONSUMER.MSG.NEXT.%s.c _INBOX.%d.t %zu\r\n%s\r\n",
                queue, connection->number, sizeof json - 1, json);
}

static bool nats_acknowledge(struct bench_connection *connection, const char *queue, const char *id)
{
    (void)queue;
    bench_print(&connection->out, "PUB %s _INBOX.%d.k 4\r\n+ACK\r\n", id, connection->number);
    return true;
}

/* MSG subject sid [reply] length, or HMSG with the headers' length too (404: none there). */
static enum bench_reply nats_reply(struct bench_connection *connection, const char *queue)
{
    struct bench_bytes *in = &connection->in;
    (void)queue;
    for (;;) {
        char words[6][BENCH_ID_MAX], copy[512];
        size_t length, next;
        int count = 0;
        const char *line = line_at(in, 0, &length, &next);
        if (line == NULL)
            return BENCH_MORE;
        if (strncmp(line, "MSG", 3) != 0 && strncmp(line, "HMSG", 4) != 0) {
            bool bad = strncmp(line, "-ERR", 4) == 0;
            keep(connection, line, length);
            if (strncmp(line, "PING", 4) == 0)
                bench_print(&connection->out, "PONG\r\n");
            in->start += next;
            if (bad)
                return BENCH_ERROR;
            continue;
        }
        snprintf(copy, sizeof copy, "%.*s", (int)length, line);
        char *rest = NULL;
        for (char *word = strtok_r(copy, " ", &rest); word != NULL && count < 6;
             word = strtok_r(NULL, " ", &rest))
            snprintf(words[count++], BENCH_ID_MAX, "%s", word);
        size_t bytes = (size_t)atol(words[count - 1]);
        if (in->end - in->start < next + bytes + 2)
            return BENCH_MORE;
        bool header = *line == 'H';
        const char *payload = in->data + in->start + next;
        bool refused = bytes > 9 && memmem(payload, bytes, "\"error\":", 8) != NULL;
        if (refused)
            keep(connection, payload, bytes);
        else
            keep(connection, words[3], strlen(words[3]));
        in->start += next + bytes + 2;
        if (refused)
            return BENCH_ERROR;
        if (header)
            return BENCH_EMPTY;
        return words[1][strlen(words[1]) - 1] == 't' ? BENCH_JOB : BENCH_DONE;
    }
}

const struct bench_protocol bench_nats = {.name = "nats",
                                          .adds_alike = true,
                                          .open = nats_open,
                                          .add = nats_add,
                                          .take = nats_take,
                                          .acknowledge = nats_acknowledge,
                                          .reply = nats_reply};

/* The probe: 100 bytes there, 4 back. */

static void probe_add(struct bench_connection *connection, const char *queue, const char *body)
{
    (void)queue;
    bench_put(&connection->out, body, BENCH_BODY);
}

static enum bench_reply probe_reply(struct bench_connection *connection, const char *queue)
{
    (void)queue;
    if (connection->in.end - connection->in.start < 4)
        return BENCH_MORE;
    connection->in.start += 4;
    return BENCH_DONE;
}

const struct bench_protocol bench_probe = {.name = "probe", .add = probe_add, .reply = probe_reply};
