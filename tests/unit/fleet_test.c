/* The fleet over a fake transport: commands, files, lost connections, deadlines, limits. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/remote/fleet.h"
#include "tests/lib/fake_fleet.h"
#include "tests/lib/fake_remote.h"
#include "tests/lib/test.h"

/* ---- Helpers ---- */

static char directory[256];

static int make_directory(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/fleet-test.XXXXXX", parent != NULL ? parent : "/tmp");
    return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static const char *in_directory(const char *name)
{
    static char paths[4][400];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void await_file(const char *path)
{
    int64_t deadline_ns = clock_monotonic_ns() + 20 * NS_PER_SECOND;
    while (access(path, F_OK) != 0) {
        assert_true(clock_monotonic_ns() < deadline_ns);
        clock_sleep_ns(NS_PER_MS);
    }
}

static struct output run(struct fleet *fleet, uint32_t node, const char *text)
{
    struct err err = ERR_INIT;
    struct output output = {.status = -1};
    assert_ok(fleet_run(fleet, node, &(struct command){.text = text}, &output, &err));
    return output;
}

static char *file_text(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* ---- Commands ---- */

static void a_command_has_input_environment_directory_and_status(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(1);
    struct err err = ERR_INIT;
    const char *const env[] = {"A=it's \"x\" $HOME `id`", "B=", NULL};
    struct command command = {.text = "cat; printf '%s|%s' \"$A\" \"$B\"; pwd >&2; exit 7",
                              .env = env,
                              .cwd = "/usr",
                              .input = "a\0b",
                              .input_length = 3};
    struct output output = {.status = 0};
    assert_ok(fleet_run(fleet, 0, &command, &output, &err));
    assert_int_equal(output.status, 7);
    assert_int_equal(output.out.length, 3 + 20);
    assert_memory_equal(output.out.data, "a\0bit's \"x\" $HOME `id`|", 23);
    assert_string_equal(buf_text(&output.err), "/usr\n");
    assert_true(output.duration_ns > 0);
    output_free(&output);
    fleet_close(fleet);
}

static void a_signal_is_told_by_name_and_status(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(1);
    struct output output = run(fleet, 0, "kill -TERM $$");
    assert_int_equal(output.status, 128 + SIGTERM);
    assert_string_equal(output.signal_name, "TERM");
    output_free(&output);
    fleet_close(fleet);
}

static void check_tells_the_end_of_stderr(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(2);
    struct err err = ERR_INIT;
    struct command command = {.text = "echo first >&2; echo 'no space' >&2; exit 3"};
    assert_int_equal(fleet_check(fleet, 1, &command, NULL, &err), ERR_REMOTE);
    assert_string_equal(err.message, "n2: `echo first >&2; echo 'no space' >&2; exit 3` exited "
                                     "with status 3: first no space");
    command.text = "kill -9 $$";
    assert_int_equal(fleet_check(fleet, 0, &command, NULL, &err), ERR_REMOTE);
    assert_string_equal(err.message, "n1: `kill -9 $$` was ended by SIGKILL: it printed nothing");
    command.text = "true";
    assert_ok(fleet_check(fleet, 0, &command, NULL, &err));
    fleet_close(fleet);
}

static void errors_of_several_nodes_are_summed_up(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(5);
    struct err err = ERR_INIT;
    struct output outputs[4];
    const uint32_t nodes[] = {4, 3, 1, 0};
    struct command command = {.text = "exit 2"};
    assert_int_equal(fleet_check_all(fleet, nodes, 4, &command, outputs, &err), ERR_REMOTE);
    assert_string_equal(err.message, "n1: `exit 2` exited with status 2: it printed nothing "
                                     "(and 3 more nodes: n2, n4, n5)");
    assert_null(outputs[0].out.data);
    fleet_close(fleet);
}

static void too_much_output_is_cut_and_says_so(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(1);
    struct err err = ERR_INIT;
    struct command command = {.text = "seq 100000; seq 100000 >&2", .output_bytes_max = 1000};
    struct output output;
    assert_ok(fleet_run(fleet, 0, &command, &output, &err));
    assert_int_equal(output.out.length, 1000);
    assert_true(output.out_truncated && output.err_truncated);
    assert_memory_equal(output.out.data, "1\n2\n3\n", 6);
    assert_int_equal(output.err.length, 1000);
    assert_memory_equal(output.err.data + 1000 - 7, "100000\n", 7);
    output_free(&output);
    fleet_close(fleet);
}

/* Each command waits for all the others, so this ends only if all run at the same time. */
static void all_nodes_and_many_commands_run_in_parallel(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(5);
    struct err err = ERR_INIT;
    enum { JOBS = 40 };
    struct fleet_job jobs[JOBS];
    char texts[JOBS][400];
    for (uint32_t i = 0; i < JOBS; i++) {
        char name[32];
        snprintf(name, sizeof name, "together-%u", i);
        snprintf(texts[i], sizeof texts[i],
                 ": >%s; while :; do set -- %s*; [ $# -lt %d ] || break; sleep 0.05; done; echo %u",
                 in_directory(name), in_directory("together-"), JOBS, i);
        jobs[i] = (struct fleet_job){.node = i % 5, .command = {.text = texts[i]}};
    }
    assert_ok(fleet_run_jobs(fleet, jobs, JOBS, &err));
    for (uint32_t i = 0; i < JOBS; i++) {
        assert_int_equal(atoi(buf_text(&jobs[i].output.out)), i);
        output_free(&jobs[i].output);
    }
    fleet_close(fleet);
}

static void bad_commands_are_refused_before_they_run(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(1);
    struct err err = ERR_INIT;
    const char *const env[] = {"1A=x", NULL};
    struct command command = {.text = "true", .env = env};
    assert_int_equal(fleet_run(fleet, 0, &command, NULL, &err), ERR_CONFIG);
    assert_contains(err.message, "'1A=x' is not an environment");
    char *text = malloc(40000);
    memset(text, 'x', 39999);
    text[39999] = '\0';
    assert_int_equal(fleet_run(fleet, 0, &(struct command){.text = text}, NULL, &err), ERR_CONFIG);
    assert_contains(err.message, "upload a script");
    free(text);
    fleet_close(fleet);
}

/* A sudo of our own that behaves like one that wants a password. */
static void sudo_that_wants_a_password_is_told_apart(void **state)
{
    (void)state;
    FILE *script = fopen(in_directory("sudo"), "we");
    assert_non_null(script);
    fputs("#!/bin/sh\n[ -e \"$(dirname $0)/allow\" ] && shift && exec \"$@\"\n"
          "echo 'sudo: a password is required' >&2; exit 1\n",
          script);
    fclose(script);
    chmod(in_directory("sudo"), 0755);
    char *path = strdup(getenv("PATH"));
    char with[5000];
    snprintf(with, sizeof with, "%s:%s", directory, path);
    setenv("PATH", with, 1);
    struct err err = ERR_INIT;
    struct fleet_options options = fake_options();
    options.connect.user = "alice";
    struct fleet *fleet;
    fake_reset();
    assert_ok(fleet_open(fake_nodes(), 1, &options, &fleet, &err));
    const char *const env[] = {"A=b c", NULL};
    struct command command = {.text = "echo $A", .as_root = true, .env = env};
    assert_int_equal(fleet_run(fleet, 0, &command, NULL, &err), ERR_REMOTE);
    assert_contains(err.message, "n1: sudo needs a password of user 'alice'");
    assert_contains(err.message, "NOPASSWD");
    fclose(fopen(in_directory("allow"), "we"));
    struct output output;
    assert_ok(fleet_run(fleet, 0, &command, &output, &err));
    assert_string_equal(buf_text(&output.out), "b c\n");
    output_free(&output);
    fleet_close(fleet);
    setenv("PATH", path, 1);
    free(path);
}

/* ---- Time ---- */

static void a_command_past_its_time_fails_and_the_next_works(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(2);
    struct err err = ERR_INIT;
    struct command command = {.text = "exec sleep 60", .timeout_ns = 100 * NS_PER_MS};
    int64_t begin_ns = clock_monotonic_ns();
    assert_int_equal(fleet_run(fleet, 1, &command, NULL, &err), ERR_TIMEOUT);
    assert_true(clock_monotonic_ns() - begin_ns < 20 * NS_PER_SECOND);
    assert_contains(err.message, "n2: `exec sleep 60`: did not end within 100 ms");
    struct output output = run(fleet, 1, "echo again");
    assert_string_equal(buf_text(&output.out), "again\n");
    output_free(&output);
    fleet_close(fleet);
}

struct interruption {
    struct fleet *fleet;
    const char *file;
};

static void *interrupt_later(void *argument)
{
    struct interruption *interruption = argument;
    await_file(interruption->file);
    fleet_interrupt(interruption->fleet);
    return NULL;
}

static void an_interrupt_cancels_what_runs(void **state)
{
    (void)state;
    struct interruption interruption = {.fleet = fake_fleet(1), .file = in_directory("running")};
    char text[500];
    snprintf(text, sizeof text, ": >%s; exec sleep 60", interruption.file);
    pthread_t thread;
    pthread_create(&thread, NULL, interrupt_later, &interruption);
    struct err err = ERR_INIT;
    assert_int_equal(fleet_run(interruption.fleet, 0, &(struct command){.text = text}, NULL, &err),
                     ERR_CANCELLED);
    pthread_join(thread, NULL);
    struct output output = run(interruption.fleet, 0, "echo on");
    assert_string_equal(buf_text(&output.out), "on\n");
    output_free(&output);
    fleet_close(interruption.fleet);
}

/* ---- Connections ---- */

static void refused_connections_are_told_or_tried_again(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct fleet *fleet;
    struct fleet_options options = fake_options();
    fake_reset();
    fake_refuse(1, 3, true);
    assert_int_equal(fleet_open(fake_nodes(), 3, &options, &fleet, &err), ERR_IO);
    assert_string_equal(err.message, "n2: the fake refused the connection");
    assert_int_equal(fake_connections(1), 1);
    options.patience_ns = 20 * NS_PER_SECOND;
    assert_ok(fleet_open(fake_nodes(), 3, &options, &fleet, &err));
    assert_int_equal(fake_connections(1), 4);
    fleet_close(fleet);
    fake_refuse(1, 1, false); /* a refused key is not tried again, however patient */
    assert_int_equal(fleet_open(fake_nodes(), 3, &options, &fleet, &err), ERR_IO);
    assert_string_equal(err.message, "n2: the fake refused the key");
}

static void a_node_that_does_not_answer_is_given_up(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct fleet *fleet;
    struct fleet_options options = fake_options();
    options.connect.connect_timeout_ns = 50 * NS_PER_MS;
    fake_reset();
    fake_hang(0, true);
    fake_hang(2, true);
    assert_int_equal(fleet_open(fake_nodes(), 3, &options, &fleet, &err), ERR_TIMEOUT);
    assert_string_equal(err.message, "n1: the fake did not answer (and 1 more node: n3)");
}

static void *cut_later(void *argument)
{
    await_file(argument);
    fake_cut(0);
    return NULL;
}

static void a_lost_connection_fails_what_ran_and_comes_back(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(2);
    const char *file = in_directory("cut-now");
    char text[500];
    snprintf(text, sizeof text, ": >%s; exec sleep 60", file);
    pthread_t thread;
    pthread_create(&thread, NULL, cut_later, (void *)file);
    struct err err = ERR_INIT;
    assert_int_equal(fleet_run(fleet, 0, &(struct command){.text = text}, NULL, &err), ERR_IO);
    pthread_join(thread, NULL);
    assert_contains(err.message, "n1: `: >");
    assert_contains(err.message, "connection lost: the fake cut the connection; it may have run");
    fake_refuse(0, 2, true);
    struct output output = run(fleet, 0, "echo back");
    assert_string_equal(buf_text(&output.out), "back\n");
    assert_int_equal(fake_connections(0), 4);
    assert_int_equal(fake_connections(1), 1);
    output_free(&output);
    fleet_close(fleet);
}

static void a_command_that_was_not_sent_is_sent_again(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(1);
    fake_cut_before_sending(0);
    struct output output = run(fleet, 0, "echo once");
    assert_string_equal(buf_text(&output.out), "once\n");
    assert_int_equal(fake_connections(0), 2);
    output_free(&output);
    fleet_close(fleet);
}

static void reconnecting_has_a_limit(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct fleet *fleet;
    struct fleet_options options = fake_options();
    options.reconnect_ns = 150 * NS_PER_MS;
    fake_reset();
    assert_ok(fleet_open(fake_nodes(), 1, &options, &fleet, &err));
    fake_refuse(0, 1000, true);
    fake_cut_before_sending(0);
    assert_int_equal(fleet_run(fleet, 0, &(struct command){.text = "true"}, NULL, &err), ERR_IO);
    assert_string_equal(err.message, "n1: `true`: the fake refused the connection");
    assert_true(fake_connections(0) > 2);
    options.reconnect_ns = 0;
    fleet_close(fleet);
}

static void commands_wait_where_the_node_allows_few(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(1);
    struct err err = ERR_INIT;
    enum { JOBS = 30 };
    struct fleet_job jobs[JOBS];
    fake_allow_channels(0, 3);
    for (uint32_t i = 0; i < JOBS; i++)
        jobs[i] = (struct fleet_job){.command = {.text = "sleep 0.02; echo x"}};
    assert_ok(fleet_run_jobs(fleet, jobs, JOBS, &err));
    for (uint32_t i = 0; i < JOBS; i++) {
        assert_string_equal(buf_text(&jobs[i].output.out), "x\n");
        output_free(&jobs[i].output);
    }
    assert_true(fake_channels_seen(0) <= 3);
    fleet_close(fleet);
}

/* ---- Files ---- */

static void files_go_up_and_come_down(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(3);
    struct err err = ERR_INIT;
    size_t size = (3 << 20) + 17;
    char *data = malloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 2654435761u >> 13);
    struct fleet_upload uploads[3];
    char targets[3][400];
    for (uint32_t i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "deep/er/it's %u", i);
        snprintf(targets[i], sizeof targets[i], "%s", in_directory(name));
        uploads[i] = (struct fleet_upload){.node = i,
                                           .data = data,
                                           .length = size,
                                           .target = targets[i],
                                           .mode = 0750,
                                           .make_parents = true};
    }
    assert_ok(fleet_upload(fleet, uploads, 3, &err));
    struct stat info;
    assert_int_equal(stat(targets[2], &info), 0);
    assert_int_equal(info.st_size, size);
    assert_int_equal(info.st_mode & 07777, 0750);
    struct fleet_upload again = {.node = 1, .source = targets[2], .target = in_directory("copy")};
    assert_ok(fleet_upload(fleet, &again, 1, &err));
    struct fleet_download download = {
        .node = 0, .source = in_directory("copy"), .target = in_directory("down")};
    assert_ok(fleet_download(fleet, &download, 1, &err));
    FILE *file = fopen(in_directory("down"), "re");
    char *back = malloc(size + 1);
    assert_int_equal(fread(back, 1, size + 1, file), size);
    assert_memory_equal(back, data, size);
    fclose(file);
    free(back);
    free(data);
    fleet_close(fleet);
}

static void failed_transfers_leave_nothing(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(1);
    struct err err = ERR_INIT;
    struct fleet_upload upload = {.data = "x", .length = 1, .target = in_directory("absent/file")};
    assert_int_equal(fleet_upload(fleet, &upload, 1, &err), ERR_REMOTE);
    assert_contains(err.message, "n1: upload to ");
    assert_contains(err.message, "absent/file");
    upload.target = "/dev";
    assert_int_equal(fleet_upload(fleet, &upload, 1, &err), ERR_REMOTE);
    assert_contains(err.message, "/dev is a directory");
    upload = (struct fleet_upload){.source = in_directory("nothing"), .target = "/tmp/x"};
    assert_int_equal(fleet_upload(fleet, &upload, 1, &err), ERR_IO);
    assert_contains(err.message, "No such file");
    struct fleet_download download = {.source = in_directory("nothing"),
                                      .target = in_directory("nowhere")};
    assert_int_equal(fleet_download(fleet, &download, 1, &err), ERR_REMOTE);
    assert_contains(err.message, "No such file");
    assert_int_not_equal(access(in_directory("nowhere"), F_OK), 0);
    char count[500];
    snprintf(count, sizeof count, "[ -z \"$(ls %s | grep part)\" ]", directory);
    assert_int_equal(system(count), 0);
    fleet_close(fleet);
}

static void *cut_when_there(void *argument)
{
    char command[600];
    snprintf(command, sizeof command, "until ls %s 2>/dev/null | grep -q half.part; do :; done",
             (const char *)argument);
    if (system(command) == 0)
        fake_cut(0);
    return NULL;
}

/* When the connection dies the node's `cat` sees an end of input like any other. */
static void half_an_upload_never_takes_the_target(void **state)
{
    (void)state;
    struct fleet *fleet = fake_fleet(1);
    struct err err = ERR_INIT;
    char command[500];
    snprintf(command, sizeof command, "echo old >%s; truncate -s 2G %s", in_directory("half"),
             in_directory("huge"));
    assert_int_equal(system(command), 0);
    pthread_t thread;
    pthread_create(&thread, NULL, cut_when_there, directory);
    struct fleet_upload upload = {.source = in_directory("huge"), .target = in_directory("half")};
    assert_int_equal(fleet_upload(fleet, &upload, 1, &err), ERR_IO);
    pthread_join(thread, NULL);
    assert_contains(err.message, "connection lost");
    fleet_close(fleet); /* the command has ended by then */
    assert_string_equal(file_text(in_directory("half")), "old\n");
    unlink(in_directory("huge"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_has_input_environment_directory_and_status),
        cmocka_unit_test(a_signal_is_told_by_name_and_status),
        cmocka_unit_test(check_tells_the_end_of_stderr),
        cmocka_unit_test(errors_of_several_nodes_are_summed_up),
        cmocka_unit_test(too_much_output_is_cut_and_says_so),
        cmocka_unit_test(all_nodes_and_many_commands_run_in_parallel),
        cmocka_unit_test(bad_commands_are_refused_before_they_run),
        cmocka_unit_test(sudo_that_wants_a_password_is_told_apart),
        cmocka_unit_test(a_command_past_its_time_fails_and_the_next_works),
        cmocka_unit_test(an_interrupt_cancels_what_runs),
        cmocka_unit_test(refused_connections_are_told_or_tried_again),
        cmocka_unit_test(a_node_that_does_not_answer_is_given_up),
        cmocka_unit_test(a_lost_connection_fails_what_ran_and_comes_back),
        cmocka_unit_test(a_command_that_was_not_sent_is_sent_again),
        cmocka_unit_test(reconnecting_has_a_limit),
        cmocka_unit_test(commands_wait_where_the_node_allows_few),
        cmocka_unit_test(files_go_up_and_come_down),
        cmocka_unit_test(failed_transfers_leave_nothing),
        cmocka_unit_test(half_an_upload_never_takes_the_target),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
