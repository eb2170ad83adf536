/* Datagrams and how they arrive, between the two nodes of agent_world.h: what a bad network does to
 * packets, seen by sockets that know nothing of the agent. In a header, as agent_process.h is. */
#ifndef ORDEAL_TESTS_AGENT_BURST_H
#define ORDEAL_TESTS_AGENT_BURST_H

#include "tests/lib/agent_world.h"

enum { BURST = 400, OUTSIDE_PORT = 7800, SETTLE_MS = 200, LINGER_MS = 30 };

/* ---- Datagrams from b to a, sent and heard by this test ---- */

struct heard {
    uint32_t unique, duplicates, overtaken;
    int64_t delays_ns[2 * BURST]; /* of first copies, sorted; one clock: both ends are here */
    int64_t span_ns;              /* from the first arrival to the last */
};

struct outside {
    uint32_t number;
    int64_t sent_ns;
    char rest[1000];
};

static inline int by_size(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

static inline int open_socket(int network, int family, const char *address, uint16_t port, int type)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int bytes = 4 << 20, on = 1;
    inet_pton(AF_INET, address, &v4.sin_addr);
    inet_pton(AF_INET6, address, &v6.sin6_addr);
    enter(network);
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    enter(world.original);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(fd, family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
                          family == AF_INET ? sizeof v4 : sizeof v6),
                     0);
    return fd;
}

static inline void point_at(int fd, int family, const char *address, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET, address, &v4.sin_addr);
    inet_pton(AF_INET6, address, &v6.sin6_addr);
    assert_int_equal(connect(fd,
                             family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
                             family == AF_INET ? sizeof v4 : sizeof v6),
                     0);
}

/* Sends `count` datagrams of `size` bytes, and listens until all came and no twin for LINGER_MS, or
 * nothing for SETTLE_MS. */
static inline struct heard burst(const struct node *from, const struct node *to, int family,
                                 uint32_t count, size_t size)
{
    static bool seen[BURST];
    struct heard heard = {.unique = 0};
    const char *source = family == AF_INET ? from->ipv4 : from->ipv6,
               *target = family == AF_INET ? to->ipv4 : to->ipv6;
    int in = open_socket(to->network, family, target, OUTSIDE_PORT, SOCK_DGRAM),
        out = open_socket(from->network, family, source, 0, SOCK_DGRAM);
    point_at(out, family, target, OUTSIDE_PORT);
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < count; i++) {
        struct outside datagram = {.number = i, .sent_ns = clock_monotonic_ns()};
        memset(datagram.rest, 1, sizeof datagram.rest);
        assert_int_equal(send(out, &datagram, size, 0), size);
    }
    int64_t first_ns = 0;
    uint32_t highest = 0;
    struct pollfd fds = {.fd = in, .events = POLLIN};
    while (poll(&fds, 1, heard.unique == count ? LINGER_MS : SETTLE_MS) == 1) {
        struct outside datagram;
        assert_int_equal(recv(in, &datagram, sizeof datagram, 0), size);
        int64_t now_ns = clock_monotonic_ns();
        assert_true(datagram.number < count);
        if (seen[datagram.number]) {
            heard.duplicates++;
            continue;
        }
        seen[datagram.number] = true;
        first_ns = heard.unique == 0 ? now_ns : first_ns;
        heard.span_ns = now_ns - first_ns;
        heard.delays_ns[heard.unique++] = now_ns - datagram.sent_ns;
        heard.overtaken += datagram.number < highest;
        highest = datagram.number > highest ? datagram.number : highest;
    }
    close(in);
    close(out);
    qsort(heard.delays_ns, heard.unique, sizeof *heard.delays_ns, by_size);
    return heard;
}

static inline double median_ms(const struct heard *heard)
{
    return (double)heard->delays_ns[heard->unique / 2] / 1e6;
}

static const int families[] = {AF_INET, AF_INET6};

/* Beside other work a machine is late now and then: measured again, a few times, before it counts.
 */
#define soon(condition)                                                                            \
    do {                                                                                           \
        int soon_tries = 5;                                                                        \
        while (!(condition))                                                                       \
            if (--soon_tries == 0)                                                                 \
                fail_msg("not so: %s", #condition);                                                \
    } while (0)

static inline bool is_untouched(const struct node *from, const struct node *to, int family)
{
    struct heard heard = burst(from, to, family, 50, 100);
    return heard.unique == 50 && heard.duplicates == 0 && heard.overtaken == 0 &&
           median_ms(&heard) < 5;
}

static inline void assert_whole(void)
{
    assert_all_reach();
    for (size_t i = 0; i < 2; i++) {
        soon(is_untouched(&world.a, &world.b, families[i]));
        soon(is_untouched(&world.b, &world.a, families[i]));
    }
}

#endif
