/* What databases' errors mean as the answer to COMMIT. Every one that is taken for "certainly
 * undone" is named here: said wrongly once, it convicts an innocent system. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/test.h"
#include "workloads/systems/systems.h"
#ifdef ORDEAL_HAVE_LIBPQ
#include "workloads/systems/postgres/postgres.h"
#endif
#ifdef ORDEAL_HAVE_LIBMARIADB
#include "workloads/systems/mariadb/mariadb.h"
#endif

static void postgres_errors(void **state)
{
    (void)state;
#ifndef ORDEAL_HAVE_LIBPQ
    test_skip("built without libpq");
#else
    static const struct {
        const char *state;
        enum op_type type;
        const char *error;
    } cases[] = {
        {"40001", OP_FAIL, "serialization-failure"},
        {"40P01", OP_FAIL, "deadlock"},
        {"40000", OP_FAIL, "rolled-back"},
        {"40002", OP_FAIL, "rolled-back"},
        {"40003", OP_INFO, "completion-unknown"},
        {"23505", OP_FAIL, "constraint"},
        {"23503", OP_FAIL, "constraint"},
        {"25P02", OP_FAIL, "aborted"},
        {"25006", OP_FAIL, "read-only"},
        {"25P03", OP_INFO, "transaction-state"},
        {"57014", OP_INFO, "canceled"},
        {"57P01", OP_INFO, "admin-shutdown"},
        {"57P02", OP_INFO, "crash-shutdown"},
        {"57P03", OP_INFO, "cannot-connect-now"},
        {"57P05", OP_INFO, "operator-intervention"},
        {"55P03", OP_INFO, "lock-not-available"},
        {"55000", OP_INFO, "not-in-prerequisite-state"},
        {"53100", OP_INFO, "insufficient-resources"},
        {"53300", OP_INFO, "insufficient-resources"},
        {"08006", OP_INFO, "connection-exception"},
        {"28P01", OP_INFO, "not-authorized"},
        {"42P01", OP_INFO, "bad-statement"},
        {"22003", OP_INFO, "bad-data"},
        {"3D000", OP_INFO, "no-database"},
        {"58030", OP_INFO, "system-error"},
        {"XX001", OP_INFO, "internal-error"},
        {"P0001", OP_INFO, "error"},
        {"4", OP_INFO, "error"},
        {"", OP_INFO, "error"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sql_reply reply = {.outcome = SQL_ERROR};
        snprintf(reply.state, sizeof reply.state, "%s", cases[i].state);
        struct sql_meaning meaning = postgres_meaning(&reply);
        if (meaning.type != cases[i].type || strcmp(meaning.error, cases[i].error) != 0)
            fail_msg("%s is taken for %s", cases[i].state, meaning.error);
        reply.broken = true; /* FATAL: the session has ended, and nothing is certain */
        assert_int_equal(postgres_meaning(&reply).type, OP_INFO);
    }
#endif
}

static void mariadb_errors(void **state)
{
    (void)state;
#ifndef ORDEAL_HAVE_LIBMARIADB
    test_skip("built without libmariadb");
#else
    static const struct {
        int number;
        const char *error;
        bool ends;
    } cases[] = {
        {1213, "deadlock", false},
        {1205, "lock-wait-timeout", false},
        {1020, "record-changed", false},
        {1047, "node-not-ready", false},
        {1180, "error-during-commit", true},
        {1181, "error-during-rollback", true},
        {1105, "unknown-error", true},
        {1053, "server-shutdown", true},
        {1927, "connection-killed", true},
        {1317, "interrupted", true},
        {1290, "read-only", false},
        {1792, "read-only", false},
        {1836, "read-only", false},
        {1040, "too-many-connections", true},
        {1044, "not-authorized", true},
        {1045, "not-authorized", true},
        {1049, "no-database", true},
        {1146, "no-table", false},
        {1062, "duplicate-key", false},
        {1064, "bad-statement", false},
        {1114, "table-full", false},
        {1021, "disk-full", false},
        {1026, "disk-error", true},
        {1030, "storage-error", true},
        {4242, "error", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sql_reply reply = {.outcome = SQL_ERROR, .number = cases[i].number};
        struct sql_meaning meaning = mariadb_meaning(&reply);
        if (strcmp(meaning.error, cases[i].error) != 0)
            fail_msg("%d is taken for %s", cases[i].number, meaning.error);
        assert_int_equal(mariadb_error_ends(cases[i].number), cases[i].ends);
    }
    /* Of all that there are, only a deadlock is certain. */
    for (int number = 0; number < 5000; number++) {
        struct sql_reply reply = {.outcome = SQL_ERROR, .number = number};
        assert_int_equal(mariadb_meaning(&reply).type, number == 1213 ? OP_FAIL : OP_INFO);
    }
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(postgres_errors),
        cmocka_unit_test(mariadb_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
