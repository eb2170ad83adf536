/* Who leads, as seen from outside: see watch.h. */
#include "harness/schedules/watch.h"

#include <pthread.h>
#include <stdlib.h>

#include "harness/base/clock.h"
#include "harness/base/rests.h"

struct watch {
    struct test *test;
    void (*on_news)(void *state);
    void *state;
    pthread_mutex_t lock; /* guards the next two */
    struct watch_sight sight;
    node_set last_leaders; /* the last that were seen, however long nobody leads since */
    bool running;
    struct rests rests;
    pthread_t thread;
    int64_t pause_ns;
};

enum err_code watch_open(struct test *test, void (*on_news)(void *state), void *state,
                         struct watch **out, struct err *err)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return err_set(err, ERR_NOMEM, "no memory for watching who leads");
    watch->test = test;
    watch->on_news = on_news;
    watch->state = state;
    pthread_mutex_init(&watch->lock, NULL);
    rests_init(&watch->rests);
    *out = watch;
    return ERR_NONE;
}

/* The first leaders that are seen are no news: nobody knows since when they lead. */
void watch_tell(struct watch *watch, node_set primaries, int64_t now_ns)
{
    pthread_mutex_lock(&watch->lock);
    struct watch_sight *sight = &watch->sight;
    bool elected = watch->last_leaders != 0 && (primaries & ~watch->last_leaders) != 0;
    bool lost = sight->primaries != 0 && primaries == 0;
    if (elected) {
        sight->elections++;
        sight->elected_ns = now_ns;
    }
    if (lost) {
        sight->losses++;
        sight->lost_ns = now_ns;
    }
    sight->known = sight->known || primaries != 0;
    sight->primaries = primaries;
    sight->seen_ns = now_ns;
    if (primaries != 0)
        watch->last_leaders = primaries;
    pthread_mutex_unlock(&watch->lock);
    if ((elected || lost) && watch->on_news != NULL)
        watch->on_news(watch->state);
}

struct watch_sight watch_sight(struct watch *watch)
{
    struct watch_sight sight = {.known = false};
    if (watch == NULL)
        return sight;
    pthread_mutex_lock(&watch->lock);
    sight = watch->sight;
    pthread_mutex_unlock(&watch->lock);
    return sight;
}

static void *look(void *argument)
{
    struct watch *watch = argument;
    do {
        node_set primaries = 0;
        struct err err = ERR_INIT;
        if (watch->test->plan->system->primaries(watch->test, &primaries, &err) == ERR_NONE)
            watch_tell(watch, primaries & test_all_nodes(watch->test), test_now_ns(watch->test));
    } while (rests_for(&watch->rests, watch->pause_ns));
    return NULL;
}

enum err_code watch_start(struct watch *watch, int64_t pause_ns, struct err *err)
{
    if (watch->test->plan->system->primaries == NULL)
        return ERR_NONE;
    watch->pause_ns = pause_ns;
    int problem = pthread_create(&watch->thread, NULL, look, watch);
    if (problem != 0)
        return err_errno(err, problem, "start watching who leads");
    watch->running = true;
    return ERR_NONE;
}

void watch_stop(struct watch *watch)
{
    if (watch == NULL || !watch->running)
        return;
    rests_end(&watch->rests);
    pthread_join(watch->thread, NULL);
    watch->running = false;
}

void watch_close(struct watch *watch)
{
    if (watch == NULL)
        return;
    watch_stop(watch);
    rests_free(&watch->rests);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}
