/* Sets of configurations, in which better ones push out worse ones.
 *
 * A configuration is what matters of the past at one moment: the state, which pending operations
 * are placed (a bit per slot), and how many of each class of optional operations are used. */
#ifndef ORDEAL_LINEARIZABLE_CONFIGS_H
#define ORDEAL_LINEARIZABLE_CONFIGS_H

#include "checkers/linearizable/budget.h"

struct lin_config {
    uint32_t state;
    uint32_t trace; /* the step that led here: trace.h */
    uint32_t cost;  /* optional operations used, and LIN_OVERDRAWN for each that was not there */
    uint32_t next, hash;
    uint32_t dead;    /* pushed out by a better one */
    uint64_t words[]; /* the slots' bits, then a uint16_t per column of the supply */
};
enum { LIN_OVERDRAWN = 1 << 20 };

/* What configurations look like, and what makes one better; shared by the sets of a search. */
struct lin_shape {
    uint32_t words, columns;
    size_t stride;
    const uint64_t *pure; /* the slots of pure operations */
    bool by_cost;         /* compare costs, not counts: under free supply */
};

struct lin_configs {
    const struct lin_shape *shape;
    struct lin_budget *budget;
    unsigned char *data;
    uint32_t count, capacity, live;
    uint32_t *heads;
    uint32_t head_count;
};

#define LIN_NONE UINT32_MAX

size_t lin_config_stride(uint32_t words, uint32_t columns);
uint16_t *lin_config_used(const struct lin_shape *shape, struct lin_config *config);

void lin_configs_init(struct lin_configs *set, const struct lin_shape *shape,
                      struct lin_budget *budget);
void lin_configs_free(struct lin_configs *set);
void lin_configs_clear(struct lin_configs *set);

enum lin_added { LIN_ADDED, LIN_WORSE, LIN_NO_MEMORY };
/* Adds a copy, unless one in the set is at least as good; marks those dead that are worse. The copy
 * is the last of the set. */
enum lin_added lin_configs_add(struct lin_configs *set, const struct lin_config *config);

static inline struct lin_config *lin_configs_at(const struct lin_configs *set, size_t stride,
                                                uint32_t index)
{
    return (struct lin_config *)(void *)(set->data + index * stride);
}

#endif
