/* Commands, files and streams over real SSH: a private sshd on this machine plays all the nodes. */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/remote/fleet.h"
#include "harness/remote/sha256.h"
#include "tests/lib/test.h"
#include "tests/lib/test_sshd.h"

static struct test_sshd sshd;
static const char *skip;
static bool own_mounts;

static int set_up(void **state)
{
    (void)state;
    if (!test_sshd_available(&skip))
        return 0;
    own_mounts = test_own_mounts();
    test_sshd_start(&sshd, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (skip == NULL)
        test_sshd_free(&sshd);
    return 0;
}

static void need_sshd(void)
{
    if (skip != NULL)
        test_skip(skip);
}

static const char *place(const char *name)
{
    static char paths[4][400];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", sshd.dir, name);
    return path;
}

/* ---- Commands ---- */

static void commands_give_output_and_status(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct fleet *fleet = test_sshd_fleet(&sshd, 1);
    const char *const env[] = {"COLOUR=it's \"blue\" $HOME", NULL};
    struct command command = {.text = "cat; printf '%s' \"$COLOUR\"; pwd >&2; exit 3",
                              .env = env,
                              .cwd = "/usr/bin",
                              .input = "in\0put",
                              .input_length = 6};
    struct output output = {.status = 0};
    assert_ok(fleet_run(fleet, 0, &command, &output, &err));
    assert_int_equal(output.status, 3);
    assert_int_equal(output.out.length, 6 + 17);
    assert_memory_equal(output.out.data, "in\0putit's \"blue\" $HOME", 23);
    assert_string_equal(buf_text(&output.err), "/usr/bin\n");
    output_free(&output);
    assert_ok(fleet_run(fleet, 0, &(struct command){.text = "kill -9 $$"}, &output, &err));
    assert_int_equal(output.status, 128 + SIGKILL);
    assert_string_equal(output.signal_name, "KILL");
    output_free(&output);
    /* The exit status is waited for although the output has ended. */
    struct command quiet = {.text = "exec >&- 2>&- <&-; sleep 0.3; exit 5"};
    assert_ok(fleet_run(fleet, 0, &quiet, &output, &err));
    assert_int_equal(output.status, 5);
    output_free(&output);
    fleet_close(fleet);
}

static void a_hundred_commands_run_at_once_on_one_session(void **state)
{
    (void)state;
    need_sshd();
    enum { COMMANDS = 100 };
    struct err err = ERR_INIT;
    struct fleet *fleet = test_sshd_fleet(&sshd, 1);
    static struct fleet_job jobs[COMMANDS];
    static char texts[COMMANDS][64];
    int64_t begin_ns = clock_monotonic_ns();
    for (uint32_t i = 0; i < COMMANDS; i++) {
        snprintf(texts[i], sizeof texts[i], "sleep 0.5; seq %u; exit %u", i * 10, i);
        jobs[i] = (struct fleet_job){.command = {.text = texts[i]}};
    }
    assert_ok(fleet_run_jobs(fleet, jobs, COMMANDS, &err));
    assert_true(clock_monotonic_ns() - begin_ns < 25 * NS_PER_SECOND); /* one by one: 50 s */
    for (uint32_t i = 0; i < COMMANDS; i++) {
        assert_int_equal(jobs[i].output.status, i);
        char last[16];
        snprintf(last, sizeof last, "\n%u\n", i * 10);
        if (i > 0)
            assert_contains(jobs[i].output.out.data, last);
        output_free(&jobs[i].output);
    }
    fleet_close(fleet);
}

static int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    int count = -2;
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void twenty_nodes_need_one_thread(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    int before = count_threads();
    struct fleet *fleet = test_sshd_fleet(&sshd, TEST_SSHD_NODES);
    struct output outputs[TEST_SSHD_NODES];
    assert_int_equal(count_threads(), before + 1);
    assert_ok(fleet_check_all(fleet, NULL, TEST_SSHD_NODES,
                              &(struct command){.text = "echo $SSH_CONNECTION"}, outputs, &err));
    for (int i = 0; i < TEST_SSHD_NODES; i++) { /* each has a connection of its own */
        assert_contains(outputs[i].out.data, "127.0.0.1 ");
        for (int j = 0; j < i; j++)
            assert_string_not_equal(outputs[i].out.data, outputs[j].out.data);
    }
    for (int i = 0; i < TEST_SSHD_NODES; i++)
        output_free(&outputs[i]);
    fleet_close(fleet);
    assert_int_equal(count_threads(), before);
}

/* Much input and much output on many channels of one session, all at once. */
static void busy_channels_do_not_stall_each_other(void **state)
{
    (void)state;
    need_sshd();
    enum { COMMANDS = 12, BYTES = 6 << 20 };
    struct err err = ERR_INIT;
    struct fleet *fleet = test_sshd_fleet(&sshd, 1);
    char *input = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        input[i] = (char)(i >> 3 ^ i);
    static struct fleet_job jobs[COMMANDS];
    for (uint32_t i = 0; i < COMMANDS; i++)
        jobs[i] = (struct fleet_job){.command = {.text = i % 2 == 0 ? "cat" : "cat >&2",
                                                 .input = input,
                                                 .input_length = BYTES - i,
                                                 .output_bytes_max = BYTES}};
    assert_ok(fleet_check_jobs(fleet, jobs, COMMANDS, &err));
    for (uint32_t i = 0; i < COMMANDS; i++) {
        struct buf *back = i % 2 == 0 ? &jobs[i].output.out : &jobs[i].output.err;
        assert_int_equal(back->length, BYTES - i);
        assert_memory_equal(back->data, input, BYTES - i);
        output_free(&jobs[i].output);
    }
    free(input);
    fleet_close(fleet);
}

static void a_command_past_its_time_fails_and_the_next_works(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct fleet *fleet = test_sshd_fleet(&sshd, 1);
    struct command command = {.text = "exec sleep 30", .timeout_ns = 300 * NS_PER_MS};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fleet_run(fleet, 0, &command, NULL, &err), ERR_TIMEOUT);
        assert_contains(err.message, "n1: `exec sleep 30`: did not end within 300 ms");
        assert_ok(fleet_check(fleet, 0, &(struct command){.text = "true"}, NULL, &err));
    }
    fleet_close(fleet);
}

static void few_sessions_are_shared(void **state)
{
    (void)state;
    need_sshd();
    enum { COMMANDS = 30 };
    test_sshd_restart(&sshd, "MaxSessions 4");
    struct err err = ERR_INIT;
    struct fleet *fleet = test_sshd_fleet(&sshd, 1);
    static struct fleet_job jobs[COMMANDS];
    for (uint32_t i = 0; i < COMMANDS; i++)
        jobs[i] = (struct fleet_job){.command = {.text = "sleep 0.05; echo done"}};
    assert_ok(fleet_check_jobs(fleet, jobs, COMMANDS, &err));
    for (uint32_t i = 0; i < COMMANDS; i++) {
        assert_string_equal(jobs[i].output.out.data, "done\n");
        output_free(&jobs[i].output);
    }
    fleet_close(fleet);
    test_sshd_restart(&sshd, NULL);
}

/* ---- Lost connections ---- */

static void *kill_when_running(void *argument)
{
    int64_t deadline_ns = clock_monotonic_ns() + 20 * NS_PER_SECOND;
    while (access(argument, F_OK) != 0 && clock_monotonic_ns() < deadline_ns)
        clock_sleep_ns(NS_PER_MS);
    assert_true(test_sshd_kill_sessions(&sshd) > 0);
    return NULL;
}

static void killed_sessions_fail_and_come_back(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct fleet *fleet = test_sshd_fleet(&sshd, 3);
    const char *file = place("running");
    char text[500];
    snprintf(text, sizeof text, ": >%s; exec sleep 30", file);
    pthread_t thread;
    pthread_create(&thread, NULL, kill_when_running, (void *)file);
    enum err_code code = fleet_check(fleet, 1, &(struct command){.text = text}, NULL, &err);
    pthread_join(thread, NULL);
    assert_int_equal(code, ERR_IO);
    assert_contains(err.message, "n2: `: >");
    assert_contains(err.message, "connection lost: 127.0.0.1:");
    assert_contains(err.message, "it may have run");
    for (int i = 0; i < 2; i++) { /* the idle sessions of n1 and n3 are gone, too */
        struct output outputs[3];
        assert_ok(
            fleet_check_all(fleet, NULL, 3, &(struct command){.text = "echo back"}, outputs, &err));
        for (int j = 0; j < 3; j++) {
            assert_string_equal(outputs[j].out.data, "back\n");
            output_free(&outputs[j]);
        }
        if (i == 0)
            assert_true(test_sshd_kill_sessions(&sshd) > 0);
    }
    fleet_close(fleet);
}

static void a_node_that_stays_away_is_given_up(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct fleet *fleet;
    struct fleet_options options = sshd.options;
    options.reconnect_ns = 300 * NS_PER_MS;
    assert_ok(fleet_open(sshd.nodes, 1, &options, &fleet, &err));
    test_sshd_stop(&sshd);
    assert_int_equal(fleet_check(fleet, 0, &(struct command){.text = "true"}, NULL, &err), ERR_IO);
    assert_contains(err.message, "n1: `true`: 127.0.0.1:");
    assert_contains(err.message, "refused the connection");
    test_sshd_restart(&sshd, NULL);
    assert_ok(fleet_check(fleet, 0, &(struct command){.text = "true"}, NULL, &err));
    fleet_close(fleet);
}

/* ---- Files ---- */

static void large_files_go_up_and_down_whole(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct fleet *fleet = test_sshd_fleet(&sshd, 2);
    sshd_shell("head -c 60000017 /dev/urandom >%s", place("big"));
    char before[65], after[65];
    assert_ok(sha256_file(place("big"), before, &err));
    struct fleet_upload uploads[2] = {
        {.source = place("big"), .target = place("up/1"), .make_parents = true, .mode = 0751},
        {.node = 1, .source = place("big"), .target = place("up/2"), .make_parents = true}};
    int64_t begin_ns = clock_monotonic_ns();
    assert_ok(fleet_upload(fleet, uploads, 2, &err));
    double seconds = (double)(clock_monotonic_ns() - begin_ns) / 1e9;
    print_message("# uploaded 2 x 60 MB at once: %.0f MB/s\n", 120 / seconds);
    struct stat info;
    assert_int_equal(stat(place("up/1"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0751);
    struct fleet_download download = {.node = 1, .source = place("up/2"), .target = place("down")};
    begin_ns = clock_monotonic_ns();
    assert_ok(fleet_download(fleet, &download, 1, &err));
    seconds = (double)(clock_monotonic_ns() - begin_ns) / 1e9;
    print_message("# downloaded 60 MB: %.0f MB/s\n", 60 / seconds);
    assert_ok(sha256_file(place("down"), after, &err));
    assert_string_equal(after, before);
    assert_ok(sha256_file(place("up/1"), after, &err));
    assert_string_equal(after, before);
    sshd_shell("rm -r %s %s %s", place("big"), place("up"), place("down"));
    fleet_close(fleet);
}

static void a_full_disk_is_told_as_such(void **state)
{
    (void)state;
    need_sshd();
    if (!own_mounts)
        test_skip("mounting a small file system needs root");
    struct err err = ERR_INIT;
    sshd_shell("mkdir %s && mount -t tmpfs -o size=1m none %s", place("small"), place("small"));
    test_sshd_restart(&sshd, NULL);
    struct fleet *fleet = test_sshd_fleet(&sshd, 1);
    char *data = calloc(1, 8 << 20);
    struct fleet_upload upload = {
        .data = data, .length = 8 << 20, .target = place("small/file"), .mode = 0755};
    assert_int_equal(fleet_upload(fleet, &upload, 1, &err), ERR_REMOTE);
    assert_contains(err.message, "n1: upload to ");
    assert_contains(err.message, "No space left on device");
    assert_int_not_equal(access(place("small/file"), F_OK), 0);
    upload.length = 1 << 19; /* nothing of the first is left behind */
    upload.err = ERR_INIT;
    assert_ok(fleet_upload(fleet, &upload, 1, &err));
    free(data);
    fleet_close(fleet);
    sshd_shell("umount %s", place("small"));
}

/* ---- Streams ---- */

struct echo {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t heard;
    bool closed;
};

static void on_echo(void *context, const char *bytes, size_t length)
{
    (void)bytes;
    struct echo *echo = context;
    pthread_mutex_lock(&echo->mutex);
    echo->heard += length;
    pthread_cond_signal(&echo->changed);
    pthread_mutex_unlock(&echo->mutex);
}

static void on_echo_closed(void *context, const struct channel_end *end, const struct err *err)
{
    (void)err;
    struct echo *echo = context;
    pthread_mutex_lock(&echo->mutex);
    echo->closed = end != NULL && end->status == 7;
    pthread_cond_signal(&echo->changed);
    pthread_mutex_unlock(&echo->mutex);
}

static void a_stream_answers_at_once(void **state)
{
    (void)state;
    need_sshd();
    static const struct stream_events events = {.on_stdout = on_echo, .on_close = on_echo_closed};
    struct echo echo = {.heard = 0};
    pthread_mutex_init(&echo.mutex, NULL);
    pthread_cond_init(&echo.changed, NULL);
    struct err err = ERR_INIT;
    struct fleet *fleet = test_sshd_fleet(&sshd, 1);
    struct stream *stream;
    assert_ok(fleet_stream_open(fleet, 0, &(struct command){.text = "cat; exit 7"}, &events, &echo,
                                &stream, &err));
    int64_t begin_ns = clock_monotonic_ns();
    for (size_t i = 1; i <= 200; i++) {
        fleet_stream_write(stream, "x", 1);
        pthread_mutex_lock(&echo.mutex);
        while (echo.heard < i)
            pthread_cond_wait(&echo.changed, &echo.mutex);
        pthread_mutex_unlock(&echo.mutex);
    }
    print_message("# a byte there and back: %.0f us\n",
                  (double)(clock_monotonic_ns() - begin_ns) / 200e3);
    fleet_stream_finish(stream);
    pthread_mutex_lock(&echo.mutex);
    while (!echo.closed)
        pthread_cond_wait(&echo.changed, &echo.mutex);
    pthread_mutex_unlock(&echo.mutex);
    fleet_stream_close(stream);
    fleet_close(fleet);
}

/* ---- Figures ---- */

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void opening_is_quick(void **state)
{
    (void)state;
    need_sshd();
    static const size_t counts[] = {1, 5, 20};
    for (size_t c = 0; c < 3; c++) {
        int64_t times_ns[7];
        for (int i = 0; i < 7; i++) {
            int64_t begin_ns = clock_monotonic_ns();
            struct fleet *fleet = test_sshd_fleet(&sshd, counts[c]);
            times_ns[i] = clock_monotonic_ns() - begin_ns;
            fleet_close(fleet);
        }
        qsort(times_ns, 7, sizeof times_ns[0], compare_times);
        print_message("# fleet_open of %zu: median %.0f ms\n", counts[c],
                      (double)times_ns[3] / 1e6);
        assert_true(times_ns[3] < 10 * NS_PER_SECOND);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_give_output_and_status),
        cmocka_unit_test(a_hundred_commands_run_at_once_on_one_session),
        cmocka_unit_test(twenty_nodes_need_one_thread),
        cmocka_unit_test(busy_channels_do_not_stall_each_other),
        cmocka_unit_test(a_command_past_its_time_fails_and_the_next_works),
        cmocka_unit_test(few_sessions_are_shared),
        cmocka_unit_test(killed_sessions_fail_and_come_back),
        cmocka_unit_test(a_node_that_stays_away_is_given_up),
        cmocka_unit_test(large_files_go_up_and_down_whole),
        cmocka_unit_test(a_full_disk_is_told_as_such),
        cmocka_unit_test(a_stream_answers_at_once),
        cmocka_unit_test(opening_is_quick),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
