/* partition, kill, pause, power, disk and clock against a cluster in memory, with every call
 * failing in turn. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/grudge.h"
#include "nemeses/nemeses.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/test.h"
#include "tests/lib/test_value.h"

static const struct nemesis *const all[] = {&nemesis_partition, &nemesis_kill,  &nemesis_pause,
                                            &nemesis_power,     &nemesis_disk,  &nemesis_slow,
                                            &nemesis_memory,    &nemesis_files, &nemesis_hog,
                                            &nemesis_clock,     &nemesis_io,    &nemesis_reboot};
enum { ALL = sizeof all / sizeof *all };

static void every_nemesis_breaks_and_heals(void **state)
{
    (void)state;
    for (size_t k = 0; k < ALL; k++)
        for (uint64_t seed = 0; seed < 12; seed++) {
            struct fake_control *fake = fake_new(5);
            fake_has_primaries(fake);
            fake_has_disks(fake);
            fake->primaries = 2;
            struct err err = ERR_INIT;
            assert_ok(all[k]->check(&fake->test, &err));
            struct fault fault = fake_fault(fake, all[k], seed);
            assert_ok(all[k]->begin(&fake->test, &fault, &err));
            assert_int_equal(fault.begun_verified, VERIFIED_YES);
            assert_true(fault.nodes != 0 && fault.begun_evidence.length > 0);
            assert_null(strchr(fault.begun_evidence.data, '\n'));
            if (all[k] != &nemesis_disk) /* a node whose disk was emptied runs, and knows nothing */
                assert_false(fake_is_whole(fake));
            assert_ok(all[k]->end(&fake->test, &fault, &err));
            assert_int_equal(fault.ended_verified, VERIFIED_YES);
            assert_true(fault.ended_evidence.length > 0);
            assert_null(strchr(fault.ended_evidence.data, '\n'));
            assert_true(fake_is_whole(fake));
            fake_fault_free(&fault);
            fake_free(fake);
        }
}

static void the_same_seed_asks_for_the_same_faults(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(7);
    for (size_t k = 0; k < ALL; k++) {
        struct prng one = prng_stream(42, "nemesis"), same = prng_stream(42, "nemesis");
        struct prng other = prng_stream(43, "nemesis");
        bool differs = false;
        for (int i = 0; i < 50; i++) {
            struct value a = all[k]->choose(&fake->test, &one, &fake->arena);
            fake->primaries = 1u << (i % 7); /* how the cluster fares must not matter */
            struct value b = all[k]->choose(&fake->test, &same, &fake->arena);
            struct value c = all[k]->choose(&fake->test, &other, &fake->arena);
            assert_true(value_equal(a, b));
            differs = differs || !value_equal(a, c);
        }
        assert_true(differs);
    }
    fake_free(fake);
}

/* Fails call `fail_at` of a begin and an end. Whatever fails, the cluster must be whole after the
 * end, or after the begin when that failed. False when the fault took fewer calls. */
static bool survives(const struct nemesis *nemesis, uint64_t seed, uint32_t fail_at, bool halfway)
{
    struct fake_control *fake = fake_new(3);
    fake->fail_at = fail_at;
    fake->fail_halfway = halfway;
    fake_set(fake, "kill.targets", "majority");
    fake_set(fake, "pause.targets", "majority");
    fake_set(fake, "power.targets", "majority");
    fake_has_disks(fake);
    struct err err = ERR_INIT;
    struct fault fault = fake_fault(fake, nemesis, seed);
    enum err_code code = nemesis->begin(&fake->test, &fault, &err);
    assert_int_equal(fault.begun_verified, code == ERR_NONE ? VERIFIED_YES : VERIFIED_NO);
    if (code == ERR_NONE) {
        if (nemesis != &nemesis_disk)
            assert_false(fake_is_whole(fake));
        code = nemesis->end(&fake->test, &fault, &err);
        assert_int_equal(fault.ended_verified, code == ERR_NONE ? VERIFIED_YES : VERIFIED_NO);
    } else {
        assert_true(value_is_nil(fault.done));
        assert_int_equal(fault.nodes, 0);
    }
    if (code != ERR_NONE) {
        assert_int_equal(err.code, code);
        assert_contains(err.message, "scripted failure");
    }
    if (!fake_is_whole(fake))
        fail_msg("%s is not undone when call %u fails:\n%s", nemesis->name, fail_at,
                 fake->calls.data);
    bool reached = fake->call_count >= fail_at;
    fake_fault_free(&fault);
    fake_free(fake);
    return reached;
}

static void every_failing_call_leaves_the_cluster_whole(void **state)
{
    (void)state;
    for (size_t k = 0; k < ALL; k++)
        for (int variant = 0; variant < 8; variant++) { /* seeds draw other stages and damages */
            uint32_t call = 1;
            while (survives(all[k], 1 + (uint64_t)variant / 2, call, variant % 2 != 0))
                call++;
            bool short_one = all[k] == &nemesis_hog || all[k] == &nemesis_clock;
            assert_true(call > (short_one ? 2 : 4)); /* it did what could fail */
        }
}

static void names_say_what_was_done(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "kill.targets", "n1+n3");
    fake_set(fake, "pause.targets", "n2");
    fake_set(fake, "partition.shape", "map");
    fake_set(fake, "partition.map", "n1:n2+n3");
    static const struct {
        const char *asked, *done;
    } expected[] = {
        {"{:shape :map, :drops {\"n1\" #{\"n2\" \"n3\"}}}",
         "[:isolated {\"n1\" #{\"n2\" \"n3\"}}]"},
        {"{:targets :named, :nodes [\"n1\" \"n3\"]}", "{\"n1\" :killed, \"n3\" :killed}"},
        {"{:targets :named, :nodes [\"n2\"]}", "{\"n2\" :paused}"},
    };
    for (size_t k = 0; k < sizeof expected / sizeof *expected; k++) {
        assert_ok(all[k]->check(&fake->test, &err));
        struct fault fault = fake_fault(fake, all[k], 1);
        assert_value(fault.asked, expected[k].asked);
        assert_ok(all[k]->begin(&fake->test, &fault, &err));
        assert_value(fault.done, expected[k].done);
        assert_ok(all[k]->end(&fake->test, &fault, &err));
        assert_value(fault.done, expected[k].done); /* what was done stays told */
        fake_fault_free(&fault);
    }
    fake_free(fake);
}

/* ---- partition ---- */

static void a_cut_that_does_not_cut_is_undone_and_told(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake->cuts_do_nothing = true;
    struct fault fault = fake_fault(fake, &nemesis_partition, 1);
    assert_int_equal(nemesis_partition.begin(&fake->test, &fault, &err), ERR_REMOTE);
    assert_contains(err.message, "made but not in force, and undone: packets to");
    assert_contains(fake->calls.data, "network_verify cut\nnetwork_verify cut\n"); /* it retried */
    assert_true(fake_is_whole(fake));
    fake_fault_free(&fault);
    fake_free(fake);
}

static void a_cut_that_cannot_be_undone_is_told(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    struct fault fault = fake_fault(fake, &nemesis_partition, 1);
    assert_ok(nemesis_partition.begin(&fake->test, &fault, &err));
    fake->fail_always = "network_undo";
    assert_int_equal(nemesis_partition.end(&fake->test, &fault, &err), ERR_REMOTE);
    assert_contains(err.message, "healing the network: scripted failure");
    assert_int_equal(fault.ended_verified, VERIFIED_NO);
    fake->fail_always = NULL;
    assert_ok(nemesis_partition.end(&fake->test, &fault, &err)); /* and may be tried again */
    fake_fault_free(&fault);
    fake_free(fake);
}

static void another_cut_in_force_keeps_the_end_unverified(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    struct fault fault = fake_fault(fake, &nemesis_partition, 1);
    assert_ok(nemesis_partition.begin(&fake->test, &fault, &err));
    const node_set drops[] = {2, 0, 0};
    int64_t ns;
    assert_ok(network_block(&fake->test, "other", drops, PACKETS_ALL, &ns, &err));
    assert_int_equal(nemesis_partition.end(&fake->test, &fault, &err), ERR_REMOTE);
    assert_contains(err.message, "the network is not whole: packets to n1");
    fake_fault_free(&fault);
    fake_free(fake);
}

static void partitioned_primaries_are_cut_together(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(4);
    struct err err = ERR_INIT;
    fake_has_primaries(fake);
    fake_set(fake, "partition.shape", "primaries");
    struct fault fault = fake_fault(fake, &nemesis_partition, 1);
    assert_value(fault.asked, "{:shape :primaries}");
    assert_int_equal(nemesis_partition.begin(&fake->test, &fault, &err), ERR_REMOTE);
    assert_string_equal(err.message, "partition: no node of fake leads at the moment");
    fake->primaries = 15;
    assert_int_equal(nemesis_partition.begin(&fake->test, &fault, &err), ERR_REMOTE);
    assert_contains(err.message, "all 4 nodes are on one side");
    fake->primaries = 3;
    assert_ok(nemesis_partition.begin(&fake->test, &fault, &err));
    assert_int_equal(fake_drops(fake, 0), 12);
    assert_int_equal(fake_drops(fake, 3), 3);
    fake_fault_free(&fault);
    fake_free(fake);
}

static void deaf_primaries_lose_messages_only_where_asked(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_has_primaries(fake);
    fake->primaries = 2;
    fake_set(fake, "partition.shape", "deaf-primaries");
    fake_set(fake, "partition.packets", "data");
    struct fault fault = fake_fault(fake, &nemesis_partition, 1);
    assert_value(fault.asked, "{:shape :deaf-primaries, :packets :data}");
    assert_ok(nemesis_partition.begin(&fake->test, &fault, &err));
    assert_int_equal(fake->packets, PACKETS_DATA);
    assert_int_equal(fake_drops(fake, 0), 0);
    assert_int_equal(fake_drops(fake, 1), 5);
    assert_int_equal(fake_drops(fake, 2), 0);
    fake_fault_free(&fault);
    fake_free(fake);
}

static void a_random_shape_is_one_that_fits(void **state)
{
    (void)state;
    static const struct {
        uint32_t nodes, shapes;
    } expected[] = {{2, 4}, {3, 6}, {4, 7}, {9, 7}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct fake_control *fake = fake_new(expected[i].nodes);
        struct err err = ERR_INIT;
        node_set seen = 0;
        for (uint64_t seed = 0; seed < 80; seed++) {
            struct fault fault = fake_fault(fake, &nemesis_partition, seed);
            const char *drawn = value_as_text(value_get(fault.asked, "shape"));
            for (enum shape shape = 0; shape < SHAPE_COUNT; shape++)
                if (strcmp(shape_name(shape), drawn) == 0)
                    seen |= NODE_SET(shape);
            assert_ok(nemesis_partition.begin(&fake->test, &fault, &err));
            assert_ok(nemesis_partition.end(&fake->test, &fault, &err));
            fake_fault_free(&fault);
        }
        assert_int_equal(node_set_count(seen), expected[i].shapes);
        fake_free(fake);
    }
}

static void partitions_that_cannot_be_are_refused_before_the_run(void **state)
{
    (void)state;
    static const struct {
        uint32_t nodes;
        const char *shape, *map;
        enum err_code code;
        const char *message;
    } bad[] = {
        {1, "random", "", ERR_CONFIG, "needs 2 nodes or more; there is only 1"},
        {2, "bridge", "", ERR_CONFIG, "partition.shape=bridge needs 3 nodes or more"},
        {3, "minority-third", "", ERR_CONFIG, "needs 4 nodes or more; there are 3"},
        {3, "primaries", "", ERR_CONFIG, "fake cannot tell which nodes lead"},
        {3, "map", "", ERR_CONFIG, "partition.map: it is empty"},
        {3, "map", "n1:n4", ERR_CONFIG, "partition.map: no node is called 'n4'"},
        {3, "random", "n1:n2", ERR_CONFIG, "partition.shape is random; set it to map"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fake_control *fake = fake_new(bad[i].nodes);
        struct err err = ERR_INIT;
        fake_set(fake, "partition.shape", bad[i].shape);
        fake_set(fake, "partition.map", bad[i].map);
        assert_int_equal(nemesis_partition.check(&fake->test, &err), bad[i].code);
        assert_contains(err.message, bad[i].message);
        fake_free(fake);
    }
}

/* ---- kill and pause ---- */

static void systems_without_daemons_are_refused(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake->system.daemons = none;
    fake->system.name = "noop";
    assert_int_equal(nemesis_kill.check(&fake->test, &err), ERR_CONFIG);
    assert_string_equal(err.message, "it needs a system with daemons; noop has none");
    assert_int_equal(nemesis_pause.check(&fake->test, &err), ERR_CONFIG);
    fake->system.daemons = NULL;
    assert_int_equal(nemesis_pause.check(&fake->test, &err), ERR_CONFIG);
    fake_free(fake);
}

static void what_is_dead_already_is_not_called_killed(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "kill.targets", "n1+n2");
    fake->daemons[0][0] = fake->daemons[0][1] = DAEMON_EXITED;
    struct fault fault = fake_fault(fake, &nemesis_kill, 1);
    assert_ok(nemesis_kill.begin(&fake->test, &fault, &err));
    assert_value(fault.done, "{\"n1\" :was-not-running, \"n2\" :killed}");
    assert_int_equal(fault.nodes, 2);
    assert_ok(nemesis_kill.end(&fake->test, &fault, &err));
    assert_int_equal(fake_running(fake, 0), 6); /* what died of its own is not hidden */
    fake_fault_free(&fault);
    fake_free(fake);
}

static void killing_the_dead_is_a_fault_that_did_not_happen(void **state)
{
    (void)state;
    static const struct {
        const struct nemesis *nemesis;
        const char *message;
    } cases[] = {{&nemesis_kill, "kill n1: no daemon of fake runs there"},
                 {&nemesis_pause, "pause n1: no daemon of fake runs there"}};
    for (size_t i = 0; i < 2; i++) {
        struct fake_control *fake = fake_new(3);
        struct err err = ERR_INIT;
        fake_set(fake, "kill.targets", "n1");
        fake_set(fake, "pause.targets", "n1");
        fake->daemons[0][0] = fake->daemons[0][1] = DAEMON_EXITED;
        struct fault fault = fake_fault(fake, cases[i].nemesis, 1);
        assert_int_equal(cases[i].nemesis->begin(&fake->test, &fault, &err), ERR_REMOTE);
        assert_string_equal(err.message, cases[i].message);
        assert_null(strstr(fake->calls.data, "daemon_signal"));
        fake_fault_free(&fault);
        fake_free(fake);
    }
}

static void a_daemon_that_does_not_stay_is_told(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "kill.targets", "n2");
    struct fault fault = fake_fault(fake, &nemesis_kill, 1);
    assert_ok(nemesis_kill.begin(&fake->test, &fault, &err));
    fake->exit_after = 5;
    assert_int_equal(nemesis_kill.end(&fake->test, &fault, &err), ERR_REMOTE);
    assert_contains(err.message, "started again, but it did not stay: db on n2 is exited");
    assert_int_equal(fault.ended_verified, VERIFIED_NO);
    fake_fault_free(&fault);
    fake_free(fake);
}

static void a_daemon_that_does_not_start_is_told(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "kill.targets", "n2");
    struct fault fault = fake_fault(fake, &nemesis_kill, 1);
    assert_ok(nemesis_kill.begin(&fake->test, &fault, &err));
    fake->fail_always = "daemon_start";
    assert_int_equal(nemesis_kill.end(&fake->test, &fault, &err), ERR_REMOTE);
    assert_string_equal(err.message, "starting again n2: scripted failure of daemon_start");
    fake->fail_always = NULL;
    assert_ok(nemesis_kill.end(&fake->test, &fault, &err));
    assert_true(fake_is_whole(fake));
    fake_fault_free(&fault);
    fake_free(fake);
}

static void an_interruption_ends_the_waiting(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "kill.targets", "n2");
    struct fault fault = fake_fault(fake, &nemesis_kill, 1);
    assert_ok(nemesis_kill.begin(&fake->test, &fault, &err));
    fake->exit_after = 1;
    fake->cancelled = true;
    assert_int_equal(nemesis_kill.end(&fake->test, &fault, &err), ERR_CANCELLED);
    assert_int_equal(fake->now_ns, 0);
    fake_fault_free(&fault);
    fake_free(fake);
}

static void the_killed_while_paused_need_no_resuming(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "pause.targets", "n1+n2");
    fake_set(fake, "kill.targets", "n2");
    struct fault pause = fake_fault(fake, &nemesis_pause, 1),
                 kill = fake_fault(fake, &nemesis_kill, 1);
    assert_ok(nemesis_pause.begin(&fake->test, &pause, &err));
    assert_ok(nemesis_kill.begin(&fake->test, &kill, &err));
    assert_ok(nemesis_pause.end(&fake->test, &pause, &err));
    assert_contains(pause.ended_evidence.data, "nothing to resume: n2");
    assert_ok(nemesis_kill.end(&fake->test, &kill, &err));
    assert_true(fake_is_whole(fake));
    fake_fault_free(&pause);
    fake_fault_free(&kill);
    fake_free(fake);
}

static void faults_by_hand_hit_processes_that_agents_do_not_know(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake->by_process_name = true;
    fake_set(fake, "pause.targets", "n1+n2");
    struct fault fault = fake_fault(fake, &nemesis_pause, 1);
    assert_ok(nemesis_pause.begin(&fake->test, &fault, &err));
    assert_int_equal(fake_running(fake, 0), 4);
    assert_ok(nemesis_pause.end(&fake->test, &fault, &err));
    assert_true(fake_is_whole(fake));
    fake_fault_free(&fault);
    fake->daemons[0][0] = DAEMON_EXITED; /* there is none of that name on n1: nothing happens */
    fault = fake_fault(fake, &nemesis_pause, 1);
    assert_int_equal(nemesis_pause.begin(&fake->test, &fault, &err), ERR_REMOTE);
    assert_contains(err.message, "pause n1, n2: SIGSTOP to db: n1: db does not run");
    assert_int_equal(fake_running(fake, 0), 6);
    assert_int_equal(fake_running(fake, 1), 7);
    fake_set(fake, "kill.targets", "n3");
    struct fault kill = fake_fault(fake, &nemesis_kill, 1);
    assert_ok(nemesis_kill.begin(&fake->test, &kill, &err));
    assert_int_equal(fake_running(fake, 0), 2);
    fake_fault_free(&fault);
    fake_fault_free(&kill);
    fake_free(fake);
}

static void a_resume_that_fails_is_told(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "pause.targets", "n1+n2");
    struct fault fault = fake_fault(fake, &nemesis_pause, 1);
    assert_ok(nemesis_pause.begin(&fake->test, &fault, &err));
    fake->fail_always = "daemon_signal";
    assert_int_equal(nemesis_pause.end(&fake->test, &fault, &err), ERR_REMOTE);
    assert_string_equal(err.message,
                        "resuming n1, n2: SIGCONT to db: scripted failure of daemon_signal");
    struct fault second = fake_fault(fake, &nemesis_pause, 1);
    fake->fail_always = NULL;
    assert_ok(nemesis_pause.end(&fake->test, &fault, &err));
    fake->fail_always = "daemon_signal";
    fake->fail_halfway = true;
    assert_int_equal(nemesis_pause.begin(&fake->test, &second, &err), ERR_REMOTE);
    assert_contains(err.message, "and undoing that failed too: resuming n1, n2: SIGCONT");
    fake_fault_free(&fault);
    fake_fault_free(&second);
    fake_free(fake);
}

/* ---- Disks and clocks ---- */

static void disks_that_cannot_lose_power_are_refused(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    assert_int_equal(nemesis_power.check(&fake->test, &err), ERR_CONFIG);
    assert_int_equal(nemesis_disk.check(&fake->test, &err), ERR_CONFIG);
    fake_has_disks(fake);
    assert_ok(nemesis_power.check(&fake->test, &err));
    assert_ok(nemesis_disk.check(&fake->test, &err));
    assert_contains(fake->calls.data, "disk_give /var/lib/fake n1, n2, n3");
    fake->fail_always = "disk_give";
    assert_int_equal(nemesis_power.check(&fake->test, &err), ERR_REMOTE);
    fake_free(fake);
    fake = fake_new(2); /* two cannot spare one */
    fake_has_disks(fake);
    assert_int_equal(nemesis_disk.check(&fake->test, &err), ERR_CONFIG);
    fake_free(fake);
}

/* A system may run some of its daemons on some nodes only. */
static void power_is_taken_from_daemons_that_there_are(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_has_disks(fake);
    fake_set(fake, "power.targets", "n1+n2");
    fake->daemons[0][1] = DAEMON_NONE; /* never started on n1 */
    struct fault fault = fake_fault(fake, &nemesis_power, 1);
    assert_ok(nemesis_power.begin(&fake->test, &fault, &err));
    assert_int_equal(fault.nodes, 3);
    assert_int_equal(fake->daemons[0][0], DAEMON_EXITED);
    assert_int_equal(fake->daemons[0][1], DAEMON_NONE);
    assert_int_equal(fake->daemons[1][1], DAEMON_EXITED);
    assert_ok(nemesis_power.end(&fake->test, &fault, &err));
    fake_fault_free(&fault);
    fake_free(fake);
}

static void set_plan(struct fake_control *fake, const struct nemesis *first,
                     const struct nemesis *second)
{
    fake->plan.nemeses[0] = first;
    fake->plan.nemeses[1] = second;
    fake->plan.nemesis_count = 2;
}

static void the_data_has_one_disk_whoever_needs_it(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    assert_int_equal(nemesis_io.check(&fake->test, &err), ERR_CONFIG);
    fake_has_disks(fake);
    set_plan(fake, &nemesis_power, &nemesis_io);
    assert_int_equal(nemesis_power.check(&fake->test, &err), ERR_CONFIG);
    assert_contains(err.message, "io.file-system=strict");
    assert_int_equal(nemesis_io.check(&fake->test, &err), ERR_CONFIG);
    fake_set(fake, "power.file-system", "strict");
    assert_ok(nemesis_power.check(&fake->test, &err));
    assert_ok(nemesis_io.check(&fake->test, &err));
    const char *given = strstr(fake->calls.data, "disk_give");
    assert_non_null(given);
    assert_null(strstr(given + 1, "disk_give"));
    fake_free(fake);
}

static void disks_that_cannot_fail_as_asked_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value;
    } wrong[] = {{"io.file-system", "ext4"},
                 {"io.chance", "0"},
                 {"io.delay", "4s"},
                 {"io.leave", "-1"},
                 {"io.targets", "nobody"}};
    struct err err = ERR_INIT;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fake_control *fake = fake_new(3);
        fake_has_disks(fake);
        assert_ok(nemesis_io.check(&fake->test, &err));
        fake_set(fake, wrong[i].option, wrong[i].value);
        assert_int_equal(nemesis_io.check(&fake->test, &err), ERR_CONFIG);
        fake_free(fake);
    }
    struct fake_control *fake = fake_new(3);
    fake_has_disks(fake);
    fake_set(fake, "io.file-system", "xfs");
    fake_set(fake, "io.kind", "full");
    assert_ok(nemesis_io.check(&fake->test, &err));
    fake_free(fake);
}

static uint32_t place_of(const struct fake_control *fake, const char *line)
{
    const char *found = strstr(fake->calls.data, line);
    if (found == NULL)
        fail_msg("no call '%s' in:\n%s", line, fake->calls.data);
    return (uint32_t)(found - fake->calls.data);
}

/* The minority is killed first, then everybody; the one whose disk was damaged is started with the
 * minority alone, and is a member again only after the others are back. */
static void a_trap_is_laid_in_its_order(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_has_disks(fake);
    fake_set(fake, "disk.stage", "trap");
    fake_set(fake, "disk.damage", "wipe");
    struct fault fault = fake_fault(fake, &nemesis_disk, 5);
    assert_int_equal(value_count(value_get(fault.asked, "nodes")), 1);
    assert_int_equal(value_count(value_get(fault.asked, "behind")), 1);
    assert_ok(nemesis_disk.begin(&fake->test, &fault, &err));
    assert_true(fake->now_ns >= 1500 * NS_PER_MS);
    assert_int_equal(node_set_count(fake_running(fake, 0)), 2);
    assert_int_equal(fault.nodes, 7);
    char killed[64], damaged[64];
    const char *behind = value_as_text(value_at(value_get(fault.asked, "behind"), 0));
    const char *victim = value_as_text(value_at(value_get(fault.asked, "nodes"), 0));
    snprintf(killed, sizeof killed, "daemon_signal KILL db %s\n", behind);
    snprintf(damaged, sizeof damaged, "test_shell_output");
    assert_true(place_of(fake, killed) < place_of(fake, damaged));
    assert_true(place_of(fake, damaged) < place_of(fake, "daemon_start"));
    assert_string_not_equal(behind, victim);
    assert_ok(nemesis_disk.end(&fake->test, &fault, &err));
    assert_true(place_of(fake, "replace") > place_of(fake, "daemon_start"));
    assert_true(fake_is_whole(fake));
    fake_fault_free(&fault);
    fake_free(fake);
}

static void a_random_damage_is_any_of_them(void **state)
{
    (void)state;
    static const char *const kinds[] = {"wipe", "flip", "truncate", "misdirect", "stale", "remove"};
    struct fake_control *fake = fake_new(3);
    struct prng prng = prng_stream(1, "damages");
    uint32_t drawn[6] = {0};
    for (int i = 0; i < 600; i++) {
        struct value asked = nemesis_disk.choose(&fake->test, &prng, &fake->arena);
        size_t kind = 0;
        while (strcmp(kinds[kind], value_as_text(value_get(asked, "damage"))) != 0)
            assert_true(++kind < 6);
        drawn[kind]++;
    }
    for (size_t kind = 0; kind < 6; kind++)
        assert_in_range(drawn[kind], 60, 140); /* 100 and four standard deviations */
    fake_free(fake);
}

static void a_member_that_is_not_replaced_is_told(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_has_disks(fake);
    struct fault fault = fake_fault(fake, &nemesis_disk, 2);
    assert_ok(nemesis_disk.begin(&fake->test, &fault, &err));
    fake->fail_always = "replace";
    int64_t began_ns = fake->now_ns;
    assert_int_equal(nemesis_disk.end(&fake->test, &fault, &err), ERR_REMOTE);
    assert_contains(err.message, "making it a member again");
    assert_int_equal(fault.ended_verified, VERIFIED_NO);
    assert_true(fake->now_ns - began_ns >= 40 * NS_PER_SECOND);
    fake_fault_free(&fault);
    fake_free(fake);
}

static void clocks_are_made_wrong_as_asked(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "clock.offset", "-10s");
    fake_set(fake, "clock.targets", "n2");
    assert_ok(nemesis_clock.check(&fake->test, &err));
    struct fault fault = fake_fault(fake, &nemesis_clock, 1);
    assert_value(fault.asked,
                 "{:targets :named, :nodes [\"n2\"], :shape :bump, :offset-ms -10000}");
    assert_ok(nemesis_clock.begin(&fake->test, &fault, &err));
    assert_value(fault.done, "{:targets :named, :nodes [\"n2\"], :shape :bump, "
                             ":offset-ms -10000, :means :vdso}");
    assert_int_equal(fault.nodes, 2);
    assert_int_equal(fake->skewed, 2);
    assert_int_equal(fake->skew.offset_ns, -10 * NS_PER_SECOND);
    assert_int_equal(fake->skew.rate_ppm, 0);
    fake->fail_always = "clock_skew_end";
    assert_int_equal(nemesis_clock.end(&fake->test, &fault, &err), ERR_REMOTE); /* still off */
    assert_contains(err.message, "setting clocks right");
    assert_int_equal(fault.ended_verified, VERIFIED_NO);
    fake->fail_always = NULL;
    assert_ok(nemesis_clock.end(&fake->test, &fault, &err));
    assert_int_equal(fault.ended_verified, VERIFIED_YES);
    fake_fault_free(&fault);
    fake_set(fake, "clock.shape", "drift");
    fake_set(fake, "clock.rate", "1.05");
    fault = fake_fault(fake, &nemesis_clock, 1);
    assert_ok(nemesis_clock.begin(&fake->test, &fault, &err));
    assert_int_equal(fake->skew.offset_ns, 0);
    assert_int_equal(fake->skew.rate_ppm, 50000);
    fake_fault_free(&fault);
    fake_free(fake);
}

static void a_clock_that_nobody_reads_is_no_fault(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake_set(fake, "clock.targets", "n2+n3");
    fake->daemons[1][0] = fake->daemons[1][1] = DAEMON_EXITED;
    struct fault fault = fake_fault(fake, &nemesis_clock, 1);
    assert_ok(nemesis_clock.begin(&fake->test, &fault, &err));
    assert_int_equal(fault.nodes, 4); /* n2 has nobody to lie to */
    assert_ok(nemesis_clock.end(&fake->test, &fault, &err));
    fake_fault_free(&fault);
    fake->daemons[2][0] = fake->daemons[2][1] = DAEMON_EXITED;
    fault = fake_fault(fake, &nemesis_clock, 1);
    assert_int_equal(nemesis_clock.begin(&fake->test, &fault, &err), ERR_REMOTE);
    assert_int_equal(fault.begun_verified, VERIFIED_NO);
    assert_int_equal(fault.nodes, 0);
    fake_fault_free(&fault);
    fake_free(fake);
}

/* The machine's own clock only where it is one; then what needs no preparation; then the library.
 */
static void the_means_are_what_the_nodes_allow(void **state)
{
    (void)state;
    static const struct {
        const char *wanted;
        bool own_clocks, no_vdso;
        enum err_code code;
        enum clock_means means;
    } cases[] = {
        {"auto", false, false, ERR_NONE, CLOCK_MEANS_VDSO},
        {"auto", true, false, ERR_NONE, CLOCK_MEANS_MACHINE},
        {"auto", false, true, ERR_NONE, CLOCK_MEANS_FAKETIME},
        {"settime", true, false, ERR_NONE, CLOCK_MEANS_MACHINE},
        {"settime", false, false, ERR_UNSUPPORTED, CLOCK_MEANS_MACHINE},
        {"vdso", true, true, ERR_UNSUPPORTED, CLOCK_MEANS_VDSO},
        {"faketime", true, false, ERR_NONE, CLOCK_MEANS_FAKETIME},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake_control *fake = fake_new(3);
        struct err err = ERR_INIT;
        fake_set(fake, "clock.means", cases[i].wanted);
        fake->own_clocks = cases[i].own_clocks;
        fake->no_vdso = cases[i].no_vdso;
        fake->output = "/usr/lib/libfaketimeMT.so.1\n";
        assert_int_equal(nemesis_clock.check(&fake->test, &err), cases[i].code);
        bool prepared = strstr(fake->calls.data, "LD_PRELOAD=/usr/lib/libfaketimeMT.so.1") &&
                        strstr(fake->calls.data, "FAKETIME_DONT_FAKE_MONOTONIC=1");
        assert_int_equal(prepared,
                         cases[i].code == ERR_NONE && cases[i].means == CLOCK_MEANS_FAKETIME);
        if (cases[i].code == ERR_NONE) {
            struct fault fault = fake_fault(fake, &nemesis_clock, 1);
            assert_ok(nemesis_clock.begin(&fake->test, &fault, &err));
            assert_int_equal(fake->skew.means, cases[i].means);
            fake_fault_free(&fault);
        } else {
            assert_contains(err.message, "n1: it ");
        }
        fake_free(fake);
    }
}

static void clocks_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"clock.offset", "tomorrow"}, {"clock.offset", "10s"}, {"clock.offset", "+1000000h"},
        {"clock.rate", "fast"},       {"clock.rate", "1"},     {"clock.rate", "0"},
        {"clock.rate", "1.05x"},      {"clock.rate", "11"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fake_control *fake = fake_new(3);
        struct err err = ERR_INIT;
        fake_set(fake, wrong[i][0], wrong[i][1]);
        assert_int_equal(nemesis_clock.check(&fake->test, &err), ERR_CONFIG);
        assert_contains(err.message, wrong[i][1]);
        fake_free(fake);
    }
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    fake->own_clocks = true;
    fake_set(fake, "clock.rate", "2");
    assert_int_equal(nemesis_clock.check(&fake->test, &err), ERR_CONFIG);
    assert_contains(err.message, "0.9 to 1.1");
    fake_free(fake);
}

static void clock_sizes_are_drawn_of_every_shape_and_sign(void **state)
{
    (void)state;
    struct fake_control *fake = fake_new(5);
    int bumps = 0, strobes = 0, drifts = 0, forward = 0, small = 0;
    struct prng prng = prng_stream(1, "nemesis");
    for (int i = 0; i < 300; i++) {
        struct value asked = nemesis_clock.choose(&fake->test, &prng, &fake->arena);
        const char *shape = value_as_text(value_get(asked, "shape"));
        bool drift = strcmp(shape, "drift") == 0;
        int64_t size = value_as_int(value_get(asked, drift ? "rate-ppm" : "offset-ms"));
        int64_t most = drift ? 64000 : INT64_C(209715200);
        assert_true(size != 0 && llabs(size) < most && llabs(size) >= (drift ? 1000 : 100));
        bumps += strcmp(shape, "bump") == 0;
        strobes += strcmp(shape, "strobe") == 0;
        drifts += drift;
        forward += size > 0;
        small += !drift && llabs(size) < 10000;
        if (strcmp(shape, "strobe") == 0)
            assert_in_range(value_as_int(value_get(asked, "every-ms")), 10, 1279);
    }
    assert_true(bumps > 60 && strobes > 60 && drifts > 60);
    assert_in_range(forward, 100, 200);
    assert_in_range(small, 30, 120);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_nemesis_breaks_and_heals),
        cmocka_unit_test(the_same_seed_asks_for_the_same_faults),
        cmocka_unit_test(every_failing_call_leaves_the_cluster_whole),
        cmocka_unit_test(names_say_what_was_done),
        cmocka_unit_test(a_cut_that_does_not_cut_is_undone_and_told),
        cmocka_unit_test(a_cut_that_cannot_be_undone_is_told),
        cmocka_unit_test(another_cut_in_force_keeps_the_end_unverified),
        cmocka_unit_test(deaf_primaries_lose_messages_only_where_asked),
        cmocka_unit_test(partitioned_primaries_are_cut_together),
        cmocka_unit_test(a_random_shape_is_one_that_fits),
        cmocka_unit_test(partitions_that_cannot_be_are_refused_before_the_run),
        cmocka_unit_test(systems_without_daemons_are_refused),
        cmocka_unit_test(what_is_dead_already_is_not_called_killed),
        cmocka_unit_test(killing_the_dead_is_a_fault_that_did_not_happen),
        cmocka_unit_test(a_daemon_that_does_not_stay_is_told),
        cmocka_unit_test(a_daemon_that_does_not_start_is_told),
        cmocka_unit_test(an_interruption_ends_the_waiting),
        cmocka_unit_test(the_killed_while_paused_need_no_resuming),
        cmocka_unit_test(faults_by_hand_hit_processes_that_agents_do_not_know),
        cmocka_unit_test(a_resume_that_fails_is_told),
        cmocka_unit_test(disks_that_cannot_lose_power_are_refused),
        cmocka_unit_test(power_is_taken_from_daemons_that_there_are),
        cmocka_unit_test(the_data_has_one_disk_whoever_needs_it),
        cmocka_unit_test(disks_that_cannot_fail_as_asked_are_refused),
        cmocka_unit_test(a_trap_is_laid_in_its_order),
        cmocka_unit_test(a_random_damage_is_any_of_them),
        cmocka_unit_test(a_member_that_is_not_replaced_is_told),
        cmocka_unit_test(clocks_are_made_wrong_as_asked),
        cmocka_unit_test(a_clock_that_nobody_reads_is_no_fault),
        cmocka_unit_test(the_means_are_what_the_nodes_allow),
        cmocka_unit_test(clocks_that_cannot_be_are_refused),
        cmocka_unit_test(clock_sizes_are_drawn_of_every_shape_and_sign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
