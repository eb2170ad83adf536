/* What PostgreSQL's errors mean as the answer to COMMIT.
 *
 * The server decides about a transaction before it writes the record that commits it, and what it
 * finds out then (a conflict, a constraint that waited) is an ERROR that undoes all. Once the
 * record is written an error is a PANIC or the end of the session (FATAL): then it may be committed
 * here, be replicated or not, and nobody says. So only those errors are failures whose own meaning
 * is that the transaction was undone, and only while the session goes on. */
#include <string.h>

#include "harness/base/text.h"
#include "workloads/systems/postgres/postgres.h"

/* The first row that the SQLSTATE begins with decides. */
static const struct row {
    const char *state;
    enum op_type type;
    const char *error;
} rows[] = {
    {"40001", OP_FAIL, "serialization-failure"},
    {"40P01", OP_FAIL, "deadlock"},
    {"40003", OP_INFO, "completion-unknown"},
    {"40", OP_FAIL, "rolled-back"},  /* "transaction rollback" is what the class means */
    {"23", OP_FAIL, "constraint"},   /* constraints that wait for COMMIT are looked at before it */
    {"25P02", OP_FAIL, "aborted"},   /* an earlier error ended it; COMMIT can only roll back */
    {"25006", OP_FAIL, "read-only"}, /* it never had a number to be committed under */
    {"25", OP_INFO, "transaction-state"},
    {"55P03", OP_INFO, "lock-not-available"},
    {"55", OP_INFO, "not-in-prerequisite-state"},
    {"57014", OP_INFO, "canceled"},
    {"57P01", OP_INFO, "admin-shutdown"}, /* also of one that waits for a synchronous standby */
    {"57P02", OP_INFO, "crash-shutdown"},
    {"57P03", OP_INFO, "cannot-connect-now"},
    {"57", OP_INFO, "operator-intervention"},
    {"53", OP_INFO, "insufficient-resources"},
    {"08", OP_INFO, "connection-exception"},
    {"28", OP_INFO, "not-authorized"},
    {"42", OP_INFO, "bad-statement"},
    {"22", OP_INFO, "bad-data"},
    {"3D", OP_INFO, "no-database"},
    {"58", OP_INFO, "system-error"},
    {"XX", OP_INFO, "internal-error"},
    {"", OP_INFO, "error"},
};

struct sql_meaning postgres_meaning(const struct sql_reply *reply)
{
    const struct row *row = rows;
    while (!text_starts(reply->state, row->state))
        row++; /* the last row matches everything */
    return (struct sql_meaning){reply->broken ? OP_INFO : row->type, row->error};
}
