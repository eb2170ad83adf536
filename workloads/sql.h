/* What clients of SQL systems share: one operation is one transaction, whatever the server speaks.
 *
 * A driver is a client library behind four calls; what statements are sent, in which order, and
 * what its answers mean for the operation is written once, here. What matters most is what failures
 * are taken for: an operation is called failed when COMMIT was never sent (the server ends such a
 * transaction by undoing it), or when COMMIT was answered by an error that certainly means that.
 * Everything else is unknown, save that what only reads changes nothing and may always be called
 * failed. */
#ifndef ORDEAL_WORKLOADS_SQL_H
#define ORDEAL_WORKLOADS_SQL_H

#include "harness/workload.h"

/* ---- Answers ---- */

enum sql_outcome {
    SQL_DONE,  /* the server did it */
    SQL_ERROR, /* the server says that it did not, and why */
    SQL_LOST,  /* no answer, or half of one: the server may yet do it */
};

struct sql_reply {
    enum sql_outcome outcome;
    bool broken;       /* an error after which the connection is of no use */
    char state[8];     /* SQLSTATE of an error, "" when there is none */
    int number;        /* the server's own number for it, 0 when there is none */
    char error[24];    /* of SQL_LOST: "timeout", "connection-lost", "not-connected" */
    char detail[200];  /* what the server or the library says of an error */
    char tag[24];      /* of SQL_DONE: what was done ("COMMIT", "ROLLBACK"), where that is told */
    char warning[200]; /* of SQL_DONE: the last warning that came with it, "" when none did */
    uint64_t affected; /* rows that an UPDATE or INSERT found */
    uint32_t rows, columns;
    struct buf cells; /* private: see sql_cell */
    struct buf offsets;
};

void sql_reply_clear(struct sql_reply *reply); /* keeps the memory */
void sql_reply_free(struct sql_reply *reply);
/* For drivers: the next cell, row by row; NULL is SQL's. */
void sql_reply_add(struct sql_reply *reply, const char *text, size_t length);
/* NULL where it is SQL's, or where there is no such cell. */
const char *sql_cell(const struct sql_reply *reply, uint32_t row, uint32_t column);
/* For drivers: SQL_LOST. */
void sql_reply_lost(struct sql_reply *reply, const char *error, const char *detail);

/* ---- Drivers ---- */

/* What an error means as the answer to COMMIT, and what it is called. */
struct sql_meaning {
    enum op_type type; /* OP_FAIL: certainly undone; else OP_INFO */
    const char *error;
};

enum sql_purpose { SQL_READS, SQL_CHANGES };

struct sql_driver {
    /* A connection for a worker of this node; which server that is, the system's options say. NULL,
     * and `reply` tells why, when there is none by the deadline (of the monotonic clock). */
    void *(*connect)(struct test *test, uint32_t node, enum sql_purpose purpose,
                     int64_t deadline_ns, struct sql_reply *reply);
    /* One statement and its whole answer, or SQL_LOST at the deadline. */
    void (*ask)(void *connection, const char *statement, int64_t deadline_ns,
                struct sql_reply *reply);
    void (*close)(void *connection); /* does not wait */
    struct sql_meaning (*meaning)(const struct sql_reply *reply);
    /* Whether what only reads goes to a server of its own. */
    bool (*reads_apart)(const struct test *test);
    /* How a transaction begins, for the options in force. */
    const char *(*begin)(const struct test *test, enum sql_purpose purpose);
    /* What follows "INSERT INTO table (k, v) VALUES (1, 2)" when the key may be there already. */
    const char *or_set, *or_append; /* of registers and of lists */
};

/* ---- The schema ---- */

#define SQL_LISTS "ordeal_lists"         /* k bigint primary key, v text: elements between spaces */
#define SQL_REGISTERS "ordeal_registers" /* k bigint primary key, v bigint */
#define SQL_ACCOUNTS "ordeal_accounts"   /* the same */

/* Refuses options of the plan's workload that no table can be made by (ERR_CONFIG). */
enum err_code sql_check(const struct test *test, struct err *err);
/* Adds the statements that make the tables which the plan's workload needs, with what is in them at
 * first, each ended by ";\n". */
void sql_schema(const struct test *test, struct buf *out);

/* ---- The client ---- */

/* Whether the client below can run that workload. */
bool sql_runs(const char *workload);

enum { SQL_MICROS_MAX = 256 };

struct sql_client {
    const struct sql_driver *driver;
    struct test *test;
    uint32_t node;
    void *connections[2]; /* by purpose; NULL: none. Where reads are not apart the second is all */
    void *in_use;         /* the one that the transaction is on */
    struct sql_reply reply;
    struct buf statement;
    int64_t deadline_ns;
    void (*invoke)(struct sql_client *client, struct op *op, struct arena *scratch);
    int txn_f, read_f, write_f, cas_f, transfer_f; /* -1: the run has no such function */
    bool lists;
};

/* For `struct client`: state is a zeroed struct sql_client. */
enum err_code sql_client_open(void *state, const struct sql_driver *driver, struct test *test,
                              uint32_t node, struct err *err);
void sql_client_invoke(void *state, struct test *test, struct op *op, struct arena *scratch);
void sql_client_close(void *state);

/* One operation's transaction. Each answers false when the operation is complete, which then did
 * not succeed; whatever was begun is undone. sql_run runs client->statement. */
bool sql_begin(struct sql_client *client, enum sql_purpose purpose, struct op *op,
               struct arena *scratch);
bool sql_run(struct sql_client *client, struct op *op, struct arena *scratch);
bool sql_commit(struct sql_client *client, enum sql_purpose purpose, struct op *op,
                struct arena *scratch);
/* Undoes it, and fails the operation. */
void sql_give_up(struct sql_client *client, struct op *op, struct arena *scratch, const char *error,
                 const char *detail);

/* sql_txn.c, sql_register.c, sql_bank.c: operations of workloads. */
void sql_txn_invoke(struct sql_client *client, struct op *op, struct arena *scratch);
void sql_register_invoke(struct sql_client *client, struct op *op, struct arena *scratch);
void sql_bank_invoke(struct sql_client *client, struct op *op, struct arena *scratch);

/* The integer that a cell is; whatever else it is, as a string; nil for SQL's NULL. */
struct value sql_value(const char *cell, struct arena *scratch);

#endif
