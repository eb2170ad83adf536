/* clog, flap, clients, reset and port against a cluster in memory. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/nemeses.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/test.h"

static const struct nemesis *const all[] = {&nemesis_clog, &nemesis_flap, &nemesis_clients,
                                            &nemesis_reset, &nemesis_port};
enum { ALL = sizeof all / sizeof *all };

static struct fake_control *cluster(uint32_t nodes)
{
    struct fake_control *fake = fake_new(nodes);
    fake->reset = (struct network_reset){.found = 7, .gone = 7, .left_at_peers = 5};
    fake->dropped = 12;
    fake_set(fake, "port.number", "7712");
    fake_has_primaries(fake);
    fake->primaries = 2;
    return fake;
}

static void every_one_breaks_and_heals(void **state)
{
    (void)state;
    for (size_t k = 0; k < ALL; k++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct fake_control *fake = cluster(5);
            struct err err = ERR_INIT;
            assert_ok(all[k]->check(&fake->test, &err));
            struct fault fault = fake_fault(fake, all[k], seed),
                         same = fake_fault(fake, all[k], seed);
            assert_true(value_equal(fault.asked, same.asked));
            assert_ok(all[k]->begin(&fake->test, &fault, &err));
            assert_int_equal(fault.begun_verified, VERIFIED_YES);
            assert_true(fault.nodes != 0 && fault.begun_evidence.length > 0);
            assert_null(strchr(fault.begun_evidence.data, '\n'));
            assert_true(fake_is_whole(fake) == (all[k] == &nemesis_reset));
            assert_ok(all[k]->end(&fake->test, &fault, &err));
            assert_int_equal(fault.ended_verified, VERIFIED_YES);
            assert_true(fake_is_whole(fake));
            fake_fault_free(&fault);
            fake_free(fake);
        }
}

static bool survives(const struct nemesis *nemesis, uint64_t seed, uint32_t fail_at)
{
    struct fake_control *fake = cluster(3);
    struct err err = ERR_INIT;
    struct fault fault = fake_fault(fake, nemesis, seed);
    fake->fail_at = fail_at;
    enum err_code code = nemesis->begin(&fake->test, &fault, &err);
    assert_int_equal(fault.begun_verified, code == ERR_NONE ? VERIFIED_YES : VERIFIED_NO);
    if (code == ERR_NONE)
        code = nemesis->end(&fake->test, &fault, &err);
    else
        assert_int_equal(fault.nodes, 0);
    if (code != ERR_NONE)
        assert_contains(err.message, "scripted failure");
    if (!fake_is_whole(fake))
        fail_msg("%s is not undone when call %u fails:\n%s", nemesis->name, fail_at,
                 fake->calls.data);
    bool reached = fake->call_count >= fail_at;
    fake_fault_free(&fault);
    fake_free(fake);
    return reached;
}

static void every_failing_call_leaves_the_network_whole(void **state)
{
    (void)state;
    for (size_t k = 0; k < ALL; k++)
        for (uint64_t seed = 1; seed < 6; seed++) {
            uint32_t call = 1;
            while (survives(all[k], seed, call))
                call++;
            assert_true(call > 2);
        }
}

static void a_cut_that_does_not_cut_is_no_fault(void **state)
{
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct fake_control *fake = cluster(3);
        struct err err = ERR_INIT;
        fake->cuts_do_nothing = true;
        struct fault fault = fake_fault(fake, all[k], 1);
        assert_int_equal(all[k]->begin(&fake->test, &fault, &err), ERR_REMOTE);
        assert_contains(err.message, "not in force, and undone: ");
        assert_int_equal(fault.begun_verified, VERIFIED_NO);
        assert_true(fake_is_whole(fake));
        fake_fault_free(&fault);
        fake_free(fake);
    }
}

/* Who is cut off grows node by node, and shrinks in the order that was drawn. */
static void a_port_that_nobody_uses_cannot_be_cut(void **state)
{
    (void)state;
    struct fake_control *fake = cluster(3);
    struct err err = ERR_INIT;
    struct fault fault = fake_fault(fake, &nemesis_port, 1);
    assert_int_equal(value_as_int(value_get(fault.asked, "port")), 7712);
    fake->dropped = 0;
    assert_int_equal(nemesis_port.begin(&fake->test, &fault, &err), ERR_REMOTE);
    assert_contains(err.message, "port: not in force, and undone: nothing passed that port");
    assert_int_equal(fault.begun_verified, VERIFIED_NO);
    assert_int_equal(fake->port, 0);
    fake->dropped = 3;
    assert_ok(nemesis_port.begin(&fake->test, &fault, &err));
    assert_int_equal(fake->port, 7712);
    assert_contains(buf_text(&fault.begun_evidence),
                    "3 packets of tcp port 7712 dropped on 1 of 8 links; else ");
    fake_set(fake, "port.number", "0");
    assert_int_equal(nemesis_port.check(&fake->test, &err), ERR_CONFIG);
    assert_contains(err.message, "say which port is cut");
    fake_fault_free(&fault);
    fake_free(fake);
}

/* What is asked for to repeat a fault hits the same nodes, whoever leads by then. */
static void they_are_repeated_whoever_leads(void **state)
{
    (void)state;
    static const struct nemesis *const network[] = {&nemesis_clog,    &nemesis_flap,
                                                    &nemesis_clients, &nemesis_reset,
                                                    &nemesis_packets, &nemesis_port};
    static const char *const targets[] = {"clog.targets",  "flap.targets",    "clients.targets",
                                          "reset.targets", "packets.targets", "port.targets"};
    for (size_t k = 0; k < 6; k++) {
        struct fake_control *fake = cluster(5);
        struct err err = ERR_INIT;
        fake_set(fake, targets[k], "primaries");
        assert_ok(network[k]->check(&fake->test, &err));
        struct fault first = fake_fault(fake, network[k], 3),
                     again = fake_fault(fake, network[k], 3);
        assert_int_equal(network[k]->hits, HITS_NETWORK);
        assert_ok(network[k]->begin(&fake->test, &first, &err));
        assert_ok(network[k]->end(&fake->test, &first, &err));
        fake->primaries = 4;
        again.asked =
            network[k]->repeat(&fake->test, first.asked, first.done, first.nodes, &fake->arena);
        assert_ok(network[k]->begin(&fake->test, &again, &err));
        assert_int_equal(again.nodes, first.nodes);
        assert_true(value_equal(again.done, first.done));
        assert_ok(network[k]->end(&fake->test, &again, &err));
        fake_fault_free(&first);
        fake_fault_free(&again);
        fake_free(fake);
    }
}

static void clogging_goes_one_by_one(void **state)
{
    (void)state;
    struct fake_control *fake = cluster(5);
    struct err err = ERR_INIT;
    fake_set(fake, "clog.targets", "n1+n3+n4");
    struct fault fault = fake_fault(fake, &nemesis_clog, 3);
    assert_ok(nemesis_clog.begin(&fake->test, &fault, &err));
    node_set hit = NODE_SET(0) | NODE_SET(2) | NODE_SET(3);
    assert_int_equal(fault.nodes, hit);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(fake_drops(fake, i),
                         (node_in(hit, i) ? test_all_nodes(&fake->test) : hit) & ~NODE_SET(i));
    assert_int_equal(fake->now_ns / NS_PER_MS, 600); /* two steps */
    uint32_t blocks = 0, looks = 0;
    for (const char *at = fake->calls.data; (at = strstr(at, "network_")) != NULL; at++) {
        blocks += strncmp(at, "network_block", 13) == 0;
        looks += strncmp(at, "network_verify cut", 18) == 0;
        assert_true(looks == blocks || looks + 1 == blocks); /* each is seen before the next */
    }
    assert_int_equal(blocks, 3);
    assert_int_equal(looks, 3);
    assert_ok(nemesis_clog.end(&fake->test, &fault, &err));
    assert_contains(buf_text(&fault.begun_evidence), ", then ");
    assert_contains(buf_text(&fault.ended_evidence), " came back; ");
    fake_fault_free(&fault);
    fake_free(fake);
}

static void flapping_goes_and_comes(void **state)
{
    (void)state;
    struct fake_control *fake = cluster(3);
    struct err err = ERR_INIT;
    fake_set(fake, "flap.targets", "n2");
    fake_set(fake, "flap.times", "3");
    struct fault fault = fake_fault(fake, &nemesis_flap, 1);
    assert_ok(nemesis_flap.begin(&fake->test, &fault, &err));
    uint32_t blocks = 0, undone = 0;
    for (const char *at = fake->calls.data; (at = strstr(at, "network_")) != NULL; at++) {
        blocks += strncmp(at, "network_block", 13) == 0;
        undone += strncmp(at, "network_undo", 12) == 0;
    }
    assert_int_equal(blocks, 4);
    assert_int_equal(undone, 3);
    assert_contains(buf_text(&fault.begun_evidence), "gone and back 3 times");
    assert_int_equal(fake_drops(fake, 1), NODE_SET(0) | NODE_SET(2));
    assert_ok(nemesis_flap.end(&fake->test, &fault, &err));
    fake_fault_free(&fault);
    fake_free(fake);
}

static void a_reset_of_nothing_is_no_fault(void **state)
{
    (void)state;
    static const struct {
        struct network_reset reset;
        const char *half_open, *message;
    } none[] = {
        {{.found = 0}, "never", "reset: there is no connection to reset"},
        {{.found = 4, .gone = 3}, "never", "reset: 1 of 4 connections are still established"},
        {{.found = 4, .gone = 4}, "always", "reset: no connection is half open"},
    };
    for (size_t i = 0; i < 3; i++) {
        struct fake_control *fake = cluster(3);
        struct err err = ERR_INIT;
        fake->reset = none[i].reset;
        fake_set(fake, "reset.of", "nodes");
        fake_set(fake, "reset.half-open", none[i].half_open);
        struct fault fault = fake_fault(fake, &nemesis_reset, 1);
        assert_int_equal(nemesis_reset.begin(&fake->test, &fault, &err), ERR_REMOTE);
        assert_contains(err.message, none[i].message);
        assert_int_equal(fault.begun_verified, VERIFIED_NO);
        fake_fault_free(&fault);
        fake_free(fake);
    }
}

/* Somebody must be left who takes a connection for alive. */
static void half_open_leaves_a_node(void **state)
{
    (void)state;
    struct fake_control *fake = cluster(3);
    struct err err = ERR_INIT;
    fake_set(fake, "reset.of", "nodes");
    fake_set(fake, "reset.half-open", "always");
    fake_set(fake, "reset.targets", "all");
    struct fault fault = fake_fault(fake, &nemesis_reset, 1);
    assert_ok(nemesis_reset.begin(&fake->test, &fault, &err));
    assert_contains(fake->calls.data, "network_reset silent n2, n3");
    assert_contains(buf_text(&fault.begun_evidence),
                    "7 connections with nodes gone; 5 of them half open at the others");
    fake_fault_free(&fault);
    fake_free(fake);
}

static void what_cannot_be_meant_is_refused(void **state)
{
    (void)state;
    static const struct {
        size_t nemesis;
        const char *option, *value, *message;
    } refused[] = {
        {0, "clog.targets", "n9", "n9"},      {0, "clog.step", "20s", "clog.step: 20s"},
        {1, "flap.times", "0", "flap.times"}, {1, "flap.for", "1m", "10s at most"},
        {2, "clients.targets", "n9", "n9"},   {3, "reset.targets", "n9", "n9"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct fake_control *fake = cluster(3);
        struct err err = ERR_INIT;
        fake_set(fake, refused[i].option, refused[i].value);
        assert_int_equal(all[refused[i].nemesis]->check(&fake->test, &err), ERR_CONFIG);
        assert_contains(err.message, refused[i].message);
        fake_free(fake);
    }
    struct fake_control *fake = cluster(3);
    struct err err = ERR_INIT;
    fake_set(fake, "reset.of", "clients");
    fake_set(fake, "reset.half-open", "always");
    assert_int_equal(nemesis_reset.check(&fake->test, &err), ERR_CONFIG);
    fake_free(fake);
}

/* Before the run, and not as a fault that did not happen. */
static void without_a_packet_filter_they_are_refused(void **state)
{
    (void)state;
    static const struct nemesis *const cutters[] = {&nemesis_partition, &nemesis_clog,
                                                    &nemesis_flap,      &nemesis_clients,
                                                    &nemesis_port,      &nemesis_reset};
    for (size_t k = 0; k < sizeof cutters / sizeof *cutters; k++) {
        struct fake_control *fake = cluster(3);
        struct err err = ERR_INIT;
        fake->fail_always = "network_can_block";
        assert_int_equal(cutters[k]->check(&fake->test, &err), ERR_UNSUPPORTED);
        assert_contains(err.message, "n2 cannot drop packets");
        fake_free(fake);
    }
    struct fake_control *fake = cluster(3); /* what is told to both ends needs none */
    struct err err = ERR_INIT;
    fake->fail_always = "network_can_block";
    fake_set(fake, "reset.half-open", "never");
    assert_ok(nemesis_reset.check(&fake->test, &err));
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_one_breaks_and_heals),
        cmocka_unit_test(without_a_packet_filter_they_are_refused),
        cmocka_unit_test(every_failing_call_leaves_the_network_whole),
        cmocka_unit_test(a_cut_that_does_not_cut_is_no_fault),
        cmocka_unit_test(a_port_that_nobody_uses_cannot_be_cut),
        cmocka_unit_test(they_are_repeated_whoever_leads),
        cmocka_unit_test(clogging_goes_one_by_one),
        cmocka_unit_test(flapping_goes_and_comes),
        cmocka_unit_test(a_reset_of_nothing_is_no_fault),
        cmocka_unit_test(half_open_leaves_a_node),
        cmocka_unit_test(what_cannot_be_meant_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
