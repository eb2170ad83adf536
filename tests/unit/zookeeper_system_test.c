/* The system zookeeper: what errors mean, configurations, what servers tell, and workers against a
 * server that answers as told, through the real client library. */
#include "workloads/systems/systems.h"

#ifndef ORDEAL_HAVE_ZOOKEEPER
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
#include <zookeeper/zookeeper.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "harness/histories/edn.h"
#include "tests/lib/test.h"
#include "workloads/systems/zookeeper/zookeeper_system.h"

/* ---- What errors mean ---- */

static void errors_are_sorted_soundly(void **state)
{
    (void)state;
    static const int refusals[] = {ZNONODE,   ZNODEEXISTS, ZBADVERSION,   ZNOTEMPTY,   ZNOAUTH,
                                   ZNOTEMPTY, ZINVALIDACL, ZSESSIONMOVED, ZNOTREADONLY};
    /* Connections that are lost, time-outs, sessions that are gone, whatever nobody foresaw. */
    static const int unknown[] = {ZCONNECTIONLOSS,    ZOPERATIONTIMEOUT, ZCLOSING,
                                  ZSESSIONEXPIRED,    ZSYSTEMERROR,      ZRUNTIMEINCONSISTENCY,
                                  ZDATAINCONSISTENCY, ZMARSHALLINGERROR, -999};
    assert_int_equal(zookeeper_meaning(ZOK).outcome, ZOOKEEPER_DONE);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        assert_int_not_equal(zookeeper_meaning(refusals[i]).outcome, ZOOKEEPER_DONE);
        assert_int_not_equal(zookeeper_meaning(refusals[i]).outcome, ZOOKEEPER_UNKNOWN);
    }
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_int_equal(zookeeper_meaning(unknown[i]).outcome, ZOOKEEPER_UNKNOWN);
}

/* ---- A server that answers as told ---- */

enum { CREATE2 = 15, DELETE = 2, EXISTS = 3, GET = 4, SET = 5, CHILDREN = 8, SYNC = 9 };
enum { CHECK = 13, MULTI = 14, CLOSE = -11, PING_XID = -2 };
enum { HANGS = 1, CLOSES = 2 }; /* beside the errors of the protocol */

/* The n-th request is the n-th line's, of this type; after the last line all of them hang. */
struct line {
    int type, error;  /* 0: none */
    const char *text; /* the data, the path, or the names between spaces */
    int32_t version;
    int64_t created;
};
struct fake {
    int listener;
    uint16_t port;
    const struct line *script; /* type 0 at the end */
    pthread_t thread;
    atomic_bool over;
    atomic_int requests, connections, sessions_closed, unexpected;
};

static void put_int(struct buf *out, int32_t number)
{
    uint32_t net = htonl((uint32_t)number);
    buf_add(out, &net, sizeof net);
}

static void put_long(struct buf *out, int64_t number)
{
    put_int(out, (int32_t)(number >> 32));
    put_int(out, (int32_t)number);
}

static void put_bytes(struct buf *out, const char *bytes, size_t length)
{
    put_int(out, (int32_t)length);
    buf_add(out, bytes, length);
}

static void put_stat(struct buf *out, const struct line *line)
{
    put_long(out, line->created);
    put_long(out, 0); /* mzxid */
    put_long(out, 0);
    put_long(out, 0);
    put_int(out, line->version);
    put_int(out, 0);
    put_int(out, 0);
    put_long(out, 0);
    put_int(out, 0);
    put_int(out, 0);
    put_long(out, 0);
}

static void put_names(struct buf *out, const char *text)
{
    int32_t count = 0;
    for (const char *at = text; *at != '\0'; at += strspn(at, " ")) {
        count++;
        at += strcspn(at, " ");
    }
    put_int(out, count);
    for (; *text != '\0'; text += strspn(text, " ")) {
        size_t length = strcspn(text, " ");
        put_bytes(out, text, length);
        text += length;
    }
}

/* Of a transaction: `text` has a letter for each of its parts, c for a check and s for a set. */
static void put_results(struct buf *out, const struct line *line)
{
    for (const char *part = line->text; *part != '\0'; part++) {
        put_int(out, line->error != 0 ? -1 : *part == 's' ? SET : CHECK);
        buf_add_char(out, 0);
        put_int(out, line->error == 0 ? -1 : line->error);
        if (line->error != 0)
            put_int(out, line->error);
        else if (*part == 's')
            put_stat(out, line);
    }
    put_int(out, -1);
    buf_add_char(out, 1);
    put_int(out, -1);
}

static void send_packet(int fd, const struct buf *body)
{
    struct buf packet = BUF_INIT;
    put_bytes(&packet, body->data, body->length);
    (void)!send(fd, packet.data, packet.length, MSG_NOSIGNAL);
    buf_free(&packet);
}

static void reply(int fd, int32_t xid, const struct line *line)
{
    struct buf body = BUF_INIT;
    put_int(&body, xid);
    put_long(&body, 1);
    put_int(&body, line->type == MULTI ? 0 : line->error);
    if (line->type == MULTI)
        put_results(&body, line);
    else if (line->error == 0) {
        if (line->type == GET || line->type == CREATE2 || line->type == SYNC)
            put_bytes(&body, line->text, strlen(line->text));
        if (line->type == CHILDREN)
            put_names(&body, line->text);
        if (line->type == GET || line->type == CREATE2 || line->type == SET || line->type == EXISTS)
            put_stat(&body, line);
    }
    send_packet(fd, &body);
    buf_free(&body);
}

static bool read_whole(int fd, void *to, size_t length)
{
    return recv(fd, to, length, MSG_WAITALL) == (ssize_t)length;
}

/* False: the connection is to be closed. */
static bool answer(struct fake *fake, int fd, int32_t xid, int32_t type)
{
    static const struct line nothing = {0};
    if (type == CLOSE) {
        fake->sessions_closed++;
        reply(fd, xid, &nothing);
        return false;
    }
    if (xid == PING_XID) {
        reply(fd, xid, &nothing);
        return true;
    }
    const struct line *line = fake->script;
    int number = fake->requests++;
    while (number > 0 && line->type != 0)
        line++, number--;
    if (line->type == 0 || line->error == HANGS)
        return true;
    if (line->type != type)
        fake->unexpected++;
    if (line->error != CLOSES)
        reply(fd, xid, line);
    return line->error != CLOSES;
}

static void talk(struct fake *fake, int fd)
{
    uint32_t net;
    char packet[4096];
    bool greeted = false;
    while (read_whole(fd, &net, sizeof net)) {
        size_t length = ntohl(net);
        uint32_t head[2];
        if (length > sizeof packet || length < sizeof head || !read_whole(fd, packet, length))
            break;
        memcpy(head, packet, sizeof head);
        if (!greeted) {
            struct buf body = BUF_INIT;
            put_int(&body, 0);
            put_int(&body, 10000); /* the session's time-out */
            put_long(&body, 7);
            put_bytes(&body, "0123456789abcdef", 16);
            buf_add_char(&body, 0);
            send_packet(fd, &body);
            buf_free(&body);
            greeted = true;
        } else if (!answer(fake, fd, (int32_t)ntohl(head[0]), (int32_t)ntohl(head[1]))) {
            break;
        }
    }
    close(fd);
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

static void fake_start(struct fake *fake, const struct line *script)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    *fake = (struct fake){.script = script};
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

static void world_begin(struct world *world, const struct client *client, const char *reads,
                        const struct line *script)
{
    static const char *const names[] = {"read", "write",    "cas",     "add",     "next",
                                        "last", "generate", "acquire", "release", "txn"};
    struct err err = ERR_INIT;
    char port[16];
    *world = (struct world){
        .plan = {.options = {.values = json_object()}, .op_timeout_ns = 600 * NS_PER_MS},
        .nodes = {{.index = 0, .name = "n1", .address = "127.0.0.1"},
                  {.index = 1, .name = "n2", .address = "127.0.0.2"},
                  {.index = 2, .name = "n3", .address = "127.0.0.3"}}};
    fake_start(&world->fake, script);
    snprintf(port, sizeof port, "%u", (unsigned)world->fake.port);
    json_set_text(world->plan.options.values, "zookeeper.client-port", port);
    json_set_text(world->plan.options.values, "zookeeper.reads", reads);
    option_defaults(&world->plan.options, "zookeeper", zookeeper_options);
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
    assert_int_equal(world->fake.unexpected, 0);
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

static struct arena pairs;
static struct value pair(int64_t first, struct value second)
{
    return value_pair(&pairs, value_int(NULL, first), second);
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

static void expect_told(struct op op, const char *value)
{
    struct buf text = BUF_INIT;
    expect(op, OP_OK, "");
    value_print(op.value, &text);
    assert_string_equal(text.data, value);
    buf_free(&text);
}

/* ---- Changes ---- */

static void writes_are_sorted_soundly(void **state)
{
    (void)state;
    static const struct {
        int error;
        enum op_type type;
        const char *keyword;
    } cases[] = {
        {0, OP_OK, ""},
        {ZNOAUTH, OP_FAIL, "not-allowed"},
        {ZSESSIONMOVED, OP_FAIL, "session-moved"},
        {ZNOTREADONLY, OP_FAIL, "read-only"},
        {CLOSES, OP_INFO, "connection-lost"},
        {HANGS, OP_INFO, "timeout"},
        {ZSESSIONEXPIRED, OP_INFO, "session-expired"},
        {ZSYSTEMERROR, OP_INFO, "error-reply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct line script[] = {{SET, cases[i].error, "", 3, 0}, {0}};
        struct world world;
        world_begin(&world, &zookeeper_register_client, "local", script);
        expect(ask(&world, "write", pair(3, value_int(NULL, 9))), cases[i].type, cases[i].keyword);
        assert_int_equal(world.fake.requests, 1); /* nothing is sent again */
        world_end(&world);
    }
}

static void who_cannot_connect_has_sent_nothing(void **state)
{
    (void)state;
    static const struct line script[] = {{0}};
    struct world world;
    world_begin(&world, &zookeeper_register_client, "local", script);
    fake_stop(&world.fake);
    expect(ask(&world, "write", pair(3, value_int(NULL, 9))), OP_FAIL, "no-connection");
    fake_start(&world.fake, script); /* to be ended */
    world_end(&world);
}

static void a_register_that_is_not_there_is_made(void **state)
{
    (void)state;
    static const struct line script[] = {
        {SET, ZNONODE, "", 0, 0}, {CREATE2, ZNODEEXISTS, "", 0, 0}, {SET, 0, "", 1, 0},
        {SET, ZNONODE, "", 0, 0}, {CREATE2, CLOSES, "", 0, 0},      {0}};
    struct world world;
    world_begin(&world, &zookeeper_register_client, "local", script);
    expect(ask(&world, "write", pair(3, value_int(NULL, 9))), OP_OK, "");
    expect(ask(&world, "write", pair(3, value_int(NULL, 9))), OP_INFO, "connection-lost");
    world_end(&world);
}

static void cas_is_by_version(void **state)
{
    (void)state;
    static const struct line script[] = {
        {GET, 0, "4", 7, 0}, {SET, 0, "", 8, 0},           {GET, 0, "5", 7, 0},
        {GET, 0, "4", 7, 0}, {SET, ZBADVERSION, "", 0, 0}, {GET, ZNONODE, "", 0, 0},
        {GET, 0, "4", 7, 0}, {SET, HANGS, "", 0, 0},       {0}};
    struct world world;
    struct value change = pair(4, value_int(NULL, 6));
    world_begin(&world, &zookeeper_register_client, "quorum", script);
    expect(ask(&world, "cas", pair(1, change)), OP_OK, "");
    expect(ask(&world, "cas", pair(1, change)), OP_FAIL, "cas-mismatch");
    expect(ask(&world, "cas", pair(1, change)), OP_FAIL, "conflict");
    expect(ask(&world, "cas", pair(1, change)), OP_FAIL, "cas-mismatch");
    expect(ask(&world, "cas", pair(1, change)), OP_INFO, "timeout");
    world_end(&world);
}

/* What was refused is tried again with what is there then; what is not known is not. */
static void counters_add_once(void **state)
{
    (void)state;
    static const struct line script[] = {{GET, ZNONODE, "", 0, 0}, {CREATE2, ZNODEEXISTS, "", 0, 0},
                                         {GET, 0, "10", 1, 0},     {SET, ZBADVERSION, "", 0, 0},
                                         {GET, 0, "11", 2, 0},     {SET, 0, "", 3, 0},
                                         {GET, 0, "14", 3, 0},     {SET, CLOSES, "", 0, 0},
                                         {GET, HANGS, "", 0, 0},   {0}};
    struct world world;
    world_begin(&world, &zookeeper_counter_client, "local", script);
    expect(ask(&world, "add", pair(1, value_int(NULL, 3))), OP_OK, "");
    expect(ask(&world, "add", pair(1, value_int(NULL, 3))), OP_INFO, "connection-lost");
    expect(ask(&world, "add", pair(1, value_int(NULL, 3))), OP_FAIL, "timeout");
    world_end(&world);
}

static void numbers_are_versions(void **state)
{
    (void)state;
    static const struct line script[] = {
        {SET, 0, "", 12, 0}, {SYNC, 0, "/ordeal", 0, 0}, {GET, 0, "", 13, 0}, {0}};
    struct world world;
    world_begin(&world, &zookeeper_monotonic_client, "sync", script);
    expect_told(ask(&world, "next", value_nil()), "12");
    expect_told(ask(&world, "last", value_nil()), "13");
    expect(ask(&world, "time", value_nil()), OP_FAIL, "unsupported");
    world_end(&world);
}

/* ---- Reads ---- */

static void reads_are_as_new_as_asked(void **state)
{
    (void)state;
    static const struct line local[] = {{GET, 0, "4", 7, 0}, {0}};
    static const struct line sync[] = {{SYNC, 0, "/ordeal", 0, 0}, {GET, 0, "4", 7, 0}, {0}};
    static const struct line quorum[] = {{MULTI, 0, "c", 0, 0}, {GET, ZNONODE, "", 0, 0}, {0}};
    static const struct line refused[] = {{MULTI, ZNOAUTH, "c", 0, 0}, {0}};
    static const struct line lost[] = {{SYNC, CLOSES, "", 0, 0}, {0}};
    static const struct {
        const char *reads;
        const struct line *script;
        const char *value, *error; /* one of them */
    } cases[] = {
        {"local", local, "[3 4]", NULL},         {"sync", sync, "[3 4]", NULL},
        {"quorum", quorum, "[3 nil]", NULL},     {"quorum", refused, NULL, "not-allowed"},
        {"sync", lost, NULL, "connection-lost"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world world;
        world_begin(&world, &zookeeper_register_client, cases[i].reads, cases[i].script);
        struct op op = ask(&world, "read", pair(3, value_nil()));
        if (cases[i].value != NULL)
            expect_told(op, cases[i].value);
        else
            expect(op, OP_FAIL, cases[i].error);
        world_end(&world);
    }
}

static void sets_are_children(void **state)
{
    (void)state;
    static const struct line script[] = {
        {CREATE2, ZNONODE, "", 0, 0},         {CREATE2, ZNODEEXISTS, "", 0, 0},
        {CREATE2, 0, "/ordeal/s-1/17", 0, 0}, {CHILDREN, 0, "17 x 9", 0, 0},
        {CHILDREN, ZNONODE, "", 0, 0},        {0}};
    struct world world;
    world_begin(&world, &zookeeper_set_client, "local", script);
    expect(ask(&world, "add", pair(1, value_int(NULL, 17))), OP_OK, "");
    expect_told(ask(&world, "read", pair(1, value_nil())), "[1 [17 \"x\" 9]]");
    expect_told(ask(&world, "read", pair(1, value_nil())), "[1 []]");
    world_end(&world);
}

/* ---- Transactions ---- */

static struct op do_txn(struct world *world, const char *edn)
{
    struct err err = ERR_INIT;
    struct value value;
    assert_ok(edn_parse_all(&world->scratch, edn, strlen(edn), &value, &err));
    return ask(world, "txn", value);
}

static void lists_change_if_nothing_else_did(void **state)
{
    (void)state;
    static const struct line script[] = {{GET, 0, "1 2", 7, 0},
                                         {GET, ZNONODE, "", 0, 0},
                                         {CREATE2, ZNODEEXISTS, "", 0, 0},
                                         {GET, 0, "", 0, 0},
                                         {MULTI, ZBADVERSION, "sc", 0, 0}, /* and once more */
                                         {GET, 0, "1 2 9", 8, 0},
                                         {GET, 0, "5", 1, 0},
                                         {MULTI, 0, "sc", 9, 0},
                                         {0}};
    struct world world;
    world_begin(&world, &zookeeper_append_client, "quorum", script);
    expect_told(do_txn(&world, "[[:append 3 4] [:r 4 nil] [:r 3 nil]]"),
                "[[:append 3 4] [:r 4 [5]] [:r 3 [1 2 9 4]]]");
    world_end(&world);
}

static void transactions_are_sorted_soundly(void **state)
{
    (void)state;
    static const struct {
        const char *txn, *reads;
        const struct line script[5];
        enum op_type type;
        const char *told; /* the value, or the error */
    } cases[] = {
        {"[1 [[:w 3 4] [:r 3 nil]]]",
         "quorum",
         {{GET, 0, "1", 7, 0}, {MULTI, 0, "s", 8, 0}},
         OP_OK,
         "[1 [[:w 3 4] [:r 3 4]]]"},
        {"[[:w 3 4]]",
         "quorum",
         {{GET, 0, "", 7, 0}, {MULTI, CLOSES, "s", 0, 0}},
         OP_INFO,
         "connection-lost"},
        {"[[:w 3 4]]",
         "quorum",
         {{GET, 0, "", 7, 0}, {MULTI, HANGS, "s", 0, 0}},
         OP_INFO,
         "timeout"},
        {"[[:w 3 4]]",
         "quorum",
         {{GET, 0, "", 7, 0}, {MULTI, ZSESSIONMOVED, "s", 0, 0}},
         OP_FAIL,
         "session-moved"},
        {"[[:w 3 4]]", "quorum", {{GET, CLOSES, "", 7, 0}}, OP_FAIL, "connection-lost"},
        /* What only reads has failed whatever happened, and is not checked where it is local. */
        {"[[:r 3 nil]]",
         "quorum",
         {{GET, 0, "", 7, 0}, {MULTI, HANGS, "c", 0, 0}},
         OP_FAIL,
         "timeout"},
        {"[[:r 3 nil]]",
         "sync",
         {{GET, 0, "", 7, 0}, {MULTI, 0, "c", 0, 0}},
         OP_OK,
         "[[:r 3 nil]]"},
        {"[[:r 3 nil]]", "local", {{GET, 0, "8", 7, 0}}, OP_OK, "[[:r 3 8]]"},
        {"[[:append 3 1]]", "local", {{0}}, OP_FAIL, "unsupported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world world;
        world_begin(&world, &zookeeper_txn_register_client, cases[i].reads, cases[i].script);
        struct op op = do_txn(&world, cases[i].txn);
        if (cases[i].type == OP_OK)
            expect_told(op, cases[i].told);
        else
            expect(op, cases[i].type, cases[i].told);
        world_end(&world);
    }
}

static void conflicts_without_end_fail(void **state)
{
    (void)state;
    static const struct line script[] = {{GET, 0, "", 1, 0},
                                         {MULTI, ZBADVERSION, "c", 0, 0},
                                         {GET, 0, "", 2, 0},
                                         {MULTI, ZBADVERSION, "c", 0, 0},
                                         {GET, 0, "", 3, 0},
                                         {MULTI, ZBADVERSION, "c", 0, 0},
                                         {GET, 0, "", 4, 0},
                                         {MULTI, ZBADVERSION, "c", 0, 0},
                                         {0}};
    struct world world;
    world_begin(&world, &zookeeper_txn_register_client, "quorum", script);
    expect(do_txn(&world, "[[:r 3 nil]]"), OP_FAIL, "conflict");
    assert_int_equal(world.fake.requests, 8);
    world_end(&world);
}

/* ---- Locks ---- */

#define MINE                                                                                       \
    {                                                                                              \
        CREATE2, 0, "/ordeal/lock-1/n-0000000012", 0, 77                                           \
    }

static void the_first_in_the_queue_holds_the_lock(void **state)
{
    (void)state;
    static const struct line script[] = {
        MINE,
        {CHILDREN, 0, "n-0000000013 n-0000000011 n-0000000012", 0, 0},
        {EXISTS, ZNONODE, "", 0, 0}, /* it has just gone */
        {CHILDREN, 0, "n-0000000013 n-0000000012", 0, 0},
        {DELETE, ZNONODE, "", 0, 0},
        {0}};
    struct world world;
    world_begin(&world, &zookeeper_lock_client, "quorum", script);
    expect_told(ask(&world, "acquire", pair(1, value_nil())), "[1 {:fence 77}]");
    expect(ask(&world, "release", pair(1, value_nil())), OP_OK, "");
    expect(ask(&world, "release", pair(1, value_nil())), OP_INFO, "not-held");
    world_end(&world);
}

static void who_withdraws_never_held_it(void **state)
{
    (void)state;
    static const struct {
        int error; /* of the withdrawal */
        enum op_type type;
        const char *keyword;
    } cases[] = {{0, OP_FAIL, "busy"}, {ZNONODE, OP_FAIL, "busy"}, {HANGS, OP_INFO, "timeout"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct line script[] = {MINE,
                                      {CHILDREN, 0, "n-0000000011 n-0000000012", 0, 0},
                                      {EXISTS, 0, "", 0, 0}, /* and nothing happens to it */
                                      {DELETE, cases[i].error, "", 0, 0},
                                      {0}};
        struct world world;
        world_begin(&world, &zookeeper_lock_client, "quorum", script);
        expect(ask(&world, "acquire", pair(1, value_nil())), cases[i].type, cases[i].keyword);
        world_end(&world);
    }
}

static void who_is_not_in_the_queue_does_not_hold_it(void **state)
{
    (void)state;
    static const struct line script[] = {MINE, {CHILDREN, 0, "n-0000000013", 0, 0}, {0}};
    static const struct line lost[] = {{CREATE2, CLOSES, "", 0, 0}, {0}};
    struct world world;
    world_begin(&world, &zookeeper_lock_client, "quorum", script);
    expect(ask(&world, "acquire", pair(1, value_nil())), OP_FAIL, "session-expired");
    world_end(&world);
    world_begin(&world, &zookeeper_lock_client, "quorum", lost);
    expect(ask(&world, "acquire", pair(1, value_nil())), OP_INFO, "connection-lost");
    world_end(&world);
}

/* Else the lock would go to another while the history says that it is held. */
static void what_is_held_in_the_end_stays_so(void **state)
{
    (void)state;
    static const struct line script[] = {MINE, {CHILDREN, 0, "n-0000000012", 0, 0}, {0}};
    struct world world;
    world_begin(&world, &zookeeper_lock_client, "quorum", script);
    expect_told(ask(&world, "acquire", pair(1, value_nil())), "[1 {:fence 77}]");
    world_end(&world);
    assert_int_equal(world.fake.sessions_closed, 0);
    static const struct line free_again[] = {
        MINE, {CHILDREN, 0, "n-0000000012", 0, 0}, {DELETE, 0, "", 0, 0}, {0}};
    world_begin(&world, &zookeeper_lock_client, "quorum", free_again);
    expect_told(ask(&world, "acquire", pair(1, value_nil())), "[1 {:fence 77}]");
    expect(ask(&world, "release", pair(1, value_nil())), OP_OK, "");
    world_end(&world);
    assert_int_equal(world.fake.sessions_closed, 1);
}

/* ---- Servers ---- */

static void configurations_say_what_was_asked(void **state)
{
    (void)state;
    static const struct line script[] = {{0}};
    struct world world;
    struct buf text = BUF_INIT;
    world_begin(&world, &zookeeper_set_client, "local", script);
    zookeeper_config(&world.test, 1, &text);
    assert_contains(text.data, "tickTime=500\n");
    assert_contains(text.data, "dataDir=/var/lib/ordeal-zookeeper\n");
    assert_contains(text.data, "server.3=127.0.0.3:2888:3888\n");
    world.test.node_count = 1;
    buf_clear(&text);
    zookeeper_config(&world.test, 0, &text);
    assert_null(strstr(text.data, "server.")); /* it stands alone */
    world.test.node_count = 3;
    buf_free(&text);
    world_end(&world);
}

static void servers_tell_what_they_are(void **state)
{
    (void)state;
    struct buf version = BUF_INIT;
    assert_int_equal(zookeeper_mode_of("Zookeeper version: 3.8.0-x\nMode: leader\nNode count: 5\n"),
                     ZOOKEEPER_LEADS);
    assert_int_equal(zookeeper_mode_of("Mode: follower\n"), ZOOKEEPER_FOLLOWS);
    assert_int_equal(zookeeper_mode_of("a\nMode: standalone\n"), ZOOKEEPER_ALONE);
    assert_int_equal(zookeeper_mode_of("This ZooKeeper instance is not currently serving requests"),
                     ZOOKEEPER_SILENT);
    assert_int_equal(zookeeper_mode_of(""), ZOOKEEPER_SILENT);
    zookeeper_version_of("Zookeeper version: 3.8.0-5a02a05, built on 2022\nMode: leader\n",
                         &version);
    assert_string_equal(version.data, "3.8.0");
    buf_clear(&version);
    zookeeper_version_of("srvr is not executed because it is not in the whitelist.", &version);
    assert_int_equal(version.length, 0);
    buf_free(&version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_sorted_soundly),
        cmocka_unit_test(writes_are_sorted_soundly),
        cmocka_unit_test(who_cannot_connect_has_sent_nothing),
        cmocka_unit_test(a_register_that_is_not_there_is_made),
        cmocka_unit_test(cas_is_by_version),
        cmocka_unit_test(counters_add_once),
        cmocka_unit_test(numbers_are_versions),
        cmocka_unit_test(reads_are_as_new_as_asked),
        cmocka_unit_test(sets_are_children),
        cmocka_unit_test(lists_change_if_nothing_else_did),
        cmocka_unit_test(transactions_are_sorted_soundly),
        cmocka_unit_test(conflicts_without_end_fail),
        cmocka_unit_test(the_first_in_the_queue_holds_the_lock),
        cmocka_unit_test(who_withdraws_never_held_it),
        cmocka_unit_test(who_is_not_in_the_queue_does_not_hold_it),
        cmocka_unit_test(what_is_held_in_the_end_stays_so),
        cmocka_unit_test(configurations_say_what_was_asked),
        cmocka_unit_test(servers_tell_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
