/* What MariaDB's errors mean as the answer to COMMIT.
 *
 * Galera certifies a transaction when it is committed, and answers one that lost against another by
 * a deadlock, having undone it; one that was certified and then had to make way is done again, and
 * answered as it then ends. So a deadlock is a failure. Other errors may be said before or after
 * the transaction was given to the group or written to the log, and are none. */
#include <stddef.h>

#include "workloads/systems/mariadb/mariadb.h"

static const struct row {
    int number;
    enum op_type type;
    const char *error;
    bool ends; /* the connection is of no use after it */
} rows[] = {
    {1213, OP_FAIL, "deadlock", false},
    {1205, OP_INFO, "lock-wait-timeout", false},
    {1020, OP_INFO, "record-changed", false}, /* innodb_snapshot_isolation; never of COMMIT */
    {1047, OP_INFO, "node-not-ready", false}, /* also "WSREP has not yet prepared node" */
    {1180, OP_INFO, "error-during-commit", true},
    {1181, OP_INFO, "error-during-rollback", true},
    {1105, OP_INFO, "unknown-error", true},
    {1053, OP_INFO, "server-shutdown", true},
    {1927, OP_INFO, "connection-killed", true},
    {1317, OP_INFO, "interrupted", true},
    {1290, OP_INFO, "read-only", false},
    {1792, OP_INFO, "read-only", false},
    {1836, OP_INFO, "read-only", false},
    {1040, OP_INFO, "too-many-connections", true},
    {1045, OP_INFO, "not-authorized", true},
    {1044, OP_INFO, "not-authorized", true},
    {1049, OP_INFO, "no-database", true},
    {1146, OP_INFO, "no-table", false},
    {1062, OP_INFO, "duplicate-key", false},
    {1064, OP_INFO, "bad-statement", false},
    {1114, OP_INFO, "table-full", false},
    {1021, OP_INFO, "disk-full", false},
    {1026, OP_INFO, "disk-error", true},
    {1030, OP_INFO, "storage-error", true},
    {0, OP_INFO, "error", true},
};

struct sql_meaning mariadb_meaning(const struct sql_reply *reply)
{
    const struct row *row = rows;
    while (row->number != 0 && row->number != reply->number)
        row++;
    return (struct sql_meaning){row->type, row->error};
}

bool mariadb_error_ends(int number)
{
    const struct row *row = rows;
    while (row->number != 0 && row->number != number)
        row++;
    return row->ends;
}
