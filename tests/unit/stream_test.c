/* TCP with deadlines, against real sockets: what was not sent, what may have arrived, and that
 * nothing of what was given up arrives later. */
#include "workloads/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "tests/lib/test.h"

static int listen_somewhere(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    *port = ntohs(at.sin_port);
    return listener;
}

static int64_t in_ms(int64_t ms)
{
    return clock_monotonic_ns() + ms * NS_PER_MS;
}

static void what_is_sent_arrives_and_answers_are_kept(void **state)
{
    (void)state;
    uint16_t port;
    int listener = listen_somewhere(&port);
    struct stream stream;
    struct stream_trouble trouble;
    char got[8] = "";
    stream_init(&stream, "127.0.0.1", port);
    assert_true(stream_connect(&stream, in_ms(1000), &trouble));
    int peer = accept(listener, NULL, NULL);
    assert_true(stream_send(&stream, "ask", 3, in_ms(1000), &trouble));
    assert_int_equal(read(peer, got, sizeof got), 3);
    assert_false(stream_is_stale(stream.fd));
    assert_int_equal(write(peer, "answer", 6), 6);
    assert_true(stream_receive(&stream, in_ms(1000), &trouble));
    assert_string_equal(stream.in.data, "answer");
    close(peer);
    assert_true(stream_await(stream.fd, 1 /* POLLIN */, in_ms(1000)));
    assert_true(stream_is_stale(stream.fd));
    assert_false(stream_receive(&stream, in_ms(1000), &trouble));
    assert_int_equal(trouble.outcome, STREAM_LOST);
    assert_string_equal(trouble.error, "connection-lost");
    assert_int_equal(stream.fd, -1);
    stream_close(&stream);
    close(listener);
}

static void nobody_there_is_not_sent(void **state)
{
    (void)state;
    uint16_t port;
    struct stream stream;
    struct stream_trouble trouble;
    close(listen_somewhere(&port));
    stream_init(&stream, "127.0.0.1", port);
    assert_false(stream_connect(&stream, in_ms(1000), &trouble));
    assert_int_equal(trouble.outcome, STREAM_NOT_SENT);
    assert_string_equal(trouble.error, "connection-refused");
    stream_init(&stream, "no such host", port);
    assert_false(stream_connect(&stream, in_ms(1000), &trouble));
    assert_int_equal(trouble.outcome, STREAM_NOT_SENT);
    stream_close(&stream);
}

static void deadlines_hold(void **state)
{
    (void)state;
    uint16_t port;
    int listener = listen_somewhere(&port);
    struct stream stream;
    struct stream_trouble trouble;
    size_t size = 64 << 20; /* no buffer takes it whole */
    char *much = calloc(1, size);
    stream_init(&stream, "127.0.0.1", port);
    assert_true(stream_connect(&stream, in_ms(1000), &trouble));
    int64_t began_ns = clock_monotonic_ns();
    assert_false(stream_receive(&stream, in_ms(50), &trouble));
    assert_string_equal(trouble.error, "timeout");
    assert_true(stream_connect(&stream, in_ms(1000), &trouble));
    assert_false(stream_send(&stream, much, size, in_ms(50), &trouble));
    assert_string_equal(trouble.error, "timeout");
    assert_int_equal(trouble.outcome, STREAM_LOST); /* some of it went out */
    assert_true(clock_monotonic_ns() - began_ns < 900 * NS_PER_MS);
    free(much);
    stream_close(&stream);
    close(listener);
}

/* A socket that is closed as usual goes on sending what is in its buffer. */
static void what_was_given_up_does_not_arrive(void **state)
{
    (void)state;
    uint16_t port;
    int listener = listen_somewhere(&port);
    struct stream stream;
    struct stream_trouble trouble;
    size_t size = 64 << 20, got = 0;
    char *much = calloc(1, size);
    stream_init(&stream, "127.0.0.1", port);
    assert_true(stream_connect(&stream, in_ms(1000), &trouble));
    int peer = accept(listener, NULL, NULL);
    assert_false(stream_send(&stream, much, size, in_ms(50), &trouble));
    ssize_t more;
    while ((more = read(peer, much, size)) > 0)
        got += (size_t)more;
    assert_int_equal(more, -1); /* not an orderly end */
    assert_int_equal(errno, ECONNRESET);
    assert_true(got < size);
    free(much);
    close(peer);
    stream_close(&stream);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_arrives_and_answers_are_kept),
        cmocka_unit_test(nobody_there_is_not_sent),
        cmocka_unit_test(deadlines_hold),
        cmocka_unit_test(what_was_given_up_does_not_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
