/* A shaper does to real packets what a shape says: a thread that reads a queue of netfilter's,
 * holds what it is given, and lets it go when its time has come.
 *
 * It is fail-safe: the rule that fills the queue says that packets pass when nobody reads it, and
 * the kernel takes both rule and queue away when the agent dies. Packets come here on their arrival
 * at this node: held when they leave, they would count as sent but not gone, and TCP would send no
 * more. */
#ifndef ORDEAL_AGENT_SHAPER_H
#define ORDEAL_AGENT_SHAPER_H

#include "harness/agent/shape.h"

struct agentd_shaper;

/* Packets with this mark are a shaper's own, and pass it. */
enum { AGENTD_SHAPER_MARK = 0x0dea1 };

struct agentd_shaped {
    uint64_t packets, lost, duplicated, corrupted, reordered;
    uint64_t overflowed; /* dropped, for too much waited already */
    uint64_t bytes;      /* let go; counted where there is a rate */
};

/* Binds a queue, whose number is returned in *queue, and starts the thread. `seed` is for its
 * draws. ERR_UNSUPPORTED when the kernel has no such queues. */
enum err_code agentd_shaper_open(const struct agentd_shape *shape, uint64_t seed, uint16_t *queue,
                                 struct agentd_shaper **shaper, struct err *err);
void agentd_shaper_count(struct agentd_shaper *shaper, struct agentd_shaped *counts);
/* Lets everything go that is held, and ends. The rule that fills its queue must be gone. NULL is
 * allowed. */
void agentd_shaper_close(struct agentd_shaper *shaper);

/* Whether queues work here: binds one and lets go of it. */
enum err_code agentd_shaper_try(struct err *err);

#endif
