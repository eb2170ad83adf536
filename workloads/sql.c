/* One operation as one transaction, and what becomes of it: see sql.h. */
#include "workloads/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"

/* ---- Answers ---- */

static const size_t null_offset = SIZE_MAX;

void sql_reply_clear(struct sql_reply *reply)
{
    struct buf cells = reply->cells, offsets = reply->offsets;
    buf_clear(&cells);
    buf_clear(&offsets);
    *reply = (struct sql_reply){.cells = cells, .offsets = offsets};
}

void sql_reply_free(struct sql_reply *reply)
{
    buf_free(&reply->cells);
    buf_free(&reply->offsets);
}

void sql_reply_add(struct sql_reply *reply, const char *text, size_t length)
{
    size_t offset = text == NULL ? null_offset : reply->cells.length;
    buf_add(&reply->offsets, &offset, sizeof offset);
    if (text == NULL)
        return;
    buf_add(&reply->cells, text, length);
    buf_add_char(&reply->cells, '\0');
}

const char *sql_cell(const struct sql_reply *reply, uint32_t row, uint32_t column)
{
    size_t index = (size_t)row * reply->columns + column, offset;
    if (row >= reply->rows || column >= reply->columns ||
        (index + 1) * sizeof offset > reply->offsets.length)
        return NULL;
    memcpy(&offset, reply->offsets.data + index * sizeof offset, sizeof offset);
    return offset == null_offset ? NULL : reply->cells.data + offset;
}

void sql_reply_lost(struct sql_reply *reply, const char *error, const char *detail)
{
    sql_reply_clear(reply);
    reply->outcome = SQL_LOST;
    reply->broken = true;
    snprintf(reply->error, sizeof reply->error, "%s", error);
    snprintf(reply->detail, sizeof reply->detail, "%s", detail);
    for (char *c = reply->detail; *c != '\0'; c++)
        if (*c == '\n')
            *c = ' ';
}

struct value sql_value(const char *cell, struct arena *scratch)
{
    if (cell == NULL)
        return value_nil();
    char *end,
        plain[32]; /* as the server writes it; what nobody can have written is for checkers */
    long long integer = strtoll(cell, &end, 10);
    snprintf(plain, sizeof plain, "%lld", integer);
    if (strcmp(plain, cell) == 0)
        return value_int(scratch, integer);
    return value_string(scratch, cell);
}

/* ---- The schema ---- */

static const char *workload_of(const struct test *test)
{
    return test->plan->workload->name;
}

static enum err_code check_range(const struct test *test, const char *name, int64_t low,
                                 int64_t high, struct err *err)
{
    int64_t value = option_int(&test->plan->options, name);
    if (value >= low && value <= high)
        return ERR_NONE;
    return err_set(err, ERR_CONFIG, "%s: %lld is not between %lld and %lld", name, (long long)value,
                   (long long)low, (long long)high);
}

enum err_code sql_check(const struct test *test, struct err *err)
{
    if (strcmp(workload_of(test), "bank") != 0)
        return ERR_NONE;
    enum err_code code = check_range(test, "bank.accounts", 2, 1000, err);
    return code == ERR_NONE ? check_range(test, "bank.total", 0, INT32_MAX, err) : code;
}

void sql_schema(const struct test *test, struct buf *out)
{
    static const char *const tables[][2] = {
        {SQL_LISTS, "text"}, {SQL_REGISTERS, "bigint"}, {SQL_ACCOUNTS, "bigint"}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        buf_printf(out, "CREATE TABLE %s (k bigint NOT NULL PRIMARY KEY, v %s NOT NULL);\n",
                   tables[i][0], tables[i][1]);
    if (strcmp(workload_of(test), "bank") != 0)
        return;
    int64_t accounts = option_int(&test->plan->options, "bank.accounts");
    int64_t total = option_int(&test->plan->options, "bank.total");
    for (int64_t i = 0; i < accounts; i++) /* as even as it goes; the first have what is over */
        buf_printf(out, "INSERT INTO " SQL_ACCOUNTS " (k, v) VALUES (%lld, %lld);\n", (long long)i,
                   (long long)(total / accounts + (i < total % accounts)));
}

/* ---- Completing ---- */

static bool reads_apart(const struct sql_client *client)
{
    return client->driver->reads_apart(client->test);
}

static void drop(struct sql_client *client)
{
    for (int i = 0; i < 2; i++)
        if (client->connections[i] != NULL && client->connections[i] == client->in_use)
            client->connections[i] = NULL;
    if (client->in_use != NULL)
        client->driver->close(client->in_use);
    client->in_use = NULL;
}

/* Ends the transaction that is open on a connection, if need be by ending that. */
static void undo(struct sql_client *client)
{
    struct sql_reply reply = {.outcome = SQL_DONE};
    if (client->in_use == NULL)
        return;
    client->driver->ask(client->in_use, "ROLLBACK", client->deadline_ns, &reply);
    if (reply.outcome != SQL_DONE || reply.broken)
        drop(client);
    sql_reply_free(&reply);
    client->in_use = NULL;
}

/* Completes the operation by the reply, which is no success. */
static void complete(struct sql_client *client, enum op_type type, struct op *op,
                     struct arena *scratch)
{
    const struct sql_reply *reply = &client->reply;
    const char *error =
        reply->outcome == SQL_LOST ? reply->error : client->driver->meaning(reply).error;
    if (type == OP_FAIL)
        op_fail(op, scratch, error, reply->detail);
    else
        op_info(op, scratch, error, reply->detail);
    if (reply->broken || reply->outcome == SQL_LOST)
        drop(client);
    else
        undo(client);
}

void sql_give_up(struct sql_client *client, struct op *op, struct arena *scratch, const char *error,
                 const char *detail)
{
    op_fail(op, scratch, error, detail);
    undo(client);
}

/* ---- A transaction ---- */

static bool connected(struct sql_client *client, enum sql_purpose purpose)
{
    void **connection = &client->connections[reads_apart(client) ? purpose : SQL_CHANGES];
    if (*connection == NULL)
        *connection = client->driver->connect(client->test, client->node, purpose,
                                              client->deadline_ns, &client->reply);
    client->in_use = *connection;
    return *connection != NULL;
}

bool sql_begin(struct sql_client *client, enum sql_purpose purpose, struct op *op,
               struct arena *scratch)
{
    if (!connected(client, purpose)) {
        op_fail(op, scratch, client->reply.outcome == SQL_LOST ? client->reply.error : "refused",
                client->reply.detail);
        return false;
    }
    buf_clear(&client->statement);
    buf_add_text(&client->statement, client->driver->begin(client->test, purpose));
    return sql_run(client, op, scratch);
}

bool sql_run(struct sql_client *client, struct op *op, struct arena *scratch)
{
    client->driver->ask(client->in_use, client->statement.data, client->deadline_ns,
                        &client->reply);
    if (client->reply.outcome == SQL_DONE)
        return true;
    complete(client, OP_FAIL, op, scratch); /* COMMIT was not sent, and will not be */
    return false;
}

bool sql_commit(struct sql_client *client, enum sql_purpose purpose, struct op *op,
                struct arena *scratch)
{
    struct sql_reply *reply = &client->reply;
    client->driver->ask(client->in_use, "COMMIT", client->deadline_ns, reply);
    if (reply->outcome == SQL_DONE && strcmp(reply->tag, "ROLLBACK") == 0) {
        op_fail(op, scratch, "rolled-back", "COMMIT was answered by ROLLBACK");
    } else if (reply->outcome == SQL_DONE && reply->warning[0] != '\0' && purpose == SQL_CHANGES) {
        /* "canceling wait for synchronous replication": done here, and maybe not elsewhere. */
        op_info(op, scratch, "committed-with-warning", reply->warning);
    } else if (reply->outcome == SQL_DONE) {
        client->in_use = NULL;
        return true;
    } else {
        enum op_type type =
            reply->outcome == SQL_LOST ? OP_INFO : client->driver->meaning(reply).type;
        complete(client, purpose == SQL_READS ? OP_FAIL : type, op, scratch);
    }
    client->in_use = NULL;
    return false;
}

/* ---- The client ---- */

static const struct runs {
    const char *workload;
    void (*invoke)(struct sql_client *client, struct op *op, struct arena *scratch);
    bool lists;
} runs[] = {
    {"register", sql_register_invoke, false}, {"list-append", sql_txn_invoke, true},
    {"rw-register", sql_txn_invoke, false},   {"multi-register", sql_txn_invoke, false},
    {"lost-update", sql_txn_invoke, false},   {"write-skew", sql_txn_invoke, false},
    {"long-fork", sql_txn_invoke, false},     {"bank", sql_bank_invoke, false},
};

static const struct runs *find_runs(const char *workload)
{
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        if (strcmp(runs[i].workload, workload) == 0)
            return &runs[i];
    return NULL;
}

bool sql_runs(const char *workload)
{
    return find_runs(workload) != NULL;
}

static void set_deadline(struct sql_client *client)
{
    /* A little less than what the harness allows, for what happens around it. */
    int64_t allowed_ns = client->test->plan->op_timeout_ns;
    client->deadline_ns = clock_monotonic_ns() + allowed_ns - allowed_ns / 50;
}

enum err_code sql_client_open(void *state, const struct sql_driver *driver, struct test *test,
                              uint32_t node, struct err *err)
{
    struct sql_client *client = state;
    const struct runs *how = find_runs(workload_of(test));
    client->driver = driver;
    client->test = test;
    client->node = node;
    client->invoke = how->invoke;
    client->lists = how->lists;
    client->txn_f = history_find_f(test->history, "txn");
    client->read_f = history_find_f(test->history, "read");
    client->write_f = history_find_f(test->history, "write");
    client->cas_f = history_find_f(test->history, "cas");
    client->transfer_f = history_find_f(test->history, "transfer");
    set_deadline(client);
    if (connected(client, reads_apart(client) ? SQL_READS : SQL_CHANGES))
        return ERR_NONE;
    enum err_code code = err_set(err, ERR_REMOTE, "%s", client->reply.detail);
    sql_client_close(client);
    return code;
}

void sql_client_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct sql_client *client = state;
    set_deadline(client);
    client->in_use = NULL;
    client->invoke(client, op, scratch);
}

void sql_client_close(void *state)
{
    struct sql_client *client = state;
    for (int i = 0; i < 2; i++)
        if (client->connections[i] != NULL)
            client->driver->close(client->connections[i]);
    sql_reply_free(&client->reply);
    buf_free(&client->statement);
}
