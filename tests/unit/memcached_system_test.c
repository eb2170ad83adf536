/* The system memcached: workers against a server that answers as told, through the real client
 * library: what it takes for failed and for not known. */
#include "workloads/systems/systems.h"

#ifndef ORDEAL_HAVE_LIBMEMCACHED
#include "tests/lib/test.h"
static void the_library_is_missing(void **state)
{
    (void)state;
    skip();
}
int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_library_is_missing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "tests/lib/line_server.h"
#include "tests/lib/test.h"
#include "workloads/systems/memcached/memcached_system.h"

static const char *const bodied[] = {"set ", "add ", "cas ", NULL};

/* ---- A test in which a worker can live ---- */

struct world {
    struct plan plan;
    struct node node;
    struct history history;
    struct test test;
    struct arena scratch;
    const struct client *client;
    void *state;
    struct line_server server;
};

/* Of operations: long, for who is to be answered on a busy machine, but where nobody answers. */
static int64_t timeout_ms = 10000;

static void world_begin(struct world *world, const struct client *client,
                        const struct line_answer *script)
{
    static const char *const names[] = {"read", "write", "cas", "add", "generate"};
    struct err err = ERR_INIT;
    char port[16];
    *world = (struct world){
        .plan = {.options = {.values = json_object()}, .op_timeout_ns = timeout_ms * NS_PER_MS},
        .node = {.index = 0, .name = "n1", .address = "127.0.0.1"}};
    line_server_start(&world->server, script, bodied);
    snprintf(port, sizeof port, "%u", (unsigned)world->server.port);
    json_set_text(world->plan.options.values, "memcached.client-port", port);
    option_defaults(&world->plan.options, "memcached", memcached_options);
    history_init(&world->history);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        history_f(&world->history, names[i]);
    world->test = (struct test){
        .plan = &world->plan, .nodes = &world->node, .node_count = 1, .history = &world->history};
    world->client = client;
    world->state = calloc(1, client->state_size);
    assert_ok(client->open(world->state, &world->test, 0, &err));
}

static void world_end(struct world *world)
{
    world->client->close(world->state);
    free(world->state);
    line_server_stop(&world->server);
    json_free(world->plan.options.values);
    history_free(&world->history);
    arena_free(&world->scratch);
}

static struct op ask(struct world *world, const char *f, int64_t key, struct value argument)
{
    struct op op = {.f = (uint16_t)history_f(&world->history, f),
                    .type = OP_INVOKE,
                    .value = value_pair(&world->scratch, value_int(NULL, key), argument)};
    world->client->invoke(world->state, &world->test, &op, &world->scratch);
    return op;
}

/* What would change something, and nothing else: a quit may be heard at any time after a connection
 * was given up, so that no count may depend on it. */
static int changes(struct world *world)
{
    static const char *const words[] = {"set ", "add ", "cas ", "incr ", "decr "};
    int count = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        count += line_server_asked(&world->server, words[i]);
    return count;
}

static void expect(struct op op, enum op_type type, const char *error)
{
    struct value value = value_is_pair(op.error) ? value_at(op.error, 0) : op.error;
    if (op.type != type || strcmp(value_as_text(value), error) != 0) {
        struct buf text = BUF_INIT;
        value_print(op.error, &text);
        fail_msg("outcome %d with %s, not %d with %s", (int)op.type, buf_text(&text), (int)type,
                 error);
    }
}

/* ---- Tests ---- */

static void writes_are_sorted_soundly(void **state)
{
    (void)state;
    timeout_ms = 500;
    static const struct {
        const char *answer;
        enum op_type type;
        const char *error;
        int64_t within_ms;
    } cases[] = {
        {"STORED\r\n", OP_OK, "", 200},
        {"SERVER_ERROR out of memory storing object\r\n", OP_INFO, "out-of-memory", 200},
        {"-", OP_INFO, "connection-lost", 200},
        {"", OP_INFO, "timeout", 480},
        {"nonsense\r\n", OP_INFO, "error-reply", 480},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct line_answer script[] = {
            {"get", "END\r\n"}, {"set r:3", cases[i].answer}, {NULL, NULL}};
        struct world world;
        world_begin(&world, &memcached_register_client, script);
        int64_t began_ns = clock_monotonic_ns();
        struct op op = ask(&world, "write", 3, value_int(NULL, 9));
        int64_t took_ms = (clock_monotonic_ns() - began_ns) / NS_PER_MS;
        if (op.type != cases[i].type)
            expect(op, cases[i].type, cases[i].error);
        if (cases[i].type == OP_OK || i < 4)
            expect(op, cases[i].type, cases[i].error);
        assert_true(took_ms <= cases[i].within_ms);
        assert_int_equal(changes(&world), 1); /* nothing is sent again */
        world_end(&world);
    }
    timeout_ms = 10000;
}

static void what_was_never_sent_has_failed(void **state)
{
    (void)state;
    timeout_ms = 500;
    static const struct line_answer closes[] = {{"get", "-"}, {NULL, NULL}};
    static const struct line_answer hangs[] = {{"get", ""}, {NULL, NULL}};
    struct world world;
    for (int i = 0; i < 2; i++) {
        world_begin(&world, &memcached_register_client, i == 0 ? closes : hangs);
        assert_int_equal(ask(&world, "write", 3, value_int(NULL, 9)).type, OP_FAIL);
        assert_int_equal(ask(&world, "read", 3, value_nil()).type, OP_FAIL);
        assert_int_equal(changes(&world), 0);
        world_end(&world);
    }
    world_begin(&world, &memcached_register_client, closes);
    line_server_stop(&world.server);
    assert_int_equal(ask(&world, "write", 3, value_int(NULL, 9)).type, OP_FAIL);
    line_server_start(&world.server, closes, bodied); /* to be ended */
    world_end(&world);
    timeout_ms = 10000;
}

static void reads_and_cas_go_by_what_is_there(void **state)
{
    (void)state;
    static const struct line_answer script[] = {{"gets", "VALUE r:3 0 1 77\r\n5\r\nEND\r\n"},
                                                {"gets", "END\r\n"},
                                                {"gets", "VALUE r:3 0 1 78\r\n5\r\nEND\r\n"},
                                                {"gets", "VALUE r:3 0 1 78\r\n5\r\nEND\r\n"},
                                                {"gets", "VALUE r:3 0 1 78\r\n5\r\nEND\r\n"},
                                                {"get", "END\r\n"},
                                                {"cas r:3 0 0 1 78", "STORED\r\n"},
                                                {"cas r:3 0 0 1 78", "EXISTS\r\n"},
                                                {NULL, NULL}};
    struct world world;
    world_begin(&world, &memcached_register_client, script);
    /* The library asks by gets where unique numbers are wanted, so that the first look is the
     * probe's. */
    struct op op = ask(&world, "read", 3, value_nil());
    expect(op, OP_OK, "");
    assert_true(value_is_nil(value_at(op.value, 1)));
    struct value change = value_pair(NULL, value_int(NULL, 5), value_int(NULL, 6));
    expect(ask(&world, "cas", 3, change), OP_OK, "");
    expect(ask(&world, "cas", 3, change), OP_FAIL, "cas-mismatch");
    change = value_pair(NULL, value_int(NULL, 4), value_int(NULL, 6));
    expect(ask(&world, "cas", 3, change), OP_FAIL, "cas-mismatch");
    assert_int_equal(world.server.connections, 1);
    world_end(&world);
}

static void counters_begin_with_nothing(void **state)
{
    (void)state;
    static const struct line_answer script[] = {
        {"get", "END\r\n"},        {"incr c:1 4", "NOT_FOUND\r\n"},
        {"add c:1", "STORED\r\n"}, {"incr c:1 4", "4\r\n"},
        {"incr c:1 4", "-"},       {NULL, NULL}};
    struct world world;
    world_begin(&world, &memcached_counter_client, script);
    expect(ask(&world, "add", 1, value_int(NULL, 4)), OP_OK, "");
    assert_int_equal(changes(&world), 3);
    expect(ask(&world, "add", 1, value_int(NULL, 4)), OP_INFO, "connection-lost");
    expect(ask(&world, "add", 1, value_int(NULL, -4)), OP_FAIL, "unsupported");
    struct op op = ask(&world, "read", 1, value_nil());
    expect(op, OP_OK, "");
    assert_int_equal(value_as_int(value_at(op.value, 1)), 0);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_are_sorted_soundly),
        cmocka_unit_test(what_was_never_sent_has_failed),
        cmocka_unit_test(reads_and_cas_go_by_what_is_there),
        cmocka_unit_test(counters_begin_with_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
