/* Power loss on real servers: one that says so before it syncs loses what it acknowledged, one that
 * syncs first loses nothing. Each is started by an agent on a disk of its own, written to until the
 * power goes, and asked afterwards for what it has. */
#include <arpa/inet.h>
#include <ftw.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tests/lib/agent_disk.h"

static int begin(void **state)
{
    return disk_begin(state, "size_mb=256");
}

static int begin_strict(void **state)
{
    return disk_begin(state, "file_system=strict");
}

/* ---- A client ---- */

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, length) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static int try_connect(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return fd;
    }
    close(fd);
    return -1;
}

/* Sends a text and reads until what came holds `wanted`; false at the end, and in time. */
static bool ask(int fd, const char *text, const char *wanted, char *answer, size_t size)
{
    size_t length = strlen(text), got = 0;
    answer[0] = '\0';
    if (send(fd, text, length, MSG_NOSIGNAL) != (ssize_t)length)
        return false;
    while (strstr(answer, wanted) == NULL && got + 1 < size) {
        ssize_t count = recv(fd, answer + got, size - 1 - got, 0);
        if (count <= 0)
            return false;
        got += (size_t)count;
        answer[got] = '\0';
    }
    return strstr(answer, wanted) != NULL;
}

static long number_after(const char *text, const char *key)
{
    const char *found = strstr(text, key);
    assert_non_null(found);
    return strtol(found + strlen(key), NULL, 10);
}

/* ---- The servers: how each is written to, once, and asked how much it has ---- */

struct store {
    const char *name, *program;
    const char *arguments[12]; /* %s: its directory; a number: its port, and 1: a second one */
    bool (*ready)(int fd);
    bool (*add)(int fd, int number); /* acknowledged */
    long (*count)(int fd);
    bool forgets_names; /* it does not sync directories, so the test does */
};

static bool redis_ready(int fd)
{
    char answer[256];
    return ask(fd, "PING\r\n", "+PONG\r\n", answer, sizeof answer);
}

static bool redis_add(int fd, int number)
{
    char text[64], answer[256];
    snprintf(text, sizeof text, "SET key-%d value\r\n", number);
    return ask(fd, text, "+OK\r\n", answer, sizeof answer);
}

static long redis_count(int fd)
{
    char answer[256];
    assert_true(ask(fd, "DBSIZE\r\n", "\r\n", answer, sizeof answer));
    return number_after(answer, ":");
}

static bool queue_add(int fd, int number)
{
    char text[64], answer[256];
    snprintf(text, sizeof text, "ADDJOB q body-%d 5000\r\n", number);
    return ask(fd, text, " committed\r\n", answer, sizeof answer);
}

static bool queue_ready(int fd)
{
    char answer[256];
    return ask(fd, "QLEN q\r\n", "\r\n", answer, sizeof answer) && answer[0] == ':';
}

static long queue_count(int fd)
{
    char answer[256];
    assert_true(ask(fd, "QLEN q\r\n", "\r\n", answer, sizeof answer));
    return number_after(answer, ":");
}

/* Makes the stream, which is there already the second time. */
static bool nats_ready(int fd)
{
    static const char stream[] = "{\"name\":\"S\",\"subjects\":[\"s\"],\"storage\":\"file\"}";
    char text[512], answer[8192];
    snprintf(
        text, sizeof text,
        "CONNECT {\"verbose\":false}\r\nSUB i 1\r\nPUB $JS.API.STREAM.CREATE.S i %zu\r\n%s\r\n",
        sizeof stream - 1, stream);
    return ask(fd, text, "stream_create_response", answer, sizeof answer);
}

static bool nats_add(int fd, int number)
{
    char text[128], body[32], answer[512];
    int length = snprintf(body, sizeof body, "value %d", number);
    snprintf(text, sizeof text, "PUB s i %d\r\n%s\r\n", length, body);
    return ask(fd, text, "\"seq\":", answer, sizeof answer);
}

static long nats_count(int fd)
{
    char answer[8192];
    assert_true(ask(fd, "PUB $JS.API.STREAM.INFO.S i 0\r\n\r\n", "\"messages\":", answer,
                    sizeof answer - 64));
    return number_after(answer, "\"messages\":");
}

static bool etcd_request(int fd, const char *path, const char *body, const char *wanted,
                         char *answer, size_t size)
{
    char text[512];
    snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: etcd\r\nContent-Length: %zu\r\n\r\n%s",
             path, strlen(body), body);
    return ask(fd, text, wanted, answer, size);
}

/* Keys are in base 64: of three digits, so that they need no padding. */
static bool etcd_add(int fd, int number)
{
    char body[64], answer[2048];
    snprintf(body, sizeof body, "{\"key\":\"%04d\",\"value\":\"AAAA\"}", number % 10000);
    return etcd_request(fd, "/v3/kv/put", body, "\"revision\"", answer, sizeof answer) &&
           strstr(answer, "200 OK") != NULL && (strchr(answer, '}') != NULL);
}

static long etcd_count(int fd)
{
    char answer[4096];
    if (!etcd_request(fd, "/v3/kv/range",
                      "{\"key\":\"AA==\",\"range_end\":\"AA==\",\"count_only\":true}",
                      "\"count\":\"", answer, sizeof answer))
        fail_msg("etcd says %s", answer);
    return number_after(answer, "\"count\":\"");
}

static bool etcd_ready(int fd)
{
    char answer[4096];
    return etcd_request(fd, "/v3/maintenance/status", "{}", "\"leader\":\"", answer, sizeof answer);
}

static const struct store redis_everysec = {
    .name = "Redis, appendfsync everysec",
    .program = "redis-server",
    .arguments = {"--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--dir", "%s",
                  "--port", "0"},
    .ready = redis_ready,
    .add = redis_add,
    .count = redis_count,
};
static const struct store redis_always = {
    .name = "Redis, appendfsync always",
    .program = "redis-server",
    .arguments = {"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", "%s",
                  "--port", "0"},
    .ready = redis_ready,
    .add = redis_add,
    .count = redis_count,
};
static const struct store nats = {
    .name = "NATS JetStream as it comes",
    .program = "nats-server",
    .arguments = {"-js", "-sd", "%s", "-a", "127.0.0.1", "-p", "0"},
    .ready = nats_ready,
    .add = nats_add,
    .count = nats_count,
};
/* Of its directories it syncs but one, `member`: on a strict disk all would be gone with the name
 * of its first log. The journals of real ones keep that. */
static const struct store etcd = {
    .name = "etcd",
    .program = "etcd",
    .arguments = {"--data-dir", "%s", "--listen-client-urls", "http://127.0.0.1:0",
                  "--advertise-client-urls", "http://127.0.0.1:0", "--listen-peer-urls",
                  "http://127.0.0.1:1", "--log-level", "error"},
    .ready = etcd_ready,
    .add = etcd_add,
    .count = etcd_count,
    .forgets_names = true,
};
static const struct store queue = {
    .name = "ordeal-queue",
    .program = NULL, /* ours */
    .arguments = {"--dir", "%s", "--port", "0", "--peer-port", "1"},
    .ready = queue_ready,
    .add = queue_add,
    .count = queue_count,
};

/* ---- The trial ---- */

/* "http://127.0.0.1:0" with the first port, "...:1" with the second, "%s" the directory. */
static void fill_in(char field[512], const char *pattern, const char *path, const int ports[2])
{
    size_t length = strlen(pattern);
    char last = length > 0 ? pattern[length - 1] : '\0';
    if (strcmp(pattern, "%s") == 0)
        snprintf(field, 512, "arg=%s", path);
    else if ((last == '0' || last == '1') && (length == 1 || pattern[length - 2] == ':'))
        snprintf(field, 512, "arg=%.*s%d", (int)length - 1, pattern, ports[last - '0']);
    else
        snprintf(field, 512, "arg=%s", pattern);
}

static void start(struct disk_fixture *fixture, const struct store *store, const int ports[2])
{
    static char fields[16][512];
    const char *words[20] = {"daemon-start", "name=store", fields[0]};
    if (store->program != NULL)
        snprintf(fields[0], sizeof fields[0], "arg=%s", store->program);
    else
        snprintf(fields[0], sizeof fields[0], "arg=%s/ordeal-queue", getenv("ORDEAL_BUILD"));
    for (size_t i = 0; i < 12 && store->arguments[i] != NULL; i++) {
        fill_in(fields[i + 1], store->arguments[i], fixture->path, ports);
        words[i + 3] = fields[i + 1];
    }
    agent_do_list(&fixture->agent, words);
}

static int connect_when_ready(const struct store *store, int port)
{
    int64_t deadline_ns = clock_monotonic_ns() + AGENT_WAIT_NS;
    while (clock_monotonic_ns() < deadline_ns) {
        int fd = try_connect(port);
        if (fd >= 0 && store->ready(fd))
            return fd;
        if (fd >= 0)
            close(fd);
        clock_sleep_ns(20 * NS_PER_MS);
    }
    fail_msg("%s does not serve", store->name);
    return -1;
}

static int sync_if_directory(const char *path, const struct stat *status, int kind,
                             struct FTW *where)
{
    (void)status, (void)where;
    int fd = kind == FTW_D ? open(path, O_RDONLY | O_DIRECTORY) : -1;
    if (fd >= 0)
        assert_int_equal(fsync(fd), 0);
    if (fd >= 0)
        close(fd);
    return 0;
}

/* How many of the acknowledged it still has. */
static void lose_power(void **state, const struct store *store, long *acknowledged, long *kept)
{
    enum { MOST = 9999 }; /* keys of etcd */
    struct disk_fixture *fixture = *state;
    const int ports[2] = {free_port(), free_port()};
    if (store->program != NULL) {
        char command[128];
        snprintf(command, sizeof command, "PATH=$PATH:/usr/sbin:/sbin command -v %s >/dev/null",
                 store->program);
        if (system(command) != 0)
            test_skip("needs that server: tools/deps.sh root");
    }
    agent_do(&fixture->agent, "disk-give", fixture->field, fixture->kind);
    start(fixture, store, ports);
    int fd = connect_when_ready(store, ports[0]);
    if (store->forgets_names)
        nftw(fixture->path, sync_if_directory, 16, FTW_PHYS | FTW_MOUNT);
    *acknowledged = 0;
    for (int64_t until_ns = clock_monotonic_ns() + 600 * NS_PER_MS;
         clock_monotonic_ns() < until_ns && *acknowledged < MOST; (*acknowledged)++)
        assert_true(store->add(fd, (int)*acknowledged));
    assert_true(*acknowledged > 10);
    assert_int_equal(store->count(fd), *acknowledged);
    agent_do(&fixture->agent, "daemon-signal", "name=store", "signal=KILL");
    agent_do(&fixture->agent, "disk-cut", fixture->field);
    close(fd);
    agent_do(&fixture->agent, "disk-back", fixture->field);
    start(fixture, store, ports);
    fd = connect_when_ready(store, ports[0]);
    *kept = store->count(fd);
    close(fd);
    agent_do(&fixture->agent, "daemon-stop", "name=store", "grace_ms=2000");
    printf("# %s: %ld acknowledged, %ld lost\n", store->name, *acknowledged, *acknowledged - *kept);
}

/* Its own sync may fall between the last answer and the power: then there is nothing to lose. */
static void who_syncs_later_loses(void **state, const struct store *store)
{
    enum { ROUNDS = 5 };
    need_root();
    long acknowledged, kept;
    lose_power(state, store, &acknowledged, &kept);
    for (int round = 1; round < ROUNDS && kept == acknowledged; round++) {
        struct disk_fixture *fixture = *state;
        char undo[300];
        snprintf(undo, sizeof undo, "id=disk:%s", fixture->path);
        agent_do(&fixture->agent, "fault-undo", undo);
        lose_power(state, store, &acknowledged, &kept);
    }
    assert_true(kept < acknowledged);
}

static void who_syncs_first_loses_nothing(void **state, const struct store *store)
{
    need_root();
    long acknowledged, kept;
    lose_power(state, store, &acknowledged, &kept);
    assert_int_equal(kept, acknowledged);
}

static void redis_that_syncs_every_second_loses(void **state)
{
    who_syncs_later_loses(state, &redis_everysec);
}

static void redis_that_always_syncs_loses_nothing(void **state)
{
    who_syncs_first_loses_nothing(state, &redis_always);
}

static void jetstream_as_it_comes_loses(void **state)
{
    who_syncs_later_loses(state, &nats);
}

static void etcd_loses_nothing(void **state)
{
    who_syncs_first_loses_nothing(state, &etcd);
}

static void the_queue_loses_nothing(void **state)
{
    who_syncs_first_loses_nothing(state, &queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(redis_that_syncs_every_second_loses, begin, disk_finish),
        cmocka_unit_test_setup_teardown(redis_that_always_syncs_loses_nothing, begin, disk_finish),
        cmocka_unit_test_setup_teardown(jetstream_as_it_comes_loses, begin, disk_finish),
        cmocka_unit_test_setup_teardown(etcd_loses_nothing, begin, disk_finish),
        cmocka_unit_test_setup_teardown(etcd_loses_nothing, begin_strict, disk_finish),
        cmocka_unit_test_setup_teardown(the_queue_loses_nothing, begin, disk_finish),
        cmocka_unit_test_setup_teardown(the_queue_loses_nothing, begin_strict, disk_finish),
    };
    disk_own_mounts();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
