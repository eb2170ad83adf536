/* A program that is spoken to by lines of JSON on its standard input and output: one process at a
 * time, started anew when it is gone. */
#ifndef ORDEAL_NEMESIS_PIPE_H
#define ORDEAL_NEMESIS_PIPE_H

#include <stdbool.h>
#include <sys/types.h>

#include "harness/base/json.h"

struct pipe_program {
    const char *path;
    pid_t pid; /* 0: it does not run */
    int in, out;
    struct buf unread; /* of what it said */
};

/* Starts it in a process group of its own, so that Ctrl-C does not reach it; its standard error is
 * ours. */
enum err_code pipe_start(struct pipe_program *program, struct err *err);
/* Writes one line, and reads the next. ERR_TIMEOUT when it takes longer than until `deadline_ns`
 * (monotonic), ERR_IO when it has ended (and how), ERR_PARSE when the line is no JSON object. After
 * a failure the program was killed: what it says later is never taken for an answer. */
enum err_code pipe_say(struct pipe_program *program, const char *line, int64_t deadline_ns,
                       struct err *err);
enum err_code pipe_hear(struct pipe_program *program, int64_t deadline_ns, struct json **said,
                        struct err *err);
/* Closes its input, waits so long for it to end, then kills it. */
void pipe_stop(struct pipe_program *program, int64_t patience_ns);

#endif
