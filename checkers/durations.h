/* Durations as quantiles, for facts that checkers measure. */
#ifndef ORDEAL_CHECKERS_DURATIONS_H
#define ORDEAL_CHECKERS_DURATIONS_H

#include "harness/base/json.h"

/* Durations in classes of about 3 %: 8 KiB however many there are. */
enum { QUANTILE_BITS = 5, QUANTILE_CLASSES = (64 - QUANTILE_BITS + 1) << QUANTILE_BITS };
struct durations {
    uint64_t count;
    int64_t least_ns, most_ns;
    uint32_t classes[QUANTILE_CLASSES];
};
void durations_add(struct durations *durations, int64_t ns);
/* The upper end of the class that this share of them does not exceed; 0 when there are none. */
int64_t durations_quantile(const struct durations *durations, double share);
/* {"count", "min-ns", "p50-ns", "p90-ns", "p99-ns", "max-ns"}; null when there are none. */
struct json *durations_json(const struct durations *durations);

#endif
