/* Transactions of reads and appends, or of reads and writes, on SQL: one statement for each
 * micro-operation, in order, in one transaction. Lists are appended to by the server. */
#include <inttypes.h>
#include <string.h>

#include "workloads/sql.h"
#include "workloads/txn.h"

/* False when it is no transaction that can be run. */
static bool survey(const struct sql_client *client, struct value txn, enum sql_purpose *purpose)
{
    size_t count = value_kind(txn) == VALUE_VECTOR ? value_count(txn) : 0;
    *purpose = SQL_READS;
    for (size_t i = 0; i < count; i++) {
        enum txn_micro micro = txn_micro(client->lists, value_at(txn, i));
        if (micro == TXN_NEITHER)
            return false;
        if (micro == TXN_WRITES)
            *purpose = SQL_CHANGES;
    }
    return count > 0 && count <= SQL_MICROS_MAX;
}

static void put_statement(struct sql_client *client, struct value micro)
{
    int64_t key = value_as_int(value_at(micro, 1)), value = value_as_int(value_at(micro, 2));
    const char *table = client->lists ? SQL_LISTS : SQL_REGISTERS;
    const struct sql_driver *driver = client->driver;
    buf_clear(&client->statement);
    if (txn_micro(client->lists, micro) == TXN_READS)
        buf_printf(&client->statement, "SELECT v FROM %s WHERE k = %" PRId64, table, key);
    else
        buf_printf(&client->statement,
                   client->lists ? "INSERT INTO %s (k, v) VALUES (%" PRId64 ", '%" PRId64 "') %s"
                                 : "INSERT INTO %s (k, v) VALUES (%" PRId64 ", %" PRId64 ") %s",
                   table, key, value, client->lists ? driver->or_append : driver->or_set);
}

static struct value parse_list(const char *text, struct arena *scratch)
{
    text = text == NULL ? "" : text;
    struct value *items = arena_alloc(scratch, (strlen(text) + 1) * sizeof *items);
    size_t count = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, " ");
        items[count++] = sql_value(arena_strndup(scratch, text, length), scratch);
        text += length;
        if (*text == ' ')
            text++;
    }
    return value_items(scratch, VALUE_VECTOR, items, count);
}

static struct value with_read(const struct sql_client *client, struct value micro,
                              struct arena *scratch)
{
    const char *cell = sql_cell(&client->reply, 0, 0);
    const struct value items[3] = {value_at(micro, 0), value_at(micro, 1),
                                   client->lists ? parse_list(cell, scratch)
                                                 : sql_value(cell, scratch)};
    return value_items(scratch, VALUE_VECTOR, items, 3);
}

void sql_txn_invoke(struct sql_client *client, struct op *op, struct arena *scratch)
{
    enum sql_purpose purpose;
    struct value done[SQL_MICROS_MAX], txn = txn_of(op->value);
    if (op->f != client->txn_f || !survey(client, txn, &purpose)) {
        op_fail(op, scratch, "unsupported",
                client->lists ? "it takes txn [[:r k nil] [:append k v] ...] of integers"
                              : "it takes txn [[:r k nil] [:w k v] ...] of integers");
        return;
    }
    if (!sql_begin(client, purpose, op, scratch))
        return;
    size_t count = value_count(txn);
    for (size_t i = 0; i < count; i++) {
        done[i] = value_at(txn, i);
        put_statement(client, done[i]);
        if (!sql_run(client, op, scratch))
            return;
        if (txn_micro(client->lists, done[i]) == TXN_READS)
            done[i] = with_read(client, done[i], scratch);
    }
    if (!sql_commit(client, purpose, op, scratch))
        return;
    op->value = txn_done(op->value, value_items(scratch, VALUE_VECTOR, done, count), scratch);
    op_ok(op);
}
