/* Completions without invocations get them, where they can have been at the earliest. */
#include <string.h>

#include "harness/histories/history_supply.h"
#include "tests/lib/made_history.h"
#include "tests/lib/test.h"

static void assert_event(const struct history *history, uint32_t index, int32_t process,
                         enum op_type type, int64_t at_ms)
{
    assert_int_equal(history->process[index], process);
    assert_int_equal(history->type[index], type);
    assert_int_equal(history->time_ns[index], at_ms * 1000000);
}

static void test_supply(void **state)
{
    (void)state;
    struct history history;
    struct err err = ERR_INIT;
    uint32_t supplied;
    history_init(&history);
    made_event(&history, 0, OP_OK, "write", 1, NULL, NULL);
    made_event(&history, 1, OP_INVOKE, "read", 2, NULL, NULL);
    made_event(&history, 2, OP_INFO, "write", 3, "timeout", "late");
    made_event(&history, 1, OP_OK, "read", 4, NULL, NULL);
    made_event(&history, 0, OP_FAIL, "write", 5, NULL, NULL);
    made_event(&history, PROCESS_NEMESIS, OP_INFO, "kill", 6, NULL, NULL);
    assert_ok(history_supply_invocations(&history, &supplied, &err));
    assert_int_equal(supplied, 3);
    assert_int_equal(history.count, 9);
    assert_event(&history, 0, 0, OP_INVOKE, 0); /* at the beginning */
    assert_event(&history, 1, 2, OP_INVOKE, 0);
    assert_true(value_is_nil(history_op(&history, 1).error));
    assert_event(&history, 2, 0, OP_OK, 1);
    assert_event(&history, 3, 0, OP_INVOKE, 1); /* after what its process did before */
    assert_event(&history, 4, 1, OP_INVOKE, 2);
    assert_event(&history, 5, 2, OP_INFO, 3);
    assert_false(value_is_nil(history_op(&history, 5).error));
    assert_event(&history, 6, 1, OP_OK, 4);
    assert_event(&history, 7, 0, OP_FAIL, 5);
    assert_event(&history, 8, PROCESS_NEMESIS, OP_INFO, 6);
    static const uint32_t completions[] = {2, 5, 7};
    assert_int_equal(history.supplied_count, 3);
    assert_memory_equal(history.supplied, completions, sizeof completions);
    assert_ok(history_pair(&history, &err));
    assert_int_equal(history.partner[0], 2);
    assert_int_equal(history.partner[3], 7);
    assert_ok(history_supply_invocations(&history, &supplied, &err));
    assert_int_equal(supplied, 0); /* now none is missing */
    history_free(&history);
}

/* What else is told of an event stays with it, however many there are. */
static void test_errors_and_extra_keys(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct history history;
    struct err err = ERR_INIT;
    enum err_code code;
    uint32_t supplied;
    history_init(&history);
    for (int i = 0; i < COUNT; i++) {
        struct value pair[] = {value_keyword(&history.arena, "node"), value_small(i)};
        struct op op = {.type = i % 3 == 0 ? OP_INVOKE : OP_FAIL,
                        .process = i % 3 == 1 ? i - 1 : i,
                        .f = history_f(&history, "read"),
                        .error = value_small(i),
                        .extra = value_items(&history.arena, VALUE_MAP, pair, 2),
                        .time_ns = -1};
        history_append(&history, &op, &code);
        assert_int_equal(code, ERR_NONE);
    }
    assert_ok(history_supply_invocations(&history, &supplied, &err));
    assert_int_equal(supplied, COUNT / 3);
    for (int i = 0; i < COUNT; i++) {
        struct op op = history_op(&history, COUNT / 3 + (uint32_t)i);
        assert_int_equal(value_as_int(op.error), i);
        assert_int_equal(value_as_int(value_get(op.extra, "node")), i);
        assert_int_equal(op.time_ns, -1);
    }
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_supply),
                                       cmocka_unit_test(test_errors_and_extra_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
