/* The system nats: what JetStream's answers mean, configurations, and workers against a server that
 * answers as told, through the real client library. */
#include "workloads/systems/systems.h"

#ifndef ORDEAL_HAVE_LIBNATS
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
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "tests/lib/test.h"
#include "workloads/systems/base64.h"
#include "workloads/systems/nats/nats_system.h"

/* ---- What answers mean ---- */

static void errors_are_sorted_soundly(void **state)
{
    (void)state;
    static const struct {
        int64_t err_code;
        enum op_type type;
    } cases[] = {
        {0, OP_OK},
        {10054, OP_FAIL},
        {10071, OP_FAIL},
        {10076, OP_FAIL},
        /* Temporarily unavailable, resources, a store that failed: it may have been proposed. */
        {10008, OP_INFO},
        {10023, OP_INFO},
        {10077, OP_INFO},
        {10074, OP_INFO},
        {-1, OP_INFO},
        {12345, OP_INFO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(nats_error_meaning(cases[i].err_code).type, cases[i].type);
}

/* ---- A server that answers as told ---- */

/* By the subject of what is published: the answer's JSON; "503": nobody listens; "-": the
 * connection is closed; "": nothing. */
struct line {
    const char *subject, *answer;
};
struct fake {
    int listener;
    uint16_t port;
    const struct line *script; /* NULL subject at the end */
    pthread_t thread;
    atomic_bool over;
    atomic_int published, connections;
    int repeats; /* times that `script` advances: the n-th publication takes the n-th line */
};

static bool answer(struct fake *fake, int fd, const char *subject, const char *inbox)
{
    const struct line *line = fake->script;
    int number = fake->published++;
    if (fake->repeats > 0)
        line += number < fake->repeats ? number : fake->repeats - 1;
    else
        while (line->subject != NULL && strncmp(subject, line->subject, strlen(line->subject)) != 0)
            line++;
    if (line->subject == NULL || strcmp(line->answer, "-") == 0)
        return false;
    if (*line->answer == '\0')
        return true;
    if (strcmp(line->answer, "503") == 0)
        dprintf(fd, "HMSG %s 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", inbox);
    else
        dprintf(fd, "MSG %s 1 %zu\r\n%s\r\n", inbox, strlen(line->answer), line->answer);
    return true;
}

static void talk(struct fake *fake, int fd)
{
    FILE *in = fdopen(fd, "r");
    char line[4096], subject[256], inbox[256];
    int size;
    dprintf(fd, "INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"proto\":1,\"headers\":true,"
                "\"max_payload\":1048576}\r\n");
    while (fgets(line, sizeof line, in) != NULL) {
        if (strncmp(line, "PING", 4) == 0)
            dprintf(fd, "PONG\r\n");
        if (sscanf(line, "PUB %255s %255s %d", subject, inbox, &size) != 3)
            continue;
        if (fgets(line, sizeof line, in) == NULL || !answer(fake, fd, subject, inbox))
            break;
    }
    fclose(in);
}

static void *serve(void *state)
{
    struct fake *fake = state;
    for (;;) {
        int fd = accept(fake->listener, NULL, NULL);
        if (fd < 0 || fake->over) {
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        fake->connections++;
        talk(fake, fd);
    }
}

static void fake_start(struct fake *fake, const struct line *script, int repeats)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    *fake = (struct fake){.script = script, .repeats = repeats};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fake->listener, 8), 0);
    getsockname(fake->listener, (struct sockaddr *)&at, &size);
    fake->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&fake->thread, NULL, serve, fake), 0);
}

static void fake_stop(struct fake *fake)
{
    fake->over = true;
    shutdown(fake->listener, SHUT_RDWR);
    pthread_join(fake->thread, NULL);
    close(fake->listener);
}

/* ---- A test in which a worker can live ---- */

struct world {
    struct plan plan;
    struct node nodes[3];
    struct history history;
    struct test test;
    struct arena scratch;
    const struct client *client;
    void *state;
    struct fake fake;
};

static void world_begin(struct world *world, const struct client *client, const struct line *script,
                        int repeats)
{
    static const char *const names[] = {"read", "add", "append", "poll", "next", "generate"};
    struct err err = ERR_INIT;
    char port[16];
    *world = (struct world){
        .plan = {.options = {.values = json_object()}, .op_timeout_ns = 300 * NS_PER_MS},
        .nodes = {{.index = 0, .name = "n1", .address = "127.0.0.1"},
                  {.index = 1, .name = "n2", .address = "127.0.0.2"},
                  {.index = 2, .name = "n3", .address = "127.0.0.3"}}};
    fake_start(&world->fake, script, repeats);
    snprintf(port, sizeof port, "%u", (unsigned)world->fake.port);
    json_set_text(world->plan.options.values, "nats.client-port", port);
    json_set_text(world->plan.options.values, "log.records", "2");
    option_defaults(&world->plan.options, "nats", nats_options);
    history_init(&world->history);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        history_f(&world->history, names[i]);
    world->test = (struct test){
        .plan = &world->plan, .nodes = world->nodes, .node_count = 3, .history = &world->history};
    world->client = client;
    world->state = calloc(1, client->state_size);
    assert_ok(client->open(world->state, &world->test, 0, &err));
}

static void world_end(struct world *world)
{
    world->client->close(world->state);
    free(world->state);
    fake_stop(&world->fake);
    json_free(world->plan.options.values);
    history_free(&world->history);
    arena_free(&world->scratch);
}

static struct op ask(struct world *world, const char *f, struct value value)
{
    struct op op = {
        .f = (uint16_t)history_f(&world->history, f), .type = OP_INVOKE, .value = value};
    world->client->invoke(world->state, &world->test, &op, &world->scratch);
    return op;
}

static struct value pair(int64_t first, struct value second)
{
    return value_pair(NULL, value_int(NULL, first), second);
}

static struct value map(struct world *world, const char *name, int64_t number)
{
    struct value items[] = {value_keyword(&world->scratch, "log"), value_int(NULL, 1),
                            value_keyword(&world->scratch, name), value_int(NULL, number)};
    return value_items(&world->scratch, VALUE_MAP, items, 4);
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

/* ---- Publishing ---- */

static void acknowledgements_are_sorted_soundly(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum op_type type;
        const char *error;
    } cases[] = {
        {"{\"stream\":\"ORDEAL\",\"seq\":7}", OP_OK, ""},
        {"503", OP_FAIL, "no-responders"},
        {"{\"error\":{\"code\":400,\"err_code\":10054,\"description\":\"too large\"},"
         "\"stream\":\"ORDEAL\",\"seq\":0}",
         OP_FAIL, "too-large"},
        {"{\"error\":{\"code\":503,\"err_code\":10008,\"description\":\"unavailable\"}}", OP_INFO,
         "error-reply"},
        {"-", OP_INFO, "connection-lost"},
        {"", OP_INFO, "timeout"},
        {"nonsense", OP_INFO, "bad-reply"},
        {"{\"stream\":\"OTHER\",\"seq\":7}", OP_INFO, "bad-reply"},
        {"{\"stream\":\"ORDEAL\"}", OP_INFO, "bad-reply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct line script[] = {{"ordeal.s.3", cases[i].answer}, {NULL, NULL}};
        struct world world;
        world_begin(&world, &nats_set_client, script, 0);
        expect(ask(&world, "add", pair(3, value_int(NULL, 9))), cases[i].type, cases[i].error);
        assert_int_equal(world.fake.published, 1); /* nothing is sent again */
        world_end(&world);
    }
}

static void who_cannot_connect_has_sent_nothing(void **state)
{
    (void)state;
    static const struct line script[] = {{NULL, NULL}};
    struct world world;
    world_begin(&world, &nats_set_client, script, 0);
    fake_stop(&world.fake);
    expect(ask(&world, "add", pair(3, value_int(NULL, 9))), OP_FAIL, "no-connection");
    fake_start(&world.fake, script, 0); /* to be ended */
    world_end(&world);
}

static void a_lost_connection_is_made_again(void **state)
{
    (void)state;
    static const struct line script[] = {{"ordeal.", "-"},
                                         {"ordeal.", "{\"stream\":\"ORDEAL\",\"seq\":8}"}};
    struct world world;
    world_begin(&world, &nats_ids_client, script, 2);
    expect(ask(&world, "generate", value_nil()), OP_INFO, "connection-lost");
    struct op op = ask(&world, "generate", value_nil());
    expect(op, OP_OK, "");
    assert_int_equal(value_as_int(op.value), 8);
    assert_int_equal(world.fake.connections, 2);
    world_end(&world);
}

/* ---- Getting ---- */

#define MESSAGE(subject, seq, data)                                                                \
    "{\"type\":\"t\",\"message\":{\"subject\":\"" subject "\",\"seq\":" seq ",\"data\":\"" data    \
    "\",\"time\":\"x\"}}"
#define NO_MESSAGE "{\"error\":{\"code\":404,\"err_code\":10037,\"description\":\"no message\"}}"
#define GET "$JS.API.STREAM.MSG.GET.ORDEAL"

static void polls_go_from_message_to_message(void **state)
{
    (void)state;
    static const struct line script[] = {{GET, MESSAGE("ordeal.l.1", "4", "MTc=")},
                                         {GET, MESSAGE("ordeal.l.1", "9", "MTg=")},
                                         {GET, MESSAGE("ordeal.l.1", "11", "MTk=")},
                                         {GET, NO_MESSAGE}};
    struct world world;
    struct buf text = BUF_INIT;
    world_begin(&world, &nats_log_client, script, 4);
    struct op op = ask(&world, "poll", map(&world, "from", 0));
    expect(op, OP_OK, "");
    value_print(op.value, &text);
    assert_string_equal(text.data, "{:log 1, :from 0, :records [[4 17] [9 18]], :end false}");
    op = ask(&world, "poll", map(&world, "from", 10));
    expect(op, OP_OK, "");
    buf_clear(&text);
    value_print(op.value, &text);
    assert_string_equal(text.data, "{:log 1, :from 10, :records [[11 19]], :end true}");
    buf_free(&text);
    world_end(&world);
}

static void half_a_poll_is_none(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *error;
    } cases[] = {
        {"503", "no-responders"},
        {"-", "connection-lost"},
        {"", "timeout"},
        {"nonsense", "error-reply"},
        {MESSAGE("ordeal.l.2", "5", "MTc="), "bad-reply"}, /* of another subject */
        {MESSAGE("ordeal.l.1", "5", "?"), "bad-reply"},
        {"{\"error\":{\"code\":404,\"err_code\":10059,\"description\":\"none\"}}", "error-reply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct line script[] = {{GET, MESSAGE("ordeal.l.1", "4", "MTc=")},
                                      {GET, cases[i].answer}};
        struct world world;
        world_begin(&world, &nats_log_client, script, 2);
        expect(ask(&world, "poll", map(&world, "from", 0)), OP_FAIL, cases[i].error);
        world_end(&world);
    }
}

static void appends_are_told_their_offsets(void **state)
{
    (void)state;
    static const struct line script[] = {{"ordeal.l.1", "{\"stream\":\"ORDEAL\",\"seq\":12}"},
                                         {NULL, NULL}};
    struct world world;
    struct buf text = BUF_INIT;
    world_begin(&world, &nats_log_client, script, 0);
    struct op op = ask(&world, "append", map(&world, "value", 5));
    expect(op, OP_OK, "");
    value_print(op.value, &text);
    assert_string_equal(text.data, "{:log 1, :value 5, :offset 12}");
    buf_free(&text);
    expect(ask(&world, "read", value_nil()), OP_FAIL, "unsupported");
    world_end(&world);
}

/* ---- Configurations ---- */

static void configurations_say_what_was_asked(void **state)
{
    (void)state;
    static const struct line script[] = {{NULL, NULL}};
    struct world world;
    struct buf text = BUF_INIT;
    world_begin(&world, &nats_set_client, script, 0);
    nats_config(&world.test, 1, &text);
    assert_contains(text.data, "server_name: \"n2\"\n");
    assert_contains(text.data, "\"nats://127.0.0.3:6222\"\n");
    assert_null(strstr(text.data, "sync_interval"));
    assert_int_equal(nats_replicas(&world.test), 3);
    json_set_text(world.plan.options.values, "nats.sync", "always");
    world.test.node_count = 1;
    buf_clear(&text);
    nats_config(&world.test, 0, &text);
    assert_contains(text.data, "  sync_interval: always\n");
    assert_null(strstr(text.data, "cluster"));
    assert_int_equal(nats_replicas(&world.test), 1);
    world.test.node_count = 3;
    buf_free(&text);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_sorted_soundly),
        cmocka_unit_test(acknowledgements_are_sorted_soundly),
        cmocka_unit_test(who_cannot_connect_has_sent_nothing),
        cmocka_unit_test(a_lost_connection_is_made_again),
        cmocka_unit_test(polls_go_from_message_to_message),
        cmocka_unit_test(half_a_poll_is_none),
        cmocka_unit_test(appends_are_told_their_offsets),
        cmocka_unit_test(configurations_say_what_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
