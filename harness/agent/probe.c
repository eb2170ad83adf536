/* Probes: see probe.h. */
#include "harness/agent/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char prefix[] = "ordeal-probe ";

static int open_family(int family, uint16_t port, int *failure)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int off = 0;
    union agentd_socket_address own = {.any = {.sa_family = (sa_family_t)family}};
    socklen_t length = sizeof own.v4;
    if (family == AF_INET6) {
        own.v6.sin6_port = htons(port);
        length = sizeof own.v6;
    } else {
        own.v4.sin_port = htons(port);
    }
    if (fd >= 0 &&
        (family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0) &&
        bind(fd, &own.any, length) == 0)
        return fd;
    *failure = errno;
    if (fd >= 0)
        close(fd);
    return -1;
}

int agentd_udp_open(uint16_t *port, int *family, struct err *err)
{
    int failure = 0, fd = open_family(*family = AF_INET6, *port, &failure);
    if (fd < 0 && failure != EADDRINUSE && failure != EACCES)
        fd = open_family(*family = AF_INET, *port, &failure);
    if (fd < 0) {
        err_errno(err, failure, "cannot listen for probes on UDP port %u", *port);
        return -1;
    }
    union agentd_socket_address own = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t length = sizeof own;
    getsockname(fd, &own.any, &length);
    *port = ntohs(*family == AF_INET6 ? own.v6.sin6_port : own.v4.sin_port);
    return fd;
}

enum err_code agentd_probe_open(struct agentd_probe *probe, uint16_t port, struct err *err)
{
    if (probe->fd >= 0 && (port == 0 || port == probe->port))
        return ERR_NONE;
    int family, fd = agentd_udp_open(&port, &family, err);
    if (fd < 0)
        return err->code;
    agentd_probe_close(probe);
    probe->fd = fd;
    probe->family = family;
    probe->port = port;
    return ERR_NONE;
}

void agentd_probe_close(struct agentd_probe *probe)
{
    if (probe->fd >= 0)
        close(probe->fd);
    probe->fd = -1;
}

static void remember(struct agentd_probe *probe, const char *nonce,
                     const union agentd_socket_address *source, int64_t now_ns)
{
    char text[INET6_ADDRSTRLEN];
    struct agentd_probe_seen *seen = &probe->seen[probe->next];
    if (source->any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &source->v6.sin6_addr, text, sizeof text);
    else
        inet_ntop(AF_INET, &source->v4.sin_addr, text, sizeof text);
    if (agentd_address_parse(text, &seen->source, NULL) != ERR_NONE)
        return;
    size_t nonce_length = strnlen(nonce, AGENTD_NONCE_MAX);
    memcpy(seen->nonce, nonce, nonce_length);
    seen->nonce[nonce_length] = '\0';
    seen->at_ns = now_ns;
    probe->next = (probe->next + 1) % AGENTD_PROBE_RING;
}

void agentd_probe_receive(struct agentd_probe *probe, int64_t now_ns)
{
    /* At most a ring full at a time: a flood of datagrams must not keep the agent from its input.
     */
    for (int i = 0; i < AGENTD_PROBE_RING; i++) {
        char bytes[256];
        union agentd_socket_address source;
        socklen_t length = sizeof source;
        ssize_t size = recvfrom(probe->fd, bytes, sizeof bytes - 1, 0, &source.any, &length);
        if (size < 0 && (errno == EAGAIN || errno == EBADF))
            return;
        size_t head = sizeof prefix - 1;
        if (size <= (ssize_t)head || size > (ssize_t)(head + AGENTD_NONCE_MAX) ||
            memcmp(bytes, prefix, head) != 0)
            continue;
        bytes[size] = '\0';
        remember(probe, bytes + head, &source, now_ns);
    }
}

const struct agentd_probe_seen *agentd_probe_find(const struct agentd_probe *probe,
                                                  const char *nonce,
                                                  const struct agentd_address *source)
{
    for (uint32_t i = 0; i < AGENTD_PROBE_RING; i++) {
        const struct agentd_probe_seen *seen = &probe->seen[i];
        if (seen->at_ns != 0 && strcmp(seen->nonce, nonce) == 0 &&
            (source == NULL || agentd_address_equal(&seen->source, source)))
            return seen;
    }
    return NULL;
}

socklen_t agentd_udp_target(union agentd_socket_address *to, const struct agentd_address *target,
                            uint16_t port, int socket_family)
{
    memset(to, 0, sizeof *to);
    if (socket_family == AF_INET) {
        to->v4.sin_family = AF_INET;
        to->v4.sin_port = htons(port);
        memcpy(&to->v4.sin_addr, target->bytes, 4);
        return sizeof to->v4;
    }
    to->v6.sin6_family = AF_INET6;
    to->v6.sin6_port = htons(port);
    uint8_t *bytes = to->v6.sin6_addr.s6_addr;
    if (target->family == AF_INET6) {
        memcpy(bytes, target->bytes, 16);
    } else {
        bytes[10] = bytes[11] = 0xff;
        memcpy(bytes + 12, target->bytes, 4);
    }
    return sizeof to->v6;
}

enum err_code agentd_probe_transmit(struct agentd_probe *probe, const struct agentd_address *target,
                                    uint16_t port, const char *nonce, uint32_t count,
                                    uint32_t *refused, struct err *err)
{
    int failure = 0, fd = probe->fd, family = probe->family;
    if (fd < 0) {
        fd = open_family(family = AF_INET6, 0, &failure);
        if (fd < 0)
            fd = open_family(family = AF_INET, 0, &failure);
        if (fd < 0)
            return err_errno(err, failure, "cannot open a UDP socket");
    }
    enum err_code code = ERR_NONE;
    if (family == AF_INET && target->family == AF_INET6) {
        code =
            err_set(err, ERR_UNSUPPORTED, "cannot send to %s: this node has no IPv6", target->text);
    } else {
        char bytes[sizeof prefix + AGENTD_NONCE_MAX];
        int length = snprintf(bytes, sizeof bytes, "%s%s", prefix, nonce);
        union agentd_socket_address to;
        socklen_t to_length = agentd_udp_target(&to, target, port, family);
        *refused = 0;
        for (uint32_t i = 0; i < count; i++) {
            ssize_t sent = sendto(fd, bytes, (size_t)length, 0, &to.any, to_length);
            if (sent < 0 &&
                errno == ECONNREFUSED) /* news of an earlier one; this one was not sent */
                sent = sendto(fd, bytes, (size_t)length, 0, &to.any, to_length);
            *refused += sent < 0; /* EPERM is how a packet filter's drop on output shows */
        }
    }
    if (fd != probe->fd)
        close(fd);
    return code;
}
