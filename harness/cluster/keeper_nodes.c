/* The keeper's nodes, from clone to burial: see keeper_internal.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/line.h"
#include "harness/cluster/groups.h"
#include "harness/cluster/init.h"
#include "harness/cluster/keeper_internal.h"
#include "harness/cluster/network.h"

enum {
    NODE_READY_MS = 60000, /* on a machine with fifty times more to do than it can */
    NODE_END_MS = 10000,
    PROBE_PAUSE_MS = 2,
    PROBE_CONNECT_MS = 20,
};

static bool is_waiting(const struct keeper_node *node)
{
    return node->channel >= 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- Starting nodes ---- */

static pid_t clone_process(int *pidfd)
{
    struct clone_args arguments = {
        .flags =
            CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

enum err_code keeper_clone_node(struct keeper *keeper, int index, struct err *err)
{
    struct keeper_node *node = &keeper->nodes[index];
    int channel[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) != 0)
        return err_errno(err, errno, "make a socket pair");
    const struct init_spec spec = {.place = keeper->place,
                                   .index = index,
                                   .node_count = keeper->state.node_count,
                                   .ipv6 = keeper->state.ipv6,
                                   .fresh = node->fresh};
    pid_t pid = clone_process(&node->pidfd);
    if (pid == 0)
        init_main(&spec, channel[1]);
    int error = errno;
    close(channel[1]);
    if (pid < 0) {
        close(channel[0]);
        node->pidfd = -1;
        if (error == EPERM || error == ENOSYS)
            return err_set(err, ERR_UNSUPPORTED,
                           "namespaces cannot be made here (%s); a container needs --privileged",
                           strerror(error));
        return err_errno(err, error, "make namespaces");
    }
    node->channel = channel[0];
    node->pid_namespace = groups_namespace(pid);
    node->sshd_started = false;
    enum err_code code = process_identify(pid, &keeper->state.nodes[index], err);
    if (code != ERR_NONE) /* it has ended already, and its channel will say why */
        keeper->state.nodes[index] = (struct process_id){.pid = pid};
    return ERR_NONE;
}

enum err_code keeper_send_go(struct keeper *keeper, int index, struct err *err)
{
    struct buf go = BUF_INIT;
    line_field(&go, "go");
    line_key_bytes(&go, "host_key", keeper->host_key.data, keeper->host_key.length);
    line_key_bytes(&go, "authorized_keys", keeper->authorized_keys.data,
                   keeper->authorized_keys.length);
    line_end(&go);
    ssize_t sent = send(keeper->nodes[index].channel, go.data, go.length, MSG_NOSIGNAL);
    int error = errno;
    buf_free(&go);
    /* EPIPE: it has failed, and said why. */
    return sent < 0 && error != EPIPE ? err_errno(err, error, "n%d: say go", index + 1) : ERR_NONE;
}

/* ---- Waiting for them ---- */

static int open_probe(int index)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    char text[48];
    cluster_format_address(index, text, sizeof text);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(22)};
    inet_pton(AF_INET, text, &address.sin_addr);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS)
        return fd;
    close(fd);
    return -1;
}

/* True when sshd has sent its banner. */
static bool probe_answers(struct keeper_node *node)
{
    char banner[256];
    ssize_t got = recv(node->probe, banner, sizeof banner, 0);
    if (got < 0 && errno == EAGAIN)
        return false;
    close_fd(&node->probe);
    return got >= 4 && memcmp(banner, "SSH-", 4) == 0;
}

static enum err_code read_channel(struct keeper *keeper, int index, struct err *err)
{
    struct keeper_node *node = &keeper->nodes[index];
    char message[INIT_MESSAGE_MAX];
    ssize_t length = recv(node->channel, message, sizeof message, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return ERR_NONE;
    if (length <= 0)
        return err_set(err, ERR_IO, "n%d: its process 1 ended before it was up", index + 1);
    struct arena arena = ARENA_INIT;
    struct line line;
    enum err_code code = line_parse(&arena, message, (size_t)length, &line, err);
    if (code == ERR_NONE && strcmp(line_at(&line, 0), "sshd") == 0)
        node->sshd_started = true;
    else if (code == ERR_NONE)
        code = err_set(err, (enum err_code)line_get_int(&line, "code", ERR_IO), "n%d: %s",
                       index + 1, line_at(&line, 1));
    arena_free(&arena);
    return code;
}

/* A packet that is sent while the kernel is still switching the links on is lost, and would be sent
 * again only after a second. */
static void renew_probe(struct keeper_node *node, int index)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    int64_t now_ns = clock_monotonic_ns();
    if (node->probe >= 0 && now_ns - node->probe_ns > PROBE_CONNECT_MS * NS_PER_MS &&
        getsockopt(node->probe, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
        info.tcpi_state == TCP_SYN_SENT)
        close_fd(&node->probe);
    if (node->probe < 0) {
        node->probe = open_probe(index);
        node->probe_ns = now_ns;
    }
}

/* Two descriptors per waiting node; those that are -1 are passed over by poll. */
static int poll_nodes(struct keeper *keeper, struct pollfd *fds, int64_t left_ms)
{
    int wait_ms = left_ms < PROBE_CONNECT_MS ? (int)left_ms : PROBE_CONNECT_MS;
    for (int i = 0; i < keeper->state.node_count; i++) {
        struct keeper_node *node = &keeper->nodes[i];
        if (is_waiting(node) && node->sshd_started) {
            renew_probe(node, i);
            if (node->probe < 0)
                wait_ms = PROBE_PAUSE_MS;
        }
        fds[2 * i] = (struct pollfd){.fd = node->channel, .events = POLLIN};
        fds[2 * i + 1] = (struct pollfd){.fd = node->probe, .events = POLLIN};
    }
    return poll(fds, 2 * (nfds_t)keeper->state.node_count, wait_ms);
}

static int count_waiting(const struct keeper *keeper, int *first)
{
    int waiting = 0;
    for (int i = keeper->state.node_count - 1; i >= 0; i--)
        if (is_waiting(&keeper->nodes[i])) {
            waiting++;
            *first = i;
        }
    return waiting;
}

static enum err_code await_answers(struct keeper *keeper, struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + NODE_READY_MS * NS_PER_MS;
    struct pollfd fds[2 * CLUSTER_NODES_MAX];
    int first = 0;
    while (count_waiting(keeper, &first) > 0) {
        int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
        if (left_ms <= 0)
            return err_set(err, ERR_TIMEOUT, "n%d: its sshd did not answer within %d s", first + 1,
                           NODE_READY_MS / 1000);
        if (poll_nodes(keeper, fds, left_ms) < 0 && errno != EINTR)
            return err_errno(err, errno, "wait for the nodes");
        bool refused = false;
        for (int i = 0; i < keeper->state.node_count; i++) {
            struct keeper_node *node = &keeper->nodes[i];
            if (fds[2 * i].revents != 0) {
                enum err_code code = read_channel(keeper, i, err);
                if (code != ERR_NONE)
                    return code;
            }
            if (fds[2 * i + 1].fd < 0 || fds[2 * i + 1].revents == 0)
                continue;
            if (probe_answers(node))
                close_fd(&node->channel);
            else
                refused |= node->probe < 0;
        }
        if (refused) /* sshd is about to listen */
            clock_sleep_ns(PROBE_PAUSE_MS * NS_PER_MS);
    }
    return ERR_NONE;
}

/* Waits for all nodes that were told to go. The first that fails ends it. */
enum err_code keeper_await_nodes(struct keeper *keeper, struct err *err)
{
    network_set_impatient(true);
    enum err_code code = await_answers(keeper, err);
    network_set_impatient(false);
    return code;
}

/* ---- Ending nodes ---- */

void keeper_kill_node(struct keeper *keeper, int index)
{
    if (keeper->nodes[index].pidfd >= 0)
        syscall(SYS_pidfd_send_signal, keeper->nodes[index].pidfd, SIGKILL, NULL, 0);
}

/* The rest of what a node was to the keeper; its process 1 is dead. Tells how it ended. */
siginfo_t keeper_bury_node(struct keeper *keeper, int index)
{
    struct keeper_node *node = &keeper->nodes[index];
    siginfo_t end = {.si_pid = 0};
    waitid(P_PIDFD, (id_t)node->pidfd, &end, WEXITED);
    close_fd(&node->pidfd);
    close_fd(&node->channel);
    close_fd(&node->probe);
    groups_sweep(node->pid_namespace);
    keeper->state.nodes[index] = (struct process_id){.pid = 0};
    return end;
}

enum err_code keeper_await_end(struct keeper *keeper, int index, struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + NODE_END_MS * NS_PER_MS;
    struct pollfd poll_fd = {.fd = keeper->nodes[index].pidfd, .events = POLLIN};
    for (;;) {
        int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
        int ready = poll(&poll_fd, 1, left_ms > 0 ? (int)left_ms : 0);
        if (ready > 0)
            return ERR_NONE;
        if (ready == 0)
            return err_set(err, ERR_TIMEOUT,
                           "n%d: its processes stay although its process 1 was killed; are they "
                           "frozen?",
                           index + 1);
        if (errno != EINTR)
            return err_errno(err, errno, "n%d: wait for its end", index + 1);
    }
}

enum err_code keeper_end_nodes(struct keeper *keeper, struct err *err)
{
    enum err_code code = ERR_NONE;
    for (int i = 0; i < keeper->state.node_count; i++)
        keeper_kill_node(keeper, i);
    for (int i = 0; i < keeper->state.node_count; i++) {
        if (keeper->nodes[i].pidfd < 0)
            continue;
        enum err_code one = keeper_await_end(keeper, i, err);
        if (one == ERR_NONE)
            keeper_bury_node(keeper, i);
        else
            code = one;
    }
    return code;
}

/* When the network cannot be made because a node died, the node knows why. */
enum err_code keeper_first_failure(struct keeper *keeper, enum err_code code, struct err *err)
{
    for (int i = 0; i < keeper->state.node_count; i++) {
        struct err reason = ERR_INIT;
        if (keeper->nodes[i].channel >= 0 && read_channel(keeper, i, &reason) != ERR_NONE)
            return err_set(err, reason.code, "%s", reason.message);
    }
    return code;
}
