/* The keeper's own life: see keeper.h. One thread, one poll loop. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/line.h"
#include "harness/cluster/init.h"
#include "harness/cluster/keeper_internal.h"
#include "harness/cluster/network.h"

enum { ASK_WAIT_MS = 1000 };

void keeper_log(const char *format, ...)
{
    char when[32], text[ERR_MESSAGE_MAX + 64];
    clock_format_utc(clock_wall_ns(), when, sizeof when);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dprintf(STDERR_FILENO, "%s %s\n", when, text);
}

/* ---- What is asked of it later ---- */

static void save_state(struct keeper *keeper)
{
    struct err err = ERR_INIT;
    if (state_write(keeper->place, &keeper->state, &err) != ERR_NONE)
        keeper_log("%s", err.message);
}

static enum err_code start_node(struct keeper *keeper, int index, struct err *err)
{
    if (keeper->nodes[index].pidfd >= 0)
        return ERR_NONE;
    enum err_code code = init_make_disk(keeper->place, index, err);
    if (code == ERR_NONE)
        code = keeper_clone_node(keeper, index, err);
    if (code != ERR_NONE)
        return code;
    code = network_add_node(index, keeper->state.nodes[index].pid, err);
    if (code == ERR_NONE)
        code = keeper_send_go(keeper, index, err);
    code = code == ERR_NONE ? keeper_await_nodes(keeper, err)
                            : keeper_first_failure(keeper, code, err);
    if (code != ERR_NONE) {
        keeper_kill_node(keeper, index);
        if (keeper_await_end(keeper, index, NULL) == ERR_NONE)
            keeper_bury_node(keeper, index);
        network_remove_node(index);
    }
    save_state(keeper);
    return code;
}

static enum err_code stop_node(struct keeper *keeper, int index, struct err *err)
{
    if (keeper->nodes[index].pidfd < 0)
        return ERR_NONE;
    keeper_kill_node(keeper, index);
    enum err_code code = keeper_await_end(keeper, index, err);
    if (code != ERR_NONE)
        return code;
    keeper_bury_node(keeper, index);
    network_remove_node(index);
    save_state(keeper);
    return ERR_NONE;
}

static void end_hold(struct keeper *keeper, int index)
{
    if (keeper->nodes[index].holder >= 0)
        close(keeper->nodes[index].holder);
    keeper->nodes[index].holder = -1;
}

/* *held gets the index of a node that whoever asked now holds off. */
static enum err_code obey(struct keeper *keeper, const struct line *request, int *held,
                          struct err *err)
{
    const char *verb = line_at(request, 0), *name = line_at(request, 1);
    if (strcmp(verb, "keep") == 0) { /* it outlives its creator after all */
        if (keeper->creator_pidfd >= 0)
            close(keeper->creator_pidfd);
        keeper->creator_pidfd = -1;
        keeper->state.ephemeral = false;
        save_state(keeper);
        return ERR_NONE;
    }
    for (int i = 0; i < keeper->state.node_count; i++) {
        char own[16];
        snprintf(own, sizeof own, "n%d", i + 1);
        if (strcmp(own, name) != 0)
            continue;
        if (strcmp(verb, "off") == 0)
            *held = i;
        else
            end_hold(keeper, i);
        if (strcmp(verb, "stop") == 0 || *held == i)
            return stop_node(keeper, i, err);
        if (strcmp(verb, "start") == 0)
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
    int held = -1;
    if (length > 1) {
        enum err_code code = line_parse(&arena, bytes, (size_t)length - 1, &request, &err);
        if (code == ERR_NONE) {
            code = obey(keeper, &request, &held, &err);
            keeper_log("%s %s: %s", line_at(&request, 0), line_at(&request, 1),
                       code == ERR_NONE ? "done" : err.message);
        }
        struct buf reply = BUF_INIT;
        format_reply(&reply, code, &err);
        if (send(client, reply.data, reply.length, MSG_NOSIGNAL) < 0)
            keeper_log("reply: %s", strerror(errno));
        buf_free(&reply);
        held = code == ERR_NONE ? held : -1;
    }
    arena_free(&arena);
    if (held < 0) {
        close(client);
        return;
    }
    end_hold(keeper, held);
    keeper->nodes[held].holder = client;
}

/* Who held it off has let go, or died. */
static void hold_ended(struct keeper *keeper, int index)
{
    struct err err = ERR_INIT;
    end_hold(keeper, index);
    enum err_code code = start_node(keeper, index, &err);
    keeper_log("n%d is not held off any more: %s", index + 1,
               code == ERR_NONE ? "started" : err.message);
}

/* A node that ended by itself. reboot(2) on a node ends its process 1, and the kernel says so by
 * SIGHUP; then it comes up again, as a machine would. */
static void node_ended(struct keeper *keeper, int index)
{
    siginfo_t end = keeper_bury_node(keeper, index);
    bool reboot = end.si_code == CLD_KILLED && end.si_status == SIGHUP;
    keeper_log("n%d ended (%s %d)%s", index + 1,
               end.si_code == CLD_EXITED ? "exit status" : "signal", end.si_status,
               reboot ? ", rebooting" : "");
    network_remove_node(index);
    struct err err = ERR_INIT;
    if (!reboot)
        save_state(keeper);
    else if (start_node(keeper, index, &err) != ERR_NONE)
        keeper_log("reboot: %s", err.message);
}

/* Returns when the cluster is to go. */
static void serve(struct keeper *keeper)
{
    for (;;) {
        struct pollfd fds[2 * CLUSTER_NODES_MAX + 3];
        int nodes = keeper->state.node_count;
        for (int i = 0; i < nodes; i++)
            fds[i] = (struct pollfd){.fd = keeper->nodes[i].pidfd, .events = POLLIN};
        fds[nodes] = (struct pollfd){.fd = keeper->control_fd, .events = POLLIN};
        fds[nodes + 1] = (struct pollfd){.fd = keeper->signal_fd, .events = POLLIN};
        fds[nodes + 2] = (struct pollfd){.fd = keeper->creator_pidfd, .events = POLLIN};
        for (int i = 0; i < nodes; i++)
            fds[nodes + 3 + i] = (struct pollfd){.fd = keeper->nodes[i].holder, .events = POLLIN};
        if (poll(fds, 2 * (nfds_t)nodes + 3, -1) < 0)
            continue;
        if (fds[nodes + 1].revents != 0 || fds[nodes + 2].revents != 0) {
            keeper_log("going down: %s",
                       fds[nodes + 1].revents != 0 ? "asked to" : "the creator has ended");
            return;
        }
        for (int i = 0; i < nodes; i++)
            if (fds[i].revents != 0)
                node_ended(keeper, i);
        for (int i = 0; i < nodes; i++)
            if (fds[nodes + 3 + i].revents != 0)
                hold_ended(keeper, i);
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
        keeper_log("cannot leave the working directory: %s", strerror(errno));
}

static enum err_code prepare(struct keeper *keeper, const struct keeper_start *start,
                             struct err *err)
{
    *keeper = (struct keeper){.place = start->place, .creator_pidfd = start->creator_pidfd};
    state_init(&keeper->state, start->options.node_count);
    keeper->state.ephemeral = start->options.ephemeral;
    keeper->state.ipv6 = network_has_ipv6();
    for (int i = 0; i < CLUSTER_NODES_MAX; i++)
        keeper->nodes[i] = (struct keeper_node){
            .pidfd = -1, .channel = -1, .probe = -1, .holder = -1, .fresh = true};
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
        keeper_log("%s", err.message);
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
    if (keeper_end_nodes(keeper, &err) != ERR_NONE)
        keeper_log("%s", err.message);
}

void keeper_main(const struct keeper_start *start)
{
    static struct keeper keeper;
    struct err err = ERR_INIT;
    detach(start);
    enum err_code code = prepare(&keeper, start, &err);
    if (code == ERR_NONE)
        code = keeper_build(&keeper, &err);
    if (code == ERR_NONE)
        code = get_ready(&keeper, start->reply_fd, &err);
    if (code != ERR_NONE) {
        keeper_log("not up: %s", err.message);
        go_down(&keeper);
        if (!reply_to_creator(start->reply_fd, code, &err))
            sweep(&keeper);
        _exit(1);
    }
    keeper_log("up: %d nodes", keeper.state.node_count);
    if (!reply_to_creator(start->reply_fd, code, &err))
        keeper_log("the creator has ended");
    serve(&keeper);
    go_down(&keeper);
    sweep(&keeper);
    _exit(0);
}
