/* Clock offsets of nodes through a run: see clock_watch.h. */
#include "harness/clock_watch.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/rests.h"
#include "harness/system.h"

enum { SAMPLES_MAX = 2400 }; /* a node; twenty minutes at half a second */

struct sample {
    int64_t at_ns, offset_ns[PLAN_NODES_MAX];
    node_set seen;
};

struct clock_watch {
    struct test *test;
    struct arena arena;
    struct sample *samples;
    uint32_t count;
    int64_t every_ns;
    pthread_t thread;
    struct rests rests;
    bool running;
};

/* Every second one goes, and from now on as many are taken. */
static void thin_out(struct clock_watch *watch)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < watch->count; i += 2)
        watch->samples[kept++] = watch->samples[i];
    watch->count = kept;
    watch->every_ns *= 2;
}

void clock_watch_look(struct clock_watch *watch)
{
    struct err err = ERR_INIT;
    if (watch->count == SAMPLES_MAX)
        thin_out(watch);
    struct sample *sample = &watch->samples[watch->count];
    int64_t before_ns = test_now_ns(watch->test);
    memset(sample, 0, sizeof *sample);
    if (clock_offsets(watch->test, watch->test->plan->system->daemons, sample->offset_ns,
                      &sample->seen, &err) != ERR_NONE ||
        sample->seen == 0)
        return;
    sample->at_ns = before_ns + (test_now_ns(watch->test) - before_ns) / 2;
    watch->count++;
}

static void *watch_clocks(void *argument)
{
    struct clock_watch *watch = argument;
    do
        clock_watch_look(watch);
    while (rests_for(&watch->rests, watch->every_ns));
    clock_watch_look(watch); /* how it ended */
    return NULL;
}

struct clock_watch *clock_watch_new(struct test *test, int64_t every_ns)
{
    struct arena arena = ARENA_INIT;
    struct clock_watch *watch = arena_zalloc(&arena, sizeof *watch);
    struct sample *samples = arena_alloc(&arena, SAMPLES_MAX * sizeof *samples);
    *watch = (struct clock_watch){
        .test = test, .arena = arena, .samples = samples, .every_ns = every_ns};
    rests_init(&watch->rests);
    return watch;
}

int64_t clock_watch_every_ns(const struct clock_watch *watch)
{
    return watch->every_ns;
}

enum err_code clock_watch_start(struct test *test, int64_t every_ns, struct clock_watch **watch,
                                struct err *err)
{
    struct clock_watch *made = clock_watch_new(test, every_ns);
    int failure = pthread_create(&made->thread, NULL, watch_clocks, made);
    if (failure != 0) {
        clock_watch_free(made);
        return err_errno(err, failure, "cannot start a thread that watches clocks");
    }
    made->running = true;
    *watch = made;
    return ERR_NONE;
}

void clock_watch_stop(struct clock_watch *watch)
{
    if (watch == NULL || !watch->running)
        return;
    rests_end(&watch->rests);
    pthread_join(watch->thread, NULL);
    watch->running = false;
}

void clock_watch_free(struct clock_watch *watch)
{
    if (watch == NULL)
        return;
    clock_watch_stop(watch);
    rests_free(&watch->rests);
    struct arena arena = watch->arena; /* it lives in it */
    arena_free(&arena);
}

/* To the millisecond: what is finer is noise of the measuring. */
static double seconds(int64_t ns)
{
    return (double)((ns + (ns < 0 ? -NS_PER_MS / 2 : NS_PER_MS / 2)) / NS_PER_MS) / 1e3;
}

struct json *clock_watch_json(const struct clock_watch *watch)
{
    if (watch == NULL || watch->count == 0)
        return NULL;
    struct json *all = json_object();
    for (uint32_t i = 0; i < watch->test->node_count; i++) {
        struct json *node = json_set(all, watch->test->nodes[i].name, json_array());
        for (uint32_t k = 0; k < watch->count; k++) {
            const struct sample *sample = &watch->samples[k];
            if (!node_in(sample->seen, i))
                continue;
            struct json *pair = json_add(node, json_array());
            json_add(pair, json_real(seconds(sample->at_ns)));
            json_add(pair, json_real(seconds(sample->offset_ns[i])));
        }
    }
    return all;
}
