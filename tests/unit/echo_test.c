/* The checker echo: what came back is what was sent, another value convicts, silence is unknown. */
#include <string.h>

#include "checkers/checkers.h"
#include "tests/lib/made_history.h"
#include "tests/lib/test.h"

static void add(struct history *history, int32_t process, enum op_type type, int64_t value)
{
    enum err_code code;
    struct op op = {.type = type,
                    .process = process,
                    .f = history_f(history, "echo"),
                    .value = value_small(value),
                    .time_ns = history->count};
    history_append(history, &op, &code);
    assert_int_equal(code, ERR_NONE);
}

static struct made_result judge(enum op_type type, int64_t answer)
{
    struct history history;
    history_init(&history);
    add(&history, 0, OP_INVOKE, 7);
    add(&history, 1, OP_INVOKE, 8);
    add(&history, 1, OP_INFO, 9); /* what is not known to have come back proves nothing */
    add(&history, 0, type, answer);
    struct made_result result = made_check(&checker_echo, &history, NULL, NULL);
    history_free(&history);
    return result;
}

static void echoes_are_compared(void **state)
{
    (void)state;
    struct made_result result = judge(OP_OK, 7);
    assert_int_equal(result.verdict, VERDICT_VALID);
    made_result_free(&result);
    result = judge(OP_OK, 8);
    assert_int_equal(result.verdict, VERDICT_INVALID);
    assert_contains(result.reason, "1 of 1 answers");
    assert_int_equal(json_count(result.anomalies), 1);
    made_result_free(&result);
    result = judge(OP_FAIL, 8);
    assert_int_equal(result.verdict, VERDICT_UNKNOWN);
    made_result_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(echoes_are_compared)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
