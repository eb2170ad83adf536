/* Shapes as commands for tc, and what netem cannot do. What a kernel makes of them:
 * tests/integration/agent_netem_test.c. */
#include <string.h>

#include "harness/agent/netem.h"
#include "harness/base/clock.h"
#include "tests/lib/test.h"

enum { TARGETS = 3 };
static struct agentd_target targets[TARGETS];
static struct agentd_block block = {.id = "s", .count = TARGETS, .targets = targets};

static int set_up(void **state)
{
    (void)state;
    static const char *const addresses[TARGETS] = {"10.0.0.2", "fd00::2", "10.0.0.3"};
    struct err err = ERR_INIT;
    for (size_t i = 0; i < TARGETS; i++)
        assert_ok(agentd_address_parse(addresses[i], &targets[i].address, &err));
    return 0;
}

static struct buf commands_for(const struct agentd_shape *shape, uint32_t device)
{
    struct agentd_routes routes = {.count = 2, .devices = {"eth0", "eth1"}, .of = {0, 0, 1}};
    struct agentd_connection control = {.server_port = 22};
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    assert_ok(agentd_address_parse("fd00::9", &control.client, &err));
    agentd_netem_commands(&block, &routes, device, shape, &control, 1, &text);
    return text;
}

static void expect(const struct agentd_shape *shape, uint32_t device, const char *commands)
{
    struct buf text = commands_for(shape, device);
    assert_string_equal(buf_text(&text), commands);
    buf_free(&text);
}

#define ROOT_OF(device)                                                                            \
    "qdisc add dev " device " root handle dea1: htb\n"                                             \
    "filter add dev " device " parent dea1: protocol ipv6 prio 2 u32 match ip6 dst fd00::9/128 "   \
    "match ip6 sport 22 0xffff flowid dea1:0\n"
#define CLASS(device, number)                                                                      \
    "class add dev " device " parent dea1: classid dea1:" number " htb rate 100gbit quantum "      \
    "60000\n"
#define LEAF(device, number)                                                                       \
    "qdisc add dev " device " parent dea1:" number " handle deb" number ": "

/* One line for all targets of a device; the control connection passes beside it. */
static void a_delay_is_one_class(void **state)
{
    (void)state;
    const struct agentd_shape shape = {.delay_ns = 50 * NS_PER_MS,
                                       .jitter_ns = 10 * NS_PER_MS,
                                       .spread = AGENTD_SPREAD_NORMAL,
                                       .loss_ppm = 200000};
    expect(
        &shape, 0,
        ROOT_OF("eth0") CLASS("eth0", "1") LEAF(
            "eth0",
            "1") "netem limit 20000 delay 50000us 10000us distribution normal loss random "
                 "20.0000%\n"
                 "filter add dev eth0 parent dea1: protocol ip prio 3 u32 match ip dst 10.0.0.2/32 "
                 "flowid dea1:1\n"
                 "filter add dev eth0 parent dea1: protocol ipv6 prio 4 u32 match ip6 dst "
                 "fd00::2/128 "
                 "flowid dea1:1\n");
    expect(
        &shape, 1,
        ROOT_OF("eth1") CLASS("eth1", "1") LEAF(
            "eth1",
            "1") "netem limit 20000 delay 50000us 10000us distribution normal loss random "
                 "20.0000%\n"
                 "filter add dev eth1 parent dea1: protocol ip prio 3 u32 match ip dst 10.0.0.3/32 "
                 "flowid dea1:1\n");
}

/* With a rate each address has a line of its own. */
static void a_rate_alone_is_tbf_for_each_address(void **state)
{
    (void)state;
    const struct agentd_shape shape = {.rate_bps = 1000000};
    assert_string_equal(agentd_netem_leaf(&shape), "tbf");
    expect(
        &shape, 0,
        ROOT_OF("eth0") CLASS("eth0", "1") LEAF(
            "eth0",
            "1") "tbf rate 1000000bit burst 1600b latency 500ms\n"
                 "filter add dev eth0 parent dea1: protocol ip prio 3 u32 match ip dst 10.0.0.2/32 "
                 "flowid dea1:1\n" CLASS("eth0", "2")
                     LEAF("eth0", "2") "tbf rate 1000000bit burst 1600b latency 500ms\n"
                                       "filter add dev eth0 parent dea1: protocol ipv6 prio 4 u32 "
                                       "match ip6 dst fd00::2/128 "
                                       "flowid dea1:2\n");
}

static void every_kind_has_its_words(void **state)
{
    (void)state;
    static const struct {
        struct agentd_shape shape;
        const char *leaf;
    } kinds[] = {
        {{.delay_ns = 1500 * NS_PER_US}, "netem limit 20000 delay 1500us\n"},
        {{.delay_ns = 50 * NS_PER_MS, .jitter_ns = NS_PER_MS},
         "netem limit 20000 delay 50000us 1000us\n"},
        {{.delay_ns = 50 * NS_PER_MS, .jitter_ns = NS_PER_MS, .spread = AGENTD_SPREAD_PARETO},
         "netem limit 20000 delay 50000us 1000us distribution pareto\n"},
        {{.loss_ppm = 12345}, "netem limit 20000 loss random 1.2345%\n"},
        {{.loss_ppm = AGENTD_PPM}, "netem limit 20000 loss random 100.0000%\n"},
        {{.duplicate_ppm = 200000}, "netem limit 20000 duplicate 20.0000%\n"},
        {{.corrupt_ppm = 100001}, "netem limit 20000 corrupt 10.0001%\n"},
        /* netem's share is of those that are not held back */
        {{.reorder_ppm = 200000, .reorder_ns = 30 * NS_PER_MS},
         "netem limit 20000 delay 30000us reorder 80.0000%\n"},
        {{.rate_bps = 8000000, .delay_ns = 20 * NS_PER_MS},
         "netem limit 5000 delay 20000us rate 8000000bit\n"},
        {{.rate_bps = 1000000000}, "tbf rate 1000000000bit burst 125000b latency 500ms\n"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct buf text = commands_for(&kinds[i].shape, 1);
        const char *leaf = strstr(buf_text(&text), "handle deb1: ");
        assert_non_null(leaf);
        assert_memory_equal(leaf + strlen("handle deb1: "), kinds[i].leaf, strlen(kinds[i].leaf));
        buf_free(&text);
    }
}

/* Refused before anything is run. */
static void what_netem_does_otherwise_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct agentd_shape shape;
        const char *why;
    } refused[] = {
        {{.reorder_ppm = 1, .reorder_ns = 1, .delay_ns = 1}, "no reordering beside a delay"},
        {{.reorder_ppm = 1, .reorder_ns = 1, .rate_bps = 1}, "no reordering beside a delay"},
        {{.duplicate_ppm = 1, .loss_ppm = 1}, "no duplication but alone"},
        {{.duplicate_ppm = 1, .corrupt_ppm = 1}, "no duplication but alone"},
        {{.duplicate_ppm = 1, .rate_bps = 1}, "no duplication but alone"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct err err = ERR_INIT;
        assert_int_equal(agentd_netem_can(&block, &refused[i].shape, &err), ERR_UNSUPPORTED);
        assert_contains(err.message, refused[i].why);
    }
}

static void the_way_to_oneself_is_known(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct agentd_address self;
    char device[AGENTD_DEVICE_SIZE];
    assert_ok(agentd_address_parse("127.0.0.1", &self, &err));
    assert_ok(agentd_route_device(&self, device, &err));
    assert_string_equal(device, "lo");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delay_is_one_class),
        cmocka_unit_test(a_rate_alone_is_tbf_for_each_address),
        cmocka_unit_test(every_kind_has_its_words),
        cmocka_unit_test(what_netem_does_otherwise_is_refused),
        cmocka_unit_test(the_way_to_oneself_is_known),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
