/* Each promise of the queue that the replicated state keeps, shown by an example in words. Random
 * search for exceptions is in state_model_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/queue/lib/state_trial.h"

static struct trial trial;

static int begin(void **state)
{
    (void)state;
    trial_begin(&trial);
    return 0;
}

static int end(void **state)
{
    (void)state;
    trial_end(&trial);
    return 0;
}

static enum state_status run(uint64_t time_ms, struct command command)
{
    return trial_run(&trial, time_ms, command)->result.status;
}

/* Takes one job and gives its number; 0 when there was none. */
static uint64_t take(uint64_t time_ms, const char *queue)
{
    const struct trial_result *result = trial_run(&trial, time_ms, trial_take(queue, 1));
    return result->result.count ? trial_id_number(&result->jobs[0].id) : 0;
}

static struct command nack(uint64_t id, uint32_t attempt, enum command_nack mode, uint64_t delay_ms)
{
    struct command command = trial_job(COMMAND_NACK, id, attempt);
    command.mode = mode;
    command.duration_ms = delay_ms;
    return command;
}

static struct command on_queue(enum command_type type, const char *queue)
{
    return (struct command){.type = type, .queue = trial_text(queue)};
}

static struct command config(enum state_config key, uint64_t value)
{
    return (struct command){.type = COMMAND_CONFIG, .config = {key, value}};
}

/* S1: what was added stays until something that is recorded takes it away. */
static void a_job_survives_any_number_of_lost_consumers(void **state)
{
    (void)state;
    assert_int_equal(run(0, trial_add(1, "q", "work")), STATE_OK);
    for (uint64_t round = 0; round < 50; round++) {
        assert_int_equal(take(round * 5000, "q"), 1);
        assert_int_equal(trial_state(&trial, 1), JOB_LEASED);
    }
    assert_int_equal(run(50 * 5000, trial_job(COMMAND_ACK, 1, 0)), STATE_OK);
    assert_int_equal(trial_counters(&trial).leases_ended, 50);
    assert_int_equal(trial_counters(&trial).acked, 1);
}

static void silence_of_any_length_loses_nothing_without_a_ttl(void **state)
{
    (void)state;
    run(0, trial_add(1, "q", "work"));
    trial_tick(&trial, COMMAND_TIME_MS_MAX);
    assert_int_equal(take(COMMAND_TIME_MS_MAX, "q"), 1);
}

/* S2 */
static void at_most_once_is_spent_by_the_take_that_delivers_it(void **state)
{
    (void)state;
    struct command add = trial_add(1, "q", "once");
    add.add.retry_ms = 0;
    run(0, add);
    const struct trial_result *result = trial_run(&trial, 5, trial_take("q", 3));
    assert_int_equal(result->result.count, 1);
    assert_int_equal(result->result.nonce, 77);
    assert_string_equal(result->jobs[0].body, "once");
    assert_int_equal(trial_state(&trial, 1), JOB_NONE);
    trial_restore(&trial);
    assert_int_equal(take(1000000, "q"), 0);
    assert_int_equal(run(1000000, nack(1, 1, NACK_DELAY, 0)), STATE_NOTFOUND);
    assert_int_equal(run(1000000, add), STATE_DUPLICATE);
    assert_int_equal(trial_counters(&trial).spent, 1);
}

/* S3 */
static void a_consumer_overtaken_by_another_is_refused(void **state)
{
    (void)state;
    run(0, trial_add(1, "q", "work"));
    assert_int_equal(take(0, "q"), 1);
    assert_int_equal(take(2000, "q"), 1);
    assert_int_equal(run(2000, trial_job(COMMAND_ACK, 1, 1)), STATE_STALE);
    assert_int_equal(run(2000, nack(1, 1, NACK_DELAY, 0)), STATE_STALE);
    assert_int_equal(run(2000, trial_job(COMMAND_EXTEND, 1, 1)), STATE_STALE);
    assert_int_equal(run(2000, trial_job(COMMAND_ACK, 1, 3)), STATE_STALE);
    assert_int_equal(run(2000, trial_job(COMMAND_ACK, 1, 2)), STATE_OK);
    const struct trial_result *again = trial_run(&trial, 2000, trial_job(COMMAND_ACK, 1, 2));
    assert_int_equal(again->result.status, STATE_NOTFOUND);
    assert_int_equal(again->result.end, END_ACKED);
    struct state_info info;
    state_info(trial.state, &info);
    assert_int_equal(info.refused[STATE_STALE], 4);
}

static void a_slow_consumer_may_finish_while_nobody_else_has_the_job(void **state)
{
    (void)state;
    run(0, trial_add(1, "q", "work"));
    take(0, "q");
    trial_tick(&trial, 5000);
    assert_int_equal(trial_state(&trial, 1), JOB_READY);
    assert_int_equal(run(5000, trial_job(COMMAND_EXTEND, 1, 1)), STATE_STALE);
    assert_int_equal(run(5000, nack(1, 1, NACK_DELAY, 0)), STATE_STALE);
    assert_int_equal(run(5000, trial_job(COMMAND_ACK, 1, 1)), STATE_OK);
    assert_int_equal(take(5000, "q"), 0);
}

static void an_attempt_given_back_cannot_be_acknowledged(void **state)
{
    (void)state;
    run(0, trial_add(1, "q", "work"));
    take(0, "q");
    assert_int_equal(run(0, nack(1, 1, NACK_DELAY, 0)), STATE_OK);
    assert_int_equal(run(0, trial_job(COMMAND_ACK, 1, 1)), STATE_STALE);
    take(0, "q");
    assert_int_equal(run(0, nack(1, 2, NACK_DEAD, 0)), STATE_OK);
    assert_int_equal(run(0, trial_job(COMMAND_KICK, 1, 0)), STATE_OK);
    assert_int_equal(run(0, trial_job(COMMAND_ACK, 1, 2)), STATE_STALE);
    const struct trial_result *taken = trial_run(&trial, 0, trial_take("q", 1));
    assert_int_equal(taken->jobs[0].attempt, 3);
}

static void extending_moves_the_end_of_a_lease_and_never_forward(void **state)
{
    (void)state;
    run(0, trial_add(1, "q", "work"));
    take(0, "q"); /* until 1001 */
    struct command extend = trial_job(COMMAND_EXTEND, 1, 1);
    assert_int_equal(trial_run(&trial, 900, extend)->result.value, 1901);
    extend.duration_ms = 1;
    assert_int_equal(trial_run(&trial, 901, extend)->result.value, 1901);
    assert_int_equal(take(1900, "q"), 0);
    assert_int_equal(take(1901, "q"), 1);
}

/* S4 */
static void jobs_leave_in_the_order_in_which_they_became_ready(void **state)
{
    (void)state;
    struct command late = trial_add(1, "q", "delayed");
    late.add.delay_ms = 10;
    run(0, late);
    run(0, trial_add(2, "q", "first"));
    run(1, trial_add(3, "q", "second"));
    struct command urgent = trial_add(4, "q", "urgent");
    urgent.add.priority = 9;
    run(30, urgent); /* and by then the delayed one is ready */
    run(31, trial_add(5, "q", "last"));
    assert_int_equal(take(31, "q"), 4);
    assert_int_equal(take(31, "q"), 2);
    run(31, nack(2, 1, NACK_DELAY, 0)); /* to the end */
    assert_int_equal(take(31, "q"), 3);
    assert_int_equal(take(31, "q"), 1);
    assert_int_equal(take(31, "q"), 5);
    assert_int_equal(take(31, "q"), 2);
    assert_int_equal(take(31, "q"), 0);
}

static void deadlines_come_due_in_their_order_however_late(void **state)
{
    (void)state;
    static const uint64_t delays_ms[] = {50, 20, 40, 10, 30};
    for (uint64_t i = 0; i < 5; i++) {
        struct command add = trial_add(i + 1, "q", "work");
        add.add.delay_ms = delays_ms[i];
        run(0, add);
    }
    assert_int_equal(state_next_ms(trial.state), 11);
    trial_tick(&trial, 1000);
    static const uint64_t order[] = {4, 2, 5, 3, 1};
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(1000, "q"), order[i]);
}

static void several_queues_are_tried_from_the_left(void **state)
{
    (void)state;
    run(0, trial_add(1, "right", "r"));
    run(0, trial_add(2, "left", "l"));
    struct command_bytes queues[] = {trial_text("left"), trial_text("none"), trial_text("right")};
    struct command both = trial_take("left", 5);
    both.take.queues = queues;
    both.take.queue_count = 3;
    const struct trial_result *result = trial_run(&trial, 0, both);
    assert_int_equal(result->result.count, 2);
    assert_int_equal(trial_id_number(&result->jobs[0].id), 2);
    assert_int_equal(trial_id_number(&result->jobs[1].id), 1);
}

/* S5 */
static void one_job_for_a_key_until_the_key_is_over(void **state)
{
    (void)state;
    struct command first = trial_add(1, "q", "daily"), second = trial_add(2, "q", "daily");
    first.key = second.key = trial_text("2026-11-21");
    first.add.key_ttl_ms = second.add.key_ttl_ms = 10000;
    assert_int_equal(run(0, first), STATE_OK);
    const struct trial_result *result = trial_run(&trial, 1, second);
    assert_int_equal(result->result.status, STATE_DUPLICATE);
    assert_int_equal(trial_id_number(&result->result.id), 1);
    assert_int_equal(result->result.job, JOB_READY);
    take(1, "q");
    run(1, trial_job(COMMAND_ACK, 1, 1));
    trial_restore(&trial);
    result = trial_run(&trial, 10000, second); /* done, and still the day's */
    assert_int_equal(result->result.status, STATE_DUPLICATE);
    assert_int_equal(trial_id_number(&result->result.id), 1);
    assert_int_equal(result->result.end, END_ACKED);
    struct command elsewhere = trial_add(3, "other", "daily");
    elsewhere.key = first.key;
    assert_int_equal(run(10000, elsewhere), STATE_OK);
    assert_int_equal(run(10001, second), STATE_OK);
}

static void a_key_without_time_lives_with_its_job_or_is_dropped(void **state)
{
    (void)state;
    struct command first = trial_add(1, "q", "a"), second = trial_add(2, "q", "b");
    first.key = second.key = trial_text("k");
    run(0, first);
    assert_int_equal(run(99999, second), STATE_DUPLICATE);
    struct command drop = on_queue(COMMAND_KEYDROP, "q");
    drop.key = first.key;
    assert_int_equal(run(99999, drop), STATE_OK);
    assert_int_equal(run(99999, drop), STATE_NOTFOUND);
    assert_int_equal(run(99999, second), STATE_OK);
    assert_int_equal(run(99999, trial_job(COMMAND_DELETE, 2, 0)), STATE_OK);
    struct command third = trial_add(3, "q", "c");
    third.key = first.key;
    assert_int_equal(run(99999, third), STATE_OK);
    assert_int_equal(trial_state(&trial, 1), JOB_READY);
}

static void adding_an_id_again_adds_nothing(void **state)
{
    (void)state;
    run(0, on_queue(COMMAND_PAUSE, "q"));
    assert_int_equal(run(0, trial_add(1, "q", "work")), STATE_OK);
    struct command pause = on_queue(COMMAND_PAUSE, "q");
    pause.mode = PAUSE_IN;
    run(0, pause);
    assert_int_equal(run(0, trial_add(1, "q", "work")), STATE_DUPLICATE);
    assert_int_equal(run(0, trial_add(2, "q", "work")), STATE_PAUSED);
    take(0, "q");
    run(0, trial_job(COMMAND_ACK, 1, 1));
    assert_int_equal(run(0, trial_add(1, "q", "work")), STATE_DUPLICATE);
    assert_int_equal(trial_counters(&trial).added, 1);
}

/* S8, the state's part */
static void a_spool_drains_exactly_once(void **state)
{
    (void)state;
    struct command spooled[4];
    for (uint64_t i = 0; i < 4; i++) {
        spooled[i] = trial_add(i + 1, "q", "spooled");
        spooled[i].add.origin = 42;
        spooled[i].add.origin_sequence = i + 1;
    }
    run(0, config(CONFIG_DONE_MAX, 0)); /* no other memory of what was finished */
    assert_int_equal(run(0, spooled[0]), STATE_OK);
    assert_int_equal(run(0, spooled[2]), STATE_GAP);
    assert_int_equal(run(0, spooled[1]), STATE_OK);
    trial_restore(&trial);
    assert_int_equal(state_origin(trial.state, 42), 2);
    assert_int_equal(run(0, trial_job(COMMAND_ACK, 1, 0)), STATE_OK);
    assert_int_equal(run(0, spooled[0]), STATE_DUPLICATE);
    struct command pause = on_queue(COMMAND_PAUSE, "q");
    pause.mode = PAUSE_IN;
    run(0, pause);
    assert_int_equal(run(0, spooled[2]), STATE_PAUSED);
    pause.mode = PAUSE_NONE;
    run(0, pause);
    assert_int_equal(run(0, spooled[2]), STATE_OK);
    assert_int_equal(run(0, spooled[3]), STATE_OK);
    assert_int_equal(trial_counters(&trial).added, 4);
}

/* S7 */
static void nothing_ends_early(void **state)
{
    (void)state;
    struct command delayed = trial_add(1, "q", "delayed"), mortal = trial_add(2, "q", "mortal");
    delayed.add.delay_ms = 100;
    mortal.add.ttl_ms = 150;
    run(10, delayed);
    run(10, mortal);
    assert_int_equal(take(10, "q"), 2);
    run(10, nack(2, 1, NACK_DELAY, 0));
    trial_tick(&trial, 110); /* perhaps 99.1 ms by a finer clock */
    assert_int_equal(trial_state(&trial, 1), JOB_DELAYED);
    trial_tick(&trial, 111);
    assert_int_equal(trial_state(&trial, 1), JOB_READY);
    trial_tick(&trial, 160);
    assert_int_equal(trial_state(&trial, 2), JOB_READY);
    trial_tick(&trial, 161);
    assert_int_equal(trial_state(&trial, 2), JOB_DEAD);
}

static void time_never_goes_back(void **state)
{
    (void)state;
    trial_tick(&trial, 5000);
    run(10, trial_add(1, "q", "work")); /* a new leader, behind */
    take(10, "q");
    trial_tick(&trial, 1011);
    assert_int_equal(trial_state(&trial, 1), JOB_LEASED);
    struct state_info info;
    state_info(trial.state, &info);
    assert_int_equal(info.time_ms, 5000);
    trial_tick(&trial, 6001);
    assert_int_equal(trial_state(&trial, 1), JOB_READY);
}

static void a_ttl_does_not_cut_a_lease_short(void **state)
{
    (void)state;
    struct command add = trial_add(1, "q", "work");
    add.add.ttl_ms = 500;
    add.add.flags = ADD_DROP_EXPIRED;
    run(0, add);
    take(400, "q");
    trial_tick(&trial, 1400);
    assert_int_equal(trial_state(&trial, 1), JOB_LEASED);
    assert_int_equal(run(1400, trial_job(COMMAND_EXTEND, 1, 1)), STATE_EXPIRED);
    trial_tick(&trial, 1401);
    assert_int_equal(trial_state(&trial, 1), JOB_NONE);
    assert_int_equal(trial_counters(&trial).expired, 1);
}

struct seen {
    uint32_t count;
    struct job_id id;
    uint64_t time_ms;
};

static void see_expired(void *context, const struct expired_view *record)
{
    struct seen *seen = context;
    seen->count++;
    seen->id = record->id;
    seen->time_ms = record->time_ms;
    assert_int_equal(record->queue.length, 1);
}

static void an_expired_job_leaves_a_record(void **state)
{
    (void)state;
    struct command add = trial_add(1, "q", "work");
    add.add.ttl_ms = 500;
    run(0, add);
    add.id = trial_id(2);
    add.add.flags = ADD_DROP_EXPIRED;
    run(0, add);
    trial_tick(&trial, 800);
    trial_restore(&trial);
    struct job_view view;
    struct job_id first = trial_id(1), second = trial_id(2);
    enum job_end how;
    uint64_t ended_ms;
    assert_true(state_show(trial.state, &first, &view, &how, &ended_ms));
    assert_int_equal(view.state, JOB_DEAD);
    assert_int_equal(view.death, DEATH_TTL);
    assert_false(state_show(trial.state, &second, &view, &how, &ended_ms));
    assert_int_equal(how, END_EXPIRED);
    assert_int_equal(ended_ms, 800);
    struct seen seen = {0};
    state_expired(trial.state, see_expired, &seen);
    assert_int_equal(seen.count, 1);
    assert_memory_equal(&seen.id, &second, sizeof second);
    assert_int_equal(seen.time_ms, 800);
    assert_int_equal(run(800, trial_job(COMMAND_KICK, 1, 0)), STATE_OK);
    trial_tick(&trial, 10000000); /* kicked after its TTL: has none now */
    assert_int_equal(take(10000000, "q"), 1);
}

static void a_job_dies_of_too_many_attempts_and_can_be_kicked(void **state)
{
    (void)state;
    struct command add = trial_add(1, "q", "work");
    add.add.attempts_max = 2;
    run(0, add);
    take(0, "q");
    run(0, nack(1, 1, NACK_BACKOFF, 0));
    assert_int_equal(trial_state(&trial, 1), JOB_DELAYED);
    assert_int_equal(state_next_ms(trial.state), 1001);
    assert_int_equal(take(1001, "q"), 1);
    trial_tick(&trial, 3000);
    assert_int_equal(trial_state(&trial, 1), JOB_DEAD);
    assert_int_equal(take(3000, "q"), 0);
    struct command kick = on_queue(COMMAND_KICK_QUEUE, "q");
    kick.count = 10;
    assert_int_equal(trial_run(&trial, 3000, kick)->result.value, 1);
    const struct trial_result *taken = trial_run(&trial, 3000, trial_take("q", 1));
    assert_int_equal(taken->jobs[0].attempt, 3);
    run(3000, nack(1, 3, NACK_DELAY, 0));
    assert_int_equal(trial_state(&trial, 1), JOB_READY);
}

static void back_off_doubles_up_to_its_bound(void **state)
{
    (void)state;
    run(0, config(CONFIG_BACKOFF_MS, 100));
    run(0, config(CONFIG_BACKOFF_MS_MAX, 350));
    run(0, trial_add(1, "q", "work"));
    static const uint64_t delays_ms[] = {100, 200, 350, 350};
    uint64_t now_ms = 0;
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(take(now_ms, "q"), 1);
        const struct trial_result *result =
            trial_run(&trial, now_ms, nack(1, i + 1, NACK_BACKOFF, 0));
        assert_int_equal(result->result.value, now_ms + delays_ms[i] + 1);
        now_ms = result->result.value;
    }
}

static void lengths_and_leases_are_bounded(void **state)
{
    (void)state;
    struct command limit = on_queue(COMMAND_LIMIT, "q");
    limit.limit.length_max = 2;
    limit.limit.leased_max = 1;
    run(0, limit);
    run(0, trial_add(1, "q", "a"));
    run(0, trial_add(2, "q", "b"));
    assert_int_equal(run(0, trial_add(3, "q", "c")), STATE_FULL);
    assert_int_equal(trial_run(&trial, 0, trial_take("q", 2))->result.count, 1);
    assert_int_equal(take(0, "q"), 0);
    assert_int_equal(run(0, trial_add(3, "q", "c")), STATE_OK);
    run(0, trial_job(COMMAND_ACK, 1, 1));
    assert_int_equal(trial.ready_count, 1); /* the free lease is news to who waits */
    assert_string_equal(trial.ready[0], "q");
    assert_int_equal(take(0, "q"), 2);
    struct command bounded = trial_add(4, "q", "d");
    bounded.add.length_max = 1;
    assert_int_equal(run(0, bounded), STATE_FULL);
    run(0, config(CONFIG_BYTES_MAX, 300));
    assert_int_equal(run(0, trial_add(5, "other", "e")), STATE_FULL);
}

static void pausing_holds_what_it_says(void **state)
{
    (void)state;
    struct command pause = on_queue(COMMAND_PAUSE, "q");
    run(0, trial_add(1, "q", "a"));
    pause.mode = PAUSE_OUT;
    run(0, pause);
    assert_int_equal(take(0, "q"), 0);
    assert_int_equal(run(0, trial_add(2, "q", "b")), STATE_OK);
    assert_int_equal(trial.ready_count, 0);
    trial_restore(&trial);
    pause.mode = PAUSE_ALL;
    run(0, pause);
    assert_int_equal(run(0, trial_add(3, "q", "c")), STATE_PAUSED);
    pause.mode = PAUSE_NONE;
    run(0, pause);
    assert_int_equal(trial.ready_count, 1);
    assert_int_equal(take(0, "q"), 1);
    pause.mode = 7;
    assert_int_equal(run(0, pause), STATE_INVALID);
}

static void a_job_may_be_set_aside_and_brought_back(void **state)
{
    (void)state;
    struct command add = trial_add(1, "q", "a"), aside = trial_job(COMMAND_DEQUEUE, 1, 0);
    add.add.retry_ms = 0;
    run(0, add);
    assert_int_equal(trial_run(&trial, 0, aside)->result.value, 0); /* parked */
    assert_int_equal(state_next_ms(trial.state), UINT64_MAX);
    assert_int_equal(run(0, aside), STATE_WRONG);
    trial_restore(&trial);
    trial_tick(&trial, 10000000);
    assert_int_equal(trial_state(&trial, 1), JOB_DELAYED);
    assert_int_equal(run(10000000, trial_job(COMMAND_ENQUEUE, 1, 0)), STATE_OK);
    assert_int_equal(run(10000000, trial_job(COMMAND_ENQUEUE, 1, 0)), STATE_WRONG);
    aside.duration_ms = 5;
    assert_int_equal(trial_run(&trial, 10000000, aside)->result.value, 10000006);
    assert_int_equal(take(10000006, "q"), 1);
}

static void an_empty_queue_is_forgotten_when_idle_for_long(void **state)
{
    (void)state;
    struct queue_view view;
    run(0, config(CONFIG_QUEUE_IDLE_MS, 100));
    run(0, trial_add(2, "kept", "b"));
    run(0, trial_add(1, "q", "a"));
    run(50, trial_job(COMMAND_DELETE, 1, 0));
    trial_tick(&trial, 149);
    assert_true(state_queue(trial.state, trial_text("q"), &view));
    assert_int_equal(view.counters.deleted, 1);
    trial_tick(&trial, 150);
    assert_false(state_queue(trial.state, trial_text("q"), &view));
    assert_true(state_queue(trial.state, trial_text("kept"), &view));
    assert_int_equal(trial_counters(&trial).added, 2);
    /* Nor is it remembered as the one that the last command was for. */
    run(160, trial_add(3, "q", "c"));
    assert_true(state_queue(trial.state, trial_text("q"), &view));
    assert_int_equal(view.counters.deleted, 0);
    assert_int_equal(view.counters.ready, 1);
}

static void settings_have_names_and_values(void **state)
{
    (void)state;
    assert_string_equal(state_config_name(CONFIG_DONE_MAX), "done-max");
    assert_null(state_config_name(CONFIG_COUNT));
    assert_int_equal(state_config(trial.state, CONFIG_DONE_MAX), 65536);
    assert_int_equal(run(0, config(CONFIG_DONE_MAX, 5)), STATE_OK);
    trial_restore(&trial);
    assert_int_equal(state_config(trial.state, CONFIG_DONE_MAX), 5);
    assert_string_equal(command_name(COMMAND_KICK_QUEUE), "KICKQ");
    assert_string_equal(command_name(COMMAND_TYPE_END), "?");
}

static void values_out_of_range_are_refused(void **state)
{
    (void)state;
    struct command add = trial_add(1, "q", "a");
    add.add.priority = 10;
    assert_int_equal(run(0, add), STATE_INVALID);
    add = trial_add(1, "q", "a");
    add.add.ttl_ms = add.add.delay_ms = 10;
    assert_int_equal(run(0, add), STATE_INVALID);
    add = trial_add(1, "q", "a");
    add.add.delay_ms = UINT64_MAX;
    assert_int_equal(run(0, add), STATE_INVALID);
    add = trial_add(1, "q", "a");
    add.add.flags = 2;
    assert_int_equal(run(0, add), STATE_INVALID);
    memset(&add, 0, sizeof add);
    add.type = COMMAND_ADD;
    add.queue = trial_text("q");
    assert_int_equal(run(0, add), STATE_INVALID);
    assert_int_equal(run(0, trial_take("q", 0)), STATE_INVALID);
    assert_int_equal(run(0, trial_take("q", COMMAND_TAKE_MAX + 1)), STATE_INVALID);
    assert_int_equal(run(0, config(CONFIG_COUNT, 1)), STATE_INVALID);
    assert_int_equal(run(0, config(CONFIG_DONE_MAX, UINT64_MAX)), STATE_INVALID);
    assert_int_equal(trial_counters(&trial).added, 0);
}

static uint8_t met[3000];

static void meet(void *context, const struct job_view *job)
{
    (void)context;
    met[trial_id_number(&job->id)]++;
}

static void a_scan_meets_all_that_stays(void **state)
{
    (void)state;
    memset(met, 0, sizeof met);
    for (uint64_t i = 0; i < 2000; i++)
        run(0, trial_add(i, "q", "a"));
    uint64_t cursor = 0, next = 2000;
    do {
        cursor = state_scan_jobs(trial.state, cursor, 100, meet, NULL);
        for (int i = 0; i < 20 && next < 3000; i++, next++)
            run(0, trial_add(next, "q", "a"));
        trial_restore(&trial); /* another replica answers the next step */
    } while (cursor);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(met[i], 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_job_survives_any_number_of_lost_consumers),
        TEST(silence_of_any_length_loses_nothing_without_a_ttl),
        TEST(at_most_once_is_spent_by_the_take_that_delivers_it),
        TEST(a_consumer_overtaken_by_another_is_refused),
        TEST(a_slow_consumer_may_finish_while_nobody_else_has_the_job),
        TEST(an_attempt_given_back_cannot_be_acknowledged),
        TEST(extending_moves_the_end_of_a_lease_and_never_forward),
        TEST(jobs_leave_in_the_order_in_which_they_became_ready),
        TEST(deadlines_come_due_in_their_order_however_late),
        TEST(several_queues_are_tried_from_the_left),
        TEST(one_job_for_a_key_until_the_key_is_over),
        TEST(a_key_without_time_lives_with_its_job_or_is_dropped),
        TEST(adding_an_id_again_adds_nothing),
        TEST(a_spool_drains_exactly_once),
        TEST(nothing_ends_early),
        TEST(time_never_goes_back),
        TEST(a_ttl_does_not_cut_a_lease_short),
        TEST(an_expired_job_leaves_a_record),
        TEST(a_job_dies_of_too_many_attempts_and_can_be_kicked),
        TEST(back_off_doubles_up_to_its_bound),
        TEST(lengths_and_leases_are_bounded),
        TEST(pausing_holds_what_it_says),
        TEST(a_job_may_be_set_aside_and_brought_back),
        TEST(an_empty_queue_is_forgotten_when_idle_for_long),
        TEST(settings_have_names_and_values),
        TEST(values_out_of_range_are_refused),
        TEST(a_scan_meets_all_that_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
