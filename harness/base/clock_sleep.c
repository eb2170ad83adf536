/* Sleeping has a file of its own, so that tests with a clock in memory can be linked with a sleep
 * that moves that clock instead. */
#include <errno.h>
#include <time.h>

#include "harness/base/clock.h"

void clock_sleep_ns(int64_t duration_ns)
{
    if (duration_ns <= 0)
        return;
    struct timespec until = clock_timespec(clock_monotonic_ns() + duration_ns);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}
