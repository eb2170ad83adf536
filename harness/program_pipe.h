/* A program that is spoken to by lines of JSON on its standard input and output: one process at a
 * time, started anew when it is gone. Nemeses and clients from outside are such programs. */
#ifndef ORDEAL_PROGRAM_PIPE_H
#define ORDEAL_PROGRAM_PIPE_H

#include <stdbool.h>
#include <sys/types.h>

#include "harness/base/json.h"

enum { PIPE_LINE_BYTES_MAX = 1 << 20 }; /* a longer line is no answer */

struct pipe_program {
    const char *path;        /* in messages; and what is started, where argv is NULL */
    const char *const *argv; /* NULL at the end; argv[0] with a slash in it, or found in PATH */
    const char *cwd;         /* NULL: ours */
    pid_t pid;               /* 0: it does not run */
    int in, out;
    struct buf unread; /* of what it said */
};

/* Starts it in a process group of its own, so that Ctrl-C does not reach it; its standard error is
 * ours. */
enum err_code pipe_start(struct pipe_program *program, struct err *err);
/* Writes one line, and reads the next. ERR_TIMEOUT when it takes longer than until `deadline_ns`
 * (monotonic), ERR_IO when it has ended (and how), ERR_PARSE when the line is no JSON object. After
 * a failure the program was killed: what it says later is never taken for an answer. One thread at
 * a time. */
enum err_code pipe_say(struct pipe_program *program, const char *line, int64_t deadline_ns,
                       struct err *err);
enum err_code pipe_hear(struct pipe_program *program, int64_t deadline_ns, struct json **said,
                        struct err *err);
/* Closes its input, waits so long for it to end, then kills it. */
void pipe_stop(struct pipe_program *program, int64_t patience_ns);

/* ---- In parts, for one thread that says and another that hears ----
 *
 * These never kill, so that both may be under way at once; whoever learns that it is over sees to
 * it that nobody else is in them, and then calls pipe_stop or pipe_ended. */

/* As pipe_say; *sent (may be NULL) gets how many bytes it can have seen, also on failure: ERR_IO
 * when it has closed its input, ERR_TIMEOUT when it does not read. */
enum err_code pipe_write(struct pipe_program *program, const char *line, int64_t deadline_ns,
                         size_t *sent, struct err *err);
/* The next line, without its end, instead of what `line` holds. ERR_TIMEOUT: there is none yet, and
 * nothing was lost; ERR_IO: it has closed its output; ERR_PARSE: a line is too long. */
enum err_code pipe_read(struct pipe_program *program, int64_t deadline_ns, struct buf *line,
                        struct err *err);
/* Lets go of a program that has closed one of its ends; `err` tells how it ended. */
enum err_code pipe_ended(struct pipe_program *program, struct err *err);

#endif
