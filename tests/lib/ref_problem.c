/* Histories of reference objects as the linearizable checker gets them: see ref_problem.h. */
#include "tests/lib/ref_problem.h"

#include <stdlib.h>

#include "tests/lib/test.h"

struct moment {
    int time, op;
    bool returns;
};

static int by_time(const void *a, const void *b)
{
    const struct moment *left = a, *right = b;
    return (left->time > right->time) - (left->time < right->time);
}

static void append(struct history *history, const struct ref_object *object,
                   const struct ref_op *ops, const struct moment *moment)
{
    const struct ref_op *asked = &ops[moment->op];
    struct op op = {.type = moment->returns ? asked->outcome : OP_INVOKE,
                    .process = moment->op,
                    .f = history_f(history, asked->f),
                    .time_ns = moment->time};
    if (moment->returns && asked->outcome == OP_OK)
        object->out(asked, &history->arena, &op.value);
    else
        object->in(asked, &history->arena, &op.value);
    enum err_code code = ERR_NONE;
    (void)history_append_own(history, &op, &code);
    assert_int_equal(code, ERR_NONE);
}

void ref_problem_open(struct ref_problem *built, const struct ref_object *object,
                      const struct ref_op *ops, int count)
{
    struct moment moments[2 * REF_OPS];
    uint32_t events[2 * REF_OPS], moment_count = 0;
    for (int i = 0; i < count; i++) {
        moments[moment_count++] = (struct moment){.time = ops[i].invoked, .op = i};
        if (ops[i].outcome == OP_OK) /* what is indeterminate stays open */
            moments[moment_count++] =
                (struct moment){.time = ops[i].returned, .op = i, .returns = true};
    }
    qsort(moments, moment_count, sizeof moments[0], by_time);
    history_init(&built->history);
    for (uint32_t i = 0; i < moment_count; i++) {
        append(&built->history, object, ops, &moments[i]);
        events[i] = i;
    }
    struct err err = ERR_INIT;
    assert_ok(history_pair(&built->history, &err));
    built->arena = ARENA_INIT;
    struct buf trouble = BUF_INIT;
    if (!lin_problem_build(&built->problem, &built->arena, model_find(object->model),
                           &built->history, events, moment_count, false, NULL, &trouble))
        fail_msg("%s: %s", object->model, buf_text(&trouble));
}

void ref_problem_close(struct ref_problem *built)
{
    arena_free(&built->arena);
    history_free(&built->history);
}
