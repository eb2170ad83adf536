/* Clients of SQL systems: which statements are sent, and what becomes of an operation when any one
 * of them fails in any way. The server is a script. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/histories/edn.h"
#include "tests/lib/test.h"
#include "workloads/sql.h"
#include "workloads/workloads.h"

/* ---- A server that answers as it is told ---- */

enum act {
    ACT_DONE,
    ACT_ROLLED_BACK,
    ACT_WARNED,
    ACT_SERIALIZATION,
    ACT_STRANGE,
    ACT_FATAL,
    ACT_LOST
};

static struct script {
    struct buf asked; /* every statement, each ended by ";" */
    int fail_at;      /* the statement, from 1, that is answered so; 0: none */
    enum act act;     /* how */
    int count;        /* statements so far */
    bool refuses;     /* connections */
    bool apart;       /* reads */
    int opened, closed;
    const char *cells[8]; /* one answer a SELECT, in order; "-" is no row, NULL: no more */
    int next_cell;
    uint64_t affected;
    enum sql_purpose purpose; /* of the connection that was opened last */
} script;

static int the_connections[64];

static void *fake_connect(struct test *test, uint32_t node, enum sql_purpose purpose,
                          int64_t deadline_ns, struct sql_reply *reply)
{
    (void)test, (void)node;
    assert_true(deadline_ns > clock_monotonic_ns());
    if (script.refuses) {
        sql_reply_lost(reply, "not-connected", "n1: nobody\nlistens");
        return NULL;
    }
    script.purpose = purpose;
    return &the_connections[script.opened++];
}

static void fake_close(void *connection)
{
    (void)connection;
    script.closed++;
}

static void answer(const char *statement, struct sql_reply *reply)
{
    reply->outcome = SQL_DONE;
    reply->affected = script.affected;
    if (strncmp(statement, "SELECT", 6) != 0)
        return;
    const char *cell = script.cells[script.next_cell++];
    reply->columns = 1;
    reply->rows = cell != NULL && strcmp(cell, "-") != 0;
    if (strchr(statement, ',') != NULL) { /* of accounts */
        reply->columns = 2;
        sql_reply_add(reply, "0", 1);
    }
    if (reply->rows > 0)
        sql_reply_add(reply, cell, strlen(cell));
}

static void answer_error(struct sql_reply *reply)
{
    reply->outcome = SQL_ERROR;
    reply->broken = script.act == ACT_FATAL;
    snprintf(reply->state, sizeof reply->state, "%s",
             script.act == ACT_SERIALIZATION ? "40001" : "XX000");
    snprintf(reply->detail, sizeof reply->detail, "as scripted");
}

static void fake_ask(void *connection, const char *statement, int64_t deadline_ns,
                     struct sql_reply *reply)
{
    (void)connection, (void)deadline_ns;
    buf_printf(&script.asked, "%s;", statement);
    sql_reply_clear(reply);
    if (strcmp(statement, "ROLLBACK") == 0)
        return;
    if (++script.count != script.fail_at) {
        answer(statement, reply);
        return;
    }
    if (script.act == ACT_LOST)
        sql_reply_lost(reply, "timeout", "no answer in time");
    else if (script.act == ACT_ROLLED_BACK)
        snprintf(reply->tag, sizeof reply->tag, "ROLLBACK");
    else if (script.act == ACT_WARNED)
        snprintf(reply->warning, sizeof reply->warning, "only here");
    else
        answer_error(reply);
}

static struct sql_meaning fake_meaning(const struct sql_reply *reply)
{
    bool serialization = strcmp(reply->state, "40001") == 0;
    return (struct sql_meaning){serialization ? OP_FAIL : OP_INFO,
                                serialization ? "serialization-failure" : "strange"};
}

static bool fake_apart(const struct test *test)
{
    (void)test;
    return script.apart;
}

static const char *fake_begin(const struct test *test, enum sql_purpose purpose)
{
    (void)test;
    return purpose == SQL_READS && script.apart ? "BEGIN READS" : "BEGIN";
}

static const struct sql_driver fake_driver = {.connect = fake_connect,
                                              .ask = fake_ask,
                                              .close = fake_close,
                                              .meaning = fake_meaning,
                                              .reads_apart = fake_apart,
                                              .begin = fake_begin,
                                              .or_set = "OR SET",
                                              .or_append = "OR APPEND"};

/* ---- A client of it ---- */

struct world {
    struct plan plan;
    struct history history;
    struct node nodes[1];
    struct test test;
    struct sql_client client;
    struct arena scratch;
};
static struct world world;

static void open_world(const struct workload *workload)
{
    buf_free(&script.asked);
    script = (struct script){.affected = 1};
    world = (struct world){.plan = {.options = {.values = json_object()},
                                    .workload = workload,
                                    .op_timeout_ns = NS_PER_SECOND},
                           .nodes = {{.name = "n1"}}};
    option_defaults(&world.plan.options, workload->name, workload->options);
    history_init(&world.history);
    static const char *const names[] = {"txn", "read", "write", "cas", "transfer"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        history_f(&world.history, names[i]);
    world.test = (struct test){
        .plan = &world.plan, .nodes = world.nodes, .node_count = 1, .history = &world.history};
}

static void open_client(void)
{
    struct err err = ERR_INIT;
    assert_ok(sql_client_open(&world.client, &fake_driver, &world.test, 0, &err));
}

static void close_world(void)
{
    sql_client_close(&world.client);
    assert_int_equal(script.opened, script.closed); /* no connection is left */
    history_free(&world.history);
    json_free(world.plan.options.values);
    arena_free(&world.scratch);
    buf_free(&script.asked);
}

static struct op invoke(const char *f, const char *edn)
{
    struct err err = ERR_INIT;
    struct op op = {.type = OP_INVOKE, .f = (uint16_t)history_find_f(&world.history, f)};
    assert_ok(edn_parse_all(&world.scratch, edn, strlen(edn), &op.value, &err));
    buf_clear(&script.asked);
    script.count = script.next_cell = 0;
    sql_client_invoke(&world.client, &world.test, &op, &world.scratch);
    return op;
}

static void assert_op(struct op op, enum op_type type, const char *value_or_error)
{
    struct buf text = BUF_INIT;
    value_print(type == OP_OK ? op.value : op.error, &text);
    assert_string_equal(buf_text(&text), value_or_error);
    assert_int_equal(op.type, type);
    buf_free(&text);
}

/* ---- Tests: what is asked ---- */

static void lists_are_read_and_appended_to_in_order(void **state)
{
    (void)state;
    open_world(&workload_list_append);
    open_client();
    script.cells[0] = "1 2";
    script.cells[1] = "-";
    script.cells[2] = "1 x 01";
    assert_op(invoke("txn", "[[:r 3 nil] [:append 3 7] [:r 4 nil] [:r 5 nil]]"), OP_OK,
              "[[:r 3 [1 2]] [:append 3 7] [:r 4 []] [:r 5 [1 \"x\" \"01\"]]]");
    assert_string_equal(script.asked.data,
                        "BEGIN;SELECT v FROM ordeal_lists WHERE k = 3;"
                        "INSERT INTO ordeal_lists (k, v) VALUES (3, '7') OR APPEND;"
                        "SELECT v FROM ordeal_lists WHERE k = 4;"
                        "SELECT v FROM ordeal_lists WHERE k = 5;COMMIT;");
    close_world();
}

static void registers_are_read_and_set(void **state)
{
    (void)state;
    open_world(&workload_rw_register);
    open_client();
    script.cells[0] = "-";
    script.cells[1] = "8";
    assert_op(invoke("txn", "[[:r 3 nil] [:w 3 7] [:r 4 nil]]"), OP_OK,
              "[[:r 3 nil] [:w 3 7] [:r 4 8]]");
    assert_string_equal(script.asked.data,
                        "BEGIN;SELECT v FROM ordeal_registers WHERE k = 3;"
                        "INSERT INTO ordeal_registers (k, v) VALUES (3, 7) OR SET;"
                        "SELECT v FROM ordeal_registers WHERE k = 4;COMMIT;");
    close_world();
}

static void transactions_of_groups_are_the_same(void **state)
{
    (void)state;
    open_world(&workload_multi_register);
    open_client();
    script.cells[0] = "8";
    assert_op(invoke("txn", "[2 [[:r 6 nil] [:w 7 1]]]"), OP_OK, "[2 [[:r 6 8] [:w 7 1]]]");
    assert_string_equal(script.asked.data,
                        "BEGIN;SELECT v FROM ordeal_registers WHERE k = 6;"
                        "INSERT INTO ordeal_registers (k, v) VALUES (7, 1) OR SET;COMMIT;");
    close_world();
}

static void one_register_is_read_written_and_compared(void **state)
{
    (void)state;
    open_world(&workload_register);
    open_client();
    script.cells[0] = "4";
    assert_op(invoke("read", "[1 nil]"), OP_OK, "[1 4]");
    assert_op(invoke("write", "[1 5]"), OP_OK, "[1 5]");
    assert_op(invoke("cas", "[1 [5 6]]"), OP_OK, "[1 [5 6]]");
    assert_string_equal(script.asked.data, "BEGIN;UPDATE ordeal_registers SET v = 6 WHERE k = 1 "
                                           "AND v = 5;COMMIT;");
    script.affected = 0;
    assert_op(invoke("cas", "[1 [5 6]]"), OP_FAIL, ":cas-mismatch");
    assert_contains(script.asked.data, "AND v = 5;ROLLBACK;");
    close_world();
}

static void money_moves_by_what_was_read(void **state)
{
    (void)state;
    open_world(&workload_bank);
    open_client();
    script.cells[0] = "10";
    script.cells[1] = "3";
    assert_op(invoke("transfer", "{:from 0 :to 1 :amount 4}"), OP_OK,
              "{:from 0, :to 1, :amount 4}");
    assert_contains(script.asked.data, "SET v = 6 WHERE k = 0;");
    assert_contains(script.asked.data, "SET v = 7 WHERE k = 1;COMMIT;");
    assert_op(invoke("transfer", "{:from 0 :to 1 :amount 11}"), OP_FAIL, ":insufficient-funds");
    assert_contains(script.asked.data, "ROLLBACK;");
    script.cells[1] = "-";
    assert_op(invoke("transfer", "{:from 0 :to 1 :amount 1}"), OP_FAIL,
              "[:no-account \"an account is not there\"]");
    assert_op(invoke("read", "nil"), OP_OK, "{0 10}");
    close_world();
}

static void accounts_hold_the_total_at_first(void **state)
{
    (void)state;
    struct buf schema = BUF_INIT;
    open_world(&workload_bank);
    json_set_text(world.plan.options.values, "bank.accounts", "3");
    json_set_text(world.plan.options.values, "bank.total", "11");
    sql_schema(&world.test, &schema);
    assert_contains(schema.data, "(k, v) VALUES (0, 4);\n");
    assert_contains(schema.data, "(k, v) VALUES (1, 4);\n");
    assert_contains(schema.data, "(k, v) VALUES (2, 3);\n");
    struct err err = ERR_INIT;
    assert_ok(sql_check(&world.test, &err));
    json_set_text(world.plan.options.values, "bank.accounts", "1");
    assert_int_equal(sql_check(&world.test, &err), ERR_CONFIG);
    assert_string_equal(err.message, "bank.accounts: 1 is not between 2 and 1000");
    buf_free(&schema);
    close_world();
}

static void what_is_no_operation_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "nil", "[]", "[[:w 1 2]]", "[[:append 1 nil]]", "[[:r \"x\" nil]]", "[[:r 1]]", "7",
    };
    open_world(&workload_list_append);
    open_client();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(invoke("txn", wrong[i]).type, OP_FAIL);
    assert_int_equal(invoke("read", "[1 nil]").type, OP_FAIL);
    assert_int_equal(script.asked.length, 0); /* nothing of it was sent */
    close_world();
}

/* ---- Tests: what failures are taken for ---- */

/* [:r 3] [:w 3]: statements 1 BEGIN, 2 SELECT, 3 INSERT, 4 COMMIT. */
static struct op fails_at(int statement, enum act act)
{
    script.fail_at = statement;
    script.act = act;
    script.cells[0] = "1";
    return invoke("txn", "[[:r 3 nil] [:w 3 7]]");
}

static void before_commit_everything_is_a_failure(void **state)
{
    (void)state;
    static const enum act acts[] = {ACT_SERIALIZATION, ACT_STRANGE, ACT_FATAL, ACT_LOST};
    for (int statement = 1; statement <= 3; statement++)
        for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
            open_world(&workload_rw_register);
            open_client();
            assert_int_equal(fails_at(statement, acts[i]).type, OP_FAIL);
            assert_null(strstr(script.asked.data, "COMMIT"));
            /* What is open is undone: by word where there is a connection, else by its end. */
            bool said = strstr(script.asked.data, ";ROLLBACK;") != NULL;
            assert_int_equal(said, acts[i] == ACT_SERIALIZATION || acts[i] == ACT_STRANGE);
            assert_int_equal(script.closed, said ? 0 : 1);
            script.fail_at = 0;
            assert_int_equal(invoke("txn", "[[:w 3 8]]").type, OP_OK);
            assert_int_equal(script.opened, said ? 1 : 2);
            close_world();
        }
}

static void commit_decides_between_failed_and_unknown(void **state)
{
    (void)state;
    static const struct {
        enum act act;
        enum op_type type;
        const char *error;
    } cases[] = {
        {ACT_SERIALIZATION, OP_FAIL, "[:serialization-failure \"as scripted\"]"},
        {ACT_ROLLED_BACK, OP_FAIL, "[:rolled-back \"COMMIT was answered by ROLLBACK\"]"},
        {ACT_STRANGE, OP_INFO, "[:strange \"as scripted\"]"},
        {ACT_FATAL, OP_INFO, "[:strange \"as scripted\"]"},
        {ACT_LOST, OP_INFO, "[:timeout \"no answer in time\"]"},
        {ACT_WARNED, OP_INFO, "[:committed-with-warning \"only here\"]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_world(&workload_rw_register);
        open_client();
        assert_op(fails_at(4, cases[i].act), cases[i].type, cases[i].error);
        close_world();
    }
}

static void what_only_reads_has_failed(void **state)
{
    (void)state;
    static const enum act acts[] = {ACT_SERIALIZATION, ACT_STRANGE, ACT_FATAL, ACT_LOST};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        open_world(&workload_rw_register);
        open_client();
        script.fail_at = 3;
        script.act = acts[i];
        assert_int_equal(invoke("txn", "[[:r 3 nil]]").type, OP_FAIL);
        close_world();
    }
}

static void no_connection_is_no_operation(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    open_world(&workload_rw_register);
    script.refuses = true;
    assert_int_equal(sql_client_open(&world.client, &fake_driver, &world.test, 0, &err),
                     ERR_REMOTE);
    assert_string_equal(err.message, "n1: nobody listens");
    world.client = (struct sql_client){.driver = NULL};
    script.refuses = false;
    open_client();
    fails_at(2, ACT_LOST); /* which ends the connection */
    script.refuses = true;
    assert_op(invoke("txn", "[[:w 3 8]]"), OP_FAIL, "[:not-connected \"n1: nobody listens\"]");
    assert_int_equal(script.asked.length, 0);
    close_world();
}

static void reads_may_have_a_connection_of_their_own(void **state)
{
    (void)state;
    open_world(&workload_rw_register);
    script.apart = true;
    open_client();
    assert_int_equal(script.purpose, SQL_READS);
    assert_int_equal(invoke("txn", "[[:w 3 8]]").type, OP_OK);
    assert_int_equal(script.purpose, SQL_CHANGES);
    assert_int_equal(script.opened, 2);
    assert_int_equal(invoke("txn", "[[:r 3 nil]]").type, OP_OK);
    assert_contains(script.asked.data, "BEGIN READS;SELECT");
    assert_int_equal(invoke("txn", "[[:r 3 nil] [:w 3 9]]").type, OP_OK);
    assert_contains(script.asked.data, "BEGIN;SELECT");
    assert_int_equal(script.opened, 2);
    close_world();
}

static void cells_are_what_was_added(void **state)
{
    (void)state;
    struct sql_reply reply = {.rows = 2, .columns = 2};
    sql_reply_add(&reply, "a", 1);
    sql_reply_add(&reply, NULL, 0);
    sql_reply_add(&reply, "", 0);
    assert_string_equal(sql_cell(&reply, 0, 0), "a");
    assert_null(sql_cell(&reply, 0, 1));
    assert_string_equal(sql_cell(&reply, 1, 0), "");
    assert_null(sql_cell(&reply, 1, 1)); /* it never came */
    assert_null(sql_cell(&reply, 2, 0));
    assert_null(sql_cell(&reply, 0, 2));
    sql_reply_free(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read_and_appended_to_in_order),
        cmocka_unit_test(registers_are_read_and_set),
        cmocka_unit_test(transactions_of_groups_are_the_same),
        cmocka_unit_test(one_register_is_read_written_and_compared),
        cmocka_unit_test(money_moves_by_what_was_read),
        cmocka_unit_test(accounts_hold_the_total_at_first),
        cmocka_unit_test(what_is_no_operation_is_refused),
        cmocka_unit_test(before_commit_everything_is_a_failure),
        cmocka_unit_test(commit_decides_between_failed_and_unknown),
        cmocka_unit_test(what_only_reads_has_failed),
        cmocka_unit_test(no_connection_is_no_operation),
        cmocka_unit_test(reads_may_have_a_connection_of_their_own),
        cmocka_unit_test(cells_are_what_was_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
