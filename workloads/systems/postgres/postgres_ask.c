/* What a cluster of PostgreSQL says of itself: whether it serves, who leads, which version. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/at_once.h"
#include "workloads/systems/common.h"
#include "workloads/systems/postgres/postgres.h"

/* ---- Asking all nodes at once ---- */

struct question {
    struct test *test;
    uint32_t node;
    const char *statement; /* NULL: only connect */
    int64_t deadline_ns;
    bool connected, standby;
    struct sql_reply reply;
};

static void *ask(void *state)
{
    struct question *question = state;
    void *connection = postgres_connect_to(question->test, question->node, question->deadline_ns,
                                           &question->reply);
    if (connection == NULL)
        return NULL;
    question->connected = true;
    question->standby = postgres_is_standby(connection);
    if (question->statement != NULL)
        postgres_driver.ask(connection, question->statement, question->deadline_ns,
                            &question->reply);
    postgres_driver.close(connection);
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

/* ---- Hooks ---- */

/* One primary, and every other node follows it: a standby that a fault cut off is none, as long as
 * what it reads from there does not arrive. */
bool postgres_ready(struct test *test, struct buf *why_not)
{
    struct question *questions =
        ask_all(test, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'",
                NS_PER_SECOND);
    uint32_t primaries = 0;
    for (uint32_t i = 0; questions != NULL && i < test->node_count; i++) {
        const struct sql_reply *reply = &questions[i].reply;
        const char *streams = sql_cell(reply, 0, 0);
        if (!questions[i].connected || reply->outcome != SQL_DONE)
            system_trouble(test, i, reply->detail, why_not);
        else if (!questions[i].standby)
            primaries++;
        else if (streams == NULL || strcmp(streams, "1") != 0)
            system_trouble(test, i, "the standby does not receive", why_not);
    }
    if (questions == NULL)
        system_trouble(test, SYSTEM_ALL_NODES, "out of memory", why_not);
    else if (primaries != 1 && why_not->length == 0)
        system_trouble(test, SYSTEM_ALL_NODES,
                       primaries == 0 ? "there is no primary" : "there are several primaries",
                       why_not);
    questions_free(questions, test->node_count);
    return why_not->length == 0;
}

enum err_code postgres_primaries(struct test *test, node_set *primaries, struct err *err)
{
    struct question *questions = ask_all(test, NULL, 300 * NS_PER_MS);
    if (questions == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for asking postgres who leads");
    *primaries = 0;
    for (uint32_t i = 0; i < test->node_count; i++)
        if (questions[i].connected && !questions[i].standby)
            *primaries |= NODE_SET(i);
    questions_free(questions, test->node_count);
    return ERR_NONE;
}

enum err_code postgres_version(struct test *test, struct buf *version, struct err *err)
{
    struct question *questions =
        ask_all(test, "SELECT current_setting('server_version')", 2 * NS_PER_SECOND);
    const char *found = NULL;
    for (uint32_t i = 0; questions != NULL && i < test->node_count && found == NULL; i++)
        found = sql_cell(&questions[i].reply, 0, 0);
    enum err_code code = ERR_NONE;
    if (found != NULL)
        buf_printf(version, "PostgreSQL %.*s", (int)strcspn(found, " "), found);
    else
        code = err_set(err, ERR_REMOTE, "no node told its version of postgres");
    questions_free(questions, test->node_count);
    return code;
}
