/* Jepsen's logs: operations are found among the noise, and a cut end is told. */
#include <string.h>

#include "harness/base/text.h"
#include "harness/histories/history_io.h"
#include "tests/lib/test.h"

static enum err_code load(const char *text, struct history *history, struct history_notes *notes,
                          struct err *err)
{
    assert_int_equal(file_write("jepsen.log", text, strlen(text), err), ERR_NONE);
    return history_load("jepsen.log", NULL, history, notes, err);
}

static void operations_are_found_among_other_lines(void **state)
{
    (void)state;
    struct history history;
    struct history_notes notes;
    struct err err = ERR_INIT;
    assert_ok(load("lein test jepsen.system.etcd-test\n"
                   "INFO  jepsen.core - Worker 4 starting\n"
                   "INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\r\n"
                   "INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n"
                   "0\t:info\t:cas\t[1 2]\t:timed-out\n"
                   "\n"
                   "a table\tof\tthings\n",
                   &history, &notes, &err));
    assert_int_equal(history.count, 3);
    assert_int_equal(notes.other_lines, 4);
    struct op cas = history_op(&history, 2);
    assert_int_equal(cas.type, OP_INFO);
    assert_int_equal(cas.process, 0);
    assert_int_equal(value_as_int(value_at(cas.value, 1)), 2);
    assert_string_equal(value_as_text(cas.error), "timed-out");
    assert_int_equal(history.process[1], PROCESS_NEMESIS);
    assert_null(history.cut);
    history_free(&history);
}

/* As etcd_100.log among Porcupine's is. */
static void blanks_will_do_where_tabs_were_lost(void **state)
{
    (void)state;
    struct history history;
    struct history_notes notes;
    struct err err = ERR_INIT;
    assert_ok(load("INFO  jepsen.util - 1   :invoke :cas    [1 2]\r\n"
                   "INFO  jepsen.util - 1   :fail   :cas    [1 2]   [:not \"a b\"]\n"
                   "INFO  jepsen.util - 2   :invoke :read   nil\n"
                   "INFO  jepsen.util - 2   :fail   :read   :timed-out\n"
                   "INFO  jepsen.core - Worker 2 says :ok now\n"
                   "0 :invoke :read\n",
                   &history, &notes, &err));
    assert_int_equal(history.count, 5);
    assert_int_equal(notes.other_lines, 1);
    struct op cas = history_op(&history, 1);
    assert_int_equal(cas.type, OP_FAIL);
    assert_int_equal(value_as_int(value_at(cas.value, 1)), 2);
    assert_string_equal(value_as_text(value_at(cas.error, 1)), "a b");
    assert_string_equal(value_as_text(history_op(&history, 3).value), "timed-out");
    assert_true(value_is_nil(history_op(&history, 4).value));
    history_free(&history);
    assert_int_equal(load("0 :invoke :read [1\n0 :ok :read 1\n", &history, &notes, &err),
                     ERR_PARSE);
    assert_contains(err.message, "jepsen.log:1:1");
}

static void a_cut_end_is_told_and_damage_located(void **state)
{
    (void)state;
    struct history history;
    struct history_notes notes;
    struct err err = ERR_INIT;
    assert_ok(load("0\t:invoke\t:read\tnil\n0\t:ok\t:read\t[1", &history, &notes, &err));
    assert_int_equal(history.count, 1);
    assert_contains(history.cut, "in the middle of a line");
    history_free(&history);
    assert_int_equal(load("0\t:invoke\t:read\t[1\n0\t:ok\t:read\t1\n", &history, &notes, &err),
                     ERR_PARSE);
    assert_contains(err.message, "jepsen.log:1:1");
}

static void an_operation_left_open_is_indeterminate(void **state)
{
    (void)state;
    struct history history;
    struct history_notes notes;
    struct err err = ERR_INIT;
    uint32_t left_open;
    assert_ok(load("0\t:invoke\t:write\t1\n0\t:invoke\t:write\t2\n0\t:ok\t:write\t2\n", &history,
                   &notes, &err));
    assert_int_equal(history_pair(&history, &err), ERR_PARSE);
    assert_ok(history_pair_found(&history, &left_open, &err));
    assert_int_equal(left_open, 1);
    assert_int_equal(history_outcome(&history, 0), OP_INFO);
    assert_int_equal(history_outcome(&history, 1), OP_OK);
    history_free(&history);
}

static void logs_are_written_as_jepsen_does(void **state)
{
    (void)state;
    static const char log[] = "0\t:invoke\t:read\tnil\n"
                              "0\t:ok\t:read\t[1 \"a\\nb\"]\n"
                              ":nemesis\t:info\t:kill\t{\"n1\" :killed}\n"
                              "1\t:invoke\t:write\t3\n"
                              "1\t:info\t:write\t3\t:timeout\n";
    struct history history;
    struct history_notes notes;
    struct err err = ERR_INIT;
    struct buf written = BUF_INIT;
    assert_ok(load(log, &history, &notes, &err));
    assert_ok(history_save("out.log", NULL, &history, &err));
    assert_ok(file_read("out.log", 1 << 20, &written, &err));
    assert_string_equal(buf_text(&written), log);
    buf_free(&written);
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_are_found_among_other_lines),
        cmocka_unit_test(blanks_will_do_where_tabs_were_lost),
        cmocka_unit_test(a_cut_end_is_told_and_damage_located),
        cmocka_unit_test(an_operation_left_open_is_indeterminate),
        cmocka_unit_test(logs_are_written_as_jepsen_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
