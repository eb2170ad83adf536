/* Jump hosts, over real SSH: a private sshd on this machine is the jump host and the node behind
 * it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/remote/fleet.h"
#include "tests/lib/test.h"
#include "tests/lib/test_sshd.h"

static struct test_sshd sshd;
static const char *skip;
static char jump[64];
enum { NODES = 4, BYTES = 8 << 20 };

static int set_up(void **state)
{
    (void)state;
    if (!test_sshd_available(&skip))
        return 0;
    test_sshd_start(&sshd, NULL);
    snprintf(jump, sizeof jump, "127.0.0.1:%u", sshd.port);
    for (size_t i = 0; i < TEST_SSHD_NODES; i++)
        sshd.nodes[i].jump = jump;
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

static enum err_code log_in(const struct node *node, struct err *err)
{
    struct fleet_options options = sshd.options;
    struct fleet *fleet;
    options.connect.connect_timeout_ns = 5 * NS_PER_SECOND;
    if (fleet_open(node, 1, &options, &fleet, err) != ERR_NONE)
        return err->code;
    enum err_code code = fleet_check(fleet, 0, &(struct command){.text = "true"}, NULL, err);
    fleet_close(fleet);
    return code;
}

/* The session that runs a command comes from the jump host's sshd, which has one of its own. */
static void commands_run_behind_a_jump_host(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct output output = {0};
    struct fleet *fleet = test_sshd_fleet(&sshd, NODES);
    for (uint32_t i = 0; i < NODES; i++) {
        assert_ok(fleet_check(fleet, i, &(struct command){.text = "echo $((6 * 7)); echo why >&2"},
                              &output, &err));
        assert_string_equal(output.out.data, "42\n");
        assert_string_equal(output.err.data, "why\n");
        output_free(&output);
    }
    char count[300];
    snprintf(count, sizeof count, "grep -c 'Accepted publickey' %s/sshd.log", sshd.dir);
    FILE *pipe = popen(count, "re");
    int accepted = 0;
    assert_int_equal(fscanf(pipe, "%d", &accepted), 1);
    pclose(pipe);
    assert_int_equal(accepted, 2 * NODES); /* one login there, one behind it */
    fleet_close(fleet);
}

static void much_goes_both_ways(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct output output = {0};
    struct fleet *fleet = test_sshd_fleet(&sshd, 1);
    char *bytes = malloc(BYTES);
    assert_non_null(bytes);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    int64_t began_ns = clock_monotonic_ns();
    struct command command = {
        .text = "cat", .input = bytes, .input_length = BYTES, .output_bytes_max = BYTES};
    assert_ok(fleet_check(fleet, 0, &command, &output, &err));
    printf("# %d MiB there and back through a jump host in %.2f s\n", BYTES >> 20,
           (double)(clock_monotonic_ns() - began_ns) / 1e9);
    assert_int_equal(output.out.length, BYTES);
    assert_memory_equal(output.out.data, bytes, BYTES);
    output_free(&output);
    free(bytes);
    fleet_close(fleet);
}

static void what_does_not_work_names_the_jump_host(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct node node = sshd.nodes[0];
    node.jump = "127.0.0.1:1";
    assert_int_equal(log_in(&node, &err), ERR_IO);
    assert_contains(err.message, "n1: the jump host: 127.0.0.1:1 refused the connection");
    node.jump = "nowhere.invalid";
    assert_int_equal(log_in(&node, &err), ERR_REMOTE);
    assert_contains(err.message, "n1: the jump host: cannot resolve 'nowhere.invalid'");
    char stranger[80];
    snprintf(stranger, sizeof stranger, "nobody-here@127.0.0.1:%u", sshd.port);
    node.jump = stranger;
    assert_int_equal(log_in(&node, &err), ERR_REMOTE);
    assert_contains(err.message, "n1: the jump host: 127.0.0.1:");
    assert_contains(err.message, "does not let user 'nobody-here' in");
    node.jump = jump;
    node.port = 1;
    assert_int_equal(log_in(&node, &err), ERR_REMOTE);
    assert_contains(err.message, "n1: 127.0.0.1:1 (through 127.0.0.1:");
    assert_contains(err.message, "cannot be reached from the jump host");
    node.port = sshd.port;
    node.address = "localhost"; /* which known_hosts does not know */
    assert_int_equal(log_in(&node, &err), ERR_REMOTE);
    assert_contains(err.message, "host key of localhost:");
    assert_contains(err.message, "is unknown");
    node.address = "127.0.0.1";
    test_sshd_known_hosts(&sshd, "", false);
    assert_int_equal(log_in(&node, &err), ERR_REMOTE);
    assert_contains(err.message, "n1: the jump host: host key of 127.0.0.1:");
    test_sshd_known_hosts(&sshd, "ed25519 ecdsa", false);
    test_sshd_restart(&sshd, "AllowTcpForwarding no");
    assert_int_equal(log_in(&node, &err), ERR_REMOTE);
    assert_contains(err.message, "AllowTcpForwarding");
    test_sshd_restart(&sshd, NULL);
    assert_ok(log_in(&node, &err));
}

/* Both connections end at once; the next command comes over new ones. */
static void a_lost_jump_host_is_noticed_and_come_back_to(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct output output = {0};
    struct fleet *fleet = test_sshd_fleet(&sshd, 2);
    assert_true(test_sshd_kill_sessions(&sshd) >= 4);
    for (uint32_t i = 0; i < 2; i++) {
        assert_ok(fleet_check(fleet, i, &(struct command){.text = "echo again"}, &output, &err));
        assert_string_equal(output.out.data, "again\n");
        output_free(&output);
    }
    fleet_close(fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_run_behind_a_jump_host),
        cmocka_unit_test(much_goes_both_ways),
        cmocka_unit_test(what_does_not_work_names_the_jump_host),
        cmocka_unit_test(a_lost_jump_host_is_noticed_and_come_back_to),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
