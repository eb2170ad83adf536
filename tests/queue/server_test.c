/* One real server over its socket: commands, mistakes, order, waiting, restarts, limits. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/queue/lib/cluster.h"

enum { WAIT_MS = 5000 };

static struct cluster cluster;
static struct redis redis;

static int open_server(void **state)
{
    (void)state;
    cluster = (struct cluster){0};
    cluster_open(&cluster, 1);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    return 0;
}

static int close_server(void **state)
{
    (void)state;
    redis_close(&redis);
    cluster_close(&cluster);
    return 0;
}

/* Adds a job and keeps its id without what the receipt says about it. */
static void add(struct redis *to, char *id, const char *words)
{
    struct reply *reply = redis_ask(to, "ADDJOB %s", words);
    if (reply->type != REPLY_STATUS || strlen(reply->text) < 35)
        fail_msg("ADDJOB %s: \"%s\"", words, reply->text ? reply->text : "");
    memcpy(id, reply->text, 35);
    id[35] = '\0';
    assert_string_equal(reply->text + 35, " committed");
    reply_free(reply);
}

static void a_job_is_added_delivered_and_acknowledged(void **state)
{
    (void)state;
    char id[36];
    redis_expect(&redis, "PONG", "PING");
    add(&redis, id, "life hello 1000 RETRY 10");
    assert_int_equal(redis_integer(&redis, "QLEN life"), 1);
    struct reply *reply = redis_ask(&redis, "GETJOB WITHCOUNTERS FROM life");
    assert_int_equal(reply->type, REPLY_LIST);
    assert_int_equal(reply->elements[0].count, 9);
    assert_string_equal(reply->elements[0].elements[0].text, "life");
    assert_string_equal(reply->elements[0].elements[1].text, id);
    assert_string_equal(reply->elements[0].elements[2].text, "hello");
    assert_int_equal(reply->elements[0].elements[8].integer, 1);
    reply_free(reply);
    assert_int_equal(redis_integer(&redis, "QLEN life"), 0);
    assert_int_equal(redis_integer(&redis, "ACKJOB %s:1", id), 1);
    assert_int_equal(redis_integer(&redis, "ACKJOB %s", id), 0);
    reply = redis_ask(&redis, "SHOW %s", id);
    assert_string_equal(reply->elements[3].text, "acked");
    reply_free(reply);
}

static void every_command_does_its_part(void **state)
{
    (void)state;
    char id[36];
    add(&redis, id, "all body 0 RETRY 60 PRI 3");
    assert_int_equal(redis_integer(&redis, "DEQUEUE %s", id), 1);
    assert_int_equal(redis_integer(&redis, "QLEN all"), 0);
    assert_int_equal(redis_integer(&redis, "ENQUEUE %s", id), 1);
    struct reply *reply = redis_ask(&redis, "QPEEK all 5");
    assert_int_equal(reply->count, 1);
    reply_free(reply);
    reply_free(redis_ask(&redis, "GETJOB FENCED FROM all"));
    assert_true(redis_integer(&redis, "WORKING %s:1", id) >= 60);
    assert_int_equal(redis_integer(&redis, "NACK %s:1", id), 1);
    redis_expect(&redis, "STALE", "NACK %s:1", id);
    reply = redis_ask(&redis, "GETJOB FENCED FROM all");
    assert_string_equal(reply->elements[0].elements[1].text + 35, ":2");
    reply_free(reply);
    redis_expect(&redis, "STALE", "ACKJOB %s:1", id);
    assert_int_equal(redis_integer(&redis, "NACK %s DEAD", id), 1);
    assert_int_equal(redis_integer(&redis, "KICK QUEUE all 10"), 1);
    reply = redis_ask(&redis, "JSCAN 0 COUNT 1000 QUEUE all");
    assert_string_equal(reply->elements[0].text, "0");
    assert_int_equal(reply->elements[1].count, 1);
    reply_free(reply);
    redis_expect(&redis, "OK", "PAUSE all in");
    redis_expect(&redis, "PAUSED", "ADDJOB all more 0");
    redis_expect(&redis, "OK", "PAUSE all none");
    redis_expect(&redis, "MAXLEN", "ADDJOB all more 0 MAXLEN 1");
    assert_int_equal(redis_integer(&redis, "DELJOB %s", id), 1);
    redis_expect(&redis, "OK", "CONFIG SET backoff-ms 5");
    redis_expect(&redis, "OK", "CONFIG SET log-level warning");
    reply = redis_ask(&redis, "QSTAT all");
    assert_int_equal(reply->type, REPLY_LIST);
    reply_free(reply);
    reply = redis_ask(&redis, "QSCAN 0 COUNT 1000");
    assert_true(reply->elements[1].count > 0);
    reply_free(reply);
    reply = redis_ask(&redis, "COMMAND");
    assert_true(reply->count > 25);
    reply_free(reply);
    reply = redis_ask(&redis, "CLIENT LIST");
    assert_non_null(strstr(reply->text, "addr=127.0.0.1:"));
    reply_free(reply);
}

static void a_key_names_one_job(void **state)
{
    (void)state;
    char first[36], second[36];
    add(&redis, first, "keys a 0 KEY k");
    add(&redis, second, "keys b 0 KEY k");
    assert_string_equal(first, second);
    assert_int_equal(redis_integer(&redis, "QLEN keys"), 1);
}

static void mistakes_are_errors_and_cost_nothing(void **state)
{
    (void)state;
    redis_expect(&redis, "ERR unknown command", "NONSENSE");
    redis_expect(&redis, "ERR wrong number", "ADDJOB q");
    redis_expect(&redis, "ERR wrong number", "QLEN");
    redis_expect(&redis, "ERR syntax", "ADDJOB q body soon");
    redis_expect(&redis, "ERR syntax", "ADDJOB q body 0 PRI 10");
    redis_expect(&redis, "ERR syntax", "ADDJOB q body 0 DELAY");
    redis_expect(&redis, "ERR syntax", "GETJOB COUNT 0 FROM q");
    redis_expect(&redis, "ERR syntax", "GETJOB NOHANG q");
    redis_expect(&redis, "BADID", "ACKJOB 17");
    redis_expect(&redis, "BADID", "ACKJOB D-0000000000000000-00000000000000zz");
    redis_expect(&redis, "BADID", "ACKJOB D-0000000000000000-0000000000000000:0");
    assert_int_equal(redis_integer(&redis, "ACKJOB D-0000000000000000-0000000000000000"), 0);
    redis_expect(&redis, "ERR syntax", "CLUSTER NONSENSE");
    redis_expect(&redis, "ERR there is no such setting", "CONFIG SET nothing 1");
    redis_expect(&redis, "ERR dir cannot", "CONFIG SET dir /tmp");
    redis_expect(&redis, "PONG", "PING");
    struct redis bad;
    static const char huge[] = "*2\r\n$99999999999\r\n";
    redis_open(&bad, redis.port, WAIT_MS);
    redis_send_bytes(&bad, huge, sizeof huge - 1);
    struct reply *reply = redis_receive(&bad);
    assert_int_equal(reply->type, REPLY_ERROR);
    reply_free(reply);
    reply = redis_receive(&bad);
    assert_int_equal(reply->type, REPLY_BROKEN);
    reply_free(reply);
    redis_close(&bad);
}

static void requests_may_come_in_pieces(void **state)
{
    (void)state;
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    struct redis half;
    redis_open(&half, redis.port, WAIT_MS);
    redis_send_bytes(&half, ping, sizeof ping - 1);
    redis_send_bytes(&half, "*2\r\n$4\r\nQLE", 11);
    for (size_t i = 0; i < sizeof ping - 1; i++)
        redis_send_bytes(&redis, ping + i, 1);
    struct reply *reply = redis_receive(&redis);
    assert_string_equal(reply->text, "PONG");
    reply_free(reply);
    reply_free(redis_receive(&half));
    redis_send_bytes(&half, "N\r\n$4\r\nhalf\r\nPING\r\n", 19);
    reply = redis_receive(&half);
    assert_int_equal(reply->type, REPLY_INTEGER);
    reply_free(reply);
    reply = redis_receive(&half);
    assert_string_equal(reply->text, "PONG");
    reply_free(reply);
    redis_close(&half);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    enum { JOBS = 2000 };
    for (int i = 0; i < JOBS; i++) {
        redis_send(&redis, "ADDJOB pipe body%d 0", i);
        if (i % 100 == 0)
            redis_send(&redis, "QLEN pipe");
    }
    for (int i = 0; i < JOBS; i++) {
        struct reply *reply = redis_receive(&redis);
        assert_int_equal(reply->type, REPLY_STATUS);
        reply_free(reply);
        if (i % 100 != 0)
            continue;
        reply = redis_receive(&redis);
        assert_int_equal(reply->integer, i + 1);
        reply_free(reply);
    }
    struct reply *reply = redis_ask(&redis, "GETJOB COUNT 1000 FROM pipe");
    assert_int_equal(reply->count, 1000);
    for (int i = 0; i < 1000; i++) {
        char body[32];
        snprintf(body, sizeof body, "body%d", i);
        assert_string_equal(reply->elements[i].elements[2].text, body);
    }
    reply_free(reply);
}

static void a_consumer_waits_for_what_comes(void **state)
{
    (void)state;
    struct redis other;
    char id[36];
    redis_open(&other, redis.port, WAIT_MS);
    uint64_t begun_ms = cluster_now_ms();
    struct reply *reply = redis_ask(&other, "GETJOB TIMEOUT 100 FROM wait1 wait2");
    assert_int_equal(reply->type, REPLY_NULL);
    reply_free(reply);
    assert_true(cluster_now_ms() - begun_ms >= 100);
    reply = redis_ask(&other, "GETJOB NOHANG FROM wait1");
    assert_int_equal(reply->type, REPLY_NULL);
    reply_free(reply);
    redis_send(&other, "GETJOB FROM wait1 wait2");
    redis_send(&other, "PING");
    add(&redis, id, "wait2 later 0 DELAY 0.2");
    reply = redis_receive(&other);
    assert_string_equal(reply->elements[0].elements[1].text, id);
    reply_free(reply);
    reply = redis_receive(&other);
    assert_string_equal(reply->text, "PONG");
    reply_free(reply);
    assert_true(cluster_now_ms() - begun_ms >= 300);
    redis_close(&other);
}

/* A lease ends by the server's own timer, though nobody asks for anything. */
static void an_unacknowledged_job_comes_again(void **state)
{
    (void)state;
    char id[36];
    add(&redis, id, "again x 0 RETRY 0.2");
    uint64_t begun_ms = cluster_now_ms();
    reply_free(redis_ask(&redis, "GETJOB FROM again"));
    struct reply *reply = redis_ask(&redis, "GETJOB FENCED FROM again");
    assert_string_equal(reply->elements[0].elements[1].text + 35, ":2");
    reply_free(reply);
    assert_in_range(cluster_now_ms() - begun_ms, 200, 1200);
}

static void a_job_taken_for_nobody_is_ready_again(void **state)
{
    (void)state;
    struct redis gone;
    char id[36];
    redis_open(&gone, redis.port, WAIT_MS);
    redis_send(&gone, "GETJOB FROM gone");
    reply_free(redis_ask(&redis, "PING"));
    redis_close(&gone);
    add(&redis, id, "gone x 0 RETRY 1000");
    struct reply *reply = redis_ask(&redis, "GETJOB TIMEOUT 3000 FROM gone");
    assert_int_equal(reply->type, REPLY_LIST);
    reply_free(reply);
}

static void resp3_clients_are_understood(void **state)
{
    (void)state;
    struct redis three;
    redis_open(&three, redis.port, WAIT_MS);
    struct reply *reply = redis_ask(&three, "HELLO 3");
    assert_int_equal(reply->type, REPLY_LIST);
    reply_free(reply);
    reply = redis_ask(&three, "GETJOB NOHANG FROM nothing");
    assert_int_equal(reply->type, REPLY_NULL);
    reply_free(reply);
    redis_expect(&three, "NOPROTO", "HELLO 9");
    redis_close(&three);
}

/* It asks for much and takes nothing; the others must not notice. */
static void a_client_that_never_reads_stalls_nobody(void **state)
{
    (void)state;
    struct redis deaf;
    char body[20001];
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    for (int i = 0; i < 10; i++)
        redis_expect(&redis, "D-", "ADDJOB deaf %s 0", body);
    redis_open(&deaf, redis.port, WAIT_MS);
    for (int i = 0; i < 300; i++)
        redis_send(&deaf, "QPEEK deaf 10");
    uint64_t begun_ms = cluster_now_ms();
    for (int i = 0; i < 100; i++)
        redis_expect(&redis, "PONG", "PING");
    assert_true(cluster_now_ms() - begun_ms < 2000);
    redis_close(&deaf);
    redis_expect(&redis, "PONG", "PING");
}

static void many_idle_connections_cost_little(void **state)
{
    (void)state;
    enum { CONNECTIONS = 900 };
    static struct redis idle[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) {
        redis_open(&idle[i], redis.port, WAIT_MS);
        assert_true(idle[i].socket >= 0);
    }
    redis_expect(&redis, "PONG", "PING");
    cluster_wait_info(&cluster, 1, "clients", CONNECTIONS);
    for (int i = 0; i < CONNECTIONS; i++)
        redis_close(&idle[i]);
}

static void metrics_are_there_for_prometheus(void **state)
{
    (void)state;
    struct redis http;
    char text[16384] = "";
    size_t length = 0;
    redis_open(&http, cluster_metrics_port(&cluster, 1), WAIT_MS);
    static const char get[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    redis_send_bytes(&http, get, sizeof get - 1);
    for (ssize_t got = 1; got > 0 && length < sizeof text - 1; length += (size_t)got) {
        got = read(http.socket, text + length, sizeof text - 1 - length);
        got = got < 0 ? 0 : got;
    }
    assert_non_null(strstr(text, "200 OK"));
    assert_non_null(strstr(text, "\nordeal_queue_jobs_added_total "));
    redis_close(&http);
}

static void a_restart_keeps_everything(void **state)
{
    (void)state;
    struct cluster own = {.extra = {"--snapshot-entries", "40"}};
    struct redis to;
    char id[36];
    cluster_open(&own, 1);
    redis_open(&to, cluster_port(&own, 1), WAIT_MS);
    for (int i = 0; i < 100; i++)
        add(&to, id, "keep body 0 RETRY 1000");
    reply_free(redis_ask(&to, "GETJOB COUNT 10 FROM keep"));
    cluster_wait_info(&own, 1, "snapshots", 2);
    redis_close(&to);
    cluster_kill(&own, 1);
    cluster_start(&own, 1);
    cluster_leader(&own);
    redis_open(&to, cluster_port(&own, 1), WAIT_MS);
    assert_int_equal(redis_integer(&to, "QLEN keep"), 90);
    assert_int_equal(cluster_info(&own, 1, "jobs_leased"), 10);
    assert_true(cluster_info(&own, 1, "snapshot_index") >= 40);
    redis_close(&to);
    assert_int_equal(cluster_stop(&own, 1), 0);
    cluster_start(&own, 1);
    cluster_leader(&own);
    assert_int_equal(cluster_info(&own, 1, "jobs_ready"), 90);
    cluster_close(&own);
}

static void only_its_own_directory_will_do(void **state)
{
    (void)state;
    struct cluster own = {0};
    cluster_open(&own, 1);
    struct cluster second = own;
    memset(second.pids, 0, sizeof second.pids);
    second.base_port += 6;
    assert_int_equal(cluster_try(&second, 1, WAIT_MS), 1); /* in use */
    cluster_kill(&own, 1);
    second.extra[0] = "--node";
    second.extra[1] = "7";
    assert_int_equal(cluster_try(&second, 1, WAIT_MS), 1); /* another node's */
    cluster_close(&own);
}

static void a_password_is_asked_for(void **state)
{
    (void)state;
    struct cluster own = {0};
    struct redis to;
    cluster_open(&own, 1);
    redis_open(&to, cluster_port(&own, 1), WAIT_MS);
    redis_expect(&to, "OK", "CONFIG SET password secret");
    redis_close(&to);
    redis_open(&to, cluster_port(&own, 1), WAIT_MS);
    redis_expect(&to, "NOAUTH", "QLEN q");
    redis_expect(&to, "WRONGPASS", "AUTH wrong");
    redis_expect(&to, "NOAUTH", "PING");
    redis_expect(&to, "OK", "AUTH secret");
    assert_int_equal(redis_integer(&to, "QLEN q"), 0);
    redis_close(&to);
    cluster_close(&own);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct cluster own = {.extra = {"--max-memory", "10k"}};
    struct redis to;
    cluster_open(&own, 1);
    redis_open(&to, cluster_port(&own, 1), WAIT_MS);
    char id[36] = "";
    bool full = false;
    for (int i = 0; i < 200 && !full; i++) {
        struct reply *reply = redis_ask(&to, "ADDJOB q 0123456789 0");
        full = reply->type == REPLY_ERROR;
        if (full)
            assert_int_equal(strncmp(reply->text, "OOM ", 4), 0);
        else
            snprintf(id, sizeof id, "%.35s", reply->text);
        reply_free(reply);
    }
    assert_true(full);
    assert_int_equal(redis_integer(&to, "DELJOB %s", id), 1);
    redis_expect(&to, "D-", "ADDJOB q x 0");
    redis_close(&to);
    cluster_close(&own);
}

static int run(const char *command)
{
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void redis_cli_works(void **state)
{
    (void)state;
    char command[256];
    if (run("command -v redis-cli >/dev/null") != 0) {
        print_message("# SKIP redis-cli is not installed\n");
        skip();
    }
    snprintf(command, sizeof command,
             "redis-cli -p %u ADDJOB cli body 0 | grep -q ' committed$' && "
             "redis-cli -3 -p %u GETJOB FROM cli | grep -q body",
             redis.port, redis.port);
    assert_int_equal(run(command), 0);
}

static void defects_are_in_the_defective_program_only(void **state)
{
    (void)state;
    const char *build = getenv("ORDEAL_BUILD");
    char command[1024];
    build = build ? build : "build/release";
    snprintf(command, sizeof command,
             "names=$(%s/ordeal-queue-defective --help | sed '1,/--defect/d' | tr -d ' '); "
             "[ $(echo \"$names\" | wc -l) -eq 14 ] && echo \"$names\" | while read n; do "
             "grep -qaF $n %s/ordeal-queue-defective && ! grep -qaF $n %s/ordeal-queue || exit 1; "
             "done",
             build, build, build);
    assert_int_equal(run(command), 0);
    snprintf(command, sizeof command, "nm %s/ordeal-queue | grep -qi 'queue_defect\\|DEFECT_'",
             build);
    assert_int_equal(run(command), 1);
    snprintf(command, sizeof command, "%s/ordeal-queue --help | grep -q defect", build);
    assert_int_equal(run(command), 1);
    snprintf(command, sizeof command, "%s/ordeal-queue-defective --help | grep -q ack-before-fsync",
             build);
    assert_int_equal(run(command), 0);
    snprintf(command, sizeof command, "%s/ordeal-queue --defect ack-before-fsync 2>/dev/null",
             build);
    assert_int_equal(run(command), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_added_delivered_and_acknowledged),
        cmocka_unit_test(every_command_does_its_part),
        cmocka_unit_test(a_key_names_one_job),
        cmocka_unit_test(mistakes_are_errors_and_cost_nothing),
        cmocka_unit_test(requests_may_come_in_pieces),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_consumer_waits_for_what_comes),
        cmocka_unit_test(an_unacknowledged_job_comes_again),
        cmocka_unit_test(a_job_taken_for_nobody_is_ready_again),
        cmocka_unit_test(resp3_clients_are_understood),
        cmocka_unit_test(a_client_that_never_reads_stalls_nobody),
        cmocka_unit_test(many_idle_connections_cost_little),
        cmocka_unit_test(metrics_are_there_for_prometheus),
        cmocka_unit_test(redis_cli_works),
        cmocka_unit_test(defects_are_in_the_defective_program_only),
        cmocka_unit_test(a_restart_keeps_everything),
        cmocka_unit_test(only_its_own_directory_will_do),
        cmocka_unit_test(a_password_is_asked_for),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, open_server, close_server);
}
