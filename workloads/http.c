/* A small blocking HTTP client: see http.h. The one file that meets libcurl. */
#include "workloads/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "harness/base/clock.h"

struct http_client {
    CURL *curl;
    struct curl_slist *headers;
    /* A connection, new or kept alive, has been given to the request in progress: from here on its
     * bytes may be on the way. */
    bool begun;
    bool head_is_whole;       /* the blank line behind the reply's header fields is in */
    struct http_reply *reply; /* of the request in progress */
};

/* ---- What libcurl calls ---- */

/* Between getting a connection and the first byte of the request. It is called again when libcurl
 * wants to repeat the request on another connection; the first copy may have been acted upon. */
static int about_to_send(void *state, char *remote_ip, char *local_ip, int remote_port,
                         int local_port)
{
    (void)remote_ip, (void)local_ip, (void)remote_port, (void)local_port;
    struct http_client *client = state;
    if (client->begun)
        return CURL_PREREQFUNC_ABORT;
    client->begun = true;
    return CURL_PREREQFUNC_OK;
}

/* The same refusal one step earlier, so that a repetition does not first wait for a connection. */
static curl_socket_t open_socket(void *state, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    const struct http_client *client = state;
    if (client->begun)
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* libcurl takes a connection that ends within the header fields for the end of a whole reply
 * without a body. Lines come one by one, and those of a trailer follow the body. */
static size_t receive_head(char *line, size_t size, size_t count, void *state)
{
    struct http_client *client = state;
    if (size * count >= 5 && memcmp(line, "HTTP/", 5) == 0)
        client->head_is_whole = false; /* what came before was "100 Continue" or the like */
    else if (line[0] == '\r' || line[0] == '\n')
        client->head_is_whole = true;
    return size * count;
}

static size_t receive(char *data, size_t size, size_t count, void *state)
{
    struct http_client *client = state;
    size_t length = size * count;
    if (client->reply->body.length + length > HTTP_BODY_MAX)
        return CURL_WRITEFUNC_ERROR;
    buf_add(&client->reply->body, data, length);
    return length;
}

/* ---- Opening and closing ---- */

static CURLcode global_code;

static void global_init(void)
{
    global_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool configure(struct http_client *client)
{
    CURL *curl = client->curl;
    bool ok = true;
#define SET(option, value) ok = curl_easy_setopt(curl, option, value) == CURLE_OK && ok
    SET(CURLOPT_PREREQFUNCTION, about_to_send);
    SET(CURLOPT_PREREQDATA, client);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, client);
    SET(CURLOPT_HEADERFUNCTION, receive_head);
    SET(CURLOPT_HEADERDATA, client);
    SET(CURLOPT_WRITEFUNCTION, receive);
    SET(CURLOPT_WRITEDATA, client);
    SET(CURLOPT_HTTPHEADER, client->headers);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_MAXCONNECTS, 4L);
#undef SET
    return ok;
}

enum err_code http_open(struct http_client **client, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, global_init);
    if (global_code != CURLE_OK)
        return err_set(err, ERR_UNSUPPORTED, "libcurl: %s", curl_easy_strerror(global_code));
    struct http_client *made = calloc(1, sizeof *made);
    if (made == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for an HTTP client");
    made->curl = curl_easy_init();
    made->headers = curl_slist_append(NULL, "Content-Type: application/json");
    /* "Expect: 100-continue" would cost large requests a round trip. */
    struct curl_slist *more = curl_slist_append(made->headers, "Expect:");
    enum err_code code = ERR_NONE;
    if (made->curl == NULL || made->headers == NULL || more == NULL)
        code = err_set(err, ERR_NOMEM, "out of memory for an HTTP client");
    else if (!configure(made))
        code = err_set(err, ERR_UNSUPPORTED, "libcurl %s is too old: install 7.85 or newer",
                       curl_version_info(CURLVERSION_NOW)->version);
    if (code != ERR_NONE)
        http_close(made);
    else
        *client = made;
    return code;
}

void http_close(struct http_client *client)
{
    if (client == NULL)
        return;
    if (client->curl != NULL)
        curl_easy_cleanup(client->curl);
    curl_slist_free_all(client->headers);
    free(client);
}

/* ---- One request ---- */

static void explain(struct http_reply *reply, const char *error, const char *detail)
{
    reply->error = error;
    snprintf(reply->detail, sizeof reply->detail, "%s", detail);
}

static void explain_not_sent(struct http_client *client, CURLcode code, long timeout_ms)
{
    struct http_reply *reply = client->reply;
    long os_error = 0;
    curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &os_error);
    reply->outcome = HTTP_NOT_SENT;
    if (code == CURLE_OPERATION_TIMEDOUT) {
        reply->error = "connect-timeout";
        snprintf(reply->detail, sizeof reply->detail, "no connection within %ld ms", timeout_ms);
    } else if (code == CURLE_COULDNT_RESOLVE_HOST) {
        explain(reply, "unresolved", "the host's name has no address");
    } else if (code == CURLE_COULDNT_CONNECT) {
        explain(reply, os_error == ECONNREFUSED ? "connection-refused" : "connect-failed",
                os_error == 0 ? curl_easy_strerror(code) : strerror((int)os_error));
    } else {
        explain(reply, "not-sent", curl_easy_strerror(code));
    }
}

static void explain_unknown(struct http_client *client, CURLcode code, long timeout_ms)
{
    struct http_reply *reply = client->reply;
    reply->outcome = HTTP_UNKNOWN;
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        reply->error = "timeout";
        snprintf(reply->detail, sizeof reply->detail, "no reply within %ld ms", timeout_ms);
        break;
    case CURLE_COULDNT_CONNECT: /* the repetition that was refused: see open_socket */
    case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        explain(reply, "connection-lost", "the connection ended before the reply");
        break;
    case CURLE_PARTIAL_FILE:
        explain(reply, "connection-lost", "the connection ended within the reply");
        break;
    case CURLE_WRITE_ERROR:
        explain(reply, "bad-reply", "the reply is too long");
        break;
    default:
        explain(reply, "bad-reply", curl_easy_strerror(code));
    }
}

/* More than nothing was written, as far as libcurl counts: a second witness beside `begun`. */
static bool counted_as_sent(struct http_client *client)
{
    long bytes = 0;
    return curl_easy_getinfo(client->curl, CURLINFO_REQUEST_SIZE, &bytes) != CURLE_OK || bytes > 0;
}

static void perform(struct http_client *client, const char *url, int64_t timeout_ns,
                    struct http_reply *reply)
{
    long timeout_ms = timeout_ns < NS_PER_MS ? 1 : (long)(timeout_ns / NS_PER_MS);
    reply->outcome = HTTP_NOT_SENT;
    reply->status = 0;
    reply->error = NULL;
    reply->detail[0] = '\0';
    buf_clear(&reply->body);
    client->reply = reply;
    client->begun = false;
    client->head_is_whole = false;
    CURLcode code = curl_easy_setopt(client->curl, CURLOPT_URL, url);
    if (code == CURLE_OK)
        code = curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    if (code == CURLE_OK)
        code = curl_easy_setopt(client->curl, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
    if (code == CURLE_OK)
        code = curl_easy_perform(client->curl);
    if (code == CURLE_OK && !client->head_is_whole)
        code = CURLE_PARTIAL_FILE;
    if (code == CURLE_OK) {
        long status = 0;
        curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
        reply->outcome = HTTP_REPLIED;
        reply->status = (int)status;
    } else if (client->begun || counted_as_sent(client)) {
        explain_unknown(client, code, timeout_ms);
    } else {
        explain_not_sent(client, code, timeout_ms);
    }
}

void http_post_json(struct http_client *client, const char *url, const char *json, size_t length,
                    int64_t timeout_ns, struct http_reply *reply)
{
    /* The body stays the caller's: it is not copied, and is forgotten before this returns. */
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE, (long)length);
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, json);
    perform(client, url, timeout_ns, reply);
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, "");
}

void http_get(struct http_client *client, const char *url, int64_t timeout_ns,
              struct http_reply *reply)
{
    curl_easy_setopt(client->curl, CURLOPT_HTTPGET, 1L);
    perform(client, url, timeout_ns, reply);
}

void http_reply_free(struct http_reply *reply)
{
    buf_free(&reply->body);
}

void http_add_url(struct buf *out, const char *host, uint16_t port, const char *path)
{
    bool bare_ipv6 = strchr(host, ':') != NULL && host[0] != '[';
    buf_printf(out, "http://%s%s%s:%u%s", bare_ipv6 ? "[" : "", host, bare_ipv6 ? "]" : "",
               (unsigned)port, path);
}
