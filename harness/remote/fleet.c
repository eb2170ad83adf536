/* The fleet: its I/O thread's loop, mailbox and timers; opening and closing. See fleet.h. */
#include <assert.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/remote/fleet_internal.h"

void *fleet_allocate(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) {
        fprintf(stderr, "ordeal: out of memory for %zu bytes\n", count * size);
        abort();
    }
    return memory;
}

/* ---- Mailbox and timers ---- */

static void wake(struct fleet *fleet)
{
    uint64_t one = 1;
    while (write(fleet->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void fleet_post(struct fleet *fleet, struct fleet_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&fleet->mutex);
    bool first = fleet->first_task == NULL;
    *fleet->last_task = task;
    fleet->last_task = &task->next;
    pthread_mutex_unlock(&fleet->mutex);
    if (first)
        wake(fleet);
}

static _Thread_local const struct fleet *driven_here;

bool fleet_on_io_thread(const struct fleet *fleet)
{
    return driven_here == fleet;
}

/* Runs what was posted; returns false when the fleet is to stop. */
static bool run_tasks(struct fleet *fleet)
{
    pthread_mutex_lock(&fleet->mutex);
    struct fleet_task *task = fleet->first_task;
    fleet->first_task = NULL;
    fleet->last_task = &fleet->first_task;
    bool stopping = fleet->stopping;
    pthread_mutex_unlock(&fleet->mutex);
    while (task != NULL) {
        struct fleet_task *next = task->next; /* the task may be gone after it ran */
        task->run(task);
        task = next;
    }
    return !stopping;
}

void fleet_timer_set(struct fleet *fleet, struct fleet_timer *timer, int64_t at_ns)
{
    fleet_timer_clear(timer);
    timer->at_ns = at_ns;
    struct fleet_timer **place = &fleet->timers;
    while (*place != NULL && (*place)->at_ns <= at_ns)
        place = &(*place)->next;
    timer->next = *place;
    timer->place = place;
    if (timer->next != NULL)
        timer->next->place = &timer->next;
    *place = timer;
}

void fleet_timer_clear(struct fleet_timer *timer)
{
    if (timer->place == NULL)
        return;
    *timer->place = timer->next;
    if (timer->next != NULL)
        timer->next->place = timer->place;
    timer->place = NULL;
}

static void fire_timers(struct fleet *fleet, int64_t now_ns)
{
    while (fleet->timers != NULL && fleet->timers->at_ns <= now_ns) {
        struct fleet_timer *timer = fleet->timers;
        fleet_timer_clear(timer);
        timer->fire(timer);
    }
}

/* ---- The loop ---- */

static void wait_for_events(struct fleet *fleet)
{
    int64_t until_ns = fleet->timers != NULL ? fleet->timers->at_ns : INT64_MAX;
    for (size_t i = 0; i < fleet->count; i++) {
        int64_t member_ns = member_poll(&fleet->members[i], &fleet->pollfds[i]);
        if (member_ns < until_ns)
            until_ns = member_ns;
    }
    fleet->pollfds[fleet->count] = (struct pollfd){.fd = fleet->wake_fd, .events = POLLIN};
    struct timespec timeout;
    if (until_ns != INT64_MAX) {
        int64_t now_ns = until_ns > 0 ? clock_monotonic_ns() : 0;
        timeout = clock_timespec(until_ns > now_ns ? until_ns - now_ns : 0);
    }
    int ready =
        ppoll(fleet->pollfds, fleet->count + 1, until_ns != INT64_MAX ? &timeout : NULL, NULL);
    if (ready < 0)
        for (size_t i = 0; i <= fleet->count; i++)
            fleet->pollfds[i].revents = 0;
}

/* One round after a wait. Sessions are stepped when they have something to do, or when their own
 * time may have come: a step without work is one system call. */
static void step_members(struct fleet *fleet)
{
    int64_t now_ns = clock_monotonic_ns();
    for (size_t i = 0; i < fleet->count; i++) {
        struct fleet_member *member = &fleet->members[i];
        int64_t session_ns = INT64_MAX;
        struct pollfd unused;
        if (member->session != NULL)
            fleet->remote->session_poll(member->session, &unused, &session_ns);
        if (fleet->pollfds[i].revents != 0 || member->dirty || session_ns <= now_ns ||
            (member->session == NULL && !TAILQ_EMPTY(&member->queued)))
            member_step(member, now_ns);
    }
    for (size_t i = 0; i < fleet->count; i++)
        member_expire(&fleet->members[i], now_ns);
    fire_timers(fleet, now_ns);
}

static void fail_all(struct fleet *fleet, bool streams_too, const char *reason)
{
    for (size_t i = 0; i < fleet->count; i++)
        member_fail(&fleet->members[i], streams_too, reason);
}

static void *io_thread(void *argument)
{
    struct fleet *fleet = argument;
    driven_here = fleet;
    while (run_tasks(fleet)) {
        wait_for_events(fleet);
        if (fleet->pollfds[fleet->count].revents != 0) {
            uint64_t count;
            if (read(fleet->wake_fd, &count, sizeof count) > 0 && !run_tasks(fleet))
                break;
        }
        step_members(fleet);
    }
    run_tasks(fleet); /* what was posted before the stop still runs */
    fail_all(fleet, true, "the connections are being closed");
    for (size_t i = 0; i < fleet->count; i++)
        member_disconnect(&fleet->members[i]);
    return NULL;
}

struct interrupt_task {
    struct fleet_task task;
    struct fleet *fleet;
    struct batch batch;
};

static void interrupt_run(struct fleet_task *task)
{
    struct interrupt_task *interrupt = (struct interrupt_task *)task;
    fail_all(interrupt->fleet, false, "interrupted");
    batch_done(&interrupt->batch);
}

void fleet_interrupt(struct fleet *fleet)
{
    struct interrupt_task interrupt = {.task = {.run = interrupt_run}, .fleet = fleet};
    batch_init(&interrupt.batch, 1);
    fleet_post(fleet, &interrupt.task);
    batch_wait(&interrupt.batch);
}

/* ---- Opening and closing ---- */

size_t fleet_size(const struct fleet *fleet)
{
    return fleet->count;
}

const struct node *fleet_node(const struct fleet *fleet, uint32_t node)
{
    assert(node < fleet->count);
    return fleet->members[node].node;
}

const char *member_user(const struct fleet *fleet, const struct node *node)
{
    return node->user != NULL ? node->user : fleet->options.connect.user;
}

struct resolution {
    const struct remote *remote;
    struct fleet_member *member;
    pthread_t thread;
    bool threaded;
    struct err err;
};

static void *resolve_thread(void *argument)
{
    struct resolution *resolution = argument;
    struct fleet_member *member = resolution->member;
    if (resolution->remote->resolve(member->node, &member->address, &resolution->err) != ERR_NONE)
        err_wrap(&resolution->err, "%s", member->node->name);
    return NULL;
}

/* Names are looked up side by side, as one that no server knows may take many seconds. The threads
 * end before the fleet's own begins. */
static enum err_code resolve_all(struct fleet *fleet, struct err *err)
{
    if (fleet->remote->resolve == NULL)
        return ERR_NONE;
    struct resolution *resolutions = fleet_allocate(fleet->count, sizeof *resolutions);
    const struct err **errs = fleet_allocate(fleet->count, sizeof *errs);
    for (size_t i = 0; i < fleet->count; i++) {
        struct resolution *resolution = &resolutions[i];
        *resolution = (struct resolution){.remote = fleet->remote, .member = &fleet->members[i]};
        errs[i] = &resolution->err;
        const char *address = node_address(fleet->members[i].node);
        bool numeric = strspn(address, "0123456789.") == strlen(address);
        if (numeric || fleet->count == 1 ||
            pthread_create(&resolution->thread, NULL, resolve_thread, resolution) != 0)
            resolve_thread(resolution);
        else
            resolution->threaded = true;
    }
    for (size_t i = 0; i < fleet->count; i++)
        if (resolutions[i].threaded)
            pthread_join(resolutions[i].thread, NULL);
    enum err_code code = fleet_sum_up(fleet, NULL, errs, fleet->count, err);
    free(errs);
    free(resolutions);
    return code;
}

static void free_fleet(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->count; i++)
        if (fleet->members[i].address != NULL)
            fleet->remote->address_free(fleet->members[i].address);
    if (fleet->wake_fd >= 0)
        close(fleet->wake_fd);
    pthread_mutex_destroy(&fleet->mutex);
    free(fleet->pollfds);
    free(fleet->members);
    free((char *)fleet->options.connect.user);
    free(fleet);
}

static char *default_user(const struct fleet_options *options)
{
    const char *name = options->connect.user;
    if (name == NULL) {
        const struct passwd *entry = getpwuid(getuid());
        name = entry != NULL ? entry->pw_name : "root";
    }
    char *copy = strdup(name);
    if (copy == NULL)
        abort();
    return copy;
}

static void fill_defaults(struct fleet_options *options)
{
    if (options->command_timeout_ns == 0)
        options->command_timeout_ns = 60 * NS_PER_SECOND;
    if (options->reconnect_ns == 0)
        options->reconnect_ns = 5 * NS_PER_SECOND;
    if (options->connect.connect_timeout_ns == 0)
        options->connect.connect_timeout_ns = 10 * NS_PER_SECOND;
    if (options->connect.keepalive_ns == 0)
        options->connect.keepalive_ns = 5 * NS_PER_SECOND;
    options->connect.user = default_user(options);
}

static struct fleet *new_fleet(const struct node *nodes, size_t count,
                               const struct fleet_options *options)
{
    struct fleet *fleet = fleet_allocate(1, sizeof *fleet);
    if (options != NULL)
        fleet->options = *options;
    fill_defaults(&fleet->options);
    fleet->remote = fleet->options.remote != NULL ? fleet->options.remote : &remote_ssh;
    fleet->count = count;
    fleet->members = fleet_allocate(count, sizeof *fleet->members);
    fleet->pollfds = fleet_allocate(count + 1, sizeof *fleet->pollfds);
    fleet->last_task = &fleet->first_task;
    fleet->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&fleet->mutex, NULL);
    for (size_t i = 0; i < count; i++) {
        struct fleet_member *member = &fleet->members[i];
        *member = (struct fleet_member){
            .fleet = fleet, .node = &nodes[i], .channels_max = FLEET_CHANNELS_MAX};
        TAILQ_INIT(&member->queued);
        TAILQ_INIT(&member->running);
    }
    return fleet;
}

/* With all signals blocked: they are for the threads that know what to do with them. */
static int start_thread(struct fleet *fleet)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&fleet->thread, NULL, io_thread, fleet);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static enum err_code connect_all(struct fleet *fleet, struct err *err)
{
    struct errand **errands = errand_array(fleet->count);
    const struct err **errs = fleet_allocate(fleet->count, sizeof *errs);
    for (size_t i = 0; i < fleet->count; i++) {
        errand_init(errands[i], fleet, (uint32_t)i, ERRAND_CONNECT);
        errs[i] = &errands[i]->err;
    }
    errands_run(fleet, errands, fleet->count);
    enum err_code code = fleet_sum_up(fleet, NULL, errs, fleet->count, err);
    free(errs);
    errand_array_free(errands, fleet->count);
    return code;
}

enum err_code fleet_open(const struct node *nodes, size_t count,
                         const struct fleet_options *options, struct fleet **fleet, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        assert(nodes[i].index == i && nodes[i].name != NULL);
    struct fleet *opened = new_fleet(nodes, count, options);
    enum err_code code;
    if (opened->wake_fd < 0) {
        code = err_errno(err, errno, "eventfd for the connections' thread");
        goto fail;
    }
    if (opened->remote->prepare != NULL && (code = opened->remote->prepare(err)) != ERR_NONE)
        goto fail;
    if ((code = resolve_all(opened, err)) != ERR_NONE)
        goto fail;
    int status = start_thread(opened);
    if (status != 0) {
        code = err_errno(err, status, "start the connections' thread");
        goto fail;
    }
    code = connect_all(opened, err);
    if (code != ERR_NONE) {
        fleet_close(opened);
        return code;
    }
    *fleet = opened;
    return ERR_NONE;
fail:
    free_fleet(opened);
    return code;
}

void fleet_close(struct fleet *fleet)
{
    if (fleet == NULL)
        return;
    pthread_mutex_lock(&fleet->mutex);
    fleet->stopping = true;
    pthread_mutex_unlock(&fleet->mutex);
    wake(fleet);
    pthread_join(fleet->thread, NULL);
    free_fleet(fleet);
}
