/* What the generators' files share: tables by thread, barriers, rounds. Nothing else includes it.
 */
#ifndef ORDEAL_GENERATOR_INTERNAL_H
#define ORDEAL_GENERATOR_INTERNAL_H

#include <assert.h>
#include <string.h>

#include "harness/generator.h"

/* The row of the context's thread in a table by thread; the nemesis' thread has row 0. */
static inline size_t generator_row(const struct generator_context *context)
{
    size_t row = (size_t)(int64_t)(context->thread - GENERATOR_NEMESIS);
    assert(row <= context->thread_count);
    return row;
}

/* A zeroed table by thread, made at the first question, since constructors do not know the number
 * of threads. */
static inline void *generator_table(struct arena *arena, const struct generator_context *context,
                                    size_t row_size)
{
    return arena_zalloc(arena, row_size * ((size_t)context->thread_count + 1));
}

static inline void generator_news(const struct generator_context *context)
{
    if (context->news != NULL)
        *context->news = true;
}

/* What a part sees that serves only `count` client threads from `first` on. */
static inline struct generator_context generator_group(const struct generator_context *context,
                                                       uint32_t first, uint32_t count)
{
    struct generator_context group = *context;
    group.thread -= (int32_t)first;
    group.thread_count = count;
    group.nemesis = false;
    return group;
}

/* What a part sees that serves the nemesis' thread alone. */
static inline struct generator_context
generator_nemesis_alone(const struct generator_context *context)
{
    struct generator_context alone = *context;
    alone.thread_count = 0;
    alone.nemesis = true;
    return alone;
}

/* A copy of the array of parts, NULL parts replaced by ones that do nothing. */
struct generator **generator_parts(struct arena *arena, struct generator **parts, size_t count);

/* ---- Barriers: which threads have been told DONE. All zero is a fresh one. ----
 *
 * Operations need no counting: a thread is told DONE only when it is free, so once every thread has
 * been, nothing is out. */
struct barrier {
    bool *passed; /* by row */
    uint32_t passed_count;
    bool nemesis; /* the nemesis has asked, whatever the context said */
};

/* At every question, before the other calls. */
void barrier_enter(struct barrier *barrier, struct arena *arena,
                   const struct generator_context *context);
/* The asking thread has been told DONE. True when every thread has been. */
bool barrier_pass(struct barrier *barrier, const struct generator_context *context);
static inline bool barrier_passed(const struct barrier *barrier,
                                  const struct generator_context *context)
{
    return barrier->passed[generator_row(context)];
}
/* For the next part. Waiting threads hear of it. */
void barrier_reset(struct barrier *barrier, const struct generator_context *context);

/* ---- Rounds: one generator after another, made in an arena that is reset in between. ---- */

struct round_source { /* where rounds come from; several may draw from one */
    generator_make *make;
    void *state;
    uint64_t next, end; /* end 0: no end */
};
struct round {
    struct generator *of; /* NULL: the next one is to be made */
    struct arena *arena;
    struct barrier barrier;
    uint64_t number; /* of `of` */
    uint32_t idle;   /* rounds on end that had nothing to do */
    bool used;       /* this round gave an operation or made someone wait */
    bool over;
};

/* `arena` holds what outlives a round. */
enum generator_answer round_next(struct round *round, struct round_source *source,
                                 struct arena *arena, const struct generator_context *context,
                                 struct generator_op *op);

#endif
