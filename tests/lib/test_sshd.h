/* A private sshd on 127.0.0.1 for tests: own port, host keys, configuration and authorized keys,
 * all in a temporary directory. It logs in whoever runs the test, so it needs no root. */
#ifndef ORDEAL_TESTS_TEST_SSHD_H
#define ORDEAL_TESTS_TEST_SSHD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "harness/remote/fleet.h"

enum { TEST_SSHD_NODES = 20 };

struct test_sshd {
    char
        dir[256]; /* also: id_ed25519, id_ecdsa, id_rsa (authorized), id_wrong (not), known_hosts */
    uint16_t port;
    pid_t pid;
    /* This sshd under many names, "n1" ..., and options that get in with id_ed25519. */
    struct node nodes[TEST_SSHD_NODES];
    char names[TEST_SSHD_NODES][8];
    char key[300], known_hosts[300];
    const char *keys[2];
    struct fleet_options options;
};

/* False when there is no sshd or ssh-keygen on this machine; then the reason is in `skip`. */
bool test_sshd_available(const char **skip);
/* Makes the keys once and starts the server; `extra` is appended to its configuration, or NULL.
 * Fails the test when it does not come up. */
void test_sshd_start(struct test_sshd *sshd, const char *extra);
/* Stops the server, and starts it again on the same port with the same or other configuration. */
void test_sshd_stop(struct test_sshd *sshd);
void test_sshd_restart(struct test_sshd *sshd, const char *extra);
/* Makes new host keys for the next start: the host looks changed. */
void test_sshd_new_host_keys(struct test_sshd *sshd);
/* Writes known_hosts with the keys of these types ("ed25519 ecdsa"), hashed or not. */
void test_sshd_known_hosts(struct test_sshd *sshd, const char *types, bool hashed);
/* Ends the processes of the sessions, as a crash would; the listener lives on. Returns how many. */
int test_sshd_kill_sessions(struct test_sshd *sshd);
/* Gives this process mounts of its own when it is root; false when it is not. An sshd started after
 * it has them too, and in them an empty home for root and a user "ordealtest" with the password
 * "secret". */
bool test_own_mounts(void);
/* Opens a fleet to the first `count` nodes; fails the test when it does not open. */
struct fleet *test_sshd_fleet(struct test_sshd *sshd, size_t count);
/* Stops it and removes the directory. */
void test_sshd_free(struct test_sshd *sshd);
/* Runs a local shell command that must succeed. */
void sshd_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
