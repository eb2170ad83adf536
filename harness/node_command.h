/* Commands that are run on this machine about a node: to switch it off, and on again. */
#ifndef ORDEAL_NODE_COMMAND_H
#define ORDEAL_NODE_COMMAND_H

#include "harness/base/buf.h"
#include "harness/node.h"

/* Adds the command with {node} and {address} replaced by the node's, as words of a shell. */
void node_command_fill(const struct node *node, const char *text, struct buf *command);
/* Runs such a filled command under `sh` and waits for it, however long that takes. ERR_REMOTE when
 * its exit status is not 0, with the first line of what it said; `node` begins the message. */
enum err_code node_command_run(const char *node, const char *command, struct err *err);

#endif
