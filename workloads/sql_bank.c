/* Accounts on SQL. A transfer reads both balances, and then writes what it worked out of them, as
 * applications do: what keeps two transfers apart is the isolation of transactions alone. */
#include <inttypes.h>
#include <stdlib.h>

#include "workloads/sql.h"

static void do_read(struct sql_client *client, struct op *op, struct arena *scratch)
{
    if (!sql_begin(client, SQL_READS, op, scratch))
        return;
    buf_clear(&client->statement);
    buf_add_text(&client->statement, "SELECT k, v FROM " SQL_ACCOUNTS " ORDER BY k");
    if (!sql_run(client, op, scratch))
        return;
    uint32_t rows = client->reply.rows;
    struct value *items = arena_alloc(scratch, (2 * (size_t)rows + 1) * sizeof *items);
    for (uint32_t i = 0; i < rows; i++) {
        items[2 * i] = sql_value(sql_cell(&client->reply, i, 0), scratch);
        items[2 * i + 1] = sql_value(sql_cell(&client->reply, i, 1), scratch);
    }
    if (!sql_commit(client, SQL_READS, op, scratch))
        return;
    op->value = value_items(scratch, VALUE_MAP, items, 2 * (size_t)rows);
    op_ok(op);
}

static bool get_balance(struct sql_client *client, int64_t account, int64_t *balance, struct op *op,
                        struct arena *scratch)
{
    buf_clear(&client->statement);
    buf_printf(&client->statement, "SELECT v FROM " SQL_ACCOUNTS " WHERE k = %" PRId64, account);
    if (!sql_run(client, op, scratch))
        return false;
    const char *cell = sql_cell(&client->reply, 0, 0);
    if (cell != NULL) {
        *balance = strtoll(cell, NULL, 10);
        return true;
    }
    sql_give_up(client, op, scratch, "no-account", "an account is not there");
    return false;
}

static bool set_balance(struct sql_client *client, int64_t account, int64_t balance, struct op *op,
                        struct arena *scratch)
{
    buf_clear(&client->statement);
    buf_printf(&client->statement, "UPDATE " SQL_ACCOUNTS " SET v = %" PRId64 " WHERE k = %" PRId64,
               balance, account);
    return sql_run(client, op, scratch);
}

static void do_transfer(struct sql_client *client, struct op *op, struct arena *scratch)
{
    int64_t source = value_as_int(value_get(op->value, "from"));
    int64_t target = value_as_int(value_get(op->value, "to"));
    int64_t amount = value_as_int(value_get(op->value, "amount"));
    int64_t has = 0, gets = 0;
    if (!sql_begin(client, SQL_CHANGES, op, scratch) ||
        !get_balance(client, source, &has, op, scratch) ||
        !get_balance(client, target, &gets, op, scratch))
        return;
    if (has < amount) {
        sql_give_up(client, op, scratch, "insufficient-funds", NULL);
        return;
    }
    if (set_balance(client, source, has - amount, op, scratch) &&
        set_balance(client, target, gets + amount, op, scratch) &&
        sql_commit(client, SQL_CHANGES, op, scratch))
        op_ok(op);
}

void sql_bank_invoke(struct sql_client *client, struct op *op, struct arena *scratch)
{
    bool whole = value_is_int(value_get(op->value, "from")) &&
                 value_is_int(value_get(op->value, "to")) &&
                 value_is_int(value_get(op->value, "amount"));
    if (op->f == client->read_f)
        do_read(client, op, scratch);
    else if (op->f == client->transfer_f && whole)
        do_transfer(client, op, scratch);
    else
        op_fail(op, scratch, "unsupported",
                "it takes read nil and transfer {:from a :to b :amount n}");
}
