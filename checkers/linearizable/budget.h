/* What a search may still spend: time by the monotonic clock, memory by what it asked for.
 *
 * Memory is counted over all threads of a checker in one place; a deadline belongs to the copy that
 * a search was given, so that a stage can get a slice of what is left. */
#ifndef ORDEAL_LINEARIZABLE_BUDGET_H
#define ORDEAL_LINEARIZABLE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lin_memory {
    atomic_size_t used_bytes, peak_bytes;
    size_t limit_bytes; /* SIZE_MAX: none */
};

struct lin_budget {
    struct lin_memory *memory;
    int64_t deadline_ns; /* monotonic; INT64_MAX: none */
};

void lin_memory_init(struct lin_memory *memory, size_t limit_bytes); /* 0: no limit */

/* As realloc, from `old` to `size` bytes, both counted; NULL (and `pointer` still good) when the
 * limit or the machine refuses. */
void *lin_realloc(struct lin_budget *budget, void *pointer, size_t old, size_t size);
void lin_release(struct lin_budget *budget, void *pointer, size_t size);

/* The same purse for what others allocate, as a struct model_space does (`budget`: a struct
 * lin_budget): false when the limit refuses. */
bool lin_charge(void *budget, size_t size);
void lin_discharge(struct lin_budget *budget, size_t size);

bool lin_late(const struct lin_budget *budget);
int64_t lin_left_ns(const struct lin_budget *budget); /* >= 0; INT64_MAX without a deadline */
/* The same purse, with a deadline at most `ns` from now. */
struct lin_budget lin_slice(const struct lin_budget *budget, int64_t ns);
/* A part of the time that is left: left / divisor, and without a deadline `otherwise_ns`. */
struct lin_budget lin_share(const struct lin_budget *budget, int64_t divisor, int64_t otherwise_ns);

#endif
