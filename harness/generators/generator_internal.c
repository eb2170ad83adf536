/* Barriers and rounds: see generator_internal.h. */
#include "harness/generators/generator_internal.h"

enum { IDLE_ROUNDS_MAX = 1000 };

struct generator **generator_parts(struct arena *arena, struct generator **parts, size_t count)
{
    struct generator **copy = arena_alloc(arena, count * sizeof(struct generator *));
    for (size_t i = 0; i < count; i++)
        copy[i] = parts[i] != NULL ? parts[i] : generator_nothing(arena);
    return copy;
}

void barrier_enter(struct barrier *barrier, struct arena *arena,
                   const struct generator_context *context)
{
    if (barrier->passed == NULL)
        barrier->passed = generator_table(arena, context, sizeof *barrier->passed);
    if (context->thread == GENERATOR_NEMESIS)
        barrier->nemesis = true;
}

bool barrier_pass(struct barrier *barrier, const struct generator_context *context)
{
    bool *passed = &barrier->passed[generator_row(context)];
    if (!*passed) {
        *passed = true;
        barrier->passed_count++;
    }
    uint64_t expected = (uint64_t)context->thread_count + (context->nemesis || barrier->nemesis);
    return barrier->passed_count >= expected;
}

void barrier_reset(struct barrier *barrier, const struct generator_context *context)
{
    memset(barrier->passed, 0, (size_t)context->thread_count + 1);
    barrier->passed_count = 0;
    if (context->thread_count + (context->nemesis || barrier->nemesis) > 1)
        generator_news(context);
}

/* False when there is no other round. */
static bool open_round(struct round *round, struct round_source *source, struct arena *arena)
{
    if (round->idle >= IDLE_ROUNDS_MAX || (source->end != 0 && source->next >= source->end))
        return false;
    if (round->arena == NULL)
        round->arena = arena_child(arena);
    arena_reset(round->arena);
    round->number = source->next++;
    round->used = false;
    round->of = source->make(source->state, round->arena, round->number);
    if (round->of == NULL)
        round->of = generator_nothing(round->arena);
    return true;
}

enum generator_answer round_next(struct round *round, struct round_source *source,
                                 struct arena *arena, const struct generator_context *context,
                                 struct generator_op *op)
{
    barrier_enter(&round->barrier, arena, context);
    while (!round->over) {
        if (round->of == NULL && !open_round(round, source, arena)) {
            round->over = true;
            break;
        }
        bool complete = false;
        if (!barrier_passed(&round->barrier, context)) {
            enum generator_answer answer = generator_next(round->of, context, op);
            if (answer != GENERATOR_DONE) {
                round->used = true;
                return answer;
            }
            complete = barrier_pass(&round->barrier, context);
        }
        if (!complete) {
            op->not_before_ns = GENERATOR_NEVER;
            return GENERATOR_PENDING;
        }
        round->of = NULL;
        round->idle = round->used ? 0 : round->idle + 1;
        barrier_reset(&round->barrier, context);
    }
    return GENERATOR_DONE;
}
