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
 * context->scratch).
 *
 * What the scheduler keeps to, and every combinator towards its parts:
 * - A thread is asked only while it is free: from the operation it was given to that operation's
 *   completion (an OK, FAIL or INFO event) it is not asked. So a part has at most one operation out
 *   per thread, and a thread that was told DONE has none.
 * - A thread is asked until it is told DONE, then no more (asked again it is told DONE again).
 * - Who asks is known beforehand: client threads 0 .. thread_count - 1, each of them, and the
 *   nemesis' thread where context->nemesis says so. Whatever waits for "every thread" (phases,
 *   cycle, keys, flip_flop) waits for those, never for anyone else. on_clients, on_nemesis, split,
 *   reserve, keys, each_thread and each_process narrow it for their parts, and number the threads
 *   of a part from 0: phases inside a reserve wait for the reserved threads alone.
 * - A thread that was told PENDING is asked again at the time it was given, and also at once when a
 *   later call (a question of another thread, or an event) sets *context->news. */
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
    int32_t thread;        /* who asks, or whose event it is; from 0 within a group of threads */
    int32_t process;       /* its process number now */
    uint32_t thread_count; /* client threads that ask this generator: of the run, or of the group */
    bool nemesis;          /* the nemesis' thread asks this generator, too */
    bool *news; /* set to true by a call after which a waiting thread may get another answer; may be
                   NULL */
    struct arena *scratch; /* for values of the operation; they are copied before it is reset */
};

struct generator_op {
    uint16_t f;
    struct value value;
    int64_t not_before_ns; /* the thread waits until then before it invokes; since when it is due
                              if that is past */
};

enum generator_answer {
    GENERATOR_OP,      /* `op` is filled in, for the asking thread alone */
    GENERATOR_PENDING, /* nothing now: ask again at op->not_before_ns, which is later than now, or
                          at news (GENERATOR_NEVER: only at news) */
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

/* Constructors copy the arrays and values they are given into `arena`, and own their parts. */

/* ---- Sources ---- */

/* Nothing at all, DONE at once. */
struct generator *generator_nothing(struct arena *arena);
/* One operation, once; f is a name id of the run's history (history_f). */
struct generator *generator_once(struct arena *arena, uint16_t f, struct value value);
/* The same operation for ever. */
struct generator *generator_repeat_op(struct arena *arena, uint16_t f, struct value value);
/* Calls `fill` for every operation, for ever, or until it returns false (then DONE for everyone).
 * `op` comes with a nil value and due now; fill may make it due later. */
typedef bool generator_fill(void *state, struct prng *prng, const struct generator_context *context,
                            struct generator_op *op);
struct generator *generator_function(struct arena *arena, generator_fill *fill, void *state,
                                     struct prng prng);

/* ---- Order ---- */

/* One after the other: each thread goes on to the next part when the one before is DONE for it,
 * without waiting for the operations of other threads, nor for threads that still have some to
 * come (a thread's share of each_thread, say). */
struct generator *generator_seq(struct arena *arena, struct generator **parts, size_t count);
/* One after the other with a barrier: each begins when the one before is DONE for every thread,
 * which means that every operation of it has completed. Threads for which it is DONE sooner wait
 * (PENDING). */
struct generator *generator_phases(struct arena *arena, struct generator **parts, size_t count);
/* Makes a fresh generator each time the one before is DONE for every thread, with the same barrier
 * as phases: `times` times (0: for ever). Its memory is recycled. A thousand rounds on end without
 * an operation or a wait end it, so that a mistake cannot hang a run. */
typedef struct generator *generator_make(void *state, struct arena *arena, uint64_t round);
struct generator *generator_cycle(struct arena *arena, generator_make *make, void *state,
                                  uint64_t times);
/* Alternates: one operation of a, one of b, and so on, whoever asks; DONE when the one whose turn
 * it is is DONE for every thread. A thread for which it is DONE while others may still take that
 * turn waits. */
struct generator *generator_flip_flop(struct arena *arena, struct generator *a,
                                      struct generator *b);

/* ---- Choice ---- */

/* At each operation one of the parts by weight (NULL: all alike); a part that is DONE for a thread
 * drops out for that thread. When the part drawn is PENDING another one is drawn. A part whose
 * weight is not above 0 is never asked. A part that gives out operations far ahead of time (a slow
 * rate) keeps the threads that draw it: use any for those. */
struct generator *generator_mix(struct arena *arena, struct generator **parts,
                                const double *weights, size_t count, struct prng prng);
/* Whichever part has an operation that is due soonest; ties go to the first. DONE when all are.
 *
 * To know, it asks every part, so a part may have given an operation that is not the one. That
 * operation is kept for the same thread (parts may tell threads apart), comes up again each time
 * this thread asks, and being due for longer and longer is given out in the end: none is lost, and
 * a part sees one operation out per thread as ever. A thread waits for an operation in the
 * future only when no part is PENDING for it; else it is PENDING until the soonest of both. */
struct generator *generator_any(struct arena *arena, struct generator **parts, size_t count);

/* ---- Bounds ---- */

/* The first so many operations, then DONE. */
struct generator *generator_limit(struct arena *arena, uint64_t operations, struct generator *of);
/* No operation at or after `duration_ns` from the first question; then DONE. A thread whose next
 * operation would be due later than that is DONE at once. */
struct generator *generator_time_limit(struct arena *arena, int64_t duration_ns,
                                       struct generator *of);
/* Operations of `of` until one of them completes OK or `of` is DONE, then DONE. To try one
 * operation again and again, `of` is a generator_repeat_op. Operations of other threads that are
 * out when it succeeds complete as they may. */
struct generator *generator_until_ok(struct arena *arena, struct generator *of);

/* ---- Time ---- */

enum pace { PACE_POISSON, PACE_FIXED };
/* At most this many operations a second over all threads, at exponential or equal gaps; no bound
 * when it is not above 0. Threads take their places in the schedule ahead of time, so there must be
 * more threads than operations that are under way at once. A late thread does not make later ones
 * bunch: the schedule does not catch up by more than one mean gap. An operation that `of` makes due
 * later than its place keeps its own time and uses the place up. */
struct generator *generator_rate(struct arena *arena, double per_second, enum pace pace,
                                 struct generator *of, struct prng prng);
/* Nothing for this long (from the first question of any thread), then DONE. */
struct generator *generator_sleep(struct arena *arena, int64_t duration_ns);

/* ---- Threads ---- */

/* Only for client threads; others are DONE. And the reverse: only for the nemesis. */
struct generator *generator_on_clients(struct arena *arena, struct generator *of);
struct generator *generator_on_nemesis(struct arena *arena, struct generator *of);
/* Both at once: the nemesis asks `nemesis`, the clients ask `clients`. */
struct generator *generator_split(struct arena *arena, struct generator *clients,
                                  struct generator *nemesis);
/* The first counts[0] client threads ask parts[0], and so on; the remaining ones ask `rest` (NULL:
 * nothing). Parts for which no thread is left are not asked; the nemesis is DONE. */
struct generator *generator_reserve(struct arena *arena, const uint32_t *counts,
                                    struct generator **parts, size_t count, struct generator *rest);
/* A fresh generator for each thread, or for each process number; `round` is that number (for the
 * nemesis' thread: thread_count; as a process: UINT64_MAX). A retired process' state is recycled,
 * and what it had left to do is dropped; a thread once told DONE stays DONE, whatever its process.
 */
struct generator *generator_each_thread(struct arena *arena, generator_make *make, void *state);
struct generator *generator_each_process(struct arena *arena, generator_make *make, void *state);
/* Groups of `threads_per_key` client threads (0 counts as 1) each work on a key of their own until
 * its generator (make(state, arena, key)) is DONE and all its operations have completed, then take
 * the next key from 0 upwards; values v become [key v], and events go back to the part with v.
 * Threads left over form a last, smaller group. `keys` bounds the keys, 0 for no bound. Per-key
 * state is recycled, so a run of hours does not grow. A thousand keys on end without an operation
 * or a wait end a group's work. The nemesis is DONE. */
struct generator *generator_keys(struct arena *arena, uint32_t threads_per_key, uint64_t keys,
                                 generator_make *make, void *state);

#endif
