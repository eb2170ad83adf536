/* The defects planted in the replicated state: each breaks its promise, so that there is something
 * for a tester to find.
 *
 * The state is compiled into this program once more, with the defects that a normal build does not
 * have. Each story is told twice, without the defect and with it. */
#define ORDEAL_QUEUE_DEFECTS

#include "queue/defect.c"
#include "queue/state.c"
#include "queue/state_apply.c"
#include "queue/state_check.c"
#include "queue/state_heap.c"
#include "queue/state_job.c"
#include "queue/state_key.c"
#include "queue/state_query.c"
#include "queue/state_queue.c"
#include "queue/state_restore.c"
#include "queue/state_snapshot.c"
#include "queue/state_table.c"
#include "queue/state_wall.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <time.h>

#include "tests/queue/lib/state_trial.h"

static int64_t wall_step_s;

/* Stands before the C library's: the wall clock as this test sets it. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    *now = (struct timespec){.tv_sec = 1000000 + (clock == CLOCK_REALTIME ? wall_step_s : 0)};
    return 0;
}

static struct trial trial;

static enum state_status run(uint64_t time_ms, struct command command)
{
    return trial_run(&trial, time_ms, command)->result.status;
}

static void begin(enum defect defect, bool planted)
{
    trial_begin(&trial);
    wall_step_s = 0;
    queue_defect_set(defect, planted);
}

static void end(enum defect defect)
{
    queue_defect_set(defect, false);
    trial_end(&trial);
}

static enum state_status stale_ack(bool planted)
{
    begin(DEFECT_ACK_ANY_ATTEMPT, planted);
    run(0, trial_add(1, "q", "work"));
    run(0, trial_take("q", 1));
    run(2000, trial_take("q", 1));
    enum state_status status = run(2000, trial_job(COMMAND_ACK, 1, 1));
    end(DEFECT_ACK_ANY_ATTEMPT);
    return status;
}

static void a_stale_ack_is_taken(void **state)
{
    (void)state;
    assert_int_equal(stale_ack(false), STATE_STALE);
    assert_int_equal(stale_ack(true), STATE_OK);
}

/* Adds with a key, before and after a snapshot; how many jobs were made of it. */
static int jobs_of_a_key(bool planted)
{
    begin(DEFECT_KEYS_NOT_IN_SNAPSHOT, planted);
    struct command add = trial_add(1, "q", "work"), again = trial_add(2, "q", "work");
    add.key = again.key = trial_text("k");
    add.add.key_ttl_ms = again.add.key_ttl_ms = 1000000;
    int made = run(0, add) == STATE_OK;
    trial_restore(&trial);
    made += run(0, again) == STATE_OK;
    run(0, trial_job(COMMAND_DELETE, 1, 0));
    run(0, trial_job(COMMAND_DELETE, 2, 0));
    trial_restore(&trial); /* the queue has nothing but a key left */
    again.id = trial_id(3);
    made += run(0, again) == STATE_OK;
    end(DEFECT_KEYS_NOT_IN_SNAPSHOT);
    return made;
}

static void a_key_is_forgotten_by_a_snapshot(void **state)
{
    (void)state;
    assert_int_equal(jobs_of_a_key(false), 1);
    assert_int_equal(jobs_of_a_key(true), 3);
}

static enum job_state after_a_step(enum defect defect, bool planted)
{
    begin(defect, planted);
    struct command add = trial_add(1, "q", "work");
    if (defect == DEFECT_TTL_WALL_CLOCK)
        add.add.ttl_ms = 60000;
    run(0, add);
    if (defect == DEFECT_LEASE_WALL_CLOCK)
        run(1, trial_take("q", 1));
    trial_tick(&trial, 1);
    enum job_state before = trial_state(&trial, 1);
    assert_int_equal(before, defect == DEFECT_LEASE_WALL_CLOCK ? JOB_LEASED : JOB_READY);
    wall_step_s = 3600;
    trial_tick(&trial, 2);
    enum job_state after = trial_state(&trial, 1);
    end(defect);
    return after;
}

static void a_lease_ends_when_the_wall_clock_steps(void **state)
{
    (void)state;
    assert_int_equal(after_a_step(DEFECT_LEASE_WALL_CLOCK, false), JOB_LEASED);
    assert_int_equal(after_a_step(DEFECT_LEASE_WALL_CLOCK, true), JOB_READY);
}

static void a_job_expires_when_the_wall_clock_steps(void **state)
{
    (void)state;
    assert_int_equal(after_a_step(DEFECT_TTL_WALL_CLOCK, false), JOB_READY);
    assert_int_equal(after_a_step(DEFECT_TTL_WALL_CLOCK, true), JOB_DEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stale_ack_is_taken),
        cmocka_unit_test(a_key_is_forgotten_by_a_snapshot),
        cmocka_unit_test(a_lease_ends_when_the_wall_clock_steps),
        cmocka_unit_test(a_job_expires_when_the_wall_clock_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
