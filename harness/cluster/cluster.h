/* The local cluster: N nodes on this machine, out of Linux namespaces.
 *
 * Each node has its own network, processes, mounts (an overlay over `/`), host name and a real
 * sshd, and sees its peers as n1 .. nN. The bridge that joins them lies in a network namespace of
 * the cluster's own (the control network), so the host's network is never touched and clusters with
 * the same addresses live side by side. A keeper process per cluster holds all that together; it
 * outlives its creator unless the cluster is ephemeral.
 *
 * Nodes keep machines apart, not enemies: root on a node can read the host's disk and reach its
 * devices. It cannot set the host's clock (CAP_SYS_TIME is gone) nor pull its sysrq trigger.
 *
 * Everything here needs root. A struct cluster belongs to one thread at a time. */
#ifndef ORDEAL_CLUSTER_CLUSTER_H
#define ORDEAL_CLUSTER_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "harness/base/err.h"

enum { CLUSTER_NAME_MAX = 32, CLUSTER_NODES_MAX = 64, CLUSTER_NODES_DEFAULT = 5 };

struct cluster;

struct cluster_options {
    const char *name; /* [a-z0-9-]{1,32}; NULL: "default" */
    int nodes;        /* 1..64; 0: as many as it has when it is up already, else 5 */
    bool ephemeral;   /* taken down when this process ends, even by kill -9, or closes it */
};

/* ---- Up and down ---- */

/* Returns when sshd answers on every node. Attaches when a cluster of this name and size is up
 * already (cluster_was_up tells); another size is ERR_CONFIG. What a crash left under this name is
 * cleaned away first, and what a failing call made is undone. Forks: call it before making threads.
 * ERR_CONFIG: bad name or number; ERR_UNSUPPORTED: this machine or user cannot (the message says
 * what is missing and what to do). The caller closes *out. */
enum err_code cluster_up(const struct cluster_options *options, struct cluster **out,
                         struct err *err) MUST_CHECK;

/* ERR_CONFIG when no such cluster is up. The caller closes *out. */
enum err_code cluster_attach(const char *name, struct cluster **out, struct err *err) MUST_CHECK;

enum cluster_down_mode {
    CLUSTER_DOWN_IF_FREE, /* refuse while another process has claimed it */
    CLUSTER_DOWN_FORCE,
};
/* Leaves nothing: no process, mount, namespace or file. Also clears what a dead keeper left. No
 * error when there is nothing of this name. */
enum err_code cluster_down(const char *name, enum cluster_down_mode mode,
                           struct err *err) MUST_CHECK;

/* Whether there is anything of this name: up, or left by a crash. */
bool cluster_exists(const char *name);

/* An ephemeral cluster is none any more: it stays until somebody takes it down. */
enum err_code cluster_keep(struct cluster *cluster, struct err *err) MUST_CHECK;

/* Releases the claim; takes the cluster down when this process made it ephemeral. NULL is fine. */
void cluster_close(struct cluster *cluster);

/* ---- What it looks like ---- */

bool cluster_was_up(const struct cluster *cluster);
const char *cluster_name(const struct cluster *cluster);
int cluster_node_count(const struct cluster *cluster);
/* Index 0 is n1. Strings live as long as the cluster's handle. */
const char *cluster_node_name(const struct cluster *cluster, int index);
const char *cluster_node_address(const struct cluster *cluster, int index);
/* NULL when the host has no IPv6. */
const char *cluster_node_address6(const struct cluster *cluster, int index);
/* Index by name ("n3" is 2), -1 when there is no such node. */
int cluster_node_index(const struct cluster *cluster, const char *node);
/* The ed25519 key that opens root's account on every node, and the nodes' host keys by name and
 * address. The public half is beside the key, with ".pub". */
const char *cluster_key_path(const struct cluster *cluster);
const char *cluster_known_hosts_path(const struct cluster *cluster);
/* The host's pid of the node's process 1, read anew; 0 when the node is stopped. */
pid_t cluster_node_pid(const struct cluster *cluster, int index);
pid_t cluster_keeper_pid(const struct cluster *cluster);

/* ---- Use ---- */

/* Moves the calling thread into the control network, from which the nodes can be reached; threads
 * it makes afterwards follow, and a socket keeps the network it was made in. *previous is the way
 * back: give it to cluster_leave, or close it to stay. */
enum err_code cluster_join(const struct cluster *cluster, int *previous,
                           struct err *err) MUST_CHECK;
enum err_code cluster_leave(int previous, struct err *err) MUST_CHECK;

/* Makes this process the cluster's only user until close or death; children that do not exec hold
 * the claim too. `who` is for people ("ordeal run"). ERR_CONFIG names the holder. */
enum err_code cluster_claim(struct cluster *cluster, const char *who, struct err *err) MUST_CHECK;

/* Stop kills the node's process 1, and with it all of the node, as a power cut would; its disk
 * stays. Start boots it from that disk, with the same addresses, and returns when sshd answers. A
 * node that is in the wanted state already is no error. */
enum err_code cluster_stop_node(const struct cluster *cluster, int index,
                                struct err *err) MUST_CHECK;
enum err_code cluster_start_node(const struct cluster *cluster, int index,
                                 struct err *err) MUST_CHECK;

/* As stop, but the node stays off only as long as *hold is open: when it is closed, which it is
 * when this process dies, the node is started without anybody asking. */
enum err_code cluster_hold_off(const struct cluster *cluster, int index, int *hold,
                               struct err *err) MUST_CHECK;

/* Runs a command in the node's namespaces, as root with a clean environment, on this process's
 * standard input and output, and waits. *status is its exit status, 128 + the signal that killed
 * it, or 127 when it cannot be run. SIGTERM and SIGHUP are passed on to the command. */
enum err_code cluster_run_on_node(const struct cluster *cluster, int index, char *const command[],
                                  int *status, struct err *err) MUST_CHECK;
/* Becomes the command, in the control network with n1 .. nN resolvable. Returns only errors. */
enum err_code cluster_exec_on_control(const struct cluster *cluster, char *const command[],
                                      struct err *err) MUST_CHECK;
/* Becomes the ssh client, connected to the node. `command` may be empty. Returns only errors. */
enum err_code cluster_exec_ssh(const struct cluster *cluster, int index, char *const command[],
                               struct err *err) MUST_CHECK;

/* ---- All of them ---- */

struct cluster_info {
    char name[CLUSTER_NAME_MAX + 1];
    bool alive; /* false: its keeper died, or never came up; the fields below may be 0 then */
    bool ephemeral, ipv6;
    int node_count;
    int64_t since_wall_ns;
    pid_t keeper_pid;
    pid_t node_pids[CLUSTER_NODES_MAX]; /* 0: stopped */
    char in_use_by[128];                /* "pid 123 (ordeal run, since 10:31:02)", or "" */
};
/* Sorted by name. The caller frees *infos. */
enum err_code cluster_list(struct cluster_info **infos, size_t *count, struct err *err) MUST_CHECK;

/* The addresses, which are the same in every cluster. `text` holds 48 bytes. */
void cluster_format_address(int index, char *text, size_t size);
void cluster_format_address6(int index, char *text, size_t size);

#endif
