/* A client library that we did not write: hiredis, blocking and pipelined, binary bodies, against
 * one real server. (Debian's speaks RESP2 only.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "tests/queue/lib/cluster.h"

static struct cluster cluster;
static redisContext *context;

static int open_server(void **state)
{
    (void)state;
    cluster = (struct cluster){0};
    cluster_open(&cluster, 1);
    context = redisConnect("127.0.0.1", (int)cluster_port(&cluster, 1));
    assert_non_null(context);
    assert_int_equal(context->err, 0);
    return 0;
}

static int close_server(void **state)
{
    (void)state;
    redisFree(context);
    cluster_close(&cluster);
    return 0;
}

static redisReply *must(redisReply *reply, int type)
{
    if (reply == NULL)
        fail_msg("hiredis: %s", context->errstr);
    if (reply->type != type)
        fail_msg("a reply of type %d, not %d: %s", reply->type, type, reply->str ? reply->str : "");
    return reply;
}

static void a_jobs_life_with_any_bytes(void **state)
{
    (void)state;
    char body[256], id[36];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (char)i;
    redisReply *reply = must(redisCommand(context, "ADDJOB bin %b 0 RETRY 60", body, sizeof body),
                             REDIS_REPLY_STATUS);
    snprintf(id, sizeof id, "%.35s", reply->str);
    freeReplyObject(reply);
    reply = must(redisCommand(context, "GETJOB FROM bin"), REDIS_REPLY_ARRAY);
    assert_int_equal(reply->elements, 1);
    assert_string_equal(reply->element[0]->element[1]->str, id);
    assert_int_equal(reply->element[0]->element[2]->len, sizeof body);
    assert_memory_equal(reply->element[0]->element[2]->str, body, sizeof body);
    freeReplyObject(reply);
    reply = must(redisCommand(context, "ACKJOB %s", id), REDIS_REPLY_INTEGER);
    assert_int_equal(reply->integer, 1);
    freeReplyObject(reply);
    reply = must(redisCommand(context, "GETJOB NOHANG FROM bin"), REDIS_REPLY_NIL);
    freeReplyObject(reply);
    reply = must(redisCommand(context, "ADDJOB bin"), REDIS_REPLY_ERROR);
    assert_non_null(strstr(reply->str, "wrong number of arguments"));
    freeReplyObject(reply);
}

static void pipelines_overlap_and_keep_their_order(void **state)
{
    (void)state;
    enum { JOBS = 1000 };
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(redisAppendCommand(context, "ADDJOB pipe %d 0", i), REDIS_OK);
    for (int i = 0; i < JOBS; i++) {
        void *reply;
        assert_int_equal(redisGetReply(context, &reply), REDIS_OK);
        must(reply, REDIS_REPLY_STATUS);
        freeReplyObject(reply);
    }
    redisReply *reply =
        must(redisCommand(context, "GETJOB COUNT %d FROM pipe", JOBS), REDIS_REPLY_ARRAY);
    assert_int_equal(reply->elements, JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(atoi(reply->element[i]->element[2]->str), i);
    freeReplyObject(reply);
    /* Far fewer syncs than jobs: they were under way together. */
    assert_true(cluster_info(&cluster, 1, "log_syncs") < JOBS);
}

static void maps_are_lists_and_nothing_is_nil(void **state)
{
    (void)state;
    freeReplyObject(must(redisCommand(context, "ADDJOB two x 0"), REDIS_REPLY_STATUS));
    freeReplyObject(must(redisCommand(context, "QSTAT two"), REDIS_REPLY_ARRAY));
    freeReplyObject(must(redisCommand(context, "QSTAT none"), REDIS_REPLY_NIL));
    redisReply *reply = must(redisCommand(context, "CONFIG GET fsync"), REDIS_REPLY_ARRAY);
    assert_string_equal(reply->element[1]->str, "yes");
    freeReplyObject(reply);
    freeReplyObject(must(redisCommand(context, "HELLO 2"), REDIS_REPLY_ARRAY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jobs_life_with_any_bytes),
        cmocka_unit_test(pipelines_overlap_and_keep_their_order),
        cmocka_unit_test(maps_are_lists_and_nothing_is_nil),
    };
    return cmocka_run_group_tests(tests, open_server, close_server);
}
