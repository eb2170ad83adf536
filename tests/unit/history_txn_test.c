/* Transactions in the formats of AWDIT, Plume and dbcop, and what the checker says of them. */
#include <stdio.h>
#include <string.h>

#include "harness/checker.h"
#include "harness/histories/history_txn.h"
#include "tests/lib/test.h"

static void read_as(const char *format, const void *text, size_t length, struct history *history)
{
    struct source source;
    struct err err = ERR_INIT;
    history_init(history);
    source_open_text(&source, "test", text, length);
    assert_ok(history_txn_read(&source, format, history, &err));
    source_close(&source);
    assert_ok(history_pair(history, &err));
    assert_true(history->unordered);
}

static void assert_value(const struct history *history, uint32_t index, int process,
                         enum op_type type, const char *text)
{
    struct buf out = BUF_INIT;
    value_print(history->value[index], &out);
    assert_string_equal(buf_text(&out), text);
    assert_int_equal(history->process[index], process);
    assert_int_equal(history->type[index], type);
    buf_free(&out);
}

static void test_awdit(void **state)
{
    (void)state;
    static const char text[] = "w 0 1\nw 1 1\n=====\nr 0 1\r\n-----\nr 1 0\nw 2 0\n-----\nr 2 0";
    struct history history;
    read_as("awdit", text, strlen(text), &history);
    assert_int_equal(history.count, 8);
    assert_value(&history, 0, 0, OP_INVOKE, "[[:w 0 1] [:w 1 1]]");
    assert_value(&history, 2, 1, OP_INVOKE, "[[:r 0 nil]]");
    assert_value(&history, 3, 1, OP_OK, "[[:r 0 1]]");
    assert_value(&history, 5, 1, OP_OK, "[[:r 1 nil] [:w 2 0]]"); /* nobody wrote 0 to key 1 */
    assert_value(&history, 7, 1, OP_OK, "[[:r 2 0]]");
    history_free(&history);
}

static void test_plume(void **state)
{
    (void)state;
    static const char text[] = "w(5,1,3,1)\nw(6,2,3,1)\nr(5,1,3,2)\nr(5,1,4,2)\n";
    struct history history;
    read_as("plume", text, strlen(text), &history);
    assert_int_equal(history.count, 6);
    assert_value(&history, 1, 3, OP_OK, "[[:w 5 1] [:w 6 2]]");
    assert_value(&history, 3, 3, OP_OK, "[[:r 5 1]]");
    assert_value(&history, 5, 4, OP_OK, "[[:r 5 1]]");
    history_free(&history);
}

static void put(struct buf *out, uint64_t word, int width)
{
    for (int i = 0; i < width; i++)
        buf_add_char(out, (char)(word >> 8 * i));
}

static void make_bincode(struct buf *out)
{
    for (int i = 0; i < 5; i++)
        put(out, 1, 8);
    put(out, 3, 8);
    buf_add_text(out, "abc");
    put(out, 0, 8);
    put(out, 0, 8);
    put(out, 1, 8); /* sessions */
    put(out, 2, 8); /* transactions */
    put(out, 2, 8); /* events */
    put(out, 1, 1);
    put(out, 7, 8);
    put(out, 9, 8);
    put(out, 1, 1);
    put(out, 0, 1);
    put(out, 8, 8);
    put(out, 0, 8);
    put(out, 1, 1);
    put(out, 1, 1); /* committed */
    put(out, 1, 8);
    put(out, 1, 1);
    put(out, 7, 8);
    put(out, 10, 8);
    put(out, 1, 1);
    put(out, 0, 1); /* not committed */
}

static void test_dbcop(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    struct history history;
    make_bincode(&bytes);
    read_as("dbcop", bytes.data, bytes.length, &history);
    assert_int_equal(history.count, 4);
    assert_value(&history, 1, 0, OP_OK, "[[:w 7 9] [:r 8 nil]]");
    assert_value(&history, 3, 0, OP_FAIL, "[[:w 7 10]]");
    history_free(&history);
    /* Every shorter text is refused, and none is read beyond its end. */
    for (size_t length = 0; length < bytes.length; length++) {
        struct source source;
        struct err err = ERR_INIT;
        history_init(&history);
        source_open_text(&source, "test", bytes.data, length);
        assert_int_equal(history_txn_read(&source, "dbcop", &history, &err), ERR_PARSE);
        source_close(&source);
        history_free(&history);
    }
    buf_free(&bytes);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *format, *text, *message;
    } bad[] = {
        {"awdit", "w 0 1\nx 0 1\n", "test:2:1: is none of"},
        {"awdit", "w 0\n", "test:1:1: is none of"},
        {"plume", "w(1,2,3)\n", "test:1:1: is none of"},
        {"plume", "w(1,2,-3,4)\n", "out of range"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct source source;
        struct history history;
        struct err err = ERR_INIT;
        history_init(&history);
        source_open_text(&source, "test", bad[i].text, strlen(bad[i].text));
        assert_int_equal(history_txn_read(&source, bad[i].format, &history, &err), ERR_PARSE);
        assert_contains(err.message, bad[i].message);
        source_close(&source);
        history_free(&history);
    }
}

static enum verdict judge(const char *text, const char *checker, const char *level, char *reason,
                          size_t size)
{
    struct history history;
    enum verdict verdict;
    read_as("awdit", text, strlen(text), &history);
    struct check_input input = {.history = &history, .limits = {.threads = 1}};
    input.options.values = json_object();
    json_set_text(input.options.values, "transactions.level", level);
    option_defaults(&input.options, checker, checker_find(checker)->options);
    struct json *results = check_all(&checker, 1, &input, &verdict);
    const struct json *result = json_get(json_get(results, "checkers"), checker);
    snprintf(reason, size, "%s", json_as_text(json_get(result, "reason"), ""));
    json_free(results);
    json_free(input.options.values);
    history_free(&history);
    return verdict;
}

/* What has no real time is not judged by it. */
static void test_judged(void **state)
{
    (void)state;
    char reason[512];
    static const char stale[] = "w 0 1\n=====\nr 0 0\n-----\nr 0 1\n";
    static const char causal[] =
        "w 0 1\n=====\nr 0 1\nw 1 1\n=====\nr 1 1\n-----\nr 0 0\n"; /* knew of it, did not see it */
    assert_int_equal(judge(stale, "transactions", "causal", reason, sizeof reason), VERDICT_VALID);
    assert_int_equal(judge(stale, "transactions", "strict-serializable", reason, sizeof reason),
                     VERDICT_UNKNOWN);
    assert_contains(reason, "without times");
    assert_int_equal(judge(causal, "transactions", "causal", reason, sizeof reason),
                     VERDICT_INVALID);
    assert_contains(reason, "causality-cycle");
    assert_int_equal(judge(causal, "transactions", "session-read-atomic", reason, sizeof reason),
                     VERDICT_VALID);
    assert_int_equal(judge(stale, "linearizable", "causal", reason, sizeof reason),
                     VERDICT_UNKNOWN);
    assert_contains(reason, "only the order within each process is known");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_awdit),   cmocka_unit_test(test_plume),  cmocka_unit_test(test_dbcop),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
