/* The system redis: what replies mean, configurations, and workers against servers that answer as
 * told: who is primary, redirections, connections that fail, WAIT on the wrong connection. */
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
#include "workloads/systems/redis/redis_system.h"

/* ---- What replies mean ---- */

static void errors_are_sorted_soundly(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        enum op_type type;
        const char *error;
    } cases[] = {
        {"READONLY You can't write against a read only replica.", OP_FAIL, "read-only"},
        {"LOADING Redis is loading the dataset in memory", OP_FAIL, "loading"},
        {"MASTERDOWN Link with MASTER is down", OP_FAIL, "primary-down"},
        {"NOREPLICAS Not enough good replicas to write.", OP_FAIL, "no-replicas"},
        {"CLUSTERDOWN The cluster is down", OP_FAIL, "cluster-down"},
        {"MOVED 1 10.0.0.1:6379", OP_FAIL, "moved"},
        {"MISCONF Errors writing to the AOF file: No space left", OP_FAIL, "misconfigured"},
        {"OOM command not allowed when used memory > 'maxmemory'.", OP_FAIL, "out-of-memory"},
        {"WRONGTYPE Operation against a key holding the wrong kind", OP_FAIL, "wrong-type"},
        /* Of what waits while its server is demoted nobody knows. */
        {"UNBLOCKED force unblock from blocking operation", OP_INFO, "unblocked"},
        /* Whatever else comes is not known to mean that nothing was done. */
        {"ERR something new", OP_INFO, "unexpected-reply"},
        {"READONLYISH", OP_INFO, "unexpected-reply"},
        {"EXECABORT whatever", OP_INFO, "unexpected-reply"},
        {"", OP_INFO, "unexpected-reply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct redis_meaning meaning = redis_error_meaning(cases[i].message);
        assert_int_equal(meaning.type, cases[i].type);
        assert_string_equal(meaning.error, cases[i].error);
    }
}

static void slots_and_redirections_are_read(void **state)
{
    (void)state;
    /* As Redis' specification and its CLUSTER KEYSLOT have them. */
    assert_int_equal(redis_slot("123456789", 9), 0x31c3 & 16383);
    assert_int_equal(redis_slot("foo", 3), 12182);
    assert_int_equal(redis_slot("{foo}.x", 7), 12182);
    assert_int_equal(redis_slot("a{foo}b{bar}", 12), 12182);
    assert_int_not_equal(redis_slot("{}foo", 5), 12182);
    uint16_t slot, port;
    char ip[64];
    assert_true(redis_moved("MOVED 3999 127.0.0.1:6381", &slot, ip, &port));
    assert_true(slot == 3999 && port == 6381);
    assert_string_equal(ip, "127.0.0.1");
    assert_true(redis_moved("MOVED 3 fd00::1:7000", &slot, ip, &port));
    assert_string_equal(ip, "fd00::1");
    static const char *const wrong[] = {"MOVED",
                                        "MOVED x 1:2",
                                        "MOVED 16384 127.0.0.1:1",
                                        "ASK 3 127.0.0.1:1",
                                        "MOVED 3 127.0.0.1",
                                        "MOVED 3 127.0.0.1:99999",
                                        ""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(redis_moved(wrong[i], &slot, ip, &port));
}

static void info_is_read_by_whole_names(void **state)
{
    (void)state;
    const char *info = "# Replication\r\nrole:master\r\nslave_role:x\r\nredis_version:7.0.15\r\n";
    assert_true(strncmp(redis_info_field(info, "role"), "master\r", 7) == 0);
    assert_true(strncmp(redis_info_field(info, "redis_version"), "7.0.15\r", 7) == 0);
    assert_null(redis_info_field(info, "version"));
    assert_null(redis_info_field(info, "rol"));
}

/* ---- Servers that answer as told ---- */

/* Answers each command by the first line of its script that the command's first word begins; a
 * reply of "-" closes the connection instead, "" never answers. */
struct line {
    const char *command, *reply;
};
struct fake {
    int listener;
    uint16_t port;
    const struct line *script; /* NULL command at the end */
    pthread_t thread;
    atomic_bool over;
    atomic_int served, connections;
    pthread_mutex_t lock;
    char last[256]; /* the last command, words separated by blanks */
};

/* One command, as words with a blank behind each; false at the end of the connection. */
static bool read_command(FILE *in, char *command, size_t size)
{
    char line[512];
    size_t length = 0;
    int words = 0;
    command[0] = '\0';
    if (fgets(line, sizeof line, in) == NULL || sscanf(line, "*%d", &words) != 1)
        return false;
    for (int i = 0; i < words; i++) {
        if (fgets(line, sizeof line, in) == NULL || fgets(line, sizeof line, in) == NULL)
            return false;
        line[strcspn(line, "\r\n")] = '\0';
        length += (size_t)snprintf(command + length, size - length, "%s ", line);
    }
    return true;
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
        FILE *in = fdopen(fd, "r");
        char command[256];
        while (read_command(in, command, sizeof command)) {
            const struct line *line = fake->script;
            while (line->command != NULL &&
                   strncmp(command, line->command, strlen(line->command)) != 0)
                line++;
            pthread_mutex_lock(&fake->lock);
            memcpy(fake->last, command, sizeof fake->last);
            pthread_mutex_unlock(&fake->lock);
            fake->served++;
            if (line->command == NULL || strcmp(line->reply, "-") == 0)
                break;
            if (*line->reply != '\0' && write(fd, line->reply, strlen(line->reply)) < 0)
                break;
        }
        fclose(in);
    }
}

static void fake_start(struct fake *fake, const char *address, uint16_t port,
                       const struct line *script)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof at;
    int yes = 1;
    *fake = (struct fake){.script = script};
    pthread_mutex_init(&fake->lock, NULL);
    inet_pton(AF_INET, address, &at.sin_addr);
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fake->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
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

static bool was_asked(struct fake *fake, const char *command)
{
    pthread_mutex_lock(&fake->lock);
    bool begins = strncmp(fake->last, command, strlen(command)) == 0;
    pthread_mutex_unlock(&fake->lock);
    return begins;
}

/* ---- A test in which a worker can live ---- */

enum { NODES = 2 };
struct world {
    struct plan plan;
    struct node nodes[NODES];
    struct history history;
    struct test test;
    struct arena scratch;
    const struct client *client;
    void *state;
    struct fake servers[NODES], sentinels[NODES];
    bool has_server[NODES], has_sentinel[NODES];
};

static void set(struct world *world, const char *name, const char *value)
{
    json_set_text(world->plan.options.values, name, value);
}

static void world_begin(struct world *world, const char *mode)
{
    *world = (struct world){
        .plan = {.options = {.values = json_object()}, .op_timeout_ns = 400 * NS_PER_MS},
        .nodes = {{.index = 0, .name = "n1", .address = "127.0.0.1"},
                  {.index = 1, .name = "n2", .address = "127.0.0.2"}}};
    set(world, "redis.mode", mode);
    option_defaults(&world->plan.options, "redis", redis_options);
    history_init(&world->history);
    static const char *const names[] = {"read", "write", "cas", "add", "append", "poll"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        history_f(&world->history, names[i]);
    world->test = (struct test){.plan = &world->plan,
                                .nodes = world->nodes,
                                .node_count = NODES,
                                .history = &world->history};
}

/* All servers share one port, at addresses of their own; Sentinels another one. */
static void add_server(struct world *world, int node, const struct line *script)
{
    char text[16];
    uint16_t port = 0;
    for (int i = 0; i < NODES; i++)
        if (world->has_server[i])
            port = world->servers[i].port;
    fake_start(&world->servers[node], world->nodes[node].address, port, script);
    world->has_server[node] = true;
    snprintf(text, sizeof text, "%u", (unsigned)world->servers[node].port);
    set(world, "redis.client-port", text);
}

static void add_sentinel(struct world *world, int node, const struct line *script)
{
    char text[16];
    uint16_t port = 0;
    for (int i = 0; i < NODES; i++)
        if (world->has_sentinel[i])
            port = world->sentinels[i].port;
    fake_start(&world->sentinels[node], world->nodes[node].address, port, script);
    world->has_sentinel[node] = true;
    snprintf(text, sizeof text, "%u", (unsigned)world->sentinels[node].port);
    set(world, "redis.peer-port", text);
}

static void open_worker(struct world *world, const struct client *client, uint32_t node)
{
    struct err err = ERR_INIT;
    world->client = client;
    world->state = calloc(1, client->state_size);
    assert_ok(client->open(world->state, &world->test, node, &err));
}

static void world_end(struct world *world)
{
    if (world->state != NULL)
        world->client->close(world->state);
    free(world->state);
    for (int i = 0; i < NODES; i++) {
        if (world->has_server[i])
            fake_stop(&world->servers[i]);
        if (world->has_sentinel[i])
            fake_stop(&world->sentinels[i]);
    }
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

#define PRIMARY_ROLE                                                                               \
    {                                                                                              \
        "ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"                                               \
    }
#define REPLICA_ROLE                                                                               \
    {                                                                                              \
        "ROLE", "*2\r\n$5\r\nslave\r\n$1\r\nx\r\n"                                                 \
    }
static const struct line names_first[] = {
    {"SENTINEL get-master", "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n"}, {NULL, NULL}};
static const struct line names_second[] = {
    {"SENTINEL get-master", "*2\r\n$9\r\n127.0.0.2\r\n$4\r\n6379\r\n"}, {NULL, NULL}};
static const struct line names_nobody[] = {{"SENTINEL get-master", "*-1\r\n"}, {NULL, NULL}};
static const struct line good_primary[] = {
    PRIMARY_ROLE,       {"SET", "+OK\r\n"}, {"GET", "$1\r\n3\r\n"},
    {"EVAL", ":0\r\n"}, {"SADD", ":1\r\n"}, {"WAIT", ":1\r\n"},
    {NULL, NULL}};
static const struct line replica[] = {REPLICA_ROLE, {"GET", "$1\r\n9\r\n"}, {NULL, NULL}};

/* ---- With Sentinel ---- */

static void the_primary_that_sentinel_names_is_asked(void **state)
{
    (void)state;
    struct world world;
    world_begin(&world, "sentinel");
    add_server(&world, 0, replica);
    add_server(&world, 1, good_primary);
    add_sentinel(&world, 0, names_second);
    open_worker(&world, &redis_register_client, 0);
    struct op op = ask(&world, "read", 7, value_nil());
    expect(op, OP_OK, "");
    assert_int_equal(value_as_int(value_at(op.value, 1)), 3);
    expect(ask(&world, "write", 7, value_int(NULL, 4)), OP_OK, "");
    assert_true(was_asked(&world.servers[1], "SET r:7 4 "));
    expect(ask(&world, "cas", 7, value_pair(NULL, value_int(NULL, 1), value_int(NULL, 2))), OP_FAIL,
           "cas-mismatch");
    assert_int_equal(world.servers[0].served, 0);
    assert_int_equal(world.servers[1].connections, 1);
    world_end(&world);
}

static void nobody_is_asked_who_does_not_say_that_it_is_primary(void **state)
{
    (void)state;
    struct world world;
    world_begin(&world, "sentinel");
    add_server(&world, 0, replica);
    add_sentinel(&world, 0, names_first);
    open_worker(&world, &redis_register_client, 0);
    expect(ask(&world, "read", 7, value_nil()), OP_FAIL, "no-primary");
    expect(ask(&world, "write", 7, value_int(NULL, 4)), OP_FAIL, "no-primary");
    assert_true(was_asked(&world.servers[0], "ROLE"));
    world_end(&world);
    world_begin(&world, "sentinel");
    add_sentinel(&world, 0, names_nobody);
    open_worker(&world, &redis_register_client, 0);
    expect(ask(&world, "write", 7, value_int(NULL, 4)), OP_FAIL, "no-primary");
    world_end(&world);
}

static void another_sentinel_is_asked_when_the_own_one_is_gone(void **state)
{
    (void)state;
    struct world world;
    world_begin(&world, "sentinel");
    add_server(&world, 0, good_primary);
    add_sentinel(&world, 1, names_first);
    open_worker(&world, &redis_register_client, 0);
    expect(ask(&world, "write", 7, value_int(NULL, 4)), OP_OK, "");
    world_end(&world);
}

static void what_was_sent_and_not_answered_is_not_known(void **state)
{
    (void)state;
    static const struct line drops[] = {PRIMARY_ROLE, {"SET", "-"}, {"GET", "-"}, {NULL, NULL}};
    static const struct line hangs[] = {PRIMARY_ROLE, {"SET", ""}, {"GET", ""}, {NULL, NULL}};
    for (int i = 0; i < 2; i++) {
        struct world world;
        world_begin(&world, "sentinel");
        add_server(&world, 0, i == 0 ? drops : hangs);
        add_sentinel(&world, 0, names_first);
        open_worker(&world, &redis_register_client, 0);
        const char *error = i == 0 ? "connection-lost" : "timeout";
        expect(ask(&world, "write", 7, value_int(NULL, 4)), OP_INFO, error);
        expect(ask(&world, "read", 7, value_nil()), OP_FAIL, error);
        world_end(&world);
    }
}

static void what_was_not_sent_has_failed(void **state)
{
    (void)state;
    struct world world;
    world_begin(&world, "single");
    add_server(&world, 1, good_primary); /* the port is taken at another address: refused here */
    open_worker(&world, &redis_register_client, 0);
    expect(ask(&world, "write", 7, value_int(NULL, 4)), OP_FAIL, "connection-refused");
    world_end(&world);
}

/* ---- WAIT ---- */

static void an_ack_waits_for_replicas(void **state)
{
    (void)state;
    static const struct line lonely[] = {
        PRIMARY_ROLE, {"SADD", ":1\r\n"}, {"WAIT", ":0\r\n"}, {NULL, NULL}};
    static const struct line demoted[] = {
        PRIMARY_ROLE, {"SADD", ":1\r\n"}, {"WAIT", "-UNBLOCKED force\r\n"}, {NULL, NULL}};
    /* On a connection made anew nothing was written, and the answer means nothing. */
    static const struct line forgets[] = {
        PRIMARY_ROLE, {"SADD", ":1\r\n"}, {"WAIT", "-"}, {NULL, NULL}};
    static const struct {
        const struct line *script;
        enum op_type type;
        const char *error;
    } cases[] = {{good_primary, OP_OK, ""},
                 {lonely, OP_INFO, "not-replicated"},
                 {demoted, OP_INFO, "not-replicated"},
                 {forgets, OP_INFO, "not-replicated"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world world;
        world_begin(&world, "sentinel");
        set(&world, "redis.wait", "1");
        add_server(&world, 0, cases[i].script);
        add_sentinel(&world, 0, names_first);
        open_worker(&world, &redis_set_client, 0);
        expect(ask(&world, "add", 1, value_int(NULL, 4)), cases[i].type, cases[i].error);
        assert_true(was_asked(&world.servers[0], "WAIT 1 "));
        world_end(&world);
    }
}

/* ---- A cluster ---- */

static void redirections_are_followed_and_remembered(void **state)
{
    (void)state;
    static const struct line moves[] = {{"SET", "-MOVED 1 127.0.0.2:6379\r\n"},
                                        {"GET", "-MOVED 1 127.0.0.2:6379\r\n"},
                                        {NULL, NULL}};
    struct world world;
    world_begin(&world, "cluster");
    add_server(&world, 0, moves);
    add_server(&world, 1, good_primary);
    open_worker(&world, &redis_register_client, 0);
    expect(ask(&world, "write", 7, value_int(NULL, 4)), OP_OK, "");
    assert_int_equal(world.servers[0].served, 1);
    assert_int_equal(world.servers[1].served, 1);
    assert_true(was_asked(&world.servers[1], "SET r:7 4 "));
    world_end(&world);
}

static void redirections_in_a_circle_end(void **state)
{
    (void)state;
    static const struct line to_second[] = {{"SET", "-MOVED 1 127.0.0.2:6379\r\n"}, {NULL, NULL}};
    static const struct line to_first[] = {{"SET", "-MOVED 1 127.0.0.1:6379\r\n"}, {NULL, NULL}};
    static const struct line down[] = {{"SET", "-CLUSTERDOWN The cluster is down\r\n"},
                                       {NULL, NULL}};
    struct world world;
    world_begin(&world, "cluster");
    add_server(&world, 0, to_second);
    add_server(&world, 1, to_first);
    open_worker(&world, &redis_register_client, 0);
    expect(ask(&world, "write", 7, value_int(NULL, 4)), OP_FAIL, "moved");
    world_end(&world);
    world_begin(&world, "cluster");
    add_server(&world, 0, down);
    open_worker(&world, &redis_register_client, 0);
    expect(ask(&world, "write", 7, value_int(NULL, 4)), OP_FAIL, "cluster-down");
    world_end(&world);
}

/* ---- Configurations ---- */

static void configurations_say_what_was_asked(void **state)
{
    (void)state;
    struct world world;
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT;
    world_begin(&world, "sentinel");
    set(&world, "redis.appendfsync", "always");
    set(&world, "redis.min-replicas", "1");
    assert_ok(redis_server_config(&world.test, 1, &text, &err));
    assert_contains(text.data, "appendonly yes\nappendfsync always\n");
    assert_contains(text.data, "min-replicas-to-write 1\n");
    assert_contains(text.data, "replicaof 127.0.0.1 6379\n");
    assert_null(strstr(text.data, "cluster-enabled"));
    buf_clear(&text);
    assert_ok(redis_server_config(&world.test, 0, &text, &err));
    assert_null(strstr(text.data, "replicaof "));
    buf_clear(&text);
    assert_ok(redis_sentinel_config(&world.test, 1, &text, &err));
    assert_contains(text.data, "sentinel monitor ordeal 127.0.0.1 6379 2\n");
    assert_contains(text.data, "sentinel announce-ip 127.0.0.2\n");
    set(&world, "redis.mode", "cluster");
    buf_clear(&text);
    assert_ok(redis_server_config(&world.test, 1, &text, &err));
    assert_contains(text.data, "cluster-enabled yes\n");
    assert_null(strstr(text.data, "replicaof "));
    assert_int_equal(redis_node_of_ip(&world.test, "127.0.0.2"), 1);
    assert_true(redis_node_of_ip(&world.test, "127.0.0.3") == UINT32_MAX);
    buf_free(&text);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_sorted_soundly),
        cmocka_unit_test(slots_and_redirections_are_read),
        cmocka_unit_test(info_is_read_by_whole_names),
        cmocka_unit_test(the_primary_that_sentinel_names_is_asked),
        cmocka_unit_test(nobody_is_asked_who_does_not_say_that_it_is_primary),
        cmocka_unit_test(another_sentinel_is_asked_when_the_own_one_is_gone),
        cmocka_unit_test(what_was_sent_and_not_answered_is_not_known),
        cmocka_unit_test(what_was_not_sent_has_failed),
        cmocka_unit_test(an_ack_waits_for_replicas),
        cmocka_unit_test(redirections_are_followed_and_remembered),
        cmocka_unit_test(redirections_in_a_circle_end),
        cmocka_unit_test(configurations_say_what_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
