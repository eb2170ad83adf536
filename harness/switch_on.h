/* Switching on the machines that an earlier ordeal, which was killed, has left off: what is written
 * down in the store (switched_off.h) is done. */
#ifndef ORDEAL_SWITCH_ON_H
#define ORDEAL_SWITCH_ON_H

#include "harness/node.h"
#include "harness/remote/fleet.h"

enum switch_on_which {
    SWITCH_ON_ALL, /* healing: somebody asked for it */
    /* A run: only what a process of this machine has left that has ended. The others are told of.
     */
    SWITCH_ON_LEFT,
};

struct switch_on {
    const char *store;
    const struct node *nodes; /* index i at i */
    uint32_t node_count;
    const struct fleet_options *fleet_options; /* how they answer */
    enum switch_on_which which;
    /* What was done, a line each, without the node's name. */
    void (*say)(void *state, const struct node *node, const char *line);
    void *state;
};

/* Switches them on and waits until each answers over SSH, for at most five minutes; what answered
 * is forgotten. All are tried, and the first error is told. Before threads, as fleet_open. */
enum err_code switch_on(const struct switch_on *options, struct err *err);

#endif
