/* Durations, counted in buckets of about 3 % each, so that quantiles of any number of operations
 * take one pass and little memory. The largest and smallest are exact. */
#ifndef ORDEAL_REPORTS_LATENCY_H
#define ORDEAL_REPORTS_LATENCY_H

#include <stdint.h>

struct latency {
    uint64_t count;
    int64_t min_ns, max_ns;
    uint32_t *buckets; /* made on first use */
};

void latency_add(struct latency *latency, int64_t ns); /* negative ones are left out */
void latency_free(struct latency *latency);
/* The duration that a share (0..1) of all do not exceed, within 1.6 %; 0 when there are none. */
int64_t latency_quantile(const struct latency *latency, double share);

#endif
