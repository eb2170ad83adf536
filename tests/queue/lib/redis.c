/* Requests out, replies in. */
#include "tests/queue/lib/redis.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ssl.h>

const char *(*redis_host)(unsigned port);

void redis_open(struct redis *redis, unsigned port, int wait_ms)
{
    *redis = (struct redis){
        .socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .port = port, .wait_ms = wait_ms};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (redis_host != NULL)
        inet_pton(AF_INET, redis_host(port), &address.sin_addr);
    if (connect(redis->socket, (struct sockaddr *)&address, sizeof address) != 0)
        redis_close(redis);
}

void redis_close(struct redis *redis)
{
    if (redis->tls != NULL)
        SSL_free(redis->tls);
    redis->tls = NULL;
    if (redis->socket >= 0)
        close(redis->socket);
    redis->socket = -1;
    free(redis->bytes);
    redis->bytes = NULL;
    redis->start = redis->end = redis->capacity = 0;
}

bool redis_secure(struct redis *redis, const char *ca, const char *cert, const char *key)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct timeval limit = {redis->wait_ms / 1000, redis->wait_ms % 1000 * 1000};
    assert_int_equal(SSL_CTX_load_verify_locations(context, ca, NULL), 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (cert != NULL) {
        assert_int_equal(SSL_CTX_use_certificate_file(context, cert, SSL_FILETYPE_PEM), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM), 1);
    }
    redis->tls = SSL_new(context);
    SSL_CTX_free(context);
    setsockopt(redis->socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    SSL_set_fd(redis->tls, redis->socket);
    if (redis->socket < 0 || SSL_connect(redis->tls) != 1)
        redis_close(redis);
    return redis->socket >= 0;
}

bool redis_send_bytes(struct redis *redis, const void *bytes, size_t length)
{
    const char *from = bytes;
    while (redis->socket >= 0 && length > 0) {
        ssize_t sent = redis->tls != NULL ? SSL_write(redis->tls, from, (int)length)
                                          : send(redis->socket, from, length, MSG_NOSIGNAL);
        if (sent <= 0) {
            redis_close(redis);
            break;
        }
        from += sent;
        length -= (size_t)sent;
    }
    return redis->socket >= 0;
}

static bool send_words(struct redis *redis, char *line)
{
    char request[70000], body[65536];
    size_t length = 0, count = 0;
    char *rest = line;
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        if (word[0] == '\0')
            continue;
        length += (size_t)snprintf(body + length, sizeof body - length, "$%zu\r\n%s\r\n",
                                   strlen(word), word);
        count++;
    }
    int total = snprintf(request, sizeof request, "*%zu\r\n%s", count, body);
    return redis_send_bytes(redis, request, (size_t)total);
}

static bool send_list(struct redis *redis, const char *format, va_list arguments)
{
    char line[32768];
    vsnprintf(line, sizeof line, format, arguments);
    return send_words(redis, line);
}

bool redis_send(struct redis *redis, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool sent = send_list(redis, format, arguments);
    va_end(arguments);
    return sent;
}

static bool fill(struct redis *redis)
{
    if (redis->capacity - redis->end < 65536) {
        redis->capacity = redis->end + (1 << 17);
        redis->bytes = realloc(redis->bytes, redis->capacity);
        assert_non_null(redis->bytes);
    }
    struct pollfd wait = {.fd = redis->socket, .events = POLLIN};
    ssize_t got = 0;
    if (redis->tls != NULL)
        got = SSL_read(redis->tls, redis->bytes + redis->end, 16384);
    else if (redis->socket >= 0 && poll(&wait, 1, redis->wait_ms) > 0)
        got = recv(redis->socket, redis->bytes + redis->end, redis->capacity - redis->end, 0);
    if (got <= 0)
        return false;
    redis->end += (size_t)got;
    return true;
}

/* The length of the line at start, without its end; -1 when the connection broke. */
static long line_length(struct redis *redis)
{
    for (;;) {
        char *from = redis->bytes + redis->start;
        char *end =
            redis->end > redis->start ? memmem(from, redis->end - redis->start, "\r\n", 2) : NULL;
        if (end != NULL)
            return end - from;
        if (!fill(redis))
            return -1;
    }
}

static bool read_text(struct redis *redis, struct reply *reply, size_t length)
{
    while (redis->end - redis->start < length + 2) {
        if (!fill(redis))
            return false;
    }
    reply->text = strndup(redis->bytes + redis->start, length);
    reply->length = length;
    redis->start += length + 2;
    return true;
}

static bool read_reply(struct redis *redis, struct reply *reply);

static bool read_list(struct redis *redis, struct reply *reply, size_t count)
{
    reply->type = REPLY_LIST;
    reply->count = count;
    reply->elements = calloc(count + 1, sizeof *reply->elements);
    for (size_t i = 0; i < count; i++) {
        if (!read_reply(redis, &reply->elements[i]))
            return false;
    }
    return true;
}

static bool read_reply(struct redis *redis, struct reply *reply)
{
    long length = line_length(redis);
    if (length < 1)
        return false;
    char kind = redis->bytes[redis->start];
    char *line = strndup(redis->bytes + redis->start + 1, (size_t)length - 1);
    redis->start += (size_t)length + 2;
    long number = atol(line);
    bool good = true;
    if (kind == '+' || kind == '-') {
        reply->type = kind == '+' ? REPLY_STATUS : REPLY_ERROR;
        reply->text = line;
        reply->length = (size_t)length - 1;
        return true;
    }
    if (kind == ':') {
        reply->type = REPLY_INTEGER;
        reply->integer = atoll(line);
    } else if (kind == '_' || number < 0) {
        reply->type = REPLY_NULL;
    } else if (kind == '$') {
        reply->type = REPLY_TEXT;
        good = read_text(redis, reply, (size_t)number);
    } else if (kind == '*' || kind == '%') {
        good = read_list(redis, reply, (size_t)(kind == '%' ? number * 2 : number));
    } else {
        good = false;
    }
    free(line);
    return good;
}

size_t redis_take(struct redis *redis, char *bytes, size_t length)
{
    while (redis->end - redis->start < length && fill(redis))
        ;
    size_t held = redis->end - redis->start;
    length = length < held ? length : held;
    if (length > 0)
        memcpy(bytes, redis->bytes + redis->start, length);
    redis->start += length;
    if (redis->start == redis->end)
        redis->start = redis->end = 0;
    return length;
}

struct reply *redis_receive(struct redis *redis)
{
    struct reply *reply = calloc(1, sizeof *reply);
    assert_non_null(reply);
    if (redis->socket < 0 || !read_reply(redis, reply)) {
        redis_close(redis);
        reply->type = REPLY_BROKEN;
    }
    if (redis->start == redis->end)
        redis->start = redis->end = 0;
    return reply;
}

struct reply *redis_ask(struct redis *redis, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    send_list(redis, format, arguments);
    va_end(arguments);
    return redis_receive(redis);
}

static void free_inside(struct reply *reply)
{
    for (size_t i = 0; i < reply->count; i++)
        free_inside(&reply->elements[i]);
    free(reply->elements);
    free(reply->text);
}

void reply_free(struct reply *reply)
{
    free_inside(reply);
    free(reply);
}

void redis_expect(struct redis *redis, const char *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    send_list(redis, format, arguments);
    va_end(arguments);
    struct reply *reply = redis_receive(redis);
    if (reply->text == NULL || strncmp(reply->text, text, strlen(text)) != 0)
        fail_msg("%s: expected \"%s\", got type %d \"%s\" %lld", format, text, (int)reply->type,
                 reply->text ? reply->text : "", (long long)reply->integer);
    reply_free(reply);
}

int64_t redis_integer(struct redis *redis, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    send_list(redis, format, arguments);
    va_end(arguments);
    struct reply *reply = redis_receive(redis);
    if (reply->type != REPLY_INTEGER)
        fail_msg("%s: expected an integer, got type %d \"%s\"", format, (int)reply->type,
                 reply->text ? reply->text : "");
    int64_t integer = reply->integer;
    reply_free(reply);
    return integer;
}
