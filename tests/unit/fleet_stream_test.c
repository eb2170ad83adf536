/* Streams, tasks and timers of the fleet, over a fake transport. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/remote/batch.h"
#include "harness/remote/fleet.h"
#include "tests/lib/fake_fleet.h"
#include "tests/lib/fake_remote.h"
#include "tests/lib/test.h"

/* What the I/O thread hears, for the test's thread to wait for. */
struct ear {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct buf out, err;
    bool closed;
    int status;
    struct err reason;
};

static void hear(struct ear *ear, struct buf *buf, const char *bytes, size_t length)
{
    pthread_mutex_lock(&ear->mutex);
    buf_add(buf, bytes, length);
    pthread_cond_broadcast(&ear->changed);
    pthread_mutex_unlock(&ear->mutex);
}

static void on_stdout(void *context, const char *bytes, size_t length)
{
    struct ear *ear = context;
    hear(ear, &ear->out, bytes, length);
}

static void on_stderr(void *context, const char *bytes, size_t length)
{
    struct ear *ear = context;
    hear(ear, &ear->err, bytes, length);
}

static void on_close(void *context, const struct channel_end *end, const struct err *err)
{
    struct ear *ear = context;
    pthread_mutex_lock(&ear->mutex);
    ear->closed = true;
    ear->status = end != NULL ? end->status : -1;
    if (err != NULL)
        ear->reason = *err;
    pthread_cond_broadcast(&ear->changed);
    pthread_mutex_unlock(&ear->mutex);
}

static const struct stream_events events = {
    .on_stdout = on_stdout, .on_stderr = on_stderr, .on_close = on_close};

static void ear_init(struct ear *ear)
{
    *ear = (struct ear){.status = -2};
    pthread_mutex_init(&ear->mutex, NULL);
    pthread_cond_init(&ear->changed, NULL);
}

static void ear_free(struct ear *ear)
{
    buf_free(&ear->out);
    buf_free(&ear->err);
    pthread_cond_destroy(&ear->changed);
    pthread_mutex_destroy(&ear->mutex);
}

/* Waits until so much output, or the end, has come; the runner's time limit bounds it. */
static void await(struct ear *ear, size_t bytes, bool closed)
{
    pthread_mutex_lock(&ear->mutex);
    while (ear->out.length < bytes || (closed && !ear->closed))
        pthread_cond_wait(&ear->changed, &ear->mutex);
    pthread_mutex_unlock(&ear->mutex);
}

static void a_stream_is_talked_to_and_ends_with_its_input(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(1);
    struct err err = ERR_INIT;
    struct ear ear;
    struct stream *stream;
    ear_init(&ear);
    struct command command = {.text = "cat; echo bye >&2; exit 4"};
    assert_ok(fleet_stream_open(fleet, 0, &command, &events, &ear, &stream, &err));
    fleet_stream_write(stream, "hello\n", 6);
    await(&ear, 6, false);
    fleet_stream_write(stream, "again\n", 6);
    fleet_stream_finish(stream);
    await(&ear, 12, true);
    assert_string_equal(ear.out.data, "hello\nagain\n");
    assert_string_equal(ear.err.data, "bye\n");
    assert_int_equal(ear.status, 4);
    fleet_stream_write(stream, "nobody", 6); /* dropped */
    fleet_stream_close(stream);
    ear_free(&ear);
    fleet_close(fleet);
}

enum { WRITERS = 4, LINES = 200 };

static void *write_lines(void *argument)
{
    for (int i = 0; i < LINES; i++)
        fleet_stream_write(argument, "0123456789\n", 11);
    return NULL;
}

static void threads_write_whole_pieces(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(2);
    struct err err = ERR_INIT;
    struct ear ear;
    struct stream *stream;
    ear_init(&ear);
    assert_ok(fleet_stream_open(fleet, 1, &(struct command){.text = "cat"}, &events, &ear, &stream,
                                &err));
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_lines, stream);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    await(&ear, (size_t)WRITERS * LINES * 11, false);
    for (size_t i = 0; i < ear.out.length; i += 11)
        assert_memory_equal(ear.out.data + i, "0123456789\n", 11);
    fleet_stream_close(stream);
    assert_false(ear.closed); /* closing is not news to who closes */
    ear_free(&ear);
    fleet_close(fleet);
}

static void a_lost_connection_closes_its_streams(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(2);
    struct err err = ERR_INIT;
    struct ear ears[2];
    struct fleet_stream_job jobs[2];
    for (uint32_t i = 0; i < 2; i++) {
        ear_init(&ears[i]);
        jobs[i] = (struct fleet_stream_job){.node = i,
                                            .command = {.text = "cat", .label = "the cat"},
                                            .events = &events,
                                            .context = &ears[i]};
    }
    assert_ok(fleet_stream_open_all(fleet, jobs, 2, &err));
    fake_cut(1);
    await(&ears[1], 0, true);
    assert_int_equal(ears[1].reason.code, ERR_IO);
    assert_string_equal(ears[1].reason.message,
                        "n2: the cat: connection lost: the fake cut the connection");
    fleet_interrupt(fleet); /* does not touch streams */
    fleet_stream_write(jobs[0].stream, "x", 1);
    await(&ears[0], 1, false);
    assert_false(ears[0].closed);
    for (int i = 0; i < 2; i++)
        fleet_stream_close(jobs[i].stream);
    for (int i = 0; i < 2; i++)
        ear_free(&ears[i]);
    fleet_close(fleet);
}

static void one_of_several_streams_may_fail_to_open(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(2);
    struct err err = ERR_INIT;
    struct ear ear;
    ear_init(&ear);
    fake_refuse(0, 1000, false);
    fake_cut_before_sending(0);
    struct fleet_stream_job jobs[2] = {
        {.node = 0, .command = {.text = "cat"}, .events = &events, .context = &ear},
        {.node = 1, .command = {.text = "cat"}, .events = &events, .context = &ear},
    };
    assert_int_equal(fleet_stream_open_all(fleet, jobs, 2, &err), ERR_IO);
    assert_contains(err.message, "n1: `cat`: the fake refused the key");
    assert_null(jobs[0].stream);
    assert_non_null(jobs[1].stream);
    fleet_stream_close(jobs[1].stream);
    ear_free(&ear);
    fleet_close(fleet);
}

/* ---- Tasks and timers ---- */

struct timed {
    struct fleet_task task;
    struct fleet_timer timers[4];
    struct fleet *fleet;
    struct batch batch;
    char order[8];
    int fired;
};

static struct timed timed;

static void fired(struct fleet_timer *timer)
{
    timed.order[timed.fired++] = (char)('a' + (timer - timed.timers));
    assert_true(clock_monotonic_ns() >= timer->at_ns);
    batch_done(&timed.batch);
}

static void set_timers(struct fleet_task *task)
{
    (void)task;
    assert_true(fleet_on_io_thread(timed.fleet));
    int64_t now_ns = clock_monotonic_ns();
    const int64_t after_ms[4] = {30, 10, 20, 5};
    for (int i = 0; i < 4; i++) {
        timed.timers[i].fire = fired;
        fleet_timer_set(timed.fleet, &timed.timers[i], now_ns + after_ms[i] * NS_PER_MS);
    }
    fleet_timer_clear(&timed.timers[3]);
    fleet_timer_clear(&timed.timers[3]);
    fleet_timer_set(timed.fleet, &timed.timers[1], now_ns + 40 * NS_PER_MS);
}

static void timers_fire_in_order_on_the_io_thread(void **state)
{
    (void)state;
    timed = (struct timed){.task = {.run = set_timers}, .fleet = fake_fleet(1)};
    assert_false(fleet_on_io_thread(timed.fleet));
    batch_init(&timed.batch, 3);
    fleet_post(timed.fleet, &timed.task);
    batch_wait(&timed.batch);
    assert_string_equal(timed.order, "cab");
    fleet_close(timed.fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_is_talked_to_and_ends_with_its_input),
        cmocka_unit_test(threads_write_whole_pieces),
        cmocka_unit_test(a_lost_connection_closes_its_streams),
        cmocka_unit_test(one_of_several_streams_may_fail_to_open),
        cmocka_unit_test(timers_fire_in_order_on_the_io_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
