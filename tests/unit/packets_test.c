/* The nemesis packets: what it asks for, what it refuses, and what it takes for measured. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/nemeses.h"
#include "nemeses/packets_judge.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/test.h"
#include "tests/lib/test_value.h"

static void evidence_says_what_was_asked_and_measured(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *evidence;
    } kinds[] = {
        {"delay", "6 paths measured: 4 shaped, 2 as before; round trips longer by 100.0 ms (asked "
                  "100.0 ms); 80 % of them within 36.2 ms (asked 36.2 ms)"},
        {"loss", "; lost 20.0 % of 240 (asked 20.0 %)"},
        {"duplicate", "; twice 20.0 % of 240 (asked 20.0 %)"},
        {"reorder", "; overtaken 20.0 % of 240 (asked 20.0 %)"},
        {"corrupt", "; lost 10.0 % of 240 (asked 10.0 %); 3000 bad check sums (asked about 24 or "
                    "more)"},
        {"rate", "; at most 1 Mbit/s (asked 1 Mbit/s; before at least "},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct fake_control *fake = fake_new(3);
        struct err err = ERR_INIT;
        fake_set(fake, "packets.kind", kinds[i].kind);
        fake_set(fake, "packets.targets", "n2");
        fake_set(fake, "packets.direction", "both");
        assert_ok(nemesis_packets.check(&fake->test, &err));
        struct fault fault = fake_fault(fake, &nemesis_packets, 1);
        assert_ok(nemesis_packets.begin(&fake->test, &fault, &err));
        assert_contains(buf_text(&fault.begun_evidence), "in force in 7 ms, by decree; 6 paths");
        assert_contains(buf_text(&fault.begun_evidence), kinds[i].evidence);
        assert_value(fault.done, "{:shaped {\"n1\" #{\"n2\"}, \"n2\" #{\"n1\" \"n3\"}, \"n3\" "
                                 "#{\"n2\"}}}");
        assert_ok(nemesis_packets.end(&fake->test, &fault, &err));
        assert_contains(buf_text(&fault.ended_evidence), "6 paths measured: 0 shaped, 6 as before");
        fake_fault_free(&fault);
        fake_free(fake);
    }
}

static void what_is_asked_is_told_in_full(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    fake_set(fake, "packets.kind", "delay+loss");
    fake_set(fake, "packets.targets", "n1");
    fake_set(fake, "packets.direction", "to");
    struct fault fault = fake_fault(fake, &nemesis_packets, 1);
    assert_value(fault.asked,
                 "{:kind :delay+loss, :shape {:delay-us 50000, :jitter-us 10000, :distribution "
                 ":normal, :loss 0.2}, :who {:targets :named, :nodes [\"n1\"]}, :direction :to}");
    fake_set(fake, "packets.targets", "random");
    fake_set(fake, "packets.kind", "rate");
    fake_set(fake, "packets.map", "n1:n2,n3:n1+n2");
    fault = fake_fault(fake, &nemesis_packets, 1);
    assert_value(fault.asked, "{:kind :rate, :shape {:rate-bps 1000000}, :paths {\"n1\" "
                              "#{\"n2\"}, \"n3\" #{\"n1\" \"n2\"}}}");
    struct err err = ERR_INIT;
    assert_ok(nemesis_packets.begin(&fake->test, &fault, &err));
    assert_int_equal(fake->shape.paths[0], NODE_SET(1));
    assert_int_equal(fake->shape.paths[1], 0);
    assert_int_equal(fake->shape.paths[2], NODE_SET(0) | NODE_SET(1));
    assert_int_equal(fault.nodes, test_all_nodes(&fake->test));
    fake_fault_free(&fault);
    fake_free(fake);
}

static void directions_are_those_of_packets(void **state)
{
    (void)state;
    static const struct {
        const char *direction;
        node_set paths[3];
    } directions[] = {
        {"to", {0, NODE_SET(0) | NODE_SET(2), 0}},
        {"from", {NODE_SET(1), 0, NODE_SET(1)}},
        {"both", {NODE_SET(1), NODE_SET(0) | NODE_SET(2), NODE_SET(1)}},
    };
    for (size_t i = 0; i < 3; i++) {
        struct fake_control *fake = fake_new(3);
        struct err err = ERR_INIT;
        fake_set(fake, "packets.targets", "n2");
        fake_set(fake, "packets.direction", directions[i].direction);
        struct fault fault = fake_fault(fake, &nemesis_packets, 1);
        assert_ok(nemesis_packets.begin(&fake->test, &fault, &err));
        for (uint32_t j = 0; j < 3; j++)
            assert_int_equal(fake->shape.paths[j], directions[i].paths[j]);
        fake_fault_free(&fault);
        fake_free(fake);
    }
}

static void what_cannot_be_meant_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value, *message;
    } refused[] = {
        {"packets.kind", "delya", "'delya' is not random or some of"},
        {"packets.kind", "", "packets.kind: it is empty"},
        {"packets.loss", "1.5", "packets.loss: 1.5 is not a share above 0 and up to 1"},
        {"packets.reorder", "0.6", "packets.reorder: 0.6 is not a share above 0 and up to 0.4"},
        {"packets.delay", "5ms", "packets.delay: 5ms is not a time from 10ms to 2s"},
        {"packets.jitter", "60ms", "packets.jitter: it is more than packets.delay"},
        {"packets.rate", "10", "packets.rate: 10 is not from 100000"},
        {"packets.targets", "n9", "n9"},
        {"packets.map", "n1:n9", "n9"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct fake_control *fake = fake_new(3);
        struct err err = ERR_INIT;
        fake_set(fake, refused[i].option, refused[i].value);
        assert_int_equal(nemesis_packets.check(&fake->test, &err), ERR_CONFIG);
        assert_contains(err.message, refused[i].message);
        fake_free(fake);
    }
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "packets.map", "n1:n2");
    fake_set(fake, "packets.targets", "n1");
    assert_int_equal(nemesis_packets.check(&fake->test, &err), ERR_CONFIG);
    assert_contains(err.message, "not both");
    fake_set(fake, "packets.map", "");
    fake->cannot_shape = true;
    assert_int_equal(nemesis_packets.check(&fake->test, &err), ERR_UNSUPPORTED);
    assert_contains(err.message, "n2 cannot: it has no queues");
    fake_free(fake);
}

static void means_are_chosen_and_told(void **state)
{
    (void)state;
    static const struct {
        bool has_netem;
        const char *asked, *kind, *shaped, *told; /* shaped NULL: refused before the run */
    } cases[] = {
        {false, "auto", "delay", "packets-1 queue\n", ", by decree; "},
        {true, "auto", "delay", "packets-1 netem\n", ", by netem's decree; "},
        {true, "auto", "reorder", "packets-1 queue\n", ", by decree; "},
        {true, "queue", "delay", "packets-1 queue\n", ", by decree; "},
        {true, "netem", "delay", "packets-1 netem\n", ", by netem's decree; "},
        {false, "netem", "delay", NULL, "n3 cannot: it has no netem"},
        {true, "netem", "random", NULL,
         "packets.means=netem: packets.kind=reorder: n3 cannot: it has no netem"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake_control *fake = fake_new(3);
        struct err err = ERR_INIT;
        fake->has_netem = cases[i].has_netem;
        fake_set(fake, "packets.means", cases[i].asked);
        fake_set(fake, "packets.kind", cases[i].kind);
        if (cases[i].shaped == NULL) {
            assert_int_equal(nemesis_packets.check(&fake->test, &err), ERR_UNSUPPORTED);
            assert_string_equal(err.message, cases[i].told);
            fake_free(fake);
            continue;
        }
        assert_ok(nemesis_packets.check(&fake->test, &err));
        struct fault fault = fake_fault(fake, &nemesis_packets, 1);
        assert_ok(nemesis_packets.begin(&fake->test, &fault, &err));
        assert_contains(fake->calls.data, cases[i].shaped);
        assert_contains(buf_text(&fault.begun_evidence), cases[i].told);
        fake_fault_free(&fault);
        fake_free(fake);
    }
}

/* What netem cannot do at once is not drawn for it. */
static void netem_draws_what_it_can(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct prng prng = prng_stream(1, "kinds");
    bool composed = false;
    for (int i = 0; i < 200; i++)
        composed = composed ||
                   strchr(value_as_text(value_get(
                              nemesis_packets.choose(&fake->test, &prng, &fake->arena), "kind")),
                          '+') != NULL;
    assert_true(composed);
    fake_set(fake, "packets.means", "netem");
    for (int i = 0; i < 200; i++)
        assert_null(strchr(value_as_text(value_get(
                               nemesis_packets.choose(&fake->test, &prng, &fake->arena), "kind")),
                           '+'));
    fake_free(fake);
}

/* Every kind, when the agents say that all is well and nothing is done. */
static void what_is_not_measured_did_not_happen(void **state)
{
    (void)state;
    static const char *const kinds[] = {"delay", "loss", "duplicate", "rate", "reorder", "corrupt"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct fake_control *fake = fake_new(3);
        struct err err = ERR_INIT;
        fake->cuts_do_nothing = true;
        fake_set(fake, "packets.kind", kinds[i]);
        struct fault fault = fake_fault(fake, &nemesis_packets, 1);
        assert_int_equal(nemesis_packets.begin(&fake->test, &fault, &err), ERR_REMOTE);
        assert_contains(err.message, "packets: made but not measured, and undone: ");
        assert_int_equal(fault.begun_verified, VERIFIED_NO);
        assert_int_equal(fault.nodes, 0);
        assert_true(fake_is_whole(fake));
        fake_fault_free(&fault);
        fake_free(fake);
    }
}

static void every_draw_breaks_and_heals(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct fake_control *fake = fake_new(5);
        struct err err = ERR_INIT;
        fake_has_primaries(fake);
        fake->primaries = 2;
        assert_ok(nemesis_packets.check(&fake->test, &err));
        struct fault fault = fake_fault(fake, &nemesis_packets, seed),
                     same = fake_fault(fake, &nemesis_packets, seed);
        assert_true(value_equal(fault.asked, same.asked));
        assert_ok(nemesis_packets.begin(&fake->test, &fault, &err));
        assert_int_equal(fault.begun_verified, VERIFIED_YES);
        assert_true(fault.nodes != 0 && !fake_is_whole(fake));
        assert_null(strchr(fault.begun_evidence.data, '\n'));
        assert_ok(nemesis_packets.end(&fake->test, &fault, &err));
        assert_int_equal(fault.ended_verified, VERIFIED_YES);
        assert_true(fake_is_whole(fake));
        fake_fault_free(&fault);
        fake_free(fake);
    }
}

/* Whatever call fails, nothing is left in force after the end, or after a beginning that failed.
 * False when there were fewer calls. */
static bool survives(uint64_t seed, uint32_t fail_at)
{
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    struct fault fault = fake_fault(fake, &nemesis_packets, seed);
    fake->fail_at = fail_at;
    enum err_code code = nemesis_packets.begin(&fake->test, &fault, &err);
    assert_int_equal(fault.begun_verified, code == ERR_NONE ? VERIFIED_YES : VERIFIED_NO);
    if (code == ERR_NONE)
        code = nemesis_packets.end(&fake->test, &fault, &err);
    else
        assert_int_equal(fault.nodes, 0);
    if (code != ERR_NONE)
        assert_contains(err.message, "scripted failure");
    assert_true(fake_is_whole(fake));
    bool reached = fake->call_count >= fail_at;
    fake_fault_free(&fault);
    fake_free(fake);
    return reached;
}

static void every_failing_call_leaves_packets_alone(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 9; seed++) {
        uint32_t call = 1;
        while (survives(seed, call))
            call++;
        assert_true(call > 5);
    }
}

/* ---- The judge, by itself ---- */

static struct network_path path(uint32_t unique, uint32_t duplicates, uint32_t overtaken,
                                int64_t trip_ms)
{
    int64_t ns = trip_ms * NS_PER_MS;
    return (struct network_path){.source = 0,
                                 .target = 1,
                                 .sent = 100,
                                 .unique = unique,
                                 .duplicates = duplicates,
                                 .overtaken = overtaken,
                                 .echoes = unique,
                                 .trip_min_ns = ns,
                                 .trip_p10_ns = ns,
                                 .trip_median_ns = ns,
                                 .trip_p90_ns = ns};
}

static bool agrees(const struct network_shape *shape, struct network_path now)
{
    struct fake_control *fake = fake_new(2);
    struct err err = ERR_INIT;
    struct buf evidence = BUF_INIT;
    node_set paths[2] = {0, NODE_SET(0)};
    struct network_path before = path(100, 0, 0, 1);
    enum err_code code =
        packets_judge(&fake->test, shape, paths, &before, &now, 1, &evidence, &err);
    if (code != ERR_NONE)
        assert_contains(err.message, "packets from n1 to n2 over IPv4: ");
    buf_free(&evidence);
    fake_free(fake);
    return code == ERR_NONE;
}

static void an_open_path_is_as_before(void **state)
{
    (void)state;
    assert_true(agrees(NULL, path(100, 0, 0, 1)));
    assert_true(agrees(NULL, path(99, 0, 0, 5)));
    assert_false(agrees(NULL, path(96, 0, 0, 1)));
    assert_false(agrees(NULL, path(100, 4, 0, 1)));
    assert_false(agrees(NULL, path(100, 0, 4, 1)));
    assert_false(agrees(NULL, path(100, 0, 0, 8)));
    assert_false(agrees(NULL, path(0, 0, 0, 0)));
}

static void a_shaped_path_is_as_asked(void **state)
{
    (void)state;
    struct network_shape delay = {.delay_ns = 50 * NS_PER_MS};
    assert_true(agrees(&delay, path(100, 0, 0, 51)));
    assert_true(agrees(&delay, path(100, 0, 0, 60)));
    assert_false(agrees(&delay, path(100, 0, 0, 35)));
    assert_false(agrees(&delay, path(100, 0, 0, 70)));
    assert_false(agrees(&delay, path(90, 0, 0, 51))); /* and nothing else */
    struct network_shape loss = {.loss = 0.3};
    assert_true(agrees(&loss, path(70, 0, 0, 1)));
    assert_true(agrees(&loss, path(85, 0, 0, 1)));
    assert_false(agrees(&loss, path(94, 0, 0, 1)));
    assert_false(agrees(&loss, path(45, 0, 0, 1)));
    struct network_shape everything = {.loss = 1};
    assert_true(agrees(&everything, path(0, 0, 0, 0)));
    assert_false(agrees(&everything, path(3, 0, 0, 1)));
    struct network_shape reorder = {.reorder = 0.25, .reorder_ns = 30 * NS_PER_MS};
    assert_true(agrees(&reorder, path(100, 0, 25, 1)));
    assert_false(agrees(&reorder, path(100, 0, 0, 1)));
    assert_false(agrees(&reorder, path(100, 0, 60, 1)));
    /* Lost without a bad check sum is not corrupt. */
    struct network_shape corrupt = {.corrupt = 0.3};
    struct network_path damaged = path(70, 0, 0, 1);
    struct fake_control *fake = fake_new(2);
    struct err err = ERR_INIT;
    struct buf evidence = BUF_INIT;
    node_set paths[2] = {0, NODE_SET(0)};
    struct network_path before = path(100, 0, 0, 1);
    assert_int_equal(
        packets_judge(&fake->test, &corrupt, paths, &before, &damaged, 1, &evidence, &err),
        ERR_REMOTE);
    assert_contains(err.message, "n2 saw 0 bad check sums, not about 30 or more");
    damaged.bad_check_sums = 28;
    assert_ok(packets_judge(&fake->test, &corrupt, paths, &before, &damaged, 1, &evidence, &err));
    buf_free(&evidence);
    fake_free(fake);
}

static void jitter_must_spread(void **state)
{
    (void)state;
    struct network_shape jitter = {
        .delay_ns = 50 * NS_PER_MS, .jitter_ns = 20 * NS_PER_MS, .spread = SPREAD_NORMAL};
    struct network_path now = path(100, 0, 0, 51);
    now.trip_p10_ns = 25 * NS_PER_MS;
    now.trip_p90_ns = 77 * NS_PER_MS;
    assert_true(agrees(&jitter, now));
    now.trip_p10_ns = 45 * NS_PER_MS;
    now.trip_p90_ns = 56 * NS_PER_MS;
    assert_false(agrees(&jitter, now));
    now.trip_p10_ns = 20 * NS_PER_MS;
    now.trip_p90_ns = 180 * NS_PER_MS;
    assert_false(agrees(&jitter, now));
}

/* 41 datagrams of 1000 bytes and 28 of headers, of which 40 come within `ms`. */
static bool rate_agrees(int64_t ms, int64_t ms_before, uint32_t unique)
{
    struct fake_control *fake = fake_new(2);
    struct err err = ERR_INIT;
    struct buf evidence = BUF_INIT;
    struct network_path now = {.target = 1, .sent = 41, .unique = unique, .bytes = 40000},
                        before = now;
    now.span_ns = ms * NS_PER_MS;
    before.unique = 41;
    before.span_ns = ms_before * NS_PER_MS;
    enum err_code code =
        packets_judge_rate(&fake->test, 1000000, &before, &now, 1, &evidence, &err);
    buf_free(&evidence);
    fake_free(fake);
    return code == ERR_NONE;
}

static void a_rate_is_not_exceeded(void **state)
{
    (void)state;
    assert_true(rate_agrees(330, 1, 41)); /* 0.997 Mbit/s */
    assert_true(rate_agrees(600, 1, 41)); /* others use the path, too */
    assert_false(rate_agrees(270, 1, 41));
    assert_false(rate_agrees(330, 300, 41)); /* it was as slow before */
    assert_false(rate_agrees(330, 1, 1));    /* nothing to tell by */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_says_what_was_asked_and_measured),
        cmocka_unit_test(what_is_asked_is_told_in_full),
        cmocka_unit_test(directions_are_those_of_packets),
        cmocka_unit_test(what_cannot_be_meant_is_refused),
        cmocka_unit_test(means_are_chosen_and_told),
        cmocka_unit_test(netem_draws_what_it_can),
        cmocka_unit_test(what_is_not_measured_did_not_happen),
        cmocka_unit_test(every_draw_breaks_and_heals),
        cmocka_unit_test(every_failing_call_leaves_packets_alone),
        cmocka_unit_test(an_open_path_is_as_before),
        cmocka_unit_test(a_shaped_path_is_as_asked),
        cmocka_unit_test(jitter_must_spread),
        cmocka_unit_test(a_rate_is_not_exceeded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
