/* Stores of texts as registers: the engine for appends agrees with the plain search, on histories
 * that are of its kind and on such as are not. */
#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/engine.h"
#include "checkers/linearizable/verify.h"
#include "harness/base/prng.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"

enum { OPS = 9, TEXT = 64, CASES = SANITIZED ? 2000 : 60000 };

struct text_op {
    const char *f;
    char in[TEXT], out[TEXT]; /* of a get: what it answered; of a cas: what it needs */
    int invoked, returned;
    bool known;
};

struct text_case {
    struct text_op ops[OPS];
    int count;
    const char *initial; /* NULL: nil */
};

static void apply(struct text_op *op, char *now)
{
    if (strcmp(op->f, "put") == 0)
        strcpy(now, op->in);
    else if (strcmp(op->f, "append") == 0)
        strcat(now, op->in);
    else if (strcmp(op->f, "get") == 0)
        strcpy(op->out, now);
    else if (strcmp(op->f, "cas") != 0)
        now[0] = '\0';
    else if (strcmp(op->out, now) == 0)
        strcpy(now, op->in);
}

/* One after another, each in a window around its turn; then something may be spoiled. */
static void draw(struct prng *prng, struct text_case *c)
{
    static const char *const fs[] = {"get",    "get", "append", "append",
                                     "append", "put", "cas",    "delete"};
    /* Of the last one another is the beginning, which makes a history one of another kind. */
    static const char *const words[] = {"a.", "b.", "c.", "d.", "e.", "f.", "g.", "a.b."};
    char now[TEXT * OPS] = "";
    bool distinct = prng_below(prng, 2) == 0, deletes = prng_below(prng, 4) == 0;
    c->count = (int)prng_between(prng, 2, OPS - 1);
    c->initial = prng_below(prng, 3) > 0 ? "" : NULL;
    for (int i = 0; i < c->count; i++) {
        struct text_op *op = &c->ops[i];
        *op = (struct text_op){.f = fs[prng_below(prng, deletes ? 8 : 7)]};
        uint64_t word = distinct ? (uint64_t)i % 7 : prng_below(prng, prng_below(prng, 9) ? 4 : 8);
        strcpy(op->in, words[word]);
        op->known = strcmp(op->f, "get") == 0 || prng_below(prng, 6) > 0;
        if (strcmp(op->f, "cas") == 0)
            strcpy(op->out, prng_below(prng, 3) == 0 ? "a." : now);
        if (strcmp(op->f, "cas") == 0 && strcmp(op->out, now) != 0)
            op->known = false;
        op->invoked = 100 * i - (int)prng_below(prng, 150);
        op->returned = 100 * i + 50 + (int)prng_below(prng, 200);
        if (op->known || prng_below(prng, 2) == 0)
            apply(op, now);
    }
    for (uint64_t spoil = prng_below(prng, 4); spoil > 0; spoil--) {
        struct text_op *op = &c->ops[prng_below(prng, (uint64_t)c->count)];
        const struct text_op *other = &c->ops[prng_below(prng, (uint64_t)c->count)];
        if (strcmp(op->f, "get") != 0)
            op->returned = op->invoked + 1;
        else if (other == op)
            strcpy(op->out, "a.c.");
        else if (strcmp(other->f, "get") == 0)
            strcpy(op->out, other->out);
        else
            strcpy(op->out, other->in);
    }
}

struct moment {
    int time, op;
    bool returns;
};

static int compare_moments(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->returns != y->returns ? x->returns - y->returns : x->op - y->op;
}

static void build(const struct text_case *c, struct arena *arena, struct history *history)
{
    struct moment moments[2 * OPS];
    for (int i = 0; i < c->count; i++) {
        moments[2 * i] = (struct moment){c->ops[i].invoked, i, false};
        moments[2 * i + 1] = (struct moment){c->ops[i].returned, i, true};
    }
    qsort(moments, 2 * (size_t)c->count, sizeof moments[0], compare_moments);
    history_init(history);
    for (int i = 0; i < 2 * c->count; i++) {
        const struct text_op *op = &c->ops[moments[i].op];
        bool is_get = strcmp(op->f, "get") == 0, returns = moments[i].returns;
        struct value value = value_nil();
        if (is_get ? returns && (c->initial != NULL || op->out[0] != '\0')
                   : strcmp(op->f, "delete") != 0)
            value = value_string(arena, is_get ? op->out : op->in);
        if (strcmp(op->f, "cas") == 0)
            value =
                value_pair(arena,
                           c->initial == NULL && op->out[0] == '\0' ? value_nil()
                                                                    : value_string(arena, op->out),
                           value);
        struct op event = {.type = !returns    ? OP_INVOKE
                                   : op->known ? OP_OK
                                               : OP_INFO,
                           .process = moments[i].op,
                           .f = history_f(history, op->f),
                           .value = value_pair(arena, value_int(NULL, 7), value)};
        enum err_code code;
        history_append(history, &event, &code);
        assert_int_equal(code, ERR_NONE);
    }
    struct err err = ERR_INIT;
    assert_ok(history_pair(history, &err));
}

static void agrees_with_the_plain_search(const struct text_case *c, uint32_t counts[2],
                                         uint32_t *reduced)
{
    struct arena arena = ARENA_INIT;
    struct history history;
    build(c, &arena, &history);
    uint32_t events[2 * OPS];
    for (uint32_t i = 0; i < history.count; i++)
        events[i] = i;
    struct lin_problem problem;
    struct buf trouble = BUF_INIT;
    struct lin_reading reading = {.initial = c->initial == NULL ? value_nil()
                                                                : value_string(&arena, c->initial)};
    assert_true(lin_problem_build(&problem, &arena, model_find("kv"), &history, events,
                                  history.count, false, &reading, &trouble));
    struct lin_memory memory;
    lin_memory_init(&memory, 0);
    struct lin_budget budget = {.memory = &memory, .deadline_ns = INT64_MAX};
    struct lin_answer plain, answer;
    lin_wgl(&problem, LIN_WGL_PLAIN, &budget, &plain);
    lin_engine_appends.search(&problem, &budget, &answer);
    if (answer.verdict != plain.verdict) {
        for (int i = 0; i < c->count; i++)
            print_error("%s %s -> '%s' [%d, %d]%s\n", c->ops[i].f, c->ops[i].in, c->ops[i].out,
                        c->ops[i].invoked, c->ops[i].returned, c->ops[i].known ? "" : "?");
        fail_msg("%s, not %s", verdict_name(answer.verdict), verdict_name(plain.verdict));
    }
    if (answer.verdict == VERDICT_VALID)
        assert_true(lin_verify(&problem, answer.order, answer.order_count));
    counts[answer.verdict == VERDICT_VALID]++;
    *reduced += strcmp(answer.decided_by, "wgl") != 0;
    assert_int_equal(atomic_load(&memory.used_bytes), 0);
    free(plain.order);
    free(answer.order);
    history_free(&history);
    arena_free(&arena);
}

static void stores_of_texts_are_judged_as_by_the_plain_search(void **state)
{
    (void)state;
    struct prng prng = prng_stream(20261129, "appends");
    uint32_t counts[2] = {0, 0}, reduced = 0;
    for (int i = 0; i < CASES; i++) {
        struct text_case c;
        draw(&prng, &c);
        agrees_with_the_plain_search(&c, counts, &reduced);
    }
    /* Both answers are common, and both ways to them. */
    assert_in_range(counts[0], CASES / 6, CASES);
    assert_in_range(counts[1], CASES / 6, CASES);
    assert_in_range(reduced, CASES / 4, CASES - CASES / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_of_texts_are_judged_as_by_the_plain_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
