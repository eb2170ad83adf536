/* Locks: acquire, hold for a while, release; several threads want each lock, and each lock is used
 * for a while and then left behind.
 *
 *   acquire [lock nil]  -> [lock {:fence 17}], or without the fence where the system has none
 *   release [lock nil]
 *
 * Whoever acquired a lock takes it for its own until it has released it: it is not told that its
 * lease ran out in between, as a program that is paused or cut off is not. So with holds longer
 * than the system's leases two may hold a lock at once, which is what fences are for: whatever the
 * holder does carries its fence, and who has seen a later one refuses it. `fenced-mutex` (the
 * default) and `owner-aware-mutex` judge whether two hold the lock at once,
 * `linearizable.model=fences` whether fences would tell them apart. */
#include <assert.h>

#include "harness/base/clock.h"
#include "harness/workload.h"
#include "workloads/workloads.h"

static const struct option options[] = {
    {.name = "hold",
     .kind = OPTION_DURATION,
     .fallback = "300ms",
     .help = "how long a lock is held, on average"},
    {.name = "pause",
     .kind = OPTION_DURATION,
     .fallback = "50ms",
     .help = "how long a thread does without the lock in between, on average"},
    {.name = "threads-per-lock",
     .kind = OPTION_INT,
     .fallback = "3",
     .help = "threads that want the same lock"},
    {.name = "ops-per-lock",
     .kind = OPTION_INT,
     .fallback = "100",
     .help = "acquisitions tried of a lock before its threads take the next one"},
    {.name = NULL},
};

struct settings {
    uint16_t acquire_f, release_f;
    int64_t hold_ns, pause_ns, tries;
    uint64_t seed;
};

enum state { FREE, ASKED, HELD, RELEASING };
struct worker {
    enum state state;
    int64_t due_ns; /* of the next acquire or release */
};

struct lock {
    struct generator base;
    const struct settings *settings;
    struct prng prng;
    struct arena *arena;
    struct worker *workers;
    uint32_t count;
    int64_t tries; /* left */
};

static struct worker *worker_of(struct lock *lock, const struct generator_context *context)
{
    if (lock->workers == NULL) {
        lock->count = context->thread_count;
        lock->workers = arena_zalloc(lock->arena, lock->count * sizeof *lock->workers);
    }
    assert(context->thread >= 0 && (uint32_t)context->thread < lock->count);
    return &lock->workers[context->thread];
}

static int64_t about(struct lock *lock, int64_t mean_ns)
{
    return (int64_t)prng_exponential(&lock->prng, (double)mean_ns);
}

static enum generator_answer lock_next(struct generator *generator,
                                       const struct generator_context *context,
                                       struct generator_op *op)
{
    struct lock *lock = (struct lock *)generator;
    struct worker *worker = worker_of(lock, context);
    bool holds = worker->state == HELD;
    *op = (struct generator_op){.value = VALUE_NIL_INIT, .not_before_ns = worker->due_ns};
    if (!holds && lock->tries == 0)
        return GENERATOR_DONE;
    if (context->now_ns < worker->due_ns)
        return GENERATOR_PENDING;
    op->not_before_ns = context->now_ns;
    op->f = holds ? lock->settings->release_f : lock->settings->acquire_f;
    worker->state = holds ? RELEASING : ASKED;
    lock->tries -= !holds;
    return GENERATOR_OP;
}

/* What a release that failed did not release is still held, and released again soon. After an
 * unknown outcome the process is another one, which holds nothing. */
static void lock_update(struct generator *generator, const struct generator_context *context,
                        const struct op *event)
{
    struct lock *lock = (struct lock *)generator;
    struct worker *worker = worker_of(lock, context);
    if (event->type == OP_INVOKE)
        return;
    bool released = worker->state == RELEASING;
    bool holds = released ? event->type == OP_FAIL : event->type == OP_OK;
    worker->state = holds ? HELD : FREE;
    if (holds && !released)
        worker->due_ns = event->time_ns + about(lock, lock->settings->hold_ns);
    else
        worker->due_ns = event->time_ns + about(lock, lock->settings->pause_ns);
}

static const struct generator_class lock_class = {
    .name = "lock", .next = lock_next, .update = lock_update};

/* One lock; its draws do not depend on which threads come to it first. */
static struct generator *make_lock(void *state, struct arena *arena, uint64_t key)
{
    const struct settings *settings = state;
    struct lock *lock = arena_zalloc(arena, sizeof *lock);
    char *name = arena_printf(arena, "workload/lock/%llu", (unsigned long long)key);
    lock->base.class = &lock_class;
    lock->settings = settings;
    lock->prng = prng_stream(settings->seed, name);
    lock->arena = arena;
    lock->tries = settings->tries;
    return &lock->base;
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    struct settings *settings = arena_zalloc(arena, sizeof *settings);
    const struct options *from = &test->plan->options;
    int64_t threads = option_int(from, "lock.threads-per-lock");
    int64_t tries = option_int(from, "lock.ops-per-lock");
    *settings = (struct settings){
        .acquire_f = history_f(test->history, "acquire"),
        .release_f = history_f(test->history, "release"),
        .hold_ns = option_duration_ns(from, "lock.hold"),
        .pause_ns = option_duration_ns(from, "lock.pause"),
        .tries = tries < 1 ? 1 : tries,
        .seed = test->plan->seed,
    };
    if (threads > test->plan->concurrency)
        threads = test->plan->concurrency;
    return generator_keys(arena, threads < 1 ? 1 : (uint32_t)threads, 0, make_lock, settings);
}

static const struct word words[] = {
    {"acquire", "[LOCK null]", "[same nil] | [same {:fence int}]",
     "waits for the lock; the fence is greater than those of all who held it before"},
    {"release", "[LOCK null]", "same",
     "gives back what it holds; fails only while it goes on holding it"},
    {.f = NULL},
};

static const char *const judged_by[] = {"stats",   "linearizable", "availability",
                                        "crashes", "faults",       NULL};
static const char *const defaults[] = {"linearizable.model=fenced-mutex", NULL};

const struct workload workload_lock = {
    .name = "lock",
    .summary = "locks with fencing tokens: does one alone hold each?",
    .options = options,
    .checkers = judged_by,
    .defaults = defaults,
    .keyed = true,
    .generator = generator,
    .words = words,
};
