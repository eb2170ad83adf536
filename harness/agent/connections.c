/* TCP connections by way of sock_diag, and their verbs: see connections.h. */
#include "harness/agent/connections.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "harness/agent/agentd.h"
#include "harness/agent/netlink.h"
#include "harness/base/clock.h"

enum { REPLY_BYTES = 64 << 10, ANSWER_SECONDS_MAX = 5 };

struct found {
    struct inet_diag_sockid *ids; /* malloc */
    uint8_t *families;
    uint32_t count, capacity;
};

static void found_free(struct found *found)
{
    free(found->ids);
    free(found->families);
    *found = (struct found){.count = 0};
}

static void found_add(struct found *found, const struct inet_diag_msg *socket)
{
    if (found->count == found->capacity) {
        found->capacity = found->capacity == 0 ? 64 : 2 * found->capacity;
        found->ids = realloc(found->ids, found->capacity * sizeof *found->ids);
        found->families = realloc(found->families, found->capacity);
        if (found->ids == NULL || found->families == NULL)
            abort(); /* and everything is undone by who watches us */
    }
    found->families[found->count] = socket->idiag_family;
    found->ids[found->count++] = socket->id;
}

/* ---- Which ---- */

static struct agentd_address address_of(int family, const __be32 *bytes)
{
    char text[INET6_ADDRSTRLEN];
    struct agentd_address address = {.family = AF_UNSPEC};
    inet_ntop(family, bytes, text, sizeof text);
    (void)!agentd_address_parse(text, &address, NULL); /* also ::ffff:10.0.0.1 */
    return address;
}

static bool is_control(const struct agentd_peers *peers, const struct inet_diag_msg *socket,
                       const struct agentd_address *own, const struct agentd_address *peer)
{
    uint16_t own_port = ntohs(socket->id.idiag_sport), peer_port = ntohs(socket->id.idiag_dport);
    for (uint32_t i = 0; i < peers->control_count; i++) {
        const struct agentd_connection *control = &peers->control[i];
        if (agentd_address_equal(&control->server, own) && control->server_port == own_port &&
            agentd_address_equal(&control->client, peer) && control->client_port == peer_port)
            return true;
        if (agentd_address_equal(&control->client, own) && control->client_port == own_port &&
            agentd_address_equal(&control->server, peer) && control->server_port == peer_port)
            return true;
    }
    return false;
}

static bool is_meant(const struct agentd_peers *peers, const struct inet_diag_msg *socket)
{
    struct agentd_address own = address_of(socket->idiag_family, socket->id.idiag_src),
                          peer = address_of(socket->idiag_family, socket->id.idiag_dst);
    for (uint32_t i = 0; i < peers->count; i++)
        if (agentd_address_equal(&peers->addresses[i], &peer))
            return !is_control(peers, socket, &own, &peer);
    return false;
}

/* ---- Asking the kernel ---- */

static int ask(int fd, uint16_t type, uint16_t flags, uint8_t family,
               const struct inet_diag_sockid *id)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } message = {.header = {.nlmsg_len = sizeof message,
                            .nlmsg_type = type,
                            .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
                 .request = {.sdiag_family = family,
                             .sdiag_protocol = IPPROTO_TCP,
                             .idiag_states = 1u << TCP_ESTABLISHED}};
    if (id != NULL)
        message.request.id = *id;
    return send(fd, &message, sizeof message, 0) < 0 ? errno : 0;
}

/* Reads until the end of a dump, or the answer to a request; the kernel's error. */
static int read_answers(int fd, const struct agentd_peers *peers, struct found *found)
{
    static uint8_t reply[REPLY_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
    for (;;) {
        ssize_t length = recv(fd, reply, sizeof reply, 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return length < 0 ? errno : ENODATA;
        size_t place = 0;
        for (struct nlmsghdr *at;
             (at = agentd_netlink_message(reply, (size_t)length, &place)) != NULL;) {
            if (at->nlmsg_type == NLMSG_DONE)
                return 0;
            if (at->nlmsg_type == NLMSG_ERROR)
                return -((const struct nlmsgerr *)NLMSG_DATA(at))->error;
            if (found != NULL && at->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
                is_meant(peers, NLMSG_DATA(at)))
                found_add(found, NLMSG_DATA(at));
        }
    }
}

static int list(int fd, const struct agentd_peers *peers, struct found *found)
{
    static const uint8_t families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < 2; i++) {
        int failure = ask(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, families[i], NULL);
        if (failure == 0)
            failure = read_answers(fd, peers, found);
        if (failure != 0 && (families[i] == AF_INET || failure != ENOENT)) /* no IPv6 */
            return failure;
    }
    return 0;
}

static enum err_code open_diag(int *fd, struct err *err)
{
    struct timeval patience = {.tv_sec = ANSWER_SECONDS_MAX};
    *fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (*fd < 0)
        return err_errno(err, errno, "cannot ask for connections (sock_diag)");
    setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return ERR_NONE;
}

enum err_code agentd_connections_count(const struct agentd_peers *peers, uint32_t *count,
                                       struct err *err)
{
    int fd;
    struct found found = {.count = 0};
    enum err_code code = open_diag(&fd, err);
    if (code != ERR_NONE)
        return code;
    int failure = list(fd, peers, &found);
    close(fd);
    *count = found.count;
    found_free(&found);
    return failure == 0 ? ERR_NONE : err_errno(err, failure, "cannot list connections (sock_diag)");
}

static bool is_in(const struct found *found, const struct inet_diag_sockid *id)
{
    for (uint32_t i = 0; i < found->count; i++)
        if (memcmp(found->ids[i].idiag_cookie, id->idiag_cookie, sizeof id->idiag_cookie) == 0)
            return true;
    return false;
}

enum err_code agentd_connections_reset(const struct agentd_peers *peers, struct agentd_reset *reset,
                                       struct err *err)
{
    int fd;
    struct found before = {.count = 0}, after = {.count = 0};
    enum err_code code = open_diag(&fd, err);
    if (code != ERR_NONE)
        return code;
    int failure = list(fd, peers, &before);
    for (uint32_t i = 0; i < before.count && failure == 0; i++) {
        failure = ask(fd, SOCK_DESTROY, NLM_F_ACK, before.families[i], &before.ids[i]);
        if (failure == 0)
            failure = read_answers(fd, peers, NULL);
        if (failure == ENOENT) /* it ended by itself */
            failure = 0;
    }
    if (failure == 0)
        failure = list(fd, peers, &after);
    *reset = (struct agentd_reset){.found = before.count};
    for (uint32_t i = 0; i < before.count; i++)
        reset->gone += !is_in(&after, &before.ids[i]);
    found_free(&before);
    found_free(&after);
    close(fd);
    if (failure == EOPNOTSUPP)
        return err_set(err, ERR_UNSUPPORTED,
                       "the kernel cannot reset connections (CONFIG_INET_DIAG_DESTROY)");
    return failure == 0 ? ERR_NONE : err_errno(err, failure, "cannot reset a connection");
}

/* ---- Verbs ---- */

static enum err_code read_peers(struct agentd *agent, const struct agentd_request *request,
                                struct agentd_peers *peers, struct err *err)
{
    struct agentd_address *addresses =
        arena_alloc(&agent->scratch, AGENTD_TARGETS_MAX * sizeof *addresses);
    uint32_t cursor = 0;
    const char *text;
    *peers = (struct agentd_peers){.addresses = addresses,
                                   .control = agent->options->control,
                                   .control_count = agent->options->control_count};
    while ((text = line_next(request->line, "peer", &cursor)) != NULL) {
        if (peers->count == AGENTD_TARGETS_MAX)
            return err_set(err, ERR_CONFIG, "peer: more than %d addresses", AGENTD_TARGETS_MAX);
        if (agentd_address_parse(text, &addresses[peers->count++], err) != ERR_NONE)
            return err_wrap(err, "peer");
    }
    return ERR_NONE;
}

void agentd_connections_verb(struct agentd *agent, const struct agentd_request *request)
{
    struct agentd_peers peers;
    struct agentd_reset reset = {.found = 0};
    struct err err = ERR_INIT;
    bool resets = strcmp(line_at(request->line, 1), "connections-reset") == 0;
    enum err_code code = read_peers(agent, request, &peers, &err);
    if (code == ERR_NONE)
        code = resets ? agentd_connections_reset(&peers, &reset, &err)
                      : agentd_connections_count(&peers, &reset.found, &err);
    if (code != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, resets ? "found" : "established", reset.found);
    if (resets)
        line_key_int(out, "gone", reset.gone);
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - request->arrived_ns);
    line_end(out);
}
