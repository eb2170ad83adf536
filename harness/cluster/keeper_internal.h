/* What the keeper's files share: its state, and its nodes. Only the keeper's process uses it. */
#ifndef ORDEAL_CLUSTER_KEEPER_INTERNAL_H
#define ORDEAL_CLUSTER_KEEPER_INTERNAL_H

#include <signal.h>

#include "harness/base/buf.h"
#include "harness/cluster/keeper.h"
#include "harness/cluster/state.h"

struct keeper_node {
    int pidfd;        /* -1: stopped */
    int channel;      /* -1 once it is up */
    int probe;        /* a connection to its sshd under way, or -1 */
    int holder;       /* of a node that is held off: its end starts the node; or -1 */
    int64_t probe_ns; /* when that was begun */
    bool fresh;       /* never started on its disk */
    bool sshd_started;
    ino_t pid_namespace;
};

struct keeper {
    const struct place *place;
    struct state state;
    struct keeper_node nodes[CLUSTER_NODES_MAX];
    struct buf host_key, authorized_keys;
    int control_fd, signal_fd, creator_pidfd;
};

/* A line in keeper.log. */
void keeper_log(const char *format, ...) FORMAT(1, 2);

/* ---- keeper_build.c ---- */
/* Everything up to the point where every node answers. What it made stays when it fails. */
enum err_code keeper_build(struct keeper *keeper, struct err *err) MUST_CHECK;

/* ---- keeper_nodes.c ---- */
/* Starts process 1 of a node in its namespaces. It waits for keeper_send_go, which says that its
 * network is there; keeper_await_nodes then waits until all that were told so answer, or the first
 * of them fails. */
enum err_code keeper_clone_node(struct keeper *keeper, int index, struct err *err) MUST_CHECK;
enum err_code keeper_send_go(struct keeper *keeper, int index, struct err *err) MUST_CHECK;
enum err_code keeper_await_nodes(struct keeper *keeper, struct err *err) MUST_CHECK;
/* When something else failed, `code`, because a node had: what that node says of it. */
enum err_code keeper_first_failure(struct keeper *keeper, enum err_code code,
                                   struct err *err) MUST_CHECK;

/* Ending one: kill, wait for the end of its process 1, which comes after that of all others in it,
 * and bury. keeper_bury_node tells how it ended. */
void keeper_kill_node(struct keeper *keeper, int index);
enum err_code keeper_await_end(struct keeper *keeper, int index, struct err *err) MUST_CHECK;
siginfo_t keeper_bury_node(struct keeper *keeper, int index);
/* All of them. Goes on after a failure and returns the last. */
enum err_code keeper_end_nodes(struct keeper *keeper, struct err *err) MUST_CHECK;

#endif
