/* Whether what was measured of paths is what was asked of them, within tolerances. */
#ifndef ORDEAL_NEMESES_PACKETS_JUDGE_H
#define ORDEAL_NEMESES_PACKETS_JUDGE_H

#include "harness/packets.h"

/* Shares may be 4.5 standard deviations of their binomial off (once in 150 000 times by chance),
 * and so many percent more; round trips these nanoseconds and that share of the delay, and a part
 * of the jitter. */
#define PACKETS_SHARE_SLACK 0.02
#define PACKETS_TRIP_SLACK_NS (5 * INT64_C(1000000))
#define PACKETS_TRIP_SLACK 0.1
#define PACKETS_RATE_SLACK 0.15

/* `shaped` as paths of network_shape: all others, and all where `shape` is NULL, must be as before.
 * `now` and `before` are of the same paths in the same order; without `before` (NULL) round trips
 * are not looked at. ERR_NONE with evidence, one line of what was asked and measured; else
 * ERR_REMOTE names the first path that is not so. */
enum err_code packets_judge(const struct test *test, const struct network_shape *shape,
                            const node_set *shaped, const struct network_path *before,
                            const struct network_path *now, size_t count, struct buf *evidence,
                            struct err *err);
/* The same of bursts of large datagrams over the shaped paths, for rates: none is faster than
 * asked, and before each was. */
enum err_code packets_judge_rate(const struct test *test, int64_t rate_bps,
                                 const struct network_path *before, const struct network_path *now,
                                 size_t count, struct buf *evidence, struct err *err);
/* The bandwidth that a burst got; 0 when too little arrived to tell. */
double packets_rate_bps(const struct network_path *path);

#endif
