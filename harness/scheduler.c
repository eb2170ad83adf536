/* The scheduler: see scheduler.h. */
#include "harness/scheduler.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"

enum {
    NAP_LIMIT_US = 50,     /* a shorter wait than this is not worth a sleep */
    REOPEN_PAUSE_MS = 100, /* after a client could not be opened */
    STACK_BYTES = 512 * 1024,
};

struct worker {
    struct scheduler *scheduler;
    int32_t thread; /* GENERATOR_NEMESIS or 0 .. concurrency - 1 */
    int32_t process;
    pthread_t handle;
    pthread_cond_t wake;
    bool asleep_for_event; /* has nothing to do until there is news, or until a time */
    bool busy;             /* an operation is under way */
    bool finished;
    bool abandoned; /* it hung: the memory is its own from then on */
    bool open;      /* client_state is an open client */
    void *client_state;
    struct arena scratch;
};

struct scheduler {
    struct scheduler_options options;
    struct test *test;
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a worker finished */
    struct generator *generator;
    struct worker **places; /* clients, then the nemesis; a hung one's place goes to a new one */
    uint32_t count, running, sleepers;
    uint32_t hung;                 /* abandoned so far */
    struct scheduler *left_before; /* in the list of those left behind */
    bool stopping;
    bool news; /* the generator may now answer otherwise to those who wait */
    bool out_of_memory;
    struct scheduler_counts counts;
};

static void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

static struct worker *worker_new(struct scheduler *scheduler, int32_t thread, int32_t process)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return NULL;
    worker->scheduler = scheduler;
    worker->thread = thread;
    worker->process = process;
    worker->scratch = ARENA_INIT;
    cond_init(&worker->wake);
    if (thread != GENERATOR_NEMESIS) {
        worker->client_state = calloc(1, scheduler->options.client->state_size + 1);
        if (worker->client_state == NULL) {
            free(worker);
            return NULL;
        }
    }
    return worker;
}

static void worker_free(struct worker *worker)
{
    pthread_cond_destroy(&worker->wake);
    arena_free(&worker->scratch);
    free(worker->client_state);
    free(worker);
}

enum err_code scheduler_open(const struct scheduler_options *options, struct scheduler **out,
                             struct err *err)
{
    struct scheduler *scheduler = calloc(1, sizeof *scheduler);
    if (scheduler == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the scheduler");
    scheduler->options = *options;
    scheduler->test = options->test;
    pthread_mutex_init(&scheduler->lock, NULL);
    cond_init(&scheduler->ended);
    uint32_t clients = options->client == NULL ? 0 : options->concurrency;
    uint32_t wanted = clients + (options->hooks.nemesis != NULL ? 1 : 0);
    scheduler->places = calloc(wanted + 1, sizeof *scheduler->places);
    for (uint32_t i = 0; i < wanted && scheduler->places != NULL; i++) {
        scheduler->places[i] = i < clients
                                   ? worker_new(scheduler, (int32_t)i, (int32_t)i)
                                   : worker_new(scheduler, GENERATOR_NEMESIS, PROCESS_NEMESIS);
        if (scheduler->places[i] == NULL)
            break;
        scheduler->count = i + 1;
    }
    if (scheduler->count < wanted) {
        scheduler_close(scheduler);
        return err_set(err, ERR_NOMEM, "no memory for %u workers", wanted);
    }
    *out = scheduler;
    return ERR_NONE;
}

/* A thread that hangs in a client may yet come back and take the lock: its scheduler stays. */
static struct scheduler *volatile left_behind; /* volatile: kept for leak checkers to see */

void scheduler_close(struct scheduler *scheduler)
{
    if (scheduler == NULL)
        return;
    if (scheduler->hung > 0) {
        scheduler->left_before = left_behind;
        left_behind = scheduler;
        return;
    }
    for (uint32_t i = 0; i < scheduler->count; i++)
        worker_free(scheduler->places[i]);
    free(scheduler->places);
    pthread_cond_destroy(&scheduler->ended);
    pthread_mutex_destroy(&scheduler->lock);
    free(scheduler);
}

/* ---- Under the lock ---- */

/* After every call to the generator: whoever waits asks again when there is news. */
static void tell_sleepers(struct scheduler *scheduler)
{
    if (!scheduler->news || scheduler->sleepers == 0)
        return;
    for (uint32_t i = 0; i < scheduler->count; i++)
        if (scheduler->places[i]->asleep_for_event)
            pthread_cond_signal(&scheduler->places[i]->wake);
}

static void record_locked(struct scheduler *scheduler, struct op *op)
{
    enum err_code code;
    op->time_ns = test_now_ns(scheduler->test);
    op->index = history_append(scheduler->test->history, op, &code);
    if (code != ERR_NONE) {
        scheduler->out_of_memory = true;
        scheduler->stopping = true;
        return;
    }
    if (scheduler->options.hooks.on_event != NULL)
        scheduler->options.hooks.on_event(scheduler->options.hooks.state, op);
}

static struct generator_context context_of(struct worker *worker, int64_t now_ns)
{
    return (struct generator_context){
        .now_ns = now_ns,
        .thread = worker->thread,
        .process = worker->process,
        .thread_count =
            worker->scheduler->options.client == NULL ? 0 : worker->scheduler->options.concurrency,
        .nemesis = worker->scheduler->options.hooks.nemesis != NULL,
        .news = &worker->scheduler->news,
        .scratch = &worker->scratch,
    };
}

static void record_and_update(struct worker *worker, struct op *op)
{
    struct scheduler *scheduler = worker->scheduler;
    record_locked(scheduler, op);
    struct generator_context context = context_of(worker, op->time_ns);
    scheduler->news = false;
    generator_update(scheduler->generator, &context, op);
    tell_sleepers(scheduler);
}

static void count_completion(struct scheduler *scheduler, const struct op *op)
{
    scheduler->counts.ok += op->type == OP_OK;
    scheduler->counts.fail += op->type == OP_FAIL;
    scheduler->counts.info += op->type == OP_INFO;
}

/* Sleeps until a time of the run, or (for_event) until news; returns early when stopping. */
static void sleep_until(struct worker *worker, int64_t until_ns, bool for_event)
{
    struct scheduler *scheduler = worker->scheduler;
    if (for_event) {
        worker->asleep_for_event = true;
        scheduler->sleepers++;
    }
    if (until_ns == GENERATOR_NEVER) {
        pthread_cond_wait(&worker->wake, &scheduler->lock);
    } else {
        struct timespec until = clock_timespec(scheduler->test->epoch_ns + until_ns);
        int result;
        do /* an event may be what is waited for; a mere time is waited out */
            result = pthread_cond_timedwait(&worker->wake, &scheduler->lock, &until);
        while (result == 0 && !for_event && !scheduler->stopping);
    }
    if (for_event) {
        worker->asleep_for_event = false;
        scheduler->sleepers--;
    }
}

/* The next operation for this worker, at its time: false when there is none ever again. */
static bool next_op(struct worker *worker, struct generator_op *op)
{
    struct scheduler *scheduler = worker->scheduler;
    while (!scheduler->stopping) {
        arena_reset(&worker->scratch);
        int64_t now_ns = test_now_ns(scheduler->test);
        struct generator_context context = context_of(worker, now_ns);
        *op = (struct generator_op){.not_before_ns = now_ns};
        scheduler->news = false;
        enum generator_answer answer = generator_next(scheduler->generator, &context, op);
        tell_sleepers(scheduler);
        if (answer == GENERATOR_DONE)
            return false;
        if (answer == GENERATOR_PENDING) {
            sleep_until(worker, op->not_before_ns, true);
            continue;
        }
        if (op->not_before_ns > now_ns + NAP_LIMIT_US * NS_PER_US)
            sleep_until(worker, op->not_before_ns, false);
        return !scheduler->stopping;
    }
    return false;
}

/* ---- Operations ---- */

static bool client_ready(struct worker *worker, struct err *err)
{
    struct scheduler *scheduler = worker->scheduler;
    if (worker->open)
        return true;
    uint32_t node = (uint32_t)worker->thread % scheduler->test->node_count;
    memset(worker->client_state, 0, scheduler->options.client->state_size);
    worker->open = scheduler->options.client->open(worker->client_state, scheduler->test, node,
                                                   err) == ERR_NONE;
    return worker->open;
}

static void client_done(struct worker *worker)
{
    if (worker->open)
        worker->scheduler->options.client->close(worker->client_state);
    worker->open = false;
}

/* Called and returns with the lock held; the client runs without it. */
static void do_client_op(struct worker *worker, struct op *op)
{
    struct scheduler *scheduler = worker->scheduler;
    struct err err = ERR_INIT;
    bool ready = worker->open;
    if (!ready) {
        pthread_mutex_unlock(&scheduler->lock);
        ready = client_ready(worker, &err);
        pthread_mutex_lock(&scheduler->lock);
    }
    record_and_update(worker, op);
    scheduler->counts.invoked++;
    struct value asked = op->value;
    uint16_t f = op->f;
    if (!ready) {
        op_fail(op, &worker->scratch, "no-client", err.message);
    } else {
        pthread_mutex_unlock(&scheduler->lock);
        scheduler->options.client->invoke(worker->client_state, scheduler->test, op,
                                          &worker->scratch);
        if (op->type == OP_INFO)
            client_done(worker); /* whatever it still waits for must not reach another operation */
        pthread_mutex_lock(&scheduler->lock);
    }
    if (worker->abandoned)
        return; /* too late: the run has moved on, and this operation counts as indeterminate */
    op->process = worker->process;
    op->f = f;
    if (op->type == OP_INVOKE) /* a client that forgot to answer knows nothing */
        op_info(op, &worker->scratch, "client-did-not-answer", NULL);
    if (op->type != OP_OK)
        op->value = asked; /* what did not happen, or may have, is what was asked */
    count_completion(scheduler, op);
    record_and_update(worker, op);
    if (op->type == OP_INFO)
        worker->process += (int32_t)scheduler->options.concurrency;
    if (!ready && !scheduler->stopping)
        sleep_until(worker, op->time_ns + REOPEN_PAUSE_MS * NS_PER_MS, false);
}

static void do_nemesis_op(struct worker *worker, struct op *op)
{
    struct scheduler *scheduler = worker->scheduler;
    op->type = OP_INFO;
    record_and_update(worker, op);
    pthread_mutex_unlock(&scheduler->lock);
    scheduler->options.hooks.nemesis(scheduler->options.hooks.state, op);
    pthread_mutex_lock(&scheduler->lock);
    op->type = OP_INFO;
    record_and_update(worker, op);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct scheduler *scheduler = worker->scheduler;
    struct generator_op next;
    pthread_mutex_lock(&scheduler->lock);
    while (!worker->abandoned && next_op(worker, &next)) {
        struct op op = {
            .type = OP_INVOKE, .process = worker->process, .f = next.f, .value = next.value};
        worker->busy = true;
        if (worker->thread == GENERATOR_NEMESIS)
            do_nemesis_op(worker, &op);
        else
            do_client_op(worker, &op);
        worker->busy = false;
    }
    bool abandoned = worker->abandoned;
    if (!abandoned) {
        worker->finished = true;
        scheduler->running--;
        pthread_cond_signal(&scheduler->ended);
    }
    pthread_mutex_unlock(&scheduler->lock);
    client_done(worker);
    if (abandoned)
        worker_free(worker); /* nobody else knows it any more */
    return NULL;
}

/* ---- Phases ---- */

static enum err_code start_workers(struct scheduler *scheduler, struct err *err)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    enum err_code code = ERR_NONE;
    pthread_mutex_lock(&scheduler->lock);
    scheduler->running = 0;
    for (uint32_t i = 0; i < scheduler->count && code == ERR_NONE; i++) {
        struct worker *worker = scheduler->places[i];
        worker->finished = false;
        int problem = pthread_create(&worker->handle, &attributes, work, worker);
        if (problem != 0) {
            code = err_errno(err, problem, "start worker %u of %u", i + 1, scheduler->count);
            scheduler->stopping = true;
            for (uint32_t j = i; j < scheduler->count; j++)
                scheduler->places[j]->finished = true;
        } else {
            scheduler->running++;
        }
    }
    pthread_mutex_unlock(&scheduler->lock);
    pthread_attr_destroy(&attributes);
    return code;
}

static uint64_t completed(const struct scheduler *scheduler)
{
    const struct scheduler_counts *counts = &scheduler->counts;
    return counts->ok + counts->fail + counts->info;
}

/* Waits until all are done, but once stopping (or when only the hung are left) not for ever. */
static void await_workers(struct scheduler *scheduler, int64_t patience_ns)
{
    int64_t deadline_ns = INT64_MAX;
    uint64_t seen = 0;
    pthread_mutex_lock(&scheduler->lock);
    while (scheduler->running > 0) {
        uint32_t busy = 0;
        for (uint32_t i = 0; i < scheduler->count; i++)
            busy += scheduler->places[i]->busy && scheduler->places[i]->thread >= 0;
        /* Only clients that have been busy since the last look are left to wait for, or everything
         * shall stop: patience has an end. */
        bool goes_on = completed(scheduler) != seen;
        bool bounded = scheduler->stopping || (busy == scheduler->running && !goes_on);
        seen = completed(scheduler);
        int64_t now_ns = clock_monotonic_ns();
        if (!bounded)
            deadline_ns = INT64_MAX;
        else if (deadline_ns == INT64_MAX)
            deadline_ns = now_ns + patience_ns;
        if (now_ns >= deadline_ns)
            break;
        int64_t until_ns = now_ns + 100 * NS_PER_MS;
        struct timespec until = clock_timespec(until_ns < deadline_ns ? until_ns : deadline_ns);
        pthread_cond_timedwait(&scheduler->ended, &scheduler->lock, &until);
    }
    pthread_mutex_unlock(&scheduler->lock);
}

/* Joins the finished, lets go of the hung; each of those leaves its place to a new worker. */
static uint32_t collect_workers(struct scheduler *scheduler)
{
    uint32_t hung = 0;
    for (uint32_t i = 0; i < scheduler->count; i++) {
        struct worker *worker = scheduler->places[i];
        pthread_mutex_lock(&scheduler->lock);
        bool finished = worker->finished;
        worker->abandoned = !finished;
        pthread_mutex_unlock(&scheduler->lock);
        if (finished) {
            if (worker->handle != 0)
                pthread_join(worker->handle, NULL);
            worker->handle = 0;
            continue;
        }
        pthread_detach(worker->handle);
        hung++;
        scheduler->hung++;
        struct worker *heir = worker_new(
            scheduler, worker->thread,
            worker->process + (worker->thread >= 0 ? (int32_t)scheduler->options.concurrency : 0));
        if (heir == NULL)
            abort();
        scheduler->places[i] = heir;
    }
    return hung;
}

enum err_code scheduler_run(struct scheduler *scheduler, struct generator *generator,
                            int64_t grace_ns, uint32_t *hung, struct err *err)
{
    scheduler->generator = generator;
    enum err_code code = start_workers(scheduler, err);
    await_workers(scheduler, scheduler->test->plan->op_timeout_ns + grace_ns);
    uint32_t left = collect_workers(scheduler);
    if (hung != NULL)
        *hung = left;
    pthread_mutex_lock(&scheduler->lock);
    scheduler->stopping = false;
    bool out_of_memory = scheduler->out_of_memory;
    pthread_mutex_unlock(&scheduler->lock);
    if (code == ERR_NONE && out_of_memory)
        code = err_set(err, ERR_NOMEM, "no memory for more history than %u events",
                       scheduler->test->history->count);
    return code;
}

void scheduler_stop(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    scheduler->stopping = true;
    for (uint32_t i = 0; i < scheduler->count; i++)
        pthread_cond_signal(&scheduler->places[i]->wake);
    pthread_mutex_unlock(&scheduler->lock);
}

void scheduler_news(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    scheduler->news = true;
    tell_sleepers(scheduler);
    pthread_mutex_unlock(&scheduler->lock);
}

void scheduler_record(struct scheduler *scheduler, struct op *op)
{
    pthread_mutex_lock(&scheduler->lock);
    record_locked(scheduler, op);
    pthread_mutex_unlock(&scheduler->lock);
}

uint32_t scheduler_copy(struct scheduler *scheduler, struct history *into, uint32_t max)
{
    uint32_t copied = 0;
    pthread_mutex_lock(&scheduler->lock);
    const struct history *history = scheduler->test->history;
    for (uint32_t f = into->f_count; f < history->f_count; f++)
        history_f(into, history->f_names[f]);
    while (copied < max && into->count < history->count) {
        enum err_code code;
        struct op op = history_op(history, into->count);
        op.error = op.extra = value_nil();
        history_append_own(into, &op, &code);
        if (code != ERR_NONE)
            break;
        copied++;
    }
    pthread_mutex_unlock(&scheduler->lock);
    return copied;
}

struct scheduler_counts scheduler_counts(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    struct scheduler_counts counts = scheduler->counts;
    pthread_mutex_unlock(&scheduler->lock);
    return counts;
}
