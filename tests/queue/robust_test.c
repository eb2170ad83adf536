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

struct achieved {
    unsigned cycles;   /* of add, take and acknowledge in a quarter of a second: the best round */
    uint64_t cycle_ns; /* of the server's processor time for a cycle: the best round */
};

static uint64_t server_ns(void)
{
    clockid_t clock;
    struct timespec used;
    assert_int_equal(clock_getcpuclockid(cluster.pids[1], &clock), 0);
    assert_int_equal(clock_gettime(clock, &used), 0);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static struct achieved achieve(void)
{
    struct achieved best = {.cycle_ns = UINT64_MAX};
    for (int round = 0; round < ROUNDS; round++) {
        unsigned done = 0;
        uint64_t begun_ns = server_ns();
        for (uint64_t end_ms = cluster_now_ms() + MEASURE_MS; cluster_now_ms() < end_ms; done++) {
            redis_expect(&redis, "D-", "ADDJOB good body 0");
            struct reply *reply = redis_ask(&redis, "GETJOB NOHANG FROM good");
            assert_int_equal(reply->type, REPLY_LIST);
            assert_int_equal(
                redis_integer(&redis, "ACKJOB %s", reply->elements[0].elements[1].text), 1);
            reply_free(reply);
        }
        uint64_t cycle_ns = (server_ns() - begun_ns) / (done > 0 ? done : 1);
        best.cycles = done > best.cycles ? done : best.cycles;
        best.cycle_ns = cycle_ns < best.cycle_ns ? cycle_ns : best.cycle_ns;
    }
    return best;
}

/* `percent`: how much of what it achieved alone must be left. Other programs come and go, so it may
 * try more than once; and where the server has not more to do for a cycle than it had alone, it is
 * they that took the time. */
static void must_achieve(struct achieved alone, unsigned percent, const char *beside)
{
    for (int tries = 0; tries < 6; tries++) {
        struct achieved now = achieve();
        print_message("# beside %s: %u cycles of %llu us, alone %u of %llu us\n", beside,
                      now.cycles, (unsigned long long)now.cycle_ns / 1000, alone.cycles,
                      (unsigned long long)alone.cycle_ns / 1000);
        if (now.cycles * 100 >= alone.cycles * percent ||
            now.cycle_ns * percent <= alone.cycle_ns * 100)
            return;
    }
    fail_msg("beside %s: too few", beside);
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
    struct achieved alone = achieve();
    long before = resident();
    struct redis *idle = open_many(IDLE);
    must_achieve(alone, 50, "10000 idle connections");
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
    struct achieved alone = achieve();
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
    must_achieve(alone, 30, "20 clients that never read");
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
    struct achieved alone = achieve();
    long before = resident();
    struct redis *many = open_many(HALF);
    for (int i = 0; i < HALF; i++)
        redis_send_bytes(&many[i], half, 1 + (size_t)i % (sizeof half - 1));
    must_achieve(alone, 50, "300 half-written requests");
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
    struct achieved alone = achieve();
    for (unsigned i = 0; i < 3; i++) {
        nuisances[i] = (struct nuisance){.stop = &stop, .kind = i};
        assert_int_equal(pthread_create(&nuisances[i].thread, NULL, annoy, &nuisances[i]), 0);
    }
    /* They have a share of one server and of this machine's two cores, as anybody would. */
    must_achieve(alone, 10, "three clients that err without a pause");
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
