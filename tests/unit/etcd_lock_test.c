/* What the client of etcd's locks asks, what it takes answers for, and what failures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "tests/lib/etcd_fixture.h"
#include "tests/lib/http_server.h"
#include "tests/lib/test.h"
#include "workloads/systems/etcd.h"

#define HEADER "\"header\":{\"cluster_id\":\"1\",\"member_id\":\"7\",\"revision\":\"9\"}"
#define ERROR(message, code)                                                                       \
    "{\"error\":\"" message "\",\"message\":\"" message "\",\"code\":" code "}"
enum { QUICK_MS = 450 };

static const struct http_step granted = {HTTP_ACT_REPLY, 200,
                                         "{" HEADER ",\"ID\":\"77\",\"TTL\":\"5\"}"};
static const struct http_step locked = {HTTP_ACT_REPLY, 200,
                                        "{" HEADER ",\"key\":\"b3JkZWFsL2xvY2svMy9k\"}"};
static const struct http_step shown = {
    HTTP_ACT_REPLY, 200,
    "{" HEADER ",\"kvs\":[{\"key\":\"b3JkZWFsL2xvY2svMy9k\",\"create_revision\":\"8\","
    "\"mod_revision\":\"8\",\"version\":\"1\",\"lease\":\"77\"}],\"count\":\"1\"}"};
static const struct http_step done = {HTTP_ACT_REPLY, 200, "{" HEADER "}"};
static const struct http_step no_lease = {HTTP_ACT_REPLY, 404,
                                          ERROR("etcdserver: requested lease not found", "5")};
static const struct http_step no_leader = {HTTP_ACT_REPLY, 503,
                                           ERROR("etcdserver: leader changed", "14")};
static const struct http_step silent = {HTTP_ACT_SILENCE, 0, NULL};
static const struct http_step cut_off = {HTTP_ACT_CLOSE, 0, NULL};

struct world {
    struct http_server *server;
    struct etcd_fixture fixture;
    void *client;
    struct arena scratch;
};

static void begin(struct world *world, const struct http_step *steps, size_t count)
{
    struct err err = ERR_INIT;
    *world = (struct world){.server = http_server_start(NULL, 0, steps, count)};
    etcd_fixture_init(&world->fixture, 1, http_server_port(world->server), QUICK_MS * NS_PER_MS);
    history_f(&world->fixture.history, "acquire");
    history_f(&world->fixture.history, "release");
    world->client = calloc(1, etcd_lock_client.state_size);
    assert_int_equal(etcd_lock_client.open(world->client, &world->fixture.test, 0, &err), ERR_NONE);
}

static void end(struct world *world)
{
    etcd_lock_client.close(world->client);
    free(world->client);
    etcd_fixture_free(&world->fixture);
    http_server_stop(world->server);
    arena_free(&world->scratch);
}

static void assert_does(struct world *world, const char *f, enum op_type type, const char *value,
                        const char *error)
{
    struct buf text = BUF_INIT;
    struct op op = {.type = OP_INVOKE,
                    .f = history_f(&world->fixture.history, f),
                    .value = value_pair(&world->scratch, value_int(NULL, 3), value_nil())};
    etcd_lock_client.invoke(world->client, &world->fixture.test, &op, &world->scratch);
    assert_string_equal(op_type_name(op.type), op_type_name(type));
    value_print(op.value, &text);
    assert_string_equal(text.data, value);
    buf_clear(&text);
    value_print(op.error, &text);
    if (strncmp(text.data, error, strlen(error)) != 0)
        fail_msg("%s instead of %s", text.data, error);
    buf_free(&text);
}

static void assert_asked(struct world *world, size_t index, const char *path, const char *body)
{
    const char *request = http_server_request(world->server, index);
    if (strstr(request, path) == NULL || strstr(request, body) == NULL)
        fail_msg("request %zu is %s", index, request);
}

static void a_lock_is_taken_and_given_back(void **state)
{
    (void)state;
    const struct http_step steps[] = {granted, locked, shown, done, locked, shown, done, done};
    struct world world;
    begin(&world, steps, 8);
    assert_does(&world, "acquire", OP_OK, "[3 {:fence 8}]", "nil");
    assert_does(&world, "release", OP_OK, "[3 nil]", "nil");
    assert_does(&world, "acquire", OP_OK, "[3 {:fence 8}]", "nil");
    assert_does(&world, "release", OP_OK, "[3 nil]", "nil");
    assert_asked(&world, 0, "POST /v3/lease/grant ", "{\"TTL\":\"5\"}");
    assert_asked(&world, 1, "POST /v3/lock/lock ",
                 "{\"name\":\"b3JkZWFsL2xvY2svMw==\",\"lease\":\"77\"}");
    assert_asked(&world, 2, "POST /v3/kv/range ", "{\"key\":\"b3JkZWFsL2xvY2svMy9k\"}");
    assert_asked(&world, 3, "POST /v3/lock/unlock ", "{\"key\":\"b3JkZWFsL2xvY2svMy9k\"}");
    assert_asked(&world, 4, "POST /v3/lock/lock ", "\"lease\":\"77\""); /* the same session */
    end(&world);
}

/* Who could not begin has certainly not acquired. */
static void without_a_session_there_is_no_lock(void **state)
{
    (void)state;
    const struct http_step steps[] = {no_leader, silent};
    struct world world;
    begin(&world, steps, 2);
    assert_does(&world, "acquire", OP_FAIL, "[3 nil]", "[:leader-changed");
    assert_does(&world, "acquire", OP_FAIL, "[3 nil]", "[:timeout");
    end(&world);
}

static void a_lost_lease_is_certain_and_another_is_asked_for(void **state)
{
    (void)state;
    const struct http_step steps[] = {granted, no_lease, granted, locked, shown};
    struct world world;
    begin(&world, steps, 5);
    assert_does(&world, "acquire", OP_FAIL, "[3 nil]", "[:lease-not-found");
    assert_does(&world, "acquire", OP_OK, "[3 {:fence 8}]", "nil");
    end(&world);
}

/* Only a lease that is known to be gone makes it certain that the lock is not held. */
static void a_lock_that_was_not_had_in_time_is_given_up(void **state)
{
    (void)state;
    const struct http_step steps[] = {granted, silent,  done,      granted, silent,    no_lease,
                                      granted, silent,  no_leader, granted, cut_off,   done,
                                      granted, cut_off, cut_off,   granted, no_leader, done};
    struct world world;
    begin(&world, steps, 18);
    assert_does(&world, "acquire", OP_FAIL, "[3 nil]", ":busy");
    assert_does(&world, "acquire", OP_FAIL, "[3 nil]", ":busy");
    assert_does(&world, "acquire", OP_INFO, "[3 nil]", "[:timeout");
    assert_does(&world, "acquire", OP_FAIL, "[3 nil]", ":withdrawn");
    assert_does(&world, "acquire", OP_INFO, "[3 nil]", "[:connection-lost");
    assert_does(&world, "acquire", OP_FAIL, "[3 nil]", ":withdrawn");
    assert_asked(&world, 2, "POST /v3/lease/revoke ", "{\"ID\":\"77\"}");
    end(&world);
}

/* The lease's end releases it, whatever became of the request: at some later time. */
static void a_release_never_fails(void **state)
{
    (void)state;
    static const struct http_step answers[] = {
        {HTTP_ACT_REPLY, 503, ERROR("etcdserver: leader changed", "14")},
        {HTTP_ACT_REPLY, 429, ERROR("etcdserver: too many requests", "8")},
        {HTTP_ACT_CLOSE, 0, NULL},
        {HTTP_ACT_SILENCE, 0, NULL},
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const struct http_step steps[] = {granted, locked, shown, answers[i]};
        struct world world;
        begin(&world, steps, 4);
        assert_does(&world, "acquire", OP_OK, "[3 {:fence 8}]", "nil");
        assert_does(&world, "release", OP_INFO, "[3 nil]", "[:");
        assert_does(&world, "release", OP_INFO, "[3 nil]", ":not-held");
        end(&world);
    }
}

/* Two may be told at one revision that they hold a lock: that of the answer is no fence. */
static void a_lock_without_its_key_is_indeterminate(void **state)
{
    (void)state;
    static const struct http_step answers[] = {
        {HTTP_ACT_REPLY, 200, "{" HEADER "}"}, /* the lease ran out, and the key with it */
        {HTTP_ACT_REPLY, 503, ERROR("etcdserver: leader changed", "14")},
        {HTTP_ACT_CLOSE, 0, NULL},
        {HTTP_ACT_SILENCE, 0, NULL},
    };
    static const char *const errors[] = {"[:lock-lost", "[:leader-changed", "[:", "[:timeout"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const struct http_step steps[] = {granted, locked, answers[i]};
        struct world world;
        begin(&world, steps, 3);
        assert_does(&world, "acquire", OP_INFO, "[3 nil]", errors[i]);
        end(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_is_taken_and_given_back),
        cmocka_unit_test(without_a_session_there_is_no_lock),
        cmocka_unit_test(a_lost_lease_is_certain_and_another_is_asked_for),
        cmocka_unit_test(a_lock_that_was_not_had_in_time_is_given_up),
        cmocka_unit_test(a_release_never_fails),
        cmocka_unit_test(a_lock_without_its_key_is_indeterminate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
