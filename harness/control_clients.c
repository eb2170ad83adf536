/* Connections of the nodes, reset or cut from their clients: see packets.h. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/control.h"
#include "harness/packets.h"

/* The address that this machine has for a node, by its agent's own connection. */
static const char *controller_of(struct test *test, uint32_t node, struct arena *arena)
{
    return agents_hello(test->control->agents, node, "controller", arena);
}

static enum err_code say_unknown(struct test *test, uint32_t node, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "%s: its agent does not know from where ordeal comes",
                   test->nodes[node].name);
}

/* ---- Resetting ---- */

static enum err_code add_peers(struct test *test, struct agent_call *call, enum network_peers peers,
                               struct err *err)
{
    if (peers == PEERS_NODES) {
        control_add_addresses(test, call, "peer", test_all_nodes(test) & ~NODE_SET(call->node));
        return ERR_NONE;
    }
    struct arena arena = ARENA_INIT;
    const char *controller = controller_of(test, call->node, &arena);
    if (controller != NULL)
        line_key(&call->request, "peer", controller);
    arena_free(&arena);
    return controller != NULL ? ERR_NONE : say_unknown(test, call->node, err);
}

static enum err_code block_answers(struct test *test, const char *id, node_set nodes,
                                   struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(nodes, i))
            continue;
        struct agent_call *call = control_calls_add(&calls, i, "fault-block");
        node_set others = test_all_nodes(test) & ~NODE_SET(i);
        line_key(&call->request, "id", id);
        /* Both ways: a RST that leaves would tell, and so would one in answer to what comes. */
        control_add_addresses(test, call, "to", others);
        control_add_addresses(test, call, "from", others);
    }
    enum err_code code = control_calls_make(test, &calls, err);
    control_calls_free(&calls);
    return code;
}

static enum err_code reset_all(struct test *test, node_set nodes, enum network_peers peers,
                               struct network_reset *reset, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(nodes, i))
            code = add_peers(test, control_calls_add(&calls, i, "connections-reset"), peers, err);
    if (code == ERR_NONE)
        code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE; i++) {
        reset->found += (uint32_t)line_get_int(&calls.items[i].reply.line, "found", 0);
        reset->gone += (uint32_t)line_get_int(&calls.items[i].reply.line, "gone", 0);
    }
    control_calls_free(&calls);
    return code;
}

static enum err_code count_at_peers(struct test *test, node_set nodes, uint32_t *count,
                                    struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++)
        if (!node_in(nodes, i))
            control_add_addresses(test, control_calls_add(&calls, i, "connections"), "peer", nodes);
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE; i++)
        *count += (uint32_t)line_get_int(&calls.items[i].reply.line, "established", 0);
    control_calls_free(&calls);
    return code;
}

enum err_code network_reset(struct test *test, const char *id, node_set nodes,
                            enum network_peers peers, enum reset_means means,
                            struct network_reset *reset, struct err *err)
{
    *reset = (struct network_reset){.found = 0};
    enum err_code code = means == RESET_SILENT ? block_answers(test, id, nodes, err) : ERR_NONE;
    if (code == ERR_NONE)
        code = reset_all(test, nodes, peers, reset, err);
    if (code == ERR_NONE && means == RESET_SILENT)
        code = count_at_peers(test, nodes, &reset->left_at_peers, err);
    struct err back = ERR_INIT;
    if (means == RESET_SILENT && network_undo(test, id, &back) != ERR_NONE && code == ERR_NONE)
        code = err_set(err, back.code, "%s", back.message);
    return code;
}

/* ---- The clients' links ---- */

enum err_code network_block_clients(struct test *test, const char *id, node_set nodes,
                                    int64_t *in_force_ns, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    struct arena arena = ARENA_INIT;
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        if (!node_in(nodes, i))
            continue;
        struct agent_call *call = control_calls_add(&calls, i, "fault-block");
        const char *controller = controller_of(test, i, &arena);
        if (controller == NULL) {
            code = say_unknown(test, i, err);
            break;
        }
        line_key(&call->request, "id", id);
        line_key(&call->request, "from", controller);
        line_key(&call->request, "to", controller);
    }
    arena_free(&arena);
    if (code == ERR_NONE)
        return control_calls_inject(test, &calls, id, in_force_ns, err);
    control_calls_free(&calls);
    return code;
}

enum { ANSWER_OPEN_MS = 1000, ANSWER_CUT_MS = 300 };

/* A connection to the node's SSH port that is under way; -1 with errno. */
static int knock(const struct node *node)
{
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};
    char port[8];
    snprintf(port, sizeof port, "%u", node_port(node));
    if (getaddrinfo(node_address(node), port, &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) {
        int failure = errno;
        close(fd);
        errno = failure;
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

/* Whether it answers within the time, be it by refusing. */
static bool answers(int fd, int ms)
{
    struct pollfd fds = {.fd = fd, .events = POLLOUT};
    int failure = 0;
    socklen_t length = sizeof failure;
    return poll(&fds, 1, ms) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length) == 0 &&
           (failure == 0 || failure == ECONNREFUSED);
}

enum err_code network_verify_clients(struct test *test, node_set cut, struct buf *evidence,
                                     struct err *err)
{
    int fds[PLAN_NODES_MAX];
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < test->node_count; i++)
        fds[i] = knock(&test->nodes[i]);
    int64_t began_ns = clock_monotonic_ns();
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        bool is_cut = node_in(cut, i);
        int64_t left_ms = (is_cut ? ANSWER_CUT_MS : ANSWER_OPEN_MS) -
                          (clock_monotonic_ns() - began_ns) / NS_PER_MS;
        bool answered = fds[i] >= 0 && answers(fds[i], left_ms < 0 ? 0 : (int)left_ms);
        if (answered == is_cut)
            code = err_set(err, ERR_REMOTE, "%s %s ordeal's own machine", test->nodes[i].name,
                           is_cut ? "still answers" : "does not answer");
    }
    for (uint32_t i = 0; i < test->node_count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (code == ERR_NONE && evidence != NULL)
        buf_printf(evidence, "%s%u nodes tried: %u do not answer, %u do",
                   evidence->length > 0 ? "; " : "", test->node_count, node_set_count(cut),
                   test->node_count - node_set_count(cut));
    return code;
}
