/* The same for several at the same time: questions to the nodes of a cluster, of which each may
 * take as long as its time-out. */
#ifndef ORDEAL_WORKLOADS_AT_ONCE_H
#define ORDEAL_WORKLOADS_AT_ONCE_H

#include <stddef.h>

/* Calls `each` on every one of `count` items of `size` bytes, in a thread of its own, or in the
 * caller's where none can be made; returns when all have. */
void at_once(void *items, size_t size, size_t count, void *(*each)(void *item));

#endif
