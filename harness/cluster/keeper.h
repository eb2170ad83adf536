/* The keeper: one process per cluster, which holds its control network, is the parent of its nodes
 * and serves a control socket. When it dies, by whatever means, the kernel kills the nodes. */
#ifndef ORDEAL_CLUSTER_KEEPER_H
#define ORDEAL_CLUSTER_KEEPER_H

#include "harness/cluster/place.h"
#include "harness/cluster/process.h"

struct keeper_options {
    int node_count;
    bool ephemeral; /* goes when the calling process does */
};

/* Starts the keeper and waits until every node answers. The caller holds the place's lock and
 * clears the place when this fails. The keeper is no child of the caller's. */
enum err_code keeper_spawn(const struct place *place, const struct keeper_options *options,
                           struct err *err) MUST_CHECK;

/* Asks a running keeper to "stop" or "start" the node of this name, and waits for the outcome.
 * ERR_TIMEOUT or ERR_IO when the keeper does not answer; other codes are its reply. */
enum err_code keeper_request(const struct place *place, const char *verb, const char *node,
                             struct err *err) MUST_CHECK;

/* As "stop", and the node stays off only as long as *hold is open: when it closes, with this
 * process at the latest, the keeper starts the node by itself. */
enum err_code keeper_hold_off(const struct place *place, const char *node, int *hold,
                              struct err *err) MUST_CHECK;

/* Ends the keeper and with it the nodes, by SIGTERM or, failing that, SIGKILL; returns when they
 * are gone. The files stay. */
struct state;
enum err_code keeper_end(const struct place *place, const struct state *state,
                         struct err *err) MUST_CHECK;

/* Looks among all processes for a keeper of this place, which may have lost its state file. */
bool keeper_find(const struct place *place, struct process_id *process);

/* keeper_main.c: its life after the fork. */
struct keeper_start {
    const struct place *place;
    struct keeper_options options;
    int reply_fd;      /* a line, "ok" or "error", code and message, is written here once */
    int creator_pidfd; /* -1 unless ephemeral */
};
void keeper_main(const struct keeper_start *start) __attribute__((noreturn));

/* The control socket. Its path may be longer than a socket address can hold, so that it is reached
 * through a descriptor of its directory. -1 and errno on failure. */
enum keeper_side { KEEPER_SERVES, KEEPER_IS_ASKED };
int keeper_socket(const struct place *place, enum keeper_side side);

#endif
