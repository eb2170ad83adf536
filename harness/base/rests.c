/* The rests of a thread: see rests.h. */
#include "harness/base/rests.h"

#include "harness/base/clock.h"

void rests_init(struct rests *rests)
{
    pthread_condattr_t attributes;
    rests->ending = false;
    pthread_mutex_init(&rests->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&rests->wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool rests_for(struct rests *rests, int64_t duration_ns)
{
    struct timespec until = clock_timespec(clock_monotonic_ns() + duration_ns);
    pthread_mutex_lock(&rests->lock);
    int result = 0;
    while (!rests->ending && result == 0)
        result = pthread_cond_timedwait(&rests->wake, &rests->lock, &until);
    bool goes_on = !rests->ending;
    pthread_mutex_unlock(&rests->lock);
    return goes_on;
}

void rests_end(struct rests *rests)
{
    pthread_mutex_lock(&rests->lock);
    rests->ending = true;
    pthread_cond_signal(&rests->wake);
    pthread_mutex_unlock(&rests->lock);
}

void rests_free(struct rests *rests)
{
    pthread_cond_destroy(&rests->wake);
    pthread_mutex_destroy(&rests->lock);
}
