/* What ordeal run and ordeal run --suite share. */
#ifndef ORDEAL_CMD_RUN_H
#define ORDEAL_CMD_RUN_H

#include "harness/cli/cli.h"

int cmd_run_suite(int argc, char **argv, const struct cli_option *options);
/* The command line as a shell would take it again. */
void cmd_run_words(int argc, char **argv, struct buf *out);

#endif
