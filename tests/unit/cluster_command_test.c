/* `ordeal local`: what is wrong with the arguments, and what is missing, is said in one line. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/buf.h"
#include "harness/cli/cmd_local.h"
#include "tests/lib/test.h"

enum { ARGUMENTS_MAX = 12, NOBODY = 65534 };

/* Runs it in a child that is not root, with its output collected. */
static int run(struct buf *output, const char *const *arguments)
{
    int fds[2];
    if (pipe(fds) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[ARGUMENTS_MAX + 2] = {(char *)"local"};
        int argc = 1;
        for (; arguments[argc - 1] != NULL && argc <= ARGUMENTS_MAX; argc++)
            argv[argc] = (char *)arguments[argc - 1];
        dup2(fds[1], STDOUT_FILENO);
        dup2(fds[1], STDERR_FILENO);
        if (getuid() == 0 && setuid(NOBODY) != 0)
            _exit(99);
        int status = cmd_local(argc, argv);
        fflush(NULL);
        _exit(status);
    }
    close(fds[1]);
    char chunk[1024];
    ssize_t got;
    while ((got = read(fds[0], chunk, sizeof chunk)) > 0)
        buf_add(output, chunk, (size_t)got);
    close(fds[0]);
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static void expect(int status, const char *part, const char *const *arguments)
{
    struct buf output = BUF_INIT;
    int got = run(&output, arguments);
    if (got != status)
        fail_msg("status %d, not %d: %s", got, status, buf_text(&output));
    assert_contains(buf_text(&output), part);
    if (status != 0 && arguments[0] != NULL) /* one line */
        assert_ptr_equal(strchr(buf_text(&output), '\n'), buf_text(&output) + output.length - 1);
    buf_free(&output);
}
#define EXPECT(status, part, ...) expect(status, part, (const char *const[]){__VA_ARGS__})

static void bad_arguments_are_named(void **state)
{
    (void)state;
    EXPECT(254, "usage: ordeal local VERB", NULL);
    EXPECT(254, "no verb 'upp'; did you mean up?", "upp", NULL);
    EXPECT(254, "did you mean status?", "stauts", NULL);
    EXPECT(254, "there are up, down", "frobnicate-the-whole-thing", NULL);
    EXPECT(254, "--nodes 0: give a number from 1 to 64", "up", "--nodes", "0", NULL);
    EXPECT(254, "--nodes 65:", "up", "--nodes=65", NULL);
    EXPECT(254, "--nodes 5x:", "up", "--nodes", "5x", NULL);
    EXPECT(254, "--nodes :", "up", "--nodes=", NULL);
    EXPECT(254, "--nodes needs a value", "up", "--nodes", NULL);
    EXPECT(254, "takes no --nodes", "down", "--nodes", "3", NULL);
    EXPECT(254, "takes no --a", "down", "--a", NULL);
    EXPECT(254, "takes no --", "status", "--", NULL);
    EXPECT(254, "takes no --all=yes", "down", "--all=yes", NULL);
    EXPECT(254, "unexpected argument 'n1'", "up", "n1", NULL);
    EXPECT(254, "unexpected argument 'n2'", "stop", "n1", "n2", NULL);
    EXPECT(254, "'No' is not a cluster name", "up", "--cluster", "No", NULL);
    EXPECT(254, "is not a cluster name", "ssh", "--cluster=", "n1", NULL);
    EXPECT(254, "not both", "down", "--all", "--cluster", "x", NULL);
    EXPECT(254, "which node?", "ssh", NULL);
    EXPECT(254, "which node?", "stop", NULL);
    EXPECT(254, "which command?", "exec", "n1", NULL);
    EXPECT(254, "which command?", "exec", "n1", "--", NULL);
    EXPECT(254, "unexpected argument 'hostname'", "exec", "n1", "hostname", NULL);
}

static void help_is_on_standard_output(void **state)
{
    (void)state;
    EXPECT(0, "usage: ordeal local VERB", "--help", NULL);
    EXPECT(0, "usage: ordeal local up", "up", "--help", NULL);
    EXPECT(0, "usage: ordeal local down", "down", "-h", NULL);
    EXPECT(0, "usage: ordeal local status", "status", "--help", NULL);
    EXPECT(0, "usage: ordeal local ssh", "ssh", "--help", NULL);
    EXPECT(0, "usage: ordeal local exec", "exec", "--help", NULL);
    EXPECT(0, "usage: ordeal local stop", "stop", "--help", NULL);
    EXPECT(0, "usage: ordeal local start", "start", "--help", NULL);
}

static void who_is_not_root_is_told_what_to_do(void **state)
{
    (void)state;
    EXPECT(255, "needs root: run as root (sudo ordeal local up)", "up", NULL);
    EXPECT(255, "(sudo ordeal local down)", "down", "--cluster", "absent", NULL);
    EXPECT(255, "(sudo ordeal local status)", "status", "--json", NULL);
    EXPECT(255, "needs root", "ssh", "n1", "hostname", NULL);
    EXPECT(255, "needs root", "exec", "n1", "--", "hostname", NULL);
    EXPECT(255, "needs root", "start", "n1", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments_are_named),
        cmocka_unit_test(help_is_on_standard_output),
        cmocka_unit_test(who_is_not_root_is_told_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
