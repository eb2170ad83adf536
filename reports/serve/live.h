/* A run that goes on, second by second: what its history, its schedule and its log say so far. */
#ifndef ORDEAL_REPORTS_SERVE_LIVE_H
#define ORDEAL_REPORTS_SERVE_LIVE_H

#include <stdbool.h>

#include "harness/base/buf.h"

struct live;

/* Follows the run "test/time" of the store; NULL when it has no history that can be read yet. */
struct live *live_open(const char *store, const char *run);
/* Takes in what was written since, and adds it as one JSON object: "elapsed-s" (of the last event),
 * "ok", "fail", "info" (so far), "rate" (completions a second since the last call), "p50-ms",
 * "p99-ms" (of operations completed ok since then; null when none), "open" (invoked and not
 * completed), "faults" (in force, by name), "faults-so-far", "log" (its last line). *ended is set
 * once there are results; then "verdict" and "reason" are theirs. */
void live_step(struct live *live, struct buf *out, bool *ended);
void live_close(struct live *live);

#endif
