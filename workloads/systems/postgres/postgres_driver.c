/* The one file that meets libpq: connections that never wait longer than they were told. */
#include <libpq-fe.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "harness/base/clock.h"
#include "workloads/systems/postgres/postgres.h"

struct connection {
    PGconn *pq;
    char warning[200]; /* the last one of the statement that is being done */
};

/* ---- Waiting ---- */

static bool wait_for(const PGconn *pq, short events, int64_t deadline_ns)
{
    struct pollfd at = {.fd = PQsocket(pq), .events = events};
    int64_t left_ns = deadline_ns - clock_monotonic_ns();
    if (left_ns <= 0 || at.fd < 0)
        return false;
    struct timespec left = clock_timespec(left_ns);
    return ppoll(&at, 1, &left, NULL) != 0; /* what an error is, libpq finds out */
}

static void close_connection(void *state)
{
    struct connection *connection = state;
    /* Nothing is said to a server that may not listen: it sees the end, and undoes what is open. */
    if (PQsocket(connection->pq) >= 0)
        shutdown(PQsocket(connection->pq), SHUT_RDWR);
    PQfinish(connection->pq);
    free(connection);
}

/* ---- Connecting ---- */

static void take_notice(void *state, const PGresult *result)
{
    struct connection *connection = state;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (severity != NULL && strcmp(severity, "WARNING") == 0)
        snprintf(connection->warning, sizeof connection->warning, "%s",
                 message == NULL ? "a warning" : message);
}

static PGconn *begin_connecting(const struct test *test, uint32_t node)
{
    char port[16];
    snprintf(port, sizeof port, "%u", (unsigned)postgres_port(test));
    const char *const keys[] = {"host",    "port",       "dbname",           "user", "password",
                                "sslmode", "gssencmode", "application_name", NULL};
    const char *const values[] = {node_address(&test->nodes[node]),
                                  port,
                                  POSTGRES_ROLE,
                                  POSTGRES_ROLE,
                                  option_text(&test->plan->options, "postgres.password"),
                                  "disable",
                                  "disable",
                                  "ordeal",
                                  NULL};
    return PQconnectStartParams(keys, values, 0);
}

/* Until it is connected, or will not be. */
static const char *go_on_connecting(PGconn *pq, int64_t deadline_ns)
{
    for (PostgresPollingStatusType status = PGRES_POLLING_WRITING;;) {
        if (PQstatus(pq) == CONNECTION_BAD || status == PGRES_POLLING_FAILED)
            return PQerrorMessage(pq);
        if (status == PGRES_POLLING_OK)
            return NULL;
        if (!wait_for(pq, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ns))
            return "no connection in time";
        status = PQconnectPoll(pq);
    }
}

void *postgres_connect_to(const struct test *test, uint32_t node, int64_t deadline_ns,
                          struct sql_reply *reply)
{
    struct connection *connection = calloc(1, sizeof *connection);
    char why[256];
    if (connection != NULL)
        connection->pq = begin_connecting(test, node);
    if (connection == NULL || connection->pq == NULL) {
        free(connection);
        sql_reply_lost(reply, "not-connected", "out of memory");
        return NULL;
    }
    PQsetNoticeReceiver(connection->pq, take_notice, connection);
    const char *problem = go_on_connecting(connection->pq, deadline_ns);
    if (problem == NULL && PQsetnonblocking(connection->pq, 1) != 0)
        problem = PQerrorMessage(connection->pq);
    if (problem == NULL)
        return connection;
    snprintf(why, sizeof why, "%s: %.200s", test->nodes[node].name, problem);
    sql_reply_lost(reply, "not-connected", why);
    close_connection(connection);
    return NULL;
}

bool postgres_is_standby(void *state)
{
    struct connection *connection = state;
    const char *standby = PQparameterStatus(connection->pq, "in_hot_standby");
    return standby != NULL && strcmp(standby, "on") == 0;
}

/* Where the primary was found last: a hint, for all workers. */
static atomic_uint primary_hint;

static void *connect_to_primary(struct test *test, int64_t deadline_ns, struct sql_reply *reply)
{
    uint32_t first = atomic_load(&primary_hint) % test->node_count;
    for (uint32_t i = 0; i < test->node_count; i++) {
        uint32_t node = (first + i) % test->node_count;
        int64_t now_ns = clock_monotonic_ns();
        int64_t share_ns = (deadline_ns - now_ns) / (test->node_count - i);
        struct connection *connection = postgres_connect_to(test, node, now_ns + share_ns, reply);
        if (connection == NULL)
            continue;
        if (!postgres_is_standby(connection)) {
            atomic_store(&primary_hint, node);
            return connection;
        }
        close_connection(connection);
        sql_reply_lost(reply, "no-primary", "no node that answers is a primary");
    }
    return NULL;
}

static bool reads_apart(const struct test *test)
{
    return strcmp(option_text(&test->plan->options, "postgres.reads"), "replica") == 0;
}

static void *connect_for(struct test *test, uint32_t node, enum sql_purpose purpose,
                         int64_t deadline_ns, struct sql_reply *reply)
{
    sql_reply_clear(reply);
    if (purpose == SQL_READS && reads_apart(test))
        return postgres_connect_to(test, node, deadline_ns, reply);
    return connect_to_primary(test, deadline_ns, reply);
}

/* ---- Asking ---- */

static void copy_field(char *to, size_t size, const PGresult *result, int field)
{
    const char *text = PQresultErrorField(result, field);
    snprintf(to, size, "%s", text == NULL ? "" : text);
}

static void take_error(const PGresult *result, struct sql_reply *reply)
{
    char severity[16];
    copy_field(severity, sizeof severity, result, PG_DIAG_SEVERITY_NONLOCALIZED);
    copy_field(reply->state, sizeof reply->state, result, PG_DIAG_SQLSTATE);
    if (reply->state[0] == '\0') { /* libpq's own words: the connection is gone */
        sql_reply_lost(reply, "connection-lost", PQresultErrorMessage(result));
        return;
    }
    reply->outcome = SQL_ERROR;
    reply->broken = strcmp(severity, "ERROR") != 0; /* FATAL, PANIC */
    copy_field(reply->detail, sizeof reply->detail, result, PG_DIAG_MESSAGE_PRIMARY);
}

static void take_result(const PGresult *result, struct sql_reply *reply)
{
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        take_error(result, reply);
        return;
    }
    reply->outcome = SQL_DONE;
    snprintf(reply->tag, sizeof reply->tag, "%s", PQcmdStatus((PGresult *)result));
    reply->affected = strtoull(PQcmdTuples((PGresult *)result), NULL, 10);
    reply->rows = (uint32_t)PQntuples(result);
    reply->columns = (uint32_t)PQnfields(result);
    for (int row = 0; row < (int)reply->rows; row++)
        for (int column = 0; column < (int)reply->columns; column++)
            sql_reply_add(reply,
                          PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column),
                          (size_t)PQgetlength(result, row, column));
}

/* False, and the reply is complete, when the statement did not get there or no answer came. */
static bool send_statement(PGconn *pq, const char *statement, int64_t deadline_ns,
                           struct sql_reply *reply)
{
    int more = PQsendQuery(pq, statement) == 1 ? 1 : -1;
    while (more == 1) {
        more = PQflush(pq);
        if (more == 1 && !wait_for(pq, POLLOUT | POLLIN, deadline_ns)) {
            sql_reply_lost(reply, "timeout", "the statement was not sent in time");
            return false;
        }
        if (more == 1 && PQconsumeInput(pq) == 0)
            more = -1;
    }
    if (more == -1)
        sql_reply_lost(reply, "connection-lost", PQerrorMessage(pq));
    return more == 0;
}

static void ask(void *state, const char *statement, int64_t deadline_ns, struct sql_reply *reply)
{
    struct connection *connection = state;
    PGconn *pq = connection->pq;
    bool answered = false;
    sql_reply_clear(reply);
    connection->warning[0] = '\0';
    if (!send_statement(pq, statement, deadline_ns, reply))
        return;
    for (;;) {
        while (PQisBusy(pq)) {
            if (!wait_for(pq, POLLIN, deadline_ns)) {
                sql_reply_lost(reply, "timeout", "no answer in time");
                return;
            }
            if (PQconsumeInput(pq) == 0) {
                /* A server that ends says why, and that stands before the end. */
                if (PQisBusy(pq)) {
                    sql_reply_lost(reply, "connection-lost", PQerrorMessage(pq));
                    return;
                }
            }
        }
        PGresult *result = PQgetResult(pq);
        if (result == NULL)
            break;
        if (!answered)
            take_result(result, reply);
        answered = true;
        PQclear(result);
    }
    if (!answered)
        sql_reply_lost(reply, "connection-lost", "the server said nothing");
    else if (PQstatus(pq) == CONNECTION_BAD)
        reply->broken = true;
    if (reply->outcome == SQL_DONE)
        snprintf(reply->warning, sizeof reply->warning, "%s", connection->warning);
}

/* ---- The driver ---- */

/* A hot standby does not take part in what makes transactions serializable, and refuses to begin
 * such; what reads there has a snapshot. */
static const char *begin(const struct test *test, enum sql_purpose purpose)
{
    const char *isolation = option_text(&test->plan->options, "postgres.isolation");
    if (strcmp(isolation, "read-committed") == 0)
        return "BEGIN ISOLATION LEVEL READ COMMITTED";
    if (strcmp(isolation, "repeatable-read") == 0 || (purpose == SQL_READS && reads_apart(test)))
        return "BEGIN ISOLATION LEVEL REPEATABLE READ";
    return "BEGIN ISOLATION LEVEL SERIALIZABLE";
}

const struct sql_driver postgres_driver = {
    .connect = connect_for,
    .ask = ask,
    .close = close_connection,
    .meaning = postgres_meaning,
    .reads_apart = reads_apart,
    .begin = begin,
    .or_set = "ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v",
    .or_append = "ON CONFLICT (k) DO UPDATE SET v = " SQL_LISTS ".v || ' ' || EXCLUDED.v",
};
