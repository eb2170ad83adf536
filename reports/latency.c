/* Durations in buckets: see latency.h. Each octave has the same number of buckets, so that the
 * relative error is the same everywhere. */
#include "reports/latency.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEP_BITS = 5, STEPS = 1 << STEP_BITS, BUCKETS = (64 - STEP_BITS) * STEPS };

static unsigned bucket_of(uint64_t ns)
{
    if (ns < STEPS)
        return (unsigned)ns;
    unsigned octave = 63 - (unsigned)__builtin_clzll(ns);
    return (octave - STEP_BITS + 1) * STEPS + (unsigned)(ns >> (octave - STEP_BITS) & (STEPS - 1));
}

/* The middle of a bucket. */
static int64_t middle_of(unsigned bucket)
{
    if (bucket < STEPS)
        return bucket;
    unsigned shift = bucket / STEPS - 1;
    uint64_t low = (uint64_t)(STEPS + bucket % STEPS) << shift;
    return (int64_t)(low + ((UINT64_C(1) << shift) - 1) / 2);
}

void latency_add(struct latency *latency, int64_t ns)
{
    if (ns < 0)
        return;
    if (latency->buckets == NULL) {
        latency->buckets = calloc(BUCKETS, sizeof *latency->buckets);
        latency->min_ns = ns;
    }
    if (latency->buckets == NULL) {
        fputs("ordeal: out of memory\n", stderr);
        abort();
    }
    latency->buckets[bucket_of((uint64_t)ns)]++;
    latency->count++;
    latency->min_ns = ns < latency->min_ns ? ns : latency->min_ns;
    latency->max_ns = ns > latency->max_ns ? ns : latency->max_ns;
}

void latency_free(struct latency *latency)
{
    free(latency->buckets);
    *latency = (struct latency){0};
}

int64_t latency_quantile(const struct latency *latency, double share)
{
    if (latency->count == 0)
        return 0;
    uint64_t rank = (uint64_t)(share * (double)(latency->count - 1) + 0.5), seen = 0;
    if (rank == 0)
        return latency->min_ns;
    if (rank >= latency->count - 1)
        return latency->max_ns;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += latency->buckets[i];
        if (seen <= rank)
            continue;
        int64_t ns = middle_of(i);
        return ns < latency->min_ns ? latency->min_ns : ns > latency->max_ns ? latency->max_ns : ns;
    }
    return latency->max_ns;
}
