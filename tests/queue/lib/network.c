/* One bridge, one link a node, routes into nothing for what is cut. */
#include "tests/queue/lib/network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    unsigned nodes;
    pid_t holders[NETWORK_NODES_MAX + 1]; /* processes that keep the namespaces */
    int files[NETWORK_NODES_MAX + 1];
    bool cut[NETWORK_NODES_MAX + 1][NETWORK_NODES_MAX + 1];
} network;

const char *network_host(unsigned node)
{
    static const char *const hosts[] = {"10.77.0.254", "10.77.0.1", "10.77.0.2",
                                        "10.77.0.3",   "10.77.0.4", "10.77.0.5"};
    return hosts[node];
}

static bool run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool run(const char *format, ...)
{
    char command[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    return system(command) == 0;
}

/* In the node's network. */
static bool run_in(unsigned node, const char *command)
{
    pid_t child = fork();
    int status = 1;
    if (child == 0) {
        network_enter(node);
        _exit(system(command) == 0 ? 0 : 1);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

static bool open_node(unsigned node)
{
    int ends[2];
    char word = 0, path[64], command[256];
    if (pipe(ends) != 0)
        return false;
    pid_t holder = fork();
    if (holder == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        word = unshare(CLONE_NEWNET) == 0;
        (void)!write(ends[1], &word, 1);
        for (;;)
            pause();
    }
    network.holders[node] = holder;
    bool good = read(ends[0], &word, 1) == 1 && word == 1;
    close(ends[0]);
    close(ends[1]);
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)holder);
    network.files[node] = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(command, sizeof command,
             "ip link set lo up && ip link set e0 up && ip address add %s/24 dev e0",
             network_host(node));
    return good && network.files[node] >= 0 &&
           run("ip link add v%u type veth peer name e0 netns %d && ip link set v%u master br0 up",
               node, (int)holder, node) &&
           run_in(node, command);
}

bool network_open(unsigned nodes)
{
    network.nodes = nodes;
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0 ||
        !run("ip link set lo up && ip link add br0 type bridge forward_delay 0 2>/dev/null && "
             "ip address add 10.77.0.254/24 dev br0 && ip link set br0 up"))
        return false;
    for (unsigned node = 1; node <= nodes; node++) {
        if (!open_node(node))
            return false;
    }
    return true;
}

void network_close(void)
{
    for (unsigned node = 1; node <= network.nodes; node++) {
        if (network.holders[node] == 0)
            continue;
        kill(network.holders[node], SIGKILL);
        waitpid(network.holders[node], NULL, 0);
        close(network.files[node]);
        network.holders[node] = 0;
    }
}

void network_enter(unsigned node)
{
    if (setns(network.files[node], CLONE_NEWNET) != 0)
        _exit(126);
}

static void route(unsigned from, unsigned to, const char *what)
{
    char command[128];
    snprintf(command, sizeof command, "ip route %s blackhole %s/32", what, network_host(to));
    if (!run_in(from, command))
        fail_msg("node %u: %s", from, command);
    network.cut[from][to] = what[0] == 'a';
}

void network_cut(unsigned from, unsigned to)
{
    if (!network.cut[from][to])
        route(from, to, "add");
}

void network_heal(void)
{
    for (unsigned from = 1; from <= network.nodes; from++) {
        for (unsigned to = 1; to <= network.nodes; to++) {
            if (network.cut[from][to])
                route(from, to, "del");
        }
    }
}

/* A socket in the node's network, made by a thread that visits it: sockets keep theirs. */
static int socket_in(unsigned node, int type)
{
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_int_equal(setns(network.files[node], CLONE_NEWNET), 0);
    int file = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_int_equal(setns(own, CLONE_NEWNET), 0);
    close(own);
    return file;
}

bool network_passes(unsigned from, unsigned to)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    char byte = 1;
    int hears = socket_in(to, SOCK_DGRAM), says = socket_in(from, SOCK_DGRAM);
    inet_pton(AF_INET, network_host(to), &address.sin_addr);
    assert_int_equal(bind(hears, (struct sockaddr *)&address, length), 0);
    getsockname(hears, (struct sockaddr *)&address, &length);
    bool passed = sendto(says, &byte, 1, 0, (struct sockaddr *)&address, length) == 1;
    struct pollfd wait = {.fd = hears, .events = POLLIN};
    passed = passed && poll(&wait, 1, 200) == 1;
    close(hears);
    close(says);
    return passed;
}
