/* Histories: pairing and its complaints, names, growth, printing. */
#include <stdio.h>
#include <string.h>

#include "harness/histories/history_edn.h"
#include "tests/lib/random_value.h"
#include "tests/lib/test.h"

static void read_edn(struct history *history, const char *text)
{
    struct err err = ERR_INIT;
    struct source source;
    struct history_notes notes = {.format = "edn"};
    history_init(history);
    source_open_text(&source, "text", text, strlen(text));
    assert_ok(history_edn_read(&source, history, &notes, &err));
}

static void operations_pair_by_process(void **state)
{
    (void)state;
    struct history history;
    struct err err = ERR_INIT;
    read_edn(&history, "{:type :invoke :process 0 :f :read}"
                       "{:type :invoke :process 1 :f :write :value 3}"
                       "{:type :ok :process 0 :f :read :value 3}"
                       "{:type :invoke :process 0 :f :read}"
                       "{:type :info :process 1 :f :write :value 3}"
                       "{:type :invoke :process 2 :f :cas :value [1 2]}"
                       "{:type :fail :process 2 :f :cas :value [1 2]}");
    assert_ok(history_pair(&history, &err));
    static const uint32_t partners[] = {2, 4, 0, HISTORY_NONE, 1, 6, 5};
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(history.partner[i], partners[i]);
    assert_int_equal(history_outcome(&history, 0), OP_OK);
    assert_int_equal(history_outcome(&history, 1), OP_INFO);
    assert_int_equal(history_outcome(&history, 3), OP_INFO); /* never completed */
    assert_int_equal(history_outcome(&history, 5), OP_FAIL);
    history_free(&history);
}

static void nemesis_events_pair_by_function_in_turn(void **state)
{
    (void)state;
    struct history history;
    struct err err = ERR_INIT;
    read_edn(&history, "{:type :info :process :nemesis :f :kill}"
                       "{:type :info :process :nemesis :f :partition}"
                       "{:type :info :process :nemesis :f :partition :value :majority}"
                       "{:type :info :process :nemesis :f :kill :value \"n1\"}"
                       "{:type :info :process :daemon :f :crash :value \"n2\"}"
                       "{:type :info :process :nemesis :f :kill}"
                       "{:type :info :process :other :f :kill}");
    assert_ok(history_pair(&history, &err));
    static const uint32_t partners[] = {3, 2, 1, 0, HISTORY_NONE, HISTORY_NONE, HISTORY_NONE};
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(history.partner[i], partners[i]);
    history_free(&history);
}

static void what_cannot_be_paired_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"{:type :ok :process 0 :f :read}", "event 0: process 0 completes a read that it never"},
        {"{:type :invoke :process 7 :f :read}{:type :invoke :process 7 :f :write}",
         "event 1: process 7 invokes write while its read of event 0 is still open"},
        {"{:type :invoke :process 0 :f :read}{:type :ok :process 0 :f :write}",
         "event 1: process 0 completes write but had invoked read"},
        {"{:type :invoke :process 0 :f :read}{:type :ok :process 0 :f :read}"
         "{:type :fail :process 0 :f :read}",
         "event 2: process 0 completes a read that it never"},
        {"{:type :invoke :process 3 :f :read}{:type :info :process 3 :f :read}"
         "{:type :ok :process 3 :f :read}",
         "event 2: process 3 completes a read that it never"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct history history;
        struct err err = ERR_INIT;
        read_edn(&history, cases[i].text);
        assert_int_equal(history_pair(&history, &err), ERR_PARSE);
        assert_contains(err.message, cases[i].part);
        history_free(&history);
    }
}

/* Indeterminate operations retire their process: numbers grow, and the table of open ones with
 * them. */
/* What other tools' own tests hold: one process with several operations at once. */
static void found_operations_pair_by_function_and_value(void **state)
{
    (void)state;
    struct history history;
    struct err err = ERR_INIT;
    uint32_t left_open;
    read_edn(&history, "[{:type :invoke, :process 0, :f :write, :value 2}"
                       " {:type :invoke, :process 0, :f :write, :value 1}"
                       " {:type :ok, :process 0, :f :write, :value 2}"
                       " {:type :invoke, :process 0, :f :read}"
                       " {:type :ok, :process 0, :f :write, :value 1}"
                       " {:type :ok, :process 0, :f :read, :value 7}"
                       " {:type :invoke, :process 0, :f :read}"
                       " {:type :invoke, :process 0, :f :cas, :value [1 2]}"
                       " {:type :ok, :process 0, :f :cas, :value [1 2]}]");
    assert_int_equal(history_pair(&history, &err), ERR_PARSE);
    assert_ok(history_pair_found(&history, &left_open, &err));
    assert_int_equal(left_open, 1);
    static const uint32_t partners[] = {2, 4, 0, 5, 1, 3, HISTORY_NONE, 8, 7};
    assert_memory_equal(history.partner, partners, sizeof partners);
    history_free(&history);
    read_edn(&history, "[{:type :invoke, :process 0, :f :write, :value 2}"
                       " {:type :invoke, :process 0, :f :write, :value 1}"
                       " {:type :ok, :process 0, :f :read, :value 2}]");
    assert_int_equal(history_pair_found(&history, &left_open, &err), ERR_PARSE);
    assert_string_equal(err.message, "event 2: process 0 completes read but had invoked write");
    history_free(&history);
}

static void functions_can_be_read_as_others(void **state)
{
    (void)state;
    struct history history;
    read_edn(&history, "[{:type :invoke, :process 0, :f :publish, :value 2}"
                       " {:type :ok, :process 0, :f :publish, :value 2}"
                       " {:type :invoke, :process 0, :f :enqueue, :value 3}]");
    assert_true(history_rename_f(&history, "publish", "enqueue")); /* two become one */
    assert_false(history_rename_f(&history, "fetch", "dequeue"));
    for (uint32_t i = 0; i < 3; i++)
        assert_string_equal(history_f_name(&history, i), "enqueue");
    assert_int_equal(history.f[0], history.f[2]);
    assert_true(history_rename_f(&history, "enqueue", "add"));
    assert_string_equal(history_f_name(&history, 1), "add");
    history_free(&history);
}

static void many_retired_processes_pair(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct history history;
    history_init(&history);
    struct err err = ERR_INIT;
    enum err_code code = ERR_NONE;
    uint16_t f = history_f(&history, "write");
    for (int32_t i = 0; i < COUNT; i++) {
        struct op op = {.type = OP_INVOKE, .process = i * 7, .f = f};
        history_append(&history, &op, &code);
    }
    for (int32_t i = COUNT - 1; i >= 0; i -= 2) { /* the odd ones, the last invoked first */
        struct op op = {.type = OP_INFO, .process = i * 7, .f = f};
        history_append(&history, &op, &code);
    }
    assert_int_equal(code, ERR_NONE);
    assert_ok(history_pair(&history, &err));
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t partner = i % 2 == 0 ? HISTORY_NONE : COUNT + (COUNT - 1 - i) / 2;
        assert_int_equal(history.partner[i], partner);
    }
    history_free(&history);
}

static void columns_grow_and_values_are_copied(void **state)
{
    (void)state;
    struct history history, same;
    history_init(&history);
    history_init(&same);
    struct prng prng = prng_stream(3, "growth"), again = prng_stream(3, "growth");
    random_history(&prng, &history, 5000);
    random_history(&again, &same, 5000);
    assert_int_equal(history.count, 5000);
    assert_true(history.capacity >= 5000);
    assert_true(history_same(&history, &same, 5000));
    history_free(&same);
    history_free(&history);
}

static void names_get_numbers_once(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    assert_int_equal(history_find_f(&history, "read"), -1);
    uint16_t read = history_f(&history, "read"), write = history_f(&history, "write");
    assert_int_not_equal(read, write);
    assert_int_equal(history_f(&history, "read"), read);
    assert_int_equal(history_find_f(&history, "write"), write);
    assert_int_equal(history_process_named(&history, "nemesis"), PROCESS_NEMESIS);
    assert_int_equal(history_process_named(&history, "daemon"), PROCESS_DAEMON);
    int32_t other = history_process_named(&history, "checker");
    assert_int_equal(other, PROCESS_OTHER);
    assert_int_equal(history_process_named(&history, "second"), PROCESS_OTHER - 1);
    assert_int_equal(history_process_named(&history, "checker"), other);
    assert_string_equal(history_process_name(&history, PROCESS_OTHER - 1), "second");
    assert_string_equal(history_process_name(&history, PROCESS_NEMESIS), "nemesis");
    assert_string_equal(history_process_name(&history, -99), "unknown");
    history_free(&history);
}

static void errors_that_repeat_are_kept_once(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    enum err_code code;
    uint16_t f = history_f(&history, "read");
    for (int i = 0; i < 1000; i++) {
        struct arena scratch = ARENA_INIT;
        struct op op = {.type = OP_FAIL, .f = f, .error = value_nil()};
        if (i % 3 != 0)
            op.error = value_keyword(&scratch, i % 3 == 1 ? "timeout" : "refused");
        history_append(&history, &op, &code);
        arena_free(&scratch);
    }
    assert_int_equal(history.error_count, 3);
    assert_true(value_is_nil(history_op(&history, 0).error));
    assert_string_equal(value_as_text(history_op(&history, 1).error), "timeout");
    history_free(&history);
}

static void events_print_as_edn(void **state)
{
    (void)state;
    struct history history;
    read_edn(&history, "{:type :invoke :process 0 :f :read :time 5 :value [3 nil] :error :x}"
                       "{:type :info :process :nemesis :f [:a :start] :value \"n1\"}"
                       "{:type :info :process \"a b\" :f \"c d\"}");
    static const char *const printed[] = {
        "{:index 0, :time 5, :type :invoke, :process 0, :f :read, :value [3 nil], :error :x}",
        "{:index 1, :time -1, :type :info, :process :nemesis, :f [:a :start], :value \"n1\"}",
        "{:index 2, :time -1, :type :info, :process \"a b\", :f \"c d\", :value nil}",
    };
    for (uint32_t i = 0; i < 3; i++) {
        struct buf out = BUF_INIT;
        history_print_op(&history, i, &out);
        assert_string_equal(out.data, printed[i]);
        buf_free(&out);
    }
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_pair_by_process),
        cmocka_unit_test(nemesis_events_pair_by_function_in_turn),
        cmocka_unit_test(what_cannot_be_paired_is_named),
        cmocka_unit_test(found_operations_pair_by_function_and_value),
        cmocka_unit_test(functions_can_be_read_as_others),
        cmocka_unit_test(many_retired_processes_pair),
        cmocka_unit_test(columns_grow_and_values_are_copied),
        cmocka_unit_test(names_get_numbers_once),
        cmocka_unit_test(errors_that_repeat_are_kept_once),
        cmocka_unit_test(events_print_as_edn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
