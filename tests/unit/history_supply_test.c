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
    assert_event(&history, 0, 0, OP_INVOKE, 1); /* at the beginning */
    assert_event(&history, 1, 2, OP_INVOKE, 3);
    assert_true(value_is_nil(history_op(&history, 1).error));
    assert_event(&history, 2, 0, OP_OK, 1);
    assert_event(&history, 3, 0, OP_INVOKE, 5); /* after what its process did before */
    assert_event(&history, 4, 1, OP_INVOKE, 2);
    assert_event(&history, 5, 2, OP_INFO, 3);
    assert_false(value_is_nil(history_op(&history, 5).error));
    assert_event(&history, 6, 1, OP_OK, 4);
    assert_event(&history, 7, 0, OP_FAIL, 5);
    assert_event(&history, 8, PROCESS_NEMESIS, OP_INFO, 6);
    assert_ok(history_pair(&history, &err));
    assert_int_equal(history.partner[0], 2);
    assert_int_equal(history.partner[3], 7);
    assert_ok(history_supply_invocations(&history, &supplied, &err));
    assert_int_equal(supplied, 0); /* now none is missing */
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_supply)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
