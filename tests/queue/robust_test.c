/* Clients that do wrong, by mistake or on purpose: they get errors in Redis' style, or nothing, and
 * cost the others little. How little is measured: what one well-behaved client achieves beside
 * them, against what it achieves alone. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/queue/lib/cluster.h"

enum { WAIT_MS = 10000, MEASURE_MS = 250, ROUNDS = 4, IDLE = 10000 };

static struct cluster cluster;
static struct redis redis;

static int open_server(void **state)
{
    (void)state;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    /* Without syncs, whose time would hide what the others cost. */
    cluster = (struct cluster){.extra = {"--fsync", "no"}};
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

/* How long a thread was ready to run and no processor was free, since it began. Where the kernel
 * does not tell, other programs' time counts against the server. */
static uint64_t kept_waiting_ns(const char *thread)
{
    char path[64];
    unsigned long long ran, waited = 0;
    snprintf(path, sizeof path, "/proc/%s/schedstat", thread);
    FILE *file = fopen(path, "re");
    if (file != NULL && fscanf(file, "%llu %llu", &ran, &waited) != 2)
        waited = 0;
    if (file != NULL)
        fclose(file);
    return waited;
}

/* Passes while the server or this client could have gone on. */
static uint64_t fair_ns(void)
{
    char server[16];
    struct timespec now;
    snprintf(server, sizeof server, "%d", (int)cluster.pids[1]);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec - kept_waiting_ns(server) -
           kept_waiting_ns("thread-self");
}

/* What a cycle of add, take and acknowledge takes, in nanoseconds, without the time that other
 * programs took: over a quarter of a second, the best of four. */
static uint64_t achieve(void)
{
    uint64_t best_ns = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned done = 0;
        uint64_t begun_ns = fair_ns();
        for (uint64_t end_ms = cluster_now_ms() + MEASURE_MS; cluster_now_ms() < end_ms; done++) {
            redis_expect(&redis, "D-", "ADDJOB good body 0");
            struct reply *reply = redis_ask(&redis, "GETJOB NOHANG FROM good");
            assert_int_equal(reply->type, REPLY_LIST);
            assert_int_equal(
                redis_integer(&redis, "ACKJOB %s", reply->elements[0].elements[1].text), 1);
            reply_free(reply);
        }
        uint64_t cycle_ns = (fair_ns() - begun_ns) / (done > 0 ? done : 1);
        best_ns = cycle_ns < best_ns ? cycle_ns : best_ns;
    }
    return best_ns;
}

/* `percent`: how much of the pace that it had alone must be left. Other programs come and go, so it
 * may try more than once. */
static void must_achieve(uint64_t alone_ns, unsigned percent, const char *beside)
{
    uint64_t now_ns = achieve();
    for (int again = 0; again < 5 && now_ns * percent > alone_ns * 100; again++)
        now_ns = achieve();
    print_message("# beside %s: %llu us a cycle, alone %llu\n", beside,
                  (unsigned long long)now_ns / 1000, (unsigned long long)alone_ns / 1000);
    if (now_ns * percent > alone_ns * 100)
        fail_msg("beside %s: %llu us a cycle, alone %llu", beside,
                 (unsigned long long)now_ns / 1000, (unsigned long long)alone_ns / 1000);
}

/* In MiB. */
static long resident(void)
{
    char path[64], line[256];
    long kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)cluster.pids[1]);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        sscanf(line, "VmRSS: %ld", &kilobytes);
    fclose(file);
    return kilobytes / 1024;
}

static struct redis *open_many(unsigned count)
{
    struct redis *many = calloc(count, sizeof *many);
    assert_non_null(many);
    for (unsigned i = 0; i < count; i++) {
        redis_open(&many[i], redis.port, WAIT_MS);
        if (many[i].socket < 0)
            fail_msg("connection %u of %u was not made", i + 1, count);
    }
    cluster_wait_info(&cluster, 1, "clients", count);
    return many;
}

static void close_many(struct redis *many, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        redis_close(&many[i]);
    free(many);
}

static void ten_thousand_idle_connections(void **state)
{
    (void)state;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < IDLE + 100) {
        print_message("# SKIP only %lu files may be open\n", (unsigned long)files.rlim_cur);
        skip();
    }
    uint64_t alone_ns = achieve();
    long before = resident();
    struct redis *idle = open_many(IDLE);
    must_achieve(alone_ns, 50, "10000 idle connections");
    long cost = resident() - before;
    print_message("# they cost %ld MiB\n", cost);
    assert_true(cost < 60);
    close_many(idle, IDLE);
    uint64_t end_ms = cluster_now_ms() + 10000;
    while (cluster_info(&cluster, 1, "clients") > 10 && cluster_now_ms() < end_ms)
        usleep(10000);
    assert_true(cluster_info(&cluster, 1, "clients") <= 10);
}

/* They ask for more than any socket holds, again and again, and take nothing. */
static void clients_that_never_read(void **state)
{
    (void)state;
    enum { DEAF = 20, ASKED = 2000 };
    char body[10001];
    uint64_t alone_ns = achieve();
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    for (int i = 0; i < 20; i++)
        redis_expect(&redis, "D-", "ADDJOB deaf %s 0", body);
    long before = resident();
    struct redis *deaf = open_many(DEAF);
    for (int i = 0; i < DEAF; i++) {
        for (int k = 0; k < ASKED; k++) {
            static const char ask[] = "QPEEK deaf 20\r\n";
            if (send(deaf[i].socket, ask, sizeof ask - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                break; /* it is not listened to any more: so it should be */
        }
    }
    must_achieve(alone_ns, 30, "20 clients that never read");
    long cost = resident() - before;
    print_message("# they cost %ld MiB\n", cost);
    /* Each is paused at 4 MiB, and what it asked before is bounded. */
    assert_true(cost < DEAF * 12);
    close_many(deaf, DEAF);
    redis_expect(&redis, "PONG", "PING");
}

static void half_written_requests(void **state)
{
    (void)state;
    enum { HALF = 300 };
    static const char half[] = "*4\r\n$6\r\nADDJOB\r\n$1\r\nq\r\n$16000000\r\nno more than this";
    uint64_t alone_ns = achieve();
    long before = resident();
    struct redis *many = open_many(HALF);
    for (int i = 0; i < HALF; i++)
        redis_send_bytes(&many[i], half, 1 + (size_t)i % (sizeof half - 1));
    must_achieve(alone_ns, 50, "300 half-written requests");
    long cost = resident() - before;
    print_message("# they cost %ld MiB\n", cost);
    assert_true(cost < 60);
    close_many(many, HALF);
}

struct nuisance {
    atomic_bool *stop;
    unsigned kind;
    atomic_ulong done;
    pthread_t thread;
};

/* Wrong arguments, unknown commands and no protocol at all, as fast as they go. */
static void *annoy(void *context)
{
    struct nuisance *nuisance = context;
    struct redis own = {.socket = -1};
    while (!atomic_load(nuisance->stop)) {
        if (own.socket < 0)
            redis_open(&own, redis.port, WAIT_MS);
        if (nuisance->kind == 2)
            redis_send_bytes(&own, "*1\r\n$-7\r\n\x01\x02\x03", 13);
        else
            redis_send(&own, nuisance->kind == 0 ? "NONSENSE a b c" : "ADDJOB q b 0 PRI 77");
        struct reply *reply = redis_receive(&own);
        atomic_fetch_add(&nuisance->done, reply->type == REPLY_ERROR);
        reply_free(reply);
        if (nuisance->kind == 2)
            redis_close(&own);
    }
    redis_close(&own);
    return NULL;
}

static void mistakes_as_fast_as_they_go(void **state)
{
    (void)state;
    struct nuisance nuisances[3];
    atomic_bool stop = false;
    uint64_t alone_ns = achieve();
    for (unsigned i = 0; i < 3; i++) {
        nuisances[i] = (struct nuisance){.stop = &stop, .kind = i};
        assert_int_equal(pthread_create(&nuisances[i].thread, NULL, annoy, &nuisances[i]), 0);
    }
    /* They have a share of one server and of this machine's two cores, as anybody would. */
    must_achieve(alone_ns, 10, "three clients that err without a pause");
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(nuisances[i].thread, NULL);
        assert_true(atomic_load(&nuisances[i].done) > 10);
    }
}

static void send_body(struct redis *to, size_t length, const char *rest)
{
    char head[128];
    char *body = malloc(length);
    assert_non_null(body);
    memset(body, 'b', length);
    snprintf(head, sizeof head, "*4\r\n$6\r\nADDJOB\r\n$4\r\nlong\r\n$%zu\r\n", length);
    redis_send_bytes(to, head, strlen(head));
    redis_send_bytes(to, body, length);
    redis_send_bytes(to, rest, strlen(rest));
    free(body);
}

static void bodies_have_a_limit_and_reach_it(void **state)
{
    (void)state;
    struct redis own;
    redis_open(&own, redis.port, WAIT_MS);
    send_body(&own, 16 << 20, "\r\n$1\r\n0\r\n");
    struct reply *reply = redis_receive(&own);
    if (reply->type != REPLY_STATUS)
        fail_msg("16 MiB: %s", reply->text ? reply->text : "broken");
    reply_free(reply);
    reply = redis_ask(&own, "GETJOB FROM long");
    assert_int_equal(reply->elements[0].elements[2].length, 16 << 20);
    assert_int_equal(redis_integer(&own, "ACKJOB %s", reply->elements[0].elements[1].text), 1);
    reply_free(reply);
    send_body(&own, (16 << 20) + 1, "\r\n$1\r\n0\r\n");
    reply = redis_receive(&own);
    assert_true(reply->type == REPLY_ERROR || reply->type == REPLY_BROKEN);
    if (reply->type == REPLY_ERROR)
        assert_true(strncmp(reply->text, "ERR ", 4) == 0);
    reply_free(reply);
    redis_close(&own);
    redis_open(&own, redis.port, WAIT_MS);
    redis_expect(&own, "ERR a queue's name", "ADDJOB %0300d body 0", 1);
    redis_expect(&own, "ERR unknown command", "%0200d", 1);
    redis_close(&own);
    assert_int_equal(redis_integer(&redis, "QLEN long"), 0);
}

/* Too much is refused in Redis' words, and those who are there stay. */
static void clients_have_a_limit(void **state)
{
    (void)state;
    redis_expect(&redis, "OK", "CONFIG SET max-clients 20");
    struct redis many[30];
    unsigned refused = 0;
    for (int i = 0; i < 30; i++) {
        redis_open(&many[i], redis.port, WAIT_MS);
        struct reply *reply = redis_ask(&many[i], "PING");
        refused += reply->type == REPLY_ERROR || reply->type == REPLY_BROKEN;
        if (reply->type == REPLY_ERROR)
            assert_string_equal(reply->text, "ERR max number of clients reached");
        reply_free(reply);
    }
    assert_in_range(refused, 10, 12);
    redis_expect(&redis, "PONG", "PING");
    for (int i = 0; i < 30; i++)
        redis_close(&many[i]);
    redis_expect(&redis, "OK", "CONFIG SET max-clients 20000");
}

/* At the ceiling jobs are refused and nothing grows; once there is room again they are taken. */
static void memory_has_a_ceiling(void **state)
{
    (void)state;
    char body[10001];
    memset(body, 'm', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    redis_expect(&redis, "OK", "CONFIG SET max-memory 20m");
    unsigned taken = 0, refused = 0;
    for (int i = 0; i < 6000; i++) {
        struct reply *reply = redis_ask(&redis, "ADDJOB full %s 0", body);
        if (reply->type == REPLY_STATUS)
            taken++;
        else if (strncmp(reply->text, "OOM ", 4) == 0)
            refused++;
        else
            fail_msg("%s", reply->text);
        reply_free(reply);
    }
    assert_in_range(taken, 1500, 2200);
    assert_int_equal(taken + refused, 6000);
    for (unsigned left = taken; left > 0;) {
        struct reply *reply = redis_ask(&redis, "GETJOB NOHANG COUNT 100 FROM full");
        assert_int_equal(reply->type, REPLY_LIST);
        left -= (unsigned)reply->count;
        for (size_t i = 0; i < reply->count; i++)
            redis_send(&redis, "ACKJOB %s", reply->elements[i].elements[1].text);
        for (size_t i = 0; i < reply->count; i++)
            reply_free(redis_receive(&redis));
        reply_free(reply);
    }
    redis_expect(&redis, "D-", "ADDJOB full %s 0", body);
    redis_expect(&redis, "OK", "CONFIG SET max-memory 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_written_requests),
        cmocka_unit_test(clients_that_never_read),
        cmocka_unit_test(ten_thousand_idle_connections),
        cmocka_unit_test(mistakes_as_fast_as_they_go),
        cmocka_unit_test(bodies_have_a_limit_and_reach_it),
        cmocka_unit_test(clients_have_a_limit),
        cmocka_unit_test(memory_has_a_ceiling),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, open_server, close_server);
}
