/* The nodes of a plan, and how to get at them: a local cluster, raised or already up, or machines
 * over SSH. What a run, a fault by hand and healing share. */
#ifndef ORDEAL_REACH_H
#define ORDEAL_REACH_H

#include "harness/log.h"
#include "harness/plan.h"
#include "harness/remote/fleet.h"

struct cluster;

enum reach_mode {
    REACH_RAISE,  /* raises the local cluster if it is not up (and takes it down at the end) */
    REACH_ATTACH, /* the local cluster must be up; its size replaces plan->node_count */
    REACH_HEAL,   /* the same, even while another process uses it */
};

struct reach {
    struct arena arena;
    struct node nodes[PLAN_NODES_MAX];
    uint32_t node_count;
    struct cluster *cluster; /* NULL for machines over SSH */
    struct fleet_options fleet_options;
    const char *owner; /* for others that want the nodes: "ordeal run on ci-7, pid 123" */
};

/* `who` is the command ("ordeal run"). For a local cluster the calling thread, and so every thread
 * made after, moves into the cluster's control network and stays there; call it before making
 * threads. */
enum err_code reach_open(const struct plan *plan, enum reach_mode mode, const char *who,
                         struct log *log, struct reach *reach, struct err *err);
/* Gives the local cluster back: takes it down if this process raised it. Names and addresses stay.
 */
void reach_give_back(struct reach *reach);
void reach_close(struct reach *reach);
/* A local cluster that this process raised is not taken down, by nobody but `ordeal local down`. */
enum err_code reach_keep(struct reach *reach, struct err *err);

#endif
