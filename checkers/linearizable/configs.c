/* Sets of configurations: see configs.h.
 *
 * Which one is better? With the same state and the same operations placed that change states, the
 * one that has placed more pure operations (it owes less: whatever completes the other completes
 * it, leaving those out) and has used no more of any class of optional operations (it can do all
 * that the other can). Under free supply counts do not limit anything; there the cost decides, only
 * so that the count which is carried along stays small. */
#include "checkers/linearizable/configs.h"

#include <string.h>

enum { CAPACITY_MIN = 16, HEADS_MIN = 64 };

size_t lin_config_stride(uint32_t words, uint32_t columns)
{
    size_t size = sizeof(struct lin_config) + (size_t)words * 8 + (size_t)columns * 2;
    return (size + 7) / 8 * 8;
}

uint16_t *lin_config_used(const struct lin_shape *shape, struct lin_config *config)
{
    return (uint16_t *)(void *)(config->words + shape->words);
}

void lin_configs_init(struct lin_configs *set, const struct lin_shape *shape,
                      struct lin_budget *budget)
{
    *set = (struct lin_configs){.shape = shape, .budget = budget};
}

void lin_configs_free(struct lin_configs *set)
{
    lin_release(set->budget, set->data, set->capacity * set->shape->stride);
    lin_release(set->budget, set->heads, set->head_count * sizeof *set->heads);
    set->data = NULL;
    set->heads = NULL;
    set->count = set->capacity = set->head_count = set->live = 0;
}

void lin_configs_clear(struct lin_configs *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        set->heads[lin_configs_at(set, set->shape->stride, i)->hash & (set->head_count - 1)] =
            LIN_NONE;
    set->count = set->live = 0;
}

static uint32_t hash_config(const struct lin_shape *shape, const struct lin_config *config)
{
    uint64_t h = config->state * UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t w = 0; w < shape->words; w++) {
        h = (h ^ (config->words[w] & ~shape->pure[w])) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 32;
    }
    return (uint32_t)(h ^ h >> 29);
}

static bool counts_at_most(const struct lin_shape *shape, const struct lin_config *a,
                           const struct lin_config *b)
{
    const uint16_t *x = (const uint16_t *)(const void *)(a->words + shape->words);
    const uint16_t *y = (const uint16_t *)(const void *)(b->words + shape->words);
    for (uint32_t i = 0; i < shape->columns; i++)
        if (x[i] > y[i])
            return false;
    return true;
}

static bool same_but_for_pure(const struct lin_shape *shape, const struct lin_config *a,
                              const struct lin_config *b)
{
    uint64_t difference = a->state ^ b->state;
    for (uint32_t w = 0; w < shape->words; w++)
        difference |= (a->words[w] ^ b->words[w]) & ~shape->pure[w];
    return difference == 0;
}

/* `a` and `b` are the same but for pure operations. */
static bool at_least_as_good(const struct lin_shape *shape, const struct lin_config *a,
                             const struct lin_config *b)
{
    uint64_t missing = 0;
    for (uint32_t w = 0; w < shape->words; w++)
        missing |= b->words[w] & ~a->words[w];
    if (missing != 0)
        return false;
    return shape->by_cost ? a->cost <= b->cost : counts_at_most(shape, a, b);
}

static bool grow_heads(struct lin_configs *set)
{
    uint32_t count = set->head_count == 0 ? HEADS_MIN : set->head_count * 4;
    uint32_t *heads = lin_realloc(set->budget, set->heads, set->head_count * sizeof *heads,
                                  count * sizeof *heads);
    if (heads == NULL)
        return false;
    set->heads = heads;
    set->head_count = count;
    memset(heads, 0xff, count * sizeof *heads);
    for (uint32_t i = 0; i < set->count; i++) {
        struct lin_config *config = lin_configs_at(set, set->shape->stride, i);
        config->next = heads[config->hash & (count - 1)];
        heads[config->hash & (count - 1)] = i;
    }
    return true;
}

static bool make_room(struct lin_configs *set)
{
    if (set->count >= set->head_count && !grow_heads(set))
        return false;
    if (set->count < set->capacity)
        return true;
    if (set->capacity >= UINT32_MAX / 4)
        return false;
    size_t stride = set->shape->stride;
    uint32_t capacity = set->capacity == 0 ? CAPACITY_MIN : set->capacity * 2;
    unsigned char *data =
        lin_realloc(set->budget, set->data, set->capacity * stride, capacity * stride);
    if (data == NULL)
        return false;
    set->data = data;
    set->capacity = capacity;
    return true;
}

enum lin_added lin_configs_add(struct lin_configs *set, const struct lin_config *config)
{
    if (!make_room(set))
        return LIN_NO_MEMORY;
    const struct lin_shape *shape = set->shape;
    uint32_t hash = hash_config(shape, config), *head = &set->heads[hash & (set->head_count - 1)];
    for (uint32_t i = *head; i != LIN_NONE;) {
        struct lin_config *other = lin_configs_at(set, shape->stride, i);
        i = other->next;
        if (other->dead || other->hash != hash || !same_but_for_pure(shape, other, config))
            continue;
        if (at_least_as_good(shape, other, config))
            return LIN_WORSE;
        if (at_least_as_good(shape, config, other)) {
            other->dead = true;
            set->live--;
        }
    }
    struct lin_config *copy = lin_configs_at(set, shape->stride, set->count);
    memcpy(copy, config, shape->stride);
    copy->hash = hash;
    copy->dead = false;
    copy->next = *head;
    *head = set->count++;
    set->live++;
    return LIN_ADDED;
}
