/* What the etcd client sends, what it takes replies for, and what failures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "tests/lib/etcd_fixture.h"
#include "tests/lib/http_server.h"
#include "tests/lib/test.h"
#include "workloads/systems/base64.h"
#include "workloads/systems/etcd.h"

#define HEADER "\"header\":{\"cluster_id\":\"1\",\"member_id\":\"7\",\"revision\":\"9\"}"
enum { LONG_MS = 10000 };

struct world {
    struct http_server *server;
    struct etcd_fixture fixture;
    void *client;
    struct arena scratch;
};

static void begin(struct world *world, const struct http_step *steps, size_t count,
                  int64_t timeout_ms)
{
    *world = (struct world){.server = http_server_start(NULL, 0, steps, count)};
    etcd_fixture_init(&world->fixture, 1, http_server_port(world->server), timeout_ms * NS_PER_MS);
    world->client = etcd_fixture_open(&world->fixture, 0);
}

static void end(struct world *world)
{
    etcd_fixture_close(world->client);
    etcd_fixture_free(&world->fixture);
    http_server_stop(world->server);
    arena_free(&world->scratch);
}

static struct value of(int64_t key, struct value value)
{
    return value_pair(NULL, value_int(NULL, key), value);
}

static struct op do_read(struct world *world, int64_t key)
{
    return etcd_fixture_do(&world->fixture, world->client, world->fixture.read_f,
                           value_pair(&world->scratch, value_int(NULL, key), value_nil()),
                           &world->scratch);
}

static struct op do_write(struct world *world, int64_t key, int64_t value)
{
    return etcd_fixture_do(&world->fixture, world->client, world->fixture.write_f,
                           of(key, value_int(NULL, value)), &world->scratch);
}

static struct op do_cas(struct world *world, int64_t key, int64_t old, int64_t new)
{
    struct value change = value_pair(NULL, value_int(NULL, old), value_int(NULL, new));
    return etcd_fixture_do(&world->fixture, world->client, world->fixture.cas_f,
                           value_pair(&world->scratch, value_int(NULL, key), change),
                           &world->scratch);
}

static void assert_op(struct op op, enum op_type type, const char *value, const char *error)
{
    struct buf text = BUF_INIT;
    value_print(op.value, &text);
    if (value != NULL)
        assert_string_equal(text.data, value);
    buf_clear(&text);
    value_print(op.error, &text);
    assert_string_equal(text.data, error);
    assert_string_equal(op_type_name(op.type), op_type_name(type));
    buf_free(&text);
}

/* ---- Base64 ---- */

static void base64_survives_a_round_trip(void **state)
{
    (void)state;
    const char *const pairs[][2] = {{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg=="},
                                    {"fooba", "Zm9vYmE="},
                                    {"foobar", "Zm9vYmFy"},
                                    {"\xff\xfe\xfb", "//77"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct buf out = BUF_INIT, back = BUF_INIT;
        base64_add(&out, pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(buf_text(&out), pairs[i][1]);
        assert_true(base64_decode(buf_text(&out), out.length, &back));
        assert_string_equal(buf_text(&back), pairs[i][0]);
        buf_free(&out);
        buf_free(&back);
    }
}

static void damaged_base64_is_refused(void **state)
{
    (void)state;
    const char *const damaged[] = {"Z",    "Zg",   "Zg=",  "Zh==", "Zm9=",     "Z===",
                                   "====", "Zg=v", "Zm-v", "Zm v", "Zg==Zg==", "Zm9v\n"};
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        struct buf out = BUF_INIT;
        buf_add_text(&out, "kept");
        if (base64_decode(damaged[i], strlen(damaged[i]), &out))
            fail_msg("'%s' was taken for base64", damaged[i]);
        assert_int_equal(out.length, 4);
        buf_free(&out);
    }
}

/* ---- Requests and successes ---- */

static void requests_are_what_etcd_expects(void **state)
{
    (void)state;
    const struct http_step ok = {HTTP_ACT_REPLY, 200, "{" HEADER "}"};
    const struct http_step steps[] = {ok, ok, ok};
    struct world world;
    begin(&world, steps, 3, LONG_MS);
    do_read(&world, 3);
    do_write(&world, 3, 42);
    do_cas(&world, 3, 4, 5);
    /* ordeal/r/3, 42, 4 and 5 */
    const char *read = http_server_request(world.server, 0);
    assert_contains(read, "POST /v3/kv/range HTTP/1.1\r\n");
    assert_contains(read, "\r\n\r\n{\"key\":\"b3JkZWFsL3IvMw==\"}");
    const char *write = http_server_request(world.server, 1);
    assert_contains(write, "POST /v3/kv/put HTTP/1.1\r\n");
    assert_contains(write, "\r\n\r\n{\"key\":\"b3JkZWFsL3IvMw==\",\"value\":\"NDI=\"}");
    const char *cas = http_server_request(world.server, 2);
    assert_contains(cas, "POST /v3/kv/txn HTTP/1.1\r\n");
    assert_contains(cas, "{\"compare\":[{\"key\":\"b3JkZWFsL3IvMw==\",\"target\":\"VALUE\","
                         "\"result\":\"EQUAL\",\"value\":\"NA==\"}],"
                         "\"success\":[{\"requestPut\":{\"key\":\"b3JkZWFsL3IvMw==\","
                         "\"value\":\"NQ==\"}}]}");
    assert_int_equal(http_server_connections(world.server), 1);
    end(&world);
}

static void serializable_reads_say_so(void **state)
{
    (void)state;
    const struct http_step steps[] = {{HTTP_ACT_REPLY, 200, "{" HEADER "}"}};
    struct world world;
    begin(&world, steps, 1, LONG_MS);
    etcd_fixture_close(world.client);
    etcd_fixture_set(&world.fixture, "etcd.reads", "serializable");
    world.client = etcd_fixture_open(&world.fixture, 0);
    do_read(&world, 3);
    assert_contains(http_server_request(world.server, 0),
                    "\r\n\r\n{\"key\":\"b3JkZWFsL3IvMw==\",\"serializable\":true}");
    end(&world);
}

static void successes_are_read(void **state)
{
    (void)state;
    const struct http_step steps[] = {
        {HTTP_ACT_REPLY, 200, "{" HEADER "}"},
        {HTTP_ACT_REPLY, 200, "{" HEADER ",\"kvs\":[{\"key\":\"eA==\",\"value\":\"NDI=\"}]}"},
        {HTTP_ACT_REPLY, 200, "{" HEADER ",\"kvs\":[{\"key\":\"eA==\",\"value\":\"LTc=\"}]}"},
        {HTTP_ACT_REPLY, 200, "{" HEADER "}"},
        {HTTP_ACT_REPLY, 200, "{" HEADER ",\"succeeded\":true,\"responses\":[]}"},
        {HTTP_ACT_REPLY, 200, "{" HEADER "}"},
        {HTTP_ACT_REPLY, 200, "{" HEADER ",\"succeeded\":false}"},
    };
    struct world world;
    begin(&world, steps, 7, LONG_MS);
    assert_op(do_read(&world, 3), OP_OK, "[3 nil]", "nil");
    assert_op(do_read(&world, 3), OP_OK, "[3 42]", "nil");
    assert_op(do_read(&world, 3), OP_OK, "[3 -7]", "nil");
    assert_op(do_write(&world, 3, 42), OP_OK, "[3 42]", "nil");
    assert_op(do_cas(&world, 3, 4, 5), OP_OK, "[3 [4 5]]", "nil");
    assert_op(do_cas(&world, 3, 4, 5), OP_FAIL, "[3 [4 5]]", ":cas-mismatch");
    assert_op(do_cas(&world, 3, 4, 5), OP_FAIL, "[3 [4 5]]", ":cas-mismatch");
    end(&world);
}

/* What nobody wrote is for the checker to see, not for the client to hide. */
static void strange_values_are_read_as_they_are(void **state)
{
    (void)state;
    const struct http_step steps[] = {
        {HTTP_ACT_REPLY, 200, "{" HEADER ",\"kvs\":[{\"key\":\"eA==\",\"value\":\"Zm9v\"}]}"},
        {HTTP_ACT_REPLY, 200, "{" HEADER ",\"kvs\":[{\"key\":\"eA==\"}]}"},
        {HTTP_ACT_REPLY, 200, "{" HEADER ",\"kvs\":[{\"key\":\"eA==\",\"value\":\"IDc=\"}]}"},
        {HTTP_ACT_REPLY, 200, "{" HEADER ",\"kvs\":[{\"key\":\"eA==\",\"value\":\"???\"}]}"},
    };
    struct world world;
    begin(&world, steps, 4, LONG_MS);
    assert_op(do_read(&world, 3), OP_OK, "[3 \"foo\"]", "nil");
    assert_op(do_read(&world, 3), OP_OK, "[3 \"\"]", "nil");
    assert_op(do_read(&world, 3), OP_OK, "[3 \" 7\"]", "nil");
    assert_op(do_read(&world, 3), OP_FAIL, "[3 nil]", "[:bad-reply \"the value is not base64\"]");
    end(&world);
}

static void operations_it_does_not_know_send_nothing(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL, 0, LONG_MS);
    struct etcd_fixture *fixture = &world.fixture;
    uint16_t other_f = history_f(&fixture->history, "enqueue");
    const struct {
        uint16_t f;
        struct value value;
    } bad[] = {{other_f, of(1, value_int(NULL, 2))},
               {fixture->write_f, value_int(NULL, 2)},
               {fixture->write_f, value_pair(&world.scratch, value_int(NULL, 1), value_nil())},
               {fixture->cas_f, of(1, value_int(NULL, 2))},
               {fixture->read_f, value_nil()}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct op op =
            etcd_fixture_do(fixture, world.client, bad[i].f, bad[i].value, &world.scratch);
        assert_int_equal(op.type, OP_FAIL);
    }
    assert_int_equal(http_server_requests(world.server), 0);
    end(&world);
}

/* ---- Failures ---- */

/* Every row of the client's table, by what a gateway really sends. */
static void every_error_reply_is_classified(void **state)
{
    (void)state;
    static const struct {
        int status, code;
        const char *message;
        enum op_type type;
        const char *error;
    } cases[] = {
        {503, 8, "etcdserver: too many requests", OP_FAIL, "too-many-requests"},
        {429, 8, "etcdserver: too many requests", OP_FAIL, "too-many-requests"},
        {400, 3, "etcdserver: request is too large", OP_FAIL, "too-large"},
        {503, 14, "etcdserver: not capable", OP_FAIL, "not-capable"},
        {503, 14, "etcdserver: rpc not supported for learner", OP_FAIL, "learner"},
        {404, 5, "etcdserver: requested lease not found", OP_FAIL, "lease-not-found"},
        {500, 2, "mutex: session is expired", OP_FAIL, "session-expired"},
        {503, 8, "etcdserver: mvcc: database space exceeded", OP_INFO, "no-space"},
        {503, 14, "etcdserver: request timed out", OP_INFO, "server-timeout"},
        {503, 14, "etcdserver: request timed out, possibly due to previous leader failure", OP_INFO,
         "server-timeout"},
        {503, 14, "etcdserver: leader changed", OP_INFO, "leader-changed"},
        {503, 14, "etcdserver: no leader", OP_INFO, "no-leader"},
        {503, 14, "etcdserver: server stopped", OP_INFO, "server-stopped"},
        {500, 2, "raft: stopped", OP_INFO, "server-stopped"},
        {500, 2, "raft proposal dropped", OP_INFO, "proposal-dropped"},
        {500, 15, "etcdserver: corrupt cluster", OP_INFO, "corrupt-cluster"},
        {504, 4, "context deadline exceeded", OP_INFO, "server-timeout"},
        {408, 1, "context canceled", OP_INFO, "cancelled"},
        {503, 14, "transport is closing", OP_INFO, "unavailable"},
        {503, 14, "etcdserver: unhealthy cluster", OP_INFO, "unavailable"},
        {400, 3, "etcdserver: key is not provided", OP_FAIL, "bad-request"},
        {400, -1, "", OP_FAIL, "bad-request"},
        {501, 12, "unknown method", OP_FAIL, "unimplemented"},
        {404, -1, "", OP_FAIL, "not-found"},
        {405, -1, "", OP_FAIL, "method-not-allowed"},
        /* No reason to be certain: */
        {400, 9, "etcdserver: something new", OP_INFO, "unexpected-reply"},
        {404, 5, "etcdserver: something new", OP_INFO, "unexpected-reply"},
        {429, -1, "", OP_INFO, "unexpected-reply"},
        {500, -1, "", OP_INFO, "unexpected-reply"},
        {502, -1, "", OP_INFO, "unexpected-reply"},
        {503, -1, "", OP_INFO, "unexpected-reply"},
        {200, -1, "", OP_INFO, "unexpected-reply"},
        /* A certain message must be the whole message. */
        {500, 2, "etcdserver: too many requests, but one went through", OP_INFO,
         "unexpected-reply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct etcd_meaning meaning =
            etcd_error_meaning(cases[i].status, cases[i].code, cases[i].message);
        if (meaning.type != cases[i].type || strcmp(meaning.error, cases[i].error) != 0)
            fail_msg("%d %d '%s' was taken for %s %s", cases[i].status, cases[i].code,
                     cases[i].message, op_type_name(meaning.type), meaning.error);
    }
}

static void error_replies_complete_operations(void **state)
{
    (void)state;
    const struct http_step dropped = {
        HTTP_ACT_REPLY, 503,
        "{\"error\":\"etcdserver: request timed out\",\"message\":\"etcdserver: request timed "
        "out\",\"code\":14}"};
    const struct http_step busy = {HTTP_ACT_REPLY, 503,
                                   "{\"error\":\"etcdserver: too many requests\",\"code\":8}"};
    const struct http_step proxy = {HTTP_ACT_REPLY, 502, "<html>Bad Gateway</html>"};
    const struct http_step steps[] = {dropped, dropped, dropped, busy, proxy, proxy};
    struct world world;
    begin(&world, steps, 6, LONG_MS);
    const char *timed_out = "[:server-timeout \"etcdserver: request timed out\"]";
    assert_op(do_write(&world, 1, 2), OP_INFO, "[1 2]", timed_out);
    assert_op(do_cas(&world, 1, 2, 3), OP_INFO, "[1 [2 3]]", timed_out);
    assert_op(do_read(&world, 1), OP_FAIL, "[1 nil]", timed_out);
    assert_op(do_write(&world, 1, 2), OP_FAIL, NULL,
              "[:too-many-requests \"etcdserver: too many requests\"]");
    assert_op(do_write(&world, 1, 2), OP_INFO, NULL, "[:unexpected-reply \"HTTP status 502\"]");
    assert_op(do_read(&world, 1), OP_FAIL, NULL, "[:unexpected-reply \"HTTP status 502\"]");
    end(&world);
}

static void replies_that_are_none_are_indeterminate(void **state)
{
    (void)state;
    const char *const bodies[] = {"", "{}", "[]", "OK", ("{" HEADER), "nul", "{\"header\":1}"};
    struct http_step steps[14];
    for (size_t i = 0; i < 14; i++)
        steps[i] = (struct http_step){HTTP_ACT_REPLY, 200, bodies[i / 2]};
    struct world world;
    begin(&world, steps, 14, LONG_MS);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(do_cas(&world, 1, 2, 3).type, OP_INFO);
        assert_int_equal(do_read(&world, 1).type, OP_FAIL);
    }
    end(&world);
}

static void lost_connections_are_indeterminate_and_never_repeated(void **state)
{
    (void)state;
    const struct http_step ok = {HTTP_ACT_REPLY, 200, "{" HEADER "}"};
    const struct http_step closed = {HTTP_ACT_CLOSE, 0, NULL}, reset = {HTTP_ACT_RESET, 0, NULL};
    const struct http_step cut = {HTTP_ACT_CUT, 200, "{" HEADER "}"};
    const struct http_step steps[] = {ok, closed, ok, reset, ok, cut, closed, closed};
    struct world world;
    begin(&world, steps, 8, LONG_MS);
    const char *lost = "[:connection-lost \"the connection ended before the reply\"]";
    assert_int_equal(do_write(&world, 1, 0).type, OP_OK);
    assert_op(do_write(&world, 1, 1), OP_INFO, "[1 1]", lost); /* on a connection in use before */
    assert_int_equal(do_write(&world, 1, 2).type, OP_OK);
    assert_op(do_cas(&world, 1, 2, 3), OP_INFO, "[1 [2 3]]", lost);
    assert_int_equal(do_write(&world, 1, 4).type, OP_OK);
    assert_op(do_write(&world, 1, 5), OP_INFO, NULL,
              "[:connection-lost \"the connection ended within the reply\"]");
    assert_op(do_write(&world, 1, 6), OP_INFO, NULL, lost); /* on a fresh one */
    assert_op(do_read(&world, 1), OP_FAIL, "[1 nil]", lost);
    assert_int_equal(http_server_requests(world.server), 8);
    end(&world);
}

static void silence_is_indeterminate_and_ends_in_time(void **state)
{
    (void)state;
    const struct http_step silence = {HTTP_ACT_SILENCE, 0, NULL};
    const struct http_step steps[] = {silence, silence};
    struct world world;
    begin(&world, steps, 2, 200);
    int64_t started_ns = clock_monotonic_ns();
    assert_op(do_write(&world, 1, 2), OP_INFO, "[1 2]", "[:timeout \"no reply within 196 ms\"]");
    assert_op(do_read(&world, 1), OP_FAIL, "[1 nil]", "[:timeout \"no reply within 196 ms\"]");
    int64_t took_ns = clock_monotonic_ns() - started_ns;
    assert_true(took_ns >= 2 * 196 * NS_PER_MS && took_ns < 5 * NS_PER_SECOND);
    assert_int_equal(http_server_requests(world.server), 2);
    end(&world);
}

static void refused_connections_are_failures(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL, 0, LONG_MS);
    etcd_fixture_close(world.client);
    char port[16];
    snprintf(port, sizeof port, "%u", (unsigned)http_free_port());
    etcd_fixture_set(&world.fixture, "etcd.client-port", port);
    world.client = etcd_fixture_open(&world.fixture, 0);
    const char *refused = "[:connection-refused \"Connection refused\"]";
    assert_op(do_write(&world, 1, 2), OP_FAIL, "[1 2]", refused);
    assert_op(do_cas(&world, 1, 2, 3), OP_FAIL, "[1 [2 3]]", refused);
    assert_op(do_read(&world, 1), OP_FAIL, "[1 nil]", refused);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_survives_a_round_trip),
        cmocka_unit_test(damaged_base64_is_refused),
        cmocka_unit_test(requests_are_what_etcd_expects),
        cmocka_unit_test(serializable_reads_say_so),
        cmocka_unit_test(successes_are_read),
        cmocka_unit_test(strange_values_are_read_as_they_are),
        cmocka_unit_test(operations_it_does_not_know_send_nothing),
        cmocka_unit_test(every_error_reply_is_classified),
        cmocka_unit_test(error_replies_complete_operations),
        cmocka_unit_test(replies_that_are_none_are_indeterminate),
        cmocka_unit_test(lost_connections_are_indeterminate_and_never_repeated),
        cmocka_unit_test(silence_is_indeterminate_and_ends_in_time),
        cmocka_unit_test(refused_connections_are_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
