/* Requests: what is cut, parsed and refused, inside this process; and the real agent's answers. */
#include "harness/agent/agentd.h"
#include "harness/agent/netlink.h"
#include "tests/lib/agent_process.h"

static struct agentd agent;
static const struct agentd_options options = {.owner = "test", .run_dir = "/nowhere"};

static int begin(void **state)
{
    (void)state;
    agent = (struct agentd){.options = &options, .probe = {.fd = -1}};
    return 0;
}

static int finish(void **state)
{
    (void)state;
    buf_free(&agent.input);
    buf_free(&agent.output);
    arena_free(&agent.scratch);
    return 0;
}

/* What the agent answers to these bytes; valid until the next call. */
static const char *answer(const char *bytes)
{
    buf_clear(&agent.output);
    agentd_feed(&agent, bytes, strlen(bytes), clock_monotonic_ns());
    return buf_text(&agent.output);
}

static void requests_come_in_pieces_and_in_heaps(void **state)
{
    (void)state;
    assert_string_equal(answer("7\tpi"), "");
    assert_string_equal(answer("ng\n8\tping\n9\tping\n\n10\t"), "7\tok\n8\tok\n9\tok\n");
    assert_string_equal(answer("ping\n"), "10\tok\n");
    assert_string_equal(answer("a b\\tc\tping\n"), "a b\\tc\tok\n");
}

static void bad_requests_are_refused_by_field(void **state)
{
    (void)state;
    static const struct {
        const char *request, *reply;
    } cases[] = {
        {"1\tdance\n", "1\terr\tunknown-verb\tthere is no verb 'dance'\n"},
        {"1\n", "1\terr\tunknown-verb\tthere is no verb ''\n"},
        {"1\tping\tx=1\n", "1\terr\tbad-request\tping has no field 'x'\n"},
        {"1\tping\tx\n", "1\terr\tbad-request\t'x' is not a key=value field\n"},
        {"1\tdaemon-stop\n", "1\terr\tbad-request\tname: daemon-stop needs it\n"},
        {"1\tdaemon-stop\tname=a\tname=b\n", "1\terr\tbad-request\tname: given twice\n"},
        {"1\tdaemon-stop\tname=a\tgrace_ms=-1\n",
         "1\terr\tbad-request\tgrace_ms: '-1' is not a number from 0 to 600000\n"},
        {"1\tdaemon-stop\tname=a\tgrace_ms=5x\n",
         "1\terr\tbad-request\tgrace_ms: '5x' is not a number from 0 to 600000\n"},
        {"1\tdaemon-stop\tname=\n",
         "1\terr\tbad-request\tname: '' is not 1 to 64 letters, digits or . _ : @ + -\n"},
        {"1\tdaemon-stop\tname=../x\n",
         "1\terr\tbad-request\tname: '../x' is not 1 to 64 letters, digits or . _ : @ + -\n"},
        {"1\tdaemon-start\tname=a\targ=b\\0c\n", "1\terr\tbad-request\targ: it holds a NUL byte\n"},
        {"1\tdaemon-start\tname=a\targ=/x\tenv=novalue\n",
         "1\terr\tbad-request\tenv: 'novalue' is not NAME=VALUE\n"},
        {"1\tprobe-listen\tport=65536\n",
         "1\terr\tbad-request\tport: '65536' is not a number from 0 to 65535\n"},
        {"1\tprobe-wait\tnonce=n\tfrom=here\n",
         "1\terr\tbad-request\tfrom: 'here' is not an IPv4 or IPv6 address\n"},
        {"1\tfault-block\tid=x\tfrom=1.2.3\n",
         "1\terr\tbad-request\tfrom: '1.2.3' is not an IPv4 or IPv6 address\n"},
        {"1\tfault-block\tid=x\n",
         "1\terr\tbad-request\tfrom: at least one from= or to= address is needed\n"},
        {"1\tfault-block\tid=x\tto=::1\tport=80\n",
         "1\terr\tbad-request\tproto: a port needs proto=tcp or proto=udp\n"},
        {"1\tfault-block\tid=x\tto=::1\tproto=sctp\n",
         "1\terr\tbad-request\tproto: 'sctp' is neither tcp nor udp\n"},
        {"1\tprocess-signal\tcomm=nosuchprocess\tsignal=HUP\n",
         "1\terr\tbad-request\tsignal: 'HUP' is not STOP, CONT, KILL or TERM\n"},
        {"1\tfault-undo\tid=x\n", "1\terr\tnot-found\tthere is no fault x in force\n"},
        {"!\tping\n",
         "-\terr\tbad-request\tid: the first field must be 1 to 64 bytes, not beginning "
         "with '!'\n"},
        {"\tping\n",
         "-\terr\tbad-request\tid: the first field must be 1 to 64 bytes, not beginning "
         "with '!'\n"},
        {"1\tping\\q\n", "-\terr\tbad-request\tbyte 7: a backslash that escapes nothing\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(answer(cases[i].request), cases[i].reply);
}

static void a_line_without_end_is_dropped_and_the_next_one_heard(void **state)
{
    (void)state;
    char *piece = test_malloc(100001);
    memset(piece, 'x', 100000);
    piece[100000] = '\0';
    int refused = 0;
    for (int i = 0; i < 30; i++)
        refused += strlen(answer(piece)) > 0;
    assert_int_equal(refused, 1);
    assert_true(agent.input.length <= LINE_BYTES_MAX);
    assert_string_equal(answer("tail\n5\tping\n"), "5\tok\n");
    test_free(piece);
}

static void too_many_fields_are_refused(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "1\tfault-block\tid=x");
    for (int i = 0; i < 2000; i++)
        buf_add_text(&text, "\tfrom=10.0.0.1");
    buf_add_char(&text, '\n');
    assert_contains(answer(buf_text(&text)), "-\terr\tbad-request\tline of");
    buf_clear(&text);
    buf_add_text(&text, "1\tfault-block\tid=x");
    for (int i = 0; i < 300; i++)
        buf_add_text(&text, "\tfrom=10.0.0.1");
    buf_add_char(&text, '\n');
    assert_contains(answer(buf_text(&text)), "from: more than 256 addresses");
    buf_free(&text);
}

static void no_garbage_stops_the_agent(void **state)
{
    (void)state;
    static const char *const seeds[] = {
        "1\tdaemon-stop\tname=a\tgrace_ms=5", "2\tfault-counters\tid=q",
        "3\tprobe-wait\tnonce=n\tfrom=::1\ttimeout_ms=0", "4\tping"};
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        char bytes[64];
        size_t length = strlen(seeds[i % 4]);
        memcpy(bytes, seeds[i % 4], length);
        bytes[length++] = '\n';
        for (int change = 0; change < 3; change++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes[random % length] = (char)(random >> 32);
        }
        buf_clear(&agent.output);
        agentd_feed(&agent, bytes, length, 0);
    }
    answer("\n");
    assert_string_equal(answer("5\tping\n"), "5\tok\n");
}

static void waits_are_bounded(void **state)
{
    (void)state;
    struct agent_process real = {.network = -1};
    char directory[200];
    agent_make_directory(directory, sizeof directory);
    agent_serve(&real, directory, "--firewall", "none");
    agent_refused(&real, "not-running", "probe-wait", "nonce=n", "from=127.0.0.1");
    agent_do(&real, "probe-listen", "port=0");
    const char *const fields[] = {"nonce=never", "from=127.0.0.1", "timeout_ms=600000", NULL};
    for (int i = 0; i < 256; i++)
        agent_send(&real, "probe-wait", fields);
    assert_contains(agent_refused(&real, "limit", "probe-wait", "nonce=n", "from=127.0.0.1"),
                    "256 requests");
    agent_do(&real, "ping");
    assert_int_equal(agent_end(&real), 0);
}

static void probes_are_seen_by_source(void **state)
{
    (void)state;
    struct agent_process real = {.network = -1};
    char directory[200], port[32];
    agent_make_directory(directory, sizeof directory);
    agent_serve(&real, directory, "--firewall", "none");
    struct line reply = agent_do(&real, "probe-listen", "port=0");
    snprintf(port, sizeof port, "port=%s", line_get(&reply, "port"));
    uint32_t waiting =
        agent_send(&real, "probe-wait",
                   (const char *[]){"nonce=first", "from=127.0.0.1", "timeout_ms=20000", NULL});
    uint32_t elsewhere =
        agent_send(&real, "probe-wait",
                   (const char *[]){"nonce=first", "from=10.1.2.3", "timeout_ms=300", NULL});
    reply = agent_do(&real, "probe-send", "to=127.0.0.1", port, "nonce=first", "count=3");
    assert_int_equal(line_get_int(&reply, "sent", 0), 3);
    reply = agent_reply(&real, waiting);
    assert_int_equal(line_get_int(&reply, "seen", -1), 1);
    assert_string_equal(line_get(&reply, "from"), "127.0.0.1");
    /* Remembered, so asking later finds it too. */
    reply = agent_do(&real, "probe-wait", "nonce=first", "timeout_ms=0");
    assert_int_equal(line_get_int(&reply, "seen", -1), 1);
    reply = agent_reply(&real, elsewhere);
    assert_int_equal(line_get_int(&reply, "seen", -1), 0);
    assert_true(line_get_int(&reply, "elapsed_ns", 0) >= 300 * NS_PER_MS);
    if (line_get_int(&real.hello, "ipv6", 0) == 1) {
        agent_do(&real, "probe-send", "to=::1", port, "nonce=sixth");
        reply = agent_do(&real, "probe-wait", "nonce=sixth", "from=::1", "timeout_ms=20000");
        assert_int_equal(line_get_int(&reply, "seen", -1), 1);
    }
    assert_int_equal(agent_end(&real), 0);
}

static void files_are_read_within_bounds(void **state)
{
    (void)state;
    struct agent_process real = {.network = -1};
    char directory[200], path[256], field[300];
    agent_make_directory(directory, sizeof directory);
    agent_serve(&real, directory, "--firewall", "none");
    snprintf(path, sizeof path, "%s/file", directory);
    snprintf(field, sizeof field, "path=%s", path);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 300 * 1024; i++)
        fputc("a\t\n\\"[i % 4], file);
    fclose(file);
    struct arena *arena = &real.arena;
    struct line reply = agent_do(&real, "read-file", field);
    assert_int_equal(line_get_int(&reply, "size", 0), 300 * 1024);
    const char *data = line_get(&reply, "data");
    assert_int_equal(strlen(data), 256 * 1024);
    assert_memory_equal(data, "a\t\n\\a\t\n\\", 8);
    reply = agent_do(&real, "read-file", field, "tail=5");
    assert_string_equal(line_get(&reply, "data"), "\\a\t\n\\");
    assert_int_equal(line_get_int(&reply, "offset", 0), 300 * 1024 - 5);
    assert_contains(agent_refused(&real, "not-found", "read-file", "path=/no/such/file"),
                    "cannot read /no/such/file: No such file or directory");
    assert_contains(agent_refused(&real, "failed", "read-file", "path=/tmp"), "it is not a file");
    reply = agent_do(&real, "clock");
    assert_true(llabs((long long)(line_get_int(&reply, "wall_ns", 0) - clock_wall_ns())) <
                AGENT_WAIT_NS);
    assert_true(line_get_int(&reply, "monotonic_ns", 0) <= clock_monotonic_ns());
    assert_true(arena->used_bytes > 0);
    assert_int_equal(agent_end(&real), 0);
}

static void addresses_and_connections_are_parsed(void **state)
{
    (void)state;
    struct agentd_address address;
    struct agentd_connection connection;
    struct err err = ERR_INIT;
    assert_ok(agentd_address_parse("::ffff:10.1.2.3", &address, &err));
    assert_string_equal(address.text, "10.1.2.3");
    assert_int_equal(address.family, AF_INET);
    assert_ok(agentd_address_parse("FE80:0::1%eth0", &address, &err));
    assert_string_equal(address.text, "fe80::1");
    assert_int_equal(agentd_address_parse("", &address, &err), ERR_CONFIG);
    assert_int_equal(agentd_address_parse("10.0.0.1/8", &address, &err), ERR_CONFIG);
    assert_ok(agentd_connection_parse("10.0.0.9 50022 10.0.0.1 22", &connection, &err));
    assert_int_equal(connection.client_port, 50022);
    assert_string_equal(connection.server.text, "10.0.0.1");
    static const char *const wrong[] = {"10.0.0.9 50022 10.0.0.1", "10.0.0.9 0 10.0.0.1 22",
                                        "10.0.0.9 50022 ::1 22", "a b c d",
                                        "1.1.1.1 2 3.3.3.3 4 5"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(agentd_connection_parse(wrong[i], &connection, &err), ERR_CONFIG);
        assert_contains(err.message, "--ssh");
    }
}

static void damaged_netlink_attributes_end_the_walk(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    agentd_netlink_put_u32(&bytes, 7, 42);
    agentd_netlink_put_text(&bytes, 8, "abc");
    const uint8_t *data = (const uint8_t *)bytes.data;
    struct agentd_attribute found = agentd_netlink_find(data, bytes.length, 8);
    assert_int_equal(found.length, 4);
    assert_memory_equal(found.value, "abc", 4);
    for (size_t length = 0; length < bytes.length; length++) /* cut anywhere */
        assert_null(agentd_netlink_find(data, length, 8).value);
    bytes.data[0] = 1; /* shorter than its own header */
    bytes.data[1] = 0;
    assert_null(agentd_netlink_find(data, bytes.length, 8).value);
    buf_free(&bytes);
}

static void bad_arguments_are_one_line_and_status_254(void **state)
{
    (void)state;
    static const char *const cases[][6] = {
        {NULL},
        {"dance", NULL},
        {"serve", NULL},
        {"serve", "--owner", NULL},
        {"serve", "--owner", "me", "--lease-ms", "soon", NULL},
        {"serve", "--owner", "me", "--firewall", "magic", NULL},
        {"serve", "--owner", "me", "--ssh", "nonsense", NULL},
        {"serve", "--owner", "me", "--run-dir", "relative", NULL},
        {"heal", "--owner", "me", NULL},
        {"journal", "extra", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct agent_process real = {.network = -1};
        agent_start(&real, cases[i]);
        assert_int_equal(agent_wait(&real), 254);
    }
    struct agent_process real = {.network = -1};
    agent_start(&real, (const char *[]){"serve", "--help", NULL});
    assert_int_equal(agent_wait(&real), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_come_in_pieces_and_in_heaps, begin, finish),
        cmocka_unit_test_setup_teardown(bad_requests_are_refused_by_field, begin, finish),
        cmocka_unit_test_setup_teardown(a_line_without_end_is_dropped_and_the_next_one_heard, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(too_many_fields_are_refused, begin, finish),
        cmocka_unit_test_setup_teardown(no_garbage_stops_the_agent, begin, finish),
        cmocka_unit_test(waits_are_bounded),
        cmocka_unit_test(probes_are_seen_by_source),
        cmocka_unit_test(files_are_read_within_bounds),
        cmocka_unit_test(addresses_and_connections_are_parsed),
        cmocka_unit_test(damaged_netlink_attributes_end_the_walk),
        cmocka_unit_test(bad_arguments_are_one_line_and_status_254),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
