/* Shaping packets by the kernel's own queueing disciplines, on their way out: tc-netem(8), or
 * tc-tbf(8) where nothing but a rate is asked for.
 *
 * On each device that leads to a target an htb becomes the root; filters put packets to the targets
 * into its classes, whose leaves do what is asked. All other packets, and the control connections',
 * pass beside the classes. With a rate each address has a class, so a line, of its own. A device
 * whose root somebody has chosen is left alone: what replaces it could not be undone.
 *
 * A fault of kind "netem": its devices are in the journal before they are touched, and undone the
 * kernel gives each the root again that it gives to all. */
#ifndef ORDEAL_AGENT_NETEM_H
#define ORDEAL_AGENT_NETEM_H

#include "harness/agent/firewall.h"
#include "harness/agent/journal.h"
#include "harness/agent/route.h"
#include "harness/agent/shape.h"

#define AGENTD_KIND_NETEM "netem"

struct agentd_faults;

/* Targets by the device that leads to them. */
enum { AGENTD_DEVICES_MAX = 16 };
struct agentd_routes {
    uint32_t count;
    char devices[AGENTD_DEVICES_MAX][AGENTD_DEVICE_SIZE];
    uint8_t of[AGENTD_TARGETS_MAX]; /* of the block's targets */
};

/* Whether it can be had here: there is tc, the kernel has what the shape needs (tried in a network
 * of its own, so that nothing of the node is touched), and the devices are free. ERR_UNSUPPORTED
 * says why not. */
enum err_code agentd_netem_can(const struct agentd_block *block, const struct agentd_shape *shape,
                               struct err *err);
/* Journals, and shapes what goes to the block's targets. */
enum err_code agentd_netem_begin(struct agentd_faults *faults, const struct agentd_block *block,
                                 const struct agentd_shape *shape, struct err *err);
/* None of it is left on return; that none was there, or that a device is gone, is no error. */
enum err_code agentd_netem_undo(const struct agentd_entry *entry, struct err *err);

/* "netem", or "tbf": the leaf that such a shape gets. */
const char *agentd_netem_leaf(const struct agentd_shape *shape);
/* The commands for one device, for `tc -batch`. */
void agentd_netem_commands(const struct agentd_block *block, const struct agentd_routes *routes,
                           uint32_t device, const struct agentd_shape *shape,
                           const struct agentd_connection *control, uint32_t control_count,
                           struct buf *commands);

#endif
