/* By how much each node's clock is off, measured through a run whose nemeses make clocks wrong. A
 * thread of its own; it never fails a run: what it cannot learn is missing. */
#ifndef ORDEAL_CLOCK_WATCH_H
#define ORDEAL_CLOCK_WATCH_H

#include "harness/base/json.h"
#include "harness/test.h"

struct clock_watch;

/* Looks every `every_ns`, more rarely when the run is so long that too much would be kept. The test
 * must outlive the watch. */
enum err_code clock_watch_start(struct test *test, int64_t every_ns, struct clock_watch **watch,
                                struct err *err);
/* Ends the thread; what it measured stays. NULL is fine, here and below. */
void clock_watch_stop(struct clock_watch *watch);
void clock_watch_free(struct clock_watch *watch);

/* One look now, on the caller's thread, as the thread does it: for tests, before it is started. */
struct clock_watch *clock_watch_new(struct test *test, int64_t every_ns);
void clock_watch_look(struct clock_watch *watch);
int64_t clock_watch_every_ns(const struct clock_watch *watch);

/* {"n1": [[1.5, 0], [2, 59.998]]}: seconds since the run began, seconds that the clock was off.
 * NULL when there is nothing. */
struct json *clock_watch_json(const struct clock_watch *watch);

#endif
