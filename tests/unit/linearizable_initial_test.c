/* Histories that begin with a value: reads of it are right, and what a read of nil says can be
 * chosen. */
#include <string.h>

#include "checkers/checkers.h"
#include "harness/base/text.h"
#include "harness/histories/history_io.h"
#include "harness/run.h"
#include "tests/lib/test.h"

/* Judges EDN text with one setting of linearizable. */
static enum verdict judge(const char *text, const char *initial, const char *nil_reads)
{
    struct history history;
    struct err err = ERR_INIT;
    assert_ok(file_write("initial.edn", text, strlen(text), &err));
    assert_ok(history_load("initial.edn", NULL, &history, NULL, &err));
    assert_ok(history_pair(&history, &err));
    struct check_input input = {
        .limits = {.time_ns = 0, .threads = 1}, .options = {json_object()}, .keyed = KEYED_NO};
    json_set_text(input.options.values, "linearizable.initial", initial);
    json_set_text(input.options.values, "linearizable.nil-reads", nil_reads);
    enum verdict verdict;
    const char *names[] = {"linearizable"};
    json_free(run_check(&history, names, 1, &input, &verdict));
    json_free(input.options.values);
    history_free(&history);
    return verdict;
}

#define READ(value)                                                                                \
    "{:type :invoke :process 0 :f :read :value nil}{:type :ok :process 0 :f :read :value " value "}"
#define WRITE(value)                                                                               \
    "{:type :invoke :process 0 :f :write :value " value                                            \
    "}{:type :ok :process 0 :f :write :value " value "}"

static void the_first_value_is_read_until_another_is_written(void **state)
{
    (void)state;
    assert_int_equal(judge(READ("0") WRITE("1") READ("1"), "0", "auto"), VERDICT_VALID);
    assert_int_equal(judge(READ("0") WRITE("1") READ("0"), "0", "auto"), VERDICT_INVALID);
    assert_int_equal(judge(READ("0"), "nil", "auto"), VERDICT_INVALID);
    assert_int_equal(judge(READ("\"A\""), "\"A\"", "auto"), VERDICT_VALID);
    assert_int_equal(judge(READ(":A"), "\"A\"", "auto"), VERDICT_INVALID);
}

static void a_read_of_nil_says_what_was_chosen(void **state)
{
    (void)state;
    assert_int_equal(judge(READ("nil") READ("0"), "0", "auto"), VERDICT_VALID);
    assert_int_equal(judge(READ("nil") READ("0"), "0", "value"), VERDICT_INVALID);
    assert_int_equal(judge(WRITE("1") READ("nil"), "nil", "auto"), VERDICT_INVALID);
    assert_int_equal(judge(WRITE("1") READ("nil") READ("1"), "nil", "unknown"), VERDICT_VALID);
}

static void nothing_but_unknown_reads_is_no_test(void **state)
{
    (void)state;
    assert_int_equal(judge(READ("nil"), "0", "auto"), VERDICT_UNKNOWN);
}

static void what_is_no_value_is_refused(void **state)
{
    (void)state;
    assert_int_equal(judge(READ("0"), "[", "auto"), VERDICT_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_value_is_read_until_another_is_written),
        cmocka_unit_test(a_read_of_nil_says_what_was_chosen),
        cmocka_unit_test(nothing_but_unknown_reads_is_no_test),
        cmocka_unit_test(what_is_no_value_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
