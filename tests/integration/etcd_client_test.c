/* The etcd client against real etcd processes that are killed and stopped under it. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "tests/lib/etcd_fixture.h"
#include "tests/lib/http_server.h"
#include "tests/lib/test.h"
#include "workloads/systems/etcd.h"

struct cluster {
    struct etcd_fixture fixture;
    pid_t pids[ETCD_FIXTURE_NODES]; /* 0: does not run */
    char dir[256];
};

static bool etcd_is_installed(void)
{
    return system("etcd --version >/dev/null 2>&1") == 0;
}

static void start_member(struct cluster *cluster, uint32_t node)
{
    struct arena arena = ARENA_INIT;
    const char *const *arguments = etcd_arguments(&cluster->fixture.test, node, ETCD_FOUNDER,
                                                  test_all_nodes(&cluster->fixture.test), &arena);
    char *dir = arena_printf(&arena, "%s/n%u", cluster->dir, (unsigned)node + 1);
    mkdir(dir, 0700);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int log = chdir(dir) == 0 ? open("log", O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
        if (log >= 0 && dup2(log, 1) >= 0 && dup2(log, 2) >= 0)
            execvp(arguments[0], (char **)(uintptr_t)arguments);
        _exit(127);
    }
    assert_true(pid > 0);
    cluster->pids[node] = pid;
    arena_free(&arena);
}

static void kill_member(struct cluster *cluster, uint32_t node)
{
    assert_int_equal(kill(cluster->pids[node], SIGKILL), 0);
    assert_int_equal(waitpid(cluster->pids[node], NULL, 0), cluster->pids[node]);
    cluster->pids[node] = 0;
}

/* Returns when all its threads have stopped, which kill alone does not wait for. */
static void pause_member(struct cluster *cluster, uint32_t node)
{
    int status = 0;
    assert_int_equal(kill(cluster->pids[node], SIGSTOP), 0);
    assert_int_equal(waitpid(cluster->pids[node], &status, WUNTRACED), cluster->pids[node]);
    assert_true(WIFSTOPPED(status));
}

static void wait_ready(struct cluster *cluster)
{
    struct buf why_not = BUF_INIT;
    int64_t deadline_ns = clock_monotonic_ns() + 60 * NS_PER_SECOND;
    while (!etcd_ready(&cluster->fixture.test, &why_not)) {
        if (clock_monotonic_ns() > deadline_ns)
            fail_msg("etcd is not ready after a minute: %s", buf_text(&why_not));
        buf_clear(&why_not);
        clock_sleep_ns(20 * NS_PER_MS);
    }
    buf_free(&why_not);
}

static void begin(struct cluster *cluster, uint32_t nodes, int64_t op_timeout_ns)
{
    *cluster = (struct cluster){.pids = {0}};
    const char *temporary = getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR");
    snprintf(cluster->dir, sizeof cluster->dir, "%s/ordeal-etcd.XXXXXX", temporary);
    assert_non_null(mkdtemp(cluster->dir));
    etcd_fixture_init(&cluster->fixture, nodes, http_free_port(), op_timeout_ns);
    char peer_port[16];
    snprintf(peer_port, sizeof peer_port, "%u", (unsigned)http_free_port());
    etcd_fixture_set(&cluster->fixture, "etcd.peer-port", peer_port);
    etcd_fixture_set(&cluster->fixture, "etcd.data-dir", "data"); /* each starts in its own place */
    etcd_fixture_set(&cluster->fixture, "etcd.heartbeat-ms", "50");
    etcd_fixture_set(&cluster->fixture, "etcd.election-ms", "500");
    for (uint32_t i = 0; i < nodes; i++)
        start_member(cluster, i);
    wait_ready(cluster);
}

static void end(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->fixture.test.node_count; i++)
        if (cluster->pids[i] != 0)
            kill_member(cluster, i);
    etcd_fixture_free(&cluster->fixture);
    char command[320];
    snprintf(command, sizeof command, "rm -rf '%s'", cluster->dir);
    assert_int_equal(system(command), 0);
}

static struct op act(struct cluster *cluster, void *client, uint16_t f, int64_t key,
                     struct value argument, struct arena *scratch)
{
    struct value value = value_pair(scratch, value_int(scratch, key), argument);
    return etcd_fixture_do(&cluster->fixture, client, f, value, scratch);
}

static struct value change(int64_t old, int64_t new, struct arena *scratch)
{
    return value_pair(scratch, value_int(scratch, old), value_int(scratch, new));
}

/* Asks until it succeeds: on a busy machine leaders change and requests time out unasked. Only for
 * what may be repeated. */
static struct op surely(struct cluster *cluster, void *client, uint16_t f, int64_t key,
                        struct value argument, struct arena *scratch)
{
    int64_t deadline_ns = clock_monotonic_ns() + 60 * NS_PER_SECOND;
    for (;;) {
        struct op op = act(cluster, client, f, key, argument, scratch);
        if (op.type == OP_OK)
            return op;
        if (clock_monotonic_ns() > deadline_ns)
            fail_msg("no success within a minute: %s", value_as_text(value_at(op.error, 1)));
        clock_sleep_ns(10 * NS_PER_MS);
    }
}

static void assert_reads(struct cluster *cluster, void *client, int64_t key, const char *expected)
{
    struct arena scratch = ARENA_INIT;
    struct op op = surely(cluster, client, cluster->fixture.read_f, key, value_nil(), &scratch);
    struct buf text = BUF_INIT;
    value_print(value_at(op.value, 1), &text);
    assert_string_equal(text.data, expected);
    buf_free(&text);
    arena_free(&scratch);
}

static void registers_work(void **state)
{
    (void)state;
    if (!etcd_is_installed())
        test_skip("etcd is not installed");
    struct cluster cluster;
    struct arena scratch = ARENA_INIT;
    begin(&cluster, 1, 10 * NS_PER_SECOND);
    struct etcd_fixture *fixture = &cluster.fixture;
    void *client = etcd_fixture_open(fixture, 0);
    assert_reads(&cluster, client, 1, "nil");
    struct op op = act(&cluster, client, fixture->cas_f, 1, change(0, 1, &scratch), &scratch);
    assert_int_equal(op.type, OP_FAIL); /* absent equals nothing */
    assert_string_equal(value_as_text(op.error), "cas-mismatch");
    assert_reads(&cluster, client, 1, "nil");
    op = act(&cluster, client, fixture->write_f, 1, value_int(NULL, 3), &scratch);
    assert_int_equal(op.type, OP_OK);
    assert_reads(&cluster, client, 1, "3");
    op = act(&cluster, client, fixture->cas_f, 1, change(4, 5, &scratch), &scratch);
    assert_int_equal(op.type, OP_FAIL);
    assert_string_equal(value_as_text(op.error), "cas-mismatch");
    assert_reads(&cluster, client, 1, "3");
    op = act(&cluster, client, fixture->cas_f, 1, change(3, -5, &scratch), &scratch);
    assert_int_equal(op.type, OP_OK);
    assert_reads(&cluster, client, 1, "-5");
    assert_reads(&cluster, client, 2, "nil");
    etcd_fixture_close(client);
    etcd_fixture_set(fixture, "etcd.reads", "serializable");
    client = etcd_fixture_open(fixture, 0);
    assert_reads(&cluster, client, 1, "-5");
    etcd_fixture_close(client);

    node_set primaries = 0;
    struct err err = ERR_INIT;
    struct buf version = BUF_INIT;
    assert_ok(etcd_primaries(&fixture->test, &primaries, &err));
    assert_int_equal(primaries, NODE_SET(0));
    assert_ok(etcd_version(&fixture->test, &version, &err));
    assert_contains(version.data, "etcd 3.");
    buf_free(&version);
    arena_free(&scratch);
    end(&cluster);
}

/* A quota that is used up: a put that etcd reports as refused has been applied. This is why the
 * client takes "database space exceeded" for indeterminate. */
static void a_put_past_the_quota_may_have_happened(void **state)
{
    (void)state;
    if (!etcd_is_installed())
        test_skip("etcd is not installed");
    struct cluster cluster;
    struct arena scratch = ARENA_INIT;
    setenv("ETCD_QUOTA_BACKEND_BYTES", "65536", 1);
    begin(&cluster, 1, 10 * NS_PER_SECOND);
    unsetenv("ETCD_QUOTA_BACKEND_BYTES");
    void *client = etcd_fixture_open(&cluster.fixture, 0);
    struct op op = {.type = OP_OK};
    int64_t key = 0;
    while (op.type == OP_OK && key < 5000)
        op = act(&cluster, client, cluster.fixture.write_f, ++key, value_int(NULL, 7), &scratch);
    assert_int_equal(op.type, OP_INFO);
    assert_string_equal(value_as_text(value_at(op.error, 0)), "no-space");
    etcd_fixture_close(client);
    arena_free(&scratch);
    end(&cluster);
}

static void a_stopped_server_makes_changes_indeterminate(void **state)
{
    (void)state;
    if (!etcd_is_installed())
        test_skip("etcd is not installed");
    struct cluster cluster;
    struct arena scratch = ARENA_INIT;
    begin(&cluster, 1, 500 * NS_PER_MS);
    struct etcd_fixture *fixture = &cluster.fixture;
    void *client = etcd_fixture_open(fixture, 0);
    assert_reads(&cluster, client, 1, "nil");
    pause_member(&cluster, 0);
    int64_t started_ns = clock_monotonic_ns();
    struct op op = act(&cluster, client, fixture->write_f, 1, value_int(NULL, 3), &scratch);
    int64_t took_ns = clock_monotonic_ns() - started_ns;
    assert_int_equal(op.type, OP_INFO);
    assert_string_equal(value_as_text(value_at(op.error, 0)), "timeout");
    assert_true(took_ns < 500 * NS_PER_MS + 2 * NS_PER_SECOND);
    etcd_fixture_close(client);
    client = etcd_fixture_open(fixture, 0); /* the kernel still takes the connection */
    op = act(&cluster, client, fixture->cas_f, 2, change(3, 4, &scratch), &scratch);
    assert_int_equal(op.type, OP_INFO);
    op = act(&cluster, client, fixture->read_f, 1, value_nil(), &scratch);
    assert_int_equal(op.type, OP_FAIL);
    assert_int_equal(kill(cluster.pids[0], SIGCONT), 0);
    wait_ready(&cluster);
    surely(&cluster, client, fixture->write_f, 1, value_int(NULL, 5), &scratch);
    etcd_fixture_close(client);
    arena_free(&scratch);
    end(&cluster);
}

static node_set wait_primary(struct cluster *cluster, node_set other_than)
{
    int64_t deadline_ns = clock_monotonic_ns() + 60 * NS_PER_SECOND;
    for (;;) {
        node_set primaries = 0;
        struct err err = ERR_INIT;
        assert_ok(etcd_primaries(&cluster->fixture.test, &primaries, &err));
        if (node_set_count(primaries) == 1 && primaries != other_than)
            return primaries;
        if (clock_monotonic_ns() > deadline_ns)
            fail_msg("no single leader after a minute");
        clock_sleep_ns(20 * NS_PER_MS);
    }
}

static void a_cluster_of_three_fails_over(void **state)
{
    (void)state;
    if (!etcd_is_installed())
        test_skip("etcd is not installed");
    struct cluster cluster;
    struct arena scratch = ARENA_INIT;
    struct buf why_not = BUF_INIT;
    begin(&cluster, 3, 2 * NS_PER_SECOND);
    struct etcd_fixture *fixture = &cluster.fixture;
    node_set old = wait_primary(&cluster, 0);
    uint32_t leader = (uint32_t)__builtin_ctzll(old);
    void *client = etcd_fixture_open(fixture, leader);
    void *other = etcd_fixture_open(fixture, (leader + 1) % 3);
    surely(&cluster, client, fixture->write_f, 1, value_int(NULL, 3), &scratch);
    assert_reads(&cluster, other, 1, "3");
    kill_member(&cluster, leader);
    struct op op = act(&cluster, client, fixture->write_f, 1, value_int(NULL, 4), &scratch);
    assert_int_equal(op.type, OP_FAIL);
    assert_string_equal(value_as_text(value_at(op.error, 0)), "connection-refused");
    assert_false(etcd_ready(&fixture->test, &why_not));
    assert_contains(buf_text(&why_not), fixture->nodes[leader].name);
    assert_contains(buf_text(&why_not), "Connection refused");
    wait_primary(&cluster, old);
    start_member(&cluster, leader);
    wait_ready(&cluster);
    assert_reads(&cluster, client, 1, "3");
    /* Without a majority nothing is certain about a change. */
    kill_member(&cluster, (leader + 1) % 3);
    kill_member(&cluster, (leader + 2) % 3);
    op = act(&cluster, client, fixture->write_f, 1, value_int(NULL, 5), &scratch);
    assert_int_equal(op.type, OP_INFO);
    op = act(&cluster, client, fixture->read_f, 1, value_nil(), &scratch);
    assert_int_equal(op.type, OP_FAIL);
    etcd_fixture_close(client);
    etcd_fixture_close(other);
    buf_free(&why_not);
    arena_free(&scratch);
    end(&cluster);
}

/* ---- Soundness: what was reported failed is never seen ---- */

enum { THREADS = 8, KEYS_PER_THREAD = 4000, CYCLES = 16 };

/* Each key is written once and then changed once, by one thread, so that nothing can hide under a
 * later write. */
struct fate {
    uint8_t write, cas; /* enum op_type; OP_INVOKE: not asked */
};

struct writer {
    struct cluster *cluster;
    pthread_t thread;
    uint32_t index, used;
    atomic_bool *stop;
    atomic_uint *done; /* operations that were answered, over all threads */
    struct fate fates[KEYS_PER_THREAD];
};

static int64_t key_of(uint32_t thread, uint32_t i)
{
    return (int64_t)thread * KEYS_PER_THREAD + i + 1;
}

static enum op_type ask(struct writer *writer, void **client, uint16_t f, int64_t key,
                        struct value argument, struct arena *scratch)
{
    struct op op = act(writer->cluster, *client, f, key, argument, scratch);
    if (op.type == OP_INFO) { /* as the harness does */
        etcd_fixture_close(*client);
        *client = etcd_fixture_open(&writer->cluster->fixture, 0);
    }
    bool answered = op.type == OP_OK || value_kind(op.error) == VALUE_KEYWORD;
    if (answered)
        atomic_fetch_add(writer->done, 1);
    else
        clock_sleep_ns(2 * NS_PER_MS); /* do not use up the keys while it is down */
    return op.type;
}

static void *write_for_ever(void *state)
{
    struct writer *writer = state;
    struct etcd_fixture *fixture = &writer->cluster->fixture;
    void *client = etcd_fixture_open(fixture, 0);
    struct arena scratch = ARENA_INIT;
    while (!atomic_load(writer->stop) && writer->used < KEYS_PER_THREAD) {
        struct fate *fate = &writer->fates[writer->used];
        int64_t key = key_of(writer->index, writer->used);
        writer->used++;
        fate->write = (uint8_t)ask(writer, &client, fixture->write_f, key, value_int(&scratch, key),
                                   &scratch);
        /* After an uncertain write too: then the comparison decides. */
        if (key % 2 == 0)
            fate->cas = (uint8_t)ask(writer, &client, fixture->cas_f, key,
                                     change(key, -key, &scratch), &scratch);
        arena_reset(&scratch);
    }
    arena_free(&scratch);
    etcd_fixture_close(client);
    return NULL;
}

/* What may be read in the end, given what was answered. */
static bool allowed(const struct fate *fate, int64_t key, struct value value)
{
    bool absent = value_is_nil(value), changed = value_as_int(value) == -key;
    if (!absent && !changed && value_as_int(value) != key)
        return false;
    if (fate->write == OP_FAIL && !absent)
        return false;
    if (fate->write == OP_OK && absent)
        return false;
    if (fate->cas == OP_OK)
        return changed;
    return !changed || fate->cas == OP_INFO;
}

static void check_fates(struct cluster *cluster, const struct writer *writers, unsigned *counts)
{
    void *client = etcd_fixture_open(&cluster->fixture, 0);
    struct arena scratch = ARENA_INIT;
    for (uint32_t t = 0; t < THREADS; t++)
        for (uint32_t i = 0; i < writers[t].used; i++) {
            const struct fate *fate = &writers[t].fates[i];
            int64_t key = key_of(t, i);
            struct op op =
                surely(cluster, client, cluster->fixture.read_f, key, value_nil(), &scratch);
            struct value value = value_at(op.value, 1);
            if (!allowed(fate, key, value))
                fail_msg("key %lld: write %s, cas %s, and then %lld was read", (long long)key,
                         op_type_name(fate->write), op_type_name(fate->cas),
                         (long long)value_as_int(value));
            counts[fate->write]++;
            counts[fate->cas]++;
            arena_reset(&scratch);
        }
    arena_free(&scratch);
    etcd_fixture_close(client);
}

static void wait_done(atomic_uint *done, unsigned more)
{
    unsigned target = atomic_load(done) + more;
    int64_t deadline_ns = clock_monotonic_ns() + 60 * NS_PER_SECOND;
    while (atomic_load(done) < target) {
        if (clock_monotonic_ns() > deadline_ns)
            fail_msg("no %u answers within a minute", more);
        clock_sleep_ns(NS_PER_MS);
    }
}

static void failed_changes_are_never_seen(void **state)
{
    (void)state;
    if (!etcd_is_installed())
        test_skip("etcd is not installed");
    static struct cluster cluster;
    static struct writer writers[THREADS];
    atomic_bool stop = false;
    atomic_uint done = 0;
    begin(&cluster, 1, 400 * NS_PER_MS);
    for (uint32_t i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.cluster = &cluster, .index = i, .stop = &stop, .done = &done};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_for_ever, &writers[i]), 0);
    }
    for (uint32_t cycle = 0; cycle < CYCLES; cycle++) {
        wait_done(&done, 300 + cycle); /* another moment of its work each time */
        if (cycle % 4 == 3) { /* longer than a client waits: late effects of lost requests */
            pause_member(&cluster, 0);
            clock_sleep_ns(600 * NS_PER_MS);
            assert_int_equal(kill(cluster.pids[0], SIGCONT), 0);
        } else {
            kill_member(&cluster, 0);
            start_member(&cluster, 0);
        }
        wait_ready(&cluster);
    }
    atomic_store(&stop, true);
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
    unsigned counts[4] = {0};
    check_fates(&cluster, writers, counts);
    print_message("# %u ok, %u fail, %u info\n", counts[OP_OK], counts[OP_FAIL], counts[OP_INFO]);
    assert_true(counts[OP_OK] > CYCLES * 200);
    assert_true(counts[OP_FAIL] > CYCLES); /* or the test has shown nothing */
    assert_true(counts[OP_INFO] > CYCLES);
    end(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_work),
        cmocka_unit_test(a_put_past_the_quota_may_have_happened),
        cmocka_unit_test(a_stopped_server_makes_changes_indeterminate),
        cmocka_unit_test(a_cluster_of_three_fails_over),
        cmocka_unit_test(failed_changes_are_never_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
