/* Getting in over real SSH, and the reasons why one does not: keys, host keys, dead ends. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/remote/fleet.h"
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
    test_sshd_start(&sshd, "PasswordAuthentication yes");
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

/* ---- Helpers ---- */

static const char *place(const char *name)
{
    static char paths[4][400];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", sshd.dir, name);
    return path;
}

/* Opens a fleet of one with these keys (ended by NULL) and closes it again. */
static enum err_code log_in(const struct node *node, const struct remote_options *connect,
                            struct err *err)
{
    struct fleet_options options = {.connect = *connect};
    struct fleet *fleet;
    enum err_code code = fleet_open(node, 1, &options, &fleet, err);
    if (code != ERR_NONE)
        return code;
    code = fleet_check(fleet, 0, &(struct command){.text = "true"}, NULL, err);
    fleet_close(fleet);
    return code;
}

static enum err_code log_in_with(const char *key, struct err *err)
{
    const char *keys[] = {place(key), NULL};
    struct remote_options connect = sshd.options.connect;
    connect.key_files = keys;
    return log_in(&sshd.nodes[0], &connect, err);
}

static char *read_known_hosts(void)
{
    static char text[8192];
    FILE *file = fopen(sshd.known_hosts, "re");
    size_t length = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    text[length] = '\0';
    if (file != NULL)
        fclose(file);
    return text;
}

/* ---- Keys ---- */

static void ed25519_and_ecdsa_keys_get_in(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    assert_ok(log_in_with("id_ed25519", &err));
    assert_ok(log_in_with("id_ecdsa", &err));
    sshd_shell(
        "cd %s && cp id_ecdsa id_pem && ssh-keygen -q -p -m PEM -N '' -P '' -f id_pem >/dev/null",
        sshd.dir);
    assert_ok(log_in_with("id_pem", &err));
}

static void keys_that_do_not_get_in_are_listed_with_reasons(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    assert_int_equal(log_in_with("id_wrong", &err), ERR_REMOTE);
    assert_contains(err.message, "n1: 127.0.0.1:");
    assert_contains(err.message, "does not let user '");
    assert_contains(err.message, "id_wrong (ED25519: refused)");
    assert_contains(err.message, "it would take publickey");
    assert_int_equal(log_in_with("id_locked", &err), ERR_REMOTE);
    assert_contains(err.message, "id_locked (has a passphrase: add it to ssh-agent)");
    assert_int_equal(log_in_with("id_absent", &err), ERR_REMOTE);
    assert_contains(err.message, "id_absent (cannot be read)");
    sshd_shell("echo rubbish >%s", place("id_rubbish"));
    assert_int_equal(log_in_with("id_rubbish", &err), ERR_REMOTE);
    assert_contains(err.message, "libssh2 cannot use it");
    const char *none[] = {NULL};
    struct remote_options connect = sshd.options.connect;
    connect.key_files = none;
    assert_int_equal(log_in(&sshd.nodes[0], &connect, &err), ERR_REMOTE);
    assert_contains(err.message, "tried nothing");
    const char *several[] = {place("id_wrong"), place("id_locked"), place("id_ecdsa"), NULL};
    connect.key_files = several;
    assert_ok(log_in(&sshd.nodes[0], &connect, &err));
}

static void rsa_keys_are_explained_where_they_do_not_work(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    if (log_in_with("id_rsa", &err) == ERR_NONE)
        return; /* libssh2 1.11 and later */
    assert_contains(err.message, "id_rsa (RSA: refused; libssh2 ");
    assert_contains(err.message, "use an ed25519 key");
}

static void the_ssh_agent_is_asked_after_the_files(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct remote_options connect = sshd.options.connect;
    const char *wrong[] = {place("id_wrong"), NULL};
    connect.key_files = wrong;
    connect.no_agent = false;
    sshd_shell("cd %s && ssh-agent -a agent.sock >agent.env && . ./agent.env >/dev/null && "
               "echo $SSH_AGENT_PID >agent.pid",
               sshd.dir);
    setenv("SSH_AUTH_SOCK", place("agent.sock"), 1);
    assert_int_equal(log_in(&sshd.nodes[0], &connect, &err), ERR_REMOTE);
    assert_contains(err.message, "the ssh-agent (it has no keys)");
    sshd_shell("cd %s && ssh-add -q id_rsa id_ed25519 2>/dev/null", sshd.dir);
    assert_ok(log_in(&sshd.nodes[0], &connect, &err));
    sshd_shell("kill $(cat %s)", place("agent.pid"));
    setenv("SSH_AUTH_SOCK", place("nobody.sock"), 1);
    assert_int_equal(log_in(&sshd.nodes[0], &connect, &err), ERR_REMOTE);
    assert_contains(err.message, "the ssh-agent (it does not answer)");
    unsetenv("SSH_AUTH_SOCK");
}

static void a_password_is_tried_last(void **state)
{
    (void)state;
    need_sshd();
    if (!own_mounts)
        test_skip("a user with a known password needs root");
    struct err err = ERR_INIT;
    struct node node = sshd.nodes[0];
    struct remote_options connect = sshd.options.connect;
    const char *wrong[] = {place("id_wrong"), NULL};
    connect.key_files = wrong;
    connect.user = "ordealtest";
    connect.password = "secret";
    assert_ok(log_in(&node, &connect, &err));
    node.password = "guess";
    assert_int_equal(log_in(&node, &connect, &err), ERR_REMOTE);
    assert_contains(err.message, "the password (refused)");
    if (system("command -v sudo >/dev/null") != 0)
        return; /* what sudo says is tried in the unit tests */
    node.password = NULL;
    struct fleet_options options = {.connect = connect};
    struct fleet *fleet;
    assert_ok(fleet_open(&node, 1, &options, &fleet, &err));
    struct command command = {.text = "id", .as_root = true};
    struct output said;
    if (fleet_run(fleet, 0, &command, &said, &err) == ERR_NONE)
        fail_msg("sudo's refusal went by: status %d, '%s' '%s'", said.status, buf_text(&said.out),
                 buf_text(&said.err));
    assert_int_equal(err.code, ERR_REMOTE);
    assert_contains(err.message, "n1: ");
    assert_contains(err.message, "'ordealtest'");
    assert_contains(err.message, "sudo");
    fleet_close(fleet);
}

/* ---- Host keys ---- */

static enum err_code visit(bool accept_new, struct err *err)
{
    struct remote_options connect = sshd.options.connect;
    struct node node = sshd.nodes[1];
    node.index = 0;
    connect.accept_new_host_keys = accept_new;
    return log_in(&node, &connect, err);
}

static void an_unknown_host_is_refused_unless_new_ones_are_accepted(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    sshd_shell("rm %s", sshd.known_hosts);
    assert_int_equal(visit(false, &err), ERR_REMOTE);
    assert_contains(err.message, "n2: host key of 127.0.0.1:");
    assert_contains(err.message, "is unknown (ED25519 SHA256:");
    assert_contains(err.message, "ssh-keyscan -p ");
    assert_contains(err.message, "--accept-new-host-keys");
    char shown[100], expected[100] = "";
    char command[400];
    snprintf(command, sizeof command, "ssh-keygen -lf %s | cut -d' ' -f2",
             place("host_ed25519.pub"));
    FILE *pipe = popen(command, "re");
    assert_int_equal(fscanf(pipe, "%99s", expected), 1);
    pclose(pipe);
    snprintf(shown, sizeof shown, "(ED25519 %s)", expected);
    assert_contains(err.message, shown);
    assert_int_not_equal(access(sshd.known_hosts, F_OK), 0); /* a refusal adds nothing */
    assert_ok(visit(true, &err));
    struct stat info;
    assert_int_equal(stat(sshd.known_hosts, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_ok(visit(false, &err));
    sshd_shell("ssh-keygen -F '[127.0.0.1]:%u' -f %s >/dev/null", sshd.port, sshd.known_hosts);
    test_sshd_known_hosts(&sshd, "ed25519 ecdsa", false);
}

/* All sessions of one fleet find the host new, and yet it is added once. */
static void a_new_host_is_added_once(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    sshd_shell("rm %s", sshd.known_hosts);
    struct fleet_options options = sshd.options;
    options.connect.accept_new_host_keys = true;
    struct fleet *fleet;
    assert_ok(fleet_open(sshd.nodes, 5, &options, &fleet, &err));
    fleet_close(fleet);
    char *first = strchr(read_known_hosts(), '\n');
    assert_non_null(first);
    assert_string_equal(first, "\n");
    test_sshd_known_hosts(&sshd, "ed25519 ecdsa", false);
}

static void a_changed_host_key_is_refused_always(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    test_sshd_new_host_keys(&sshd);
    test_sshd_restart(&sshd, "PasswordAuthentication yes");
    for (int accept_new = 0; accept_new < 2; accept_new++) {
        assert_int_equal(visit(accept_new == 1, &err), ERR_REMOTE);
        assert_contains(err.message, "n2: HOST KEY OF 127.0.0.1:");
        assert_contains(err.message, "HAS CHANGED (now ED25519 SHA256:");
        assert_contains(err.message, "known_hosts line 1 has another");
    }
    test_sshd_known_hosts(&sshd, "ed25519 ecdsa", false);
    assert_ok(visit(false, &err));
}

static void the_types_that_are_known_are_asked_for(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    test_sshd_known_hosts(&sshd, "ecdsa", false);
    assert_ok(visit(false, &err));
    test_sshd_known_hosts(&sshd, "ecdsa", true);
    assert_contains(read_known_hosts(), "|1|");
    assert_ok(visit(false, &err));
    test_sshd_known_hosts(&sshd, "rsa", false);
    if (visit(false, &err) != ERR_NONE) { /* libssh2 before 1.11 */
        assert_contains(err.message, "is unknown (ED25519 SHA256:");
        assert_contains(err.message, "has only its RSA key, which libssh2 cannot ask");
        assert_int_equal(visit(true, &err), ERR_REMOTE); /* a host with a known key is not new */
    }
    test_sshd_known_hosts(&sshd, "ed25519 ecdsa", true);
    assert_ok(visit(false, &err));
    sshd_shell("echo \"@revoked * $(cut -d' ' -f1,2 %s)\" >>%s", place("host_ed25519.pub"),
               sshd.known_hosts);
    assert_int_equal(visit(false, &err), ERR_REMOTE);
    assert_contains(err.message, "is marked as revoked in ");
    test_sshd_known_hosts(&sshd, "ed25519 ecdsa", false);
}

/* ---- Dead ends ---- */

static int listen_somewhere(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(listen(fd, 5), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void places_without_an_ssh_server_are_told_apart(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct node node = {.name = "n1", .address = "127.0.0.1"};
    struct remote_options connect = sshd.options.connect;
    int fd = listen_somewhere(&node.port);
    connect.connect_timeout_ns = 300 * NS_PER_MS;
    int64_t begin_ns = clock_monotonic_ns();
    assert_int_equal(log_in(&node, &connect, &err), ERR_TIMEOUT);
    assert_true(clock_monotonic_ns() - begin_ns < 20 * NS_PER_SECOND);
    assert_contains(err.message, "took the connection but finished no SSH handshake within 300 ms");
    close(fd);
    assert_int_equal(log_in(&node, &connect, &err), ERR_IO);
    assert_contains(err.message, "n1: 127.0.0.1:");
    assert_contains(err.message, "refused the connection: is sshd running there?");
    node.address = "no..such..host";
    assert_int_equal(log_in(&node, &connect, &err), ERR_REMOTE);
    assert_contains(err.message, "n1: cannot resolve 'no..such..host': ");
}

/* "localhost" is ::1 first where there is IPv6, and nobody listens there. */
static void all_addresses_of_a_name_are_tried(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct node node = sshd.nodes[0];
    node.address = "localhost";
    sshd_shell("sed 's/127.0.0.1/localhost/' %s >>%s", sshd.known_hosts, place("localhost"));
    struct remote_options connect = sshd.options.connect;
    connect.known_hosts = place("localhost");
    assert_ok(log_in(&node, &connect, &err));
}

struct impostor {
    int fd;
    const char *greeting;
};

static void *greet_and_hang_up(void *argument)
{
    struct impostor *impostor = argument;
    int fd = accept(impostor->fd, NULL, NULL);
    (void)!write(fd, impostor->greeting, strlen(impostor->greeting));
    shutdown(fd, SHUT_WR);
    char byte;
    while (read(fd, &byte, 1) > 0)
        ;
    close(fd);
    return NULL;
}

static void servers_that_hang_up_or_speak_something_else_are_told(void **state)
{
    (void)state;
    need_sshd();
    static const char *const greetings[] = {"", "HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-x\r\n",
                                            "SSH-2.0-x\r\n\1\2\3\4\5\6\7\10\11"};
    for (size_t i = 0; i < sizeof greetings / sizeof greetings[0]; i++) {
        struct err err = ERR_INIT;
        struct node node = {.name = "n1", .address = "127.0.0.1"};
        struct impostor impostor = {.greeting = greetings[i]};
        impostor.fd = listen_somewhere(&node.port);
        pthread_t thread;
        pthread_create(&thread, NULL, greet_and_hang_up, &impostor);
        enum err_code code = log_in(&node, &sshd.options.connect, &err);
        pthread_join(thread, NULL);
        close(impostor.fd);
        assert_true(code == ERR_IO || code == ERR_REMOTE);
        assert_contains(err.message, "n1: 127.0.0.1:");
        assert_contains(err.message, "the SSH handshake");
    }
}

/* In a network namespace with nothing in it there is no way to anywhere; and the fleet is in the
 * namespace of who opens it. */
static void *open_from_nowhere(void *argument)
{
    struct err *err = argument;
    if (unshare(CLONE_NEWNET) != 0) {
        err_set(err, ERR_UNSUPPORTED, "no namespace");
        return NULL;
    }
    if (log_in(&sshd.nodes[0], &sshd.options.connect, err) == ERR_NONE)
        err_set(err, ERR_CONFIG, "it got out");
    return NULL;
}

static void the_fleet_lives_in_the_namespace_of_its_opener(void **state)
{
    (void)state;
    need_sshd();
    if (geteuid() != 0)
        test_skip("network namespaces need root");
    struct err err = ERR_INIT;
    pthread_t thread;
    pthread_create(&thread, NULL, open_from_nowhere, &err);
    pthread_join(thread, NULL);
    if (err.code == ERR_UNSUPPORTED)
        test_skip("no network namespace can be made here");
    assert_contains(err.message, "n1: no route to 127.0.0.1:");
    err = ERR_INIT;
    assert_ok(log_in(&sshd.nodes[0], &sshd.options.connect, &err));
}

static void several_failures_are_summed_up(void **state)
{
    (void)state;
    need_sshd();
    struct err err = ERR_INIT;
    struct node nodes[4];
    for (uint32_t i = 0; i < 4; i++)
        nodes[i] = sshd.nodes[i];
    close(listen_somewhere(&nodes[1].port));
    nodes[2].port = nodes[3].port = nodes[1].port;
    struct fleet *fleet;
    assert_int_equal(fleet_open(nodes, 4, &sshd.options, &fleet, &err), ERR_IO);
    assert_contains(err.message, "n2: 127.0.0.1:");
    assert_contains(err.message, "(and 2 more nodes: n3, n4)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ed25519_and_ecdsa_keys_get_in),
        cmocka_unit_test(keys_that_do_not_get_in_are_listed_with_reasons),
        cmocka_unit_test(rsa_keys_are_explained_where_they_do_not_work),
        cmocka_unit_test(the_ssh_agent_is_asked_after_the_files),
        cmocka_unit_test(a_password_is_tried_last),
        cmocka_unit_test(an_unknown_host_is_refused_unless_new_ones_are_accepted),
        cmocka_unit_test(a_new_host_is_added_once),
        cmocka_unit_test(a_changed_host_key_is_refused_always),
        cmocka_unit_test(the_types_that_are_known_are_asked_for),
        cmocka_unit_test(places_without_an_ssh_server_are_told_apart),
        cmocka_unit_test(all_addresses_of_a_name_are_tried),
        cmocka_unit_test(servers_that_hang_up_or_speak_something_else_are_told),
        cmocka_unit_test(the_fleet_lives_in_the_namespace_of_its_opener),
        cmocka_unit_test(several_failures_are_summed_up),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
