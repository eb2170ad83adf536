/* Models follow their sequential specifications, and what they tell searches agrees with step. */
#include <string.h>

#include "harness/model.h"
#include "tests/lib/test.h"

struct fixture {
    struct arena arena;
    struct model_space space;
    struct buf problem;
};

static void open_fixture(struct fixture *fixture)
{
    *fixture = (struct fixture){.arena = ARENA_INIT, .problem = BUF_INIT};
    model_space_init(&fixture->space, &fixture->arena);
}

static void close_fixture(struct fixture *fixture)
{
    buf_free(&fixture->problem);
    arena_free(&fixture->arena);
}

static struct model_op make(struct fixture *fixture, const struct model *model, const char *f,
                            struct value input, struct value output)
{
    struct model_op op = {.known = true, .input = input, .output = output};
    while (model->functions[op.f] != NULL && strcmp(model->functions[op.f], f) != 0)
        op.f++;
    assert_non_null(model->functions[op.f]);
    assert_true(model->prepare(&op, &fixture->space, &fixture->problem));
    return op;
}

static struct value number(int64_t integer)
{
    return value_int(NULL, integer);
}

/* Steps, and checks on the way that is_pure and effect tell the truth. */
static struct model_space no_space; /* effects are on single words */

static bool step(const struct model *model, int64_t *state, const struct model_op *op)
{
    int64_t before = *state, after = before;
    bool may = model->step(&before, op, &no_space, &after);
    struct model_effect effect = model->effect(op);
    assert_int_equal(may, effect.needs == MODEL_ANY || effect.needs == before);
    if (!may)
        return false;
    assert_int_equal(after, effect.leaves == MODEL_ANY ? before : effect.leaves);
    if (model->is_pure(op))
        assert_int_equal(before, after);
    *state = after;
    return true;
}

static void assert_described(const struct fixture *fixture, const struct model *model,
                             int64_t state, const char *expected)
{
    struct buf text = BUF_INIT;
    model->describe(&state, &fixture->space, &text);
    assert_string_equal(buf_text(&text), expected);
    buf_free(&text);
}

static void registers_hold_what_was_written(void **unused)
{
    (void)unused;
    static const char *const names[] = {"register", "cas-register"};
    for (int i = 0; i < 2; i++) {
        const struct model *model = model_find(names[i]);
        struct fixture fixture;
        open_fixture(&fixture);
        int64_t state;
        model->init(&state);
        assert_described(&fixture, model, state, "the value is nil");
        struct model_op read_nil = make(&fixture, model, "read", value_nil(), value_nil());
        struct model_op write_3 = make(&fixture, model, "write", number(3), number(3));
        struct model_op read_3 = make(&fixture, model, "read", value_nil(), number(3));
        assert_true(step(model, &state, &read_nil));
        assert_false(step(model, &state, &read_3));
        assert_true(step(model, &state, &write_3));
        assert_described(&fixture, model, state, "the value is 3");
        assert_true(step(model, &state, &read_3));
        assert_false(step(model, &state, &read_nil));
        assert_true(model->is_pure(&read_3));
        assert_false(model->is_pure(&write_3));
        struct model_op unknown = {.f = read_3.f, .known = false};
        assert_true(model->prepare(&unknown, &fixture.space, &fixture.problem));
        assert_true(step(model, &state, &unknown));
        close_fixture(&fixture);
    }
}

static void cas_compares_whole_values(void **unused)
{
    (void)unused;
    const struct model *model = model_find("cas-register");
    struct fixture fixture;
    open_fixture(&fixture);
    int64_t state;
    model->init(&state);
    struct value a = value_string(&fixture.arena, "a"), b = value_keyword(&fixture.arena, "a");
    struct model_op write_a = make(&fixture, model, "write", a, a);
    struct model_op a_to_b =
        make(&fixture, model, "cas", value_pair(&fixture.arena, a, b), value_nil());
    struct model_op b_to_b =
        make(&fixture, model, "cas", value_pair(&fixture.arena, b, b), value_nil());
    assert_false(step(model, &state, &a_to_b));
    assert_true(step(model, &state, &write_a));
    assert_false(step(model, &state, &b_to_b)); /* "a" is not :a */
    assert_true(step(model, &state, &a_to_b));
    assert_described(&fixture, model, state, "the value is :a");
    assert_true(step(model, &state, &b_to_b));
    assert_true(model->is_pure(&b_to_b));
    assert_false(model->is_pure(&a_to_b));
    struct model_op bad = {.f = a_to_b.f, .known = true, .input = number(5)};
    assert_false(model->prepare(&bad, &fixture.space, &fixture.problem));
    assert_contains(buf_text(&fixture.problem), "[old new], not 5");
    close_fixture(&fixture);
}

static void a_lock_is_held_once(void **unused)
{
    (void)unused;
    const struct model *model = model_find("mutex");
    struct fixture fixture;
    open_fixture(&fixture);
    int64_t state;
    model->init(&state);
    struct model_op acquire = make(&fixture, model, "acquire", value_nil(), value_nil());
    struct model_op release = make(&fixture, model, "release", value_nil(), value_nil());
    assert_described(&fixture, model, state, "the lock is free");
    assert_false(step(model, &state, &release));
    assert_true(step(model, &state, &acquire));
    assert_described(&fixture, model, state, "the lock is held");
    assert_false(step(model, &state, &acquire));
    assert_true(step(model, &state, &release));
    close_fixture(&fixture);
}

static void every_model_is_whole(void **unused)
{
    (void)unused;
    for (const struct model *const *model = models; *model != NULL; model++) {
        assert_ptr_equal(model_find((*model)->name), *model);
        assert_in_range((*model)->state_size, 1, MODEL_STATE_MAX);
        assert_non_null((*model)->functions);
        assert_non_null((*model)->describe);
        if ((*model)->effect != NULL)
            assert_int_equal((*model)->state_size, sizeof(int64_t));
    }
    assert_null(model_find("no such model"));
}

static void values_get_numbers_once(void **unused)
{
    (void)unused;
    struct fixture fixture;
    open_fixture(&fixture);
    assert_int_equal(value_table_id(&fixture.space.values, value_nil()), 0);
    for (int64_t i = 0; i < 1000; i++)
        assert_int_equal(value_table_id(&fixture.space.values, number(i * 7)), i + 1);
    for (int64_t i = 0; i < 1000; i++)
        assert_int_equal(value_table_id(&fixture.space.values, number(i * 7)), i + 1);
    assert_int_equal(value_as_int(value_table_value(&fixture.space.values, 4)), 21);
    assert_true(value_is_nil(value_table_value(&fixture.space.values, -1)));
    assert_true(value_is_nil(value_table_value(&fixture.space.values, 5000)));
    close_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_hold_what_was_written),
        cmocka_unit_test(cas_compares_whole_values),
        cmocka_unit_test(a_lock_is_held_once),
        cmocka_unit_test(every_model_is_whole),
        cmocka_unit_test(values_get_numbers_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
