/* A scripted HTTP server on loopback, in a thread of its own: it answers the n-th request that it
 * reads whole, on whichever connection, as the n-th step says. */
#ifndef ORDEAL_TESTS_HTTP_SERVER_H
#define ORDEAL_TESTS_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_act {
    HTTP_ACT_REPLY,       /* status and body; the connection stays open */
    HTTP_ACT_REPLY_CLOSE, /* the same, then closes without having said so */
    HTTP_ACT_CLOSE,       /* closes without a word */
    HTTP_ACT_RESET,       /* the same with a TCP reset */
    HTTP_ACT_SILENCE,     /* never answers, and keeps the connection open */
    HTTP_ACT_CUT,         /* announces the whole body, sends all but its last byte, closes */
    HTTP_ACT_RAW,         /* the body alone, as it is, then closes */
};

struct http_step {
    enum http_act act;
    int status;
    const char *body; /* NULL: empty; must outlive the server */
};

struct http_server;
/* `address` is a loopback address, NULL for 127.0.0.1; port 0 takes a free one. Requests past the
 * last step get status 500. Ends the test program when there is no such port. */
struct http_server *http_server_start(const char *address, uint16_t port,
                                      const struct http_step *steps, size_t count);
uint16_t http_server_port(const struct http_server *server);
/* So far, from any thread. */
size_t http_server_connections(struct http_server *server);
/* Waits, at most 10 s, until the script has closed so many of them; false when it has not. */
bool http_server_wait_closed(struct http_server *server, size_t count);
size_t http_server_requests(struct http_server *server);
/* The request's head and body as they came; "" when there was none. Lives as long as the server. */
const char *http_server_request(struct http_server *server, size_t index);
void http_server_stop(struct http_server *server);

/* A port of 127.0.0.1 that nothing listens on, as far as one can know. */
uint16_t http_free_port(void);

#endif
