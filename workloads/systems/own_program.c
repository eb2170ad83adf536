/* Processes of clients from outside: see own_program.h. */
#include "workloads/systems/own_program.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "harness/base/clock.h"
#include "harness/histories/json_value.h"

struct waiter {
    int64_t id;
    struct arena *arena;
    struct value answer;
    bool answered;
    struct waiter *next;
};

struct own_program {
    struct pipe_program pipe;
    pthread_mutex_t lock; /* all below */
    bool writing;         /* somebody writes a whole line, without the lock */
    pthread_cond_t written;
    pthread_cond_t news;
    struct waiter *waiters;
    int64_t last_id;
    bool reading; /* somebody reads, without the lock */
    bool broken;
    struct err why; /* once broken */
    uint32_t users;
    struct own_program *next; /* in the pool */
};

struct own_pool_state {
    pthread_mutex_t lock;
    struct own_program *programs;
};

static void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* ---- Breaking ---- */

/* How it ended, if it ends by itself within a moment; it is not reaped, so that its number stays
 * its own. */
static void await_end(struct own_program *program, struct err *why)
{
    siginfo_t info = {.si_pid = 0};
    for (int i = 0; i < 100 && info.si_pid == 0; i++) {
        if (waitid(P_PID, (id_t)program->pipe.pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
            return;
        if (info.si_pid == 0)
            poll(NULL, 0, 1);
    }
    const char *path = program->pipe.path;
    if (info.si_pid != 0 && info.si_code == CLD_EXITED)
        err_set(why, ERR_IO, "%s ended with status %d", path, info.si_status);
    else if (info.si_pid != 0)
        err_set(why, ERR_IO, "%s was ended by signal %d", path, info.si_status);
}

/* Under the lock. Whoever reads or writes gets to know by the ends of its pipes. */
static void break_locked(struct own_program *program, const struct err *why)
{
    if (program->broken)
        return;
    program->broken = true;
    program->why = *why;
    if (why->code == ERR_IO)
        await_end(program, &program->why);
    (void)kill(-program->pipe.pid, SIGKILL);
    (void)kill(program->pipe.pid, SIGKILL);
    pthread_cond_broadcast(&program->news);
}

void own_program_kill(struct own_program *program, const char *why)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_TIMEOUT, "%s", why);
    pthread_mutex_lock(&program->lock);
    break_locked(program, &err);
    pthread_mutex_unlock(&program->lock);
}

bool own_program_is_broken(struct own_program *program)
{
    pthread_mutex_lock(&program->lock);
    bool broken = program->broken;
    pthread_mutex_unlock(&program->lock);
    return broken;
}

/* ---- Answers ---- */

bool own_read_answer(const char *line, size_t length, struct arena *arena, struct value *answer,
                     int64_t *id)
{
    struct json_reader reader;
    json_reader_init(&reader, arena, JSON_PLAIN);
    json_reader_text(&reader, line, length);
    bool good = json_reader_read(&reader, answer) && json_reader_next(&reader) == -1 &&
                value_kind(*answer) == VALUE_MAP;
    json_reader_free(&reader);
    if (!good || value_kind(value_get(*answer, "id")) != VALUE_INT)
        return false;
    *id = value_as_int(value_get(*answer, "id"));
    return true;
}

/* Under the lock: an answer goes to whom it is for. False: no client says such a thing. */
static bool deliver(struct own_program *program, const struct buf *line, struct arena *arena,
                    struct err *err)
{
    struct value answer;
    int64_t id;
    if (!own_read_answer(buf_text(line), line->length, arena, &answer, &id)) {
        err_set(err, ERR_PARSE,
                "%s said what is no JSON object with the id of a question: '%.80s' (notes belong "
                "to its standard error)",
                program->pipe.path, buf_text(line));
        return false;
    }
    if (id < 1 || id > program->last_id) {
        err_set(err, ERR_PARSE, "%s answered question %lld, which was never asked",
                program->pipe.path, (long long)id);
        return false;
    }
    for (struct waiter *waiter = program->waiters; waiter != NULL; waiter = waiter->next)
        if (waiter->id == id && !waiter->answered) {
            waiter->answer = value_copy(waiter->arena, answer);
            waiter->answered = true;
        }
    return true; /* what nobody waits for has come too late */
}

/* Called and returns with the lock held; reads one line for whoever waits for it. */
static void read_for_all(struct own_program *program, int64_t deadline_ns)
{
    struct buf line = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    program->reading = true;
    pthread_mutex_unlock(&program->lock);
    enum err_code code = pipe_read(&program->pipe, deadline_ns, &line, &err);
    pthread_mutex_lock(&program->lock);
    program->reading = false;
    if (code == ERR_NONE && !program->broken && !deliver(program, &line, &arena, &err))
        code = err.code;
    if (code != ERR_NONE && code != ERR_TIMEOUT)
        break_locked(program, &err);
    pthread_cond_broadcast(&program->news); /* also: somebody else may read now */
    buf_free(&line);
    arena_free(&arena);
}

/* ---- Questions ---- */

/* One line at a time; false when another's did not end in time. */
static bool begin_line(struct own_program *program, int64_t deadline_ns)
{
    struct timespec until = clock_timespec(deadline_ns);
    int late = 0;
    pthread_mutex_lock(&program->lock);
    while (program->writing && late == 0)
        late = pthread_cond_timedwait(&program->written, &program->lock, &until);
    bool mine = !program->writing;
    program->writing = true;
    pthread_mutex_unlock(&program->lock);
    return mine;
}

static void end_line(struct own_program *program)
{
    pthread_mutex_lock(&program->lock);
    program->writing = false;
    pthread_cond_signal(&program->written);
    pthread_mutex_unlock(&program->lock);
}

/* OWN_ANSWERED: it is on its way. */
static enum own_fate send(struct own_program *program, const char *line, int64_t deadline_ns,
                          struct err *err)
{
    size_t sent = 0;
    if (!begin_line(program, deadline_ns)) {
        err_set(err, ERR_TIMEOUT, "%s does not read", program->pipe.path);
        return OWN_NOT_SENT;
    }
    enum err_code code = own_program_is_broken(program)
                             ? err_set(err, ERR_IO, "%s has ended", program->pipe.path)
                             : pipe_write(&program->pipe, line, deadline_ns, &sent, err);
    end_line(program);
    if (code == ERR_NONE)
        return OWN_ANSWERED;
    if (code != ERR_TIMEOUT || sent > 0) { /* else nothing is wrong with it but that it is slow */
        pthread_mutex_lock(&program->lock);
        break_locked(program, err);
        *err = program->why;
        pthread_mutex_unlock(&program->lock);
    }
    return sent == 0 ? OWN_NOT_SENT : OWN_BROKEN;
}

static void forget(struct own_program *program, const struct waiter *waiter)
{
    struct waiter **place = &program->waiters;
    while (*place != waiter)
        place = &(*place)->next;
    *place = waiter->next;
}

static enum own_fate await_answer(struct own_program *program, struct waiter *waiter,
                                  int64_t deadline_ns, struct err *err)
{
    pthread_mutex_lock(&program->lock);
    while (!waiter->answered && !program->broken && clock_monotonic_ns() < deadline_ns) {
        struct timespec until = clock_timespec(deadline_ns);
        if (program->reading)
            pthread_cond_timedwait(&program->news, &program->lock, &until);
        else
            read_for_all(program, deadline_ns);
    }
    enum own_fate fate = waiter->answered ? OWN_ANSWERED : program->broken ? OWN_BROKEN : OWN_LATE;
    if (fate == OWN_BROKEN)
        *err = program->why;
    else if (fate == OWN_LATE)
        err_set(err, ERR_TIMEOUT, "%s did not answer in time", program->pipe.path);
    pthread_mutex_unlock(&program->lock);
    return fate;
}

enum own_fate own_program_ask(struct own_program *program, const char *members, int64_t deadline_ns,
                              struct arena *arena, struct value *answer, struct err *err)
{
    struct waiter waiter = {.arena = arena};
    struct buf line = BUF_INIT;
    pthread_mutex_lock(&program->lock);
    waiter.id = ++program->last_id;
    waiter.next = program->waiters;
    program->waiters = &waiter;
    pthread_mutex_unlock(&program->lock);
    buf_printf(&line, "{\"id\":%lld,%s}", (long long)waiter.id, members);
    enum own_fate fate = send(program, line.data, deadline_ns, err);
    if (fate == OWN_ANSWERED)
        fate = await_answer(program, &waiter, deadline_ns, err);
    pthread_mutex_lock(&program->lock);
    forget(program, &waiter);
    pthread_mutex_unlock(&program->lock);
    if (fate == OWN_ANSWERED)
        *answer = waiter.answer;
    buf_free(&line);
    return fate;
}

/* ---- The pool ---- */

static struct own_pool_state *state_of(struct own_pool *pool)
{
    static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&making);
    if (pool->state == NULL) {
        pool->state = calloc(1, sizeof *pool->state);
        if (pool->state == NULL)
            abort();
        pthread_mutex_init(&pool->state->lock, NULL);
    }
    pthread_mutex_unlock(&making);
    return pool->state;
}

static void destroy(struct own_program *program, int64_t patience_ns)
{
    pipe_stop(&program->pipe, program->broken ? 0 : patience_ns);
    pthread_cond_destroy(&program->news);
    pthread_cond_destroy(&program->written);
    pthread_mutex_destroy(&program->lock);
    free(program);
}

static enum err_code start(struct own_pool *pool, struct own_program **out, struct err *err)
{
    struct own_program *program = calloc(1, sizeof *program);
    if (program == NULL)
        return err_set(err, ERR_NOMEM, "no memory for a client");
    program->pipe = (struct pipe_program){
        .path = pool->name, .argv = pool->argv, .cwd = pool->cwd, .unread = BUF_INIT};
    pthread_mutex_init(&program->lock, NULL);
    cond_init(&program->written);
    cond_init(&program->news);
    enum err_code code = pipe_start(&program->pipe, err);
    if (code != ERR_NONE) {
        destroy(program, 0);
        return code;
    }
    program->users = 1;
    *out = program;
    return ERR_NONE;
}

enum err_code own_program_take(struct own_pool *pool, struct own_program **out, struct err *err)
{
    struct own_pool_state *state = state_of(pool);
    pthread_mutex_lock(&state->lock);
    struct own_program *program = state->programs;
    while (program != NULL &&
           ((!pool->shared && program->users > 0) || own_program_is_broken(program)))
        program = program->next;
    if (program != NULL) {
        program->users++;
        *out = program;
        pthread_mutex_unlock(&state->lock);
        return ERR_NONE;
    }
    if (!pool->shared) /* starting takes its time, and others may start theirs meanwhile */
        pthread_mutex_unlock(&state->lock);
    enum err_code code = start(pool, &program, err);
    if (!pool->shared)
        pthread_mutex_lock(&state->lock);
    if (code == ERR_NONE) {
        program->next = state->programs;
        state->programs = program;
        *out = program;
    }
    pthread_mutex_unlock(&state->lock);
    return code;
}

void own_program_give_back(struct own_pool *pool, struct own_program *program)
{
    struct own_pool_state *state = state_of(pool);
    pthread_mutex_lock(&state->lock);
    bool gone = --program->users == 0 && own_program_is_broken(program);
    if (gone) {
        struct own_program **place = &state->programs;
        while (*place != program)
            place = &(*place)->next;
        *place = program->next;
    }
    pthread_mutex_unlock(&state->lock);
    if (gone)
        destroy(program, 0);
}

void own_pool_stop(struct own_pool *pool, int64_t patience_ns)
{
    struct own_pool_state *state = state_of(pool);
    pthread_mutex_lock(&state->lock);
    struct own_program **place = &state->programs, *idle = NULL;
    while (*place != NULL) {
        struct own_program *program = *place;
        if (program->users > 0) { /* somebody hangs in it */
            place = &program->next;
            continue;
        }
        *place = program->next;
        program->next = idle;
        idle = program;
    }
    pthread_mutex_unlock(&state->lock);
    for (struct own_program *program = idle, *next; program != NULL; program = next) {
        next = program->next;
        destroy(program, patience_ns);
    }
}
