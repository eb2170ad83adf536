/* What a bad network does to a packet: see shape.h. */
#include "harness/agent/shape.h"

#include <math.h>
#include <string.h>

#include "harness/base/clock.h"

enum err_code agentd_shape_parse(const struct line *line, struct agentd_shape *shape,
                                 struct err *err)
{
    static const char *const spreads[] = {"uniform", "normal", "pareto"};
    const char *spread = line_get(line, "distribution");
    struct agentd_shape parsed = {
        .delay_ns = line_get_int(line, "delay_us", 0) * NS_PER_US,
        .jitter_ns = line_get_int(line, "jitter_us", 0) * NS_PER_US,
        .loss_ppm = (uint32_t)line_get_int(line, "loss_ppm", 0),
        .duplicate_ppm = (uint32_t)line_get_int(line, "duplicate_ppm", 0),
        .corrupt_ppm = (uint32_t)line_get_int(line, "corrupt_ppm", 0),
        .reorder_ppm = (uint32_t)line_get_int(line, "reorder_ppm", 0),
        .reorder_ns = line_get_int(line, "reorder_us", 0) * NS_PER_US,
        .rate_bps = line_get_int(line, "rate_bps", 0),
    };
    while (spread != NULL && strcmp(spreads[parsed.spread], spread) != 0)
        if (++parsed.spread > AGENTD_SPREAD_PARETO)
            return err_set(err, ERR_CONFIG,
                           "distribution: '%.32s' is not uniform, normal or pareto", spread);
    if (parsed.jitter_ns > parsed.delay_ns)
        return err_set(err, ERR_CONFIG, "jitter_us: it is more than delay_us");
    if ((parsed.reorder_ppm != 0) != (parsed.reorder_ns != 0))
        return err_set(err, ERR_CONFIG, "reorder_ppm: it goes with reorder_us, and that with it");
    if (parsed.delay_ns == 0 && parsed.rate_bps == 0 && parsed.loss_ppm == 0 &&
        parsed.duplicate_ppm == 0 && parsed.reorder_ppm == 0 && parsed.corrupt_ppm == 0)
        return err_set(err, ERR_CONFIG,
                       "delay_us: nothing is asked for; give it, or loss_ppm, duplicate_ppm, "
                       "reorder_ppm, corrupt_ppm or rate_bps");
    *shape = parsed;
    return ERR_NONE;
}

static bool happens(uint32_t ppm, struct prng *prng)
{
    return ppm != 0 && prng_below(prng, AGENTD_PPM) < ppm;
}

/* Mean 0; uniform in -1..1, the others with standard deviation 1. */
static double deviation(enum agentd_spread spread, struct prng *prng)
{
    static const double pareto_mean = 1.5, pareto_deviation = 0.86602540378443865; /* shape 3 */
    double unit = 1 - prng_unit(prng);                                             /* (0, 1] */
    switch (spread) {
    case AGENTD_SPREAD_NORMAL: /* Box and Muller, 1958 */
        return sqrt(-2 * log(unit)) * cos(2 * M_PI * prng_unit(prng));
    case AGENTD_SPREAD_PARETO:
        return (1 / cbrt(unit) - pareto_mean) / pareto_deviation;
    default:
        return 2 * unit - 1;
    }
}

static int64_t draw_hold_ns(const struct agentd_shape *shape, struct prng *prng)
{
    if (shape->jitter_ns == 0)
        return shape->delay_ns;
    double hold =
        (double)shape->delay_ns + (double)shape->jitter_ns * deviation(shape->spread, prng);
    return hold < 0 ? 0 : (int64_t)hold;
}

struct agentd_fate agentd_shape_decide(const struct agentd_shape *shape, struct prng *prng)
{
    struct agentd_fate fate = {.lost = happens(shape->loss_ppm, prng)};
    if (fate.lost)
        return fate;
    fate.corrupted = happens(shape->corrupt_ppm, prng);
    fate.duplicated = happens(shape->duplicate_ppm, prng);
    fate.late = happens(shape->reorder_ppm, prng);
    fate.hold_ns = draw_hold_ns(shape, prng) + (fate.late ? shape->reorder_ns : 0);
    fate.twin_hold_ns = fate.duplicated ? draw_hold_ns(shape, prng) : 0;
    return fate;
}

int64_t agentd_pace_leave_ns(struct agentd_pace *pace, int64_t rate_bps, size_t bytes,
                             int64_t now_ns)
{
    int64_t begin_ns = pace->free_ns > now_ns ? pace->free_ns : now_ns;
    if (rate_bps == 0)
        return now_ns;
    if (begin_ns - now_ns > AGENTD_PACE_BACKLOG_NS)
        return -1;
    pace->free_ns = begin_ns + (int64_t)((double)bytes * 8e9 / (double)rate_bps);
    return pace->free_ns;
}

bool agentd_shape_corrupt(uint8_t *packet, size_t length, struct prng *prng)
{
    enum { IPV6_HEADER = 40 };
    size_t header = length == 0           ? 0
                    : packet[0] >> 4 == 4 ? (size_t)(packet[0] & 15) * 4
                                          : IPV6_HEADER;
    if (header >= length)
        return false;
    uint64_t bit = prng_below(prng, (length - header) * 8);
    packet[header + bit / 8] ^= (uint8_t)(1u << bit % 8);
    return true;
}
