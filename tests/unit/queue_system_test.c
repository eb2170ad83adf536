/* The queue's client: bodies, what replies mean, connections that fail in every way; and all of it
 * against one real server. */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "tests/lib/test.h"
#include "workloads/systems/queue.h"

/* ---- Bodies ---- */

static void bodies_come_back_and_damage_is_seen(void **state)
{
    (void)state;
    struct queue_body body = {7, 3, 12, 2000, "q1"}, read;
    struct buf text = BUF_INIT;
    queue_body_write(&body, 100, &text);
    assert_int_equal(text.length, 100);
    assert_true(queue_body_read(text.data, text.length, &read));
    assert_true(read.message == 7 && read.producer == 3 && read.sequence == 12);
    assert_true(read.retry_ms == 2000);
    assert_string_equal(read.queue, "q1");
    for (size_t i = 0; i < text.length; i++)
        for (int bit = 0; bit < 8; bit++) {
            text.data[i] ^= (char)(1 << bit);
            assert_false(queue_body_read(text.data, text.length, &read));
            text.data[i] ^= (char)(1 << bit);
        }
    for (size_t length = 0; length < text.length; length++)
        assert_false(queue_body_read(text.data, length, &read));
    buf_add_char(&text, 'x');
    assert_false(queue_body_read(text.data, text.length, &read));
    buf_clear(&text);
    queue_body_write(&body, 0, &text); /* no room is no reason to leave anything out */
    assert_true(queue_body_read(text.data, text.length, &read));
    buf_free(&text);
}

/* ---- What replies mean ---- */

static void errors_are_sorted_soundly(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        enum op_type type;
        const char *error;
    } cases[] = {
        {"UNKNOWN D-0-0 the request may have been carried out", OP_INFO, "unknown"},
        {"NOLEADER no leader was found in time; nothing was done", OP_FAIL, "no-leader"},
        {"OOM the queued jobs have reached max-memory", OP_FAIL, "out-of-memory"},
        {"PAUSED the queue is paused", OP_FAIL, "paused"},
        {"MAXLEN the queue is full", OP_FAIL, "full"},
        {"BUSY too much waits", OP_FAIL, "busy"},
        {"STALE the attempt is not the latest (3)", OP_FAIL, "stale"},
        {"NOJOB no such job", OP_FAIL, "not-found"},
        {"ERR syntax: ADDJOB", OP_FAIL, "bad-request"},
        /* Whatever else comes is not known to mean that nothing was done. */
        {"ERR something new", OP_INFO, "unexpected-reply"},
        {"UNKNOWNABLE", OP_INFO, "unexpected-reply"},
        {"BUSYGROUP whatever", OP_INFO, "unexpected-reply"},
        {"", OP_INFO, "unexpected-reply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct job_meaning meaning = queue_error_meaning(cases[i].message);
        assert_int_equal(meaning.type, cases[i].type);
        assert_string_equal(meaning.error, cases[i].error);
    }
}

static void ids_and_numbers_are_read(void **state)
{
    (void)state;
    int64_t attempt;
    assert_int_equal(queue_id_length("D-1-2:17", 8, &attempt), 5);
    assert_int_equal(attempt, 17);
    assert_int_equal(queue_id_length("D-1-2", 5, &attempt), 5);
    assert_int_equal(attempt, 0);
    const char *info = "# Numbers\r\nterm:12\r\ncommit_index:7\r\nleading:1\r\n";
    assert_int_equal(redis_info_number(info, "term"), 12);
    assert_int_equal(redis_info_number(info, "leading"), 1);
    assert_int_equal(redis_info_number(info, "index"), -1);
    assert_int_equal(redis_info_number(info, "ading"), -1);
}

/* ---- A test in which a client can live ---- */

struct world {
    struct plan plan;
    struct node node;
    struct history history;
    struct test test;
    struct arena scratch;
    void *client;
};

static void begin_with(struct world *world, uint16_t port, int64_t timeout_ns)
{
    char text[16];
    *world =
        (struct world){.plan = {.options = {.values = json_object()}, .op_timeout_ns = timeout_ns},
                       .node = {.name = "127.0.0.1"}};
    snprintf(text, sizeof text, "%u", port);
    json_set_text(world->plan.options.values, "queue.client-port", text);
    option_defaults(&world->plan.options, "queue", queue_options);
    history_init(&world->history);
    world->test = (struct test){
        .plan = &world->plan, .nodes = &world->node, .node_count = 1, .history = &world->history};
    static const char *const names[] = {"enqueue", "dequeue", "ack",  "nack",
                                        "extend",  "length",  "peek", "drain"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        history_f(&world->history, names[i]);
    struct err err = ERR_INIT;
    world->client = calloc(1, queue_client.state_size);
    assert_ok(queue_client.open(world->client, &world->test, 0, &err));
}

static void begin(struct world *world, uint16_t port)
{
    begin_with(world, port, 300 * NS_PER_MS);
}

static void end(struct world *world)
{
    queue_client.close(world->client);
    free(world->client);
    arena_free(&world->scratch);
    history_free(&world->history);
    json_free(world->plan.options.values);
}

static struct value map_of(struct world *world, const char *const *names,
                           const struct value *values, size_t count)
{
    struct value items[24];
    for (size_t i = 0; i < count; i++) {
        items[2 * i] = value_keyword(&world->scratch, names[i]);
        items[2 * i + 1] = values[i];
    }
    return value_items(&world->scratch, VALUE_MAP, items, 2 * count);
}

static struct op ask(struct world *world, const char *f, struct value value)
{
    struct op op = {.f = (uint16_t)history_find_f(&world->history, f), .value = value};
    queue_client.invoke(world->client, &world->test, &op, &world->scratch);
    assert_true(op.type == OP_OK || op.type == OP_FAIL || op.type == OP_INFO);
    return op;
}

static const char *error_of(const struct op *op)
{
    struct value error = op->error;
    return value_as_text(value_is_pair(error) ? value_at(error, 0) : error);
}

static struct value message(struct world *world, int64_t number, const char *option,
                            struct value of)
{
    const char *const names[] = {"message", "queue", "producer", "sequence", "retry", option};
    const struct value values[] = {
        value_int(&world->scratch, number), value_string(&world->scratch, "q0"),
        value_int(&world->scratch, 1),      value_int(&world->scratch, number),
        value_int(&world->scratch, 60000),  of};
    return map_of(world, names, values, option == NULL ? 5 : 6);
}

static struct value in_queue(struct world *world)
{
    const char *const names[] = {"queue"};
    const struct value values[] = {value_string(&world->scratch, "q0")};
    return map_of(world, names, values, 1);
}

static int64_t number(struct value map, const char *name)
{
    struct value value = value_get(map, name);
    return value_is_int(value) ? value_as_int(value) : -1;
}

/* ---- Connections that fail ---- */

enum act { REPLY, CLOSE, SILENCE, HALF };
struct server {
    int fd;
    uint16_t port;
    enum act act;
    const char *reply;
    pthread_t thread;
};

/* Takes connections until it is shut down; to each it does the same. */
static void *serve(void *state)
{
    struct server *server = state;
    int kept[64], count = 0;
    for (int fd; count < 64 && (fd = accept(server->fd, NULL, NULL)) >= 0; kept[count++] = fd) {
        char request[4096];
        ssize_t got = read(fd, request, sizeof request);
        size_t length = strlen(server->reply);
        if (got > 0 && server->act == REPLY)
            got = write(fd, server->reply, length);
        else if (got > 0 && server->act == HALF)
            got = write(fd, server->reply, length / 2);
        if (server->act != SILENCE)
            shutdown(fd, SHUT_RDWR);
    }
    while (count > 0)
        close(kept[--count]);
    return NULL;
}

static void server_start(struct server *server, enum act act, const char *reply)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    *server = (struct server){.fd = socket(AF_INET, SOCK_STREAM, 0), .act = act, .reply = reply};
    assert_int_equal(bind(server->fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(server->fd, 16), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&at, &size), 0);
    server->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server)
{
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
}

static void what_may_have_arrived_is_never_failed(void **state)
{
    (void)state;
    static const struct {
        enum act act;
        const char *reply, *error;
    } cases[] = {
        {CLOSE, "", "connection-lost"},
        {SILENCE, "", "timeout"},
        {HALF, "+D-0000000000000001-0000000000000001 committed\r\n", "connection-lost"},
        {REPLY, "+OK\r\n", "bad-reply"},
        {REPLY, ":12\r\n", "bad-reply"},
        {REPLY, "!what\r\n", "bad-reply"},
        {REPLY, "-UNKNOWN D-0-0 who knows\r\n", "unknown"},
        {REPLY, "-ERR news\r\n", "unexpected-reply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct server server;
        struct world world;
        server_start(&server, cases[i].act, cases[i].reply);
        begin(&world, server.port);
        int64_t began_ns = clock_monotonic_ns();
        struct op op = ask(&world, "enqueue", message(&world, 1, NULL, value_nil()));
        assert_int_equal(op.type, OP_INFO);
        assert_string_equal(error_of(&op), cases[i].error);
        op = ask(&world, "length", in_queue(&world)); /* a read changes nothing */
        assert_int_equal(op.type, OP_FAIL);
        assert_true(clock_monotonic_ns() - began_ns < 5 * NS_PER_SECOND);
        end(&world);
        server_stop(&server);
    }
}

static void what_was_never_sent_is_failed(void **state)
{
    (void)state;
    struct server server;
    struct world world;
    server_start(&server, CLOSE, "");
    server_stop(&server);
    begin(&world, server.port); /* nobody listens there now */
    struct op op = ask(&world, "enqueue", message(&world, 1, NULL, value_nil()));
    assert_int_equal(op.type, OP_FAIL);
    assert_string_equal(error_of(&op), "connection-refused");
    op = ask(&world, "enqueue", value_int(&world.scratch, 3));
    assert_int_equal(op.type, OP_FAIL);
    assert_string_equal(error_of(&op), "unsupported");
    end(&world);
}

/* A connection that the server closed between two requests is replaced, not written to. */
static void a_closed_connection_is_opened_again(void **state)
{
    (void)state;
    struct server server;
    struct world world;
    server_start(&server, REPLY, "+D-0000000000000001-0000000000000001 committed\r\n");
    begin(&world, server.port);
    for (int64_t i = 0; i < 5; i++) {
        struct op op = ask(&world, "enqueue", message(&world, i, NULL, value_nil()));
        assert_int_equal(op.type, OP_OK);
        assert_string_equal(value_as_text(value_get(op.value, "id")),
                            "D-0000000000000001-0000000000000001");
        clock_sleep_ns(20 * NS_PER_MS);
    }
    end(&world);
    server_stop(&server);
}

/* ---- A real server ---- */

static pid_t start_queue(uint16_t *port)
{
    static const char path[] = "ordeal-queue";
    struct server probe;
    server_start(&probe, CLOSE, "");
    server_stop(&probe);
    *port = probe.port;
    char program[1024], text[16];
    const char *build = getenv("ORDEAL_BUILD");
    snprintf(program, sizeof program, "%s/%s", build == NULL ? "build/release" : build, path);
    snprintf(text, sizeof text, "%u", *port);
    char directory[] = "queue-XXXXXX";
    assert_non_null(mkdtemp(directory));
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when a test fails */
        execl(program, program, "--dir", directory, "--bind", "127.0.0.1", "--port", text,
              "--log-level", "error", (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void one_job_lives_its_life(struct world *world)
{
    struct op op = ask(world, "enqueue", message(world, 1, NULL, value_nil()));
    assert_int_equal(op.type, OP_OK);
    struct value id = value_get(op.value, "id");
    assert_true(*value_as_text(id) == 'D');
    op = ask(world, "peek", in_queue(world));
    assert_int_equal(value_count(op.value), 1);
    assert_int_equal(number(value_at(op.value, 0), "message"), 1);
    op = ask(world, "dequeue", in_queue(world));
    assert_int_equal(op.type, OP_OK);
    struct value first = op.value;
    assert_true(value_equal(value_get(first, "id"), id));
    assert_true(number(first, "message") == 1 && number(first, "count") == 1);
    assert_true(number(first, "retry") == 60000);
    assert_int_equal(ask(world, "extend", first).type, OP_OK);
    assert_int_equal(ask(world, "nack", first).type, OP_OK);
    struct value second = ask(world, "dequeue", in_queue(world)).value;
    assert_true(number(second, "message") == 1 && number(second, "count") == 2);
    assert_true(number(second, "delivery") > number(first, "delivery"));
    op = ask(world, "ack", first); /* superseded */
    assert_int_equal(op.type, OP_FAIL);
    assert_string_equal(error_of(&op), "stale");
    op = ask(world, "length", in_queue(world));
    assert_true(number(op.value, "length") == 1 && number(op.value, "leased") == 1);
    assert_int_equal(ask(world, "ack", second).type, OP_OK);
    op = ask(world, "ack", second);
    assert_int_equal(op.type, OP_FAIL);
    assert_string_equal(error_of(&op), "not-found");
}

static void keys_and_times(struct world *world)
{
    struct value key = value_string(&world->scratch, "k");
    struct op op = ask(world, "enqueue", message(world, 10, "key", key));
    assert_int_equal(op.type, OP_OK);
    assert_true(value_is_nil(value_get(op.value, "duplicate")));
    struct value id = value_get(op.value, "id");
    op = ask(world, "enqueue", message(world, 11, "key", key));
    assert_true(value_as_bool(value_get(op.value, "duplicate")));
    assert_true(value_equal(value_get(op.value, "id"), id));
    op = ask(world, "enqueue", message(world, 12, "delay", value_int(&world->scratch, 60000)));
    assert_int_equal(op.type, OP_OK);
    op = ask(world, "length", in_queue(world));
    assert_true(number(op.value, "ready") == 1 && number(op.value, "delayed") == 1);
    /* At most once: delivered, it needs no acknowledgement. */
    struct value zero = value_int(&world->scratch, 0);
    const char *const names[] = {"message", "queue", "retry"};
    const struct value once[] = {value_int(&world->scratch, 13),
                                 value_string(&world->scratch, "q1"), zero};
    assert_int_equal(ask(world, "enqueue", map_of(world, names, once, 3)).type, OP_OK);
    const struct value more[] = {value_int(&world->scratch, 14),
                                 value_string(&world->scratch, "q1"),
                                 value_int(&world->scratch, 60000)};
    for (int i = 0; i < 150; i++)
        assert_int_equal(ask(world, "enqueue", map_of(world, names, more, 3)).type, OP_OK);
    const char *const queue_names[] = {"queue"};
    struct value other = map_of(world, queue_names, once + 1, 1);
    op = ask(world, "drain", other);
    assert_int_equal(op.type, OP_OK);
    assert_int_equal(value_count(op.value), 151);
    op = ask(world, "drain", other);
    assert_int_equal(op.type, OP_OK);
    assert_int_equal(value_count(op.value), 0);
    op = ask(world, "length", other);
    assert_int_equal(number(op.value, "length"), 0);
    struct value only = ask(world, "dequeue", in_queue(world)).value;
    assert_int_equal(number(only, "message"), 10);
    assert_true(value_is_nil(ask(world, "dequeue", in_queue(world)).value));
}

static void a_real_server_is_spoken_to(void **state)
{
    (void)state;
    uint16_t port;
    struct world world;
    pid_t pid = start_queue(&port);
    begin_with(&world, port, 10 * NS_PER_SECOND);
    struct buf why = BUF_INIT;
    int64_t until_ns = clock_monotonic_ns() + 10 * NS_PER_SECOND;
    while (!queue_ready(&world.test, &why) && clock_monotonic_ns() < until_ns) {
        buf_clear(&why);
        clock_sleep_ns(20 * NS_PER_MS);
    }
    assert_int_equal(why.length, 0);
    one_job_lives_its_life(&world);
    keys_and_times(&world);
    struct err err = ERR_INIT;
    node_set primaries = 0;
    assert_ok(queue_primaries(&world.test, &primaries, &err));
    assert_int_equal(primaries, NODE_SET(0));
    assert_ok(queue_version(&world.test, &why, &err));
    assert_string_equal(why.data, "ordeal-queue " ORDEAL_VERSION);
    buf_free(&why);
    end(&world);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void command_lines_say_what_was_asked(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 7711);
    struct node nodes[] = {{.name = "n1", .peer_address = "10.0.0.1"},
                           {.name = "n2", .peer_address = "10.0.0.2"}};
    world.test.nodes = nodes;
    world.test.node_count = 2;
    json_set_text(world.plan.options.values, "queue.defect", "take-local");
    json_set_text(world.plan.options.values, "queue.fsync", "false");
    struct buf line = BUF_INIT;
    for (const char *const *word =
             queue_arguments(&world.test, 1, "/x/q", QUEUE_FOUNDER, &world.scratch);
         *word != NULL; word++)
        buf_printf(&line, "%s ", *word);
    assert_string_equal(line.data, "/x/q --dir /var/lib/ordeal-queue --node 2 --port 7711 "
                                   "--peer-port 7712 --fsync no --election-timeout 500 "
                                   "--snapshot-entries 5000 "
                                   "--peers 1=10.0.0.1:7712,2=10.0.0.2:7712 --defect take-local ");
    buf_free(&line);
    world.test.nodes = &world.node;
    end(&world);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_come_back_and_damage_is_seen),
        cmocka_unit_test(errors_are_sorted_soundly),
        cmocka_unit_test(ids_and_numbers_are_read),
        cmocka_unit_test(what_may_have_arrived_is_never_failed),
        cmocka_unit_test(what_was_never_sent_is_failed),
        cmocka_unit_test(a_closed_connection_is_opened_again),
        cmocka_unit_test(a_real_server_is_spoken_to),
        cmocka_unit_test(command_lines_say_what_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
