/* `ordeal local`: the cluster on this machine. */
#ifndef ORDEAL_CLI_CMD_LOCAL_H
#define ORDEAL_CLI_CMD_LOCAL_H

/* argv[0] is "local". Returns the exit status: 0, 254 for bad arguments, 255 for a failure, or that
 * of the command that exec ran. */
int cmd_local(int argc, char **argv);

#endif
