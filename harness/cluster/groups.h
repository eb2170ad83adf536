/* What a node that died may have left in the kernel's control groups.
 *
 * Nodes share the hierarchy with the host. A fault's group bears the number of the node's pid
 * namespace in its name (harness/agent/groups.h); the agent that would have removed it died with
 * the node. */
#ifndef ORDEAL_CLUSTER_GROUPS_H
#define ORDEAL_CLUSTER_GROUPS_H

#include <sys/types.h>

/* The number of a living process' pid namespace; 0 when there is none. */
ino_t groups_namespace(pid_t pid);
/* Removes that namespace's groups; nothing runs in it any more. */
void groups_sweep(ino_t namespace);

#endif
