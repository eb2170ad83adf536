/* The simulator, tested by lying to it: a world that breaks its promises to the core, and a core
 * with planted defects. Each must be convicted within a bounded number of seeds, or a clean run
 * proves nothing.
 *
 * The core is compiled into this program once more, with the defects that a normal build does not
 * have. */
#define ORDEAL_QUEUE_DEFECTS

#include "queue/defect.c"
#include "queue/raft.c"
#include "queue/raft_election.c"
#include "queue/raft_membership.c"
#include "queue/raft_message.c"
#include "queue/raft_read.c"
#include "queue/raft_replication.c"
#include "queue/raft_snapshot.c"
#include "queue/raft_window.c"

#include "tests/queue/lib/raft_simulator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs seeds until one is convicted; elections: only those whose faults lie around elections.
 * Returns the seed, 0 for none of them. */
static uint64_t convict(struct simulation_options options, bool elections, uint64_t seeds,
                        struct simulation_result *result)
{
    struct fault faults[SIMULATION_FAULTS_MAX];
    int saved = dup(STDERR_FILENO); /* a failed assertion of the core is a finding, not a message */
    assert_true(saved >= 0 && freopen("/dev/null", "w", stderr));
    uint64_t took = 0;
    for (uint64_t i = 1; i <= seeds && took == 0; i++) {
        uint64_t seed = elections ? 4 * i + 3 : i;
        options.seed = seed;
        simulation_run(&options, faults, simulation_faults(&options, faults), result);
        took = result->failed ? seed : 0;
    }
    fflush(stderr);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    return took;
}

static void lie_is_seen(enum simulation_lie lie, bool outcomes_only, uint64_t seeds)
{
    bool elections = lie == LIE_META_FORGOTTEN;
    struct simulation_options options = {.lie = lie, .outcomes_only = outcomes_only};
    struct simulation_result result;
    uint64_t took = convict(options, elections, seeds, &result);
    printf("# %s%s: convicted by seed %lu: %s\n", simulation_lie_name(lie),
           outcomes_only ? ", by outcome" : "", took, result.message);
    assert_int_not_equal(took, 0);
}

static void defect_is_seen(enum defect defect, bool outcomes_only, uint64_t seeds)
{
    bool elections = defect == DEFECT_COMMIT_OLD_TERM || defect == DEFECT_VOTE_NOT_PERSISTED;
    struct simulation_options options = {.outcomes_only = outcomes_only};
    struct simulation_result result;
    queue_defect_set(defect, true);
    uint64_t took = convict(options, elections, seeds, &result);
    queue_defect_set(defect, false);
    printf("# %s%s: convicted by seed %lu: %s\n", queue_defect_name(defect),
           outcomes_only ? ", by outcome" : "", took, result.message);
    assert_int_not_equal(took, 0);
}

static void without_defects_nothing_is_seen(void **state)
{
    (void)state;
    struct simulation_result result;
    assert_int_equal(convict((struct simulation_options){0}, false, 60, &result), 0);
}

static void persisted_early_is_seen(void **state)
{
    (void)state;
    lie_is_seen(LIE_PERSISTED_EARLY, false, 20);
    lie_is_seen(LIE_PERSISTED_EARLY, true, 2000);
}

static void meta_forgotten_is_seen(void **state)
{
    (void)state;
    lie_is_seen(LIE_META_FORGOTTEN, true, 2000);
}

static void disk_id_reused_is_seen(void **state)
{
    (void)state;
    lie_is_seen(LIE_DISK_ID_REUSED, true, 2000);
}

static void log_cut_is_seen(void **state)
{
    (void)state;
    lie_is_seen(LIE_LOG_CUT, true, 2000);
}

static void local_reads_are_seen(void **state)
{
    (void)state;
    lie_is_seen(LIE_READ_LOCAL, true, 100);
}

static void ack_before_fsync_is_seen(void **state)
{
    (void)state;
    defect_is_seen(DEFECT_ACK_BEFORE_FSYNC, false, 20);
    defect_is_seen(DEFECT_ACK_BEFORE_FSYNC, true, 2000);
}

static void vote_not_persisted_is_seen(void **state)
{
    (void)state;
    defect_is_seen(DEFECT_VOTE_NOT_PERSISTED, true, 2000);
}

static void disk_id_ignored_is_seen(void **state)
{
    (void)state;
    defect_is_seen(DEFECT_DISK_ID_IGNORED, true, 2000);
}

static void commit_old_term_is_seen(void **state)
{
    (void)state;
    defect_is_seen(DEFECT_COMMIT_OLD_TERM, true, 2000);
}

/* The paper's own schedule finds it in a few seeds, and nothing in the core as it is. */
static void commit_old_term_is_seen_in_figure_8(void **state)
{
    (void)state;
    enum { SEEDS = 40 };
    struct simulation_options options = {.outcomes_only = true, .nodes = 5, .figure8 = true};
    struct simulation_result result;
    assert_int_equal(convict(options, true, SEEDS, &result), 0);
    queue_defect_set(DEFECT_COMMIT_OLD_TERM, true);
    uint64_t took = convict(options, true, SEEDS, &result);
    queue_defect_set(DEFECT_COMMIT_OLD_TERM, false);
    printf("# commit-old-term, figure 8: convicted by seed %lu: %s\n", took, result.message);
    assert_int_not_equal(took, 0);
}

static void no_check_quorum_is_seen(void **state)
{
    (void)state;
    defect_is_seen(DEFECT_NO_CHECK_QUORUM, true, 200);
}

static void defects_have_names(void **state)
{
    (void)state;
    for (enum defect defect = 0; defect < DEFECT_COUNT; defect++) {
        assert_non_null(queue_defect_name(defect));
        assert_int_equal(queue_defect_find(queue_defect_name(defect)), defect);
    }
    assert_null(queue_defect_name(DEFECT_COUNT));
    assert_int_equal(queue_defect_find("no such"), DEFECT_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defects_have_names),
        cmocka_unit_test(without_defects_nothing_is_seen),
        cmocka_unit_test(persisted_early_is_seen),
        cmocka_unit_test(meta_forgotten_is_seen),
        cmocka_unit_test(disk_id_reused_is_seen),
        cmocka_unit_test(log_cut_is_seen),
        cmocka_unit_test(local_reads_are_seen),
        cmocka_unit_test(ack_before_fsync_is_seen),
        cmocka_unit_test(vote_not_persisted_is_seen),
        cmocka_unit_test(disk_id_ignored_is_seen),
        cmocka_unit_test(commit_old_term_is_seen),
        cmocka_unit_test(commit_old_term_is_seen_in_figure_8),
        cmocka_unit_test(no_check_quorum_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
