/* Transactions on etcd: what the client sends, what it makes of replies, and what of failures. */
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/histories/edn.h"
#include "tests/lib/etcd_fixture.h"
#include "tests/lib/http_server.h"
#include "tests/lib/test.h"
#include "workloads/systems/etcd.h"

#define HEADER "\"header\":{\"cluster_id\":\"1\",\"member_id\":\"7\",\"revision\":\"9\"}"
#define REPLY(rest)                                                                                \
    {                                                                                              \
        HTTP_ACT_REPLY, 200, "{" HEADER rest "}"                                                   \
    }
#define NOTHING "{\"response_range\":{" HEADER "}}"
#define HELD(revision, base64)                                                                     \
    "{\"response_range\":{" HEADER ",\"kvs\":[{\"key\":\"eA==\",\"mod_revision\":\"" revision      \
    "\",\"value\":\"" base64 "\"}],\"count\":\"1\"}}"
#define PUT_DONE "{\"response_put\":{" HEADER "}}"
#define KEY_L3 "b3JkZWFsL2wvMw==" /* ordeal/l/3 */
#define KEY_L4 "b3JkZWFsL2wvNA=="
#define KEY_W3 "b3JkZWFsL3cvMw==" /* ordeal/w/3 */
#define KEY_W4 "b3JkZWFsL3cvNA=="
enum { LONG_MS = 10000 };

struct world {
    struct http_server *server;
    struct etcd_fixture fixture;
    const struct client *client;
    void *state;
    uint16_t txn_f;
    struct arena scratch;
};

static void open_client(struct world *world)
{
    struct err err = ERR_INIT;
    world->state = calloc(1, world->client->state_size);
    assert_non_null(world->state);
    assert_ok(world->client->open(world->state, &world->fixture.test, 0, &err));
}

static void close_client(struct world *world)
{
    world->client->close(world->state);
    free(world->state);
}

static void begin(struct world *world, const struct client *client, const struct http_step *steps,
                  size_t count, int64_t timeout_ms)
{
    *world = (struct world){.server = http_server_start(NULL, 0, steps, count), .client = client};
    etcd_fixture_init(&world->fixture, 1, http_server_port(world->server), timeout_ms * NS_PER_MS);
    world->txn_f = history_f(&world->fixture.history, "txn");
    open_client(world);
}

static void end(struct world *world)
{
    close_client(world);
    etcd_fixture_free(&world->fixture);
    http_server_stop(world->server);
    arena_free(&world->scratch);
}

static struct op do_txn(struct world *world, const char *edn)
{
    struct err err = ERR_INIT;
    struct op op = {.type = OP_INVOKE, .f = world->txn_f};
    assert_ok(edn_parse_all(&world->scratch, edn, strlen(edn), &op.value, &err));
    world->client->invoke(world->state, &world->fixture.test, &op, &world->scratch);
    return op;
}

static void assert_op(struct op op, enum op_type type, const char *value, const char *error)
{
    struct buf text = BUF_INIT;
    value_print(op.error, &text);
    assert_string_equal(text.data, error);
    buf_clear(&text);
    value_print(op.value, &text);
    if (value != NULL)
        assert_string_equal(text.data, value);
    assert_string_equal(op_type_name(op.type), op_type_name(type));
    buf_free(&text);
}

/* ---- Lists ---- */

static void lists_are_read_at_once(void **state)
{
    (void)state;
    const struct http_step steps[] = {
        REPLY(",\"responses\":[" HELD("5", "MSAyIDM=") "," NOTHING "]")}; /* 1 2 3 */
    struct world world;
    begin(&world, &etcd_append_client, steps, 1, LONG_MS);
    assert_op(do_txn(&world, "[[:r 3 nil] [:r 4 nil] [:r 3 nil]]"), OP_OK,
              "[[:r 3 [1 2 3]] [:r 4 []] [:r 3 [1 2 3]]]", "nil");
    const char *request = http_server_request(world.server, 0);
    assert_contains(request, "POST /v3/kv/txn HTTP/1.1\r\n");
    assert_contains(request, "\r\n\r\n{\"success\":[{\"requestRange\":{\"key\":\"" KEY_L3
                             "\"}},{\"requestRange\":{\"key\":\"" KEY_L4 "\"}}]}");
    assert_int_equal(http_server_requests(world.server), 1);
    end(&world);
}

static void appends_are_guarded_by_what_was_read(void **state)
{
    (void)state;
    const struct http_step steps[] = {
        REPLY(",\"responses\":[" HELD("5", "MSAyIDM=") "," NOTHING "]"),
        REPLY(",\"succeeded\":true,\"responses\":[" PUT_DONE "]")};
    struct world world;
    begin(&world, &etcd_append_client, steps, 2, LONG_MS);
    assert_op(do_txn(&world, "[[:append 3 4] [:r 4 nil] [:r 3 nil] [:append 3 5]]"), OP_OK,
              "[[:append 3 4] [:r 4 []] [:r 3 [1 2 3 4]] [:append 3 5]]", "nil");
    /* "1 2 3 4 5" once, and a key that was read only is guarded, too: it must still be absent. */
    assert_contains(
        http_server_request(world.server, 1),
        "\r\n\r\n{\"compare\":[{\"key\":\"" KEY_L3
        "\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"modRevision\":\"5\"},{\"key\":\"" KEY_L4
        "\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"modRevision\":\"0\"}],"
        "\"success\":[{\"requestPut\":{\"key\":\"" KEY_L3 "\",\"value\":\"MSAyIDMgNCA1\"}}]}");
    end(&world);
}

static void names_may_be_written_as_json_has_them(void **state)
{
    (void)state;
    const struct http_step steps[] = {
        REPLY(",\"responses\":[{\"responseRange\":{" HEADER
              ",\"kvs\":[{\"modRevision\":\"7\",\"value\":\"LTE=\"}]}}]"), /* -1 */
        REPLY(",\"succeeded\":true")};
    struct world world;
    begin(&world, &etcd_append_client, steps, 2, LONG_MS);
    assert_op(do_txn(&world, "[[:append 3 2] [:r 3 nil]]"), OP_OK, "[[:append 3 2] [:r 3 [-1 2]]]",
              "nil");
    assert_contains(http_server_request(world.server, 1), "\"modRevision\":\"7\"");
    end(&world);
}

static void a_guard_that_does_not_hold_is_a_failure(void **state)
{
    (void)state;
    const struct http_step steps[] = {REPLY(",\"responses\":[" NOTHING "]"), REPLY(""),
                                      REPLY(",\"responses\":[" NOTHING "]"),
                                      REPLY(",\"succeeded\":false")};
    struct world world;
    begin(&world, &etcd_append_client, steps, 4, LONG_MS);
    assert_op(do_txn(&world, "[[:append 3 1]]"), OP_FAIL, "[[:append 3 1]]", ":conflict");
    assert_op(do_txn(&world, "[[:append 3 1]]"), OP_FAIL, "[[:append 3 1]]", ":conflict");
    end(&world);
}

static void what_others_wrote_is_for_the_checker(void **state)
{
    (void)state;
    const struct http_step steps[] = {
        REPLY(",\"responses\":[" HELD("5", "ICAwMQ==") "]"), /* "  01" */
        REPLY(",\"responses\":[" HELD("5", "eCAx") "]"),     /* "x 1" */
        REPLY(",\"succeeded\":true"), REPLY(",\"responses\":[" HELD("5", "") "]")};
    struct world world;
    begin(&world, &etcd_append_client, steps, 4, LONG_MS);
    assert_op(do_txn(&world, "[[:r 3 nil]]"), OP_OK, "[[:r 3 [\"\" \"\" \"01\"]]]", "nil");
    assert_op(do_txn(&world, "[[:append 3 2] [:r 3 nil]]"), OP_OK,
              "[[:append 3 2] [:r 3 [\"x\" 1 2]]]", "nil");
    assert_contains(http_server_request(world.server, 2), "\"value\":\"eCAxIDI=\""); /* x 1 2 */
    assert_op(do_txn(&world, "[[:r 3 nil]]"), OP_OK, "[[:r 3 []]]", "nil");
    end(&world);
}

static void replies_without_the_reads_tell_nothing(void **state)
{
    (void)state;
    const struct http_step steps[] = {REPLY(""), REPLY(",\"responses\":[" PUT_DONE "]"),
                                      REPLY(",\"responses\":[" HELD("5", "?") "]"),
                                      REPLY(",\"responses\":[" HELD("0", "") "]"),
                                      REPLY(",\"succeeded\":true,\"responses\":[]")};
    struct world world;
    begin(&world, &etcd_append_client, steps, 5, LONG_MS);
    const char *bad = "[:bad-reply \"a read is missing, or is none\"]";
    for (int i = 0; i < 4; i++)
        assert_op(do_txn(&world, "[[:r 3 nil] [:append 3 1]]"), OP_FAIL, NULL, bad);
    /* Where the same request writes, it may have. */
    world.client = &etcd_txn_register_client;
    close_client(&world);
    open_client(&world);
    assert_op(do_txn(&world, "[[:r 3 nil] [:w 3 1]]"), OP_INFO, NULL, bad);
    end(&world);
}

/* ---- Registers ---- */

static void registers_take_one_request(void **state)
{
    (void)state;
    const struct http_step steps[] = {REPLY(",\"succeeded\":true,\"responses\":[" HELD(
                                          "5", "MQ==") "," PUT_DONE "," PUT_DONE "]"),
                                      REPLY(",\"succeeded\":true,\"responses\":[" PUT_DONE "]"),
                                      REPLY(",\"succeeded\":true,\"responses\":[" NOTHING "]")};
    struct world world;
    begin(&world, &etcd_txn_register_client, steps, 3, LONG_MS);
    /* What it reads before it writes comes from etcd; what it wrote itself is known. */
    assert_op(do_txn(&world, "[[:r 3 nil] [:w 3 2] [:r 3 nil] [:w 4 1] [:r 4 nil] [:w 3 3]]"),
              OP_OK, "[[:r 3 1] [:w 3 2] [:r 3 2] [:w 4 1] [:r 4 1] [:w 3 3]]", "nil");
    assert_contains(http_server_request(world.server, 0),
                    "\r\n\r\n{\"success\":[{\"requestRange\":{\"key\":\"" KEY_W3
                    "\"}},{\"requestPut\":{\"key\":\"" KEY_W3 "\",\"value\":\"Mw==\"}},"
                    "{\"requestPut\":{\"key\":\"" KEY_W4 "\",\"value\":\"MQ==\"}}]}");
    assert_op(do_txn(&world, "[[:w 3 4]]"), OP_OK, "[[:w 3 4]]", "nil");
    assert_contains(http_server_request(world.server, 1),
                    "\r\n\r\n{\"success\":[{\"requestPut\":{\"key\":\"" KEY_W3
                    "\",\"value\":\"NA==\"}}]}");
    assert_op(do_txn(&world, "[[:r 4 nil]]"), OP_OK, "[[:r 4 nil]]", "nil");
    end(&world);
}

static void transactions_of_groups_are_the_same(void **state)
{
    (void)state;
    const struct http_step steps[] = {
        REPLY(",\"succeeded\":true,\"responses\":[" HELD("5", "MQ==") "," PUT_DONE "]")};
    struct world world;
    begin(&world, &etcd_txn_register_client, steps, 1, LONG_MS);
    assert_op(do_txn(&world, "[1 [[:r 3 nil] [:w 4 2]]]"), OP_OK, "[1 [[:r 3 1] [:w 4 2]]]", "nil");
    assert_contains(http_server_request(world.server, 0), "{\"requestRange\":{\"key\":\"" KEY_W3);
    assert_op(do_txn(&world, "[1 2]"), OP_FAIL, "[1 2]",
              "[:unsupported \"etcd takes txn [[:r k nil] [:w k v] ...] of integers\"]");
    end(&world);
}

/* ---- Both ---- */

static void serializable_reads_say_so(void **state)
{
    (void)state;
    const struct http_step steps[] = {REPLY(",\"responses\":[" NOTHING "]")};
    struct world world;
    begin(&world, &etcd_append_client, steps, 1, LONG_MS);
    close_client(&world);
    etcd_fixture_set(&world.fixture, "etcd.reads", "serializable");
    open_client(&world);
    assert_op(do_txn(&world, "[[:r 3 nil]]"), OP_OK, "[[:r 3 []]]", "nil");
    assert_contains(http_server_request(world.server, 0),
                    "{\"key\":\"" KEY_L3 "\",\"serializable\":true}");
    end(&world);
}

static void lost_reads_fail_and_lost_writes_are_open(void **state)
{
    (void)state;
    const struct http_step closed = {HTTP_ACT_CLOSE, 0, NULL};
    const struct http_step read = REPLY(",\"responses\":[" NOTHING "]");
    const struct http_step timed_out = {
        HTTP_ACT_REPLY, 503, "{\"error\":\"etcdserver: request timed out\",\"code\":14}"};
    const struct http_step steps[] = {closed, read, closed, read, timed_out, closed, timed_out};
    struct world world;
    begin(&world, &etcd_append_client, steps, 7, LONG_MS);
    const char *lost = "[:connection-lost \"the connection ended before the reply\"]";
    const char *late = "[:server-timeout \"etcdserver: request timed out\"]";
    assert_op(do_txn(&world, "[[:append 3 1]]"), OP_FAIL, "[[:append 3 1]]", lost);
    assert_op(do_txn(&world, "[[:append 3 1] [:r 3 nil]]"), OP_INFO, "[[:append 3 1] [:r 3 nil]]",
              lost);
    assert_op(do_txn(&world, "[[:append 3 1]]"), OP_INFO, "[[:append 3 1]]", late);
    close_client(&world);
    world.client = &etcd_txn_register_client;
    open_client(&world);
    assert_op(do_txn(&world, "[[:w 3 1]]"), OP_INFO, "[[:w 3 1]]", lost);
    assert_op(do_txn(&world, "[[:r 3 nil]]"), OP_FAIL, "[[:r 3 nil]]", late);
    assert_int_equal(http_server_requests(world.server), 7);
    end(&world);
}

/* Two requests share the time of one operation. */
static void silence_ends_in_time(void **state)
{
    (void)state;
    const struct http_step silence = {HTTP_ACT_SILENCE, 0, NULL};
    const struct http_step steps[] = {REPLY(",\"responses\":[" NOTHING "]"), silence};
    struct world world;
    begin(&world, &etcd_append_client, steps, 2, 400);
    int64_t started_ns = clock_monotonic_ns();
    assert_op(do_txn(&world, "[[:append 3 1]]"), OP_INFO, NULL,
              "[:timeout \"no reply within 196 ms\"]");
    assert_true(clock_monotonic_ns() - started_ns >= 196 * NS_PER_MS);
    end(&world);
}

static void what_is_no_transaction_sends_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {"nil",
                                      "3",
                                      "[]",
                                      "[3]",
                                      "[[:r 3]]",
                                      "[[:r :x nil]]",
                                      "[[:w 3 1]]",
                                      "[[:append 3 :x]]",
                                      "[[:r 3 nil] [:append 3 nil]]"};
    struct world world;
    begin(&world, &etcd_append_client, NULL, 0, LONG_MS);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_op(do_txn(&world, bad[i]), OP_FAIL, bad[i],
                  "[:unsupported \"etcd takes txn [[:r k nil] [:append k v] ...] of integers\"]");
    assert_int_equal(http_server_connections(world.server), 0);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read_at_once),
        cmocka_unit_test(appends_are_guarded_by_what_was_read),
        cmocka_unit_test(names_may_be_written_as_json_has_them),
        cmocka_unit_test(a_guard_that_does_not_hold_is_a_failure),
        cmocka_unit_test(what_others_wrote_is_for_the_checker),
        cmocka_unit_test(replies_without_the_reads_tell_nothing),
        cmocka_unit_test(registers_take_one_request),
        cmocka_unit_test(transactions_of_groups_are_the_same),
        cmocka_unit_test(serializable_reads_say_so),
        cmocka_unit_test(lost_reads_fail_and_lost_writes_are_open),
        cmocka_unit_test(silence_ends_in_time),
        cmocka_unit_test(what_is_no_transaction_sends_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
