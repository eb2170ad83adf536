/* A node from the inside: its process 1.
 *
 * It is a clone of the keeper in namespaces of its own; it makes the node's file system its root,
 * then keeps sshd running and reaps. The keeper speaks to it over a socket until it is up. */
#ifndef ORDEAL_CLUSTER_INIT_H
#define ORDEAL_CLUSTER_INIT_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/cluster/place.h"

struct init_spec {
    const struct place *place;
    int index, node_count;
    bool ipv6;
    bool fresh; /* its disk is empty: names and addresses are still to be written on it */
};

/* ---- What is said over the channel, a SOCK_SEQPACKET of lines of fields ---- */
/* keeper to node: "go", when eth0 is there; host_key= and authorized_keys= hold the files */
/* node to keeper: "sshd", it was started; "fail", a message and code=, also after "sshd" */
enum { INIT_MESSAGE_MAX = 8192 };

/* The life of process 1. Closes every other descriptor. */
void init_main(const struct init_spec *spec, int channel) __attribute__((noreturn));

/* Makes the directories of a node's disk. */
enum err_code init_make_disk(const struct place *place, int index, struct err *err) MUST_CHECK;

/* In process 1, and whatever else enters a node: what a node must not do to the host. */
void init_limit_self(void);

/* init_mount.c: makes the node's file system and becomes its root. */
enum err_code init_mount(const struct init_spec *spec, struct err *err) MUST_CHECK;

/* init_devices.c: fills `dev` in the working directory. */
enum err_code init_make_devices(struct err *err) MUST_CHECK;

#endif
