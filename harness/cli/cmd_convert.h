/* ordeal convert: a history from one format to another. */
#ifndef ORDEAL_CLI_CMD_CONVERT_H
#define ORDEAL_CLI_CMD_CONVERT_H

/* argv[0] is "convert". The exit status: 0, 254 for bad arguments, 255 when it failed. */
int cmd_convert(int argc, char **argv);

#endif
