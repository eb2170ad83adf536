/* A network of its own for each node of a test's cluster, out of namespaces: 10.77.0.<node>, the
 * test itself at .254. Needs root. The machine's own network is never touched: the test leaves it.
 */
#ifndef ORDEAL_TESTS_QUEUE_NETWORK_H
#define ORDEAL_TESTS_QUEUE_NETWORK_H

#include <stdbool.h>

enum { NETWORK_NODES_MAX = 5 };

/* False when it cannot be had here (no root, no namespaces). Call before any thread is started; the
 * process stays in the new network until it ends. */
bool network_open(unsigned nodes);
void network_close(void); /* ends the nodes' networks; the process stays where it is */

const char *network_host(unsigned node);
void network_enter(unsigned node); /* in a child, before it becomes the server */

/* What `from` sends to `to` is lost, until it is healed. One way. */
void network_cut(unsigned from, unsigned to);
void network_heal(void); /* all cuts */
/* Whether a datagram gets from one node to the other now. */
bool network_passes(unsigned from, unsigned to);

#endif
