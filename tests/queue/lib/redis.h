/* A client for tests: blocking, with a time limit on everything. Errors of the connection come back
 * as replies of type REPLY_BROKEN, since tests kill servers on purpose. */
#ifndef ORDEAL_TESTS_QUEUE_REDIS_H
#define ORDEAL_TESTS_QUEUE_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum reply_type {
    REPLY_BROKEN, /* no connection, or no answer in time */
    REPLY_STATUS,
    REPLY_ERROR,
    REPLY_INTEGER,
    REPLY_TEXT,
    REPLY_NULL,
    REPLY_LIST, /* an array; a map is one of twice as many */
};

struct reply {
    enum reply_type type;
    int64_t integer;
    char *text; /* with a 0 at its end */
    size_t length, count;
    struct reply *elements;
};

struct redis {
    int socket;         /* -1: closed */
    struct ssl_st *tls; /* NULL: plain */
    unsigned port;
    int wait_ms;
    char *bytes;
    size_t start, end, capacity;
};

/* Connects to 127.0.0.1, or where redis_host says; redis->socket stays -1 when nobody listens. */
extern const char *(*redis_host)(unsigned port);
void redis_open(struct redis *redis, unsigned port, int wait_ms);
void redis_close(struct redis *redis);
/* TLS on an open connection: the server's certificate must be signed by ca; cert and key may be
 * NULL. False, and closed, when either end refuses. (With TLS 1.3 a server's refusal of the
 * client's certificate comes with the first reply only.) */
bool redis_secure(struct redis *redis, const char *ca, const char *cert, const char *key);

/* Sends as it is, or the words of a line as a request. False: broken, and closed. */
bool redis_send_bytes(struct redis *redis, const void *bytes, size_t length);
bool redis_send(struct redis *redis, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct reply *redis_receive(struct redis *redis);
/* The next bytes as they come; how many there were in time. */
size_t redis_take(struct redis *redis, char *bytes, size_t length);
struct reply *redis_ask(struct redis *redis, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void reply_free(struct reply *reply);

/* Asks and fails the test unless the reply is this status or error (its beginning), or integer. */
void redis_expect(struct redis *redis, const char *text, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int64_t redis_integer(struct redis *redis, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
