/* Durations as quantiles: see durations.h. */
#include "checkers/durations.h"

static unsigned class_of(uint64_t ns)
{
    if (ns < 1u << QUANTILE_BITS)
        return (unsigned)ns;
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - QUANTILE_BITS;
    return ((shift + 1) << QUANTILE_BITS) + (unsigned)((ns >> shift) & ((1u << QUANTILE_BITS) - 1));
}

static int64_t class_end(unsigned class)
{
    if (class < 1u << QUANTILE_BITS)
        return class;
    unsigned shift = (class >> QUANTILE_BITS) - 1;
    uint64_t low = (UINT64_C(1) << QUANTILE_BITS | (class & ((1u << QUANTILE_BITS) - 1))) << shift;
    return (int64_t)(low + (UINT64_C(1) << shift) - 1);
}

void durations_add(struct durations *durations, int64_t ns)
{
    ns = ns < 0 ? 0 : ns;
    if (durations->count++ == 0)
        durations->least_ns = ns;
    durations->least_ns = ns < durations->least_ns ? ns : durations->least_ns;
    durations->most_ns = ns > durations->most_ns ? ns : durations->most_ns;
    durations->classes[class_of((uint64_t)ns)]++;
}

int64_t durations_quantile(const struct durations *durations, double share)
{
    uint64_t below = 0, wanted = (uint64_t)(share * (double)durations->count);
    for (unsigned class = 0; class < QUANTILE_CLASSES && durations->count > 0; class ++) {
        below += durations->classes[class];
        if (below > wanted || below == durations->count) {
            int64_t end = class_end(class);
            return end < durations->most_ns ? end : durations->most_ns;
        }
    }
    return 0;
}

struct json *durations_json(const struct durations *durations)
{
    if (durations->count == 0)
        return json_null();
    struct json *object = json_object();
    json_set_int(object, "count", (int64_t)durations->count);
    json_set_int(object, "min-ns", durations->least_ns);
    json_set_int(object, "p50-ns", durations_quantile(durations, 0.5));
    json_set_int(object, "p90-ns", durations_quantile(durations, 0.9));
    json_set_int(object, "p99-ns", durations_quantile(durations, 0.99));
    json_set_int(object, "max-ns", durations->most_ns);
    return object;
}
