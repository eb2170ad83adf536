/* One real server that speaks TLS to its clients: required, optional, with clients' certificates;
 * and strangers in the middle of a handshake, who must cost nobody anything. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/queue/lib/certificates.h"
#include "tests/queue/lib/cluster.h"
#include "tests/queue/lib/scratch.h"

enum { WAIT_MS = 5000 };

static char *directory;
static char ca[300], cert[300], key[300], other_cert[300], other_key[300];

static int make_certificates(void **state)
{
    (void)state;
    directory = scratch_make();
    certificate_make(directory, "ca", NULL);
    certificate_make(directory, "server", "ca");
    certificate_make(directory, "stranger", NULL);
    certificate_make(directory, "other", "stranger");
    snprintf(ca, sizeof ca, "%s/ca.crt", directory);
    snprintf(cert, sizeof cert, "%s/server.crt", directory);
    snprintf(key, sizeof key, "%s/server.key", directory);
    snprintf(other_cert, sizeof other_cert, "%s/other.crt", directory);
    snprintf(other_key, sizeof other_key, "%s/other.key", directory);
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    scratch_remove(directory);
    return 0;
}

/* Waits until it listens, without a word of its own. */
static void open_server(struct cluster *cluster, const char *tls, const char *client_certs)
{
    *cluster = (struct cluster){.extra = {"--tls", tls, "--tls-cert", cert, "--tls-key", key,
                                          "--tls-ca", ca, "--tls-client-certs", client_certs}};
    cluster_open_quiet(cluster, 1);
    uint64_t end_ms = cluster_now_ms() + 10000;
    for (bool up = false; !up;) {
        struct redis redis;
        redis_open(&redis, cluster_port(cluster, 1), WAIT_MS);
        up = redis.socket >= 0;
        redis_close(&redis);
        assert_true(up || cluster_now_ms() < end_ms);
        usleep(10000);
    }
}

static void secure(struct cluster *cluster, struct redis *redis)
{
    redis_open(redis, cluster_port(cluster, 1), WAIT_MS);
    assert_true(redis_secure(redis, ca, cert, key));
}

static void jobs_go_through(struct redis *redis)
{
    static char body[30001];
    memset(body, 'b', sizeof body - 1);
    redis_expect(redis, "PONG", "PING");
    for (int i = 0; i < 100; i++)
        redis_send(redis, "ADDJOB q %s 0", body);
    for (int i = 0; i < 100; i++) {
        struct reply *reply = redis_receive(redis);
        assert_int_equal(reply->type, REPLY_STATUS);
        reply_free(reply);
    }
    /* Three megabytes in one reply. */
    struct reply *reply = redis_ask(redis, "GETJOB COUNT 100 FROM q");
    assert_int_equal(reply->count, 100);
    for (int i = 0; i < 100; i++)
        assert_string_equal(reply->elements[i].elements[2].text, body);
    reply_free(reply);
}

static void a_port_that_requires_it_takes_nothing_else(void **state)
{
    (void)state;
    struct cluster cluster;
    struct redis redis;
    open_server(&cluster, "required", "no");
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    struct reply *reply = redis_ask(&redis, "PING");
    assert_int_equal(reply->type, REPLY_ERROR);
    assert_non_null(strstr(reply->text, "TLS only"));
    reply_free(reply);
    reply = redis_receive(&redis);
    assert_int_equal(reply->type, REPLY_BROKEN);
    reply_free(reply);
    redis_close(&redis);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    assert_true(redis_secure(&redis, ca, NULL, NULL));
    jobs_go_through(&redis);
    redis_close(&redis);
    cluster_close(&cluster);
}

static void an_optional_one_takes_both(void **state)
{
    (void)state;
    struct cluster cluster;
    struct redis plain, secret;
    open_server(&cluster, "optional", "no");
    redis_open(&plain, cluster_port(&cluster, 1), WAIT_MS);
    jobs_go_through(&plain);
    secure(&cluster, &secret);
    jobs_go_through(&secret);
    redis_close(&plain);
    redis_close(&secret);
    cluster_close(&cluster);
}

static void clients_show_what_the_authority_signed(void **state)
{
    (void)state;
    struct cluster cluster;
    struct redis redis;
    open_server(&cluster, "required", "yes");
    secure(&cluster, &redis);
    jobs_go_through(&redis);
    redis_close(&redis);
    for (int i = 0; i < 2; i++) {
        redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
        redis_secure(&redis, ca, i ? other_cert : NULL, i ? other_key : NULL);
        struct reply *reply = redis_ask(&redis, "PING");
        assert_int_equal(reply->type, REPLY_BROKEN);
        reply_free(reply);
        redis_close(&redis);
    }
    /* And the client sees through a server that another authority signed. */
    char stranger[300];
    snprintf(stranger, sizeof stranger, "%s/stranger.crt", directory);
    redis_open(&redis, cluster_port(&cluster, 1), WAIT_MS);
    assert_false(redis_secure(&redis, stranger, cert, key));
    cluster_close(&cluster);
}

/* A hundred begin, say a part or nonsense and no more; a hundred begin anew all the time. Whoever
 * is past it goes on as if they were not there. */
static void strangers_in_a_handshake_stall_nobody(void **state)
{
    (void)state;
    enum { STRANGERS = 100, ROUNDS = 200 };
    static const unsigned char hello[] = {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3};
    struct cluster cluster;
    static struct redis strangers[STRANGERS];
    struct redis redis;
    open_server(&cluster, "optional", "no");
    secure(&cluster, &redis);
    for (int i = 0; i < STRANGERS; i++) {
        redis_open(&strangers[i], cluster_port(&cluster, 1), WAIT_MS);
        redis_send_bytes(&strangers[i], hello, 1 + (size_t)i % sizeof hello);
    }
    uint64_t worst_ms = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct redis fresh;
        redis_open(&fresh, cluster_port(&cluster, 1), WAIT_MS);
        redis_send_bytes(&fresh, "\x16\x03\x01\x00\x05nonsense", 13);
        uint64_t begun_ms = cluster_now_ms();
        redis_expect(&redis, "D-", "ADDJOB q x 0");
        uint64_t took_ms = cluster_now_ms() - begun_ms;
        worst_ms = took_ms > worst_ms ? took_ms : worst_ms;
        redis_close(&fresh);
    }
    print_message("# worst add beside them: %llu ms\n", (unsigned long long)worst_ms);
    assert_true(worst_ms < 1000);
    redis_close(&redis);
    for (int i = 0; i < STRANGERS; i++)
        redis_close(&strangers[i]);
    secure(&cluster, &redis);
    struct reply *reply = redis_ask(&redis, "INFO");
    assert_null(strstr(reply->text, "\ntls_failed:0\r"));
    reply_free(reply);
    redis_close(&redis);
    cluster_close(&cluster);
}

static int run(const char *command)
{
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void redis_cli_works(void **state)
{
    (void)state;
    char command[2048];
    struct cluster cluster;
    if (run("redis-cli --tls --version >/dev/null 2>&1") != 0) {
        print_message("# SKIP redis-cli with TLS is not installed\n");
        skip();
    }
    open_server(&cluster, "required", "yes");
    snprintf(command, sizeof command,
             "redis-cli --tls --cacert %s --cert %s --key %s -p %u ADDJOB cli body 0 | "
             "grep -q ' committed$'",
             ca, cert, key, cluster_port(&cluster, 1));
    assert_int_equal(run(command), 0);
    snprintf(command, sizeof command, "redis-cli -p %u PING 2>&1 | grep -q 'TLS only'",
             cluster_port(&cluster, 1));
    assert_int_equal(run(command), 0);
    cluster_close(&cluster);
}

static void what_is_missing_is_said_at_the_start(void **state)
{
    (void)state;
    struct cluster cluster = {.extra = {"--tls", "required"}};
    cluster_open_quiet(&cluster, 0);
    cluster.nodes = 1;
    assert_int_equal(cluster_try(&cluster, 1, WAIT_MS), 2);
    cluster.extra[2] = "--tls-cert";
    cluster.extra[3] = cert;
    cluster.extra[4] = "--tls-key";
    cluster.extra[5] = other_key; /* of another certificate */
    assert_int_equal(cluster_try(&cluster, 1, WAIT_MS), 1);
    cluster.extra[5] = "/nonexistent";
    assert_int_equal(cluster_try(&cluster, 1, WAIT_MS), 1);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_that_requires_it_takes_nothing_else),
        cmocka_unit_test(an_optional_one_takes_both),
        cmocka_unit_test(clients_show_what_the_authority_signed),
        cmocka_unit_test(strangers_in_a_handshake_stall_nobody),
        cmocka_unit_test(redis_cli_works),
        cmocka_unit_test(what_is_missing_is_said_at_the_start),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
