/* Processes of a client that somebody wrote: questions with numbers, answers with the same ones.
 *
 * One process may be asked by many threads at once, or by one alone. Whoever waits for an answer
 * reads for all who wait; an answer that nobody waits for any more is dropped, so a late one is
 * never taken for another's. A process that says what no client says (no JSON object, a number that
 * was never asked) is killed, and what was under way with it will never be known. */
#ifndef ORDEAL_SYSTEMS_OWN_PROGRAM_H
#define ORDEAL_SYSTEMS_OWN_PROGRAM_H

#include "harness/program_pipe.h"
#include "harness/value.h"

struct own_program; /* one process */

/* How processes are started, and those that run. */
struct own_pool {
    const char *name; /* for messages */
    const char *const *argv;
    const char *cwd;
    bool shared; /* one process for all */
    struct own_pool_state *state;
};

/* A process to ask: one that is idle, or the shared one, or a new one. It is given back when done
 * with; a broken one is then not used again. */
enum err_code own_program_take(struct own_pool *pool, struct own_program **program,
                               struct err *err);
void own_program_give_back(struct own_pool *pool, struct own_program *program);
/* Ends all that are idle: they have `patience_ns` to end by themselves when their input ends. */
void own_pool_stop(struct own_pool *pool, int64_t patience_ns);

/* What has become of a question that got no answer. */
enum own_fate {
    OWN_ANSWERED,
    OWN_NOT_SENT, /* the process can have seen no part of it */
    OWN_LATE,     /* no answer in time; the process lives */
    OWN_BROKEN,   /* it has ended, or was killed */
};
/* Asks {"id": N, MEMBERS}; *answer is a map, in `arena`. `err` says why there is none. */
enum own_fate own_program_ask(struct own_program *program, const char *members, int64_t deadline_ns,
                              struct arena *arena, struct value *answer, struct err *err);
/* It is not to be trusted any more: killed, and all who wait for it are told. */
void own_program_kill(struct own_program *program, const char *why);
bool own_program_is_broken(struct own_program *program);

/* A line that a process said, as a value: false when it is no JSON object with a number "id". */
bool own_read_answer(const char *line, size_t length, struct arena *arena, struct value *answer,
                     int64_t *id);

#endif
