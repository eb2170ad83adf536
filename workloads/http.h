/* A small blocking HTTP client for the drivers of systems; libcurl is met in http.c alone.
 *
 * What a driver needs most when a request fails is whether it may have had an effect. So every
 * request ends in one of three ways, and HTTP_NOT_SENT is a promise: no byte of the request left
 * this machine, and none ever will. A request is written to at most one connection: libcurl would
 * silently send it again when a kept-alive connection dies under it, and that is prevented here. */
#ifndef ORDEAL_WORKLOADS_HTTP_H
#define ORDEAL_WORKLOADS_HTTP_H

#include <stdint.h>

#include "harness/base/buf.h"

enum http_outcome {
    HTTP_REPLIED,  /* a whole reply is in, whatever its status */
    HTTP_NOT_SENT, /* there was no connection to send it on */
    HTTP_UNKNOWN,  /* it may have arrived, and may yet be acted upon */
};

struct http_reply {
    enum http_outcome outcome;
    int status;      /* 200, 503 ...; 0 unless HTTP_REPLIED */
    struct buf body; /* meaningful when HTTP_REPLIED */
    /* Unless HTTP_REPLIED: "connection-refused", "connect-failed", "connect-timeout", "unresolved",
     * "not-sent"; or, with HTTP_UNKNOWN, "timeout", "connection-lost", "bad-reply". */
    const char *error;
    /* One line for people. The same failure gives the same line: histories keep each distinct one.
     */
    char detail[128];
};

enum { HTTP_BODY_MAX = 8 << 20 }; /* a longer reply is a "bad-reply" */

/* One client belongs to one thread at a time and keeps its connections alive between requests. */
struct http_client;

/* ERR_UNSUPPORTED when libcurl is too old to keep the promise above. */
enum err_code http_open(struct http_client **client, struct err *err);
void http_close(struct http_client *client); /* NULL is allowed */

/* Both take at most `timeout_ns` in all, and leave a reply that the caller may use again for the
 * next request and frees in the end. Replies are never followed elsewhere; proxies set in the
 * environment are ignored. */
void http_post_json(struct http_client *client, const char *url, const char *json, size_t length,
                    int64_t timeout_ns, struct http_reply *reply);
void http_get(struct http_client *client, const char *url, int64_t timeout_ns,
              struct http_reply *reply);
void http_reply_free(struct http_reply *reply);

/* Adds "http://host:port/path"; a numeric IPv6 host gets its brackets. `path` begins with '/' or is
 * empty. */
void http_add_url(struct buf *out, const char *host, uint16_t port, const char *path);

#endif
