/* Generators: what is asked next, of whom, and when.
 *
 * A generator is an object that is asked, by one free thread at a time, for that thread's next
 * operation. It answers with an operation and the earliest time for it, or that nothing is to be
 * done just now, or that nothing will ever be. It hears of every event of the operations it gave
 * out, so that it can wait for them. Generators compose: most take others, own them, and pass
 * questions and events on.
 *
 * All calls are made under the scheduler's lock, so a generator needs none; it must be quick (a few
 * hundred nanoseconds) and must not block. Time is what the context says, never the machine's
 * clock, so tests run on virtual time. Every draw comes from the generator's own prng stream.
 * Memory comes from the arena given at construction; nothing is freed before the run ends, so a
 * generator that runs for hours must not allocate per operation (values that need an arena use
 * context->scratch). */
#ifndef ORDEAL_GENERATOR_H
#define ORDEAL_GENERATOR_H

#include "harness/base/arena.h"
#include "harness/base/prng.h"
#include "harness/history.h"

/* The nemesis' own thread number. Client threads are 0 .. thread_count - 1. */
#define GENERATOR_NEMESIS (-1)
#define GENERATOR_NEVER INT64_MAX

struct generator_context {
    int64_t now_ns;        /* since the run began */
    int32_t thread;        /* who asks, or whose event it is */
    int32_t process;       /* its process number now */
    uint32_t thread_count; /* client threads of the run */
    struct arena *scratch; /* for values of the operation; they are copied before it is reset */
};

struct generator_op {
    uint16_t f;
    struct value value;
    int64_t not_before_ns; /* the thread waits until then before it invokes */
};

enum generator_answer {
    GENERATOR_OP,      /* `op` is filled in, for the asking thread alone */
    GENERATOR_PENDING, /* nothing now: ask again at op->not_before_ns (GENERATOR_NEVER: after some
                          event) */
    GENERATOR_DONE,    /* nothing for this thread ever again */
};

struct generator;
struct generator_class {
    const char *name;
    enum generator_answer (*next)(struct generator *generator,
                                  const struct generator_context *context, struct generator_op *op);
    /* An event (the invocation, then the completion) of an operation that came out of this
     * generator, NULL when it does not care. context->thread is the event's thread. */
    void (*update)(struct generator *generator, const struct generator_context *context,
                   const struct op *event);
};
/* The beginning of every generator's own struct. */
struct generator {
    const struct generator_class *class;
};

static inline enum generator_answer generator_next(struct generator *generator,
                                                   const struct generator_context *context,
                                                   struct generator_op *op)
{
    return generator->class->next(generator, context, op);
}
static inline void generator_update(struct generator *generator,
                                    const struct generator_context *context, const struct op *event)
{
    if (generator->class->update != NULL)
        generator->class->update(generator, context, event);
}

/* ---- Sources ---- */

/* Nothing at all, DONE at once. */
struct generator *generator_nothing(struct arena *arena);
/* One operation, once; f is a name id of the run's history (history_f). */
struct generator *generator_once(struct arena *arena, uint16_t f, struct value value);
/* The same operation for ever. */
struct generator *generator_repeat_op(struct arena *arena, uint16_t f, struct value value);
/* Calls `fill` for every operation, for ever, or until it returns false (then DONE for everyone).
 */
typedef bool generator_fill(void *state, struct prng *prng, const struct generator_context *context,
                            struct generator_op *op);
struct generator *generator_function(struct arena *arena, generator_fill *fill, void *state,
                                     struct prng prng);

/* ---- Order ---- */

/* One after the other; the next begins when the one before is DONE, without waiting for its
 * operations. */
struct generator *generator_seq(struct arena *arena, struct generator **parts, size_t count);
/* One after the other with a barrier: each begins when every operation of the one before has
 * completed. */
struct generator *generator_phases(struct arena *arena, struct generator **parts, size_t count);
/* Makes a fresh generator each time the one before is DONE: `times` times (0: for ever). */
typedef struct generator *generator_make(void *state, struct arena *arena, uint64_t round);
struct generator *generator_cycle(struct arena *arena, generator_make *make, void *state,
                                  uint64_t times);
/* Alternates: one operation of a, one of b, and so on; DONE when the one whose turn it is is DONE.
 */
struct generator *generator_flip_flop(struct arena *arena, struct generator *a,
                                      struct generator *b);

/* ---- Choice ---- */

/* At each operation one of the parts by weight; a part that is DONE drops out. */
struct generator *generator_mix(struct arena *arena, struct generator **parts,
                                const double *weights, size_t count, struct prng prng);
/* Whichever part has an operation soonest; ties go to the first. DONE when all are. */
struct generator *generator_any(struct arena *arena, struct generator **parts, size_t count);

/* ---- Bounds ---- */

struct generator *generator_limit(struct arena *arena, uint64_t operations, struct generator *of);
/* No operation at or after `duration_ns` from the first question; then DONE. */
struct generator *generator_time_limit(struct arena *arena, int64_t duration_ns,
                                       struct generator *of);
/* Repeats operations of `of` until one completes OK, then DONE. */
struct generator *generator_until_ok(struct arena *arena, struct generator *of);

/* ---- Time ---- */

enum pace { PACE_POISSON, PACE_FIXED };
/* At most this many operations a second over all threads, at exponential or equal gaps. A late
 * thread does not make later ones bunch: the schedule does not catch up by more than one gap. */
struct generator *generator_rate(struct arena *arena, double per_second, enum pace pace,
                                 struct generator *of, struct prng prng);
/* Nothing for this long (from the first question), then DONE. */
struct generator *generator_sleep(struct arena *arena, int64_t duration_ns);

/* ---- Threads ---- */

/* Only for client threads; others are DONE. And the reverse: only for the nemesis. */
struct generator *generator_on_clients(struct arena *arena, struct generator *of);
struct generator *generator_on_nemesis(struct arena *arena, struct generator *of);
/* Both at once: the nemesis asks `nemesis`, the clients ask `clients`. */
struct generator *generator_split(struct arena *arena, struct generator *clients,
                                  struct generator *nemesis);
/* The first counts[0] client threads ask parts[0], and so on; the remaining ones ask `rest`. */
struct generator *generator_reserve(struct arena *arena, const uint32_t *counts,
                                    struct generator **parts, size_t count, struct generator *rest);
/* A fresh generator for each thread, or for each process number. */
struct generator *generator_each_thread(struct arena *arena, generator_make *make, void *state);
struct generator *generator_each_process(struct arena *arena, generator_make *make, void *state);
/* Groups of `threads_per_key` client threads each work on a key of their own until its generator
 * (make(state, arena, key)) is DONE and all its operations have completed, then take the next key
 * from 0 upwards; values v become [key v]. `keys` bounds the keys, 0 for no bound. Per-key state is
 * recycled, so a run of hours does not grow. */
struct generator *generator_keys(struct arena *arena, uint32_t threads_per_key, uint64_t keys,
                                 generator_make *make, void *state);

#endif
