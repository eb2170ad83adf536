/* What a search may still spend: see budget.h. */
#include "checkers/linearizable/budget.h"

#include <stdlib.h>

#include "harness/base/clock.h"

void lin_memory_init(struct lin_memory *memory, size_t limit_bytes)
{
    atomic_init(&memory->used_bytes, 0);
    atomic_init(&memory->peak_bytes, 0);
    memory->limit_bytes = limit_bytes == 0 ? SIZE_MAX : limit_bytes;
}

static void give_back(struct lin_memory *memory, size_t size)
{
    atomic_fetch_sub_explicit(&memory->used_bytes, size, memory_order_relaxed);
}

static void raise_peak(struct lin_memory *memory, size_t used)
{
    size_t peak = atomic_load_explicit(&memory->peak_bytes, memory_order_relaxed);
    while (peak < used &&
           !atomic_compare_exchange_weak_explicit(&memory->peak_bytes, &peak, used,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void *lin_realloc(struct lin_budget *budget, void *pointer, size_t old, size_t size)
{
    struct lin_memory *memory = budget->memory;
    size_t before = atomic_fetch_add_explicit(&memory->used_bytes, size, memory_order_relaxed);
    /* While it grows a block may exist twice; that is counted too, so that the limit holds. */
    void *grown = NULL;
    if (before < memory->limit_bytes && size <= memory->limit_bytes - before)
        grown = realloc(pointer, size);
    if (grown == NULL) {
        give_back(memory, size);
        return NULL;
    }
    raise_peak(memory, before + size);
    give_back(memory, old);
    return grown;
}

void lin_release(struct lin_budget *budget, void *pointer, size_t size)
{
    if (pointer == NULL)
        return;
    free(pointer);
    give_back(budget->memory, size);
}

bool lin_charge(void *budget, size_t size)
{
    struct lin_memory *memory = ((struct lin_budget *)budget)->memory;
    size_t before = atomic_fetch_add_explicit(&memory->used_bytes, size, memory_order_relaxed);
    if (before >= memory->limit_bytes || size > memory->limit_bytes - before) {
        give_back(memory, size);
        return false;
    }
    raise_peak(memory, before + size);
    return true;
}

void lin_discharge(struct lin_budget *budget, size_t size)
{
    give_back(budget->memory, size);
}

bool lin_late(const struct lin_budget *budget)
{
    return budget->deadline_ns != INT64_MAX && clock_monotonic_ns() >= budget->deadline_ns;
}

int64_t lin_left_ns(const struct lin_budget *budget)
{
    if (budget->deadline_ns == INT64_MAX)
        return INT64_MAX;
    int64_t now_ns = clock_monotonic_ns();
    return budget->deadline_ns > now_ns ? budget->deadline_ns - now_ns : 0;
}

struct lin_budget lin_slice(const struct lin_budget *budget, int64_t ns)
{
    struct lin_budget slice = *budget;
    int64_t now_ns = clock_monotonic_ns();
    if (ns < INT64_MAX - now_ns && now_ns + ns < slice.deadline_ns)
        slice.deadline_ns = now_ns + ns;
    return slice;
}

struct lin_budget lin_share(const struct lin_budget *budget, int64_t divisor, int64_t otherwise_ns)
{
    int64_t left_ns = lin_left_ns(budget);
    return lin_slice(budget, left_ns == INT64_MAX ? otherwise_ns : left_ns / divisor);
}
