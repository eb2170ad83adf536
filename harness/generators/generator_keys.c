/* keys: groups of threads that each work on one key after another. */
#include "harness/generators/generator_internal.h"

struct keys {
    struct generator base;
    struct arena *arena;
    uint32_t threads_per_key;
    struct round_source source; /* of all groups together: a round is a key */
    struct round *groups;
};

static uint32_t first_of_group(const struct keys *keys, const struct generator_context *context)
{
    return (uint32_t)context->thread / keys->threads_per_key * keys->threads_per_key;
}

static struct generator_context keys_group(const struct keys *keys,
                                           const struct generator_context *context)
{
    uint32_t first = first_of_group(keys, context), size = context->thread_count - first;
    return generator_group(context, first,
                           size < keys->threads_per_key ? size : keys->threads_per_key);
}

static enum generator_answer keys_next(struct generator *generator,
                                       const struct generator_context *context,
                                       struct generator_op *op)
{
    struct keys *keys = (struct keys *)generator;
    if (context->thread == GENERATOR_NEMESIS)
        return GENERATOR_DONE;
    if (keys->groups == NULL) {
        size_t groups = (context->thread_count - 1) / keys->threads_per_key + 1;
        keys->groups = arena_zalloc(keys->arena, groups * sizeof *keys->groups);
    }
    struct round *round = &keys->groups[(uint32_t)context->thread / keys->threads_per_key];
    struct generator_context seen = keys_group(keys, context);
    enum generator_answer answer = round_next(round, &keys->source, keys->arena, &seen, op);
    if (answer == GENERATOR_OP)
        op->value = value_pair(context->scratch,
                               value_int(context->scratch, (int64_t)round->number), op->value);
    return answer;
}

static void keys_update(struct generator *generator, const struct generator_context *context,
                        const struct op *event)
{
    struct keys *keys = (struct keys *)generator;
    if (context->thread == GENERATOR_NEMESIS || keys->groups == NULL)
        return;
    struct round *round = &keys->groups[(uint32_t)context->thread / keys->threads_per_key];
    if (round->of == NULL || round->of->class->update == NULL)
        return;
    struct op inner = *event;
    /* A client may have answered with something else. */
    if (value_is_pair(event->value) &&
        value_as_int(value_at(event->value, 0)) == (int64_t)round->number)
        inner.value = value_at(event->value, 1);
    struct generator_context seen = keys_group(keys, context);
    generator_update(round->of, &seen, &inner);
}

static const struct generator_class keys_class = {
    .name = "keys", .next = keys_next, .update = keys_update};

struct generator *generator_keys(struct arena *arena, uint32_t threads_per_key, uint64_t keys_count,
                                 generator_make *make, void *state)
{
    struct keys *keys = arena_zalloc(arena, sizeof *keys);
    keys->base.class = &keys_class;
    keys->arena = arena;
    keys->threads_per_key = threads_per_key == 0 ? 1 : threads_per_key;
    keys->source = (struct round_source){.make = make, .state = state, .end = keys_count};
    return &keys->base;
}
