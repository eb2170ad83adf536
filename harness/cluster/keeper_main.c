/* The keeper's own life: see keeper.h. One thread, one poll loop. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/line.h"
#include "harness/base/text.h"
#include "harness/cluster/init.h"
#include "harness/cluster/keeper.h"
#include "harness/cluster/network.h"
#include "harness/cluster/state.h"
#include "harness/cluster/tool.h"

enum {
    NODE_READY_MS = 60000, /* on a machine with fifty times more to do than it can */
    NODE_END_MS = 10000,
    PROBE_PAUSE_MS = 2,
    PROBE_CONNECT_MS = 20,
    ASK_WAIT_MS = 1000,
};

struct keeper_node {
    int pidfd;        /* -1: stopped */
    int channel;      /* -1 once it is up */
    int probe;        /* a connection to its sshd under way, or -1 */
    int64_t probe_ns; /* when that was begun */
    bool fresh;       /* never started on its disk */
    bool sshd_started;
};

struct keeper {
    const struct place *place;
    struct state state;
    struct keeper_node nodes[CLUSTER_NODES_MAX];
    struct buf host_key, authorized_keys;
    int control_fd, signal_fd, creator_pidfd;
};

static void log_line(const char *format, ...) FORMAT(1, 2);
static void log_line(const char *format, ...)
{
    char when[32], text[ERR_MESSAGE_MAX + 64];
    clock_format_utc(clock_wall_ns(), when, sizeof when);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dprintf(STDERR_FILENO, "%s %s\n", when, text);
}

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

static enum err_code clone_node(struct keeper *keeper, int index, struct err *err)
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
    node->sshd_started = false;
    enum err_code code = process_identify(pid, &keeper->state.nodes[index], err);
    if (code != ERR_NONE) /* it has ended already, and its channel will say why */
        keeper->state.nodes[index] = (struct process_id){.pid = pid};
    return ERR_NONE;
}

static enum err_code send_go(struct keeper *keeper, int index, struct err *err)
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
static enum err_code await_nodes(struct keeper *keeper, struct err *err)
{
    network_set_impatient(true);
    enum err_code code = await_answers(keeper, err);
    network_set_impatient(false);
    return code;
}

/* ---- Ending nodes ---- */

static void kill_node(struct keeper *keeper, int index)
{
    if (keeper->nodes[index].pidfd >= 0)
        syscall(SYS_pidfd_send_signal, keeper->nodes[index].pidfd, SIGKILL, NULL, 0);
}

/* The rest of what a node was to the keeper; its process 1 is dead. Tells how it ended. */
static siginfo_t bury_node(struct keeper *keeper, int index)
{
    struct keeper_node *node = &keeper->nodes[index];
    siginfo_t end = {.si_pid = 0};
    waitid(P_PIDFD, (id_t)node->pidfd, &end, WEXITED);
    close_fd(&node->pidfd);
    close_fd(&node->channel);
    close_fd(&node->probe);
    keeper->state.nodes[index] = (struct process_id){.pid = 0};
    return end;
}

static enum err_code await_end(struct keeper *keeper, int index, struct err *err)
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

static enum err_code end_nodes(struct keeper *keeper, struct err *err)
{
    enum err_code code = ERR_NONE;
    for (int i = 0; i < keeper->state.node_count; i++)
        kill_node(keeper, i);
    for (int i = 0; i < keeper->state.node_count; i++) {
        if (keeper->nodes[i].pidfd < 0)
            continue;
        enum err_code one = await_end(keeper, i, err);
        if (one == ERR_NONE)
            bury_node(keeper, i);
        else
            code = one;
    }
    return code;
}

/* ---- Building the cluster ---- */

struct keys {
    struct tool host, user;
};

static enum err_code start_key(const struct place *place, const char *name, struct tool *tool,
                               struct err *err)
{
    char path[PLACE_PATH_MAX], comment[64];
    place_join(place->state_dir, name, path);
    snprintf(comment, sizeof comment, "ordeal cluster %s", place->name);
    const char *const argv[] = {"ssh-keygen", "-q",    "-t", "ed25519", "-N", "",
                                "-C",         comment, "-f", path,      NULL};
    return tool_start(tool, argv, "", err);
}

static enum err_code read_key(const struct place *place, const char *name, struct buf *key,
                              struct err *err)
{
    char path[PLACE_PATH_MAX];
    place_join(place->state_dir, name, path);
    return file_read(path, 1 << 20, key, err);
}

static enum err_code write_known_hosts(const struct keeper *keeper, struct err *err)
{
    struct buf public_key = BUF_INIT, text = BUF_INIT;
    enum err_code code = read_key(keeper->place, "host_key.pub", &public_key, err);
    int length = (int)strcspn(buf_text(&public_key), "\n");
    char path[PLACE_PATH_MAX], address[48], address6[48];
    for (int i = 0; code == ERR_NONE && i < keeper->state.node_count; i++) {
        cluster_format_address(i, address, sizeof address);
        cluster_format_address6(i, address6, sizeof address6);
        buf_printf(&text, "n%d,%s%s%s %.*s\n", i + 1, address, keeper->state.ipv6 ? "," : "",
                   keeper->state.ipv6 ? address6 : "", length, buf_text(&public_key));
    }
    place_join(keeper->place->state_dir, "known_hosts", path);
    if (code == ERR_NONE)
        code = place_write_file(path, buf_text(&text), 0644, err);
    buf_free(&public_key);
    buf_free(&text);
    return code;
}

static enum err_code write_hosts(const struct keeper *keeper, struct err *err)
{
    struct buf text = BUF_INIT;
    char path[PLACE_PATH_MAX], own[256] = "";
    network_format_hosts(&text, keeper->state.node_count, keeper->state.ipv6);
    if (gethostname(own, sizeof own - 1) == 0 && own[0] != '\0')
        buf_printf(&text, "127.0.1.1\t%s\n", own);
    place_join(keeper->place->state_dir, "hosts", path);
    enum err_code code = place_write_file(path, buf_text(&text), 0644, err);
    buf_free(&text);
    place_join(keeper->place->state_dir, "gai.conf", path);
    return code == ERR_NONE ? place_write_file(path, NETWORK_GAI_CONF, 0644, err) : code;
}

static enum err_code finish_keys(struct keeper *keeper, struct keys *keys, struct err *err)
{
    enum err_code code = tool_finish(&keys->host, err);
    enum err_code user = tool_finish(&keys->user, code == ERR_NONE ? err : NULL);
    if (code == ERR_NONE)
        code = user;
    if (code == ERR_NONE)
        code = read_key(keeper->place, "host_key", &keeper->host_key, err);
    if (code == ERR_NONE)
        code = read_key(keeper->place, "key.pub", &keeper->authorized_keys, err);
    if (code == ERR_NONE)
        code = write_known_hosts(keeper, err);
    if (code == ERR_NONE)
        code = write_hosts(keeper, err);
    return code;
}

static enum err_code clone_nodes(struct keeper *keeper, struct err *err)
{
    for (int i = 0; i < keeper->state.node_count; i++) {
        enum err_code code = init_make_disk(keeper->place, i, err);
        if (code == ERR_NONE)
            code = clone_node(keeper, i, err);
        if (code != ERR_NONE) {
            err_wrap(err, "n%d", i + 1);
            return code;
        }
    }
    return ERR_NONE;
}

/* When the network cannot be made because a node died, the node knows why. */
static enum err_code first_failure(struct keeper *keeper, enum err_code code, struct err *err)
{
    for (int i = 0; i < keeper->state.node_count; i++) {
        struct err reason = ERR_INIT;
        if (keeper->nodes[i].channel >= 0 && read_channel(keeper, i, &reason) != ERR_NONE)
            return err_set(err, reason.code, "%s", reason.message);
    }
    return code;
}

/* Everything slow goes on side by side: the keys are made and the nodes mount their disks while the
 * network is built. */
static enum err_code build(struct keeper *keeper, struct err *err)
{
    struct keys keys;
    pid_t pids[CLUSTER_NODES_MAX];
    enum err_code code = start_key(keeper->place, "host_key", &keys.host, err);
    if (code != ERR_NONE)
        return code;
    code = start_key(keeper->place, "key", &keys.user, err);
    if (code != ERR_NONE)
        return code;
    if (unshare(CLONE_NEWNET) != 0)
        return err_set(err, errno == EPERM ? ERR_UNSUPPORTED : ERR_IO,
                       "make the control network: %s; a container needs --privileged",
                       strerror(errno));
    code = clone_nodes(keeper, err);
    for (int i = 0; i < keeper->state.node_count; i++)
        pids[i] = keeper->state.nodes[i].pid;
    if (code == ERR_NONE)
        code = network_build(pids, keeper->state.node_count, keeper->state.ipv6, err);
    if (code == ERR_NONE)
        code = finish_keys(keeper, &keys, err);
    for (int i = 0; code == ERR_NONE && i < keeper->state.node_count; i++)
        code = send_go(keeper, i, err);
    if (code == ERR_NONE)
        return await_nodes(keeper, err);
    return first_failure(keeper, code, err);
}

/* ---- What is asked of it later ---- */

static void save_state(struct keeper *keeper)
{
    struct err err = ERR_INIT;
    if (state_write(keeper->place, &keeper->state, &err) != ERR_NONE)
        log_line("%s", err.message);
}

static enum err_code start_node(struct keeper *keeper, int index, struct err *err)
{
    if (keeper->nodes[index].pidfd >= 0)
        return ERR_NONE;
    enum err_code code = init_make_disk(keeper->place, index, err);
    if (code == ERR_NONE)
        code = clone_node(keeper, index, err);
    if (code != ERR_NONE)
        return code;
    code = network_add_node(index, keeper->state.nodes[index].pid, err);
    if (code == ERR_NONE)
        code = send_go(keeper, index, err);
    code = code == ERR_NONE ? await_nodes(keeper, err) : first_failure(keeper, code, err);
    if (code != ERR_NONE) {
        kill_node(keeper, index);
        if (await_end(keeper, index, NULL) == ERR_NONE)
            bury_node(keeper, index);
        network_remove_node(index);
    }
    save_state(keeper);
    return code;
}

static enum err_code stop_node(struct keeper *keeper, int index, struct err *err)
{
    if (keeper->nodes[index].pidfd < 0)
        return ERR_NONE;
    kill_node(keeper, index);
    enum err_code code = await_end(keeper, index, err);
    if (code != ERR_NONE)
        return code;
    bury_node(keeper, index);
    network_remove_node(index);
    save_state(keeper);
    return ERR_NONE;
}

static enum err_code obey(struct keeper *keeper, const struct line *request, struct err *err)
{
    const char *verb = line_at(request, 0), *name = line_at(request, 1);
    for (int i = 0; i < keeper->state.node_count; i++) {
        char own[16];
        snprintf(own, sizeof own, "n%d", i + 1);
        if (strcmp(own, name) == 0 && strcmp(verb, "stop") == 0)
            return stop_node(keeper, i, err);
        if (strcmp(own, name) == 0 && strcmp(verb, "start") == 0)
            return start_node(keeper, i, err);
    }
    return err_set(err, ERR_CONFIG, "cannot %s %s", verb, name);
}

static void format_reply(struct buf *reply, enum err_code code, const struct err *err)
{
    line_field(reply, code == ERR_NONE ? "ok" : "error");
    if (code != ERR_NONE) {
        line_field(reply, err->message);
        line_key_int(reply, "code", code);
    }
    line_end(reply);
}

static void serve_client(struct keeper *keeper)
{
    int client = accept4(keeper->control_fd, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0)
        return;
    const struct timeval wait = {.tv_usec = ASK_WAIT_MS * 1000 - 1};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    char bytes[256];
    ssize_t length = recv(client, bytes, sizeof bytes, 0);
    struct arena arena = ARENA_INIT;
    struct line request;
    struct err err = ERR_INIT;
    if (length > 1) {
        enum err_code code = line_parse(&arena, bytes, (size_t)length - 1, &request, &err);
        if (code == ERR_NONE) {
            code = obey(keeper, &request, &err);
            log_line("%s %s: %s", line_at(&request, 0), line_at(&request, 1),
                     code == ERR_NONE ? "done" : err.message);
        }
        struct buf reply = BUF_INIT;
        format_reply(&reply, code, &err);
        if (send(client, reply.data, reply.length, MSG_NOSIGNAL) < 0)
            log_line("reply: %s", strerror(errno));
        buf_free(&reply);
    }
    arena_free(&arena);
    close(client);
}

/* A node that ended by itself. reboot(2) on a node ends its process 1, and the kernel says so by
 * SIGHUP; then it comes up again, as a machine would. */
static void node_ended(struct keeper *keeper, int index)
{
    siginfo_t end = bury_node(keeper, index);
    bool reboot = end.si_code == CLD_KILLED && end.si_status == SIGHUP;
    log_line("n%d ended (%s %d)%s", index + 1, end.si_code == CLD_EXITED ? "exit status" : "signal",
             end.si_status, reboot ? ", rebooting" : "");
    network_remove_node(index);
    struct err err = ERR_INIT;
    if (!reboot)
        save_state(keeper);
    else if (start_node(keeper, index, &err) != ERR_NONE)
        log_line("reboot: %s", err.message);
}

/* Returns when the cluster is to go. */
static void serve(struct keeper *keeper)
{
    for (;;) {
        struct pollfd fds[CLUSTER_NODES_MAX + 3];
        int nodes = keeper->state.node_count;
        for (int i = 0; i < nodes; i++)
            fds[i] = (struct pollfd){.fd = keeper->nodes[i].pidfd, .events = POLLIN};
        fds[nodes] = (struct pollfd){.fd = keeper->control_fd, .events = POLLIN};
        fds[nodes + 1] = (struct pollfd){.fd = keeper->signal_fd, .events = POLLIN};
        fds[nodes + 2] = (struct pollfd){.fd = keeper->creator_pidfd, .events = POLLIN};
        if (poll(fds, (nfds_t)nodes + 3, -1) < 0)
            continue;
        if (fds[nodes + 1].revents != 0 || fds[nodes + 2].revents != 0) {
            log_line("going down: %s",
                     fds[nodes + 1].revents != 0 ? "asked to" : "the creator has ended");
            return;
        }
        for (int i = 0; i < nodes; i++)
            if (fds[i].revents != 0)
                node_ended(keeper, i);
        if (fds[nodes].revents != 0)
            serve_client(keeper);
    }
}

/* ---- From fork to end ---- */

/* Whatever of the caller's could tie the two together goes: its terminal, its pipes (a caller's
 * reader would wait for their end), its directory, its signals. */
static void detach(const struct keeper_start *start)
{
    const int kept[] = {start->reply_fd, start->creator_pidfd};
    char path[PLACE_PATH_MAX];
    place_join(start->place->state_dir, "keeper.log", path);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(log >= 0 ? log : null, STDERR_FILENO);
    process_close_others(kept, 2);
    umask(022);
    process_reset_signals();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    process_set_oom_score(-1000);
    process_rename("ordeal-keeper", start->place->name);
    if (chdir("/") != 0)
        log_line("cannot leave the working directory: %s", strerror(errno));
}

static enum err_code prepare(struct keeper *keeper, const struct keeper_start *start,
                             struct err *err)
{
    *keeper = (struct keeper){.place = start->place, .creator_pidfd = start->creator_pidfd};
    state_init(&keeper->state, start->options.node_count);
    keeper->state.ephemeral = start->options.ephemeral;
    keeper->state.ipv6 = network_has_ipv6();
    for (int i = 0; i < CLUSTER_NODES_MAX; i++)
        keeper->nodes[i] =
            (struct keeper_node){.pidfd = -1, .channel = -1, .probe = -1, .fresh = true};
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    keeper->signal_fd = signalfd(-1, &ends, SFD_CLOEXEC);
    keeper->control_fd = keeper_socket(start->place, KEEPER_SERVES);
    if (keeper->signal_fd < 0 || keeper->control_fd < 0)
        return err_errno(err, errno, "make the control socket in %s", start->place->state_dir);
    enum err_code code = process_identify(getpid(), &keeper->state.keeper, err);
    return code == ERR_NONE ? state_write(start->place, &keeper->state, err) : code;
}

/* Whoever takes the cluster down holds the lock and clears the files; when nobody does, because the
 * creator died or an administrator sent SIGTERM, that is the keeper's. */
static void sweep(struct keeper *keeper)
{
    int lock;
    struct err err = ERR_INIT;
    struct state now;
    if (place_lock(keeper->place, 0, &lock, &err) != ERR_NONE)
        return;
    if (state_read(keeper->place, &now, &err) == ERR_NONE &&
        now.keeper.pid == keeper->state.keeper.pid &&
        place_sweep(keeper->place, PLACE_LEAVE_NOTHING, &err) != ERR_NONE)
        log_line("%s", err.message);
}

static bool reply_to_creator(int fd, enum err_code code, const struct err *err)
{
    struct buf reply = BUF_INIT;
    format_reply(&reply, code, err);
    bool told = write(fd, reply.data, reply.length) == (ssize_t)reply.length;
    buf_free(&reply);
    close(fd);
    return told;
}

/* Whether somebody still waits for the reply. */
static bool creator_listens(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = 0};
    return poll(&poll_fd, 1, 0) == 0;
}

/* From here on others may attach. A creator that was killed before is an `up` that did not happen;
 * one that is killed after leaves the cluster up. */
static enum err_code get_ready(struct keeper *keeper, int reply_fd, struct err *err)
{
    if (!creator_listens(reply_fd))
        return err_set(err, ERR_CANCELLED, "the creator has ended");
    for (int i = 0; i < keeper->state.node_count; i++)
        keeper->nodes[i].fresh = false;
    keeper->state.ready = true;
    return state_write(keeper->place, &keeper->state, err);
}

/* First of all nobody must attach any more. */
static void go_down(struct keeper *keeper)
{
    struct err err = ERR_INIT;
    if (keeper->state.ready) {
        keeper->state.ready = false;
        save_state(keeper);
    }
    if (end_nodes(keeper, &err) != ERR_NONE)
        log_line("%s", err.message);
}

void keeper_main(const struct keeper_start *start)
{
    static struct keeper keeper;
    struct err err = ERR_INIT;
    detach(start);
    enum err_code code = prepare(&keeper, start, &err);
    if (code == ERR_NONE)
        code = build(&keeper, &err);
    if (code == ERR_NONE)
        code = get_ready(&keeper, start->reply_fd, &err);
    if (code != ERR_NONE) {
        log_line("not up: %s", err.message);
        go_down(&keeper);
        if (!reply_to_creator(start->reply_fd, code, &err))
            sweep(&keeper);
        _exit(1);
    }
    log_line("up: %d nodes", keeper.state.node_count);
    if (!reply_to_creator(start->reply_fd, code, &err))
        log_line("the creator has ended");
    serve(&keeper);
    go_down(&keeper);
    sweep(&keeper);
    _exit(0);
}
