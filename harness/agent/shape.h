/* What a bad network does to a packet: late, lost, twice, out of order, damaged, slow.
 *
 * Pure: parameters and draws, so that tests need no kernel. Who does it to real packets: shaper.h.
 */
#ifndef ORDEAL_AGENT_SHAPE_H
#define ORDEAL_AGENT_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/line.h"
#include "harness/base/prng.h"

enum { AGENTD_PPM = 1000000 };

/* Of the delay around its mean. The jitter is half the width of the uniform one, and the standard
 * deviation of the others, as tc-netem(8) has it; Pareto's (shape 3) leans to one side: many
 * packets a little early, few very late. */
enum agentd_spread { AGENTD_SPREAD_UNIFORM, AGENTD_SPREAD_NORMAL, AGENTD_SPREAD_PARETO };

struct agentd_shape {
    int64_t delay_ns, jitter_ns;
    enum agentd_spread spread;
    uint32_t loss_ppm, duplicate_ppm, corrupt_ppm; /* shares of the packets, in millionths */
    uint32_t reorder_ppm;                          /* those that are held back ... */
    int64_t reorder_ns;                            /* ... so much longer, and so overtaken */
    int64_t rate_bps;                              /* bits a second from each address; 0: any */
};

/* From delay_us= jitter_us= distribution= loss_ppm= duplicate_ppm= reorder_ppm= reorder_us=
 * corrupt_ppm= rate_bps= of a request whose numbers were checked. ERR_CONFIG when it means nothing.
 */
enum err_code agentd_shape_parse(const struct line *line, struct agentd_shape *shape,
                                 struct err *err);

struct agentd_fate {
    bool lost, corrupted, duplicated, late;
    int64_t hold_ns, twin_hold_ns; /* >= 0; without the pace that a rate imposes */
};
struct agentd_fate agentd_shape_decide(const struct agentd_shape *shape, struct prng *prng);

/* A line of limited speed: packets leave one after the other. */
struct agentd_pace {
    int64_t free_ns; /* when the line has sent all that it was given */
};
/* When a packet of so many bytes has left, or -1: too much waits already, so it is dropped, as the
 * buffer of a real line is bounded, too. */
#define AGENTD_PACE_BACKLOG_NS (500 * INT64_C(1000000))
int64_t agentd_pace_leave_ns(struct agentd_pace *pace, int64_t rate_bps, size_t bytes,
                             int64_t now_ns);

/* Flips one bit behind the IP header of a packet; false when there is nothing. The header itself
 * was checked by the kernel before it showed us the packet: damage to it would go unnoticed. */
bool agentd_shape_corrupt(uint8_t *packet, size_t length, struct prng *prng);

#endif
