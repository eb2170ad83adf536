/* Registers on SQL: one row a key, and one statement between BEGIN and COMMIT. */
#include <inttypes.h>

#include "workloads/sql.h"

static void put_statement(struct sql_client *client, const struct op *op)
{
    struct value argument = value_at(op->value, 1);
    int64_t key = value_as_int(value_at(op->value, 0));
    buf_clear(&client->statement);
    if (op->f == client->read_f)
        buf_printf(&client->statement, "SELECT v FROM " SQL_REGISTERS " WHERE k = %" PRId64, key);
    else if (op->f == client->write_f)
        buf_printf(&client->statement,
                   "INSERT INTO " SQL_REGISTERS " (k, v) VALUES (%" PRId64 ", %" PRId64 ") %s", key,
                   value_as_int(argument), client->driver->or_set);
    else
        buf_printf(&client->statement,
                   "UPDATE " SQL_REGISTERS " SET v = %" PRId64 " WHERE k = %" PRId64
                   " AND v = %" PRId64,
                   value_as_int(value_at(argument, 1)), key, value_as_int(value_at(argument, 0)));
}

static bool is_known(const struct sql_client *client, const struct op *op)
{
    if (!value_is_pair(op->value) || !value_is_int(value_at(op->value, 0)))
        return false;
    struct value argument = value_at(op->value, 1);
    return op->f == client->read_f || (op->f == client->write_f && value_is_int(argument)) ||
           (op->f == client->cas_f && value_is_pair(argument) &&
            value_is_int(value_at(argument, 0)) && value_is_int(value_at(argument, 1)));
}

void sql_register_invoke(struct sql_client *client, struct op *op, struct arena *scratch)
{
    bool reads = op->f == client->read_f;
    enum sql_purpose purpose = reads ? SQL_READS : SQL_CHANGES;
    struct value found = value_nil();
    if (!is_known(client, op)) {
        op_fail(op, scratch, "unsupported",
                "it takes read [k nil], write [k v], cas [k [old new]]");
        return;
    }
    if (!sql_begin(client, purpose, op, scratch))
        return;
    put_statement(client, op);
    if (!sql_run(client, op, scratch))
        return;
    if (op->f == client->cas_f && client->reply.affected == 0) {
        sql_give_up(client, op, scratch, "cas-mismatch", NULL);
        return;
    }
    if (reads)
        found = sql_value(sql_cell(&client->reply, 0, 0), scratch);
    if (!sql_commit(client, purpose, op, scratch))
        return;
    if (reads)
        op->value = value_pair(scratch, value_at(op->value, 0), found);
    op_ok(op);
}
