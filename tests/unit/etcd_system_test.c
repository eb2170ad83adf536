/* What the system etcd does on nodes: here every node is this machine, its shell commands run for
 * real, and its daemons are a table. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "tests/lib/etcd_fixture.h"
#include "tests/lib/http_server.h"
#include "tests/lib/test.h"
#include "workloads/systems/systems.h"

/* ---- In place of harness/control.c ---- */

static struct {
    node_set broken;     /* nodes on which no command runs at all */
    node_set misbehaves; /* nodes whose daemon exits at once */
    enum daemon_state daemons[ETCD_FIXTURE_NODES];
    uint32_t started;
    struct buf arguments; /* of the daemon started last */
} nodes_here;

static int run_here(const char *command, struct buf *out)
{
    struct buf quiet = BUF_INIT;
    buf_printf(&quiet, "{\n%s\n} 2>/dev/null", command);
    FILE *pipe = popen(quiet.data, "r");
    assert_non_null(pipe);
    char text[1024];
    for (size_t got; (got = fread(text, 1, sizeof text, pipe)) > 0;)
        buf_add(out, text, got);
    buf_free(&quiet);
    return WEXITSTATUS(pclose(pipe));
}

enum err_code test_shell(struct test *test, node_set nodes, struct err *err, const char *format,
                         ...)
{
    struct buf command = BUF_INIT, out = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&command, format, arguments);
    va_end(arguments);
    int status = (nodes & nodes_here.broken) != 0 ? 255 : run_here(command.data, &out);
    enum err_code code = ERR_NONE;
    if (status != 0)
        code = err_set(err, ERR_REMOTE, "%s: '%s' ended with status %d", test->nodes[0].name,
                       command.data, status);
    buf_free(&command);
    buf_free(&out);
    return code;
}

void test_note_failure(struct test *test, uint32_t node, const char *command, int status,
                       const char *said)
{
    (void)test, (void)node, (void)command, (void)status, (void)said;
}

enum err_code test_shell_output(struct test *test, uint32_t node, struct buf *out, int *status,
                                struct err *err, const char *format, ...)
{
    if (node_in(nodes_here.broken, node))
        return err_set(err, ERR_REMOTE, "%s: no route to host", test->nodes[node].name);
    struct buf command = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&command, format, arguments);
    va_end(arguments);
    *status = run_here(command.data, out);
    buf_free(&command);
    return ERR_NONE;
}

/* etcd is installed from a package; the systems beside it upload theirs. */
enum err_code test_upload_file(struct test *test, node_set nodes, const char *local_path,
                               const char *path, unsigned mode, struct err *err)
{
    (void)test, (void)nodes, (void)local_path, (void)mode;
    return err_set(err, ERR_UNSUPPORTED, "%s: nothing is uploaded here", path);
}

enum err_code test_write_file(struct test *test, uint32_t node, const char *path, const char *text,
                              unsigned mode, struct err *err)
{
    (void)test, (void)node, (void)text, (void)mode;
    return err_set(err, ERR_UNSUPPORTED, "%s: nothing is written here", path);
}

enum err_code daemon_stop(struct test *test, node_set nodes, const char *name, int64_t grace_ns,
                          struct err *err)
{
    (void)test, (void)nodes, (void)grace_ns;
    return err_set(err, ERR_UNSUPPORTED, "%s is not stopped here", name);
}

void test_print_nodes(const struct test *test, node_set set, struct buf *out)
{
    (void)test;
    buf_printf(out, "%llx", (unsigned long long)set);
}

enum err_code daemon_start(struct test *test, uint32_t node, const struct daemon_spec *spec,
                           struct err *err)
{
    (void)test, (void)err;
    assert_string_equal(spec->name, "etcd");
    buf_clear(&nodes_here.arguments);
    for (const char *const *word = spec->argv; *word != NULL; word++)
        buf_printf(&nodes_here.arguments, "%s ", *word);
    nodes_here.daemons[node] =
        node_in(nodes_here.misbehaves, node) ? DAEMON_EXITED : DAEMON_RUNNING;
    nodes_here.started++;
    return ERR_NONE;
}

enum err_code daemon_status(struct test *test, uint32_t node, const char *name,
                            enum daemon_state *state, struct err *err)
{
    (void)test, (void)err;
    assert_string_equal(name, "etcd");
    *state = nodes_here.daemons[node];
    return ERR_NONE;
}

/* Systems beside it ask for these; etcd does not. */
void test_log(const struct test *test, const char *format, ...)
{
    (void)test, (void)format;
}

enum err_code daemon_states(struct test *test, node_set nodes, const char *name,
                            enum daemon_state *states, struct err *err)
{
    (void)test, (void)nodes, (void)states;
    return err_set(err, ERR_UNSUPPORTED, "%s: nobody looks at it here", name);
}

/* ---- Tests ---- */

static struct etcd_fixture fixture;
static struct err err;

static void set_port(const char *option, uint16_t port)
{
    char text[16];
    snprintf(text, sizeof text, "%u", (unsigned)port);
    etcd_fixture_set(&fixture, option, text);
}

static int begin(void **state)
{
    (void)state;
    memset(&nodes_here, 0, sizeof nodes_here);
    err = ERR_INIT;
    etcd_fixture_init(&fixture, 3, http_free_port(), NS_PER_SECOND);
    set_port("etcd.peer-port", http_free_port());
    fixture.plan.local = true;
    return 0;
}

static int end(void **state)
{
    (void)state;
    buf_free(&nodes_here.arguments);
    etcd_fixture_free(&fixture);
    return 0;
}

static enum err_code install(void)
{
    return system_etcd.install(&fixture.test, test_all_nodes(&fixture.test), &err);
}

static enum err_code start(node_set nodes)
{
    return system_etcd.start(&fixture.test, nodes, &err);
}

/* A PATH whose only program may be an "etcd" that works. */
static char *path_with(bool etcd)
{
    char *path = getenv("PATH") == NULL ? NULL : strdup(getenv("PATH"));
    char dir[] = "/tmp/ordeal-path.XXXXXX", program[64];
    assert_non_null(mkdtemp(dir));
    snprintf(program, sizeof program, "%s/etcd", dir);
    if (etcd) {
        FILE *file = fopen(program, "w");
        assert_non_null(file);
        fputs("#!/bin/sh\nexit 0\n", file);
        fclose(file);
        assert_int_equal(chmod(program, 0755), 0);
    }
    setenv("PATH", dir, 1);
    return path;
}

static void restore_path(char *path)
{
    char program[128];
    const char *dir = getenv("PATH");
    snprintf(program, sizeof program, "%s/etcd", dir);
    unlink(program);
    rmdir(dir);
    setenv("PATH", path, 1);
    free(path);
}

static void install_is_content_with_what_is_there(void **state)
{
    (void)state;
    char *path = path_with(true);
    assert_ok(install());
    fixture.plan.local = false;
    assert_ok(install());
    restore_path(path);
}

static void install_says_what_to_do(void **state)
{
    (void)state;
    char *path = path_with(false);
    assert_int_equal(install(), ERR_UNSUPPORTED);
    assert_string_equal(err.message,
                        "n1: etcd is not installed; on this machine, for a local cluster: apt-get "
                        "install etcd-server");
    fixture.plan.local = false; /* without apt-get in the path */
    assert_int_equal(install(), ERR_UNSUPPORTED);
    assert_string_equal(err.message, "n1: etcd is not installed, and could not be: there is no "
                                     "apt-get");
    restore_path(path);
}

static void a_node_that_cannot_be_reached_is_no_missing_package(void **state)
{
    (void)state;
    nodes_here.broken = NODE_SET(0);
    assert_int_equal(install(), ERR_REMOTE);
    assert_string_equal(err.message, "n1: no route to host");
}

static void wrong_options_are_refused_before_anything_runs(void **state)
{
    (void)state;
    static const char *const wrong[][3] = {
        {"etcd.data-dir", "/", "at least two names"},
        {"etcd.data-dir", "/var", "at least two names"},
        {"etcd.data-dir", "/var/", "at least two names"},
        {"etcd.data-dir", "//var", "at least two names"},
        {"etcd.data-dir", "/var//", "at least two names"},
        {"etcd.data-dir", "/var/lib/../..", "at least two names"},
        {"etcd.data-dir", "var/lib/etcd", "at least two names"},
        {"etcd.data-dir", "", "at least two names"},
        {"etcd.client-port", "0", "etcd.client-port: 0 is not between 1 and 65535"},
        {"etcd.peer-port", "65536", "etcd.peer-port: 65536 is not between"},
        {"etcd.election-ms", "499", "etcd.election-ms: 499 is not between 500 and 50000"},
        {"etcd.snapshot-count", "0", "etcd.snapshot-count"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        end(NULL);
        begin(NULL);
        etcd_fixture_set(&fixture, wrong[i][0], wrong[i][1]);
        assert_int_equal(install(), ERR_CONFIG);
        assert_contains(err.message, wrong[i][2]);
        if (strcmp(wrong[i][0], "etcd.data-dir") == 0)
            assert_int_equal(system_etcd.wipe(&fixture.test, NODE_SET(0), &err), ERR_CONFIG);
    }
}

static void start_leaves_running_members_alone(void **state)
{
    (void)state;
    nodes_here.daemons[1] = DAEMON_PAUSED;
    nodes_here.daemons[2] = DAEMON_EXITED;
    assert_ok(start(test_all_nodes(&fixture.test)));
    assert_int_equal(nodes_here.started, 2);
    assert_contains(nodes_here.arguments.data, "etcd --name n3 --data-dir /var/lib/ordeal-etcd ");
    assert_int_equal(nodes_here.daemons[1], DAEMON_PAUSED);
    assert_ok(start(test_all_nodes(&fixture.test)));
    assert_int_equal(nodes_here.started, 2);
}

static void a_member_that_ends_at_once_is_an_error(void **state)
{
    (void)state;
    nodes_here.misbehaves = NODE_SET(1);
    assert_int_equal(start(test_all_nodes(&fixture.test)), ERR_REMOTE);
    assert_contains(err.message, "n2: etcd ended as soon as it was started; its log ends with: ");
}

static void a_taken_port_is_named_before_anything_starts(void **state)
{
    (void)state;
    static const char *const options[] = {"etcd.client-port", "etcd.peer-port"};
    for (size_t i = 0; i < 2; i++) {
        struct http_server *squatter = http_server_start("127.0.0.7", 0, NULL, 0);
        uint16_t port = http_server_port(squatter);
        char expected[64];
        snprintf(expected, sizeof expected, "n1: port %u is taken", (unsigned)port);
        set_port(options[i], port);
        assert_int_equal(start(NODE_SET(0)), ERR_REMOTE);
        assert_contains(err.message, expected);
        assert_contains(err.message, "stop what listens there");
        assert_null(strchr(err.message, '\n'));
        assert_int_equal(nodes_here.started, 0);
        http_server_stop(squatter);
        assert_ok(start(NODE_SET(0)));
        assert_int_equal(nodes_here.started, 1);
        end(NULL);
        begin(NULL);
    }
}

static void a_port_of_ipv6_is_seen_too(void **state)
{
    (void)state;
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t length = sizeof at;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0)
        test_skip("there is no IPv6 here");
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &length), 0);
    set_port("etcd.client-port", ntohs(at.sin6_port));
    assert_int_equal(start(NODE_SET(0)), ERR_REMOTE);
    assert_contains(err.message, "is taken");
    close(fd);
}

static void wipe_removes_the_data_alone(void **state)
{
    (void)state;
    char dir[] = "/tmp/ordeal-wipe.XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct buf path = BUF_INIT, command = BUF_INIT;
    buf_printf(&path, "%s/it's data", dir);
    buf_add_text(&command, "mkdir -p ");
    buf_add_shell_word(&command, path.data);
    assert_int_equal(system(command.data), 0);
    etcd_fixture_set(&fixture, "etcd.data-dir", path.data);
    assert_ok(system_etcd.wipe(&fixture.test, NODE_SET(0), &err));
    assert_int_not_equal(access(path.data, F_OK), 0);
    assert_int_equal(rmdir(dir), 0); /* it is there still, and empty */
    assert_ok(system_etcd.wipe(&fixture.test, NODE_SET(0), &err));
    buf_free(&path);
    buf_free(&command);
}

static void it_runs_registers_alone(void **state)
{
    (void)state;
    assert_non_null(system_etcd.client("register"));
    assert_null(system_etcd.client("queue"));
    assert_ptr_equal(system_find("etcd"), &system_etcd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(install_is_content_with_what_is_there),
        TEST(install_says_what_to_do),
        TEST(a_node_that_cannot_be_reached_is_no_missing_package),
        TEST(wrong_options_are_refused_before_anything_runs),
        TEST(start_leaves_running_members_alone),
        TEST(a_member_that_ends_at_once_is_an_error),
        TEST(a_taken_port_is_named_before_anything_starts),
        TEST(a_port_of_ipv6_is_seen_too),
        TEST(wipe_removes_the_data_alone),
        TEST(it_runs_registers_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
