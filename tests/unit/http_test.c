/* The HTTP client knows what became of a request, and never sends one twice. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "tests/lib/http_server.h"
#include "tests/lib/test.h"
#include "workloads/http.h"

enum { LONG_MS = 10000 };

struct fixture {
    struct http_server *server;
    struct http_client *client;
    struct http_reply reply;
};

static struct fixture begin(const struct http_step *steps, size_t count)
{
    struct fixture fixture = {.server = http_server_start(NULL, 0, steps, count)};
    struct err err = ERR_INIT;
    assert_ok(http_open(&fixture.client, &err));
    return fixture;
}

static void end(struct fixture *fixture)
{
    http_close(fixture->client);
    http_server_stop(fixture->server);
    http_reply_free(&fixture->reply);
}

static void post_to(struct fixture *fixture, uint16_t port, const char *json, int64_t timeout_ms)
{
    struct buf url = BUF_INIT;
    http_add_url(&url, "127.0.0.1", port, "/ask");
    http_post_json(fixture->client, url.data, json, strlen(json), timeout_ms * NS_PER_MS,
                   &fixture->reply);
    buf_free(&url);
}

static void post(struct fixture *fixture, const char *json, int64_t timeout_ms)
{
    post_to(fixture, http_server_port(fixture->server), json, timeout_ms);
}

static void requests_share_a_connection(void **state)
{
    (void)state;
    const struct http_step steps[] = {{HTTP_ACT_REPLY, 200, "{\"a\":1}"},
                                      {HTTP_ACT_REPLY, 503, "busy"},
                                      {HTTP_ACT_REPLY, 200, ""}};
    struct fixture fixture = begin(steps, 3);
    post(&fixture, "{\"question\":1}", LONG_MS);
    assert_int_equal(fixture.reply.outcome, HTTP_REPLIED);
    assert_int_equal(fixture.reply.status, 200);
    assert_string_equal(buf_text(&fixture.reply.body), "{\"a\":1}");
    post(&fixture, "{}", LONG_MS);
    assert_int_equal(fixture.reply.outcome, HTTP_REPLIED);
    assert_int_equal(fixture.reply.status, 503);
    assert_string_equal(buf_text(&fixture.reply.body), "busy");
    struct buf url = BUF_INIT;
    http_add_url(&url, "127.0.0.1", http_server_port(fixture.server), "/version");
    http_get(fixture.client, url.data, LONG_MS * NS_PER_MS, &fixture.reply);
    assert_int_equal(fixture.reply.outcome, HTTP_REPLIED);
    assert_int_equal(fixture.reply.body.length, 0);
    buf_free(&url);
    assert_int_equal(http_server_connections(fixture.server), 1);
    const char *first = http_server_request(fixture.server, 0);
    assert_contains(first, "POST /ask HTTP/1.1\r\n");
    assert_contains(first, "Content-Type: application/json\r\n");
    assert_contains(first, "\r\n\r\n{\"question\":1}");
    assert_contains(http_server_request(fixture.server, 2), "GET /version HTTP/1.1\r\n");
    end(&fixture);
}

/* The trap that this client exists for: libcurl's own answer to a kept-alive connection that ends
 * before a reply is to send the request again. */
static void a_request_is_sent_once_though_its_connection_dies(void **state)
{
    (void)state;
    const enum http_act deaths[] = {HTTP_ACT_CLOSE, HTTP_ACT_RESET};
    for (size_t i = 0; i < 2; i++) {
        const struct http_step steps[] = {
            {HTTP_ACT_REPLY, 200, "{}"}, {deaths[i], 0, NULL}, {HTTP_ACT_REPLY, 200, "again"}};
        struct fixture fixture = begin(steps, 3);
        post(&fixture, "first", LONG_MS);
        assert_int_equal(fixture.reply.outcome, HTTP_REPLIED);
        post(&fixture, "second", LONG_MS);
        assert_int_equal(fixture.reply.outcome, HTTP_UNKNOWN);
        assert_string_equal(fixture.reply.error, "connection-lost");
        assert_int_equal(http_server_requests(fixture.server), 2);
        assert_contains(http_server_request(fixture.server, 1), "second");
        post(&fixture, "third", LONG_MS); /* the client recovers on a new connection */
        assert_int_equal(fixture.reply.outcome, HTTP_REPLIED);
        assert_string_equal(buf_text(&fixture.reply.body), "again");
        assert_int_equal(http_server_requests(fixture.server), 3);
        assert_int_equal(http_server_connections(fixture.server), 2);
        end(&fixture);
    }
}

static void a_first_request_that_dies_is_unknown_too(void **state)
{
    (void)state;
    const struct http_step steps[] = {{HTTP_ACT_CLOSE, 0, NULL}, {HTTP_ACT_RESET, 0, NULL}};
    struct fixture fixture = begin(steps, 2);
    for (size_t i = 0; i < 2; i++) {
        post(&fixture, "{}", LONG_MS);
        assert_int_equal(fixture.reply.outcome, HTTP_UNKNOWN);
        assert_string_equal(fixture.reply.error, "connection-lost");
        assert_int_equal(http_server_requests(fixture.server), i + 1);
    }
    end(&fixture);
}

static void no_reply_in_time_is_unknown(void **state)
{
    (void)state;
    const struct http_step steps[] = {{HTTP_ACT_SILENCE, 0, NULL}, {HTTP_ACT_REPLY, 200, "ok"}};
    struct fixture fixture = begin(steps, 2);
    int64_t started_ns = clock_monotonic_ns();
    post(&fixture, "{}", 100);
    int64_t took_ns = clock_monotonic_ns() - started_ns;
    assert_int_equal(fixture.reply.outcome, HTTP_UNKNOWN);
    assert_string_equal(fixture.reply.error, "timeout");
    assert_string_equal(fixture.reply.detail, "no reply within 100 ms");
    assert_true(took_ns >= 100 * NS_PER_MS && took_ns < 5 * NS_PER_SECOND);
    post(&fixture, "{}", LONG_MS); /* a late reply to the first must not answer the second */
    assert_string_equal(buf_text(&fixture.reply.body), "ok");
    assert_int_equal(http_server_connections(fixture.server), 2);
    end(&fixture);
}

static void half_a_reply_and_no_http_are_unknown(void **state)
{
    (void)state;
    const struct http_step steps[] = {{HTTP_ACT_CUT, 200, "{\"header\":{}}"},
                                      {HTTP_ACT_RAW, 0, "SSH-2.0-OpenSSH\r\n"},
                                      {HTTP_ACT_RAW, 0, "HTTP/1.1 200 OK\r\nContent-Le"}};
    const char *const errors[] = {"connection-lost", "bad-reply", "connection-lost"};
    struct fixture fixture = begin(steps, 3);
    for (size_t i = 0; i < 3; i++) {
        post(&fixture, "{}", LONG_MS);
        assert_int_equal(fixture.reply.outcome, HTTP_UNKNOWN);
        assert_string_equal(fixture.reply.error, errors[i]);
    }
    assert_int_equal(http_server_requests(fixture.server), 3);
    end(&fixture);
}

/* As gateways answer: in chunks, with a field behind them, or with an interim reply before. */
static void chunks_trailers_and_interim_replies_are_whole(void **state)
{
    (void)state;
    const char *chunked = "HTTP/1.1 429 Busy\r\nTrailer: More\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "4\r\nfull\r\n0\r\nMore: text\r\n\r\n";
    const char *interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
                          "Content-Length: 4\r\n\r\nfull";
    const char *broken = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-L";
    const char *missing = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfull\r\n";
    const struct http_step steps[] = {{HTTP_ACT_RAW, 0, chunked},
                                      {HTTP_ACT_RAW, 0, interim},
                                      {HTTP_ACT_RAW, 0, broken},
                                      {HTTP_ACT_RAW, 0, missing}};
    struct fixture fixture = begin(steps, 4);
    for (size_t i = 0; i < 4; i++) {
        post(&fixture, "{}", LONG_MS);
        assert_int_equal(fixture.reply.outcome, i < 2 ? HTTP_REPLIED : HTTP_UNKNOWN);
        assert_true(http_server_wait_closed(fixture.server, i + 1));
        if (i >= 2)
            continue;
        assert_int_equal(fixture.reply.status, i == 0 ? 429 : 200);
        assert_string_equal(buf_text(&fixture.reply.body), "full");
    }
    end(&fixture);
}

static void a_refused_connection_sends_nothing(void **state)
{
    (void)state;
    struct fixture fixture = begin(NULL, 0);
    post_to(&fixture, http_free_port(), "{}", LONG_MS);
    assert_int_equal(fixture.reply.outcome, HTTP_NOT_SENT);
    assert_string_equal(fixture.reply.error, "connection-refused");
    assert_string_equal(fixture.reply.detail, "Connection refused");
    end(&fixture);
}

/* A server that was stopped between two requests: the kept connection is known to be dead before
 * anything is written to it, so this is certain. */
static void a_server_that_is_gone_sends_nothing(void **state)
{
    (void)state;
    const struct http_step steps[] = {{HTTP_ACT_REPLY, 200, "{}"}};
    struct fixture fixture = begin(steps, 1);
    post(&fixture, "{}", LONG_MS);
    assert_int_equal(fixture.reply.outcome, HTTP_REPLIED);
    uint16_t port = http_server_port(fixture.server);
    http_server_stop(fixture.server);
    post_to(&fixture, port, "{}", LONG_MS);
    assert_int_equal(fixture.reply.outcome, HTTP_NOT_SENT);
    assert_string_equal(fixture.reply.error, "connection-refused");
    fixture.server = http_server_start(NULL, 0, NULL, 0);
    end(&fixture);
}

static void a_server_that_closes_idle_connections_is_no_failure(void **state)
{
    (void)state;
    const struct http_step steps[] = {{HTTP_ACT_REPLY_CLOSE, 200, "1"},
                                      {HTTP_ACT_REPLY_CLOSE, 200, "2"}};
    struct fixture fixture = begin(steps, 2);
    for (size_t i = 0; i < 2; i++) {
        post(&fixture, "{}", LONG_MS);
        assert_int_equal(fixture.reply.outcome, HTTP_REPLIED);
        /* Its end is in before the next request, which would rightly be unknown otherwise. */
        assert_true(http_server_wait_closed(fixture.server, i + 1));
    }
    assert_int_equal(http_server_connections(fixture.server), 2);
    end(&fixture);
}

/* A listener whose queue is full drops what knocks, as a host behind a partition does. */
static void a_connection_that_is_never_made_sends_nothing(void **state)
{
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &length), 0);
    int fillers[8];
    for (size_t i = 0; i < 8; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&at, sizeof at);
    }
    struct fixture fixture = begin(NULL, 0);
    post_to(&fixture, ntohs(at.sin_port), "{}", 150);
    assert_int_equal(fixture.reply.outcome, HTTP_NOT_SENT);
    assert_string_equal(fixture.reply.error, "connect-timeout");
    assert_string_equal(fixture.reply.detail, "no connection within 150 ms");
    end(&fixture);
    for (size_t i = 0; i < 8; i++)
        close(fillers[i]);
    close(listener);
}

static void an_unknown_host_and_a_bad_url_send_nothing(void **state)
{
    (void)state;
    struct fixture fixture = begin(NULL, 0);
    http_post_json(fixture.client, "http://256.256.256.256.invalid./", "{}", 2, LONG_MS * NS_PER_MS,
                   &fixture.reply);
    assert_int_equal(fixture.reply.outcome, HTTP_NOT_SENT);
    assert_true(strcmp(fixture.reply.error, "unresolved") == 0 ||
                strcmp(fixture.reply.error, "connect-timeout") == 0);
    http_post_json(fixture.client, "file:///etc/passwd", "{}", 2, NS_PER_SECOND, &fixture.reply);
    assert_int_equal(fixture.reply.outcome, HTTP_NOT_SENT);
    assert_string_equal(fixture.reply.error, "not-sent");
    end(&fixture);
}

static void proxies_and_redirects_are_not_followed(void **state)
{
    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1/", 1);
    setenv("all_proxy", "http://127.0.0.1:1/", 1);
    const struct http_step steps[] = {
        {HTTP_ACT_RAW, 0,
         "HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"}};
    struct fixture fixture = begin(steps, 1);
    post(&fixture, "{}", LONG_MS);
    assert_int_equal(fixture.reply.outcome, HTTP_REPLIED);
    assert_int_equal(fixture.reply.status, 307);
    end(&fixture);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
}

static void urls_bracket_ipv6(void **state)
{
    (void)state;
    struct buf url = BUF_INIT;
    http_add_url(&url, "fe80::1", 2379, "/v3");
    http_add_url(&url, "n1", 80, "");
    assert_string_equal(url.data, "http://[fe80::1]:2379/v3http://n1:80");
    buf_free(&url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_share_a_connection),
        cmocka_unit_test(a_request_is_sent_once_though_its_connection_dies),
        cmocka_unit_test(a_first_request_that_dies_is_unknown_too),
        cmocka_unit_test(no_reply_in_time_is_unknown),
        cmocka_unit_test(half_a_reply_and_no_http_are_unknown),
        cmocka_unit_test(chunks_trailers_and_interim_replies_are_whole),
        cmocka_unit_test(a_refused_connection_sends_nothing),
        cmocka_unit_test(a_server_that_is_gone_sends_nothing),
        cmocka_unit_test(a_server_that_closes_idle_connections_is_no_failure),
        cmocka_unit_test(a_connection_that_is_never_made_sends_nothing),
        cmocka_unit_test(an_unknown_host_and_a_bad_url_send_nothing),
        cmocka_unit_test(proxies_and_redirects_are_not_followed),
        cmocka_unit_test(urls_bracket_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
