/* The one file that meets libmariadb, by its calls that do not block: connections that never wait
 * longer than they were told, and are never made anew behind our back. */
#include <mysql.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "harness/base/clock.h"
#include "workloads/systems/mariadb/mariadb.h"

struct connection {
    MYSQL *mysql;
};

/* ---- Waiting ---- */

/* What of `wanted` (MYSQL_WAIT_..) came true; 0: nothing by the deadline. */
static int wait_for(MYSQL *mysql, int wanted, int64_t deadline_ns)
{
    struct pollfd at = {.fd = mysql_get_socket(mysql)};
    at.events = (short)((wanted & MYSQL_WAIT_READ ? POLLIN : 0) |
                        (wanted & MYSQL_WAIT_WRITE ? POLLOUT : 0) |
                        (wanted & MYSQL_WAIT_EXCEPT ? POLLPRI : 0));
    int64_t left_ns = deadline_ns - clock_monotonic_ns(), bound_ns = left_ns;
    if (wanted & MYSQL_WAIT_TIMEOUT && mysql_get_timeout_value_ms(mysql) * NS_PER_MS < left_ns)
        bound_ns = mysql_get_timeout_value_ms(mysql) * NS_PER_MS;
    if (left_ns <= 0)
        return 0;
    struct timespec bound = clock_timespec(bound_ns);
    if (ppoll(&at, 1, &bound, NULL) <= 0)
        return bound_ns < left_ns ? MYSQL_WAIT_TIMEOUT : 0;
    int came = (at.revents & POLLIN ? MYSQL_WAIT_READ : 0) |
               (at.revents & POLLOUT ? MYSQL_WAIT_WRITE : 0) |
               (at.revents & POLLPRI ? MYSQL_WAIT_EXCEPT : 0);
    /* An error is found out by whoever reads or writes. */
    return came != 0 ? came : wanted & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE);
}

static void close_connection(void *state)
{
    struct connection *connection = state;
    /* Nothing is said to a server that may not listen: it sees the end, and undoes what is open. */
    if (mysql_get_socket(connection->mysql) != MARIADB_INVALID_SOCKET)
        shutdown(mysql_get_socket(connection->mysql), SHUT_RDWR);
    mysql_close(connection->mysql);
    free(connection);
}

/* ---- Connecting ---- */

static void start_library(void)
{
    mysql_library_init(0, NULL, NULL);
}

static bool go_on_connecting(MYSQL *mysql, const struct test *test, uint32_t node,
                             int64_t deadline_ns)
{
    MYSQL *done = NULL;
    int status =
        mysql_real_connect_start(&done, mysql, node_address(&test->nodes[node]), MARIADB_USER,
                                 option_text(&test->plan->options, "mariadb.password"),
                                 MARIADB_USER, mariadb_port(test), NULL, CLIENT_FOUND_ROWS);
    while (status != 0) {
        int came = wait_for(mysql, status, deadline_ns);
        if (came == 0)
            return false;
        status = mysql_real_connect_cont(&done, mysql, came);
    }
    return done != NULL;
}

static struct connection *new_connection(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_library);
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection != NULL && (connection->mysql = mysql_init(NULL)) == NULL) {
        free(connection);
        return NULL;
    }
    return connection;
}

void *mariadb_connect_to(const struct test *test, uint32_t node, int64_t deadline_ns,
                         struct sql_reply *reply)
{
    struct connection *connection = new_connection();
    char why[256];
    sql_reply_clear(reply);
    if (connection == NULL) {
        sql_reply_lost(reply, "not-connected", "out of memory");
        return NULL;
    }
    mysql_options(connection->mysql, MYSQL_OPT_NONBLOCK, NULL);
    if (go_on_connecting(connection->mysql, test, node, deadline_ns))
        return connection;
    const char *problem = mysql_error(connection->mysql);
    snprintf(why, sizeof why, "%s: %.200s", test->nodes[node].name,
             *problem == '\0' ? "no connection in time" : problem);
    sql_reply_lost(reply, "not-connected", why);
    close_connection(connection);
    return NULL;
}

/* ---- Asking ---- */

static void take_error(MYSQL *mysql, struct sql_reply *reply)
{
    unsigned number = mysql_errno(mysql);
    /* From 2000 on, and from 5000 on, it is the library that speaks: the connection is gone. */
    if (number < 1000 || (number >= 2000 && number < 3000) || number >= 5000) {
        sql_reply_lost(reply, "connection-lost", mysql_error(mysql));
        return;
    }
    reply->outcome = SQL_ERROR;
    reply->number = (int)number;
    reply->broken = mariadb_error_ends((int)number);
    snprintf(reply->state, sizeof reply->state, "%s", mysql_sqlstate(mysql));
    snprintf(reply->detail, sizeof reply->detail, "%s", mysql_error(mysql));
}

static void take_rows(MYSQL_RES *result, struct sql_reply *reply)
{
    reply->columns = mysql_num_fields(result);
    for (MYSQL_ROW row; (row = mysql_fetch_row(result)) != NULL; reply->rows++) {
        unsigned long *lengths = mysql_fetch_lengths(result);
        for (uint32_t i = 0; i < reply->columns; i++)
            sql_reply_add(reply, row[i], lengths[i]);
    }
    mysql_free_result(result); /* it is all here: nothing is waited for */
}

static void ask(void *state, const char *statement, int64_t deadline_ns, struct sql_reply *reply)
{
    struct connection *connection = state;
    MYSQL *mysql = connection->mysql;
    MYSQL_RES *result = NULL;
    int failed = 0, came;
    sql_reply_clear(reply);
    for (int status = mysql_real_query_start(&failed, mysql, statement, strlen(statement));
         status != 0; status = mysql_real_query_cont(&failed, mysql, came))
        if ((came = wait_for(mysql, status, deadline_ns)) == 0) {
            sql_reply_lost(reply, "timeout", "no answer in time");
            return;
        }
    for (int status = failed != 0 ? 0 : mysql_store_result_start(&result, mysql); status != 0;
         status = mysql_store_result_cont(&result, mysql, came))
        if ((came = wait_for(mysql, status, deadline_ns)) == 0) {
            sql_reply_lost(reply, "timeout", "no whole answer in time");
            return;
        }
    if (failed != 0 || (result == NULL && mysql_errno(mysql) != 0)) {
        take_error(mysql, reply);
        return;
    }
    reply->outcome = SQL_DONE;
    if (result == NULL)
        reply->affected = mysql_affected_rows(mysql);
    else
        take_rows(result, reply);
}

/* ---- The driver ---- */

static const char *isolation_of(const struct test *test)
{
    const char *isolation = option_text(&test->plan->options, "mariadb.isolation");
    return strcmp(isolation, "serializable") == 0      ? "SERIALIZABLE"
           : strcmp(isolation, "repeatable-read") == 0 ? "REPEATABLE READ"
                                                       : "READ COMMITTED";
}

static void *connect_for(struct test *test, uint32_t node, enum sql_purpose purpose,
                         int64_t deadline_ns, struct sql_reply *reply)
{
    (void)purpose;
    char statement[96];
    if (!mariadb_is_galera(test) ||
        strcmp(option_text(&test->plan->options, "mariadb.clients"), "first") == 0)
        node = 0;
    void *connection = mariadb_connect_to(test, node, deadline_ns, reply);
    if (connection == NULL)
        return NULL;
    snprintf(statement, sizeof statement, "SET SESSION TRANSACTION ISOLATION LEVEL %s",
             isolation_of(test));
    ask(connection, statement, deadline_ns, reply);
    if (reply->outcome == SQL_DONE)
        return connection;
    close_connection(connection);
    return NULL;
}

static bool reads_apart(const struct test *test)
{
    (void)test;
    return false;
}

static const char *begin(const struct test *test, enum sql_purpose purpose)
{
    (void)test, (void)purpose;
    return "START TRANSACTION";
}

const struct sql_driver mariadb_driver = {
    .connect = connect_for,
    .ask = ask,
    .close = close_connection,
    .meaning = mariadb_meaning,
    .reads_apart = reads_apart,
    .begin = begin,
    .or_set = "ON DUPLICATE KEY UPDATE v = VALUES(v)",
    .or_append = "ON DUPLICATE KEY UPDATE v = CONCAT(v, ' ', VALUES(v))",
};
