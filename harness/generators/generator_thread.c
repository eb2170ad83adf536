/* Generators that tell threads apart: on_clients, on_nemesis, split, reserve, each_thread,
 * each_process. Keys have a file of their own. */
#include "harness/generators/generator_internal.h"

/* split, and with one side that does nothing also on_clients and on_nemesis. */
struct split {
    struct generator base;
    struct generator *clients, *nemesis;
};

/* The side that the thread is on, and what that side sees. */
static struct generator *split_side(struct generator *generator,
                                    const struct generator_context *context,
                                    struct generator_context *seen)
{
    struct split *split = (struct split *)generator;
    if (context->thread == GENERATOR_NEMESIS) {
        *seen = generator_nemesis_alone(context);
        return split->nemesis;
    }
    *seen = generator_group(context, 0, context->thread_count);
    return split->clients;
}

static enum generator_answer split_next(struct generator *generator,
                                        const struct generator_context *context,
                                        struct generator_op *op)
{
    struct generator_context seen;
    struct generator *side = split_side(generator, context, &seen);
    return generator_next(side, &seen, op);
}

static void split_update(struct generator *generator, const struct generator_context *context,
                         const struct op *event)
{
    struct generator_context seen;
    struct generator *side = split_side(generator, context, &seen);
    generator_update(side, &seen, event);
}

static const struct generator_class split_class = {
    .name = "split", .next = split_next, .update = split_update};

struct generator *generator_split(struct arena *arena, struct generator *clients,
                                  struct generator *nemesis)
{
    struct split *split = arena_zalloc(arena, sizeof *split);
    split->base.class = &split_class;
    split->clients = clients;
    split->nemesis = nemesis;
    return &split->base;
}

struct generator *generator_on_clients(struct arena *arena, struct generator *of)
{
    return generator_split(arena, of, generator_nothing(arena));
}

struct generator *generator_on_nemesis(struct arena *arena, struct generator *of)
{
    return generator_split(arena, generator_nothing(arena), of);
}

struct reserve {
    struct generator base;
    struct generator **parts, *rest;
    uint32_t *counts;
    size_t count;
};

/* The part that the thread belongs to, NULL for the nemesis, and what that part sees. */
static struct generator *reserve_part(struct generator *generator,
                                      const struct generator_context *context,
                                      struct generator_context *seen)
{
    struct reserve *reserve = (struct reserve *)generator;
    if (context->thread == GENERATOR_NEMESIS)
        return NULL;
    uint32_t thread = (uint32_t)context->thread, first = 0;
    for (size_t i = 0; i < reserve->count; i++) {
        uint32_t free = context->thread_count - first;
        uint32_t size = reserve->counts[i] < free ? reserve->counts[i] : free;
        if (thread - first < size) {
            *seen = generator_group(context, first, size);
            return reserve->parts[i];
        }
        first += size;
    }
    *seen = generator_group(context, first, context->thread_count - first);
    return reserve->rest;
}

static enum generator_answer reserve_next(struct generator *generator,
                                          const struct generator_context *context,
                                          struct generator_op *op)
{
    struct generator_context seen;
    struct generator *part = reserve_part(generator, context, &seen);
    return part == NULL ? GENERATOR_DONE : generator_next(part, &seen, op);
}

static void reserve_update(struct generator *generator, const struct generator_context *context,
                           const struct op *event)
{
    struct generator_context seen;
    struct generator *part = reserve_part(generator, context, &seen);
    if (part != NULL)
        generator_update(part, &seen, event);
}

static const struct generator_class reserve_class = {
    .name = "reserve", .next = reserve_next, .update = reserve_update};

struct generator *generator_reserve(struct arena *arena, const uint32_t *counts,
                                    struct generator **parts, size_t count, struct generator *rest)
{
    struct reserve *reserve = arena_zalloc(arena, sizeof *reserve);
    reserve->base.class = &reserve_class;
    reserve->parts = generator_parts(arena, parts, count);
    reserve->rest = rest != NULL ? rest : generator_nothing(arena);
    reserve->counts = arena_alloc(arena, count * sizeof *reserve->counts);
    if (count > 0)
        memcpy(reserve->counts, counts, count * sizeof *reserve->counts);
    reserve->count = count;
    return &reserve->base;
}

/* each_thread and each_process: a generator in a slot per thread. */
struct slot {
    struct generator *of; /* NULL: not made yet */
    struct arena *arena;  /* each_process: of `of` */
    int32_t process;      /* each_process: whose it is */
    bool done;
};
struct each {
    struct generator base;
    struct arena *arena;
    generator_make *make;
    void *state;
    struct slot *slots; /* by thread */
};

static struct generator_context each_sees(const struct generator_context *context)
{
    return context->thread == GENERATOR_NEMESIS
               ? generator_nemesis_alone(context)
               : generator_group(context, (uint32_t)context->thread, 1);
}

static struct slot *each_slot(struct each *each, const struct generator_context *context)
{
    if (each->slots == NULL)
        each->slots = generator_table(each->arena, context, sizeof *each->slots);
    return &each->slots[generator_row(context)];
}

static void slot_make(struct each *each, struct slot *slot, struct arena *arena, uint64_t round)
{
    slot->of = each->make(each->state, arena, round);
    if (slot->of == NULL)
        slot->of = generator_nothing(arena);
}

static enum generator_answer slot_next(struct slot *slot, const struct generator_context *context,
                                       struct generator_op *op)
{
    struct generator_context seen = each_sees(context);
    enum generator_answer answer = generator_next(slot->of, &seen, op);
    slot->done = answer == GENERATOR_DONE;
    return answer;
}

static enum generator_answer each_thread_next(struct generator *generator,
                                              const struct generator_context *context,
                                              struct generator_op *op)
{
    struct each *each = (struct each *)generator;
    struct slot *slot = each_slot(each, context);
    if (slot->done)
        return GENERATOR_DONE;
    if (slot->of == NULL)
        slot_make(each, slot, each->arena,
                  context->thread == GENERATOR_NEMESIS ? context->thread_count
                                                       : (uint64_t)context->thread);
    return slot_next(slot, context, op);
}

static enum generator_answer each_process_next(struct generator *generator,
                                               const struct generator_context *context,
                                               struct generator_op *op)
{
    struct each *each = (struct each *)generator;
    struct slot *slot = each_slot(each, context);
    if (slot->done)
        return GENERATOR_DONE;
    if (slot->arena == NULL)
        slot->arena = arena_child(each->arena);
    if (slot->of == NULL || slot->process != context->process) {
        /* The thread asks, so it has no operation of the retired process. */
        arena_reset(slot->arena);
        slot->process = context->process;
        slot_make(each, slot, slot->arena, (uint64_t)(int64_t)context->process);
    }
    return slot_next(slot, context, op);
}

static void each_update(struct generator *generator, const struct generator_context *context,
                        const struct op *event)
{
    struct slot *slot = each_slot((struct each *)generator, context);
    if (slot->of == NULL)
        return;
    struct generator_context seen = each_sees(context);
    generator_update(slot->of, &seen, event);
}

static const struct generator_class each_thread_class = {
    .name = "each_thread", .next = each_thread_next, .update = each_update};
static const struct generator_class each_process_class = {
    .name = "each_process", .next = each_process_next, .update = each_update};

static struct generator *make_each(struct arena *arena, const struct generator_class *class,
                                   generator_make *make, void *state)
{
    struct each *each = arena_zalloc(arena, sizeof *each);
    each->base.class = class;
    each->arena = arena;
    each->make = make;
    each->state = state;
    return &each->base;
}

struct generator *generator_each_thread(struct arena *arena, generator_make *make, void *state)
{
    return make_each(arena, &each_thread_class, make, state);
}

struct generator *generator_each_process(struct arena *arena, generator_make *make, void *state)
{
    return make_each(arena, &each_process_class, make, state);
}
