/* Commands over real SSH: a private sshd on this machine plays all the nodes. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/fleet.h"
#include "tests/lib/test.h"
#include "tests/lib/test_sshd.h"

enum { NODES = 20 };

struct fixture {
    struct test_sshd sshd;
    struct node nodes[NODES];
    char names[NODES][8];
    char key[300], known_hosts[300];
    const char *keys[2];
    struct fleet_options options;
    struct fleet *fleet;
};

static struct fixture *fixture;

static int set_up(void **state)
{
    (void)state;
    const char *skip;
    fixture = calloc(1, sizeof *fixture);
    if (!test_sshd_available(&skip)) {
        print_message("# SKIP reason: %s\n", skip);
        return 0;
    }
    test_sshd_start(&fixture->sshd, NULL);
    snprintf(fixture->key, sizeof fixture->key, "%s/id_ed25519", fixture->sshd.dir);
    snprintf(fixture->known_hosts, sizeof fixture->known_hosts, "%s/known_hosts",
             fixture->sshd.dir);
    fixture->keys[0] = fixture->key;
    fixture->options.connect = (struct remote_options){
        .key_files = fixture->keys, .no_agent = true, .known_hosts = fixture->known_hosts};
    for (uint32_t i = 0; i < NODES; i++) {
        snprintf(fixture->names[i], sizeof fixture->names[i], "n%u", i + 1);
        fixture->nodes[i] = (struct node){.index = i,
                                          .name = fixture->names[i],
                                          .address = "127.0.0.1",
                                          .port = fixture->sshd.port};
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (fixture->sshd.pid > 0)
        test_sshd_free(&fixture->sshd);
    free(fixture);
    return 0;
}

static void need_sshd(void)
{
    const char *skip;
    if (!test_sshd_available(&skip))
        test_skip(skip);
}

static void commands_give_output_and_status(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct fleet *fleet;
    assert_ok(fleet_open(fixture->nodes, 1, &fixture->options, &fleet, &err));
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
    fleet_close(fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_give_output_and_status),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
