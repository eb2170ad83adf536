/* Time: 64-bit nanoseconds everywhere. Durations and points in a run are monotonic; wall-clock time
 * is used only to name things for people. */
#ifndef ORDEAL_BASE_CLOCK_H
#define ORDEAL_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "harness/base/err.h"

#define NS_PER_SECOND INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_US INT64_C(1000)

int64_t clock_monotonic_ns(void);
int64_t clock_wall_ns(void);
struct timespec clock_timespec(int64_t ns);
void clock_sleep_ns(int64_t duration_ns);

/* "60s", "1.5m", "200ms", "2h", "10us", "5ns", or a bare number of seconds. */
enum err_code clock_parse_duration(const char *text, int64_t *ns, struct err *err);
/* The shortest exact form of the same: "60s", "1m30s" becomes "90s". `text` holds 32 bytes. */
void clock_format_duration(int64_t ns, char *text, size_t size);
/* For people: "1.25 ms", "3.4 s". */
void clock_format_human(int64_t ns, char *text, size_t size);
/* "20261121T083015.123Z", as run directories are named. */
void clock_format_utc(int64_t wall_ns, char *text, size_t size);

#endif
