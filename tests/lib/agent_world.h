/* Two nodes for tests of the agent: network namespaces joined by a veth, with a real agent in each.
 * Root only. In a header, as agent_process.h is. */
#ifndef ORDEAL_TESTS_AGENT_WORLD_H
#define ORDEAL_TESTS_AGENT_WORLD_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include "tests/lib/agent_process.h"

enum { PROBE_PORT = 7700 };

struct node {
    int network;
    const char *ipv4, *ipv6;
    struct agent_process agent;
    char run_dir[200];
};

static struct {
    int original;
    pid_t holders[2];
    const char *firewall; /* the back-end that the tests use now */
    struct node a, b;
} world;

/* ---- The world ---- */

static inline void enter(int network)
{
    assert_int_equal(setns(network, CLONE_NEWNET), 0);
}

static inline void run_in(int network, const char *command)
{
    enter(network);
    int status = system(command);
    enter(world.original);
    if (status != 0)
        fail_msg("'%s' failed with status %d", command, status);
}

static inline const char *capture_in(int network, const char *command)
{
    static char text[1 << 16];
    enter(network);
    FILE *pipe = popen(command, "r");
    enter(world.original);
    assert_non_null(pipe);
    size_t length = fread(text, 1, sizeof text - 1, pipe);
    text[length] = '\0';
    pclose(pipe);
    return text;
}

/* A namespace of its own, kept by a process that only waits (and dies with us). */
static inline int make_network(pid_t *holder)
{
    int ready[2];
    char path[64], byte;
    assert_int_equal(pipe(ready), 0);
    *holder = fork();
    if (*holder == 0) {
        if (unshare(CLONE_NEWNET) != 0 || write(ready[1], "!", 1) != 1)
            _exit(1);
        close(ready[0]);
        close(ready[1]);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)*holder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static inline void set_up_link(const struct node *node, const char *device)
{
    char command[256];
    run_in(node->network, "ip link set lo up");
    snprintf(command, sizeof command,
             "ip addr add %s/24 dev %s && ip addr add %s/64 dev %s nodad && ip link set %s up",
             node->ipv4, device, node->ipv6, device, device);
    run_in(node->network, command);
}

static inline int build_world(void **state)
{
    (void)state;
    char command[128];
    if (geteuid() != 0)
        return 0;
    signal(SIGPIPE, SIG_IGN);
    world.original = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    world.a = (struct node){.ipv4 = "10.99.0.1", .ipv6 = "fd99::1"};
    world.b = (struct node){.ipv4 = "10.99.0.2", .ipv6 = "fd99::2"};
    world.a.network = make_network(&world.holders[0]);
    world.b.network = make_network(&world.holders[1]);
    snprintf(command, sizeof command, "ip link add va type veth peer name vb netns %d",
             (int)world.holders[1]);
    run_in(world.a.network, command);
    set_up_link(&world.a, "va");
    set_up_link(&world.b, "vb");
    return 0;
}

static inline int tear_down_world(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        if (world.holders[i] > 0) {
            kill(world.holders[i], SIGKILL);
            waitpid(world.holders[i], NULL, 0);
        }
    return 0;
}

static inline void start_node(struct node *node, const char *control)
{
    agent_make_directory(node->run_dir, sizeof node->run_dir);
    node->agent = (struct agent_process){.network = node->network};
    agent_serve(&node->agent, node->run_dir, "--firewall", world.firewall, "--ssh", control);
    assert_string_equal(line_get(&node->agent.hello, "firewall"), world.firewall);
    char port[32];
    snprintf(port, sizeof port, "port=%d", PROBE_PORT);
    agent_do(&node->agent, "probe-listen", port);
}

static inline int start_nodes(void **state)
{
    (void)state;
    if (geteuid() != 0)
        return 0;
    start_node(&world.a, "");
    start_node(&world.b, "");
    return 0;
}

static inline int end_nodes(void **state)
{
    (void)state;
    if (geteuid() != 0)
        return 0;
    int first = agent_end(&world.a.agent), second = agent_end(&world.b.agent);
    return first == 0 && second == 0 ? 0 : -1;
}

#define need_root()                                                                                \
    do {                                                                                           \
        if (geteuid() != 0)                                                                        \
            test_skip("network namespaces need root");                                             \
    } while (0)

/* ---- What gets through ---- */

/* Sends until it is seen, or for a while: true when it got through. A drop cannot be waited for, so
 * a packet that does get through within 150 ms is what the tests of a block would notice. */
static inline bool reaches(struct node *from, struct node *to, const char *source,
                           const char *target)
{
    static unsigned number;
    char nonce[32], from_field[80], to_field[80], port[32];
    snprintf(nonce, sizeof nonce, "nonce=n%u", ++number);
    snprintf(from_field, sizeof from_field, "from=%s", source);
    snprintf(to_field, sizeof to_field, "to=%s", target);
    snprintf(port, sizeof port, "port=%d", PROBE_PORT);
    agent_do(&from->agent, "probe-send", to_field, port, nonce);
    struct line reply = agent_do(&to->agent, "probe-wait", nonce, from_field, "timeout_ms=150");
    return line_get_int(&reply, "seen", -1) == 1;
}

/* The first packet on a new link may be lost to neighbour discovery; this one may not. */
static inline bool reaches_at_last(struct node *from, struct node *to, const char *source,
                                   const char *target)
{
    int64_t deadline_ns = clock_monotonic_ns() + AGENT_WAIT_NS;
    while (!reaches(from, to, source, target))
        if (clock_monotonic_ns() > deadline_ns)
            return false;
    return true;
}

#define A4 world.a.ipv4
#define B4 world.b.ipv4
#define A6 world.a.ipv6
#define B6 world.b.ipv6

static inline void assert_all_reach(void)
{
    assert_true(reaches_at_last(&world.a, &world.b, A4, B4));
    assert_true(reaches_at_last(&world.b, &world.a, B4, A4));
    assert_true(reaches_at_last(&world.a, &world.b, A6, B6));
    assert_true(reaches_at_last(&world.b, &world.a, B6, A6));
}

static inline int64_t packets(struct node *node, const char *id, unsigned index)
{
    struct line reply = agent_do(&node->agent, "fault-counters", id);
    uint32_t cursor = 0;
    const char *value = NULL;
    for (unsigned i = 0; i <= index; i++)
        value = line_next(&reply, "packets", &cursor);
    assert_non_null(value);
    return strtoll(value, NULL, 10);
}

static inline bool rules_exist(const struct node *node)
{
    const char *text = capture_in(node->network, "nft list ruleset; iptables-save; ip6tables-save");
    return strcasestr(text, "ordeal") != NULL;
}

/* A TCP connection from the controller to A, and the text of $SSH_CONNECTION that goes with it.
 */
static inline void connect_control(int family, int client_network, int *client, int *server,
                                   char *text, size_t size)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t length = family == AF_INET ? sizeof v4 : sizeof v6;
    inet_pton(AF_INET, A4, &v4.sin_addr);
    inet_pton(AF_INET6, A6, &v6.sin6_addr);
    enter(world.a.network);
    int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, address, &length), 0);
    enter(client_network);
    *client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(*client, address, length), 0);
    enter(world.original);
    *server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(*server >= 0);
    close(listener);
    unsigned server_port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
    assert_int_equal(getsockname(*client, address, &length), 0);
    unsigned client_port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
    char host[INET6_ADDRSTRLEN];
    inet_ntop(family, family == AF_INET ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr, host,
              sizeof host);
    snprintf(text, size, "%s %u %s %u", host, client_port, family == AF_INET ? A4 : A6,
             server_port);
}

static inline bool talks(int from, int to)
{
    char byte = 0;
    struct pollfd fds = {.fd = to, .events = POLLIN};
    return write(from, "x", 1) == 1 && poll(&fds, 1, 2000) == 1 && read(to, &byte, 1) == 1 &&
           byte == 'x';
}

static inline bool arrives_in(int file, int ms)
{
    struct pollfd fds = {.fd = file, .events = POLLIN};
    return poll(&fds, 1, ms) == 1;
}

#endif
