/* Probes: small datagrams that tell whether packets get through. */
#ifndef ORDEAL_AGENT_PROBE_H
#define ORDEAL_AGENT_PROBE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "harness/agent/firewall.h"

enum { AGENTD_NONCE_MAX = 64, AGENTD_PROBE_RING = 1024, AGENTD_PROBE_COUNT_MAX = 100 };

struct agentd_probe_seen {
    char nonce[AGENTD_NONCE_MAX + 1];
    struct agentd_address source;
    int64_t at_ns;
};

struct agentd_probe {
    int fd; /* -1 when not listening */
    uint16_t port;
    int family;
    uint32_t next; /* in the ring */
    struct agentd_probe_seen seen[AGENTD_PROBE_RING];
};

union agentd_socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};
/* A UDP socket, not blocking, of both families, or of IPv4 where there is no IPv6; port 0 picks
 * one. -1 on failure. */
int agentd_udp_open(uint16_t *port, int *family, struct err *err);
/* The address to send to from a socket of that family; its length. */
socklen_t agentd_udp_target(union agentd_socket_address *to, const struct agentd_address *target,
                            uint16_t port, int socket_family);

/* Binds both families, or IPv4 alone where there is no IPv6; again on the same port is fine. */
enum err_code agentd_probe_open(struct agentd_probe *probe, uint16_t port, struct err *err);
void agentd_probe_close(struct agentd_probe *probe);
/* Remembers what has arrived. */
void agentd_probe_receive(struct agentd_probe *probe, int64_t now_ns);
/* NULL when no such nonce came from there (`source` NULL: from anywhere) so far. */
const struct agentd_probe_seen *agentd_probe_find(const struct agentd_probe *probe,
                                                  const char *nonce,
                                                  const struct agentd_address *source);
/* Sends `count` times; `refused` counts those that our own node would not let out. */
enum err_code agentd_probe_transmit(struct agentd_probe *probe, const struct agentd_address *target,
                                    uint16_t port, const char *nonce, uint32_t count,
                                    uint32_t *refused, struct err *err);

#endif
