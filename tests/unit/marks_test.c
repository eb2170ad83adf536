/* Marks: what test_mark records, and how it is read back. */
#include <stdatomic.h>
#include <string.h>

#include "harness/control.h"
#include "harness/marks.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/test.h"

struct world {
    struct fake_control *fake;
    struct control control;
    struct history history;
    int64_t now_ns;
};

static void record(void *state, struct op *op)
{
    struct world *world = state;
    enum err_code code;
    op->process = marks_process(&world->history);
    op->f = (uint16_t)history_find_f(&world->history, MARK_FUNCTION);
    op->time_ns = world->now_ns;
    history_append(&world->history, op, &code);
    assert_int_equal(code, ERR_NONE);
}

static void begin(struct world *world)
{
    *world = (struct world){.fake = fake_new(3), .now_ns = 5000};
    world->control.hooks.state = world;
    world->control.hooks.on_mark = record;
    world->fake->test.control = &world->control;
    history_init(&world->history);
    marks_prepare(&world->history);
}

static void end(struct world *world)
{
    history_free(&world->history);
    fake_free(world->fake);
}

static void test_round_trip(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    test_mark(&world.fake->test, "leader", NODE_SET(0) | NODE_SET(2), -1, "%s leads", "n1");
    test_mark(&world.fake->test, "failover", 0, 2000, "it took a while");
    assert_int_equal(world.history.count, 2);
    assert_string_equal(history_process_name(&world.history, world.history.process[0]), "mark");
    struct mark mark = mark_of_event(&world.history, 0);
    assert_string_equal(mark.kind, "leader");
    assert_string_equal(mark.text, "n1 leads");
    assert_int_equal(value_count(mark.nodes), 2);
    assert_string_equal(value_as_text(value_at(mark.nodes, 1)), "n3");
    assert_int_equal(mark.from_ns, 5000);
    assert_int_equal(mark.to_ns, 5000);
    mark = mark_of_event(&world.history, 1);
    assert_true(value_is_nil(mark.nodes));
    assert_int_equal(mark.from_ns, 2000);
    assert_int_equal(mark.to_ns, 5000);
    end(&world);
}

/* Nobody keeps them, or there are too many, or the text is endless: the test goes on. */
static void test_bounds(void **state)
{
    struct world world;
    static char endless[5 * MARK_TEXT_MAX];
    (void)state;
    begin(&world);
    memset(endless, 'x', sizeof endless - 1);
    test_mark(&world.fake->test, "long", 0, -1, "%s", endless);
    assert_int_equal(strlen(mark_of_event(&world.history, 0).text), MARK_TEXT_MAX);
    atomic_store(&world.control.mark_count, MARKS_MAX - 1);
    test_mark(&world.fake->test, "last", 0, -1, "kept");
    test_mark(&world.fake->test, "more", 0, -1, "not kept");
    test_mark(&world.fake->test, "more", 0, -1, "nor this");
    assert_int_equal(world.history.count, 2);
    world.control.hooks.on_mark = NULL;
    test_mark(&world.fake->test, "none", 0, -1, "nobody listens");
    world.fake->test.control = NULL;
    test_mark(&world.fake->test, "none", 0, -1, "there is no control");
    assert_int_equal(world.history.count, 2);
    end(&world);
}

/* What a history from elsewhere calls a mark may hold anything. */
static void test_odd_values(void **state)
{
    struct history history;
    struct arena arena = ARENA_INIT;
    enum err_code code;
    (void)state;
    history_init(&history);
    assert_int_equal(marks_process(&history), 0);
    marks_prepare(&history);
    struct value items[] = {value_keyword(&arena, "kind"), value_small(7),
                            value_keyword(&arena, "from"), value_small(9000)};
    struct op op = {.type = OP_INFO,
                    .process = marks_process(&history),
                    .f = history_f(&history, MARK_FUNCTION),
                    .value = value_items(&arena, VALUE_MAP, items, 4),
                    .time_ns = 8000};
    history_append(&history, &op, &code);
    op.value = value_nil();
    history_append(&history, &op, &code);
    struct mark mark = mark_of_event(&history, 0);
    assert_string_equal(mark.kind, "");
    assert_int_equal(mark.from_ns, 8000); /* it cannot begin after it was told */
    assert_string_equal(mark_of_event(&history, 1).text, "");
    history_free(&history);
    arena_free(&arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_odd_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
