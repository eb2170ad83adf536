/* Every command with every option, on one real server: what it answers, word by word, in RESP2 and
 * RESP3, and what it refuses. (server_test has the connection's life.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/queue/lib/cluster.h"

enum { WAIT_MS = 5000, ID = 35 };

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

static void add(char id[ID + 1], const char *words)
{
    struct reply *reply = redis_ask(&redis, "ADDJOB %s", words);
    if (reply->type != REPLY_STATUS || strcmp(reply->text + ID, " committed") != 0)
        fail_msg("ADDJOB %s: \"%s\"", words, reply->text ? reply->text : "");
    snprintf(id, ID + 1, "%s", reply->text);
    reply_free(reply);
}

/* The value of a field of a map, as text; the reply lives in static memory until the next call. */
static const char *field(const char *name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static const char *field(const char *name, const char *format, ...)
{
    static char value[256];
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    struct reply *reply = redis_ask(&redis, "%s", line);
    snprintf(value, sizeof value, "(none)");
    for (size_t i = 0; reply->type == REPLY_LIST && i + 1 < reply->count; i += 2) {
        const struct reply *found = &reply->elements[i + 1];
        if (reply->elements[i].text == NULL || strcmp(reply->elements[i].text, name) != 0)
            continue;
        if (found->type == REPLY_INTEGER)
            snprintf(value, sizeof value, "%lld", (long long)found->integer);
        else
            snprintf(value, sizeof value, "%s", found->text ? found->text : "(null)");
    }
    reply_free(reply);
    return value;
}

static size_t count_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static size_t count_of(const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    struct reply *reply = redis_ask(&redis, "%s", line);
    size_t count = reply->type == REPLY_LIST ? reply->count : 0;
    reply_free(reply);
    return count;
}

static void takes(const char *queue, char id[ID + 1])
{
    struct reply *reply = redis_ask(&redis, "GETJOB NOHANG FROM %s", queue);
    assert_int_equal(reply->type, REPLY_LIST);
    snprintf(id, ID + 1, "%s", reply->elements[0].elements[1].text);
    reply_free(reply);
}

static void every_option_of_addjob_is_kept(void **state)
{
    (void)state;
    char id[ID + 1], other[ID + 1];
    add(id, "opt body 100 RETRY 7 TTL 50 PRI 4 MAXTRY 3 KEY k KEYTTL 60 DELAY 20 REPLICATE 3");
    assert_string_equal(field("queue", "SHOW %s", id), "opt");
    assert_string_equal(field("state", "SHOW %s", id), "delayed");
    assert_string_equal(field("priority", "SHOW %s", id), "4");
    assert_string_equal(field("retry-ms", "SHOW %s", id), "7000");
    assert_string_equal(field("attempts-max", "SHOW %s", id), "3");
    assert_string_equal(field("key", "SHOW %s", id), "k");
    assert_string_equal(field("body", "SHOW %s", id), "body");
    assert_in_range(atol(field("ttl-ms", "SHOW %s", id)), 40000, 50001);
    assert_in_range(atol(field("due-ms", "SHOW %s", id)), 10000, 20001);
    add(other, "opt body 100 KEY k");
    assert_string_equal(other, id);
    redis_expect(&redis, "OK", "KEYDROP opt k");
    add(other, "opt body 100 KEY k");
    assert_string_not_equal(other, id);
    redis_expect(&redis, "MAXLEN", "ADDJOB opt body 0 MAXLEN 2");
    struct reply *reply = redis_ask(&redis, "ADDJOB opt body 0 ASYNC");
    assert_string_equal(reply->text + ID, " async");
    reply_free(reply);
    add(other, "opt body 0 ID D-00000000000000aa-00000000000000bb");
    assert_string_equal(other, "D-00000000000000aa-00000000000000bb");
    assert_string_equal(field("retry-ms", "SHOW %s", other), "300000");
    add(other, "opt body 0 ID D-00000000000000aa-00000000000000bb");
    assert_int_equal(redis_integer(&redis, "QLEN opt"), 3);
}

static void ttl_ends_in_death_or_with_drop_in_nothing(void **state)
{
    (void)state;
    char dead[ID + 1], dropped[ID + 1];
    add(dead, "ttl x 0 TTL 0.1");
    add(dropped, "ttl x 0 TTL 0.1 DROP");
    usleep(400000);
    assert_string_equal(field("state", "SHOW %s", dead), "dead");
    assert_string_equal(field("death", "SHOW %s", dead), "ttl");
    assert_string_equal(field("state", "SHOW %s", dropped), "expired");
    assert_int_equal(redis_integer(&redis, "KICK %s", dead), 1);
    assert_int_equal(redis_integer(&redis, "QLEN ttl"), 1);
}

static void at_most_once_is_gone_when_taken(void **state)
{
    (void)state;
    char id[ID + 1], got[ID + 1];
    add(id, "once x 0 RETRY 0");
    takes("once", got);
    assert_string_equal(got, id);
    assert_string_equal(field("state", "SHOW %s", id), "spent");
    redis_expect(&redis, "NOJOB", "WORKING %s", id);
}

static void priorities_go_first_and_order_within_is_kept(void **state)
{
    (void)state;
    char low[ID + 1], high[ID + 1], second[ID + 1], got[ID + 1];
    add(low, "pri x 0 PRI 1");
    add(high, "pri x 0 PRI 9");
    add(second, "pri x 0 PRI 9");
    struct reply *reply = redis_ask(&redis, "QPEEK pri 10");
    assert_int_equal(reply->count, 3);
    assert_string_equal(reply->elements[0].elements[1].text, high);
    reply_free(reply);
    reply = redis_ask(&redis, "QPEEK pri -1");
    assert_int_equal(reply->count, 1);
    assert_string_equal(reply->elements[0].elements[1].text, low);
    reply_free(reply);
    takes("pri", got);
    assert_string_equal(got, high);
    takes("pri", got);
    assert_string_equal(got, second);
    takes("pri", got);
    assert_string_equal(got, low);
}

static void nack_delays_backs_off_and_kills(void **state)
{
    (void)state;
    char id[ID + 1], got[ID + 1];
    redis_expect(&redis, "OK", "CONFIG SET backoff-ms 60000");
    add(id, "nack x 0 MAXTRY 4");
    takes("nack", got);
    assert_int_equal(redis_integer(&redis, "NACK %s DELAY 30", id), 1);
    assert_in_range(atol(field("due-ms", "SHOW %s", id)), 20000, 30001);
    assert_int_equal(redis_integer(&redis, "ENQUEUE %s", id), 1);
    takes("nack", got);
    assert_int_equal(redis_integer(&redis, "NACK %s BACKOFF", id), 1);
    assert_in_range(atol(field("due-ms", "SHOW %s", id)), 50000, 120001);
    assert_string_equal(field("nacks", "SHOW %s", id), "2");
    assert_int_equal(redis_integer(&redis, "ENQUEUE %s", id), 1);
    takes("nack", got);
    assert_int_equal(redis_integer(&redis, "NACK %s", id), 1);
    takes("nack", got);
    assert_int_equal(redis_integer(&redis, "NACK %s", id), 1); /* the fourth was the last */
    assert_string_equal(field("death", "SHOW %s", id), "attempts");
    assert_int_equal(redis_integer(&redis, "KICK QUEUE nack"), 1);
    takes("nack", got);
    assert_int_equal(redis_integer(&redis, "NACK %s DEAD", id), 1);
    assert_string_equal(field("death", "SHOW %s", id), "nack");
    assert_string_equal(field("dead", "QSTAT nack"), "1");
}

static void working_lengthens_a_lease(void **state)
{
    (void)state;
    char id[ID + 1], got[ID + 1];
    add(id, "work x 0 RETRY 10");
    redis_expect(&redis, "WRONGSTATE", "WORKING %s", id);
    takes("work", got);
    assert_in_range(redis_integer(&redis, "WORKING %s:1 100", id), 90, 101);
    assert_in_range(redis_integer(&redis, "WORKING %s", id), 90, 101); /* never shorter */
    redis_expect(&redis, "STALE", "WORKING %s:2", id);
    assert_int_equal(redis_integer(&redis, "FASTACK %s", id), 1);
    redis_expect(&redis, "NOJOB no such job: it was acknowledged", "WORKING %s", id);
}

static void several_ids_are_one_command(void **state)
{
    (void)state;
    char a[ID + 1], b[ID + 1];
    add(a, "many x 0");
    add(b, "many x 0");
    assert_int_equal(redis_integer(&redis, "DEQUEUE %s %s", a, b), 2);
    assert_int_equal(redis_integer(&redis, "ENQUEUE %s %s", a, b), 2);
    redis_expect(&redis, "BADID", "DELJOB %s nonsense", a);
    assert_int_equal(redis_integer(&redis, "QLEN many"), 2); /* none, since one was no id */
    assert_int_equal(redis_integer(&redis, "DELJOB %s %s %s", a, b, b), 2);
    assert_string_equal(field("state", "SHOW %s", a), "deleted");
}

static void getjob_takes_from_many_queues_in_their_order(void **state)
{
    (void)state;
    char id[ID + 1];
    add(id, "g2 x 0");
    add(id, "g2 x 0");
    add(id, "g1 x 0");
    struct reply *reply =
        redis_ask(&redis, "GETJOB NOHANG COUNT 3 WITHCOUNTERS FENCED FROM g0 g1 g2");
    assert_int_equal(reply->count, 3);
    assert_string_equal(reply->elements[0].elements[0].text, "g1");
    assert_string_equal(reply->elements[1].elements[0].text, "g2");
    assert_int_equal(reply->elements[0].count, 9);
    assert_string_equal(reply->elements[0].elements[3].text, "nacks");
    assert_int_equal(reply->elements[0].elements[4].integer, 0);
    assert_string_equal(reply->elements[0].elements[5].text, "additional-deliveries");
    assert_string_equal(reply->elements[0].elements[1].text + ID, ":1");
    reply_free(reply);
}

static void pause_and_limit_hold_up_one_queue(void **state)
{
    (void)state;
    char id[ID + 1];
    add(id, "held x 0");
    add(id, "held x 0");
    redis_expect(&redis, "OK", "PAUSE held out");
    assert_int_equal(count_of("GETJOB NOHANG FROM held"), 0);
    add(id, "held x 0");
    assert_string_equal(field("pause", "QSTAT held"), "out");
    redis_expect(&redis, "OK", "PAUSE held all");
    redis_expect(&redis, "PAUSED", "ADDJOB held x 0");
    redis_expect(&redis, "OK", "PAUSE held none");
    redis_expect(&redis, "OK", "LIMIT held 3 1");
    redis_expect(&redis, "MAXLEN", "ADDJOB held x 0");
    assert_int_equal(count_of("GETJOB NOHANG COUNT 5 FROM held"), 1);
    assert_int_equal(count_of("GETJOB NOHANG COUNT 5 FROM held"), 0);
    assert_string_equal(field("leased-max", "QSTAT held"), "1");
    redis_expect(&redis, "OK", "LIMIT held 0 0");
    assert_int_equal(count_of("GETJOB NOHANG COUNT 5 FROM held"), 2);
    redis_expect(&redis, "ERR syntax", "PAUSE held sideways");
    redis_expect(&redis, "ERR syntax", "LIMIT held many 1");
}

/* All of a scan's elements. */
static size_t scan(const char *words)
{
    char cursor[32] = "0";
    size_t count = 0;
    do {
        struct reply *reply = redis_ask(&redis, words, cursor);
        if (reply->type != REPLY_LIST || reply->count != 2)
            fail_msg("%s: %s", words, reply->text ? reply->text : "?");
        snprintf(cursor, sizeof cursor, "%s", reply->elements[0].text);
        count += reply->elements[1].count;
        reply_free(reply);
    } while (strcmp(cursor, "0") != 0);
    return count;
}

static void scans_filter(void **state)
{
    (void)state;
    char id[ID + 1], got[ID + 1];
    for (int i = 0; i < 30; i++)
        add(id, "scan x 0");
    for (int i = 0; i < 20; i++)
        add(id, "scan x 0 DELAY 100");
    for (int i = 0; i < 10; i++)
        takes("scan", got);
    assert_int_equal(redis_integer(&redis, "NACK %s DEAD", got), 1);
    assert_int_equal(scan("JSCAN %s COUNT 7 QUEUE scan"), 50);
    assert_int_equal(scan("JSCAN %s BUSYLOOP QUEUE scan"), 50);
    assert_int_equal(scan("JSCAN %s QUEUE scan STATE ready"), 20);
    assert_int_equal(scan("JSCAN %s QUEUE scan STATE queued"), 20);
    assert_int_equal(scan("JSCAN %s QUEUE scan STATE leased STATE dead"), 10);
    assert_int_equal(scan("JSCAN %s QUEUE scan STATE active"), 29);
    assert_int_equal(scan("JSCAN %s QUEUE scan STATE delayed REPLY id"), 20);
    struct reply *reply = redis_ask(&redis, "JSCAN 0 COUNT 1000 QUEUE scan STATE dead REPLY all");
    assert_int_equal(reply->elements[1].count, 1);
    assert_string_equal(reply->elements[1].elements[0].elements[1].text, got);
    reply_free(reply);
    assert_int_equal(scan("QSCAN %s COUNT 1 MINLEN 20 MAXLEN 20"), 1);
    assert_int_equal(scan("QSCAN %s MINLEN 100000"), 0);
    assert_true(scan("QSCAN %s COUNT 2") > 3);
    assert_true(scan("QSCAN %s BUSYLOOP IMPORTRATE 0") > 3);
    static const char *const bad[] = {
        "JSCAN x",          "JSCAN 0 STATE asleep", "JSCAN 0 REPLY some", "JSCAN 0 COUNT 0",
        "JSCAN 0 COUNT",    "JSCAN 0 MINLEN 3",     "QSCAN 0 STATE dead", "QSCAN 0 QUEUE q",
        "QSCAN 0 MINLEN -1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        redis_expect(&redis, "ERR syntax", "%s", bad[i]);
}

static void settings_are_shown_and_set(void **state)
{
    (void)state;
    assert_string_equal(field("fsync", "CONFIG GET fsync"), "yes");
    assert_string_equal(field("peer-port", "CONFIG GET p*"), field("peer-port", "CONFIG GET *"));
    assert_int_equal(count_of("CONFIG GET snapshot-*"), 4);
    assert_int_equal(count_of("CONFIG GET nothing"), 0);
    static const char *const running[] = {"max-memory 10m",      "snapshot-entries 5000",
                                          "snapshot-bytes 100m", "spool-max 2g",
                                          "max-clients 100",     "log-level debug"};
    for (size_t i = 0; i < sizeof running / sizeof *running; i++)
        redis_expect(&redis, "OK", "CONFIG SET %s", running[i]);
    assert_string_equal(field("max-memory", "CONFIG GET max-memory"), "10485760");
    redis_expect(&redis, "OK", "CONFIG SET max-memory 0");
    redis_expect(&redis, "OK", "CONFIG SET log-level info");
    static const char *const of_all[] = {"queue-idle-ms", "done-max",       "expired-max",
                                         "backoff-ms",    "backoff-max-ms", "bytes-max"};
    for (size_t i = 0; i < sizeof of_all / sizeof *of_all; i++) {
        redis_expect(&redis, "OK", "CONFIG SET %s 70000", of_all[i]);
        assert_string_equal(field(of_all[i], "CONFIG GET %s", of_all[i]), "70000");
    }
    redis_expect(&redis, "OK", "CONFIG SET bytes-max 0");
    redis_expect(&redis, "ERR max-clients cannot be", "CONFIG SET max-clients none");
    redis_expect(&redis, "ERR port cannot be changed", "CONFIG SET port 1");
    redis_expect(&redis, "ERR", "CONFIG SET done-max 99999999999");
    redis_expect(&redis, "ERR syntax", "CONFIG REWRITE now");
    assert_string_equal(field("password", "CONFIG GET password"), "");
}

static void the_connection_can_be_described(void **state)
{
    (void)state;
    struct redis own;
    redis_open(&own, redis.port, WAIT_MS);
    redis_expect(&own, "OK", "CLIENT SETNAME worker-1");
    redis_expect(&own, "worker-1", "CLIENT GETNAME");
    assert_true(redis_integer(&own, "CLIENT ID") > 0);
    redis_expect(&own, "OK", "CLIENT SETINFO lib-name test");
    redis_expect(&own, "OK", "CLIENT REDIRECT on");
    struct reply *reply = redis_ask(&redis, "CLIENT LIST");
    const char *line = strstr(reply->text, "name=worker-1 ");
    assert_non_null(line);
    assert_non_null(strstr(line, "redirect=on tls=no\n"));
    reply_free(reply);
    redis_expect(&own, "ERR syntax", "CLIENT REDIRECT maybe");
    redis_expect(&own, "ERR syntax", "CLIENT KILL 1");
    /* A name cannot forge a line. */
    static const char forged[] = "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$9\r\nx\nid=9 y\n\r\n";
    redis_send_bytes(&own, forged, sizeof forged - 1);
    reply_free(redis_receive(&own));
    redis_expect(&own, "x_id=9_y_", "CLIENT GETNAME");
    redis_expect(&own, "OK", "QUIT");
    reply = redis_receive(&own);
    assert_int_equal(reply->type, REPLY_BROKEN);
    reply_free(reply);
    redis_close(&own);
}

static void hello_changes_what_comes_after_it(void **state)
{
    (void)state;
    struct redis own;
    redis_open(&own, redis.port, WAIT_MS);
    struct reply *reply = redis_ask(&own, "HELLO");
    assert_int_equal(reply->count, 12);
    assert_string_equal(reply->elements[0].text, "server");
    assert_int_equal(reply->elements[5].integer, 2);
    reply_free(reply);
    redis_send(&own, "GETJOB TIMEOUT 50 FROM hello");
    redis_send(&own, "HELLO 3 SETNAME three");
    redis_send(&own, "GETJOB NOHANG FROM hello");
    char raw[8] = "";
    assert_int_equal(redis_take(&own, raw, 5), 5);
    assert_memory_equal(raw, "*-1\r\n", 5);
    reply = redis_receive(&own);
    assert_int_equal(reply->type, REPLY_LIST);
    assert_int_equal(reply->elements[5].integer, 3);
    reply_free(reply);
    assert_int_equal(redis_take(&own, raw, 3), 3);
    assert_memory_equal(raw, "_\r\n", 3);
    redis_send(&own, "QSTAT hello");
    assert_int_equal(redis_take(&own, raw, 3), 3); /* no such queue */
    assert_memory_equal(raw, "_\r\n", 3);
    redis_expect(&own, "D-", "ADDJOB hello x 0");
    redis_send(&own, "QSTAT hello");
    assert_int_equal(redis_take(&own, raw, 1), 1);
    assert_int_equal(raw[0], '%');
    redis_close(&own);
}

static void commands_are_listed(void **state)
{
    (void)state;
    int64_t count = redis_integer(&redis, "COMMAND COUNT");
    assert_int_equal(count_of("COMMAND"), count);
    assert_int_equal(count_of("COMMAND LIST"), count);
    struct reply *reply = redis_ask(&redis, "COMMAND INFO addjob spooled");
    assert_int_equal(reply->count, 2);
    assert_string_equal(reply->elements[0].elements[0].text, "addjob");
    assert_int_equal(reply->elements[0].elements[1].integer, -4);
    assert_int_equal(reply->elements[1].type, REPLY_NULL); /* the servers' own */
    reply_free(reply);
    reply = redis_ask(&redis, "COMMAND LIST");
    static const char *const promised[] = {
        "addjob",  "getjob", "ackjob", "fastack", "nack",    "working", "enqueue",
        "dequeue", "deljob", "show",   "qlen",    "qpeek",   "qstat",   "qscan",
        "jscan",   "pause",  "kick",   "hello",   "info",    "cluster", "config",
        "auth",    "client", "ping",   "command", "shutdown"};
    for (size_t i = 0; i < sizeof promised / sizeof *promised; i++) {
        bool found = false;
        for (size_t k = 0; k < reply->count; k++)
            found = found || strcmp(reply->elements[k].text, promised[i]) == 0;
        if (!found)
            fail_msg("%s is missing", promised[i]);
    }
    reply_free(reply);
}

/* Each command with too few arguments says so, and none with nonsense does anything else than
 * refuse or find nothing. */
static void every_command_refuses_too_few_arguments(void **state)
{
    (void)state;
    struct reply *list = redis_ask(&redis, "COMMAND");
    for (size_t i = 0; i < list->count; i++) {
        const char *name = list->elements[i].elements[0].text;
        int64_t arity = list->elements[i].elements[1].integer;
        int64_t least = arity < 0 ? -arity : arity;
        if (least > 1)
            redis_expect(&redis, "ERR wrong number of arguments for '", "%s", name);
        if (arity > 0)
            redis_expect(&redis, "ERR wrong number of arguments for '", "%s a b c d e f", name);
    }
    reply_free(list);
    redis_expect(&redis, "PONG", "PING");
}

static void conserved(void)
{
    const char *names[] = {"acked", "spent",   "expired", "deleted",
                           "ready", "delayed", "leased",  "dead"};
    struct reply *reply = redis_ask(&redis, "INFO");
    uint64_t sum = 0, added = 0;
    char line[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(line, sizeof line, "\njobs_%s:", names[i]);
        const char *at = strstr(reply->text, line);
        assert_non_null(at);
        sum += strtoull(at + strlen(line), NULL, 10);
    }
    const char *at = strstr(reply->text, "\njobs_added:");
    assert_non_null(at);
    added = strtoull(at + 12, NULL, 10);
    assert_true(added > 50);
    assert_int_equal(added, sum);
    static const char *const fields[] = {"ordeal_queue_version",
                                         "node",
                                         "disk",
                                         "role",
                                         "formed",
                                         "fsync",
                                         "process_id",
                                         "tcp_port",
                                         "uptime_in_seconds",
                                         "queues",
                                         "keys",
                                         "applied_index",
                                         "term",
                                         "commit_index",
                                         "snapshot_index",
                                         "leader",
                                         "log_syncs",
                                         "clients",
                                         "requests",
                                         "errors",
                                         "unknown",
                                         "lost_in_reply",
                                         "spool_jobs",
                                         "tls_failed",
                                         "peers_refused"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        snprintf(line, sizeof line, "\n%s:", fields[i]);
        if (strstr(reply->text, line) == NULL)
            fail_msg("INFO lacks %s", fields[i]);
    }
    reply_free(reply);
}

static void info_obeys_the_law_of_conservation(void **state)
{
    (void)state;
    conserved();
}

static void a_single_node_answers_about_its_cluster(void **state)
{
    (void)state;
    struct reply *reply = redis_ask(&redis, "CLUSTER NODES");
    assert_non_null(strstr(reply->text, " voter "));
    assert_non_null(strstr(reply->text, "connected,myself,leader"));
    reply_free(reply);
    reply = redis_ask(&redis, "CLUSTER LEADER");
    assert_int_equal(reply->elements[0].integer, 1);
    assert_int_equal(reply->elements[2].integer, redis.port);
    reply_free(reply);
    redis_expect(&redis, "OK", "CLUSTER LEADER 1");
    redis_expect(&redis, "ERR no such member", "CLUSTER FORGET 9");
    redis_expect(&redis, "ERR node 9 is no member", "CLUSTER REPLACE 9");
    redis_expect(&redis, "ERR node 1 leads now", "CLUSTER REPLACE 1");
    redis_expect(&redis, "ERR syntax", "CLUSTER ADD 0 a:1");
    redis_expect(&redis, "ERR syntax", "CLUSTER ADD 2 nowhere");
    redis_expect(&redis, "ERR syntax", "CLUSTER MEET 127.0.0.1 99999");
    redis_expect(&redis, "ERR syntax", "CLUSTER FORGET");
    redis_expect(&redis, "PONG", "PING");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_of_addjob_is_kept),
        cmocka_unit_test(ttl_ends_in_death_or_with_drop_in_nothing),
        cmocka_unit_test(at_most_once_is_gone_when_taken),
        cmocka_unit_test(priorities_go_first_and_order_within_is_kept),
        cmocka_unit_test(nack_delays_backs_off_and_kills),
        cmocka_unit_test(working_lengthens_a_lease),
        cmocka_unit_test(several_ids_are_one_command),
        cmocka_unit_test(getjob_takes_from_many_queues_in_their_order),
        cmocka_unit_test(pause_and_limit_hold_up_one_queue),
        cmocka_unit_test(scans_filter),
        cmocka_unit_test(settings_are_shown_and_set),
        cmocka_unit_test(the_connection_can_be_described),
        cmocka_unit_test(hello_changes_what_comes_after_it),
        cmocka_unit_test(commands_are_listed),
        cmocka_unit_test(every_command_refuses_too_few_arguments),
        cmocka_unit_test(info_obeys_the_law_of_conservation),
        cmocka_unit_test(a_single_node_answers_about_its_cluster),
    };
    return cmocka_run_group_tests(tests, open_server, close_server);
}
