/* The cluster's network: a bridge in the control namespace, and a pair of virtual interfaces per
 * node (vI on the bridge, eth0 in the node). Hardware addresses are fixed, so that a node that was
 * stopped and started is found again without waiting for anybody's neighbour table. */
#ifndef ORDEAL_CLUSTER_NETWORK_H
#define ORDEAL_CLUSTER_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "harness/base/buf.h"
#include "harness/base/err.h"

#define NETWORK_CONTROL_ADDRESS "10.77.0.1"
#define NETWORK_CONTROL_ADDRESS6 "fd77::1"

bool network_has_ipv6(void);

/* ---- In the control namespace ---- */
/* Makes the bridge and connects `count` nodes to it; processes[i] is any process in the namespace
 * of node indices[i]. */
enum err_code network_build(const pid_t *processes, int count, bool ipv6,
                            struct err *err) MUST_CHECK;
enum err_code network_add_node(int index, pid_t process, struct err *err) MUST_CHECK;
/* At once, while the kernel takes its time to clear a namespace. Fine when it is gone. */
void network_remove_node(int index);

/* Whether to ask for a node's hardware address every few milliseconds instead of every second. */
void network_set_impatient(bool impatient);

/* ---- In a node's namespace, when its eth0 is there ---- */
/* `count` is that of all nodes. */
enum err_code network_configure_node(int index, int count, bool ipv6, struct err *err) MUST_CHECK;

/* /etc/gai.conf: IPv4 first. A node's name has both addresses, and many servers listen on IPv4
 * alone; the C library by itself would prefer these IPv6 ones. */
#define NETWORK_GAI_CONF "precedence ::ffff:0:0/96 100\n"
/* /etc/hosts of a cluster with so many nodes. */
void network_format_hosts(struct buf *out, int node_count, bool ipv6);

#endif
