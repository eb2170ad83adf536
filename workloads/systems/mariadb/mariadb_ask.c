/* What a cluster of MariaDB says of itself: whether it serves, who takes writes, which version. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/at_once.h"
#include "workloads/systems/common.h"
#include "workloads/systems/mariadb/mariadb.h"

/* ---- Asking all nodes at once ---- */

struct question {
    struct test *test;
    uint32_t node;
    const char *statement;
    int64_t deadline_ns;
    struct sql_reply reply;
};

static void *ask(void *state)
{
    struct question *question = state;
    void *connection =
        mariadb_connect_to(question->test, question->node, question->deadline_ns, &question->reply);
    if (connection == NULL)
        return NULL;
    mariadb_driver.ask(connection, question->statement, question->deadline_ns, &question->reply);
    mariadb_driver.close(connection);
    return NULL;
}

/* One answer a node, in their order; questions_free gives them back. */
static struct question *ask_all(struct test *test, const char *statement, int64_t timeout_ns)
{
    struct question *questions = calloc(test->node_count, sizeof *questions);
    for (uint32_t i = 0; questions != NULL && i < test->node_count; i++) {
        questions[i].test = test;
        questions[i].node = i;
        questions[i].statement = statement;
        questions[i].deadline_ns = clock_monotonic_ns() + timeout_ns;
        questions[i].reply.outcome = SQL_LOST;
    }
    if (questions != NULL)
        at_once(questions, sizeof *questions, test->node_count, ask);
    return questions;
}

static void questions_free(struct question *questions, uint32_t count)
{
    for (uint32_t i = 0; questions != NULL && i < count; i++)
        sql_reply_free(&questions[i].reply);
    free(questions);
}

static bool answered(const struct question *question)
{
    return question->reply.outcome == SQL_DONE;
}

/* A status variable in the answer to SHOW STATUS, "" when it is not there. */
static const char *status_of(const struct question *question, const char *name)
{
    const struct sql_reply *reply = &question->reply;
    for (uint32_t i = 0; i < reply->rows; i++) {
        const char *key = sql_cell(reply, i, 0), *value = sql_cell(reply, i, 1);
        if (key != NULL && value != NULL && strcasecmp(key, name) == 0)
            return value;
    }
    return "";
}

/* ---- Hooks ---- */

static const char status_statement[] = "SHOW STATUS LIKE 'wsrep_%'";

static void add_trouble(struct buf *why_not, const struct test *test, uint32_t node,
                        const char *format, const char *detail)
{
    char text[256];
    snprintf(text, sizeof text, format, detail);
    system_trouble(test, node, text, why_not);
}

/* Every node has all the others in its group, and is up to date with it. */
bool mariadb_ready(struct test *test, struct buf *why_not)
{
    struct question *questions = ask_all(test, status_statement, NS_PER_SECOND);
    char all[16];
    snprintf(all, sizeof all, "%u", test->node_count);
    for (uint32_t i = 0; questions != NULL && i < test->node_count; i++) {
        const struct question *question = &questions[i];
        if (!answered(question))
            add_trouble(why_not, test, i, "%s", question->reply.detail);
        else if (!mariadb_is_galera(test))
            continue;
        else if (strcmp(status_of(question, "wsrep_cluster_status"), "Primary") != 0)
            add_trouble(why_not, test, i, "its group is %s",
                        status_of(question, "wsrep_cluster_status"));
        else if (strcmp(status_of(question, "wsrep_cluster_size"), all) != 0)
            add_trouble(why_not, test, i, "its group has %s members",
                        status_of(question, "wsrep_cluster_size"));
        else if (strcmp(status_of(question, "wsrep_local_state_comment"), "Synced") != 0 ||
                 strcmp(status_of(question, "wsrep_ready"), "ON") != 0)
            add_trouble(why_not, test, i, "it is %s",
                        status_of(question, "wsrep_local_state_comment"));
    }
    bool ready = questions != NULL && why_not->length == 0;
    questions_free(questions, test->node_count);
    return ready;
}

/* All that take writes. */
enum err_code mariadb_primaries(struct test *test, node_set *primaries, struct err *err)
{
    struct question *questions = ask_all(test, status_statement, 300 * NS_PER_MS);
    if (questions == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for asking mariadb who takes writes");
    *primaries = 0;
    for (uint32_t i = 0; i < test->node_count; i++)
        if (answered(&questions[i]) &&
            (!mariadb_is_galera(test) ||
             strcmp(status_of(&questions[i], "wsrep_cluster_status"), "Primary") == 0))
            *primaries |= NODE_SET(i);
    questions_free(questions, test->node_count);
    return ERR_NONE;
}

enum err_code mariadb_version(struct test *test, struct buf *version, struct err *err)
{
    const char *statement = "SELECT VERSION(), (SELECT VARIABLE_VALUE FROM "
                            "information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = "
                            "'WSREP_PROVIDER_VERSION')";
    struct question *questions = ask_all(test, statement, 2 * NS_PER_SECOND);
    const char *found = NULL, *galera = NULL;
    for (uint32_t i = 0; questions != NULL && i < test->node_count && found == NULL; i++) {
        found = sql_cell(&questions[i].reply, 0, 0);
        galera = sql_cell(&questions[i].reply, 0, 1);
    }
    enum err_code code = ERR_NONE;
    if (found != NULL)
        buf_printf(version, "MariaDB %.*s", (int)strcspn(found, "-"), found);
    else
        code = err_set(err, ERR_REMOTE, "no node told its version of mariadb");
    if (code == ERR_NONE && galera != NULL && *galera != '\0' && mariadb_is_galera(test))
        buf_printf(version, " with Galera %.*s", (int)strcspn(galera, "("), galera);
    questions_free(questions, test->node_count);
    return code;
}
