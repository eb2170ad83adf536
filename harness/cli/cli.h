/* The command line: one function a command, and what they share. */
#ifndef ORDEAL_CLI_H
#define ORDEAL_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/buf.h"
#include "harness/base/err.h"

/* argv[0] is the command's name. They return the exit status. */
int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_local(int argc, char **argv);
int cmd_nemesis(int argc, char **argv);
int cmd_heal(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_new(int argc, char **argv);
int cmd_serve(int argc, char **argv);

/* One option of a command. */
struct cli_option {
    const char *name;    /* without the dashes */
    const char *metavar; /* NULL: takes no value */
    const char *help;
};

/* `name` and `value` of an option (value "true" for one that takes none), or name NULL and a
 * positional argument. */
typedef enum err_code cli_take(void *state, const char *name, const char *value, struct err *err);

/* Reads --name value, --name=value, --flag and positional arguments; "--" ends the options. Sets
 * *help on --help or -h. Errors suggest the nearest option. */
enum err_code cli_parse(int argc, char **argv, const struct cli_option *options, cli_take *take,
                        void *state, bool *help, struct err *err);
/* Adds "  --name METAVAR  help" lines, wrapped. */
void cli_print_options(const struct cli_option *options, struct buf *out);
/* One such line. */
void cli_print_option(const char *name, const char *metavar, const char *help, const char *fallback,
                      struct buf *out);

/* Prints "ordeal: message" to standard error and returns the status for the error's code. */
int cli_fail(const struct err *err);
/* Writes to standard output; a closed or full output is a failure. Returns the status given, or
 * 255. */
int cli_output(const struct buf *text, int status);

#endif
