/* The node's TCP connections with some addresses: counted, and reset by the kernel (sock_diag). */
#ifndef ORDEAL_AGENT_CONNECTIONS_H
#define ORDEAL_AGENT_CONNECTIONS_H

#include "harness/agent/firewall.h"

struct agentd_peers {
    const struct agentd_address *addresses;
    uint32_t count;
    /* Never touched: how the controller talks to this agent. */
    const struct agentd_connection *control;
    uint32_t control_count;
};

struct agentd_reset {
    uint32_t found, gone; /* established ones; of them those that are no more */
};

/* Established connections with the peers, in this network namespace. */
enum err_code agentd_connections_count(const struct agentd_peers *peers, uint32_t *count,
                                       struct err *err);
/* Resets them: their owners get ECONNABORTED, the peers a RST. ERR_UNSUPPORTED where the kernel
 * cannot (CONFIG_INET_DIAG_DESTROY). */
enum err_code agentd_connections_reset(const struct agentd_peers *peers, struct agentd_reset *reset,
                                       struct err *err);

#endif
