/* A server of lines that answers as it is told, for tests of clients that speak to one. */
#ifndef ORDEAL_TESTS_LINE_SERVER_H
#define ORDEAL_TESTS_LINE_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What begins so is answered so: the n-th such request by the n-th such line, and what there is no
 * line for by the last. "-": the connection is closed, "": there is no answer. What no line begins
 * as is closed upon. A request of the Redis protocol is answered by its first string, once all are
 * there, and each of them is remembered as asked. LINE_SERVER_NUL in an answer is sent as a NUL; in
 * requests NULs end lines. */
#define LINE_SERVER_NUL "\1"
struct line_answer {
    const char *request, *answer; /* .request NULL at the end */
};

enum { LINE_SERVER_REQUESTS = 256 };

struct line_server {
    int listener;
    uint16_t port;
    const struct line_answer *script;
    const char *const *bodied; /* requests that begin so have a second line; NULL at the end */
    pthread_t thread;
    atomic_bool over;
    atomic_int connections;
    bool used[LINE_SERVER_REQUESTS]; /* of the script */
    pthread_mutex_t lock;            /* over what was asked */
    char asked[LINE_SERVER_REQUESTS][512];
    size_t asked_count;
};

/* One connection is served at a time. */
void line_server_start(struct line_server *server, const struct line_answer *script,
                       const char *const *bodied);
void line_server_stop(struct line_server *server);
/* How many requests began so. */
int line_server_asked(struct line_server *server, const char *request);
/* The last of them, with its second line, to `text`; "": there was none. */
void line_server_last(struct line_server *server, const char *request, char text[512]);

#endif
