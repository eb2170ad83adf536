/* Workloads: what is asked of a system, and which properties must then hold; and clients: how one
 * worker asks it. */
#ifndef ORDEAL_WORKLOAD_H
#define ORDEAL_WORKLOAD_H

#include "harness/generator.h"
#include "harness/test.h"

/* A client talks to one node for one worker thread; all calls come from that thread. */
struct client {
    size_t state_size; /* zeroed memory that the harness makes for each client */
    /* Gets ready to talk to the node. It fails when that is impossible: the operation then fails
     * without having been invoked. A client is closed and opened anew after an indeterminate
     * operation. */
    enum err_code (*open)(void *state, struct test *test, uint32_t node, struct err *err);
    /* Does op->f with op->value; sets op->type to OK, FAIL or INFO, and op->value and op->error
     * (e.g.
     * [:timeout "no reply in 1 s"]). FAIL only when it certainly never happens. It must return
     * within test->plan->op_timeout_ns. Values may live in `scratch`. */
    void (*invoke)(void *state, struct test *test, struct op *op, struct arena *scratch);
    void (*close)(void *state);
};

/* One operation of a workload, for clients that are written elsewhere (workload_words.h has the
 * shapes' language). */
struct word {
    const char *f;
    const char *asked;    /* the shape of an invocation's value, for people */
    const char *answered; /* the shape of a value that is ok; checked */
    const char *help;
};

struct workload {
    const char *name, *summary;
    const struct option *options; /* NULL: none */
    const char *const *checkers;  /* names, NULL at the end */
    bool keyed; /* all clients' values are [key value], and each key is judged by itself */
    /* Optional. As `struct system` has them; what the system says goes before. */
    const char *const *defaults;
    /* What clients do until the time limit. `seed` streams: prng_stream(plan->seed, "workload...").
     */
    struct generator *(*generator)(struct test *test, struct arena *arena);
    /* Optional: what clients do after everything was healed (final reads, drains). */
    struct generator *(*final_generator)(struct test *test, struct arena *arena);
    /* Optional: all that may be asked, NULL-named at the end. NULL: no client from outside can do
     * it. */
    const struct word *words;
};

extern const struct workload *const workloads[]; /* NULL at the end */
const struct workload *workload_find(const char *name);

/* Completes an operation. `error` and `detail` become [:error "detail"], or :error when detail is
 * NULL. */
void op_ok(struct op *op);
void op_fail(struct op *op, struct arena *scratch, const char *error, const char *detail);
void op_info(struct op *op, struct arena *scratch, const char *error, const char *detail);

#endif
