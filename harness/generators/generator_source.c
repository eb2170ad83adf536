/* Generators that make operations: nothing, once, repeat_op, function. */
#include "harness/generators/generator_internal.h"

static enum generator_answer nothing_next(struct generator *generator,
                                          const struct generator_context *context,
                                          struct generator_op *op)
{
    (void)generator, (void)context, (void)op;
    return GENERATOR_DONE;
}

static const struct generator_class nothing_class = {.name = "nothing", .next = nothing_next};

struct generator *generator_nothing(struct arena *arena)
{
    struct generator *nothing = arena_alloc(arena, sizeof *nothing);
    nothing->class = &nothing_class;
    return nothing;
}

struct constant {
    struct generator base;
    struct value value;
    uint16_t f;
    bool given;
};

static enum generator_answer repeat_next(struct generator *generator,
                                         const struct generator_context *context,
                                         struct generator_op *op)
{
    const struct constant *constant = (const struct constant *)generator;
    *op = (struct generator_op){
        .f = constant->f, .value = constant->value, .not_before_ns = context->now_ns};
    return GENERATOR_OP;
}

static enum generator_answer once_next(struct generator *generator,
                                       const struct generator_context *context,
                                       struct generator_op *op)
{
    struct constant *constant = (struct constant *)generator;
    if (constant->given)
        return GENERATOR_DONE;
    constant->given = true;
    return repeat_next(generator, context, op);
}

static const struct generator_class repeat_class = {.name = "repeat_op", .next = repeat_next};
static const struct generator_class once_class = {.name = "once", .next = once_next};

static struct generator *make_constant(struct arena *arena, const struct generator_class *class,
                                       uint16_t f, struct value value)
{
    struct constant *constant = arena_zalloc(arena, sizeof *constant);
    constant->base.class = class;
    constant->f = f;
    constant->value = value_copy(arena, value);
    return &constant->base;
}

struct generator *generator_once(struct arena *arena, uint16_t f, struct value value)
{
    return make_constant(arena, &once_class, f, value);
}

struct generator *generator_repeat_op(struct arena *arena, uint16_t f, struct value value)
{
    return make_constant(arena, &repeat_class, f, value);
}

struct function {
    struct generator base;
    generator_fill *fill;
    void *state;
    struct prng prng;
    bool ended;
};

static enum generator_answer function_next(struct generator *generator,
                                           const struct generator_context *context,
                                           struct generator_op *op)
{
    struct function *function = (struct function *)generator;
    if (function->ended)
        return GENERATOR_DONE;
    *op = (struct generator_op){.value = VALUE_NIL_INIT, .not_before_ns = context->now_ns};
    if (function->fill(function->state, &function->prng, context, op))
        return GENERATOR_OP;
    function->ended = true;
    return GENERATOR_DONE;
}

static const struct generator_class function_class = {.name = "function", .next = function_next};

struct generator *generator_function(struct arena *arena, generator_fill *fill, void *state,
                                     struct prng prng)
{
    struct function *function = arena_zalloc(arena, sizeof *function);
    function->base.class = &function_class;
    function->fill = fill;
    function->state = state;
    function->prng = prng;
    return &function->base;
}
